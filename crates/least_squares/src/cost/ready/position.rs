//! Where a variable is, absolutely or relative to another.

use crate::cost::auto::{AutoCost, Residual};
use crate::cost::{Cost, Gradient, Point, Probe, Shapes};
use crate::dense::vectorised;
use crate::groups::{LieGroup, Matrix, Se2, Se3, So2, So3};
use crate::jet::Jet;
use crate::manifold::Manifold;
use crate::scalar::Real;

use super::curvature::{Absolute, Curvature, Relative};
use super::{Numbers, check_sizes, resolve};

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

/// Runs `$work` with `$group` as the group of `$manifold`, over `$scalar`; `$flat` on vectors.
macro_rules! by_group {
    ($manifold:expr, $scalar:ty, $work:ident($($argument:expr),*), $flat:expr) => {
        match $manifold {
            Manifold::Vector(_) | Manifold::Bounded(_) => $flat,
            Manifold::So2 => $work::<So2<$scalar>, $scalar, 1>($($argument),*),
            Manifold::Se2 => $work::<Se2<$scalar>, $scalar, 3>($($argument),*),
            Manifold::So3 => $work::<So3<$scalar>, $scalar, 3>($($argument),*),
            Manifold::Se3 => $work::<Se3<$scalar>, $scalar, 6>($($argument),*),
        }
    };
}

#[inline(always)]
fn difference<G: LieGroup<T, D>, T: Real, const D: usize>(x: &[T], target: &[T], out: &mut [T]) {
    let target = G::read(target).normalised();
    out[..D].copy_from_slice(&target.local(&G::read(x)));
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

/// The difference and its Jacobian J_r⁻¹ (Solà, eq. 83).
fn linear_difference<G: LieGroup<T, D>, T: Real, const D: usize>(
    x: &[T],
    target: &[T],
    out: &mut [T],
    jacobian: &mut [T],
) {
    let rows = G::read(target).normalised().local(&G::read(x));
    let by_x = G::right_jacobian_inverse(&rows);
    out[..D].copy_from_slice(&rows);
    for (out, row) in jacobian.chunks_exact_mut(D).zip(&by_x) {
        out.copy_from_slice(row);
    }
}

/// The relative difference and its Jacobians −J_r⁻¹ Ad(y⁻¹x) by x and J_r⁻¹ by y: x Exp(δ) changes
/// x⁻¹y to x⁻¹y Exp(−Ad(y⁻¹x) δ).
fn linear_relative<G: LieGroup<T, D>, T: Real, const D: usize>(
    x: &[T],
    y: &[T],
    measured: &[T],
    out: &mut [T],
    jacobian: &mut [T],
) {
    let position = G::read(x).inverse().compose(&G::read(y));
    let measured = G::read(measured).normalised();
    let rows = measured.local(&position);
    let by_y = G::right_jacobian_inverse(&rows);
    let adjoint: Matrix<T, D, D> = position.inverse().adjoint();
    out[..D].copy_from_slice(&rows);
    for (i, out) in jacobian.chunks_exact_mut(2 * D).enumerate() {
        for j in 0..D {
            let mut sum = T::constant(0.0);
            for k in 0..D {
                sum -= by_y[i][k] * adjoint[k][j];
            }
            out[j] = sum;
            out[D + j] = by_y[i][j];
        }
    }
}

/// Runs `$work` with the group of `$manifold` over f64, over dual numbers, and its dimensions; `$flat` on vectors.
macro_rules! by_curved {
    ($manifold:expr, $work:ident($($argument:expr),*), $flat:expr) => {
        match $manifold {
            Manifold::Vector(_) | Manifold::Bounded(_) => $flat,
            Manifold::So2 => $work::<So2<f64>, So2<_>, 1>($($argument),*),
            Manifold::Se2 => $work::<Se2<f64>, Se2<_>, 3>($($argument),*),
            Manifold::So3 => $work::<So3<f64>, So3<_>, 3>($($argument),*),
            Manifold::Se3 => $work::<Se3<f64>, Se3<_>, 6>($($argument),*),
        }
    };
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

#[inline(always)]
fn hessian_relative<G, J, const D: usize>(
    manifold: &Manifold,
    [x, y]: [&[f64]; 2],
    measured: &[f64],
    s: &[f64],
    out: &mut [f64],
) where
    G: LieGroup<f64, D>,
    J: LieGroup<Jet<D>, D>,
{
    let at = Relative::<G, D>::new(x, y, measured);
    at.add_hessian(&Curvature::new::<G, J>(manifold, &at.log(), s), out);
}

#[inline(always)]
fn hessian_relative_keeping<G, J, const D: usize>(
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
    curvature.keep(kept);
    at.add_hessian(&curvature, out);
}

#[inline(always)]
#[expect(
    clippy::extra_unused_type_parameters,
    reason = "`by_curved!` names the group over both kinds of scalars"
)]
fn probe_relative_kept<G, J, const D: usize>(
    [x, y]: [&[f64]; 2],
    measured: &[f64],
    probe: &Probe<'_>,
    kept: &[f64],
    auxiliaries: &mut [f64],
) where
    G: LieGroup<f64, D>,
    J: LieGroup<Jet<D>, D>,
{
    Relative::<G, D>::new(x, y, measured).probe_kept(probe, measured, kept, auxiliaries);
}

