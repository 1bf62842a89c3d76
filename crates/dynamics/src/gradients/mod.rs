//! Gradients: of loss components, before and after a layer, of single samples.

mod capture;
mod components;
mod layer;
mod moments;
mod noise;
mod per_sample;

pub use capture::{Capture, CapturedGradients, captured_gradients};
pub use components::{ComponentGradients, Cosines, LossComponents, cosine};
pub use layer::{LayerGradients, layer_gradients};
pub use moments::{GradientMoments, ParameterSnr};
pub use noise::{NoiseScale, NoiseScaleTracker, ScaleInterval, squared_norms};
pub use per_sample::{PerSampleGradients, per_sample_gradients};
