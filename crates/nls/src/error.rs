use thiserror::Error as ThisError;

/// What stopped a solve: always something the caller can mend.
///
/// What a solve finds out about a sample is a [`crate::Status`] instead.
#[derive(Debug, Clone, PartialEq, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// A shape, a number or a setting is not what it must be.
    #[error(transparent)]
    Core(#[from] feasible_core::Error),
    /// Implicit differentiation met a tracked tensor that it cannot detach.
    ///
    /// The second derivatives of the residual need backward passes of their own, and those would
    /// consume the graph behind a tensor captured by the residual's function.
    #[error(
        "the residual's Jacobian is tracked at a constant `y`: its function captures a tensor that needs gradients; \
         implicit differentiation needs it as a parameter (`FunctionResidual::with_parameters`), or use `Backward::Unrolled`"
    )]
    TrackedCapture,
    /// What the engine of [`crate::ObjectiveLayer`] refuses: names, sizes, numbers, settings.
    #[error(transparent)]
    LeastSquares(#[from] feasible_least_squares::Error),
    /// A name that the objective does not have.
    #[error("the objective has no {what} `{name}`; it has: {known}")]
    UnknownName {
        /// `variable` or `auxiliary`.
        what: &'static str,
        /// The name given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// An input of an objective has the wrong shape.
    #[error(
        "`{name}` has shape {got:?} but must be [1, {len}], for all samples, or [{batch}, {len}], one a sample"
    )]
    InputShape {
        /// The variable or auxiliary.
        name: String,
        /// The tensor's shape.
        got: [usize; 2],
        /// The largest number of samples among the inputs.
        batch: usize,
        /// Numbers of one sample.
        len: usize,
    },
    /// An objective was called without the start of any variable.
    #[error("no variable was given a start; every variable of the objective needs one")]
    NoStart,
}
