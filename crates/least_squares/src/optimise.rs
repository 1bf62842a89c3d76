//! The iterations of one sample.

use crate::callback::{Callback, Control, Iteration};
use crate::dense::{dot, max_abs, norm};
use crate::settings::{Settings, Step};
use crate::status::{Record, Status, Test};
use crate::step::{Region, Taken, Verdict, advance};
use crate::term::Linearisation;
use crate::workspace::Workspace;

/// A step that was taken, and the point that it was taken from.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) x: Vec<f64>,
    pub(crate) taken: Taken,
    /// What [`Workspace::restore`] takes, so that nothing there need be computed again; else empty.
    pub(crate) kept: Vec<f64>,
}

/// Numbers that the steps of one sample keep at most, 64 KiB: later steps are computed again. With more,
/// writing to fresh memory slowed the forward pass by about what the backward pass saved.
const MOST_KEPT: usize = 1 << 13;

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
    /// The last sparse factor, where it was to be kept.
    pub(crate) factor: Option<Vec<f64>>,
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
    let dogleg = matches!(settings.step, Step::Dogleg(_));
    let numbers = task.auxiliaries.iter().map(|a| a.len()).sum::<usize>();
    let kept_steps = match space.kept_len() {
        Some(len) if !dogleg && task.callback.is_none() => {
            MOST_KEPT.saturating_sub(numbers) / len.max(1)
        }
        _ => 0,
    };

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
                    let most = task.record.unwrap_or(usize::MAX);
                    if let Some(old) = trace.len().checked_sub(most) {
                        trace[old].kept = Vec::new();
                    }
                    let kept = if trace.len().min(most - 1) < kept_steps {
                        space.keep()
                    } else {
                        None
                    };
                    trace.push(Recorded {
                        x: x.clone(),
                        taken,
                        kept: kept.unwrap_or_default(),
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
    let restored = failed && !monotone && best_cost.is_finite() && !(cost <= best_cost);
    if restored {
        x.copy_from_slice(&space.best);
        cost = best_cost;
        trace.truncate(best_trace);
    } else if status == Status::NonFinite && !known {
        cost = f64::NAN;
    }
    complete &= keep_last(&mut trace, task.record);
    let sparse = space.system.sparse().filter(|_| task.keep);
    let (factor, end) = match sparse.and_then(|sparse| sparse.take()) {
        Some((matrix, factor)) => {
            let at_end = !fresh && !restored;
            let end = at_end.then(|| (std::mem::take(&mut space.at), matrix));
            (Some(factor), end)
        }
        None => (None, None),
    };
    Outcome {
        status,
        cost,
        history,
        trace,
        complete,
        auxiliaries: owned.filter(|_| changed_ever),
        factor,
        end,
    }
}

/// Forgets all but the last `most` steps. False where there were more.
fn keep_last(trace: &mut Vec<Recorded>, most: Option<usize>) -> bool {
    let excess = most.map_or(0, |most| trace.len().saturating_sub(most));
    trace.drain(..excess);
    excess == 0
}
