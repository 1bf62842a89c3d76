//! The repair sample by sample, for rows whose Jacobian changes or is each sample's own.

use std::sync::Arc;

use rayon::prelude::*;

use super::cholesky::Scratch;
use super::factor::Fixed;
use super::held::{Contact, LimitQuality};
use super::limit::{Kept, Limits};
use super::rows::residuals;
use super::step::{Factored, Tape};
use super::{Damped, DampedProblem, DampedSettings, DampedStatus, Record, Stopping, adjoint};
use crate::dense::vectorised;

/// One sample on its way.
pub(super) struct Run {
    pub(super) sample: usize,
    pub(super) y: Vec<f64>,
    /// The variables before the last step.
    pub(super) before: Vec<f64>,
    pub(super) r: Vec<f64>,
    /// max|r|.
    pub(super) residual: f64,
    pub(super) iterations: usize,
    pub(super) status: DampedStatus,
    pub(super) factored: Arc<Factored>,
    /// Whether `factored` is this sample's own.
    pub(super) is_factored: bool,
    pub(super) tape: Tape,
    /// With [`Record::Limit`], when every row was outside its box, `[m]`.
    pub(super) contacts: Vec<Contact>,
    pub(super) kept: Kept,
    pub(super) quality: LimitQuality,
}

/// One thread's memory.
pub(super) struct Workspace {
    pub(super) scratch: Scratch,
    pub(super) n: Vec<f64>,
    pub(super) moving: Vec<u32>,
    pub(super) right: Vec<f64>,
    pub(super) delta: Vec<f64>,
    pub(super) factored: Arc<Factored>,
}

impl Workspace {
    fn new(problem: &DampedProblem<'_>) -> Self {
        let (n, m) = (problem.n, problem.rows());
        Self {
            scratch: Scratch::new(m, n),
            n: vec![0.0; n],
            moving: Vec::with_capacity(m),
            right: Vec::with_capacity(m),
            delta: vec![0.0; n],
            factored: Arc::default(),
        }
    }
}

pub(super) struct Context<'a> {
    pub(super) problem: &'a DampedProblem<'a>,
    /// `[batch, n]`.
    pub(super) start: &'a [f64],
    pub(super) fixed: Option<&'a Fixed>,
    /// Rows that are not fixed.
    pub(super) others: Vec<u32>,
    /// For every row whether it has curvature.
    pub(super) curved: Vec<bool>,
    pub(super) settings: &'a DampedSettings,
    pub(super) record: Record,
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
        settings.weights,
        settings.damping,
        &mut Scratch::new(m, n),
    );
    let is_fixed = |row: &usize| {
        fixed
            .as_ref()
            .is_some_and(|fixed| fixed.rows.binary_search(row).is_ok())
    };
    let curved = problem
        .blocks
        .iter()
        .flat_map(|block| std::iter::repeat_n(!block.is_affine(), block.rows));
    let context = Context {
        problem,
        start,
        fixed: fixed.as_ref(),
        others: (0..m)
            .filter(|row| !is_fixed(row))
            .map(|row| row as u32)
            .collect(),
        curved: curved.collect(),
        settings,
        record,
    };
    let mut runs: Vec<Run> = start
        .chunks_exact(n)
        .enumerate()
        .map(|(sample, y)| Run {
            sample,
            y: y.to_vec(),
            before: y.to_vec(),
            r: vec![0.0; m],
            residual: f64::NAN,
            iterations: 0,
            status: DampedStatus::MaxIterations,
            factored: Arc::default(),
            is_factored: false,
            tape: Tape::default(),
            contacts: match record {
                Record::Limit => vec![Contact::default(); m],
                _ => vec![],
            },
            kept: Kept::Lost,
            quality: LimitQuality::LOST,
        })
        .collect();
    match settings.stopping {
        Stopping::PerSample => runs.par_iter_mut().for_each_init(
            || Workspace::new(problem),
            |workspace, run| vectorised(|| context.finish(run, workspace)),
        ),
        Stopping::WholeBatch => {
            context.finish_together(&mut runs);
            if record == Record::Limit {
                runs.par_iter_mut().for_each_init(
                    || Workspace::new(problem),
                    |workspace, run| vectorised(|| context.keep_limit(run, workspace)),
                );
            }
        }
    }
    let (mut y, mut iterations, mut status, mut residual, mut tapes) = (
        Vec::with_capacity(start.len()),
        vec![],
        vec![],
        vec![],
        vec![],
    );
    let (mut kept, mut limit) = (vec![], vec![]);
    for run in runs {
        y.extend(run.y);
        iterations.push(run.iterations);
        status.push(run.status);
        residual.push(run.residual);
        tapes.push(run.tape);
        if record == Record::Limit {
            kept.push(run.kept);
            limit.push(run.quality);
        }
    }
    let tape = match record {
        Record::Nothing => super::Tape::None,
        Record::Limit => super::Tape::Limits(Limits {
            samples: kept,
            fixed,
            damping: settings.damping,
        }),
        Record::Steps => super::Tape::Samples(adjoint::Taped {
            samples: tapes,
            fixed,
            damping: settings.damping,
        }),
    };
    Damped {
        y,
        iterations,
        status,
        residual,
        limit,
        tape,
    }
}

