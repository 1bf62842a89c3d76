//! How far products can be trusted.

use feasible_spectrum::{Error as SpectrumError, Operator};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::vectors::{dot, moved, norm};

/// How good the products of a [`crate::Hessian`] are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// `|uᵀHv − vᵀHu|` over the mean of `‖Hu‖` and `‖Hv‖`, for random unit `u` and `v`. Undefined
    /// where both products are 0 or one is not finite.
    pub symmetry_defect: Option<f64>,
    /// `‖D(h) v − D(h/2) v‖ / ‖D(h/2) v‖` for a random `v`. Undefined likewise.
    pub step_change: Option<f64>,
    /// The step along a unit direction, over `1 + ‖θ‖`.
    pub step: f64,
}

/// `|uᵀHv − vᵀHu|` over the mean of `‖Hu‖` and `‖Hv‖`, for random unit `u` and `v`: 0 for a symmetric
/// operator, up to the rounding of its products. Undefined where both products are 0 or one is not
/// finite.
///
/// # Cost
/// Two products.
///
/// # Errors
/// What the operator says.
pub fn symmetry_defect(operator: &mut dyn Operator, seed: u64) -> Result<Option<f64>, Error> {
    let n = operator.dim();
    let (u, v) = (probe(n, seed), probe(n, seed.wrapping_add(1)));
    let (hu, hv) = (product(operator, &u, 1)?, product(operator, &v, 2)?);
    let size = (norm(&hu) + norm(&hv)) / 2.0;
    let defect = (dot(&u, &hv) - dot(&v, &hu)).abs() / size;
    Ok(defect.is_finite().then_some(defect))
}

/// `‖a − b‖ / ‖b‖`; undefined where `b` is 0 or either has numbers that are not finite.
pub fn relative_change(a: &[f64], b: &[f64]) -> Option<f64> {
    let change = norm(&moved(a, -1.0, b)) / norm(b);
    (a.len() == b.len() && change.is_finite()).then_some(change)
}

pub(crate) fn product(
    operator: &mut dyn Operator,
    x: &[f64],
    number: usize,
) -> Result<Vec<f64>, Error> {
    let mut out = vec![0.0; x.len()];
    let failed = |source| SpectrumError::Operator {
        product: number,
        source,
    };
    operator.apply(x, &mut out).map_err(failed)?;
    Ok(out)
}

/// A random unit vector.
pub(crate) fn probe(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut v: Vec<f64> = (0..n).map(|_| StandardNormal.sample(&mut rng)).collect();
    let length = norm(&v);
    v.iter_mut().for_each(|x| *x /= length);
    v
}
