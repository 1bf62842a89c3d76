//! Splits `Rⁿ` into the row space of `A` and its null space, dropping redundant rows.
//!
//! Rows are normalised first, so the rank decision does not depend on how they were scaled.
//! Full-rank matrices take a plain Householder QR of `Aᵀ`; only when the diagonal or the inverse of
//! that triangle says that rows are close is the column-pivoted QR computed (Golub & Van Loan, *Matrix Computations*, §5.4).

use faer::{Mat, MatRef};
use feasible_kernels::inverse_norm;

use crate::dense::{norm, vectorised, view};

/// A normalised row whose part outside the span of the others is below this counts as redundant.
/// Rounding of the factorisation itself is about `n · 1e-16`.
pub(crate) const RANK_TOLERANCE: f64 = 1e-10;

/// Range and null space of a row-major `A: [p, n]`.
#[derive(Clone, Debug)]
pub(crate) struct Nullspace {
    /// Orthonormal basis of the row space, `[n, rank]`.
    pub(crate) range: Mat<f64>,
    /// Orthonormal basis of the null space, `[n, n − rank]`.
    pub(crate) null: Mat<f64>,
    /// Upper triangle with `Ãᵀ = range · upper`, `Ã` the kept normalised rows: `[rank, rank]`.
    upper: Mat<f64>,
    /// Rows kept, in the order of `upper`'s columns.
    pub(crate) kept: Vec<usize>,
    /// Rows that are combinations of the kept ones.
    pub(crate) dropped: Vec<usize>,
    /// Those combinations on normalised rows, `[dropped, rank]`.
    combination: Mat<f64>,
    /// 2-norms of all rows (1 for a zero row, so that dividing by it is harmless).
    norms: Vec<f64>,
}

impl Nullspace {
    /// Factors `a`, which holds `p` rows of length `n`.
    pub(crate) fn new(a: &[f64], p: usize, n: usize) -> Nullspace {
        Nullspace::with_tolerance(a, p, n, RANK_TOLERANCE)
    }

    /// The same with another limit than [`RANK_TOLERANCE`].
    pub(crate) fn with_tolerance(a: &[f64], p: usize, n: usize, tolerance: f64) -> Nullspace {
        let norms: Vec<f64> = a
            .chunks_exact(n)
            .map(|row| match norm(row) {
                0.0 => 1.0,
                norm => norm,
            })
            .collect();
        // Rows of zeros are redundant whatever the others are; leaving them out also keeps the
        // factorisations below away from zero Householder vectors.
        let (zero, rest): (Vec<usize>, Vec<usize>) =
            (0..p).partition(|&i| a[i * n..(i + 1) * n].iter().all(|v| *v == 0.0));
        if rest.is_empty() {
            return Nullspace {
                range: Mat::zeros(n, 0),
                null: Mat::identity(n, n),
                upper: Mat::zeros(0, 0),
                kept: Vec::new(),
                combination: Mat::zeros(zero.len(), 0),
                dropped: zero,
                norms,
            };
        }
        let source = view(a, p, n);
        let count = rest.len();
        let scaled = Mat::from_fn(n, count, |i, j| source[(rest[j], i)] / norms[rest[j]]);
        if count <= n {
            let qr = scaled.qr();
            let upper = qr.thin_R();
            let apart = tolerance.max(1e-4);
            if (0..count).all(|j| upper[(j, j)].abs() > apart)
                && inverse_norm_of(upper) * apart.powi(2) < 1.0
            {
                // A row's part outside the span of those before it is the diagonal entry, the square of that outside
                // the span of all others one over its entry in the diagonal of the inverse `(ÃÃᵀ)⁻¹`.
                return Nullspace::assemble(&qr.compute_Q(), upper, rest, &zero, norms, count);
            }
        }
        let qr = scaled.col_piv_qr();
        let upper = qr.thin_R();
        let rank = (0..count.min(n))
            .take_while(|&j| upper[(j, j)].abs() > tolerance)
            .count();
        let order = qr.P().arrays().0.iter().map(|&j| rest[j]).collect();
        Nullspace::assemble(&qr.compute_Q(), upper, order, &zero, norms, rank)
    }

    fn assemble(
        q: &Mat<f64>,
        upper: MatRef<'_, f64>,
        order: Vec<usize>,
        zero: &[usize],
        norms: Vec<f64>,
        rank: usize,
    ) -> Nullspace {
        let (n, p) = (q.nrows(), order.len());
        let square = upper.submatrix(0, 0, rank, rank).to_owned();
        let mut rest = upper.submatrix(0, rank, rank, p - rank).to_owned();
        if rank > 0 && p > rank {
            square.solve_upper_triangular_in_place(rest.as_mut());
        }
        Nullspace {
            range: q.subcols(0, rank).to_owned(),
            null: q.subcols(rank, n - rank).to_owned(),
            upper: square,
            kept: order[..rank].to_vec(),
            dropped: [&order[rank..], zero].concat(),
            combination: Mat::from_fn(p - rank + zero.len(), rank, |d, j| {
                if d < p - rank { rest[(j, d)] } else { 0.0 }
            }),
            norms,
        }
    }

