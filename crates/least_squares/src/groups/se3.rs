//! Rigid motions of space.

use super::matrix::{
    Matrix, add_to, axial, cross, dot, negated, product, set_block, skew, sum, zeros,
};
use super::so3::{apply_left_jacobian, apply_left_jacobian_inverse};
use super::stumpff::Stumpff;
use super::{LieGroup, So3};
use crate::scalar::Real;

/// A rotation of space, then a translation (Solà, appendix D).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Se3<S> {
    /// The rotation.
    pub rotation: So3<S>,
    /// The translation.
    pub translation: [S; 3],
}

impl<S: Real> Se3<S> {
    /// The point `point`, rotated and translated.
    pub fn act(&self, point: &[S; 3]) -> [S; 3] {
        sum(&self.rotation.act(point), &self.translation)
    }

    /// Jacobians of [`act`](Self::act) with respect to the motion, `[R, −R [p]ₓ]`, and to the point, `R` (Solà,
    /// eqs. 182 and 183).
    pub fn act_jacobians(&self, point: &[S; 3]) -> (Matrix<S, 3, 6>, Matrix<S, 3, 3>) {
        let (by_rotation, by_point) = self.rotation.act_jacobians(point);
        let mut by_motion = zeros();
        set_block(&mut by_motion, 0, 0, &by_point);
        set_block(&mut by_motion, 0, 3, &by_rotation);
        (by_motion, by_point)
    }
}

#[inline(always)]
fn split<S: Real>(tangent: &[S; 6]) -> ([S; 3], [S; 3]) {
    let [a, b, c, d, e, f] = *tangent;
    ([a, b, c], [d, e, f])
}

/// `[[A, B], [0, A]]`.
fn upper<S: Real>(a: &Matrix<S, 3, 3>, b: &Matrix<S, 3, 3>) -> Matrix<S, 6, 6> {
    let mut out = zeros();
    set_block(&mut out, 0, 0, a);
    set_block(&mut out, 0, 3, b);
    set_block(&mut out, 3, 3, a);
    out
}

/// `Q(ρ, θ)`, the coupling of translation and rotation in `J_l` (Solà, eq. 180; Barfoot, eq. 7.86b).
///
/// The products of skew matrices there reduce, with `d = ρᵀθ` and `t = θ²`, by
/// `[θ]ₓ[ρ]ₓ[θ]ₓ = −d [θ]ₓ`, `[θ]ₓ[ρ]ₓ = ρθᵀ − d I` and `uvᵀ − vuᵀ = [v × u]ₓ` to
/// `c2 [ρ]ₓ + c3 (ρθᵀ + θρᵀ − 2d I) + d (2c4 − c3) [θ]ₓ − d (c4 − 3c5) (θθᵀ − t I)`.
fn coupling<S: Real>(rho: &[S; 3], theta: &[S; 3], c: &Stumpff<S>) -> Matrix<S, 3, 3> {
    let two = S::constant(2.0);
    let d = dot(rho, theta);
    let last = d * (c.c4 - S::constant(3.0) * c.c5);
    let mut q = axial(
        last * dot(theta, theta) - two * d * c.c3,
        d * (two * c.c4 - c.c3),
        -last,
        theta,
    );
    add_to(&mut q, c.c2, &skew(rho));
    for i in 0..3 {
        for j in 0..3 {
            q[i][j] += c.c3 * (rho[i] * theta[j] + theta[i] * rho[j]);
        }
    }
    q
}

impl<S: Real> LieGroup<S, 6> for Se3<S> {
    const STORED: usize = 7;
    const ROTATION: usize = 4;

    fn identity() -> Self {
        Se3 {
            rotation: So3::identity(),
            translation: [S::constant(0.0); 3],
        }
    }

    fn read(stored: &[S]) -> Self {
        Se3 {
            rotation: So3::read(stored),
            translation: [stored[4], stored[5], stored[6]],
        }
    }

    fn write(&self, stored: &mut [S]) {
        self.rotation.write(stored);
        stored[4..7].copy_from_slice(&self.translation);
    }

    fn normalised(&self) -> Self {
        Se3 {
            rotation: self.rotation.normalised(),
            translation: self.translation,
        }
    }

    fn compose(&self, other: &Self) -> Self {
        Se3 {
            rotation: self.rotation.compose(&other.rotation),
            translation: self.act(&other.translation),
        }
    }

