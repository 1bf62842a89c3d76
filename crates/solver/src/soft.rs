//! Optimality systems whose rows may give way: `[H Eᵀ; E −D] (x, η) = (r, s)` with a diagonal
//! `D ≥ 0`, the rows' compliances.
//!
//! A rigid row, `d = 0`, is one of [`ActiveKkt`]'s. A stiff one becomes a rigid row with a variable
//! of its own, `e·x − √d·τ = s` at a cost `½τ²`, whose limit for `d → 0` is the rigid row. A
//! yielding one is condensed into the Hessian, `H + eeᵀ/d`. Choosing by the larger of the two terms
//! keeps the system as well scaled as the problem for compliances of every size.

use crate::adjoint::direction::Hessian;
use crate::dense::{axpy, dot, vectorised};
use crate::kkt::{ActiveKkt, Memory, Solved};
use crate::size::most;

/// A system, not yet factored.
pub(crate) struct SoftSystem {
    n: usize,
    /// Variables, those of stiff rows included.
    size: usize,
    hessian: Hessian,
    /// Rigid and stiff rows, `[·, size]`.
    rows: Vec<f64>,
    /// How every row of the caller is represented, in its order; empty where all are rigid.
    roles: Vec<Role>,
    /// Whether the matrices, one more variable a stiff row, are in proportion to the rows.
    fits: bool,
}

enum Role {
    /// Among [`SoftSystem::rows`].
    Kept,
    /// Condensed: the row and its compliance.
    Condensed(Vec<f64>, f64),
}

impl SoftSystem {
    /// Sets up `rows`, `[a, n]` row-major, with their compliances, `[a]`, or none where all are rigid.
    pub(crate) fn new(
        n: usize,
        mut hessian: Hessian,
        rows: Vec<f64>,
        compliance: &[f64],
    ) -> SoftSystem {
        if compliance.iter().all(|d| *d == 0.0) {
            return SoftSystem {
                n,
                size: n,
                hessian,
                rows,
                roles: Vec::new(),
                fits: true,
            };
        }
        let force = hessian.as_matrix().max_abs();
        let roles: Vec<Role> = rows
            .chunks_exact(n)
            .zip(compliance)
            .map(|(row, &d)| {
                if d * force > dot(row, row) {
                    Role::Condensed(row.to_vec(), d)
                } else {
                    Role::Kept
                }
            })
            .collect();
        for role in &roles {
            if let Role::Condensed(row, d) = role {
                let dense = hessian.make_dense(n);
                for (line, v) in dense.chunks_exact_mut(n).zip(row) {
                    axpy(v / d, row, line);
                }
            }
        }
        let kept = || {
            let rows = rows.chunks_exact(n).zip(compliance).zip(&roles);
            rows.filter_map(|((row, d), role)| matches!(role, Role::Kept).then_some((row, *d)))
        };
        let stiff = kept().filter(|(_, d)| *d > 0.0).count();
        let size = n + stiff;
        let lines = kept().count() + if hessian.is_diagonal() { 1 } else { size };
        if lines.saturating_mul(size) > most(rows.len() + hessian.as_matrix().len()) {
            return SoftSystem {
                n,
                size,
                hessian,
                rows: Vec::new(),
                roles: Vec::new(),
                fits: false,
            };
        }
        // The new variables cost as much as the others.
        let weight = if force > 0.0 { force } else { 1.0 };
        hessian.append(n, stiff, weight);
        let mut widened = Vec::new();
        let mut next = n;
        for (row, d) in kept() {
            let start = widened.len();
            widened.extend_from_slice(row);
            widened.resize(start + size, 0.0);
            if d > 0.0 {
                widened[start + next] = -(d * weight).sqrt();
                next += 1;
            }
        }
        SoftSystem {
            n,
            size,
            hessian,
            rows: widened,
            roles,
            fits: true,
        }
    }

