use feasible_core::Error;
use serde::{Deserialize, Serialize};

/// How [`crate::FsNet`] minimises the violation. The defaults are the published ones, but for the
/// line search.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FsNetSettings {
    /// Iterations before a sample is returned as it is. Default 50.
    pub max_iterations: usize,
    /// Pairs of steps and gradient differences that are remembered. Default 30.
    pub memory: usize,
    /// First iterations that are differentiated; the steps of the others are constants. Default 30.
    pub unrolled: usize,
    /// A sample stops when ‖r‖² is below this, where a gradient will be asked for. Default 1e-7.
    pub train_tolerance: f64,
    /// Epochs after which the train tolerance is divided by ten, again and again; 0 for never. Default
    /// 100. Training says where it is by [`crate::FsNet::at_epoch`].
    pub tolerance_decay_epochs: usize,
    /// What it is not lowered beyond. Default 1e-9.
    pub least_train_tolerance: f64,
    /// The same elsewhere. Default 1e-9.
    pub test_tolerance: f64,
    /// A sample stops when the gradient of ‖r‖² is shorter than this. Default 1e-6.
    pub gradient_tolerance: f64,
    /// The first direction is the negative gradient times this. Default 0.1.
    pub first_step: f64,
    /// Share of the linear decrease that a step must reach, in (0, 1). Default 1e-4 (Armijo).
    pub sufficient_decrease: f64,
    /// Factor between the lengths that are tried, in (0, 1). Default 0.5.
    pub shrink: f64,
    /// Lengths tried after the first. Default 10.
    pub max_halvings: usize,
    /// Whose decrease decides about a length. Default per sample.
    pub line_search: LineSearch,
    /// What the mean of ‖r‖² over the batch is multiplied by in [`LineSearch::WholeBatch`]: it decides
    /// the length of the first step. Default 1000.
    pub scale: f64,
}

/// Whose decrease decides about the length of a step of [`crate::FsNet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineSearch {
    /// Each sample has its own length and stops by itself, so its result does not depend on the rest
    /// of the batch. Directions that do not descend are replaced by the gradient, pairs without
    /// positive curvature are left out.
    #[default]
    PerSample,
    /// One length for the batch, by the mean of ‖r‖², and one stop, as published. The last length
    /// tried is taken even where it does not suffice.
    WholeBatch,
}

impl Default for FsNetSettings {
    fn default() -> Self {
        Self {
            max_iterations: 50,
            memory: 30,
            unrolled: 30,
            train_tolerance: 1e-7,
            tolerance_decay_epochs: 100,
            least_train_tolerance: 1e-9,
            test_tolerance: 1e-9,
            gradient_tolerance: 1e-6,
            first_step: 0.1,
            sufficient_decrease: 1e-4,
            shrink: 0.5,
            max_halvings: 10,
            line_search: LineSearch::PerSample,
            scale: 1000.0,
        }
    }
}

impl FsNetSettings {
    /// The train tolerance of an epoch, the first being 0: as published, the division comes before the
    /// last epoch of every [`FsNetSettings::tolerance_decay_epochs`].
    pub(crate) fn train_tolerance_at(&self, epoch: usize) -> f64 {
        let divisions = (epoch + 1)
            .checked_div(self.tolerance_decay_epochs)
            .unwrap_or(0);
        let lowered = self.train_tolerance * 10f64.powf(-(divisions as f64));
        lowered.max(self.least_train_tolerance.min(self.train_tolerance))
    }

    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), Error> {
        let not_negative =
            |value: f64| (value >= 0.0 && value.is_finite(), "finite and at least 0");
        let positive = |value: f64| (value > 0.0 && value.is_finite(), "finite and above 0");
        let share = |value: f64| {
            (
                value > 0.0 && value < 1.0,
                "between 0 and 1, neither of them",
            )
        };
        let at_least_one = |count: usize| (count > 0, "at least 1");
        let checks = [
            (
                "max_iterations",
                self.max_iterations as f64,
                at_least_one(self.max_iterations),
            ),
            ("memory", self.memory as f64, at_least_one(self.memory)),
            (
                "train_tolerance",
                self.train_tolerance,
                not_negative(self.train_tolerance),
            ),
            (
                "least_train_tolerance",
                self.least_train_tolerance,
                not_negative(self.least_train_tolerance),
            ),
            (
                "test_tolerance",
                self.test_tolerance,
                not_negative(self.test_tolerance),
            ),
            (
                "gradient_tolerance",
                self.gradient_tolerance,
                not_negative(self.gradient_tolerance),
            ),
            ("first_step", self.first_step, positive(self.first_step)),
            (
                "sufficient_decrease",
                self.sufficient_decrease,
                share(self.sufficient_decrease),
            ),
            ("shrink", self.shrink, share(self.shrink)),
            ("scale", self.scale, positive(self.scale)),
        ];
        match checks.into_iter().find(|(_, _, (valid, _))| !valid) {
            None => Ok(()),
            Some((setting, value, (_, expected))) => Err(Error::Setting {
                setting,
                got: value.to_string(),
                expected,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_train_tolerance_falls_as_published() {
        let at = |epoch| FsNetSettings::default().train_tolerance_at(epoch);
        for (epoch, expected) in [(0, 1e-7), (98, 1e-7), (99, 1e-8), (199, 1e-9), (1000, 1e-9)] {
            assert!(
                (at(epoch) / expected - 1.0).abs() < 1e-12,
                "{epoch}: {}",
                at(epoch)
            );
        }
        let constant = FsNetSettings {
            tolerance_decay_epochs: 0,
            ..FsNetSettings::default()
        };
        assert_eq!(constant.train_tolerance_at(10_000), 1e-7);
        // A tolerance that is lower already stays.
        let low = FsNetSettings {
            train_tolerance: 1e-12,
            ..FsNetSettings::default()
        };
        assert_eq!(low.train_tolerance_at(0), 1e-12);
        assert_eq!(low.train_tolerance_at(500), 1e-12);
    }
}
