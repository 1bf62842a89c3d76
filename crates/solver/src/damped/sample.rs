//! The repair sample by sample, for rows whose Jacobian changes.

use rayon::prelude::*;

use super::factor::{Factor, Fixed, Scratch, load_moving};
use super::rows::{residual, values};
use super::{
    Damped, DampedProblem, DampedSettings, DampedStatus, Record, RowPolicy, Stopping, residuals,
};
use crate::dense::{axpy, dot, max_abs, vectorised};

/// What the reverse pass needs of one step.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) y: Vec<f64>,
    pub(super) delta: Vec<f64>,
    pub(super) moving: Vec<u32>,
    /// Side of the box of every fixed, then every moving row.
    pub(super) sides: Vec<i8>,
    pub(super) factor: Factor,
    /// Over the rows μ = (JJᵀ + λI)⁻¹r; over the variables what the step leaves, r − JΔ.
    pub(super) multipliers: Vec<f64>,
}

/// All steps of one sample.
pub(super) type Tape = Vec<Step>;

/// One sample on its way.
struct Run {
    sample: usize,
    y: Vec<f64>,
    r: Vec<f64>,
    iterations: usize,
    status: DampedStatus,
    tape: Tape,
}

/// One thread's memory.
struct Workspace {
    scratch: Scratch,
    n: Vec<f64>,
    right: Vec<f64>,
    delta: Vec<f64>,
}

impl Workspace {
    fn new(problem: &DampedProblem<'_>) -> Self {
        let (n, m) = (problem.n, problem.rows());
        Self {
            scratch: Scratch::new(m, n),
            n: vec![0.0; n],
            right: Vec::with_capacity(m),
            delta: vec![0.0; n],
        }
    }
}

struct Context<'a> {
    problem: &'a DampedProblem<'a>,
    fixed: Option<&'a Fixed>,
    /// Rows that are not fixed.
    others: Vec<u32>,
    settings: &'a DampedSettings,
    record: Record,
}

pub(super) fn repair(
    problem: &DampedProblem<'_>,
    start: &[f64],
    settings: &DampedSettings,
    record: Record,
) -> Damped {
    let (n, m) = (problem.n, problem.rows());
    let fixed = Fixed::new(
        problem,
        settings.rows,
        settings.damping,
        &mut Scratch::new(m, n),
    );
    let is_fixed = |row: &usize| {
        fixed
            .as_ref()
            .is_some_and(|fixed| fixed.rows.binary_search(row).is_ok())
    };
    let others = (0..m)
        .filter(|row| !is_fixed(row))
        .map(|row| row as u32)
        .collect();
    let context = Context {
        problem,
        fixed: fixed.as_ref(),
        others,
        settings,
        record,
    };
    let mut runs: Vec<Run> = start
        .chunks_exact(n)
        .enumerate()
        .map(|(sample, y)| Run {
            sample,
            y: y.to_vec(),
            r: vec![0.0; m],
            iterations: 0,
            status: DampedStatus::MaxIterations,
            tape: vec![],
        })
        .collect();
    match settings.stopping {
        Stopping::PerSample => runs.par_iter_mut().for_each_init(
            || Workspace::new(problem),
            |workspace, run| vectorised(|| context.finish(run, workspace)),
        ),
        Stopping::WholeBatch => context.finish_together(&mut runs),
    }
    let (mut y, mut iterations, mut status, mut tapes) =
        (Vec::with_capacity(start.len()), vec![], vec![], vec![]);
    for run in runs {
        y.extend(run.y);
        iterations.push(run.iterations);
        status.push(run.status);
        tapes.push(run.tape);
    }
    let residual = residuals(problem, &y);
    let tape = match record {
        Record::Nothing => super::Tape::None,
        Record::Steps => super::Tape::Samples(tapes, fixed),
    };
    Damped {
        y,
        iterations,
        status,
        residual,
        tape,
    }
}

