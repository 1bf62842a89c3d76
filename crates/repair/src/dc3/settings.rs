use feasible_core::Error;
use serde::{Deserialize, Serialize};

/// How [`crate::Dc3`] completes and corrects. The defaults are those of the published quadratic
/// programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dc3Settings {
    /// What is done about equality rows. Default completion.
    pub completion: Completion,
    /// The variables that are kept from the input, as many as there are more variables than
    /// equality rows. Default chosen, by column pivots in a QR decomposition of the equality rows'
    /// Jacobian, so that the other variables' block is well conditioned; published is a random choice
    /// with |det| ≥ 1e-4.
    pub partial: Option<Vec<usize>>,
    /// Correction steps where a gradient will be asked for; all are taken. Default 10.
    pub train_steps: usize,
    /// Correction steps elsewhere; a sample that meets the tolerance takes no more. Default 10.
    pub test_steps: usize,
    /// Step length of the correction. Has to be found for each problem: default 1e-7 as published
    /// for DC3's quadratic programs; 1e-4 for power flow, 1e-2 for HardNet's one-dimensional
    /// problems, 1e-13 for SnareNet's QCQP.
    pub learning_rate: f64,
    /// Share of the last step in the next, in [0, 1). Default 0.5.
    pub momentum: f64,
    /// The largest violation at which a sample counts as converged. Default 1e-4.
    pub tolerance: f64,
    /// Newton steps of a completion of equality rows that are not affine. Default 50.
    pub newton_iterations: usize,
    /// The largest residual of such rows at which Newton's method stops. Default 1e-10; published is
    /// 1e-5.
    pub newton_tolerance: f64,
}

/// What [`crate::Dc3`] does about equality rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Completion {
    /// Some variables are kept and the others computed from them, so that every equality holds.
    #[default]
    Equalities,
    /// Nothing: equality rows are corrected like the others (`corrMode full` in the published code).
    None,
}

impl Default for Dc3Settings {
    fn default() -> Self {
        Self {
            completion: Completion::Equalities,
            partial: None,
            train_steps: 10,
            test_steps: 10,
            learning_rate: 1e-7,
            momentum: 0.5,
            tolerance: 1e-4,
            newton_iterations: 50,
            newton_tolerance: 1e-10,
        }
    }
}

impl Dc3Settings {
    /// Checks every field's range, but `partial`, which the constraints decide.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), Error> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let checks = [
            (
                "learning_rate",
                self.learning_rate,
                positive(self.learning_rate),
                "finite and above 0",
            ),
            (
                "momentum",
                self.momentum,
                (0.0..1.0).contains(&self.momentum),
                "at least 0 and below 1",
            ),
            (
                "tolerance",
                self.tolerance,
                self.tolerance >= 0.0 && self.tolerance.is_finite(),
                "finite and at least 0",
            ),
            (
                "newton_iterations",
                self.newton_iterations as f64,
                self.newton_iterations > 0,
                "at least 1",
            ),
            (
                "newton_tolerance",
                self.newton_tolerance,
                positive(self.newton_tolerance),
                "finite and above 0",
            ),
        ];
        match checks.into_iter().find(|(_, _, valid, _)| !valid) {
            None => Ok(()),
            Some((setting, value, _, expected)) => Err(Error::Setting {
                setting,
                got: value.to_string(),
                expected,
            }),
        }
    }
}
