use super::method::SafeguardConfig;
use feasible_repair::{Dc3Settings, FsNetSettings, PiNetSettings, RaySettings, SnareNetSettings};

use crate::Error;

/// What is done to the raw prediction.
#[derive(Debug, Clone, PartialEq)]
pub enum MethodKind {
    /// Nothing: only the penalty acts.
    Soft,
    /// The Euclidean projection onto the constraints, which must be convex.
    Projection,
    /// The same, under the name of the first layer that did it.
    OptNet,
    /// SnareNet's Newton-type repair.
    SnareNet(SnareNetSettings),
    /// HardNet-Aff: the closed form for affine rows.
    HardNetAff,
    /// HardNet-Cvx: the projection.
    HardNetCvx,
    /// HardNet++: SnareNet's step with other defaults.
    HardNetPlusPlus(SnareNetSettings),
    /// DC3: completion and correction.
    Dc3(Dc3Settings),
    /// Π-net: operator splitting for affine rows.
    PiNet(PiNetSettings),
    /// FSNet: L-BFGS on the violation.
    FsNet(FsNetSettings),
    /// RAYEN: back to the boundary along the ray from an interior point.
    Rayen(RaySettings),
    /// The gauge map: a cube scaled onto the set from an interior point.
    GaugeMap(RaySettings),
}

impl MethodKind {
    /// Its name in study files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Projection => "projection",
            Self::OptNet => "optnet",
            Self::SnareNet(_) => "snarenet",
            Self::HardNetAff => "hardnet-aff",
            Self::HardNetCvx => "hardnet-cvx",
            Self::HardNetPlusPlus(_) => "hardnet++",
            Self::Dc3(_) => "dc3",
            Self::PiNet(_) => "pinet",
            Self::FsNet(_) => "fsnet",
            Self::Rayen(_) => "rayen",
            Self::GaugeMap(_) => "gauge-map",
        }
    }

    /// ρ of the published loss.
    pub(super) fn published_distance_weight(&self) -> f64 {
        match self {
            // The published code's 5 has no half before it.
            Self::FsNet(_) => 10.0,
            _ => 0.0,
        }
    }

    /// The published loss's term for outputs far from the constraints.
    pub(super) fn published_safeguard(&self) -> SafeguardConfig {
        SafeguardConfig {
            weight: match self {
                Self::FsNet(_) => 10.0,
                _ => 0.0,
            },
            ..SafeguardConfig::default()
        }
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        let checked = match self {
            Self::Soft | Self::Projection | Self::OptNet | Self::HardNetAff | Self::HardNetCvx => {
                return Ok(());
            }
            Self::SnareNet(settings) | Self::HardNetPlusPlus(settings) => settings.validate(),
            Self::Dc3(settings) => settings.validate(),
            Self::PiNet(settings) => settings.validate(),
            Self::FsNet(settings) => settings.validate(),
            Self::Rayen(settings) | Self::GaugeMap(settings) => settings.validate(),
        };
        checked.map_err(|error| match error {
            feasible_core::Error::Setting {
                setting,
                got,
                expected,
            } => Error::value(format!("method.{setting}"), got, expected),
            other => other.into(),
        })
    }
}