impl Context<'_> {
    fn finish(&self, run: &mut Run, workspace: &mut Workspace) {
        for _ in 0..self.settings.max_iterations {
            let worst = self.evaluate(run, workspace);
            if worst < self.settings.tolerance {
                run.status = DampedStatus::Residual;
                return;
            }
            match self.step(run, workspace) {
                Err(status) => {
                    run.status = status;
                    return;
                }
                Ok(length) if length < self.settings.tolerance => {
                    run.status = DampedStatus::Step;
                    return;
                }
                Ok(_) => {}
            }
        }
    }

    /// Stops all samples at once; one that fails leaves alone.
    fn finish_together(&self, runs: &mut [Run]) {
        let mut running: Vec<&mut Run> = runs.iter_mut().collect();
        // Zero is neutral for maxima of magnitudes; a NaN stays with the sample that has it.
        let largest = |values: Vec<f64>| values.into_iter().fold(0.0, f64::max);
        for _ in 0..self.settings.max_iterations {
            let evaluated = running.par_iter_mut().map_init(
                || Workspace::new(self.problem),
                |workspace, run| self.evaluate(run, workspace),
            );
            if largest(evaluated.collect()) < self.settings.tolerance {
                running
                    .iter_mut()
                    .for_each(|run| run.status = DampedStatus::Residual);
                return;
            }
            let steps: Vec<_> = running
                .par_iter_mut()
                .map_init(
                    || Workspace::new(self.problem),
                    |workspace, run| vectorised(|| self.step(run, workspace)),
                )
                .collect();
            let mut outcome = steps.iter();
            running.retain_mut(|run| match outcome.next().expect("one outcome a run") {
                Ok(_) => true,
                Err(status) => {
                    run.status = *status;
                    false
                }
            });
            if running.is_empty() {
                return;
            }
            if largest(steps.into_iter().flatten().collect()) < self.settings.tolerance {
                running
                    .iter_mut()
                    .for_each(|run| run.status = DampedStatus::Step);
                return;
            }
        }
    }

    /// r at the current iterate; returns its largest entry, NaN if there is one.
    fn evaluate(&self, run: &mut Run, workspace: &mut Workspace) -> f64 {
        let m = run.r.len();
        values(
            self.problem,
            run.sample,
            &run.y,
            &mut run.r,
            &mut workspace.n,
        );
        let (l, u) = (
            self.problem.lower.sample(run.sample, m),
            self.problem.upper.sample(run.sample, m),
        );
        for row in 0..m {
            run.r[row] = residual(run.r[row], l[row], u[row]);
        }
        max_abs(&run.r)
    }

    /// One step from r; returns max|Δ|.
    fn step(&self, run: &mut Run, workspace: &mut Workspace) -> Result<f64, DampedStatus> {
        let n = self.problem.n;
        if !max_abs(&run.r).is_finite() {
            return Err(DampedStatus::NonFinite);
        }
        let in_jacobian = |row: &&u32| {
            let row = **row as usize;
            self.settings.rows == RowPolicy::All || self.problem.equality[row] || run.r[row] != 0.0
        };
        let moving: Vec<u32> = self.others.iter().filter(in_jacobian).copied().collect();
        let q = moving.len();
        load_moving(
            self.problem,
            run.sample,
            &moving,
            &run.y,
            &mut workspace.scratch.moving,
        );
        let factor = Factor::new(
            self.fixed,
            q,
            n,
            self.settings.damping,
            &mut workspace.scratch,
        )
        .ok_or(DampedStatus::Singular)?;
        let fixed_rows = self.fixed.map_or(&[][..], |fixed| &fixed.rows);
        let right = &mut workspace.right;
        right.clear();
        right.extend(fixed_rows.iter().map(|&row| run.r[row]));
        right.extend(moving.iter().map(|&row| run.r[row as usize]));
        let sides = right
            .iter()
            .map(|v| i8::from(*v > 0.0) - i8::from(*v < 0.0))
            .collect();
        let coefficients = Coefficients {
            fixed: self.fixed,
            moving: &workspace.scratch.moving[..q * n],
            n,
        };
        let delta = &mut workspace.delta;
        delta.fill(0.0);
        match &factor {
            Factor::Rows { coupling, schur } => {
                Factor::solve_rows(coupling, schur, self.fixed, right);
                coefficients.add_transposed(right, delta);
            }
            Factor::Variables(upper) => {
                coefficients.add_transposed(right, delta);
                Factor::solve_variables(upper, delta);
                coefficients.subtract_product(delta, right);
            }
        }
        if !max_abs(delta).is_finite() {
            return Err(DampedStatus::NonFinite);
        }
        let before = (self.record == Record::Steps).then(|| run.y.clone());
        for (y, delta) in run.y.iter_mut().zip(delta.iter()) {
            *y -= delta;
        }
        if let Some(y) = before {
            run.tape.push(Step {
                y,
                delta: delta.clone(),
                moving,
                sides,
                factor,
                multipliers: right.clone(),
            });
        }
        run.iterations += 1;
        Ok(max_abs(delta))
    }
}

/// J as the fixed rows, then the moving ones.
pub(super) struct Coefficients<'a> {
    pub(super) fixed: Option<&'a Fixed>,
    pub(super) moving: &'a [f64],
    pub(super) n: usize,
}

impl Coefficients<'_> {
    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        let fixed = self.fixed.map_or(&[][..], |fixed| &fixed.jacobian);
        fixed
            .chunks_exact(self.n)
            .chain(self.moving.chunks_exact(self.n))
    }

    /// out += Jᵀx.
    #[inline(always)]
    pub(super) fn add_transposed(&self, x: &[f64], out: &mut [f64]) {
        for (row, &x) in self.rows().zip(x) {
            axpy(x, row, out);
        }
    }

    /// out −= Jx.
    #[inline(always)]
    pub(super) fn subtract_product(&self, x: &[f64], out: &mut [f64]) {
        for (row, out) in self.rows().zip(out) {
            *out -= dot(row, x);
        }
    }
}
