//! Second derivatives of differences of positions on a group, in closed form.
//!
//! With `E = z⁻¹x⁻¹y` and its logarithm `e`, motions of `x`, `y` and `z` by `δ₁`, `δ₂` and `ζ` turn `E` into
//! `E Exp(κ) Exp(α) Exp(δ₂)` with `α = −Ad(y⁻¹x) δ₁` and `κ = −Ad(E⁻¹) ζ`. By the Baker-Campbell-Hausdorff formula, to
//! second order,
//!
//! ```text
//! sᵀe(κ, α, δ₂) = sᵀe + gᵀη + ½ ηᵀHη + ½ gᵀ([κ, α] + [κ, δ₂] + [α, δ₂]),   η = κ + α + δ₂,   g = J_r(e)⁻ᵀ s
//! ```
//!
//! where `H` is the Hessian of `sᵀ Log(E Exp(η))`: as `Log(E Exp(η))` has the Jacobian `J_r(Log(E Exp(η)))⁻¹ J_r(η)`, it
//! is the symmetric part of `(∂g/∂e) J_r(e)⁻¹`; what `J_r(η)` adds is antisymmetric. Only `∂g/∂e` is left to
//! differentiate, by forward mode.

use crate::cost::{Gradient, Probe};
use crate::groups::{LieGroup, Matrix, product};
use crate::jet::Jet;
use crate::manifold::Manifold;
use crate::scalar::Real;

/// `g`, `H`, `H + K` and `J_r(e)⁻¹` for one `s`; `K d` is the [bracket](Curvature::bracket), and antisymmetric.
pub(super) struct Curvature<'m, const D: usize> {
    manifold: &'m Manifold,
    gradient: [f64; D],
    hessian: Matrix<f64, D, D>,
    /// By columns.
    bent: Matrix<f64, D, D>,
    inverse: Matrix<f64, D, D>,
}

/// `E`, `z` and `Ad(y⁻¹x)`.
pub(super) struct Relative<G, const D: usize> {
    error: G,
    measured: G,
    adjoint: Matrix<f64, D, D>,
}

#[inline(always)]
fn times<const D: usize>(matrix: &Matrix<f64, D, D>, x: &[f64; D]) -> [f64; D] {
    matrix.map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum())
}

#[inline(always)]
fn transposed_times<const D: usize>(matrix: &Matrix<f64, D, D>, x: &[f64; D]) -> [f64; D] {
    let mut out = [0.0; D];
    for (row, x) in matrix.iter().zip(x) {
        for (out, value) in out.iter_mut().zip(row) {
            *out += value * x;
        }
    }
    out
}

#[inline(always)]
fn head<const D: usize>(values: &[f64]) -> [f64; D] {
    std::array::from_fn(|i| values[i])
}

#[inline(always)]
fn add<const D: usize>(values: &[f64; D], out: &mut [f64]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out += value;
    }
}

