//! Means of random samples and how sure they are.

use serde::{Deserialize, Serialize};

/// How a sampling ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SamplingStatus {
    /// Every sample was drawn.
    Complete,
    /// A product had a NaN or an infinity. The samples before it are kept.
    NotFinite,
}

/// A mean over random samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean; NaN without samples.
    pub value: f64,
    /// Standard deviation of the mean, from the samples; NaN with fewer than two.
    pub standard_error: f64,
    /// How many samples.
    pub samples: usize,
}

impl Estimate {
    /// Mean and standard error of samples.
    pub fn of(samples: &[f64]) -> Self {
        let count = samples.len() as f64;
        // 0/0 is the NaN that both fields promise where they are not defined.
        let value = samples.iter().sum::<f64>() / count;
        let squares: f64 = samples.iter().map(|s| (s - value) * (s - value)).sum();
        let standard_error = if samples.len() < 2 {
            f64::NAN
        } else {
            (squares / (count - 1.0) / count).sqrt()
        };
        Self {
            value,
            standard_error,
            samples: samples.len(),
        }
    }

    pub(crate) fn times(self, factor: f64) -> Self {
        Self {
            value: self.value * factor,
            standard_error: self.standard_error * factor.abs(),
            samples: self.samples,
        }
    }
}
