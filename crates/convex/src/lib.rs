//! Differentiable convex optimisation layers for Burn.
//!
//! - [`QpLayer`] and [`QcqpLayer`] solve batches of quadratic programs given as tensors
//!   ([`QpTensors`], [`QcqpTensors`]); every tensor is a parameter that gradients can reach.
//! - [`ConeLayer`] solves batches of cone programs with sparse matrices.
//! - [`ConvexLayer`] takes a disciplined convex model, written once in named variables and parameters
//!   ([`model`]), and finds the form to solve it in.
//! - [`Projection`] moves a network's outputs to the closest points that meet a set of
//!   [`Constraints`](feasible_core::Constraints).
//!
//! What the solver found is said per sample ([`Status`], [`Residuals`]), and so is how far each
//! sample's gradient can be trusted ([`GradientReports`]). [`OnFailure`] chooses what a sample
//! without a solution does; it never changes the other samples.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use feasible_convex::{GradientQuality, Projection};
//! use feasible_core::{Affine, Bounds};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = Device::flex().autodiff();
//! // y₁ + y₂ = 1, y₁ ≥ 0, y₂ ≥ 0.
//! let a = Tensor::<2>::from_data([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]], &device);
//! let lower = Tensor::<1>::from_data([1.0, 0.0, 0.0], &device);
//! let upper = Tensor::<1>::from_data([1.0, f32::INFINITY, f32::INFINITY], &device);
//! let constraints = Affine::shared(a, Bounds::shared(lower, upper)?)?;
//!
//! let y_hat = Tensor::<2>::from_data([[0.9, 0.5], [3.0, 0.0]], &device).require_grad();
//! let projected = Projection::default().forward(y_hat.clone(), &constraints)?;
//! let reports = projected.gradient_reports();
//! let y = projected.y.clone().into_data().try_into_vec::<f32>().unwrap();
//! for (y, expected) in y.iter().zip([0.7, 0.3, 1.0, 0.0]) {
//!     assert!((y - expected).abs() < 1e-6);
//! }
//!
//! let gradients = projected.y.narrow(1, 0, 1).sum().backward();
//! let gradient = y_hat.grad(&gradients).unwrap().into_data().try_into_vec::<f32>().unwrap();
//! // Along the line in the first sample, none at the corner in the second.
//! for (g, expected) in gradient.iter().zip([0.5, -0.5, 0.0, 0.0]) {
//!     assert!((g - expected).abs() < 1e-6);
//! }
//! assert_eq!(reports.count(GradientQuality::Exact), Some(2));
//! # Ok(()) }
//! ```

mod adjoint;
mod cone;
mod error;
mod forward;
mod host_problem;
mod layer;
mod model_forward;
mod model_layer;
mod model_solution;
mod model_tensor;
mod parameter;
mod problem;
mod projection;
mod qcqp;
mod qp;
mod quadratic;
mod settings;
mod solution;
mod sparse;
mod tracked;

pub use adjoint::GradientReports;
pub use cone::{ConeLayer, ConeLayerSettings, ConeTensorSolution, ConeTensors};
pub use error::Error;
pub use feasible_model as model;
pub use feasible_solver::{
    AdjointSettings, Cone, ConeParameter, ConeSettings, Conflict, CrossedBounds, Degenerate,
    GradientQuality, GradientReport, Infeasible, Method, Parameter as QpParameter, Residuals,
    Settings as SolverSettings, Shift, Status,
};
pub use forward::{
    ConeTensorJacobian, ConeTensorTangent, ConvexJacobian, ConvexTangent, Direction,
};
pub use model_forward::{ModelJacobian, ModelTangent};
pub use model_layer::{ConvexLayer, ConvexLayerSettings};
pub use model_solution::ModelSolution;
pub use model_tensor::ModelTensor;
pub use parameter::Parameter;
pub use problem::{Hessian, QcqpTensors, QpTensors, RowHessians};
pub use projection::{Projected, ProjectedJacobian, ProjectedTangent, Projection};
pub use qcqp::QcqpLayer;
pub use qp::QpLayer;
pub use settings::{ConvexSettings, OnFailure};
pub use solution::ConvexSolution;
pub use sparse::SparseMatrix;
