//! Batched maps computed on the host in f64, differentiable on every backend.
//!
//! A layer reads its inputs with [`read`], computes, and hands the numbers back with [`record`]
//! together with a [`HostAdjoint`]: the vector-Jacobian product that the backward pass will call
//! once, whatever the number of inputs. Reading first means that errors are returned where the
//! layer is called, also on backends that execute lazily.

use std::fmt::Debug;
use std::ops::Deref;
use std::sync::Arc;

use burn::backend::Dispatch;
use burn::tensor::{Bool, DType, Device, DispatchTensor, Shape, Tensor, TensorData};
use feasible_kernels::keep_freed_memory;

use crate::Error;
use crate::backend::{HostOps, INPUTS, InPlace, Inputs, Link, SharedAdjoint, Slot};

/// The vector-Jacobian product of a computation on the host.
pub trait HostAdjoint: Send + Sync + Debug {
    /// Given ∂L/∂output (row-major, the output's length), returns ∂L/∂input for every input given
    /// to [`record`], in that order, each row-major with its input's length. It must not fail:
    /// samples without a gradient get zeros and are reported by the layer.
    fn vjp(&self, cotangent: &[f64]) -> Vec<Vec<f64>>;
}

/// An input of a host computation: the tensor with its rank forgotten.
#[derive(Debug, Clone)]
pub struct Input {
    tensor: DispatchTensor,
    shape: Shape,
    dtype: DType,
    tracked: bool,
}

impl Input {
    /// Takes a tensor of any rank.
    pub fn new<const D: usize>(tensor: Tensor<D>) -> Self {
        Self {
            shape: tensor.shape(),
            dtype: tensor.dtype(),
            tracked: tensor.is_tracked(),
            tensor: tensor.into_dispatch(),
        }
    }

    /// Whether a gradient of this input will be asked for.
    pub fn is_tracked(&self) -> bool {
        self.tracked
    }
}

/// The numbers of a tensor, row-major, in f64.
pub fn read<const D: usize>(argument: &'static str, tensor: &Tensor<D>) -> Result<Vec<f64>, Error> {
    tensor
        .try_to_vec_as::<f64>()
        .map_err(|error| Error::Device {
            argument,
            reason: error.to_string(),
        })
}

/// The numbers of a tensor, row-major, in f64: borrowed from the tensor where its backend keeps them
/// like that, else a copy.
#[derive(Debug)]
pub struct Numbers(Storage);

#[derive(Debug)]
enum Storage {
    Copied(Vec<f64>),
    InPlace(InPlace),
}

impl Numbers {
    /// The numbers to change; copied first if they were borrowed.
    pub fn to_mut(&mut self) -> &mut Vec<f64> {
        if let Storage::InPlace(tensor) = &self.0 {
            self.0 = Storage::Copied(tensor.as_slice().to_vec());
        }
        match &mut self.0 {
            Storage::Copied(values) => values,
            Storage::InPlace(_) => unreachable!("copied above"),
        }
    }
}

impl From<Vec<f64>> for Numbers {
    fn from(values: Vec<f64>) -> Self {
        Self(Storage::Copied(values))
    }
}

impl Deref for Numbers {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        match &self.0 {
            Storage::Copied(values) => values,
            Storage::InPlace(tensor) => tensor.as_slice(),
        }
    }
}

/// As [`read`], without a copy where that is possible.
///
/// The tensor is kept alive and unchanged meanwhile: what is written to it goes to a copy.
pub fn borrow<const D: usize>(
    argument: &'static str,
    tensor: &Tensor<D>,
) -> Result<Numbers, Error> {
    Ok(borrow_input(argument, tensor)?.0)
}

/// As [`borrow`], with the tensor as an input of the computation.
pub fn borrow_input<const D: usize>(
    argument: &'static str,
    tensor: &Tensor<D>,
) -> Result<(Numbers, Input), Error> {
    let input = Input::new(tensor.clone());
    let storage = match InPlace::of(&input.tensor) {
        Some(tensor) => Storage::InPlace(tensor),
        None => Storage::Copied(read(argument, tensor)?),
    };
    Ok((Numbers(storage), input))
}

/// As [`read`], and every number must be finite.
pub fn read_finite<const D: usize>(
    argument: &'static str,
    tensor: &Tensor<D>,
) -> Result<Vec<f64>, Error> {
    let values = read(argument, tensor)?;
    check_finite(argument, &values, &tensor.dims())?;
    Ok(values)
}

