//! Cholesky factors of the repair's matrices, upper triangular and row-major: K = UᵀU.

use feasible_kernels::{self as kernels, CholeskyMemory};

use crate::dense::axpy;

/// What one thread needs to factor.
pub(super) struct Scratch {
    memory: CholeskyMemory,
    /// Coefficients of the moving rows, `[q, n]`.
    pub(super) moving: Vec<f64>,
    /// What the pivots of the matrix being factored are compared with.
    pub(super) diagonal: Vec<f64>,
}

impl Scratch {
    pub(super) fn new(rows: usize, n: usize) -> Self {
        let size = rows.max(n);
        Self {
            memory: CholeskyMemory::new(size),
            moving: vec![0.0; rows * n],
            diagonal: Vec::with_capacity(size),
        }
    }
}

/// The upper triangle, row-major, of JJᵀ + λI for `count` rows, and its diagonal.
pub(super) fn gram_of_rows(
    jacobian: &[f64],
    count: usize,
    n: usize,
    damping: f64,
    gram: &mut [f64],
    diagonal: &mut Vec<f64>,
) {
    kernels::gram_of_rows(jacobian, count, n, gram);
    (0..count).for_each(|i| gram[i * count + i] += damping);
    read_diagonal(gram, count, diagonal);
}

pub(super) fn read_diagonal(matrix: &[f64], size: usize, diagonal: &mut Vec<f64>) {
    diagonal.clear();
    diagonal.extend((0..size).map(|i| matrix[i * size + i]));
}

/// E = U⁻ᵀF. Column by column of F this is a triangular solve; row by row it runs along memory.
pub(super) fn whiten(upper: &[f64], jacobian: &[f64], f: usize, n: usize) -> Vec<f64> {
    let mut whitened = jacobian.to_vec();
    for i in 0..f {
        let (head, tail) = whitened.split_at_mut((i + 1) * n);
        let row = &mut head[i * n..];
        row.iter_mut().for_each(|v| *v /= upper[i * f + i]);
        for k in i + 1..f {
            axpy(
                -upper[i * f + k],
                row,
                &mut tail[(k - i - 1) * n..(k - i) * n],
            );
        }
    }
    whitened
}

/// Factors in place the upper triangle, row-major, of a matrix whose size is that of `scratch.diagonal` and that is
/// part of one of size `whole`. False where a pivot is not above the rounding of its entry there.
pub(super) fn cholesky(matrix: &mut [f64], whole: usize, scratch: &mut Scratch) -> bool {
    kernels::cholesky(matrix, &scratch.diagonal, whole, &mut scratch.memory)
}

/// x ← U⁻ᵀx.
pub(super) fn solve_transposed(upper: &[f64], x: &mut [f64]) {
    let size = x.len();
    kernels::solve_transposed(upper, |i| 1.0 / upper[i * size + i], x);
}

/// x ← U⁻¹x.
pub(super) fn solve_upper(upper: &[f64], x: &mut [f64]) {
    let size = x.len();
    kernels::solve_upper(upper, |i| 1.0 / upper[i * size + i], x);
}
