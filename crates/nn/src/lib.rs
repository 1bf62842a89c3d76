//! Backbones: networks that map inputs to raw predictions, before any constraint is enforced.

mod mlp;

pub use mlp::{Activation, Mlp, MlpConfig, MlpError};