/// Constants as scalars, or the auxiliary.
#[inline(always)]
fn with_numbers<T: Real, R>(
    numbers: &Numbers,
    auxiliaries: &[&[T]],
    work: impl FnOnce(&[T]) -> R,
) -> R {
    match numbers {
        Numbers::Auxiliary(_) => work(auxiliaries[0]),
        Numbers::Constant(values) if values.len() <= 7 => {
            let mut few = [T::constant(0.0); 7];
            for (few, value) in few.iter_mut().zip(values) {
                *few = T::constant(*value);
            }
            work(&few[..values.len()])
        }
        Numbers::Constant(values) => {
            let many: Vec<T> = values.iter().map(|v| T::constant(*v)).collect();
            work(&many)
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
            by_group!(self.manifold, T, difference(x, target, out), {
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

impl Residual for BetweenResidual {
    fn rows(&self) -> usize {
        self.manifold.tangent()
    }

    #[inline(always)]
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (x, y) = (variables[0], variables[1]);
        with_numbers(&self.measured, auxiliaries, |measured| {
            by_group!(self.manifold, T, relative(x, y, measured, out), {
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

fn check_position(
    shapes: &Shapes<'_>,
    manifold: &Manifold,
    variables: usize,
    (name, numbers): (&str, &Numbers),
) -> Result<(), String> {
    let storage = manifold.storage();
    check_sizes(shapes, storage, variables, &[(name, numbers, storage)])?;
    let kind = |m: &Manifold| (!m.is_flat()).then(|| std::mem::discriminant(m));
    if shapes.manifolds.iter().any(|m| kind(m) != kind(manifold)) {
        return Err(format!("has a variable that is not on {manifold:?}"));
    }
    if let Numbers::Constant(values) = numbers {
        manifold
            .normalise(&mut values.clone())
            .map_err(|reason| format!("{reason} ({name})"))?;
    }
    Ok(())
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
            f64,
            linear_difference(x, target, residual, jacobian),
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
        by_curved!(
            manifold,
            probe_difference(manifold, x, target, probe, gradient),
            {}
        );
    }

    fn add_hessian(&self, at: &Point<'_>, s: &[f64], out: &mut [f64]) {
        let DifferenceResidual { manifold, target } = self.auto.get();
        let target = resolve(target, &mut at.auxiliaries.iter().copied());
        let x = at.variables[0];
        by_curved!(manifold, hessian_difference(manifold, x, target, s, out), {
        });
    }

    fn is_affine(&self) -> bool {
        self.auto.get().manifold.is_flat()
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
            f64,
            linear_relative(x, y, measured, residual, jacobian),
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
        by_curved!(
            manifold,
            probe_relative(manifold, xy, z, probe, gradient),
            {}
        );
    }

    fn add_hessian(&self, at: &Point<'_>, s: &[f64], out: &mut [f64]) {
        let BetweenResidual { manifold, measured } = self.auto.get();
        let z = resolve(measured, &mut at.auxiliaries.iter().copied());
        let xy = [at.variables[0], at.variables[1]];
        by_curved!(manifold, hessian_relative(manifold, xy, z, s, out), {});
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
        if kept.is_empty() {
            return self.add_hessian(at, s, out);
        }
        let BetweenResidual { manifold, measured } = self.auto.get();
        let z = resolve(measured, &mut at.auxiliaries.iter().copied());
        let xy = [at.variables[0], at.variables[1]];
        vectorised(
            #[inline(always)]
            || {
                by_curved!(
                    manifold,
                    hessian_relative_keeping(manifold, xy, z, s, kept, out),
                    {}
                );
            },
        );
    }

    fn probe_kept(&self, at: &Point<'_>, probe: &Probe<'_>, kept: &[f64], auxiliaries: &mut [f64]) {
        let BetweenResidual { manifold, measured } = self.auto.get();
        let z = resolve(measured, &mut at.auxiliaries.iter().copied());
        let xy = [at.variables[0], at.variables[1]];
        by_curved!(
            manifold,
            probe_relative_kept(xy, z, probe, kept, auxiliaries),
            {}
        );
    }

    fn is_affine(&self) -> bool {
        self.auto.get().manifold.is_flat()
    }
}
