//! The repair of rows whose Jacobian J is one constant matrix for the whole batch.
//!
//! With D = (JJᵀ + λI)⁻¹J, a step is Δ = r D, and the rows move by g ← g − r T with T = DJᵀ (with
//! row weights W, D = W(WJJᵀW + λI)⁻¹WJ): the
//! iteration runs in the space of the rows, two products with constant matrices a step for a
//! whole chunk of samples. In reverse, with c = v Dᵀ the cotangent seen from the rows, a step is
//! ḡ = −[r ≠ 0] c, c ← c + ḡ Tᵀ, and v ← v + (Σ ḡ) J at the end: one product.

use faer::Mat;
use feasible_kernels::pivot_is_rounding;
use rayon::prelude::*;

use super::chunk::{Chunk, Sides};
use super::constant_limit::{Limits, ends};
use super::{
    Damped, DampedGradients, DampedProblem, DampedSettings, DampedStatus, Record, Stopping,
};
use crate::dense::{add_multiply, multiply, view, view_mut};

/// Samples a task carries: enough for the products to be matrix-matrix, few enough to spread.
pub(super) const CHUNK: usize = 32;

/// What the steps of all samples share.
#[derive(Debug)]
pub(super) struct Constants {
    /// J, `[m, n]`.
    pub(super) jacobian: Vec<f64>,
    /// D, `[m, n]`.
    pub(super) step: Vec<f64>,
    /// T, `[m, m]`.
    pub(super) response: Vec<f64>,
    /// w, `[m]`.
    pub(super) weights: Vec<f64>,
}

#[derive(Debug)]
pub(super) struct Tape {
    constants: Constants,
    /// For every chunk its steps.
    chunks: Vec<Vec<Sides>>,
}

/// `None` where the matrix of a step is singular: the general path reports it sample by sample.
pub(super) fn repair(
    problem: &DampedProblem<'_>,
    jacobian: Vec<f64>,
    start: &[f64],
    settings: &DampedSettings,
    record: Record,
) -> Option<Damped> {
    let n = problem.n;
    let constants = Constants::new(jacobian, n, settings)?;
    let mut chunks: Vec<Chunk<'_>> = start
        .chunks(CHUNK * n)
        .enumerate()
        .map(|(index, start)| {
            Chunk::new(problem, &constants, settings, record, index * CHUNK, start)
        })
        .collect();
    match settings.stopping {
        Stopping::PerSample => chunks.par_iter_mut().for_each(|chunk| {
            for _ in 0..settings.max_iterations {
                chunk.evaluate();
                if chunk.is_finished() {
                    break;
                }
                chunk.step();
            }
        }),
        Stopping::WholeBatch => finish_together(&mut chunks, settings),
    }
    chunks.par_iter_mut().for_each(Chunk::settle);
    let (mut y, mut iterations, mut status, mut residual, mut steps) = (
        Vec::with_capacity(start.len()),
        vec![],
        vec![],
        vec![],
        vec![],
    );
    let mut contacts = vec![];
    for chunk in chunks {
        y.extend(chunk.y);
        iterations.extend(chunk.iterations);
        status.extend(chunk.status);
        residual.extend(chunk.residual);
        steps.push(chunk.steps);
        contacts.extend(chunk.contacts);
    }
    let mut limit = vec![];
    let tape = match record {
        Record::Nothing => super::Tape::None,
        Record::Limit => {
            let broke =
                |s: &DampedStatus| matches!(s, DampedStatus::Singular | DampedStatus::NonFinite);
            let ends = ends(
                problem,
                &constants.jacobian,
                &y,
                &contacts,
                settings.tolerance,
            );
            let limits = Limits {
                held: ends.held,
                lost: status.iter().map(broke).collect(),
                constants,
            };
            limit = limits.quality(start, &y, &ends.settled);
            super::Tape::ConstantLimits(limits)
        }
        Record::Steps => super::Tape::Constant(Tape {
            constants,
            chunks: steps,
        }),
    };
    Some(Damped {
        y,
        iterations,
        status,
        residual,
        limit,
        tape,
    })
}

