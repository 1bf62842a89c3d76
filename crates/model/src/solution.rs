//! Solutions, by the names of the model.

use std::sync::Arc;

use feasible_solver::{Infeasible, Residuals, Status};

use crate::canon::{Block, Slot};
use crate::conflict::{Conflict, conflict};
use crate::engine::{Data, Part, Piece, Solved};
use crate::error::Error;
use crate::numbers::Parameters;
use crate::problem::{Handle, Inner, SolveSettings};

/// Solutions of a batch.
///
/// Samples whose status is not [`Status::Solved`] hold the solver's last finite iterate, or a
/// certificate; see [`feasible_solver::Solution`] and [`feasible_solver::ConeSolution`].
#[derive(Debug)]
pub struct Solution {
    problem: Arc<Inner>,
    parameters: Parameters,
    data: Data,
    solved: Solved,
    settings: SolveSettings,
    /// By variable, `[batch, size]` each.
    variables: Vec<Vec<f64>>,
}

impl Solution {
    pub(crate) fn new(
        problem: Arc<Inner>,
        parameters: Parameters,
        data: Data,
        solved: Solved,
        settings: SolveSettings,
    ) -> Solution {
        let n = problem.canonical.n;
        let samples = solved.x().chunks_exact(n);
        let variables = problem
            .canonical
            .variables
            .iter()
            .map(|(_, columns)| {
                let of = |x: &[f64]| columns.iter().map(|c| x[*c as usize]).collect::<Vec<_>>();
                samples.clone().flat_map(of).collect()
            })
            .collect();
        Solution {
            problem,
            parameters,
            data,
            solved,
            settings,
            variables,
        }
    }

    /// Number of samples.
    pub fn batch(&self) -> usize {
        self.parameters.batch
    }

    /// Outcome of each sample.
    pub fn status(&self) -> &[Status] {
        self.solved.status()
    }

    /// Whether every sample was solved.
    pub fn all_solved(&self) -> bool {
        self.status().iter().all(|status| status.is_solved())
    }

    /// The solver's iterations of each sample.
    pub fn iterations(&self) -> &[usize] {
        self.solved.iterations()
    }

    /// Residuals of each sample, of the solver's form.
    pub fn residuals(&self) -> &[Residuals] {
        self.solved.residuals()
    }

    /// A variable's values, `[batch, size]`, each sample row-major.
    ///
    /// # Errors
    /// [`Error::UnknownName`].
    pub fn variable(&self, name: &str) -> Result<&[f64], Error> {
        Ok(&self.variables[self.problem.variable_index(name)?])
    }

