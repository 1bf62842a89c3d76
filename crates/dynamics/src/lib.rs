//! Instruments for watching any Burn module train, constrained or not.
//!
//! | wanted | from |
//! |---|---|
//! | parameters and gradients as one vector, parts of it, and back bit for bit | [`Layout`] |
//! | a copy in evaluation mode with gradients, or in f64 | [`evaluating`], [`in_precision`] |
//! | Hessian-vector products of any loss, and how good they are | [`Hessian`], [`Quality`] |
//! | the same without a step, and the Gauss-Newton part | [`ExactHessian`] with [`Tangent`], [`GaussNewton`] |
//! | sharpness beside the optimiser's threshold, through training | [`SharpnessTracker`], [`StabilityThreshold`] |
//!
//! Every operator is an [`Operator`](feasible_spectrum::Operator) of `feasible-spectrum`, which finds
//! eigenvalues, densities and traces. A number that the mathematics does not define is `None`.

// `!(value >= 0.0)` is how a NaN fails a test; the suggested rewrites lose that.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

mod copies;
mod error;
mod hessian;
mod objective;
mod parameters;
mod sharpness;
mod vectors;

pub use copies::{evaluating, in_precision};
pub use error::{Error, EvaluationError};
pub use hessian::{
    DifferenceSettings, Differences, ExactHessian, GaussNewton, Hessian, Quality, StepChoice,
    Tangent, relative_change, symmetry_defect,
};
pub use objective::{Objective, whole};
pub use parameters::Layout;
pub use sharpness::{Sharpness, SharpnessTracker, StabilityThreshold, adam_preconditioner};
