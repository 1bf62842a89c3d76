//! By the stationarity of a minimiser: ∇E(x(θ); θ) = 0 gives ∂ℓ/∂θ = −∂(wᵀ∇E)/∂θ with Hw = v.
//!
//! On a curved space ∇E is the gradient by steps from x and H its symmetric Hessian: what the two orders of
//! second derivatives differ by is a multiple of ∇E, which is zero.
//!
//! A coordinate that the gradient holds at its bound does not move with θ. One at its bound without such a
//! gradient may move to one side only: that is reported as [`GradientQuality::Degenerate`].

mod blocks;
mod cg;
mod dense;
mod remainder;
mod sparse;

use super::hessian::Curvature;
use super::propagate::{Cotangent, Place, Scratch, propagate};
use super::{Adjoint, Job};
use crate::dense::{axpy, max_abs, norm};
use crate::linear::is_sparse;
use crate::linear::sparse::Sparse;
use crate::objective::Objective;
use crate::settings::{Hessian, Linear, Settings};
use crate::status::GradientQuality;
use crate::step::find_held;
use crate::term::{Linearisation, Sample};
use blocks::Blocks;
use feasible_kernels::Cholesky;

pub(super) struct Implicit<'a> {
    objective: &'a Objective,
    exact: bool,
    at: Linearisation,
    held: Vec<bool>,
    curvature: Curvature,
    cotangent: Cotangent,
    scratch: Scratch,
    solver: Solver<'a>,
}

enum Solver<'a> {
    Dense(dense::Dense),
    Sparse(sparse::SparseAdjoint<'a>),
    Cg(cg::Cg),
}

/// What the matrix of the adjoint system is made of.
struct System<'s> {
    objective: &'s Objective,
    sample: Sample<'s>,
    at: &'s Linearisation,
    /// The entries of the Gauss-Newton matrix there, if they are known.
    matrix: Option<&'s [f64]>,
    held: &'s [bool],
    /// Whether it is the exact Hessian, or its Gauss-Newton part.
    exact: bool,
}

/// Relative residual of the adjoint system up to which a gradient is called exact. Backward stable solves
/// leave a few units of rounding times the square root of the size; a system this far off has lost half
/// the digits.
const ACCURATE: f64 = 1e-8;

/// Newton step, relative to the point or to 1, up to which the point counts as a minimiser: the gradient is off by
/// about as much as the point is, and six digits are left.
const STATIONARY: f64 = 1e-6;

/// Condition from which on fewer than three digits are left, and the null space is taken for one.
const SINGULAR: f64 = 1e13;

impl System<'_> {
    /// The gradient by the coordinates that are free to move.
    fn free_gradient(&self) -> Vec<f64> {
        let pairs = self.at.gradient.iter().zip(self.held);
        pairs
            .map(|(g, held)| if *held { 0.0 } else { *g })
            .collect()
    }
}

impl<'a> Implicit<'a> {
    pub(super) fn new(objective: &'a Objective, settings: &Settings, hessian: Hessian) -> Self {
        let sparse = || Solver::Sparse(sparse::SparseAdjoint::new(Sparse::new(objective)));
        let solver = match settings.linear {
            Linear::SparseCholesky => sparse(),
            Linear::Auto if is_sparse(objective) => sparse(),
            Linear::ConjugateGradient {
                tolerance,
                max_iterations,
            } => Solver::Cg(cg::Cg {
                blocks: Blocks::new(objective),
                tolerance,
                iterations: max_iterations,
            }),
            _ => Solver::Dense(dense::Dense {
                blocks: Blocks::new(objective),
                cholesky: Cholesky::new(objective.tangent),
            }),
        };
        Self {
            objective,
            exact: hessian == Hessian::Exact,
            at: Linearisation::default(),
            held: vec![false; objective.tangent],
            curvature: Curvature::new(objective),
            cotangent: Cotangent::default(),
            scratch: Scratch::default(),
            solver,
        }
    }

