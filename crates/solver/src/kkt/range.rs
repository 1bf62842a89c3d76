//! The range-space form: `H` and `E H⁻¹Eᵀ` by their Cholesky factors.

use feasible_kernels::Cholesky;

use crate::dense::{axpy, copy, dot, vectorised};
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

    /// Factors; returns the condition, or `None` where the other form is safer.
    pub(super) fn factor(
        &mut self,
        n: usize,
        hessian: Matrix<'_>,
        rows: &[f64],
        norms: &[f64],
    ) -> Option<f64> {
        // More rows than variables are dependent, and their system may be larger than any memory.
        if norms.len() > n {
            return None;
        }
        let spread = self.hessian.factor(n, hessian)?;
        let factored = vectorised(
            #[inline(always)]
            || self.factor_rows(n, rows, norms),
        );
        let schur = factored.then(|| self.condition(norms.len())).flatten()?;
        Some(spread.max(schur))
    }

    #[inline(always)]
    fn factor_rows(&mut self, n: usize, rows: &[f64], norms: &[f64]) -> bool {
        let Range {
            weighted,
            hessian,
            factor,
            before,
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

    /// The condition of the rows' system; `None` where it is too large.
    fn condition(&self, count: usize) -> Option<f64> {
        let pivot = |i: usize| self.factor[i * (i + 3) / 2];
        // Each pivot against the diagonal it started from: their ratio is a squared sine.
        let weakest = (0..count)
            .map(|i| pivot(i).powi(2) / self.before[i])
            .fold(1.0f64, f64::min);
        let schur = spread((0..count).map(pivot)).powi(2);
        let limit = match self.hessian.is_diagonal {
            true => SCHUR_SPREAD,
            false => DENSE_SPREAD,
        };
        (weakest * limit > 1.0 && schur < limit).then_some(schur)
    }
}

impl Inverse {
    /// Factors; returns the spread of the pivots, or `None` where it is too large.
    fn factor(&mut self, n: usize, hessian: Matrix<'_>) -> Option<f64> {
        match hessian {
            Matrix::Diagonal(d) => {
                self.is_diagonal = true;
                let spread = spread(d.iter().copied());
                if !(d.iter().all(|v| *v > 0.0) && spread < DIAGONAL_SPREAD) {
                    return None;
                }
                self.diagonal.clear();
                self.diagonal.extend(d.iter().map(|v| 1.0 / v));
                Some(spread)
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
                (spread < DENSE_SPREAD).then_some(spread)
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
            Range::default().factor(2, Matrix::Dense(hessian), rows, &norms)
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
            let found = Range::default().factor(2, diagonal, &rows, &norms);
            assert_eq!(found.is_some(), sine > 0.0, "{sine}");
        }
    }
}
