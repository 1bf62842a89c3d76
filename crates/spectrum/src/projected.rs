//! Eigen decompositions of small symmetric matrices.

use faer::{Mat, Side};

use crate::error::Error;

/// A small symmetric matrix, grown row by row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Projected {
    /// Row `i` has entries `0..=i`.
    rows: Vec<Vec<f64>>,
}

/// Ascending eigenvalues, and one vector for each.
#[derive(Clone, Debug)]
pub(crate) struct Ritz {
    pub(crate) values: Vec<f64>,
    pub(crate) vectors: Vec<Vec<f64>>,
}

impl Projected {
    pub(crate) fn diagonal(values: &[f64]) -> Self {
        let rows = (0..values.len())
            .map(|i| {
                let mut row = vec![0.0; i + 1];
                row[i] = values[i];
                row
            })
            .collect();
        Self { rows }
    }

    pub(crate) fn size(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn push(&mut self, row: Vec<f64>) {
        debug_assert_eq!(row.len(), self.rows.len() + 1);
        self.rows.push(row);
    }

    pub(crate) fn eigen(&self) -> Result<Ritz, Error> {
        let size = self.size();
        let at = |i: usize, j: usize| self.rows[i.max(j)][i.min(j)];
        eigen_of(size, at)
    }
}

/// Eigen decomposition of the symmetric matrix with these entries.
pub(crate) fn eigen_of(size: usize, at: impl Fn(usize, usize) -> f64) -> Result<Ritz, Error> {
    if size == 0 {
        return Ok(Ritz {
            values: Vec::new(),
            vectors: Vec::new(),
        });
    }
    // Far from 1 the decomposition's own squares would leave the range of the type.
    let mut largest = 0.0f64;
    for i in 0..size {
        for j in 0..=i {
            largest = largest.max(at(i, j).abs());
        }
    }
    let unit = if largest > 0.0 && largest.is_finite() {
        largest
    } else {
        1.0
    };
    let matrix = Mat::from_fn(size, size, |i, j| at(i, j) / unit);
    let eigen = matrix
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| Error::Projected { size })?;
    let values = (0..size).map(|i| eigen.S()[i] * unit).collect();
    let vectors = (0..size)
        .map(|i| (0..size).map(|r| eigen.U()[(r, i)]).collect())
        .collect();
    Ok(Ritz { values, vectors })
}
