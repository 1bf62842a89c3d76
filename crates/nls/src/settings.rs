use feasible_core::Error;
use feasible_solver::damped::Stopping;
use serde::{Deserialize, Serialize};

/// How [`crate::LevenbergMarquardt`] iterates, stops and is differentiated.
///
/// Tolerances are absolute, in the units of the residual and of the variables. The defaults suit
/// f64; in f32 a residual of size one cannot be told from zero below about 1e-7, so tolerances
/// there should be 1e-5 or more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Iterations before [`crate::Status::MaxIterations`], rejected ones included. Default 100.
    pub max_iterations: usize,
    /// The damping λ. Default adaptive.
    pub damping: Damping,
    /// A sample stops when max|r| is below this, weights not included; 0 never stops. Default 1e-8.
    pub residual_tolerance: f64,
    /// A sample stops when max|Δ| of its step is below this; 0 never stops. Default 1e-8.
    pub step_tolerance: f64,
    /// Whose residual and step the tolerances are compared with. Default per sample.
    pub stopping: Stopping,
    /// How the solution is differentiated. Default unrolled.
    pub backward: Backward,
}

/// The damping λ ≥ 0 in (JᵀW²J + λI)Δ = JᵀW²r.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damping {
    /// Constant, with every step taken. λ = 0 is Gauss-Newton: the least-squares step, or the
    /// shortest one where there are fewer rows than variables.
    Fixed(f64),
    /// Changed by how well the linearisation predicted each step.
    Adaptive(AdaptiveDamping),
}

/// Damping by the gain ratio, sample by sample: ρ = (cost − new cost) / (½ Δᵀ(λΔ + JᵀW²r)).
///
/// A step with ρ above `accept` is taken and λ divided by `down`; another is rejected, the sample
/// keeps its variables, and λ is multiplied by `up`. Reference: Gavin, The Levenberg-Marquardt
/// algorithm for nonlinear least squares curve-fitting problems, method 1, with the constants of
/// Theseus. Unlike there, an iteration in which every sample is rejected counts towards
/// `max_iterations`, a rejected step is never taken for convergence, and a step whose effect on the
/// cost is below rounding is taken with λ kept. Damping is spherical, λI; Theseus's ellipsoidal
/// option, λ diag(JᵀJ), is not offered: row scales ([`crate::Weights::RowScales`]) are the remedy
/// here for rows of different size, and for variables of different size there is none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdaptiveDamping {
    /// λ of the first iteration. Default 1e-3.
    pub initial: f64,
    /// Factor after a rejection, above 1. Default 11.
    pub up: f64,
    /// Divisor after an acceptance, above 1. Default 9.
    pub down: f64,
    /// Smallest gain ratio that is accepted, in [0, 1). Default 0.1.
    pub accept: f64,
    /// Lower end of λ. Default 1e-7.
    pub min: f64,
    /// Upper end of λ. Default 1e7.
    pub max: f64,
}

/// How gradients of the solution are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backward {
    /// Through all iterations as they were run, the dependence of the Jacobian on the variables
    /// included. Exact for what was computed; memory and time grow with the iterations.
    #[default]
    Unrolled,
    /// By the stationarity condition JᵀW²r = 0 at the solution, with the exact Hessian
    /// JᵀW²J + Σ wᵢ²rᵢ∇²rᵢ. The iterations are not recorded, and the start gets no gradient (but
    /// through row scales computed there).
    ///
    /// Right where the Hessian is nonsingular. Where it is singular, as with fewer rows than
    /// variables, the gradient is the least-norm one: right up to the part of the solution that
    /// only the start decides, and reported as [`crate::GradientQuality::Degenerate`].
    Implicit,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_iterations: 100,
            damping: Damping::default(),
            residual_tolerance: 1e-8,
            step_tolerance: 1e-8,
            stopping: Stopping::default(),
            backward: Backward::default(),
        }
    }
}

impl Default for Damping {
    fn default() -> Self {
        Self::Adaptive(AdaptiveDamping::default())
    }
}

impl Default for AdaptiveDamping {
    fn default() -> Self {
        Self {
            initial: 1e-3,
            up: 11.0,
            down: 9.0,
            accept: 0.1,
            min: 1e-7,
            max: 1e7,
        }
    }
}

impl Settings {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), Error> {
        check(
            "max_iterations",
            self.max_iterations as f64,
            self.max_iterations > 0,
            "at least 1",
        )?;
        self.damping.validate()?;
        non_negative("residual_tolerance", self.residual_tolerance)?;
        non_negative("step_tolerance", self.step_tolerance)
    }
}

