//! The range-space form: `H` and `E H⁻¹Eᵀ` by their Cholesky factors.

use feasible_kernels::{Cholesky, inverse_norm_of_rows};

use crate::dense::{axpy, copy, dot, max_abs, vectorised, zeros};
use crate::nullspace::spread;
use crate::packed::{packed_cholesky, solve_packed};
use crate::problem::Matrix;

/// The range-space form squares the conditioning of `H^{-1/2}`; beyond these spreads the
/// null-space form is used.
const DIAGONAL_SPREAD: f64 = 1e8;
const SCHUR_SPREAD: f64 = 1e10;
/// Of either with a dense `H`, whose rounding is that of its largest entries: four digits are what refinement surely
/// gives back.
const DENSE_SPREAD: f64 = 1e4;
/// Of either with a dense `H`, by an estimate of the inverse, which a diagonal without spread may hide.
const DENSE_CONDITION: f64 = 1e6;

/// The range-space form.
#[derive(Default)]
pub(super) struct Range {
    /// `Ẽ H⁻¹`, `[a, n]`.
    weighted: Vec<f64>,
    hessian: Inverse,
    /// Packed Cholesky factor of `Ẽ H⁻¹Ẽᵀ`.
    factor: Vec<f64>,
    /// The diagonal of what was factored.
    before: Vec<f64>,
    /// What conditions are estimated in.
    work: Vec<f64>,
}

/// What applies `H⁻¹`.
#[derive(Default)]
struct Inverse {
    /// Whether the diagonal does.
    is_diagonal: bool,
    diagonal: Vec<f64>,
    /// The largest size that the factor has memory for, and that.
    dense: Option<(usize, Cholesky)>,
}

impl Range {
    /// `η = S⁻¹(Ẽ H⁻¹ r − s)`, `x = H⁻¹(r − Ẽᵀη)`.
    #[inline(always)]
    pub(super) fn apply(
        &self,
        n: usize,
        r: &[f64],
        s: &[f64],
        x: &mut Vec<f64>,
        eta: &mut Vec<f64>,
    ) {
        let lines = self.weighted.chunks_exact(n);
        eta.clear();
        eta.extend(lines.clone().zip(s).map(|(row, s)| dot(row, r) - s));
        solve_packed(&self.factor, eta);
        copy(r, x);
        self.hessian.apply(x);
        for (row, eta) in lines.zip(eta.iter()) {
            axpy(-eta, row, x);
        }
    }

    /// Factors; returns the condition, or `None` where the other form is safer: also where by the rank tolerance an
    /// eigenvalue may be zero or a row depend on others, which that form decides.
    pub(super) fn factor(
        &mut self,
        n: usize,
        hessian: Matrix<'_>,
        rows: &[f64],
        norms: &[f64],
        rank_tolerance: f64,
    ) -> Option<f64> {
        // More rows than variables are dependent, and their system may be larger than any memory.
        if norms.len() > n {
            return None;
        }
        let of_hessian = self.hessian.factor(n, hessian, &mut self.work)?;
        if !(rank_tolerance * of_hessian.largest * of_hessian.inverse < 1.0) {
            return None;
        }
        let factored = vectorised(
            #[inline(always)]
            || self.factor_rows(n, rows, norms),
        );
        if !factored {
            return None;
        }
        let (of_rows, inverse) = self.condition(norms.len())?;
        // A row's squared distance from the span of the others is at least the smallest eigenvalue of the rows' Gram
        // matrix, and that at least the one of `Ẽ H⁻¹Ẽᵀ` times that of `H`.
        let least = self.before.iter().copied().fold(f64::INFINITY, f64::min);
        let apart = least / (inverse * of_hessian.inverse);
        (rank_tolerance.powi(2) < apart).then_some(of_hessian.condition.max(of_rows))
    }

    #[inline(always)]
    fn factor_rows(&mut self, n: usize, rows: &[f64], norms: &[f64]) -> bool {
        let Range {
            weighted,
            hessian,
            factor,
            before,
            ..
        } = self;
        let count = norms.len();
        copy(rows, weighted);
        for (line, norm) in weighted.chunks_exact_mut(n).zip(norms) {
            hessian.apply(line);
            line.iter_mut().for_each(|v| *v /= norm);
        }
        factor.clear();
        factor.reserve(count * (count + 1) / 2);
        for i in 0..count {
            let line = &weighted[i * n..(i + 1) * n];
            for j in 0..=i {
                factor.push(dot(line, &rows[j * n..(j + 1) * n]) / norms[j]);
            }
        }
        before.clear();
        before.extend((0..count).map(|i| factor[i * (i + 3) / 2]));
        packed_cholesky(factor, count)
    }

