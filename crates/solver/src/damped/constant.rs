//! The repair of rows whose Jacobian J is one constant matrix for the whole batch.
//!
//! With D = (JJᵀ + λI)⁻¹J, a step is Δ = r D, and the rows move by g ← g − r T with T = DJᵀ: the
//! iteration runs in the space of the rows, two products with constant matrices a step for a
//! whole chunk of samples. In reverse, with c = v Dᵀ the cotangent seen from the rows, a step is
//! ḡ = −[r ≠ 0] c, c ← c + ḡ Tᵀ, and v ← v + (Σ ḡ) J at the end: one product.

use rayon::prelude::*;

use super::{
    Damped, DampedGradients, DampedProblem, DampedSettings, DampedStatus, Record, Stopping,
    residuals, rows,
};
use crate::dense::{add_multiply, max_abs, multiply, view, view_mut};

/// Samples a task carries: enough for the products to be matrix-matrix, few enough to spread.
const CHUNK: usize = 32;

/// One step of a chunk: each sample that moved, and the side of the box each of its rows was on.
type Sides = Vec<(usize, Vec<i8>)>;

#[derive(Debug)]
pub(super) struct Tape {
    jacobian: Vec<f64>,
    /// D, `[m, n]`.
    step: Vec<f64>,
    /// T, `[m, m]`.
    response: Vec<f64>,
    /// Samples of a chunk.
    chunk: usize,
    /// For every chunk and step, the side of the box each row of each moving sample was on.
    chunks: Vec<Vec<Sides>>,
}

/// `None` where (JJᵀ + λI) is singular: the general path reports it sample by sample.
pub(super) fn repair(
    problem: &DampedProblem<'_>,
    jacobian: &[f64],
    start: &[f64],
    settings: &DampedSettings,
    record: Record,
) -> Option<Damped> {
    let (n, m) = (problem.n, problem.rows());
    let (step, response) = constants(jacobian, m, n, settings.damping)?;
    // Stopping together needs all samples in one task.
    let chunk = match settings.stopping {
        Stopping::PerSample => CHUNK,
        Stopping::WholeBatch => problem.batch.max(1),
    };
    let parts: Vec<Part> = start
        .par_chunks(chunk * n)
        .enumerate()
        .map(|(index, start)| {
            Part::run(
                problem,
                jacobian,
                &step,
                &response,
                index * chunk,
                start,
                settings,
                record,
            )
        })
        .collect();
    let (mut y, mut iterations, mut status, mut chunks) =
        (Vec::with_capacity(start.len()), vec![], vec![], vec![]);
    for part in parts {
        y.extend(part.y);
        iterations.extend(part.iterations);
        status.extend(part.status);
        chunks.push(part.sides);
    }
    let residual = residuals(problem, &y);
    let tape = match record {
        Record::Nothing => super::Tape::None,
        Record::Steps => super::Tape::Constant(Tape {
            jacobian: jacobian.to_vec(),
            step,
            response,
            chunk,
            chunks,
        }),
    };
    Some(Damped {
        y,
        iterations,
        status,
        residual,
        tape,
    })
}

/// D and T. Solving in the smaller of the two spaces: JJᵀ + λI where m ≤ n or λ = 0.
fn constants(jacobian: &[f64], m: usize, n: usize, damping: f64) -> Option<(Vec<f64>, Vec<f64>)> {
    use faer::linalg::solvers::Solve;
    let j = view(jacobian, m, n);
    let rows_side = m <= n || damping == 0.0;
    let gram = if rows_side {
        j * j.transpose()
    } else {
        j.transpose() * j
    };
    let mut gram = gram;
    for i in 0..gram.nrows() {
        gram[(i, i)] += damping;
    }
    let factor = gram.llt(faer::Side::Lower).ok()?;
    // Positive pivots alone do not make a system well posed: a pivot at rounding level is a
    // dependent row, whose step would be noise.
    let lower = factor.L();
    let smallest = (0..gram.nrows())
        .map(|i| lower[(i, i)])
        .fold(f64::INFINITY, f64::min);
    let largest = (0..gram.nrows()).map(|i| gram[(i, i)]).fold(0.0, f64::max);
    if smallest * smallest <= super::factor::SINGULAR * largest {
        return None;
    }
    let step = if rows_side {
        factor.solve(j)
    } else {
        factor.solve(j.transpose()).transpose().to_owned()
    };
    let response = &step * j.transpose();
    let row_major = |matrix: &faer::Mat<f64>| -> Vec<f64> {
        (0..matrix.nrows())
            .flat_map(|i| (0..matrix.ncols()).map(move |k| (i, k)))
            .map(|at| matrix[at])
            .collect()
    };
    Some((row_major(&step), row_major(&response)))
}

/// A chunk of samples on their way.
struct Part {
    y: Vec<f64>,
    iterations: Vec<usize>,
    status: Vec<DampedStatus>,
    sides: Vec<Sides>,
}