/// Whether every number is finite, without a branch a number.
pub fn all_finite(values: &[f64]) -> bool {
    feasible_kernels::vectorised(
        #[inline(always)]
        || feasible_kernels::all_finite(values),
    )
}

/// Errors at the first number that is not finite, with its index in `dims`.
pub fn check_finite(argument: &'static str, values: &[f64], dims: &[usize]) -> Result<(), Error> {
    if all_finite(values) {
        return Ok(());
    }
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(flat) => {
            let mut rest = flat;
            let mut index = vec![0; dims.len()];
            for (axis, &length) in dims.iter().enumerate().rev() {
                index[axis] = rest % length.max(1);
                rest /= length.max(1);
            }
            Err(Error::NonFinite {
                argument,
                index,
                value: values[flat],
            })
        }
    }
}

/// A constant tensor from numbers on the host, with the given precision.
pub fn write<const D: usize>(
    values: Vec<f64>,
    shape: [usize; D],
    device: &Device,
    dtype: DType,
) -> Tensor<D> {
    Tensor::from_data(
        TensorData::new(values, shape).convert_dtype(dtype),
        (device, dtype),
    )
}

/// The gap after 1 in numbers of this type; f64's for types that are exact.
pub fn rounding(dtype: DType) -> f64 {
    dtype.finfo().map_or(f64::EPSILON, |info| info.epsilon)
}

/// The tensor with a leading axis of 1: one copy for the batch.
///
/// Burn reads a 0 in a new shape as "this axis as it was", so a tensor without entries, which has
/// no gradient either, is made anew.
pub fn shared<const D: usize, const E: usize>(tensor: Tensor<D>) -> Tensor<E> {
    if tensor.shape().num_elements() > 0 {
        return tensor.unsqueeze_dim(0);
    }
    let mut shape = [1; E];
    shape[1..].copy_from_slice(&tensor.dims());
    write(vec![], shape, &tensor.device(), tensor.dtype())
}

/// The tensor repeated to `shape` along axes of length 1.
///
/// Burn refuses to expand to a shape with a 0 in it; a tensor without entries is made anew.
pub fn expand<const D: usize>(tensor: Tensor<D>, shape: [usize; D]) -> Tensor<D> {
    if shape.contains(&0) {
        return write(vec![], shape, &tensor.device(), tensor.dtype());
    }
    tensor.expand(shape)
}

/// `tensor`, `[batch, n]`, with the rows of the marked samples from `by`.
///
/// # Panics
/// If `marked` has another length than the batch.
pub fn replace_samples(tensor: Tensor<2>, marked: &[bool], by: Tensor<2>) -> Tensor<2> {
    let [batch, n] = tensor.dims();
    let mask = TensorData::new(marked.to_vec(), [batch, 1]);
    let mask = Tensor::<2, Bool>::from_data(mask, &tensor.device()).expand([batch, n]);
    tensor.mask_where(mask, by)
}

/// Tensors one after the other along `axis`, of which some or all may have no entries.
///
/// # Panics
/// If there are none, or they differ along another axis.
pub fn cat<const D: usize>(parts: Vec<Tensor<D>>, axis: usize) -> Tensor<D> {
    let mut shape = parts.first().expect("at least one part").dims();
    shape[axis] = parts.iter().map(|part| part.dims()[axis]).sum();
    if shape.contains(&0) {
        return write(vec![], shape, &parts[0].device(), parts[0].dtype());
    }
    Tensor::cat(parts, axis)
}

