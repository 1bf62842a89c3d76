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
    /// Component i changes with variable `first + i` alone.
    Diagonal {
        /// By how much, `[1 or batch, k]`.
        slope: Tensor<2>,
        /// The variable of the first component.
        first: usize,
        /// n.
        variables: usize,
    },
    /// `[1 or batch, k, n]`.
    Full(Tensor<3>),
}

impl Tangent {
    /// Of the variables themselves.
    pub(super) fn identity(value: &Tensor<2>) -> Self {
        let variables = value.dims()[1];
        Self::Diagonal {
            slope: Tensor::ones([1, variables], (&value.device(), value.dtype())),
            first: 0,
            variables,
        }
    }

    /// n.
    pub(super) fn variables(&self) -> usize {
        match self {
            Self::Diagonal { variables, .. } => *variables,
            Self::Full(jacobian) => jacobian.dims()[2],
        }
    }

    /// All of it, `[1 or batch, k, n]`.
    pub(super) fn full(self) -> Tensor<3> {
        match self {
            Self::Full(jacobian) => jacobian,
            Self::Diagonal {
                slope,
                first,
                variables,
            } => {
                let [batch, k] = slope.dims();
                if batch * k * variables == 0 {
                    return Tensor::zeros([batch, k, variables], (&slope.device(), slope.dtype()));
                }
                let identity = Tensor::<2>::eye(variables, &slope.device()).cast(slope.dtype());
                let rows = identity.slice_dim(0, first..first + k);
                slope.unsqueeze_dim::<3>(2) * rows.unsqueeze_dim::<3>(0)
            }
        }
    }

    /// Every row times its number in `by`, `[1 or batch, 1 or k]`; one row times each of them, too.
    pub(super) fn scale_rows(self, by: Tensor<2>) -> Self {
        match self {
            Self::Diagonal {
                slope,
                first,
                variables,
            } if by.dims()[1] == 1 || by.dims()[1] == slope.dims()[1] => Self::Diagonal {
                slope: slope * by,
                first,
                variables,
            },
            other => Self::Full(other.full() * by.unsqueeze_dim::<3>(2)),
        }
    }

    /// One row for each of k components.
    pub(super) fn repeat(self, k: usize) -> Self {
        let (rows, variables) = match &self {
            Self::Diagonal {
                slope, variables, ..
            } => (slope.dims()[1], *variables),
            Self::Full(jacobian) => (jacobian.dims()[1], jacobian.dims()[2]),
        };
        if rows == k {
            return self;
        }
        let jacobian = self.full();
        let batch = jacobian.dims()[0];
        Self::Full(host::expand(jacobian, [batch, k, variables]))
    }

    /// The sum, of a single row with k of them as well.
    pub(super) fn add(self, other: Self) -> Self {
        match (self, other) {
            (
                Self::Diagonal {
                    slope,
                    first,
                    variables,
                },
                Self::Diagonal {
                    slope: other,
                    first: at,
                    variables: of,
                },
            ) if (first, variables, slope.dims()[1]) == (at, of, other.dims()[1]) => {
                Self::Diagonal {
                    slope: slope + other,
                    first,
                    variables,
                }
            }
            (left, right) => Self::Full(left.full() + right.full()),
        }
    }

    /// Every entry times a number.
    pub(super) fn times(self, by: f64) -> Self {
        match self {
            Self::Diagonal {
                slope,
                first,
                variables,
            } => Self::Diagonal {
                slope: slope * by,
                first,
                variables,
            },
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
            Self::Diagonal {
                slope,
                first,
                variables,
            } => Self::Diagonal {
                first: first + rows.start,
                slope: slope.slice_dim(1, rows),
                variables,
            },
            Self::Full(jacobian) => Self::Full(jacobian.slice_dim(1, rows)),
        }
    }

    /// The sum of the rows.
    pub(super) fn sum(self) -> Self {
        match self {
            Self::Diagonal {
                slope,
                first,
                variables,
            } => {
                let [batch, k] = slope.dims();
                if batch * k == 0 {
                    let (shape, like) = ([batch, 1, variables], (&slope.device(), slope.dtype()));
                    return Self::Full(Tensor::zeros(shape, like));
                }
                Self::Full(columns(slope.unsqueeze_dim::<3>(1), first, variables))
            }
            Self::Full(jacobian) => Self::Full(jacobian.sum_dim(1)),
        }
    }

    /// A constant matrix, `[rows, k]`, times it.
    pub(super) fn left_multiply(self, matrix: Tensor<2>) -> Self {
        let [rows, k] = matrix.dims();
        if rows * k == 0 {
            let jacobian = self.full();
            let [batch, _, variables] = jacobian.dims();
            let like = (&jacobian.device(), jacobian.dtype());
            return Self::Full(Tensor::zeros([batch, rows, variables], like));
        }
        let matrix = matrix.unsqueeze_dim::<3>(0);
        match self {
            Self::Diagonal {
                slope,
                first,
                variables,
            } => Self::Full(columns(
                matrix * slope.unsqueeze_dim::<3>(1),
                first,
                variables,
            )),
            Self::Full(jacobian) => Self::Full(matrix.matmul(jacobian)),
        }
    }
}

/// The block as the columns from `first` of a matrix with so many, else of zeros.
fn columns(block: Tensor<3>, first: usize, variables: usize) -> Tensor<3> {
    let [batch, rows, k] = block.dims();
    if k == variables {
        return block;
    }
    let zeros =
        |count: usize| Tensor::<3>::zeros([batch, rows, count], (&block.device(), block.dtype()));
    let mut parts = vec![];
    if first > 0 {
        parts.push(zeros(first));
    }
    parts.push(block.clone());
    if first + k < variables {
        parts.push(zeros(variables - first - k));
    }
    host::cat(parts, 2)
}
