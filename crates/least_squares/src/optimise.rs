//! The iterations of one sample.

mod recording;

pub(crate) use recording::{Recorded, Steps};

use crate::callback::{Callback, Control, Iteration};
use crate::dense::{dot, max_abs, norm};
use crate::settings::Settings;
use crate::status::{Record, Status, Test};
use crate::step::{Region, Taken, Verdict, advance};
use crate::term::Linearisation;
use crate::workspace::Workspace;
use recording::Recording;

/// What the iterations of one sample came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: Status,
    pub(crate) cost: f64,
    pub(crate) history: Vec<Record>,
    /// The last steps, as many as were asked for.
    pub(crate) trace: Steps,
    /// Whether the trace goes back to the start.
    pub(crate) complete: bool,
    /// The auxiliaries that a callback left, if it changed any.
    pub(crate) auxiliaries: Option<Vec<Vec<f64>>>,
    /// The last sparse factor, where it was to be kept, in single precision.
    pub(crate) factor: Option<Vec<f32>>,
    /// With that, the linearisation at the end and its matrix, where there is one.
    pub(crate) end: Option<(Linearisation, Vec<f64>)>,
}

/// What the iterations of one sample start from.
pub(crate) struct Task<'t> {
    pub(crate) sample: usize,
    pub(crate) auxiliaries: &'t [&'t [f64]],
    /// A linear function of the stored numbers to add to the objective.
    pub(crate) tilt: Option<&'t [f64]>,
    pub(crate) callback: Option<&'t Callback<'t>>,
    /// How many of the last steps are recorded; `None` for all of them.
    pub(crate) record: Option<usize>,
    /// Whether to keep what implicit differentiation can use.
    pub(crate) keep: bool,
}

/// Halvings of a step without a region before its sample is given up.
const HALVINGS: usize = 40;

/// Steps in a row whose effect on the cost is below its rounding and that do not lower the gradient.
const QUIET_STEPS: usize = 8;

/// A step whose effect on the cost is below its rounding.
struct Unfelt {
    /// The gradient along the step, before it.
    slope: f64,
    predicted: f64,
}

/// A step that was computed, not taken yet.
struct Trial {
    /// At its end; NaN where there is no step, or that is not finite.
    cost: f64,
    /// The decrease of the cost by the linearised rows.
    predicted: f64,
    /// Whether its effect on the cost is below its rounding.
    is_quiet: bool,
}

/// Moves `x` to a minimum.
pub(crate) fn optimise(
    space: &mut Workspace<'_>,
    settings: &Settings,
    x: &mut Vec<f64>,
    task: &Task<'_>,
) -> Outcome {
    // Those that a callback may change.
    let mut own: Option<Vec<Vec<f64>>> = task
        .callback
        .map(|_| task.auxiliaries.iter().map(|a| a.to_vec()).collect());
    let mut run = Run::new(space, settings, x, task);
    let status = loop {
        let references: Vec<&[f64]>;
        let auxiliaries: &[&[f64]] = match &own {
            None => task.auxiliaries,
            Some(own) => {
                references = own.iter().map(Vec::as_slice).collect();
                &references
            }
        };
        if let Some(status) = run.linearise(auxiliaries) {
            break status;
        }
        if run.history.len() >= settings.max_iterations {
            break Status::MaxIterations;
        }
        let (record, mut ended) = run.step(auxiliaries);
        run.history.push(record);
        if let (Some(callback), Some(own)) = (task.callback, &mut own) {
            ended = run.call(callback, own, ended);
        }
        if let Some(status) = ended {
            break status;
        }
    };
    let own = own.filter(|_| run.changed);
    run.finish(status, own)
}

