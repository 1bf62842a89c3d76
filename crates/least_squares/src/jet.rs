//! Forward mode: a value and its derivatives along `N` directions.

use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::scalar::Real;

/// A value and its derivatives along `N` directions, a dual number with a vector part.
///
/// Hand-written rather than taken from a crate: the vector part is a plain array whose loops the
/// compiler turns into vector instructions, a constant is one without further state, and
/// [`Real::dot`] keeps its sums in registers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jet<const N: usize> {
    /// The value.
    pub value: f64,
    /// Its derivatives.
    pub slope: [f64; N],
}

impl<const N: usize> Jet<N> {
    /// The value `value` with the derivative 1 along direction `lane`.
    ///
    /// # Panics
    /// When `lane` is not below `N`.
    #[inline(always)]
    pub fn seeded(value: f64, lane: usize) -> Self {
        let mut slope = [0.0; N];
        slope[lane] = 1.0;
        Self { value, slope }
    }

    /// f(self), from f and f' at the value.
    #[inline(always)]
    pub(crate) fn chain(self, value: f64, derivative: f64) -> Self {
        Self {
            value,
            slope: self.slope.map(|s| s * derivative),
        }
    }

    #[inline(always)]
    pub(crate) fn zero() -> Self {
        Self {
            value: 0.0,
            slope: [0.0; N],
        }
    }
}

impl<const N: usize> Add for Jet<N> {
    type Output = Self;
    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl<const N: usize> Sub for Jet<N> {
    type Output = Self;
    #[inline(always)]
    fn sub(mut self, other: Self) -> Self {
        self -= other;
        self
    }
}

impl<const N: usize> Mul for Jet<N> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let mut slope = [0.0; N];
        for i in 0..N {
            slope[i] = self.slope[i] * other.value + other.slope[i] * self.value;
        }
        Self {
            value: self.value * other.value,
            slope,
        }
    }
}

impl<const N: usize> Div for Jet<N> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        let inverse = 1.0 / other.value;
        let value = self.value / other.value;
        let mut slope = [0.0; N];
        for i in 0..N {
            slope[i] = (self.slope[i] - value * other.slope[i]) * inverse;
        }
        Self { value, slope }
    }
}

impl<const N: usize> Neg for Jet<N> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.chain(-self.value, -1.0)
    }
}

impl<const N: usize> AddAssign for Jet<N> {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        self.value += other.value;
        for i in 0..N {
            self.slope[i] += other.slope[i];
        }
    }
}

impl<const N: usize> SubAssign for Jet<N> {
    #[inline(always)]
    fn sub_assign(&mut self, other: Self) {
        self.value -= other.value;
        for i in 0..N {
            self.slope[i] -= other.slope[i];
        }
    }
}

impl<const N: usize> MulAssign for Jet<N> {
    #[inline(always)]
    fn mul_assign(&mut self, other: Self) {
        *self = *self * other;
    }
}

impl<const N: usize> Add<f64> for Jet<N> {
    type Output = Self;
    #[inline(always)]
    fn add(mut self, other: f64) -> Self {
        self.value += other;
        self
    }
}

impl<const N: usize> Sub<f64> for Jet<N> {
    type Output = Self;
    #[inline(always)]
    fn sub(mut self, other: f64) -> Self {
        self.value -= other;
        self
    }
}

impl<const N: usize> Mul<f64> for Jet<N> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: f64) -> Self {
        self.chain(self.value * other, other)
    }
}

impl<const N: usize> Div<f64> for Jet<N> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: f64) -> Self {
        self.chain(self.value / other, 1.0 / other)
    }
}

impl<const N: usize> Real for Jet<N> {
    #[inline(always)]
    fn constant(value: f64) -> Self {
        Self {
            value,
            slope: [0.0; N],
        }
    }
    #[inline(always)]
    fn value(self) -> f64 {
        self.value
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        let root = self.value.sqrt();
        self.chain(root, 0.5 / root)
    }
    #[inline(always)]
    fn sin(self) -> Self {
        let (sin, cos) = self.value.sin_cos();
        self.chain(sin, cos)
    }
    #[inline(always)]
    fn cos(self) -> Self {
        let (sin, cos) = self.value.sin_cos();
        self.chain(cos, -sin)
    }
    #[inline(always)]
    fn atan2(self, x: Self) -> Self {
        let square = self.value * self.value + x.value * x.value;
        let (by_y, by_x) = (x.value / square, -self.value / square);
        let mut slope = [0.0; N];
        for i in 0..N {
            slope[i] = self.slope[i] * by_y + x.slope[i] * by_x;
        }
        Self {
            value: self.value.atan2(x.value),
            slope,
        }
    }
    #[inline(always)]
    fn exp(self) -> Self {
        let exp = self.value.exp();
        self.chain(exp, exp)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        self.chain(self.value.ln(), 1.0 / self.value)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        let tanh = self.value.tanh();
        self.chain(tanh, 1.0 - tanh * tanh)
    }
    #[inline(always)]
    fn dot(coefficients: &[f64], values: &[Self]) -> Self {
        // Two sums, so that one addition need not wait for another.
        let len = coefficients.len().min(values.len());
        let (coefficients, coefficient) = coefficients[..len].as_chunks::<2>();
        let (values, value) = values[..len].as_chunks::<2>();
        let mut sums = [Self::zero(); 2];
        for (c, v) in coefficients.iter().zip(values) {
            sums[0] += v[0] * c[0];
            sums[1] += v[1] * c[1];
        }
        for (c, v) in coefficient.iter().zip(value) {
            sums[0] += *v * *c;
        }
        sums[0] + sums[1]
    }
    #[inline(always)]
    fn polynomial(coefficients: &[f64], x: Self) -> Self {
        let (mut value, mut derivative) = (0.0, 0.0);
        for c in coefficients.iter().rev() {
            derivative = derivative * x.value + value;
            value = value * x.value + c;
        }
        x.chain(value, derivative)
    }
    #[inline(always)]
    fn powf(self, power: f64) -> Self {
        let lower = self.value.powf(power - 1.0);
        self.chain(self.value.powf(power), power * lower)
    }
}
