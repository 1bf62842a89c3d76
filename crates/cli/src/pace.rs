//! How long a run still takes.

/// The weight of the newest epoch in the mean: the last ten epochs or so decide. An epoch on the
/// true box may take many times one on a relaxed box, which a mean over all epochs would not notice.
const WEIGHT: f64 = 0.2;

/// Seconds an epoch, lately.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    mean: Option<f64>,
}

impl Pace {
    /// An epoch took so long, validation and checkpoint included.
    pub(crate) fn epoch(&mut self, seconds: f64) {
        self.mean = Some(match self.mean {
            None => seconds,
            Some(mean) => mean + WEIGHT * (seconds - mean),
        });
    }

    /// Seconds that `epochs` epochs, of which `done` (a part of the first) took `here` seconds, still
    /// take. `None` before there is anything to go by.
    pub(crate) fn left(&self, epochs: f64, done: f64, here: f64) -> Option<f64> {
        let seconds = match self.mean {
            Some(mean) => mean,
            None if done > 0.0 => here / done,
            None => return None,
        };
        Some(seconds * (epochs - done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_epochs_decide() {
        let mut pace = Pace::default();
        assert_eq!(pace.left(10.0, 0.0, 3.0), None);
        assert_eq!(pace.left(10.0, 0.25, 3.0), Some(12.0 * 9.75));
        for _ in 0..500 {
            pace.epoch(6.0);
        }
        assert!((pace.left(10.0, 0.5, 99.0).unwrap() - 57.0).abs() < 1e-9); // rounding of the mean
        for _ in 0..15 {
            pace.epoch(54.0);
        }
        // 0.8¹⁵ = 3.5 % of the difference is left.
        assert!((pace.left(1.0, 0.0, 0.0).unwrap() / 54.0 - 1.0).abs() < 0.04);
    }
}
