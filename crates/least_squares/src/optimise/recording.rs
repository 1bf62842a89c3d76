//! The steps of one sample that are recorded for its derivative.

use super::Task;
use crate::settings::{Settings, Step};
use crate::step::Taken;
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

/// The last steps, as many as were asked for.
pub(super) struct Recording {
    pub(super) steps: Vec<Recorded>,
    /// Whether they go back to the start.
    pub(super) complete: bool,
    /// How many are wanted; `None` for all.
    most: Option<usize>,
    /// How many keep what they were computed from.
    keeping: usize,
}

impl Recording {
    pub(super) fn new(space: &Workspace<'_>, settings: &Settings, task: &Task<'_>) -> Self {
        let dogleg = matches!(settings.step, Step::Dogleg(_));
        let numbers = task.auxiliaries.iter().map(|a| a.len()).sum::<usize>();
        let keeping = match space.kept_len() {
            Some(len) if !dogleg && task.callback.is_none() => {
                MOST_KEPT.saturating_sub(numbers) / len.max(1)
            }
            _ => 0,
        };
        Self {
            steps: Vec::new(),
            complete: true,
            most: task.record,
            keeping,
        }
    }

    /// Records the step from `x` that `space` has computed.
    pub(super) fn push(&mut self, space: &Workspace<'_>, x: &[f64], taken: Taken) {
        let most = self.most.unwrap_or(usize::MAX);
        if most == 0 {
            return;
        }
        if let Some(old) = self.steps.len().checked_sub(most) {
            self.steps[old].kept = Vec::new();
        }
        let kept = if self.steps.len().min(most - 1) < self.keeping {
            space.keep()
        } else {
            None
        };
        self.steps.push(Recorded {
            x: x.to_vec(),
            taken,
            kept: kept.unwrap_or_default(),
        });
    }

    /// Forgets all but the last that are wanted.
    pub(super) fn keep_last(&mut self) {
        let steps = self.steps.len();
        let excess = self.most.map_or(0, |most| steps.saturating_sub(most));
        self.steps.drain(..excess);
        self.complete &= excess == 0;
    }
}
