//! Dense Cholesky of M + D.

use super::Damp;
use crate::dense::axpy;
use crate::objective::Objective;
use crate::term::Linearisation;
use feasible_kernels::{Cholesky, gram_of_columns};

#[derive(Debug)]
pub(crate) struct Dense {
    n: usize,
    /// The upper triangle of M, row-major.
    matrix: Vec<f64>,
    pub(super) factor: Cholesky,
}

impl Dense {
    pub(crate) fn new(objective: &Objective) -> Self {
        let n = objective.tangent;
        Self {
            n,
            matrix: vec![0.0; n * n],
            factor: Cholesky::new(n),
        }
    }

    pub(crate) fn load(&mut self, objective: &Objective, at: &Linearisation, held: &[bool]) {
        let n = self.n;
        if objective.full {
            gram_of_columns(&at.jacobian, objective.rows, n, &mut self.matrix);
        } else {
            self.matrix.fill(0.0);
            add_blocks(objective, at, &mut self.matrix);
        }
        for i in 0..n {
            if held[i] {
                self.matrix[i * n + i] = 1.0;
            }
        }
    }

    pub(crate) fn factor(&mut self, damp: Damp) -> bool {
        self.factor.factor(&self.matrix, |_, entry| damp.of(entry))
    }

    pub(crate) fn solve(&self, x: &mut [f64]) {
        self.factor.solve(x);
    }
}

/// Adds the upper triangle, row-major, of JᵀJ, cost by cost.
pub(crate) fn add_blocks(objective: &Objective, at: &Linearisation, matrix: &mut [f64]) {
    let n = objective.tangent;
    for term in &objective.terms {
        for row in at.block(term).chunks_exact(term.width) {
            if let Some(first) = term.first {
                for (a, value) in row.iter().enumerate() {
                    let place = (first + a) * n + first;
                    axpy(
                        *value,
                        &row[a..],
                        &mut matrix[place + a..place + term.width],
                    );
                }
                continue;
            }
            for (a, value) in row.iter().enumerate() {
                for (b, other) in row.iter().enumerate().skip(a) {
                    let (i, j) = (term.columns[a], term.columns[b]);
                    matrix[i.min(j) * n + i.max(j)] += value * other;
                }
            }
        }
    }
}
