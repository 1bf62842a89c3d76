//! The scalars that a [`Tape`] records.

use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::jet::Jet;
use crate::scalar::Real;
use crate::tape::{NONE, Tape};

/// A number whose operations are recorded, for derivatives in reverse; its value carries derivatives
/// along `N` directions, so that the reverse sweep differentiates those too.
///
/// Sums with constants and multiples by them are not recorded: such a number is at the same place of the tape
/// as the one that it comes from, with another factor.
#[derive(Clone, Copy)]
pub struct Reverse<'t, const N: usize> {
    pub(crate) value: Jet<N>,
    /// Its derivative by what is recorded at its place.
    pub(crate) factor: f64,
    pub(crate) at: u32,
    /// `None` for a constant.
    pub(crate) tape: Option<&'t Tape<N>>,
}

impl<const N: usize> std::fmt::Debug for Reverse<'_, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value.fmt(f)
    }
}

impl<'t, const N: usize> Reverse<'t, N> {
    #[inline(always)]
    fn of(value: Jet<N>) -> Self {
        Self {
            value,
            factor: 0.0,
            at: NONE,
            tape: None,
        }
    }

    /// f(self), from f, f' and f'' at the value.
    #[inline(always)]
    fn chain(self, value: f64, first: f64, second: f64) -> Self {
        let new = self.value.chain(value, first);
        match self.tape {
            None => Self::of(new),
            Some(tape) => {
                let partial = self.value.chain(first, second) * self.factor;
                tape.push(new, [self.at, NONE], [partial, Jet::zero()])
            }
        }
    }

    #[inline(always)]
    fn binary(self, other: Self, value: Jet<N>, by_self: Jet<N>, by_other: Jet<N>) -> Self {
        match self.tape.or(other.tape) {
            None => Self::of(value),
            Some(tape) => {
                let partials = [by_self * self.factor, by_other * other.factor];
                if self.at == other.at {
                    // A square, as a rule: one parent is half the work in reverse.
                    let partials = [partials[0] + partials[1], Jet::zero()];
                    return tape.push(value, [self.at, NONE], partials);
                }
                tape.push(value, [self.at, other.at], partials)
            }
        }
    }

    /// A value that is `factor` times self, but for a constant.
    #[inline(always)]
    fn linear(self, value: Jet<N>, factor: f64) -> Self {
        Self {
            value,
            factor: self.factor * factor,
            ..self
        }
    }

    /// self + sign · other.
    #[inline(always)]
    fn sum(self, other: Self, value: Jet<N>, sign: f64) -> Self {
        let (Some(tape), Some(_)) = (self.tape, other.tape) else {
            return match other.tape {
                None => self.linear(value, 1.0),
                Some(_) => other.linear(value, sign),
            };
        };
        let partials = [self.factor, sign * other.factor].map(Jet::constant);
        tape.push(value, [self.at, other.at], partials)
    }
}

impl<const N: usize> Add for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.sum(other, self.value + other.value, 1.0)
    }
}

impl<const N: usize> Sub for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.sum(other, self.value - other.value, -1.0)
    }
}

impl<const N: usize> Mul for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let value = self.value * other.value;
        match (self.tape, other.tape) {
            (_, None) => self.linear(value, other.value.value),
            (None, _) => other.linear(value, self.value.value),
            _ => self.binary(other, value, other.value, self.value),
        }
    }
}

impl<const N: usize> Div for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        let inverse = Jet::constant(1.0) / other.value;
        let value = self.value / other.value;
        if other.tape.is_none() {
            return self.linear(value, inverse.value);
        }
        self.binary(other, value, inverse, -(value * inverse))
    }
}

impl<const N: usize> Neg for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.linear(-self.value, -1.0)
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
        self.linear(self.value * other, other)
    }
}

impl<const N: usize> Div<f64> for Reverse<'_, N> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: f64) -> Self {
        self.linear(self.value / other, 1.0 / other)
    }
}

impl<const N: usize> Real for Reverse<'_, N> {
    #[inline(always)]
    fn constant(value: f64) -> Self {
        Self::of(Jet::constant(value))
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
        let mut sums = [Jet::zero(); 4];
        let (c_head, c_tail) = coefficients.as_chunks::<4>();
        let (v_head, v_tail) = values.as_chunks::<4>();
        for (c, v) in c_head.iter().zip(v_head) {
            for lane in 0..4 {
                sums[lane] += v[lane].value * c[lane];
            }
        }
        for (c, v) in c_tail.iter().zip(v_tail) {
            sums[0] += v.value * *c;
        }
        let sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        match values.iter().find_map(|v| v.tape) {
            None => Self::of(sum),
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
