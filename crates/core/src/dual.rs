use std::ops::{Add, Div, Mul, Neg, Range, Sub};

use burn::tensor::Tensor;

use crate::host;

/// A batch of vectors with their derivatives: forward-mode automatic differentiation on tensors.
///
/// The value is `[batch, k]`; the tangent, where there is one, is the Jacobian `[batch, k, n]`
/// with respect to the n components that [`Dual::variable`] started from. All rules are exact,
/// and both parts are ordinary tensors, so reverse mode differentiates through them once more:
/// the gradient of a function of a Jacobian is exact as well.
///
/// Shapes broadcast as tensors do: a single component `[batch, 1]` combines with `[batch, k]`,
/// and a constant `[1, k]` with every sample. Methods panic, as tensor operations do, on shapes
/// that do not fit.
///
/// Cost of an operation: n + 1 times that of the plain one. Reference: Griewank & Walther,
/// Evaluating Derivatives, 2nd ed., section 3.1.
#[derive(Debug, Clone)]
pub struct Dual {
    value: Tensor<2>,
    tangent: Option<Tensor<3>>,
}

impl Dual {
    /// The independent variable: its Jacobian is the identity. `value` is `[batch, n]`.
    pub fn variable(value: Tensor<2>) -> Self {
        let [batch, n] = value.dims();
        let identity = Tensor::<2>::eye(n, &value.device()).cast(value.dtype());
        let tangent = host::expand(identity.unsqueeze_dim::<3>(0), [batch, n, n]);
        Self {
            value,
            tangent: Some(tangent),
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
            // A component broadcast from a constant sample count still gets its full batch.
            Some(tangent) => host::expand(tangent, [batch, k, variables]),
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
            .map(|t| t * derivative(self.value.clone()).unsqueeze_dim::<3>(2));
        Self {
            value: f(self.value),
            tangent,
        }
    }

    /// y².
    pub fn square(self) -> Self {
        self.powi(2)
    }

    /// y to an integer power; zero to the zeroth is one, with derivative zero.
    pub fn powi(self, exponent: i32) -> Self {
        match exponent {
            0 => Self::constant(self.value.ones_like()),
            1 => self,
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
            tangent: self.tangent.clone().map(|t| t.slice_dim(1, range)),
        }
    }

    /// The sum of the components, `[batch, 1]`.
    pub fn sum(self) -> Self {
        Self {
            value: self.value.sum_dim(1),
            tangent: self.tangent.map(|t| t.sum_dim(1)),
        }
    }

    /// The inner product with another vector, `[batch, 1]`.
    pub fn dot(self, other: Dual) -> Self {
        (self * other).sum()
    }

    /// A constant matrix times the vector: `matrix` is `[rows, k]`, the result `[batch, rows]`.
    pub fn left_multiply(self, matrix: Tensor<2>) -> Self {
        let tangent = self
            .tangent
            .map(|t| matrix.clone().unsqueeze_dim::<3>(0).matmul(t));
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
            .find_map(|p| p.tangent.as_ref().map(|t| t.dims()[2]));
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
            tangent: directions.map(|_| host::cat(tangents, 1)),
        }
    }
}

fn add_tangents(left: Option<Tensor<3>>, right: Option<Tensor<3>>) -> Option<Tensor<3>> {
    match (left, right) {
        (Some(l), Some(r)) => Some(l + r),
        (l, r) => l.or(r),
    }
}

impl Add for Dual {
    type Output = Dual;
    fn add(self, other: Dual) -> Dual {
        // A lone tangent keeps its own number of components; broadcast it to the sum's.
        let value = self.value + other.value;
        let [batch, k] = value.dims();
        let tangent = add_tangents(self.tangent, other.tangent).map(|t| {
            let n = t.dims()[2];
            host::expand(t, [batch, k, n])
        });
        Dual { value, tangent }
    }
}

impl Neg for Dual {
    type Output = Dual;
    fn neg(self) -> Dual {
        Dual {
            value: -self.value,
            tangent: self.tangent.map(|t| -t),
        }
    }
}

impl Sub for Dual {
    type Output = Dual;
    fn sub(self, other: Dual) -> Dual {
        self + (-other)
    }
}

