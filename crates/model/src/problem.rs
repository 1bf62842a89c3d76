//! Compiled problems: solved and differentiated for any values of the parameters.

use std::sync::Arc;

use feasible_solver::{AdjointSettings, ConeSettings, Infeasible, Settings, Values};
use serde::{Deserialize, Serialize};

use crate::canon::{Canonical, Program};
use crate::constraint::Constraint;
use crate::engine::Data;
use crate::error::Error;
use crate::gradients::{self, Cotangent, Gradients};
use crate::model::Formulation;
use crate::numbers::{Parameters, unknown};
use crate::shape::Shape;
use crate::solution::Solution;
use crate::tangents::{self, Jacobian, Output, Tangent};

/// How to solve, by either solver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SolveSettings {
    /// Of QPs and QCQPs, and of these alone [`Settings::infeasible`]: the rows of cone programs cannot give
    /// way, so that solving a model in cones ([`Form::Cone`]) with
    /// [`feasible_solver::Infeasible::Elastic`] is an error.
    pub dense: Settings,
    /// Of cone programs.
    pub cones: ConeSettings,
}

/// Which solver's form a problem has, with its sizes for one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// Quadratic or linear objective, linear rows: dense.
    Qp {
        /// Columns, those of the user's variables and added ones.
        variables: usize,
        /// Equality rows.
        equalities: usize,
        /// Two-sided rows.
        inequalities: usize,
    },
    /// The same with quadratic rows: dense.
    Qcqp {
        /// Columns, those of the user's variables and added ones.
        variables: usize,
        /// Equality rows.
        equalities: usize,
        /// Two-sided rows.
        inequalities: usize,
        /// Quadratic rows.
        quadratics: usize,
    },
    /// Quadratic or linear objective, rows in cones: sparse.
    Cone {
        /// Columns, those of the user's variables and added ones.
        variables: usize,
        /// Rows.
        rows: usize,
        /// Entries of `A`.
        entries: usize,
    },
}

/// A checked problem in a solver's form.
///
/// Every number of that form is an affine function of the parameters, found once. Cheap to clone,
/// and usable from several threads.
///
/// # Dual values
/// The Lagrangian is `±f(x) + Σ λᵀ(small − large) + Σ νᵀ(left − right) − Σ ⟨Z, left − right⟩` over
/// inequalities, equalities and matrix inequalities, with a minus before a maximised `f`; `λ ≥ 0`,
/// `Z ⪰ 0`. These are cvxpy's signs.
#[derive(Clone, Debug)]
pub struct CompiledProblem(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) formulation: Formulation,
    pub(crate) canonical: Canonical,
}