    /// The condition of the rows' system, and the norm of the inverse that it has with rows of length one in the metric
    /// of `H⁻¹`; `None` where they are too large.
    fn condition(&mut self, count: usize) -> Option<(f64, f64)> {
        let pivot = |i: usize| self.factor[i * (i + 3) / 2];
        // Each pivot against the diagonal it started from: their ratio is a squared sine.
        let weakest = (0..count)
            .map(|i| pivot(i).powi(2) / self.before[i])
            .fold(1.0f64, f64::min);
        let schur = spread((0..count).map(pivot)).powi(2);
        let (limit, largest) = match self.hessian.is_diagonal {
            true => (SCHUR_SPREAD, SCHUR_SPREAD),
            false => (DENSE_SPREAD, DENSE_CONDITION),
        };
        let row = |i: usize| &self.factor[i * (i + 1) / 2..=i * (i + 3) / 2];
        zeros(&mut self.work, count);
        let work = &mut self.work[..];
        let inverse = vectorised(
            #[inline(always)]
            || inverse_norm_of_rows(row, work, largest),
        );
        // NaN is too large.
        (weakest * limit > 1.0 && schur < limit && inverse < largest)
            .then_some((schur.max(inverse), inverse))
    }
}

/// What is known of a factored `H`.
struct Known {
    condition: f64,
    /// Its largest entry.
    largest: f64,
    /// The norm of its inverse.
    inverse: f64,
}

impl Inverse {
    /// Factors; `None` where the condition is too large.
    fn factor(&mut self, n: usize, hessian: Matrix<'_>, work: &mut Vec<f64>) -> Option<Known> {
        match hessian {
            Matrix::Diagonal(d) => {
                self.is_diagonal = true;
                let spread = spread(d.iter().copied());
                if !(d.iter().all(|v| *v > 0.0) && spread < DIAGONAL_SPREAD) {
                    return None;
                }
                self.diagonal.clear();
                self.diagonal.extend(d.iter().map(|v| 1.0 / v));
                Some(Known {
                    condition: spread,
                    largest: hessian.max_abs(),
                    inverse: max_abs(&self.diagonal),
                })
            }
            Matrix::Dense(data) => {
                self.is_diagonal = false;
                if self.dense.as_ref().is_none_or(|(largest, _)| *largest < n) {
                    self.dense = Some((n, Cholesky::new(n)));
                }
                let (_, cholesky) = self.dense.as_mut()?;
                cholesky.resize(n);
                if !cholesky.factor(data, |_, _| 0.0) {
                    return None;
                }
                let upper = cholesky.kept();
                let spread = spread((0..n).map(|i| upper[i * (n + 1)].powi(2)));
                // No entry of a positive definite matrix is above those of its diagonal.
                let largest = data.iter().step_by(n + 1).copied().fold(0.0, f64::max);
                zeros(work, n);
                let inverse = cholesky.inverse_norm(work, DENSE_CONDITION / largest);
                (spread < DENSE_SPREAD && largest * inverse < DENSE_CONDITION).then_some(Known {
                    condition: spread.max(largest * inverse),
                    largest,
                    inverse,
                })
            }
        }
    }

    /// `x ← H⁻¹x`.
    #[inline(always)]
    fn apply(&self, x: &mut [f64]) {
        match &self.dense {
            Some((_, cholesky)) if !self.is_diagonal => cholesky.solve(x),
            _ => x
                .iter_mut()
                .zip(&self.diagonal)
                .for_each(|(x, inverse)| *x *= inverse),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[[1, c], [c, c² + pivot²]]`, whose pivots are 1 and `pivot²`.
    fn hessian(pivot: f64) -> [f64; 4] {
        let c = 0.5;
        [1.0, c, c, c * c + pivot * pivot]
    }

    #[test]
    fn doubtful_systems_are_left_to_the_other_form() {
        let spread = |hessian: &[f64; 4], rows: &[f64]| {
            let norms: Vec<f64> = rows
                .chunks_exact(2)
                .map(|row| dot(row, row).sqrt())
                .collect();
            Range::default().factor(2, Matrix::Dense(hessian), rows, &norms, 1e-10)
        };
        // By the Hessian's pivots.
        let row = [1.0, 0.0];
        for (pivot, taken) in [(1.0, true), (1.1e-2, true), (0.9e-2, false), (0.0, false)] {
            assert_eq!(spread(&hessian(pivot), &row).is_some(), taken, "{pivot}");
        }
        // By the angle between the rows, in the Hessian's metric.
        let identity = [1.0, 0.0, 0.0, 1.0];
        for (sine, taken) in [(1.0, true), (1.1e-2, true), (0.9e-2, false), (0.0, false)] {
            let rows = [1.0, 0.0, f64::sqrt(1.0 - sine * sine), sine];
            assert_eq!(spread(&identity, &rows).is_some(), taken, "{sine}");
            // A diagonal one is exact, and loses less.
            let norms = [1.0; 2];
            let diagonal = Matrix::Diagonal(&[1.0, 1.0]);
            let found = Range::default().factor(2, diagonal, &rows, &norms, 1e-10);
            assert_eq!(found.is_some(), sine > 0.0, "{sine}");
        }
    }
}
