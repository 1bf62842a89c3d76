//! What a layer does about violations.

use burn::tensor::Tensor;
use feasible_core::{Constraints, ViolationSummary, Violations};
use serde::{Deserialize, Serialize};

use crate::Error;

/// Violations of a batch of raw predictions and of the same batch after a layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViolationChange {
    /// Of `ŷ`.
    pub before: ViolationSummary,
    /// Of `y`.
    pub after: ViolationSummary,
}

impl ViolationChange {
    /// Violations at `raw` and at `repaired`, both `[batch, n]`; `tolerance` is what counts as met.
    ///
    /// # Errors
    /// [`Error::Core`] if the device cannot be read.
    pub fn of(
        constraints: &dyn Constraints,
        raw: Tensor<2>,
        repaired: Tensor<2>,
        tolerance: f64,
    ) -> Result<Self, Error> {
        Ok(Self {
            before: Violations::of(constraints, raw).summary(tolerance)?,
            after: Violations::of(constraints, repaired).summary(tolerance)?,
        })
    }

    /// The share of the mean violation that the layer leaves; undefined if there was none.
    pub fn left(&self) -> Option<f64> {
        Some(self.after.mean / self.before.mean).filter(|share| share.is_finite())
    }
}
