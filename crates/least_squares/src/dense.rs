//! Row-major kernels, compiled for the widest vector instructions of the machine.

use faer::traits::ComplexField;

type Arch = <f64 as ComplexField>::Arch;

/// Runs `work` compiled for the widest vector instructions this machine has. Everything inside
/// that should profit must be inlined, so the kernels below are `inline(always)`.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    Arch::default().dispatch(work)
}

/// Inner product, in eight partial sums so that it vectorises.
#[inline(always)]
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a_head, a_tail) = a.as_chunks::<8>();
    let (b_head, b_tail) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a_head.iter().zip(b_head) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let mut total = 0.0;
    for (a, b) in a_tail.iter().zip(b_tail) {
        total += a * b;
    }
    total
        + ((sums[0] + sums[4]) + (sums[2] + sums[6]))
        + ((sums[1] + sums[5]) + (sums[3] + sums[7]))
}

/// `y += factor · x`.
#[inline(always)]
pub(crate) fn axpy(factor: f64, x: &[f64], y: &mut [f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

/// Largest absolute entry, 0 for none. NaN propagates.
#[inline(always)]
pub(crate) fn max_abs(x: &[f64]) -> f64 {
    let mut largest = 0.0;
    for v in x {
        let v = v.abs();
        if v > largest || v.is_nan() {
            largest = v;
        }
    }
    largest
}

/// Euclidean norm.
#[inline(always)]
pub(crate) fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

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
