//! Sharpness, tracked through training against the optimiser's stability threshold.

use feasible_spectrum::{Copies, Eigenpairs, Operator, Settings, Status, Wanted, eigenpairs_from};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::{check_length, positive};

/// The sharpness above which an optimiser is not stable on a quadratic.
///
/// Full-batch gradient descent hovers just above its own (Cohen et al., Gradient descent on neural
/// networks typically occurs at the edge of stability, ICLR 2021, section 2 and appendix B; Adam:
/// Cohen et al., Adaptive gradient methods at the edge of stability, 2022, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StabilityThreshold {
    /// `2/η`.
    GradientDescent {
        /// η.
        learning_rate: f64,
    },
    /// `(2 + 2β)/η`: `v ← β v − η g`, `θ ← θ + v`.
    Polyak {
        /// η.
        learning_rate: f64,
        /// β.
        momentum: f64,
    },
    /// `(2 + 2β)/(η (1 + 2β))`.
    Nesterov {
        /// η.
        learning_rate: f64,
        /// β.
        momentum: f64,
    },
    /// `(2 + 2β₁)/((1 − β₁) η)`, which is `38/η` for `β₁ = 0.9`: to be compared with the
    /// preconditioned sharpness, [`SharpnessTracker::measure_preconditioned`].
    Adam {
        /// η.
        learning_rate: f64,
        /// β₁.
        momentum: f64,
    },
}

impl StabilityThreshold {
    /// The threshold.
    ///
    /// # Errors
    /// [`Error::Setting`] if the learning rate is not above 0, or the momentum not at least 0 and
    /// below 1.
    pub fn value(self) -> Result<f64, Error> {
        let (rate, beta) = match self {
            Self::GradientDescent { learning_rate } => (learning_rate, 0.0),
            Self::Polyak {
                learning_rate,
                momentum,
            }
            | Self::Nesterov {
                learning_rate,
                momentum,
            }
            | Self::Adam {
                learning_rate,
                momentum,
            } => (learning_rate, momentum),
        };
        positive("learning_rate", rate)?;
        if !(0.0..1.0).contains(&beta) {
            return Err(Error::Setting {
                setting: "momentum",
                value: beta,
                must: "at least 0 and below 1",
            });
        }
        let polyak = (2.0 + 2.0 * beta) / rate;
        Ok(match self {
            Self::GradientDescent { .. } | Self::Polyak { .. } => polyak,
            Self::Nesterov { .. } => polyak / (1.0 + 2.0 * beta),
            Self::Adam { .. } => polyak / (1.0 - beta),
        })
    }
}

/// Adam's preconditioner `√(v/(1 − β₂^t)) + ε` from its second moments `v`, `[n]`, after step `t`.
///
/// # Errors
/// [`Error::Argument`] if a moment is negative or NaN, or `step` is 0.
pub fn adam_preconditioner(
    second_moments: &[f64],
    beta2: f64,
    epsilon: f64,
    step: u32,
) -> Result<Vec<f64>, Error> {
    if step == 0 {
        return Err(Error::argument("step", "is 0 but must be at least 1"));
    }
    if let Some(bad) = second_moments.iter().find(|v| !(**v >= 0.0)) {
        let problem = format!("has {bad}; all must be at least 0");
        return Err(Error::argument("second_moments", problem));
    }
    let correction = 1.0 - beta2.powf(f64::from(step));
    Ok(second_moments
        .iter()
        .map(|v| (v / correction).sqrt() + epsilon)
        .collect())
}

/// The ends of a Hessian's spectrum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sharpness {
    /// The largest algebraic eigenvalue, which is not the largest in magnitude. Undefined if a
    /// product was not finite or the Hessian was not symmetric.
    pub largest: Option<f64>,
    /// `‖Hv − λv‖` for its unit eigenvector, from a product of its own.
    pub residual: Option<f64>,
    /// The largest ones, as many as were asked for, in descending order.
    pub top: Vec<f64>,
    /// The smallest one, where it was asked for.
    pub smallest: Option<f64>,
    /// Hessian-vector products used.
    pub products: usize,
    /// How the search ended.
    pub status: Status,
    /// Asymmetry seen on the way, as [`Eigenpairs::symmetry_defect`].
    pub symmetry_defect: f64,
}

