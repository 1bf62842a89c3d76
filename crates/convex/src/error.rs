use feasible_solver::Status;
use thiserror::Error as ThisError;

/// What stopped a layer. What the solver *found* for each sample is a [`Status`]; it becomes an
/// error only under [`crate::OnFailure::Error`].
#[derive(Debug, Clone, PartialEq, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// A shape, a number that is not finite, or a tensor that cannot be read.
    #[error(transparent)]
    Core(#[from] feasible_core::Error),
    /// A problem the solver refuses: crossed bounds, a matrix that is not symmetric or not
    /// positive semidefinite, a setting out of range.
    #[error(transparent)]
    Solver(#[from] feasible_solver::Error),
    /// Parameters that a model refuses: missing, unknown, not finite, outside their domain.
    #[error(transparent)]
    Model(#[from] feasible_model::Error),
    /// A model's parameter has the wrong shape.
    #[error(
        "parameter `{name}` has shape {got:?} but must have {shape:?}, or that after an axis of length \
         1 or the batch's"
    )]
    ParameterShape {
        /// The parameter.
        name: String,
        /// The tensor's shape.
        got: Vec<usize>,
        /// The parameter's.
        shape: Vec<usize>,
    },
    /// A model's parameter is given for another number of samples than the others.
    #[error("parameter `{name}` is given for {got} samples but must be for 1 or {batch}")]
    ParameterBatch {
        /// The parameter.
        name: String,
        /// Its number of samples.
        got: usize,
        /// The largest among the parameters.
        batch: usize,
    },
    /// A model without parameters has no tensor to take device and precision from.
    #[error("the model was called without parameters; a layer needs at least one")]
    NoParameters,
    /// Two directions for one parameter.
    #[error("direction of parameter `{parameter}` is given twice")]
    DirectionTwice {
        /// The parameter.
        parameter: String,
    },
    /// A name that the model does not have.
    #[error("the model has no {what} `{name}`; it has: {known}")]
    UnknownName {
        /// The name asked for.
        name: String,
        /// `variable` or `named constraint`.
        what: &'static str,
        /// The names there are.
        known: String,
    },
    /// Some samples have no solution, and [`crate::OnFailure::Error`] makes that an error.
    #[error(
        "sample {sample} ended as {status:?}{} ({failed} of {batch} samples failed); \
         `OnFailure::Nan` or `OnFailure::Keep` lets the others through",
        because(conflict)
    )]
    Unsolved {
        /// The first sample that failed.
        sample: usize,
        /// What the solver found for it.
        status: Status,
        /// The rows that conflict, in words, where it is infeasible.
        conflict: Option<String>,
        /// How many samples failed.
        failed: usize,
        /// How many there are.
        batch: usize,
    },
    /// The constraints are general functions, which are not known to be convex.
    #[error(
        "`constraints` has rows that are general functions; a projection needs every row to be \
         affine or convex quadratic (`Constraints::blocks` must return them)"
    )]
    NotBlocks,
    /// The rows of a set given as blocks do not match its bounds.
    #[error("`constraints` has blocks with {blocks} rows in all but bounds on {bounds} rows")]
    BlockRows {
        /// Rows over all blocks.
        blocks: usize,
        /// Rows of the bounds.
        bounds: usize,
    },
    /// A quadratic row is bounded from below, so the set is not convex.
    #[error(
        "row {row} of `constraints` is quadratic with lower bound {lower} in sample {sample}; \
         {{y : yᵀHy + aᵀy ≥ l}} is not convex, so the lower bound must be -∞"
    )]
    LowerBoundOnQuadratic {
        /// The row, counted over all blocks.
        row: usize,
        /// The first sample with such a bound (0 where the batch shares it).
        sample: usize,
        /// That bound.
        lower: f64,
    },
    /// A relaxation is negative, infinite or NaN.
    #[error("`relaxation` of row {row} is {value}, must be finite and at least 0")]
    Relaxation {
        /// The row.
        row: usize,
        /// Its value.
        value: f64,
    },
}

fn because(conflict: &Option<String>) -> String {
    conflict
        .as_ref()
        .map_or_else(String::new, |conflict| format!(", because {conflict}"))
}
