use std::ops::Range;

use burn::tensor::Tensor;

use crate::host;

/// The Jacobian of k components with respect to n variables, in the form that says it with the fewest numbers.
///
/// Residuals are mostly elementwise functions of the variables with a matrix in front: as long as
/// nothing mixes components the Jacobian is k numbers a sample instead of kn, and a matrix times it
/// scales columns instead of multiplying matrices. What does not depend on the sample is kept once.
#[derive(Debug, Clone)]
pub(super) enum Tangent {
    Diagonal(Diagonal),
    /// `[1 or batch, k, n]`.
    Full(Tensor<3>),
}

/// Component i changes with variable `first + i` alone.
#[derive(Debug, Clone)]
pub(super) struct Diagonal {
    /// By how much, `[1 or batch, k]`.
    pub(super) slope: Tensor<2>,
    /// The variable of the first component.
    first: usize,
    /// n.
    variables: usize,
}

impl Diagonal {
    fn components(&self) -> usize {
        self.slope.dims()[1]
    }

    fn map(self, f: impl FnOnce(Tensor<2>) -> Tensor<2>) -> Tangent {
        Tangent::Diagonal(Self {
            slope: f(self.slope),
            ..self
        })
    }

    /// Whether both are diagonals of the same place.
    fn lies_on(&self, other: &Self) -> bool {
        let place = |d: &Self| (d.first, d.variables, d.components());
        place(self) == place(other)
    }

    fn full(self) -> Tensor<3> {
        let (k, [batch, _]) = (self.components(), self.slope.dims());
        if batch * k * self.variables == 0 {
            return zeros([batch, k, self.variables], &self.slope);
        }
        let identity =
            Tensor::<2>::eye(self.variables, &self.slope.device()).cast(self.slope.dtype());
        let rows = identity.slice_dim(0, self.first..self.first + k);
        self.slope.unsqueeze_dim::<3>(2) * rows.unsqueeze_dim::<3>(0)
    }

    /// A full Jacobian of which these k columns, at this place, are given and the others are zero.
    fn columns(&self, block: Tensor<3>) -> Tangent {
        let ([batch, rows, k], first, n) = (block.dims(), self.first, self.variables);
        if k == n {
            return Tangent::Full(block);
        }
        let mut parts = vec![];
        if first > 0 {
            parts.push(zeros([batch, rows, first], &block));
        }
        parts.push(block);
        if first + k < n {
            parts.push(zeros([batch, rows, n - first - k], &parts[0]));
        }
        Tangent::Full(host::cat(parts, 2))
    }
}

/// Zeros where and in the precision that `like` is.
fn zeros<const D: usize>(shape: [usize; 3], like: &Tensor<D>) -> Tensor<3> {
    Tensor::zeros(shape, (&like.device(), like.dtype()))
}

impl Tangent {
    /// Of the variables themselves.
    pub(super) fn identity(value: &Tensor<2>) -> Self {
        let variables = value.dims()[1];
        Self::Diagonal(Diagonal {
            slope: Tensor::ones([1, variables], (&value.device(), value.dtype())),
            first: 0,
            variables,
        })
    }

    /// The only column `direction`, `[1 or batch, k]`.
    pub(super) fn column(direction: Tensor<2>) -> Self {
        let [batch, k] = direction.dims();
        Self::Full(if batch * k == 0 {
            zeros([batch, k, 1], &direction)
        } else {
            direction.unsqueeze_dim::<3>(2)
        })
    }

    /// n.
    pub(super) fn variables(&self) -> usize {
        match self {
            Self::Diagonal(diagonal) => diagonal.variables,
            Self::Full(jacobian) => jacobian.dims()[2],
        }
    }

    fn components(&self) -> usize {
        match self {
            Self::Diagonal(diagonal) => diagonal.components(),
            Self::Full(jacobian) => jacobian.dims()[1],
        }
    }

    /// All of it, `[1 or batch, k, n]`.
    pub(super) fn full(self) -> Tensor<3> {
        match self {
            Self::Full(jacobian) => jacobian,
            Self::Diagonal(diagonal) => diagonal.full(),
        }
    }

    /// Every row times its number in `by`, `[1 or batch, 1 or k]`; one row times each of them, too.
    pub(super) fn scale_rows(self, by: Tensor<2>) -> Self {
        match self {
            Self::Diagonal(diagonal) if [1, diagonal.components()].contains(&by.dims()[1]) => {
                diagonal.map(|slope| slope * by)
            }
            other => Self::Full(other.full() * by.unsqueeze_dim::<3>(2)),
        }
    }

    /// One row for each of k components.
    pub(super) fn repeat(self, k: usize) -> Self {
        if self.components() == k {
            return self;
        }
        let jacobian = self.full();
        let [batch, _, n] = jacobian.dims();
        Self::Full(host::expand(jacobian, [batch, k, n]))
    }

    /// The sum, of a single row with k of them as well.
    pub(super) fn add(self, other: Self) -> Self {
        match (self, other) {
            (Self::Diagonal(left), Self::Diagonal(right)) if left.lies_on(&right) => {
                left.map(|slope| slope + right.slope)
            }
            (left, right) => Self::Full(left.full() + right.full()),
        }
    }

    /// Every entry times a number.
    pub(super) fn times(self, by: f64) -> Self {
        match self {
            Self::Diagonal(diagonal) => diagonal.map(|slope| slope * by),
            Self::Full(jacobian) => Self::Full(jacobian * by),
        }
    }

    /// With the sign changed.
    pub(super) fn neg(self) -> Self {
        self.times(-1.0)
    }

    /// Some of the rows.
    pub(super) fn slice(self, rows: Range<usize>) -> Self {
        match self {
            Self::Diagonal(diagonal) => Self::Diagonal(Diagonal {
                first: diagonal.first + rows.start,
                slope: diagonal.slope.slice_dim(1, rows),
                ..diagonal
            }),
            Self::Full(jacobian) => Self::Full(jacobian.slice_dim(1, rows)),
        }
    }

    /// The sum of the rows.
    pub(super) fn sum(self) -> Self {
        match self {
            Self::Diagonal(diagonal) => {
                let [batch, k] = diagonal.slope.dims();
                if batch * k == 0 {
                    return Self::Full(zeros([batch, 1, diagonal.variables], &diagonal.slope));
                }
                diagonal.columns(diagonal.slope.clone().unsqueeze_dim::<3>(1))
            }
            Self::Full(jacobian) => Self::Full(jacobian.sum_dim(1)),
        }
    }

    /// A constant matrix, `[rows, k]`, times it.
    pub(super) fn left_multiply(self, matrix: Tensor<2>) -> Self {
        let [rows, k] = matrix.dims();
        if rows * k == 0 {
            let jacobian = self.full();
            let [batch, _, n] = jacobian.dims();
            return Self::Full(zeros([batch, rows, n], &jacobian));
        }
        let matrix = matrix.unsqueeze_dim::<3>(0);
        match self {
            Self::Diagonal(diagonal) => {
                diagonal.columns(matrix * diagonal.slope.clone().unsqueeze_dim::<3>(1))
            }
            Self::Full(jacobian) => Self::Full(matrix.matmul(jacobian)),
        }
    }
}
