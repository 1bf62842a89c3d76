//! The derivative of the fixed point.

use std::sync::Arc;

use faer::linalg::solvers::Solve;
use faer::{Mat, MatRef};
use feasible_core::host::HostAdjoint;
use feasible_kernels::{dot, norm};
use rayon::prelude::*;

use super::PiNetSettings;
use super::iterate::{Fixed, Sample};
use super::lift::{Lift, Role};

/// What the backward pass needs of a solved batch.
#[derive(Debug)]
pub(super) struct FixedPoints {
    pub(super) lift: Arc<Lift>,
    pub(super) samples: Vec<Sample>,
    pub(super) fixed: Vec<Fixed>,
    pub(super) settings: PiNetSettings,
    /// Rows of the constraints.
    pub(super) rows: usize,
    /// Whether the batch shares the lower and the upper bounds.
    pub(super) shared: [bool; 2],
}

/// Which bound of an entry of (x, w) is met.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Held {
    Free,
    Low,
    High,
}

/// One sample's gradients.
struct Gradients {
    y: Vec<f64>,
    lower: Vec<f64>,
    upper: Vec<f64>,
}

impl FixedPoints {
    /// With Π = I − B⁺B and D the derivative of the box step, the fixed point's adjoint u solves
    /// ω[Π(u − 2Du) + Du] = Π(x̄, 0); what t and the offset depend on follows from it.
    fn sample(&self, index: usize, cotangent: &[f64]) -> Gradients {
        let (lift, sample, fixed) = (&self.lift, &self.samples[index], &self.fixed[index]);
        let PiNetSettings { sigma, omega, .. } = self.settings;
        let (n, size) = (lift.n, lift.size);
        let projection = lift.projection(index);
        let mut out = Gradients {
            y: vec![0.0; n],
            lower: vec![0.0; self.rows],
            upper: vec![0.0; self.rows],
        };
        if cotangent.iter().all(|c| *c == 0.0) || !fixed.z.iter().all(|v| v.is_finite()) {
            return out;
        }
        let d = |at: usize| lift.columns[at];
        let pull = |at: usize| 1.0 + 2.0 * sigma * d(at) * d(at);
        let held: Vec<Held> = (0..size)
            .map(|at| {
                let r = 2.0 * fixed.z[at] - fixed.s[at];
                let inner = match at < n {
                    true => (2.0 * sigma * d(at) * sample.y[at] + r) / pull(at),
                    false => r,
                };
                if inner <= sample.low[at] {
                    Held::Low
                } else if inner >= sample.high[at] {
                    Held::High
                } else {
                    Held::Free
                }
            })
            .collect();
        let slope: Vec<f64> = (0..size)
            .map(|at| match held[at] {
                Held::Free if at < n => 1.0 / pull(at),
                Held::Free => 1.0,
                _ => 0.0,
            })
            .collect();
        let apply = |u: &[f64]| -> Vec<f64> {
            let left: Vec<f64> = (0..size).map(|i| u[i] * (1.0 - 2.0 * slope[i])).collect();
            let mut product = times(projection, &left);
            for i in 0..size {
                product[i] = omega * (product[i] + slope[i] * u[i]);
            }
            product
        };
        let scaled = cotangent.iter().zip(&lift.columns);
        let mut lifted: Vec<f64> = scaled.map(|(c, d)| c * d).collect();
        lifted.resize(size, 0.0);
        let right = times(projection, &lifted);
        let (iterations, tolerance) = (
            self.settings.backward_iterations,
            self.settings.backward_tolerance,
        );
        let u = bicgstab(&apply, &right, iterations, tolerance).unwrap_or_else(|| {
            let matrix = Mat::from_fn(size, size, |i, j| {
                let diagonal = if i == j { slope[i] } else { 0.0 };
                omega * (projection[(i, j)] * (1.0 - 2.0 * slope[j]) + diagonal)
            });
            directly(&matrix, &right, tolerance)
        });

        for at in 0..n {
            if held[at] == Held::Free {
                out.y[at] = omega * u[at] * 2.0 * sigma * d(at) / pull(at);
            }
        }
        // The offset moves z, and so the output and both terms of t − z.
        let of_offset: Vec<f64> = (0..size)
            .map(|i| lifted[i] + omega * (2.0 * slope[i] - 1.0) * u[i])
            .collect();
        let particular = lift.particular(index);
        for (row, role) in lift.roles.iter().enumerate() {
            match *role {
                Role::Equality(at) => {
                    let column = particular.col(at).iter().zip(&of_offset);
                    let gradient: f64 = column.map(|(a, b)| a * b).sum();
                    (out.lower[row], out.upper[row]) = (0.5 * gradient, 0.5 * gradient);
                }
                Role::Box { at, scale } => {
                    let gradient = omega * u[at] / scale;
                    match (held[at], scale > 0.0) {
                        (Held::Free, _) => {}
                        (Held::Low, true) | (Held::High, false) => out.lower[row] = gradient,
                        (Held::High, true) | (Held::Low, false) => out.upper[row] = gradient,
                    }
                }
            }
        }
        out
    }
}

