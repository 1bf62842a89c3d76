//! A cost of an objective given by a function over tensors.

use std::fmt;

use burn::tensor::{DType, Device, Tensor};
use feasible_core::{Dual, host};
use feasible_least_squares::{Cost, Gradient, Point, Probe, Shapes};

/// A cost written as a function over tensors, with the other costs of an
/// [`Objective`](feasible_least_squares::Objective).
///
/// # Problem
///
/// c(x₁, x₂, …; θ₁, θ₂, …): the function takes the cost's variables, each `[1, len]`, and its auxiliaries, each
/// `[1, len]`, and returns the rows, `[1, rows]`. Variables are vectors, with bounds if need be.
///
/// # Derivatives
///
/// Exact, of every order the engine asks for: Jacobians by [`Dual`] numbers, second derivatives and those by
/// auxiliaries by reverse mode through a dual number along one direction.
///
/// # Errors
///
/// The function is called once when the cost is added, at ones: other rows than were declared, variables on groups,
/// a device without f64, and captured tensors that need gradients, which would not get any, are an error there: make
/// the latter auxiliaries.
///
/// # Cost
///
/// The engine evaluates costs sample by sample: some tensor operations on one row each time, tens of
/// microseconds. Where that counts, write the residual over scalars
/// ([`AutoCost`](feasible_least_squares::AutoCost)), or, for a single residual, use
/// [`LevenbergMarquardt`](crate::LevenbergMarquardt), which evaluates the whole batch at once.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use feasible_core::Dual;
/// use feasible_nls::TensorCost;
/// use feasible_nls::least_squares::{Builder, Inputs, Manifold, Robust, Settings, Values, Weight};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // y² = θ.
/// let square = TensorCost::new(1, &Device::flex(), |y: &[Dual], theta: &[Tensor<2>]| {
///     y[0].clone().square() - theta[0].clone()
/// });
/// let mut objective = Builder::new();
/// let y = objective.variable("y", Manifold::Vector(1))?;
/// let theta = objective.auxiliary("theta", 1)?;
/// objective.cost("square", square, &[y], &[theta], Weight::Identity, Robust::None)?;
/// let objective = objective.build()?;
/// let inputs = Inputs::new(&objective, 2)
///     .start(y, Values::Shared(&[1.0]))
///     .auxiliary(theta, Values::PerSample(&[4.0, 9.0]));
/// let solution = objective.solve(&inputs, &Settings::default())?;
/// assert!((solution.x[1] - 3.0).abs() < 1e-9);
/// // dy/dθ = 1/(2y).
/// let gradients = objective.vjp(&inputs, &solution, &[1.0, 1.0])?;
/// assert!((gradients.auxiliaries[0] - 0.25).abs() < 1e-9);
/// # Ok(()) }
/// ```
pub struct TensorCost<F> {
    rows: usize,
    device: Device,
    function: F,
}

impl<F> TensorCost<F>
where
    F: Fn(&[Dual], &[Tensor<2>]) -> Dual + Send + Sync,
{
    /// A cost of `rows` rows, computed in f64 on `device`, one in this process that has that precision: flex or
    /// ndarray.
    pub fn new(rows: usize, device: &Device, function: F) -> Self {
        Self {
            rows,
            device: device.clone().autodiff(),
            function,
        }
    }

    fn tensor(&self, values: &[f64]) -> Tensor<2> {
        host::write(values.to_vec(), [1, values.len()], &self.device, DType::F64)
    }

    /// The rows for all variables side by side.
    fn evaluate(&self, lengths: &[usize], y: &Dual, auxiliaries: &[Tensor<2>]) -> Dual {
        let mut first = 0;
        let variables: Vec<Dual> = lengths
            .iter()
            .map(|length| {
                let range = first..first + length;
                first = range.end;
                y.slice(range)
            })
            .collect();
        (self.function)(&variables, auxiliaries)
    }

    fn at(&self, at: &Point<'_>) -> (Vec<usize>, Tensor<2>, Vec<Tensor<2>>) {
        let lengths = at.variables.iter().map(|x| x.len()).collect();
        let auxiliaries = at.auxiliaries.iter().map(|a| self.tensor(a)).collect();
        (lengths, self.tensor(&at.variables.concat()), auxiliaries)
    }
}

