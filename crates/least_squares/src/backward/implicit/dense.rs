//! The adjoint system with a dense matrix: Cholesky, else the pseudoinverse.

use faer::{Mat, Side};

use super::blocks::Blocks;
use super::remainder::Remainder;
use super::{SINGULAR, System};
use crate::backward::Adjoint;
use crate::dense::{add_transposed, multiply, norm};
use crate::linear::rows::whole_jacobian;
use crate::status::GradientQuality;
use feasible_kernels::{Cholesky, Pseudoinverse, gram_of_rows};

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
        let Remainder {
            scales,
            noise,
            is_all,
        } = Remainder::of(system, &self.blocks);
        if system.objective.rows < n && is_all {
            result.worsen(GradientQuality::Degenerate);
            return solve_rows(system, v, result);
        }
        // Scaled, so that units that differ are no singularity.
        let matrix = self.matrix(system, &scales);
        let largest = matrix
            .chunks_exact(n)
            .map(|row| row.iter().map(|v| v.abs()).sum::<f64>())
            .fold(0.0, f64::max);
        let floor = (largest / SINGULAR).max(10.0 * noise);
        let scaled = |x: &mut [f64]| x.iter_mut().zip(&scales).for_each(|(x, s)| *x *= s);
        let (mut w, mut step) = (v.to_vec(), system.free_gradient());
        let cholesky = &mut self.cholesky;
        if cholesky.factor(&matrix, |_, _| 0.0) {
            let inverse = cholesky.inverse_norm(&mut vec![0.0; n], 0.0);
            result.condition = largest * inverse;
            if inverse * floor < 1.0 {
                for x in [&mut w, &mut step] {
                    scaled(x);
                    cholesky.solve(x);
                    scaled(x);
                }
                result.newton = norm(&step);
                return Some(w);
            }
        }
        // Singular or not positive: the pseudoinverse.
        let inverse = Pseudoinverse::new(&matrix, &scales, floor)?;
        inverse.solve(&mut w);
        inverse.solve(&mut step);
        result.newton = norm(&step);
        let values = inverse.eigenvalues();
        if values.iter().any(|value| *value <= floor) {
            result.worsen(GradientQuality::Degenerate);
        }
        let smallest = values.iter().fold(f64::INFINITY, |a, v| a.min(v.abs()));
        result.condition = largest / smallest;
        Some(w)
    }

    /// SHS for the diagonal S of the scales, the identity where a coordinate is held.
    fn matrix(&self, system: &System<'_>, scales: &[f64]) -> Vec<f64> {
        let n = scales.len();
        let mut matrix = vec![0.0; n * n];
        for (term, block) in system.objective.terms.iter().zip(self.blocks.iter()) {
            for (row, i) in block.chunks_exact(term.width).zip(&term.columns) {
                for (value, j) in row.iter().zip(&term.columns) {
                    matrix[i * n + j] += value * scales[*i] * scales[*j];
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
        result.condition = largest * cholesky.inverse_norm(&mut vec![0.0; m], 0.0);
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
