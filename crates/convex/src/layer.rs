//! What all layers of this crate have in common: a solved batch, of whose parts the differentiable
//! tensors are made when they are asked for.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{DType, Device, Tensor};
use feasible_core::host::{self, Input};
use feasible_solver::Status;

use crate::adjoint::{GradientReports, LayerAdjoint, Part, Solved};
use crate::tracked::Tracked;
use crate::{Error, OnFailure};

/// An output's parts, and its tensor.
type MadeOutput = (Range<usize>, Tensor<2>);

/// A solved batch and its tracked parameters.
///
/// Every tensor taken from it is an operation of its own in the autodiff graph, made when it is first
/// asked for, so what a caller leaves alone costs nothing; of two in one loss, each solves the adjoint
/// system.
#[derive(Debug)]
pub(crate) struct SolvedBatch<S> {
    pub(crate) solved: Arc<S>,
    pub(crate) reports: GradientReports,
    inputs: Vec<Input>,
    lengths: Vec<usize>,
    device: Device,
    dtype: DType,
    on_failure: OnFailure,
    /// The tensors made so far, by their parts: asked for twice, an output is one operation still, with
    /// one cotangent and one report.
    made: Arc<Mutex<Vec<MadeOutput>>>,
}

impl<S> Clone for SolvedBatch<S> {
    fn clone(&self) -> Self {
        Self {
            solved: self.solved.clone(),
            reports: self.reports.clone(),
            inputs: self.inputs.clone(),
            lengths: self.lengths.clone(),
            device: self.device.clone(),
            dtype: self.dtype,
            on_failure: self.on_failure,
            made: self.made.clone(),
        }
    }
}

impl<S> SolvedBatch<S> {
    /// A constant with the device and precision of the solution.
    pub(crate) fn write<const D: usize>(&self, values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
        host::write(values, shape, &self.device, self.dtype)
    }
}

impl<S: Solved + 'static> SolvedBatch<S> {
    /// # Errors
    /// If a sample has no solution and that is to be an error.
    pub(crate) fn new<R>(
        solved: S,
        tracked: Tracked<R>,
        on_failure: OnFailure,
    ) -> Result<Self, Error> {
        if on_failure == OnFailure::Error {
            refuse_failures(&solved)?;
        }
        Ok(Self {
            solved: Arc::new(solved),
            reports: GradientReports::default(),
            inputs: tracked.inputs,
            lengths: tracked.lengths,
            device: tracked.device,
            dtype: tracked.dtype,
            on_failure,
            made: Arc::default(),
        })
    }

    /// One part of the solution, `[batch, width]`, differentiable.
    pub(crate) fn part(&self, part: usize) -> Tensor<2> {
        self.parts(part..part + 1)
    }

    /// Parts of the solution next to each other, `[batch, Σ widths]`, as one differentiable
    /// operation.
    pub(crate) fn parts(&self, range: Range<usize>) -> Tensor<2> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, tensor)) = made.iter().find(|(parts, _)| *parts == range) {
            return tensor.clone();
        }
        let tensor = self.record(range.clone());
        made.push((range, tensor.clone()));
        tensor
    }

    fn record(&self, range: Range<usize>) -> Tensor<2> {
        let parts = &self.solved.parts()[range.clone()];
        let widths: Vec<usize> = parts.iter().map(|(_, width)| *width).collect();
        let shape = [self.solved.status().len(), widths.iter().sum()];
        let output = pack(parts, self.solved.status(), self.on_failure);
        if output.is_empty() {
            return self.write(output, shape);
        }
        let adjoint = LayerAdjoint {
            solved: self.solved.clone(),
            first: range.start,
            widths,
            lengths: self.lengths.clone(),
            reports: self.reports.clone(),
        };
        let (inputs, adjoint) = (self.inputs.clone(), Arc::new(adjoint));
        host::record(output, shape, &self.device, self.dtype, inputs, adjoint)
    }
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
    let blank = |status: &Status| on_failure == OnFailure::Nan && !status.is_solved();
    if let [(values, _)] = parts
        && !status.iter().any(blank)
    {
        return values.to_vec();
    }
    let width: usize = parts.iter().map(|(_, width)| width).sum();
    let mut packed = Vec::with_capacity(status.len() * width);
    for (sample, status) in status.iter().enumerate() {
        if blank(status) {
            packed.resize(packed.len() + width, f64::NAN);
            continue;
        }
        for &(values, width) in parts {
            packed.extend_from_slice(&values[sample * width..][..width]);
        }
    }
    packed
}
