use std::sync::Arc;

use burn::tensor::Tensor;
use feasible_core::{Block, Bounds, Constraints, HostBlock};
use feasible_nls::{Solution, Status};
use feasible_solver::damped::DampedStatus;

use crate::isolate::isolating;
use crate::start::{relaxed, start};
use crate::{Error, Gradient, GradientQuality, SnareNetSettings, fused, general, stepwise};

/// SnareNet's repair layer: damped Newton steps from the output of a network to the set
/// l − ε ≤ g(y) ≤ u + ε.
///
/// # Problem
///
/// Find y near the input with g(y) in the box; g need be neither affine nor convex. The result is
/// not the nearest such point.
///
/// # Iteration
///
/// r = g(y) − clip(g(y), l − ε, u + ε), y ← y − Δ, (JᵀJ + λI) Δ = Jᵀr with J = ∂g/∂y at y; for λ = 0
/// the shortest Δ with JΔ = r, or the least-squares one where J has more rows than columns. A sample
/// stops when max|r| (tested before the step) or max|Δ| (after it) is below the tolerance.
/// Equalities are relaxed by ε too. With a trust region every component of Δ is clamped before it is
/// taken; with conjugate gradients the system is solved inexactly.
///
/// # Adjoint
///
/// Reverse mode through every iteration that was run, the dependence of J on y included; gradients
/// reach the input, the bounds and, for tracked constraints, the tensors inside g. ε is a constant.
/// A sample that broke down has the gradient of its steps up to the point returned.
///
/// With [`crate::Gradient::Implicit`] the derivative of where the steps lead, with the matrix of the last one
/// held constant. Let A be the rows that were outside their box and end on it, D = (JJᵀ + λI)⁻¹J and
/// G = D_Aᵀ(J_A D_Aᵀ)⁻¹, all at the output y*:
///
/// ```text
/// dy* = (I − G J_A) dŷ + G (db_A − ∂g_A dθ)
/// ```
///
/// g_A(y*) = b_A determines J_A dy*, which is exact for any g: what the bounds and the tensors inside g
/// do to the rows that hold the output. It does not determine dy*: any point of the set is feasible, and
/// which of them the steps reach depends on their path. The projector takes it to be straight. So it was
/// for affine rows that are met and kept, and there the gradient is exact for any λ and either choice of
/// rows; where g bends, its relative error is as a rule of the order of the bend on the way, which is measured
/// sample by sample ([`GradientReport::deviation`]), and grows with the distance of input and output. Row
/// weights are constants. (Numbers inside affine rows also turn the rows; with that part of their gradient,
/// which is first order in the way, it is exact too.) A sample that broke down has no gradient. The matrix
/// is factored once more where rows bend, and solved by conjugate gradients of a few iterations; no step is
/// recorded.
///
/// The stationarity of ‖r‖² that [`feasible_nls::Backward::Implicit`] (and Theseus) differentiates says
/// nothing of the input: with fewer rows than variables its gradient to a network would be zero. The
/// derivative of the last step alone, from the point before it (Bolte, Pauwels and Vaiter, One-step
/// differentiation of iterative algorithms, NeurIPS 2023), is I − D_AᵀJ_A: the same at λ = 0, and with
/// λ > 0 short of the set by what one step leaves.
///
/// # Shapes
///
/// Input and output `[batch, n]`, ε `[m]`.
///
/// # Errors
///
/// Wrong shapes, an input that is not finite, ε that is negative or not finite. A sample that does
/// not converge, or breaks down, is reported in [`Repaired::status`] and leaves the others alone. A
/// step that cannot be computed, or leads to numbers that are not finite, is not taken, whichever
/// way the constraints are given.
///
/// # Cost
///
/// Per iteration g, J, and for every sample that has not stopped a product of m n k and a
/// factorisation of k³/3 multiplications, k = min(rows that take part, n). Memory for the backward
/// pass grows with the iterations.
///
/// # Reference
///
/// Chu, Boukas and Udell, SnareNet, arXiv 2602.09317: y ← y − J⁺_λ(y)(g(y) − z) with z the box's nearest
/// point to g(y) and J⁺_λ = (JᵀJ + λI)⁻¹Jᵀ, in the published code `SnareNetRepairLayer::repair` and
/// `_compute_update_pinv` of `models/snarenet.py`; with `Stopping::WholeBatch` exactly that iteration.
#[derive(Debug, Clone)]
pub struct SnareNet {
    settings: SnareNetSettings,
}

/// A batch after its repair. Vectors have one entry per sample.
#[derive(Debug, Clone)]
pub struct Repaired {
    /// The repaired output, `[batch, n]`. A sample that is [`Status::NonFinite`] keeps its input, or the last
    /// point that had a value.
    pub y: Tensor<2>,
    /// How each sample ended.
    pub status: Vec<Status>,
    /// Steps taken; one that failed or was taken back is not counted.
    pub iterations: Vec<usize>,
    /// The largest distance of a row to the (relaxed) box at `y`, and of `y` to a cone of
    /// [`Rayen`](crate::Rayen)'s; NaN where it is not finite.
    pub residual: Vec<f64>,
    /// How far implicit gradients can be trusted; `None` for other gradients, and where none will be
    /// asked for.
    pub gradient: Option<Vec<GradientReport>>,
}

