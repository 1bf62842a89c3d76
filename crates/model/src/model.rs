//! Models: variables, parameters, an objective and constraints.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::attributes::Domain;
use crate::canon;
use crate::constraint::Constraint;
use crate::error::Error;
use crate::expr::{Expr, Leaf, Op, postorder};
use crate::problem::CompiledProblem;
use crate::shape::Shape;

/// Tells leaves of different models apart.
static MODELS: AtomicU64 = AtomicU64::new(0);

/// The variables and parameters of a problem.
#[derive(Debug)]
pub struct Model {
    id: u64,
    leaves: Vec<Arc<Leaf>>,
    duplicate: Option<String>,
}

impl Default for Model {
    fn default() -> Model {
        Model::new()
    }
}

impl Model {
    /// A model without variables.
    pub fn new() -> Model {
        Model {
            id: MODELS.fetch_add(1, Ordering::Relaxed),
            leaves: Vec::new(),
            duplicate: None,
        }
    }

    fn leaf(&mut self, name: impl Into<String>, shape: Shape, domain: Domain) -> Arc<Leaf> {
        let name = name.into();
        if self.leaves.iter().any(|leaf| leaf.name == name) {
            self.duplicate.get_or_insert_with(|| name.clone());
        }
        let leaf = Arc::new(Leaf {
            model: self.id,
            id: self.leaves.len(),
            name,
            shape,
            domain,
        });
        self.leaves.push(leaf.clone());
        leaf
    }

    /// A variable of any real numbers.
    pub fn variable(&mut self, name: impl Into<String>, shape: impl Into<Shape>) -> Expr {
        self.variable_in(name, shape, Domain::Free)
    }

    /// A variable that is constrained to a domain.
    pub fn variable_in(
        &mut self,
        name: impl Into<String>,
        shape: impl Into<Shape>,
        domain: Domain,
    ) -> Expr {
        Expr::variable(self.leaf(name, shape.into(), domain))
    }

    /// A parameter of any real numbers.
    pub fn parameter(&mut self, name: impl Into<String>, shape: impl Into<Shape>) -> Expr {
        self.parameter_in(name, shape, Domain::Free)
    }

    /// A parameter whose values are promised to lie in a domain, and checked to.
    pub fn parameter_in(
        &mut self,
        name: impl Into<String>,
        shape: impl Into<Shape>,
        domain: Domain,
    ) -> Expr {
        Expr::parameter(self.leaf(name, shape.into(), domain))
    }

    /// A problem that minimises a convex scalar.
    pub fn minimize(&self, objective: impl Into<Expr>) -> Formulation {
        self.formulation(objective.into(), Direction::Minimize)
    }

    /// A problem that maximises a concave scalar.
    pub fn maximize(&self, objective: impl Into<Expr>) -> Formulation {
        self.formulation(objective.into(), Direction::Maximize)
    }

    fn formulation(&self, objective: Expr, direction: Direction) -> Formulation {
        Formulation {
            model: self.id,
            leaves: self.leaves.clone(),
            duplicate: self.duplicate.clone(),
            objective,
            direction,
            constraints: Vec::new(),
            route: Route::Auto,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Minimize,
    Maximize,
}

/// Which solver a problem goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Route {
    /// The dense solver where the problem is a QP or QCQP of a size for it, cones otherwise.
    #[default]
    Auto,
    /// The cone solver throughout.
    Cones,
}

/// An objective with constraints, not yet checked.
#[derive(Clone, Debug)]
pub struct Formulation {
    pub(crate) model: u64,
    /// What the model has declared so far.
    pub(crate) leaves: Vec<Arc<Leaf>>,
    duplicate: Option<String>,
    pub(crate) objective: Expr,
    pub(crate) direction: Direction,
    pub(crate) constraints: Vec<Constraint>,
    pub(crate) route: Route,
}

impl Formulation {
    /// Adds a constraint. One that is there already, itself or as a clone, is not added again.
    #[must_use]
    pub fn subject_to(mut self, constraint: impl Into<Constraint>) -> Formulation {
        let constraint = constraint.into();
        let same = |other: &Constraint| Arc::ptr_eq(&other.0, &constraint.0);
        if !self.constraints.iter().any(same) {
            self.constraints.push(constraint);
        }
        self
    }

