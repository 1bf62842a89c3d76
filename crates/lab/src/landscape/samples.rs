//! The samples that a landscape is of.

use std::sync::Arc;

use burn::tensor::Tensor;
use feasible_core::Constraints;
use feasible_data::Part;

use crate::{Error, Task};

/// Inputs and constraints of some samples, without automatic differentiation: made once, not at every
/// point.
#[derive(Debug)]
pub(crate) struct Samples {
    pub(crate) x: Tensor<2>,
    pub(crate) constraints: Arc<dyn Constraints>,
}

impl Samples {
    /// The first `count` samples of a part.
    pub(crate) fn of(task: &Task, part: Part, count: usize) -> Result<Self, Error> {
        let x = task.inputs(part).narrow(0, 0, count);
        let constraints = task.evaluation().constraints(x.clone())?;
        Ok(Self { x, constraints })
    }
}
