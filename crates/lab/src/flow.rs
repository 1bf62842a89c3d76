//! The gradient flow θ' = −∇L(θ), by the classical Runge-Kutta method of order 4.

use burn::tensor::{Gradients, Tensor};
use feasible_dynamics::Layout;
use feasible_nn::Mlp;

use crate::Error;
use crate::loss::Loss;
use crate::trainer::{Diverged, all_finite};

/// Step length times eigenvalue above which the method is not stable on a quadratic: its stability
/// polynomial 1 − z + z²/2 − z³/6 + z⁴/24 leaves [−1, 1] there.
pub(crate) const STABILITY: f64 = 2.785_293_563_405_282;

/// The network after `time` along the flow of the SUM of the losses at `x`, in `substeps` Runge-Kutta
/// steps. `gradients` are those at the network as it is, which the first step begins with.
pub(crate) fn advance(
    network: &Mlp,
    loss: &Loss<'_>,
    x: &Tensor<2>,
    gradients: Gradients,
    time: f64,
    substeps: usize,
) -> Result<Result<Mlp, Diverged>, Error> {
    let layout = Layout::of(network)?;
    let mut at = layout.flatten(network)?;
    let mut first = Some(layout.backward(network, gradients)?);
    let gradient = |parameters: &[f64]| -> Result<Option<Vec<f64>>, Error> {
        let network = layout.assign(network.clone(), parameters)?;
        let raw = network.forward(x.clone());
        if !all_finite(&raw)? {
            return Ok(None);
        }
        let sum = loss.samples(x, raw)?.sum();
        Ok(Some(layout.backward(&network, sum.backward())?))
    };
    let h = time / substeps as f64;
    for _ in 0..substeps {
        let k1 = match first.take() {
            Some(gradient) => Some(gradient),
            None => gradient(&at)?,
        };
        let Some(k1) = k1 else {
            return Ok(Err(Diverged));
        };
        let mut sum = k1.clone();
        let mut last = k1;
        for (reach, weight) in [(0.5, 2.0), (0.5, 2.0), (1.0, 1.0)] {
            let Some(next) = gradient(&moved(&at, -reach * h, &last))? else {
                return Ok(Err(Diverged));
            };
            for (sum, k) in sum.iter_mut().zip(&next) {
                *sum += weight * k;
            }
            last = next;
        }
        at = moved(&at, -h / 6.0, &sum);
    }
    if at.iter().any(|v| !v.is_finite()) {
        return Ok(Err(Diverged));
    }
    Ok(Ok(layout.assign(network.clone(), &at)?))
}

fn moved(x: &[f64], factor: f64, d: &[f64]) -> Vec<f64> {
    x.iter().zip(d).map(|(x, d)| x + factor * d).collect()
}
