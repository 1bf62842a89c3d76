//! The layers as their users see them: closed forms, central differences, failures, precision.

mod closed_forms;
mod failures;
mod gradients;
mod precision;
mod projection;
mod projection_gradients;
mod support;
mod timing;
