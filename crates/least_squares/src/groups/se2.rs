//! Rigid motions of the plane.

use super::inverse_curvature::inverse_curvature;
use super::matrix::{Matrix, apply, sum};
use super::stumpff::Stumpff;
use super::{LieGroup, So2};
use crate::scalar::Real;

/// A rotation of the plane, then a translation (Solà, appendix C).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Se2<S> {
    /// The rotation.
    pub rotation: So2<S>,
    /// The translation.
    pub translation: [S; 2],
}

impl<S: Real> Se2<S> {
    /// The motion that turns by `angle` and moves the origin to (`x`, `y`).
    pub fn new(x: S, y: S, angle: S) -> Self {
        Se2 {
            rotation: So2::exp(&[angle]),
            translation: [x, y],
        }
    }

    /// The point `point`, rotated and translated.
    pub fn act(&self, point: &[S; 2]) -> [S; 2] {
        sum(&self.rotation.act(point), &self.translation)
    }

    /// Jacobians of [`act`](Self::act) with respect to the motion and to the point (Solà, eqs. 166 and 167).
    pub fn act_jacobians(&self, point: &[S; 2]) -> (Matrix<S, 2, 3>, Matrix<S, 2, 2>) {
        let (by_angle, by_point) = self.rotation.act_jacobians(point);
        let by_motion = std::array::from_fn(|i| [by_point[i][0], by_point[i][1], by_angle[i][0]]);
        (by_motion, by_point)
    }
}

/// `V(θ)`, with `Exp(ρ, θ)` translating by `V ρ` (Solà, eq. 158).
fn translation_matrix<S: Real>(angle: S, c: &Stumpff<S>) -> Matrix<S, 2, 2> {
    let b = angle * c.c2;
    [[c.c1, -b], [b, c.c1]]
}

/// `V(θ)⁻¹ = (θ/2) [[cot(θ/2), 1], [−1, cot(θ/2)]]`, given `κ(θ²)`.
fn translation_inverse<S: Real>(angle: S, curvature: S) -> Matrix<S, 2, 2> {
    let a = S::constant(1.0) - angle * angle * curvature;
    let b = angle * 0.5;
    [[a, b], [-b, a]]
}

/// The top right column of `J_l` (Solà, eq. 164).
fn jacobian_column<S: Real>(tangent: &[S; 3], c: &Stumpff<S>) -> [S; 2] {
    let [x, y, angle] = *tangent;
    let b = angle * c.c3;
    [b * x + c.c2 * y, b * y - c.c2 * x]
}

fn upper<S: Real>(block: Matrix<S, 2, 2>, column: [S; 2]) -> Matrix<S, 3, 3> {
    let (zero, one) = (S::constant(0.0), S::constant(1.0));
    [
        [block[0][0], block[0][1], column[0]],
        [block[1][0], block[1][1], column[1]],
        [zero, zero, one],
    ]
}

impl<S: Real> LieGroup<S, 3> for Se2<S> {
    const STORED: usize = 4;
    const ROTATION: usize = 2;

    fn identity() -> Self {
        Se2 {
            rotation: So2::identity(),
            translation: [S::constant(0.0); 2],
        }
    }

    fn read(stored: &[S]) -> Self {
        Se2 {
            rotation: So2::read(stored),
            translation: [stored[2], stored[3]],
        }
    }

    fn write(&self, stored: &mut [S]) {
        self.rotation.write(stored);
        stored[2..4].copy_from_slice(&self.translation);
    }

    fn normalised(&self) -> Self {
        Se2 {
            rotation: self.rotation.normalised(),
            translation: self.translation,
        }
    }

    fn compose(&self, other: &Self) -> Self {
        Se2 {
            rotation: self.rotation.compose(&other.rotation),
            translation: self.act(&other.translation),
        }
    }

    fn inverse(&self) -> Self {
        let rotation = self.rotation.inverse();
        Se2 {
            rotation,
            translation: rotation.act(&self.translation.map(|v| -v)),
        }
    }

    fn exp(tangent: &[S; 3]) -> Self {
        let [x, y, angle] = *tangent;
        let c = Stumpff::new(angle * angle);
        Se2 {
            rotation: So2 {
                cos: c.c0,
                sin: angle * c.c1,
            },
            translation: apply(&translation_matrix(angle, &c), &[x, y]),
        }
    }

    fn log(&self) -> [S; 3] {
        let [angle] = self.rotation.log();
        let inverse = translation_inverse(angle, inverse_curvature(angle * angle));
        let [x, y] = apply(&inverse, &self.translation);
        [x, y, angle]
    }

    /// Solà, eq. 159.
    fn adjoint(&self) -> Matrix<S, 3, 3> {
        let [x, y] = self.translation;
        upper(self.rotation.matrix(), [y, -x])
    }

    fn lower(&self, stored: &[S]) -> [S; 3] {
        let [angle] = self.rotation.lower(stored);
        let [x, y] = self.rotation.inverse().act(&[stored[2], stored[3]]);
        [x, y, angle]
    }

    fn raise(&self, gradient: &[S; 3], stored: &mut [S]) {
        let [x, y, angle] = *gradient;
        self.rotation.raise(&[angle], stored);
        stored[2..4].copy_from_slice(&self.rotation.act(&[x, y]));
    }

    fn left_jacobian(tangent: &[S; 3]) -> Matrix<S, 3, 3> {
        let c = Stumpff::new(tangent[2] * tangent[2]);
        upper(
            translation_matrix(tangent[2], &c),
            jacobian_column(tangent, &c),
        )
    }

    /// The column is `−V⁻¹` times that of `J_l`, which in the complex plane is `(θκ + i/2)(x + iy)`.
    fn left_jacobian_inverse(&[x, y, angle]: &[S; 3]) -> Matrix<S, 3, 3> {
        let curvature = inverse_curvature(angle * angle);
        let bent = angle * curvature;
        let column = [bent * x - y * 0.5, x * 0.5 + bent * y];
        upper(translation_inverse(angle, curvature), column)
    }

    /// Of opposite argument, transposed: the column changes the sign of its second term, the block stays.
    #[inline(always)]
    fn pull_back(&[x, y, angle]: &[S; 3], &[s_x, s_y, s_angle]: &[S; 3]) -> [S; 3] {
        let curvature = inverse_curvature(angle * angle);
        let bent = angle * curvature;
        let (a, b) = (S::constant(1.0) - angle * bent, angle * 0.5);
        [
            a * s_x + b * s_y,
            a * s_y - b * s_x,
            bent * (x * s_x + y * s_y) + (y * s_x - x * s_y) * 0.5 + s_angle,
        ]
    }
}
