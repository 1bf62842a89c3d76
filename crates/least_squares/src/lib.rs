//! Nonlinear least squares over named variables, and derivatives of its minimisers, without Burn.
//!
//! # Problem
//! An [`Objective`] is a list of costs over variables x and auxiliaries θ,
//!
//! ```text
//! E(x; θ) = ½ Σ_k ρ_k(‖W_k c_k(x_k; θ_k)‖²)
//! ```
//!
//! where a cost c_k sees only its own variables, W_k is a [`Weight`] (of constants or of θ) and ρ_k a
//! [`Robust`] loss. Variables are vectors, with bounds or without, and elements of SO(2), SE(2), SO(3) and
//! SE(3) ([`Manifold`]). [`Objective::solve`] minimises E for a batch of starts and auxiliaries
//! ([`Inputs`]); [`Objective::vjp`] takes ∂ℓ/∂x at the minimisers to ∂ℓ/∂θ and, where iterations were
//! unrolled, to ∂ℓ/∂(start).
//!
//! # Costs
//! | cost | derivatives |
//! |---|---|
//! | [`AutoCost`] of a [`Residual`] written over [`Real`] | exact, by forward and reverse mode |
//! | [`AnalyticCost`] of closures | Jacobian as given, others as given or by differences |
//! | [`Difference`], [`Between`] | closed form, on every manifold |
//! | [`LinearCost`], [`Quadratic`] | closed form, also by their coefficients |
//! | [`Clipped`] | those of its inner cost, outside the box |
//! | your own [`Cost`] | as you write them |
//!
//! # Optimisers
//! [`Settings`] compose a [`Step`] (Gauss-Newton, Levenberg-Marquardt, dogleg), a [`Linear`] solver (dense
//! Cholesky or QR, sparse Cholesky, conjugate gradients) and a [`Stopping`] rule. Every sample has its own
//! damping, [`Status`] and [`Record`] of iterations, and keeps its best iterate where it fails.
//!
//! # Adjoint
//! | [`Backward`] | gradient | needs |
//! |---|---|---|
//! | `Implicit`, exact Hessian | exact at a minimiser | one linear solve |
//! | `Implicit`, Gauss-Newton Hessian | exact for zero residuals or affine costs only | one linear solve |
//! | `Unrolled` | exact for the iterations run | those, recorded, one solve each |
//! | `Truncated` | of the last iterations | the same |
//! | `DirectLoss` | to O(ε²) | two more minimisations, no second derivatives |
//!
//! What a gradient is worth is said sample by sample ([`GradientQuality`]).
//!
//! # Example
//! The θ-dependence of the minimiser of ½(x − θ)² + ½(x² − 1)²: the exact derivative, and the Gauss-Newton
//! one, which leaves out the curvature 2(x² − 1).
//! ```
//! use feasible_least_squares::{
//!     AutoCost, Backward, Builder, Difference, Hessian, Inputs, Manifold, Numbers, Real, Residual,
//!     Robust, Settings, Values, Weight,
//! };
//!
//! struct Circle;
//! impl Residual for Circle {
//!     fn rows(&self) -> usize {
//!         1
//!     }
//!     fn evaluate<T: Real>(&self, variables: &[&[T]], _auxiliaries: &[&[T]], out: &mut [T]) {
//!         out[0] = variables[0][0].powi(2) - 1.0;
//!     }
//! }
//!
//! let mut builder = Builder::new();
//! let x = builder.variable("x", Manifold::Vector(1))?;
//! let theta = builder.auxiliary("theta", 1)?;
//! let pull = Difference::new(Manifold::Vector(1), Numbers::Auxiliary(1));
//! builder.cost("pull", pull, &[x], &[theta], Weight::Identity, Robust::None)?;
//! builder.cost("circle", AutoCost::new(Circle), &[x], &[], Weight::Identity, Robust::None)?;
//! let objective = builder.build()?;
//!
//! let inputs = Inputs::new(&objective, 2)
//!     .start(x, Values::Shared(&[1.0]))
//!     .auxiliary(theta, Values::PerSample(&[1.0, 3.0]));
//! let solution = objective.solve(&inputs, &Settings::default())?;
//! assert!(solution.all_converged());
//!
//! let exact = objective.vjp(&inputs, &solution, &[1.0, 1.0])?;
//! let x = solution.x[1];
//! let curvature = 2.0 * (x * x - 1.0);
//! let dx = 1.0 / (1.0 + 4.0 * x * x + curvature);
//! assert!((exact.auxiliaries[1] - dx).abs() < 1e-12);
//!
//! let backward = Backward::Implicit { hessian: Hessian::GaussNewton };
//! let rough = objective.vjp_by(&inputs, &solution, &[1.0, 1.0], &backward)?;
//! assert!((rough.auxiliaries[1] / dx - 1.0) > 0.1); // wrong by a sixth
//! assert!((rough.auxiliaries[0] - exact.auxiliaries[0]).abs() < 1e-9); // right without residual
//! # Ok::<(), feasible_least_squares::Error>(())
//! ```
//!
//! # Cost
//! With m rows, n dimensions and dense matrices a step takes about mn² operations, or nm² where rows are
//! fewer, the damping is spherical and the solver dense. Sparse systems are assembled by precomputed places
//! and factored by a symbolic factor that the objective makes once. Samples run in parallel.
//!
//! # References
//! Pineda et al., *Theseus: a library for differentiable nonlinear optimization*, NeurIPS 2022; Nocedal &
//! Wright, *Numerical optimization*, chapter 10.

// `!(error <= limit)` is how a NaN fails a test; the suggested rewrites lose that.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

mod backward;
mod callback;
mod cost;
mod dense;
mod error;
pub mod g2o;
pub mod groups;
mod inputs;
mod jet;
mod linear;
mod manifold;
mod objective;
mod optimise;
mod reverse;
mod robust;
pub mod scalar;
mod settings;
mod solution;
mod status;
mod step;
mod tape;
mod term;
mod weight;
mod workspace;

pub use backward::Gradients;
pub use callback::{Callback, Control, Iteration};
pub use cost::analytic::AnalyticCost;
pub use cost::auto::{AutoCost, Residual};
pub use cost::ready::{Between, Clipped, Difference, Linear as LinearCost, Numbers, Quadratic};
pub use cost::{Cost, Gradient, Point, Probe, Shapes};
pub use error::Error;
pub use inputs::{Inputs, Values};
pub use jet::Jet;
pub use manifold::{Bounds, Manifold};
pub use objective::{AuxiliaryId, Builder, Objective, VariableId};
pub use reverse::Reverse;
pub use robust::{Loss, Robust};
pub use scalar::Real;
pub use settings::{
    Backward, Damping, Dogleg, Hessian, LevenbergMarquardt, Linear, Settings, Shape, Step, Stopping,
};
pub use solution::Solution;
pub use status::{GradientQuality, Record, Status, Test};
pub use weight::{Source, Weight};
