//! The layers as their users see them: closed forms, central differences, failures, precision.

// The measured errors, shown under --nocapture.
#![allow(clippy::print_stderr)]

mod closed_forms;
mod cones;
mod crossed;
mod failures;
mod forward;
mod gradients;
mod model_forward;
mod models;
mod precision;
mod projected;
mod projection;
mod projection_gradients;
mod support;
