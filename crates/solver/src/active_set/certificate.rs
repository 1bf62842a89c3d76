//! Proof that a sample's rows contradict each other.

use crate::active_set::reduced::Reduced;
use crate::dense::{axpy, max_abs};
use crate::problem::Sample;
use crate::settings::Settings;

/// Whether `λ = scale · ray`, completed by the best `ν`, is a certificate: `Gᵀλ + Aᵀν` nearly
/// zero while `Σ λ·bound + νᵀb < 0` (Farkas). With `r` the former, every feasible `x` has
/// `−(Σ λ·bound + νᵀb) ≤ ‖r‖‖x‖`: asked for is that this excludes every `x` shorter than
/// `1/tolerance`.
pub(crate) fn proves_infeasible(
    sample: &Sample<'_>,
    reduced: &Reduced<'_>,
    ray: &[f64],
    settings: &Settings,
) -> bool {
    let (n, size) = (reduced.n, reduced.n + reduced.p);
    let mut combination = vec![0.0; n];
    let (mut value, mut terms, mut weight) = (0.0, 0.0, 0.0);
    for (j, &scaled) in ray.iter().enumerate().filter(|(_, v)| **v != 0.0) {
        let lambda = reduced.scale[j] * scaled;
        let bound = if lambda > 0.0 {
            sample.u[j]
        } else {
            sample.l[j]
        };
        value -= lambda * bound;
        terms += (lambda * bound).abs();
        weight += lambda.abs() * reduced.norms[j];
        axpy(lambda, &sample.g[j * n..(j + 1) * n], &mut combination);
    }
    let mut point = vec![0.0; size];
    reduced.respond(ray, &mut point, &mut Vec::new());
    let nu = &point[n..];
    for ((nu, b), row) in nu.iter().zip(sample.b).zip(sample.a.chunks_exact(n)) {
        value -= nu * b;
        terms += (nu * b).abs();
        axpy(*nu, row, &mut combination);
    }
    // What the rounding of the terms explains contradicts nothing.
    value > 8.0 * settings.rounding * terms
        && bridges(
            &combination,
            value,
            weight,
            settings.infeasibility_tolerance,
        )
}

/// Whether a combination of rows of some weight is too short, by the tolerance, for the `value` that it has to bridge.
pub(crate) fn bridges(combination: &[f64], value: f64, weight: f64, tolerance: f64) -> bool {
    let left = max_abs(combination) / weight;
    value / weight > tolerance && left <= tolerance * value / weight
}
