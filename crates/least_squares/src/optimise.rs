//! The iterations of one sample.

use crate::dense::{dot, max_abs, norm};
use crate::linear::System;
use crate::objective::{AuxiliaryId, Objective, VariableId};
use crate::settings::Settings;
use crate::status::{Record, Status, Test};
use crate::step::{Proposal, Region, Taken, Verdict, advance, find_held};
use crate::term::{Linearisation, Sample, cost};

/// What a callback sees at the end of an iteration, and may change.
#[derive(Debug)]
pub struct Iteration<'a> {
    /// The sample.
    pub sample: usize,
    /// How many iterations it has behind it.
    pub iteration: usize,
    /// The iteration.
    pub record: Record,
    pub(crate) objective: &'a Objective,
    pub(crate) x: &'a [f64],
    pub(crate) auxiliaries: &'a mut [Vec<f64>],
    pub(crate) changed: bool,
}

impl Iteration<'_> {
    /// A variable's stored numbers after the iteration.
    ///
    /// # Panics
    /// When the handle is another objective's.
    pub fn variable(&self, id: VariableId) -> &[f64] {
        &self.x[self.objective.stored(id)]
    }

    /// An auxiliary's numbers.
    ///
    /// # Panics
    /// When the handle is another objective's.
    pub fn auxiliary(&self, id: AuxiliaryId) -> &[f64] {
        assert_eq!(
            id.owner, self.objective.owner,
            "a handle of another objective"
        );
        &self.auxiliaries[id.index]
    }

    /// An auxiliary's numbers, for this sample's next iterations to use others. Minimisers are then
    /// differentiated with respect to the last ones; there is no derivative through the iterations.
    ///
    /// # Panics
    /// When the handle is another objective's.
    pub fn auxiliary_mut(&mut self, id: AuxiliaryId) -> &mut [f64] {
        assert_eq!(
            id.owner, self.objective.owner,
            "a handle of another objective"
        );
        self.changed = true;
        &mut self.auxiliaries[id.index]
    }
}

/// Whether a sample goes on after an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// It does, unless it has converged.
    Continue,
    /// It ends with [`Status::Callback`].
    Stop,
}

/// Called at the end of every iteration of every sample, rejected steps included.
pub type Callback<'c> = dyn Fn(&mut Iteration<'_>) -> Control + Sync + 'c;

/// A step that was taken, and the point that it was taken from.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) x: Vec<f64>,
    pub(crate) taken: Taken,
}

/// What the iterations of one sample came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: Status,
    pub(crate) cost: f64,
    pub(crate) history: Vec<Record>,
    /// The last steps, as many as were asked for.
    pub(crate) trace: Vec<Recorded>,
    /// Whether the trace goes back to the start.
    pub(crate) complete: bool,
    /// The auxiliaries that a callback left, if it changed any.
    pub(crate) auxiliaries: Option<Vec<Vec<f64>>>,
}

/// What one thread needs.
pub(crate) struct Workspace<'a> {
    objective: &'a Objective,
    pub(crate) system: System<'a>,
    pub(crate) at: Linearisation,
    pub(crate) proposal: Proposal,
    /// The gradient, zero where a coordinate is held.
    pub(crate) gradient: Vec<f64>,
    pub(crate) held: Vec<bool>,
    trial: Vec<f64>,
    best: Vec<f64>,
    rows: Vec<f64>,
}

impl<'a> Workspace<'a> {
    pub(crate) fn new(objective: &'a Objective, settings: &Settings, tilted: bool) -> Self {
        Self {
            objective,
            system: System::new(objective, settings, tilted),
            at: Linearisation::new(objective),
            proposal: Proposal::new(objective, settings),
            gradient: vec![0.0; objective.tangent],
            held: vec![false; objective.tangent],
            trial: vec![0.0; objective.storage],
            best: vec![0.0; objective.storage],
            rows: vec![0.0; objective.rows],
        }
    }

