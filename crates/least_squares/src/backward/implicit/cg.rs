//! The adjoint system by conjugate gradients on the terms' blocks, preconditioned by the diagonal.

use super::blocks::Blocks;
use super::{SINGULAR, System};
use crate::backward::Adjoint;
use crate::dense::{axpy, dot, max_abs, norm};
use crate::settings::Stopping;
use crate::status::GradientQuality;

/// Relative residual of a Newton step whose length alone is wanted: what is left out may be long where the matrix is
/// ill-conditioned, so that the length is one from below.
const ROUGHLY: f64 = 1e-3;

pub(super) struct Cg {
    pub(super) blocks: Blocks,
    pub(super) tolerance: f64,
    pub(super) iterations: usize,
}

impl Cg {
    /// The best that the iterations come to.
    pub(super) fn solve(&self, system: &System<'_>, v: &[f64], result: &mut Adjoint) -> Vec<f64> {
        let diagonal = self.diagonal(system);
        let (w, is_positive) = self.iterate(system, &diagonal, v, self.tolerance);
        if !is_positive {
            result.worsen(GradientQuality::Degenerate);
            return w;
        }
        let gradient = system.free_gradient();
        let (step, is_positive) = self.iterate(system, &diagonal, &gradient, ROUGHLY);
        // Where the gradient is not what rounding leaves of one, there is no minimum that way.
        let is_rest = max_abs(&gradient) <= Stopping::default().gradient;
        result.newton = match is_positive || is_rest {
            true => norm(&step),
            false => f64::INFINITY,
        };
        w
    }

    /// That of the matrix; 1 where it is not positive, or a coordinate is held.
    fn diagonal(&self, system: &System<'_>) -> Vec<f64> {
        let mut diagonal = vec![0.0; system.objective.tangent];
        for (term, block) in system.objective.terms.iter().zip(self.blocks.iter()) {
            for (local, column) in term.columns.iter().enumerate() {
                diagonal[*column] += block[local * term.width + local];
            }
        }
        for (d, held) in diagonal.iter_mut().zip(system.held) {
            if *held || !(*d > 0.0) {
                *d = 1.0;
            }
        }
        diagonal
    }

    /// The iterate of the least residual, and whether none of the directions was one that the matrix is not
    /// positive along, or only by rounding: that ends the iterations.
    fn iterate(
        &self,
        system: &System<'_>,
        diagonal: &[f64],
        v: &[f64],
        tolerance: f64,
    ) -> (Vec<f64>, bool) {
        let n = v.len();
        let precondition =
            |r: &[f64]| -> Vec<f64> { r.iter().zip(diagonal).map(|(r, d)| r / d).collect() };
        let mut w = vec![0.0; n];
        let mut r = v.to_vec();
        let mut z = precondition(&r);
        let mut p = z.clone();
        let mut q = vec![0.0; n];
        let mut rz = dot(&r, &z);
        let mut least = norm(v);
        let mut best = w.clone();
        let target = tolerance * least;
        for _ in 0..self.iterations {
            if least <= target {
                break;
            }
            self.blocks.multiply(system, &p, &mut q);
            let curvature = dot(&p, &q);
            // Relative to the diagonal, so that units do not matter. Where the rounding of v has a part in a
            // null space, iterations past the solution turn there, along steps of any length.
            let scale: f64 = p.iter().zip(diagonal).map(|(p, d)| d * p * p).sum();
            if !(curvature * SINGULAR > scale) {
                return (best, false);
            }
            let alpha = rz / curvature;
            axpy(alpha, &p, &mut w);
            axpy(-alpha, &q, &mut r);
            let residual = norm(&r);
            if residual < least {
                least = residual;
                best.copy_from_slice(&w);
            }
            z = precondition(&r);
            let next = dot(&r, &z);
            let beta = next / rz;
            rz = next;
            for (p, z) in p.iter_mut().zip(&z) {
                *p = z + beta * *p;
            }
        }
        (best, true)
    }
}
