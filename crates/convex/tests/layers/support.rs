//! Tensors from numbers and back, closeness, and central differences.

use burn::tensor::{DType, Device, Tensor};
use feasible_core::host;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) fn device() -> Device {
    Device::flex().autodiff()
}

/// A tensor in f64.
pub(crate) fn tensor<const D: usize>(values: &[f64], shape: [usize; D]) -> Tensor<D> {
    host::write(values.to_vec(), shape, &device(), DType::F64)
}

pub(crate) fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    host::read("tensor", tensor).unwrap()
}

pub(crate) fn random(seed: u64) -> impl FnMut(usize) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    move |count| (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

/// Errors say how far, relative to 1 + |expected|.
#[track_caller]
pub(crate) fn assert_close(what: &str, got: &[f64], expected: &[f64], tolerance: f64) -> f64 {
    assert_eq!(got.len(), expected.len(), "{what}: {got:?}");
    let mut worst = 0.0f64;
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (got - expected).abs() / (1.0 + expected.abs());
        // Written so that a NaN fails it.
        assert!(
            error <= tolerance,
            "{what}[{i}]: got {got}, expected {expected}, off by {error:e}"
        );
        worst = worst.max(error);
    }
    worst
}

/// Central differences of `loss` along `directions`, each a few (index, weight).
///
/// Four points, so that the truncation is of order h⁴ = 2e-19 times the fifth derivative, which
/// reached 4e14 where multipliers are sensitive (on a gradient of 350); the solver's accuracy over the step gives
/// 1e-13 / h = 5e-9.
pub(crate) fn central_differences(
    values: &[f64],
    directions: &[Vec<(usize, f64)>],
    loss: impl Fn(&[f64]) -> f64,
) -> Vec<f64> {
    const STEP: f64 = 2e-5;
    let at = |direction: &[(usize, f64)], step: f64| {
        let mut values = values.to_vec();
        for &(index, weight) in direction {
            values[index] += step * weight;
        }
        loss(&values)
    };
    let slope = |d: &[(usize, f64)], step: f64| (at(d, step) - at(d, -step)) / (2.0 * step);
    let extrapolated = |d: &Vec<(usize, f64)>| (4.0 * slope(d, STEP) - slope(d, 2.0 * STEP)) / 3.0;
    directions.iter().map(extrapolated).collect()
}

/// One direction per entry.
pub(crate) fn entries(count: usize) -> Vec<Vec<(usize, f64)>> {
    (0..count).map(|i| vec![(i, 1.0)]).collect()
}

/// One direction per entry of a stack of n × n matrices, kept symmetric: along it a symmetric
/// gradient's derivative is its entry.
pub(crate) fn symmetric_entries(count: usize, n: usize) -> Vec<Vec<(usize, f64)>> {
    let direction = |i: usize| {
        let (matrix, row, column) = (i / (n * n), i / n % n, i % n);
        vec![(i, 0.5), (matrix * n * n + column * n + row, 0.5)]
    };
    (0..count).map(direction).collect()
}