impl Context<'_> {
    fn finish(&self, run: &mut Run, workspace: &mut Workspace) {
        // The memory of the sample before.
        std::mem::swap(&mut run.factored, &mut workspace.factored);
        self.iterate(run, workspace);
        if self.record == Record::Limit {
            self.keep_limit(run, workspace);
        }
        std::mem::swap(&mut run.factored, &mut workspace.factored);
    }

    fn iterate(&self, run: &mut Run, workspace: &mut Workspace) {
        for _ in 0..self.settings.max_iterations {
            let Some(worst) = self.evaluate(run, workspace) else {
                return;
            };
            if worst < self.settings.tolerance {
                run.status = DampedStatus::Residual;
                return;
            }
            let Some(length) = self.step(run, workspace) else {
                return;
            };
            if length < self.settings.tolerance {
                run.status = DampedStatus::Step;
                break;
            }
        }
        self.settle(run, workspace);
    }

    /// Stops all samples at once; one that fails leaves alone.
    fn finish_together(&self, runs: &mut [Run]) {
        let mut running: Vec<&mut Run> = runs.iter_mut().collect();
        let stop = |running: &mut Vec<&mut Run>, status| {
            running.iter_mut().for_each(|run| run.status = status);
        };
        for _ in 0..self.settings.max_iterations {
            let worst = self.each(&mut running, |run, workspace| self.evaluate(run, workspace));
            if worst < self.settings.tolerance {
                return stop(&mut running, DampedStatus::Residual);
            }
            let length = self.each(&mut running, |run, workspace| self.step(run, workspace));
            if length < self.settings.tolerance {
                stop(&mut running, DampedStatus::Step);
                break;
            }
        }
        self.each(&mut running, |run, workspace| self.settle(run, workspace));
    }

    /// Does `work` for every sample, and drops those for which it gives nothing: they failed.
    /// Returns the largest of what it gives.
    fn each(
        &self,
        running: &mut Vec<&mut Run>,
        work: impl Fn(&mut Run, &mut Workspace) -> Option<f64> + Sync,
    ) -> f64 {
        let results: Vec<Option<f64>> = running
            .par_iter_mut()
            .map_init(
                || Workspace::new(self.problem),
                |workspace, run| vectorised(|| work(run, workspace)),
            )
            .collect();
        let mut kept = results.iter().map(Option::is_some);
        running.retain_mut(|_| kept.next().expect("one result a run"));
        results.into_iter().flatten().fold(0.0, f64::max)
    }

    /// r at the current iterate; returns its largest entry. `None` ends the sample: it is not
    /// finite there.
    fn evaluate(&self, run: &mut Run, workspace: &mut Workspace) -> Option<f64> {
        self.read_residual(run, workspace);
        if run.residual.is_finite() {
            return Some(run.residual);
        }
        self.take_back(run, workspace);
        None
    }

    fn read_residual(&self, run: &mut Run, workspace: &mut Workspace) {
        run.residual = residuals(
            self.problem,
            run.sample,
            &run.y,
            &mut run.r,
            &mut workspace.n,
        );
    }

    /// Ends a sample that is not finite where the last step led to, at the iterate before it.
    pub(super) fn take_back(&self, run: &mut Run, workspace: &mut Workspace) {
        run.status = DampedStatus::NonFinite;
        if run.iterations == 0 {
            if !run.residual.is_finite() {
                run.residual = f64::NAN;
            }
            return;
        }
        run.iterations -= 1;
        run.tape.steps.pop();
        run.y.copy_from_slice(&run.before);
        self.read_residual(run, workspace);
    }

    /// After the last step: whether it led to the box, or nowhere.
    fn settle(&self, run: &mut Run, workspace: &mut Workspace) -> Option<f64> {
        let worst = self.evaluate(run, workspace)?;
        if run.status == DampedStatus::MaxIterations && worst < self.settings.tolerance {
            run.status = DampedStatus::Residual;
        }
        Some(worst)
    }
}
