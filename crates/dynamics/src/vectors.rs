//! Arithmetic on flat vectors.

pub(crate) use feasible_kernels::{axpy, dot, norm};

/// `x + factor · d`.
pub(crate) fn moved(x: &[f64], factor: f64, d: &[f64]) -> Vec<f64> {
    x.iter().zip(d).map(|(x, d)| x + factor * d).collect()
}
