//! Costs between elements of a Lie group: relative poses, and priors.
//!
//! Their Jacobians are closed forms; second derivatives and those with respect to the measurement are exact too, by
//! automatic differentiation of the same residual.

use std::fmt::Debug;

use super::auto::{AutoCost, Residual};
use super::{Cost, Gradient, Point, Probe, Shapes};
use crate::groups::{Group, LieGroup, Matrix};
#[cfg(doc)]
use crate::manifold::Manifold;
use crate::scalar::Real;

/// The residual `Log(z⁻¹ x₁⁻¹ x₂)`: pose `x₂` in the frame of `x₁`, against its measurement `z`.
///
/// Variables: `x₁` and `x₂`, in the [`Manifold`] of the group. Rows: the group's dimensions, in the order of its
/// tangent (translation, then rotation). With `e` the residual, the Jacobians are `−J_l(e)⁻¹ Ad(z⁻¹)` and `J_r(e)⁻¹`
/// (Solà, Deray & Atchuthan, *A micro Lie theory for state estimation in robotics*, arXiv 1812.01537, eqs. 64, 82
/// and 83).
#[derive(Debug)]
pub struct Between<G: Group<D>, const D: usize> {
    rows: AutoCost<Rows<G, D, 2>>,
}

/// The residual `Log(z⁻¹ x)`: pose `x` against what is known of it, `z`.
///
/// Variable: `x`, in the [`Manifold`] of the group. Rows: the group's dimensions. The Jacobian is `J_r(e)⁻¹`.
#[derive(Debug)]
pub struct PosePrior<G: Group<D>, const D: usize> {
    rows: AutoCost<Rows<G, D, 1>>,
}

/// Where `z` comes from.
#[derive(Clone, Copy, Debug)]
enum Measured<G> {
    /// The same always, inverted.
    Inverse(G),
    /// The stored numbers of the first auxiliary; its rotation need not be normalised.
    Auxiliary,
}

/// The residual of `P` poses over any scalar.
#[derive(Debug)]
struct Rows<G, const D: usize, const P: usize> {
    measured: Measured<G>,
}

impl<G: Group<D>, const D: usize> Between<G, D> {
    /// Against the measurement `z`.
    pub fn new(z: G) -> Self {
        Between {
            rows: Rows::constant(z),
        }
    }

    /// Against a measurement that is the cost's one auxiliary: the numbers that store the group's element. The
    /// rotation is normalised first, so that gradients are along the group.
    pub fn auxiliary() -> Self {
        Between {
            rows: Rows::auxiliary(),
        }
    }
}

impl<G: Group<D>, const D: usize> PosePrior<G, D> {
    /// Against the pose `z`.
    pub fn new(z: G) -> Self {
        PosePrior {
            rows: Rows::constant(z),
        }
    }

    /// Against a pose that is the cost's one auxiliary, as in [`Between::auxiliary`].
    pub fn auxiliary() -> Self {
        PosePrior {
            rows: Rows::auxiliary(),
        }
    }
}

impl<G: Group<D>, const D: usize, const P: usize> Rows<G, D, P> {
    fn constant(z: G) -> AutoCost<Self> {
        AutoCost::new(Rows {
            measured: Measured::Inverse(z.normalised().inverse()),
        })
    }

    fn auxiliary() -> AutoCost<Self> {
        AutoCost::new(Rows {
            measured: Measured::Auxiliary,
        })
    }

    /// `z⁻¹`.
    fn inverse_measurement(&self, auxiliaries: &[&[f64]]) -> G {
        match self.measured {
            Measured::Inverse(inverse) => inverse,
            Measured::Auxiliary => G::read(auxiliaries[0]).normalised().inverse(),
        }
    }
}

impl<G: Group<D>, const D: usize, const P: usize> Residual for Rows<G, D, P> {
    fn rows(&self) -> usize {
        D
    }

    #[inline(always)]
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let inverse = match self.measured {
            Measured::Inverse(inverse) => inverse.lift::<T>(),
            Measured::Auxiliary => G::Over::<T>::read(auxiliaries[0]).normalised().inverse(),
        };
        let last = G::Over::<T>::read(variables[P - 1]);
        let pose = if P == 2 {
            G::Over::<T>::read(variables[0]).inverse().compose(&last)
        } else {
            last
        };
        out.copy_from_slice(&inverse.compose(&pose).log());
    }

    fn check(&self, shapes: &Shapes<'_>) -> Result<(), String> {
        let manifold = G::manifold();
        if shapes.manifolds.len() != P || shapes.manifolds.iter().any(|m| *m != manifold) {
            return Err(format!(
                "needs {P} variables of {manifold:?} but has {:?}",
                shapes.manifolds
            ));
        }
        match (&self.measured, shapes.auxiliaries) {
            (Measured::Inverse(_), []) => Ok(()),
            (Measured::Auxiliary, [stored]) if *stored == G::STORED => Ok(()),
            (Measured::Inverse(_), got) => {
                Err(format!("takes no auxiliaries but has {}", got.len()))
            }
            (Measured::Auxiliary, got) => Err(format!(
                "needs one auxiliary of {} numbers but has {got:?}",
                G::STORED
            )),
        }
    }
}

/// Writes a block of a row-major Jacobian of `width` columns.
#[inline(always)]
fn put<const D: usize>(block: &Matrix<f64, D, D>, jacobian: &mut [f64], width: usize, column: usize) {
    for (row, out) in block.iter().zip(jacobian.chunks_exact_mut(width)) {
        out[column..column + D].copy_from_slice(row);
    }
}

/// What both costs leave to their [`AutoCost`].
macro_rules! by_rows {
    () => {
        fn rows(&self) -> usize {
            D
        }

        fn check(&self, shapes: &Shapes<'_>) -> Result<(), String> {
            Cost::check(&self.rows, shapes)
        }

        fn residual(&self, at: &Point<'_>, out: &mut [f64]) {
            self.rows
                .get()
                .evaluate(at.variables, at.auxiliaries, out);
        }

        fn probe(&self, at: &Point<'_>, probe: &Probe<'_>, gradient: &mut Gradient<'_>) {
            self.rows.probe(at, probe, gradient);
        }

        fn add_hessian(&self, at: &Point<'_>, s: &[f64], out: &mut [f64]) {
            self.rows.add_hessian(at, s, out);
        }
    };
}

impl<G: Group<D>, const D: usize> Cost for Between<G, D> {
    by_rows!();

    fn linearise(&self, at: &Point<'_>, residual: &mut [f64], jacobian: &mut [f64]) {
        let inverse = self.rows.get().inverse_measurement(at.auxiliaries);
        let from = G::read(at.variables[0]);
        let to = G::read(at.variables[1]);
        let e = inverse.compose(&from.inverse().compose(&to)).log();
        residual.copy_from_slice(&e);
        let by_from = G::minus_left_inverse_adjoint(&e, &inverse);
        put(&by_from, jacobian, 2 * D, 0);
        put(&G::right_jacobian_inverse(&e), jacobian, 2 * D, D);
    }
}

impl<G: Group<D>, const D: usize> Cost for PosePrior<G, D> {
    by_rows!();

    fn linearise(&self, at: &Point<'_>, residual: &mut [f64], jacobian: &mut [f64]) {
        let inverse = self.rows.get().inverse_measurement(at.auxiliaries);
        let e = inverse.compose(&G::read(at.variables[0])).log();
        residual.copy_from_slice(&e);
        put(&G::right_jacobian_inverse(&e), jacobian, D, 0);
    }
}
