//! Products of matrices and vectors.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, MatMut, MatRef, Par};

use crate::real::Real;

/// The entries that a product writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    All,
    Lower,
}

/// `C ← βC`, and how a product is to be added. With `β = 0`, `C` may hold anything and is not read.
fn prepare<T: Real>(c: &mut MatMut<'_, T>, part: Part, beta: T) -> Accum {
    if beta == T::ZERO {
        return Accum::Replace;
    }
    if beta != T::ONE {
        for j in 0..c.ncols() {
            let first = if part == Part::All { 0 } else { j };
            for i in first..c.nrows() {
                c[(i, j)] *= beta;
            }
        }
    }
    Accum::Add
}

/// What is left when the product is not added.
fn without_product<T: Real>(mut c: MatMut<'_, T>, part: Part, accumulate: Accum) {
    if matches!(accumulate, Accum::Replace) {
        for j in 0..c.ncols() {
            let first = if part == Part::All { 0 } else { j };
            for i in first..c.nrows() {
                c[(i, j)] = T::ZERO;
            }
        }
    }
}

/// `C ← αAB + βC`.
pub(crate) fn general<T: Real>(
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    beta: T,
    mut c: MatMut<'_, T>,
) {
    let accumulate = prepare(&mut c, Part::All, beta);
    if alpha == T::ZERO || a.ncols() == 0 {
        return without_product(c, Part::All, accumulate);
    }
    matmul(c, accumulate, a, b, alpha, Par::Seq);
}

fn add_lower<T: Real>(
    c: MatMut<'_, T>,
    accumulate: Accum,
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
) {
    triangular::matmul(
        c,
        BlockStructure::TriangularLower,
        accumulate,
        a,
        BlockStructure::Rectangular,
        b,
        BlockStructure::Rectangular,
        alpha,
        Par::Seq,
    );
}

/// The lower triangle of `C ← αAAᵀ + βC`.
pub(crate) fn symmetric<T: Real>(alpha: T, a: MatRef<'_, T>, beta: T, mut c: MatMut<'_, T>) {
    let accumulate = prepare(&mut c, Part::Lower, beta);
    if alpha == T::ZERO || a.ncols() == 0 {
        return without_product(c, Part::Lower, accumulate);
    }
    add_lower(c, accumulate, alpha, a, a.transpose());
}

/// The lower triangle of `C ← α(ABᵀ + BAᵀ) + βC`.
pub(crate) fn symmetric_pair<T: Real>(
    alpha: T,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    beta: T,
    mut c: MatMut<'_, T>,
) {
    let accumulate = prepare(&mut c, Part::Lower, beta);
    if alpha == T::ZERO || a.ncols() == 0 {
        return without_product(c, Part::Lower, accumulate);
    }
    add_lower(c.as_mut(), accumulate, alpha, a, b.transpose());
    add_lower(c, Accum::Add, alpha, b, a.transpose());
}

/// `y ← αAx + βy` with `A` symmetric, its lower triangle given; `x` and `y` are columns.
pub(crate) fn symmetric_vector<T: Real>(
    alpha: T,
    lower: MatRef<'_, T>,
    x: MatRef<'_, T>,
    beta: T,
    mut y: MatMut<'_, T>,
) {
    let accumulate = prepare(&mut y, Part::All, beta);
    without_product(y.as_mut(), Part::All, accumulate);
    if alpha == T::ZERO {
        return;
    }
    for j in 0..lower.ncols() {
        let scaled = alpha * x[(j, 0)];
        let mut across = T::ZERO;
        y[(j, 0)] += scaled * lower[(j, j)];
        for i in j + 1..lower.nrows() {
            y[(i, 0)] += scaled * lower[(i, j)];
            across += lower[(i, j)] * x[(i, 0)];
        }
        y[(j, 0)] += alpha * across;
    }
}
