//! Small modules with known answers, in f64.
#![allow(dead_code, unreachable_pub, deprecated)]

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor};
use feasible_core::host;
use feasible_dynamics::in_precision;
use feasible_spectrum::Operator;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub fn devices() -> Vec<Device> {
    vec![Device::flex().autodiff(), Device::ndarray().autodiff()]
}

pub fn device() -> Device {
    Device::flex().autodiff()
}

pub fn tensor<const D: usize>(values: &[f64], shape: [usize; D], device: &Device) -> Tensor<D> {
    host::write(values.to_vec(), shape, device, DType::F64)
}

pub fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// One vector of parameters.
#[derive(Module, Debug)]
pub struct Point {
    pub at: Param<Tensor<1>>,
}

impl Point {
    pub fn new(at: &[f64], device: &Device) -> Self {
        Self {
            at: Param::from_tensor(tensor(at, [at.len()], device)),
        }
    }
}

/// Two linear layers with tanh between them.
#[derive(Module, Debug)]
pub struct Network {
    pub first: Linear,
    pub second: Linear,
}

impl Network {
    pub fn new(sizes: [usize; 3], seed: u64, device: &Device) -> Self {
        device.seed(seed);
        let network = Self {
            first: LinearConfig::new(sizes[0], sizes[1]).init(device),
            second: LinearConfig::new(sizes[1], sizes[2]).init(device),
        };
        in_precision(&network, DType::F64)
    }

    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.second.forward(self.first.forward(x).tanh())
    }
}

pub fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance * (1.0 + expected.abs()),
            "entry {at} is {found}, must be {expected}"
        );
    }
}

/// The whole matrix, column after column.
pub fn dense(operator: &mut dyn Operator) -> Vec<f64> {
    let n = operator.dim();
    let mut out = vec![0.0; n * n];
    for k in 0..n {
        let mut unit = vec![0.0; n];
        unit[k] = 1.0;
        operator.apply(&unit, &mut out[k * n..(k + 1) * n]).unwrap();
    }
    out
}
