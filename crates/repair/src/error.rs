use thiserror::Error as ThisError;

/// What stopped a repair: always something the caller can mend.
#[derive(Debug, Clone, PartialEq, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// A shape, a number or a setting is not what it must be.
    #[error(transparent)]
    Core(#[from] feasible_core::Error),
    /// A row of a kind that the method has no formula for.
    #[error("{method} needs {needs}, but row {row} is {found}")]
    Rows {
        /// The method.
        method: &'static str,
        /// What it can handle.
        needs: &'static str,
        /// The first row it cannot.
        row: usize,
        /// What that row is.
        found: &'static str,
    },
    /// The convex layer refused its input.
    #[error(transparent)]
    Convex(#[from] feasible_convex::Error),
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
