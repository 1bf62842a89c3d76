//! Systems of the size of the rows, where these are fewer than the variables:
//! δ = −Jᵀ(JJᵀ + λI)⁻¹ r, which is also defined at λ = 0, as the shortest solution of Jδ = −r.

use super::StepAdjoint;
use crate::dense::{add_transposed, multiply, vectorised};
use crate::objective::Objective;
use crate::term::Linearisation;
use feasible_kernels::{Cholesky, gram_of_rows};

#[derive(Debug)]
pub(crate) struct Rows {
    m: usize,
    n: usize,
    /// J as one matrix, `[m, n]`, where that of the linearisation is not.
    gathered: Vec<f64>,
    /// The upper triangle of JJᵀ, row-major.
    matrix: Vec<f64>,
    pub(super) factor: Cholesky,
    rows: Vec<f64>,
}

impl Rows {
    pub(crate) fn new(objective: &Objective) -> Self {
        let (m, n) = (objective.rows, objective.tangent);
        Self {
            m,
            n,
            gathered: vec![0.0; if objective.full { 0 } else { m * n }],
            matrix: vec![0.0; m * m],
            factor: Cholesky::new(m),
            rows: vec![0.0; m],
        }
    }

    pub(crate) fn load(&mut self, objective: &Objective, at: &Linearisation) {
        self.gather(objective, at);
        let jacobian = if objective.full {
            &at.jacobian
        } else {
            &self.gathered
        };
        gram_of_rows(jacobian, self.m, self.n, &mut self.matrix);
    }

    /// Reads the Jacobian, of which a factor [`restored`](Cholesky::restore) is.
    pub(super) fn gather(&mut self, objective: &Objective, at: &Linearisation) {
        if !objective.full {
            whole_jacobian(objective, at, &mut self.gathered);
        }
    }

    pub(crate) fn factor(&mut self, lambda: f64) -> bool {
        self.factor.factor(&self.matrix, |_, _| lambda)
    }

    pub(crate) fn step(&mut self, objective: &Objective, at: &Linearisation, out: &mut [f64]) {
        for (rows, r) in self.rows.iter_mut().zip(&at.rows) {
            *rows = -r;
        }
        self.factor.solve(&mut self.rows);
        out.fill(0.0);
        let rows = &self.rows;
        let jacobian = if objective.full {
            &at.jacobian
        } else {
            &self.gathered
        };
        vectorised(
            #[inline(always)]
            || add_transposed(jacobian, rows, out),
        );
    }

    /// With K = JJᵀ + λI, λz = v − JᵀK⁻¹Jv, (r + Jδ)/λ = K⁻¹r and Jz = K⁻¹Jv: their products are what is
    /// wanted, and none divides by λ.
    pub(crate) fn reverse(
        &mut self,
        objective: &Objective,
        at: &Linearisation,
        out: &mut StepAdjoint,
    ) {
        let jacobian = if objective.full {
            &at.jacobian
        } else {
            &self.gathered
        };
        let (factor, rows) = (&self.factor, &mut self.rows);
        out.q1.copy_from_slice(&at.rows);
        vectorised(
            #[inline(always)]
            || {
                factor.solve(&mut out.q1);
                multiply(jacobian, &out.z, &mut out.q2);
                factor.solve(&mut out.q2);
                for (rows, q2) in rows.iter_mut().zip(&out.q2) {
                    *rows = -q2;
                }
                add_transposed(jacobian, rows, &mut out.z);
            },
        );
    }
}

/// The Jacobian of all costs as one row-major matrix.
pub(crate) fn whole_jacobian(objective: &Objective, at: &Linearisation, out: &mut [f64]) {
    if objective.full {
        out.copy_from_slice(&at.jacobian);
        return;
    }
    let n = objective.tangent;
    out.fill(0.0);
    for term in &objective.terms {
        let rows = &mut out[term.row * n..(term.row + term.rows) * n];
        for (out, row) in rows
            .chunks_exact_mut(n)
            .zip(at.block(term).chunks_exact(term.width))
        {
            for (value, column) in row.iter().zip(&term.columns) {
                out[*column] = *value;
            }
        }
    }
}
