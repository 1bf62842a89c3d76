//! The Lie groups SO(2), SE(2), SO(3) and SE(3): exponentials, logarithms, and their Jacobians.
//!
//! | group | stored as | tangent |
//! |---|---|---|
//! | [`So2`] | `cos θ, sin θ` | `θ` |
//! | [`Se2`] | `cos θ, sin θ, x, y` | `ρ_x, ρ_y, θ` |
//! | [`So3`] | unit quaternion `w, x, y, z` | rotation vector `θ` |
//! | [`Se3`] | unit quaternion `w, x, y, z`, then the translation `x, y, z` | `ρ`, then `θ` |
//!
//! Tangents are local (right): `x ⊞ δ = x Exp(δ)`, and a Jacobian with respect to an element is the derivative
//! with respect to that `δ` at zero.
//!
//! Every function is written over [`Real`]: dual numbers pass through, and give the correct
//! derivatives, of any order, at zero and near a half turn too. No branch depends on anything but the size of an
//! angle, and both sides of each agree to rounding.
//!
//! At a half turn exactly the logarithm has two values. [`So2`] and [`Se2`] take `θ = π` of (−π, π] (a negative
//! zero sine takes −π), [`So3`] and [`Se3`] that with the stored sign of the quaternion's vector.
//!
//! # References
//! J. Solà, J. Deray, D. Atchuthan, *A micro Lie theory for state estimation in robotics*, arXiv 1812.01537;
//! T. D. Barfoot, *State Estimation for Robotics*, 2017, chapter 7.

mod inverse_curvature;
mod matrix;
mod se2;
mod se3;
mod so2;
mod so3;
mod stumpff;

use crate::scalar::Real;

pub use matrix::Matrix;
pub use se2::Se2;
pub use se3::Se3;
pub use so2::So2;
pub use so3::So3;

pub(crate) use matrix::product;

use matrix::negated;

/// A matrix Lie group with a tangent space of `D` dimensions, over the scalars `S`.
///
/// Elements are assumed normalised ([`normalised`](Self::normalised)): `inverse` and the action rely on it.
/// Numbers that are not finite, and a rotation stored as zeros, give results that are not finite.
pub trait LieGroup<S: Real, const D: usize>: Copy {
    /// Numbers that store an element.
    const STORED: usize;

    /// Numbers of them, the first, that store its rotation.
    const ROTATION: usize;

    /// The neutral element.
    fn identity() -> Self;

    /// The element stored in the first [`STORED`](Self::STORED) numbers.
    ///
    /// # Panics
    /// When there are fewer.
    fn read(stored: &[S]) -> Self;

    /// Stores the element in the first [`STORED`](Self::STORED) numbers of `stored`.
    ///
    /// # Panics
    /// When there are fewer.
    fn write(&self, stored: &mut [S]);

    /// The element with its rotation scaled to unit length.
    fn normalised(&self) -> Self;

    /// `self ∘ other`.
    fn compose(&self, other: &Self) -> Self;

    /// The inverse.
    fn inverse(&self) -> Self;

    /// `Exp(τ)`.
    fn exp(tangent: &[S; D]) -> Self;

    /// `Log(self)`, of the smallest rotation angle.
    fn log(&self) -> [S; D];

    /// `Ad` with `self Exp(τ) self⁻¹ = Exp(Ad τ)` (Solà, eq. 31).
    fn adjoint(&self) -> Matrix<S, D, D>;

    /// `J_l(τ)`: `Exp(τ + ε) ≈ Exp(J_l ε) Exp(τ)` (Solà, eq. 71).
    fn left_jacobian(tangent: &[S; D]) -> Matrix<S, D, D>;

    /// `J_l(τ)⁻¹`. Not finite at rotations by a full turn, where `J_l` is singular.
    fn left_jacobian_inverse(tangent: &[S; D]) -> Matrix<S, D, D>;

    /// `J_r(τ) = J_l(−τ)`: `Exp(τ + ε) ≈ Exp(τ) Exp(J_r ε)` (Solà, eqs. 67 and 76).
    fn right_jacobian(tangent: &[S; D]) -> Matrix<S, D, D> {
        Self::left_jacobian(&tangent.map(|v| -v))
    }

    /// `J_r(τ)⁻¹ = J_l(−τ)⁻¹`. Not finite at rotations by a full turn.
    fn right_jacobian_inverse(tangent: &[S; D]) -> Matrix<S, D, D> {
        Self::left_jacobian_inverse(&tangent.map(|v| -v))
    }

    /// `J_r(τ)⁻ᵀ s`: the gradient by the element of a function of its logarithm `τ` that has gradient `s`.
    #[inline(always)]
    fn pull_back(tangent: &[S; D], s: &[S; D]) -> [S; D] {
        let inverse = Self::right_jacobian_inverse(tangent);
        std::array::from_fn(|j| {
            let mut sum = S::constant(0.0);
            for i in 0..D {
                sum += inverse[i][j] * s[i];
            }
            sum
        })
    }

    /// Writes to `stored` the shortest gradient by the stored numbers that is `gradient` by `δ` of `self ⊞ δ`:
    /// that of a function which normalises what is stored.
    ///
    /// # Panics
    /// When `stored` is shorter than [`STORED`](Self::STORED).
    fn raise(&self, gradient: &[S; D], stored: &mut [S]);

    /// The gradient by `δ` of `self ⊞ δ` for that by the stored numbers.
    ///
    /// # Panics
    /// When `stored` is shorter than [`STORED`](Self::STORED).
    fn lower(&self, stored: &[S]) -> [S; D];

    /// `self ⊞ δ = self Exp(δ)`, normalised, so that rounding does not build up (Solà, eq. 25).
    fn retract(&self, delta: &[S; D]) -> Self {
        self.compose(&Self::exp(delta)).normalised()
    }

    /// `Log(self⁻¹ other)`, the `δ` with `self ⊞ δ = other` (Solà, eq. 26).
    fn local(&self, other: &Self) -> [S; D] {
        self.inverse().compose(other).log()
    }

    /// [`local`](Self::local), and its Jacobians with respect to `self`, `−J_l⁻¹`, and to `other`, `J_r⁻¹`
    /// (Solà, eqs. 82 and 83).
    fn local_jacobians(&self, other: &Self) -> ([S; D], Matrix<S, D, D>, Matrix<S, D, D>) {
        let delta = self.local(other);
        let with_self = negated(Self::left_jacobian_inverse(&delta));
        (delta, with_self, Self::right_jacobian_inverse(&delta))
    }
}
