use thiserror::Error as ThisError;

/// What stopped a computation on constraints: always something the caller can mend.
#[derive(Debug, Clone, PartialEq, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// A tensor does not have the shape that its role needs.
    #[error("`{argument}` has shape {got:?}, must be {expected}")]
    Shape {
        /// The argument's name.
        argument: &'static str,
        /// Its shape.
        got: Vec<usize>,
        /// The shape it needs, in words.
        expected: String,
    },
    /// A number that must be finite is not.
    #[error("`{argument}` is {value} at index {index:?}, must be finite")]
    NonFinite {
        /// The argument's name.
        argument: &'static str,
        /// Where: one index per axis, the sample first.
        index: Vec<usize>,
        /// The number found.
        value: f64,
    },
    /// A bound is NaN, or on the wrong side of infinity, or the box is empty.
    #[error(
        "bounds of sample {sample}, row {row}: lower is {lower}, upper is {upper}; must be lower ≤ upper, lower < ∞, upper > -∞, neither NaN"
    )]
    Bounds {
        /// The sample (0 when the bounds are shared by the batch).
        sample: usize,
        /// The row of g.
        row: usize,
        /// The lower bound found.
        lower: f64,
        /// The upper bound found.
        upper: f64,
    },
    /// A setting is outside its range.
    #[error("setting `{setting}` is {got}, must be {expected}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// Its value.
        got: String,
        /// What it must be, in words.
        expected: &'static str,
    },
    /// The device could not give its numbers to the host.
    #[error("could not read `{argument}` from its device: {reason}")]
    Device {
        /// The argument's name.
        argument: &'static str,
        /// What the backend said.
        reason: String,
    },
}

impl Error {
    /// A shape error, with the expectation in words.
    pub fn shape(argument: &'static str, got: &[usize], expected: impl Into<String>) -> Self {
        Self::Shape {
            argument,
            got: got.to_vec(),
            expected: expected.into(),
        }
    }
}
