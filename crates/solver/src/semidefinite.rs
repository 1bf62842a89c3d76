//! Whether matrices are symmetric and positive semidefinite, up to rounding.

use faer::Side;
use feasible_kernels::Cholesky;

use crate::dense::{max_abs, view};

/// A matrix counts as semidefinite when its smallest eigenvalue is above minus this times its largest
/// absolute entry, and as symmetric when mirrored entries agree to the same measure: both are far
/// above the rounding of forming `MᵀM` in double precision and far below a modelling mistake.
/// Coarser data gets `n` times its rounding, by which the eigenvalues of `MᵀM` can be off.
const TOLERANCE: f64 = 1e-10;

/// What keeps a matrix from being symmetric and positive semidefinite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NotSemidefinite {
    /// An entry that differs from its mirror image.
    Asymmetric {
        /// The entry's row.
        row: usize,
        /// The entry's column, before the row.
        column: usize,
        /// By how much.
        difference: f64,
    },
    /// An eigenvalue below zero.
    Negative {
        /// The least; NaN for a matrix that is not finite.
        eigenvalue: f64,
    },
}

/// Whether the row-major `matrix`, `[n, n]`, is symmetric and positive semidefinite as far as its numbers, which
/// carry this relative `rounding`, tell: the measure by which all problems' matrices are accepted.
///
/// # Errors
/// What it is not, symmetry first.
///
/// # Panics
/// If there are not n² numbers.
pub fn check_semidefinite(matrix: &[f64], n: usize, rounding: f64) -> Result<(), NotSemidefinite> {
    Semidefinite::new(n).check(matrix, rounding)
}

/// Checks matrices of one size, one after the other.
pub(crate) struct Semidefinite {
    n: usize,
    cholesky: Cholesky,
}

impl Semidefinite {
    pub(crate) fn new(n: usize) -> Semidefinite {
        Semidefinite {
            n,
            cholesky: Cholesky::new(n),
        }
    }

    /// As [`check_semidefinite`].
    pub(crate) fn check(&mut self, matrix: &[f64], rounding: f64) -> Result<(), NotSemidefinite> {
        check_symmetric(matrix, self.n, rounding)?;
        self.check_eigenvalues(matrix, rounding)
    }

    /// The rest of it, for a matrix that is known to be symmetric.
    pub(crate) fn check_eigenvalues(
        &mut self,
        matrix: &[f64],
        rounding: f64,
    ) -> Result<(), NotSemidefinite> {
        let allowed = tolerance(self.n, rounding) * max_abs(matrix);
        if !allowed.is_finite() {
            let eigenvalue = f64::NAN;
            return Err(NotSemidefinite::Negative { eigenvalue });
        }
        let eigenvalue = self.lowest_eigenvalue(matrix, allowed);
        if eigenvalue < -allowed {
            return Err(NotSemidefinite::Negative { eigenvalue });
        }
        Ok(())
    }

    /// A lower estimate that is exact when it matters: 0 when a Cholesky factorisation of the
    /// slightly shifted matrix succeeds, the smallest eigenvalue otherwise.
    fn lowest_eigenvalue(&mut self, matrix: &[f64], shift: f64) -> f64 {
        if shift == 0.0 || self.cholesky.factor(matrix, |_, _| shift) {
            return 0.0;
        }
        // A failing eigenvalue iteration has never been seen on finite symmetric data; treating it as
        // convex leaves the decision to the solver's own factorisations.
        view(matrix, self.n, self.n)
            .self_adjoint_eigenvalues(Side::Lower)
            .map_or(0.0, |values| {
                values.iter().copied().fold(f64::INFINITY, f64::min)
            })
    }
}

/// The same for the matrix with this diagonal and nothing else.
///
/// # Errors
/// [`NotSemidefinite::Negative`].
pub fn check_semidefinite_diagonal(diagonal: &[f64], rounding: f64) -> Result<(), NotSemidefinite> {
    let allowed = tolerance(diagonal.len(), rounding) * max_abs(diagonal);
    let eigenvalue = diagonal.iter().copied().fold(f64::INFINITY, f64::min);
    match eigenvalue < -allowed {
        true => Err(NotSemidefinite::Negative { eigenvalue }),
        false => Ok(()),
    }
}

/// Whether it is symmetric, by the measure of [`check_semidefinite`].
///
/// # Errors
/// [`NotSemidefinite::Asymmetric`].
///
/// # Panics
/// If there are not n² numbers.
pub fn check_symmetric(matrix: &[f64], n: usize, rounding: f64) -> Result<(), NotSemidefinite> {
    assert_eq!(matrix.len(), n * n, "a matrix of n rows and columns");
    if is_mirrored(matrix, n) {
        return Ok(());
    }
    // Beside an infinity nothing is small.
    let largest = max_abs(matrix);
    let allowed = match largest.is_finite() {
        true => tolerance(n, rounding) * largest,
        false => 0.0,
    };
    for row in 0..n {
        for column in 0..row {
            let (a, b) = (matrix[row * n + column], matrix[column * n + row]);
            let difference = (a - b).abs();
            if a != b && !(difference <= allowed) {
                return Err(NotSemidefinite::Asymmetric {
                    row,
                    column,
                    difference,
                });
            }
        }
    }
    Ok(())
}

/// Whether entries are their mirror images, in tiles: columns of a large matrix are slow to walk down.
fn is_mirrored(matrix: &[f64], n: usize) -> bool {
    const TILE: usize = 8;
    let tile = |from: usize| from..(from + TILE).min(n);
    let starts = || (0..n).step_by(TILE);
    starts().all(|above| {
        starts().take_while(|left| *left <= above).all(|left| {
            tile(above).all(|row| {
                tile(left).all(|column| matrix[row * n + column] == matrix[column * n + row])
            })
        })
    })
}

/// How far below zero, relative to the largest entry, an eigenvalue of a matrix of this size may be
/// by rounding.
pub(crate) fn tolerance(n: usize, rounding: f64) -> f64 {
    TOLERANCE.max(n as f64 * rounding)
}

/// The smallest eigenvalue of a symmetric matrix given by its upper triangle, if it is below
/// `-allowed`.
pub(crate) fn lowest_of_upper<'v>(
    n: usize,
    entries: impl Iterator<Item = ((usize, usize), &'v f64)>,
    allowed: f64,
) -> Option<f64> {
    let mut dense = vec![0.0; n * n];
    for ((row, column), v) in entries {
        dense[row * n + column] = *v;
        dense[column * n + row] = *v;
    }
    let lowest = Semidefinite::new(n).lowest_eigenvalue(&dense, allowed);
    (lowest < -allowed).then_some(lowest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_compared_with_its_mirror_image() {
        for n in [1, 2, 7, 8, 9, 16, 19] {
            let matrix: Vec<f64> = (0..n * n).map(|at| (at / n * (at % n)) as f64).collect();
            assert!(is_mirrored(&matrix, n));
            for (row, column) in (0..n).flat_map(|row| (0..n).map(move |column| (row, column))) {
                let mut other = matrix.clone();
                other[row * n + column] += 1.0;
                assert_eq!(
                    is_mirrored(&other, n),
                    row == column,
                    "{n}: {row}, {column}"
                );
            }
        }
    }
}
