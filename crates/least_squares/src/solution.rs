//! Solving a batch, and what comes out of it.

use std::sync::Arc;

use feasible_kernels::keep_freed_memory;
use rayon::prelude::*;

use crate::callback::Callback;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::objective::{Objective, VariableId};
use crate::optimise::{Outcome, Steps, Task, optimise};
use crate::settings::{Backward, Settings};
use crate::status::{Record, Status};
use crate::term::{Linearisation, Sample};
use crate::workspace::Workspace;

/// What a batch of problems came to.
///
/// With a sparse solver and implicit differentiation it keeps the last linearisation of every sample and the
/// last factor, in single precision, which save most of a derivative's time; with dense Cholesky factors and
/// unrolled or truncated differentiation those of recorded steps, up to 64 KiB a sample.
#[derive(Clone, Debug)]
pub struct Solution {
    /// Stored numbers of all variables, `[batch, storage]`, in the order the variables were added.
    ///
    /// A sample that did not converge has its best iterate, one that a callback stopped its last.
    pub x: Vec<f64>,
    /// ½ Σ ρ(‖W c‖²), `[batch]`; NaN where that could not be evaluated.
    pub cost: Vec<f64>,
    /// `[batch]`.
    pub status: Vec<Status>,
    /// Every sample's iterations.
    pub history: Vec<Vec<Record>>,
    pub(crate) owner: u32,
    pub(crate) storage: usize,
    pub(crate) settings: Settings,
    pub(crate) traces: Vec<Trace>,
    pub(crate) auxiliaries: Vec<Option<Vec<Vec<f64>>>>,
    pub(crate) kept: Vec<Option<Arc<Kept>>>,
}

/// What implicit differentiation can use of the end of a sparse solve.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The Cholesky factor of the last step's matrix, in single precision: it only preconditions, and passes
    /// over it take as long as memory does. None where that cannot hold it.
    pub(crate) factor: Option<Vec<f32>>,
    /// The last linearisation and its matrix, where that is at the end.
    end: Option<(Linearisation, Vec<f64>)>,
    x: Vec<f64>,
    auxiliaries: Vec<Vec<f64>>,
}

impl Kept {
    /// The linearisation at this very point and its matrix, whatever has become of the solution and the
    /// inputs since.
    pub(crate) fn at(&self, sample: &Sample<'_>) -> Option<(&Linearisation, &[f64])> {
        let same = self.x == sample.x && self.auxiliaries == sample.auxiliaries;
        let end = self.end.as_ref().filter(|_| same);
        end.map(|(at, matrix)| (at, matrix.as_slice()))
    }
}

/// The steps of one sample that were recorded.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) steps: Steps,
    pub(crate) complete: bool,
    /// The auxiliaries that the steps keep something of, one after another; empty where none does.
    pub(crate) auxiliaries: Vec<f64>,
}

/// One sample's part of [`Solution`].
struct Solved {
    x: Vec<f64>,
    outcome: Outcome,
    trace: Trace,
    kept: Option<Arc<Kept>>,
}

impl Solution {
    /// Number of samples.
    pub fn batch(&self) -> usize {
        self.status.len()
    }

    /// All stored numbers of one sample.
    ///
    /// # Panics
    /// When there is no such sample.
    pub fn sample(&self, sample: usize) -> &[f64] {
        &self.x[sample * self.storage..(sample + 1) * self.storage]
    }

    /// A variable's stored numbers in one sample.
    ///
    /// # Panics
    /// When there is no such sample, or the handle is another objective's.
    pub fn variable(&self, objective: &Objective, id: VariableId, sample: usize) -> &[f64] {
        &self.sample(sample)[objective.stored(id)]
    }

    /// Whether every sample converged.
    pub fn all_converged(&self) -> bool {
        self.status.iter().all(|s| s.is_converged())
    }
}

impl Objective {
    /// Minimises the objective for every sample of the batch, samples in parallel.
    ///
    /// # Errors
    /// Inputs that do not fit or are not finite, settings out of range. What a solve finds is no error
    /// but a [`Status`], and no sample's fate changes another's.
    pub fn solve(&self, inputs: &Inputs<'_>, settings: &Settings) -> Result<Solution, Error> {
        self.run(inputs, settings, None)
    }

    /// As [`solve`](Self::solve), with `callback` at the end of every iteration of every sample.
    ///
    /// # Errors
    /// As there.
    pub fn solve_with(
        &self,
        inputs: &Inputs<'_>,
        settings: &Settings,
        callback: &Callback<'_>,
    ) -> Result<Solution, Error> {
        self.run(inputs, settings, Some(callback))
    }

    fn run(
        &self,
        inputs: &Inputs<'_>,
        settings: &Settings,
        callback: Option<&Callback<'_>>,
    ) -> Result<Solution, Error> {
        settings.validate()?;
        let checked = inputs.validated(self)?;
        let solve = |space: &mut Workspace<'_>, sample: usize| {
            let mut x = checked.x[sample * self.storage..(sample + 1) * self.storage].to_vec();
            let task = Task {
                sample,
                auxiliaries: &checked.auxiliaries(sample),
                tilt: None,
                callback,
                record: settings.backward.recorded(),
                keep: matches!(settings.backward, Backward::Implicit { .. }),
            };
            let mut outcome = optimise(space, settings, &mut x, &task);
            let (factor, end) = (outcome.factor.take(), outcome.end.take());
            let kept = (factor.is_some() || end.is_some()).then(|| {
                let at_end = end.is_some();
                Arc::new(Kept {
                    factor,
                    end,
                    x: if at_end { x.clone() } else { Vec::new() },
                    auxiliaries: match &outcome.auxiliaries {
                        _ if !at_end => Vec::new(),
                        Some(changed) => changed.clone(),
                        None => task.auxiliaries.iter().map(|a| a.to_vec()).collect(),
                    },
                })
            });
            let steps = std::mem::take(&mut outcome.trace);
            let trace = Trace {
                complete: outcome.complete,
                auxiliaries: if steps.iter().any(|step| !step.kept.is_empty()) {
                    task.auxiliaries.concat()
                } else {
                    Vec::new()
                },
                steps,
            };
            Solved {
                x,
                outcome,
                trace,
                kept,
            }
        };
        keep_freed_memory();
        let fresh = || Workspace::new(self, settings, false);
        let outcomes: Vec<Solved> = if inputs.batch() == 1 {
            vec![solve(&mut fresh(), 0)]
        } else {
            (0..inputs.batch())
                .into_par_iter()
                .map_init(fresh, solve)
                .collect()
        };
        let mut solution = Solution {
            x: Vec::with_capacity(checked.x.len()),
            cost: Vec::with_capacity(outcomes.len()),
            status: Vec::with_capacity(outcomes.len()),
            history: Vec::with_capacity(outcomes.len()),
            owner: self.owner,
            storage: self.storage,
            settings: *settings,
            traces: Vec::with_capacity(outcomes.len()),
            auxiliaries: Vec::with_capacity(outcomes.len()),
            kept: Vec::with_capacity(outcomes.len()),
        };
        for Solved {
            x,
            outcome,
            trace,
            kept,
        } in outcomes
        {
            solution.x.extend(x);
            solution.cost.push(outcome.cost);
            solution.status.push(outcome.status);
            solution.history.push(outcome.history);
            solution.traces.push(trace);
            solution.auxiliaries.push(outcome.auxiliaries);
            solution.kept.push(kept);
        }
        Ok(solution)
    }
}