/// The iterations as they run.
struct Run<'r, 'a> {
    space: &'r mut Workspace<'a>,
    settings: &'r Settings,
    x: &'r mut Vec<f64>,
    task: &'r Task<'r>,
    region: Region,
    /// Whether the cost never rises.
    monotone: bool,
    history: Vec<Record>,
    recording: Recording,
    best_cost: f64,
    /// How many steps were recorded before the best iterate.
    best_steps: usize,
    /// Whether `x` is to be linearised at.
    fresh: bool,
    /// Whether the cost has been finite, with these auxiliaries.
    known: bool,
    /// Whether a callback changed auxiliaries.
    changed: bool,
    /// The last step, where the cost does not feel it, before it is judged.
    unfelt: Option<Unfelt>,
    /// Such steps in a row, and the least gradient at them.
    quiet: usize,
    quiet_gradient: f64,
}

impl<'r, 'a> Run<'r, 'a> {
    fn new(
        space: &'r mut Workspace<'a>,
        settings: &'r Settings,
        x: &'r mut Vec<f64>,
        task: &'r Task<'r>,
    ) -> Self {
        let region = Region::new(&settings.step);
        let monotone = !region.takes_all();
        let recording = Recording::new(space, settings, task, monotone);
        Self {
            space,
            settings,
            x,
            task,
            monotone,
            region,
            history: Vec::with_capacity(settings.max_iterations.min(128)),
            recording,
            best_cost: f64::INFINITY,
            best_steps: 0,
            fresh: true,
            known: false,
            changed: false,
            unfelt: None,
            quiet: 0,
            quiet_gradient: f64::INFINITY,
        }
    }

    /// Linearises at an iterate that is new, or goes back from it. The status where the iterations end there.
    fn linearise(&mut self, auxiliaries: &[&[f64]]) -> Option<Status> {
        if !self.fresh {
            return None;
        }
        if self.history.len() >= self.settings.max_iterations && self.known {
            // The cost is known, and nothing else is needed any more.
            return Some(Status::MaxIterations);
        }
        let tilt = self.task.tilt;
        let mut finite = self.space.linearise(self.x, auxiliaries, tilt);
        let (verdict, can_shrink) = self.judge_again(finite);
        if verdict == Verdict::Reject {
            std::mem::swap(self.x, &mut self.space.trial);
            self.recording.pop();
            if let Some(last) = self.history.last_mut() {
                last.accepted = false;
            }
            finite = self.space.linearise(self.x, auxiliaries, tilt);
            if !can_shrink {
                self.space.restrict(self.x, false);
                return Some(self.space.rounding_status(self.x));
            }
        }
        if !finite {
            return Some(Status::NonFinite);
        }
        self.known = true;
        self.space.restrict(self.x, true);
        self.fresh = false;
        if self.space.at.cost < self.best_cost {
            self.best_cost = self.space.at.cost;
            self.best_steps = self.recording.len();
            if !self.monotone || self.task.callback.is_some() {
                self.space.best.copy_from_slice(self.x);
            }
        }
        self.is_stationary()
    }

    /// The verdict on a step that was taken before its end was linearised at.
    fn judge_again(&mut self, finite: bool) -> (Verdict, bool) {
        let unfelt = self.unfelt.take();
        if self.monotone && self.known && !finite {
            self.region.judge(f64::NAN, f64::NAN)
        } else if let Some(Unfelt { slope, predicted }) = unfelt {
            // The decrease by the trapezium rule, which does not cancel.
            let space = &mut *self.space;
            space.restrict(self.x, false);
            let slopes = slope + dot(&space.gradient, &space.proposal.delta);
            self.region.judge(-0.5 * slopes / predicted, f64::NAN)
        } else {
            (Verdict::Accept, true)
        }
    }

    /// Convergence by the gradient, or the end of steps that neither cost nor gradient feel.
    fn is_stationary(&mut self) -> Option<Status> {
        let gradient = max_abs(&self.space.gradient);
        if self.quiet > QUIET_STEPS && gradient >= self.quiet_gradient {
            return Some(self.space.rounding_status(self.x));
        }
        if self.quiet == 0 || gradient < self.quiet_gradient {
            (self.quiet, self.quiet_gradient) = (0, gradient);
        }
        (gradient <= self.settings.stopping.gradient || gradient == 0.0)
            .then_some(Status::Converged(Test::Gradient))
    }

