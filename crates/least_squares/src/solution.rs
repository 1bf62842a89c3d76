//! Solving a batch, and what comes out of it.

use rayon::prelude::*;

use crate::callback::Callback;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::objective::{Objective, VariableId};
use crate::optimise::{Outcome, Recorded, Task, optimise};
use crate::settings::Settings;
use crate::status::{Record, Status};
use crate::workspace::Workspace;

/// What a batch of problems came to.
#[derive(Clone, Debug)]
pub struct Solution {
    /// Stored numbers of all variables, `[batch, storage]`, in the order the variables were added.
    ///
    /// A sample that did not converge has its best iterate.
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
}

/// The steps of one sample that were recorded.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) steps: Vec<Recorded>,
    pub(crate) complete: bool,
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
            };
            let outcome = optimise(space, settings, &mut x, &task);
            (x, outcome)
        };
        let fresh = || Workspace::new(self, settings, false);
        let outcomes: Vec<(Vec<f64>, Outcome)> = if inputs.batch() == 1 {
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
        };
        for (x, outcome) in outcomes {
            solution.x.extend(x);
            solution.cost.push(outcome.cost);
            solution.status.push(outcome.status);
            solution.history.push(outcome.history);
            solution.traces.push(Trace {
                steps: outcome.trace,
                complete: outcome.complete,
            });
            solution.auxiliaries.push(outcome.auxiliaries);
        }
        Ok(solution)
    }
}
