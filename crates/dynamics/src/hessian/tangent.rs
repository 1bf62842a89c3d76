//! Values with their derivative along one direction, as tensors.

use std::ops::{Add, Mul, Sub};

use burn::nn::Linear;
use burn::tensor::{Tensor, activation};

/// A tensor and its derivative along one direction in parameter space, both differentiable.
///
/// A forward pass written in these is the forward mode under the reverse mode of
/// [`crate::ExactHessian`].
#[derive(Clone, Debug)]
pub struct Tangent<const D: usize> {
    /// The value.
    pub value: Tensor<D>,
    /// Its derivative along the direction, of the same shape; `None` where it is 0.
    pub tangent: Option<Tensor<D>>,
}

impl<const D: usize> Tangent<D> {
    /// Data, which does not depend on the parameters.
    pub fn constant(value: Tensor<D>) -> Self {
        Self {
            value,
            tangent: None,
        }
    }

    /// A parameter and the direction's part for it.
    pub fn parameter(value: Tensor<D>, direction: Tensor<D>) -> Self {
        Self {
            value,
            tangent: Some(direction),
        }
    }

    /// An element-wise function: its value and its derivative, both at the argument.
    #[must_use]
    pub fn map(
        self,
        function: impl FnOnce(Tensor<D>) -> Tensor<D>,
        derivative: impl FnOnce(Tensor<D>) -> Tensor<D>,
    ) -> Self {
        let tangent = self
            .tangent
            .map(|tangent| tangent * derivative(self.value.clone()));
        Self {
            value: function(self.value),
            tangent,
        }
    }

    /// A linear function: the same for the value and the tangent.
    pub fn linear_map<const E: usize>(
        self,
        mut function: impl FnMut(Tensor<D>) -> Tensor<E>,
    ) -> Tangent<E> {
        Tangent {
            value: function(self.value),
            tangent: self.tangent.map(function),
        }
    }

    /// tanh.
    #[must_use]
    pub fn tanh(self) -> Self {
        let value = self.value.tanh();
        let tangent = self
            .tangent
            .map(|tangent| tangent * (1.0 - value.clone().square()));
        Self { value, tangent }
    }

    /// max(·, 0), with derivative 0 at 0.
    #[must_use]
    pub fn relu(self) -> Self {
        self.map(activation::relu, |x| {
            x.clone().greater_scalar(0.0).float().cast(x.dtype())
        })
    }

    /// log(1 + exp(·)).
    #[must_use]
    pub fn softplus(self) -> Self {
        self.map(|x| activation::softplus(x, 1.0), activation::sigmoid)
    }

    /// ·².
    #[must_use]
    pub fn square(self) -> Self {
        self.map(|x| x.square(), |x| x * 2.0)
    }

    /// The sum over all entries, `[1]`.
    pub fn sum(self) -> Tangent<1> {
        self.linear_map(Tensor::sum)
    }

    /// The mean over all entries, `[1]`.
    pub fn mean(self) -> Tangent<1> {
        self.linear_map(Tensor::mean)
    }
}

impl Tangent<2> {
    /// A linear layer; `direction` is the layer of the direction module.
    #[must_use]
    pub fn linear(self, layer: &Linear, direction: &Linear) -> Self {
        let (w, v) = (layer.weight.val(), direction.weight.val());
        let moved_weight = self.value.clone().matmul(v);
        let mut tangent = match self.tangent {
            Some(tangent) => tangent.matmul(w.clone()) + moved_weight,
            None => moved_weight,
        };
        let mut value = self.value.matmul(w);
        if let (Some(bias), Some(v)) = (&layer.bias, &direction.bias) {
            value = value + bias.val().unsqueeze();
            tangent = tangent + v.val().unsqueeze();
        }
        Self {
            value,
            tangent: Some(tangent),
        }
    }
}

fn sum_of<const D: usize>(a: Option<Tensor<D>>, b: Option<Tensor<D>>) -> Option<Tensor<D>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

impl<const D: usize> Add for Tangent<D> {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            value: self.value + other.value,
            tangent: sum_of(self.tangent, other.tangent),
        }
    }
}

impl<const D: usize> Sub for Tangent<D> {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            value: self.value - other.value,
            tangent: sum_of(self.tangent, other.tangent.map(|t| -t)),
        }
    }
}

/// The product entry by entry.
impl<const D: usize> Mul for Tangent<D> {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let left = self.tangent.map(|t| t * other.value.clone());
        let right = other.tangent.map(|t| t * self.value.clone());
        Self {
            value: self.value * other.value,
            tangent: sum_of(left, right),
        }
    }
}
