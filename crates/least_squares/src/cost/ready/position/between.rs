//! The position of a variable in the frame of another, less a measured one.

use super::super::curvature::{Curvature, Relative};
use super::super::{Numbers, resolve};
use super::{check_position, with_numbers};
use crate::cost::auto::{AutoCost, Residual};
use crate::cost::{Cost, Gradient, Point, Probe, Shapes};
use crate::dense::vectorised;
use crate::groups::{LieGroup, Matrix};
use crate::jet::Jet;
use crate::manifold::Manifold;
use crate::scalar::Real;

/// (x⁻¹y) ⊟ measured, on every space: y − x − measured on vectors, Log(measured⁻¹ x⁻¹ y) on groups. Rows:
/// the dimensions of the space; variables: x, then y.
///
/// The measurement is given as stored numbers; on groups its rotation is scaled to unit length.
#[derive(Debug)]
pub struct Between {
    auto: AutoCost<BetweenResidual>,
}

#[derive(Debug)]
struct BetweenResidual {
    manifold: Manifold,
    measured: Numbers,
}

impl Between {
    /// The difference of the position of one variable on `manifold` in the frame of another from
    /// `measured`.
    pub fn new(manifold: Manifold, measured: impl Into<Numbers>) -> Self {
        Self {
            auto: AutoCost::new(BetweenResidual {
                manifold,
                measured: measured.into(),
            }),
        }
    }
}

impl Residual for BetweenResidual {
    fn rows(&self) -> usize {
        self.manifold.tangent()
    }

    #[inline(always)]
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (x, y) = (variables[0], variables[1]);
        with_numbers(&self.measured, auxiliaries, |measured| {
            by_group!(self.manifold, G, D => relative::<G<T>, T, D>(x, y, measured, out), {
                for i in 0..out.len() {
                    out[i] = y[i] - x[i] - measured[i];
                }
            });
        });
    }

    fn check(&self, shapes: &Shapes<'_>) -> Result<(), String> {
        check_position(
            shapes,
            &self.manifold,
            2,
            ("the measurement", &self.measured),
        )
    }
}

impl Cost for Between {
    fn rows(&self) -> usize {
        self.auto.rows()
    }

    fn check(&self, shapes: &Shapes<'_>) -> Result<(), String> {
        self.auto.check(shapes)
    }

    fn residual(&self, at: &Point<'_>, out: &mut [f64]) {
        self.auto.get().evaluate(at.variables, at.auxiliaries, out);
    }

    fn linearise(&self, at: &Point<'_>, residual: &mut [f64], jacobian: &mut [f64]) {
        let BetweenResidual { manifold, measured } = self.auto.get();
        let measured = resolve(measured, &mut at.auxiliaries.iter().copied());
        let (x, y) = (at.variables[0], at.variables[1]);
        by_group!(
            manifold,
            G, D => linear_relative::<G<f64>, D>(x, y, measured, residual, jacobian),
            {
                let n = x.len();
                jacobian.fill(0.0);
                for i in 0..n {
                    residual[i] = y[i] - x[i] - measured[i];
                    jacobian[2 * i * n + i] = -1.0;
                    jacobian[2 * i * n + n + i] = 1.0;
                }
            }
        );
    }

    fn probe(&self, at: &Point<'_>, probe: &Probe<'_>, gradient: &mut Gradient<'_>) {
        let BetweenResidual { manifold, measured } = self.auto.get();
        if manifold.is_flat() {
            return self.auto.probe(at, probe, gradient);
        }
        let z = resolve(measured, &mut at.auxiliaries.iter().copied());
        let xy = [at.variables[0], at.variables[1]];
        by_group!(
            manifold,
            G, D => probe_relative::<G<f64>, G<Jet<D>>, D>(manifold, xy, z, probe, gradient),
            {}
        );
    }

    fn add_hessian(&self, at: &Point<'_>, s: &[f64], out: &mut [f64]) {
        self.add_hessian_keeping(at, s, &mut [], out);
    }

