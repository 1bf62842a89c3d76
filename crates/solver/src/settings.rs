//! Settings of the solve and of its adjoint.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How to solve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Feasibility, stationarity and gap a sample must reach, relative to the size of the terms
    /// that cancel in each residual. Default `1e-9`; the polish usually reaches `1e-13`.
    pub tolerance: f64,
    /// How convincing a certificate of infeasibility must be: the certificate's own residual
    /// relative to its value. Default `1e-8`.
    pub infeasibility_tolerance: f64,
    /// Relative rounding that the problem's numbers carry. Default [`f64::EPSILON`]; data computed
    /// in single precision has [`f32::EPSILON`], and then an eigenvalue, a pair of mirrored entries,
    /// a redundant row or a lower bound above its upper one may miss by as much more before it counts
    /// as a mistake. Bounds that cross by no more ([`crate::bounds_touch`]) are a row of equal bounds
    /// at their middle, for residuals and derivatives as well.
    pub rounding: f64,
    /// Interior-point iterations before [`crate::Status::MaxIterations`]. Default 100.
    pub max_iterations: usize,
    /// Which algorithm starts. Default [`Method::Auto`].
    pub method: Method,
    /// What becomes of samples whose constraints contradict each other. Default
    /// [`Infeasible::Report`].
    pub infeasible: Infeasible,
    /// What becomes of samples with a lower bound above its upper one by more than rounding. Default
    /// [`CrossedBounds::Refuse`].
    pub crossed_bounds: CrossedBounds,
}

/// What becomes of a sample with a lower bound above its upper one by more than
/// [`Settings::rounding`] explains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CrossedBounds {
    /// The whole call is an [`Error::CrossedBounds`] that names the sample and the row: most often
    /// bounds were mixed up. Under [`Infeasible::Elastic`] as [`CrossedBounds::Infeasible`].
    #[default]
    Refuse,
    /// The sample is one whose constraints contradict each other, with the two bounds as its
    /// [`crate::Solution::conflict`], and is dealt with as [`Settings::infeasible`] says: for bounds
    /// that are computed, by a network or from data.
    Infeasible,
}

/// What becomes of a sample whose constraints contradict each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Infeasible {
    /// It is [`crate::Status::PrimalInfeasible`].
    #[default]
    Report,
    /// Its rows give way at a quadratic price and it becomes [`crate::Status::Relaxed`]: `x`
    /// minimises the objective plus `½ weight ‖shift‖²` over `Ax = b + shift`, `l`, `u` and `c`
    /// shifted alike ([`crate::Solution::shift`]). Bounds that cross contradict each other too: each of
    /// the two has a shift of its own, and where both give way the row is drawn to their middle.
    ///
    /// Derivatives are those of this problem, exact for the weight that is set. As the weight
    /// grows, its solution tends to the point that comes as close to the constraints as any, and
    /// among those has the smallest objective, with a distance in proportion to `1/weight`. Rows
    /// count as they are scaled. Feasible samples are not touched. A sample whose elastic problem
    /// could not be solved either, because the objective is unbounded, the weight so high that its
    /// multipliers drown everything else, or the rows so many that a matrix with one variable a row
    /// would be out of proportion to them (2²⁷ numbers are not), stays infeasible.
    Elastic {
        /// Price of a unit shift in units of the objective; above 0. See
        /// [`Infeasible::ELASTIC`].
        weight: f64,
    },
}

impl Infeasible {
    /// [`Infeasible::Elastic`] with weight `1e6`: for rows of norm near 1 the point is about a
    /// millionth of the objective's slope away from the closest one.
    pub const ELASTIC: Infeasible = Infeasible::Elastic { weight: 1e6 };
}

/// Which algorithm starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Method {
    /// Dual active set for strictly convex QPs, interior point for the rest and for every sample
    /// that the active set hands over.
    Auto,
    /// Interior point throughout.
    InteriorPoint,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            tolerance: 1e-9,
            infeasibility_tolerance: 1e-8,
            rounding: f64::EPSILON,
            max_iterations: 100,
            method: Method::Auto,
            infeasible: Infeasible::Report,
            crossed_bounds: CrossedBounds::Refuse,
        }
    }
}

impl Settings {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), Error> {
        in_open_unit("tolerance", self.tolerance)?;
        in_open_unit("infeasibility_tolerance", self.infeasibility_tolerance)?;
        in_open_unit("rounding", self.rounding)?;
        if self.max_iterations == 0 {
            return Err(Error::Setting {
                setting: "max_iterations",
                value: 0.0,
                must: "at least 1",
            });
        }
        match self.infeasible {
            Infeasible::Elastic { weight } if !(weight > 0.0 && weight.is_finite()) => {
                Err(Error::Setting {
                    setting: "infeasible.weight",
                    value: weight,
                    must: "above 0 and finite",
                })
            }
            _ => Ok(()),
        }
    }

    /// Whether samples with crossed bounds are solved as far as they can be.
    pub(crate) fn takes_crossed_bounds(&self) -> bool {
        self.crossed_bounds == CrossedBounds::Infeasible || self.infeasible != Infeasible::Report
    }

    /// What a sample must reach: no residual is known better than the data.
    pub(crate) fn reachable_tolerance(&self) -> f64 {
        self.tolerance.max(4.0 * self.rounding)
    }

    /// Redundant rows that miss their combination by more than this, relative, contradict it. The
    /// floor is far above what forming the combination loses in double precision.
    pub(crate) fn contradiction(&self) -> f64 {
        (8.0 * self.rounding).max(1e-8)
    }
}