/// Stops all samples at once; one that fails leaves alone.
fn finish_together(chunks: &mut [Chunk<'_>], settings: &DampedSettings) {
    let is_small = |chunks: &mut [Chunk<'_>], work: fn(&mut Chunk<'_>) -> f64| {
        let largest = chunks.par_iter_mut().map(work).reduce(|| 0.0, f64::max);
        largest < settings.tolerance
    };
    for _ in 0..settings.max_iterations {
        let ended = if is_small(chunks, |chunk| chunk.evaluate()) {
            Some(DampedStatus::Residual)
        } else if is_small(chunks, |chunk| chunk.step()) {
            Some(DampedStatus::Step)
        } else {
            None
        };
        if let Some(status) = ended {
            chunks.iter_mut().for_each(|chunk| chunk.stop(status));
        }
        if chunks.iter().all(Chunk::is_finished) {
            return;
        }
    }
}

impl Constants {
    /// Solves in the smaller of the two spaces: JJᵀ + λI where m ≤ n.
    fn new(jacobian: Vec<f64>, n: usize, settings: &DampedSettings) -> Option<Self> {
        use faer::linalg::solvers::Solve;
        let m = jacobian.len() / n;
        let weight = |row: &[f64]| settings.weights.of(row);
        let weights: Vec<f64> = jacobian.chunks_exact(n).map(weight).collect();
        let weighted = Mat::from_fn(m, n, |i, k| weights[i] * jacobian[i * n + k]);
        let j = weighted.as_ref();
        let rows_side = m <= n;
        let mut gram = if rows_side {
            j * j.transpose()
        } else {
            j.transpose() * j
        };
        let size = gram.nrows();
        for i in 0..size {
            gram[(i, i)] += settings.damping;
        }
        let factor = gram.llt(faer::Side::Lower).ok()?;
        let lower = factor.L();
        // Positive pivots alone do not make a system well posed: the step of a dependent row would
        // be noise.
        if (0..size).any(|i| pivot_is_rounding(lower[(i, i)].powi(2), gram[(i, i)], size)) {
            return None;
        }
        let solved = if rows_side {
            factor.solve(j)
        } else {
            factor.solve(j.transpose()).transpose().to_owned()
        };
        let step = Mat::from_fn(m, n, |i, k| weights[i] * solved[(i, k)]);
        let response = &step * view(&jacobian, m, n).transpose();
        Some(Self {
            step: row_major(&step),
            response: row_major(&response),
            jacobian,
            weights,
        })
    }
}

fn row_major(matrix: &Mat<f64>) -> Vec<f64> {
    (0..matrix.nrows())
        .flat_map(|i| (0..matrix.ncols()).map(move |k| (i, k)))
        .map(|at| matrix[at])
        .collect()
}

impl Tape {
    pub(super) fn vjp(&self, problem: &DampedProblem<'_>, cotangent: &[f64]) -> DampedGradients {
        let (n, m) = (problem.n, problem.rows());
        let mut gradients = DampedGradients::of_the_start(problem, cotangent);
        let chunks = gradients.samples(problem, CHUNK).zip(&self.chunks);
        chunks.for_each(|((v, lower, upper), steps)| self.reverse(v, lower, upper, steps, n, m));
        gradients
    }

    fn reverse(
        &self,
        v: &mut [f64],
        lower: &mut [f64],
        upper: &mut [f64],
        steps: &[Sides],
        n: usize,
        m: usize,
    ) {
        let constants = &self.constants;
        let count = v.len() / n;
        let mut c = vec![0.0; count * m];
        multiply(
            view_mut(&mut c, count, m),
            1.0,
            view(v, count, n),
            view(&constants.step, m, n).transpose(),
        );
        let (mut g, mut change, mut sum) = (
            vec![0.0; count * m],
            vec![0.0; count * m],
            vec![0.0; count * m],
        );
        for step in steps.iter().rev() {
            for (slot, (&i, sides)) in step.iter(m).enumerate() {
                for (row, &side) in sides.iter().enumerate() {
                    let value = if side == 0 { 0.0 } else { -c[i * m + row] };
                    g[slot * m + row] = value;
                    sum[i * m + row] += value;
                    match side {
                        1 => upper[i * m + row] -= value,
                        -1 => lower[i * m + row] -= value,
                        _ => {}
                    }
                }
            }
            let rows_now = step.count();
            multiply(
                view_mut(&mut change[..rows_now * m], rows_now, m),
                1.0,
                view(&g[..rows_now * m], rows_now, m),
                view(&constants.response, m, m).transpose(),
            );
            for (slot, (&i, _)) in step.iter(m).enumerate() {
                for row in 0..m {
                    c[i * m + row] += change[slot * m + row];
                }
            }
        }
        add_multiply(
            view_mut(v, count, n),
            1.0,
            view(&sum, count, m),
            view(&constants.jacobian, m, n),
        );
    }
}
