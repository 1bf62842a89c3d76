use burn::tensor::Tensor;
use feasible_convex::{ConvexSettings, OnFailure, Projection, Status};
use feasible_core::Constraints;
use feasible_repair::{Dc3, FsNet, GaugeMap, HardNetAff, HardNetCvx, PiNet, Rayen, SnareNet};

use crate::Error;
use crate::config::{MethodConfig, MethodKind};

/// A differentiable map from a raw prediction to one that satisfies the constraints, as far as the
/// method goes.
#[derive(Debug)]
pub enum Method {
    /// The identity: the loss's penalty does the rest.
    Soft,
    /// The Euclidean projection.
    Projection(Projection),
    /// SnareNet's repair, and HardNet++'s.
    SnareNet(SnareNet),
    /// HardNet's closed form.
    HardNetAff(HardNetAff),
    /// HardNet's projection.
    HardNetCvx(HardNetCvx),
    /// DC3's completion and correction.
    Dc3(Dc3),
    /// Π-net's splitting.
    PiNet(PiNet),
    /// FSNet's quasi-Newton search.
    FsNet(FsNet),
    /// RAYEN's ray to the boundary.
    Rayen(Rayen),
    /// The gauge map.
    GaugeMap(GaugeMap),
}

/// What a method made of a batch.
#[derive(Debug)]
pub struct Repaired {
    /// The prediction, `[batch, n]`, differentiable in the raw one.
    pub y: Tensor<2>,
    /// The layer's iterations, one per sample; empty for the identity.
    pub iterations: Vec<usize>,
    /// Samples whose layer did not converge. Their prediction is the layer's last iterate.
    pub failed: usize,
}

impl Method {
    /// The method that a table describes.
    ///
    /// # Errors
    /// If the layer refuses its settings.
    pub fn new(config: &MethodConfig) -> Result<Self, Error> {
        Ok(match &config.kind {
            MethodKind::Soft => Self::Soft,
            MethodKind::Projection | MethodKind::OptNet => {
                // A failed sample must not end a run: it is counted instead.
                let settings = ConvexSettings {
                    on_failure: OnFailure::Keep,
                    ..ConvexSettings::default()
                };
                Self::Projection(Projection::new(settings)?)
            }
            MethodKind::SnareNet(settings) | MethodKind::HardNetPlusPlus(settings) => {
                Self::SnareNet(SnareNet::new(*settings)?)
            }
            MethodKind::HardNetAff => Self::HardNetAff(HardNetAff::new()),
            MethodKind::HardNetCvx => Self::HardNetCvx(HardNetCvx::new()),
            MethodKind::Dc3(settings) => Self::Dc3(Dc3::new(settings.clone())?),
            MethodKind::PiNet(settings) => Self::PiNet(PiNet::new(*settings)?),
            MethodKind::FsNet(settings) => Self::FsNet(FsNet::new(*settings)?),
            MethodKind::Rayen(settings) => Self::Rayen(Rayen::new(settings.clone())?),
            MethodKind::GaugeMap(settings) => Self::GaugeMap(GaugeMap::new(settings.clone())?),
        })
    }

    /// Applies the method to `raw`, `[batch, n]`; `epsilon`, `[m]`, widens the box where given.
    ///
    /// # Errors
    /// If the layer refuses its input: a projection onto a set that is not convex, or numbers that
    /// are not finite.
    pub fn apply(
        &self,
        raw: Tensor<2>,
        constraints: &dyn Constraints,
        epsilon: Option<Tensor<1>>,
    ) -> Result<Repaired, Error> {
        let repaired = match self {
            Self::Soft => {
                return Ok(Repaired {
                    y: raw,
                    iterations: Vec::new(),
                    failed: 0,
                });
            }
            Self::Projection(layer) => {
                let projected = match epsilon {
                    Some(epsilon) => layer.forward_relaxed(raw, constraints, epsilon)?,
                    None => layer.forward(raw, constraints)?,
                };
                let unsolved = |status: &&Status| **status != Status::Solved;
                return Ok(Repaired {
                    failed: projected.status.iter().filter(unsolved).count(),
                    y: projected.y,
                    iterations: projected.iterations,
                });
            }
            Self::SnareNet(layer) => layer.forward(raw, constraints, epsilon)?,
            Self::HardNetAff(layer) => layer.forward(raw, constraints, epsilon)?,
            Self::HardNetCvx(layer) => layer.forward(raw, constraints, epsilon)?,
            Self::Dc3(layer) => layer.forward(raw, constraints, epsilon)?,
            Self::PiNet(layer) => layer.forward(raw, constraints, epsilon)?,
            Self::FsNet(layer) => layer.forward(raw, constraints, epsilon)?,
            Self::Rayen(layer) => layer.forward(raw, constraints, epsilon)?,
            Self::GaugeMap(layer) => layer.forward(raw, constraints, epsilon)?,
        };
        let failed = repaired
            .status
            .iter()
            .filter(|status| !status.is_converged());
        Ok(Repaired {
            failed: failed.count(),
            y: repaired.y,
            iterations: repaired.iterations,
        })
    }
}
