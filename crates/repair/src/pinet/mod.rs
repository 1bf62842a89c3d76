//! Π-net: Douglas-Rachford splitting onto affine rows.

mod adjoint;
mod iterate;
mod lift;
mod ruiz;
mod settings;

pub use settings::PiNetSettings;

use std::sync::Arc;

use burn::tensor::Tensor;
use feasible_core::{Block, Bounds, Constraints, host};
use feasible_nls::Status;

use crate::hardnet::{affine_blocks, stack_linear};
use crate::linear::Remembered;
use crate::start::{measure, start};
use crate::{Error, Repaired};
use adjoint::FixedPoints;
use iterate::{Fixed, Sample, iterate};
use lift::Lift;

/// Π-net: the nearest point that meets affine rows, by operator splitting, differentiated at the
/// fixed point.
///
/// # Problem
///
/// min ‖y − ŷ‖² subject to Ay = b, l ≤ Cy ≤ u and bounds on y: equality rows are those with l = u in
/// every sample; a row with one entry bounds its variable.
///
/// # Method
///
/// With w = Cy lifted, s ∈ ℝⁿ⁺ᶜ starting at 0: z = P_E(s) on E = {Ay = b, w = Cy}; t = the box's nearest
/// point to ((2σŷ + r_y)/(1 + 2σ), r_w) with r = 2z − s; s ← s + ω(t − z). The output is y of P_E(s):
/// equalities hold to rounding, inequalities to the tolerance.
///
/// # Adjoint
///
/// Of the fixed point s = T(s): (I − ∂T/∂s)ᵀu = (∂P_E/∂s)ᵀȳ by a factorisation, or by BiCGSTAB
/// where asked for and as far as that converges. Gradients reach the input and the bounds. They are those of the
/// limit, so a sample that was stopped early has a gradient as inexact as its output.
///
/// # Shapes
///
/// Input and output `[batch, n]`, ε `[m]`. A relaxed equality is treated as an inequality.
///
/// # Errors
///
/// Rows that are not affine, or whose own numbers need a gradient; wrong shapes, numbers that are not
/// finite. Where no point meets all rows the iteration does not end: [`Status::MaxIterations`], with
/// the violation in [`Repaired::residual`]. Dependent equality rows are [`Status::Singular`].
///
/// # Cost
///
/// A shared matrix is factored once for as long as the block is the same; an iteration is one product
/// with (n + c)² numbers. Backward the same for each of its iterations, whatever their number forward.
///
/// # Reference
///
/// Grontas, Terpin et al., Pinet: Optimizing hard-constrained neural networks with orthogonal
/// projection layers, arXiv 2508.10480: Douglas-Rachford on the lifted sets and the implicit function
/// theorem at its fixed point, in the published code `iteration_step` of `src/pinet/solver/admm.py` and
/// `_project_general_bwd` of `src/pinet/project.py`; with its equilibration by Ruiz as a setting
/// ([`PiNetSettings::equilibration`]); its tuning of σ is not here.
#[derive(Debug, Clone)]
pub struct PiNet {
    settings: PiNetSettings,
    lift: Remembered<Lift>,
}

