//! The Gauss-Newton part of a Hessian.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use feasible_core::host;
use feasible_spectrum::{Operator, OperatorError};

use crate::error::EvaluationError;
use crate::hessian::differences::{DifferenceSettings, rounding};
use crate::objective::gradient_of;
use crate::vectors::{moved, norm};
use crate::{Error, Layout};

/// The Gauss-Newton part `G = Jᵀ (∇²ℓ) J` of the Hessian of `ℓ(f(θ))`, with `J = ∂f/∂θ`.
///
/// # Problem
/// `H = G + Σ_k (∂ℓ/∂f_k) ∇²f_k`. `G` is what the loss's own curvature contributes, and is positive
/// semidefinite where ℓ is convex; the rest comes from the curvature of the outputs. The rest is the
/// difference of two operators:
/// ```ignore
/// let parts: Vec<(f64, &mut dyn Operator)> = vec![(1.0, &mut hessian), (-1.0, &mut gauss_newton)];
/// let rest = WeightedSum::new(parts)?;
/// ```
///
/// `J v` is a central difference of the outputs, `(∇²ℓ) u` one of the loss's gradient in the
/// outputs, and `Jᵀ w` a backward pass. Through a layer that is not smooth all three are those of
/// the layer's derivative almost everywhere.
///
/// # Cost
/// A product is three forward passes and one backward pass, and two gradients of ℓ alone.
///
/// # Reference
/// Schraudolph, Fast curvature matrix-vector products for second-order gradient descent, Neural
/// Computation 14 (2002), section 3.
#[derive(Clone, Debug)]
pub struct GaussNewton<M, F, L> {
    module: M,
    layout: Layout,
    outputs: F,
    loss: L,
    parameters: Vec<f64>,
    step: f64,
    at: Outputs,
}

/// The outputs at the module's parameters.
#[derive(Clone, Debug)]
struct Outputs {
    values: Vec<f64>,
    shape: [usize; 2],
    device: Device,
    dtype: DType,
}

impl Outputs {
    fn tensor(&self, values: Vec<f64>) -> Tensor<2> {
        host::write(values, self.shape, &self.device, self.dtype)
    }
}

impl<M, F, L> GaussNewton<M, F, L>
where
    M: Module,
    F: FnMut(&M) -> Result<Tensor<2>, EvaluationError>,
    L: FnMut(Tensor<2>) -> Result<Tensor<1>, EvaluationError>,
{
    /// The Gauss-Newton part of `loss(outputs(module))`, the outputs `[samples, outputs]`. Of the
    /// settings it takes the step.
    ///
    /// # Errors
    /// [`Error::Setting`], as [`Layout::flatten`], or what `outputs` says.
    pub fn new(
        module: &M,
        layout: &Layout,
        mut outputs: F,
        loss: L,
        settings: DifferenceSettings,
    ) -> Result<Self, Error> {
        settings.validate()?;
        let parameters = layout.flatten(module)?;
        let y = outputs(module).map_err(Error::evaluation("outputs"))?;
        let at = Outputs {
            values: host::read("outputs", &y)?,
            shape: y.dims(),
            device: y.device(),
            dtype: y.dtype(),
        };
        let step = settings.step.unwrap_or_else(|| rounding(module).cbrt());
        Ok(Self {
            module: module.clone(),
            layout: layout.clone(),
            outputs,
            loss,
            parameters,
            step,
            at,
        })
    }

    fn outputs_at(&mut self, parameters: &[f64]) -> Result<Vec<f64>, Error> {
        let module = self.layout.assign(self.module.clone(), parameters)?;
        let y = (self.outputs)(&module).map_err(Error::evaluation("outputs"))?;
        Ok(host::read("outputs", &y)?)
    }

    /// `J v`.
    fn forward(&mut self, v: &[f64]) -> Result<Vec<f64>, Error> {
        let h = self.step * (1.0 + norm(&self.parameters)) / norm(v);
        let ahead = self.outputs_at(&moved(&self.parameters, h, v))?;
        let behind = self.outputs_at(&moved(&self.parameters, -h, v))?;
        Ok(quotient(&ahead, &behind, h))
    }

    fn loss_gradient(&mut self, values: Vec<f64>) -> Result<Vec<f64>, Error> {
        let leaf = self.at.tensor(values).autodiff().require_grad();
        let loss = (self.loss)(leaf.clone()).map_err(Error::evaluation("loss"))?;
        if !loss.is_tracked() {
            return Err(Error::argument("loss", "does not depend on the outputs"));
        }
        match leaf.grad(&loss.backward()) {
            Some(gradient) => Ok(host::read("gradient", &gradient)?),
            None => Ok(vec![0.0; self.at.values.len()]),
        }
    }

    /// `(∇²ℓ) u`.
    fn curve(&mut self, u: &[f64]) -> Result<Vec<f64>, Error> {
        let h = self.step * (1.0 + norm(&self.at.values)) / norm(u);
        let (ahead, behind) = (moved(&self.at.values, h, u), moved(&self.at.values, -h, u));
        let (ahead, behind) = (self.loss_gradient(ahead)?, self.loss_gradient(behind)?);
        Ok(quotient(&ahead, &behind, h))
    }

    fn product(&mut self, v: &[f64]) -> Result<Vec<f64>, Error> {
        let zero = vec![0.0; self.layout.n()];
        if norm(v) == 0.0 {
            return Ok(zero);
        }
        let u = self.forward(v)?;
        if norm(&u) == 0.0 {
            return Ok(zero);
        }
        let w = self.curve(&u)?;
        let y = (self.outputs)(&self.module).map_err(Error::evaluation("outputs"))?;
        let along = (y * self.at.tensor(w)).sum();
        Ok(gradient_of(&along, &self.module, &self.layout)?.1)
    }
}

fn quotient(ahead: &[f64], behind: &[f64], h: f64) -> Vec<f64> {
    ahead
        .iter()
        .zip(behind)
        .map(|(a, b)| (a - b) / (2.0 * h))
        .collect()
}

impl<M, F, L> Operator for GaussNewton<M, F, L>
where
    M: Module,
    F: FnMut(&M) -> Result<Tensor<2>, EvaluationError>,
    L: FnMut(Tensor<2>) -> Result<Tensor<1>, EvaluationError>,
{
    fn dim(&self) -> usize {
        self.layout.n()
    }

    fn apply(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        let product = self.product(x)?;
        out.copy_from_slice(&product);
        Ok(())
    }
}
