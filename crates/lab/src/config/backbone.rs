use feasible_nn::{Activation, MlpConfig};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The network that makes the raw prediction; the default is the published one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackboneConfig {
    /// Its name in tables; kind and widths when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which network.
    pub kind: BackboneKind,
    /// Widths of the hidden layers. Default `[200, 200]`.
    #[serde(default = "default_hidden")]
    pub hidden: Vec<usize>,
    /// Nonlinearity: `relu` (default), `tanh`, `gelu` or `softplus`.
    #[serde(default)]
    pub activation: Activation,
    /// Batch normalisation. Default true.
    #[serde(default = "default_batch_norm")]
    pub batch_norm: bool,
    /// Dropout probability in [0, 1). Default 0.2.
    #[serde(default = "default_dropout")]
    pub dropout: f64,
}

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackboneKind {
    /// Multilayer perceptron.
    Mlp,
}

fn default_hidden() -> Vec<usize> {
    MlpConfig::default().hidden
}

fn default_batch_norm() -> bool {
    MlpConfig::default().batch_norm
}

fn default_dropout() -> f64 {
    MlpConfig::default().dropout
}

impl Default for BackboneConfig {
    fn default() -> Self {
        let MlpConfig {
            hidden,
            activation,
            batch_norm,
            dropout,
        } = MlpConfig::default();
        Self {
            name: None,
            kind: BackboneKind::Mlp,
            hidden,
            activation,
            batch_norm,
            dropout,
        }
    }
}

impl BackboneConfig {
    /// Its name in tables and, made plain, in folder names.
    pub fn label(&self) -> String {
        let widths: Vec<String> = self.hidden.iter().map(usize::to_string).collect();
        self.name
            .clone()
            .unwrap_or_else(|| format!("mlp {}", widths.join("-")))
    }

    /// The network's settings, checked.
    ///
    /// # Errors
    /// [`Error::Network`] with the setting out of range.
    pub fn to_mlp(&self) -> Result<MlpConfig, Error> {
        let BackboneKind::Mlp = self.kind;
        let config = MlpConfig {
            hidden: self.hidden.clone(),
            activation: self.activation,
            batch_norm: self.batch_norm,
            dropout: self.dropout,
        };
        config.validate()?;
        Ok(config)
    }
}
