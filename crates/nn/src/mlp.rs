use burn::module::Module;
use burn::nn::activation::Activation as Nonlinearity;
use burn::nn::{Dropout, Linear};
use burn::tensor::Tensor;

use crate::batch_norm::BatchNorm;

/// Multilayer perceptron: (linear → batch norm → activation → dropout) for every hidden layer,
/// then a linear layer.
///
/// In training mode batch normalisation uses the batch's statistics and dropout is active; call
/// `valid()` (burn's `Module`) for evaluation. A layer's weight is stored as `[inputs, outputs]`.
///
/// Batch normalisation is that of the published networks: a batch is normalised with its variance
/// over n and keeps, for evaluation, a running variance over n − 1 (momentum 0.1, ε = 1e-5; Burn
/// 0.22.1's own layer keeps the variance over n). A batch of one sample has no variance, so it is
/// normalised with the running statistics, and leaves them as they are; so is an empty batch.
#[derive(Module, Debug)]
pub struct Mlp {
    pub(crate) linear: Vec<Linear>,
    pub(crate) norm: Vec<BatchNorm>,
    pub(crate) activation: Nonlinearity,
    pub(crate) dropout: Dropout,
}

impl Mlp {
    /// The raw prediction: `[batch, inputs]` to `[batch, outputs]`. The batch may be empty.
    ///
    /// # Panics
    /// If `x` has another number of columns than the network has inputs.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.forward_with(x, |layer, x| layer.forward(x))
    }

    /// As [`Mlp::forward`], with what `linear` makes of the linear layers in place of their own
    /// `forward`: for instruments that look into them.
    ///
    /// # Panics
    /// As [`Mlp::forward`].
    pub fn forward_with(
        &self,
        x: Tensor<2>,
        mut linear: impl FnMut(&Linear, Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let (last, hidden) = self
            .linear
            .split_last()
            .expect("an MLP has an output layer");
        if x.dims()[0] == 0 {
            return empty_prediction(&x, last);
        }
        let mut x = x;
        for (index, layer) in hidden.iter().enumerate() {
            x = linear(layer, x);
            if let Some(norm) = self.norm.get(index) {
                x = norm.forward(x);
            }
            x = self.dropout.forward(self.activation.forward(x));
        }
        linear(last, x)
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

/// `[0, outputs]`. Burn's ndarray backend divides by zero where a matrix without rows is multiplied;
/// the bias keeps the prediction part of the graph, so that a loss of it can go backward.
fn empty_prediction(x: &Tensor<2>, last: &Linear) -> Tensor<2> {
    let [_, outputs] = last.weight.val().dims();
    let empty = Tensor::zeros([0, outputs], (&x.device(), x.dtype()));
    match &last.bias {
        Some(bias) => empty + bias.val().unsqueeze(),
        None => empty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers, parameter, tensor};
    use crate::{Activation, MlpConfig};
    use burn::tensor::Device;

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

    /// One input, hidden layer h = (x, 2 − x) normalised with γ = (2, 1) and β = (1, ½), ReLU,
    /// output a₁ + 10 a₂ − 1.
    fn two_units(device: &Device) -> Mlp {
        let mut network = MlpConfig {
            hidden: vec![2],
            dropout: 0.0,
            ..Default::default()
        }
        .init(1, 1, device)
        .unwrap();
        network.linear[0].weight = parameter(&[1.0, -1.0], [1, 2], device);
        network.linear[0].bias = Some(parameter(&[0.0, 2.0], [2], device));
        network.norm[0].gamma = parameter(&[2.0, 1.0], [2], device);
        network.norm[0].beta = parameter(&[1.0, 0.5], [2], device);
        network.linear[1].weight = parameter(&[1.0, 10.0], [2, 1], device);
        network.linear[1].bias = Some(parameter(&[-1.0], [1], device));
        network
    }

    /// For x = 1, 3, 5, 7 both units have variance 5 over n: with r = √(5 + 1e-5) the first is
    /// 2 (−3, −1, 1, 3)/r + 1 and the second (3, 1, −1, −3)/r + ½ before the ReLU.
    #[test]
    fn training_normalises_before_the_activation() {
        let device = Device::flex().autodiff();
        let network = two_units(&device);
        let x = tensor(&[1.0, 3.0, 5.0, 7.0], [4, 1], &device);
        let r = 5.000_01_f64.sqrt();
        let first = [0.0, 1.0 - 2.0 / r, 1.0 + 2.0 / r, 1.0 + 6.0 / r];
        let second = [0.5 + 3.0 / r, 0.5 + 1.0 / r, 0.5 - 1.0 / r, 0.0];
        let expected: Vec<f64> = first
            .iter()
            .zip(second)
            .map(|(a, b)| a + 10.0 * b - 1.0)
            .collect();
        assert_close(network.forward(x), &expected);
    }

    /// Two such batches leave the means (0.76, −0.38) of 0.1·4 and 0.1·(−2), and the variance
    /// 0.9 (0.9 + 0.1·20/3) + 0.1·20/3 = 2.0766… (20/3 is over n − 1). x = 2 gives h = (2, 0),
    /// x = −1 gives h = (−1, 3), whose first unit the ReLU cuts off.
    #[test]
    fn evaluation_normalises_with_the_published_running_statistics() {
        let device = Device::flex().autodiff();
        let network = two_units(&device);
        let x = tensor(&[1.0, 3.0, 5.0, 7.0], [4, 1], &device);
        network.forward(x.clone());
        network.forward(x);
        let r = (0.81 + 0.6 + 2.0 / 3.0 + 1e-5_f64).sqrt();
        let expected = [
            1.0 + 2.0 * 1.24 / r + 10.0 * (0.5 + 0.38 / r) - 1.0,
            10.0 * (0.5 + 3.38 / r) - 1.0,
        ];
        let evaluated = network.valid();
        let x = tensor(&[2.0, -1.0], [2, 1], &Device::flex());
        assert_close(evaluated.forward(x), &expected);
    }

    /// Equal rows are normalised to β = 1, so every hidden unit is softplus(1)/0.75 or dropped. A
    /// unit dropped before the activation would be softplus(0) = ln 2, and before the batch norm
    /// not equal any more.
    #[test]
    fn dropout_comes_last_and_keeps_the_mean() {
        const WIDTH: usize = 200;
        const BATCH: usize = 50;
        let device = Device::flex().autodiff();
        device.seed(3);
        let mut network = MlpConfig {
            hidden: vec![WIDTH],
            activation: Activation::Softplus,
            dropout: 0.25,
            ..Default::default()
        }
        .init(1, WIDTH, &device)
        .unwrap();
        // Whole numbers, of which f32 makes exact means.
        network.linear[0].weight = parameter(&[1.0; WIDTH], [1, WIDTH], &device);
        network.linear[0].bias = Some(parameter(&[0.0; WIDTH], [WIDTH], &device));
        network.norm[0].beta = parameter(&[1.0; WIDTH], [WIDTH], &device);
        let identity: Vec<f64> = (0..WIDTH * WIDTH)
            .map(|k| if k % (WIDTH + 1) == 0 { 1.0 } else { 0.0 })
            .collect();
        network.linear[1].weight = parameter(&identity, [WIDTH, WIDTH], &device);
        network.linear[1].bias = Some(parameter(&[0.0; WIDTH], [WIDTH], &device));

        let softplus = |v: f64| v.exp().ln_1p();
        let kept = softplus(1.0) / 0.75;
        let hidden = numbers(network.forward(Tensor::ones([BATCH, 1], &device)));
        let dropped = hidden.iter().filter(|v| **v == 0.0).count();
        for value in &hidden {
            assert!(*value == 0.0 || (value - kept).abs() < 1e-5, "{value}");
        }
        // Six standard deviations √(0.25·0.75/10,000) of a share of one quarter.
        let share = dropped as f64 / hidden.len() as f64;
        assert!((share - 0.25).abs() < 0.026, "{share}");

        // Mean 0.1 and variance 0.9 after the one batch.
        let unit = softplus(1.0 + 0.9 / (0.9 + 1e-5_f64).sqrt());
        let evaluated = network
            .valid()
            .forward(Tensor::ones([2, 1], &Device::flex()));
        assert_close(evaluated, &[unit; 2 * WIDTH]);
    }

    #[test]
    #[allow(deprecated, reason = "deprecated upstream and still supported here")]
    fn an_empty_batch_is_an_empty_prediction_and_changes_nothing() {
        for plain in [Device::flex(), Device::ndarray()] {
            let device = plain.clone().autodiff();
            let network = MlpConfig::default().init(4, 3, &device).unwrap();
            let probe = Tensor::<2>::ones([2, 4], &plain);
            let before = numbers(network.valid().forward(probe.clone()));
            let empty = || Tensor::<2>::zeros([0, 4], &device);

            let prediction = network.forward(empty());
            assert_eq!(prediction.dims(), [0, 3]);
            let gradients = prediction.sum().backward();
            for layer in &network.linear {
                let bias = layer.bias.as_ref().unwrap().val().grad(&gradients);
                let weight = layer.weight.val().grad(&gradients);
                let moves = bias.map(numbers).into_iter().chain(weight.map(numbers));
                assert!(moves.flatten().all(|g| g == 0.0));
            }
            assert_eq!(network.valid().forward(empty().inner()).dims(), [0, 3]);
            assert_eq!(numbers(network.valid().forward(probe)), before);
        }
    }
}
