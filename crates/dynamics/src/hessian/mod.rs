//! Hessians known by their products.

mod differences;
mod exact;
mod gauss_newton;
mod quality;
mod tangent;

pub use differences::{DifferenceSettings, Differences, Hessian, StepChoice};
pub use exact::ExactHessian;
pub use gauss_newton::GaussNewton;
pub use quality::{Quality, relative_change, symmetry_defect};
pub use tangent::Tangent;
