use feasible_core::{PenaltyForm, SoftPenalty};
use serde::{Deserialize, Serialize};

use super::OptimizerConfig;
use crate::Error;

/// How every run of a study is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Passes over the training samples, at least 1.
    pub epochs: usize,
    /// Samples a step, at least 2. A last batch of one sample joins the one before it, because
    /// batch normalisation needs two.
    pub batch: usize,
    /// Use only the first so many training samples. Default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_samples: Option<usize>,
    /// Floating-point type of network and problem: `f64` (default, as published) or `f32`. The
    /// layers compute in f64 in either case.
    #[serde(default)]
    pub dtype: Precision,
    /// Where tensors live: `flex` (default), `ndarray`, `wgpu`, `vulkan` or `cuda`.
    #[serde(default)]
    pub device: DeviceKind,
    /// Default Adam as published.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// The penalty that every method's loss has. Default as published.
    #[serde(default)]
    pub penalty: PenaltyConfig,
    /// Epochs between checkpoints. Default 1. The last epoch always has one.
    #[serde(default = "one")]
    pub checkpoint_every: usize,
    /// Epochs between validations. Default 1. The last epoch always has one.
    #[serde(default = "one")]
    pub validate_every: usize,
    /// Steps between recorded steps. Default 1. An epoch's losses are means over all its steps, its
    /// violations and iterations over the recorded ones.
    #[serde(default = "one")]
    pub record_steps_every: usize,
    /// What is measured of the training's dynamics, by name. Default nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measure: Vec<Measure>,
    /// Epochs between such measurements. Default 10. The last epoch always has one.
    #[serde(default = "ten", skip_serializing_if = "is_ten")]
    pub measure_every: usize,
    /// They are made on the first so many training samples. Default 100.
    #[serde(default = "one_hundred", skip_serializing_if = "is_one_hundred")]
    pub measure_samples: usize,
}

/// What can be measured of a training's dynamics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Norms of the gradients of objective, upper and lower penalty, and the cosines between them.
    Cosine,
    /// The gradient's norm before and after the layer.
    LayerGradients,
    /// Ranks of the layer's Jacobian.
    Jacobian,
    /// The gradient noise scale.
    NoiseScale,
    /// The Hessian's largest eigenvalue, with that of the optimiser's preconditioned Hessian, beside
    /// the optimiser's stability threshold.
    Sharpness,
}

/// Floating-point type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 64 bits.
    #[default]
    F64,
    /// 32 bits.
    F32,
}

/// Where tensors live. Each needs the cargo feature of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceKind {
    /// Burn's own CPU backend.
    #[default]
    #[serde(rename = "flex")]
    FlexCpu,
    /// The older CPU backend.
    #[serde(rename = "ndarray")]
    NdarrayCpu,
    /// A GPU through WebGPU.
    Wgpu,
    /// A GPU through Vulkan.
    Vulkan,
    /// An NVIDIA GPU.
    Cuda,
}

impl DeviceKind {
    /// Its name in study files, which is also the cargo feature's.
    pub fn name(self) -> &'static str {
        match self {
            Self::FlexCpu => "flex",
            Self::NdarrayCpu => "ndarray",
            Self::Wgpu => "wgpu",
            Self::Vulkan => "vulkan",
            Self::Cuda => "cuda",
        }
    }
}

/// Weights and form of the penalty for leaving the true, unrelaxed box.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PenaltyConfig {
    /// Weight of exceeding the upper bound, at least 0. Default 10.
    pub upper: f64,
    /// Weight of falling below the lower bound, at least 0. Default 10.
    pub lower: f64,
    /// `squared` (default, as published) or `norm`.
    pub form: PenaltyForm,
}

impl Default for PenaltyConfig {
    fn default() -> Self {
        Self {
            upper: 10.0,
            lower: 10.0,
            form: PenaltyForm::Squared,
        }
    }
}

impl PenaltyConfig {
    /// Checks the weights of the penalty at `key`.
    pub(super) fn validate(self, table: &str) -> Result<(), Error> {
        for (key, weight) in [("upper", self.upper), ("lower", self.lower)] {
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(Error::value(
                    format!("{table}.{key}"),
                    weight,
                    "finite and at least 0",
                ));
            }
        }
        Ok(())
    }

    /// The penalty it describes.
    pub fn to_penalty(self) -> SoftPenalty {
        SoftPenalty {
            upper_weight: self.upper,
            lower_weight: self.lower,
            form: self.form,
        }
    }
}

fn one() -> usize {
    1
}

fn ten() -> usize {
    10
}

fn one_hundred() -> usize {
    100
}

// Settings at their default are left out of a run's, so that runs of before are the same runs.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_ten(value: &usize) -> bool {
    *value == ten()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_one_hundred(value: &usize) -> bool {
    *value == one_hundred()
}

impl TrainingConfig {
    /// Settings with the published optimiser and penalty.
    pub fn new(epochs: usize, batch: usize) -> Self {
        Self {
            epochs,
            batch,
            train_samples: None,
            dtype: Precision::default(),
            device: DeviceKind::default(),
            optimizer: OptimizerConfig::default(),
            penalty: PenaltyConfig::default(),
            checkpoint_every: 1,
            validate_every: 1,
            record_steps_every: 1,
            measure: Vec::new(),
            measure_every: ten(),
            measure_samples: one_hundred(),
        }
    }

    /// Whether `epoch`, counted from 0, ends with a validation.
    pub fn validates(&self, epoch: usize) -> bool {
        self.is_last(epoch) || (epoch + 1).is_multiple_of(self.validate_every)
    }

    /// Whether `epoch`, counted from 0, ends with a checkpoint.
    pub fn checkpoints(&self, epoch: usize) -> bool {
        self.is_last(epoch) || (epoch + 1).is_multiple_of(self.checkpoint_every)
    }

    /// Whether `epoch`, counted from 0, ends with measurements of the dynamics.
    pub fn measures(&self, epoch: usize) -> bool {
        let due = self.is_last(epoch) || (epoch + 1).is_multiple_of(self.measure_every);
        !self.measure.is_empty() && due
    }

    /// Whether `epoch`, counted from 0, is the last.
    pub fn is_last(&self, epoch: usize) -> bool {
        epoch + 1 == self.epochs
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Value`] with the key, its value and what it must be.
    pub fn validate(&self) -> Result<(), Error> {
        for (key, value, least) in [
            ("epochs", self.epochs, 1),
            ("batch", self.batch, 2),
            ("train_samples", self.train_samples.unwrap_or(2), 2),
            ("checkpoint_every", self.checkpoint_every, 1),
            ("validate_every", self.validate_every, 1),
            ("record_steps_every", self.record_steps_every, 1),
            ("measure_every", self.measure_every, 1),
            ("measure_samples", self.measure_samples, 1),
        ] {
            if value < least {
                return Err(Error::value(
                    format!("training.{key}"),
                    value,
                    format!("at least {least}"),
                ));
            }
        }
        if self.measure.contains(&Measure::Sharpness) && self.dtype == Precision::F32 {
            return Err(Error::value(
                "training.measure",
                "sharpness in f32",
                "in f64: it comes from differences of gradients",
            ));
        }
        self.optimizer.validate()?;
        self.penalty.validate("training.penalty")?;
        Ok(())
    }
}
