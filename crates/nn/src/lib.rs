//! Backbones: networks that map inputs to raw predictions, before any constraint is enforced.

mod batch_norm;
mod config;
mod mlp;
#[cfg(test)]
mod testing;

pub use config::{Activation, MlpConfig, MlpError};
pub use mlp::Mlp;
