//! Dense symmetric matrices.

use rayon::prelude::*;

use crate::error::{Error, OperatorError};
use crate::operator::Operator;
use crate::vectors::dot;

/// A dense matrix as an operator; row-major `[n, n]`.
///
/// Symmetry is not enforced: the algorithms measure it. [`DenseMatrix::check_symmetric`] does so
/// beforehand.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseMatrix {
    n: usize,
    data: Vec<f64>,
}

impl DenseMatrix {
    /// A matrix of finite numbers.
    ///
    /// # Errors
    /// [`Error::NoDimension`] if `n` is 0, [`Error::Shape`] if there are not `n²` numbers,
    /// [`Error::Entry`] if one is not finite.
    pub fn new(n: usize, data: Vec<f64>) -> Result<Self, Error> {
        if n == 0 {
            return Err(Error::NoDimension);
        }
        let expected = n.saturating_mul(n);
        if data.len() != expected {
            return Err(Error::Shape {
                argument: "data",
                got: data.len(),
                expected,
                layout: "[n, n]",
            });
        }
        if let Some(entry) = data.iter().position(|v| !v.is_finite()) {
            return Err(Error::Entry {
                argument: "data",
                entry,
                value: data[entry],
                must: "finite",
            });
        }
        Ok(Self { n, data })
    }

    /// The dimension.
    pub fn n(&self) -> usize {
        self.n
    }

    /// The entries, row-major.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    pub(crate) fn at(&self, row: usize, column: usize) -> f64 {
        self.data[row * self.n + column]
    }

    /// Checks that mirrored entries differ by at most `tolerance` times the largest entry.
    ///
    /// # Errors
    /// [`Error::Asymmetric`] with the pair that differs most.
    pub fn check_symmetric(&self, tolerance: f64) -> Result<(), Error> {
        let largest = self.data.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let mut worst = (0, 0, 0.0);
        for row in 0..self.n {
            for column in 0..row {
                let difference = (self.at(row, column) - self.at(column, row)).abs();
                if difference > worst.2 {
                    worst = (row, column, difference);
                }
            }
        }
        let (row, column, difference) = worst;
        if difference <= tolerance * largest {
            Ok(())
        } else {
            Err(Error::Asymmetric {
                row,
                column,
                difference,
                largest,
            })
        }
    }
}

impl DenseMatrix {
    /// Replaces each pair of mirrored entries by its mean.
    pub fn symmetrise(&mut self) {
        for row in 0..self.n {
            for column in 0..row {
                // Halved first, so that no sum overflows.
                let mean = 0.5 * self.at(row, column) + 0.5 * self.at(column, row);
                self.data[row * self.n + column] = mean;
                self.data[column * self.n + row] = mean;
            }
        }
    }
}

/// Below this many entries threads cost more than they save.
const WORTH_THREADS: usize = 1 << 17;

impl Operator for DenseMatrix {
    fn dim(&self) -> usize {
        self.n
    }

    fn apply(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), OperatorError> {
        let rows = self.data.chunks_exact(self.n);
        if self.data.len() < WORTH_THREADS {
            for (o, row) in out.iter_mut().zip(rows) {
                *o = dot(row, x);
            }
        } else {
            out.par_iter_mut()
                .zip(self.data.par_chunks_exact(self.n))
                .for_each(|(o, row)| *o = dot(row, x));
        }
        Ok(())
    }
}
