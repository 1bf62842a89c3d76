//! The steps of one sample that are recorded for its derivative.

use super::Task;
use crate::settings::{self, Settings};
use crate::step::Taken;
use crate::workspace::Workspace;

/// Recorded steps, in one piece of memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    steps: Vec<Step>,
    /// Of each step the point that it was taken from, then, where anything was kept, what
    /// [`Workspace::restore`] takes.
    numbers: Vec<f64>,
    /// Stored numbers of a point.
    storage: usize,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    taken: Taken,
    /// Where its numbers begin.
    start: usize,
}

/// A step that was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorded<'s> {
    /// The point that it was taken from.
    pub(crate) x: &'s [f64],
    pub(crate) taken: Taken,
    /// What [`Workspace::restore`] takes, so that nothing there need be computed again; else empty.
    pub(crate) kept: &'s [f64],
}

impl Steps {
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The steps in the order they were taken in.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = Recorded<'_>> {
        (0..self.len()).map(|i| {
            let Step { taken, start } = self.steps[i];
            let end = self.start(i + 1);
            let (x, kept) = self.numbers[start..end].split_at(self.storage);
            Recorded { x, taken, kept }
        })
    }

    /// Where the numbers of a step begin, or end for those before it.
    fn start(&self, step: usize) -> usize {
        self.steps
            .get(step)
            .map_or(self.numbers.len(), |step| step.start)
    }

    /// Forgets all but the first.
    fn truncate(&mut self, steps: usize) {
        self.numbers.truncate(self.start(steps));
        self.steps.truncate(steps);
    }

    /// Forgets the first.
    fn forget(&mut self, steps: usize) {
        self.steps.drain(..steps);
        let forgotten = self.start(0);
        // Moved up only now and then, so that what a step costs does not grow with how many are recorded.
        if 2 * forgotten > self.numbers.len() {
            self.numbers.drain(..forgotten);
            for step in &mut self.steps {
                step.start -= forgotten;
            }
        }
    }
}

/// Numbers that the steps of one sample keep at most, 64 KiB: later steps are computed again. With more,
/// writing to fresh memory slowed the forward pass by about what the backward pass saved.
const MOST_KEPT: usize = 1 << 13;

/// Steps that there is memory for from the first on.
const STEPS: usize = 16;

/// The last steps, as many as were asked for.
pub(super) struct Recording {
    steps: Steps,
    /// Whether they go back to the start.
    pub(super) complete: bool,
    /// How many are wanted; `None` for all.
    most: Option<usize>,
    /// How many keep what they were computed from.
    keeping: usize,
    /// How many there may come to be.
    expected: usize,
}

impl Recording {
    /// `monotone` is whether no step but the last is ever taken back.
    pub(super) fn new(
        space: &Workspace<'_>,
        settings: &Settings,
        task: &Task<'_>,
        monotone: bool,
    ) -> Self {
        let dogleg = matches!(settings.step, settings::Step::Dogleg(_));
        let numbers = task.auxiliaries.iter().map(|a| a.len()).sum::<usize>();
        let most = task.record;
        let keeping = match space.kept_len() {
            // Where any iterate may turn out to be the best, all steps stay recorded, with no more than a point.
            Some(len) if !dogleg && task.callback.is_none() && (monotone || most.is_none()) => {
                MOST_KEPT.saturating_sub(numbers) / len.max(1)
            }
            _ => 0,
        };
        Self {
            steps: Steps {
                storage: space.objective.storage,
                ..Steps::default()
            },
            complete: true,
            most,
            keeping,
            expected: settings.max_iterations.min(STEPS),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Records the step from `x` that `space` has computed.
    pub(super) fn push(&mut self, space: &Workspace<'_>, x: &[f64], taken: Taken) {
        let most = self.most.unwrap_or(usize::MAX);
        if most == 0 {
            return;
        }
        let keep = self.len().min(most - 1) < self.keeping;
        let Steps { steps, numbers, .. } = &mut self.steps;
        if steps.is_empty() {
            let kept = space.kept_len().filter(|_| keep).unwrap_or(0);
            let expected = self.expected.min(most);
            numbers.reserve(expected * x.len() + expected.min(self.keeping) * kept);
            steps.reserve(expected);
        }
        let start = numbers.len();
        numbers.extend_from_slice(x);
        if keep {
            space.keep(numbers);
        }
        steps.push(Step { taken, start });
    }

    /// Takes the last step back.
    pub(super) fn pop(&mut self) {
        self.truncate(self.len().saturating_sub(1));
    }

    /// Forgets all but the first.
    pub(super) fn truncate(&mut self, steps: usize) {
        self.steps.truncate(steps);
    }

    /// Forgets all but the last that are wanted.
    pub(super) fn keep_last(&mut self) {
        let excess = self.most.map_or(0, |most| self.len().saturating_sub(most));
        if excess > 0 {
            self.steps.forget(excess);
            self.complete = false;
        }
    }

    pub(super) fn finish(self) -> (Steps, bool) {
        (self.steps, self.complete)
    }
}