    /// Factors; `None` when the data leaves the finite numbers, or the matrices would be too large.
    pub(crate) fn factor(&self, rank_tolerance: f64, memory: Memory) -> Option<ActiveKkt<'_>> {
        if !self.fits {
            return None;
        }
        let hessian = self.hessian.as_matrix();
        ActiveKkt::new(self.size, hessian, &self.rows, rank_tolerance, memory)
    }

    /// The memory of the Hessian and of the rows.
    pub(crate) fn into_numbers(self) -> (Vec<f64>, Vec<f64>) {
        (self.hessian.into_numbers(), self.rows)
    }

    /// Solves with the system's own factors, `η` in the caller's order; returns the relative residual left.
    pub(crate) fn solve(&self, kkt: &ActiveKkt<'_>, r: &[f64], s: &[f64], out: &mut Solved) -> f64 {
        if self.roles.is_empty() {
            return vectorised(
                #[inline(always)]
                || kkt.solve(r, s, out),
            );
        }
        let mut r = r.to_vec();
        let mut kept = Vec::with_capacity(s.len());
        for (role, s) in self.roles.iter().zip(s) {
            match role {
                Role::Kept => kept.push(*s),
                Role::Condensed(row, d) => axpy(s / d, row, &mut r),
            }
        }
        r.resize(self.size, 0.0);
        let residual = kkt.solve(&r, &kept, out);
        out.x.truncate(self.n);
        let mut found = out.eta.iter().copied();
        let eta = self
            .roles
            .iter()
            .zip(s)
            .map(|(role, s)| match role {
                Role::Kept => found.next().unwrap_or_default(),
                Role::Condensed(row, d) => (dot(row, &out.x) - s) / d,
            })
            .collect();
        out.eta = eta;
        residual
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Matrix;

    /// Rigid, stiff and yielding rows at once, over twelve orders of compliance.
    #[test]
    fn every_compliance_solves_the_system() {
        let n = 3;
        let rows = [1.0, 2.0, -1.0, 0.0, 3.0, 1.0, 1.0, 0.0, 0.5];
        let dense = [4.0, 1.0, 0.0, 1.0, 3.0, 0.5, 0.0, 0.5, 2.0];
        let (r, s) = ([1.0, -2.0, 0.5], [0.3, -0.7, 2.0]);
        for hessian in [Matrix::Dense(&dense), Matrix::Diagonal(&[4.0, 3.0, 2.0])] {
            for exponent in -8..5 {
                let d = [0.0, 10f64.powi(exponent), 1e-3];
                let owned = match hessian {
                    Matrix::Dense(data) => Hessian::Dense(data.to_vec()),
                    Matrix::Diagonal(data) => Hessian::Diagonal(data.to_vec()),
                };
                let system = SoftSystem::new(n, owned, rows.to_vec(), &d);
                let kkt = system.factor(1e-10, Memory::default()).unwrap();
                assert!(!kkt.deficient);
                let mut solved = Solved::default();
                system.solve(&kkt, &r, &s, &mut solved);
                let Solved { x, eta, .. } = solved;
                let mut left = r.to_vec();
                hessian.add_product(-1.0, &x, &mut left);
                for (i, row) in rows.chunks_exact(n).enumerate() {
                    axpy(-eta[i], row, &mut left);
                    let miss = dot(row, &x) - d[i] * eta[i] - s[i];
                    assert!(miss.abs() < 1e-12, "{exponent}: {miss:e}");
                }
                assert!(crate::dense::max_abs(&left) < 1e-12, "{exponent}");
            }
        }
    }

    /// The limit is the rigid row, also where rigid rows would be dependent.
    #[test]
    fn stiff_duplicates_share_the_load() {
        let rows = vec![1.0, 0.0, 1.0, 0.0];
        let system = SoftSystem::new(2, Hessian::Diagonal(vec![1.0, 1.0]), rows, &[1e-6, 1e-6]);
        let kkt = system.factor(1e-10, Memory::default()).unwrap();
        assert!(!kkt.deficient);
        let mut solved = Solved::default();
        system.solve(&kkt, &[0.0, 1.0], &[1.0, 1.0], &mut solved);
        let Solved { x, eta, .. } = solved;
        // x₀ = −(η₀ + η₁), x₀ − 1e-6·η = 1.
        assert!((eta[0] - eta[1]).abs() < 1e-9);
        assert!((x[0] - 1.0 / (1.0 + 5e-7)).abs() < 1e-12 && (x[1] - 1.0).abs() < 1e-14);
    }
}
