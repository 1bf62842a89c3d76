//! The step of one sample of any size.

use feasible_kernels::{
    Cholesky, all_finite, axpy_lines, dot, gram_of_columns, gram_of_rows, vectorised,
};

use super::Linear;

/// A step with what its adjoint needs.
#[derive(Debug)]
pub(super) struct One {
    pub(super) sample: usize,
    pub(super) delta: Vec<f64>,
    /// The rows that took part, where it was not all of them.
    rows: Option<Vec<usize>>,
    /// By rows t, by variables s − BΔ: what multiplies the rows in the adjoint.
    multiplier: Vec<f64>,
    /// Of the matrix that was solved with; of size 0 without rows.
    factor: Vec<f64>,
}

/// What one thread needs.
pub(super) struct Scratch {
    cholesky: Cholesky,
    /// BBᵀ or BᵀB.
    matrix: Vec<f64>,
    /// B and s of the rows that take part, where it is not all of them.
    gathered: (Vec<f64>, Vec<f64>),
    /// What the adjoint multiplies, over the rows and the variables.
    reverse: (Vec<f64>, Vec<f64>),
}

/// Whether the system over `rows` rows is that of the rows.
fn by_rows(rows: usize, variables: usize) -> bool {
    rows <= variables
}

impl Scratch {
    pub(super) fn new(rows: usize, variables: usize) -> Self {
        let size = rows.min(variables);
        Self {
            cholesky: Cholesky::new(size),
            matrix: vec![0.0; size * size],
            gathered: (vec![], vec![]),
            reverse: (vec![], vec![0.0; variables]),
        }
    }

    /// `None` where the matrix is singular or a number overflowed.
    pub(super) fn solve(&mut self, linear: &Linear, sample: usize, damping: f64) -> Option<One> {
        let n = linear.variables;
        let (all, residual) = (linear.jacobian_of(sample), linear.residual_of(sample));
        let takes_part =
            |i: usize| residual[i] != 0.0 || all[i * n..][..n].iter().any(|&b| b != 0.0);
        let rows = match (0..linear.rows).all(takes_part) {
            true => None,
            false => Some(
                (0..linear.rows)
                    .filter(|i| takes_part(*i))
                    .collect::<Vec<_>>(),
            ),
        };
        let (b, s) = match &rows {
            None => (all, residual),
            Some(rows) => {
                let (b, s) = &mut self.gathered;
                gather(rows, all, n, b);
                s.clear();
                s.extend(rows.iter().map(|&i| residual[i]));
                (&b[..], &s[..])
            }
        };
        let (m, mut delta) = (s.len(), vec![0.0; n]);
        let size = m.min(n);
        let matrix = &mut self.matrix[..size * size];
        let cholesky = &mut self.cholesky;
        if m == 0 {
            return Some(One {
                sample,
                rows,
                multiplier: vec![],
                delta,
                factor: vec![],
            });
        }
        if by_rows(m, n) {
            gram_of_rows(b, m, n, matrix);
        } else {
            gram_of_columns(b, m, n, matrix);
        }
        cholesky.resize(size);
        // With λ in the diagonal, so that it counts where it is what keeps a row apart.
        if !cholesky.factor(matrix, |_, _| damping) {
            return None;
        }
        let mut multiplier = s.to_vec();
        vectorised(
            #[inline(always)]
            || {
                if by_rows(m, n) {
                    cholesky.solve(&mut multiplier);
                    axpy_lines(|i| multiplier[i], b, n, &mut delta);
                } else {
                    axpy_lines(|i| s[i], b, n, &mut delta);
                    cholesky.solve(&mut delta);
                    for (left, row) in multiplier.iter_mut().zip(b.chunks_exact(n)) {
                        *left -= dot(row, &delta);
                    }
                }
            },
        );
        all_finite(&delta).then(|| One {
            sample,
            rows,
            multiplier,
            delta,
            factor: cholesky.kept().to_vec(),
        })
    }

    /// Writes ∂L/∂B and ∂L/∂s for ∂L/∂Δ = `cotangent`, which is that of the batch.
    ///
    /// By variables, with q = (BᵀB + λI)⁻¹ Δ̄: s̄ = Bq, B̄ = (s − BΔ) qᵀ − s̄ Δᵀ.
    /// By rows, with s̄ = (BBᵀ + λI)⁻¹ B Δ̄: B̄ = t (Δ̄ − Bᵀs̄)ᵀ − s̄ Δᵀ.
    pub(super) fn vjp(
        &mut self,
        linear: &Linear,
        one: &One,
        cotangent: &[f64],
        (jacobian, residual): (&mut [f64], &mut [f64]),
    ) {
        let (m, n) = (one.multiplier.len(), linear.variables);
        if m == 0 {
            return;
        }
        let cotangent = &cotangent[one.sample * n..][..n];
        let b = match &one.rows {
            None => linear.jacobian_of(one.sample),
            Some(rows) => {
                let all = linear.jacobian_of(one.sample);
                gather(rows, all, n, &mut self.gathered.0);
                &self.gathered.0
            }
        };
        self.cholesky.resize(m.min(n));
        self.cholesky.restore(&one.factor);
        let (cholesky, (residual_bar, q)) = (&self.cholesky, &mut self.reverse);
        residual_bar.clear();
        residual_bar.resize(m, 0.0);
        q.copy_from_slice(cotangent);
        let row_of = |i: usize| one.rows.as_ref().map_or(i, |rows| rows[i]);
        vectorised(
            #[inline(always)]
            || {
                if by_rows(m, n) {
                    product(b, q, residual_bar);
                    cholesky.solve(residual_bar);
                    axpy_lines(|i| -residual_bar[i], b, n, q);
                } else {
                    cholesky.solve(q);
                    product(b, q, residual_bar);
                }
                for i in 0..m {
                    let (row, t, s) = (row_of(i), one.multiplier[i], residual_bar[i]);
                    residual[row] = s;
                    let out = &mut jacobian[row * n..][..n];
                    for ((out, q), delta) in out.iter_mut().zip(q.iter()).zip(&one.delta) {
                        *out = t * q - s * delta;
                    }
                }
            },
        );
    }
}

/// The rows of B that are listed.
fn gather(rows: &[usize], b: &[f64], n: usize, out: &mut Vec<f64>) {
    out.clear();
    rows.iter()
        .for_each(|&row| out.extend_from_slice(&b[row * n..][..n]));
}

/// out = B x.
#[inline(always)]
fn product(b: &[f64], x: &[f64], out: &mut [f64]) {
    for (out, row) in out.iter_mut().zip(b.chunks_exact(x.len())) {
        *out = dot(row, x);
    }
}
