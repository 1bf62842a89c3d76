//! From records to the numbers of a table: the last value of a run, mean and spread over runs.
//!
//! What is undefined stays undefined: a missing value, a NaN, or the spread of one run gives `None`,
//! never a number that looks measured.

use crate::Metric;

/// A value and where it was recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observed {
    /// Optimiser steps taken.
    pub step: u64,
    /// The value; may be NaN or infinite.
    pub value: f64,
}

/// The last recorded value of `name`, also when it is NaN; `None` when it was never recorded.
pub fn last(metrics: &[Metric], name: &str) -> Option<Observed> {
    metrics
        .iter()
        .rev()
        .find_map(|metric| observed(metric, name))
}

fn observed(metric: &Metric, name: &str) -> Option<Observed> {
    metric.value(name).map(|value| Observed {
        step: metric.step,
        value,
    })
}

/// Mean and standard deviation of some values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// How many values there are, the undefined ones included.
    pub count: usize,
    /// How many of them are missing or NaN.
    pub undefined: usize,
    /// The mean; `None` when there is no value, or one is undefined, or both infinities occur.
    pub mean: Option<f64>,
    /// The sample standard deviation (divisor n − 1); `None` also for a single value and when a
    /// value is infinite.
    pub std: Option<f64>,
}

impl Spread {
    /// Mean and spread of `values`. Leave values out before calling to have those of the rest.
    ///
    /// Two passes with the correction of Chan, Golub and LeVeque (1983, eq. 1.7), on values scaled by
    /// a power of two so that no square overflows.
    pub fn of(values: &[Option<f64>]) -> Self {
        let defined: Vec<f64> = values
            .iter()
            .copied()
            .flatten()
            .filter(|v| !v.is_nan())
            .collect();
        let count = values.len();
        let undefined = count - defined.len();
        if undefined > 0 || count == 0 {
            return Self {
                count,
                undefined,
                mean: None,
                std: None,
            };
        }
        if defined.iter().any(|v| v.is_infinite()) {
            let sum: f64 = defined.iter().filter(|v| v.is_infinite()).sum();
            return Self {
                count,
                undefined,
                mean: (!sum.is_nan()).then_some(sum),
                std: None,
            };
        }
        let n = count as f64;
        let scale = power_of_two_below(
            defined
                .iter()
                .fold(0.0, |largest: f64, v| largest.max(v.abs())),
        );
        let scaled = || defined.iter().map(|v| v / scale);
        let first = scaled().sum::<f64>() / n;
        let mean = first + scaled().map(|v| v - first).sum::<f64>() / n;
        let (sum, squares) = scaled()
            .map(|v| v - mean)
            .fold((0.0, 0.0), |(s, q), d| (s + d, q + d * d));
        // Rounding may bring the difference a hair below zero.
        let variance = (squares - sum * sum / n).max(0.0) / (n - 1.0);
        Self {
            count,
            undefined,
            mean: Some(mean * scale),
            std: (count > 1).then(|| variance.sqrt() * scale),
        }
    }
}

/// The power of two in `[x/2, x]`; 1 for zero and numbers too small to divide by safely.
fn power_of_two_below(x: f64) -> f64 {
    const EXPONENT: u64 = 0x7ff0_0000_0000_0000;
    let power = f64::from_bits(x.to_bits() & EXPONENT);
    if power < f64::MIN_POSITIVE {
        1.0
    } else {
        power
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Number;

    fn records(values: &[f64]) -> Vec<Metric> {
        let metric = |(step, value): (usize, &f64)| Metric {
            step: step as u64,
            epoch: 0,
            wall_seconds: Number(0.0),
            values: [("a".to_owned(), Number(*value))].into(),
        };
        values.iter().enumerate().map(metric).collect()
    }

    fn spread(values: &[f64]) -> Spread {
        Spread::of(&values.iter().copied().map(Some).collect::<Vec<_>>())
    }

    #[test]
    fn last_is_the_last_record_even_when_undefined() {
        assert!(
            last(&records(&[1.0, f64::NAN]), "a")
                .unwrap()
                .value
                .is_nan()
        );
        assert_eq!(
            last(&records(&[1.0, 2.0]), "a"),
            Some(Observed {
                step: 1,
                value: 2.0
            })
        );
        assert_eq!(last(&records(&[1.0]), "b"), None);
    }

    #[test]
    fn known_spreads() {
        let known = spread(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!(known.mean, Some(5.0));
        // Squared deviations sum to 32; one rounding of the root.
        assert!((known.std.unwrap() - (32.0f64 / 7.0).sqrt()).abs() <= f64::EPSILON * 4.0);
        let same = spread(&[0.1; 5]);
        assert_eq!((same.mean, same.std), (Some(0.1), Some(0.0)));
    }

    #[test]
    fn offsets_and_extreme_sizes_cost_no_digits() {
        // Deviations −1, 0, 1 are exact beside an offset below 2⁵³.
        assert_eq!(spread(&[1e15 - 1.0, 1e15, 1e15 + 1.0]).std, Some(1.0));
        for size in [f64::MAX / 4.0, f64::MIN_POSITIVE * 4.0, 1e-300, 1e300] {
            let found = spread(&[size, 3.0 * size]);
            // Deviations ±size: standard deviation √2·size. A few roundings.
            assert!(
                (found.std.unwrap() / (size * 2.0f64.sqrt()) - 1.0).abs() < 1e-15,
                "{size:e}"
            );
            assert!(
                (found.mean.unwrap() / (2.0 * size) - 1.0).abs() < 1e-15,
                "{size:e}"
            );
        }
    }

    #[test]
    fn the_undefined_stays_undefined() {
        assert_eq!(
            Spread::of(&[]),
            Spread {
                count: 0,
                undefined: 0,
                mean: None,
                std: None
            }
        );
        assert_eq!(
            spread(&[3.0]),
            Spread {
                count: 1,
                undefined: 0,
                mean: Some(3.0),
                std: None
            }
        );
        assert_eq!(
            Spread::of(&[Some(1.0), None, Some(f64::NAN)]),
            Spread {
                count: 3,
                undefined: 2,
                mean: None,
                std: None
            }
        );
        assert_eq!(spread(&[1.0, f64::INFINITY]).mean, Some(f64::INFINITY));
        assert_eq!(spread(&[1.0, f64::INFINITY]).std, None);
        assert_eq!(spread(&[f64::NEG_INFINITY, f64::INFINITY]).mean, None);
    }
}
