//! Row-major dense products: small ones in the calling function's instruction set, large ones
//! through faer.

use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};

/// The instruction set faer detected at run time.
pub(crate) type Arch = <f64 as ComplexField>::Arch;

/// Runs `work` compiled for the widest vector instructions this machine has. Everything inside
/// that should profit must be inlined, so the kernels below are `inline(always)`.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    Arch::default().dispatch(work)
}

/// Inner product, in four partial sums so that it vectorises.
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

/// Row-major `rows × cols` view.
pub(crate) fn view(data: &[f64], rows: usize, cols: usize) -> MatRef<'_, f64> {
    MatRef::from_row_major_slice(data, rows, cols)
}

/// Row-major `rows × cols` mutable view.
pub(crate) fn view_mut(data: &mut [f64], rows: usize, cols: usize) -> MatMut<'_, f64> {
    MatMut::from_row_major_slice_mut(data, rows, cols)
}

/// `dst = factor · lhs · rhs` on one thread.
pub(crate) fn multiply(
    dst: MatMut<'_, f64>,
    factor: f64,
    lhs: MatRef<'_, f64>,
    rhs: MatRef<'_, f64>,
) {
    product(dst, Accum::Replace, factor, lhs, rhs);
}

/// `dst += factor · lhs · rhs` on one thread.
pub(crate) fn add_multiply(
    dst: MatMut<'_, f64>,
    factor: f64,
    lhs: MatRef<'_, f64>,
    rhs: MatRef<'_, f64>,
) {
    product(dst, Accum::Add, factor, lhs, rhs);
}

fn product(
    mut dst: MatMut<'_, f64>,
    accum: Accum,
    factor: f64,
    lhs: MatRef<'_, f64>,
    rhs: MatRef<'_, f64>,
) {
    if dst.nrows() == 0 || dst.ncols() == 0 {
        return;
    }
    if lhs.ncols() == 0 {
        if accum == Accum::Replace {
            dst.fill(0.0);
        }
        return;
    }
    faer::linalg::matmul::matmul(dst, accum, lhs, rhs, factor, Par::Seq);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_sums_every_length() {
        for n in 0..40 {
            let a: Vec<f64> = (0..n).map(|i| i as f64 + 1.0).collect();
            let expected: f64 = a.iter().map(|v| v * v).sum();
            // Integers below 2^53: sums are exact in any order.
            assert_eq!(dot(&a, &a), expected);
            assert_eq!(
                vectorised(
                    #[inline(always)]
                    || dot(&a, &a)
                ),
                expected
            );
        }
    }

    #[test]
    fn products_accumulate_and_survive_empty_shapes() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 1.0, 1.0]);
        let mut c = [10.0; 4];
        add_multiply(view_mut(&mut c, 2, 2), 2.0, view(&a, 2, 2), view(&b, 2, 2));
        assert_eq!(c, [16.0, 14.0, 24.0, 18.0]);
        multiply(
            view_mut(&mut c, 2, 2),
            1.0,
            view(&[], 2, 0),
            view(&[], 0, 2),
        );
        assert_eq!(c, [0.0; 4]);
        multiply(
            view_mut(&mut [], 0, 2),
            1.0,
            view(&[], 0, 2),
            view(&b, 2, 2),
        );
    }

    #[test]
    fn max_abs_keeps_nan() {
        assert_eq!(max_abs(&[1.0, -3.0, 2.0]), 3.0);
        assert!(max_abs(&[1.0, f64::NAN, 2.0]).is_nan());
    }
}
