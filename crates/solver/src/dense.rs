//! Row-major dense products: small ones in the calling function's instruction set, large ones
//! through faer.

use faer::{Accum, MatMut, MatRef, Par};
pub(crate) use feasible_kernels::{
    all_finite, axpy, axpy_lines, dot, dots_of_rows, max_abs, vectorised,
};

/// Row-major `rows × cols` view.
pub(crate) fn view(data: &[f64], rows: usize, cols: usize) -> MatRef<'_, f64> {
    MatRef::from_row_major_slice(data, rows, cols)
}

/// Row-major `rows × cols` mutable view.
pub(crate) fn view_mut(data: &mut [f64], rows: usize, cols: usize) -> MatMut<'_, f64> {
    MatMut::from_row_major_slice_mut(data, rows, cols)
}

/// The terms of an inner product without their signs, in four partial sums so that it vectorises.
#[inline(always)]
pub(crate) fn dot_abs(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut sums = [0.0; 4];
    for (a, b) in a.iter().zip(b) {
        for k in 0..4 {
            sums[k] += (a[k] * b[k]).abs();
        }
    }
    let tail: f64 = a_tail.iter().zip(b_tail).map(|(a, b)| (a * b).abs()).sum();
    sums.iter().sum::<f64>() + tail
}

/// The power of two nearest to a size, its square a number; of zero, and of what is no number, one.
pub(crate) fn power_of_two(size: f64) -> f64 {
    if size > 0.0 && size.is_finite() {
        size.log2().round().clamp(-200.0, 200.0).exp2()
    } else {
        1.0
    }
}

/// The middle one of the values, which it reorders; the upper one of two.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    Some(*values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

/// The 2-norm of finite numbers, whose squares may over- and underflow.
pub(crate) fn norm(values: &[f64]) -> f64 {
    let top = max_abs(values);
    if top == 0.0 {
        return 0.0;
    }
    top * values.iter().map(|v| (v / top).powi(2)).sum::<f64>().sqrt()
}

/// Makes `values` so many zeros, in the memory that it has.
#[inline(always)]
pub(crate) fn zeros(values: &mut Vec<f64>, len: usize) {
    values.clear();
    values.resize(len, 0.0);
}

/// Makes `to` a copy, in the memory that it has.
#[inline(always)]
pub(crate) fn copy(from: &[f64], to: &mut Vec<f64>) {
    to.clear();
    to.extend_from_slice(from);
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
}
