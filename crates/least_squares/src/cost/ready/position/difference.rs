//! The difference of a variable from a target.

use super::super::curvature::{Absolute, Curvature};
use super::super::{Numbers, resolve};
use super::{check_position, with_numbers};
use crate::cost::auto::{AutoCost, Residual};
use crate::cost::{Cost, Gradient, Point, Probe, Shapes};
use crate::groups::LieGroup;
use crate::jet::Jet;
use crate::manifold::Manifold;
use crate::scalar::Real;

/// x ⊟ target, on every space: x − target on vectors, Log(target⁻¹ x) on groups, where it is also called a
/// prior. Rows: the dimensions of the space.
///
/// The target is given as stored numbers; on groups its rotation is scaled to unit length.
#[derive(Debug)]
pub struct Difference {
    auto: AutoCost<DifferenceResidual>,
}

#[derive(Debug)]
struct DifferenceResidual {
    manifold: Manifold,
    target: Numbers,
}

impl Difference {
    /// The difference of a variable on `manifold` from `target`.
    pub fn new(manifold: Manifold, target: impl Into<Numbers>) -> Self {
        Self {
            auto: AutoCost::new(DifferenceResidual {
                manifold,
                target: target.into(),
            }),
        }
    }
}

impl Residual for DifferenceResidual {
    fn rows(&self) -> usize {
        self.manifold.tangent()
    }

    #[inline(always)]
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let x = variables[0];
        with_numbers(&self.target, auxiliaries, |target| {
            by_group!(self.manifold, G, D => difference::<G<T>, T, D>(x, target, out), {
                for (out, (x, target)) in out.iter_mut().zip(x.iter().zip(target)) {
                    *out = *x - *target;
                }
            });
        });
    }

    fn check(&self, shapes: &Shapes<'_>) -> Result<(), String> {
        check_position(shapes, &self.manifold, 1, ("the target", &self.target))
    }
}

impl Cost for Difference {
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
        let DifferenceResidual { manifold, target } = self.auto.get();
        let target = resolve(target, &mut at.auxiliaries.iter().copied());
        let x = at.variables[0];
        by_group!(
            manifold,
            G, D => linear_difference::<G<f64>, D>(x, target, residual, jacobian),
            {
                let n = x.len();
                jacobian.fill(0.0);
                for i in 0..n {
                    residual[i] = x[i] - target[i];
                    jacobian[i * n + i] = 1.0;
                }
            }
        );
    }

    fn probe(&self, at: &Point<'_>, probe: &Probe<'_>, gradient: &mut Gradient<'_>) {
        if self.auto.get().manifold.is_flat() {
            // ψ = sᵀd + tᵀ(x − target).
            crate::dense::axpy(1.0, probe.t, gradient.variables);
            crate::dense::axpy(-1.0, probe.t, gradient.auxiliaries);
            return;
        }
        let DifferenceResidual { manifold, target } = self.auto.get();
        let target = resolve(target, &mut at.auxiliaries.iter().copied());
        let x = at.variables[0];
        by_group!(
            manifold,
            G, D => probe_difference::<G<f64>, G<Jet<D>>, D>(manifold, x, target, probe, gradient),
            {}
        );
    }

    fn add_hessian(&self, at: &Point<'_>, s: &[f64], out: &mut [f64]) {
        let DifferenceResidual { manifold, target } = self.auto.get();
        let target = resolve(target, &mut at.auxiliaries.iter().copied());
        let x = at.variables[0];
        by_group!(
            manifold,
            G, D => hessian_difference::<G<f64>, G<Jet<D>>, D>(manifold, x, target, s, out),
            {}
        );
    }

    fn is_affine(&self) -> bool {
        self.auto.get().manifold.is_flat()
    }
}

#[inline(always)]
fn difference<G: LieGroup<T, D>, T: Real, const D: usize>(x: &[T], target: &[T], out: &mut [T]) {
    let target = G::read(target).normalised();
    out[..D].copy_from_slice(&target.local(&G::read(x)));
}

/// The difference and its Jacobian J_r⁻¹ (Solà, eq. 83).
fn linear_difference<G: LieGroup<f64, D>, const D: usize>(
    x: &[f64],
    target: &[f64],
    out: &mut [f64],
    jacobian: &mut [f64],
) {
    let rows = G::read(target).normalised().local(&G::read(x));
    let by_x = G::right_jacobian_inverse(&rows);
    out[..D].copy_from_slice(&rows);
    for (out, row) in jacobian.chunks_exact_mut(D).zip(&by_x) {
        out.copy_from_slice(row);
    }
}

fn probe_difference<G, J, const D: usize>(
    manifold: &Manifold,
    x: &[f64],
    target: &[f64],
    probe: &Probe<'_>,
    gradient: &mut Gradient<'_>,
) where
    G: LieGroup<f64, D>,
    J: LieGroup<Jet<D>, D>,
{
    let at = Absolute::<G>::new(x, target);
    let curvature = Curvature::new::<G, J>(manifold, &at.log(), probe.s);
    at.probe(&curvature, probe, target, gradient);
}

fn hessian_difference<G, J, const D: usize>(
    manifold: &Manifold,
    x: &[f64],
    target: &[f64],
    s: &[f64],
    out: &mut [f64],
) where
    G: LieGroup<f64, D>,
    J: LieGroup<Jet<D>, D>,
{
    let at = Absolute::<G>::new(x, target);
    Curvature::new::<G, J>(manifold, &at.log(), s).add_hessian(out);
}
