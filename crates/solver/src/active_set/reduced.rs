//! Everything of a strictly convex QP that does not depend on `q`, `b`, `l`, `u`.
//!
//! With the equalities eliminated, the multipliers of the inequality rows solve a problem in
//! `K = G·R·Gᵀ` alone, `R` being the upper left block of the inverse of `[P Aᵀ; A 0]`
//! (Goldfarb & Idnani 1983, §3; Arnström, Bemporad & Axehill 2022, eq. 7). Rows are scaled so that
//! `K` has a unit diagonal: violations are then distances in the metric of the objective.

use crate::active_set::least_distance::LeastDistance;
use crate::dense::{add_multiply, dot, multiply, view, view_mut};
use crate::nullspace::Nullspace;

/// Largest condition of `P` that is factored as it is: loses six of sixteen digits, which one refinement restores.
pub(crate) const CONDITION: f64 = 1e6;

/// Squared sine below which a row is too close to the span of those it is compared with; the inverse of it is the
/// largest condition of the equalities' rows among themselves.
pub(crate) const SQUARED_SINE: f64 = 1e-8;

/// Factors of every sample with the same `P`, `A`, `G`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reduced<'a> {
    /// Variables.
    pub(crate) n: usize,
    /// Equality rows.
    pub(crate) p: usize,
    /// Inequality rows.
    pub(crate) m: usize,
    /// How `(x, ν)` follow from the right-hand side and the multipliers.
    pub(crate) form: Form<'a>,
    /// `K` of the scaled rows, `[m, m]`, unit diagonal (0 where the row cannot move). Only pivots use it: factors
    /// that are kept for derivatives may lack it.
    pub(crate) k: &'a [f64],
    /// Row scales: `λ = scale · λ̃`. 0 for rows whose value the equalities fix.
    pub(crate) scale: &'a [f64],
    /// 2-norms of the rows of `G`, where there is `K`.
    pub(crate) norms: &'a [f64],
    /// The split that removed the equalities; `None` when their rows are independent and it was not
    /// needed.
    pub(crate) split: Option<&'a Nullspace>,
    /// Of `P` and of the equalities' rows, by the diagonals of their factors and by an estimate of their inverses.
    pub(crate) condition: f64,
}

/// The solution operator of `[P Aᵀ; A 0] (x, ν) = (r − Gᵀλ, s)`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form<'a> {
    /// Matrices for products with many right-hand sides.
    Explicit {
        /// Inverse of `[P Aᵀ; A 0]`, `[(n+p), (n+p)]`, zero in the rows and columns of dropped
        /// equalities.
        inverse: &'a [f64],
        /// `−∂(x, ν)/∂λ̃` with scaled multipliers, `[m, n+p]`.
        response: &'a [f64],
    },
    /// The inverse of a diagonal `P` without rows, `[n]`.
    Diagonal(&'a [f64]),
    /// Factors for a few.
    LeastDistance(LeastDistance<'a>),
}

impl Reduced<'_> {
    /// `(x, ν)` for right-hand sides without multipliers, `[count, n+p]` both; numbers of a right-hand side from the
    /// `used`th on are zero.
    pub(crate) fn point(&self, rhs: &[f64], used: usize, point: &mut [f64], work: &mut Vec<f64>) {
        let size = self.n + self.p;
        let count = rhs.len() / size;
        match &self.form {
            Form::Explicit { inverse, .. } => multiply(
                view_mut(point, count, size),
                1.0,
                view(rhs, count, size).subcols(0, used),
                view(inverse, size, size).subrows(0, used),
            ),
            Form::Diagonal(inverse) => {
                for (rhs, point) in rhs.chunks_exact(size).zip(point.chunks_exact_mut(size)) {
                    for ((point, rhs), inverse) in point.iter_mut().zip(rhs).zip(*inverse) {
                        *point = rhs * inverse;
                    }
                }
            }
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
            // Without rows there is nothing to respond to.
            Form::Diagonal(_) => {}
            Form::LeastDistance(factors) => {
                let lines = multipliers.chunks_exact(m);
                for (multipliers, point) in lines.zip(point.chunks_exact_mut(size)) {
                    factors.respond(multipliers, self.n, point, work);
                }
            }
        }
    }

    /// Multipliers `ν` with `Aᵀν = row`, for a row that the equalities fix.
    pub(crate) fn combination_of(&self, row: &[f64]) -> Vec<f64> {
        match self.split {
            Some(split) => split.combination_of(row),
            // Only rows of zeros are.
            None => vec![0.0; self.p],
        }
    }

    /// Whether every equality row counts.
    pub(crate) fn full_rank(&self) -> bool {
        self.split.is_none_or(|split| split.dropped.is_empty())
    }
}

/// 2-norms of the rows of `G`, added to `norms`; `None` where one overflows, or underflows to that of a row of zeros:
/// nothing follows from such a norm, least of all that the row cannot move.
pub(crate) fn row_norms(g: &[f64], n: usize, norms: &mut Vec<f64>) -> Option<()> {
    for row in g.chunks_exact(n) {
        let norm = dot(row, row).sqrt();
        let vanishes = norm == 0.0 && row.iter().any(|v| *v != 0.0);
        if vanishes || !norm.is_finite() {
            return None;
        }
        norms.push(norm);
    }
    Some(())
}
