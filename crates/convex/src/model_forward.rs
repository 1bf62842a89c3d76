//! Forward-mode derivatives of models' solutions: along a direction of the parameters, and whole.

use burn::tensor::Tensor;
use feasible_core::host;
use feasible_model::{Jacobian, Values};
use feasible_solver::GradientReport;

use crate::Error;
use crate::model_layer::SolvedModel;
use crate::model_solution::{ModelSolution, Names};
use crate::model_tensor::ModelTensor;

/// How the solutions of a batch move along a direction of the parameters; zero for samples without a
/// solution. Constants of automatic differentiation.
#[derive(Debug, Clone)]
pub struct ModelTangent {
    names: Names,
    variables: Vec<Tensor<2>>,
    duals: Vec<Tensor<2>>,
    /// How far each sample's derivative can be trusted.
    pub reports: Vec<GradientReport>,
}

impl ModelTangent {
    /// Of a variable, `[batch, size]`, matrices row-major.
    ///
    /// # Errors
    /// If the model has no variable of this name.
    pub fn variable(&self, name: &str) -> Result<Tensor<2>, Error> {
        Ok(self.variables[self.names.variable(name)?].clone())
    }

    /// Of the dual values of a constraint that was given a name, `[batch, size]`.
    ///
    /// # Errors
    /// If the model has no constraint of this name.
    pub fn dual(&self, name: &str) -> Result<Tensor<2>, Error> {
        Ok(self.duals[self.names.constraint(name)?].clone())
    }
}

/// Derivatives of a variable, or of a named constraint's dual values, with respect to a parameter, of
/// which every sample counts as having a copy of its own.
#[derive(Debug, Clone)]
pub struct ModelJacobian {
    /// `[batch, variable's or constraint's size, parameter's size]`, both row-major; zero for samples
    /// without a solution. A constant of automatic differentiation.
    pub values: Tensor<3>,
    /// How far each sample's derivatives can be trusted.
    pub reports: Vec<GradientReport>,
}

impl ModelSolution {
    /// The derivative of the solutions along a direction of the parameters, by name: the product of
    /// their Jacobian with it. What the backward pass computes is the product of its transpose.
    ///
    /// # Shapes
    /// Each direction as its parameter, see [`ModelTensor`]: without an axis for the batch, or with
    /// one of length 1, it moves every sample alike, whichever way the parameter was given.
    /// Parameters that are not named stay as they are.
    ///
    /// # Errors
    /// [`Error::ParameterShape`], [`Error::ParameterBatch`]; [`Error::Model`] for names that are
    /// unknown or come twice, and numbers that are not finite. Kinks and failed samples are in
    /// [`ModelTangent::reports`].
    ///
    /// # Cost
    /// That of a backward pass.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use feasible_convex::ConvexLayer;
    /// use feasible_convex::model::{Model, sum_squares};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut model = Model::new();
    /// let x = model.variable("x", [3]);
    /// let target = model.parameter("target", [3]);
    /// let problem = model
    ///     .minimize(sum_squares(&x - &target))
    ///     .subject_to(x.sum().eq(1.0))
    ///     .subject_to(x.ge(0.0))
    ///     .compile()?;
    /// let device = Device::flex();
    /// let target = Tensor::<1>::from_data([0.5, 0.9, 0.1], &device);
    /// let solution = ConvexLayer::new(problem).forward([("target", target.into())])?;
    /// let up = Tensor::<1>::from_data([1.0, 0.0, 0.0], &device);
    /// let tangent = solution.tangent([("target", up.into())])?;
    /// let moves = tangent.variable("x")?.into_data().try_into_vec::<f32>().unwrap();
    /// for (x, expected) in moves.iter().zip([0.5, -0.5, 0.0]) {
    ///     assert!((x - expected).abs() < 1e-6);
    /// }
    /// assert_eq!(solution.jacobian("x", "target")?.values.dims(), [1, 3, 3]);
    /// # Ok(()) }
    /// ```
    pub fn tangent<'a>(
        &self,
        directions: impl IntoIterator<Item = (&'a str, ModelTensor)>,
    ) -> Result<ModelTangent, Error> {
        let SolvedModel {
            problem,
            solution,
            settings,
            ..
        } = &*self.batch.solved;
        let batch = solution.batch();
        let mut numbers: Vec<(&str, usize, host::Numbers)> = vec![];
        for (name, direction) in directions {
            let direction = direction.flat(name, problem.parameter_shape(name)?)?;
            let copies = direction.length(0);
            if copies != 1 && copies != batch {
                return Err(Error::ParameterBatch {
                    name: name.to_owned(),
                    got: copies,
                    batch,
                });
            }
            let values = host::borrow("direction", direction.tensor())?;
            numbers.push((name, copies, values));
        }
        let values: Vec<(&str, Values<'_>)> = numbers
            .iter()
            .map(|(name, copies, numbers)| match copies {
                1 => (*name, Values::Shared(numbers)),
                _ => (*name, Values::PerSample(numbers)),
            })
            .collect();
        let found = problem.tangent(solution, &values, settings)?;
        let write = |values: &[f64]| {
            let width = values.len() / batch.max(1);
            self.batch.write(values.to_vec(), [batch, width])
        };
        let variables = self.names.variables.iter();
        let variables = variables.map(|name| Ok(write(found.variable(name)?)));
        let duals = self.names.constraints.iter();
        let duals = duals.map(|name| Ok(write(found.dual(&name[..])?)));
        Ok(ModelTangent {
            names: self.names.clone(),
            variables: variables.collect::<Result<_, Error>>()?,
            duals: duals.collect::<Result<_, Error>>()?,
            reports: found.reports,
        })
    }

    /// The whole derivative of a variable with respect to a parameter, sample by sample.
    ///
    /// # Errors
    /// [`Error::Model`] for a name that the model does not have.
    ///
    /// # Cost
    /// One factorisation a sample, and one solve for every number of the variable or of the
    /// parameter, whichever are fewer.
    pub fn jacobian(&self, variable: &str, parameter: &str) -> Result<ModelJacobian, Error> {
        let SolvedModel {
            problem,
            solution,
            settings,
            ..
        } = &*self.batch.solved;
        let found = problem.jacobian(solution, variable, parameter, settings)?;
        Ok(self.whole(found))
    }

    /// The whole derivative of the dual values of a constraint that was given a name with respect to a
    /// parameter, sample by sample, with the signs of [`ModelSolution::dual`].
    ///
    /// # Errors
    /// [`Error::UnknownName`] for a constraint, [`Error::Model`] for a parameter that the model does not
    /// have.
    ///
    /// # Cost
    /// As [`ModelSolution::jacobian`], with the constraint's entries that bind in place of the
    /// variable's.
    pub fn dual_jacobian(&self, constraint: &str, parameter: &str) -> Result<ModelJacobian, Error> {
        let SolvedModel {
            problem,
            solution,
            settings,
            ..
        } = &*self.batch.solved;
        self.names.constraint(constraint)?;
        let found = problem.dual_jacobian(solution, constraint, parameter, settings)?;
        Ok(self.whole(found))
    }

    fn whole(&self, found: Jacobian) -> ModelJacobian {
        let shape = [found.reports.len(), found.rows, found.columns];
        ModelJacobian {
            values: self.batch.write(found.values, shape),
            reports: found.reports,
        }
    }
}