/// What is differentiated where a solution has a kink: where a row touches its bound without force,
/// or several rows hold the point that fewer could hold.
///
/// Everywhere else the derivative is unique and the first three choices return it bit for bit; only
/// [`Degenerate::Smoothed`] changes every sample. A sample with a kink is reported as
/// [`crate::GradientQuality::Degenerate`] under every choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Degenerate {
    /// Every row that touches its bound is held, and the least-norm answer of the resulting system
    /// is taken: rows that say the same share the derivative. Does not depend on which of them the
    /// solver used.
    #[default]
    LeastNorm,
    /// A one-sided derivative: rows that touch without force are held as well, but of rows that
    /// depend on each other only as many as are independent, those with the largest multipliers
    /// first. It is the derivative on the side of the data on which exactly those rows hold.
    Held,
    /// A one-sided derivative: rows that touch without force are let go, and of the others only as
    /// many as are independent. It is the derivative on the side on which exactly those rows hold.
    Released,
    /// The derivative of the point of the central path with complementarity `mu` instead of the
    /// solution's: there every finite bound has `slack · multiplier = mu`, and every cone what
    /// [`crate::cone_adjoint`] says. Smooth in the data, and near every exact derivative when `mu` is
    /// small. Reported as
    /// [`crate::GradientQuality::Smoothed`] where the sample itself has no kink. Where the
    /// constraints have no interior, or Newton's method does not arrive, the answer is that of
    /// [`Degenerate::LeastNorm`], reported as degenerate.
    ///
    /// Costs a factorisation per Newton step, of which random problems need five on average.
    Smoothed {
        /// In units of the objective: the path's point is `mu` times the number of finite bounds
        /// from optimal.
        mu: f64,
    },
}

/// When a gradient counts as exact, and what is returned where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdjointSettings {
    /// A sample whose strict-complementarity margin is below this is
    /// [`crate::GradientQuality::Degenerate`]. Default `1e-8`: with residuals near `1e-13` a
    /// multiplier or slack of that size is still told apart from zero.
    pub degenerate_margin: f64,
    /// Relative residual of the adjoint system above which a gradient is not called exact.
    /// Default `1e-8`.
    pub residual_tolerance: f64,
    /// A normalised active row counts as dependent when its part outside the span of the others is
    /// below this, and the reduced Hessian as singular when an eigenvalue is below this times the
    /// Hessian's largest entry. Default `1e-10`; above it every sample's system is factored for
    /// itself, where it could be that of the batch.
    pub rank_tolerance: f64,
    /// A gradient whose [`crate::GradientReport::condition`] is above this is not called exact: a
    /// small residual then says little about the error. Default `1e13`, which leaves three digits.
    pub condition_limit: f64,
    /// What is differentiated at a kink. Default [`Degenerate::LeastNorm`].
    pub degenerate: Degenerate,
}

impl Default for AdjointSettings {
    fn default() -> Self {
        AdjointSettings {
            degenerate_margin: 1e-8,
            residual_tolerance: 1e-8,
            rank_tolerance: 1e-10,
            condition_limit: 1e13,
            degenerate: Degenerate::LeastNorm,
        }
    }
}

impl AdjointSettings {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), Error> {
        in_open_unit("degenerate_margin", self.degenerate_margin)?;
        in_open_unit("residual_tolerance", self.residual_tolerance)?;
        in_open_unit("rank_tolerance", self.rank_tolerance)?;
        if !(self.condition_limit > 1.0) {
            return Err(Error::Setting {
                setting: "condition_limit",
                value: self.condition_limit,
                must: "above 1",
            });
        }
        match self.degenerate {
            Degenerate::Smoothed { mu } if !(mu > 0.0 && mu.is_finite()) => Err(Error::Setting {
                setting: "degenerate.mu",
                value: mu,
                must: "above 0 and finite",
            }),
            _ => Ok(()),
        }
    }
}

pub(crate) fn in_open_unit(setting: &'static str, value: f64) -> Result<(), Error> {
    if value > 0.0 && value < 1.0 {
        Ok(())
    } else {
        Err(Error::Setting {
            setting,
            value,
            must: "above 0 and below 1",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_range_settings_are_named() {
        assert!(Settings::default().validate().is_ok());
        assert!(AdjointSettings::default().validate().is_ok());
        let bad = Settings {
            tolerance: f64::NAN,
            ..Settings::default()
        };
        assert!(matches!(
            bad.validate(),
            Err(Error::Setting {
                setting: "tolerance",
                ..
            })
        ));
        for mu in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            let bad = AdjointSettings {
                degenerate: Degenerate::Smoothed { mu },
                ..AdjointSettings::default()
            };
            assert!(matches!(
                bad.validate(),
                Err(Error::Setting {
                    setting: "degenerate.mu",
                    ..
                })
            ));
        }
        for weight in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            let bad = Settings {
                infeasible: Infeasible::Elastic { weight },
                ..Settings::default()
            };
            assert!(matches!(
                bad.validate(),
                Err(Error::Setting {
                    setting: "infeasible.weight",
                    ..
                })
            ));
        }
        let bad = Settings {
            max_iterations: 0,
            ..Settings::default()
        };
        assert!(matches!(
            bad.validate(),
            Err(Error::Setting {
                setting: "max_iterations",
                ..
            })
        ));
    }
}
