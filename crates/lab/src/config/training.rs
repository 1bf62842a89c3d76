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
    /// Floating-point type of network and problem: `f64` (default, as published) or `f32`.
    /// Layers on the host compute in f64 in either case; DC3, FSNet and the rays in this type.
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
    /// Epochs between checkpoints that are kept to the end, that before the first epoch among them:
    /// a trajectory to look back on. Without it the last two are kept, and the best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_every: Option<usize>,
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
    /// Share of the seconds of training that measurements may take: one that is due once they have
    /// had more is left out, but for those of start, middle and end. Default no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure_share: Option<f64>,
    /// Points along an axis of a measured landscape, odd. Default 21.
    #[serde(default = "twenty_one", skip_serializing_if = "is_twenty_one")]
    pub landscape_points: usize,
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
    /// The gradient's signal-to-noise ratio over samples, of every weight and as a whole.
    Snr,
    /// At start, middle and end: the Hessian's largest eigenvalues and its smallest.
    Spectrum,
    /// At start, middle and end: the density of the Hessian's spectrum, and its trace.
    Density,
    /// At start, middle and end: loss and violations over a random plane.
    Landscape,
}

impl Measure {
    /// Whether it is made at start, middle and end only.
    pub fn is_of_moments(self) -> bool {
        matches!(self, Self::Spectrum | Self::Density | Self::Landscape)
    }

    /// Whether it takes differences of gradients.
    fn needs_f64(self) -> bool {
        matches!(self, Self::Sharpness | Self::Spectrum | Self::Density)
    }
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

fn twenty_one() -> usize {
    21
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_twenty_one(value: &usize) -> bool {
    *value == twenty_one()
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
            keep_every: None,
            validate_every: 1,
            record_steps_every: 1,
            measure: Vec::new(),
            measure_every: ten(),
            measure_samples: one_hundred(),
            measure_share: None,
            landscape_points: twenty_one(),
        }
    }

    /// Whether `epoch`, counted from 0, ends with a validation.
    pub fn validates(&self, epoch: usize) -> bool {
        self.is_last(epoch) || (epoch + 1).is_multiple_of(self.validate_every)
    }

    /// Whether `epoch`, counted from 0, ends with a checkpoint.
    pub fn checkpoints(&self, epoch: usize) -> bool {
        let due = (epoch + 1).is_multiple_of(self.checkpoint_every);
        self.is_last(epoch) || due || self.keeps(epoch + 1)
    }

    /// Whether the checkpoint after so many epochs is kept to the end.
    pub fn keeps(&self, epochs: usize) -> bool {
        self.keep_every
            .is_some_and(|every| epochs.is_multiple_of(every))
    }

    /// Whether `epoch`, counted from 0, ends with measurements of the dynamics.
    pub fn measures(&self, epoch: usize) -> bool {
        let due = self.is_last(epoch) || (epoch + 1).is_multiple_of(self.measure_every);
        due && self.measure.iter().any(|measure| !measure.is_of_moments())
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
            ("keep_every", self.keep_every.unwrap_or(1), 1),
            ("landscape_points", self.landscape_points, 3),
        ] {
            if value < least {
                return Err(Error::value(
                    format!("training.{key}"),
                    value,
                    format!("at least {least}"),
                ));
            }
        }
        if self.landscape_points.is_multiple_of(2) {
            let expected = "odd, so that the network is one of the points";
            let key = "training.landscape_points";
            return Err(Error::value(key, self.landscape_points, expected));
        }
        if let Some(share) = self.measure_share
            && !(share > 0.0 && share.is_finite())
        {
            let expected = "finite and greater than 0";
            return Err(Error::value("training.measure_share", share, expected));
        }
        if self.dtype == Precision::F32 && self.measure.iter().any(|m| m.needs_f64()) {
            return Err(Error::value(
                "training.measure",
                "sharpness, spectrum or density in f32",
                "in f64: they come from differences of gradients",
            ));
        }
        self.optimizer.validate("training.optimizer")?;
        self.penalty.validate("training.penalty")?;
        Ok(())
    }
}
