//! Objectives of named variables and weighted costs as a layer.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{DType, Device, Tensor};
use feasible_core::host::{self, HostAdjoint, Input, Numbers};
use feasible_least_squares::{
    Callback, GradientQuality, Gradients, Inputs, Objective, Record, Settings, Solution, Status,
    Values,
};

use crate::Error;

/// A differentiable layer that minimises a sum of weighted costs over named variables.
///
/// # Problem
///
/// min over x of E(x; θ) = ½ Σ_k ρ_k(‖W_k c_k(x_k; θ_k)‖²), from a given start, for every sample of a
/// batch. Each cost sees its own variables and auxiliaries; variables are vectors, with bounds if
/// need be, or poses and rotations.
///
/// # Adjoint
///
/// By default the stationarity ∇E(x; θ) = 0 is differentiated with the exact Hessian of E
/// (implicit function theorem): ∂ℓ/∂θ = −∂(wᵀ∇E)/∂θ with ∇²E w = ∂ℓ/∂x. Of other modes
/// ([`feasible_least_squares::Backward`]) the Gauss-Newton Hessian is right only at residuals of
/// zero; iterations that are unrolled also give a gradient to the start. How far each sample's
/// gradient can be trusted is said by [`ObjectiveSolution::gradient_reports`]. Gradients of gradients
/// are zero.
///
/// # Shapes
///
/// Starts and auxiliaries are `[1 or batch, len]`, a variable's `len` being its stored numbers.
/// Outputs are `[batch, len]`, on the device of the first tracked input, with the precision of the
/// first variable's start. The arithmetic is f64.
///
/// # Errors
///
/// Unknown or missing names, shapes, numbers that are not finite, settings out of range. What a solve
/// finds is a [`Status`] of its sample, and leaves the others alone.
///
/// # Cost
///
/// An iteration evaluates every cost with its Jacobian and factors one linear system; samples run in
/// parallel. The backward pass solves one more system (implicit), or one an iteration (unrolled).
///
/// # Reference
///
/// Pineda et al., *Theseus: a library for differentiable nonlinear optimization* (2022).
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use feasible_nls::least_squares::{
///     AutoCost, Builder, Manifold, Real, Residual, Robust, Settings, Weight,
/// };
/// use feasible_nls::{ObjectiveLayer, ObjectiveTensors};
///
/// /// The distances of a point from two beacons, less what was measured.
/// struct Ranges;
///
/// impl Residual for Ranges {
///     fn rows(&self) -> usize {
///         2
///     }
///     fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
///         let (at, measured) = (variables[0], auxiliaries[0]);
///         for (i, (x, y)) in [(0.0, 0.0), (4.0, 0.0)].into_iter().enumerate() {
///             let (dx, dy) = (at[0] - T::constant(x), at[1] - T::constant(y));
///             out[i] = (dx * dx + dy * dy).sqrt() - measured[i];
///         }
///     }
/// }
///
/// # fn main() -> Result<(), feasible_nls::Error> {
/// let mut objective = Builder::new();
/// let position = objective.variable("position", Manifold::Vector(2))?;
/// let ranges = objective.auxiliary("ranges", 2)?;
/// let (weight, robust) = (Weight::Identity, Robust::None);
/// objective.cost("ranges", AutoCost::new(Ranges), &[position], &[ranges], weight, robust)?;
/// let layer = ObjectiveLayer::new(objective.build()?, Settings::default())?;
///
/// let device = Device::flex().autodiff();
/// let start = Tensor::<2>::from_data([[1.0, 1.0]], &device);
/// let measured = Tensor::<2>::from_data([[5.0, 3.0], [3.0, 5.0]], &device).require_grad();
/// let inputs = ObjectiveTensors::new()
///     .start("position", start)
///     .auxiliary("ranges", measured.clone());
/// let solution = layer.solve(&inputs)?;
/// let position = solution.variable("position")?;
/// for (x, expected) in position.to_data().try_to_vec::<f32>().unwrap().iter().zip([4.0, 3.0, 0.0, 3.0]) {
///     assert!((x - expected).abs() < 1e-5);
/// }
/// // 2·4·x = r₁² − r₂² + 4², so ∂x/∂r₁ = r₁/4.
/// let gradients = position.narrow(1, 0, 1).sum().backward();
/// let gradient = measured.grad(&gradients).unwrap().into_data().try_into_vec::<f32>().unwrap();
/// for (g, expected) in gradient.iter().zip([1.25, -0.75, 0.75, -1.25]) {
///     assert!((g - expected).abs() < 1e-5);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct ObjectiveLayer {
    objective: Arc<Objective>,
    settings: Settings,
}

