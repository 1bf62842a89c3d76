//! The scalars that a [`Tape`] records.

use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::jet::Jet;
use crate::scalar::Real;
use crate::tape::{NONE, Tape};

/// A number whose operations are recorded, for derivatives in reverse; its value carries derivatives
/// along `N` directions, so that the reverse sweep differentiates those too.
#[derive(Clone, Copy)]
pub struct Reverse<'t, const N: usize> {
    pub(crate) value: Jet<N>,
    pub(crate) at: u32,
    pub(crate) tape: Option<&'t Tape<N>>,
}

impl<const N: usize> std::fmt::Debug for Reverse<'_, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value.fmt(f)
    }
}

impl<'t, const N: usize> Reverse<'t, N> {
    /// f(self), from f, f' and f'' at the value.
    #[inline(always)]
    fn chain(self, value: f64, first: f64, second: f64) -> Self {
        let new = self.value.chain(value, first);
        match self.tape {
            None => Self { value: new, ..self },
            Some(tape) => {
                let partial = self.value.chain(first, second);
                tape.push(new, [self.at, NONE], [partial, Jet::zero()])
            }
        }
    }

    #[inline(always)]
    fn binary(self, other: Self, value: Jet<N>, by_self: Jet<N>, by_other: Jet<N>) -> Self {
        match self.tape.or(other.tape) {
            None => Self {
                value,
                at: NONE,
                tape: None,
            },
            Some(tape) => tape.push(value, [self.at, other.at], [by_self, by_other]),
        }
    }
}

impl<const N: usize> Add for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let one = Jet::constant(1.0);
        self.binary(other, self.value + other.value, one, one)
    }
}

impl<const N: usize> Sub for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.binary(
            other,
            self.value - other.value,
            Jet::constant(1.0),
            Jet::constant(-1.0),
        )
    }
}

impl<const N: usize> Mul for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.binary(other, self.value * other.value, other.value, self.value)
    }
}

impl<const N: usize> Div for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        let inverse = Jet::constant(1.0) / other.value;
        let value = self.value / other.value;
        self.binary(other, value, inverse, -(value * inverse))
    }
}

impl<const N: usize> Neg for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.chain(-self.value.value, -1.0, 0.0)
    }
}

impl<const N: usize> AddAssign for Reverse<'_, N> {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl<const N: usize> SubAssign for Reverse<'_, N> {
    #[inline(always)]
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl<const N: usize> MulAssign for Reverse<'_, N> {
    #[inline(always)]
    fn mul_assign(&mut self, other: Self) {
        *self = *self * other;
    }
}

impl<const N: usize> Add<f64> for Reverse<'_, N> {
    type Output = Self;
    // The derivative by `self` is 1, so the place on the tape stays.
    #[inline(always)]
    fn add(mut self, other: f64) -> Self {
        self.value = self.value + other;
        self
    }
}

impl<const N: usize> Sub<f64> for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn sub(mut self, other: f64) -> Self {
        self.value = self.value - other;
        self
    }
}

impl<const N: usize> Mul<f64> for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: f64) -> Self {
        self.chain(self.value.value * other, other, 0.0)
    }
}

impl<const N: usize> Div<f64> for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: f64) -> Self {
        self.chain(self.value.value / other, 1.0 / other, 0.0)
    }
}

impl<const N: usize> Real for Reverse<'_, N> {
    #[inline(always)]
    fn constant(value: f64) -> Self {
        Self {
            value: Jet::constant(value),
            at: NONE,
            tape: None,
        }
    }
    #[inline(always)]
    fn value(self) -> f64 {
        self.value.value
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        let root = self.value.value.sqrt();
        let first = 0.5 / root;
        self.chain(root, first, -0.5 * first / self.value.value)
    }
    #[inline(always)]
    fn sin(self) -> Self {
        let (sin, cos) = self.value.value.sin_cos();
        self.chain(sin, cos, -sin)
    }
    #[inline(always)]
    fn cos(self) -> Self {
        let (sin, cos) = self.value.value.sin_cos();
        self.chain(cos, -sin, -cos)
    }
    #[inline(always)]
    fn atan2(self, x: Self) -> Self {
        let (y, abscissa) = (self.value, x.value);
        let square = y * y + abscissa * abscissa;
        self.binary(x, y.atan2(abscissa), abscissa / square, -(y / square))
    }
    #[inline(always)]
    fn exp(self) -> Self {
        let exp = self.value.value.exp();
        self.chain(exp, exp, exp)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        let inverse = 1.0 / self.value.value;
        self.chain(self.value.value.ln(), inverse, -inverse * inverse)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        let tanh = self.value.value.tanh();
        let first = 1.0 - tanh * tanh;
        self.chain(tanh, first, -2.0 * tanh * first)
    }
    #[inline(always)]
    fn dot(coefficients: &[f64], values: &[Self]) -> Self {
        let len = coefficients.len().min(values.len());
        let (coefficients, values) = (&coefficients[..len], &values[..len]);
        let mut sum = Jet::zero();
        for (c, v) in coefficients.iter().zip(values) {
            sum += v.value * *c;
        }
        match values.iter().find_map(|v| v.tape) {
            None => Self {
                value: sum,
                at: NONE,
                tape: None,
            },
            Some(tape) => tape.push_sum(sum, coefficients, values),
        }
    }
    #[inline(always)]
    fn polynomial(coefficients: &[f64], x: Self) -> Self {
        // Half of the second derivative comes out.
        let at = x.value.value;
        let (mut value, mut first, mut second) = (0.0, 0.0, 0.0);
        for c in coefficients.iter().rev() {
            second = second * at + first;
            first = first * at + value;
            value = value * at + c;
        }
        x.chain(value, first, 2.0 * second)
    }
    #[inline(always)]
    fn powf(self, power: f64) -> Self {
        let x = self.value.value;
        let first = power * x.powf(power - 1.0);
        let second = power * (power - 1.0) * x.powf(power - 2.0);
        self.chain(x.powf(power), first, second)
    }
}