    /// A constraint's dual values, `[batch, size]`, with the signs of
    /// [`crate::CompiledProblem`].
    ///
    /// # Errors
    /// [`Error::UnknownName`].
    pub fn dual<'a>(&self, constraint: impl Into<Handle<'a>>) -> Result<Vec<f64>, Error> {
        let index = self.problem.constraint_index(constraint.into())?;
        let size = self.problem.formulation.constraints[index].shape().size();
        let mut out = vec![0.0; self.batch() * size];
        for i in 0..self.batch() {
            for slot in &self.problem.canonical.duals[index] {
                for piece in self.pieces(slot, i) {
                    out[i * size + slot.entry] += piece.factor * self.number(piece, i);
                }
            }
        }
        Ok(out)
    }

    /// What a part of a dual value is made of in one sample, as far as it can move.
    ///
    /// With bounds that cross and both give way, `λ_u = w(gᵀx − u)` and `λ_l = w(l − gᵀx)` for the
    /// weight `w` of the elastic problem: the solver's `λ = λ_u − λ_l` leaves their sum `w(l − u)` to be
    /// added.
    pub(crate) fn pieces(&self, slot: &Slot, sample: usize) -> impl Iterator<Item = Piece> {
        let index = slot.index;
        let multiplier = |factor| Piece {
            part: Part::Multipliers(slot.block),
            index,
            factor,
        };
        let value = self.number(multiplier(1.0), sample);
        let both = match (slot.block, self.settings.dense.infeasible) {
            (Block::Upper | Block::Lower, Infeasible::Elastic { weight })
                if self.status()[sample] == Status::Relaxed =>
            {
                let gap = Piece {
                    part: Part::Gap,
                    index,
                    factor: 0.5 * weight * slot.factor,
                };
                (value.abs() < weight * self.number(gap, sample)).then_some(gap)
            }
            _ => None,
        };
        let first = multiplier(match (both, slot.block) {
            (None, _) => slot.slope(value),
            (Some(_), Block::Lower) => -0.5 * slot.factor,
            (Some(_), _) => 0.5 * slot.factor,
        });
        std::iter::once(first)
            .filter(|p| p.factor != 0.0)
            .chain(both)
    }

    fn number(&self, piece: Piece, sample: usize) -> f64 {
        if let (Part::Gap, Data::Dense(data)) = (piece.part, &self.data) {
            return data.gap(sample, piece.index, self.settings.dense.rounding);
        }
        let all = self.solved.numbers(piece.part);
        let len = all.len() / self.batch().max(1);
        all[sample * len + piece.index]
    }

    /// The objective of each sample, by evaluating the user's expression at its point.
    ///
    /// # Errors
    /// None for a solution of a compiled problem.
    ///
    /// # Cost
    /// One evaluation of the expression a sample.
    pub fn objective(&self) -> Result<Vec<f64>, Error> {
        let objective = &self.problem.formulation.objective;
        (0..self.batch())
            .map(|i| {
                let value = objective.evaluate(&|name| self.leaf(name, i))?;
                Ok(value.first().copied().unwrap_or(f64::NAN))
            })
            .collect()
    }

    /// A constraint's largest violation in each sample; of a matrix inequality the most negative
    /// eigenvalue.
    ///
    /// # Errors
    /// [`Error::UnknownName`].
    pub fn violation<'a>(&self, constraint: impl Into<Handle<'a>>) -> Result<Vec<f64>, Error> {
        let index = self.problem.constraint_index(constraint.into())?;
        let constraint = &self.problem.formulation.constraints[index];
        (0..self.batch())
            .map(|i| {
                let residual = &constraint.0.residual;
                Ok(constraint.violation(&residual.evaluate(&|name| self.leaf(name, i))?))
            })
            .collect()
    }

    /// The constraints and domains that make an infeasible sample so, the weightiest first, also of
    /// one that was relaxed; `None` for every other sample, and where the contradiction is too slight
    /// to be proved.
    ///
    /// # Cost
    /// One pass over the rows of the solver's form, and over the model's sub-expressions where a
    /// function's domain takes part. Of a cone program also small solves, about one for every row
    /// that Clarabel's certificate names, to leave out what is not needed.
    pub fn conflict(&self, sample: usize) -> Option<Conflict> {
        conflict(&self.problem, self, sample)
    }

    /// The direction of a variable along which an unbounded sample's objective falls forever, `[size]`;
    /// `None` for every sample that is not [`Status::DualInfeasible`].
    ///
    /// # Errors
    /// [`Error::UnknownName`].
    pub fn ray(&self, variable: &str, sample: usize) -> Result<Option<Vec<f64>>, Error> {
        let variables = &self.problem.canonical.variables;
        let at = self.problem.variable_index(variable)?;
        let columns = &variables[at].1;
        let part = |ray: &[f64]| columns.iter().map(|c| ray[*c as usize]).collect();
        Ok(self.solved.ray(sample).map(part))
    }

    fn leaf(&self, name: &str, sample: usize) -> Option<&[f64]> {
        let canonical = &self.problem.canonical;
        if let Some(at) = canonical.variables.iter().position(|(l, _)| l.name == name) {
            let size = canonical.variables[at].1.len();
            return Some(&self.variables[at][sample * size..(sample + 1) * size]);
        }
        let at = canonical
            .parameters
            .iter()
            .position(|(l, _)| l.name == name)?;
        Some(self.parameters.given[at].sample(sample))
    }

    pub(crate) fn solved(&self) -> &Solved {
        &self.solved
    }

    pub(crate) fn problem(&self) -> &Arc<Inner> {
        &self.problem
    }

    pub(crate) fn settings(&self) -> &SolveSettings {
        &self.settings
    }

    pub(crate) fn parts(&self) -> (&Parameters, &Data, &Solved) {
        (&self.parameters, &self.data, &self.solved)
    }
}
