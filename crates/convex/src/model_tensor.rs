//! Parameters of a model as tensors.

use burn::tensor::Tensor;
use feasible_core::host;
use feasible_model::Shape;

use crate::Error;
use crate::parameter::Parameter;

/// A parameter's values as a tensor: with the parameter's own shape, and then shared by the batch, or
/// with one more axis in front, of length 1 or `batch`.
#[derive(Debug, Clone)]
pub enum ModelTensor {
    /// A scalar a sample, or one vector.
    One(Tensor<1>),
    /// A vector a sample, or one matrix.
    Two(Tensor<2>),
    /// A matrix a sample.
    Three(Tensor<3>),
}

macro_rules! model_tensor {
    ($($rank:literal => $variant:ident),*) => {$(
        impl From<Tensor<$rank>> for ModelTensor {
            fn from(tensor: Tensor<$rank>) -> Self {
                Self::$variant(tensor)
            }
        }
    )*};
}
model_tensor!(1 => One, 2 => Two, 3 => Three);

impl ModelTensor {
    fn dims(&self) -> Vec<usize> {
        match self {
            Self::One(tensor) => tensor.dims().to_vec(),
            Self::Two(tensor) => tensor.dims().to_vec(),
            Self::Three(tensor) => tensor.dims().to_vec(),
        }
    }

    /// `[copies, size]`, or an error that names the parameter.
    pub(crate) fn flat(&self, name: &str, shape: Shape) -> Result<Parameter<2>, Error> {
        let dims = self.dims();
        let copies = if dims == shape.dims() {
            1
        } else if dims.len() == shape.rank() + 1 && dims[1..] == *shape.dims() {
            dims[0]
        } else if shape.is_scalar() && dims == [1] {
            1
        } else {
            return Err(Error::ParameterShape {
                name: name.to_owned(),
                got: dims,
                shape: shape.dims().to_vec(),
            });
        };
        let size = shape.size();
        Ok(match self {
            Self::One(tensor) => flat(tensor.clone(), copies, size),
            Self::Two(tensor) => flat(tensor.clone(), copies, size),
            Self::Three(tensor) => flat(tensor.clone(), copies, size),
        }
        .into())
    }
}

/// Burn reads a 0 in a new shape as "this axis as it was".
fn flat<const D: usize>(tensor: Tensor<D>, copies: usize, size: usize) -> Tensor<2> {
    if copies * size == 0 {
        return host::write(vec![], [copies, size], &tensor.device(), tensor.dtype());
    }
    tensor.reshape([copies, size])
}
