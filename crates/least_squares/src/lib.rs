//! Nonlinear least squares over named variables, and derivatives of its minimisers, without Burn.

// `!(error <= limit)` is how a NaN fails a test; the suggested rewrites lose that.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

mod backward;
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
mod robust;
pub mod scalar;
mod settings;
mod solution;
mod status;
mod step;
mod tape;
mod term;
mod weight;

pub use backward::Gradients;
pub use cost::analytic::AnalyticCost;
pub use cost::auto::{AutoCost, Residual};
pub use cost::ready::{Between, Clipped, Difference, Linear as LinearCost, Numbers, Quadratic};
pub use cost::{Cost, Gradient, Point, Probe, Shapes};
pub use error::Error;
pub use inputs::{Inputs, Values};
pub use jet::Jet;
pub use manifold::{Bounds, Manifold};
pub use objective::{AuxiliaryId, Builder, Objective, VariableId};
pub use optimise::{Callback, Control, Iteration};
pub use robust::{Loss, Robust};
pub use scalar::Real;
pub use settings::{
    Backward, Damping, Dogleg, Hessian, LevenbergMarquardt, Linear, Settings, Shape, Step, Stopping,
};
pub use solution::Solution;
pub use status::{GradientQuality, Record, Status, Test};
pub use tape::Reverse;
pub use weight::{Source, Weight};