    /// Linearises at `x`. False where that is not finite.
    pub(crate) fn linearise(
        &mut self,
        x: &[f64],
        auxiliaries: &[&[f64]],
        tilt: Option<&[f64]>,
    ) -> bool {
        let objective = self.objective;
        self.at.update(objective, &Sample { x, auxiliaries });
        if let Some(tilt) = tilt {
            self.at.cost += dot(tilt, x);
            for variable in &objective.variables {
                let place = variable.place..variable.place + variable.manifold.storage();
                variable.manifold.add_pulled_back(
                    &x[place.clone()],
                    &tilt[place],
                    &mut self.at.gradient[variable.column..],
                );
            }
        }
        self.at.cost.is_finite() && max_abs(&self.at.gradient).is_finite()
    }

    /// Finds the coordinates that are held and makes the linear system ready for the others. To be called
    /// after [`linearise`](Self::linearise); `system` false leaves the system as it is.
    pub(crate) fn restrict(&mut self, x: &[f64], system: bool) {
        let objective = self.objective;
        self.gradient.copy_from_slice(&self.at.gradient);
        if objective.bounded {
            find_held(objective, x, &self.at.gradient, &mut self.held);
            for (g, held) in self.gradient.iter_mut().zip(&self.held) {
                if *held {
                    *g = 0.0;
                }
            }
            if self.held.contains(&true) {
                self.at.hold(objective, &self.held);
            }
        }
        if system {
            self.system.load(objective, &self.at, &self.held);
        }
    }

    /// What it means that steps from `x` change nothing any more: convergence where the rows are orthogonal
    /// to the columns of their Jacobian, but for a cosine as small as the rounding of the cost allows to
    /// see, or for what rounding moves the gradient.
    fn rounding_status(&self, x: &[f64]) -> Status {
        let rounding = self.row_rounding(x);
        let n = self.objective.tangent;
        let (mut squares, mut noise) = (vec![0.0; n], vec![0.0; n]);
        for term in &self.objective.terms {
            let rounding = &rounding[term.row..][..term.rows];
            for (row, rounding) in self.at.block(term).chunks_exact(term.width).zip(rounding) {
                for (value, column) in row.iter().zip(&term.columns) {
                    squares[*column] += value * value;
                    noise[*column] += value.abs() * rounding;
                }
            }
        }
        let length = norm(&self.at.rows);
        let small =
            |(i, g): (usize, &f64)| g.abs() <= noise[i].max(1e-5 * squares[i].sqrt() * length);
        if self.gradient.iter().enumerate().all(small) {
            Status::Converged(Test::Rounding)
        } else {
            Status::Stalled
        }
    }

    /// How far rounding may move each row at `x`: a row is the difference of numbers as large as its
    /// Jacobian times `x`, however small it is itself, and takes a few operations.
    fn row_rounding(&self, x: &[f64]) -> Vec<f64> {
        let objective = self.objective;
        let mut sizes = vec![0.0; objective.tangent];
        for variable in &objective.variables {
            let stored = &x[variable.place..][..variable.manifold.storage()];
            let sizes = &mut sizes[variable.column..][..variable.manifold.tangent()];
            if variable.manifold.is_flat() {
                for (size, x) in sizes.iter_mut().zip(stored) {
                    *size = x.abs();
                }
            } else {
                sizes.fill(max_abs(stored));
            }
        }
        let mut rounding = Vec::with_capacity(objective.rows);
        for term in &objective.terms {
            let rows = &self.at.rows[term.row..][..term.rows];
            for (row, j) in rows
                .iter()
                .zip(self.at.block(term).chunks_exact(term.width))
            {
                let columns = term.columns.iter().map(|column| sizes[*column]);
                let size: f64 = j.iter().zip(columns).map(|(j, x)| j.abs() * x).sum();
                rounding.push(16.0 * f64::EPSILON * (row.abs() + size));
            }
        }
        rounding
    }

    /// How far rounding may move the cost at `x`.
    fn cost_rounding(&self, x: &[f64]) -> f64 {
        let rounding = self.row_rounding(x);
        let rows = self.at.rows.iter().zip(&rounding);
        rows.map(|(row, rounding)| row.abs() * rounding).sum()
    }

