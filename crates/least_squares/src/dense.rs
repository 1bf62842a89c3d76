//! Row-major kernels, compiled for the widest vector instructions of the machine.

pub(crate) use feasible_kernels::{axpy, dot, dots, max_abs, norm, vectorised};

/// `out = A x` for row-major `A`.
#[inline(always)]
pub(crate) fn multiply(a: &[f64], x: &[f64], out: &mut [f64]) {
    for (out, row) in out.iter_mut().zip(a.chunks_exact(x.len().max(1))) {
        *out = dot(row, x);
    }
}

/// `out += Aᵀ y` for row-major `A`.
#[inline(always)]
pub(crate) fn add_transposed(a: &[f64], y: &[f64], out: &mut [f64]) {
    for (y, row) in y.iter().zip(a.chunks_exact(out.len().max(1))) {
        axpy(*y, row, out);
    }
}
