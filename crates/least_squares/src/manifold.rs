//! The spaces that variables live in.

use std::sync::Arc;

use crate::groups::{LieGroup, Se2, Se3, So2, So3};
use crate::jet::Jet;
use crate::scalar::Real;
use crate::tape::{Reverse, Tape};

/// The space a variable lives in: how it is stored, and how a step moves it.
///
/// A point is stored in [`storage`](Self::storage) numbers; a step δ has [`tangent`](Self::tangent)
/// numbers, and x ⊞ δ ([`retract`](Self::retract)) is the point it leads to. Derivatives with respect
/// to a variable are with respect to δ at zero.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Manifold {
    /// ℝⁿ: x ⊞ δ = x + δ.
    Vector(usize),
    /// A box of ℝⁿ. Steps are clipped to it, and a coordinate at a bound that the gradient pushes
    /// against does not take part in a step: a projected method with an active set, made anew at every
    /// iteration (Kanzow, Yamashita & Fukushima, *Levenberg-Marquardt methods with strong local
    /// convergence properties for solving nonlinear equations with convex constraints*, 2004).
    Bounded(Bounds),
    /// Rotations of the plane, stored as [`So2`]: x ⊞ δ = x Exp(δ), as for all groups.
    So2,
    /// Rigid motions of the plane, stored as [`Se2`].
    Se2,
    /// Rotations of space, stored as [`So3`].
    So3,
    /// Rigid motions of space, stored as [`Se3`].
    Se3,
}

/// Runs `$flat` for the flat spaces, else `$curved` with the group as the type `$group`.
macro_rules! by_group {
    ($manifold:expr, $flat:expr, $group:ident => $curved:expr) => {
        match $manifold {
            Manifold::Vector(_) | Manifold::Bounded(_) => $flat,
            Manifold::So2 => {
                type $group<T> = So2<T>;
                $curved
            }
            Manifold::Se2 => {
                type $group<T> = Se2<T>;
                $curved
            }
            Manifold::So3 => {
                type $group<T> = So3<T>;
                $curved
            }
            Manifold::Se3 => {
                type $group<T> = Se3<T>;
                $curved
            }
        }
    };
}

/// Lower and upper bounds of a vector; −∞ and +∞ where there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    pub(crate) lower: Arc<[f64]>,
    pub(crate) upper: Arc<[f64]>,
}

impl Manifold {
    /// The box `lower ≤ x ≤ upper`. Checked where the variable is added to an objective.
    pub fn bounded(lower: impl Into<Arc<[f64]>>, upper: impl Into<Arc<[f64]>>) -> Self {
        Self::Bounded(Bounds {
            lower: lower.into(),
            upper: upper.into(),
        })
    }

    /// Numbers that store a point.
    pub fn storage(&self) -> usize {
        match self {
            Self::Vector(len) => *len,
            Self::Bounded(bounds) => bounds.lower.len(),
            Self::So2 => 2,
            Self::Se2 | Self::So3 => 4,
            Self::Se3 => 7,
        }
    }

    /// Dimensions of the space, the numbers of a step.
    pub fn tangent(&self) -> usize {
        match self {
            Self::Vector(_) | Self::Bounded(_) => self.storage(),
            Self::So2 => 1,
            Self::Se2 | Self::So3 => 3,
            Self::Se3 => 6,
        }
    }

    /// Whether a step is added to the point, number by number.
    pub fn is_flat(&self) -> bool {
        matches!(self, Self::Vector(_) | Self::Bounded(_))
    }

    pub(crate) fn bounds(&self) -> Option<&Bounds> {
        match self {
            Self::Bounded(bounds) => Some(bounds),
            _ => None,
        }
    }

    /// `out` = x ⊞ δ, bounds apart.
    ///
    /// # Panics
    /// When a slice is shorter than [`storage`](Self::storage) or [`tangent`](Self::tangent).
    #[inline(always)]
    pub fn retract<T: Real>(&self, x: &[T], delta: &[T], out: &mut [T]) {
        by_group!(
            self,
            {
                for i in 0..self.storage() {
                    out[i] = x[i] + delta[i];
                }
            },
            Element => Element::read(x).retract(&leading(delta)).write(out)
        );
    }

    /// `out` = y ⊟ x, the δ with x ⊞ δ = y.
    ///
    /// # Panics
    /// When a slice is shorter than [`storage`](Self::storage) or [`tangent`](Self::tangent).
    #[inline(always)]
    pub fn local<T: Real>(&self, x: &[T], y: &[T], out: &mut [T]) {
        by_group!(
            self,
            {
                for i in 0..self.storage() {
                    out[i] = y[i] - x[i];
                }
            },
            Element => out.copy_from_slice(&Element::read(x).local(&Element::read(y)))
        );
    }

    /// `out` += P(x)ᵀ a, with P the derivative of x ⊞ δ by δ at zero: what a gradient with respect to the
    /// stored numbers is with respect to steps.
    pub(crate) fn add_pulled_back(&self, x: &[f64], a: &[f64], out: &mut [f64]) {
        if self.is_flat() {
            for (out, a) in out.iter_mut().zip(a) {
                *out += a;
            }
            return;
        }
        let p = self.basis(x);
        for (row, a) in p.iter().zip(a) {
            for (out, p) in out.iter_mut().zip(row.slope) {
                *out += p * a;
            }
        }
    }