    /// Number of independent rows.
    pub(crate) fn rank(&self) -> usize {
        self.kept.len()
    }

    /// `[n, rank]`: column `j` is the least-norm `x` with `A x = e_kept[j]` on the kept rows.
    pub(crate) fn particular(&self) -> Mat<f64> {
        let rank = self.rank();
        // x = range · upper⁻ᵀ · b̃, so the matrix is (upper⁻¹ · rangeᵀ)ᵀ with scaled columns.
        let mut t = self.range.transpose().to_owned();
        if rank > 0 {
            self.upper.solve_upper_triangular_in_place(t.as_mut());
        }
        Mat::from_fn(self.range.nrows(), rank, |i, j| {
            t[(j, i)] / self.norms[self.kept[j]]
        })
    }

    /// Orthonormal basis of the normalised rows' column space, `[p, rank]`: of the rank that this
    /// factorisation found. Another one, of the transpose, may decide otherwise.
    pub(crate) fn column_space(&self) -> Mat<f64> {
        let (rank, p) = (self.rank(), self.norms.len());
        let mut columns = Mat::zeros(p, rank);
        for (j, &row) in self.kept.iter().enumerate() {
            columns[(row, j)] = 1.0;
        }
        for (d, &row) in self.dropped.iter().enumerate() {
            for j in 0..rank {
                columns[(row, j)] = self.combination[(d, j)];
            }
        }
        columns.qr().compute_thin_Q()
    }

    /// Largest violation of the redundant rows when the kept ones hold, on normalised rows, and
    /// the size of the right-hand sides it has to be compared with.
    pub(crate) fn inconsistency(&self, b: &[f64]) -> (f64, f64) {
        let scaled = |row: usize| b[row] / self.norms[row];
        let mut worst = 0.0f64;
        let mut size = 0.0f64;
        for (d, &row) in self.dropped.iter().enumerate() {
            let mut value = scaled(row);
            size = size.max(value.abs());
            for (j, &kept) in self.kept.iter().enumerate() {
                let term = self.combination[(d, j)] * scaled(kept);
                value -= term;
                size = size.max(term.abs());
            }
            worst = worst.max(value.abs());
        }
        (worst, size)
    }

    /// Multipliers of the rows with `Aᵀν = 0` and `νᵀb < 0` when the redundant row that misses most
    /// does so by more than `tolerance`, as measured by [`Nullspace::inconsistency`].
    pub(crate) fn contradiction(&self, b: &[f64], tolerance: f64) -> Option<Vec<f64>> {
        let scaled = |row: usize| b[row] / self.norms[row];
        let (worst, size) = self.inconsistency(b);
        if worst <= tolerance * (1.0 + size) {
            return None;
        }
        let miss = |d: usize| {
            let kept = self.kept.iter().enumerate();
            let sum: f64 = kept
                .map(|(j, &row)| self.combination[(d, j)] * scaled(row))
                .sum();
            scaled(self.dropped[d]) - sum
        };
        let d = (0..self.dropped.len()).max_by(|&a, &b| miss(a).abs().total_cmp(&miss(b).abs()))?;
        let sign = -miss(d).signum();
        let mut nu = vec![0.0; b.len()];
        nu[self.dropped[d]] = sign / self.norms[self.dropped[d]];
        for (j, &row) in self.kept.iter().enumerate() {
            nu[row] = -sign * self.combination[(d, j)] / self.norms[row];
        }
        Some(nu)
    }

    /// Multipliers `ν` of the rows with `Aᵀν = row`, for a row in their span.
    pub(crate) fn combination_of(&self, row: &[f64]) -> Vec<f64> {
        let particular = self.particular();
        let mut nu = vec![0.0; self.norms.len()];
        for (j, &kept) in self.kept.iter().enumerate() {
            nu[kept] = particular
                .col(j)
                .iter()
                .zip(row)
                .map(|(v, row)| v * row)
                .sum();
        }
        nu
    }

    /// The condition of `ÃÃᵀ`, by the triangle's diagonal and by the estimate of the inverse.
    pub(crate) fn condition(&self) -> f64 {
        let spread = spread((0..self.rank()).map(|j| self.upper[(j, j)].abs()));
        spread.powi(2).max(inverse_norm_of(self.upper.as_ref()))
    }
}

/// A lower bound of `‖(UᵀU)⁻¹‖_∞` that is seldom below a half of it; infinite where it leaves the numbers.
pub(crate) fn inverse_norm_of(upper: MatRef<'_, f64>) -> f64 {
    let n = upper.nrows();
    let numbers: Vec<f64> = (0..n * n)
        .map(|at| {
            if at / n <= at % n {
                upper[(at / n, at % n)]
            } else {
                0.0
            }
        })
        .collect();
    let inverse = |i: usize| 1.0 / numbers[i * (n + 1)];
    let norm = vectorised(
        #[inline(always)]
        || inverse_norm(&numbers, inverse, &mut vec![0.0; n], 0.0),
    );
    if norm.is_nan() { f64::INFINITY } else { norm }
}

