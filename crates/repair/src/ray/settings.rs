use feasible_core::Error;
use serde::{Deserialize, Serialize};

/// Where [`crate::Rayen`] and [`crate::GaugeMap`] look from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RaySettings {
    /// A point strictly inside every inequality and on every equality, for all samples. Default
    /// found: the point of the largest margin, at most 1.
    pub interior: Option<Vec<f64>>,
    /// The least margin of a found point; a set without such a point has no interior. Default 1e-6.
    pub least_margin: f64,
}

impl Default for RaySettings {
    fn default() -> Self {
        Self {
            interior: None,
            least_margin: 1e-6,
        }
    }
}

impl RaySettings {
    /// Checks every field's range; the length of `interior` the constraints decide.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), Error> {
        if !(self.least_margin > 0.0 && self.least_margin.is_finite()) {
            return Err(Error::Setting {
                setting: "least_margin",
                got: self.least_margin.to_string(),
                expected: "finite and above 0",
            });
        }
        let interior = self.interior.iter().flatten();
        match interior.clone().find(|v| !v.is_finite()) {
            None => Ok(()),
            Some(value) => Err(Error::Setting {
                setting: "interior",
                got: value.to_string(),
                expected: "finite in every entry",
            }),
        }
    }
}
