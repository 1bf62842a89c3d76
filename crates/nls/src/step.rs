//! The damped step of a batch, on the host in f64, and its vector-Jacobian product.
//!
//! Δ minimises ½‖s − BΔ‖² + ½λ‖Δ‖² for a weighted Jacobian B, `[m, n]`, and residual s:
//!
//! - by variables, (BᵀB + λI) Δ = Bᵀs, where there are more rows than variables;
//! - by rows, Δ = Bᵀt with (BBᵀ + λI) t = s, elsewhere. The two agree for λ > 0 (push-through
//!   identity); at λ = 0 the first is the least-squares step, the second the shortest solution of
//!   BΔ = s.
//!
//! Rows of zeros with residual zero are left out: they change nothing but the size of the matrix.

use std::sync::Arc;

use faer::linalg::solvers::{Llt, Solve};
use faer::{Accum, Col, Mat, Par, Side};
use feasible_core::host::HostAdjoint;
use feasible_solver::damped::pivot_is_rounding;
use rayon::prelude::*;

/// The numbers of one linearisation, all row-major.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(crate) rows: usize,
    pub(crate) variables: usize,
    /// B, `[batch, m, n]`.
    pub(crate) jacobian: Vec<f64>,
    /// s, `[batch, m]`.
    pub(crate) residual: Vec<f64>,
}

/// The steps of a batch.
#[derive(Debug)]
pub(crate) struct Steps {
    /// Δ, `[batch, n]`; zero for samples without a step.
    pub(crate) delta: Vec<f64>,
    /// Per sample; `None` where no step was asked for or its matrix was singular.
    samples: Vec<Option<Sample>>,
}

/// One sample's step with what its adjoint needs.
#[derive(Debug)]
struct Sample {
    /// The rows that took part.
    rows: Vec<usize>,
    /// Their B.
    jacobian: Mat<f64>,
    /// By rows t, by variables s − BΔ: what multiplies the rows in the adjoint.
    multiplier: Col<f64>,
    delta: Col<f64>,
    factor: Option<Llt<f64>>,
    by_rows: bool,
}

impl Linear {
    pub(crate) fn batch(&self) -> usize {
        self.residual.len().checked_div(self.rows).unwrap_or(0)
    }

    pub(crate) fn jacobian_of(&self, sample: usize) -> &[f64] {
        let size = self.rows * self.variables;
        &self.jacobian[sample * size..][..size]
    }

    pub(crate) fn residual_of(&self, sample: usize) -> &[f64] {
        &self.residual[sample * self.rows..][..self.rows]
    }

    /// Computes the steps of the samples in `live` with damping `damping`, both one a sample.
    pub(crate) fn steps(&self, damping: &[f64], live: &[bool]) -> Steps {
        let samples: Vec<_> = (0..self.batch())
            .into_par_iter()
            .map(|sample| {
                if !live[sample] {
                    return None;
                }
                Sample::solve(
                    self.jacobian_of(sample),
                    self.residual_of(sample),
                    self.variables,
                    damping[sample],
                )
            })
            .collect();
        let mut delta = vec![0.0; self.batch() * self.variables];
        for (sample, delta) in samples.iter().zip(delta.chunks_exact_mut(self.variables)) {
            if let Some(sample) = sample {
                delta.copy_from_slice(
                    sample
                        .delta
                        .try_as_col_major()
                        .expect("one column")
                        .as_slice(),
                );
            }
        }
        Steps { delta, samples }
    }

    /// ½ Δᵀ(λΔ + Bᵀs): by how much the damped linearisation says that the cost falls.
    pub(crate) fn predicted_decrease(&self, sample: usize, delta: &[f64], damping: f64) -> f64 {
        let mut total: f64 = delta.iter().map(|d| damping * d * d).sum();
        for (row, s) in self
            .jacobian_of(sample)
            .chunks_exact(self.variables)
            .zip(self.residual_of(sample))
        {
            total += s * row.iter().zip(delta).map(|(b, d)| b * d).sum::<f64>();
        }
        0.5 * total
    }
}

impl Steps {
    /// Whether a step was found for a sample.
    pub(crate) fn solved(&self, sample: usize) -> bool {
        self.samples[sample].is_some()
    }

    /// Takes a sample's step back: zero, without a gradient.
    pub(crate) fn reject(&mut self, sample: usize, variables: usize) {
        self.delta[sample * variables..][..variables].fill(0.0);
        self.samples[sample] = None;
    }

