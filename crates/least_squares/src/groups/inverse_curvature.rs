//! The function of the squared angle that every inverse Jacobian and logarithm is made of.
//!
//! With `t = θ²` the inverse left Jacobian of the rotations is `I − ½ [θ]ₓ + κ(t) [θ]²ₓ` (Solà, eq. 146),
//!
//! `κ(t) = (1 − (θ/2) cot(θ/2))/t = Σ_k β_k t^k`,
//!
//! and that of the rigid motions needs `κ'` besides. The series converges for `t < 4π²`, where the angle is
//! a full turn and the exponential singular; its coefficients fall by that factor.

use crate::scalar::Real;

/// Below this `t` the series are summed. Above it the closed form of `κ'` loses little more than a digit.
const SERIES_BELOW: f64 = 4.0;

/// Below this `t`, where errors of measurement are, `FEW` terms do.
const FEW_BELOW: f64 = 1.0 / 16.0;
const FEW: usize = 7;

/// At `t = 4` the first term left out of either series is below 1e-17 of the sum.
const TERMS: usize = 19;

/// `β_k`.
const VALUE: [f64; TERMS] = coefficients(0);
/// `(k + 1) β_{k+1}`.
const SLOPE: [f64; TERMS] = coefficients(1);

/// By `h(t) sin(θ/2)/(θ/2) = cos(θ/2)` for `h = 1 − tκ`, term by term.
const fn coefficients(derivative: usize) -> [f64; TERMS] {
    // (−1)^j / (4^j (2j)!) and the same with (2j + 1)!.
    let (mut cosine, mut sine) = ([1.0; TERMS + 2], [1.0; TERMS + 2]);
    let mut h = [1.0; TERMS + 2];
    let mut k = 1;
    while k < TERMS + 2 {
        let even = (2 * k) as f64;
        cosine[k] = -cosine[k - 1] / (4.0 * even * (even - 1.0));
        sine[k] = -sine[k - 1] / (4.0 * even * (even + 1.0));
        h[k] = cosine[k];
        let mut j = 1;
        while j <= k {
            h[k] -= sine[j] * h[k - j];
            j += 1;
        }
        k += 1;
    }
    let mut values = [0.0; TERMS];
    let mut k = 0;
    while k < TERMS {
        values[k] = if derivative == 0 {
            -h[k + 1]
        } else {
            -h[k + 2] * (k + 1) as f64
        };
        k += 1;
    }
    values
}

#[inline(always)]
fn series<S: Real>(coefficients: &[f64; TERMS], t: S) -> S {
    if t.value() < FEW_BELOW {
        S::polynomial(&coefficients[..FEW], t)
    } else {
        S::polynomial(coefficients, t)
    }
}

/// `κ`; infinite at a full turn.
#[inline(always)]
pub(super) fn inverse_curvature<S: Real>(t: S) -> S {
    if t.value() < SERIES_BELOW {
        return series(&VALUE, t);
    }
    let half = t.sqrt() * 0.5;
    (S::constant(1.0) - half * half.cos() / half.sin()) / t
}

/// `κ'`, given `κ`.
#[inline(always)]
pub(super) fn inverse_curvature_slope<S: Real>(t: S, curvature: S) -> S {
    if t.value() < SERIES_BELOW {
        return series(&SLOPE, t);
    }
    // With h = 1 − tκ, h' = (h − h²)/(2t) − 1/8, as cot' = −1 − cot².
    let second = t * curvature * curvature * 0.5;
    (second - curvature * 1.5 + 0.125) / t
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jet::Jet;

    /// `β_k = 2ζ(2k + 2)/(2π)^{2k+2}`: the poles of the cotangent, one by one.
    #[test]
    fn coefficients_are_sums_over_the_poles() {
        for (k, coefficient) in VALUE.iter().enumerate() {
            // What is left out of the sum is its integral, about.
            let (order, last) = (2 * k as i32 + 2, 3000);
            let sum: f64 = (1..=last).rev().map(|n| f64::from(n).powi(-order)).sum();
            let rest = (f64::from(last) + 0.5).powi(1 - order) / f64::from(order - 1);
            let expected = 2.0 * (sum + rest) / std::f64::consts::TAU.powi(order);
            assert!((coefficient / expected - 1.0).abs() < 1e-11, "{k}");
        }
    }

    #[test]
    fn every_branch_agrees_with_the_cotangent() {
        for t in [1e-3_f64, 0.06, 0.063, 1.0, 3.999_999, 4.0, 9.0, 20.0, 39.0] {
            let half = 0.5 * t.sqrt();
            let expected = (1.0 - half / half.tan()) / t;
            let got = inverse_curvature(t);
            // The difference loses the digits of t.
            let rounding = 4e-16 * (1.0 + 1.0 / t);
            assert!(
                (got - expected).abs() < rounding * (1.0 + expected.abs()),
                "{t}"
            );
            // The slope by forward mode through the cotangent.
            let seeded = Jet::<1>::seeded(t, 0);
            let half = seeded.sqrt() * 0.5;
            let by_cotangent = (Jet::constant(1.0) - half * half.cos() / half.sin()) / seeded;
            let slope = inverse_curvature_slope(t, got);
            let error = (slope - by_cotangent.slope[0]).abs();
            assert!(error < rounding / t * (1.0 + slope.abs()), "{t}: {error:e}");
        }
        assert!((inverse_curvature(0.0) * 12.0 - 1.0).abs() < 4e-16);
        assert!((inverse_curvature_slope(0.0, 1.0 / 12.0) * 720.0 - 1.0).abs() < 4e-16);
    }
}
