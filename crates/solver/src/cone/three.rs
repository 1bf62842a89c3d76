//! The boundaries of the exponential and the power cone, which have three rows each.
//!
//! Both are `f(s) ≤ 0` with a Hessian of rank one, `c·h hᵀ`. On the boundary a complementary dual is
//! `z = −κ∇f(s)`, `κ > 0`.

use crate::dense::max_abs;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Three {
    /// `y·exp(x/y) ≤ v`.
    Exponential,
    /// `x^α·y^(1−α) ≥ |v|`.
    Power(f64),
}

/// A smooth point of the boundary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Boundary {
    /// Unit normal.
    pub(crate) normal: [f64; 3],
    /// The tangent direction in which the boundary bends, and the curvature of the dual
    /// projection in it; `None` where it is flat.
    pub(crate) bend: Option<([f64; 3], f64)>,
    /// Relative distance to where the boundary stops being smooth.
    pub(crate) distance: f64,
}

/// Newton steps of the projection. Quadratic convergence from a solver's iterate takes five.
const STEPS: usize = 40;

/// `f`, its gradient, and `c`, `h` of its Hessian.
struct Value {
    f: f64,
    gradient: [f64; 3],
    c: f64,
    h: [f64; 3],
}

impl Three {
    /// How far inside the cone a point is, in its own units: 0 on the boundary and outside.
    pub(crate) fn depth(self, s: &[f64; 3]) -> f64 {
        let [x, y, v] = *s;
        let depth = match self {
            Three::Exponential => {
                if y <= 0.0 {
                    return 0.0;
                }
                // Relative to the gradient's size, so that it is a distance to first order.
                let e = (x / y).exp();
                (v - y * e) / (1.0 + e * (1.0 + (1.0 - x / y).abs()))
            }
            Three::Power(alpha) => {
                if x <= 0.0 || y <= 0.0 {
                    return 0.0;
                }
                let g = x.powf(alpha) * y.powf(1.0 - alpha);
                (g - v.abs()) / (1.0 + alpha * g / x + (1.0 - alpha) * g / y)
            }
        };
        positive(depth).min(y)
    }

    /// The same for the dual cone: `{(u, v, w): −u·exp(v/u) ≤ e·w, u < 0}` and
    /// `{(u, v, w): (u/α)^α·(v/(1−α))^(1−α) ≥ |w|}`.
    pub(crate) fn dual_depth(self, z: &[f64; 3]) -> f64 {
        let [u, v, w] = *z;
        match self {
            Three::Exponential => {
                if u >= 0.0 {
                    return 0.0;
                }
                let e = (v / u - 1.0).exp();
                let depth = (w + u * e) / (1.0 + e * (2.0 + (v / u).abs()));
                positive(depth).min(-u)
            }
            Three::Power(alpha) => {
                Three::Power(alpha).depth(&[u / alpha, v / (1.0 - alpha), w])
                    * alpha.min(1.0 - alpha)
            }
        }
    }

    /// `None` outside the domain where the boundary is smooth.
    fn value(self, s: &[f64; 3]) -> Option<Value> {
        let [x, y, v] = *s;
        match self {
            Three::Exponential => {
                if y <= 0.0 {
                    return None;
                }
                let ratio = x / y;
                let e = ratio.exp();
                Some(Value {
                    f: y * e - v,
                    gradient: [e, e * (1.0 - ratio), -1.0],
                    c: e / y,
                    h: [1.0, -ratio, 0.0],
                })
            }
            Three::Power(alpha) => {
                if x <= 0.0 || y <= 0.0 || v == 0.0 {
                    return None;
                }
                let g = x.powf(alpha) * y.powf(1.0 - alpha);
                Some(Value {
                    f: v.abs() - g,
                    gradient: [-alpha * g / x, -(1.0 - alpha) * g / y, v.signum()],
                    c: alpha * (1.0 - alpha) * g,
                    h: [1.0 / x, -1.0 / y, 0.0],
                })
            }
        }
    }

