//! Constraints `l ≤ g_x(y) ≤ u` on the outputs of a network, how far an output is from meeting
//! them, and how host numerics take part in automatic differentiation.
//!
//! - [`Constraints`]: the functions g, their Jacobian and the box; [`Affine`], [`Quadratic`],
//!   [`Function`] (any function, differentiated exactly by [`Dual`] numbers) and [`Stacked`].
//! - [`Violations`]: what an output breaks, and by how much.
//! - [`SoftPenalty`]: the penalty a loss adds for it.
//! - [`host`]: batched maps computed in f64 on the host, differentiable on every backend.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use feasible_core::{Affine, Bounds, Constraints, SoftPenalty, Violations};
//!
//! # fn main() -> Result<(), feasible_core::Error> {
//! let device = Device::flex();
//! // y₁ + y₂ = 1 and 0 ≤ y₁.
//! let a = Tensor::<2>::from_data([[1.0, 1.0], [1.0, 0.0]], &device);
//! let lower = Tensor::<1>::from_data([1.0, 0.0], &device);
//! let upper = Tensor::<1>::from_data([1.0, f32::INFINITY], &device);
//! let constraints = Affine::shared(a, Bounds::shared(lower, upper)?)?;
//!
//! let y = Tensor::<2>::from_data([[0.5, 0.5], [-1.0, 1.0]], &device);
//! let violations = Violations::of(&constraints, y.clone());
//! assert_eq!(violations.summary(1e-6)?.infeasible_samples, 1);
//! let penalty = SoftPenalty::default().components(&constraints, y).total();
//! assert_eq!(penalty.dims(), [2]);
//! # Ok(()) }
//! ```

pub mod backend;
mod constraints;
mod dual;
mod error;
pub mod host;
mod penalty;
mod violation;

pub use constraints::{
    Affine, Block, Bounds, Constraints, Curvature, Function, HostBlock, HostCurvature, Quadratic,
    Stacked,
};
pub use dual::Dual;
pub use error::Error;
pub use penalty::{Penalty, PenaltyForm, SoftPenalty};
pub use violation::{RowKind, ViolationSummary, Violations};
