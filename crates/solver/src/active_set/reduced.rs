//! Everything of a strictly convex QP that does not depend on `q`, `b`, `l`, `u`.
//!
//! With the equalities eliminated, the multipliers of the inequality rows solve a problem in
//! `K = G·R·Gᵀ` alone, `R` being the upper left block of the inverse of `[P Aᵀ; A 0]`
//! (Goldfarb & Idnani 1983, §3; Arnström, Bemporad & Axehill 2022, eq. 7). Rows are scaled so that
//! `K` has a unit diagonal: violations are then distances in the metric of the objective.

use faer::Mat;

use crate::active_set::least_distance::LeastDistance;
use crate::active_set::{least_distance, range};
use crate::dense::{add_multiply, dot, multiply, view, view_mut};
use crate::nullspace::{Nullspace, spread};
use crate::problem::{Matrix, Sample};

/// Cholesky pivots of the reduced Hessian may spread this far. Beyond it the multipliers' matrix
/// `K` would carry relative errors near `1e-16 · 1e9` and the interior point is the safer method.
const PIVOT_SPREAD: f64 = 1e9;

/// Factors shared by every sample with the same `P`, `A`, `G`.
#[derive(Clone, Debug)]
pub(crate) struct Reduced {
    /// Variables.
    pub(crate) n: usize,
    /// Equality rows.
    pub(crate) p: usize,
    /// Inequality rows.
    pub(crate) m: usize,
    /// How `(x, ν)` follow from the right-hand side and the multipliers.
    pub(crate) form: Form,
    /// `K` of the scaled rows, `[m, m]`, unit diagonal (0 where the row cannot move).
    pub(crate) k: Vec<f64>,
    /// Row scales: `λ = scale · λ̃`. 0 for rows whose value the equalities fix.
    pub(crate) scale: Vec<f64>,
    /// 2-norms of the rows of `G`.
    pub(crate) norms: Vec<f64>,
    /// The split that removed the equalities; `None` when their rows are independent and it was not
    /// needed.
    pub(crate) split: Option<Nullspace>,
    /// Squared diagonal spreads of the triangular factors used.
    pub(crate) condition: f64,
}

/// The solution operator of `[P Aᵀ; A 0] (x, ν) = (r − Gᵀλ, s)`.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// Matrices for products with many right-hand sides.
    Explicit {
        /// Inverse of `[P Aᵀ; A 0]`, `[(n+p), (n+p)]`, zero in the rows and columns of dropped
        /// equalities.
        inverse: Vec<f64>,
        /// `−∂(x, ν)/∂λ̃` with scaled multipliers, `[m, n+p]`.
        response: Vec<f64>,
    },
    /// Factors for a few.
    LeastDistance(LeastDistance),
}

impl Reduced {
    /// `(x, ν)` for right-hand sides without multipliers, `[count, n+p]` both.
    pub(crate) fn point(&self, rhs: &[f64], point: &mut [f64], work: &mut Vec<f64>) {
        let size = self.n + self.p;
        let count = rhs.len() / size;
        match &self.form {
            Form::Explicit { inverse, .. } => multiply(
                view_mut(point, count, size),
                1.0,
                view(rhs, count, size),
                view(inverse, size, size),
            ),
            Form::LeastDistance(factors) => {
                for (rhs, point) in rhs.chunks_exact(size).zip(point.chunks_exact_mut(size)) {
                    factors.point(rhs, self.n, point, work);
                }
            }
        }
    }

    /// Takes the response to scaled multipliers, `[count, m]`, off `(x, ν)`, `[count, n+p]`.
    pub(crate) fn respond(&self, multipliers: &[f64], point: &mut [f64], work: &mut Vec<f64>) {
        let (m, size) = (self.m, self.n + self.p);
        if m == 0 {
            return;
        }
        let count = point.len() / size;
        match &self.form {
            Form::Explicit { response, .. } => add_multiply(
                view_mut(point, count, size),
                -1.0,
                view(multipliers, count, m),
                view(response, m, size),
            ),
            Form::LeastDistance(factors) => {
                let lines = multipliers.chunks_exact(m);
                for (multipliers, point) in lines.zip(point.chunks_exact_mut(size)) {
                    factors.respond(multipliers, self.n, point, work);
                }
            }
        }
    }

    /// How many numbers the factors have, about.
    pub(crate) fn numbers(&self) -> usize {
        let split = self.split.as_ref().map_or(0, |_| self.n * self.n);
        self.k.len()
            + split
            + match &self.form {
                Form::Explicit { inverse, response } => inverse.len() + response.len(),
                Form::LeastDistance(factors) => factors.numbers(),
            }
    }

    /// Whether every equality row counts.
    pub(crate) fn full_rank(&self) -> bool {
        self.split
            .as_ref()
            .is_none_or(|split| split.dropped.is_empty())
    }

    /// Factors for one sample, or `None` as for [`Reduced::new`].
    pub(crate) fn for_one(sample: &Sample<'_>) -> Option<Reduced> {
        least_distance::build(sample).or_else(|| Reduced::null_space(sample))
    }

    /// Builds the factors for many samples, or `None` when `P` is not safely positive definite on
    /// the null space of `A`.
    pub(crate) fn new(sample: &Sample<'_>) -> Option<Reduced> {
        range::build(sample).or_else(|| Reduced::null_space(sample))
    }

