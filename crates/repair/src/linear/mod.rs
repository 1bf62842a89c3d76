//! Linear algebra on the host with its vector-Jacobian products, as operations on tensors.

mod pseudo_inverse;
mod remembered;
mod square;

pub(crate) use pseudo_inverse::{Inverses, inverses, rank, shortest};
pub(crate) use remembered::Remembered;
pub(crate) use square::{Side, solve};

/// The gradient of a tensor that the batch shares: the samples' summed, or as it is.
pub(crate) fn reduce(gradient: Vec<f64>, size: usize, shared: bool) -> Vec<f64> {
    if !shared || size == 0 {
        return gradient;
    }
    let mut sum = vec![0.0; size];
    for sample in gradient.chunks_exact(size) {
        sum.iter_mut().zip(sample).for_each(|(s, g)| *s += g);
    }
    sum
}
