//! Rotations of the plane.

use super::LieGroup;
use super::matrix::Matrix;
use crate::scalar::Real;

/// A rotation of the plane by the angle `θ` (Solà, example 1 and appendix A).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct So2<S> {
    /// `cos θ`.
    pub cos: S,
    /// `sin θ`.
    pub sin: S,
}

impl<S: Real> So2<S> {
    /// The point `point`, rotated.
    pub fn act(&self, point: &[S; 2]) -> [S; 2] {
        [
            self.cos * point[0] - self.sin * point[1],
            self.sin * point[0] + self.cos * point[1],
        ]
    }

    /// Jacobians of [`act`](Self::act) with respect to the rotation and to the point.
    pub fn act_jacobians(&self, point: &[S; 2]) -> (Matrix<S, 2, 1>, Matrix<S, 2, 2>) {
        let rotated = self.act(point);
        ([[-rotated[1]], [rotated[0]]], self.matrix())
    }

    /// The rotation matrix.
    pub fn matrix(&self) -> Matrix<S, 2, 2> {
        [[self.cos, -self.sin], [self.sin, self.cos]]
    }
}

impl<S: Real> LieGroup<S, 1> for So2<S> {
    const STORED: usize = 2;
    const ROTATION: usize = 2;

    fn identity() -> Self {
        So2 {
            cos: S::constant(1.0),
            sin: S::constant(0.0),
        }
    }

    fn read(stored: &[S]) -> Self {
        So2 {
            cos: stored[0],
            sin: stored[1],
        }
    }

    fn write(&self, stored: &mut [S]) {
        stored[..2].copy_from_slice(&[self.cos, self.sin]);
    }

    fn normalised(&self) -> Self {
        let norm = (self.cos * self.cos + self.sin * self.sin).sqrt();
        So2 {
            cos: self.cos / norm,
            sin: self.sin / norm,
        }
    }

    fn compose(&self, other: &Self) -> Self {
        So2 {
            cos: self.cos * other.cos - self.sin * other.sin,
            sin: self.sin * other.cos + self.cos * other.sin,
        }
    }

    fn inverse(&self) -> Self {
        So2 {
            cos: self.cos,
            sin: -self.sin,
        }
    }

    fn exp(tangent: &[S; 1]) -> Self {
        So2 {
            cos: tangent[0].cos(),
            sin: tangent[0].sin(),
        }
    }

    fn log(&self) -> [S; 1] {
        [self.sin.atan2(self.cos)]
    }

    fn adjoint(&self) -> Matrix<S, 1, 1> {
        [[S::constant(1.0)]]
    }

    fn lower(&self, stored: &[S]) -> [S; 1] {
        [self.cos * stored[1] - self.sin * stored[0]]
    }

    fn raise(&self, gradient: &[S; 1], stored: &mut [S]) {
        stored[0] = -self.sin * gradient[0];
        stored[1] = self.cos * gradient[0];
    }

    fn left_jacobian(_: &[S; 1]) -> Matrix<S, 1, 1> {
        [[S::constant(1.0)]]
    }

    fn left_jacobian_inverse(_: &[S; 1]) -> Matrix<S, 1, 1> {
        [[S::constant(1.0)]]
    }
}
