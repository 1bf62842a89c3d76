//! The scalars that cost functions are written over.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

/// A real number: `f64`, or one that carries derivatives beside its value.
///
/// A function written over `T: Real` is evaluated with `f64` for its value, with [`crate::Jet`] for its
/// Jacobian and with [`crate::Reverse`] for its gradients and second derivatives, all exact to rounding.
/// Branch on [`value`](Self::value) only: the derivative is then that of the branch taken.
pub trait Real:
    Copy
    + Debug
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
    + Div<f64, Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
{
    /// The constant `value`.
    fn constant(value: f64) -> Self;
    /// The value, without derivatives.
    fn value(self) -> f64;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Sine.
    fn sin(self) -> Self;
    /// Cosine.
    fn cos(self) -> Self;
    /// The angle of the point (`x`, `self`), in (−π, π].
    fn atan2(self, x: Self) -> Self;
    /// e to the power `self`.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;

    /// Σ_j `coefficients`\[j\] `x`^j, by Horner's rule.
    #[inline(always)]
    fn polynomial(coefficients: &[f64], x: Self) -> Self {
        let zero = Self::constant(0.0);
        let terms = coefficients.iter().rev();
        terms.fold(zero, |sum, c| sum * x + *c)
    }

    /// `self` to a whole power.
    #[inline(always)]
    fn powi(self, power: i32) -> Self {
        let mut result = Self::constant(1.0);
        let mut square = self;
        let mut left = power.unsigned_abs();
        while left > 0 {
            if left & 1 == 1 {
                result *= square;
            }
            left >>= 1;
            if left > 0 {
                square *= square;
            }
        }
        if power < 0 {
            Self::constant(1.0) / result
        } else {
            result
        }
    }

    /// `self` to a real power; `self` must be above 0.
    #[inline(always)]
    fn powf(self, power: f64) -> Self {
        (self.ln() * power).exp()
    }

    /// Tangent.
    #[inline(always)]
    fn tan(self) -> Self {
        self.sin() / self.cos()
    }

    /// The angle in [−π/2, π/2] whose tangent is `self`.
    #[inline(always)]
    fn atan(self) -> Self {
        self.atan2(Self::constant(1.0))
    }

    /// The angle in [−π/2, π/2] whose sine is `self`.
    #[inline(always)]
    fn asin(self) -> Self {
        self.atan2((Self::constant(1.0) - self * self).sqrt())
    }

    /// The angle in [0, π] whose cosine is `self`.
    #[inline(always)]
    fn acos(self) -> Self {
        (Self::constant(1.0) - self * self).sqrt().atan2(self)
    }

    /// Absolute value; at 0 the derivative from the right.
    #[inline(always)]
    fn abs(self) -> Self {
        if self.value() < 0.0 { -self } else { self }
    }

    /// The larger of the two; `self` where they are equal.
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if self.value() < other.value() {
            other
        } else {
            self
        }
    }

    /// The smaller of the two; `self` where they are equal.
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if self.value() > other.value() {
            other
        } else {
            self
        }
    }

    /// Σ coefficients_i · values_i, over the shorter of the two: what a linear row needs, and faster
    /// than the same written out.
    #[inline(always)]
    fn dot(coefficients: &[f64], values: &[Self]) -> Self {
        let mut sum = Self::constant(0.0);
        for (c, v) in coefficients.iter().zip(values) {
            sum += *v * *c;
        }
        sum
    }
}

impl Real for f64 {
    #[inline(always)]
    fn constant(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn value(self) -> f64 {
        self
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn sin(self) -> Self {
        f64::sin(self)
    }
    #[inline(always)]
    fn cos(self) -> Self {
        f64::cos(self)
    }
    #[inline(always)]
    fn atan2(self, x: Self) -> Self {
        f64::atan2(self, x)
    }
    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        f64::ln(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    #[inline(always)]
    fn powf(self, power: f64) -> Self {
        f64::powf(self, power)
    }
    #[inline(always)]
    fn dot(coefficients: &[f64], values: &[Self]) -> Self {
        crate::dense::dot(coefficients, values)
    }
}