/// The tensors of a call: a start for every variable and the numbers of every auxiliary, by name,
/// each `[1 or batch, len]`.
#[derive(Debug, Clone, Default)]
pub struct ObjectiveTensors {
    starts: Vec<(String, Tensor<2>)>,
    auxiliaries: Vec<(String, Tensor<2>)>,
}

impl ObjectiveTensors {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a variable's start, in place of any given before.
    #[must_use]
    pub fn start(mut self, variable: &str, start: Tensor<2>) -> Self {
        put(&mut self.starts, variable, start);
        self
    }

    /// With an auxiliary's numbers, in place of any given before.
    #[must_use]
    pub fn auxiliary(mut self, auxiliary: &str, numbers: Tensor<2>) -> Self {
        put(&mut self.auxiliaries, auxiliary, numbers);
        self
    }
}

fn put(list: &mut Vec<(String, Tensor<2>)>, name: &str, tensor: Tensor<2>) {
    list.retain(|(other, _)| other != name);
    list.push((name.to_owned(), tensor));
}

/// The minimisers of a batch.
#[derive(Debug, Clone)]
pub struct ObjectiveSolution {
    objective: Arc<Objective>,
    x: Tensor<2>,
    /// ½ Σ ρ(‖W c‖²) at the minimisers, one per sample; NaN where it could not be evaluated.
    pub cost: Vec<f64>,
    /// How each sample ended. One that did not converge has its best iterate.
    pub status: Vec<Status>,
    /// Every sample's iterations.
    pub history: Vec<Vec<Record>>,
    reports: ObjectiveReports,
}

/// What the last backward pass said about each sample's gradient: a handle, to be asked after it.
#[derive(Debug, Clone, Default)]
pub struct ObjectiveReports(Arc<Mutex<Option<Vec<ObjectiveReport>>>>);

/// How far one sample's gradient can be trusted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ObjectiveReport {
    /// The verdict.
    pub quality: GradientQuality,
    /// ‖∇²E w − ∂ℓ/∂x‖/‖∂ℓ/∂x‖ of the system that was solved; NaN for modes without one.
    pub residual: f64,
    /// An estimate of its condition from below; NaN for modes without one.
    pub condition: f64,
}

impl ObjectiveReports {
    /// One report per sample, or `None` while no backward pass has reached the layer.
    pub fn get(&self) -> Option<Vec<ObjectiveReport>> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<ObjectiveReport>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ObjectiveSolution {
    /// A variable's minimisers, `[batch, len]`.
    ///
    /// # Errors
    /// [`Error::UnknownName`].
    pub fn variable(&self, name: &str) -> Result<Tensor<2>, Error> {
        let id = self
            .objective
            .variable(name)
            .ok_or_else(|| unknown("variable", name, self.objective.variable_names()))?;
        let range = self.objective.stored(id);
        Ok(self.x.clone().narrow(1, range.start, range.len()))
    }

    /// All variables in the order they were added, `[batch, Σ len]`.
    pub fn all(&self) -> Tensor<2> {
        self.x.clone()
    }

    /// A handle on what the backward pass will say about each sample's gradient.
    pub fn gradient_reports(&self) -> ObjectiveReports {
        self.reports.clone()
    }

    /// Whether every sample converged.
    pub fn all_converged(&self) -> bool {
        self.status.iter().all(|status| status.is_converged())
    }
}

fn unknown<'a>(what: &'static str, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    Error::UnknownName {
        what,
        name: name.to_owned(),
        known: known.collect::<Vec<_>>().join(", "),
    }
}

