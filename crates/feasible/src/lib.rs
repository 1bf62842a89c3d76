//! Neural networks whose outputs satisfy constraints l ≤ g_x(y) ≤ u, on Burn.
//!
//! This crate gathers the workspace's libraries under one name; depend on it, or on the single
//! crates, as you like. The backend features `flex` (default), `ndarray`, `wgpu`, `vulkan` and
//! `cuda` are Burn's.
//!
//! | to | use |
//! |---|---|
//! | say what y must satisfy | [`Affine`], [`Quadratic`], [`Function`], [`Stacked`] with [`Bounds`] |
//! | measure or penalise what it does not | [`Violations`], [`SoftPenalty`] |
//! | solve a convex program inside a network, or project onto a convex set | [`convex`] |
//! | write a convex program in the words of its problem | [`convex::model`] |
//! | solve nonlinear least squares inside a network | [`nls`] |
//! | repair any prediction, with a relaxed box while training | [`repair`] |
//! | solve batches of QPs, QCQPs and cone programs without tensors | [`solver`] |
//! | take a published problem and a backbone | [`data`], [`nn`] |
//! | measure gradients, Hessians, Jacobians and landscapes of any module | [`dynamics`] |
//! | eigenvalues of operators, planes and pictures of landscapes, without tensors | [`spectrum`], [`landscape`] |
//!
//! ```
//! use feasible::burn::tensor::{Device, Tensor};
//! use feasible::repair::{SnareNet, SnareNetSettings};
//! use feasible::{Bounds, Constraints, Dual, Function};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = Device::flex().autodiff();
//! // The unit circle.
//! let one = Tensor::<1>::ones([1], &device);
//! let circle = Function::new(2, Bounds::shared(one.clone(), one)?, |y: Dual| y.square().sum());
//!
//! let raw = Tensor::<2>::from_data([[2.0, 0.0], [0.3, -0.4]], &device).require_grad();
//! let settings = SnareNetSettings { tolerance: 1e-6, ..Default::default() };
//! let repaired = SnareNet::new(settings)?.forward(raw.clone(), &circle, None)?;
//!
//! let norms = circle.values(repaired.y.clone());
//! for value in norms.into_data().try_into_vec::<f32>().unwrap() {
//!     assert!((value - 1.0).abs() < 1e-5);
//! }
//! // The layer is differentiable: train through it.
//! let gradients = repaired.y.narrow(1, 0, 1).sum().backward();
//! assert!(raw.grad(&gradients).is_some());
//! # Ok(()) }
//! ```

pub use burn;
pub use feasible_convex as convex;
pub use feasible_core::*;
pub use feasible_data as data;
pub use feasible_dynamics as dynamics;
pub use feasible_landscape as landscape;
pub use feasible_nls as nls;
pub use feasible_nn as nn;
pub use feasible_repair as repair;
pub use feasible_solver as solver;
pub use feasible_spectrum as spectrum;

/// The README's example, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
