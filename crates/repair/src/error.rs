use thiserror::Error as ThisError;

/// What stopped a repair: always something the caller can mend.
#[derive(Debug, Clone, PartialEq, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// A shape, a number or a setting is not what it must be.
    #[error(transparent)]
    Core(#[from] feasible_core::Error),
    /// The least-squares solve could not start.
    #[error(transparent)]
    LeastSquares(feasible_nls::Error),
    /// The host path refused the numbers.
    #[error(transparent)]
    Solver(#[from] feasible_solver::Error),
}

impl From<feasible_nls::Error> for Error {
    fn from(error: feasible_nls::Error) -> Self {
        match error {
            feasible_nls::Error::Core(error) => Self::Core(error),
            other => Self::LeastSquares(other),
        }
    }
}
