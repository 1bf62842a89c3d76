//! Numbers of tensors and tensors of numbers.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};

pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor
        .into_data()
        .convert::<f64>()
        .try_into_vec::<f64>()
        .unwrap()
}

pub(crate) fn tensor<const D: usize>(
    values: &[f64],
    shape: [usize; D],
    device: &Device,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

pub(crate) fn parameter<const D: usize>(
    values: &[f64],
    shape: [usize; D],
    device: &Device,
) -> Param<Tensor<D>> {
    Param::from_tensor(tensor(values, shape, device))
}

/// Networks are drawn in f32: entries of order ten after a few roundings are good to 1e-5.
pub(crate) fn assert_close<const D: usize>(found: Tensor<D>, expected: &[f64]) {
    let found = numbers(found);
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() < 1e-5,
            "entry {index} is {found}, must be {expected}"
        );
    }
}
