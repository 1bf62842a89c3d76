//! The adjoint system with a dense matrix: Cholesky, else the pseudoinverse.

use faer::{Mat, Side};

use super::blocks::Blocks;
use super::condition::inverse_norm;
use super::{SINGULAR, System};
use crate::backward::Adjoint;
use crate::dense::{add_transposed, multiply, norm};
use crate::linear::rows::whole_jacobian;
use crate::status::GradientQuality;
use feasible_kernels::{Cholesky, gram_of_rows};

/// Curvature, relative to the whole, up to which a direction that only it decides counts as undecided.
const NEGLIGIBLE: f64 = 1e-6;

pub(super) struct Dense {
    pub(super) blocks: Blocks,
    pub(super) cholesky: Cholesky,
}

impl Dense {
    pub(super) fn solve(
        &mut self,
        system: &System<'_>,
        v: &[f64],
        result: &mut Adjoint,
    ) -> Option<Vec<f64>> {
        let n = v.len();
        let matrix = self.matrix(system, n);
        let largest = matrix
            .chunks_exact(n)
            .map(|row| row.iter().map(|v| v.abs()).sum::<f64>())
            .fold(0.0, f64::max);
        // What is left of the residuals of an exactly solvable problem makes curvature that means nothing:
        // eigenvalues as small as that are not told from zero.
        let curvature = gauss_newton_diagonal(system).map_or(0.0, |diagonal| {
            let beyond = (0..n).filter(|i| !system.held[*i]);
            beyond
                .map(|i| (matrix[i * n + i] - diagonal[i]).abs())
                .fold(0.0, f64::max)
        });
        let is_rest = curvature <= NEGLIGIBLE * largest;
        let floor = (largest / SINGULAR).max(if is_rest { 10.0 * curvature } else { 0.0 });
        if system.objective.rows < n && is_rest {
            result.worsen(GradientQuality::Degenerate);
            return solve_rows(system, v, result);
        }
        let cholesky = &mut self.cholesky;
        if cholesky.factor(&matrix, |_, _| 0.0) {
            let inverse = inverse_norm(n, |x| cholesky.solve(x));
            result.condition = largest * inverse;
            if inverse * floor < 1.0 {
                let mut step = system.free_gradient();
                cholesky.solve(&mut step);
                result.newton = norm(&step);
                let mut w = v.to_vec();
                cholesky.solve(&mut w);
                return Some(w);
            }
        }
        // Singular or not positive: the pseudoinverse.
        let eigen = Mat::from_fn(n, n, |i, j| matrix[i * n + j])
            .self_adjoint_eigen(Side::Lower)
            .ok()?;
        let (values, vectors) = (eigen.S().column_vector(), eigen.U());
        let gradient = system.free_gradient();
        let mut w = vec![0.0; n];
        let (mut smallest, mut newton) = (f64::INFINITY, 0.0);
        for k in 0..n {
            let value = values[k];
            let along = |x: &[f64]| (0..n).map(|i| vectors[(i, k)] * x[i]).sum::<f64>() / value;
            smallest = smallest.min(value.abs());
            if value <= floor {
                result.worsen(GradientQuality::Degenerate);
            }
            if value.abs() > floor {
                let part = along(v);
                (0..n).for_each(|i| w[i] += part * vectors[(i, k)]);
                newton += along(&gradient).powi(2);
            }
        }
        result.newton = newton.sqrt();
        result.condition = largest / smallest;
        Some(w)
    }

    fn matrix(&self, system: &System<'_>, n: usize) -> Vec<f64> {
        let mut matrix = vec![0.0; n * n];
        for (term, block) in system.objective.terms.iter().zip(self.blocks.iter()) {
            for (row, i) in block.chunks_exact(term.width).zip(&term.columns) {
                for (value, j) in row.iter().zip(&term.columns) {
                    matrix[i * n + j] += value;
                }
            }
        }
        for i in 0..n {
            if system.held[i] {
                matrix[i * n + i] = 1.0;
            }
        }
        matrix
    }
}

/// The diagonal of the Gauss-Newton part, where the matrix has more.
fn gauss_newton_diagonal(system: &System<'_>) -> Option<Vec<f64>> {
    if !system.exact {
        return None;
    }
    let mut diagonal = vec![0.0; system.objective.tangent];
    for term in &system.objective.terms {
        for row in system.at.block(term).chunks_exact(term.width) {
            for (value, column) in row.iter().zip(&term.columns) {
                diagonal[*column] += value * value;
            }
        }
    }
    Some(diagonal)
}

/// w = Jᵀ(JJᵀ)⁻²Jv, the least-norm solution of JᵀJw = v for fewer rows than variables.
fn solve_rows(system: &System<'_>, v: &[f64], result: &mut Adjoint) -> Option<Vec<f64>> {
    let objective = system.objective;
    let (m, n) = (objective.rows, objective.tangent);
    let mut jacobian = vec![0.0; m * n];
    whole_jacobian(objective, system.at, &mut jacobian);
    let mut gram = vec![0.0; m * m];
    gram_of_rows(&jacobian, m, n, &mut gram);
    let mut y = vec![0.0; m];
    multiply(&jacobian, v, &mut y);
    let mut w = vec![0.0; n];
    let mut cholesky = Cholesky::new(m);
    if cholesky.factor(&gram, |_, _| 0.0) {
        let largest: f64 = (0..m).map(|i| gram[i * m + i]).fold(0.0, f64::max);
        result.condition = largest * inverse_norm(m, |x| cholesky.solve(x));
        cholesky.solve(&mut y);
        cholesky.solve(&mut y);
    } else {
        let eigen = Mat::from_fn(m, m, |i, j| gram[i.min(j) * m + i.max(j)])
            .self_adjoint_eigen(Side::Lower)
            .ok()?;
        let (values, vectors) = (eigen.S().column_vector(), eigen.U());
        let floor = values[m - 1] / SINGULAR;
        let mut z = vec![0.0; m];
        for k in (0..m).filter(|k| values[*k] > floor) {
            let along = (0..m).map(|i| vectors[(i, k)] * y[i]).sum::<f64>();
            let along = along / (values[k] * values[k]);
            (0..m).for_each(|i| z[i] += along * vectors[(i, k)]);
        }
        y = z;
        result.condition = f64::INFINITY;
    }
    add_transposed(&jacobian, &y, &mut w);
    for (i, held) in system.held.iter().enumerate() {
        if *held {
            w[i] = 0.0;
        }
    }
    Some(w)
}
