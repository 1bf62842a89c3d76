//! Rotations of space.

use super::LieGroup;
use super::inverse_curvature::inverse_curvature;
use super::matrix::{Matrix, axial, cross, dot, negated, product, scaled, skew};
use super::stumpff::{Stumpff, arctangent_ratio};
use crate::scalar::Real;

/// A rotation of space as a unit quaternion; `q` and `−q` are the same rotation (Solà, appendices B and D).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct So3<S> {
    /// `cos(θ/2)`.
    pub w: S,
    /// `sin(θ/2)` times the axis.
    pub v: [S; 3],
}

impl<S: Real> So3<S> {
    /// The point `point`, rotated.
    pub fn act(&self, point: &[S; 3]) -> [S; 3] {
        // p + 2 w (v × p) + 2 v × (v × p): two cross products, against a whole matrix.
        let twice = scaled(&cross(&self.v, point), S::constant(2.0));
        let turned = cross(&self.v, &twice);
        std::array::from_fn(|i| point[i] + self.w * twice[i] + turned[i])
    }

    /// Jacobians of [`act`](Self::act) with respect to the rotation, `−R [p]ₓ`, and to the point, `R` (Solà,
    /// eqs. 150 and 151).
    pub fn act_jacobians(&self, point: &[S; 3]) -> (Matrix<S, 3, 3>, Matrix<S, 3, 3>) {
        let rotation = self.matrix();
        (negated(product(&rotation, &skew(point))), rotation)
    }

    /// The rotation matrix.
    pub fn matrix(&self) -> Matrix<S, 3, 3> {
        let two = S::constant(2.0);
        axial(
            self.w * self.w - dot(&self.v, &self.v),
            two * self.w,
            two,
            &self.v,
        )
    }
}

impl<S: Real> LieGroup<S, 3> for So3<S> {
    const STORED: usize = 4;
    const ROTATION: usize = 4;

    fn identity() -> Self {
        So3 {
            w: S::constant(1.0),
            v: [S::constant(0.0); 3],
        }
    }

    fn read(stored: &[S]) -> Self {
        So3 {
            w: stored[0],
            v: [stored[1], stored[2], stored[3]],
        }
    }

    fn write(&self, stored: &mut [S]) {
        stored[0] = self.w;
        stored[1..4].copy_from_slice(&self.v);
    }

    fn normalised(&self) -> Self {
        let scale = S::constant(1.0) / (self.w * self.w + dot(&self.v, &self.v)).sqrt();
        So3 {
            w: self.w * scale,
            v: scaled(&self.v, scale),
        }
    }

    fn compose(&self, other: &Self) -> Self {
        let turned = cross(&self.v, &other.v);
        So3 {
            w: self.w * other.w - dot(&self.v, &other.v),
            v: std::array::from_fn(|i| self.w * other.v[i] + other.w * self.v[i] + turned[i]),
        }
    }

    fn inverse(&self) -> Self {
        So3 {
            w: self.w,
            v: self.v.map(|c| -c),
        }
    }

    /// Solà, eq. 132, as a quaternion.
    fn exp(tangent: &[S; 3]) -> Self {
        let half = scaled(tangent, S::constant(0.5));
        let c = Stumpff::new(dot(&half, &half));
        So3 {
            w: c.c0,
            v: scaled(&half, c.c1),
        }
    }

    /// `2 v atan2(|v|, w)/|v|` (Solà, eq. 133, as a quaternion), of the one of `±q` with `w ≥ 0`.
    fn log(&self) -> [S; 3] {
        let q = if self.w.value() < 0.0 {
            So3 {
                w: -self.w,
                v: self.v.map(|c| -c),
            }
        } else {
            *self
        };
        let ratio = arctangent_ratio(dot(&q.v, &q.v), q.w);
        scaled(&q.v, S::constant(2.0) * ratio)
    }

    /// Solà, eq. 139.
    fn adjoint(&self) -> Matrix<S, 3, 3> {
        self.matrix()
    }

    /// `J_r(θ)⁻ᵀ = J_l(θ)⁻¹`.
    #[inline(always)]
    fn pull_back(tangent: &[S; 3], s: &[S; 3]) -> [S; 3] {
        apply_left_jacobian_inverse(tangent, s)
    }

    /// `½ (q* ⊗ a)`, of which the first number is along `q`.
    fn lower(&self, stored: &[S]) -> [S; 3] {
        let product = self.inverse().compose(&Self::read(stored));
        scaled(&product.v, S::constant(0.5))
    }

    /// The columns of the derivative are `½ q ⊗ (0, e_i)`, orthogonal and of length ½.
    fn raise(&self, gradient: &[S; 3], stored: &mut [S]) {
        let along = So3 {
            w: S::constant(0.0),
            v: *gradient,
        };
        let product = self.compose(&along);
        So3 {
            w: product.w * 2.0,
            v: scaled(&product.v, S::constant(2.0)),
        }
        .write(stored);
    }

    /// Solà, eq. 145.
    fn left_jacobian(tangent: &[S; 3]) -> Matrix<S, 3, 3> {
        let c = Stumpff::new(dot(tangent, tangent));
        // I + c2 [θ]ₓ + c3 [θ]ₓ², with [θ]ₓ² = θθᵀ − θ² I.
        axial(c.c1, c.c2, c.c3, tangent)
    }

    /// Solà, eq. 146.
    fn left_jacobian_inverse(tangent: &[S; 3]) -> Matrix<S, 3, 3> {
        let t = dot(tangent, tangent);
        let curvature = inverse_curvature(t);
        axial(
            S::constant(1.0) - t * curvature,
            S::constant(-0.5),
            curvature,
            tangent,
        )
    }
}

/// `J_l(θ) ρ` without the matrix: the translation of SE(3)'s exponential (Solà, eqs. 172 and 174).
pub(super) fn apply_left_jacobian<S: Real>(angles: &[S; 3], x: &[S; 3]) -> [S; 3] {
    let c = Stumpff::new(dot(angles, angles));
    let turned = cross(angles, x);
    let twice = cross(angles, &turned);
    std::array::from_fn(|i| x[i] + c.c2 * turned[i] + c.c3 * twice[i])
}

/// `J_l(θ)⁻¹ t` without the matrix: the translation of SE(3)'s logarithm.
pub(super) fn apply_left_jacobian_inverse<S: Real>(angles: &[S; 3], x: &[S; 3]) -> [S; 3] {
    let curvature = inverse_curvature(dot(angles, angles));
    let turned = cross(angles, x);
    let twice = cross(angles, &turned);
    std::array::from_fn(|i| x[i] - turned[i] * 0.5 + curvature * twice[i])
}
