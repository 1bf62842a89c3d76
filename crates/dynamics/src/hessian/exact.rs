//! Hessian-vector products without a step: forward mode under reverse mode.

use burn::module::Module;
use burn::tensor::Tensor;
use feasible_spectrum::{Operator, OperatorError};

use crate::error::EvaluationError;
use crate::objective::gradient_of;
use crate::vectors::axpy;
use crate::{Error, Layout};

/// The Hessian of a loss whose directional derivative can be written down, exact up to rounding.
///
/// # Problem
/// The directional derivative `D(θ) = ∇L(θ)ᵀ v` is a function of the parameters whose gradient is
/// `H v`. The closure is given the module, a module of the same structure whose parameters are the
/// direction `v` ([`Layout::direction`]), and the number of the batch; it returns `D` as a tensor
/// that is differentiable in the module's parameters. [`crate::Tangent`] carries values and tangents
/// through a forward pass.
///
/// # Cost
/// One forward pass of values and tangents and one backward pass over both, a batch: about two
/// gradients.
///
/// # Reference
/// Pearlmutter, Fast exact multiplication by the Hessian, Neural Computation 6 (1994), in the order
/// of Griewank & Walther, Evaluating Derivatives (2008), section 3.3, swapped: reverse over forward.
#[derive(Clone, Debug)]
pub struct ExactHessian<M, F> {
    module: M,
    layout: Layout,
    weights: Vec<f64>,
    derivative: F,
}

impl<M, F> ExactHessian<M, F>
where
    M: Module,
    F: FnMut(&M, &M, usize) -> Result<Tensor<1>, EvaluationError>,
{
    /// The Hessian of `Σ w_b L_b` from the directional derivatives of the batches' losses; the weights
    /// are `[1.0]` for a loss of the whole data.
    ///
    /// # Errors
    /// [`Error::Argument`] without weights, or as [`Layout::flatten`].
    pub fn new(
        module: &M,
        layout: &Layout,
        weights: Vec<f64>,
        derivative: F,
    ) -> Result<Self, Error> {
        if weights.is_empty() {
            return Err(Error::argument(
                "weights",
                "is empty; there must be one a batch",
            ));
        }
        layout.flatten(module)?;
        Ok(Self {
            module: module.clone(),
            layout: layout.clone(),
            weights,
            derivative,
        })
    }
}

impl<M, F> Operator for ExactHessian<M, F>
where
    M: Module,
    F: FnMut(&M, &M, usize) -> Result<Tensor<1>, EvaluationError>,
{
    fn dim(&self) -> usize {
        self.layout.n()
    }

    fn apply(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        let direction = self.layout.direction(&self.module, x)?;
        out.fill(0.0);
        for (batch, weight) in self.weights.iter().enumerate() {
            let derivative = (self.derivative)(&self.module, &direction, batch)?;
            let (_, product) = gradient_of(&derivative, &self.module, &self.layout)?;
            axpy(*weight, &product, out);
        }
        Ok(())
    }
}
