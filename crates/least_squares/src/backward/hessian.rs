//! The exact Hessian of the objective: Σ ρ'(JᵀJ + Σ_i (Wᵀr)_i ∇²c_i) + 2ρ'' (Jᵀr)(Jᵀr)ᵀ.

use crate::dense::{add_transposed, axpy};
use crate::objective::Objective;
use crate::term::{Linearisation, Sample, Term};

/// What the exact Hessian has beyond JᵀJ, term by term, and what its costs keep for the derivatives by
/// auxiliaries that follow.
#[derive(Debug, Default)]
pub(super) struct Curvature {
    /// What costs keep, one term after another.
    kept: Vec<f64>,
    /// Where each term's begins.
    places: Vec<usize>,
    residual: Vec<f64>,
    s: Vec<f64>,
    jr: Vec<f64>,
}

/// Whether one term's cost has second derivatives at all.
pub(super) fn bends(term: &Term) -> bool {
    !term.cost.is_affine() || !term.manifolds.iter().all(crate::Manifold::is_flat)
}

impl Curvature {
    pub(super) fn new(objective: &Objective) -> Self {
        let mut places = Vec::with_capacity(objective.terms.len() + 1);
        let mut place = 0;
        places.push(0);
        for term in &objective.terms {
            place += term.cost.kept();
            places.push(place);
        }
        Self {
            kept: vec![0.0; place],
            places,
            ..Self::default()
        }
    }

    /// What the cost of a term has kept.
    pub(super) fn kept(&self, index: usize) -> &[f64] {
        &self.kept[self.places[index]..self.places[index + 1]]
    }

    /// Adds one term's to `out`, `[width, width]`; symmetric.
    pub(super) fn add(
        &mut self,
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
        let kept = &mut self.kept[self.places[index]..self.places[index + 1]];
        let scaled = &at.rows[term.row..term.row + term.rows];
        if kept.is_empty() && scaled.iter().all(|v| *v == 0.0) {
            return;
        }
        if bends(term) {
            self.residual.clear();
            self.residual.extend(scaled.iter().map(|v| scale * v));
            self.s.resize(term.rows, 0.0);
            let s = &mut self.s[..term.rows];
            term.weight
                .transposed(term.weights(sample), &self.residual, s);
            term.with_point(sample, |point| {
                term.cost.add_hessian_keeping(point, s, kept, out);
            });
        }
        let square = crate::dense::dot(scaled, scaled) / (scale * scale);
        let second = term.robust.loss(square).second;
        if second != 0.0 {
            self.jr.clear();
            self.jr.resize(term.width, 0.0);
            add_transposed(at.block(term), scaled, &mut self.jr);
            // The scaled product is ρ' times the one wanted.
            let factor = 2.0 * second / (scale * scale * scale * scale);
            for (row, value) in out.chunks_exact_mut(term.width).zip(&self.jr) {
                axpy(factor * value, &self.jr, row);
            }
        }
        // Differences are symmetric only up to their error, and what follows may read one triangle.
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
}

/// `out`, `[width, width]`, += what some of one term's rows bring of Σ_i (Wᵀr)_i ∇²c_i.
pub(super) fn add_curvature_of(
    term: &Term,
    scale: f64,
    sample: &Sample<'_>,
    rows: impl Iterator<Item = f64>,
    out: &mut [f64],
) {
    let residual: Vec<f64> = rows.map(|v| scale * v).collect();
    let mut s = vec![0.0; term.rows];
    term.weight
        .transposed(term.weights(sample), &residual, &mut s);
    term.with_point(sample, |point| term.cost.add_hessian(point, &s, out));
}

/// `out`, `[width, width]`, += one term's JᵀJ.
pub(super) fn add_gauss_newton(term: &Term, at: &Linearisation, out: &mut [f64]) {
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
