//! The Hessian of a run's loss, and how closely its eigenvalues are asked for.

use burn::tensor::Tensor;
use feasible_dynamics::{
    DifferenceSettings, Differences, EvaluationError, Hessian, Layout, Sharpness, SharpnessTracker,
    whole,
};
use feasible_nn::Mlp;
use feasible_spectrum::{Settings, Status};

use crate::Error;
use crate::loss::Loss;

/// Differences in the order in which they are tried. A few digits are wanted, and forward ones have
/// seven. Kinks of ReLU and of a layer's active set between the ends of a large difference show, and so
/// does a layer that takes an iteration more at one end: a jump of its tolerance over the step. A
/// shorter step meets fewer, a longer one divides by more, and central ones leave out the point itself,
/// which may be a kink.
const DIFFERENCES: [(Differences, f64); 3] = [
    (Differences::Forward, 3e-8),
    (Differences::Central, 3e-9),
    (Differences::Central, 3e-7),
];

fn settings((differences, step): (Differences, f64)) -> DifferenceSettings {
    DifferenceSettings {
        differences,
        step: Some(step),
    }
}

/// The Hessian of a run's mean loss at the samples `x`, by forward differences with residuals from
/// central ones; `network` is in evaluation mode with gradients.
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
    let settings = settings(DIFFERENCES[0]);
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

/// The sharpness, or with a diagonal the preconditioned one, by the first differences whose products
/// are symmetric; with the products of all that were tried.
pub(crate) fn sharpness<F>(
    tracker: &mut SharpnessTracker,
    hessian: &mut Hessian<Mlp, F>,
    diagonal: Option<&[f64]>,
) -> Result<Sharpness, Error>
where
    F: FnMut(&Mlp, usize) -> Result<Tensor<1>, EvaluationError>,
{
    let mut measure = |differences| -> Result<Sharpness, Error> {
        hessian.set_differences(settings(differences))?;
        Ok(match diagonal {
            Some(diagonal) => tracker.measure_preconditioned(hessian, diagonal)?,
            None => tracker.measure(hessian)?,
        })
    };
    let mut found = measure(DIFFERENCES[0])?;
    for &differences in &DIFFERENCES[1..] {
        if found.status != Status::Asymmetric {
            break;
        }
        let products = found.products;
        found = measure(differences)?;
        found.products += products;
    }
    Ok(found)
}
