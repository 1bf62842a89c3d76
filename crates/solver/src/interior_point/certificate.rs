//! Tests that prove a problem infeasible or unbounded from the current iterate.

use crate::dense::{dot, max_abs};
use crate::interior_point::iterate::Iterate;
use crate::interior_point::model::Model;

/// Whether the multipliers prove infeasibility: with `φ(y) = Σ λ_j c_j(y)` convex,
/// `φ(y) ≥ φ(x) + ∇φ(x)ᵀ(y − x)`, so `φ(x) > 0` with a small gradient excludes every feasible `y`
/// nearer than `φ(x)/‖∇φ(x)‖` (Boyd & Vandenberghe, *Convex Optimization*, §5.8). The test asks
/// for that distance to be `1/tolerance` times `1 + ‖x‖`.
#[inline(always)]
pub(crate) fn primal_infeasible(model: &Model<'_>, at: &Iterate, tolerance: f64) -> bool {
    let weight: f64 = at.dual.iter().sum();
    // Multipliers of feasible problems stay near the size of the scaled cost gradient.
    if weight < 1e2 {
        return false;
    }
    let value = dot(&at.dual, &at.values.rows) / weight;
    // The bounds that have a say, so that a huge one elsewhere does not hide the contradiction.
    let size = dot(&at.dual, &model.row_size) / weight;
    if !(value > 1e-9 * size) {
        return false;
    }
    let mut gradient = vec![0.0; model.sample.n];
    at.values
        .add_weighted_gradients(model, &at.dual, &mut Vec::new(), &mut gradient);
    let mut reduced = vec![0.0; model.prepared.free];
    model.project(&gradient, &mut reduced);
    let slope = max_abs(&reduced) / weight;
    slope * (1.0 + max_abs(&at.values.x)) <= tolerance * value
}

/// Whether the direction of `x` is a ray along which the objective falls forever: `P v = 0`,
/// `H_i v = 0`, `qᵀv < 0`, no finite bound approached, all relative to `‖v‖∞` and to the scaled
/// data. Only looked at once `x` is large.
#[inline(always)]
pub(crate) fn unbounded(model: &Model<'_>, x: &[f64], tolerance: f64) -> bool {
    let size = max_abs(x);
    let (sample, n) = (model.sample, model.sample.n);
    let bounds = model.row_size.iter().fold(1.0, |a: f64, v| a.max(*v));
    if !(size > 1e5 * (max_abs(&model.origin) + bounds)) {
        return false;
    }
    let v: Vec<f64> = x.iter().map(|v| v / size).collect();
    let slope = model.cost_scale * dot(sample.q, &v);
    if !(slope < -1e-6) {
        return false;
    }
    let allowed = tolerance.max(2e-5 / size.sqrt()) * slope.abs();
    let mut product = vec![0.0; n];
    sample.p.add_product(model.cost_scale, &v, &mut product);
    if max_abs(&product) > allowed {
        return false;
    }
    for side in &model.sides {
        if side.sign * dot(model.row(side.position), &v) > allowed {
            return false;
        }
    }
    for (position, &i) in model.quadratic.iter().enumerate() {
        let scale = model.quadratic_scale(position);
        product.fill(0.0);
        sample.h.row(i, n).add_product(scale, &v, &mut product);
        let linear = scale * dot(&sample.hg[i * n..(i + 1) * n], &v);
        if max_abs(&product) > allowed || linear > allowed {
            return false;
        }
    }
    true
}
