//! What stops a call.

use thiserror::Error as ThisError;

/// Why a loss, a map or a measurement given as a closure failed: whatever it has to say.
pub type EvaluationError = Box<dyn std::error::Error + Send + Sync>;

/// What stopped a call. Each message names the argument, what it was and what it must be.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// An array's length or a tensor's shape does not fit.
    #[error("`{argument}` has {got} but must have {expected}")]
    Shape {
        /// The argument.
        argument: &'static str,
        /// What it has.
        got: String,
        /// What it must have.
        expected: String,
    },
    /// An argument makes no sense as a whole.
    #[error("`{argument}` {problem}")]
    Argument {
        /// The argument.
        argument: &'static str,
        /// What is wrong and what it must be.
        problem: String,
    },
    /// A setting is out of its range.
    #[error("setting `{setting}` is {value} but must be {must}")]
    Setting {
        /// The field.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// The range it must lie in.
        must: &'static str,
    },
    /// A closure failed.
    #[error("`{closure}` failed: {source}")]
    Evaluation {
        /// The argument that holds the closure.
        closure: &'static str,
        /// What it said.
        source: EvaluationError,
    },
    /// A singular value decomposition did not converge.
    #[error("the singular values of a {rows} × {columns} matrix could not be computed")]
    SingularValues {
        /// Rows of the matrix.
        rows: usize,
        /// Its columns.
        columns: usize,
    },
    /// From the constraints, or a device that could not be read.
    #[error(transparent)]
    Core(#[from] feasible_core::Error),
    /// From the search for eigenvalues.
    #[error(transparent)]
    Spectrum(#[from] feasible_spectrum::Error),
    /// From planes and scans.
    #[error(transparent)]
    Landscape(#[from] feasible_landscape::Error),
}

impl Error {
    pub(crate) fn length(argument: &'static str, got: usize, expected: usize) -> Self {
        Error::Shape {
            argument,
            got: format!("{got} numbers"),
            expected: expected.to_string(),
        }
    }

    pub(crate) fn argument(argument: &'static str, problem: impl Into<String>) -> Self {
        Error::Argument {
            argument,
            problem: problem.into(),
        }
    }

    pub(crate) fn evaluation(closure: &'static str) -> impl FnOnce(EvaluationError) -> Self {
        move |source| Error::Evaluation { closure, source }
    }
}

/// Checks that a flat vector has as many numbers as there are parameters.
pub(crate) fn check_length(
    argument: &'static str,
    got: usize,
    expected: usize,
) -> Result<(), Error> {
    if got == expected {
        Ok(())
    } else {
        Err(Error::length(argument, got, expected))
    }
}

/// Checks that a setting is above 0 and finite.
pub(crate) fn positive(setting: &'static str, value: f64) -> Result<(), Error> {
    if value > 0.0 && value.is_finite() {
        Ok(())
    } else {
        Err(Error::Setting {
            setting,
            value,
            must: "above 0 and finite",
        })
    }
}
