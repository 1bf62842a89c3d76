use std::ops::{Add, Div, Mul, Neg, Range, Sub};

use burn::tensor::Tensor;

use crate::host;

use tangent::Tangent;

mod tangent;
#[cfg(test)]
mod tests;

/// A batch of vectors with their derivatives: forward-mode automatic differentiation on tensors.
///
/// The value is `[batch, k]`; the tangent, where there is one, stands for the Jacobian `[batch, k, n]`
/// with respect to the n components that [`Dual::variable`] started from. All rules are exact,
/// and both parts are made of ordinary tensors, so reverse mode differentiates through them once more:
/// the gradient of a function of a Jacobian is exact as well.
///
/// Shapes broadcast as tensors do: a single component `[batch, 1]` combines with `[batch, k]`,
/// and a constant `[1, k]` with every sample. Methods panic, as tensor operations do, on shapes
/// that do not fit.
///
/// Cost of an operation: n + 1 times that of the plain one. While every component depends on one variable of its own
/// the tangent is a slope for each, and it is twice: that holds for slices, for elementwise functions, and for sums and
/// products of vectors of the same variables. It ends where components mix: with [`sum`](Self::sum),
/// [`cat`](Self::cat), one component against several, and a matrix, whose product with such a vector costs one
/// multiplication for each entry of the Jacobian. Reference: Griewank & Walther, Evaluating Derivatives, 2nd ed.,
/// section 3.1.
#[derive(Debug, Clone)]
pub struct Dual {
    value: Tensor<2>,
    tangent: Option<Tangent>,
}

impl Dual {
    /// The independent variable: its Jacobian is the identity. `value` is `[batch, n]`.
    pub fn variable(value: Tensor<2>) -> Self {
        let tangent = Some(Tangent::identity(&value));
        Self { value, tangent }
    }

    /// Along a direction: the only column of its Jacobian is `direction`, `[1 or batch, n]`, and those of what is computed
    /// from it are their Jacobians times that. An operation costs twice the plain one.
    pub fn along(value: Tensor<2>, direction: Tensor<2>) -> Self {
        Self {
            value,
            tangent: Some(Tangent::column(direction)),
        }
    }

    /// A constant: it has no derivative.
    pub fn constant(value: Tensor<2>) -> Self {
        Self {
            value,
            tangent: None,
        }
    }

    /// The value, `[batch, k]`.
    pub fn value(&self) -> &Tensor<2> {
        &self.value
    }

    /// The value alone.
    pub fn into_value(self) -> Tensor<2> {
        self.value
    }

    /// Value and Jacobian `[batch, k, variables]`, zero where nothing depended on the variables.
    pub fn into_parts(self, variables: usize) -> (Tensor<2>, Tensor<3>) {
        let [batch, k] = self.value.dims();
        let tangent = match self.tangent {
            // What all samples have in common is kept once.
            Some(tangent) => host::expand(tangent.full(), [batch, k, variables]),
            None => Tensor::zeros(
                [batch, k, variables],
                (&self.value.device(), self.value.dtype()),
            ),
        };
        (self.value, tangent)
    }

    /// Number of components, k.
    pub fn components(&self) -> usize {
        self.value.dims()[1]
    }