impl Part {
    #[expect(
        clippy::too_many_arguments,
        reason = "the constants of the batch and the place of the chunk in it"
    )]
    fn run(
        problem: &DampedProblem<'_>,
        jacobian: &[f64],
        step: &[f64],
        response: &[f64],
        first: usize,
        start: &[f64],
        settings: &DampedSettings,
        record: Record,
    ) -> Self {
        let (n, m) = (problem.n, problem.rows());
        let count = start.len() / n;
        let mut part = Self {
            y: start.to_vec(),
            iterations: vec![0; count],
            status: vec![DampedStatus::MaxIterations; count],
            sides: vec![],
        };
        let mut g = vec![0.0; count * m];
        rows::affine_values(jacobian, m, n, start, &mut g);
        let mut moving: Vec<usize> = (0..count).collect();
        let (mut r, mut delta, mut change) = (
            vec![0.0; count * m],
            vec![0.0; count * n],
            vec![0.0; count * m],
        );
        for iteration in 0..settings.max_iterations {
            for (slot, &i) in moving.iter().enumerate() {
                let (l, u) = (
                    problem.lower.sample(first + i, m),
                    problem.upper.sample(first + i, m),
                );
                for row in 0..m {
                    r[slot * m + row] = rows::residual(g[i * m + row], l[row], u[row]);
                }
            }
            let small = |values: &[f64]| max_abs(values) < settings.tolerance;
            let together = settings.stopping == Stopping::WholeBatch;
            if together && small(&r[..moving.len() * m]) {
                moving
                    .iter()
                    .for_each(|&i| part.status[i] = DampedStatus::Residual);
                break;
            }
            // Samples that are done leave; the others close ranks in `r`.
            let mut kept = 0;
            let mut still = Vec::with_capacity(moving.len());
            for (slot, &i) in moving.iter().enumerate() {
                let range = slot * m..(slot + 1) * m;
                if !together && small(&r[range.clone()]) {
                    part.status[i] = DampedStatus::Residual;
                    continue;
                }
                if !max_abs(&r[range.clone()]).is_finite() {
                    part.status[i] = DampedStatus::NonFinite;
                    continue;
                }
                r.copy_within(range, kept * m);
                kept += 1;
                still.push(i);
            }
            moving = still;
            if moving.is_empty() {
                break;
            }
            let rows_now = moving.len();
            multiply(
                view_mut(&mut delta[..rows_now * n], rows_now, n),
                1.0,
                view(&r[..rows_now * m], rows_now, m),
                view(step, m, n),
            );
            multiply(
                view_mut(&mut change[..rows_now * m], rows_now, m),
                1.0,
                view(&r[..rows_now * m], rows_now, m),
                view(response, m, m),
            );
            if record == Record::Steps {
                let side = |slot: usize| {
                    r[slot * m..(slot + 1) * m]
                        .iter()
                        .map(|v| i8::from(*v > 0.0) - i8::from(*v < 0.0))
                        .collect()
                };
                part.sides.push(
                    moving
                        .iter()
                        .enumerate()
                        .map(|(slot, &i)| (i, side(slot)))
                        .collect(),
                );
            }
            for (slot, &i) in moving.iter().enumerate() {
                for j in 0..n {
                    part.y[i * n + j] -= delta[slot * n + j];
                }
                for row in 0..m {
                    g[i * m + row] -= change[slot * m + row];
                }
                part.iterations[i] = iteration + 1;
            }
            if together {
                if small(&delta[..rows_now * n]) {
                    moving
                        .iter()
                        .for_each(|&i| part.status[i] = DampedStatus::Step);
                    break;
                }
            } else {
                let mut slot = 0;
                moving.retain(|&i| {
                    let done = small(&delta[slot * n..(slot + 1) * n]);
                    slot += 1;
                    if done {
                        part.status[i] = DampedStatus::Step;
                    }
                    !done
                });
            }
        }
        part
    }
}

impl Tape {
    pub(super) fn vjp(
        &self,
        problem: &DampedProblem<'_>,
        status: &[DampedStatus],
        cotangent: &[f64],
    ) -> DampedGradients {
        let (n, m, batch) = (problem.n, problem.rows(), problem.batch);
        let mut gradients = DampedGradients {
            start: cotangent.to_vec(),
            lower: vec![0.0; batch * m],
            upper: vec![0.0; batch * m],
        };
        for (i, status) in status.iter().enumerate() {
            if !status.has_gradient() {
                gradients.start[i * n..(i + 1) * n].fill(0.0);
            }
        }
        let chunk = self.chunk;
        gradients
            .start
            .par_chunks_mut(chunk * n)
            .zip(gradients.lower.par_chunks_mut(chunk * m))
            .zip(gradients.upper.par_chunks_mut(chunk * m))
            .zip(&self.chunks)
            .for_each(|(((v, lower), upper), steps)| self.reverse(v, lower, upper, steps, n, m));
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
        let count = v.len() / n;
        let mut c = vec![0.0; count * m];
        multiply(
            view_mut(&mut c, count, m),
            1.0,
            view(v, count, n),
            view(&self.step, m, n).transpose(),
        );
        let (mut g, mut change, mut sum) = (
            vec![0.0; count * m],
            vec![0.0; count * m],
            vec![0.0; count * m],
        );
        for step in steps.iter().rev() {
            for (slot, (i, sides)) in step.iter().enumerate() {
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
            let rows_now = step.len();
            multiply(
                view_mut(&mut change[..rows_now * m], rows_now, m),
                1.0,
                view(&g[..rows_now * m], rows_now, m),
                view(&self.response, m, m).transpose(),
            );
            for (slot, (i, _)) in step.iter().enumerate() {
                for row in 0..m {
                    c[i * m + row] += change[slot * m + row];
                }
            }
        }
        add_multiply(
            view_mut(v, count, n),
            1.0,
            view(&sum, count, m),
            view(&self.jacobian, m, n),
        );
    }
}
