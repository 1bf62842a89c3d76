//! Shapes: scalars `[]`, vectors `[n]`, matrices `[m, n]`, row-major.

use std::fmt;

/// Entries that an expression, and columns and rows that a problem may have: they are numbered in 32 bits.
pub(crate) const MOST: usize = u32::MAX as usize;

/// The shape of an expression: a scalar `[]`, a vector `[n]` or a matrix `[m, n]`.
///
/// Entries are numbered row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    rank: usize,
    dims: [usize; 2],
}

impl Shape {
    /// `[]`.
    pub const SCALAR: Shape = Shape {
        rank: 0,
        dims: [1, 1],
    };

    /// Sizes along the axes: none, one or two of them.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Number of entries; the largest number there is where that is more.
    pub fn size(&self) -> usize {
        self.dims()
            .iter()
            .fold(1, |size, dim| size.saturating_mul(*dim))
    }

    /// Whether it is `[]`.
    pub fn is_scalar(&self) -> bool {
        self.rank == 0
    }

    /// What is wrong with a shape of more entries than there can be.
    pub(crate) fn excess(&self) -> Option<String> {
        let what = || format!("its shape {self} has more than {MOST} entries");
        (self.size() > MOST).then(what)
    }

    /// `n` of `[n, n]`.
    pub(crate) fn square(&self) -> Option<usize> {
        (self.rank == 2 && self.dims[0] == self.dims[1]).then_some(self.dims[0])
    }
}

impl From<[usize; 0]> for Shape {
    fn from(_: [usize; 0]) -> Shape {
        Shape::SCALAR
    }
}

impl From<[usize; 1]> for Shape {
    fn from([n]: [usize; 1]) -> Shape {
        Shape {
            rank: 1,
            dims: [n, 1],
        }
    }
}

impl From<[usize; 2]> for Shape {
    fn from(dims: [usize; 2]) -> Shape {
        Shape { rank: 2, dims }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.dims() {
            [] => f.write_str("[]"),
            [n] => write!(f, "[{n}]"),
            _ => write!(f, "[{}, {}]", self.dims[0], self.dims[1]),
        }
    }
}