impl Damping {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), Error> {
        match self {
            Self::Fixed(lambda) => non_negative("damping", *lambda),
            Self::Adaptive(adaptive) => adaptive.validate(),
        }
    }

    /// λ of the first iteration.
    pub(crate) fn initial(&self) -> f64 {
        match self {
            Self::Fixed(lambda) => *lambda,
            Self::Adaptive(adaptive) => adaptive.initial,
        }
    }
}

impl AdaptiveDamping {
    fn validate(&self) -> Result<(), Error> {
        let Self {
            initial,
            up,
            down,
            accept,
            min,
            max,
        } = *self;
        check(
            "damping.min",
            min,
            min > 0.0 && min.is_finite(),
            "finite and above 0",
        )?;
        check(
            "damping.max",
            max,
            max >= min && max.is_finite(),
            "finite and at least `damping.min`",
        )?;
        check(
            "damping.initial",
            initial,
            (min..=max).contains(&initial),
            "between `damping.min` and `damping.max`",
        )?;
        check(
            "damping.up",
            up,
            up > 1.0 && up.is_finite(),
            "finite and above 1",
        )?;
        check(
            "damping.down",
            down,
            down > 1.0 && down.is_finite(),
            "finite and above 1",
        )?;
        check(
            "damping.accept",
            accept,
            (0.0..1.0).contains(&accept),
            "at least 0 and below 1",
        )
    }

    /// λ after a step was taken or rejected.
    pub(crate) fn update(&self, lambda: f64, accepted: bool) -> f64 {
        let next = if accepted {
            lambda / self.down
        } else {
            lambda * self.up
        };
        next.clamp(self.min, self.max)
    }
}

fn non_negative(setting: &'static str, value: f64) -> Result<(), Error> {
    check(
        setting,
        value,
        value >= 0.0 && value.is_finite(),
        "finite and at least 0",
    )
}

fn check(
    setting: &'static str,
    value: f64,
    valid: bool,
    expected: &'static str,
) -> Result<(), Error> {
    if valid {
        Ok(())
    } else {
        Err(Error::Setting {
            setting,
            got: value.to_string(),
            expected,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(settings: Settings) -> &'static str {
        match settings.validate() {
            Err(Error::Setting { setting, .. }) => setting,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn out_of_range_settings_are_named() {
        let default = Settings::default();
        default.validate().unwrap();
        Settings {
            damping: Damping::Fixed(0.0),
            ..default
        }
        .validate()
        .unwrap();
        assert_eq!(
            refused(Settings {
                max_iterations: 0,
                ..default
            }),
            "max_iterations"
        );
        assert_eq!(
            refused(Settings {
                damping: Damping::Fixed(f64::NAN),
                ..default
            }),
            "damping"
        );
        assert_eq!(
            refused(Settings {
                residual_tolerance: -1.0,
                ..default
            }),
            "residual_tolerance"
        );
        assert_eq!(
            refused(Settings {
                step_tolerance: f64::INFINITY,
                ..default
            }),
            "step_tolerance"
        );
        let adaptive = AdaptiveDamping::default();
        for (bad, setting) in [
            (
                AdaptiveDamping {
                    min: 0.0,
                    ..adaptive
                },
                "damping.min",
            ),
            (
                AdaptiveDamping {
                    max: 1e-9,
                    ..adaptive
                },
                "damping.max",
            ),
            (
                AdaptiveDamping {
                    initial: 1e9,
                    ..adaptive
                },
                "damping.initial",
            ),
            (
                AdaptiveDamping {
                    up: 1.0,
                    ..adaptive
                },
                "damping.up",
            ),
            (
                AdaptiveDamping {
                    down: f64::NAN,
                    ..adaptive
                },
                "damping.down",
            ),
            (
                AdaptiveDamping {
                    accept: 1.0,
                    ..adaptive
                },
                "damping.accept",
            ),
        ] {
            assert_eq!(
                refused(Settings {
                    damping: Damping::Adaptive(bad),
                    ..default
                }),
                setting
            );
        }
    }

    #[test]
    fn adaptive_damping_moves_by_its_factors_and_stays_in_its_range() {
        let adaptive = AdaptiveDamping::default();
        assert_eq!(adaptive.update(9.0, true), 1.0);
        assert_eq!(adaptive.update(1.0, false), 11.0);
        assert_eq!(adaptive.update(1e-7, true), 1e-7);
        assert_eq!(adaptive.update(1e7, false), 1e7);
    }
}
