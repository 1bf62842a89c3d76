use feasible_core::Error;
use serde::{Deserialize, Serialize};

/// How [`crate::PiNet`] iterates and is differentiated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PiNetSettings {
    /// σ > 0: weight of staying near the input in the second proximal step. Changes the speed, not
    /// the limit. Default 1.
    pub sigma: f64,
    /// ω in (0, 2), the relaxation of the splitting. Default 1.7.
    pub omega: f64,
    /// Passes of Ruiz's scaling of the lifted rows and columns, where the batch shares the matrix. Default
    /// 0, as in the published code, where its tuned runs have 25; lifted inequality rows are then divided
    /// by their length, which the published code does not do. It changes the speed, not the limit.
    pub equilibration: usize,
    /// Lengths that differ by less than this share of the longest end the passes. Default 1e-3, as in the
    /// published code.
    pub equilibration_tolerance: f64,
    /// Iterations before a sample is returned as it is. Default 1000; published are 50 to 1000 by
    /// problem, all of them taken.
    pub max_iterations: usize,
    /// A sample stops when its two projections differ by no more than this in any entry, which is
    /// then also the violation of an inequality. Default 1e-7; published runs do not stop.
    pub tolerance: f64,
    /// BiCGSTAB iterations of the backward pass before its system is factored. Default 0: for the few
    /// hundred variables that a dense matrix suits, the factorisation costs what 25 iterations do, and is
    /// exact. Published is 25 or 200, and what they give is taken.
    pub backward_iterations: usize,
    /// Relative residual at which BiCGSTAB stops. Default 1e-11.
    pub backward_tolerance: f64,
}

impl Default for PiNetSettings {
    fn default() -> Self {
        Self {
            sigma: 1.0,
            omega: 1.7,
            equilibration: 0,
            equilibration_tolerance: 1e-3,
            max_iterations: 1000,
            tolerance: 1e-7,
            backward_iterations: 0,
            backward_tolerance: 1e-11,
        }
    }
}

impl PiNetSettings {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), Error> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let checks = [
            (
                "sigma",
                self.sigma,
                positive(self.sigma),
                "finite and above 0",
            ),
            (
                "omega",
                self.omega,
                self.omega > 0.0 && self.omega < 2.0,
                "between 0 and 2, neither of them",
            ),
            (
                "max_iterations",
                self.max_iterations as f64,
                self.max_iterations > 0,
                "at least 1",
            ),
            (
                "tolerance",
                self.tolerance,
                self.tolerance >= 0.0 && self.tolerance.is_finite(),
                "finite and at least 0",
            ),
            (
                "equilibration_tolerance",
                self.equilibration_tolerance,
                positive(self.equilibration_tolerance),
                "finite and above 0",
            ),
            (
                "backward_tolerance",
                self.backward_tolerance,
                positive(self.backward_tolerance),
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