    pub(super) fn reverse(&mut self, job: &Job<'_>) -> Adjoint {
        let objective = self.objective;
        let sample = Sample {
            x: job.x,
            auxiliaries: job.auxiliaries,
        };
        // Where coordinates are held columns are zeroed, in a linearisation of its own.
        let kept = job.kept.filter(|_| !objective.bounded);
        let kept = kept.and_then(|kept| kept.at(&sample));
        let at = match kept {
            Some((at, _)) => at,
            None => {
                self.at.update(objective, &sample);
                &self.at
            }
        };
        if !at.cost.is_finite() || !max_abs(&at.gradient).is_finite() {
            return Adjoint::zero(objective, GradientQuality::Unavailable);
        }
        let mut result = Adjoint::zero(objective, GradientQuality::Exact);
        if !job.converged {
            result.worsen(GradientQuality::Inexact);
        }
        let mut v = job.v.clone();
        if objective.bounded {
            find_held(objective, job.x, &self.at.gradient, &mut self.held);
            if has_weak_bound(objective, &self.at, job.x) {
                result.worsen(GradientQuality::Degenerate);
            }
            for (v, held) in v.iter_mut().zip(&self.held) {
                if *held {
                    *v = 0.0;
                }
            }
            self.at.hold(objective, &self.held);
        }
        let system = System {
            objective,
            sample,
            at: kept.map_or(&self.at, |(at, _)| at),
            matrix: kept.map(|(_, matrix)| matrix),
            held: &self.held,
            exact: self.exact,
        };
        let factor = job.kept.and_then(|kept| kept.factor.as_deref());
        let solver = &mut self.solver;
        solver.assemble(&system, &mut self.curvature);
        let Some(w) = solver.solve(&system, &v, factor, &mut result) else {
            return Adjoint::zero(objective, GradientQuality::Unavailable);
        };
        if result.newton > STATIONARY * norm(job.x).max(1.0) {
            result.worsen(GradientQuality::Inexact);
        }
        let size = norm(&v);
        if size == 0.0 {
            result.residual = 0.0;
        } else if result.residual.is_nan() {
            let mut product = vec![0.0; v.len()];
            solver.multiply_exact(&system, &mut self.curvature, &w, &mut product);
            axpy(-1.0, &v, &mut product);
            result.residual = norm(&product) / size;
        }
        if !(result.residual <= ACCURATE) {
            result.worsen(GradientQuality::Inexact);
        }
        let z: Vec<f64> = w.iter().map(|w| -w).collect();
        let cotangent = &mut self.cotangent;
        cotangent.set_gradient(objective, system.at, &z);
        propagate(
            &Place {
                objective,
                sample: &sample,
                at: system.at,
            },
            cotangent,
            solver.has_all_curvature(&system).then_some(&self.curvature),
            None,
            &mut result.auxiliaries,
            &mut self.scratch,
        );
        result
    }
}

impl Solver<'_> {
    fn assemble(&mut self, system: &System<'_>, curvature: &mut Curvature) {
        match self {
            Self::Dense(dense::Dense { blocks, .. }) | Self::Cg(cg::Cg { blocks, .. }) => {
                blocks.assemble(system, curvature);
            }
            Self::Sparse(sparse) => sparse.assemble(system, curvature),
        }
    }

    /// `factor` is that of the last step of a sparse solve, rounded. Where it has computed the residual of the
    /// exact Hessian, that is in `result`.
    fn solve(
        &mut self,
        system: &System<'_>,
        v: &[f64],
        factor: Option<&[f32]>,
        result: &mut Adjoint,
    ) -> Option<Vec<f64>> {
        match self {
            Self::Dense(dense) => dense.solve(system, v, result),
            Self::Sparse(sparse) => sparse.solve(system, v, factor, result),
            Self::Cg(cg) => Some(cg.solve(system, v, result)),
        }
    }

    /// `out` = the exact Hessian times `x`, whichever the matrix is.
    fn multiply_exact(
        &self,
        system: &System<'_>,
        curvature: &mut Curvature,
        x: &[f64],
        out: &mut [f64],
    ) {
        match self {
            Self::Dense(dense::Dense { blocks, .. }) | Self::Cg(cg::Cg { blocks, .. }) => {
                blocks.multiply_exact(system, curvature, x, out);
            }
            Self::Sparse(sparse) => sparse.multiply_exact(system, x, out),
        }
    }

    /// Whether assembling the matrix takes the curvature of every term.
    fn has_all_curvature(&self, system: &System<'_>) -> bool {
        system.exact || matches!(self, Self::Sparse(_))
    }
}

/// Whether a coordinate is at a bound that the gradient does not press it against.
fn has_weak_bound(objective: &Objective, at: &Linearisation, x: &[f64]) -> bool {
    // The gradient is a sum of products; below this it is the rounding of that sum.
    let rounding = 1e-9 * (1.0 + norm(&at.rows));
    objective.variables.iter().any(|variable| {
        variable.manifold.bounds().is_some_and(|bounds| {
            (0..bounds.lower.len()).any(|i| {
                let x = x[variable.place + i];
                let at_bound = x <= bounds.lower[i] || x >= bounds.upper[i];
                at_bound && at.gradient[variable.column + i].abs() <= rounding
            })
        })
    })
}