/// How far a sample's implicit gradient can be trusted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradientReport {
    /// [`GradientQuality::Exact`]: converged, the rows of the last step are affine, every row that was
    /// outside its box on the way ends on it and was led there by the steps (not outside last long before
    /// the end, and within the tolerance of its bound by chance), and the deviation is at most 1e-6. Rows of
    /// a function and of a quadratic block are not taken for affine, whatever their numbers.
    /// [`GradientQuality::Degenerate`]: the rows that hold the output are too close to dependent.
    /// [`GradientQuality::Unavailable`]: the sample broke down; its gradient is zero.
    /// [`GradientQuality::Inexact`]: all others.
    pub quality: GradientQuality,
    /// How far the output is from where one solve with the matrix at the output takes the input,
    /// relative to the distance of input and output. 0 to rounding for affine rows that are met and kept;
    /// the relative error of the gradient is as a rule of its order as long as no row was met on the way
    /// and left again. It sees what rows do on the way, not beside it: 0 does not make a gradient exact.
    /// NaN for samples without a gradient.
    pub deviation: f64,
}

impl SnareNet {
    /// A layer with these settings.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(settings: SnareNetSettings) -> Result<Self, Error> {
        settings.validate()?;
        Ok(Self { settings })
    }

    /// The settings.
    pub fn settings(&self) -> &SnareNetSettings {
        &self.settings
    }

    /// Repairs `y0`, `[batch, n]`, towards the box of `constraints`, widened by `epsilon`, `[m]`.
    ///
    /// # Errors
    /// As the layer's documentation says.
    pub fn forward(
        &self,
        y0: Tensor<2>,
        constraints: &dyn Constraints,
        epsilon: Option<Tensor<1>>,
    ) -> Result<Repaired, Error> {
        let bounds = relaxed(constraints, epsilon)?;
        if self.settings.trust_region.is_some() || self.settings.conjugate_gradient.is_some() {
            start(&y0, constraints, None)?;
            let repair = |y0| stepwise::repair(&self.settings, y0, constraints, &bounds);
            // What is not recorded spoils nothing.
            return match self.settings.gradient {
                Gradient::Implicit => repair(y0),
                Gradient::Unrolled => isolating(y0, constraints, &bounds, repair),
            };
        }
        match self.host_blocks(constraints)? {
            Some(blocks) => self.on_host(y0, constraints, &bounds, blocks),
            None => general::repair(&self.settings, y0, constraints, &bounds),
        }
    }

    /// The rows as numbers on the host, where that path serves: affine and quadratic rows without
    /// gradients of their own.
    fn host_blocks(
        &self,
        constraints: &dyn Constraints,
    ) -> Result<Option<Vec<Arc<HostBlock>>>, Error> {
        let Some(blocks) = constraints
            .blocks()
            .filter(|blocks| !blocks.iter().any(Block::is_tracked))
        else {
            return Ok(None);
        };
        Ok(Some(
            blocks
                .iter()
                .map(Block::on_host)
                .collect::<Result<_, _>>()?,
        ))
    }

    fn on_host(
        &self,
        y0: Tensor<2>,
        constraints: &dyn Constraints,
        bounds: &Bounds,
        blocks: Vec<Arc<HostBlock>>,
    ) -> Result<Repaired, Error> {
        let [batch, n] = y0.dims();
        if n != constraints.variables() {
            return Err(feasible_core::Error::shape(
                "y0",
                &[batch, n],
                format!("[batch, {}]", constraints.variables()),
            )
            .into());
        }
        feasible_nls::check_batch_of_rows(constraints, batch)?;
        let (y, damped) = fused::repair(y0, blocks, bounds, &self.settings)?;
        let status: Vec<Status> = damped.status.iter().map(status).collect();
        let reports = status.iter().zip(&damped.limit);
        let gradient = reports.map(|(status, limit)| GradientReport::new(*status, *limit));
        Ok(Repaired {
            y,
            gradient: (!damped.limit.is_empty()).then(|| gradient.collect()),
            status,
            iterations: damped.iterations.clone(),
            residual: damped.residual.clone(),
        })
    }
}

/// The host path's outcome in the words of the least-squares layer.
fn status(outcome: &DampedStatus) -> Status {
    match outcome {
        DampedStatus::Residual => Status::ConvergedByResidual,
        DampedStatus::Step => Status::ConvergedByStep,
        DampedStatus::MaxIterations => Status::MaxIterations,
        DampedStatus::Singular => Status::Singular,
        DampedStatus::NonFinite => Status::NonFinite,
    }
}

impl Repaired {
    /// An input with nothing to repair.
    pub(crate) fn untouched(y: Tensor<2>) -> Self {
        let batch = y.dims()[0];
        Self {
            y,
            status: vec![Status::ConvergedByResidual; batch],
            iterations: vec![0; batch],
            residual: vec![0.0; batch],
            gradient: None,
        }
    }
}

impl From<Solution> for Repaired {
    fn from(solution: Solution) -> Self {
        Self {
            y: solution.y,
            status: solution.status,
            iterations: solution.iterations,
            residual: solution.residual_norm,
            gradient: None,
        }
    }
}