    fn inverse(&self) -> Self {
        let rotation = self.rotation.inverse();
        Se3 {
            rotation,
            translation: rotation.act(&self.translation.map(|v| -v)),
        }
    }

    /// Solà, eq. 172.
    fn exp(tangent: &[S; 6]) -> Self {
        let (rho, theta) = split(tangent);
        Se3 {
            rotation: So3::exp(&theta),
            translation: apply_left_jacobian(&theta, &rho),
        }
    }

    /// Solà, eq. 173.
    fn log(&self) -> [S; 6] {
        let theta = self.rotation.log();
        let rho = apply_left_jacobian_inverse(&theta, &self.translation);
        [rho[0], rho[1], rho[2], theta[0], theta[1], theta[2]]
    }

    /// `[[R, [t]ₓ R], [0, R]]` (Solà, eq. 175).
    fn adjoint(&self) -> Matrix<S, 6, 6> {
        let rotation = self.rotation.matrix();
        upper(&rotation, &product(&skew(&self.translation), &rotation))
    }

    /// With `w = J_l(θ)⁻¹ s_ρ`, `(w, J_l(θ)⁻¹ (s_θ − Q w))`: transposed and of opposite argument, the blocks of
    /// `J_r⁻¹` are those of `J_l⁻¹`.
    #[inline(always)]
    fn pull_back(tangent: &[S; 6], s: &[S; 6]) -> [S; 6] {
        let ((rho, theta), (s_rho, s_theta)) = (split(tangent), split(s));
        let t = dot(&theta, &theta);
        let c = Stumpff::new(t);
        let curvature = c.inverse_curvature();
        let turn = |x: &[S; 3]| {
            let once = cross(&theta, x);
            let twice = cross(&theta, &once);
            std::array::from_fn(|i| x[i] - once[i] * 0.5 + curvature * twice[i])
        };
        let w: [S; 3] = turn(&s_rho);
        // Q w, of the terms of `coupling`.
        let (d, along, across) = (dot(&rho, &theta), dot(&theta, &w), dot(&rho, &w));
        let last = d * (c.c4 - c.c5 * 3.0);
        let by_w = last * t - d * c.c3 * 2.0;
        let by_theta = c.c3 * across - last * along;
        let by_rho = c.c3 * along;
        let by_turn = d * (c.c4 * 2.0 - c.c3);
        let (rho_w, theta_w) = (cross(&rho, &w), cross(&theta, &w));
        let rest = std::array::from_fn(|i| {
            let planar = by_w * w[i] + by_theta * theta[i] + by_rho * rho[i];
            s_theta[i] - planar - c.c2 * rho_w[i] - by_turn * theta_w[i]
        });
        let v: [S; 3] = turn(&rest);
        [w[0], w[1], w[2], v[0], v[1], v[2]]
    }

    fn lower(&self, stored: &[S]) -> [S; 6] {
        let [d, e, f] = self.rotation.lower(stored);
        let [a, b, c] = self
            .rotation
            .inverse()
            .act(&[stored[4], stored[5], stored[6]]);
        [a, b, c, d, e, f]
    }

    fn raise(&self, gradient: &[S; 6], stored: &mut [S]) {
        let (rho, theta) = split(gradient);
        self.rotation.raise(&theta, stored);
        stored[4..7].copy_from_slice(&self.rotation.act(&rho));
    }

    /// `[[J, Q], [0, J]]` (Solà, eq. 179a).
    fn left_jacobian(tangent: &[S; 6]) -> Matrix<S, 6, 6> {
        let (rho, theta) = split(tangent);
        let c = Stumpff::new(dot(&theta, &theta));
        upper(
            &axial(c.c1, c.c2, c.c3, &theta),
            &coupling(&rho, &theta, &c),
        )
    }

    /// `[[J⁻¹, −J⁻¹ Q J⁻¹], [0, J⁻¹]]` (Solà, eq. 179b).
    fn left_jacobian_inverse(tangent: &[S; 6]) -> Matrix<S, 6, 6> {
        let (rho, theta) = split(tangent);
        let t = dot(&theta, &theta);
        let c = Stumpff::new(t);
        let curvature = c.inverse_curvature();
        let half = S::constant(0.5);
        let inverse = axial(S::constant(1.0) - t * curvature, -half, curvature, &theta);
        let coupled = product(&product(&inverse, &coupling(&rho, &theta, &c)), &inverse);
        upper(&inverse, &negated(coupled))
    }
}
