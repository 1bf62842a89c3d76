//! Weights: what a cost's rows are multiplied by before they are squared.

use crate::objective::AuxiliaryId;

/// A weight W; the cost counts ½‖W c‖². W is a square root of the information (inverse covariance).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Weight {
    /// W = I.
    Identity,
    /// W = w I, of one number.
    Scale(Source),
    /// W = diag(w), of `rows` numbers.
    Diagonal(Source),
    /// A full W, `[rows, rows]` row-major, triangular or not.
    SquareRoot(Source),
}

/// Where a weight's numbers come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The same numbers always.
    Constant(Vec<f64>),
    /// An auxiliary, which gradients flow to.
    Auxiliary(AuxiliaryId),
}

impl From<f64> for Source {
    fn from(value: f64) -> Self {
        Self::Constant(vec![value])
    }
}

impl From<Vec<f64>> for Source {
    fn from(values: Vec<f64>) -> Self {
        Self::Constant(values)
    }
}

impl From<&[f64]> for Source {
    fn from(values: &[f64]) -> Self {
        Self::Constant(values.to_vec())
    }
}

impl<const N: usize> From<[f64; N]> for Source {
    fn from(values: [f64; N]) -> Self {
        Self::Constant(values.to_vec())
    }
}

impl From<AuxiliaryId> for Source {
    fn from(id: AuxiliaryId) -> Self {
        Self::Auxiliary(id)
    }
}

impl Weight {
    /// w times the identity.
    pub fn scale(w: impl Into<Source>) -> Self {
        Self::Scale(w.into())
    }

    /// The diagonal w.
    pub fn diagonal(w: impl Into<Source>) -> Self {
        Self::Diagonal(w.into())
    }

    /// The full matrix w, `[rows, rows]` row-major.
    pub fn square_root(w: impl Into<Source>) -> Self {
        Self::SquareRoot(w.into())
    }

    pub(crate) fn source(&self) -> Option<&Source> {
        match self {
            Self::Identity => None,
            Self::Scale(source) | Self::Diagonal(source) | Self::SquareRoot(source) => Some(source),
        }
    }

    /// Numbers that W is made of.
    pub(crate) fn len(&self, rows: usize) -> usize {
        match self {
            Self::Identity => 0,
            Self::Scale(_) => 1,
            Self::Diagonal(_) => rows,
            Self::SquareRoot(_) => rows * rows,
        }
    }

    /// `matrix` ← W `matrix`, with `cols` columns. `scratch` holds as many numbers.
    #[inline(always)]
    pub(crate) fn apply(&self, w: &[f64], matrix: &mut [f64], cols: usize, scratch: &mut [f64]) {
        match self {
            Self::Identity => {}
            Self::Scale(_) => matrix.iter_mut().for_each(|v| *v *= w[0]),
            Self::Diagonal(_) => {
                for (row, w) in matrix.chunks_exact_mut(cols.max(1)).zip(w) {
                    row.iter_mut().for_each(|v| *v *= w);
                }
            }
            Self::SquareRoot(_) => {
                let rows = matrix.len() / cols.max(1);
                let scratch = &mut scratch[..matrix.len()];
                scratch.copy_from_slice(matrix);
                matrix.fill(0.0);
                for (out, w) in matrix
                    .chunks_exact_mut(cols.max(1))
                    .zip(w.chunks_exact(rows))
                {
                    for (row, w) in scratch.chunks_exact(cols.max(1)).zip(w) {
                        if *w != 0.0 {
                            crate::dense::axpy(*w, row, out);
                        }
                    }
                }
            }
        }
    }

    /// `out` = Wᵀ y.
    #[inline(always)]
    pub(crate) fn transposed(&self, w: &[f64], y: &[f64], out: &mut [f64]) {
        match self {
            Self::Identity => out.copy_from_slice(y),
            Self::Scale(_) => out.iter_mut().zip(y).for_each(|(out, y)| *out = w[0] * y),
            Self::Diagonal(_) => out
                .iter_mut()
                .zip(y.iter().zip(w))
                .for_each(|(out, (y, w))| *out = y * w),
            Self::SquareRoot(_) => match y.len() {
                // Poses of the plane and of space: the lengths are known, and the loops unrolled.
                3 => square_transposed::<3>(w, y, out),
                6 => square_transposed::<6>(w, y, out),
                _ => {
                    out.fill(0.0);
                    crate::dense::add_transposed(w, y, out);
                }
            },
        }
    }

    /// `out` += the gradient of yᵀ W x by W's numbers.
    pub(crate) fn add_gradient(&self, y: &[f64], x: &[f64], out: &mut [f64]) {
        match self {
            Self::Identity => {}
            Self::Scale(_) => out[0] += crate::dense::dot(y, x),
            Self::Diagonal(_) => {
                for (out, (y, x)) in out.iter_mut().zip(y.iter().zip(x)) {
                    *out += y * x;
                }
            }
            Self::SquareRoot(_) => {
                for (out, y) in out.chunks_exact_mut(x.len().max(1)).zip(y) {
                    crate::dense::axpy(*y, x, out);
                }
            }
        }
    }
}

/// `out` = Wᵀ y for a W of `N × N`.
#[inline(always)]
fn square_transposed<const N: usize>(w: &[f64], y: &[f64], out: &mut [f64]) {
    let mut sums = [0.0; N];
    for (row, y) in w.as_chunks::<N>().0.iter().zip(y) {
        for (sum, w) in sums.iter_mut().zip(row) {
            *sum += w * y;
        }
    }
    out.copy_from_slice(&sums);
}
