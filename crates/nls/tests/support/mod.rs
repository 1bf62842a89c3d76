//! Shared by the unit and integration tests of this crate and of those built on it.

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

/// Numbers up to a few units of rounding.
pub(crate) fn same(got: &Tensor<2>, expected: &[f64]) {
    let got = numbers(got);
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!(
            (got - expected).abs() < 1e-13,
            "{got} instead of {expected}"
        );
    }
}

/// Compares the gradient of Σ c·f(inputs) with central differences in every entry of every input.
///
/// Fourth order in f64. With `step` 1e-4 truncation is about 1e-17 of the fifth derivative, which
/// matrices that are nearly singular make large, and rounding about 1e-12 of the value; functions
/// with kinks need smaller ones, so that no kink lies between the points.
///
/// An input with a row a sample is compared sample by sample: the quotients are those of the
/// sample's own output, and `tolerance` is relative to the largest of them, at least one, so that
/// samples with large derivatives do not hide the others. Inputs of another length are shared, and
/// are compared as a whole. Returns the largest error.
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
    let [samples, columns] = output.dims();
    let c = normal(&mut rng(7), samples * columns);
    let gradients = (output * tensor(c.clone(), [samples, columns]))
        .sum()
        .backward();
    // One a sample.
    let losses = |inputs: &[Tensor<2>]| -> Vec<f64> {
        let weighted: Vec<f64> = numbers(&f(inputs))
            .iter()
            .zip(&c)
            .map(|(v, c)| v * c)
            .collect();
        weighted
            .chunks(columns)
            .map(|sample| sample.iter().sum())
            .collect()
    };
    let mut worst: f64 = 0.0;
    for (which, leaf) in leaves.iter().enumerate() {
        let [rows, width] = inputs[which].dims();
        let exact = leaf
            .grad(&gradients)
            .map_or_else(|| vec![0.0; rows * width], |g| numbers(&g));
        let base = numbers(&inputs[which]);
        let is_per_sample = rows == samples;
        let quotient = |entry: usize| {
            let at = |steps: f64| -> f64 {
                let mut values = base.clone();
                values[entry] += steps * step;
                let mut shifted = inputs.to_vec();
                shifted[which] = tensor(values, [rows, width]);
                let losses = losses(&shifted);
                match is_per_sample {
                    true => losses[entry / width],
                    false => losses.iter().sum(),
                }
            };
            (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * step)
        };
        let quotients: Vec<f64> = (0..base.len()).map(quotient).collect();
        let group = if is_per_sample { width } else { base.len() };
        for (sample, quotients) in quotients.chunks(group).enumerate() {
            let scale = quotients.iter().fold(1.0, |a: f64, v| a.max(v.abs()));
            for (entry, quotient) in quotients.iter().enumerate() {
                let exact = exact[sample * group + entry];
                let error = (exact - quotient).abs() / scale;
                worst = worst.max(error);
                assert!(
                    error < tolerance,
                    "{name}: input {which}, sample {sample}, entry {entry}: {exact} against {quotient}"
                );
            }
        }
    }
    worst
}
