//! Directions in parameter space.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::error::{Error, finite};
use crate::groups::{self, Group};
use crate::linalg::{axpy, dot, norm};

/// What becomes of parameters that have no filters: biases and scales.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WithoutFilters {
    /// The direction is 0 there, as in Li et al. 2018.
    #[default]
    Zero,
    /// The direction has the parameter's own norm there.
    OwnNorm,
}

/// A random direction, filter by filter as long as the parameters (Li, Xu, Taylor, Studer &
/// Goldstein, NeurIPS 2018, section 4): standard normal, then `d ← d ‖w‖/‖d‖` for the weights `w`
/// into each neuron.
///
/// `parameters` is `[n]`; `groups` say in order what its entries are. A filter of norm 0 gets the
/// direction 0. The seed fixes the direction; one for each axis.
///
/// # Errors
/// [`Error::Shape`] if the groups do not cover the parameters, [`Error::Entry`] if one is not finite.
pub fn random_direction(
    parameters: &[f64],
    groups: &[Group],
    without_filters: WithoutFilters,
    seed: u64,
) -> Result<Vec<f64>, Error> {
    groups::check(groups, parameters.len())?;
    finite("parameters", parameters)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut direction: Vec<f64> = (0..parameters.len())
        .map(|_| StandardNormal.sample(&mut rng))
        .collect();
    let mut offset = 0;
    for group in groups {
        let end = offset + group.len();
        let (w, d) = (&parameters[offset..end], &mut direction[offset..end]);
        let filters = match (group.filters(), without_filters) {
            (filters, _) if !filters.is_empty() => filters,
            (_, WithoutFilters::OwnNorm) => vec![(0, 1, group.len())],
            (_, WithoutFilters::Zero) => {
                d.fill(0.0);
                Vec::new()
            }
        };
        for (start, stride, count) in filters {
            let entries = || (0..count).map(|k| start + k * stride);
            let of_w = entries().map(|i| w[i] * w[i]).sum::<f64>().sqrt();
            let of_d = entries().map(|i| d[i] * d[i]).sum::<f64>().sqrt();
            let factor = if of_d > 0.0 { of_w / of_d } else { 0.0 };
            for i in entries() {
                d[i] *= factor;
            }
        }
        offset = end;
    }
    Ok(direction)
}

/// Orthonormal directions with the same span, in order: each without its part along those before
/// it, of length 1.
///
/// # Errors
/// [`Error::Argument`] if one is zero or depends on those before it (what is left is below `1e-8` of
/// its length, which is mostly rounding); [`Error::Shape`]; [`Error::Entry`].
pub fn orthonormalise(directions: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, Error> {
    let n = directions.first().map_or(0, Vec::len);
    let mut out: Vec<Vec<f64>> = Vec::with_capacity(directions.len());
    for (index, direction) in directions.iter().enumerate() {
        crate::error::length("directions", direction.len(), n, "numbers, as the first")?;
        finite("directions", direction)?;
        let before = norm(direction);
        let mut d = direction.clone();
        // Twice: the second pass removes what rounding left of the first.
        for _ in 0..2 {
            for q in &out {
                let along = dot(q, &d);
                axpy(-along, q, &mut d);
            }
        }
        let after = norm(&d);
        if !(after > 1e-8 * before) {
            let problem = if before == 0.0 {
                format!("has a zero vector at {index}; a direction must have a length")
            } else {
                format!("number {index} depends on those before it; choose another")
            };
            return Err(Error::argument("directions", problem));
        }
        for v in &mut d {
            *v /= after;
        }
        out.push(d);
    }
    Ok(out)
}
