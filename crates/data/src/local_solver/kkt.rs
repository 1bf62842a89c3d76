//! How far a point is from satisfying the optimality conditions.

use super::{Optimum, OptimumStatus, TOLERANCE};
use crate::recipes::{Error, Instance};

/// A point of one sample with its multipliers.
#[derive(Clone, Debug)]
pub(super) struct Point {
    /// The input, `[eq]`.
    pub(super) x: Vec<f64>,
    /// The point, `[n]`.
    pub(super) y: Vec<f64>,
    /// Multipliers of the equality rows, `[eq]`.
    pub(super) equality_dual: Vec<f64>,
    /// Multipliers of the inequality rows, `[ineq]`, not negative at an optimum.
    pub(super) ineq_dual: Vec<f64>,
}

impl Point {
    /// The largest absolute entry of the KKT conditions (Karush 1939; Kuhn & Tucker 1951): `∇f + Eᵀν + Σ λ_i ∇g_i`,
    /// the constraint violation, `λ_i (g_i - u_i)` and the negative part of `λ`. NaN counts as infinite.
    pub(super) fn kkt_residual(&self, instance: &Instance) -> Result<f64, Error> {
        let n = instance.size().n;
        let parts = instance.parts();
        let mut lagrangian = instance.objective_gradient(&self.y)?;
        for (row, dual) in parts.equality.chunks_exact(n).zip(&self.equality_dual) {
            add_scaled(&mut lagrangian, row, *dual);
        }
        for (row, dual) in parts.ineq.chunks_exact(n).zip(&self.ineq_dual) {
            add_scaled(&mut lagrangian, row, *dual);
        }
        if let Some(diagonals) = &parts.ineq_diagonals {
            for (row, dual) in diagonals.chunks_exact(n).zip(&self.ineq_dual) {
                for ((entry, d), y) in lagrangian.iter_mut().zip(row).zip(&self.y) {
                    *entry += 2.0 * dual * d * y;
                }
            }
        }
        let complementarity = instance
            .inequality(&self.y)?
            .into_iter()
            .zip(&parts.upper)
            .zip(&self.ineq_dual)
            .map(|((g, u), dual)| (dual * (g - u)).abs());
        let negative = self.ineq_dual.iter().map(|dual| -dual);
        let violation = instance.violation(&self.x, &self.y)?;
        Ok(lagrangian
            .iter()
            .map(|v| v.abs())
            .chain(complementarity)
            .chain(negative)
            .fold(violation, |worst, v| {
                if v.is_nan() {
                    f64::INFINITY
                } else {
                    worst.max(v)
                }
            }))
    }

    /// The sample's result, given what the method that made the point says of it.
    pub(super) fn optimum(
        self,
        instance: &Instance,
        said: OptimumStatus,
    ) -> Result<Optimum, Error> {
        let kkt_residual = self.kkt_residual(instance)?;
        let status = match said {
            OptimumStatus::Infeasible | OptimumStatus::Unbounded => said,
            _ if kkt_residual <= TOLERANCE => OptimumStatus::Optimal,
            _ => OptimumStatus::Unconverged,
        };
        Ok(Optimum {
            objective: instance.objective(&self.y)?,
            y: self.y,
            status,
            kkt_residual,
        })
    }
}

fn add_scaled(sum: &mut [f64], row: &[f64], factor: f64) {
    for (entry, r) in sum.iter_mut().zip(row) {
        *entry += factor * r;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipes::{Parts, Recipe, Size};

    /// `½|y|² + y₀ + y₁` with `y₀ = x` and `y₁² - y₁ ≤ 6`, so `-2 ≤ y₁ ≤ 3`: the optimum `y₁ = -1` is free.
    fn instance(upper: f64) -> Instance {
        let size = Size {
            n: 2,
            eq: 1,
            ineq: 1,
            samples: 3,
        };
        let parts = Parts {
            q: vec![1.0, 1.0],
            p: vec![1.0, 1.0],
            equality: vec![1.0, 0.0],
            x: vec![0.0; 3],
            ineq: vec![0.0, -1.0],
            ineq_diagonals: Some(vec![0.0, 1.0]),
            upper: vec![upper],
        };
        Instance::new(Recipe::SnareQcqp, size, 0, parts).unwrap()
    }

    fn point(y: [f64; 2], nu: f64, lambda: f64) -> Point {
        Point {
            x: vec![0.0],
            y: y.to_vec(),
            equality_dual: vec![nu],
            ineq_dual: vec![lambda],
        }
    }

    /// With bound 6 the row is slack; with bound 0 (`0 ≤ y₁ ≤ 1`) it holds `y₁ = 0` with multiplier 1.
    #[test]
    fn optima_have_no_residual_and_each_defect_is_seen() {
        let free = instance(6.0);
        let held = instance(0.0);
        let residual =
            |instance, y, nu, lambda| point(y, nu, lambda).kkt_residual(instance).unwrap();
        assert_eq!(residual(&free, [0.0, -1.0], -1.0, 0.0), 0.0);
        assert_eq!(residual(&held, [0.0, 0.0], -1.0, 1.0), 0.0);
        // Gradient, equality, inequality, complementarity, sign, NaN.
        assert_eq!(residual(&free, [0.0, -1.0], -0.5, 0.0), 0.5);
        assert_eq!(residual(&free, [0.25, -1.0], -1.25, 0.0), 0.25);
        assert_eq!(residual(&held, [0.0, -1.0], -1.0, 0.0), 2.0);
        assert_eq!(residual(&free, [0.0, -1.0], -1.0, 0.25), 1.0);
        assert_eq!(residual(&held, [0.0, 0.0], -1.0, -0.5), 1.5);
        assert_eq!(residual(&free, [f64::NAN, -1.0], -1.0, 0.0), f64::INFINITY);
    }
}