/// What an input is to the objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Start(feasible_least_squares::VariableId),
    Auxiliary(feasible_least_squares::AuxiliaryId),
}

/// One input on the host.
#[derive(Debug)]
struct Read {
    role: Role,
    numbers: Numbers,
    shared: bool,
    tracked: bool,
}

impl ObjectiveLayer {
    /// A layer for this objective.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(objective: Objective, settings: Settings) -> Result<Self, Error> {
        settings.validate()?;
        Ok(Self {
            objective: Arc::new(objective),
            settings,
        })
    }

    /// The objective.
    pub fn objective(&self) -> &Objective {
        &self.objective
    }

    /// Minimises for every sample.
    ///
    /// # Errors
    /// As the type says.
    pub fn solve(&self, tensors: &ObjectiveTensors) -> Result<ObjectiveSolution, Error> {
        self.run(tensors, None)
    }

    /// As [`ObjectiveLayer::solve`], with `callback` at the end of every iteration of every sample, on the
    /// thread that runs it. What it may change, and what that means for derivatives, is said at
    /// [`feasible_least_squares::Iteration`].
    ///
    /// # Errors
    /// As the type says.
    pub fn solve_with(
        &self,
        tensors: &ObjectiveTensors,
        callback: &Callback<'_>,
    ) -> Result<ObjectiveSolution, Error> {
        self.run(tensors, Some(callback))
    }

    fn run(
        &self,
        tensors: &ObjectiveTensors,
        callback: Option<&Callback<'_>>,
    ) -> Result<ObjectiveSolution, Error> {
        let objective = &self.objective;
        let named = tensors.starts.iter().chain(&tensors.auxiliaries);
        let leading = || named.clone().map(|(_, tensor)| tensor.dims()[0]);
        // An empty batch is one even beside shared tensors.
        let batch = match leading().min() {
            Some(0) => 0,
            _ => leading().max().unwrap_or(1),
        };
        let mut read = vec![];
        let mut inputs = vec![];
        let mut device: Option<Device> = None;
        let mut take = |role, name: &str, tensor: &Tensor<2>, len: usize| -> Result<(), Error> {
            let [rows, width] = tensor.dims();
            if width != len || (rows != 1 && rows != batch) {
                return Err(Error::InputShape {
                    name: name.to_owned(),
                    got: [rows, width],
                    batch,
                    len,
                });
            }
            let tracked = tensor.is_tracked();
            if tracked && device.is_none() {
                device = Some(tensor.device());
            }
            read.push(Read {
                role,
                numbers: host::borrow("inputs", tensor)?,
                shared: rows == 1 && batch != 1,
                tracked,
            });
            if tracked {
                inputs.push(Input::new(tensor.clone()));
            }
            Ok(())
        };
        for (name, tensor) in &tensors.starts {
            let id = objective
                .variable(name)
                .ok_or_else(|| unknown("variable", name, objective.variable_names()))?;
            take(Role::Start(id), name, tensor, objective.stored(id).len())?;
        }
        for (name, tensor) in &tensors.auxiliaries {
            let id = objective
                .auxiliary(name)
                .ok_or_else(|| unknown("auxiliary", name, objective.auxiliary_names()))?;
            let len = objective.auxiliary_range(id).len();
            take(Role::Auxiliary(id), name, tensor, len)?;
        }
        let Some((_, first)) = tensors.starts.first() else {
            return Err(Error::NoStart);
        };
        let solved = Solved {
            objective: objective.clone(),
            batch,
            read,
            solution: None,
            reports: ObjectiveReports::default(),
        };
        let solution = match callback {
            None => objective.solve(&solved.inputs(), &self.settings)?,
            Some(callback) => objective.solve_with(&solved.inputs(), &self.settings, callback)?,
        };
        let (cost, status, history) = (
            solution.cost.clone(),
            solution.status.clone(),
            solution.history.clone(),
        );
        let (reports, output) = (solved.reports.clone(), solution.x.clone());
        let x = record(
            output,
            [batch, objective.storage()],
            &device.unwrap_or_else(|| first.device()),
            first.dtype(),
            inputs,
            Solved {
                solution: Some(solution),
                ..solved
            },
        );
        Ok(ObjectiveSolution {
            objective: objective.clone(),
            x,
            cost,
            status,
            history,
            reports,
        })
    }
}