    /// Computes a step, and takes or rejects it. The status where the iterations end with it.
    fn step(&mut self, auxiliaries: &[&[f64]]) -> (Record, Option<Status>) {
        let mut record = Record {
            cost: self.space.at.cost,
            gradient: max_abs(&self.space.gradient),
            damping: self.region.size,
            step_norm: f64::NAN,
            gain_ratio: f64::NAN,
            accepted: false,
        };
        let mut taken = self.region.taken();
        let space = &mut *self.space;
        let leg = space.proposal.compute(
            space.objective,
            &mut space.system,
            &space.at,
            &space.gradient,
            self.task.tilt.is_some(),
            &mut taken,
        );
        // More damping may make a matrix regular, nothing else.
        if leg.is_none() && (!self.monotone || taken.radius.is_some()) {
            return (record, Some(Status::Singular));
        }
        let trial = self.try_step(leg.is_some(), auxiliaries, &mut taken, &mut record);
        let (verdict, can_shrink) = self.judge(&trial, &record);
        let ended = if verdict == Verdict::Accept {
            self.accept(&trial, taken, &mut record)
        } else if !can_shrink {
            Some(if leg.is_none() {
                Status::Singular
            } else if trial.cost.is_finite() {
                self.space.rounding_status(self.x)
            } else {
                Status::NonFinite
            })
        } else if trial.cost.is_finite()
            && record.step_norm <= f64::EPSILON * norm(self.x)
            && self.region.rejections > 0
        {
            // Smaller steps do not move x any more.
            Some(self.space.rounding_status(self.x))
        } else {
            None
        };
        (record, ended)
    }

    /// Evaluates the cost at the end of the step, halved where that is not finite and nothing else would
    /// shorten it.
    fn try_step(
        &mut self,
        exists: bool,
        auxiliaries: &[&[f64]],
        taken: &mut Taken,
        record: &mut Record,
    ) -> Trial {
        let space = &mut *self.space;
        let (mut cost, mut predicted) = (f64::NAN, f64::NAN);
        if exists {
            for _ in 0..HALVINGS {
                let delta = &mut space.proposal.delta;
                advance(space.objective, self.x, delta, &mut space.trial);
                cost = if delta.iter().all(|d| d.is_finite()) {
                    space.cost(auxiliaries, self.task.tilt)
                } else {
                    f64::NAN
                };
                if self.monotone || cost.is_finite() {
                    break;
                }
                taken.shrink *= 0.5;
                space.proposal.delta.iter_mut().for_each(|d| *d *= 0.5);
            }
            let delta = &space.proposal.delta;
            space.at.multiply(space.objective, delta, &mut space.rows);
            predicted = -dot(&space.gradient, delta) - 0.5 * dot(&space.rows, &space.rows);
            record.step_norm = norm(delta);
        }
        let actual = record.cost - cost;
        record.gain_ratio = actual / predicted;
        // Below this the difference of two costs is rounding.
        let rounding = 64.0 * f64::EPSILON * record.cost.abs();
        let is_quiet = cost.is_finite()
            && predicted.abs() <= rounding
            && (actual.abs() <= rounding || actual.abs() <= space.cost_rounding(self.x));
        Trial {
            cost,
            predicted,
            is_quiet,
        }
    }

    /// Whether to take the step, and if not whether a shorter one is possible.
    fn judge(&mut self, trial: &Trial, record: &Record) -> (Verdict, bool) {
        if !trial.cost.is_finite() {
            if self.monotone {
                self.region.judge(f64::NAN, f64::NAN)
            } else {
                (Verdict::Reject, false)
            }
        } else if trial.is_quiet {
            (Verdict::Accept, true)
        } else if trial.predicted > 0.0 || !self.monotone {
            self.region.judge(record.gain_ratio, record.step_norm)
        } else {
            self.region.judge(f64::NAN, f64::NAN)
        }
    }

