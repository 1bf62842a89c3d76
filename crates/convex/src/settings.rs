use feasible_solver::{AdjointSettings, Settings};
use serde::{Deserialize, Serialize};

use crate::Error;

/// What a layer does when some samples have no solution.
///
/// In every case those samples add nothing to any gradient, and the other samples are computed
/// as they would be without them: to the last bit, but for cone programs that share P and A, which are scaled by
/// their first sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Return [`Error::Unsolved`].
    #[default]
    Error,
    /// Fill those samples' outputs, primal and dual, with NaN.
    Nan,
    /// Return the solver's last finite iterate.
    Keep,
}

/// Settings that all layers of this crate share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConvexSettings {
    /// How to solve: tolerances, iteration limit, algorithm.
    pub solver: Settings,
    /// When a gradient counts as exact.
    pub adjoint: AdjointSettings,
    /// What to do with samples that have no solution. Default [`OnFailure::Error`].
    pub on_failure: OnFailure,
}

impl ConvexSettings {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Solver`] naming the first setting out of range.
    pub fn validate(&self) -> Result<(), Error> {
        self.solver.validate()?;
        self.adjoint.validate()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        assert_eq!(ConvexSettings::default().validate(), Ok(()));
        let mut bad = ConvexSettings::default();
        bad.solver.tolerance = -1.0;
        let message = bad.validate().unwrap_err().to_string();
        assert!(message.contains("`tolerance` is -1"), "{message}");
        let mut bad = ConvexSettings::default();
        bad.adjoint.rank_tolerance = f64::NAN;
        let message = bad.validate().unwrap_err().to_string();
        assert!(message.contains("`rank_tolerance` is NaN"), "{message}");
    }
}
