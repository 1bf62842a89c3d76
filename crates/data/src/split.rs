//! The published split into training, validation and test samples.

use std::ops::Range;

/// Share of the samples kept for validation, and again for the test.
const HELD_OUT: f64 = 0.0833;

/// Which samples train, validate and test: consecutive ranges that cover all samples in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Samples that train.
    pub train: Range<usize>,
    /// Samples that choose between trained models.
    pub valid: Range<usize>,
    /// Samples that only the reported figures see.
    pub test: Range<usize>,
}

impl Split {
    /// The split that DC3 and SnareNet use (`trainX`, `validX` and `testX` of their problem classes).
    ///
    /// The bounds are `trunc(samples · f)` with `f = 1 - 0.0833 - 0.0833` and `f + 0.0833`, in their order of
    /// floating-point operations: 10 000 samples give 8334, 833 and 833. Below 7 samples validation is empty.
    ///
    /// ```
    /// use feasible_data::Split;
    ///
    /// let split = Split::published(10_000);
    /// assert_eq!((split.train.len(), split.valid.len(), split.test.len()), (8334, 833, 833));
    /// ```
    pub fn published(samples: usize) -> Self {
        let train_share = 1.0 - HELD_OUT - HELD_OUT;
        let train_end = (samples as f64 * train_share) as usize;
        let valid_end = (samples as f64 * (train_share + HELD_OUT)) as usize;
        Self {
            train: 0..train_end,
            valid: train_end..valid_end,
            test: valid_end..samples,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Split;

    /// Bounds printed by the same expressions in Python.
    #[test]
    fn bounds_follow_the_published_rounding() {
        for (samples, train_end, valid_end) in BOUNDS {
            let split = Split::published(samples);
            assert_eq!(split.train, 0..train_end, "{samples} samples");
            assert_eq!(split.valid, train_end..valid_end, "{samples} samples");
            assert_eq!(split.test, valid_end..samples, "{samples} samples");
        }
    }

    const BOUNDS: [(usize, usize, usize); 9] = [
        (0, 0, 0),
        (3, 2, 2),
        (7, 5, 6),
        (12, 10, 11),
        (1_000, 833, 916),
        (1_200, 1_000, 1_100),
        (10_000, 8_334, 9_167),
        (100_000, 83_339, 91_670),
        (1_000_000, 833_399, 916_700),
    ];

    #[test]
    fn few_samples_still_cover_the_whole() {
        for samples in 0..50 {
            let split = Split::published(samples);
            assert!(split.train.end <= split.valid.end && split.valid.end <= samples);
        }
    }
}