impl PiNet {
    /// A layer with these settings.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(settings: PiNetSettings) -> Result<Self, Error> {
        settings.validate()?;
        Ok(Self {
            settings,
            lift: Remembered::default(),
        })
    }

    /// The settings.
    pub fn settings(&self) -> &PiNetSettings {
        &self.settings
    }

    /// Repairs `y0`, `[batch, n]`, into the box of `constraints`, widened by `epsilon`, `[m]`.
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
        let ([batch, n], m) = (y0.dims(), constraints.rows());
        if batch == 0 || m == 0 {
            return Ok(Repaired::untouched(y0));
        }
        let blocks = affine_blocks("PiNet", constraints)?;
        if let Some(row) = first_tracked(&blocks) {
            return Err(Error::Rows {
                method: "PiNet",
                needs: "constant rows",
                row,
                found: "in need of a gradient",
            });
        }
        let sides = Sides::read(&bounds, batch)?;
        let equal = sides.equalities(bounds.equalities());
        let lift = self.lift(&blocks, &equal, n)?;
        let samples: Vec<Sample> = host::read("y0", &y0)?
            .chunks_exact(n)
            .enumerate()
            .map(|(sample, y)| {
                let (lower, upper) = sides.of(sample);
                let (low, high) = lift.bounds(lower, upper);
                Sample {
                    y: y.to_vec(),
                    offset: lift.offset(sample, lower, upper),
                    low,
                    high,
                }
            })
            .collect();
        let fixed = iterate(&lift, &samples, &self.settings);
        let of = |f: &Fixed| -> Vec<f64> {
            let entries = f.z[..n].iter().zip(&lift.columns);
            entries.map(|(z, d)| z * d).collect()
        };
        let output = fixed.iter().flat_map(of).collect();
        let iterations = fixed.iter().map(|f| f.iterations).collect();
        let converged: Vec<bool> = fixed.iter().map(|f| f.converged).collect();
        let full_rank: Vec<bool> = (0..batch).map(|sample| lift.full_rank(sample)).collect();
        let (device, dtype) = (y0.device(), y0.dtype());
        let points = FixedPoints {
            lift,
            samples,
            fixed,
            settings: self.settings,
            rows: m,
            shared: sides.shared,
        };
        let inputs = vec![
            host::Input::new(y0),
            host::Input::new(bounds.lower()),
            host::Input::new(bounds.upper()),
        ];
        let y = host::record(output, [batch, n], &device, dtype, inputs, Arc::new(points));
        let residual = measure(constraints, &bounds, &y)?;
        let status = |sample: usize| match residual[sample] {
            r if r.is_nan() => Status::NonFinite,
            _ if !full_rank[sample] => Status::Singular,
            _ if converged[sample] => Status::ConvergedByResidual,
            _ => Status::MaxIterations,
        };
        Ok(Repaired {
            gradient: None,
            status: (0..batch).map(status).collect(),
            iterations,
            residual,
            y,
        })
    }

    fn lift(&self, blocks: &[Block], equal: &[bool], n: usize) -> Result<Arc<Lift>, Error> {
        let on_host: Vec<_> = blocks
            .iter()
            .map(Block::on_host)
            .collect::<Result<_, _>>()?;
        let make = || -> Result<Lift, Error> {
            let a = host::read_finite("a", &stack_linear(blocks))?;
            Ok(Lift::new(&a, equal, n, &self.settings))
        };
        let lift = self.lift.get(&on_host, make)?;
        // Relaxation makes inequalities of equalities.
        if lift.equal != equal {
            return Ok(Arc::new(make()?));
        }
        Ok(lift)
    }
}

fn first_tracked(blocks: &[Block]) -> Option<usize> {
    let at = blocks.iter().position(Block::is_tracked)?;
    Some(blocks[..at].iter().map(Block::rows).sum())
}

/// The bounds as numbers.
struct Sides {
    lower: Vec<f64>,
    upper: Vec<f64>,
    /// Whether the batch shares the lower and the upper ones.
    shared: [bool; 2],
    rows: usize,
}

impl Sides {
    fn read(bounds: &Bounds, batch: usize) -> Result<Self, Error> {
        let (lower, upper) = (bounds.lower(), bounds.upper());
        let shared = |tensor: &Tensor<2>| tensor.dims()[0] == 1 && batch != 1;
        Ok(Self {
            shared: [shared(&lower), shared(&upper)],
            lower: host::read("lower", &lower)?,
            upper: host::read("upper", &upper)?,
            rows: bounds.rows(),
        })
    }

    fn of(&self, sample: usize) -> (&[f64], &[f64]) {
        let side = |values: &'_ [f64], shared: bool| {
            if shared {
                0..values.len()
            } else {
                sample * self.rows..(sample + 1) * self.rows
            }
        };
        (
            &self.lower[side(&self.lower, self.shared[0])],
            &self.upper[side(&self.upper, self.shared[1])],
        )
    }

    /// The equality rows that no relaxation has opened.
    fn equalities(&self, declared: &[bool]) -> Vec<bool> {
        let batch = self.lower.len().max(self.upper.len()) / self.rows;
        let closed = |row: usize| {
            (0..batch).all(|sample| {
                let (lower, upper) = self.of(sample);
                lower[row] == upper[row]
            })
        };
        declared
            .iter()
            .enumerate()
            .map(|(row, equal)| *equal && closed(row))
            .collect()
    }
}