    /// `out` = a = P (PᵀP)⁻¹ v, the shortest stored-number gradient with Pᵀa = v.
    ///
    /// The columns of P are orthogonal for all groups here, so PᵀP is diagonal.
    pub(crate) fn raise(&self, x: &[f64], v: &[f64], out: &mut [f64]) {
        if self.is_flat() {
            out.copy_from_slice(v);
            return;
        }
        let p = self.basis(x);
        let mut squares = [0.0; LARGEST];
        for row in &p {
            for (square, p) in squares.iter_mut().zip(row.slope) {
                *square += p * p;
            }
        }
        for (out, row) in out.iter_mut().zip(&p) {
            *out = (0..v.len()).map(|i| row.slope[i] * v[i] / squares[i]).sum();
        }
    }

    /// x ⊞ δ at zero, with its derivatives by δ.
    fn basis(&self, x: &[f64]) -> Vec<Jet<LARGEST>> {
        let x: Vec<_> = x.iter().map(|x| Jet::constant(*x)).collect();
        let delta: Vec<_> = (0..self.tangent()).map(|i| Jet::seeded(0.0, i)).collect();
        let mut out = x.clone();
        self.retract(&x, &delta, &mut out);
        out
    }

    /// `out` += ½ ∂/∂ξ aᵀ[ξ, d]: how the second derivative of a function with gradient a, first along ξ
    /// and then along d, differs from the symmetric one. Zero on flat spaces.
    pub(crate) fn add_bracket(&self, a: &[f64], d: &[f64], out: &mut [f64]) {
        by_group!(self, {}, Element => {
            // [ξ, d] = −ad(d) ξ.
            for (row, a) in Element::<f64>::bracket(&leading(d)).iter().zip(a) {
                for (out, entry) in out.iter_mut().zip(row) {
                    *out -= 0.5 * entry * a;
                }
            }
        });
    }

    /// The derivative of y = x ⊞ δ in reverse, for the cotangent `v` by steps from y: by steps from x and
    /// by δ, which are added. For curved spaces.
    pub(crate) fn reverse_retract(
        &self,
        x: &[f64],
        delta: &[f64],
        y: &[f64],
        v: &[f64],
        by_start: &mut [f64],
        by_delta: &mut [f64],
    ) {
        let tangent = self.tangent();
        let mut a = vec![0.0; self.storage()];
        self.raise(y, v, &mut a);
        let mut tape = Tape::<1>::default();
        tape.restart(2 * tangent);
        let places: Vec<Option<u32>> = {
            let leaf = |i: usize, value: f64| tape.leaf(i, Jet::constant(value));
            let xi: Vec<_> = (0..tangent).map(|i| leaf(i, 0.0)).collect();
            let delta: Vec<_> = (0..tangent).map(|i| leaf(tangent + i, delta[i])).collect();
            let x: Vec<_> = x.iter().map(|x| Reverse::constant(*x)).collect();
            let (mut start, mut end) = (x.clone(), x.clone());
            self.retract(&x, &xi, &mut start);
            self.retract(&start, &delta, &mut end);
            end.iter().map(Tape::place).collect()
        };
        let seeds = places.iter().zip(&a);
        let leaves =
            tape.sweep(seeds.filter_map(|(p, a)| p.map(|p| (p, Jet::constant(*a)))));
        for i in 0..tangent {
            by_start[i] += leaves[i].value;
            by_delta[i] += leaves[tangent + i].value;
        }
    }

    /// What is wrong with a point, if anything.
    pub(crate) fn complaint(&self, x: &[f64]) -> Option<String> {
        let rotation = match self {
            Self::Vector(_) | Self::Bounded(_) => return None,
            Self::So2 | Self::Se2 => &x[..2],
            Self::So3 | Self::Se3 => &x[..4],
        };
        let length = rotation.iter().map(|v| v * v).sum::<f64>().sqrt();
        let off = (length - 1.0).abs();
        // Files and single precision round rotations; more is a mistake.
        (!(off <= ROTATION_TOLERANCE)).then(|| {
            format!("has a rotation of length {length}, which must be 1 to {ROTATION_TOLERANCE}")
        })
    }

    /// Scales the rotation of a stored point to length 1.
    pub(crate) fn normalise(&self, x: &mut [f64]) {
        by_group!(self, {}, Element => Element::<f64>::read(x).normalised().write(x));
    }
}

/// How far a start's rotation may be from length 1; it is normalised.
const ROTATION_TOLERANCE: f64 = 1e-3;

/// The first `D` numbers.
#[inline(always)]
fn leading<T: Real, const D: usize>(values: &[T]) -> [T; D] {
    std::array::from_fn(|i| values[i])
}

/// Dimensions of the largest space that is not flat.
const LARGEST: usize = 6;
