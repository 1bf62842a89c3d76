//! What all layers of this crate have in common: pack what was found, record it, cut it up.

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use feasible_core::host;
use feasible_solver::Status;

use crate::adjoint::{GradientReports, LayerAdjoint, Part, Solved};
use crate::tracked::Tracked;
use crate::{Error, OnFailure};

/// The recorded output of a layer, `[batch, Σ widths]`.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    tensor: Tensor<2>,
    widths: Vec<usize>,
    pub(crate) device: Device,
    pub(crate) dtype: DType,
}

impl Packed {
    /// Part `index`, `[batch, width]`.
    pub(crate) fn part(&self, index: usize) -> Tensor<2> {
        let start = self.widths[..index].iter().sum();
        // Burn does not slice to width 0.
        match self.widths[index] {
            0 => {
                let batch = self.tensor.dims()[0];
                host::write(vec![], [batch, 0], &self.device, self.dtype)
            }
            width => self.tensor.clone().narrow(1, start, width),
        }
    }
}

/// Records a solved batch as one differentiable operation.
pub(crate) fn record<S: Solved + 'static, R>(
    solved: Arc<S>,
    tracked: Tracked<R>,
    on_failure: OnFailure,
) -> Result<(Packed, GradientReports), Error> {
    if on_failure == OnFailure::Error {
        refuse_failures(&*solved)?;
    }
    let parts = solved.parts();
    let widths: Vec<usize> = parts.iter().map(|(_, width)| *width).collect();
    let output = pack(&parts, solved.status(), on_failure);
    let shape = [solved.status().len(), widths.iter().sum()];
    let reports = GradientReports::default();
    let adjoint = LayerAdjoint {
        solved,
        widths: widths.clone(),
        lengths: tracked.lengths,
        reports: reports.clone(),
    };
    let (device, dtype) = (tracked.device, tracked.dtype);
    let inputs = tracked.inputs;
    let tensor = host::record(output, shape, &device, dtype, inputs, Arc::new(adjoint));
    let packed = Packed {
        tensor,
        widths,
        device,
        dtype,
    };
    Ok((packed, reports))
}

fn refuse_failures(solved: &impl Solved) -> Result<(), Error> {
    let status = solved.status();
    let mut failures = status.iter().enumerate().filter(|(_, s)| !s.is_solved());
    match failures.next() {
        None => Ok(()),
        Some((sample, &found)) => Err(Error::Unsolved {
            sample,
            status: found,
            conflict: solved.conflict(sample),
            failed: 1 + failures.count(),
            batch: status.len(),
        }),
    }
}

/// The parts of each sample next to each other.
fn pack(parts: &[Part<'_>], status: &[Status], on_failure: OnFailure) -> Vec<f64> {
    let width: usize = parts.iter().map(|(_, width)| width).sum();
    let mut packed = Vec::with_capacity(status.len() * width);
    for (sample, status) in status.iter().enumerate() {
        if on_failure == OnFailure::Nan && !status.is_solved() {
            packed.resize(packed.len() + width, f64::NAN);
            continue;
        }
        for &(values, width) in parts {
            packed.extend_from_slice(&values[sample * width..][..width]);
        }
    }
    packed
}
