//! Dense Cholesky factors of small matrices, upper triangular and row-major: K = UᵀU. Both
//! triangular solves then run along contiguous rows.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::matmul::triangular::{BlockStructure, matmul as triangular_matmul};
use faer::{Accum, MatMut, Par};

use feasible_kernels::pivot_is_rounding;

use crate::dense::{axpy, dot, view};

/// What one thread needs to factor.
pub(super) struct Scratch {
    memory: MemBuffer,
    /// Coefficients of the moving rows, `[q, n]`.
    pub(super) moving: Vec<f64>,
    /// The diagonal of the matrix being factored.
    pub(super) diagonal: Vec<f64>,
}

impl Scratch {
    pub(super) fn new(rows: usize, n: usize) -> Self {
        let size = rows.max(n).max(1);
        Self {
            memory: MemBuffer::new(cholesky_in_place_scratch::<f64>(
                size,
                Par::Seq,
                Default::default(),
            )),
            moving: vec![0.0; rows * n],
            diagonal: Vec::with_capacity(size),
        }
    }
}

/// The lower triangle, column-major, of JJᵀ + λI for `count` rows, and its diagonal.
pub(super) fn gram_of_rows(
    jacobian: &[f64],
    count: usize,
    n: usize,
    damping: f64,
    gram: &mut [f64],
    diagonal: &mut Vec<f64>,
) {
    let j = view(jacobian, count, n);
    triangular_matmul(
        MatMut::from_column_major_slice_mut(gram, count, count),
        BlockStructure::TriangularLower,
        Accum::Replace,
        j,
        BlockStructure::Rectangular,
        j.transpose(),
        BlockStructure::Rectangular,
        1.0,
        Par::Seq,
    );
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

/// Factors the lower triangle, column-major, in place; read by rows it is U. False where a pivot
/// is not above the rounding of its entry in `scratch.diagonal`, for a matrix that is part of one
/// of size `whole`.
pub(super) fn cholesky(
    matrix: &mut [f64],
    size: usize,
    whole: usize,
    scratch: &mut Scratch,
) -> bool {
    if size == 0 {
        return true;
    }
    let factored = cholesky_in_place(
        MatMut::from_column_major_slice_mut(matrix, size, size),
        Default::default(),
        Par::Seq,
        MemStack::new(&mut scratch.memory),
        Default::default(),
    );
    let pivots = (0..size).map(|i| matrix[i * size + i].powi(2));
    factored.is_ok()
        && pivots
            .zip(&scratch.diagonal)
            .all(|(pivot, diagonal)| !pivot_is_rounding(pivot, *diagonal, whole))
}

/// x ← U⁻ᵀx.
pub(super) fn solve_transposed(upper: &[f64], size: usize, x: &mut [f64]) {
    for i in 0..size {
        let (head, tail) = x.split_at_mut(i + 1);
        head[i] /= upper[i * size + i];
        axpy(-head[i], &upper[i * size + i + 1..(i + 1) * size], tail);
    }
}

/// x ← U⁻¹x.
pub(super) fn solve_upper(upper: &[f64], size: usize, x: &mut [f64]) {
    for i in (0..size).rev() {
        let (head, tail) = x.split_at_mut(i + 1);
        head[i] =
            (head[i] - dot(&upper[i * size + i + 1..(i + 1) * size], tail)) / upper[i * size + i];
    }
}