    /// Projects `w` on the dual cone, and `−w` on the cone, by Newton's method on
    /// `s + w + κ∇f(s) = 0`, `f(s) = 0` from the guess. `None` where it does not converge to a
    /// smooth point.
    pub(crate) fn project(
        self,
        w: &[f64; 3],
        s: &mut [f64; 3],
        z: &mut [f64; 3],
    ) -> Option<Boundary> {
        let mut kappa = multiplier(&self.value(s)?.gradient, z);
        let size = 1.0 + max_abs(w);
        let mut last = f64::INFINITY;
        let mut before = (*s, kappa);
        for _ in 0..STEPS {
            let value = self.value(s)?;
            let mut rest = [0.0; 4];
            for i in 0..3 {
                rest[i] = -(s[i] + w[i] + kappa * value.gradient[i]);
            }
            rest[3] = -value.f;
            let error = max_abs(&rest);
            if !(error < last) {
                break;
            }
            (last, before) = (error, (*s, kappa));
            if error == 0.0 {
                break;
            }
            let mut matrix = [[0.0; 4]; 4];
            for i in 0..3 {
                for j in 0..3 {
                    matrix[i][j] = kappa * value.c * value.h[i] * value.h[j];
                }
                matrix[i][i] += 1.0;
                matrix[i][3] = value.gradient[i];
                matrix[3][i] = value.gradient[i];
            }
            let step = solve_four(matrix, rest)?;
            // Stay where the boundary is smooth.
            let mut length = 1.0f64;
            let positive: &[usize] = match self {
                Three::Exponential => &[1],
                Three::Power(_) => &[0, 1],
            };
            for &i in positive {
                if step[i] < 0.0 {
                    length = length.min(-0.9 * s[i] / step[i]);
                }
            }
            for i in 0..3 {
                s[i] += length * step[i];
            }
            kappa += length * step[3];
            if length < 1.0 {
                last = f64::INFINITY;
            }
        }
        // The last step may have led away: rounding, or no step at all.
        (*s, kappa) = before;
        let value = self.value(s)?;
        if !(last <= 1e-12 * size && kappa > 0.0) {
            return None;
        }
        for i in 0..3 {
            z[i] = w[i] + s[i];
        }
        let norm = length(&value.gradient);
        let normal = value.gradient.map(|v| v / norm);
        let along: f64 = (0..3).map(|i| value.h[i] * normal[i]).sum();
        let tangent: [f64; 3] = std::array::from_fn(|i| value.h[i] - along * normal[i]);
        let squared = length(&tangent).powi(2);
        let bending = kappa * value.c * squared;
        let bend = (bending > 0.0).then(|| {
            let norm = squared.sqrt();
            (tangent.map(|v| v / norm), 1.0 / bending)
        });
        let distance = match self {
            Three::Exponential => s[1] / (1.0 + max_abs(s)),
            Three::Power(_) => s[0].min(s[1]).min(s[2].abs()) / (1.0 + max_abs(s)),
        };
        Some(Boundary {
            normal,
            bend,
            distance,
        })
    }
}

/// The number if it is positive. A NaN is one of infinite numbers, far outside, and `f64::min` would let
/// it pass for whatever it is compared with.
fn positive(depth: f64) -> f64 {
    if depth > 0.0 { depth } else { 0.0 }
}

/// `κ` of `z = −κ∇f`, by the largest of the gradient's entries: where the boundary is steep the others are nothing but
/// rounding in `z`.
fn multiplier(gradient: &[f64; 3], z: &[f64; 3]) -> f64 {
    let size = |&at: &usize| gradient[at].abs();
    let steepest = (0..3).max_by(|a, b| size(a).total_cmp(&size(b)));
    let kappa = steepest.map_or(0.0, |at| -z[at] / gradient[at]);
    if kappa > 0.0 { kappa } else { z[2].abs() }
}

fn length(v: &[f64; 3]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Gaussian elimination with partial pivoting; `None` for a singular matrix.
fn solve_four(mut matrix: [[f64; 4]; 4], mut rhs: [f64; 4]) -> Option<[f64; 4]> {
    for k in 0..4 {
        let pivot = (k..4).max_by(|&a, &b| matrix[a][k].abs().total_cmp(&matrix[b][k].abs()))?;
        matrix.swap(k, pivot);
        rhs.swap(k, pivot);
        if !(matrix[k][k].abs() > 0.0) {
            return None;
        }
        for i in k + 1..4 {
            let factor = matrix[i][k] / matrix[k][k];
            for j in k..4 {
                matrix[i][j] -= factor * matrix[k][j];
            }
            rhs[i] -= factor * rhs[k];
        }
    }
    for k in (0..4).rev() {
        for j in k + 1..4 {
            rhs[k] -= matrix[k][j] * rhs[j];
        }
        rhs[k] /= matrix[k][k];
    }
    rhs.iter().all(|v| v.is_finite()).then_some(rhs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `exp(x/y)` overflows at points far outside.
    #[test]
    fn points_far_outside_have_no_depth() {
        for y in [1e-3, 1e-9, 1e-300] {
            assert_eq!(Three::Exponential.depth(&[2.0, y, 1.0]), 0.0);
            assert_eq!(Three::Exponential.depth(&[2.0, y, -1.0]), 0.0);
            assert_eq!(Three::Exponential.dual_depth(&[-y, -2.0, 1.0]), 0.0);
        }
        assert!(Three::Exponential.depth(&[-2.0, 1e-9, 1.0]) > 0.0);
    }
}
