use feasible_repair::Schedule;
use serde::{Deserialize, Serialize};

use super::PenaltyConfig;
use super::method_kind::MethodKind;
use super::method_table::Table;
use super::optimizer::OptimizerConfig;
use crate::Error;

/// A method: how the raw prediction is made to satisfy the constraints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct MethodConfig {
    /// Its name in tables; the kind, and its relaxation, when absent.
    pub(super) name: Option<String>,
    default_label: String,
    /// What is done to the prediction.
    pub kind: MethodKind,
    /// For so many first epochs the prediction is left as it is, so that only the penalty acts.
    pub soft_epochs: usize,
    /// Widens the box at first and narrows it epoch by epoch.
    pub relaxation: Option<RelaxationConfig>,
    /// ρ of the term ½ρ‖y − ŷ‖² that training adds to the loss, at least 0: the published loss of
    /// FSNet has it, with 10 (its code's 5 has no half before it).
    pub distance_weight: f64,
    /// A penalty on raw predictions far from the constraints: the published loss of FSNet has it.
    pub safeguard: SafeguardConfig,
    /// The penalty in place of the study's, for this method alone.
    pub penalty: Option<PenaltyConfig>,
    /// The optimiser in place of the study's, for this method alone.
    pub optimizer: Option<OptimizerConfig>,
}

/// Adaptive relaxation: the box is `[l − ε, u + ε]`, with ε falling from the largest violation of
/// the untrained network to 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelaxationConfig {
    /// How ε falls. Default linear.
    #[serde(default)]
    pub schedule: Schedule,
    /// Epochs until ε is 0, at most as many as are not soft: with all of them no epoch is trained on
    /// the true box. Default half of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay_epochs: Option<usize>,
}

/// FSNet's safeguard: where the raw predictions of a batch are so far from the constraints that the
/// layer cannot mend them, the loss has their own squared violations too.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SafeguardConfig {
    /// It acts on batches whose mean ‖r‖², of the equality rows or of the others, is at least this.
    /// Default 1000.
    pub violation: f64,
    /// Weight of ‖r‖², at least 0. Default 0, of `fsnet` 10.
    pub weight: f64,
}

impl Default for SafeguardConfig {
    fn default() -> Self {
        Self {
            violation: 1e3,
            weight: 0.0,
        }
    }
}

impl MethodConfig {
    /// A method with no soft epochs and no relaxation.
    pub fn new(kind: MethodKind) -> Self {
        let distance_weight = kind.published_distance_weight();
        let safeguard = kind.published_safeguard();
        Self {
            name: None,
            default_label: kind.name().to_owned(),
            kind,
            soft_epochs: 0,
            relaxation: None,
            distance_weight,
            safeguard,
            penalty: None,
            optimizer: None,
        }
    }

    /// The same method with relaxation.
    pub fn with_relaxation(self, relaxation: RelaxationConfig) -> Self {
        Self {
            default_label: format!("{} + relaxation", self.kind.name()),
            relaxation: Some(relaxation),
            ..self
        }
    }

    /// The same method under a name.
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..self
        }
    }

    /// Its name in tables and, made plain, in folder names.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.default_label)
    }

    /// Epochs until ε is 0, counted from the first that is not soft.
    pub fn decay_epochs(&self, epochs: usize) -> Option<usize> {
        let relaxation = self.relaxation?;
        Some(
            relaxation
                .decay_epochs
                .unwrap_or((epochs.saturating_sub(self.soft_epochs) / 2).max(1)),
        )
    }

    pub(super) fn validate(&self, epochs: usize) -> Result<(), Error> {
        if self.soft_epochs > epochs {
            return Err(Error::value(
                "method.soft_epochs",
                self.soft_epochs,
                format!("at most training.epochs = {epochs}"),
            ));
        }
        if let Some(decay) = self.decay_epochs(epochs) {
            let left = epochs - self.soft_epochs;
            if decay == 0 || decay > left {
                let expected = format!(
                    "1 to {left}, the epochs that are not soft; the test has ε = 0 in any case"
                );
                return Err(Error::value(
                    "method.relaxation.decay_epochs",
                    decay,
                    expected,
                ));
            }
        }
        if !(self.distance_weight >= 0.0 && self.distance_weight.is_finite()) {
            return Err(Error::value(
                "method.distance_weight",
                self.distance_weight,
                "finite and at least 0",
            ));
        }
        for (key, value) in [
            ("method.safeguard.violation", self.safeguard.violation),
            ("method.safeguard.weight", self.safeguard.weight),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::value(key, value, "finite and at least 0"));
            }
        }
        let moved = self.distance_weight != 0.0 || self.safeguard.weight != 0.0;
        if matches!(self.kind, MethodKind::Soft) && moved {
            return Err(Error::value(
                "method",
                "soft with a distance or safeguard weight",
                "one with a layer, or weights of 0: nothing moves a soft prediction",
            ));
        }
        if let Some(penalty) = self.penalty {
            penalty.validate("method.penalty")?;
        }
        if let Some(optimizer) = &self.optimizer {
            optimizer.validate("method.optimizer")?;
        }
        self.kind.validate()
    }
}