    /// An elementwise function with its derivative, both evaluated at the value.
    pub fn map(
        self,
        f: impl FnOnce(Tensor<2>) -> Tensor<2>,
        derivative: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Self {
        let tangent = self
            .tangent
            .map(|t| t.scale_rows(derivative(self.value.clone())));
        Self {
            value: f(self.value),
            tangent,
        }
    }

    /// y².
    pub fn square(self) -> Self {
        self.map(|v| v.clone() * v, |v| v * 2.0)
    }

    /// y to an integer power; zero to the zeroth is one, with derivative zero.
    pub fn powi(self, exponent: i32) -> Self {
        match exponent {
            0 => Self::constant(self.value.ones_like()),
            1 => self,
            2 => self.square(),
            _ => self.map(
                |v| v.powi_scalar(exponent),
                |v| v.powi_scalar(exponent - 1) * f64::from(exponent),
            ),
        }
    }

    /// Sine.
    pub fn sin(self) -> Self {
        self.map(Tensor::sin, Tensor::cos)
    }

    /// Cosine.
    pub fn cos(self) -> Self {
        self.map(Tensor::cos, |v| -v.sin())
    }

    /// Hyperbolic tangent.
    pub fn tanh(self) -> Self {
        self.map(Tensor::tanh, |v| -(v.tanh().powi_scalar(2)) + 1.0)
    }

    /// Exponential.
    pub fn exp(self) -> Self {
        self.map(Tensor::exp, Tensor::exp)
    }

    /// Natural logarithm, for y > 0.
    pub fn log(self) -> Self {
        self.map(Tensor::log, Tensor::recip)
    }

    /// Square root, for y > 0.
    pub fn sqrt(self) -> Self {
        self.map(Tensor::sqrt, |v| v.sqrt().recip() * 0.5)
    }

    /// 1/y, for y ≠ 0.
    pub fn recip(self) -> Self {
        self.map(Tensor::recip, |v| -v.powi_scalar(-2))
    }

    /// |y|, with derivative 0 at 0.
    pub fn abs(self) -> Self {
        self.map(Tensor::abs, Tensor::sign)
    }

    /// Component `index` as `[batch, 1]`.
    pub fn column(&self, index: usize) -> Self {
        self.slice(index..index + 1)
    }

    /// The components in `range`.
    pub fn slice(&self, range: Range<usize>) -> Self {
        Self {
            value: self.value.clone().slice_dim(1, range.clone()),
            tangent: self.tangent.clone().map(|t| t.slice(range)),
        }
    }

    /// The sum of the components, `[batch, 1]`.
    pub fn sum(self) -> Self {
        Self {
            value: self.value.sum_dim(1),
            tangent: self.tangent.map(Tangent::sum),
        }
    }

    /// The inner product with another vector, `[batch, 1]`.
    pub fn dot(self, other: Dual) -> Self {
        (self * other).sum()
    }

    /// A constant matrix times the vector: `matrix` is `[rows, k]`, the result `[batch, rows]`.
    pub fn left_multiply(self, matrix: Tensor<2>) -> Self {
        let tangent = self.tangent.map(|t| t.left_multiply(matrix.clone()));
        Self {
            value: self.value.matmul(matrix.transpose()),
            tangent,
        }
    }

    /// The components of all parts, one after the other.
    ///
    /// # Panics
    /// If `parts` is empty.
    pub fn cat(parts: Vec<Dual>) -> Self {
        // A constant for all samples has a batch of 1; the others agree, on 0 as well.
        let batches = parts.iter().map(|p| p.value.dims()[0]);
        let batch = batches.reduce(|a, b| if a == 1 { b } else { a });
        let batch = batch.expect("at least one part");
        let directions = parts
            .iter()
            .find_map(|p| p.tangent.as_ref().map(Tangent::variables));
        let (mut values, mut tangents) = (vec![], vec![]);
        for part in parts {
            let k = part.components();
            let (value, tangent) = part.into_parts(directions.unwrap_or(0));
            values.push(host::expand(value, [batch, k]));
            if let Some(n) = directions {
                tangents.push(host::expand(tangent, [batch, k, n]));
            }
        }
        Self {
            value: host::cat(values, 1),
            tangent: directions.map(|_| Tangent::Full(host::cat(tangents, 1))),
        }
    }
}

fn add_tangents(left: Option<Tangent>, right: Option<Tangent>) -> Option<Tangent> {
    match (left, right) {
        (Some(l), Some(r)) => Some(l.add(r)),
        (l, r) => l.or(r),
    }
}

impl Add for Dual {
    type Output = Dual;
    fn add(self, other: Dual) -> Dual {
        // A lone tangent keeps its own number of components; broadcast it to the sum's.
        let value = self.value + other.value;
        let k = value.dims()[1];
        let tangent = add_tangents(self.tangent, other.tangent).map(|t| t.repeat(k));
        Dual { value, tangent }
    }
}

impl Neg for Dual {
    type Output = Dual;
    fn neg(self) -> Dual {
        Dual {
            value: -self.value,
            tangent: self.tangent.map(Tangent::neg),
        }
    }
}

impl Sub for Dual {
    type Output = Dual;
    fn sub(self, other: Dual) -> Dual {
        let value = self.value - other.value;
        let k = value.dims()[1];
        let tangent = add_tangents(self.tangent, other.tangent.map(Tangent::neg));
        Dual {
            value,
            tangent: tangent.map(|t| t.repeat(k)),
        }
    }
}

impl Mul for Dual {
    type Output = Dual;
    fn mul(self, other: Dual) -> Dual {
        let scaled =
            |tangent: Option<Tangent>, by: &Tensor<2>| tangent.map(|t| t.scale_rows(by.clone()));
        Dual {
            tangent: add_tangents(
                scaled(self.tangent, &other.value),
                scaled(other.tangent, &self.value),
            ),
            value: self.value * other.value,
        }
    }
}

impl Div for Dual {
    type Output = Dual;
    #[expect(
        clippy::suspicious_arithmetic_impl,
        reason = "a quotient is a product with a reciprocal"
    )]
    fn div(self, other: Dual) -> Dual {
        self * other.recip()
    }
}

macro_rules! with_constants {
    ($($trait:ident $method:ident),*) => {$(
        impl $trait<Tensor<2>> for Dual {
            type Output = Dual;
            fn $method(self, other: Tensor<2>) -> Dual {
                $trait::$method(self, Dual::constant(other))
            }
        }
    )*};
}
with_constants!(Add add, Sub sub, Mul mul, Div div);

macro_rules! with_number {
    ($($trait:ident $method:ident $tangent:expr),*) => {$(
        impl $trait<f64> for Dual {
            type Output = Dual;
            fn $method(self, other: f64) -> Dual {
                Dual {
                    value: $trait::$method(self.value, other),
                    tangent: self.tangent.map(|t| $tangent(t, other)),
                }
            }
        }
    )*};
}
with_number!(
    Add add |t, _| t,
    Sub sub |t, _| t,
    Mul mul Tangent::times,
    Div div |t: Tangent, by: f64| t.times(1.0 / by)
);