impl HostAdjoint for FixedPoints {
    fn vjp(&self, cotangent: &[f64]) -> Vec<Vec<f64>> {
        let samples: Vec<Gradients> = cotangent
            .par_chunks_exact(self.lift.n)
            .enumerate()
            .map(|(index, cotangent)| self.sample(index, cotangent))
            .collect();
        let side = |of: fn(&Gradients) -> &[f64], shared: bool| {
            let all: Vec<f64> = samples.iter().flat_map(|g| of(g).to_vec()).collect();
            crate::linear::reduce(all, self.rows, shared)
        };
        vec![
            samples.iter().flat_map(|g| g.y.clone()).collect(),
            side(|g| &g.lower, self.shared[0]),
            side(|g| &g.upper, self.shared[1]),
        ]
    }
}

fn times(matrix: MatRef<'_, f64>, v: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; matrix.nrows()];
    for (j, &v) in v.iter().enumerate() {
        if v != 0.0 {
            for (out, entry) in out.iter_mut().zip(matrix.col(j).iter()) {
                *out += entry * v;
            }
        }
    }
    out
}

/// BiCGSTAB (van der Vorst, SIAM J. Sci. Stat. Comput. 13, 1992) from zero; `None` where the residual
/// does not fall to `tolerance` of the right-hand side.
fn bicgstab(
    apply: &impl Fn(&[f64]) -> Vec<f64>,
    right: &[f64],
    iterations: usize,
    tolerance: f64,
) -> Option<Vec<f64>> {
    let size = right.len();
    let limit = tolerance * norm(right);
    let mut x = vec![0.0; size];
    let mut r = right.to_vec();
    let shadow = r.clone();
    let (mut rho, mut alpha, mut omega) = (1.0, 1.0, 1.0);
    let (mut v, mut p) = (vec![0.0; size], vec![0.0; size]);
    for _ in 0..iterations {
        if norm(&r) <= limit {
            // The recursion's residual drifts from the true one.
            let ax = apply(&x);
            let true_residual: Vec<f64> = right.iter().zip(&ax).map(|(b, a)| b - a).collect();
            return (norm(&true_residual) <= 10.0 * limit).then_some(x);
        }
        let next = dot(&shadow, &r);
        let beta = next / rho * (alpha / omega);
        rho = next;
        for i in 0..size {
            p[i] = r[i] + beta * (p[i] - omega * v[i]);
        }
        v = apply(&p);
        alpha = rho / dot(&shadow, &v);
        let half: Vec<f64> = (0..size).map(|i| r[i] - alpha * v[i]).collect();
        let t = apply(&half);
        let length = dot(&t, &t);
        omega = if length > 0.0 {
            dot(&t, &half) / length
        } else {
            0.0
        };
        for i in 0..size {
            x[i] += alpha * p[i] + omega * half[i];
            r[i] = half[i] - omega * t[i];
        }
        if !(alpha.is_finite() && omega.is_finite() && rho != 0.0) {
            return None;
        }
        if omega == 0.0 && norm(&r) > limit {
            return None;
        }
    }
    None
}

/// The solution by a factorisation; the shortest least-squares one, by singular values, where that
/// leaves more than `tolerance` of the right-hand side.
fn directly(matrix: &Mat<f64>, right: &[f64], tolerance: f64) -> Vec<f64> {
    let size = right.len();
    let mut x = Mat::from_fn(size, 1, |i, _| right[i]);
    matrix.partial_piv_lu().solve_in_place(x.as_mut());
    let x: Vec<f64> = x.col(0).iter().copied().collect();
    let product = times(matrix.as_ref(), &x);
    let left: f64 = product
        .iter()
        .zip(right)
        .map(|(a, b)| (a - b).powi(2))
        .sum();
    // Written so that a NaN, which a singular matrix makes, fails it.
    if left <= tolerance * tolerance * dot(right, right) {
        return x;
    }
    let Ok(svd) = matrix.thin_svd() else {
        return vec![0.0; size];
    };
    let (u, s, v) = (svd.U(), svd.S().column_vector(), svd.V());
    let largest = s.iter().copied().fold(0.0, f64::max);
    let cut = largest * f64::EPSILON * 10.0 * size as f64;
    let mut out = vec![0.0; size];
    for k in 0..size {
        if s[k] > cut {
            let along: f64 = (0..size).map(|i| u[(i, k)] * right[i]).sum();
            for i in 0..size {
                out[i] += v[(i, k)] * along / s[k];
            }
        }
    }
    out
}
