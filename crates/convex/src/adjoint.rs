use std::sync::{Arc, Mutex, PoisonError};

use feasible_core::host::HostAdjoint;
use feasible_solver::{
    AdjointSettings, Cotangent, GradientQuality, GradientReport, Solution, adjoint,
};

use crate::host_problem::{HostProblem, Role};
use crate::problem::Sizes;

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

/// The vector-Jacobian product of a solve: the implicit function theorem on its optimality
/// conditions, done by [`feasible_solver::adjoint`].
#[derive(Debug)]
pub(crate) struct LayerAdjoint {
    pub(crate) problem: HostProblem,
    pub(crate) solution: Solution,
    pub(crate) settings: AdjointSettings,
    /// The tensors that want a gradient and their numbers of entries.
    pub(crate) roles: Vec<Role>,
    pub(crate) lengths: Vec<usize>,
    pub(crate) reports: GradientReports,
}

impl HostAdjoint for LayerAdjoint {
    fn vjp(&self, cotangent: &[f64]) -> Vec<Vec<f64>> {
        let sizes = &self.problem.sizes;
        let (unpacked, dropped) = Unpacked::new(cotangent, sizes, &self.solution);
        let answer = adjoint(
            &self.problem.as_problem(),
            &self.solution,
            &unpacked.as_cotangent(),
            &Role::wanted(&self.roles),
            &self.settings,
        );
        // The solver accepted this problem in the forward pass and the cotangent is finite, so an
        // error here would be a bug of ours; it shows as a batch without gradients.
        let mut gradients = answer.unwrap_or_default();
        gradients.reports.resize(sizes.batch, UNAVAILABLE);
        for sample in dropped {
            gradients.reports[sample] = UNAVAILABLE;
        }
        self.reports.fill(std::mem::take(&mut gradients.reports));
        let lengths = self.lengths.iter();
        (self.roles.iter().zip(lengths))
            .map(|(role, &length)| {
                role.take(&mut gradients)
                    .unwrap_or_else(|| vec![0.0; length])
            })
            .collect()
    }
}

/// The four parts of the packed cotangent, each contiguous.
struct Unpacked {
    x: Vec<f64>,
    duals: [Option<Vec<f64>>; 3],
}

impl Unpacked {
    /// Splits `[batch, n + p + m + k]`. Samples without a solution, and those whose cotangent is
    /// not finite, get zeros, so that they cannot spoil the gradients the batch shares; the latter
    /// are returned too.
    fn new(cotangent: &[f64], sizes: &Sizes, solution: &Solution) -> (Self, Vec<usize>) {
        let mut usable = vec![false; sizes.batch];
        let mut dropped = vec![];
        let width = sizes.packed();
        for (sample, row) in cotangent.chunks_exact(width).enumerate() {
            if row.iter().all(|c| c.is_finite()) {
                usable[sample] = solution.status[sample].is_solved();
            } else {
                dropped.push(sample);
            }
        }
        let part = |start: usize, length: usize| {
            let mut values = vec![0.0; sizes.batch * length];
            for sample in (0..sizes.batch).filter(|&sample| usable[sample]) {
                let from = sample * width + start;
                values[sample * length..][..length].copy_from_slice(&cotangent[from..][..length]);
            }
            values
        };
        // A loss on x alone, the usual case, lets the solver leave out the duals.
        let dual = |start, length| {
            let values = part(start, length);
            values.iter().any(|&v| v != 0.0).then_some(values)
        };
        let (p, m, k) = (sizes.equalities, sizes.inequalities, sizes.quadratics);
        let n = sizes.n;
        let duals = [dual(n, p), dual(n + p, m), dual(n + p + m, k)];
        (
            Self {
                x: part(0, n),
                duals,
            },
            dropped,
        )
    }

    fn as_cotangent(&self) -> Cotangent<'_> {
        let [equality, inequality, quadratic] = &self.duals;
        Cotangent {
            x: &self.x,
            equality_dual: equality.as_deref(),
            inequality_dual: inequality.as_deref(),
            quadratic_dual: quadratic.as_deref(),
        }
    }
}
