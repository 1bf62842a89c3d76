//! The shape of a trajectory.

use serde::{Deserialize, Serialize};

use crate::error::{Error, finite, length};
use crate::linalg::{difference, dot, eigen_descending, norm};

/// What a trajectory's points say of how it moves. `None` is undefined: too few points, or none that
/// move.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrajectoryStatistics {
    /// Sum of the steps' lengths.
    pub path_length: f64,
    /// Distance from the first point to the last.
    pub displacement: f64,
    /// Displacement over path length: 1 for a straight path, 0 for a closed one, `1/√T` for a random
    /// walk of `T` steps of one length.
    pub straightness: Option<f64>,
    /// Mean cosine between consecutive steps: 1 straight, 0 random in many dimensions, `cos φ` for
    /// turns by φ, −1 back and forth. Steps of length 0 are left out.
    pub mean_cosine: Option<f64>,
    /// Slope of the logarithm of the mean squared displacement against that of the lag, by least
    /// squares over lags up to a quarter of the path: 2 straight, 1 diffusive, 0 confined.
    pub diffusion_exponent: Option<f64>,
    /// Participation ratio `(Σλ)²/Σλ²` of the variances along the principal directions: how many
    /// dimensions the points fill. 1 for a line, 2 for a circle.
    pub dimensions: Option<f64>,
}

/// Statistics of `T` points in `n` dimensions, in order.
///
/// # Cost
/// `T²n/2` multiplications for the inner products, of which everything follows.
///
/// # Errors
/// [`Error::Argument`] without points, [`Error::Shape`], [`Error::Entry`].
pub fn trajectory_statistics(trajectory: &[Vec<f64>]) -> Result<TrajectoryStatistics, Error> {
    let Some(first) = trajectory.first() else {
        return Err(Error::argument("trajectory", "has no points"));
    };
    for point in trajectory {
        length("trajectory", point.len(), first.len(), "numbers a point")?;
        finite("trajectory", point)?;
    }
    let t = trajectory.len();
    let steps: Vec<Vec<f64>> = trajectory
        .windows(2)
        .map(|w| difference(&w[1], &w[0]))
        .collect();
    let lengths: Vec<f64> = steps.iter().map(|s| norm(s)).collect();
    let path_length: f64 = lengths.iter().sum();
    let displacement = norm(&difference(&trajectory[t - 1], first));
    let cosines: Vec<f64> = (1..steps.len())
        .filter(|&i| lengths[i - 1] > 0.0 && lengths[i] > 0.0)
        .map(|i| dot(&steps[i - 1], &steps[i]) / (lengths[i - 1] * lengths[i]))
        .collect();
    let mean_cosine =
        (!cosines.is_empty()).then(|| cosines.iter().sum::<f64>() / cosines.len() as f64);
    Ok(TrajectoryStatistics {
        path_length,
        displacement,
        straightness: (path_length > 0.0).then(|| displacement / path_length),
        mean_cosine,
        diffusion_exponent: diffusion_exponent(trajectory),
        dimensions: dimensions(trajectory)?,
    })
}

fn diffusion_exponent(trajectory: &[Vec<f64>]) -> Option<f64> {
    let t = trajectory.len();
    let points: Vec<(f64, f64)> = (1..=t / 4)
        .map(|lag| {
            let squares = (0..t - lag).map(|i| {
                let d = norm(&difference(&trajectory[i + lag], &trajectory[i]));
                d * d
            });
            (lag as f64, squares.sum::<f64>() / (t - lag) as f64)
        })
        .filter(|(_, mean)| *mean > 0.0)
        .map(|(lag, mean)| (lag.ln(), mean.ln()))
        .collect();
    if points.len() < 2 {
        return None;
    }
    let count = points.len() as f64;
    let x = points.iter().map(|p| p.0).sum::<f64>() / count;
    let y = points.iter().map(|p| p.1).sum::<f64>() / count;
    let covariance: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let variance: f64 = points.iter().map(|p| (p.0 - x) * (p.0 - x)).sum();
    Some(covariance / variance)
}

fn dimensions(trajectory: &[Vec<f64>]) -> Result<Option<f64>, Error> {
    let t = trajectory.len();
    let n = trajectory[0].len();
    let mut mean = vec![0.0; n];
    for point in trajectory {
        crate::linalg::axpy(1.0 / t as f64, point, &mut mean);
    }
    let centred: Vec<Vec<f64>> = trajectory.iter().map(|p| difference(p, &mean)).collect();
    let gram: Vec<f64> = (0..t * t)
        .map(|k| dot(&centred[k / t], &centred[k % t]))
        .collect();
    if trajectory.iter().all(|p| p == &trajectory[0]) {
        return Ok(None);
    }
    let (values, _) = eigen_descending(t, &gram)?;
    let sum: f64 = values.iter().map(|v| v.max(0.0)).sum();
    let squares: f64 = values.iter().map(|v| v.max(0.0).powi(2)).sum();
    Ok((squares > 0.0).then(|| sum * sum / squares))
}
