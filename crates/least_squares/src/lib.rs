//! Sparse nonlinear least squares over vectors and Lie groups, without Burn.

pub mod g2o;
pub mod groups;
pub mod scalar;
