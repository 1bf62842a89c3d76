//! What stops a call before or instead of solving. What a solve *found* is [`crate::Status`].

/// A call that could not be carried out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An objective without variables.
    #[error("an objective needs at least one variable")]
    NoVariables,
    /// An objective without costs.
    #[error("an objective needs at least one cost")]
    NoCosts,
    /// Two variables, two auxiliaries or two costs share a name.
    #[error("there is a {kind} `{name}` already; names must be unique")]
    DuplicateName {
        /// `variable`, `auxiliary` or `cost`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A variable, auxiliary or cost that cannot be.
    #[error("{kind} `{name}` {reason}")]
    Invalid {
        /// `variable`, `auxiliary` or `cost`.
        kind: &'static str,
        /// The name.
        name: String,
        /// What is wrong and what it must be.
        reason: String,
    },
    /// A handle that another objective gave out.
    #[error("{kind} handle {index} is not of this objective")]
    ForeignHandle {
        /// `variable` or `auxiliary`.
        kind: &'static str,
        /// Its index.
        index: usize,
    },
    /// A slice has the wrong length.
    #[error("`{argument}` holds {got} numbers but must hold {expected} ({layout})")]
    Shape {
        /// The parameter.
        argument: String,
        /// Numbers it holds.
        got: usize,
        /// Numbers it must hold.
        expected: usize,
        /// What those numbers are, e.g. `[batch, len]`.
        layout: &'static str,
    },
    /// A number is NaN or infinite.
    #[error("`{argument}` is {value} at entry {entry} of {}", owner(*sample))]
    NotFinite {
        /// The parameter.
        argument: String,
        /// The sample, or `None` when the numbers are shared by the batch.
        sample: Option<usize>,
        /// Index inside the sample's numbers.
        entry: usize,
        /// What was found.
        value: f64,
    },
    /// Stored numbers that are no point of a variable's space.
    #[error("`{argument}` of {} {reason}", owner(*sample))]
    NotOnManifold {
        /// The variable.
        argument: String,
        /// The sample, or `None` when the numbers are shared by the batch.
        sample: Option<usize>,
        /// What is wrong and what it must be.
        reason: String,
    },
    /// A variable without start, or an auxiliary without numbers.
    #[error("{kind} `{name}` has no numbers: give it some with `Inputs::{method}`")]
    Missing {
        /// `variable` or `auxiliary`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The method that gives them.
        method: &'static str,
    },
    /// A setting is out of its range.
    #[error("setting `{setting}` is {value} but must be {must}")]
    Setting {
        /// The field.
        setting: &'static str,
        /// Its value.
        value: String,
        /// The range it must lie in.
        must: &'static str,
    },
    /// The solution handed to a derivative does not belong to the inputs or the objective.
    #[error("`solution` holds {got} for `{what}` but the inputs have {expected}")]
    ForeignSolution {
        /// Which size differs.
        what: &'static str,
        /// The solution's.
        got: usize,
        /// The inputs'.
        expected: usize,
    },
    /// A derivative through iterations that were not recorded.
    #[error(
        "`solution` holds no iterations: solve with the backward mode that is asked for, {mode}"
    )]
    NotRecorded {
        /// The mode.
        mode: &'static str,
    },
}

fn owner(sample: Option<usize>) -> String {
    match sample {
        Some(i) => format!("sample {i}"),
        None => "the shared numbers".to_owned(),
    }
}
