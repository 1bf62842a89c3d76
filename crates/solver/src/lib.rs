//! Batched dense convex solvers and their adjoints, without Burn.

mod active_set;
mod adjoint;
mod batch;
pub mod damped;
mod dense;
mod error;
mod interior_point;
mod kkt;
mod nullspace;
mod polish;
mod problem;
mod residual;
mod settings;
mod solution;
mod solve;
mod status;
mod validate;

pub use adjoint::{
    Cotangent, GradientQuality, GradientReport, Gradients, Wanted, adjoint,
};
pub use batch::{Symmetric, Values};
pub use error::Error;
pub use problem::{Equalities, Inequalities, Problem, Quadratics};
pub use settings::{AdjointSettings, Method, Settings};
pub use solution::Solution;
pub use solve::solve;
pub use status::{Residuals, Status};
