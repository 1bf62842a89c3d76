//! The two kinds of numbers.

use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use faer::traits::RealField;

/// `f64` or `f32`.
pub(crate) trait Real:
    RealField
    + Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
{
    const ZERO: Self;
    const ONE: Self;
    /// Sizes between this and its reciprocal can be squared and summed safely.
    const SAFE: Self;
    /// Base-two exponent whose power and its reciprocal are both normal numbers.
    const LARGEST_EXPONENT: Self;

    fn finite(self) -> bool;
    fn size(self) -> Self;
    fn root(self) -> Self;
    /// The power of two that brings this positive number near one.
    fn normaliser(self) -> Self;
    /// A workspace size as LAPACK returns it.
    fn of_size(size: i32) -> Self;
}

macro_rules! real {
    ($T:ty, $safe:expr, $exponent:expr) => {
        impl Real for $T {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const SAFE: Self = $safe;
            const LARGEST_EXPONENT: Self = $exponent;

            fn finite(self) -> bool {
                self.is_finite()
            }

            fn size(self) -> Self {
                self.abs()
            }

            fn root(self) -> Self {
                self.sqrt()
            }

            fn normaliser(self) -> Self {
                let exponent = -self.log2().floor();
                exponent
                    .clamp(-Self::LARGEST_EXPONENT, Self::LARGEST_EXPONENT)
                    .exp2()
            }

            fn of_size(size: i32) -> Self {
                let rounded = size as Self;
                // Not below the size itself, which is then too small.
                if (rounded as i64) < i64::from(size) {
                    rounded.next_up()
                } else {
                    rounded
                }
            }
        }
    };
}

real!(f64, 1e100, 1000.0);
real!(f32, 1e12, 120.0);
