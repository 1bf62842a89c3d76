//! Losses as functions of a module.

use burn::module::Module;
use burn::tensor::Tensor;
use feasible_core::host;

use crate::error::EvaluationError;
use crate::{Error, Layout};

/// A loss `L(θ) = Σ w_b L_b(θ)` as a function of a module: of all data at once, or batch by batch.
///
/// The closure is given the module and the number of the batch, and returns one number, `[1]`, that
/// is differentiable in the module's parameters. It must be a function of them: no dropout, no
/// batch statistics (see [`crate::evaluating`]), the same data on every call.
///
/// Write `x * (1.0 / n)` and not `x / n` for a number `n`: Burn 0.22.1 rounds the derivative of a
/// division by a number to f32, which is 3e-8 of the gradient. `mean()` is not affected.
#[derive(Clone, Debug)]
pub struct Objective<F> {
    weights: Vec<f64>,
    loss: F,
}

/// A loss of the whole data in one pass.
pub fn whole<M, L>(
    mut loss: L,
) -> Objective<impl FnMut(&M, usize) -> Result<Tensor<1>, EvaluationError>>
where
    L: FnMut(&M) -> Result<Tensor<1>, EvaluationError>,
{
    Objective {
        weights: vec![1.0],
        loss: move |module: &M, _: usize| loss(module),
    }
}

impl<F> Objective<F> {
    /// The weighted sum of the losses of several batches. For the mean over samples of means over
    /// batches, a batch's weight is its share of the samples.
    ///
    /// # Errors
    /// [`Error::Argument`] without batches or with a weight that is not finite.
    pub fn batched(weights: Vec<f64>, loss: F) -> Result<Self, Error> {
        if weights.is_empty() {
            return Err(Error::argument(
                "weights",
                "is empty; there must be one a batch",
            ));
        }
        if let Some(bad) = weights.iter().find(|w| !w.is_finite()) {
            return Err(Error::argument(
                "weights",
                format!("has {bad}; all must be finite"),
            ));
        }
        Ok(Self { weights, loss })
    }

    /// How many batches.
    pub fn batches(&self) -> usize {
        self.weights.len()
    }

    /// The loss at the module's parameters.
    ///
    /// # Errors
    /// [`Error::Evaluation`] if the closure fails, [`Error::Core`] if the device cannot be read.
    pub fn value<M>(&mut self, module: &M) -> Result<f64, Error>
    where
        F: FnMut(&M, usize) -> Result<Tensor<1>, EvaluationError>,
    {
        let mut value = 0.0;
        for (batch, weight) in self.weights.iter().enumerate() {
            let loss = (self.loss)(module, batch).map_err(Error::evaluation("loss"))?;
            value += weight * scalar(&loss)?;
        }
        Ok(value)
    }

    /// The loss and its gradient, `[n]`, at the module's parameters.
    ///
    /// # Errors
    /// As [`Objective::value`]; [`Error::Argument`] if the loss depends on no parameter.
    pub fn gradient<M: Module>(
        &mut self,
        module: &M,
        layout: &Layout,
    ) -> Result<(f64, Vec<f64>), Error>
    where
        F: FnMut(&M, usize) -> Result<Tensor<1>, EvaluationError>,
    {
        let mut value = 0.0;
        let mut sum: Option<Vec<f64>> = None;
        for (batch, weight) in self.weights.iter().enumerate() {
            let loss = (self.loss)(module, batch).map_err(Error::evaluation("loss"))?;
            let (part, gradient) = gradient_of(&loss, module, layout)?;
            value += weight * part;
            match &mut sum {
                None if *weight == 1.0 => sum = Some(gradient),
                None => sum = Some(gradient.iter().map(|g| weight * g).collect()),
                Some(sum) => {
                    for (s, g) in sum.iter_mut().zip(&gradient) {
                        *s += weight * g;
                    }
                }
            }
        }
        Ok((value, sum.unwrap_or_default()))
    }
}

/// Value and flat gradient of one scalar.
pub(crate) fn gradient_of<M: Module>(
    loss: &Tensor<1>,
    module: &M,
    layout: &Layout,
) -> Result<(f64, Vec<f64>), Error> {
    let value = scalar(loss)?;
    if !loss.is_tracked() {
        return Err(Error::argument(
            "loss",
            "depends on no parameter that requires a gradient",
        ));
    }
    Ok((value, layout.backward(module, loss.backward())?))
}

pub(crate) fn scalar(loss: &Tensor<1>) -> Result<f64, Error> {
    match host::read("loss", loss)?[..] {
        [value] => Ok(value),
        ref other => Err(Error::Shape {
            argument: "loss",
            got: format!("{} numbers", other.len()),
            expected: "1: a sum or a mean".to_owned(),
        }),
    }
}
