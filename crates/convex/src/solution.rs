use std::sync::Arc;

use burn::tensor::Tensor;
use feasible_solver::{Conflict, Residuals, Shift, Solution, Status};

use crate::adjoint::GradientReports;
use crate::forward::Kept;
use crate::quadratic::SolvedProgram;

/// The solutions of a batch: differentiable tensors, and what the solver says about each sample.
///
/// Signs of the multipliers follow the Lagrangian ½xᵀPx + qᵀx + νᵀ(Ax − b) + λ_uᵀ(Gx − u)
/// − λ_lᵀ(Gx − l) + Σ μ_i (xᵀH_i x + g_iᵀx − c_i).
#[derive(Debug, Clone)]
pub struct ConvexSolution {
    /// Minimisers, `[batch, n]`.
    pub x: Tensor<2>,
    /// ν, `[batch, p]`.
    pub equality_dual: Tensor<2>,
    /// λ_u − λ_l, `[batch, m]`: positive where the upper bound holds x, negative where the lower
    /// bound does.
    pub inequality_dual: Tensor<2>,
    /// μ ≥ 0, `[batch, k]`; k = 0 for a quadratic program.
    pub quadratic_dual: Tensor<2>,
    /// What the solver found, one per sample.
    pub status: Vec<Status>,
    /// Pivots and Newton steps of each sample.
    pub iterations: Vec<usize>,
    /// How well each sample meets its optimality conditions, in f64 before any rounding to the
    /// output's precision.
    pub residuals: Vec<Residuals>,
    /// The solver's own solution, which warm starts and certificates need.
    pub(crate) found: Arc<Solution>,
    pub(crate) reports: GradientReports,
    pub(crate) kept: Kept<SolvedProgram>,
}

impl ConvexSolution {
    /// A handle on what the backward pass will say about each sample's gradient.
    pub fn gradient_reports(&self) -> GradientReports {
        self.reports.clone()
    }

    /// The rows that make an infeasible sample so, the weightiest first; `None` for every other
    /// sample, and where the contradiction is too slight to be proved.
    pub fn conflict(&self, sample: usize) -> Option<Conflict> {
        self.found.conflict(sample)
    }

    /// How far the bounds of a [`Status::Relaxed`] sample gave way; `None` for every other sample.
    pub fn shift(&self, sample: usize) -> Option<Shift> {
        self.found.shift(sample)
    }
}
