//! The exact Hessian of the objective: Σ ρ'(JᵀJ + Σ_i (Wᵀr)_i ∇²c_i) + 2ρ'' (Jᵀr)(Jᵀr)ᵀ.

use crate::dense::{add_transposed, axpy};
use crate::objective::Objective;
use crate::term::{Linearisation, Sample};

/// Adds what the exact Hessian has beyond JᵀJ of one term to `out`, `[width, width]`.
pub(super) fn add_curvature(
    objective: &Objective,
    index: usize,
    sample: &Sample<'_>,
    at: &Linearisation,
    out: &mut [f64],
) {
    let term = &objective.terms[index];
    let scale = at.scales[index];
    if scale == 0.0 {
        return;
    }
    let scaled = &at.rows[term.row..term.row + term.rows];
    if scaled.iter().all(|v| *v == 0.0) {
        return;
    }
    if !term.cost.is_affine() || !term.manifolds.iter().all(crate::Manifold::is_flat) {
        let residual: Vec<f64> = scaled.iter().map(|v| scale * v).collect();
        let mut s = vec![0.0; term.rows];
        term.weight
            .transposed(term.weights(sample), &residual, &mut s);
        term.with_point(sample, |point| term.cost.add_hessian(point, &s, out));
    }
    let square = crate::dense::dot(scaled, scaled) / (scale * scale);
    let second = term.robust.loss(square).second;
    if second != 0.0 {
        let mut jr = vec![0.0; term.width];
        add_transposed(at.block(term), scaled, &mut jr);
        // The scaled product is ρ' times the one wanted.
        let factor = 2.0 * second / (scale * scale * scale * scale);
        for (row, value) in out.chunks_exact_mut(term.width).zip(&jr) {
            axpy(factor * value, &jr, row);
        }
    }
}

/// `out`, `[width, width]`, = one term's part of the Hessian; of its Gauss-Newton part where not `exact`.
pub(super) fn of_term(
    objective: &Objective,
    index: usize,
    sample: &Sample<'_>,
    at: &Linearisation,
    exact: bool,
    out: &mut [f64],
) {
    let term = &objective.terms[index];
    out.fill(0.0);
    if exact {
        add_curvature(objective, index, sample, at, out);
        // Differences are symmetric only up to their error, and what follows reads one triangle.
        if !term.cost.is_exact() {
            let width = term.width;
            for i in 0..width {
                for j in 0..i {
                    let mean = 0.5 * (out[i * width + j] + out[j * width + i]);
                    out[i * width + j] = mean;
                    out[j * width + i] = mean;
                }
            }
        }
    }
    crate::dense::vectorised(
        #[inline(always)]
        || {
            for row in at.block(term).chunks_exact(term.width) {
                for (value, out) in row.iter().zip(out.chunks_exact_mut(term.width)) {
                    axpy(*value, row, out);
                }
            }
        },
    );
}