impl<'m, const D: usize> Curvature<'m, D> {
    /// At the logarithm `e`; `G` and `J` are one group over two scalars.
    #[inline(always)]
    pub(super) fn new<G, J>(manifold: &'m Manifold, e: &[f64; D], s: &[f64]) -> Self
    where
        G: LieGroup<f64, D>,
        J: LieGroup<Jet<D>, D>,
    {
        let seeded = std::array::from_fn(|i| Jet::seeded(e[i], i));
        let s = std::array::from_fn(|i| Jet::constant(s[i]));
        let gradient = J::pull_back(&seeded, &s);
        let inverse = G::right_jacobian_inverse(e);
        let mut hessian = [[0.0; D]; D];
        for (j, g) in gradient.iter().enumerate() {
            let row = transposed_times(&inverse, &g.slope);
            for (i, value) in row.iter().enumerate() {
                hessian[j][i] += 0.5 * value;
                hessian[i][j] += 0.5 * value;
            }
        }
        let gradient = gradient.map(|g| g.value);
        let mut bent = hessian;
        for (j, column) in bent.iter_mut().enumerate() {
            let mut unit = [0.0; D];
            unit[j] = 1.0;
            manifold.add_bracket(&gradient, &unit, column);
        }
        Curvature {
            manifold,
            gradient,
            hessian,
            bent,
            inverse,
        }
    }

    /// Adds `H`, `[D, D]`.
    #[inline(always)]
    pub(super) fn add_hessian(&self, out: &mut [f64]) {
        crate::dense::axpy(1.0, self.hessian.as_flattened(), out);
    }

    /// What derivatives by the measurement need: `H + K`, by columns, and `J_r(e)⁻¹`.
    #[inline(always)]
    pub(super) fn keep(&self, kept: &mut [f64]) {
        let (bent, inverse) = kept.split_at_mut(D * D);
        bent.copy_from_slice(self.bent.as_flattened());
        inverse.copy_from_slice(self.inverse.as_flattened());
    }

    /// `½ ∂/∂ξ gᵀ[ξ, d]`.
    #[inline(always)]
    fn bracket(&self, d: &[f64; D]) -> [f64; D] {
        let mut out = [0.0; D];
        self.manifold.add_bracket(&self.gradient, d, &mut out);
        out
    }
}

/// As [`Relative`], of `E = z⁻¹x` for one position.
pub(super) struct Absolute<G> {
    error: G,
    measured: G,
}

impl<G> Absolute<G> {
    #[inline(always)]
    pub(super) fn new<const D: usize>(x: &[f64], measured: &[f64]) -> Self
    where
        G: LieGroup<f64, D>,
    {
        let measured = G::read(measured).normalised();
        Absolute {
            error: measured.inverse().compose(&G::read(x)),
            measured,
        }
    }

    #[inline(always)]
    pub(super) fn log<const D: usize>(&self) -> [f64; D]
    where
        G: LieGroup<f64, D>,
    {
        self.error.log()
    }

    /// Adds the derivatives of `ψ = sᵀJd + tᵀe`.
    #[inline(always)]
    pub(super) fn probe<const D: usize>(
        &self,
        curvature: &Curvature<'_, D>,
        probe: &Probe<'_>,
        stored: &[f64],
        gradient: &mut Gradient<'_>,
    ) where
        G: LieGroup<f64, D>,
    {
        let d = head(probe.d);
        let tau = transposed_times(&curvature.inverse, &head(probe.t));
        let hd = times(&curvature.hessian, &d);
        let both: [f64; D] = std::array::from_fn(|i| hd[i] + tau[i]);
        add(&both, gradient.variables);
        if !gradient.auxiliaries.is_empty() {
            let with = curvature.bracket(&d);
            let by_kappa = std::array::from_fn(|i| both[i] + with[i]);
            let out = &mut *gradient.auxiliaries;
            add_measured(&self.error, &self.measured, &by_kappa, stored, out);
        }
    }
}

impl<G: LieGroup<f64, D>, const D: usize> Relative<G, D> {
    #[inline(always)]
    pub(super) fn new(x: &[f64], y: &[f64], measured: &[f64]) -> Self {
        let position = G::read(x).inverse().compose(&G::read(y));
        let measured = G::read(measured).normalised();
        Relative {
            error: measured.inverse().compose(&position),
            measured,
            adjoint: position.inverse().adjoint(),
        }
    }

    #[inline(always)]
    pub(super) fn log(&self) -> [f64; D] {
        self.error.log()
    }

    /// Adds the Hessian of `sᵀe` by `(δ₁, δ₂)`, `[2D, 2D]`.
    #[inline(always)]
    pub(super) fn add_hessian(&self, curvature: &Curvature<'_, D>, out: &mut [f64]) {
        let (a, h) = (&self.adjoint, &curvature.hessian);
        // Rows of AdᵀH Ad and of −(H + K)ᵀ Ad.
        let (turned, mixed) = (product(h, a), product(&curvature.bent, a));
        let mut first = [[0.0; D]; D];
        for (a, turned) in a.iter().zip(&turned) {
            for (first, a) in first.iter_mut().zip(a) {
                for (first, turned) in first.iter_mut().zip(turned) {
                    *first += a * turned;
                }
            }
        }
        let (top, bottom) = out.split_at_mut(2 * D * D);
        for (i, row) in top.chunks_exact_mut(2 * D).enumerate() {
            add(&first[i], row);
            for (out, mixed) in row[D..].iter_mut().zip(&mixed) {
                *out -= mixed[i];
            }
        }
        for (j, row) in bottom.chunks_exact_mut(2 * D).enumerate() {
            for (out, mixed) in row.iter_mut().zip(&mixed[j]) {
                *out -= mixed;
            }
            add(&h[j], &mut row[D..]);
        }
    }

