//! What a layer does to the gradient that passes through it.

use burn::tensor::Tensor;
use feasible_core::host;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::EvaluationError;
use crate::vectors::norm;

/// Norms of the loss's gradient on both sides of a layer `ŷ → y`, sample by sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerGradients {
    /// `‖∂L/∂ŷ‖` of every sample: what the layer lets through to the network.
    pub before: Vec<f64>,
    /// `‖∂L/∂y‖` of every sample: what arrives at the layer from the loss.
    pub after: Vec<f64>,
}

/// The gradient's norms before and after a layer, at raw predictions `ŷ`, `[batch, n]`. `loss` is of
/// the whole batch, `[1]`.
///
/// # Cost
/// One forward and one backward pass of the layer, one of the loss.
///
/// # Errors
/// [`Error::Evaluation`] if a closure fails, [`Error::Argument`] if the loss does not depend on `y`.
/// A layer whose output does not depend on its input lets nothing through: its norms before are 0.
pub fn layer_gradients(
    raw: Tensor<2>,
    layer: impl FnOnce(Tensor<2>) -> Result<Tensor<2>, EvaluationError>,
    loss: impl FnOnce(Tensor<2>) -> Result<Tensor<1>, EvaluationError>,
) -> Result<LayerGradients, Error> {
    let raw = raw.detach().autodiff().require_grad();
    let y = layer(raw.clone()).map_err(Error::evaluation("layer"))?;
    let leaf = y.clone().detach().require_grad();
    let total = loss(leaf.clone()).map_err(Error::evaluation("loss"))?;
    if !total.is_tracked() {
        return Err(Error::argument(
            "loss",
            "does not depend on the layer's output",
        ));
    }
    let after = leaf
        .grad(&total.backward())
        .unwrap_or_else(|| leaf.clone().inner().zeros_like());
    let norms_after = row_norms(&after)?;
    let before = if y.is_tracked() {
        let along = (y * Tensor::from_inner(after)).sum();
        raw.grad(&along.backward())
    } else {
        None
    };
    let before = match before {
        Some(before) => row_norms(&before)?,
        None => vec![0.0; raw.dims()[0]],
    };
    Ok(LayerGradients {
        before,
        after: norms_after,
    })
}

fn row_norms(rows: &Tensor<2>) -> Result<Vec<f64>, Error> {
    let [samples, width] = rows.dims();
    let values = host::read("gradient", rows)?;
    Ok((0..samples)
        .map(|k| norm(&values[k * width..(k + 1) * width]))
        .collect())
}

impl LayerGradients {
    /// `‖∂L/∂ŷ‖ / ‖∂L/∂y‖` of every sample; undefined where nothing arrives.
    pub fn ratios(&self) -> Vec<Option<f64>> {
        self.before
            .iter()
            .zip(&self.after)
            .map(|(before, after)| Some(before / after).filter(|r| r.is_finite()))
            .collect()
    }

    /// The mean of the ratios that are defined; undefined without any.
    pub fn mean_ratio(&self) -> Option<f64> {
        let defined: Vec<f64> = self.ratios().into_iter().flatten().collect();
        (!defined.is_empty()).then(|| defined.iter().sum::<f64>() / defined.len() as f64)
    }
}