    /// The adjoint with respect to B and s, in that order.
    pub(crate) fn into_adjoint(self, rows: usize, variables: usize) -> Arc<dyn HostAdjoint> {
        Arc::new(StepAdjoint {
            rows,
            variables,
            samples: self.samples,
        })
    }
}

impl Sample {
    /// `None` where the matrix is singular or a number overflowed.
    fn solve(jacobian: &[f64], residual: &[f64], n: usize, damping: f64) -> Option<Self> {
        let rows: Vec<usize> = (0..residual.len())
            .filter(|&i| residual[i] != 0.0 || jacobian[i * n..][..n].iter().any(|&b| b != 0.0))
            .collect();
        let b = Mat::from_fn(rows.len(), n, |i, j| jacobian[rows[i] * n + j]);
        let s = Col::from_fn(rows.len(), |i| residual[rows[i]]);
        let by_rows = rows.len() <= n;
        if rows.is_empty() {
            let (multiplier, delta) = (Col::zeros(0), Col::zeros(n));
            return Some(Self {
                rows,
                jacobian: b,
                multiplier,
                delta,
                factor: None,
                by_rows,
            });
        }
        let size = if by_rows { rows.len() } else { n };
        let mut matrix = Mat::<f64>::zeros(size, size);
        let (lhs, rhs) = if by_rows {
            (b.as_ref(), b.transpose())
        } else {
            (b.transpose(), b.as_ref())
        };
        faer::linalg::matmul::matmul(matrix.as_mut(), Accum::Replace, lhs, rhs, 1.0, Par::Seq);
        for i in 0..size {
            matrix[(i, i)] += damping;
        }
        if !(0..size).all(|i| matrix[(i, i)].is_finite()) {
            return None;
        }
        let factor = Llt::new(matrix.as_ref(), Side::Lower).ok()?;
        // With λ in the diagonal, so that it counts where it is what keeps a row apart.
        let lost = |i: usize| pivot_is_rounding(factor.L()[(i, i)].powi(2), matrix[(i, i)], size);
        if (0..size).any(lost) {
            return None;
        }
        let (multiplier, delta) = if by_rows {
            let mut t = s;
            factor.solve_in_place(t.as_mat_mut());
            let delta = b.transpose() * &t;
            (t, delta)
        } else {
            let mut delta = b.transpose() * &s;
            factor.solve_in_place(delta.as_mat_mut());
            (s - &b * &delta, delta)
        };
        if !delta.iter().all(|d| d.is_finite()) {
            return None;
        }
        Some(Self {
            rows,
            jacobian: b,
            multiplier,
            delta,
            factor: Some(factor),
            by_rows,
        })
    }

    /// Writes ∂L/∂B and ∂L/∂s of this sample for ∂L/∂Δ = `cotangent`.
    ///
    /// By variables, with q = (BᵀB + λI)⁻¹ Δ̄: s̄ = Bq, B̄ = (s − BΔ) qᵀ − s̄ Δᵀ.
    /// By rows, with s̄ = (BBᵀ + λI)⁻¹ B Δ̄: B̄ = t (Δ̄ − Bᵀs̄)ᵀ − s̄ Δᵀ.
    fn vjp(&self, cotangent: &[f64], jacobian: &mut [f64], residual: &mut [f64]) {
        let Some(factor) = &self.factor else { return };
        let n = cotangent.len();
        let cotangent = Col::from_fn(n, |j| cotangent[j]);
        let (residual_bar, q) = if self.by_rows {
            let mut p = &self.jacobian * &cotangent;
            factor.solve_in_place(p.as_mat_mut());
            let q = &cotangent - self.jacobian.transpose() * &p;
            (p, q)
        } else {
            let mut q = cotangent;
            factor.solve_in_place(q.as_mat_mut());
            (&self.jacobian * &q, q)
        };
        for (i, &row) in self.rows.iter().enumerate() {
            residual[row] = residual_bar[i];
            for (j, out) in jacobian[row * n..][..n].iter_mut().enumerate() {
                *out = self.multiplier[i] * q[j] - residual_bar[i] * self.delta[j];
            }
        }
    }
}

#[derive(Debug)]
struct StepAdjoint {
    rows: usize,
    variables: usize,
    samples: Vec<Option<Sample>>,
}

