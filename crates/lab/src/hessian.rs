//! The Hessian of a run's loss, and how closely its eigenvalues are asked for.

use burn::tensor::Tensor;
use feasible_dynamics::{
    DifferenceSettings, EvaluationError, Hessian, Layout, SharpnessTracker, whole,
};
use feasible_nn::Mlp;
use feasible_spectrum::Settings;

use crate::Error;
use crate::loss::Loss;

/// The Hessian of a run's mean loss at the samples `x`, by differences; `network` is in evaluation
/// mode with gradients.
#[allow(clippy::type_complexity, reason = "a closure has no name of its own")]
pub(crate) fn loss_hessian<'a>(
    network: &Mlp,
    layout: &Layout,
    loss: &'a Loss<'_>,
    x: &'a Tensor<2>,
) -> Result<
    Hessian<Mlp, impl FnMut(&Mlp, usize) -> Result<Tensor<1>, EvaluationError> + use<'a>>,
    Error,
> {
    let objective = whole(move |network: &Mlp| Ok(loss.total(x, network.forward(x.clone()))?));
    let settings = DifferenceSettings {
        // Kinks of ReLU between the two ends of a larger difference would show.
        step: Some(3e-8),
        ..DifferenceSettings::default()
    };
    Ok(Hessian::new(network, layout, objective, settings)?)
}

/// For figures in a curve, a list or a picture: a few digits, in at most so many products, with the
/// steps that a kink between the ends of a difference may spoil tolerated.
pub(crate) fn for_a_figure(tolerance: f64, products: usize) -> Settings {
    Settings {
        tolerance,
        rounding: 1e-6,
        asymmetry: 1e-3,
        products,
        ..SharpnessTracker::difference_settings()
    }
}