    fn cost(&mut self, auxiliaries: &[&[f64]], tilt: Option<&[f64]>) -> f64 {
        let sample = Sample {
            x: &self.trial,
            auxiliaries,
        };
        cost(self.objective, &sample, &mut self.rows) + tilt.map_or(0.0, |t| dot(t, &self.trial))
    }
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

/// Moves `x` to a minimum.
pub(crate) fn optimise(
    space: &mut Workspace<'_>,
    settings: &Settings,
    x: &mut Vec<f64>,
    task: &Task<'_>,
) -> Outcome {
    let objective = space.objective;
    let mut owned: Option<Vec<Vec<f64>>> = task
        .callback
        .map(|_| task.auxiliaries.iter().map(|a| a.to_vec()).collect());
    let mut changed_ever = false;
    let mut region = Region::new(&settings.step);
    let mut history = Vec::with_capacity(settings.max_iterations.min(128));
    let mut trace: Vec<Recorded> = Vec::new();
    let mut complete = true;
    let mut best_cost = f64::INFINITY;
    let mut best_trace = 0;
    let mut fresh = true;
    let mut known = false;
    // Steps in a row that the cost does not feel, and the last of them before it is judged.
    let mut quiet = 0;
    let mut unfelt: Option<Unfelt> = None;
    let mut quiet_gradient = f64::INFINITY;
    let monotone = !region.takes_all();

    let status = loop {
        let references: Vec<&[f64]>;
        let auxiliaries: &[&[f64]] = match &owned {
            None => task.auxiliaries,
            Some(owned) => {
                references = owned.iter().map(Vec::as_slice).collect();
                &references
            }
        };
        if fresh {
            if history.len() >= settings.max_iterations && known {
                // The cost is known, and nothing else is needed any more.
                break Status::MaxIterations;
            }
            let before = unfelt.take();
            let mut finite = space.linearise(x, auxiliaries, task.tilt);
            let mut verdict = (Verdict::Accept, true);
            if monotone && known && !finite {
                verdict = region.judge(f64::NAN, f64::NAN);
            } else if let Some(Unfelt { slope, predicted }) = before {
                // The decrease by the trapezium rule, which does not cancel.
                space.restrict(x, false);
                let slopes = slope + dot(&space.gradient, &space.proposal.delta);
                verdict = region.judge(-0.5 * slopes / predicted, f64::NAN);
            }
            if verdict.0 == Verdict::Reject {
                std::mem::swap(x, &mut space.trial);
                trace.pop();
                if let Some(last) = history.last_mut() as Option<&mut Record> {
                    last.accepted = false;
                }
                finite = space.linearise(x, auxiliaries, task.tilt);
                if !verdict.1 {
                    space.restrict(x, false);
                    break space.rounding_status(x);
                }
            }
            if !finite {
                break Status::NonFinite;
            }
            known = true;
            space.restrict(x, true);
            fresh = false;
            if space.at.cost < best_cost {
                best_cost = space.at.cost;
                best_trace = trace.len();
                if !monotone || task.callback.is_some() {
                    space.best.copy_from_slice(x);
                }
            }
            let gradient = max_abs(&space.gradient);
            if quiet > QUIET_STEPS && gradient >= quiet_gradient {
                break space.rounding_status(x);
            }
            if quiet == 0 || gradient < quiet_gradient {
                (quiet, quiet_gradient) = (0, gradient);
            }
            if gradient <= settings.stopping.gradient || gradient == 0.0 {
                break Status::Converged(Test::Gradient);
            }
        }
        if history.len() >= settings.max_iterations {
            break Status::MaxIterations;
        }
        let cost = space.at.cost;
        let mut taken = region.taken();
        let mut record = Record {
            cost,
            gradient: max_abs(&space.gradient),
            damping: region.size,
            step_norm: f64::NAN,
            gain_ratio: f64::NAN,
            accepted: false,
        };
        let leg = space.proposal.compute(
            objective,
            &mut space.system,
            &space.at,
            &space.gradient,
            task.tilt.is_some(),
            &mut taken,
        );
        let mut ended = None;
        if leg.is_none() && region.takes_all() || leg.is_none() && taken.radius.is_some() {
            ended = Some(Status::Singular);
        } else {
            let mut new_cost = f64::NAN;
            let mut predicted = f64::NAN;
            if leg.is_some() {
                for _ in 0..HALVINGS {
                    advance(objective, x, &mut space.proposal.delta, &mut space.trial);
                    new_cost = if space.proposal.delta.iter().all(|d| d.is_finite()) {
                        space.cost(auxiliaries, task.tilt)
                    } else {
                        f64::NAN
                    };
                    if monotone || new_cost.is_finite() {
                        break;
                    }
                    taken.shrink *= 0.5;
                    space.proposal.delta.iter_mut().for_each(|d| *d *= 0.5);
                }
                let delta = &space.proposal.delta;
                space.at.multiply(objective, delta, &mut space.rows);
                predicted = -dot(&space.gradient, delta) - 0.5 * dot(&space.rows, &space.rows);
                record.step_norm = norm(delta);
            }
            let actual = cost - new_cost;
            record.gain_ratio = actual / predicted;
            // Below this the difference of two costs is rounding.
            let rounding = 64.0 * f64::EPSILON * cost.abs();
            let is_quiet = new_cost.is_finite()
                && predicted.abs() <= rounding
                && (actual.abs() <= rounding || actual.abs() <= space.cost_rounding(x));
            let (verdict, can_shrink) = if !new_cost.is_finite() {
                if monotone {
                    region.judge(f64::NAN, f64::NAN)
                } else {
                    (Verdict::Reject, false)
                }
            } else if is_quiet {
                (Verdict::Accept, true)
            } else if predicted > 0.0 || !monotone {
                region.judge(record.gain_ratio, record.step_norm)
            } else {
                region.judge(f64::NAN, f64::NAN)
            };
            if verdict == Verdict::Accept {
                record.accepted = true;
                quiet = if is_quiet { quiet + 1 } else { 0 };
                unfelt = (is_quiet && monotone).then(|| Unfelt {
                    slope: dot(&space.gradient, &space.proposal.delta),
                    predicted,
                });
                if task.record != Some(0) {
                    trace.push(Recorded {
                        x: x.clone(),
                        taken,
                    });
                    // Without a region any iterate may turn out to be the best, so all are kept.
                    if monotone {
                        complete &= keep_last(&mut trace, task.record);
                    }
                }
                std::mem::swap(x, &mut space.trial);
                fresh = true;
                space.at.cost = new_cost;
                let length = norm(x);
                let tolerance = settings.stopping.step;
                if actual.abs() <= settings.stopping.cost * cost.abs() && !is_quiet {
                    ended = Some(Status::Converged(Test::Cost));
                } else if record.step_norm <= tolerance * (length + tolerance) {
                    ended = Some(Status::Converged(Test::Step));
                }
            } else if !can_shrink {
                ended = Some(if leg.is_none() {
                    Status::Singular
                } else if new_cost.is_finite() {
                    space.rounding_status(x)
                } else {
                    Status::NonFinite
                });
            } else if new_cost.is_finite()
                && record.step_norm <= f64::EPSILON * norm(x)
                && region.rejections > 0
            {
                // Smaller steps do not move x any more.
                ended = Some(space.rounding_status(x));
            }
        }
        history.push(record);
        if let (Some(callback), Some(owned)) = (task.callback, &mut owned) {
            let mut iteration = Iteration {
                sample: task.sample,
                iteration: history.len(),
                record,
                objective,
                x,
                auxiliaries: owned,
                changed: false,
            };
            let control = callback(&mut iteration);
            if iteration.changed {
                changed_ever = true;
                fresh = true;
                known = false;
                best_cost = f64::INFINITY;
                if ended.is_some_and(Status::is_converged) {
                    ended = None;
                }
            }
            if control == Control::Stop {
                ended = Some(Status::Callback);
            }
        }
        if let Some(status) = ended {
            break status;
        }
    };

    let mut cost = space.at.cost;
    let failed = !status.is_converged() && status != Status::Callback;
    if failed && !monotone && best_cost.is_finite() && !(cost <= best_cost) {
        x.copy_from_slice(&space.best);
        cost = best_cost;
        trace.truncate(best_trace);
    } else if status == Status::NonFinite && !known {
        cost = f64::NAN;
    }
    complete &= keep_last(&mut trace, task.record);
    Outcome {
        status,
        cost,
        history,
        trace,
        complete,
        auxiliaries: owned.filter(|_| changed_ever),
    }
}

/// Forgets all but the last `most` steps. False where there were more.
fn keep_last(trace: &mut Vec<Recorded>, most: Option<usize>) -> bool {
    let excess = most.map_or(0, |most| trace.len().saturating_sub(most));
    trace.drain(..excess);
    excess == 0
}
