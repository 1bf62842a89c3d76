use burn::module::{Initializer, Param};
use burn::nn::activation::{ActivationConfig, SoftplusConfig};
use burn::nn::{DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Mlp;
use crate::batch_norm::BatchNorm;

/// The nonlinearity between layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(x, 0), as published for DC3, HardNet and SnareNet.
    #[default]
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// Gaussian error linear unit.
    Gelu,
    /// Softplus ln(1 + eˣ).
    Softplus,
}

impl Activation {
    fn config(self) -> ActivationConfig {
        match self {
            Self::Relu => ActivationConfig::Relu,
            Self::Tanh => ActivationConfig::Tanh,
            Self::Gelu => ActivationConfig::Gelu,
            Self::Softplus => ActivationConfig::Softplus(SoftplusConfig::new()),
        }
    }
}

/// A setting outside its range.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("setting `{setting}` of the MLP is {got}, must be {expected}")]
pub struct MlpError {
    setting: &'static str,
    got: String,
    expected: &'static str,
}

/// Settings of an [`Mlp`]; the defaults are those of the published QP and QCQP experiments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MlpConfig {
    /// Widths of the hidden layers, each at least 1. Default `[200, 200]`. Empty is a linear map.
    pub hidden: Vec<usize>,
    /// Nonlinearity after every hidden layer. Default ReLU.
    pub activation: Activation,
    /// Batch normalisation between a hidden layer and its nonlinearity. Default true.
    pub batch_norm: bool,
    /// Dropout probability after every nonlinearity, in [0, 1). Default 0.2.
    pub dropout: f64,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self {
            hidden: vec![200, 200],
            activation: Activation::Relu,
            batch_norm: true,
            dropout: 0.2,
        }
    }
}

impl MlpConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// If a width is 0 or the dropout probability is outside [0, 1).
    pub fn validate(&self) -> Result<(), MlpError> {
        if let Some(width) = self.hidden.iter().find(|&&width| width == 0) {
            return Err(MlpError {
                setting: "hidden",
                got: width.to_string(),
                expected: "widths of at least 1",
            });
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(MlpError {
                setting: "dropout",
                got: self.dropout.to_string(),
                expected: "at least 0 and less than 1",
            });
        }
        Ok(())
    }

    /// A network from `inputs` to `outputs` numbers, on `device`.
    ///
    /// Parameters are drawn in the device's default precision, f32 unless that was changed for the
    /// process. Cast to f64 they are f32 numbers still, unlike the published networks', which were
    /// drawn in f64: the law is the same to a relative 6e-8.
    ///
    /// # Errors
    /// As [`MlpConfig::validate`], or if `inputs` or `outputs` is 0.
    pub fn init(&self, inputs: usize, outputs: usize, device: &Device) -> Result<Mlp, MlpError> {
        self.validate()?;
        for (setting, got) in [("inputs", inputs), ("outputs", outputs)] {
            if got == 0 {
                return Err(MlpError {
                    setting,
                    got: "0".into(),
                    expected: "at least 1",
                });
            }
        }
        let mut widths = vec![inputs];
        widths.extend(&self.hidden);
        widths.push(outputs);
        let linear = widths
            .windows(2)
            .map(|pair| kaiming_linear(pair[0], pair[1], device))
            .collect();
        let norms = if self.batch_norm {
            self.hidden.as_slice()
        } else {
            &[]
        };
        Ok(Mlp {
            linear,
            norm: norms
                .iter()
                .map(|&width| BatchNorm::new(width, device))
                .collect(),
            activation: self.activation.config().init(device),
            dropout: DropoutConfig::new(self.dropout).init(),
        })
    }
}

/// Weights from N(0, 2/inputs) (He et al. 2015, fan-in, gain √2), as SnareNet and DC3 initialise
/// them; biases from U(−1/√inputs, 1/√inputs), the default of the framework they use.
fn kaiming_linear(inputs: usize, outputs: usize, device: &Device) -> Linear {
    let gain = std::f64::consts::SQRT_2;
    let weights = Initializer::KaimingNormal {
        gain,
        fan_out_only: false,
    };
    let mut layer = LinearConfig::new(inputs, outputs)
        .with_initializer(weights)
        .init(device);
    let bound = 1.0 / (inputs as f64).sqrt();
    let biases = Initializer::Uniform {
        min: -bound,
        max: bound,
    };
    let bias: Param<Tensor<1>> = biases.init([outputs], device);
    layer.bias = Some(bias);
    layer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::numbers;

    /// Second moment, and fourth moment over its square: 3 for a normal law, 1.8 for a uniform one.
    fn moments(values: &[f64]) -> (f64, f64) {
        let mean_power =
            |power| values.iter().map(|v| v.powi(power)).sum::<f64>() / values.len() as f64;
        let variance = mean_power(2);
        (variance, mean_power(4) / (variance * variance))
    }

    /// Bounds are six standard deviations of the sample moments.
    #[test]
    fn initial_weights_and_biases_have_the_published_laws() {
        let device = Device::flex();
        device.seed(1);
        let layer = kaiming_linear(25, 20_000, &device);

        // N(0, 2/25), 500,000 draws: relative deviations of √(2/N) and √(24/N)/3.
        let weights = numbers(layer.weight.val());
        let mean = weights.iter().sum::<f64>() / weights.len() as f64;
        let (variance, kurtosis) = moments(&weights);
        assert!(mean.abs() < 0.0024, "{mean}");
        assert!((variance / (2.0 / 25.0) - 1.0).abs() < 0.012, "{variance}");
        assert!((kurtosis - 3.0).abs() < 0.042, "{kurtosis}");

        // U(-1/5, 1/5), 20,000 draws: deviations of √(0.8/N) relative, and √(1.32/N).
        let biases = numbers(layer.bias.unwrap().val());
        let mean = biases.iter().sum::<f64>() / biases.len() as f64;
        let (variance, kurtosis) = moments(&biases);
        assert!(mean.abs() < 0.005, "{mean}");
        assert!((variance / (0.04 / 3.0) - 1.0).abs() < 0.038, "{variance}");
        assert!((kurtosis - 1.8).abs() < 0.05, "{kurtosis}");
        // The bound itself as an f32 rounds up.
        assert!(biases.iter().all(|b| b.abs() <= 0.2 + 1e-8));
    }

    #[test]
    fn bad_settings_are_named() {
        let config = MlpConfig {
            dropout: 1.0,
            ..Default::default()
        };
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "setting `dropout` of the MLP is 1, must be at least 0 and less than 1"
        );
        assert!(
            MlpConfig {
                hidden: vec![3, 0],
                ..Default::default()
            }
            .validate()
            .is_err()
        );
        assert!(MlpConfig::default().init(0, 1, &Device::flex()).is_err());
    }
}
