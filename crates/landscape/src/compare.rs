//! How alike two runs are: outputs, parameters, and positions for a map of many.

use serde::{Deserialize, Serialize};

use crate::error::{Error, finite, length};
use crate::linalg::{dot, eigen_descending};

/// Linear centred kernel alignment of two runs' outputs on the same samples (Kornblith, Norouzi, Lee
/// & Hinton, ICML 2019, section 3): `‖YᵀX‖²_F / (‖XᵀX‖_F ‖YᵀY‖_F)` with centred columns.
///
/// `x` is `[samples, p]`, `y` is `[samples, q]`. 1 for outputs that agree up to rotation, scale and
/// shift; `None`, undefined, when one of them is the same for every sample.
///
/// # Cost
/// `samples · min((p + q)², samples (p + q))` multiplications.
///
/// # Errors
/// [`Error::Argument`] without samples, [`Error::Shape`] if the lengths are no multiples of
/// `samples`, [`Error::Entry`] if a number is not finite.
pub fn linear_cka(samples: usize, x: &[f64], y: &[f64]) -> Result<Option<f64>, Error> {
    if samples == 0 {
        return Err(Error::argument("samples", "is 0 but must be at least 1"));
    }
    let mut columns = Vec::new();
    for (name, data) in [("x", x), ("y", y)] {
        let width = data.len() / samples;
        length(
            name,
            data.len(),
            width * samples,
            "numbers, [samples, outputs]",
        )?;
        if width == 0 {
            return Err(Error::argument(
                name,
                "is empty but must have an output a sample",
            ));
        }
        finite(name, data)?;
        columns.push(centred_columns(samples, width, data));
    }
    let (x, y) = (&columns[0], &columns[1]);
    // The same three numbers from products of columns or of rows, whichever are fewer.
    let (xy, xx, yy) = if x.len().max(y.len()) <= samples {
        (squares(x, y), squares(x, x), squares(y, y))
    } else {
        let (k, l) = (gram(samples, x), gram(samples, y));
        (dot(&k, &l), dot(&k, &k), dot(&l, &l))
    };
    let denominator = xx.sqrt() * yy.sqrt();
    Ok((denominator > 0.0).then(|| (xy / denominator).clamp(0.0, 1.0)))
}

/// Columns less their means, scaled by the largest entry, which changes no ratio and avoids overflow.
/// A column that does not vary is 0 and not what rounding leaves of it.
fn centred_columns(samples: usize, width: usize, data: &[f64]) -> Vec<Vec<f64>> {
    let mut columns: Vec<Vec<f64>> = (0..width)
        .map(|c| {
            let column: Vec<f64> = (0..samples).map(|r| data[r * width + c]).collect();
            if column.iter().all(|v| *v == column[0]) {
                return vec![0.0; samples];
            }
            let mean = column.iter().map(|v| v / samples as f64).sum::<f64>();
            column.iter().map(|v| v - mean).collect()
        })
        .collect();
    let largest = columns.iter().flatten().fold(0.0f64, |m, v| m.max(v.abs()));
    if largest > 0.0 {
        columns.iter_mut().flatten().for_each(|v| *v /= largest);
    }
    columns
}

/// `‖XᵀY‖²_F`.
fn squares(x: &[Vec<f64>], y: &[Vec<f64>]) -> f64 {
    x.iter()
        .flat_map(|a| y.iter().map(move |b| dot(a, b).powi(2)))
        .sum()
}

fn gram(samples: usize, columns: &[Vec<f64>]) -> Vec<f64> {
    let mut out = vec![0.0; samples * samples];
    for column in columns {
        for (row, a) in out.chunks_exact_mut(samples).zip(column) {
            for (o, b) in row.iter_mut().zip(column) {
                *o += a * b;
            }
        }
    }
    out
}

/// How much higher a path runs than the straight line between its ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Barrier {
    /// `max_α L(α) − ((1 − α) L(0) + α L(1))` (Entezari et al. 2022), at least 0 as the ends count.
    pub height: f64,
    /// α where it is.
    pub at: f64,
    /// `max_α L(α) − ½ (L(0) + L(1))`: the same against the mean of the ends (Frankle et al. 2020).
    pub above_mean: f64,
}

