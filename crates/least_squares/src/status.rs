//! What a solve and its derivative found, per sample.

use serde::{Deserialize, Serialize};

/// Outcome of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// Converged, by this test.
    Converged(Test),
    /// The iteration limit came first.
    MaxIterations,
    /// No step that the method could find lowers the cost.
    Stalled,
    /// The linear system of a step was singular.
    Singular,
    /// A residual or a Jacobian was not finite, at the start or wherever steps led.
    NonFinite,
    /// The callback stopped it.
    Callback,
}

impl Status {
    /// Whether a test was met.
    pub fn is_converged(self) -> bool {
        matches!(self, Self::Converged(_))
    }
}

/// The test that a converged sample met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// [`crate::Stopping::gradient`].
    Gradient,
    /// [`crate::Stopping::cost`].
    Cost,
    /// [`crate::Stopping::step`].
    Step,
    /// Steps change the cost by less than its rounding, and do not lower the gradient either.
    Rounding,
}

/// One iteration of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The cost before the step.
    pub cost: f64,
    /// max|∇| before the step, over the coordinates that are free to move.
    pub gradient: f64,
    /// λ of Levenberg-Marquardt; the radius of dogleg; 0 for Gauss-Newton.
    pub damping: f64,
    /// ‖δ‖; NaN where no step could be computed.
    pub step_norm: f64,
    /// Decrease of the cost over that of its model; NaN where there is none.
    pub gain_ratio: f64,
    /// Whether the step was taken.
    pub accepted: bool,
}

/// How far a sample's gradient can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientQuality {
    /// The derivative, to rounding and to the accuracy of the solution.
    Exact,
    /// An approximation: a Gauss-Newton Hessian with curvature left out, differences instead of
    /// derivatives, an inaccurate linear solve, or a point that is no minimiser.
    Inexact,
    /// There is no unique derivative: the Hessian is singular or not positive, so that the minimiser is
    /// not isolated, or a coordinate is at its bound without pushing against it. The gradient returned is
    /// the least-norm one.
    Degenerate,
    /// There is none: the gradient returned is zero.
    Unavailable,
}
