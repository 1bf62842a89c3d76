use burn::tensor::Tensor;
use feasible_solver::{Conflict, Residuals, Shift, Status};

use crate::adjoint::GradientReports;
use crate::layer::SolvedBatch;
use crate::quadratic::SolvedProgram;

/// The solutions of a batch: differentiable tensors, and what the solver says about each sample.
///
/// Signs of the multipliers follow the Lagrangian ½xᵀPx + qᵀx + νᵀ(Ax − b) + λ_uᵀ(Gx − u)
/// − λ_lᵀ(Gx − l) + Σ μ_i (xᵀH_i x + g_iᵀx − c_i).
#[derive(Debug, Clone)]
pub struct ConvexSolution {
    /// Minimisers, `[batch, n]`.
    pub x: Tensor<2>,
    /// What the solver found, one per sample.
    pub status: Vec<Status>,
    /// Pivots and Newton steps of each sample.
    pub iterations: Vec<usize>,
    /// How well each sample meets its optimality conditions, in f64 before any rounding to the
    /// output's precision.
    pub residuals: Vec<Residuals>,
    pub(crate) batch: SolvedBatch<SolvedProgram>,
}

impl ConvexSolution {
    /// ν, `[batch, p]`, differentiable.
    ///
    /// Of `x` and the three kinds of multipliers, each that a loss uses solves the adjoint system
    /// of its own, with factors they share.
    pub fn equality_dual(&self) -> Tensor<2> {
        self.batch.part(1)
    }

    /// λ_u − λ_l, `[batch, m]`, differentiable: positive where the upper bound holds x, negative
    /// where the lower bound does.
    pub fn inequality_dual(&self) -> Tensor<2> {
        self.batch.part(2)
    }

    /// μ ≥ 0, `[batch, k]`, differentiable; k = 0 for a quadratic program.
    pub fn quadratic_dual(&self) -> Tensor<2> {
        self.batch.part(3)
    }

    /// A handle on what the backward pass will say about each sample's gradient.
    pub fn gradient_reports(&self) -> GradientReports {
        self.batch.reports.clone()
    }

    /// The rows that make an infeasible sample so, the weightiest first; `None` for every other
    /// sample, and where the contradiction is too slight to be proved.
    pub fn conflict(&self, sample: usize) -> Option<Conflict> {
        self.batch.solved.conflicting_rows(sample)
    }

    /// The direction, `[n]`, along which the objective of an unbounded sample falls forever; `None` for
    /// every other sample.
    pub fn ray(&self, sample: usize) -> Option<&[f64]> {
        self.batch.solved.solution.ray(sample)
    }

    /// How far the bounds of a [`Status::Relaxed`] sample gave way; `None` for every other sample.
    pub fn shift(&self, sample: usize) -> Option<Shift> {
        self.batch.solved.solution.shift(sample)
    }
}
