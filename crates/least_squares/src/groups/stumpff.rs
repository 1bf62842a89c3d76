//! The smooth functions of the squared angle that every exponential is made of.
//!
//! With `t = θ²` the Stumpff functions (Stiefel and Scheifele, *Linear and Regular Celestial Mechanics*, 1971, §11)
//!
//! `c_k(t) = Σ_j (−t)^j / (2j + k)!`
//!
//! are `cos θ`, `sin θ / θ`, `(1 − cos θ)/θ²`, `(θ − sin θ)/θ³`, … They have no square root at zero, so
//! derivatives of any order pass through them, and `c_k = 1/k! − t c_{k+2}` gives the lower ones from the
//! higher without cancellation.

use crate::scalar::Real;

/// Below this `t` the series are summed. At `t = 4` the closed forms of `c4` and `c5` lose less than one digit.
const SERIES_BELOW: f64 = 4.0;

/// Below this `t`, where errors of measurement are, `FEW` terms leave out less than 1e-19 of the sum.
const FEW_BELOW: f64 = 1.0 / 16.0;
const FEW: usize = 6;

/// `1/(2j + 4)!`. At `t = 4` the first term left out is below 1e-20 of the sum.
const C4: [f64; 13] = reciprocal_factorials(4);
/// `1/(2j + 5)!`.
const C5: [f64; 13] = reciprocal_factorials(5);

const fn reciprocal_factorials<const N: usize>(first: usize) -> [f64; N] {
    let mut values = [0.0; N];
    let mut j = 0;
    while j < N {
        let mut factorial = 1.0;
        let mut i = 2;
        while i <= 2 * j + first {
            factorial *= i as f64;
            i += 1;
        }
        values[j] = 1.0 / factorial;
        j += 1;
    }
    values
}

/// `c_0` to `c_5` at one squared angle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stumpff<S> {
    /// `cos θ`.
    pub(super) c0: S,
    /// `sin θ / θ`.
    pub(super) c1: S,
    /// `(1 − cos θ)/θ²`.
    pub(super) c2: S,
    /// `(θ − sin θ)/θ³`.
    pub(super) c3: S,
    /// `(θ²/2 − 1 + cos θ)/θ⁴`.
    pub(super) c4: S,
    /// `(θ³/6 − θ + sin θ)/θ⁵`.
    pub(super) c5: S,
}

impl<S: Real> Stumpff<S> {
    /// At `t = θ² ≥ 0`.
    #[inline(always)]
    pub(super) fn new(t: S) -> Self {
        let constant = S::constant;
        if t.value() < SERIES_BELOW {
            let terms = if t.value() < FEW_BELOW { FEW } else { C4.len() };
            let c4 = S::polynomial(&C4[..terms], -t);
            let c5 = S::polynomial(&C5[..terms], -t);
            let c3 = constant(1.0 / 6.0) - t * c5;
            let c2 = constant(0.5) - t * c4;
            Stumpff {
                c0: constant(1.0) - t * c2,
                c1: constant(1.0) - t * c3,
                c2,
                c3,
                c4,
                c5,
            }
        } else {
            let theta = t.sqrt();
            let inverse = constant(1.0) / t;
            // 1 − cos θ as 2 sin²(θ/2): the difference would lose all digits near a full turn.
            let half_sine = (theta * constant(0.5)).sin();
            let c0 = theta.cos();
            let c1 = theta.sin() / theta;
            let c2 = constant(2.0) * half_sine * half_sine * inverse;
            let c3 = (constant(1.0) - c1) * inverse;
            Stumpff {
                c0,
                c1,
                c2,
                c3,
                c4: (constant(0.5) - c2) * inverse,
                c5: (constant(1.0 / 6.0) - c3) * inverse,
            }
        }
    }
}

/// Below this `(y/x)²` the arctangent's series is summed.
const ARCTANGENT_SERIES_BELOW: f64 = 0.1;

/// Below this `(y/x)²` the first nine terms do.
const NINE_TERMS_BELOW: f64 = 0.01;

/// `(−1)^j / (2j + 1)`. At 0.1 the first term left out is below 1e-19 of the sum.
const ARCTANGENT: [f64; 19] = {
    let mut values = [0.0; 19];
    let mut j = 0;
    while j < 19 {
        let sign = if j % 2 == 0 { 1.0 } else { -1.0 };
        values[j] = sign / (2 * j + 1) as f64;
        j += 1;
    }
    values
};

/// `atan2(y, x) / y` as a function of `y²` and `x ≥ 0`; smooth at `y = 0` where `x > 0`.
pub(super) fn arctangent_ratio<S: Real>(y_squared: S, x: S) -> S {
    let x_squared = x * x;
    if y_squared.value() < NINE_TERMS_BELOW * x_squared.value() {
        S::polynomial(&ARCTANGENT[..9], y_squared / x_squared) / x
    } else if y_squared.value() < ARCTANGENT_SERIES_BELOW * x_squared.value() {
        S::polynomial(&ARCTANGENT, y_squared / x_squared) / x
    } else {
        let y = y_squared.sqrt();
        y.atan2(x) / y
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Coefficients of t^j, j < 40, in extended form: the plain sum, which is exact enough below t = 10.
    fn by_sum(k: usize, t: f64) -> f64 {
        let mut term = (1..=k).fold(1.0, |f, i| f / i as f64);
        let mut sum = 0.0;
        for j in 0..40 {
            sum += term;
            term *= -t / ((2 * j + k + 1) * (2 * j + k + 2)) as f64;
        }
        sum
    }

    #[test]
    fn both_branches_agree_with_the_defining_series() {
        for t in [
            0.0, 1e-300, 1e-20, 1e-8, 1e-3, 0.0624, 0.0625, 0.5, 2.0, 3.999_999, 4.0, 5.0, 9.0,
        ] {
            let s = Stumpff::new(t);
            for (k, got) in [s.c0, s.c1, s.c2, s.c3, s.c4, s.c5].into_iter().enumerate() {
                let expected = by_sum(k, t);
                // The plain sum itself cancels: at t = 9 its largest term is 34 for c_0.
                let error = (got - expected).abs();
                assert!(
                    error < 1e-14 * expected.abs().max(0.01),
                    "c{k}({t}): {got} {expected}"
                );
            }
        }
    }

    #[test]
    fn a_full_turn_keeps_its_digits() {
        let theta = std::f64::consts::TAU - 1e-6;
        let s = Stumpff::new(theta * theta);
        // 1 − cos θ = ε²/2 (1 − ε²/12), ε = 1e-6 up to the rounding of θ, 4e-16.
        let epsilon = std::f64::consts::TAU - theta;
        let expected = 0.5 * epsilon * epsilon / (theta * theta);
        assert!((s.c2 / expected - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_arctangent_is_smooth_across_its_branches() {
        for y in [1e-200_f64, 1e-9, 0.0999, 0.1, 0.316, 0.317, 1.0, 30.0] {
            let got = arctangent_ratio(y * y, 1.0);
            let expected = if y < 1e-100 { 1.0 } else { y.atan() / y };
            assert!(
                (got / expected - 1.0).abs() < 4e-16,
                "{y}: {got} {expected}"
            );
        }
        let half_turn = arctangent_ratio(1.0_f64, 0.0);
        assert_eq!(half_turn, std::f64::consts::FRAC_PI_2);
    }
}