/// The barrier of a loss along the line between two runs' parameters, from its values at positions
/// α, ascending from 0 to 1. `None`, undefined, where a value is not finite.
///
/// # Errors
/// [`Error::Shape`]; [`Error::Argument`] if the positions do not run from 0 to 1.
pub fn barrier(positions: &[f64], losses: &[f64]) -> Result<Option<Barrier>, Error> {
    length(
        "losses",
        losses.len(),
        positions.len(),
        "values, one a position",
    )?;
    let ascending = positions.windows(2).all(|w| w[0] < w[1]);
    let (Some(&first), Some(&last)) = (losses.first(), losses.last()) else {
        return Err(Error::argument(
            "positions",
            "is empty but must run from 0 to 1",
        ));
    };
    if !ascending || positions[0] != 0.0 || positions.last() != Some(&1.0) {
        let problem = "must rise from 0 to 1, both included";
        return Err(Error::argument("positions", problem));
    }
    if losses.iter().any(|l| !l.is_finite()) {
        return Ok(None);
    }
    let mut out = Barrier {
        height: 0.0,
        at: 0.0,
        above_mean: f64::NEG_INFINITY,
    };
    for (&at, &loss) in positions.iter().zip(losses) {
        let height = loss - ((1.0 - at) * first + at * last);
        if height > out.height {
            (out.height, out.at) = (height, at);
        }
        out.above_mean = out.above_mean.max(loss - 0.5 * (first + last));
    }
    Ok(Some(out))
}

/// Positions whose distances approximate given ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Positions {
    /// Coordinates, `[items, dimensions]`; a dimension that the distances do not have is 0.
    pub coordinates: Vec<f64>,
    /// Share of the positive eigenvalues' sum that each dimension has; NaN when all items coincide.
    pub explained: Vec<f64>,
    /// Sum of the negative eigenvalues' sizes over that of the positive ones': 0 for distances of
    /// points, more the less the distances are those of any points.
    pub negative: f64,
}

/// Classical multidimensional scaling (Torgerson 1952): eigenvectors of `−½ J D² J`. Distances that
/// are those of points in `dimensions` dimensions are reproduced exactly.
///
/// `distances` is `[items, items]`, symmetric, with 0 on the diagonal.
///
/// # Errors
/// [`Error::Shape`]; [`Error::Entry`] if a distance is negative or not finite; [`Error::Argument`] if
/// the matrix is not symmetric, its diagonal not 0, or there is no dimension.
pub fn classical_mds(
    items: usize,
    distances: &[f64],
    dimensions: usize,
) -> Result<Positions, Error> {
    let what = "numbers, [items, items]";
    length(
        "distances",
        distances.len(),
        items.saturating_mul(items),
        what,
    )?;
    if dimensions == 0 {
        return Err(Error::argument("dimensions", "is 0 but must be at least 1"));
    }
    let bad = distances.iter().position(|d| !(*d >= 0.0 && d.is_finite()));
    if let Some(entry) = bad {
        return Err(Error::Entry {
            argument: "distances",
            entry,
            value: distances[entry],
            must: "at least 0 and finite",
        });
    }
    for i in 0..items {
        for j in 0..=i {
            let (d, mirrored) = (distances[i * items + j], distances[j * items + i]);
            // Distances computed either way differ by rounding.
            if (d - mirrored).abs() > 1e-9 * d.max(mirrored) || (i == j && d != 0.0) {
                let problem = format!(
                    "has {d} at ({i}, {j}) and {mirrored} at ({j}, {i}); it must be symmetric with 0 on its diagonal"
                );
                return Err(Error::argument("distances", problem));
            }
        }
    }
    let square = |i: usize, j: usize| {
        let d = 0.5 * (distances[i * items + j] + distances[j * items + i]);
        d * d
    };
    let count = items as f64;
    let means: Vec<f64> = (0..items)
        .map(|i| (0..items).map(|j| square(i, j)).sum::<f64>() / count)
        .collect();
    let mean = means.iter().sum::<f64>() / count;
    let inner: Vec<f64> = (0..items * items)
        .map(|k| {
            let (i, j) = (k / items, k % items);
            -0.5 * (square(i, j) - means[i] - means[j] + mean)
        })
        .collect();
    let (values, vectors) = eigen_descending(items, &inner)?;
    let positive: f64 = values.iter().filter(|v| **v > 0.0).sum();
    let negative: f64 = values.iter().filter(|v| **v < 0.0).map(|v| -v).sum();
    let mut coordinates = vec![0.0; items * dimensions];
    let mut explained = vec![0.0; dimensions];
    for k in 0..dimensions {
        let value = values.get(k).copied().unwrap_or(0.0).max(0.0);
        explained[k] = value / positive;
        for i in 0..items {
            let along = vectors.get(k).map_or(0.0, |v| v[i]);
            coordinates[i * dimensions + k] = value.sqrt() * along;
        }
    }
    Ok(Positions {
        coordinates,
        explained,
        negative: if positive > 0.0 {
            negative / positive
        } else {
            0.0
        },
    })
}
