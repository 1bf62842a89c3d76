//! Shared by the tests of this crate and of those built on it.

#![allow(dead_code)] // each test target uses a part

use burn::tensor::{DType, Device, Tensor, TensorData};
use feasible_core::host;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

pub(crate) fn device() -> Device {
    Device::flex().autodiff()
}

pub(crate) fn tensor<const D: usize>(values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (&device(), DType::F64))
}

pub(crate) fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    host::read("test", tensor).unwrap()
}

pub(crate) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub(crate) fn normal(rng: &mut ChaCha8Rng, count: usize) -> Vec<f64> {
    (0..count).map(|_| rng.sample(StandardNormal)).collect()
}

/// Compares the gradient of Σ c·f(inputs) with central differences in every entry of every input.
///
/// Fourth order in f64. With `step` 1e-4 truncation is about 1e-17 of the fifth derivative, which
/// matrices that are nearly singular make large, and rounding about 1e-12 of the value; functions
/// with kinks need smaller ones, so that no kink lies between the points. `tolerance` is relative to the largest difference quotient, at least one. Returns the
/// largest error.
pub(crate) fn check_gradients(
    name: &str,
    inputs: &[Tensor<2>],
    f: impl Fn(&[Tensor<2>]) -> Tensor<2>,
    step: f64,
    tolerance: f64,
) -> f64 {
    let leaves: Vec<_> = inputs
        .iter()
        .map(|t| t.clone().detach().require_grad())
        .collect();
    let output = f(&leaves);
    let [rows, columns] = output.dims();
    let c = normal(&mut rng(7), rows * columns);
    let gradients = (output * tensor(c.clone(), [rows, columns]))
        .sum()
        .backward();
    let loss = |inputs: &[Tensor<2>]| -> f64 {
        numbers(&f(inputs)).iter().zip(&c).map(|(v, c)| v * c).sum()
    };
    let mut worst: f64 = 0.0;
    for (which, leaf) in leaves.iter().enumerate() {
        let exact = leaf.grad(&gradients).map_or_else(
            || vec![0.0; inputs[which].shape().num_elements()],
            |g| numbers(&g),
        );
        let base = numbers(&inputs[which]);
        let shape = inputs[which].dims();
        let quotients: Vec<f64> = (0..base.len())
            .map(|entry| {
                let at = |steps: f64| {
                    let mut values = base.clone();
                    values[entry] += steps * step;
                    let mut shifted = inputs.to_vec();
                    shifted[which] = tensor(values, shape);
                    loss(&shifted)
                };
                (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * step)
            })
            .collect();
        let scale = quotients.iter().fold(1.0, |a: f64, v| a.max(v.abs()));
        for (entry, (exact, quotient)) in exact.iter().zip(&quotients).enumerate() {
            let error = (exact - quotient).abs() / scale;
            worst = worst.max(error);
            assert!(
                error < tolerance,
                "{name}: input {which}, entry {entry}: {exact} against {quotient}"
            );
        }
    }
    worst
}