    fn kept(&self) -> usize {
        let BetweenResidual { manifold, measured } = self.auto.get();
        match measured {
            // The two matrices of `Curvature::keep`.
            Numbers::Auxiliary(_) if !manifold.is_flat() => 2 * manifold.tangent().pow(2),
            _ => 0,
        }
    }

    fn add_hessian_keeping(&self, at: &Point<'_>, s: &[f64], kept: &mut [f64], out: &mut [f64]) {
        let BetweenResidual { manifold, measured } = self.auto.get();
        let z = resolve(measured, &mut at.auxiliaries.iter().copied());
        let xy = [at.variables[0], at.variables[1]];
        vectorised(
            #[inline(always)]
            || {
                by_group!(
                    manifold,
                    G, D => hessian_relative::<G<f64>, G<Jet<D>>, D>(manifold, xy, z, s, kept, out),
                    {}
                );
            },
        );
    }

    fn probe_kept(&self, at: &Point<'_>, probe: &Probe<'_>, kept: &[f64], auxiliaries: &mut [f64]) {
        let BetweenResidual { manifold, measured } = self.auto.get();
        let z = resolve(measured, &mut at.auxiliaries.iter().copied());
        let xy = [at.variables[0], at.variables[1]];
        by_group!(
            manifold,
            G, D => Relative::<G<f64>, D>::new(xy[0], xy[1], z).probe_kept(probe, z, kept, auxiliaries),
            {}
        );
    }

    fn is_affine(&self) -> bool {
        self.auto.get().manifold.is_flat()
    }
}

#[inline(always)]
fn relative<G: LieGroup<T, D>, T: Real, const D: usize>(
    x: &[T],
    y: &[T],
    measured: &[T],
    out: &mut [T],
) {
    let position = G::read(x).inverse().compose(&G::read(y));
    let measured = G::read(measured).normalised();
    out[..D].copy_from_slice(&measured.local(&position));
}

/// The relative difference and its Jacobians −J_r⁻¹ Ad(y⁻¹x) by x and J_r⁻¹ by y: x Exp(δ) changes
/// x⁻¹y to x⁻¹y Exp(−Ad(y⁻¹x) δ).
fn linear_relative<G: LieGroup<f64, D>, const D: usize>(
    x: &[f64],
    y: &[f64],
    measured: &[f64],
    out: &mut [f64],
    jacobian: &mut [f64],
) {
    let position = G::read(x).inverse().compose(&G::read(y));
    let measured = G::read(measured).normalised();
    let rows = measured.local(&position);
    let by_y = G::right_jacobian_inverse(&rows);
    let adjoint: Matrix<f64, D, D> = position.inverse().adjoint();
    out[..D].copy_from_slice(&rows);
    for (i, out) in jacobian.chunks_exact_mut(2 * D).enumerate() {
        for j in 0..D {
            let mut sum = 0.0;
            for k in 0..D {
                sum -= by_y[i][k] * adjoint[k][j];
            }
            out[j] = sum;
            out[D + j] = by_y[i][j];
        }
    }
}

#[inline(always)]
fn probe_relative<G, J, const D: usize>(
    manifold: &Manifold,
    [x, y]: [&[f64]; 2],
    measured: &[f64],
    probe: &Probe<'_>,
    gradient: &mut Gradient<'_>,
) where
    G: LieGroup<f64, D>,
    J: LieGroup<Jet<D>, D>,
{
    let at = Relative::<G, D>::new(x, y, measured);
    let curvature = Curvature::new::<G, J>(manifold, &at.log(), probe.s);
    at.probe(&curvature, probe, measured, gradient);
}

/// Fills `kept`, unless it is empty.
#[inline(always)]
fn hessian_relative<G, J, const D: usize>(
    manifold: &Manifold,
    [x, y]: [&[f64]; 2],
    measured: &[f64],
    s: &[f64],
    kept: &mut [f64],
    out: &mut [f64],
) where
    G: LieGroup<f64, D>,
    J: LieGroup<Jet<D>, D>,
{
    let at = Relative::<G, D>::new(x, y, measured);
    let curvature = Curvature::new::<G, J>(manifold, &at.log(), s);
    if !kept.is_empty() {
        curvature.keep(kept);
    }
    at.add_hessian(&curvature, out);
}
