//! Batch normalisation as the published networks have it.

use burn::module::{Flag, Initializer, Module, Param, RunningState};
use burn::tensor::module::{batch_norm, batch_norm_train};
use burn::tensor::{Device, Tensor};

/// Keeps the normalised numbers finite where a column does not vary; PyTorch's default.
const EPSILON: f64 = 1e-5;
/// Share of the newest batch in the running statistics; PyTorch's default.
const MOMENTUM: f64 = 0.1;

/// γ (x − μ) / √(v + 1e-5) + β for every column of `[batch, width]` (Ioffe & Szegedy, arXiv
/// 1502.03167, algorithms 1 and 2).
///
/// In training mode μ and v are the batch's mean and variance over n, and the running statistics
/// move towards its mean and its variance over n − 1; in evaluation μ and v are the running
/// statistics. That is the paper's estimate, and PyTorch's. Burn 0.22.1's own layer keeps the
/// variance over n instead, which makes evaluation differ: by 0.25 % a layer at batches of 200, by
/// 15 % at batches of 4.
///
/// A batch of one or no sample has no variance and is normalised with the running statistics, also
/// in training mode. It does not move them.
#[derive(Module, Debug)]
pub(crate) struct BatchNorm {
    pub(crate) gamma: Param<Tensor<1>>,
    pub(crate) beta: Param<Tensor<1>>,
    /// Cleared by `freeze`, as in Burn's layers.
    training: Param<Flag>,
    pub(crate) running_mean: RunningState<Tensor<1>>,
    pub(crate) running_var: RunningState<Tensor<1>>,
}

impl BatchNorm {
    pub(crate) fn new(width: usize, device: &Device) -> Self {
        Self {
            gamma: Initializer::Ones.init([width], device),
            beta: Initializer::Zeros.init([width], device),
            training: Param::from_bool(true),
            running_mean: RunningState::new(Tensor::zeros([width], device)),
            running_var: RunningState::new(Tensor::ones([width], device)),
        }
    }

    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let [batch, _] = x.dims();
        let (gamma, beta) = (self.gamma.val(), self.beta.val());
        // Burn's rule for training mode, which `Dropout` follows too.
        let trains = x.device().is_autodiff() && self.training.is_enabled();
        if !trains || batch < 2 {
            let (mean, variance) = (
                self.running_mean.value_sync(),
                self.running_var.value_sync(),
            );
            return batch_norm(x, gamma, beta, mean, variance, EPSILON);
        }
        let normalised = batch_norm_train(x, gamma, beta, EPSILON);
        let unbiased = normalised.variance * (batch as f64 / (batch - 1) as f64);
        follow(&self.running_mean, normalised.mean);
        follow(&self.running_var, unbiased);
        normalised.output
    }
}

fn follow(statistic: &RunningState<Tensor<1>>, newest: Tensor<1>) {
    statistic.update(statistic.value_sync() * (1.0 - MOMENTUM) + newest * MOMENTUM);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, tensor};

    /// Columns 1, 3, 5, 7 and 0, 0, 0, 6: means 4 and 1.5, variances 5 and 6.75 over n, 20/3 and 9
    /// over n − 1.
    fn batch(device: &Device) -> Tensor<2> {
        tensor(&[1.0, 0.0, 3.0, 0.0, 5.0, 0.0, 7.0, 6.0], [4, 2], device)
    }

    #[test]
    fn running_statistics_move_by_a_tenth_and_are_unbiased() {
        let norm = BatchNorm::new(2, &Device::flex().autodiff());
        let x = batch(&Device::flex().autodiff());
        norm.forward(x.clone());
        assert_close(norm.running_mean.value_sync(), &[0.4, 0.15]);
        assert_close(norm.running_var.value_sync(), &[0.9 + 2.0 / 3.0, 0.9 + 0.9]);
        norm.forward(x);
        assert_close(norm.running_mean.value_sync(), &[0.76, 0.285]);
        assert_close(
            norm.running_var.value_sync(),
            &[0.81 + 0.6 + 2.0 / 3.0, 0.81 + 0.81 + 0.9],
        );
    }

    #[test]
    fn a_batch_without_a_variance_uses_the_running_statistics_and_keeps_them() {
        let device = Device::flex().autodiff();
        let norm = BatchNorm::new(2, &device);
        norm.forward(batch(&device));
        let one = norm.forward(tensor(&[0.4, 1.15], [1, 2], &device));
        assert_close(one, &[0.0, 1.0 / (1.8_f64 + 1e-5).sqrt()]);
        let none = norm.forward(tensor(&[], [0, 2], &device));
        assert_eq!(none.dims(), [0, 2]);
        assert_close(norm.running_mean.value_sync(), &[0.4, 0.15]);
        assert_close(norm.running_var.value_sync(), &[0.9 + 2.0 / 3.0, 1.8]);
    }

    #[test]
    fn a_frozen_layer_does_not_learn_statistics() {
        let device = Device::flex().autodiff();
        let norm = BatchNorm::new(2, &device).freeze();
        let x = batch(&device);
        let scale = 1.0 / (1.0_f64 + 1e-5).sqrt();
        let expected = [1.0, 0.0, 3.0, 0.0, 5.0, 0.0, 7.0, 6.0].map(|v| v * scale);
        assert_close(norm.forward(x), &expected);
        assert_close(norm.running_mean.value_sync(), &[0.0, 0.0]);
        assert_close(norm.running_var.value_sync(), &[1.0, 1.0]);
    }
}
