use feasible_model::{
    AdjointSettings, CompiledProblem, Cotangent, Handle, Solution, SolveSettings, Status,
};
use serde::{Deserialize, Serialize};

use crate::adjoint::{Answer, Part, Solved};
use crate::layer::SolvedBatch;
use crate::model_solution::{ModelSolution, Names};
use crate::model_tensor::ModelTensor;
use crate::parameter::batch_size;
use crate::tracked::{Numbers, Tracked};
use crate::{Error, OnFailure};

/// Settings of a [`ConvexLayer`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConvexLayerSettings {
    /// How to solve, in whichever form the model takes. `dense.infeasible` other than
    /// [`Report`](crate::Infeasible::Report) is an error of the forward pass where that form is cones.
    pub solver: SolveSettings,
    /// When a gradient counts as exact.
    pub adjoint: AdjointSettings,
    /// What to do with samples that have no solution. Default [`OnFailure::Error`].
    pub on_failure: OnFailure,
}

impl ConvexLayerSettings {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Solver`] naming the first setting out of range.
    pub fn validate(&self) -> Result<(), Error> {
        self.solver.dense.validate()?;
        self.solver.cones.validate()?;
        self.adjoint.validate()?;
        Ok(())
    }
}

/// A differentiable layer made of a disciplined convex model.
///
/// # Problem
///
/// What [`feasible_model`] compiles: a convex objective and constraints in named variables and
/// parameters. Parameters are the layer's inputs, variables its outputs.
///
/// # Optimality conditions
///
/// Those of the form that the model takes, see [`crate::QpLayer`], [`crate::QcqpLayer`] and
/// [`crate::ConeLayer`]; [`CompiledProblem::form`] says which.
///
/// # Adjoint
///
/// Every number of that form is an affine function of the parameters, found once when the model is
/// compiled. The backward pass is the solver's between the transposes of the maps; each sample's
/// gradient has a quality, [`ModelSolution::gradient_reports`]. The layer is differentiable once.
///
/// # Shapes
///
/// See [`ModelTensor`]; outputs are `[batch, size]`, row-major, on the device of the first tracked
/// parameter and with the precision of the first parameter.
///
/// # Forwards
///
/// [`ModelSolution::tangent`] is the derivative along a direction of the parameters,
/// [`ModelSolution::jacobian`] the whole of it for one variable and one parameter,
/// [`ModelSolution::dual_jacobian`] for one named constraint's dual values.
///
/// # Errors
///
/// Parameters that are missing, unknown, of the wrong shape, NaN or outside their declared domain,
/// by name; parameters for different numbers of samples; none at all, which leaves device and precision unknown;
/// [`Infeasible::Elastic`](crate::Infeasible::Elastic) for a model that is solved in cones.
/// Samples without a solution follow [`ConvexLayerSettings::on_failure`]; of an infeasible one the error
/// and [`ModelSolution::conflict`] name the constraints that contradict each other.
///
/// # Cost
///
/// The solver's, plus one pass over the terms of the maps. What only shared parameters touch is
/// shared by the batch.
///
/// # Reference
///
/// Agrawal, Amos, Barratt, Boyd, Diamond & Kolter 2019, *Differentiable Convex Optimization Layers*.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use feasible_convex::model::{Model, sum_squares};
/// use feasible_convex::ConvexLayer;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // The closest point of the simplex.
/// let mut model = Model::new();
/// let x = model.variable("x", [3]);
/// let target = model.parameter("target", [3]);
/// let problem = model
///     .minimize(sum_squares(&x - &target))
///     .subject_to(x.sum().eq(1.0))
///     .subject_to(x.ge(0.0))
///     .compile()?;
/// let layer = ConvexLayer::new(problem);
///
/// let device = Device::flex().autodiff();
/// let target = Tensor::<2>::from_data([[0.5, 0.9, 0.1], [2.0, 0.0, 0.0]], &device).require_grad();
/// let solution = layer.forward([("target", target.clone().into())])?;
/// let x = solution.variable("x")?;
/// let numbers = x.clone().into_data().try_into_vec::<f32>().unwrap();
/// for (x, expected) in numbers.iter().zip([0.3, 0.7, 0.0, 1.0, 0.0, 0.0]) {
///     assert!((x - expected).abs() < 1e-6);
/// }
/// let gradients = x.narrow(1, 0, 1).sum().backward();
/// let gradient = target.grad(&gradients).unwrap().into_data().try_into_vec::<f32>().unwrap();
/// for (g, expected) in gradient.iter().zip([0.5, -0.5, 0.0, 0.0]) {
///     assert!((g - expected).abs() < 1e-6);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct ConvexLayer {
    problem: CompiledProblem,
    settings: ConvexLayerSettings,
}

impl ConvexLayer {
    /// A layer of a compiled model with default settings.
    pub fn new(problem: CompiledProblem) -> Self {
        Self {
            problem,
            settings: ConvexLayerSettings::default(),
        }
    }

    /// With these settings.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn with_settings(mut self, settings: ConvexLayerSettings) -> Result<Self, Error> {
        settings.validate()?;
        self.settings = settings;
        Ok(self)
    }

    /// The model.
    pub fn problem(&self) -> &CompiledProblem {
        &self.problem
    }

    /// Solves the batch for these values of the parameters, by name and in any order.
    ///
    /// # Errors
    /// As the type says.
    pub fn forward<'a>(
        &self,
        parameters: impl IntoIterator<Item = (&'a str, ModelTensor)>,
    ) -> Result<ModelSolution, Error> {
        self.solve(parameters, None)
    }

    /// Solves the batch starting from the solutions of another of the same size: the last of a
    /// trajectory, or the last epoch's. Where active rows stay a QP or QCQP takes a few steps; answers,
    /// accuracy and gradients are those of [`Self::forward`]. A cone program starts cold.
    ///
    /// # Errors
    /// As the type says, and if `previous` has another batch size or is another model's.
    pub fn forward_from<'a>(
        &self,
        parameters: impl IntoIterator<Item = (&'a str, ModelTensor)>,
        previous: &ModelSolution,
    ) -> Result<ModelSolution, Error> {
        self.solve(parameters, Some(previous))
    }

    fn solve<'a>(
        &self,
        parameters: impl IntoIterator<Item = (&'a str, ModelTensor)>,
        previous: Option<&ModelSolution>,
    ) -> Result<ModelSolution, Error> {
        let mut given = vec![];
        for (name, tensor) in parameters {
            let shape = self.problem.parameter_shape(name)?;
            given.push((name.to_owned(), tensor.flat(name, shape)?));
        }
        let leading: Vec<usize> = given.iter().map(|(_, p)| p.length(0)).collect();
        let batch = batch_size(&leading);
        for (name, parameter) in &given {
            let copies = parameter.length(0);
            if copies != 1 && copies != batch {
                return Err(Error::ParameterBatch {
                    name: name.clone(),
                    got: copies,
                    batch,
                });
            }
        }
        let Some((_, first)) = given.first() else {
            return Err(Error::NoParameters);
        };
        let mut tracked = Tracked::new(first.tensor());
        let mut numbers: Vec<(String, Numbers)> = vec![];
        for (name, parameter) in &given {
            // The model names the parameter that is not finite.
            let values = tracked.read_unchecked(name.clone(), "parameter", parameter)?;
            numbers.push((name.clone(), values));
        }
        let mut solver = self.settings.solver;
        solver.dense.rounding = solver.dense.rounding.max(tracked.rounding);
        solver.cones.rounding = solver.cones.rounding.max(tracked.rounding);
        let values: Vec<_> = numbers
            .iter()
            .map(|(name, numbers)| (&name[..], numbers.values()))
            .collect();
        let solution = match previous {
            Some(previous) => {
                let previous = &previous.batch.solved.solution;
                self.problem.solve_from(&values, batch, previous, &solver)?
            }
            None => self.problem.solve(&values, batch, &solver)?,
        };
        let names = Names {
            variables: self
                .problem
                .variables()
                .map(|(name, _)| name.to_owned())
                .collect(),
            constraints: self
                .problem
                .constraints()
                .filter_map(|(name, _)| name.map(str::to_owned))
                .collect(),
        };
        let duals = names
            .constraints
            .iter()
            .map(|name| solution.dual(&name[..]))
            .collect::<Result<Vec<_>, _>>()?;
        let (status, iterations, residuals) = (
            solution.status().to_vec(),
            solution.iterations().to_vec(),
            solution.residuals().to_vec(),
        );
        let solved = SolvedModel {
            problem: self.problem.clone(),
            solution,
            duals,
            names: names.clone(),
            settings: self.settings.adjoint,
            wanted: std::mem::take(&mut tracked.roles),
        };
        let batch = SolvedBatch::new(solved, tracked, self.settings.on_failure)?;
        Ok(ModelSolution {
            names,
            status,
            iterations,
            residuals,
            batch,
        })
    }
}

/// A solved batch of a model.
#[derive(Debug)]
pub(crate) struct SolvedModel {
    pub(crate) problem: CompiledProblem,
    pub(crate) solution: Solution,
    /// Dual values of the named constraints.
    duals: Vec<Vec<f64>>,
    names: Names,
    pub(crate) settings: AdjointSettings,
    wanted: Vec<String>,
}

impl Solved for SolvedModel {
    fn status(&self) -> &[Status] {
        self.solution.status()
    }

    fn conflict(&self, sample: usize) -> Option<String> {
        Some(self.solution.conflict(sample)?.to_string())
    }

    fn parts(&self) -> Vec<Part<'_>> {
        let sizes = self.problem.variables().map(|(_, shape)| shape.size());
        let variables = self.names.variables.iter().zip(sizes).map(|(name, size)| {
            let values = self.solution.variable(name).unwrap_or_default();
            (values, size)
        });
        let sizes = self
            .problem
            .constraints()
            .filter_map(|(name, shape)| name.map(|_| shape.size()));
        let duals = self
            .duals
            .iter()
            .zip(sizes)
            .map(|(values, size)| (&values[..], size));
        variables.chain(duals).collect()
    }

    fn gradients(&self, cotangents: &[Option<&[f64]>]) -> Option<Answer> {
        let (of_variables, of_duals) = cotangents.split_at(self.names.variables.len());
        let variables: Vec<(&str, &[f64])> = (self.names.variables.iter())
            .zip(of_variables)
            .filter_map(|(name, cotangent)| Some((&name[..], (*cotangent)?)))
            .collect();
        let duals: Vec<(Handle<'_>, &[f64])> = (self.names.constraints.iter())
            .zip(of_duals)
            .filter_map(|(name, cotangent)| Some((Handle::Name(name), (*cotangent)?)))
            .collect();
        let cotangent = Cotangent {
            variables: &variables,
            duals: &duals,
        };
        // A tensor may have been given as several parameters, and each is then one of its own.
        let wanted: Vec<&str> = self.wanted.iter().map(|name| &name[..]).collect();
        let gradients = self
            .problem
            .adjoint(&self.solution, &cotangent, &wanted, &self.settings)
            .ok()?;
        let of_parameters = gradients
            .parameters()
            .map(|(_, gradient)| gradient.to_vec());
        Some((of_parameters.collect(), gradients.reports.clone()))
    }
}