impl Mul for Dual {
    type Output = Dual;
    fn mul(self, other: Dual) -> Dual {
        let scaled = |tangent: Option<Tensor<3>>, by: &Tensor<2>| {
            tangent.map(|t| t * by.clone().unsqueeze_dim::<3>(2))
        };
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

macro_rules! with_constant {
    ($($trait:ident $method:ident),*) => {$(
        impl $trait<f64> for Dual {
            type Output = Dual;
            fn $method(self, other: f64) -> Dual {
                let other = Dual::constant(self.value.full_like(other));
                $trait::$method(self, other)
            }
        }
        impl $trait<Tensor<2>> for Dual {
            type Output = Dual;
            fn $method(self, other: Tensor<2>) -> Dual {
                $trait::$method(self, Dual::constant(other))
            }
        }
    )*};
}
with_constant!(Add add, Sub sub, Mul mul, Div div);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::read;
    use burn::tensor::{DType, Device, TensorData};

    fn points() -> Tensor<2> {
        let data = TensorData::new(vec![0.3, 1.7, -0.4, 0.9, 0.6, 1.1], [2, 3]);
        Tensor::from_data(data, (&Device::flex(), DType::F64))
    }

    /// Every function is compared with central differences: step 1e-6 in f64, whose error is
    /// about 1e-10 for these functions.
    fn check(name: &str, f: impl Fn(Dual) -> Dual) {
        let y = points();
        let [batch, n] = y.dims();
        let (value, jacobian) = f(Dual::variable(y.clone())).into_parts(n);
        let plain = f(Dual::constant(y.clone())).into_value();
        assert_eq!(
            read("v", &value).unwrap(),
            read("v", &plain).unwrap(),
            "{name}"
        );
        let k = value.dims()[1];
        let jacobian = read("J", &jacobian).unwrap();
        let base = read("y", &y).unwrap();
        for j in 0..n {
            let shifted = |step: f64| {
                let data = (0..batch * n)
                    .map(|i| base[i] + if i % n == j { step } else { 0.0 })
                    .collect::<Vec<_>>();
                let y =
                    Tensor::from_data(TensorData::new(data, [batch, n]), (&y.device(), DType::F64));
                read("f", &f(Dual::constant(y)).into_value()).unwrap()
            };
            let (plus, minus) = (shifted(1e-6), shifted(-1e-6));
            for b in 0..batch {
                for i in 0..k {
                    let difference = (plus[b * k + i] - minus[b * k + i]) / 2e-6;
                    let exact = jacobian[(b * k + i) * n + j];
                    assert!(
                        (difference - exact).abs() < 1e-8,
                        "{name}: sample {b}, row {i}, column {j}: {exact} against {difference}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_rule_agrees_with_central_differences() {
        check("sin", Dual::sin);
        check("cos", Dual::cos);
        check("tanh", Dual::tanh);
        check("exp", Dual::exp);
        check("abs", Dual::abs);
        check("recip", Dual::recip);
        check("log", |y| (y.square() + 1.0).log());
        check("sqrt", |y| (y.square() + 1.0).sqrt());
        check("powi 3", |y| y.powi(3));
        check("powi 0", |y| y.powi(0));
        check("powi 1", |y| y.powi(1));
        check("powi -2", |y| y.powi(-2));
        check("neg, sub, div", |y| {
            -(y.clone() - y.column(0)) / (y.column(1) + 2.0)
        });
        check("dot", |y| y.clone().dot(y.sin()));
        check("cat of a constant and a broadcast", |y| {
            let one = Dual::constant(y.column(0).value().ones_like());
            Dual::cat(vec![
                one + y.clone().square().sum(),
                y.slice(1..3),
                y.column(0) * 2.0,
            ])
        });
        check("matrix", |y| {
            let matrix = Tensor::from_data(
                TensorData::new(vec![1.0, 2.0, 3.0, -1.0, 0.5, 0.0], [2, 3]),
                (&Device::flex(), DType::F64),
            );
            y.left_multiply(matrix)
        });
        check("constant plus", |y| {
            Dual::constant(y.value().ones_like()) + y.column(0)
        });
    }
}
