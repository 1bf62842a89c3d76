//! The point that iterations move, and its residuals.

use crate::dense::{dot, max_abs};
use crate::interior_point::model::{Model, Values};

/// An iterate of the scaled problem.
#[derive(Default)]
pub(crate) struct Iterate {
    pub(crate) z: Vec<f64>,
    pub(crate) values: Values,
    /// Slacks of the one-sided rows.
    pub(crate) slack: Vec<f64>,
    /// Their multipliers, for the scaled rows and cost.
    pub(crate) dual: Vec<f64>,
    /// `c_j + s_j`.
    pub(super) primal: Vec<f64>,
    /// Gradient of the Lagrangian in `x`; what is tested is its projection.
    pub(crate) gradient: Vec<f64>,
    pub(super) reduced_gradient: Vec<f64>,
}

/// A step of an iterate, `x` that of the variables.
#[derive(Default)]
pub(super) struct Direction {
    pub(super) z: Vec<f64>,
    pub(super) x: Vec<f64>,
    pub(super) slack: Vec<f64>,
    pub(super) dual: Vec<f64>,
}

impl Direction {
    pub(super) fn finite(&self) -> bool {
        [&self.z, &self.slack, &self.dual]
            .iter()
            .all(|part| max_abs(part).is_finite())
    }
}

impl Iterate {
    #[inline(always)]
    pub(super) fn complementarity(&self) -> f64 {
        let rows = self.slack.len().max(1);
        dot(&self.slack, &self.dual) / rows as f64
    }

    /// Residuals relative to the bounds and to the cost gradient.
    #[inline(always)]
    pub(super) fn relative_residual(&self, model: &Model<'_>) -> f64 {
        let primal = model.relative_rows(&self.primal);
        primal.max(max_abs(&self.reduced_gradient) / (1.0 + max_abs(&self.values.cost_gradient)))
    }

    /// Moves so far along a direction from where it was before.
    #[inline(always)]
    pub(super) fn place(
        &mut self,
        model: &Model<'_>,
        step: &Direction,
        length: f64,
        before: &[Vec<f64>; 3],
        scratch: &mut Vec<f64>,
    ) {
        let now = [&mut self.z, &mut self.slack, &mut self.dual];
        let directions = [&step.z, &step.slack, &step.dual];
        for ((now, before), direction) in now.into_iter().zip(before).zip(directions) {
            for ((v, from), d) in now.iter_mut().zip(before).zip(direction) {
                *v = from + length * d;
            }
        }
        self.values.evaluate(model, &self.z);
        self.residuals(model, scratch);
    }

    #[inline(always)]
    pub(super) fn residuals(&mut self, model: &Model<'_>, scratch: &mut Vec<f64>) {
        for ((primal, row), slack) in self
            .primal
            .iter_mut()
            .zip(&self.values.rows)
            .zip(&self.slack)
        {
            *primal = row + slack;
        }
        self.gradient.copy_from_slice(&self.values.cost_gradient);
        self.values
            .add_weighted_gradients(model, &self.dual, scratch, &mut self.gradient);
        model.project(&self.gradient, &mut self.reduced_gradient);
    }
}