/// Largest over smallest of positive numbers; 1 for none.
pub(crate) fn spread(values: impl Iterator<Item = f64>) -> f64 {
    let (mut low, mut high) = (f64::INFINITY, 0.0f64);
    for v in values {
        low = low.min(v);
        high = high.max(v);
    }
    if high == 0.0 && low.is_infinite() {
        1.0
    } else {
        high / low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: &[f64], p: usize, n: usize, rank: usize) -> Nullspace {
        let split = Nullspace::new(a, p, n);
        assert_eq!(split.rank(), rank);
        assert_eq!(split.null.ncols(), n - rank);
        let product = view(a, p, n) * &split.null;
        // Orthogonality up to rounding of a Householder QR.
        assert!(product.norm_max() < 1e-13 * (1.0 + view(a, p, n).norm_max()));
        let identity = view(a, p, n) * split.particular();
        for (j, &row) in split.kept.iter().enumerate() {
            for l in 0..rank {
                let expected = if l == j { 1.0 } else { 0.0 };
                assert!((identity[(row, l)] - expected).abs() < 1e-9);
            }
        }
        split
    }

    #[test]
    fn full_rank_and_redundant_rows() {
        check(&[1.0, 1.0, 0.0, 0.0, 1.0, -1e6], 2, 3, 2);
        let a = [
            1.0, 1.0, 0.0, 2.0, 2.0, 0.0, 0.0, 1.0, -1.0, 1.0, 2.0, -1.0, 0.0, 0.0, 0.0,
        ];
        let split = check(&a, 5, 3, 2);
        assert_eq!(split.dropped.len(), 3);
        let consistent = [1.0, 2.0, 3.0, 4.0, 0.0];
        assert!(split.inconsistency(&consistent).0 < 1e-14);
        let contradictory = [1.0, 2.5, 3.0, 4.0, 0.0];
        assert!(split.inconsistency(&contradictory).0 > 0.1);
        assert_eq!(split.contradiction(&consistent, 1e-8), None);
        let nu = split.contradiction(&contradictory, 1e-8).unwrap();
        let combined = |j: usize| (0..5).map(|i| nu[i] * a[i * 3 + j]).sum::<f64>();
        assert!((0..3).all(|j| combined(j).abs() < 1e-14));
        assert!(
            nu.iter()
                .zip(contradictory)
                .map(|(nu, b)| nu * b)
                .sum::<f64>()
                < -0.1
        );
        let nu = split.combination_of(&[3.0, 4.0, -1.0]);
        let combined = |j: usize| (0..5).map(|i| nu[i] * a[i * 3 + j]).sum::<f64>();
        for (j, expected) in [3.0, 4.0, -1.0].into_iter().enumerate() {
            assert!((combined(j) - expected).abs() < 1e-14);
        }
    }

    #[test]
    fn no_rows_and_square() {
        let split = Nullspace::new(&[], 0, 3);
        assert_eq!((split.rank(), split.null.ncols()), (0, 3));
        check(&[2.0, 0.0, 1.0, 1.0], 2, 2, 2);
    }

    /// Exactly dependent rows in every arrangement that has made a QR divide by zero elsewhere.
    #[test]
    fn exactly_dependent_rows() {
        for n in 1..7 {
            for p in 1..9 {
                for rank in 0..=n.min(p) {
                    let mut a = vec![0.0; p * n];
                    for i in 0..p {
                        // Small integers keep the dependence exact.
                        for r in 0..rank {
                            let weight = ((i * 7 + r * 3) % 5) as f64 - 2.0;
                            let weight = if i == r {
                                1.0
                            } else if i < rank {
                                0.0
                            } else {
                                weight
                            };
                            for j in 0..n {
                                let entry = if j == r {
                                    3.0
                                } else {
                                    ((r + 2 * j) % 3) as f64
                                };
                                a[i * n + j] += weight * entry;
                            }
                        }
                    }
                    let split = Nullspace::new(&a, p, n);
                    assert!(split.rank() <= rank, "n {n} p {p} rank {rank}");
                    assert!(
                        (split.null.transpose() * &split.null
                            - Mat::<f64>::identity(n - split.rank(), n - split.rank()))
                        .norm_max()
                            < 1e-13
                    );
                    assert!((view(&a, p, n) * &split.null).norm_max() < 1e-12);
                    assert!(split.inconsistency(&vec![0.0; p]).0 == 0.0);
                }
            }
        }
    }

    #[test]
    fn tiny_rows_are_not_redundant() {
        check(&[1e-200, 0.0, 0.0, 1e200], 2, 2, 2);
    }
}
