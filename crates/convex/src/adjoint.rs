//! The backward pass of every layer: unpack the cotangent, keep failed samples out, ask the solver,
//! report.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use feasible_core::host::HostAdjoint;
use feasible_solver::{GradientQuality, GradientReport, Status};

/// How far the gradients of a layer's last backward pass can be trusted, sample by sample.
///
/// A handle: keep it, run the backward pass, then ask.
#[derive(Debug, Clone, Default)]
pub struct GradientReports(Arc<Mutex<Option<Vec<GradientReport>>>>);

impl GradientReports {
    /// One report per sample, or `None` while no backward pass has reached the layer.
    pub fn get(&self) -> Option<Vec<GradientReport>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many samples' gradients have this quality, or `None` before the backward pass.
    pub fn count(&self, quality: GradientQuality) -> Option<usize> {
        Some(
            self.get()?
                .iter()
                .filter(|report| report.quality == quality)
                .count(),
        )
    }

    fn fill(&self, reports: Vec<GradientReport>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reports);
    }
}

/// A sample that adds nothing to any gradient.
const UNAVAILABLE: GradientReport = GradientReport {
    quality: GradientQuality::Unavailable,
    residual: f64::INFINITY,
    margin: 0.0,
    condition: f64::INFINITY,
};

/// One part of the output: the numbers of all samples, and how many one sample has.
pub(crate) type Part<'a> = (&'a [f64], usize);

/// Gradients of the tracked parameters in their order, and the samples' reports.
pub(crate) type Answer = (Vec<Vec<f64>>, Vec<GradientReport>);

/// A solved batch that can be differentiated: the implicit function theorem on its optimality
/// conditions, done by the solver.
pub(crate) trait Solved: Send + Sync + Debug {
    /// Outcome of every sample.
    fn status(&self) -> &[Status];

    /// The rows that make a sample infeasible, in words.
    fn conflict(&self, sample: usize) -> Option<String>;

    /// The parts of the output.
    fn parts(&self) -> Vec<Part<'_>>;

    /// Gradients of the tracked parameters, given one cotangent a part of the output; `None`, which
    /// the first never is, is zero. `None` in return would be a bug of ours: the solver accepted this problem in the forward
    /// pass and the cotangents are finite.
    fn gradients(&self, cotangents: &[Option<Vec<f64>>]) -> Option<Answer>;
}

/// The vector-Jacobian product of a solve.
#[derive(Debug)]
pub(crate) struct LayerAdjoint<S> {
    pub(crate) solved: Arc<S>,
    /// Numbers a sample has in each part of the packed output.
    pub(crate) widths: Vec<usize>,
    /// Numbers of entries of the tracked parameters.
    pub(crate) lengths: Vec<usize>,
    pub(crate) reports: GradientReports,
}

impl<S: Solved> HostAdjoint for LayerAdjoint<S> {
    fn vjp(&self, cotangent: &[f64]) -> Vec<Vec<f64>> {
        let status = self.solved.status();
        let (parts, dropped) = unpack(cotangent, &self.widths, status);
        // A bug of ours shows as a batch without gradients.
        let (mut gradients, mut reports) = self.solved.gradients(&parts).unwrap_or_default();
        reports.resize(status.len(), UNAVAILABLE);
        for sample in dropped {
            reports[sample] = UNAVAILABLE;
        }
        self.reports.fill(reports);
        gradients.resize(self.lengths.len(), vec![]);
        for (gradient, &length) in gradients.iter_mut().zip(&self.lengths) {
            gradient.resize(length, 0.0);
        }
        gradients
    }
}

/// Splits `[batch, Σ widths]` into parts, each contiguous, `None` where all are zero: a loss on the
/// solution alone, the usual case, lets the solver leave out the multipliers. Samples without a
/// solution, and those whose cotangent is not finite, get zeros, so that they cannot spoil the
/// gradients the batch shares; the latter are returned too.
fn unpack(
    cotangent: &[f64],
    widths: &[usize],
    status: &[Status],
) -> (Vec<Option<Vec<f64>>>, Vec<usize>) {
    let batch = status.len();
    let width: usize = widths.iter().sum();
    let mut usable = vec![false; batch];
    let mut dropped = vec![];
    for (sample, row) in cotangent.chunks_exact(width.max(1)).enumerate() {
        if row.iter().all(|c| c.is_finite()) {
            usable[sample] = status[sample].is_solved();
        } else {
            dropped.push(sample);
        }
    }
    let mut start = 0;
    let parts = widths
        .iter()
        .map(|&length| {
            let mut values = vec![0.0; batch * length];
            for sample in (0..batch).filter(|&sample| usable[sample]) {
                let from = sample * width + start;
                values[sample * length..][..length].copy_from_slice(&cotangent[from..][..length]);
            }
            // The first part, the minimisers, is always there.
            let given = start == 0 || values.iter().any(|&v| v != 0.0);
            start += length;
            given.then_some(values)
        })
        .collect();
    (parts, dropped)
}
