//! What all layers of this crate have in common: read, solve, record.

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use feasible_core::host;
use feasible_solver::{Settings, Solution, solve};

use crate::adjoint::{GradientReports, LayerAdjoint};
use crate::host_problem::read;
use crate::problem::{QpTensors, QuadraticTensors, Sizes};
use crate::{ConvexSettings, ConvexSolution, Error, OnFailure};

/// Solves the batch and records it as one differentiable operation.
pub(crate) fn forward(
    settings: &ConvexSettings,
    qp: &QpTensors,
    quadratics: Option<&QuadraticTensors>,
) -> Result<ConvexSolution, Error> {
    let (problem, tracked) = read(qp, quadratics)?;
    let solver = Settings {
        rounding: settings.solver.rounding.max(tracked.rounding),
        ..settings.solver
    };
    let solution = solve(&problem.as_problem(), &solver)?;
    if settings.on_failure == OnFailure::Error {
        refuse_failures(&solution)?;
    }
    let sizes = problem.sizes;
    let packed = pack(&solution, &sizes, settings.on_failure);
    let (status, iterations, residuals) = (
        solution.status.clone(),
        solution.iterations.clone(),
        solution.residuals.clone(),
    );
    let reports = GradientReports::default();
    let adjoint = LayerAdjoint {
        problem,
        solution,
        settings: settings.adjoint,
        roles: tracked.roles,
        lengths: tracked.lengths,
        reports: reports.clone(),
    };
    let (device, dtype) = (tracked.device, tracked.dtype);
    let shape = [sizes.batch, sizes.packed()];
    let packed = host::record(
        packed,
        shape,
        &device,
        dtype,
        tracked.inputs,
        Arc::new(adjoint),
    );

    let mut start = 0;
    let mut next = |length| {
        start += length;
        columns(&packed, start - length, length, &device, dtype)
    };
    Ok(ConvexSolution {
        x: next(sizes.n),
        equality_dual: next(sizes.equalities),
        inequality_dual: next(sizes.inequalities),
        quadratic_dual: next(sizes.quadratics),
        status,
        iterations,
        residuals,
        reports,
    })
}

fn refuse_failures(solution: &Solution) -> Result<(), Error> {
    let mut failures = solution
        .status
        .iter()
        .enumerate()
        .filter(|(_, s)| !s.is_solved());
    match failures.next() {
        None => Ok(()),
        Some((sample, &status)) => Err(Error::Unsolved {
            sample,
            status,
            failed: 1 + failures.count(),
            batch: solution.batch(),
        }),
    }
}

/// x, ν, λ and μ of each sample next to each other, `[batch, n + p + m + k]`.
fn pack(solution: &Solution, sizes: &Sizes, on_failure: OnFailure) -> Vec<f64> {
    let parts = [
        (&solution.x, sizes.n),
        (&solution.equality_dual, sizes.equalities),
        (&solution.inequality_dual, sizes.inequalities),
        (&solution.quadratic_dual, sizes.quadratics),
    ];
    let mut packed = Vec::with_capacity(sizes.batch * sizes.packed());
    for (sample, status) in solution.status.iter().enumerate() {
        if on_failure == OnFailure::Nan && !status.is_solved() {
            packed.resize(packed.len() + sizes.packed(), f64::NAN);
            continue;
        }
        for (values, length) in parts {
            packed.extend_from_slice(&values[sample * length..][..length]);
        }
    }
    packed
}

/// Columns of the packed output; Burn does not slice to width 0.
fn columns(
    packed: &Tensor<2>,
    start: usize,
    length: usize,
    device: &Device,
    dtype: DType,
) -> Tensor<2> {
    match length {
        0 => host::write(vec![], [packed.dims()[0], 0], device, dtype),
        _ => packed.clone().narrow(1, start, length),
    }
}