    /// Adds constraints, each as [`Formulation::subject_to`] does.
    #[must_use]
    pub fn subject_to_all(self, constraints: impl IntoIterator<Item = Constraint>) -> Formulation {
        constraints.into_iter().fold(self, Formulation::subject_to)
    }

    /// Chooses the solver.
    #[must_use]
    pub fn route(mut self, route: Route) -> Formulation {
        self.route = route;
        self
    }

    /// Checks the rules of disciplined parametrised convex programming and brings the problem into
    /// a solver's form, once for all values of the parameters.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Argument`], [`Error::Curvature`], [`Error::Parametrisation`],
    /// [`Error::Objective`], [`Error::Constraint`], [`Error::DuplicateName`],
    /// [`Error::ForeignLeaf`], [`Error::NoVariables`], [`Error::Unsupported`].
    ///
    /// # Cost
    /// Linear in the entries of all sub-expressions, and in the products that the matrix
    /// multiplications among them would take with numbers.
    pub fn compile(self) -> Result<CompiledProblem, Error> {
        self.check()?;
        let canonical = canon::canonicalise(&self)?;
        Ok(CompiledProblem::new(self, canonical))
    }

    fn check(&self) -> Result<(), Error> {
        if let Some(name) = &self.duplicate {
            return Err(Error::DuplicateName {
                name: name.clone(),
                what: "variables or parameters",
            });
        }
        let mut names = HashSet::new();
        for name in self.constraints.iter().filter_map(|c| c.0.name.as_ref()) {
            if !names.insert(name) {
                return Err(Error::DuplicateName {
                    name: name.clone(),
                    what: "constraints",
                });
            }
        }
        self.check_objective()?;
        self.constraints.iter().try_for_each(Constraint::check)?;
        let mut variables = false;
        for expr in postorder(self.roots()) {
            let (Op::Variable(leaf) | Op::Parameter(leaf)) = &expr.0.op else {
                continue;
            };
            if leaf.model != self.model {
                return Err(Error::ForeignLeaf {
                    name: leaf.name.clone(),
                });
            }
            variables |= matches!(expr.0.op, Op::Variable(_));
        }
        if variables {
            Ok(())
        } else {
            Err(Error::NoVariables)
        }
    }

    fn check_objective(&self) -> Result<(), Error> {
        let objective = &self.objective;
        if let Some(error) = objective.mistake() {
            return Err(error.clone());
        }
        let (direction, must) = match self.direction {
            Direction::Minimize => ("minimise", "convex"),
            Direction::Maximize => ("maximise", "concave"),
        };
        let fail = |reason: String| {
            Err(Error::Objective {
                direction,
                expression: objective.to_string(),
                reason,
            })
        };
        if objective.size() != 1 {
            return fail(format!(
                "its shape is {} but must be []; take its sum or a norm",
                objective.shape()
            ));
        }
        let curvature = objective.curvature();
        let fits = match self.direction {
            Direction::Minimize => curvature.is_convex(),
            Direction::Maximize => curvature.is_concave(),
        };
        if fits {
            Ok(())
        } else {
            fail(format!("it is {curvature} but must be {must}"))
        }
    }

    /// The expressions that make up the problem, the objective first.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &Expr> {
        let residuals = self.constraints.iter().map(|c| &c.0.residual);
        std::iter::once(&self.objective).chain(residuals)
    }
}

impl From<&Constraint> for Constraint {
    fn from(constraint: &Constraint) -> Constraint {
        constraint.clone()
    }
}
