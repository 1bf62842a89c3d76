//! How large the inverse of a factored matrix is. The diagonal of a triangle does not say it: with ones there and −0.9
//! above, the inverse of thirty rows has entries of 1e8 (Higham, *Accuracy and Stability of Numerical Algorithms*, §8.3).
//!
//! With a triangle at hand a right-hand side of ones is given the signs that let the first of two triangular solves grow
//! (Cline, Moler, Stewart and Wilkinson 1979, the start of LINPACK's estimate, without its look ahead); where that finds
//! much, and where there is nothing but solves, Higham's method goes from column to column of the inverse. What is found
//! is a lower bound.

use crate::{axpy, dot, max_abs, solve_transposed, solve_upper};

/// Unknowns from which on the solves of an estimate count beside the factor.
const MANY: usize = 1000;

/// Share of its limit from which on an estimate is improved: below it the condition is not that far off.
const DOUBTFUL: f64 = 1e-3;

/// An estimate from below of ‖H⁻¹‖₁ for a symmetric H, from solves alone (Higham, algorithm 15.1), one solve at a time,
/// so that each can be made together with another. Infinite where the inverse leaves the numbers.
#[derive(Debug)]
pub struct InverseNorm<X> {
    /// What is to be solved with, and then the solution.
    x: X,
    estimate: f64,
    last: usize,
    rounds: usize,
    next: Next,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    /// Its answer is a column, or a mean of columns, of the inverse.
    Column,
    /// Its answer says which column may be larger.
    Signs,
    Done,
}

impl<X: AsMut<[f64]>> InverseNorm<X> {
    /// `x`, of the size of H, is what it computes in.
    pub fn new(mut x: X) -> Self {
        let n = x.as_mut().len();
        x.as_mut().fill(1.0 / n as f64);
        Self {
            x,
            estimate: 0.0,
            last: usize::MAX,
            // A round is two solves; later ones seldom double the estimate.
            rounds: if n > MANY { 2 } else { 4 },
            next: Next::Column,
        }
    }

    /// The right-hand side to be replaced by its solution, and then [`answered`](Self::answered); `None` when no more is
    /// needed.
    pub fn asked(&mut self) -> Option<&mut [f64]> {
        (self.next != Next::Done).then(|| self.x.as_mut())
    }

    /// Takes the answer.
    pub fn answered(&mut self) {
        let x = self.x.as_mut();
        match self.next {
            Next::Done => {}
            Next::Column => {
                let sum: f64 = x.iter().map(|v| v.abs()).sum();
                self.rounds -= 1;
                self.next = Next::Done;
                if !sum.is_finite() {
                    self.estimate = f64::INFINITY;
                } else if sum > self.estimate {
                    self.estimate = sum;
                    if self.rounds > 0 {
                        x.iter_mut()
                            .for_each(|v| *v = if *v < 0.0 { -1.0 } else { 1.0 });
                        self.next = Next::Signs;
                    }
                }
            }
            Next::Signs => {
                let mut largest = 0;
                for (i, v) in x.iter().enumerate() {
                    if v.abs() > x[largest].abs() {
                        largest = i;
                    }
                }
                if largest == self.last {
                    self.next = Next::Done;
                    return;
                }
                self.last = largest;
                x.fill(0.0);
                x[largest] = 1.0;
                self.next = Next::Column;
            }
        }
    }

    /// What it has come to.
    pub fn estimate(&self) -> f64 {
        self.estimate
    }

    /// The whole of it, by `solve`.
    #[inline(always)]
    pub fn by(mut self, mut solve: impl FnMut(&mut [f64])) -> f64 {
        while let Some(x) = self.asked() {
            solve(x);
            self.answered();
        }
        self.estimate
    }
}

/// A lower bound of `‖(UᵀU)⁻¹‖_∞`, seldom below a tenth of it, for a row-major upper triangle U with the inverses of its
/// diagonal. From a thousandth of `limit` on, what the caller compares it with, it is improved, and seldom below a half.
/// NaN or infinite where the inverse leaves the numbers. `x`, of the size of U, is what it computes in.
///
/// # Cost
/// `n²` multiplications, up to eight times as many where it is improved.
#[inline(always)]
pub fn inverse_norm(
    upper: &[f64],
    inverse: impl Fn(usize) -> f64 + Copy,
    x: &mut [f64],
    limit: f64,
) -> f64 {
    let n = x.len();
    x.fill(0.0);
    for i in 0..n {
        let (head, tail) = x.split_at_mut(i + 1);
        head[i] = away_from_zero(head[i], 1.0) * inverse(i);
        axpy(-head[i], &upper[i * n + i + 1..(i + 1) * n], tail);
    }
    solve_upper(upper, inverse, x);
    improved(x, limit, |x| {
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
    limit: f64,
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
    improved(x, limit, |x| {
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
fn improved(x: &mut [f64], limit: f64, solve: impl Fn(&mut [f64])) -> f64 {
    let found = max_abs(x);
    if !found.is_finite() || found < DOUBTFUL * limit {
        return found;
    }
    found.max(InverseNorm::new(x).by(solve))
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

    /// Of the inverse of FᵀF, at once and improved.
    fn check(factor: &Mat<f64>, what: &str, mut found: impl FnMut(f64) -> f64) {
        let expected = exact(factor);
        for (limit, share) in [(f64::INFINITY, 0.1), (0.0, 0.5)] {
            let found = found(limit);
            let within = share * expected..=expected * (1.0 + 1e-6);
            assert!(within.contains(&found), "{what}: {found}, {expected}");
        }
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
                let what = format!("{kind}, {n}");
                let mut x = vec![f64::NAN; n];
                let inverse = |i: usize| 1.0 / upper[i * (n + 1)];
                check(&factor, &what, |limit| {
                    inverse_norm(&upper, inverse, &mut x, limit)
                });
                // By rows of any length: those of the transpose.
                let scale = |i: usize| 10f64.powi(i as i32 % 7 - 3);
                let rows: Vec<Vec<f64>> = (0..n)
                    .map(|i| (0..=i).map(|j| scale(i) * factor[(j, i)]).collect())
                    .collect();
                let unit = Mat::from_fn(n, n, |i, j| factor[(i, j)] / factor.col(j).norm_l2());
                check(&unit, &what, |limit| {
                    inverse_norm_of_rows(|i| &rows[i], &mut x, limit)
                });
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