fn record(
    output: Vec<f64>,
    shape: [usize; 2],
    device: &Device,
    dtype: DType,
    inputs: Vec<Input>,
    solved: Solved,
) -> Tensor<2> {
    host::record(output, shape, device, dtype, inputs, Arc::new(solved))
}

/// A solved batch with what its derivative needs.
#[derive(Debug)]
struct Solved {
    objective: Arc<Objective>,
    batch: usize,
    read: Vec<Read>,
    solution: Option<Solution>,
    reports: ObjectiveReports,
}

impl Solved {
    fn inputs(&self) -> Inputs<'_> {
        let mut inputs = Inputs::new(&self.objective, self.batch);
        for read in &self.read {
            let values = if read.shared {
                Values::Shared(&read.numbers)
            } else {
                Values::PerSample(&read.numbers)
            };
            inputs = match read.role {
                Role::Start(id) => inputs.start(id, values),
                Role::Auxiliary(id) => inputs.auxiliary(id, values),
            };
        }
        inputs
    }

    /// One input's gradient, summed over the batch where the batch shares it.
    fn gradient(&self, read: &Read, gradients: &Gradients) -> Vec<f64> {
        let of = |sample: usize| match read.role {
            Role::Start(id) => gradients.start(&self.objective, id, sample),
            Role::Auxiliary(id) => gradients.auxiliary(&self.objective, id, sample),
        };
        if !read.shared {
            return (0..self.batch)
                .flat_map(|sample| of(sample).to_vec())
                .collect();
        }
        let mut sum = vec![0.0; read.numbers.len()];
        for sample in 0..self.batch {
            for (sum, v) in sum.iter_mut().zip(of(sample)) {
                *sum += v;
            }
        }
        sum
    }
}

impl HostAdjoint for Solved {
    fn vjp(&self, cotangent: &[f64]) -> Vec<Vec<f64>> {
        // Samples whose cotangent is not finite add nothing, and cannot spoil what the batch shares.
        let width = self.objective.storage();
        let mut cotangent = cotangent.to_vec();
        let mut dropped = vec![];
        for (sample, row) in cotangent.chunks_exact_mut(width).enumerate() {
            if !row.iter().all(|v| v.is_finite()) {
                row.fill(0.0);
                dropped.push(sample);
            }
        }
        let found = self.solution.as_ref().and_then(|solution| {
            // Refused only by a bug of ours: the inputs and the solution are those of the forward pass.
            self.objective
                .vjp(&self.inputs(), solution, &cotangent)
                .ok()
        });
        let mut reports: Vec<ObjectiveReport> = (0..self.batch)
            .map(|sample| match &found {
                Some(found) => ObjectiveReport {
                    quality: found.quality[sample],
                    residual: found.residual[sample],
                    condition: found.condition[sample],
                },
                None => UNAVAILABLE,
            })
            .collect();
        for sample in dropped {
            reports[sample] = UNAVAILABLE;
        }
        *self.reports.lock() = Some(reports);
        self.read
            .iter()
            .filter(|read| read.tracked)
            .map(|read| match &found {
                Some(found) => self.gradient(read, found),
                None => vec![0.0; read.numbers.len()],
            })
            .collect()
    }
}

const UNAVAILABLE: ObjectiveReport = ObjectiveReport {
    quality: GradientQuality::Unavailable,
    residual: f64::NAN,
    condition: f64::NAN,
};
