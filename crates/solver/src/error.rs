//! What stops a call before or instead of solving. What a solve *found* is [`crate::Status`].

/// A call that could not be carried out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A slice has the wrong length.
    #[error("`{argument}` holds {got} numbers but must hold {expected} ({layout})")]
    Shape {
        /// The parameter.
        argument: &'static str,
        /// Numbers it holds.
        got: usize,
        /// Numbers it must hold.
        expected: usize,
        /// What those numbers are, e.g. `[batch, n]`.
        layout: &'static str,
    },
    /// A number is NaN, or infinite where only finite numbers make sense.
    #[error("`{argument}` is {value} at entry {entry} of {}", owner(*sample))]
    NotFinite {
        /// The parameter.
        argument: &'static str,
        /// The sample, or `None` when the parameter is shared by the batch.
        sample: Option<usize>,
        /// Flat index inside the sample's numbers.
        entry: usize,
        /// What was found.
        value: f64,
    },
    /// A sample that the batch does not have.
    #[error("there is no sample {got} in a batch of {batch}")]
    Sample {
        /// The sample asked for.
        got: usize,
        /// Number of samples.
        batch: usize,
    },
    /// A lower bound lies above its upper bound.
    #[error("bounds of row {row} of sample {sample} are crossed: l = {lower} > u = {upper}")]
    CrossedBounds {
        /// The sample.
        sample: usize,
        /// The inequality row.
        row: usize,
        /// `l` of that row.
        lower: f64,
        /// `u` of that row.
        upper: f64,
    },
    /// `P` or an `H_i` is not symmetric.
    #[error(
        "`{argument}` of {} is not symmetric: entries ({row}, {column}) and ({column}, {row}) of matrix {index} differ by {difference:e}",
        owner(*sample)
    )]
    Asymmetric {
        /// The parameter, `p` or `quadratics.h`.
        argument: &'static str,
        /// The sample, or `None` when shared.
        sample: Option<usize>,
        /// Which matrix of the stack (always 0 for `p`).
        index: usize,
        /// Row of the first differing pair.
        row: usize,
        /// Column of the first differing pair.
        column: usize,
        /// Absolute difference of the pair.
        difference: f64,
    },
    /// `P` or an `H_i` has a negative eigenvalue.
    #[error(
        "`{argument}` matrix {index} of {} must be positive semidefinite but has eigenvalue {eigenvalue:e}",
        owner(*sample)
    )]
    NotConvex {
        /// The parameter, `p` or `quadratics.h`.
        argument: &'static str,
        /// The sample, or `None` when shared.
        sample: Option<usize>,
        /// Which matrix of the stack (always 0 for `p`).
        index: usize,
        /// The most negative eigenvalue.
        eigenvalue: f64,
    },
    /// A sparse matrix whose pattern is none.
    #[error("the pattern of `{argument}` {reason}")]
    Pattern {
        /// The matrix.
        argument: &'static str,
        /// What is wrong and what it must be.
        reason: String,
    },
    /// A cone that is none.
    #[error("`cones[{index}]` {reason}")]
    Cone {
        /// Which one.
        index: usize,
        /// What is wrong and what it must be.
        reason: String,
    },
    /// Solving needs matrices out of all proportion to the problem.
    #[error(
        "`n` is {n}, for which the solver needs matrices of {n} × {n} numbers, but those of a problem with so few \
         numbers may hold {most}; a cone program takes sparse matrices"
    )]
    TooLarge {
        /// Number of variables.
        n: usize,
        /// Numbers that a matrix may hold: four times those of the problem's matrices, and at least 2²⁷.
        most: usize,
    },
    /// The problem has no variables.
    #[error("`n` is 0 but a problem needs at least one variable")]
    NoVariables,
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
    /// The solution handed to a derivative or to [`crate::solve_from`] does not belong to the
    /// problem.
    #[error("`solution` holds {got} for `{what}` but the problem has {expected}")]
    ForeignSolution {
        /// Which size differs.
        what: &'static str,
        /// The solution's.
        got: usize,
        /// The problem's.
        expected: usize,
    },
    /// As [`Error::ForeignSolution`], where only the matrices' patterns differ.
    #[error("`solution` is of a problem whose `p` or `a` has other places of entries")]
    ForeignPattern,
}

fn owner(sample: Option<usize>) -> String {
    match sample {
        Some(i) => format!("sample {i}"),
        None => "the shared data".to_owned(),
    }
}

impl Error {
    /// # Errors
    /// [`Error::Sample`] if the batch does not have the sample.
    pub(crate) fn check_sample(got: usize, batch: usize) -> Result<(), Self> {
        match got < batch {
            true => Ok(()),
            false => Err(Self::Sample { got, batch }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_argument_and_place() {
        let text = Error::NotFinite {
            argument: "q",
            sample: Some(3),
            entry: 1,
            value: f64::NAN,
        }
        .to_string();
        assert_eq!(text, "`q` is NaN at entry 1 of sample 3");
        let text = Error::Shape {
            argument: "q",
            got: 3,
            expected: 4,
            layout: "[n]",
        }
        .to_string();
        assert_eq!(text, "`q` holds 3 numbers but must hold 4 ([n])");
    }
}
