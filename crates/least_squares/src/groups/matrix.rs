//! Small dense matrices, `[row][column]`.

use crate::scalar::Real;

/// A matrix of `R` rows and `C` columns.
pub type Matrix<S, const R: usize, const C: usize> = [[S; C]; R];

#[inline(always)]
pub(super) fn zeros<S: Real, const R: usize, const C: usize>() -> Matrix<S, R, C> {
    [[S::constant(0.0); C]; R]
}

#[inline(always)]
pub(super) fn diagonal<S: Real, const N: usize>(value: S) -> Matrix<S, N, N> {
    let mut matrix = zeros();
    for i in 0..N {
        matrix[i][i] = value;
    }
    matrix
}

#[inline(always)]
pub(crate) fn product<S: Real, const R: usize, const K: usize, const C: usize>(
    a: &Matrix<S, R, K>,
    b: &Matrix<S, K, C>,
) -> Matrix<S, R, C> {
    let mut out = zeros();
    for i in 0..R {
        for k in 0..K {
            for j in 0..C {
                out[i][j] += a[i][k] * b[k][j];
            }
        }
    }
    out
}

#[inline(always)]
pub(super) fn apply<S: Real, const R: usize, const C: usize>(
    a: &Matrix<S, R, C>,
    x: &[S; C],
) -> [S; R] {
    a.map(|row| dot(&row, x))
}

#[inline(always)]
pub(super) fn negated<S: Real, const R: usize, const C: usize>(
    a: Matrix<S, R, C>,
) -> Matrix<S, R, C> {
    a.map(|row| row.map(|v| -v))
}

#[inline(always)]
pub(super) fn add_to<S: Real, const R: usize, const C: usize>(
    a: &mut Matrix<S, R, C>,
    scale: S,
    b: &Matrix<S, R, C>,
) {
    for i in 0..R {
        for j in 0..C {
            a[i][j] += scale * b[i][j];
        }
    }
}

/// Puts `block` at (`row`, `column`) of `a`.
#[inline(always)]
pub(super) fn set_block<
    S: Real,
    const R: usize,
    const C: usize,
    const BR: usize,
    const BC: usize,
>(
    a: &mut Matrix<S, R, C>,
    row: usize,
    column: usize,
    block: &Matrix<S, BR, BC>,
) {
    for i in 0..BR {
        a[row + i][column..column + BC].copy_from_slice(&block[i]);
    }
}

#[inline(always)]
pub(super) fn dot<S: Real, const N: usize>(a: &[S; N], b: &[S; N]) -> S {
    let mut sum = S::constant(0.0);
    for i in 0..N {
        sum += a[i] * b[i];
    }
    sum
}

#[inline(always)]
pub(super) fn sum<S: Real, const N: usize>(a: &[S; N], b: &[S; N]) -> [S; N] {
    std::array::from_fn(|i| a[i] + b[i])
}

#[inline(always)]
pub(super) fn scaled<S: Real, const N: usize>(a: &[S; N], scale: S) -> [S; N] {
    a.map(|v| v * scale)
}

#[inline(always)]
pub(super) fn cross<S: Real>(a: &[S; 3], b: &[S; 3]) -> [S; 3] {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

/// `[a]ₓ`, the matrix with `[a]ₓ b = a × b`.
#[inline(always)]
pub(super) fn skew<S: Real>(a: &[S; 3]) -> Matrix<S, 3, 3> {
    let zero = S::constant(0.0);
    [
        [zero, -a[2], a[1]],
        [a[2], zero, -a[0]],
        [-a[1], a[0], zero],
    ]
}

/// `a I + b [v]ₓ + c v vᵀ`.
#[inline(always)]
pub(super) fn axial<S: Real>(a: S, b: S, c: S, v: &[S; 3]) -> Matrix<S, 3, 3> {
    let mut matrix = diagonal(a);
    add_to(&mut matrix, b, &skew(v));
    for i in 0..3 {
        for j in 0..3 {
            matrix[i][j] += c * v[i] * v[j];
        }
    }
    matrix
}