    /// Takes the step. The status where it changes too little for another.
    fn accept(&mut self, trial: &Trial, taken: Taken, record: &mut Record) -> Option<Status> {
        let space = &mut *self.space;
        record.accepted = true;
        self.quiet = if trial.is_quiet { self.quiet + 1 } else { 0 };
        self.unfelt = (trial.is_quiet && self.monotone).then(|| Unfelt {
            slope: dot(&space.gradient, &space.proposal.delta),
            predicted: trial.predicted,
        });
        self.recording.push(space, self.x, taken);
        // Without a region any iterate may turn out to be the best, so all are kept.
        if self.monotone {
            self.recording.keep_last();
        }
        std::mem::swap(self.x, &mut space.trial);
        self.fresh = true;
        space.at.cost = trial.cost;
        let (length, stopping) = (norm(self.x), &self.settings.stopping);
        let actual = record.cost - trial.cost;
        // The model's decrease too: a step across a valley may end as high as it began.
        let change = actual.abs().max(trial.predicted.abs());
        let near = stopping.step * (length + stopping.step);
        if stopping.cost > 0.0 && change <= stopping.cost * record.cost.abs() && !trial.is_quiet {
            Some(Status::Converged(Test::Cost))
        } else if stopping.step > 0.0 && record.step_norm <= near {
            Some(Status::Converged(Test::Step))
        } else {
            None
        }
    }

    /// Calls back after an iteration that would have ended with `ended`; where auxiliaries are changed, what
    /// has converged goes on.
    fn call(
        &mut self,
        callback: &Callback<'_>,
        auxiliaries: &mut [Vec<f64>],
        mut ended: Option<Status>,
    ) -> Option<Status> {
        let mut iteration = Iteration {
            sample: self.task.sample,
            iteration: self.history.len(),
            record: *self.history.last().expect("one was just pushed"),
            objective: self.space.objective,
            x: self.x,
            auxiliaries,
            changed: false,
        };
        let control = callback(&mut iteration);
        if iteration.changed {
            self.changed = true;
            self.fresh = true;
            self.known = false;
            self.best_cost = f64::INFINITY;
            // Slopes of another objective.
            self.unfelt = None;
            (self.quiet, self.quiet_gradient) = (0, f64::INFINITY);
            ended = ended.filter(|status| !status.is_converged());
        }
        match control {
            Control::Continue => ended,
            Control::Stop => Some(Status::Callback),
        }
    }

    /// What the iterations came to; without a region, and without success, the best iterate.
    fn finish(mut self, status: Status, auxiliaries: Option<Vec<Vec<f64>>>) -> Outcome {
        let mut cost = self.space.at.cost;
        let failed = !status.is_converged() && status != Status::Callback;
        let best = self.best_cost;
        let restored = failed && !self.monotone && best.is_finite() && !(cost <= best);
        if restored {
            self.x.copy_from_slice(&self.space.best);
            cost = best;
            self.recording.truncate(self.best_steps);
        } else if status == Status::NonFinite && !self.known {
            cost = f64::NAN;
        }
        self.recording.keep_last();
        let sparse = self.space.system.sparse().filter(|_| self.task.keep);
        let (factor, end) = match sparse.and_then(|sparse| sparse.take()) {
            Some((matrix, factor)) => {
                let at_end = !self.fresh && !restored;
                let end = at_end.then(|| (std::mem::take(&mut self.space.at), matrix));
                (factor, end)
            }
            None => (None, None),
        };
        let (trace, complete) = self.recording.finish();
        Outcome {
            status,
            cost,
            history: self.history,
            trace,
            complete,
            auxiliaries,
            factor,
            end,
        }
    }
}
