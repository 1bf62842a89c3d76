//! What a caller may see and change between iterations.

use crate::objective::{AuxiliaryId, Objective, VariableId};
use crate::status::Record;

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
    /// It ends with [`crate::Status::Callback`].
    Stop,
}

/// Called at the end of every iteration of every sample, rejected steps included.
pub type Callback<'c> = dyn Fn(&mut Iteration<'_>) -> Control + Sync + 'c;
