//! What the interior point computes from `P`, `A`, `G`, `H` alone.

use faer::Mat;

use crate::dense::{dot, max_abs, multiply, norm, view, view_mut};
use crate::interior_point::variables::Variables;
use crate::nullspace::Nullspace;
use crate::problem::{Matrix, Sample};

/// A normalised row whose part in the null space of `A` is below this is fixed by the equalities.
const FIXED: f64 = 1e-10;

/// Scaled rows and the elimination of the equalities. One serves every sample whose matrices are
/// the same.
pub(crate) struct Prepared {
    /// The equalities' split; `None` without equalities, when `z = x`.
    pub(crate) split: Option<Elimination>,
    /// Free directions: `n` minus the rank of `A`.
    pub(crate) free: usize,
    /// `1/‖g_i‖`; 0 for rows of zeros.
    pub(crate) row_scale: Vec<f64>,
    /// Rows of `G` scaled to norm 1, `[m, n]`.
    pub(crate) rows: Vec<f64>,
    /// The same in `z`, `[m, free]`; empty without equalities.
    pub(crate) reduced_rows: Vec<f64>,
    /// Whether the equalities leave the row anything to move along.
    pub(crate) movable: Vec<bool>,
    /// `1/max(|H_i|, |g_i|)`; 0 for constant rows.
    pub(crate) quadratic_scale: Vec<f64>,
    /// Largest absolute entry of `P`.
    pub(crate) p_size: f64,
    /// Scaled copies of the matrices, when the variables needed scaling. Everything above is about
    /// the scaled ones.
    pub(crate) variables: Option<Variables>,
}

/// `x = particular·b + null·z`.
pub(crate) struct Elimination {
    pub(crate) nullspace: Nullspace,
    /// Right inverse of the kept rows, `[n, rank]`.
    pub(crate) particular: Mat<f64>,
    /// Null-space basis, `[n, free]` row-major.
    pub(crate) null: Vec<f64>,
}

impl Prepared {
    /// Scales and factors. Costs `O(n p²)` plus `O(m n (n−p))` with equalities.
    pub(crate) fn new(sample: &Sample<'_>) -> Prepared {
        let variables = Variables::of(sample);
        let scaled = variables
            .as_ref()
            .map(|variables| variables.sample(sample, sample.q));
        let mut prepared = Prepared::of_scaled(scaled.as_ref().unwrap_or(sample));
        prepared.variables = variables;
        prepared
    }

    fn of_scaled(sample: &Sample<'_>) -> Prepared {
        let n = sample.n;
        let (p, m, k) = (sample.a.len() / n, sample.g.len() / n, sample.hg.len() / n);
        let row_scale: Vec<f64> = sample
            .g
            .chunks_exact(n)
            .map(|row| {
                let norm = norm(row);
                if norm > 0.0 {
                    (1.0 / norm).min(f64::MAX)
                } else {
                    0.0
                }
            })
            .collect();
        let mut rows = sample.g.to_vec();
        for (row, scale) in rows.chunks_exact_mut(n).zip(&row_scale) {
            row.iter_mut().for_each(|v| *v *= scale);
        }
        let mut free = n;
        let mut reduced_rows = Vec::new();
        let mut movable: Vec<bool> = row_scale.iter().map(|scale| *scale > 0.0).collect();
        let split = (p > 0).then(|| {
            let nullspace = Nullspace::new(sample.a, p, n);
            free = nullspace.null.ncols();
            let mut null = Vec::with_capacity(n * free);
            for i in 0..n {
                null.extend((0..free).map(|j| nullspace.null[(i, j)]));
            }
            reduced_rows = vec![0.0; m * free];
            multiply(
                view_mut(&mut reduced_rows, m, free),
                1.0,
                view(&rows, m, n),
                view(&null, n, free),
            );
            for i in 0..m {
                let row = &reduced_rows[i * free..(i + 1) * free];
                movable[i] &= dot(row, row).sqrt() > FIXED;
            }
            Elimination {
                particular: nullspace.particular(),
                nullspace,
                null,
            }
        });
        let quadratic_scale = (0..k)
            .map(|i| {
                let linear = max_abs(&sample.hg[i * n..(i + 1) * n]);
                let size = sample.h.row(i, n).max_abs().max(linear);
                if size > 0.0 { 1.0 / size } else { 0.0 }
            })
            .collect();
        Prepared {
            split,
            free,
            row_scale,
            rows,
            reduced_rows,
            movable,
            quadratic_scale,
            p_size: sample.p.max_abs(),
            variables: None,
        }
    }

    /// Whether the Newton matrix is a positive diagonal plus few rows, so that the small system of
    /// the rows is the one to factor.
    pub(crate) fn diagonal_plus_rows(&self, sample: &Sample<'_>) -> bool {
        let Matrix::Diagonal(p) = sample.p else {
            return false;
        };
        let diagonal_h = matches!(sample.h, Matrix::Diagonal(_));
        let count = self.row_scale.len() + self.quadratic_scale.len();
        // Below this spread the small system loses at most half the digits, which the polish
        // restores.
        let well_scaled = p.iter().all(|v| *v > 1e-6 * self.p_size);
        self.split.is_none() && diagonal_h && well_scaled && count <= sample.n
    }
}
