//! Methods that look from an interior point: RAYEN and the gauge map.

mod cones;
mod gauge;
mod interior;
mod settings;
mod view;

pub use cones::RayCone;
pub use settings::RaySettings;

use burn::tensor::activation::relu;
use burn::tensor::{Tensor, activation::tanh};
use feasible_core::{Constraints, host};
use feasible_nls::Status;

use crate::start::{measure, start};
use crate::{Error, Repaired};
use view::{Kept, View};

/// RAYEN: an output beyond the boundary of a convex set is drawn back along the ray from an interior
/// point.
///
/// # Problem
///
/// Affine rows, convex quadratic rows yᵀHy + aᵀy ≤ u, second-order cones and linear matrix
/// inequalities, with an interior; equalities affine.
///
/// # Method
///
/// y = z₀ + d/max(1, γ(d)) with d the part of ŷ − z₀ that keeps the equalities, and γ the gauge of the
/// set at z₀: the reciprocal of how far the boundary is along d, the largest over the constraints of
///
/// - affine: ReLU(aᵀd)/(u − aᵀz₀);
/// - quadratic and second-order cone: the positive root of a quadratic equation;
/// - matrix inequality: the largest eigenvalue of −L⁻¹(Σ dᵢFᵢ)L⁻ᵀ, LLᵀ = F(z₀).
///
/// A feasible ŷ is untouched. Published is v in place of ŷ − z₀ for the network's output v: the same
/// but for the last layer's bias.
///
/// # Adjoint
///
/// That of the formula, with z₀ a constant. Beyond the boundary the gradient along d is zero.
///
/// # Shapes
///
/// Input and output `[batch, n]`, ε `[m]`, which widens inequality rows only.
///
/// # Errors
///
/// Rows that are not of these kinds, cones that do not fit, wrong shapes, numbers that are not finite.
/// A sample without an interior, or outside which a given point is, is [`Status::Singular`] and its
/// output is not feasible.
///
/// # Cost
///
/// g and J once at z₀, products with d, an eigenvalue for each matrix inequality and sample. Where the
/// box or the rows differ between samples, z₀ is found for each by a convex program: the published
/// method is for fixed sets.
///
/// # Reference
///
/// Tordesillas, How and Hutter, RAYEN: Imposition of Hard Convex Constraints on Neural Networks, arXiv
/// 2307.08336: z = z₀ + min(1/κ, ‖v‖) v/‖v‖ with κ the gauge of v/‖v‖, in the published code
/// `forwardForRAYEN` and `computeKappa` of `rayen/constraint_module.py`.
#[derive(Debug, Clone)]
pub struct Rayen {
    settings: RaySettings,
    cones: Vec<RayCone>,
    kept: Kept,
}

/// The gauge map: the cube that a tanh fills, scaled radially onto a convex set.
///
/// # Problem
///
/// As [`Rayen`]'s, without cones; the set must be bounded. Published for polytopes.
///
/// # Method
///
/// y = z₀ + (‖v‖_∞/γ(v)) v with v = tanh(ŷ) in the cube [−1, 1]ⁿ: the boundary of the cube goes to the
/// boundary of the set, the inside to the inside. With equalities v = N tanh(Nᵀŷ) for an orthonormal
/// basis N of the directions that keep them, and ‖·‖_∞ is that of the coordinates.
///
/// Every output is inside, whatever ŷ, and none is left as it was: the network has to learn through the
/// map.
///
/// # Adjoint, shapes, errors, cost
///
/// As [`Rayen`]'s; a sample whose set is unbounded along v is [`Status::NonFinite`].
///
/// # Reference
///
/// Tabas and Zhang, Computationally efficient safe reinforcement learning for power systems, ACC 2022, the
/// gauge map from the ball of ‖·‖_∞ onto a polytope with an interior point;
/// Li, Kolouri and Mohammadi, Learning to solve optimization problems with hard linear constraints
/// (LOOP-LC), IEEE Access 2023.
#[derive(Debug, Clone)]
pub struct GaugeMap {
    settings: RaySettings,
    kept: Kept,
}