/// A constraint, by itself or by its name.
#[derive(Clone, Copy, Debug)]
pub enum Handle<'a> {
    /// By the name from [`Constraint::named`].
    Name(&'a str),
    /// By the constraint or a clone.
    Constraint(&'a Constraint),
}

impl<'a> From<&'a str> for Handle<'a> {
    fn from(name: &'a str) -> Handle<'a> {
        Handle::Name(name)
    }
}

impl<'a> From<&'a Constraint> for Handle<'a> {
    fn from(constraint: &'a Constraint) -> Handle<'a> {
        Handle::Constraint(constraint)
    }
}

impl CompiledProblem {
    pub(crate) fn new(formulation: Formulation, canonical: Canonical) -> CompiledProblem {
        CompiledProblem(Arc::new(Inner {
            formulation,
            canonical,
        }))
    }

    /// Which form the problem has.
    pub fn form(&self) -> Form {
        let variables = self.0.canonical.n;
        match &self.0.canonical.program {
            Program::Dense(dense) if dense.quadratic_rows == 0 => Form::Qp {
                variables,
                equalities: dense.equality_rows,
                inequalities: dense.inequality_rows,
            },
            Program::Dense(dense) => Form::Qcqp {
                variables,
                equalities: dense.equality_rows,
                inequalities: dense.inequality_rows,
                quadratics: dense.quadratic_rows,
            },
            Program::Cones(cones) => Form::Cone {
                variables,
                rows: cones.a.rows,
                entries: cones.a.indices.len(),
            },
        }
    }

    /// Names and shapes of the parameters, in the order of their first use.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, Shape)> {
        let leaves = self.0.canonical.parameters.iter();
        leaves.map(|(leaf, _)| (&leaf.name[..], leaf.shape))
    }

    /// Names and shapes of the variables, in the order of their first use.
    pub fn variables(&self) -> impl Iterator<Item = (&str, Shape)> {
        let leaves = self.0.canonical.variables.iter();
        leaves.map(|(leaf, _)| (&leaf.name[..], leaf.shape))
    }

    /// Names, where they have one, and shapes of the constraints, in their order.
    pub fn constraints(&self) -> impl Iterator<Item = (Option<&str>, Shape)> {
        let constraints = self.0.formulation.constraints.iter();
        constraints.map(|c| (c.0.name.as_deref(), c.shape()))
    }

    /// The shape of a parameter.
    ///
    /// # Errors
    /// [`Error::UnknownName`].
    pub fn parameter_shape(&self, name: &str) -> Result<Shape, Error> {
        let index = self.0.parameter_index(name)?;
        Ok(self.0.canonical.parameters[index].0.shape)
    }

    /// Solves a batch.
    ///
    /// # Shapes
    /// Each parameter has one copy for the batch or one per sample, row-major. A part of the
    /// solver's problem that only shared parameters touch is shared, which the solver makes use of.
    ///
    /// # Errors
    /// [`Error::UnknownName`], [`Error::GivenTwice`], [`Error::MissingParameter`],
    /// [`Error::Length`], [`Error::NotFinite`], [`Error::Domain`], [`Error::NotSemidefinite`],
    /// [`Error::Solver`]; [`Error::Setting`] for [`feasible_solver::Infeasible::Elastic`] where the form is
    /// [`Form::Cone`]. Infeasible and unbounded samples are not errors: they have a status, and never
    /// change the others' answers. Bounds that cross at a sample's parameters are its infeasibility too.
    /// Under [`feasible_solver::Infeasible::Elastic`] infeasible samples of a QP or QCQP are
    /// [`feasible_solver::Status::Relaxed`], with dual values and derivatives of that problem.
    ///
    /// # Cost
    /// The solver's, plus one pass over the terms of the affine maps, per sample for the parts that
    /// are not shared.
    pub fn solve(
        &self,
        parameters: &[(&str, Values<'_>)],
        batch: usize,
        settings: &SolveSettings,
    ) -> Result<Solution, Error> {
        self.solve_after(parameters, batch, settings, None)
    }

    /// As [`CompiledProblem::solve`], from the solutions of another batch of the same size: the last of
    /// a trajectory, say. Where active rows stay a QP or QCQP takes a few steps; answers and their
    /// accuracy are those of a cold start. A cone program has no use for it: interior points start cold.
    ///
    /// # Errors
    /// Those of [`CompiledProblem::solve`]; [`Error::ForeignSolution`] when `previous` is another
    /// problem's, [`Error::Solver`] when it has another batch size.
    pub fn solve_from(
        &self,
        parameters: &[(&str, Values<'_>)],
        batch: usize,
        previous: &Solution,
        settings: &SolveSettings,
    ) -> Result<Solution, Error> {
        self.check_own(previous)?;
        if previous.batch() != batch {
            return Err(feasible_solver::Error::ForeignSolution {
                what: "batch",
                got: previous.batch(),
                expected: batch,
            }
            .into());
        }
        self.solve_after(parameters, batch, settings, Some(previous))
    }

    fn solve_after(
        &self,
        parameters: &[(&str, Values<'_>)],
        batch: usize,
        settings: &SolveSettings,
        previous: Option<&Solution>,
    ) -> Result<Solution, Error> {
        let canonical = &self.0.canonical;
        check_policy(&canonical.program, settings)?;
        let parameters = Parameters::new(
            &canonical.parameters,
            canonical.parameter_entries,
            parameters,
            batch,
            match canonical.program {
                Program::Cones(_) => settings.cones.rounding,
                Program::Dense(_) => settings.dense.rounding,
            },
        );
        let parameters = parameters.map_err(|error| self.0.explained(error))?;
        let data = Data::new(&canonical.program, &parameters, canonical.n);
        let previous = previous.map(Solution::solved);
        let solved = data.solve(&canonical.program, batch, settings, previous);
        let solved = solved?;
        Ok(Solution::new(
            self.0.clone(),
            parameters,
            data,
            solved,
            *settings,
        ))
    }

    /// Derivatives of a scalar loss with respect to parameters, from those with respect to
    /// variables and dual values.
    ///
    /// # Adjoint
    /// The solver's implicit differentiation of the optimality conditions, between the transposes
    /// of the affine maps from the parameters and to the variables (Agrawal, Amos, Barratt, Boyd,
    /// Diamond & Kolter 2019).
    ///
    /// # Errors
    /// [`Error::ForeignSolution`], [`Error::UnknownName`], [`Error::GivenTwice`],
    /// [`Error::Length`], [`Error::NotFinite`], [`Error::Solver`]. Kinks and failed samples are
    /// reported sample by sample in [`Gradients::reports`].
    pub fn adjoint(
        &self,
        solution: &Solution,
        cotangent: &Cotangent<'_>,
        wanted: &[&str],
        settings: &AdjointSettings,
    ) -> Result<Gradients, Error> {
        self.check_own(solution)?;
        gradients::adjoint(&self.0, solution, cotangent, wanted, settings)
    }

    /// The derivative of the solutions along a direction of the parameters: the product of their
    /// Jacobian with it. [`CompiledProblem::adjoint`] is the product with its transpose, on every
    /// sample, whatever its quality.
    ///
    /// # Linearisation
    /// The affine maps take the direction to one of the solver's numbers, the solver's linearised
    /// optimality conditions that to one of its solution, and its entries are the variables'.
    ///
    /// # Shapes
    /// Each direction is one copy of its parameter, which moves every sample alike, or one a sample,
    /// whichever way the parameter was given; parameters that are not named stay as they are.
    ///
    /// # Errors
    /// [`Error::ForeignSolution`], [`Error::UnknownName`], [`Error::GivenTwice`],
    /// [`Error::Length`], [`Error::NotFinite`], [`Error::Solver`]. Kinks and failed samples are
    /// reported sample by sample in [`Tangent::reports`].
    ///
    /// # Cost
    /// That of [`CompiledProblem::adjoint`].
    pub fn tangent(
        &self,
        solution: &Solution,
        directions: &[(&str, Values<'_>)],
        settings: &AdjointSettings,
    ) -> Result<Tangent, Error> {
        self.check_own(solution)?;
        tangents::tangent(&self.0, solution, directions, settings)
    }

    /// The whole derivative of a variable with respect to a parameter, sample by sample.
    ///
    /// # Shapes
    /// `[batch, variable's size, parameter's size]`, both row-major.
    ///
    /// # Errors
    /// [`Error::ForeignSolution`], [`Error::UnknownName`], [`Error::Solver`].
    ///
    /// # Cost
    /// One factorisation a sample; then one solve, and one pass over the terms of the maps, for every
    /// number of the variable or of the parameter, whichever are fewer.
    pub fn jacobian(
        &self,
        solution: &Solution,
        variable: &str,
        parameter: &str,
        settings: &AdjointSettings,
    ) -> Result<Jacobian, Error> {
        self.check_own(solution)?;
        let output = Output::Variable(variable);
        tangents::jacobian(&self.0, solution, output, parameter, settings)
    }

    /// The whole derivative of a constraint's dual values with respect to a parameter, sample by
    /// sample. Variables and constraints may bear the same name, so each has a function of its own, as
    /// in [`Solution::variable`] and [`Solution::dual`].
    ///
    /// # Shapes
    /// `[batch, constraint's size, parameter's size]`, both row-major, with the signs of the dual
    /// values themselves. Dual values of entries that do not bind are constant.
    ///
    /// # Errors
    /// [`Error::ForeignSolution`], [`Error::UnknownName`], [`Error::Solver`].
    ///
    /// # Cost
    /// As [`CompiledProblem::jacobian`], with the constraint's entries that bind in place of the
    /// variable's.
    pub fn dual_jacobian<'a>(
        &self,
        solution: &Solution,
        constraint: impl Into<Handle<'a>>,
        parameter: &str,
        settings: &AdjointSettings,
    ) -> Result<Jacobian, Error> {
        self.check_own(solution)?;
        let output = Output::Dual(constraint.into());
        tangents::jacobian(&self.0, solution, output, parameter, settings)
    }

    fn check_own(&self, solution: &Solution) -> Result<(), Error> {
        if Arc::ptr_eq(&self.0, solution.problem()) {
            Ok(())
        } else {
            Err(Error::ForeignSolution)
        }
    }
}

impl Inner {
    /// The error, and of a name that is the model's but in no expression of the problem that it is.
    pub(crate) fn explained(&self, error: Error) -> Error {
        match error {
            Error::UnknownName { name, what, known } => {
                let canonical = &self.canonical;
                let used = canonical.variables.iter().any(|(l, _)| l.name == name)
                    || canonical.parameters.iter().any(|(l, _)| l.name == name);
                let declared = self.formulation.leaves.iter().any(|l| l.name == name);
                let known = match declared && !used {
                    true => format!("{known}, and the model's `{name}` is not used in it"),
                    false => known,
                };
                Error::UnknownName { name, what, known }
            }
            other => other,
        }
    }

    pub(crate) fn variable_index(&self, name: &str) -> Result<usize, Error> {
        let variables = &self.canonical.variables;
        variables
            .iter()
            .position(|(leaf, _)| leaf.name == name)
            .ok_or_else(|| unknown(name, "variable", variables.iter().map(|(l, _)| &l.name)))
            .map_err(|error| self.explained(error))
    }

    pub(crate) fn parameter_index(&self, name: &str) -> Result<usize, Error> {
        let parameters = &self.canonical.parameters;
        parameters
            .iter()
            .position(|(leaf, _)| leaf.name == name)
            .ok_or_else(|| unknown(name, "parameter", parameters.iter().map(|(l, _)| &l.name)))
            .map_err(|error| self.explained(error))
    }

    pub(crate) fn constraint_index(&self, handle: Handle<'_>) -> Result<usize, Error> {
        let constraints = &self.formulation.constraints;
        let (found, shown) = match handle {
            Handle::Name(name) => (
                constraints
                    .iter()
                    .position(|c| c.0.name.as_deref() == Some(name)),
                name.to_owned(),
            ),
            Handle::Constraint(constraint) => (
                constraints
                    .iter()
                    .position(|c| Arc::ptr_eq(&c.0, &constraint.0)),
                constraint.to_string(),
            ),
        };
        found.ok_or_else(|| {
            let names: Vec<String> = constraints.iter().map(Constraint::label).collect();
            unknown(&shown, "constraint", names.iter())
        })
    }
}

/// Refuses what a form cannot follow, instead of passing over it.
fn check_policy(program: &Program, settings: &SolveSettings) -> Result<(), Error> {
    match (program, settings.dense.infeasible) {
        (Program::Cones(_), policy) if policy != Infeasible::Report => Err(Error::Setting {
            setting: "dense.infeasible",
            value: format!("{policy:?}"),
            must: "Report for a model that is solved in cones, whose rows cannot give way",
        }),
        _ => Ok(()),
    }
}
