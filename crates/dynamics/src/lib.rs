//! Instruments for watching any Burn module train, constrained or not.
//!
//! | wanted | from |
//! |---|---|
//! | parameters and gradients as one vector, parts of it, and back bit for bit | [`Layout`] |
//! | tanh at a fifth of the cost of Burn's | [`tanh`] |
//! | a copy in evaluation mode with gradients, or in f64 | [`evaluating`], [`in_precision`] |
//! | Hessian-vector products of any loss, and how good they are | [`Hessian`], [`Quality`] |
//! | the same without a step, and the Gauss-Newton part | [`ExactHessian`] with [`Tangent`], [`GaussNewton`] |
//! | gradients of loss components and their cosines | [`LossComponents`] |
//! | gradients before and after a layer | [`layer_gradients`] |
//! | gradients of single samples, SNR, noise scale, critical batch size | [`captured_gradients`], [`per_sample_gradients`], [`GradientMoments`], [`NoiseScale`] |
//! | Jacobians, their ranks and dead directions | [`jacobians`], [`SingularValues`] |
//! | violations before and after a layer | [`ViolationChange`] |
//! | landscapes and trajectories | [`scan_module`], [`refine_module`], [`random_plane`], [`hessian_plane`], [`trajectory_plane`] |
//! | sharpness beside the optimiser's threshold, through training | [`SharpnessTracker`], [`StabilityThreshold`] |
//!
//! Every operator is an [`Operator`](feasible_spectrum::Operator) of `feasible-spectrum`, which finds
//! eigenvalues, densities and traces. A number that the mathematics does not define is `None`.

// `!(value >= 0.0)` is how a NaN fails a test; the suggested rewrites lose that.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

mod activation;
mod copies;
mod error;
mod gradients;
mod hessian;
mod jacobian;
mod landscape;
mod objective;
mod parameters;
mod sharpness;
mod vectors;
mod violations;

pub use activation::tanh;
pub use copies::{evaluating, in_precision};
pub use error::{Error, EvaluationError};
pub use gradients::{
    Capture, CapturedGradients, ComponentGradients, Cosines, GradientMoments, LayerGradients,
    LossComponents, NoiseScale, NoiseScaleTracker, ParameterSnr, PerSampleGradients, ScaleInterval,
    captured_gradients, cosine, layer_gradients, per_sample_gradients, squared_norms,
};
pub use hessian::{
    DifferenceSettings, Differences, ExactHessian, GaussNewton, Hessian, Quality, StepChoice,
    Tangent, relative_change, symmetry_defect,
};
pub use jacobian::{Jacobian, JacobianSummary, Rows, SingularValues, jacobian_summary, jacobians};
pub use landscape::{
    ModuleScan, ScanPlan, Threads, TrajectoryPlane, hessian_plane, random_plane, refine_module,
    scan_module, trajectory_plane,
};
pub use objective::{Objective, whole};
pub use parameters::Layout;
pub use sharpness::{Sharpness, SharpnessTracker, StabilityThreshold, adam_preconditioner};
pub use violations::ViolationChange;