    /// The construction through an orthonormal basis of the null space of `A`: needs `P` positive
    /// definite only there, and copes with redundant equalities.
    pub(crate) fn null_space(sample: &Sample<'_>) -> Option<Reduced> {
        let n = sample.n;
        let (p, m) = (sample.a.len() / n, sample.g.len() / n);
        let split = Nullspace::new(sample.a, p, n);
        let (rank, free) = (split.rank(), n - split.rank());

        // Reduced Hessian ZᵀPZ and its Cholesky factor.
        let mut pz = Mat::zeros(n, free);
        apply(sample.p, &split.null, &mut pz);
        let mut reduced = Mat::zeros(free, free);
        multiply(reduced.as_mut(), 1.0, split.null.transpose(), pz.as_ref());
        let mut pivots = 1.0;
        // Z·L⁻ᵀ, transposed: rows of length n.
        let mut root = split.null.transpose().to_owned();
        if free > 0 {
            let lower = reduced.llt(faer::Side::Lower).ok()?;
            let lower = lower.L();
            pivots = spread((0..free).map(|j| lower[(j, j)] * lower[(j, j)]));
            // A NaN spread must not pass either.
            if pivots.is_nan() || pivots > PIVOT_SPREAD {
                return None;
            }
            lower.solve_lower_triangular_in_place(root.as_mut());
        }

        let size = n + p;
        let mut inverse = vec![0.0; size * size];
        {
            let mut block = view_mut(&mut inverse, size, size);
            multiply(
                block.as_mut().submatrix_mut(0, 0, n, n),
                1.0,
                root.transpose(),
                root.as_ref(),
            );
        }
        if rank > 0 {
            // Hat = (I − R·P)·Y with Y a right inverse of A; S = Hatᵀ·P·Hat.
            let y = split.particular();
            let mut py = Mat::zeros(n, rank);
            apply(sample.p, &y, &mut py);
            let mut hat = y;
            let projected = {
                let mut t = Mat::zeros(free, rank);
                multiply(t.as_mut(), 1.0, root.as_ref(), py.as_ref());
                t
            };
            add_multiply(hat.as_mut(), -1.0, root.transpose(), projected.as_ref());
            let mut ph = Mat::zeros(n, rank);
            apply(sample.p, &hat, &mut ph);
            let mut schur = Mat::zeros(rank, rank);
            multiply(schur.as_mut(), -1.0, hat.transpose(), ph.as_ref());
            for (j, &row) in split.kept.iter().enumerate() {
                for i in 0..n {
                    inverse[i * size + n + row] = hat[(i, j)];
                    inverse[(n + row) * size + i] = hat[(i, j)];
                }
                for (l, &other) in split.kept.iter().enumerate() {
                    inverse[(n + row) * size + n + other] = 0.5 * (schur[(j, l)] + schur[(l, j)]);
                }
            }
        }

        // K from the half factor, so that it is a Gram matrix and its diagonal is accurate.
        let rows = view(sample.g, m, n);
        let mut half = Mat::zeros(free, m);
        multiply(half.as_mut(), 1.0, root.as_ref(), rows.transpose());
        let norms = row_norms(sample.g, n)?;
        let widest = (0..n)
            .map(|i| inverse[i * size + i])
            .fold(0.0f64, f64::max)
            .sqrt();
        let lengths: Vec<f64> = (0..m).map(|i| half.col(i).norm_l2()).collect();
        if !lengths.iter().all(|length| length.is_finite()) {
            return None;
        }
        let scale: Vec<f64> = (0..m)
            .map(|i| {
                let length = lengths[i];
                // What rounding leaves of a row inside the row space of A is about 1e-15 of it.
                if length > 1e-11 * norms[i] * widest {
                    1.0 / length
                } else {
                    0.0
                }
            })
            .collect();
        for i in 0..m {
            half.col_mut(i).iter_mut().for_each(|v| *v *= scale[i]);
        }
        let mut k = vec![0.0; m * m];
        multiply(view_mut(&mut k, m, m), 1.0, half.transpose(), half.as_ref());
        let mut response = vec![0.0; m * size];
        {
            let mut target = view_mut(&mut response, m, size);
            multiply(
                target.as_mut().subcols_mut(0, n),
                1.0,
                half.transpose(),
                root.as_ref(),
            );
            if p > 0 {
                multiply(
                    target.as_mut().subcols_mut(n, p),
                    1.0,
                    rows,
                    view(&inverse, size, size).submatrix(0, n, n, p),
                );
                for i in 0..m {
                    response[i * size + n..(i + 1) * size]
                        .iter_mut()
                        .for_each(|v| *v *= scale[i]);
                }
            }
        }
        let condition = pivots * split.spread().powi(2);
        Some(Reduced {
            n,
            p,
            m,
            form: Form::Explicit { inverse, response },
            k,
            scale,
            norms,
            split: Some(split),
            condition,
        })
    }
}

/// 2-norms of the rows of `G`; `None` where one overflows, or underflows to that of a row of zeros: nothing
/// follows from such a norm, least of all that the row cannot move.
pub(crate) fn row_norms(g: &[f64], n: usize) -> Option<Vec<f64>> {
    let mut norms = Vec::with_capacity(g.len() / n);
    for row in g.chunks_exact(n) {
        let norm = dot(row, row).sqrt();
        let vanishes = norm == 0.0 && row.iter().any(|v| *v != 0.0);
        if vanishes || !norm.is_finite() {
            return None;
        }
        norms.push(norm);
    }
    Some(norms)
}

/// `out = P · columns`.
fn apply(p: Matrix<'_>, columns: &Mat<f64>, out: &mut Mat<f64>) {
    let n = columns.nrows();
    match p {
        Matrix::Dense(data) => multiply(out.as_mut(), 1.0, view(data, n, n), columns.as_ref()),
        Matrix::Diagonal(d) => {
            for j in 0..columns.ncols() {
                for i in 0..n {
                    out[(i, j)] = d[i] * columns[(i, j)];
                }
            }
        }
    }
}
