//! Axes that have the points wanted among theirs.

use feasible_landscape::Axis;

use crate::Error;

/// `points` points from `low ≤ 0` or below to `high ≥ 0` or above, 0 among them, as dense as that
/// allows.
pub(super) fn covering(low: f64, high: f64, points: usize) -> Result<Axis, Error> {
    let last = points - 1;
    // With k points below 0 the step must bring them to `low` and the others to `high`.
    let step_of = |k: usize| {
        let below = if low < 0.0 { -low / k as f64 } else { 0.0 };
        let above = if high > 0.0 {
            high / (last - k) as f64
        } else {
            0.0
        };
        below.max(above)
    };
    let (below, step) = (0..=last)
        .map(|k| (k, step_of(k)))
        .filter(|(_, step)| step.is_finite())
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or((last / 2, 1.0));
    let step = short(step);
    let above = (last - below) as f64;
    Ok(Axis::span(-(below as f64) * step, above * step, points)?)
}

/// The next number of 40 significant bits: its products with all indices are exact, so that an axis
/// made again from the ends of this one has the same points, to the last bit.
fn short(step: f64) -> f64 {
    let rest = (1u64 << 13) - 1;
    f64::from_bits((step.to_bits() + rest) & !rest)
}

/// About `points` points from `−beyond` to `1 + beyond`, with 0 and 1 among them.
pub(super) fn unit(beyond: f64, points: usize) -> Result<Axis, Error> {
    let between = ((points - 1) as f64 / (1.0 + 2.0 * beyond))
        .round()
        .max(1.0);
    let outside = (beyond * between).ceil();
    let count = between as usize + 2 * outside as usize + 1;
    Ok(Axis::span(
        -outside / between,
        (between + outside) / between,
        count,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covering_axes_have_0_and_reach_both_ends() {
        for (low, high, points) in [
            (-1.0, 1.0, 21),
            (-0.1, 7.0, 11),
            (-3.0, 0.0, 5),
            (0.0, 2.5, 9),
            (-1e-9, 1e3, 51),
            (-0.123, 0.789, 65),
            (-1.0 / 3.0, 1.0 / 7.0, 65),
        ] {
            let axis = covering(low, high, points).unwrap();
            let found = axis.coordinates();
            assert_eq!(found.len(), points);
            assert!(axis.centre().is_some(), "{found:?}");
            let again = Axis::span(found[0], found[points - 1], points).unwrap();
            assert_eq!(again.coordinates(), found);
            // Rounding of a product.
            assert!(found[0] <= low + 1e-12 && found[points - 1] >= high * (1.0 - 1e-12));
            // No denser than a point wasted on either side.
            assert!(
                found[points - 1] - found[0]
                    <= (high - low) * (1.0 + 2.0 / (points - 2) as f64) + 1e-6
            );
        }
    }

    #[test]
    fn unit_axes_have_both_ends() {
        for (beyond, points) in [(0.5, 51), (0.5, 6), (0.2, 40), (0.01, 3)] {
            let axis = unit(beyond, points).unwrap();
            let has = |x: f64| axis.coordinates().iter().any(|c| (c - x).abs() < 1e-12);
            assert!(has(0.0) && has(1.0), "{:?}", axis.coordinates());
            assert!(axis.coordinates()[0] <= -beyond + 1e-12);
        }
    }
}
