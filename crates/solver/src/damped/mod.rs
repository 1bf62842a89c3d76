//! Damped repair: move a point into a box of functions by regularised Gauss-Newton steps whose
//! target is the nearest point of the box, refreshed at every step.
//!
//! For rows g_i(y) = yᵀH_i y + a_iᵀy and a box [l, u], starting from y₀:
//!
//! ```text
//! r_k = g(y_k) − clip(g(y_k), l, u)
//! Δ_k = Jᵀ(JJᵀ + λI)⁻¹ r_k = (JᵀJ + λI)⁻¹Jᵀ r_k,      y_{k+1} = y_k − Δ_k
//! ```
//!
//! until max|r_k| or max|Δ_k| falls below a tolerance (Chu, Boukas & Udell, arXiv 2602.09317,
//! the repair layer of SnareNet; the same step as HardNet++, arXiv 2604.19669). At λ = 0 the step is
//! the shortest solution of JΔ = r, or the least-squares one where J has more rows than columns.
//! Rows may be weighted in the step (`weights`).
//! The gradient is that of the steps taken, in reverse, with the factors of the forward pass.
//!
//! A step that cannot be computed ends its sample at the iterate before it, and one that leads to
//! numbers that are not finite is taken back. Neither counts, and the gradient is that of the
//! steps before.
//!
//! Cost: where every row is affine and shared, a step of the whole batch is two matrix products
//! with constant matrices (`constant`). Otherwise a sample's step (`sample`) factors only the
//! rows that change, q of them: about 4·q·n·(f + q) floating-point operations with f rows fixed.

mod adjoint;
mod cholesky;
mod chunk;
mod constant;
mod constant_limit;
mod factor;
mod held;
mod held_rows;
mod limit;
mod rows;
mod sample;
mod step;
#[cfg(test)]
mod tests;
mod validate;
mod weights;

use rayon::prelude::*;

use crate::batch::Values;
use crate::error::Error;
pub use held::{Contact, LimitQuality};
pub use held_rows::{HeldRows, Output};
pub use rows::{RowCurvature, Rows};
pub use weights::{RowWeights, VANISHING_ROW};

/// The rows and their box.
#[derive(Clone, Debug)]
pub struct DampedProblem<'a> {
    /// Number of samples.
    pub batch: usize,
    /// Number of variables, n.
    pub n: usize,
    /// The rows, in blocks; m in all.
    pub blocks: Vec<Rows<'a>>,
    /// l, `[m]`; −∞ allowed.
    pub lower: Values<'a>,
    /// u, `[m]`; +∞ allowed.
    pub upper: Values<'a>,
    /// Which rows stay in J whatever their residual under [`RowPolicy::Violated`], `[m]`.
    pub equality: &'a [bool],
}

/// Which rows enter J.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowPolicy {
    /// All rows, as published: satisfied rows resist being moved. A continuous map.
    #[default]
    All,
    /// Equalities and violated rows: far fewer steps; the map has kinks where a row enters.
    Violated,
}

/// When a sample's steps end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stopping {
    /// Each sample by its own residual and step.
    #[default]
    PerSample,
    /// All samples together, when the largest residual or step of the batch is small, as
    /// published.
    WholeBatch,
}

/// How to repair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DampedSettings {
    /// λ ≥ 0; 0 gives the shortest step, or the least-squares one where J has more rows than
    /// columns.
    pub damping: f64,
    /// Absolute bound on max|r| and max|Δ|.
    pub tolerance: f64,
    /// Steps at most, at least 1.
    pub max_iterations: usize,
    /// Which rows enter J.
    pub rows: RowPolicy,
    /// What each row weighs in the step.
    pub weights: RowWeights,
    /// When steps end.
    pub stopping: Stopping,
}

/// How a sample's steps ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DampedStatus {
    /// max|r| is below the tolerance.
    Residual,
    /// max|Δ| is below the tolerance: the residual may not be.
    Step,
    /// The iterations ran out.
    MaxIterations,
    /// The step's matrix was not positive definite to working precision, or its step overflowed;
    /// y is the iterate before it.
    Singular,
    /// r or J was not finite; y is the last iterate where they were, or the start.
    NonFinite,
}

/// Whether a reverse pass will follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// Keep what [`Damped::vjp`] needs: per step, the iterate and the factors.
    Steps,
    /// Keep what the implicit gradient needs: the last step's rows at the output, and their factor.
    Limit,
    /// Keep the result only.
    Nothing,
}

