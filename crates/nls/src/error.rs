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
}
