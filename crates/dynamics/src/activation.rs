//! Nonlinearities for networks whose gradients are taken many times.

use std::sync::Arc;

use burn::tensor::Tensor;
use feasible_core::host::{self, HostAdjoint, Input};
use feasible_kernels::vectorised;
use rayon::prelude::*;

use crate::Error;

/// Numbers for one thread at a time; fewer are not worth a thread.
const CHUNK: usize = 1 << 14;

/// tanh of every number, in f64 to 3 units in the last place and then rounded to the tensor's precision,
/// on the host.
///
/// Burn's own is evaluated one number after the other, and again in the backward pass: with it the gradient
/// of a network of two layers of 200 takes two and a half times as long. This one keeps its output,
/// `1 − y²` being the derivative, and vectorises.
///
/// It is differentiable once: a gradient of its gradient is 0. [`crate::ExactHessian`] needs no more, as
/// its closure writes the first derivative down, in a [`crate::Tangent`] of `y` and `(1 − y²) · tangent`.
///
/// # Cost
/// A fifth of Burn's, and `y` in f64 until the backward pass. A tensor on a GPU is moved to the host and
/// back.
///
/// # Errors
/// [`Error::Core`] if the device cannot be read.
pub fn tanh<const D: usize>(x: Tensor<D>) -> Result<Tensor<D>, Error> {
    let numbers = host::borrow("x", &x)?;
    let mut y = vec![0.0; numbers.len()];
    let chunks = y.par_chunks_mut(CHUNK).zip(numbers.par_chunks(CHUNK));
    chunks.for_each(|(y, x)| {
        vectorised(
            #[inline(always)]
            || feasible_kernels::tanh(x, y),
        );
    });
    drop(numbers);
    let (shape, device, dtype) = (x.dims(), x.device(), x.dtype());
    if !x.is_tracked() {
        return Ok(host::write(y, shape, &device, dtype));
    }
    let adjoint = Arc::new(Adjoint { y: y.clone() });
    let input = vec![Input::new(x)];
    Ok(host::record(y, shape, &device, dtype, input, adjoint))
}

#[derive(Debug)]
struct Adjoint {
    y: Vec<f64>,
}

impl HostAdjoint for Adjoint {
    fn vjp(&self, cotangent: &[f64]) -> Vec<Vec<f64>> {
        let gradient = cotangent
            .iter()
            .zip(&self.y)
            .map(|(c, y)| c * (1.0 - y * y));
        vec![gradient.collect()]
    }
}