/// The result of [`repair`].
#[derive(Debug)]
pub struct Damped {
    /// Repaired points, `[batch, n]`.
    pub y: Vec<f64>,
    /// Steps taken by each sample; one that failed or was taken back is not counted.
    pub iterations: Vec<usize>,
    /// How each sample ended.
    pub status: Vec<DampedStatus>,
    /// max|g(y) − clip(g(y), l, u)| of each sample at the returned point; NaN where that is not
    /// finite.
    pub residual: Vec<f64>,
    /// With [`Record::Limit`], how far each sample's implicit gradient can be trusted; else empty.
    pub limit: Vec<LimitQuality>,
    tape: Tape,
}

#[derive(Debug)]
enum Tape {
    None,
    Unmoved,
    Constant(constant::Tape),
    ConstantLimits(constant_limit::Limits),
    Samples(adjoint::Taped),
    Limits(limit::Limits),
}

/// Gradients of the steps taken, or of their limit.
#[derive(Debug, Default)]
pub struct DampedGradients {
    /// With respect to y₀, `[batch, n]`.
    pub start: Vec<f64>,
    /// With respect to l, `[batch, m]`.
    pub lower: Vec<f64>,
    /// With respect to u, `[batch, m]`.
    pub upper: Vec<f64>,
}

impl DampedGradients {
    /// Those of outputs that are their starts, for the samples to change.
    fn of_the_start(problem: &DampedProblem<'_>, cotangent: &[f64]) -> Self {
        let bounds = problem.batch * problem.rows();
        Self {
            start: cotangent.to_vec(),
            lower: vec![0.0; bounds],
            upper: vec![0.0; bounds],
        }
    }

    /// With respect to start, l and u of so many samples at a time.
    fn samples(
        &mut self,
        problem: &DampedProblem<'_>,
        samples: usize,
    ) -> impl IndexedParallelIterator<Item = (&mut [f64], &mut [f64], &mut [f64])> {
        let (n, m) = (samples * problem.n, samples * problem.rows());
        let bounds = self
            .lower
            .par_chunks_mut(m)
            .zip(self.upper.par_chunks_mut(m));
        let each = self.start.par_chunks_mut(n).zip(bounds);
        each.map(|(start, (lower, upper))| (start, lower, upper))
    }
}

impl DampedProblem<'_> {
    /// Number of rows, m.
    pub fn rows(&self) -> usize {
        self.blocks.iter().map(|block| block.rows).sum()
    }
}

/// Repairs every sample of `start`, `[batch, n]`.
///
/// # Errors
/// If shapes disagree, a number is not finite, a bound is NaN, infinite on the wrong side or
/// crossed, a matrix is not symmetric, or a setting is out of range. What happens to one sample is
/// its status, never an error.
pub fn repair(
    problem: &DampedProblem<'_>,
    start: &[f64],
    settings: &DampedSettings,
    record: Record,
) -> Result<Damped, Error> {
    settings.validate()?;
    problem.validate(start)?;
    if problem.batch == 0 || problem.rows() == 0 {
        let none = Damped {
            y: start.to_vec(),
            iterations: vec![0; problem.batch],
            status: vec![DampedStatus::Residual; problem.batch],
            residual: vec![0.0; problem.batch],
            limit: match record {
                Record::Limit => vec![LimitQuality::UNMOVED; problem.batch],
                _ => vec![],
            },
            tape: Tape::Unmoved,
        };
        return Ok(none);
    }
    if settings.rows == RowPolicy::All
        && let Some(jacobian) = rows::constant_jacobian(problem)
        && let Some(damped) = constant::repair(problem, jacobian, start, settings, record)
    {
        return Ok(damped);
    }
    Ok(sample::repair(problem, start, settings, record))
}

impl Damped {
    /// The vector-Jacobian product of the steps taken: `cotangent` is ∂L/∂y, `[batch, n]`, and
    /// `problem` the one that was repaired. For a sample whose steps broke down it is that of the
    /// steps before; with [`Record::Limit`] it is zero.
    ///
    /// # Panics
    /// If the steps were not recorded, or `cotangent` has another length than y.
    pub fn vjp(&self, problem: &DampedProblem<'_>, cotangent: &[f64]) -> DampedGradients {
        assert_eq!(cotangent.len(), self.y.len(), "one cotangent an entry of y");
        match &self.tape {
            Tape::None => panic!("the steps were not recorded"),
            Tape::Unmoved => DampedGradients::of_the_start(problem, cotangent),
            Tape::Constant(tape) => tape.vjp(problem, cotangent),
            Tape::ConstantLimits(limits) => limits.vjp(problem, cotangent),
            Tape::Samples(taped) => adjoint::vjp(problem, taped, cotangent),
            Tape::Limits(limits) => limit::vjp(problem, limits, cotangent),
        }
    }
}
