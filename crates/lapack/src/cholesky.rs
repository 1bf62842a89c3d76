//! Cholesky factorisation in a lower triangle; the other one is never touched.

use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::triangular_solve::{
    solve_lower_triangular_in_place, solve_upper_triangular_in_place,
};
use faer::{Accum, MatMut, MatRef, Par};

use crate::real::Real;

/// Rows below which splitting in two costs more than it saves.
const SMALL: usize = 16;

/// Overwrites the lower triangle of `A` by `L`, `A = LLᵀ`. By halves, so that most of the work is
/// products (Gustavson 1997). `Err` is the order of the first leading minor that is not positive.
pub(crate) fn factor<T: Real>(a: MatMut<'_, T>) -> Result<(), usize> {
    let n = a.nrows();
    if n <= SMALL {
        return small(a);
    }
    let half = n / 2;
    let (mut first, _, mut below, mut last) = a.split_at_mut(half, half);
    factor(first.as_mut())?;
    solve_lower_triangular_in_place(first.as_ref(), below.as_mut().transpose_mut(), Par::Seq);
    triangular::matmul(
        last.as_mut(),
        BlockStructure::TriangularLower,
        Accum::Add,
        below.as_ref(),
        BlockStructure::Rectangular,
        below.as_ref().transpose(),
        BlockStructure::Rectangular,
        -T::ONE,
        Par::Seq,
    );
    factor(last).map_err(|order| half + order)
}

fn small<T: Real>(mut a: MatMut<'_, T>) -> Result<(), usize> {
    let n = a.nrows();
    for j in 0..n {
        for k in 0..j {
            let factor = a[(j, k)];
            for i in j..n {
                let product = factor * a[(i, k)];
                a[(i, j)] -= product;
            }
        }
        let pivot = a[(j, j)];
        // A NaN is not positive either.
        if !(pivot > T::ZERO && pivot.finite()) {
            return Err(j + 1);
        }
        let root = pivot.root();
        a[(j, j)] = root;
        for i in j + 1..n {
            a[(i, j)] /= root;
        }
    }
    Ok(())
}

/// `B ← A⁻¹B` with the factor `L`.
pub(crate) fn solve<T: Real>(lower: MatRef<'_, T>, mut b: MatMut<'_, T>) {
    solve_lower_triangular_in_place(lower, b.as_mut(), Par::Seq);
    solve_upper_triangular_in_place(lower.transpose(), b, Par::Seq);
}