/// Measures sharpness again and again as training goes on, each time from the eigenvectors of the
/// time before.
#[derive(Clone, Debug)]
pub struct SharpnessTracker {
    count: usize,
    smallest: bool,
    settings: Settings,
    vectors: Vec<f64>,
}

impl SharpnessTracker {
    /// A tracker of the `count` largest eigenvalues.
    ///
    /// # Errors
    /// [`Error::Spectrum`] if a setting is out of its range.
    pub fn new(count: usize, settings: Settings) -> Result<Self, Error> {
        settings.validate(count)?;
        Ok(Self {
            count,
            smallest: false,
            settings,
            vectors: Vec::new(),
        })
    }

    /// Settings for products by differences in f64: residuals of 1e-6 relative, products that carry
    /// 1e-9 of rounding, one Krylov space.
    pub fn difference_settings() -> Settings {
        Settings {
            tolerance: 1e-6,
            rounding: 1e-9,
            asymmetry: 1e-4,
            copies: Copies::Trust,
            ..Settings::default()
        }
    }

    /// The smallest eigenvalue as well.
    #[must_use]
    pub fn with_smallest(mut self) -> Self {
        self.smallest = true;
        self
    }

    /// The sharpness of an operator: of the loss's Hessian.
    ///
    /// # Errors
    /// As [`eigenpairs_from`].
    pub fn measure(&mut self, operator: &mut dyn Operator) -> Result<Sharpness, Error> {
        Ok(self.eigenpairs(operator)?.0)
    }

    /// The preconditioned sharpness: the largest eigenvalue of `P⁻¹ H` for a positive diagonal `P`,
    /// `[n]`, such as [`adam_preconditioner`]'s.
    ///
    /// # Errors
    /// As [`eigenpairs_from`], and if `P` has entries that are not above 0.
    pub fn measure_preconditioned(
        &mut self,
        operator: &mut dyn Operator,
        diagonal: &[f64],
    ) -> Result<Sharpness, Error> {
        check_length("diagonal", diagonal.len(), operator.dim())?;
        let mut preconditioned = feasible_spectrum::Preconditioned::new(operator, diagonal)?;
        self.measure(&mut preconditioned)
    }

    /// As [`SharpnessTracker::measure`], with everything that was found: eigenvectors for a plane, say.
    ///
    /// # Errors
    /// As [`eigenpairs_from`].
    pub fn eigenpairs(
        &mut self,
        operator: &mut dyn Operator,
    ) -> Result<(Sharpness, Eigenpairs), Error> {
        let n = operator.dim();
        if !self.vectors.len().is_multiple_of(n.max(1)) {
            self.vectors.clear();
        }
        let top = self.count;
        let wanted = if self.smallest {
            Wanted::BothEnds { top, bottom: 1 }
        } else {
            Wanted::Top(top)
        };
        let found = eigenpairs_from(operator, wanted, &self.settings, &self.vectors)?;
        let usable = !matches!(found.status, Status::NotFinite | Status::Asymmetric)
            && found.pairs.len() == wanted.count();
        let mut values = found.values();
        if !usable {
            values.clear();
        }
        let smallest = if self.smallest { values.pop() } else { None };
        let sharpness = Sharpness {
            largest: values.first().copied(),
            residual: usable
                .then(|| found.pairs.first().map(|p| p.residual))
                .flatten()
                .filter(|r| r.is_finite()),
            top: values,
            smallest,
            products: found.products,
            status: found.status,
            symmetry_defect: found.symmetry_defect,
        };
        if usable {
            self.vectors.clone_from(&found.vectors);
        }
        Ok((sharpness, found))
    }
}
