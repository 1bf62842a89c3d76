//! The memory of one sample's iterations, and what is computed in it.

use crate::dense::{dot, max_abs, norm};
use crate::linear::System;
use crate::objective::Objective;
use crate::settings::Settings;
use crate::status::{Status, Test};
use crate::step::{Proposal, find_held};
use crate::term::{Linearisation, Sample, cost};

/// What one thread needs.
pub(crate) struct Workspace<'a> {
    pub(crate) objective: &'a Objective,
    pub(crate) system: System<'a>,
    pub(crate) at: Linearisation,
    pub(crate) proposal: Proposal,
    /// The gradient, zero where a coordinate is held.
    pub(crate) gradient: Vec<f64>,
    pub(crate) held: Vec<bool>,
    pub(crate) trial: Vec<f64>,
    pub(crate) best: Vec<f64>,
    pub(crate) rows: Vec<f64>,
}

impl<'a> Workspace<'a> {
    pub(crate) fn new(objective: &'a Objective, settings: &Settings, tilted: bool) -> Self {
        Self {
            objective,
            system: System::new(objective, settings, tilted),
            at: Linearisation::new(objective),
            proposal: Proposal::new(objective, settings),
            gradient: vec![0.0; objective.tangent],
            held: vec![false; objective.tangent],
            trial: vec![0.0; objective.storage],
            best: vec![0.0; objective.storage],
            rows: vec![0.0; objective.rows],
        }
    }

    /// Linearises at `x`. False where that is not finite.
    pub(crate) fn linearise(
        &mut self,
        x: &[f64],
        auxiliaries: &[&[f64]],
        tilt: Option<&[f64]>,
    ) -> bool {
        let objective = self.objective;
        self.at.update(objective, &Sample { x, auxiliaries });
        if let Some(tilt) = tilt {
            self.at.cost += dot(tilt, x);
            for variable in &objective.variables {
                let place = variable.place..variable.place + variable.manifold.storage();
                variable.manifold.add_pulled_back(
                    &x[place.clone()],
                    &tilt[place],
                    &mut self.at.gradient[variable.column..],
                );
            }
        }
        self.at.cost.is_finite() && max_abs(&self.at.gradient).is_finite()
    }

    /// Finds the coordinates that are held and makes the linear system ready for the others. To be called
    /// after [`linearise`](Self::linearise); `system` false leaves the system as it is.
    pub(crate) fn restrict(&mut self, x: &[f64], system: bool) {
        let objective = self.objective;
        self.gradient.copy_from_slice(&self.at.gradient);
        if objective.bounded {
            find_held(objective, x, &self.at.gradient, &mut self.held);
            for (g, held) in self.gradient.iter_mut().zip(&self.held) {
                if *held {
                    *g = 0.0;
                }
            }
            if self.held.contains(&true) {
                self.at.hold(objective, &self.held);
            }
        }
        if system {
            self.system.load(objective, &self.at, &self.held);
        }
    }

    /// How many numbers [`keep`](Self::keep) gives; `None` where it has nothing to give.
    pub(crate) fn kept_len(&self) -> Option<usize> {
        let objective = self.objective;
        // Held columns, and which they are, are left to be found again.
        let factor = self.system.kept().filter(|_| !objective.bounded)?;
        let linearisation = objective.rows + objective.entries + objective.terms.len();
        Some(linearisation + objective.tangent + factor.len())
    }

    /// Adds the linearisation, the step δ and the factor it was made with, where there is a factor to keep.
    pub(crate) fn keep(&self, numbers: &mut Vec<f64>) {
        let Some(factor) = self.system.kept() else {
            return;
        };
        for part in [
            &self.at.rows,
            &self.at.jacobian,
            &self.at.scales,
            &self.proposal.delta,
            factor,
        ] {
            numbers.extend_from_slice(part);
        }
    }

    /// Makes ready for the derivative of a step in reverse, but for the gradient, from what was
    /// [kept](Self::keep) of it.
    pub(crate) fn restore(&mut self, kept: &[f64]) {
        let mut rest = kept;
        for part in [
            &mut self.at.rows,
            &mut self.at.jacobian,
            &mut self.at.scales,
            &mut self.proposal.delta,
        ] {
            let (here, after) = rest.split_at(part.len());
            part.copy_from_slice(here);
            rest = after;
        }
        self.system.restore(self.objective, &self.at, rest);
    }

    /// What it means that steps from `x` change nothing any more: convergence where the rows are orthogonal
    /// to the columns of their Jacobian, but for a cosine as small as the rounding of the cost allows to
    /// see, or for what rounding moves the gradient.
    pub(crate) fn rounding_status(&self, x: &[f64]) -> Status {
        let rounding = self.row_rounding(x);
        let n = self.objective.tangent;
        let (mut squares, mut noise) = (vec![0.0; n], vec![0.0; n]);
        for term in &self.objective.terms {
            let rounding = &rounding[term.row..][..term.rows];
            for (row, rounding) in self.at.block(term).chunks_exact(term.width).zip(rounding) {
                for (value, column) in row.iter().zip(&term.columns) {
                    squares[*column] += value * value;
                    noise[*column] += value.abs() * rounding;
                }
            }
        }
        let length = norm(&self.at.rows);
        let small =
            |(i, g): (usize, &f64)| g.abs() <= noise[i].max(1e-5 * squares[i].sqrt() * length);
        if self.gradient.iter().enumerate().all(small) {
            Status::Converged(Test::Rounding)
        } else {
            Status::Stalled
        }
    }

    /// How far rounding may move each row at `x`: a row is the difference of numbers as large as its
    /// Jacobian times `x`, however small it is itself, and takes a few operations.
    fn row_rounding(&self, x: &[f64]) -> Vec<f64> {
        let objective = self.objective;
        let mut sizes = vec![0.0; objective.tangent];
        for variable in &objective.variables {
            let stored = &x[variable.place..][..variable.manifold.storage()];
            let sizes = &mut sizes[variable.column..][..variable.manifold.tangent()];
            if variable.manifold.is_flat() {
                for (size, x) in sizes.iter_mut().zip(stored) {
                    *size = x.abs();
                }
            } else {
                sizes.fill(max_abs(stored));
            }
        }
        let mut rounding = Vec::with_capacity(objective.rows);
        for term in &objective.terms {
            let rows = &self.at.rows[term.row..][..term.rows];
            for (row, j) in rows
                .iter()
                .zip(self.at.block(term).chunks_exact(term.width))
            {
                let columns = term.columns.iter().map(|column| sizes[*column]);
                let size: f64 = j.iter().zip(columns).map(|(j, x)| j.abs() * x).sum();
                rounding.push(16.0 * f64::EPSILON * (row.abs() + size));
            }
        }
        rounding
    }

    /// How far rounding may move the cost at `x`.
    pub(crate) fn cost_rounding(&self, x: &[f64]) -> f64 {
        let rounding = self.row_rounding(x);
        let rows = self.at.rows.iter().zip(&rounding);
        rows.map(|(row, rounding)| row.abs() * rounding).sum()
    }

    pub(crate) fn cost(&mut self, auxiliaries: &[&[f64]], tilt: Option<&[f64]>) -> f64 {
        let sample = Sample {
            x: &self.trial,
            auxiliaries,
        };
        let cost = cost(
            self.objective,
            &sample,
            &mut self.rows,
            &mut self.at.scratch,
        );
        cost + tilt.map_or(0.0, |t| dot(t, &self.trial))
    }
}
