//! What stops a call.

use thiserror::Error as ThisError;

/// Why an operator could not be applied: whatever its author has to say.
pub type OperatorError = Box<dyn std::error::Error + Send + Sync>;

/// What stopped a call. Each message names the argument, what it was and what it must be.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// An array's length does not fit its shape.
    #[error("`{argument}` holds {got} numbers but must hold {expected} ({layout})")]
    Shape {
        /// The argument.
        argument: &'static str,
        /// Numbers it holds.
        got: usize,
        /// Numbers it must hold.
        expected: usize,
        /// Its layout.
        layout: &'static str,
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
    /// A matrix that must be symmetric is not.
    #[error(
        "the matrix is not symmetric: entries ({row}, {column}) and ({column}, {row}) differ by {difference:e}, of a largest entry of {largest:e}"
    )]
    Asymmetric {
        /// Row of the pair that differs most.
        row: usize,
        /// Its column.
        column: usize,
        /// Absolute difference of the pair.
        difference: f64,
        /// Largest absolute entry of the matrix.
        largest: f64,
    },
    /// More eigenvalues are wanted than there are, or none.
    #[error(
        "{count} eigenvalues are wanted of an operator of dimension {n}; there must be 1 to {n}"
    )]
    Count {
        /// Eigenvalues wanted.
        count: usize,
        /// Dimension of the operator.
        n: usize,
    },
    /// The operator has no dimension.
    #[error("the operator has dimension 0 but must have at least 1")]
    NoDimension,
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
    /// The shift is an eigenvalue, to rounding.
    #[error(
        "the matrix minus `shift` = {shift} is singular; move the shift a little off the eigenvalue"
    )]
    Singular {
        /// The shift.
        shift: f64,
    },
    /// The operator refused a product.
    #[error("product {product} of the operator failed: {source}")]
    Operator {
        /// Which product, from 1.
        product: usize,
        /// What it said.
        source: OperatorError,
    },
    /// A dense decomposition did not converge.
    #[error("the eigenvalues of a projected matrix of size {size} could not be computed")]
    Projected {
        /// Its size.
        size: usize,
    },
    /// A matrix file cannot be used.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong and what it must be.
        problem: String,
    },
}

impl Error {
    /// Whether an argument is to blame, and not the operator or an algorithm.
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, Error::Operator { .. } | Error::Projected { .. })
    }
}