    /// Adds the derivatives of `ψ = sᵀJd + tᵀe`, by the measurement too where it is an auxiliary.
    #[inline(always)]
    pub(super) fn probe(
        &self,
        curvature: &Curvature<'_, D>,
        probe: &Probe<'_>,
        stored: &[f64],
        gradient: &mut Gradient<'_>,
    ) {
        let (first, second): ([f64; D], [f64; D]) = (head(probe.d), head(&probe.d[D..]));
        let alpha = times(&self.adjoint, &first).map(|v| -v);
        let v = std::array::from_fn(|i| alpha[i] + second[i]);
        let tau = transposed_times(&curvature.inverse, &head(probe.t));
        let hv = times(&curvature.hessian, &v);
        let both: [f64; D] = std::array::from_fn(|i| hv[i] + tau[i]);
        let (by_second, by_alpha) = (curvature.bracket(&second), curvature.bracket(&alpha));
        let into_first = std::array::from_fn(|i| -(both[i] + by_second[i]));
        add(
            &transposed_times(&self.adjoint, &into_first),
            gradient.variables,
        );
        let into_second: [f64; D] = std::array::from_fn(|i| both[i] - by_alpha[i]);
        add(&into_second, &mut gradient.variables[D..]);
        if !gradient.auxiliaries.is_empty() {
            let with = curvature.bracket(&v);
            let by_kappa = std::array::from_fn(|i| both[i] + with[i]);
            let out = &mut *gradient.auxiliaries;
            add_measured(&self.error, &self.measured, &by_kappa, stored, out);
        }
    }

    /// Adds the derivatives of `ψ` by the measurement, from what was [kept](Curvature::keep).
    #[inline(always)]
    pub(super) fn probe_kept(
        &self,
        probe: &Probe<'_>,
        stored: &[f64],
        kept: &[f64],
        auxiliaries: &mut [f64],
    ) {
        let (first, second): ([f64; D], [f64; D]) = (head(probe.d), head(&probe.d[D..]));
        let turned = times(&self.adjoint, &first);
        let (columns, inverse) = kept.split_at(D * D);
        let mut by_kappa = [0.0; D];
        let rows = columns.chunks_exact(D).zip(inverse.chunks_exact(D));
        for (i, (column, row)) in rows.enumerate() {
            let (v, t) = (second[i] - turned[i], probe.t[i]);
            for (out, (column, row)) in by_kappa.iter_mut().zip(column.iter().zip(row)) {
                *out += column * v + row * t;
            }
        }
        add_measured(&self.error, &self.measured, &by_kappa, stored, auxiliaries);
    }
}

/// Adds the gradient by the stored measurement for that by `κ`.
#[inline(always)]
fn add_measured<G: LieGroup<f64, D>, const D: usize>(
    error: &G,
    measured: &G,
    by_kappa: &[f64; D],
    stored: &[f64],
    auxiliaries: &mut [f64],
) {
    let by_zeta = transposed_times(&error.inverse().adjoint(), by_kappa).map(|v| -v);
    let mut raised = [0.0; 7];
    measured.raise(&by_zeta, &mut raised);
    // The rotation is scaled to unit length, and so is the gradient by what is stored.
    let length = crate::dense::norm(&stored[..G::ROTATION]);
    raised[..G::ROTATION].iter_mut().for_each(|v| *v /= length);
    crate::dense::axpy(1.0, &raised[..G::STORED], auxiliaries);
}
