//! Solutions of models.

use burn::tensor::Tensor;
use feasible_model::{Conflict, Residuals, Status};

use crate::Error;
use crate::adjoint::{GradientReports, Solved};
use crate::layer::SolvedBatch;
use crate::model_layer::SolvedModel;

/// The parts of the packed output in their order.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) variables: Vec<String>,
    pub(crate) constraints: Vec<String>,
}

/// The solutions of a batch, by the names of the model.
#[derive(Debug, Clone)]
pub struct ModelSolution {
    pub(crate) names: Names,
    /// What the solver found, one per sample.
    pub status: Vec<Status>,
    /// The solver's iterations of each sample.
    pub iterations: Vec<usize>,
    /// How well each sample meets the optimality conditions of the form that was solved.
    pub residuals: Vec<Residuals>,
    pub(crate) batch: SolvedBatch<SolvedModel>,
}

impl ModelSolution {
    /// A variable, `[batch, size]`, matrices row-major.
    ///
    /// # Errors
    /// If the model has no variable of this name.
    pub fn variable(&self, name: &str) -> Result<Tensor<2>, Error> {
        Ok(self.part(self.names.variable(name)?))
    }

    /// The dual values of a constraint that was given a name, `[batch, size]`, with the signs of
    /// [`feasible_model::CompiledProblem`].
    ///
    /// # Errors
    /// If the model has no constraint of this name.
    pub fn dual(&self, name: &str) -> Result<Tensor<2>, Error> {
        let first = self.names.variables.len();
        Ok(self.part(first + self.names.constraint(name)?))
    }

    /// A handle on what the backward pass will say about each sample's gradient.
    pub fn gradient_reports(&self) -> GradientReports {
        self.batch.reports.clone()
    }

    /// The constraints, by their names, and domains that make an infeasible sample so, the
    /// weightiest first; `None` for every other sample, and where the contradiction is too slight to
    /// be proved.
    ///
    /// # Cost
    /// That of [`feasible_model::Solution::conflict`]: of a model in cones, some small solves.
    pub fn conflict(&self, sample: usize) -> Option<Conflict> {
        self.batch.solved.solution.conflict(sample)
    }

    /// A constraint's largest violation in each sample, of a relaxed one how far it had to give way; of
    /// a matrix inequality the most negative eigenvalue.
    ///
    /// # Errors
    /// If the model has no constraint of this name.
    pub fn violation(&self, name: &str) -> Result<Vec<f64>, Error> {
        self.names.constraint(name)?;
        Ok(self.batch.solved.solution.violation(name)?)
    }

    /// The direction of a variable along which an unbounded sample's objective falls forever, `[size]`,
    /// matrices row-major; `None` for every other sample.
    ///
    /// # Errors
    /// If the model has no variable of this name.
    pub fn ray(&self, name: &str, sample: usize) -> Result<Option<Vec<f64>>, Error> {
        self.names.variable(name)?;
        Ok(self.batch.solved.solution.ray(name, sample)?)
    }
}

impl ModelSolution {
    /// Part `index`, `[batch, width]`, of all variables and duals as one operation, so that a loss of
    /// several solves one adjoint system.
    fn part(&self, index: usize) -> Tensor<2> {
        let parts = self.batch.solved.parts();
        let start = parts[..index].iter().map(|(_, width)| width).sum();
        // Burn does not slice to width 0.
        match parts[index].1 {
            0 => self.batch.write(vec![], [self.status.len(), 0]),
            width => self.batch.parts(0..parts.len()).narrow(1, start, width),
        }
    }
}

impl Names {
    /// Which variable a name is.
    pub(crate) fn variable(&self, name: &str) -> Result<usize, Error> {
        place(name, "variable", &self.variables)
    }

    /// Which of the named constraints a name is.
    pub(crate) fn constraint(&self, name: &str) -> Result<usize, Error> {
        place(name, "named constraint", &self.constraints)
    }
}

fn place(name: &str, what: &'static str, known: &[String]) -> Result<usize, Error> {
    let place = known.iter().position(|known| known == name);
    place.ok_or_else(|| Error::UnknownName {
        name: name.to_owned(),
        what,
        known: known.join(", "),
    })
}
