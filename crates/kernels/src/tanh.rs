//! tanh of many numbers: without branches, so that it vectorises, where a library's is one at a time.

/// `out = tanh(x)` entry by entry, to 3 units in the last place. NaN propagates.
///
/// Below 1 in absolute value the continued fraction `x/(1 + x²/(3 + x²/(5 + …)))` (Lambert 1761), cut
/// after 17, which is 2e-17 off at 1; from there on `1 − 2/(e²ˣ + 1)`.
#[inline(always)]
pub fn tanh(x: &[f64], out: &mut [f64]) {
    debug_assert_eq!(x.len(), out.len());
    for (out, x) in out.iter_mut().zip(x) {
        *out = one(*x);
    }
}

#[inline(always)]
fn one(x: f64) -> f64 {
    let size = x.abs();
    // Both are computed and one is taken. A NaN takes the fraction.
    let (near, far) = (fraction(x), beyond(size).copysign(x));
    if size >= 1.0 { far } else { near }
}

#[inline(always)]
fn fraction(x: f64) -> f64 {
    let z = x * x;
    let over = 34_459_425.0 + z * (4_729_725.0 + z * (135_135.0 + z * (990.0 + z)));
    let under = 34_459_425.0 + z * (16_216_200.0 + z * (945_945.0 + z * (13_860.0 + z * 45.0)));
    x * (over / under)
}

/// From here on tanh is 1 to rounding.
const ONE: f64 = 20.0;

/// Adding it rounds to whole numbers, which the sum's last bits then are.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// ln 2 as a sum; products of the first part with whole numbers up to 2¹¹ are exact.
const LN_2: [f64; 2] = [
    f64::from_bits(0x3FE6_2E42_FEFA_0000),
    1.646_594_958_289_708_2e-12,
];

#[inline(always)]
fn beyond(size: f64) -> f64 {
    let exponent = 2.0 * if size < ONE { size } else { ONE };
    // e²ˣ = 2ᵏ eʳ with |r| ≤ ln 2/2.
    let shifted = exponent * std::f64::consts::LOG2_E + ROUNDER;
    let k = shifted - ROUNDER;
    let r = (exponent - k * LN_2[0]) - k * LN_2[1];
    // Taylor's series. Written out: a loop within the loop over numbers would keep that from vectorising.
    let mut sum = 1.0 / 6_227_020_800.0;
    sum = sum * r + 1.0 / 479_001_600.0;
    sum = sum * r + 1.0 / 39_916_800.0;
    sum = sum * r + 1.0 / 3_628_800.0;
    sum = sum * r + 1.0 / 362_880.0;
    sum = sum * r + 1.0 / 40_320.0;
    sum = sum * r + 1.0 / 5_040.0;
    sum = sum * r + 1.0 / 720.0;
    sum = sum * r + 1.0 / 120.0;
    sum = sum * r + 1.0 / 24.0;
    sum = sum * r + 1.0 / 6.0;
    sum = sum * r + 0.5;
    sum = sum * r + 1.0;
    sum = sum * r + 1.0;
    let power = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52));
    1.0 - 2.0 / (sum * power + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(x: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; x.len()];
        crate::vectorised(
            #[inline(always)]
            || tanh(x, &mut out),
        );
        out
    }

    #[test]
    fn it_is_the_hyperbolic_tangent_to_rounding() {
        let mut points: Vec<f64> = (-400_000..=400_000)
            .map(|k| f64::from(k) * 6.1e-5)
            .collect();
        points.extend((0..1000).flat_map(|k| {
            let near_one = 1.0 + (f64::from(k) - 500.0) * f64::EPSILON;
            let small = 10f64.powi(-(k % 308));
            [near_one, -near_one, small, -small]
        }));
        for (x, y) in points.iter().zip(of(&points)) {
            let expected = x.tanh();
            // Three units, and one of the library's own.
            let allowed = 4.0 * (expected.abs().next_up() - expected.abs());
            assert!((y - expected).abs() <= allowed, "{x}: {y}, {expected}");
        }
    }

    #[test]
    fn ends_zeros_and_nan_are_kept() {
        let ends = [
            f64::INFINITY,
            f64::NEG_INFINITY,
            1e300,
            -25.0,
            0.0,
            -0.0,
            5e-324,
        ];
        let found = of(&ends);
        assert_eq!(found[..5], [1.0, -1.0, 1.0, -1.0, 0.0]);
        assert!(found[5] == 0.0 && found[5].is_sign_negative());
        assert_eq!(found[6], 5e-324);
        assert!(of(&[f64::NAN])[0].is_nan());
    }
}
