//! The spaces that variables live in.

use std::sync::Arc;

use crate::groups::{LieGroup, Se2, Se3, So2, So3};
use crate::jet::Jet;
use crate::reverse::Reverse;
use crate::scalar::Real;
use crate::tape::Tape;

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
    /// Rotations of the plane, stored as `cos θ, sin θ`: x ⊞ δ = x Exp(δ), as on all groups.
    So2,
    /// Motions of the plane, stored as `cos θ, sin θ, x, y`; steps are `ρ_x, ρ_y, θ`.
    Se2,
    /// Rotations of space, stored as a unit quaternion `w, x, y, z`; steps are rotation vectors.
    So3,
    /// Motions of space, stored as a unit quaternion and a translation; steps are a translation `ρ`, then
    /// a rotation vector.
    Se3,
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
        match self {
            Self::Vector(_) | Self::Bounded(_) => {
                for i in 0..self.storage() {
                    out[i] = x[i] + delta[i];
                }
            }
            Self::So2 => moved::<So2<T>, T, 1>(x, delta, out),
            Self::Se2 => moved::<Se2<T>, T, 3>(x, delta, out),
            Self::So3 => moved::<So3<T>, T, 3>(x, delta, out),
            Self::Se3 => moved::<Se3<T>, T, 6>(x, delta, out),
        }
    }

    /// `out` = y ⊟ x, the δ with x ⊞ δ = y.
    ///
    /// # Panics
    /// When a slice is shorter than [`storage`](Self::storage) or [`tangent`](Self::tangent).
    #[inline(always)]
    pub fn local<T: Real>(&self, x: &[T], y: &[T], out: &mut [T]) {
        match self {
            Self::Vector(_) | Self::Bounded(_) => {
                for i in 0..self.storage() {
                    out[i] = y[i] - x[i];
                }
            }
            Self::So2 => between::<So2<T>, T, 1>(x, y, out),
            Self::Se2 => between::<Se2<T>, T, 3>(x, y, out),
            Self::So3 => between::<So3<T>, T, 3>(x, y, out),
            Self::Se3 => between::<Se3<T>, T, 6>(x, y, out),
        }
    }

    /// `out` += P(x)ᵀ a, with P the derivative of x ⊞ δ by δ at zero: what a gradient with respect to the
    /// stored numbers is with respect to steps.
    pub(crate) fn add_pulled_back(&self, x: &[f64], a: &[f64], out: &mut [f64]) {
        match self {
            Self::Vector(_) | Self::Bounded(_) => crate::dense::axpy(1.0, a, out),
            Self::So2 => add_lowered::<So2<f64>, 1>(x, a, out),
            Self::Se2 => add_lowered::<Se2<f64>, 3>(x, a, out),
            Self::So3 => add_lowered::<So3<f64>, 3>(x, a, out),
            Self::Se3 => add_lowered::<Se3<f64>, 6>(x, a, out),
        }
    }

    /// `out` = a = P (PᵀP)⁻¹ v, the shortest stored-number gradient with Pᵀa = v.
    ///
    /// The columns of P are orthogonal for all groups here, so PᵀP is diagonal.
    pub(crate) fn raise(&self, x: &[f64], v: &[f64], out: &mut [f64]) {
        match self {
            Self::Vector(_) | Self::Bounded(_) => out.copy_from_slice(v),
            Self::So2 => raised::<So2<f64>, 1>(x, v, out),
            Self::Se2 => raised::<Se2<f64>, 3>(x, v, out),
            Self::So3 => raised::<So3<f64>, 3>(x, v, out),
            Self::Se3 => raised::<Se3<f64>, 6>(x, v, out),
        }
    }

    /// `out` += ½ ∂/∂ξ aᵀ[ξ, d]: how the second derivative of a function with gradient a, first along ξ
    /// and then along d, differs from the symmetric one. Zero on flat spaces.
    #[inline(always)]
    pub(crate) fn add_bracket(&self, a: &[f64], d: &[f64], out: &mut [f64]) {
        // aᵀ(ξ × d) = ξᵀ(d × a).
        let cross = |d: &[f64], a: &[f64], factor: f64, out: &mut [f64]| {
            for i in 0..3 {
                let (j, k) = ((i + 1) % 3, (i + 2) % 3);
                out[i] += factor * (d[j] * a[k] - d[k] * a[j]);
            }
        };
        match self {
            Self::Vector(_) | Self::Bounded(_) | Self::So2 => {}
            Self::So3 => cross(d, a, 0.5, out),
            Self::Se2 => {
                // [(ρ, θ), (σ, φ)] = (θ Jσ − φ Jρ, 0) with J the quarter turn.
                out[0] += 0.5 * -d[2] * a[1];
                out[1] += 0.5 * d[2] * a[0];
                out[2] += 0.5 * (-d[1] * a[0] + d[0] * a[1]);
            }
            Self::Se3 => {
                // [(ρ, θ), (σ, φ)] = (θ × σ − φ × ρ, θ × φ).
                let (rho, theta) = out.split_at_mut(3);
                cross(&d[..3], &a[..3], 0.5, theta);
                cross(&d[3..], &a[3..], 0.5, theta);
                cross(&d[3..], &a[..3], 0.5, rho);
            }
        }
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
        let places: Vec<Option<(u32, f64)>> = {
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
        let leaves = tape.sweep(seeds.filter_map(|(place, a)| {
            place.map(|(place, factor)| (place, Jet::constant(a * factor)))
        }));
        for i in 0..tangent {
            by_start[i] += leaves[i].value;
            by_delta[i] += leaves[tangent + i].value;
        }
    }

    /// The stored numbers of a point that a caller gave, with its rotation scaled to unit length.
    ///
    /// # Errors
    /// What is wrong, where that is further off than numbers in single precision are.
    pub(crate) fn normalise(&self, x: &mut [f64]) -> Result<(), String> {
        let rotation = match self {
            Self::Vector(_) | Self::Bounded(_) => return Ok(()),
            Self::So2 | Self::Se2 => &mut x[..2],
            Self::So3 | Self::Se3 => &mut x[..4],
        };
        let length = crate::dense::norm(rotation);
        if !((length - 1.0).abs() < 1e-3) {
            return Err(format!(
                "has a rotation stored with length {length}, which must be 1"
            ));
        }
        rotation.iter_mut().for_each(|v| *v /= length);
        Ok(())
    }
}

#[inline(always)]
fn moved<G: LieGroup<T, D>, T: Real, const D: usize>(x: &[T], delta: &[T], out: &mut [T]) {
    let delta = std::array::from_fn(|i| delta[i]);
    G::read(x).retract(&delta).write(out);
}

#[inline(always)]
fn between<G: LieGroup<T, D>, T: Real, const D: usize>(x: &[T], y: &[T], out: &mut [T]) {
    out[..D].copy_from_slice(&G::read(x).local(&G::read(y)));
}

fn add_lowered<G: LieGroup<f64, D>, const D: usize>(x: &[f64], a: &[f64], out: &mut [f64]) {
    crate::dense::axpy(1.0, &G::read(x).lower(a), out);
}

fn raised<G: LieGroup<f64, D>, const D: usize>(x: &[f64], v: &[f64], out: &mut [f64]) {
    G::read(x).raise(&std::array::from_fn(|i| v[i]), out);
}