impl HostAdjoint for StepAdjoint {
    fn vjp(&self, cotangent: &[f64]) -> Vec<Vec<f64>> {
        let (m, n) = (self.rows, self.variables);
        let mut jacobian = vec![0.0; self.samples.len() * m * n];
        let mut residual = vec![0.0; self.samples.len() * m];
        (
            &self.samples,
            cotangent.par_chunks_exact(n),
            jacobian.par_chunks_exact_mut(m * n),
            residual.par_chunks_exact_mut(m),
        )
            .into_par_iter()
            .for_each(|(sample, cotangent, jacobian, residual)| {
                if let Some(sample) = sample {
                    sample.vjp(cotangent, jacobian, residual);
                }
            });
        vec![jacobian, residual]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{normal, rng};

    fn random(seed: u64, batch: usize, m: usize, n: usize) -> Linear {
        let mut rng = rng(seed);
        Linear {
            rows: m,
            variables: n,
            jacobian: normal(&mut rng, batch * m * n),
            residual: normal(&mut rng, batch * m),
        }
    }

    /// The step solves its optimality condition Bᵀ(s − BΔ) = λΔ.
    fn stationarity_error(linear: &Linear, steps: &Steps, damping: f64) -> f64 {
        let n = linear.variables;
        let mut worst: f64 = 0.0;
        for b in 0..linear.batch() {
            let delta = &steps.delta[b * n..][..n];
            let mut gradient: Vec<f64> = delta.iter().map(|d| -damping * d).collect();
            for (row, s) in linear
                .jacobian_of(b)
                .chunks_exact(n)
                .zip(linear.residual_of(b))
            {
                let left = s - row.iter().zip(delta).map(|(b, d)| b * d).sum::<f64>();
                gradient
                    .iter_mut()
                    .zip(row)
                    .for_each(|(g, b)| *g += b * left);
            }
            worst = gradient.iter().fold(worst, |a, g| a.max(g.abs()));
        }
        worst
    }

    #[test]
    fn steps_are_stationary_in_both_forms() {
        for (m, n) in [(1, 1), (3, 5), (5, 5), (7, 4), (20, 30)] {
            for damping in [0.0, 1e-2, 10.0] {
                let linear = random(m as u64, 4, m, n);
                let steps = linear.steps(&[damping; 4], &[true; 4]);
                // Square Gaussian matrices of this size have condition numbers below 1e3; squared,
                // times rounding 1e-16, times entries of order 10.
                assert!(
                    stationarity_error(&linear, &steps, damping) < 1e-8,
                    "{m} rows, {n} variables, damping {damping}"
                );
            }
        }
    }

    #[test]
    fn undamped_steps_with_few_rows_are_the_shortest_solutions() {
        let linear = Linear {
            rows: 1,
            variables: 2,
            jacobian: vec![3.0, 4.0],
            residual: vec![25.0],
        };
        let steps = linear.steps(&[0.0], &[true]);
        assert!(
            (steps.delta[0] - 3.0).abs() < 1e-14 && (steps.delta[1] - 4.0).abs() < 1e-14,
            "{:?}",
            steps.delta
        );
    }

    #[test]
    fn undamped_steps_with_many_rows_are_least_squares() {
        // Rows ±y_i, of which one asks for 2: BᵀB = 2I.
        let linear = Linear {
            rows: 4,
            variables: 2,
            jacobian: vec![1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, -1.0],
            residual: vec![2.0, 0.0, 0.0, 0.0],
        };
        let delta = linear.steps(&[0.0], &[true]).delta;
        assert!(
            (delta[0] - 1.0).abs() < 1e-15 && delta[1] == 0.0,
            "{delta:?}"
        );
    }

    #[test]
    fn a_pivot_is_compared_with_its_own_row_and_damping() {
        let solved = |jacobian: Vec<f64>, damping: f64| {
            let linear = Linear {
                rows: 2,
                variables: 2,
                jacobian,
                residual: vec![1.0, 2.0],
            };
            linear.steps(&[damping], &[true]).solved(0)
        };
        for damping in [0.0, 1e-2] {
            assert!(
                solved(vec![2e7, 0.0, 0.0, 1.0], damping),
                "rows of different size"
            );
        }
        // The same row twice: damping keeps them apart while it is more than rounding.
        assert!(solved(vec![1.0, 1.0, 1.0, 1.0], 1e-2));
        assert!(!solved(vec![1.0, 1.0, 1.0, 1.0], 0.0));
        assert!(!solved(vec![1e8, 1e8, 1e8, 1e8], 1e-2));
    }

    #[test]
    fn rows_of_zeros_change_nothing() {
        let few = random(3, 1, 2, 4);
        let mut jacobian = vec![0.0; 4 * 4];
        jacobian[4..12].copy_from_slice(&few.jacobian);
        let residual = vec![0.0, few.residual[0], few.residual[1], 0.0];
        let many = Linear {
            rows: 4,
            variables: 4,
            jacobian,
            residual,
        };
        for damping in [0.0, 0.1] {
            let (a, b) = (
                few.steps(&[damping], &[true]),
                many.steps(&[damping], &[true]),
            );
            assert_eq!(a.delta, b.delta);
            let (a, b) = (a.into_adjoint(2, 4), b.into_adjoint(4, 4));
            let (a, b) = (a.vjp(&[1.0, -2.0, 0.5, 3.0]), b.vjp(&[1.0, -2.0, 0.5, 3.0]));
            assert_eq!(a[0], b[0][4..12]);
            assert_eq!(a[1], b[1][1..3]);
            assert!(b[0][..4].iter().chain(&b[0][12..]).all(|v| *v == 0.0));
        }
    }

    #[test]
    fn singular_and_overflowing_samples_are_left_out_alone() {
        let mut linear = random(5, 3, 2, 3);
        let clean = linear.steps(&[0.0; 3], &[true; 3]);
        // Sample 0: its rows are multiples; sample 2: squares overflow.
        let first: Vec<f64> = linear.jacobian[..3].iter().map(|b| 3.0 * b).collect();
        linear.jacobian[3..6].copy_from_slice(&first);
        linear.jacobian[12] = 1e200;
        let steps = linear.steps(&[0.0; 3], &[true; 3]);
        assert_eq!(
            [steps.solved(0), steps.solved(1), steps.solved(2)],
            [false, true, false]
        );
        assert_eq!(steps.delta[..3], [0.0; 3]);
        assert_eq!(steps.delta[3..6], clean.delta[3..6]);
        let gradients = steps.into_adjoint(2, 3).vjp(&[1.0; 9]);
        assert!(
            gradients[0]
                .iter()
                .chain(&gradients[1])
                .all(|v| v.is_finite())
        );
        assert!(gradients[0][..6].iter().all(|v| *v == 0.0));
    }

    #[test]
    fn adjoints_agree_with_central_differences_in_both_forms() {
        for (m, n) in [(1, 1), (2, 5), (4, 4), (6, 3)] {
            for damping in [0.0, 0.3] {
                let linear = random(40 + m as u64, 3, m, n);
                let cotangent = normal(&mut rng(1), 3 * n);
                let value = |jacobian: &[f64], residual: &[f64]| -> f64 {
                    let linear = Linear {
                        rows: m,
                        variables: n,
                        jacobian: jacobian.to_vec(),
                        residual: residual.to_vec(),
                    };
                    let steps = linear.steps(&[damping; 3], &[true; 3]);
                    steps.delta.iter().zip(&cotangent).map(|(d, c)| d * c).sum()
                };
                let gradients = linear
                    .steps(&[damping; 3], &[true; 3])
                    .into_adjoint(m, n)
                    .vjp(&cotangent);
                let difference = |which: usize, entry: usize, step: f64| {
                    let (mut jacobian, mut residual) =
                        (linear.jacobian.clone(), linear.residual.clone());
                    if which == 0 {
                        jacobian[entry] += step
                    } else {
                        residual[entry] += step
                    }
                    value(&jacobian, &residual)
                };
                for which in 0..2 {
                    let largest = gradients[which]
                        .iter()
                        .fold(1.0, |a: f64, v| a.max(v.abs()));
                    for (entry, exact) in gradients[which].iter().enumerate() {
                        // Fourth order, step 1e-3 times the sensitivity: ill-conditioned samples have
                        // large higher derivatives.
                        let h = 1e-3 / largest;
                        let d = |k: f64| {
                            difference(which, entry, k * h) - difference(which, entry, -k * h)
                        };
                        let quotient = (8.0 * d(1.0) - d(2.0)) / (12.0 * h);
                        let error = (exact - quotient).abs() / largest;
                        assert!(
                            error < 1e-7,
                            "{m}×{n}, damping {damping}, input {which}, entry {entry}: {exact} {quotient}"
                        );
                    }
                }
            }
        }
    }
}