/// The output of a host computation as a tensor whose gradients `adjoint` supplies.
///
/// `output` is row-major with shape `shape`; it goes to `device` with precision `dtype`. Only
/// tracked inputs cost anything; with none the output is a constant and `adjoint` is dropped.
/// Second derivatives are not defined: a gradient of the returned gradient is zero.
pub fn record<const D: usize>(
    output: Vec<f64>,
    shape: [usize; D],
    device: &Device,
    dtype: DType,
    inputs: Vec<Input>,
    adjoint: Arc<dyn HostAdjoint>,
) -> Tensor<D> {
    keep_freed_memory();
    let tensor = write(output, shape, device, dtype);
    let mut left = inputs.iter().filter(|input| input.tracked).count();
    if left == 0 {
        return tensor;
    }
    let shared = SharedAdjoint::new(adjoint);
    let mut output = tensor.into_dispatch();
    let inputs = inputs.into_iter().enumerate();
    let mut inputs = inputs.filter(|(_, input)| input.tracked);
    while left > 0 {
        let count = left.min(INPUTS);
        left -= count;
        let (slots, tensors) = (inputs.by_ref().take(count))
            .map(|(index, input)| {
                let slot = Slot {
                    input: index,
                    shape: input.shape,
                    dtype: input.dtype,
                };
                (slot, input.tensor)
            })
            .unzip();
        let link = Link {
            shared: shared.clone(),
            outermost: left == 0,
            slots,
        };
        output = <Dispatch as HostOps>::attach(output, Inputs(tensors), link);
    }
    Tensor::from_dispatch(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// out = s · x² row by row, with a scalar s shared by the batch.
    #[derive(Debug)]
    struct ScaledSquare {
        scale: f64,
        x: Vec<f64>,
    }

    impl HostAdjoint for ScaledSquare {
        fn vjp(&self, cotangent: &[f64]) -> Vec<Vec<f64>> {
            let scale = self.x.iter().zip(cotangent).map(|(x, c)| c * x * x).sum();
            let x = self
                .x
                .iter()
                .zip(cotangent)
                .map(|(x, c)| 2.0 * c * x * self.scale)
                .collect();
            vec![vec![scale], x]
        }
    }

    fn scaled_square(scale: &Tensor<1>, x: &Tensor<2>) -> Tensor<2> {
        let (s, v) = (read("scale", scale).unwrap()[0], read("x", x).unwrap());
        let output = v.iter().map(|x| s * x * x).collect();
        let inputs = vec![Input::new(scale.clone()), Input::new(x.clone())];
        let adjoint = Arc::new(ScaledSquare { scale: s, x: v });
        record(output, x.dims(), &x.device(), x.dtype(), inputs, adjoint)
    }

    #[test]
    fn gradients_reach_every_tracked_input() {
        let device = Device::flex().autodiff();
        for (track_scale, track_x) in [(true, true), (true, false), (false, true)] {
            let scale = Tensor::<1>::from_data([3.0], &device).set_require_grad(track_scale);
            let x =
                Tensor::<2>::from_data([[1.0, 2.0], [4.0, 5.0]], &device).set_require_grad(track_x);
            let y = scaled_square(&scale, &x);
            let gradients = (y.clone() * y).sum().backward();
            let expected_scale = 2.0 * 3.0 * (1.0 + 16.0 + 256.0 + 625.0);
            if track_scale {
                let got = read("g", &scale.grad(&gradients).unwrap()).unwrap();
                assert_eq!(got, vec![expected_scale]);
            }
            if track_x {
                let got = read("g", &x.grad(&gradients).unwrap()).unwrap();
                assert_eq!(
                    got,
                    [1.0f64, 2.0, 4.0, 5.0]
                        .map(|x| 4.0 * 9.0 * x.powi(3))
                        .to_vec()
                );
            }
        }
    }

    /// out = Σ_i c_i x_i² with c_i = i + 1, of inputs of lengths that differ.
    #[derive(Debug)]
    struct SumOfSquares(Vec<Vec<f64>>);

    impl HostAdjoint for SumOfSquares {
        fn vjp(&self, cotangent: &[f64]) -> Vec<Vec<f64>> {
            let of = |(at, x): (usize, &Vec<f64>)| {
                let c = 2.0 * (at + 1) as f64 * cotangent[0];
                x.iter().map(|x| c * x).collect()
            };
            self.0.iter().enumerate().map(of).collect()
        }
    }

    /// As many operations as it takes, whichever of the inputs are tracked, and however often one is given.
    #[test]
    fn any_number_of_inputs_have_their_own_gradients() {
        let device = Device::flex().autodiff();
        for dtype in [DType::F32, DType::F64] {
            for (count, every) in [1, 2, 5, 9, 10, 11, 20, 21]
                .into_iter()
                .flat_map(|c| [(c, 1), (c, 2), (c, 3)])
            {
                let leaf = |at: usize| -> Tensor<1> {
                    let values = (0..at % 3 + 1).map(|k| (2 * at + k) as f64 - 3.5).collect();
                    let leaf = write(values, [at % 3 + 1], &device, dtype);
                    leaf.set_require_grad(at.is_multiple_of(every))
                };
                let leaves: Vec<_> = (0..count).map(leaf).collect();
                // The first once more at the end.
                let given: Vec<_> = leaves.iter().chain(&leaves[..1]).cloned().collect();
                let numbers: Vec<_> = given.iter().map(|x| read("x", x).unwrap()).collect();
                let squares = |x: &Vec<f64>| x.iter().map(|x| x * x).sum::<f64>();
                let terms = numbers.iter().enumerate();
                let sum = terms.map(|(at, x)| (at + 1) as f64 * squares(x)).sum();
                let inputs = given.iter().cloned().map(Input::new).collect();
                let adjoint = Arc::new(SumOfSquares(numbers.clone()));
                let y = record(vec![sum], [1], &device, dtype, inputs, adjoint);
                let gradients = (y * 3.0).backward();
                for (at, leaf) in leaves.iter().enumerate() {
                    let Some(gradient) = leaf.grad(&gradients) else {
                        assert!(at % every != 0, "{count} inputs: none for {at}");
                        continue;
                    };
                    assert!(at % every == 0 && gradient.dtype() == dtype);
                    let twice = if at == 0 { count + 1 } else { 0 };
                    let c = 6.0 * (at + 1 + twice) as f64;
                    let expected: Vec<f64> = numbers[at].iter().map(|x| c * x).collect();
                    assert_eq!(read("g", &gradient).unwrap(), expected, "{count}, {at}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_recorded_without_a_tracked_input() {
        let device = Device::flex().autodiff();
        let y = scaled_square(
            &Tensor::from_data([3.0], &device),
            &Tensor::from_data([[1.0]], &device),
        );
        assert!(!y.is_tracked());
    }

    #[test]
    fn two_backward_passes_and_a_chain_agree_with_the_closed_form() {
        let device = Device::flex().autodiff();
        let scale = Tensor::<1>::from_data([0.5], &device).require_grad();
        let x = Tensor::<2>::from_data([[1.5]], &device).require_grad();
        // y = s (s x²)² = s³ x⁴
        let y = scaled_square(&scale, &scaled_square(&scale, &x)).sum();
        for _ in 0..2 {
            let y = scaled_square(&scale, &scaled_square(&scale, &x)).sum();
            let gradients = y.backward();
            assert_eq!(
                read("g", &x.grad(&gradients).unwrap()).unwrap(),
                vec![4.0 * 0.125 * 1.5f64.powi(3)]
            );
            assert_eq!(
                read("g", &scale.grad(&gradients).unwrap()).unwrap(),
                vec![3.0 * 0.25 * 1.5f64.powi(4)]
            );
        }
        drop(y);
    }

    #[test]
    fn borrowed_numbers_are_the_tensor_s_and_change_alone() {
        for (tracked, dtype) in [(false, DType::F64), (true, DType::F64), (true, DType::F32)] {
            let device = match tracked {
                true => Device::flex().autodiff(),
                false => Device::flex(),
            };
            let tensor = write::<2>(vec![1.0, 2.0, 3.0, 4.0], [2, 2], &device, dtype);
            let tensor = tensor.set_require_grad(tracked);
            let cases = [
                (tensor.clone(), [1.0, 2.0, 3.0, 4.0]),
                // Strides and offsets that are not those of a fresh tensor.
                (tensor.clone().transpose(), [1.0, 3.0, 2.0, 4.0]),
                (
                    tensor.clone().narrow(0, 1, 1).expand([2, 2]),
                    [3.0, 4.0, 3.0, 4.0],
                ),
            ];
            for (case, expected) in cases {
                let mut numbers = borrow("x", &case).unwrap();
                assert_eq!(*numbers, expected);
                numbers.to_mut()[0] = 9.0;
                assert_eq!(numbers[0], 9.0);
                assert_eq!(read("x", &case).unwrap(), expected);
            }
            let row = borrow("x", &tensor.clone().narrow(0, 1, 1)).unwrap();
            assert_eq!(*row, [3.0, 4.0]);
            // Whatever becomes of the tensor, what was borrowed stays.
            let numbers = borrow("x", &tensor).unwrap();
            let doubled = tensor * 2.0;
            assert_eq!(*numbers, [1.0, 2.0, 3.0, 4.0]);
            assert_eq!(read("x", &doubled).unwrap()[0], 2.0);
        }
    }

    #[test]
    fn non_finite_numbers_are_named() {
        let error = check_finite("q", &[0.0, 1.0, f64::NAN, 0.0], &[2, 2]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`q` is NaN at index [1, 0], must be finite"
        );
    }
}
