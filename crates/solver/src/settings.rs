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
    /// Interior-point iterations before [`crate::Status::MaxIterations`]. Default 100.
    pub max_iterations: usize,
    /// Which algorithm starts. Default [`Method::Auto`].
    pub method: Method,
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
            max_iterations: 100,
            method: Method::Auto,
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
        if self.max_iterations == 0 {
            return Err(Error::Setting {
                setting: "max_iterations",
                value: 0.0,
                must: "at least 1",
            });
        }
        Ok(())
    }
}

/// When a gradient counts as exact.
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
    /// Singular values below this times the largest count as zero when active rows or the reduced
    /// Hessian are rank deficient. Default `1e-10`.
    pub rank_tolerance: f64,
}

impl Default for AdjointSettings {
    fn default() -> Self {
        AdjointSettings {
            degenerate_margin: 1e-8,
            residual_tolerance: 1e-8,
            rank_tolerance: 1e-10,
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
        in_open_unit("rank_tolerance", self.rank_tolerance)
    }
}

fn in_open_unit(setting: &'static str, value: f64) -> Result<(), Error> {
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