/// Numbers that the backend holds in this process.
fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    let read = host::read("rows", tensor);
    read.unwrap_or_else(|_| vec![f64::NAN; tensor.shape().num_elements()])
}

fn add(gradient: Option<Tensor<2>>, out: &mut [f64]) {
    let Some(gradient) = gradient else {
        return;
    };
    for (out, value) in out.iter_mut().zip(numbers(&gradient)) {
        *out += value;
    }
}

impl<F> fmt::Debug for TensorCost<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TensorCost")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl<F> Cost for TensorCost<F>
where
    F: Fn(&[Dual], &[Tensor<2>]) -> Dual + Send + Sync,
{
    fn rows(&self) -> usize {
        self.rows
    }

    fn check(&self, shapes: &Shapes<'_>) -> Result<(), String> {
        if let Some(curved) = shapes.manifolds.iter().find(|m| !m.is_flat()) {
            return Err(format!(
                "has a variable on {curved:?}, but a function over tensors takes vectors"
            ));
        }
        if !self.device.supports_dtype(DType::F64) {
            return Err(format!("is on {:?}, which has no f64", self.device));
        }
        let lengths: Vec<usize> = shapes.manifolds.iter().map(|m| m.storage()).collect();
        let ones = |length: &usize| self.tensor(&vec![1.0; *length]);
        let auxiliaries: Vec<Tensor<2>> = shapes.auxiliaries.iter().map(ones).collect();
        let y = Dual::variable(ones(&lengths.iter().sum()));
        let rows = self.evaluate(&lengths, &y, &auxiliaries);
        if rows.value().is_tracked() {
            let captured = "captures a tensor that needs gradients, which would not get any";
            return Err(format!("{captured}: make it an auxiliary"));
        }
        let got = rows.value().dims();
        match got == [1, self.rows] {
            true => Ok(()),
            false => Err(format!(
                "returns rows of shape {got:?} but must return [1, {}]",
                self.rows
            )),
        }
    }

    fn residual(&self, at: &Point<'_>, out: &mut [f64]) {
        let (lengths, y, auxiliaries) = self.at(at);
        let rows = self.evaluate(&lengths, &Dual::constant(y), &auxiliaries);
        out.copy_from_slice(&numbers(rows.value()));
    }

    fn linearise(&self, at: &Point<'_>, residual: &mut [f64], jacobian: &mut [f64]) {
        let (lengths, y, auxiliaries) = self.at(at);
        let rows = self.evaluate(&lengths, &Dual::variable(y), &auxiliaries);
        let (value, slope) = rows.into_parts(lengths.iter().sum());
        residual.copy_from_slice(&numbers(&value));
        jacobian.copy_from_slice(&numbers(&slope));
    }

    fn probe(&self, at: &Point<'_>, probe: &Probe<'_>, gradient: &mut Gradient<'_>) {
        let (lengths, y, auxiliaries) = self.at(at);
        let y = y.require_grad();
        let auxiliaries: Vec<Tensor<2>> =
            auxiliaries.into_iter().map(Tensor::require_grad).collect();
        let along = Dual::along(y.clone(), self.tensor(probe.d));
        let (value, slope) = self.evaluate(&lengths, &along, &auxiliaries).into_parts(1);
        let slope = slope.reshape([1, self.rows]);
        let psi = (slope * self.tensor(probe.s) + value * self.tensor(probe.t)).sum();
        if !psi.is_tracked() {
            return;
        }
        let gradients = psi.backward();
        add(y.grad(&gradients), gradient.variables);
        let mut rest = &mut *gradient.auxiliaries;
        for auxiliary in &auxiliaries {
            let (here, after) = rest.split_at_mut(auxiliary.dims()[1]);
            add(auxiliary.grad(&gradients), here);
            rest = after;
        }
    }
}