impl Rayen {
    /// A layer with these settings.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(settings: RaySettings) -> Result<Self, Error> {
        settings.validate()?;
        Ok(Self {
            settings,
            cones: vec![],
            kept: Kept::default(),
        })
    }

    /// The same layer with further convex sets. The interior point must then be given.
    ///
    /// # Errors
    /// If there are cones and no interior point.
    pub fn with_cones(self, cones: Vec<RayCone>) -> Result<Self, Error> {
        if !cones.is_empty() && self.settings.interior.is_none() {
            return Err(feasible_core::Error::Setting {
                setting: "interior",
                got: "absent".into(),
                expected: "given where there are cones",
            }
            .into());
        }
        Ok(Self { cones, ..self })
    }

    /// The settings.
    pub fn settings(&self) -> &RaySettings {
        &self.settings
    }

    /// Repairs `y0`, `[batch, n]`, into the box of `constraints`, whose inequality rows `epsilon`,
    /// `[m]`, widens.
    ///
    /// # Errors
    /// As the layer's documentation says.
    pub fn forward(
        &self,
        y0: Tensor<2>,
        constraints: &dyn Constraints,
        epsilon: Option<Tensor<1>>,
    ) -> Result<Repaired, Error> {
        let bounds = start(&y0, constraints, epsilon)?;
        let batch = y0.dims()[0];
        if batch == 0 || (constraints.rows() == 0 && self.cones.is_empty()) {
            return Ok(Repaired::untouched(y0));
        }
        let view = View::new(
            "Rayen",
            &self.settings,
            &self.cones,
            constraints,
            &bounds,
            &y0,
            &self.kept,
        )?;
        let d = view.tangent(y0 - view.z0.clone())?;
        let gauge = view.gauge(&d)?;
        let beyond: Vec<usize> = host::read("gauge", &gauge)?
            .iter()
            .map(|gauge| usize::from(*gauge > 1.0))
            .collect();
        let y = d / (relu(gauge - 1.0) + 1.0) + view.z0.clone();
        let mut residual = measure(constraints, &bounds, &y)?;
        self.measure_cones(&y, &mut residual)?;
        Ok(Repaired {
            gradient: None,
            status: (0..batch)
                .map(|sample| ended(&view, sample, residual[sample], false))
                .collect(),
            iterations: beyond,
            residual,
            y,
        })
    }

    /// Raises every sample's residual to how far outside a cone it is; NaN where that is not a number.
    fn measure_cones(&self, y: &Tensor<2>, residual: &mut [f64]) -> Result<(), Error> {
        if self.cones.is_empty() {
            return Ok(());
        }
        let values = host::read("y", y)?;
        let samples = values.chunks_exact(y.dims()[1]);
        for (residual, z) in residual.iter_mut().zip(samples) {
            let outside = self.cones.iter().map(|cone| -cone.margin(z));
            let all: Vec<f64> = outside.chain([*residual]).collect();
            *residual = match host::all_finite(&all) {
                true => all.into_iter().fold(0.0, f64::max),
                false => f64::NAN,
            };
        }
        Ok(())
    }
}

impl GaugeMap {
    /// A layer with these settings.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(settings: RaySettings) -> Result<Self, Error> {
        settings.validate()?;
        Ok(Self {
            settings,
            kept: Kept::default(),
        })
    }

    /// The settings.
    pub fn settings(&self) -> &RaySettings {
        &self.settings
    }

    /// Maps `y0`, `[batch, n]`, into the box of `constraints`, whose inequality rows `epsilon`, `[m]`,
    /// widens.
    ///
    /// # Errors
    /// As the layer's documentation says.
    pub fn forward(
        &self,
        y0: Tensor<2>,
        constraints: &dyn Constraints,
        epsilon: Option<Tensor<1>>,
    ) -> Result<Repaired, Error> {
        let bounds = start(&y0, constraints, epsilon)?;
        let batch = y0.dims()[0];
        if batch == 0 || constraints.rows() == 0 {
            return Ok(Repaired::untouched(y0));
        }
        let view = View::new(
            "GaugeMap",
            &self.settings,
            &[],
            constraints,
            &bounds,
            &y0,
            &self.kept,
        )?;
        let (cube, d) = match view.basis("GaugeMap")? {
            None => {
                let v = tanh(y0);
                (v.clone(), v)
            }
            // One point: the set of the equalities.
            Some(basis) if basis.dims()[1] == 0 => {
                let v = y0 * 0.0;
                (v.clone(), v)
            }
            Some(basis) => {
                let v = tanh(y0.matmul(basis.clone()));
                (v.clone(), v.matmul(basis.transpose()))
            }
        };
        let gauge = view.gauge(&d)?;
        let length = cube.abs().max_dim(1);
        let numbers = host::read("gauge", &gauge)?;
        let lengths = host::read("length", &length)?;
        // The centre of the cube, and directions without an end, have none to divide by.
        let none = gauge.clone().equal_elem(0.0);
        let factor = length / gauge.mask_fill(none, 1.0);
        let n = d.dims()[1];
        let y = d * factor.expand([batch, n]) + view.z0.clone();
        let residual = measure(constraints, &bounds, &y)?;
        Ok(Repaired {
            gradient: None,
            status: (0..batch)
                .map(|sample| {
                    let unbounded = numbers[sample] == 0.0 && lengths[sample] > 0.0;
                    ended(&view, sample, residual[sample], unbounded)
                })
                .collect(),
            iterations: vec![1; batch],
            residual,
            y,
        })
    }
}

fn ended(view: &View<'_>, sample: usize, residual: f64, unbounded: bool) -> Status {
    if !view.inside(sample) {
        Status::Singular
    } else if residual.is_nan() || unbounded {
        Status::NonFinite
    } else {
        Status::ConvergedByResidual
    }
}
