use burn::module::{Initializer, Module, Param};
use burn::nn::activation::{Activation as Nonlinearity, ActivationConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use thiserror::Error;

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
            Self::Softplus => {
                ActivationConfig::Softplus(burn::nn::activation::SoftplusConfig::new())
            }
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

    /// A network from `inputs` to `outputs` numbers, on `device` with its default precision.
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
                .map(|&width| BatchNormConfig::new(width).init(device))
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

/// Multilayer perceptron: (linear → batch norm → activation → dropout) for every hidden layer,
/// then a linear layer.
///
/// In training mode batch normalisation uses the batch's statistics and dropout is active; call
/// `valid()` (burn's `Module`) for evaluation. A layer's weight is stored as `[inputs, outputs]`.
#[derive(Module, Debug)]
pub struct Mlp {
    linear: Vec<Linear>,
    norm: Vec<BatchNorm>,
    activation: Nonlinearity,
    dropout: Dropout,
}

impl Mlp {
    /// The raw prediction: `[batch, inputs]` to `[batch, outputs]`.
    ///
    /// # Panics
    /// If `x` has another number of columns than the network has inputs.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let (last, hidden) = self
            .linear
            .split_last()
            .expect("an MLP has an output layer");
        let mut x = x;
        for (index, layer) in hidden.iter().enumerate() {
            x = layer.forward(x);
            if let Some(norm) = self.norm.get(index) {
                x = norm.forward(x);
            }
            x = self.dropout.forward(self.activation.forward(x));
        }
        last.forward(x)
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.linear[0].weight.val().dims()[0]
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.linear[self.linear.len() - 1].weight.val().dims()[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
        tensor
            .into_data()
            .convert::<f64>()
            .try_into_vec::<f64>()
            .unwrap()
    }

    #[test]
    fn shapes_and_parameter_count_are_those_of_the_published_network() {
        let device = Device::flex();
        let network = MlpConfig::default().init(50, 100, &device).unwrap();
        assert_eq!((network.inputs(), network.outputs()), (50, 100));
        // 50·200+200 + 200·200+200 + 200·100+100; scale, shift and the two running statistics of
        // both batch norms, which Burn counts as parameters.
        assert_eq!(network.num_params(), 10_200 + 40_200 + 20_100 + 2 * 4 * 200);
        assert_eq!(
            network.forward(Tensor::zeros([3, 50], &device)).dims(),
            [3, 100]
        );
    }

    #[test]
    fn initial_weights_have_the_published_variance() {
        let device = Device::flex();
        device.seed(1);
        let layer = kaiming_linear(400, 500, &device);
        let weights = numbers(layer.weight.val());
        let variance = weights.iter().map(|w| w * w).sum::<f64>() / weights.len() as f64;
        // 200,000 draws: the sample variance is within 2 % of 2/400 (six standard deviations).
        assert!((variance / (2.0 / 400.0) - 1.0).abs() < 0.02, "{variance}");
        let bound = 1.0 / 20.0;
        assert!(
            numbers(layer.bias.unwrap().val())
                .iter()
                .all(|b| b.abs() <= bound)
        );
    }

    #[test]
    fn evaluation_is_deterministic_and_training_drops_out() {
        let device = Device::flex().autodiff();
        let network = MlpConfig {
            batch_norm: false,
            dropout: 0.5,
            ..Default::default()
        }
        .init(4, 3, &device)
        .unwrap();
        let x = Tensor::<2>::ones([2, 4], &device);
        assert_ne!(
            numbers(network.forward(x.clone())),
            numbers(network.forward(x.clone()))
        );
        let evaluated = network.valid();
        let x = x.inner();
        assert_eq!(
            numbers(evaluated.forward(x.clone())),
            numbers(evaluated.forward(x))
        );
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
