//! The backward pass of every layer: unpack the cotangent, keep failed samples out, ask the solver,
//! report.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use feasible_core::host::{self, HostAdjoint};
use feasible_solver::{GradientQuality, GradientReport, Status};

/// How far the gradients of the last backward pass through each of a layer's outputs can be trusted,
/// sample by sample.
///
/// A handle: keep it, run the backward pass, then ask.
#[derive(Debug, Clone, Default)]
pub struct GradientReports(Arc<Mutex<Vec<OfOutput>>>);

/// What was said of the last backward pass through one of the layer's outputs.
#[derive(Debug)]
struct OfOutput {
    /// The output's first part.
    first: usize,
    samples: Vec<GradientReport>,
}

impl GradientReports {
    /// One report per sample, or `None` while no backward pass has reached the layer. Where a loss
    /// is of the solution and of its multipliers, the worse report of the two.
    pub fn get(&self) -> Option<Vec<GradientReport>> {
        let outputs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (one, others) = outputs.split_first()?;
        let mut worst = one.samples.clone();
        for other in others {
            for (worst, report) in worst.iter_mut().zip(&other.samples) {
                if badness(report) > badness(worst) {
                    *worst = *report;
                }
            }
        }
        Some(worst)
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

    fn fill(&self, first: usize, samples: Vec<GradientReport>) {
        let mut outputs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outputs.retain(|output| output.first != first);
        outputs.push(OfOutput { first, samples });
    }
}

/// Greater the less a gradient can be trusted.
fn badness(report: &GradientReport) -> (u8, f64) {
    let quality = match report.quality {
        GradientQuality::Exact => 0,
        GradientQuality::Smoothed => 1,
        GradientQuality::Unavailable => 3,
        _ => 2,
    };
    (quality, report.residual)
}

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

    /// Gradients of the tracked parameters, given one cotangent a part of the output; `None` is
    /// zero. `None` in return would be a bug of ours: the solver accepted this problem in the
    /// forward pass and the cotangents are finite.
    fn gradients(&self, cotangents: &[Option<&[f64]>]) -> Option<Answer>;
}

/// The vector-Jacobian product of a solve.
#[derive(Debug)]
pub(crate) struct LayerAdjoint<S> {
    pub(crate) solved: Arc<S>,
    /// The first of the output's parts.
    pub(crate) first: usize,
    /// Numbers a sample has in each part of the packed output.
    pub(crate) widths: Vec<usize>,
    /// Numbers of entries of the tracked parameters.
    pub(crate) lengths: Vec<usize>,
    pub(crate) reports: GradientReports,
}

impl<S: Solved> HostAdjoint for LayerAdjoint<S> {
    fn vjp(&self, cotangent: &[f64]) -> Vec<Vec<f64>> {
        let status = self.solved.status();
        let (given, dropped) = unpack(cotangent, &self.widths, status);
        let mut cotangents = vec![None; self.solved.parts().len()];
        for (part, given) in cotangents[self.first..].iter_mut().zip(&given) {
            *part = given.as_deref();
        }
        // A bug of ours shows as a batch without gradients.
        let (mut gradients, mut reports) = self.solved.gradients(&cotangents).unwrap_or_default();
        reports.resize(status.len(), GradientReport::UNAVAILABLE);
        for sample in dropped {
            reports[sample] = GradientReport::UNAVAILABLE;
        }
        self.reports.fill(self.first, reports);
        gradients.resize(self.lengths.len(), vec![]);
        for (gradient, &length) in gradients.iter_mut().zip(&self.lengths) {
            gradient.resize(length, 0.0);
        }
        gradients
    }
}

/// The cotangent of one part of the output; `None` is zero.
type GivenPart<'c> = Option<Cow<'c, [f64]>>;

/// Splits `[batch, Σ widths]` into parts, each contiguous, `None` where all are zero: a loss on
/// some outputs alone lets the solver leave the others out. Samples without a
/// solution, and those whose cotangent is not finite, get zeros, so that they cannot spoil the
/// gradients the batch shares; the latter are returned too.
fn unpack<'c>(
    cotangent: &'c [f64],
    widths: &[usize],
    status: &[Status],
) -> (Vec<GivenPart<'c>>, Vec<usize>) {
    let batch = status.len();
    let width: usize = widths.iter().sum();
    let mut usable: Vec<bool> = status.iter().map(|status| status.is_solved()).collect();
    let mut dropped = vec![];
    if !host::all_finite(cotangent) {
        for (sample, row) in cotangent.chunks_exact(width.max(1)).enumerate() {
            if !host::all_finite(row) {
                usable[sample] = false;
                dropped.push(sample);
            }
        }
    }
    if widths.len() == 1 && usable.iter().all(|usable| *usable) {
        return (vec![Some(Cow::Borrowed(cotangent))], dropped);
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
            start += length;
            values
                .iter()
                .any(|&v| v != 0.0)
                .then_some(Cow::Owned(values))
        })
        .collect();
    (parts, dropped)
}
