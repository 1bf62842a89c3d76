//! What a solve found, per sample.

use serde::{Deserialize, Serialize};

/// Outcome of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Status {
    /// Optimal within [`crate::Settings::tolerance`].
    Solved,
    /// No point satisfies the constraints; a certificate was found.
    PrimalInfeasible,
    /// No point satisfies the constraints; the point solves the elastic problem that
    /// [`crate::Infeasible::Elastic`] asked for, and misses the constraints by
    /// [`crate::Solution::shift`].
    Relaxed,
    /// The objective is unbounded below along a feasible direction.
    DualInfeasible,
    /// The iteration limit came first; the last iterate is returned.
    MaxIterations,
    /// Arithmetic broke down; the last finite iterate is returned.
    NumericalError,
}

impl Status {
    /// Whether the sample's solution can be used and differentiated.
    ///
    /// A [`Status::Relaxed`] sample can: it solves the problem that was asked for instead.
    pub fn is_solved(self) -> bool {
        matches!(self, Status::Solved | Status::Relaxed)
    }
}

/// How well the returned point satisfies the optimality conditions, on the original data.
///
/// Absolute infinity norms; infinite bounds are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Residuals {
    /// Largest constraint violation.
    pub primal: f64,
    /// Largest entry of the Lagrangian's gradient in `x`.
    pub dual: f64,
    /// Sum over rows of |multiplier · distance to the bound it belongs to|. With a zero dual
    /// residual this bounds the duality gap.
    pub gap: f64,
}

impl Residuals {
    /// The largest of the three.
    pub fn worst(&self) -> f64 {
        // f64::max drops a NaN; here NaN has to win.
        if self.primal.is_nan() || self.dual.is_nan() || self.gap.is_nan() {
            f64::NAN
        } else {
            self.primal.max(self.dual).max(self.gap)
        }
    }
}
