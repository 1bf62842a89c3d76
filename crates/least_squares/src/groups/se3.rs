//! Rigid motions of space.

use super::inverse_curvature::{inverse_curvature, inverse_curvature_slope};
use super::matrix::{
    Matrix, add_to, axial, cross, dot, product, scaled, set_block, skew, sum, zeros,
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

    /// `(J_l⁻¹ s_ρ, B s_ρ + J_l⁻¹ s_θ)`, of the terms of [`LieGroup::left_jacobian_inverse`]: transposed and of
    /// opposite argument, the blocks of `J_r⁻¹` are those of `J_l⁻¹`.
    #[inline(always)]
    fn pull_back(tangent: &[S; 6], s: &[S; 6]) -> [S; 6] {
        let ((rho, theta), (s_rho, s_theta)) = (split(tangent), split(s));
        let t = dot(&theta, &theta);
        let curvature = inverse_curvature(t);
        // [θ]²ₓ x = (θᵀx) θ − t x.
        let own = S::constant(1.0) - t * curvature;
        let along = dot(&theta, &s_rho);
        let w_along = curvature * along;
        let turned = cross(&theta, &s_rho);
        let v_along = curvature * dot(&theta, &s_theta);
        let v_turned = cross(&theta, &s_theta);
        let d = dot(&rho, &theta);
        let bend = d * inverse_curvature_slope(t, curvature) * 2.0;
        let by_theta = curvature * dot(&rho, &s_rho) + bend * along + v_along;
        let by_s = -(d * curvature * 2.0) - bend * t;
        let moved = cross(&rho, &s_rho);
        let w: [S; 3] =
            std::array::from_fn(|i| own * s_rho[i] - turned[i] * 0.5 + w_along * theta[i]);
        let v: [S; 3] = std::array::from_fn(|i| {
            let both = (moved[i] + v_turned[i]) * 0.5;
            own * s_theta[i] + by_s * s_rho[i] + by_theta * theta[i] + w_along * rho[i] - both
        });
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

    /// `[[J⁻¹, B], [0, J⁻¹]]`, where `B = −J⁻¹ Q J⁻¹` (Solà, eq. 179b) is the derivative of `J⁻¹` along `ρ`, as
    /// it is of every power series of `[[θ]ₓ, [ρ]ₓ; 0, [θ]ₓ]`: with `d = ρᵀθ` and `t = θ²`
    /// `−½ [ρ]ₓ + κ (ρθᵀ + θρᵀ − 2d I) + 2d κ' (θθᵀ − t I)`.
    fn left_jacobian_inverse(tangent: &[S; 6]) -> Matrix<S, 6, 6> {
        let (rho, theta) = split(tangent);
        let t = dot(&theta, &theta);
        let curvature = inverse_curvature(t);
        let minus_half = S::constant(-0.5);
        let own = S::constant(1.0) - t * curvature;
        let inverse = axial(own, minus_half, curvature, &theta);
        let d = dot(&rho, &theta);
        let bend = d * inverse_curvature_slope(t, curvature) * 2.0;
        let mut coupled = skew(&scaled(&rho, minus_half));
        for i in 0..3 {
            for j in 0..3 {
                coupled[i][j] += curvature * (rho[i] * theta[j] + theta[i] * rho[j])
                    + bend * theta[i] * theta[j];
            }
            coupled[i][i] -= d * curvature * 2.0 + bend * t;
        }
        upper(&inverse, &coupled)
    }
}
