//! Samples without a value, kept out of the gradients of the others.
//!
//! A sample whose rows are not finite has infinite derivatives, and a cotangent of zero times one of them is
//! NaN: in the gradient of every tensor that the batch shares.

use burn::tensor::Tensor;
use feasible_core::{Bounds, Constraints, host};
use feasible_nls::Status;

use crate::start::{constant, measure};
use crate::{Error, Repaired};

/// Good samples whose inputs are tried in the place of one that has no value.
const LENDERS: usize = 3;

/// Runs `repair` on `y0`. A sample that comes out as [`Status::NonFinite`] keeps its input; where anything
/// is recorded, the others are repaired once more while it borrows the input of one of them.
pub(crate) fn isolating(
    y0: Tensor<2>,
    constraints: &dyn Constraints,
    bounds: &Bounds,
    repair: impl Fn(Tensor<2>) -> Result<Repaired, Error>,
) -> Result<Repaired, Error> {
    let mut repaired = repair(y0.clone())?;
    let lost: Vec<bool> = is_lost(&repaired).collect();
    if !lost.contains(&true) {
        return Ok(repaired);
    }
    let good: Vec<usize> = (0..lost.len()).filter(|&sample| !lost[sample]).collect();
    if good.is_empty() {
        repaired.y = y0.clone();
    } else if repaired.y.is_tracked() {
        for &lender in good.iter().take(LENDERS) {
            let lent = constant(&y0).slice_dim(0, lender..lender + 1);
            let again = repair(host::replace_samples(
                y0.clone(),
                &lost,
                lent.expand(y0.dims()),
            ))?;
            let is_done = !is_lost(&again).any(|lost| lost);
            repaired.take(again, &good);
            if is_done {
                break;
            }
        }
    }
    repaired.y = host::replace_samples(repaired.y, &lost, y0);
    let residual = measure(constraints, bounds, &repaired.y)?;
    for sample in (0..lost.len()).filter(|&sample| lost[sample]) {
        repaired.status[sample] = Status::NonFinite;
        repaired.residual[sample] = residual[sample];
    }
    Ok(repaired)
}

fn is_lost(repaired: &Repaired) -> impl Iterator<Item = bool> {
    repaired
        .status
        .iter()
        .map(|status| *status == Status::NonFinite)
}

impl Repaired {
    /// What became of these samples in another run, and its outputs.
    fn take(&mut self, other: Self, samples: &[usize]) {
        for &sample in samples {
            self.status[sample] = other.status[sample];
            self.iterations[sample] = other.iterations[sample];
            self.residual[sample] = other.residual[sample];
        }
        self.y = other.y;
    }
}
