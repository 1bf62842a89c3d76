use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How a sample ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// Its residual is below the tolerance.
    ConvergedByResidual,
    /// Its step was below the tolerance: a stationary point, with whatever residual is left.
    ConvergedByStep,
    /// The iteration limit came first; the last iterate is returned, which with adaptive damping
    /// is the best one.
    MaxIterations,
    /// The callback stopped the iterations.
    Stopped,
    /// The matrix of a step was singular to working precision, or the step overflowed; the iterate
    /// before it is returned, with the gradient of the steps that led there.
    Singular,
    /// The residual or its Jacobian was not finite; the last iterate where they were is returned,
    /// with the gradient of the steps that led there.
    NonFinite,
}

impl Status {
    /// Whether one of the tolerances was met.
    pub fn is_converged(self) -> bool {
        matches!(self, Self::ConvergedByResidual | Self::ConvergedByStep)
    }

    /// Whether the iterations broke down.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Singular | Self::NonFinite)
    }
}

/// How far a sample's implicit gradient can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GradientQuality {
    /// The sample converged to an isolated solution; the gradient is exact there. The undamped
    /// Newton step from it is below the larger of 1e-6 and ten times the step tolerance, relative
    /// to the largest variable where that is above 1: what converged because damping made the
    /// steps short, or by a residual that hardly depends on y, does not pass.
    Exact,
    /// The Hessian is singular, the solution not isolated, and the gradient the least-norm one; or it has
    /// negative eigenvalues, and the point is a saddle or a maximum, whose own derivative it is.
    Degenerate,
    /// The sample had not converged, or to the tolerances only: the formula was used at a point
    /// that is not stationary.
    Inexact,
    /// The sample broke down; its gradient is zero.
    Unavailable,
}

/// The end of a solve. Vectors have one entry per sample.
#[derive(Debug, Clone)]
pub struct Solution {
    /// The variables, `[batch, n]`, differentiable as [`crate::Backward`] says.
    pub y: Tensor<2>,
    /// How each sample ended.
    pub status: Vec<Status>,
    /// Steps computed for each sample, those rejected by adaptive damping included. The step at
    /// which a sample broke down is not counted.
    pub iterations: Vec<usize>,
    /// max|r| at `y`, weights not included; NaN where r is not finite.
    pub residual_norm: Vec<f64>,
    /// What each iteration did, the first to the last.
    pub history: Vec<IterationRecord>,
    /// The quality of implicit gradients; `None` when unrolled or when no gradient will be asked for.
    pub gradient: Option<Vec<GradientQuality>>,
}

/// What an iteration did. Vectors have one entry per sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IterationRecord {
    /// ½‖W r‖² before it.
    pub cost: Vec<f64>,
    /// max|Δ| of the step that was computed; 0 for samples that had stopped.
    pub step_norm: Vec<f64>,
    /// λ of the next iteration.
    pub damping: Vec<f64>,
}

/// What a callback sees at the end of an iteration. Slices have one entry per sample.
#[derive(Debug, Clone, Copy)]
pub struct Iteration<'a> {
    /// Number of the iteration, from 0.
    pub index: usize,
    /// The variables after the iteration, `[batch, n]`. Tracked when the solve is unrolled, so that
    /// what a callback computes from them is differentiated too. Samples that were not finite at
    /// their start hold another sample's variables here.
    pub y: &'a Tensor<2>,
    /// ½‖W r‖² before the iteration.
    pub cost: &'a [f64],
    /// max|r| before the iteration, weights not included.
    pub residual_norm: &'a [f64],
    /// max|Δ| of the step that was computed; 0 for samples that had stopped.
    pub step_norm: &'a [f64],
    /// λ of the next iteration.
    pub damping: &'a [f64],
    /// How each sample ended; `None` while it runs.
    pub status: &'a [Option<Status>],
}
