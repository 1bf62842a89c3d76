use feasible_core::Error;
use feasible_nls::{Backward, Damping, Settings, Stopping};
use feasible_solver::damped::{DampedSettings, RowPolicy, RowWeights};
use serde::{Deserialize, Serialize};

/// How [`crate::SnareNet`] iterates. The defaults are the published ones, but for stopping.
///
/// The tolerance suits f64; in f32 use 1e-5 or more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SnareNetSettings {
    /// Iterations before a sample is returned as it is. Default 100.
    pub max_iterations: usize,
    /// A sample stops when its largest residual, or the largest component of its step, is below
    /// this. Absolute, although the publication's code calls it `rtol`. Default 1e-8.
    pub tolerance: f64,
    /// λ ≥ 0, constant. 0 takes the shortest Newton step. Default 1e-2.
    pub damping: f64,
    /// Which rows take part in a step. Default all, as published.
    pub rows: RowPolicy,
    /// Whose residual and step the tolerance is compared with. Default per sample;
    /// [`Stopping::WholeBatch`] as published.
    pub stopping: Stopping,
    /// Row weights in the step. Default uniform, as published.
    pub weights: RowWeights,
    /// How the output is differentiated. Default through the iterations, as published.
    pub gradient: Gradient,
    /// The most that a step may change a variable; components beyond are clamped. Default none;
    /// published with `trust_region` is 1.
    pub trust_region: Option<f64>,
    /// Find steps by so many iterations of conjugate gradients, preconditioned by the diagonal, to a
    /// relative residual of 1e-3. Default none: by a factorisation; published with `is_cg` is 10.
    pub conjugate_gradient: Option<usize>,
}

/// How the output of [`crate::SnareNet`] is differentiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gradient {
    /// Through all iterations as they were run, the dependence of J on y included. Exact for what was
    /// computed; memory and time grow with the iterations.
    #[default]
    Unrolled,
    /// Of where the iterations lead, from the rows at the output alone: see [`crate::SnareNet`]. One
    /// factor a sample, whatever the number of iterations; exact for affine rows, and else right to
    /// first order in the distance of input and output, of which [`crate::Repaired::gradient`] tells.
    Implicit,
}

impl Default for SnareNetSettings {
    fn default() -> Self {
        Self {
            max_iterations: 100,
            tolerance: 1e-8,
            damping: 1e-2,
            rows: RowPolicy::All,
            stopping: Stopping::PerSample,
            weights: RowWeights::Uniform,
            gradient: Gradient::Unrolled,
            trust_region: None,
            conjugate_gradient: None,
        }
    }
}

impl SnareNetSettings {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), Error> {
        let tolerance = self.tolerance;
        if !(tolerance >= 0.0 && tolerance.is_finite()) {
            let expected = "finite and at least 0";
            return Err(Error::Setting {
                setting: "tolerance",
                got: tolerance.to_string(),
                expected,
            });
        }
        if let Some(most) = self
            .trust_region
            .filter(|most| !(*most > 0.0 && most.is_finite()))
        {
            return Err(Error::Setting {
                setting: "trust_region",
                got: most.to_string(),
                expected: "finite and above 0",
            });
        }
        if self.conjugate_gradient == Some(0) {
            return Err(Error::Setting {
                setting: "conjugate_gradient",
                got: "0".into(),
                expected: "at least 1",
            });
        }
        self.least_squares().validate()
    }

    /// The same iteration in the words of the host path.
    pub(crate) fn damped(&self) -> DampedSettings {
        DampedSettings {
            damping: self.damping,
            tolerance: self.tolerance,
            max_iterations: self.max_iterations,
            rows: self.rows,
            weights: self.weights,
            stopping: self.stopping,
        }
    }

    /// The same iteration in the words of the least-squares solver.
    pub(crate) fn least_squares(&self) -> Settings {
        Settings {
            max_iterations: self.max_iterations,
            damping: Damping::Fixed(self.damping),
            residual_tolerance: self.tolerance,
            step_tolerance: self.tolerance,
            stopping: self.stopping,
            backward: Backward::Unrolled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_range_settings_are_named() {
        let default = SnareNetSettings::default();
        default.validate().unwrap();
        SnareNetSettings {
            damping: 0.0,
            ..default
        }
        .validate()
        .unwrap();
        for (bad, expected) in [
            (
                SnareNetSettings {
                    max_iterations: 0,
                    ..default
                },
                "max_iterations",
            ),
            (
                SnareNetSettings {
                    tolerance: f64::NAN,
                    ..default
                },
                "tolerance",
            ),
            (
                SnareNetSettings {
                    damping: -1.0,
                    ..default
                },
                "damping",
            ),
            (
                SnareNetSettings {
                    trust_region: Some(0.0),
                    ..default
                },
                "trust_region",
            ),
            (
                SnareNetSettings {
                    conjugate_gradient: Some(0),
                    ..default
                },
                "conjugate_gradient",
            ),
        ] {
            assert!(
                matches!(bad.validate(), Err(Error::Setting { setting, .. }) if setting == expected),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn settings_survive_a_file_and_fill_in_defaults() {
        let settings = SnareNetSettings {
            rows: RowPolicy::Violated,
            ..SnareNetSettings::default()
        };
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(
            serde_json::from_str::<SnareNetSettings>(&text).unwrap(),
            settings
        );
        let partial: SnareNetSettings = serde_json::from_str(r#"{"rows": "violated"}"#).unwrap();
        assert_eq!(partial, settings);
    }
}
