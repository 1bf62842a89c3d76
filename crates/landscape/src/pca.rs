//! Principal directions of a trajectory.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::error::{Error, finite, length};
use crate::linalg::{axpy, dot, eigen_descending, norm};
use crate::plane::{Plane, PlaneKind};

/// What is subtracted from the points before their principal directions are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Centre {
    /// Their mean: the directions of greatest variance.
    #[default]
    Mean,
    /// The last point: the directions that bring the points closest to the plane through it.
    Final,
}

/// Principal directions of the points of a trajectory.
#[derive(Clone, Debug)]
pub struct Pca {
    /// Orthonormal directions, the greatest variance first; as many as were asked for, or fewer
    /// where the points span less.
    pub directions: Vec<Vec<f64>>,
    /// Share of the total variance along each.
    pub explained: Vec<f64>,
    /// Share of the total variance along every direction there is; sums to 1.
    pub spectrum: Vec<f64>,
    last: Vec<f64>,
}

/// Variance below this share of the greatest is rounding of the Gram matrix.
const ROUNDING: f64 = 1e-13;

/// The `count` principal directions of `T` points in `n` dimensions, from their `T × T` Gram matrix.
///
/// # Cost
/// `T² n` multiplications and no `n × n` matrix; memory for a copy of the points.
///
/// # Errors
/// [`Error::Argument`] if there are fewer than two points or all are the same, [`Error::Shape`],
/// [`Error::Entry`].
pub fn pca(trajectory: &[Vec<f64>], centre: Centre, count: usize) -> Result<Pca, Error> {
    let t = trajectory.len();
    let Some(last) = trajectory.last().filter(|_| t >= 2) else {
        let problem = format!("has {t} points but must have at least 2");
        return Err(Error::argument("trajectory", problem));
    };
    let n = last.len();
    for point in trajectory {
        length("trajectory", point.len(), n, "numbers a point")?;
        finite("trajectory", point)?;
    }
    let middle = match centre {
        Centre::Final => last.clone(),
        Centre::Mean => {
            let mut mean = vec![0.0; n];
            for point in trajectory {
                axpy(1.0 / t as f64, point, &mut mean);
            }
            mean
        }
    };
    let centred: Vec<Vec<f64>> = trajectory
        .iter()
        .map(|p| crate::linalg::difference(p, &middle))
        .collect();
    let mut gram = vec![0.0; t * t];
    for i in 0..t {
        for j in 0..=i {
            let inner = dot(&centred[i], &centred[j]);
            (gram[i * t + j], gram[j * t + i]) = (inner, inner);
        }
    }
    let (values, vectors) = eigen_descending(t, &gram)?;
    let total: f64 = (0..t).map(|i| gram[i * t + i]).sum();
    if !(total > 0.0) {
        return Err(Error::argument(
            "trajectory",
            "never moves; it has no directions",
        ));
    }
    let spectrum: Vec<f64> = values.iter().map(|v| v.max(0.0) / total).collect();
    let rank = values.iter().filter(|v| **v > ROUNDING * values[0]).count();
    let directions: Vec<Vec<f64>> = vectors
        .iter()
        .take(count.min(rank))
        .map(|y| {
            let mut direction = vec![0.0; n];
            for (weight, point) in y.iter().zip(&centred) {
                axpy(*weight, point, &mut direction);
            }
            direction
        })
        .collect();
    // Small variances lose orthogonality in the Gram matrix's square.
    let directions = crate::directions::orthonormalise(&directions)?;
    let explained = spectrum[..directions.len()].to_vec();
    Ok(Pca {
        directions,
        explained,
        spectrum,
        last: last.clone(),
    })
}

impl Pca {
    /// The plane of the first two directions through the trajectory's last point.
    ///
    /// A straight trajectory has one direction; the second is then random (from the seed), explains
    /// nothing, and its label says so.
    ///
    /// # Errors
    /// [`Error::Argument`] if the space has one dimension only.
    pub fn plane(&self, seed: u64) -> Result<Plane, Error> {
        let share = |i: usize| self.explained.get(i).copied().unwrap_or(0.0);
        let explained = [share(0), share(1)];
        let second = self.directions.get(1).cloned();
        let is_random = second.is_none();
        let v = second.unwrap_or_else(|| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut d: Vec<f64> = self
                .last
                .iter()
                .map(|_| StandardNormal.sample(&mut rng))
                .collect();
            let length = norm(&d);
            d.iter_mut().for_each(|x| *x /= length);
            d
        });
        let plane = Plane::orthonormal(
            self.last.clone(),
            self.directions[0].clone(),
            v,
            PlaneKind::Pca,
        )?;
        let plane = if is_random {
            plane.with_labels("principal direction 1", "random direction")
        } else {
            plane
        };
        Ok(plane.with_explained(explained))
    }
}
