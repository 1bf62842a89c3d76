//! What stops a call.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error as ThisError;

/// Why a landscape could not be evaluated at a point: whatever the evaluation has to say.
pub type EvaluationError = Box<dyn std::error::Error + Send + Sync>;

/// What stopped a call. Each message names the argument, what it was and what it must be.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// An array's length does not fit.
    #[error("`{argument}` holds {got} but must hold {expected} ({what})")]
    Shape {
        /// The argument.
        argument: &'static str,
        /// How many it holds.
        got: usize,
        /// How many it must hold.
        expected: usize,
        /// Of what.
        what: &'static str,
    },
    /// A given number is NaN or infinite, or out of its range.
    #[error("`{argument}` is {value} at entry {entry} but must be {must}")]
    Entry {
        /// The argument.
        argument: &'static str,
        /// Index of the first such number.
        entry: usize,
        /// The number.
        value: f64,
        /// What it must be.
        must: &'static str,
    },
    /// An argument makes no sense as a whole.
    #[error("`{argument}` {problem}")]
    Argument {
        /// The argument.
        argument: &'static str,
        /// What is wrong and what it must be.
        problem: String,
    },
    /// Evaluating a point failed.
    #[error("the landscape could not be evaluated at ({a}, {b}): {source}")]
    Evaluation {
        /// First coordinate.
        a: f64,
        /// Second coordinate; 0 on a line.
        b: f64,
        /// What the evaluation said.
        source: EvaluationError,
    },
    /// The scan was told to stop. What it had is in the scan's file, if it has one.
    #[error("the scan was stopped after {done} of {of} rows")]
    Stopped {
        /// Rows that are done.
        done: usize,
        /// Rows in all.
        of: usize,
    },
    /// A file could not be read or written.
    #[error("could not {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A file's content cannot be used.
    #[error("{path}: {problem}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A dense decomposition did not converge.
    #[error("the eigenvalues of a matrix of size {size} could not be computed")]
    Eigenvalues {
        /// Its size.
        size: usize,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Error::Io {
            action,
            path,
            source,
        }
    }

    pub(crate) fn argument(argument: &'static str, problem: impl Into<String>) -> Self {
        Error::Argument {
            argument,
            problem: problem.into(),
        }
    }
}

pub(crate) fn finite(argument: &'static str, values: &[f64]) -> Result<(), Error> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(entry) => Err(Error::Entry {
            argument,
            entry,
            value: values[entry],
            must: "finite",
        }),
    }
}

pub(crate) fn length(
    argument: &'static str,
    got: usize,
    expected: usize,
    what: &'static str,
) -> Result<(), Error> {
    if got == expected {
        Ok(())
    } else {
        Err(Error::Shape {
            argument,
            got,
            expected,
            what,
        })
    }
}
