//! Nonlinear least squares as differentiable layers.
//!
//! [`ObjectiveLayer`] minimises a sum of weighted, robust costs over named variables, vectors and
//! poses: costs and their derivatives are computed on the host, exactly, by
//! [`least_squares`], with sparse or dense linear algebra, [`TensorCost`] being one over tensors. Its statuses and
//! qualities of gradients are those of [`least_squares`].
//!
//! [`LevenbergMarquardt`] minimises one residual written over tensors, or the distance to
//! [`Constraints`](feasible_core::Constraints): min ½‖W r(y)‖² per sample of a batch, by
//! Gauss-Newton and Levenberg-Marquardt, with the gradient of the solution with respect to the
//! start and to every tensor that the residual depends on.
//!
//! - [`Residual`]: r and its Jacobian; [`FunctionResidual`] (any function, differentiated exactly
//!   by [`feasible_core::Dual`] numbers) and [`ConstraintResidual`] (g(y) − target).
//! - [`LevenbergMarquardt`]: the iteration, with [`Settings`] and [`Weights`]; a callback at the end
//!   of each iteration may change the residual.
//! - [`Solution`], of [`LevenbergMarquardt`]: the point with, per sample, how it ended ([`Status`]) and, for implicit
//!   differentiation, how far its gradient can be trusted ([`GradientQuality`]).
//!
//! # Choosing a backward mode
//!
//! [`Backward::Unrolled`] differentiates the iterations that were run. It is right for every
//! residual, also when the solution is not isolated and depends on the start (fewer rows than
//! variables), and its memory grows with the number of iterations.
//! [`Backward::Implicit`] differentiates the condition that the solution meets. Its memory does not
//! depend on the iterations; it needs an isolated, converged solution, and says per sample whether
//! it had one.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use feasible_nls::{FunctionResidual, LevenbergMarquardt, Settings};
//!
//! # fn main() -> Result<(), feasible_nls::Error> {
//! // Rosenbrock's valley as a residual, 10 (y₂ − y₁²) and 1 − y₁: zero at (1, 1).
//! let residual = FunctionResidual::new(2, 2, |y| {
//!     let bend = (y.column(1) - y.column(0).square()) * 10.0;
//!     let offset = -y.column(0) + 1.0;
//!     feasible_core::Dual::cat(vec![bend, offset])
//! });
//! let start = Tensor::<2>::from_data([[-1.2, 1.0]], &Device::flex());
//! let settings = Settings { residual_tolerance: 1e-5, ..Settings::default() };
//! let solution = LevenbergMarquardt::new(settings)?.solve(&residual, start)?;
//! assert!(solution.status[0].is_converged());
//! # Ok(()) }
//! ```

mod constraint;
mod curvature;
mod error;
mod evaluation;
mod function;
mod implicit;
mod levenberg_marquardt;
mod objective;
mod residual;
mod settings;
mod solution;
mod state;
mod step;
mod tensor_cost;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod testing;
mod weights;

pub use constraint::{ConstraintResidual, check_batch_of_rows, check_leading};
pub use error::Error;
pub use feasible_least_squares as least_squares;
pub use feasible_solver::damped::Stopping;
pub use function::FunctionResidual;
pub use levenberg_marquardt::LevenbergMarquardt;
pub use objective::{
    ObjectiveLayer, ObjectiveReport, ObjectiveReports, ObjectiveSolution, ObjectiveTensors,
};
pub use residual::Residual;
pub use settings::{AdaptiveDamping, Backward, Damping, Settings};
pub use solution::{GradientQuality, Iteration, IterationRecord, Solution, Status};
pub use tensor_cost::TensorCost;
pub use weights::Weights;
