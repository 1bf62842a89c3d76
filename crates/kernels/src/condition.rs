//! How large the inverse of a factored matrix is. The diagonal of a triangle does not say it: with ones there and −0.9
//! above, the inverse of thirty rows has entries of 1e8 (Higham, *Accuracy and Stability of Numerical Algorithms*, §8.3).
//!
//! A right-hand side of ones is given the signs that let the first of two triangular solves grow (Cline, Moler, Stewart
//! and Wilkinson 1979, the start of LINPACK's estimate, without its look ahead); where that finds much, the power method
//! goes on from there. What is found is a lower bound.

use crate::{axpy, dot, max_abs, solve_transposed, solve_upper};

/// Steps of the power method. Where one direction stands out, each takes off what the last left of the others, and where
/// none does little was missing.
const POWERS: usize = 3;

/// A lower bound of `‖(UᵀU)⁻¹‖_∞`, seldom below a tenth of it, for a row-major upper triangle U with the inverses of its
/// diagonal; from `doubtful` on seldom below a half. NaN or infinite where the inverse leaves the numbers. `x`, of the
/// size of U, is what it computes in.
///
/// # Cost
/// `n²` multiplications, from `doubtful` on four times as many.
#[inline(always)]
pub fn inverse_norm(
    upper: &[f64],
    inverse: impl Fn(usize) -> f64 + Copy,
    x: &mut [f64],
    doubtful: f64,
) -> f64 {
    let n = x.len();
    x.fill(0.0);
    for i in 0..n {
        let (head, tail) = x.split_at_mut(i + 1);
        head[i] = away_from_zero(head[i], 1.0) * inverse(i);
        axpy(-head[i], &upper[i * n + i + 1..(i + 1) * n], tail);
    }
    solve_upper(upper, inverse, x);
    by_powers(x, doubtful, |x| {
        solve_transposed(upper, inverse, x);
        solve_upper(upper, inverse, x);
    })
}

/// As [`inverse_norm`], of `(SSᵀ)⁻¹` for a lower triangle by its rows up to the diagonal, S being those rows at length
/// one.
#[inline(always)]
pub fn inverse_norm_of_rows<'a>(
    row: impl Fn(usize) -> &'a [f64] + Copy,
    x: &mut [f64],
    doubtful: f64,
) -> f64 {
    let length = |i: usize| dot(row(i), row(i)).sqrt();
    let back = |x: &mut [f64]| {
        for i in (0..x.len()).rev() {
            let value = x[i] / row(i)[i];
            axpy(-value, &row(i)[..i], &mut x[..i]);
            x[i] = value * length(i);
        }
    };
    for i in 0..x.len() {
        let before = -dot(&row(i)[..i], &x[..i]);
        x[i] = away_from_zero(before, length(i)) / row(i)[i];
    }
    back(x);
    by_powers(x, doubtful, |x| {
        for i in 0..x.len() {
            x[i] = (x[i] * length(i) - dot(&row(i)[..i], &x[..i])) / row(i)[i];
        }
        back(x);
    })
}

#[inline(always)]
fn away_from_zero(value: f64, by: f64) -> f64 {
    value + by.copysign(value)
}

/// `x` is the inverse times a vector with entries up to 1.
#[inline(always)]
fn by_powers(x: &mut [f64], doubtful: f64, solve: impl Fn(&mut [f64])) -> f64 {
    let mut largest = max_abs(x);
    if !largest.is_finite() || largest < doubtful {
        return largest;
    }
    for _ in 0..POWERS {
        let size = max_abs(x);
        x.iter_mut().for_each(|v| *v /= size);
        solve(x);
        let found = max_abs(x);
        if !found.is_finite() {
            return found;
        }
        largest = largest.max(found);
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;
    use faer::{Mat, linalg::solvers::DenseSolveCore};

    /// `(below, diagonal)` of a unit upper triangle.
    fn triangle(n: usize, above: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        let entry = |i: usize, j: usize| match i.cmp(&j) {
            std::cmp::Ordering::Less => above(i, j),
            std::cmp::Ordering::Equal => 1.0 + 0.1 * (i % 3) as f64,
            // Not read.
            std::cmp::Ordering::Greater => f64::NAN,
        };
        (0..n * n).map(|at| entry(at / n, at % n)).collect()
    }

    fn row_sums(matrix: &Mat<f64>) -> f64 {
        let sum = |i: usize| matrix.row(i).iter().map(|v| v.abs()).sum::<f64>();
        (0..matrix.nrows()).map(sum).fold(0.0, f64::max)
    }

    fn exact(factor: &Mat<f64>) -> f64 {
        row_sums(&(factor.transpose() * factor).partial_piv_lu().inverse())
    }

    #[test]
    fn bounds_are_close_from_below() {
        let random = |i: usize, j: usize| ((i * 31 + j * 17).pow(2) as f64 * 0.37).sin();
        let kinds: [&dyn Fn(usize, usize) -> f64; 5] = [
            &|_, _| 0.0,
            &|_, _| -0.9,
            &|_, _| 0.9,
            &|i, j| random(i, j),
            &|i, j| 0.2 * random(i, j),
        ];
        for n in [1, 2, 5, 13] {
            for (kind, above) in kinds.iter().enumerate() {
                let upper = triangle(n, above);
                let factor = Mat::from_fn(n, n, |i, j| if i <= j { upper[i * n + j] } else { 0.0 });
                let mut x = vec![f64::NAN; n];
                for (doubtful, share) in [(f64::INFINITY, 0.1), (0.0, 0.5)] {
                    let inverse = |i: usize| 1.0 / upper[i * (n + 1)];
                    let found = inverse_norm(&upper, inverse, &mut x, doubtful);
                    let expected = exact(&factor);
                    assert!(
                        found <= expected * (1.0 + 1e-6),
                        "{kind}, {n}: {found}, {expected}"
                    );
                    assert!(
                        found >= share * expected,
                        "{kind}, {n}: {found}, {expected}"
                    );
                }
                // By rows of any length: those of the transpose.
                let scale = |i: usize| 10f64.powi(i as i32 % 7 - 3);
                let rows: Vec<Vec<f64>> = (0..n)
                    .map(|i| (0..=i).map(|j| scale(i) * factor[(j, i)]).collect())
                    .collect();
                let unit = Mat::from_fn(n, n, |i, j| factor[(i, j)] / factor.col(j).norm_l2());
                for (doubtful, share) in [(f64::INFINITY, 0.1), (0.0, 0.5)] {
                    let found = inverse_norm_of_rows(|i| &rows[i], &mut x, doubtful);
                    let expected = exact(&unit);
                    assert!(
                        found <= expected * (1.0 + 1e-6),
                        "{kind}, {n}: {found}, {expected}"
                    );
                    assert!(
                        found >= share * expected,
                        "{kind}, {n}: {found}, {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn tiny_and_singular_triangles_are_told_apart() {
        let (tiny, singular) = ([1e-150, 0.0, 0.0, 1e-150], [1.0, 0.5, 0.0, 0.0]);
        let norm =
            |upper: &[f64; 4]| inverse_norm(upper, |i| 1.0 / upper[3 * i], &mut [0.0; 2], 1e6);
        assert!((norm(&tiny) / 1e300 - 1.0).abs() < 1e-12);
        assert!(!norm(&singular).is_finite());
    }
}
