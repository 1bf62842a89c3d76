//! Repairing the output of a network: moving it to the set l ≤ g_x(y) ≤ u with a layer that gradients
//! pass through.
//!
//! - [`SnareNet`]: damped Newton steps towards the set, for any constraints; with
//!   [`SnareNetSettings::hardnet_plus_plus`] HardNet++.
//! - [`HardNetAff`]: the closed form for affine rows; [`HardNetCvx`]: the projection onto convex ones.
//! - [`Dc3`]: equalities completed exactly, inequalities corrected by gradient steps.
//! - [`PiNet`]: operator splitting onto affine rows, differentiated at its fixed point.
//! - [`FsNet`]: L-BFGS on the violation, for any constraints.
//! - [`Rayen`] and [`GaugeMap`]: along the ray from an interior point of a convex set.
//! - [`AdaptiveRelaxation`]: the widening of the set that training begins with and removes.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use feasible_core::{Affine, Bounds};
//! use feasible_repair::{SnareNet, SnareNetSettings};
//!
//! # fn main() -> Result<(), feasible_repair::Error> {
//! let device = Device::flex();
//! // y₁ + y₂ ≤ 1.
//! let a = Tensor::<2>::from_data([[1.0, 1.0]], &device);
//! let constraints = Affine::shared(a, Bounds::at_most(Tensor::from_data([[1.0]], &device))?)?;
//! let layer = SnareNet::new(SnareNetSettings { tolerance: 1e-5, ..SnareNetSettings::default() })?;
//! let repaired = layer.forward(Tensor::from_data([[2.0, 1.0]], &device), &constraints, None)?;
//! assert!(repaired.status[0].is_converged() && repaired.residual[0] < 1e-5);
//! # Ok(()) }
//! ```

// `!(error <= limit)` is how a NaN fails a test; the suggested rewrites lose that.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

mod dc3;
mod error;
mod fsnet;
mod fused;
mod general;
mod hardnet;
mod isolate;
mod limit;
mod linear;
mod pinet;
mod ray;
mod relaxation;
mod settings;
mod snarenet;
mod start;
mod stepwise;

pub use dc3::{Completion, Dc3, Dc3Settings};
pub use error::Error;
pub use feasible_nls::{GradientQuality, Status, Stopping};
pub use feasible_solver::damped::{RowPolicy, RowWeights};
pub use fsnet::{FsNet, FsNetSettings, LineSearch};
pub use hardnet::{HardNetAff, HardNetCvx, OptNet};
pub use pinet::{PiNet, PiNetSettings};
pub use ray::{GaugeMap, RayCone, RaySettings, Rayen};
pub use relaxation::{AdaptiveRelaxation, RelaxationSettings, Schedule};
pub use settings::{Gradient, SnareNetSettings};
pub use snarenet::{GradientReport, Repaired, SnareNet};
