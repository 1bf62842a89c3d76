//! First-order dual numbers, to be nested for higher orders: an independent check of derivatives.

use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use feasible_least_squares::scalar::Real;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Dual<S> {
    pub(crate) value: S,
    pub(crate) slope: S,
}

impl<S: Real> Dual<S> {
    pub(crate) fn new(value: S, slope: S) -> Self {
        Dual { value, slope }
    }
    /// f(value), with the derivative of f there.
    fn chain(self, value: S, derivative: S) -> Self {
        Dual::new(value, derivative * self.slope)
    }
}

impl<S: Real> Add for Dual<S> {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Dual::new(self.value + o.value, self.slope + o.slope)
    }
}
impl<S: Real> Sub for Dual<S> {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Dual::new(self.value - o.value, self.slope - o.slope)
    }
}
impl<S: Real> Mul for Dual<S> {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        Dual::new(
            self.value * o.value,
            self.slope * o.value + self.value * o.slope,
        )
    }
}
impl<S: Real> Div for Dual<S> {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        let q = self.value / o.value;
        Dual::new(q, (self.slope - q * o.slope) / o.value)
    }
}
impl<S: Real> Neg for Dual<S> {
    type Output = Self;
    fn neg(self) -> Self {
        Dual::new(-self.value, -self.slope)
    }
}
impl<S: Real> AddAssign for Dual<S> {
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}
impl<S: Real> SubAssign for Dual<S> {
    fn sub_assign(&mut self, o: Self) {
        *self = *self - o;
    }
}
impl<S: Real> MulAssign for Dual<S> {
    fn mul_assign(&mut self, o: Self) {
        *self = *self * o;
    }
}
impl<S: Real> Add<f64> for Dual<S> {
    type Output = Self;
    fn add(self, o: f64) -> Self {
        Dual::new(self.value + o, self.slope)
    }
}
impl<S: Real> Sub<f64> for Dual<S> {
    type Output = Self;
    fn sub(self, o: f64) -> Self {
        Dual::new(self.value - o, self.slope)
    }
}
impl<S: Real> Mul<f64> for Dual<S> {
    type Output = Self;
    fn mul(self, o: f64) -> Self {
        Dual::new(self.value * o, self.slope * o)
    }
}
impl<S: Real> Div<f64> for Dual<S> {
    type Output = Self;
    fn div(self, o: f64) -> Self {
        Dual::new(self.value / o, self.slope / o)
    }
}

impl<S: Real> Real for Dual<S> {
    fn constant(value: f64) -> Self {
        Dual::new(S::constant(value), S::constant(0.0))
    }
    fn value(self) -> f64 {
        self.value.value()
    }
    fn sqrt(self) -> Self {
        let root = self.value.sqrt();
        self.chain(root, S::constant(0.5) / root)
    }
    fn sin(self) -> Self {
        self.chain(self.value.sin(), self.value.cos())
    }
    fn cos(self) -> Self {
        self.chain(self.value.cos(), -self.value.sin())
    }
    fn atan2(self, x: Self) -> Self {
        let norm = self.value * self.value + x.value * x.value;
        let slope = (x.value * self.slope - self.value * x.slope) / norm;
        Dual::new(self.value.atan2(x.value), slope)
    }
    fn exp(self) -> Self {
        self.chain(self.value.exp(), self.value.exp())
    }
    fn ln(self) -> Self {
        self.chain(self.value.ln(), S::constant(1.0) / self.value)
    }
    fn tanh(self) -> Self {
        let tanh = self.value.tanh();
        self.chain(tanh, S::constant(1.0) - tanh * tanh)
    }
}
