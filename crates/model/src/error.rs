//! What stops a call. What a solve *found* is [`feasible_solver::Status`].

/// A model that cannot be compiled, or a call that could not be carried out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Shapes that do not fit.
    #[error("shapes do not fit in `{expression}`: {reason}")]
    Shape {
        /// The sub-expression.
        expression: String,
        /// The shapes and what they must be.
        reason: String,
    },
    /// An argument that a function does not take: a NaN constant, an exponent that is not finite.
    #[error("`{expression}` has an invalid argument: {reason}")]
    Argument {
        /// The sub-expression.
        expression: String,
        /// What it was and what it must be.
        reason: String,
    },
    /// A sub-expression that is neither convex nor concave by the composition rule.
    #[error("`{expression}` is not disciplined convex: {reason}")]
    Curvature {
        /// The sub-expression.
        expression: String,
        /// The rule that it breaks and what to do.
        reason: String,
    },
    /// A sub-expression that is not affine in the parameters.
    #[error("`{expression}` is not disciplined in its parameters: {reason}")]
    Parametrisation {
        /// The sub-expression.
        expression: String,
        /// The rule that it breaks and what to do.
        reason: String,
    },
    /// An objective that cannot be minimised or maximised.
    #[error("cannot {direction} `{expression}`: {reason}")]
    Objective {
        /// `minimise` or `maximise`.
        direction: &'static str,
        /// The objective.
        expression: String,
        /// What it is and what it must be.
        reason: String,
    },
    /// A constraint that does not describe a convex set.
    #[error("constraint `{constraint}` is not convex: {reason}")]
    Constraint {
        /// The constraint.
        constraint: String,
        /// What it is and what it must be.
        reason: String,
    },
    /// Two variables, parameters or constraints with one name.
    #[error("the name `{name}` is given to two {what}")]
    DuplicateName {
        /// The name.
        name: String,
        /// `variables or parameters`, `constraints`.
        what: &'static str,
    },
    /// A variable or parameter of another model.
    #[error("`{name}` belongs to another model")]
    ForeignLeaf {
        /// Its name.
        name: String,
    },
    /// A model without variables.
    #[error("the model has no variables in its objective or constraints")]
    NoVariables,
    /// A form the solver does not take.
    #[error("`{expression}` cannot be solved: {reason}")]
    Unsupported {
        /// The sub-expression.
        expression: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A name that is not known.
    #[error("`{name}` is no {what} of this problem; it has {known}")]
    UnknownName {
        /// The name asked for.
        name: String,
        /// `parameter`, `variable`, `constraint`.
        what: &'static str,
        /// The names there are.
        known: String,
    },
    /// A parameter without values.
    #[error("parameter `{name}` of shape {shape} has no values")]
    MissingParameter {
        /// Its name.
        name: String,
        /// Its shape.
        shape: String,
    },
    /// A name given twice in one call.
    #[error("{what} `{name}` is given twice")]
    GivenTwice {
        /// The name.
        name: String,
        /// `parameter`, `variable`, `constraint`.
        what: &'static str,
    },
    /// A slice of the wrong length.
    #[error("{what} `{name}` holds {got} numbers but must hold {expected} ({layout})")]
    Length {
        /// `parameter`, `cotangent of`.
        what: &'static str,
        /// The name.
        name: String,
        /// Numbers it holds.
        got: usize,
        /// Numbers it must hold.
        expected: usize,
        /// What those numbers are.
        layout: String,
    },
    /// A number that is NaN or infinite.
    #[error("{what} `{name}` is {value} at entry {entry} of {} but must be finite", owner(*sample))]
    NotFinite {
        /// `parameter`, `cotangent of`.
        what: &'static str,
        /// The name.
        name: String,
        /// The sample, or `None` when shared by the batch.
        sample: Option<usize>,
        /// Flat index inside the sample's numbers.
        entry: usize,
        /// What was found.
        value: f64,
    },
    /// A parameter's value outside its declared domain.
    #[error("parameter `{name}` is {value} at entry {entry} of {} but is declared {declared}", owner(*sample))]
    Domain {
        /// The parameter.
        name: String,
        /// The sample, or `None` when shared by the batch.
        sample: Option<usize>,
        /// Flat index inside the sample's numbers.
        entry: usize,
        /// What was found.
        value: f64,
        /// The declared domain.
        declared: &'static str,
    },
    /// A parameter declared positive semidefinite that is not.
    #[error(
        "parameter `{name}` has the eigenvalue {eigenvalue:.3e} in {} but is declared positive \
         semidefinite",
        owner(*sample)
    )]
    NotSemidefinite {
        /// The parameter.
        name: String,
        /// The sample, or `None` when shared by the batch.
        sample: Option<usize>,
        /// The most negative eigenvalue.
        eigenvalue: f64,
    },
    /// A setting that the problem's form has no use for.
    #[error("setting `{setting}` is {value} but must be {must}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What it is.
        value: String,
        /// What it must be.
        must: &'static str,
    },
    /// A solution of another problem.
    #[error("the solution belongs to another compiled problem")]
    ForeignSolution,
    /// The solver refused the numbers.
    #[error(transparent)]
    Solver(#[from] feasible_solver::Error),
}

fn owner(sample: Option<usize>) -> String {
    match sample {
        Some(i) => format!("sample {i}"),
        None => "the shared values".to_owned(),
    }
}
