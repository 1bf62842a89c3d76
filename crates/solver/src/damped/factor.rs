//! The factored matrix of one damped step, JJᵀ + λI or JᵀJ + λI, with the rows that never change
//! factored once for the batch.
//!
//! Factors are upper triangular and row-major: K = UᵀU. Both triangular solves then run along
//! contiguous rows.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::matmul::triangular::{BlockStructure, matmul as triangular_matmul};
use faer::{Accum, MatMut, Par};

use super::rows;
use super::{DampedProblem, RowPolicy};
use crate::dense::{add_multiply, axpy, dot, multiply, view, view_mut};

/// A pivot below this share of the largest diagonal entry is rounding, not information: 100 units
/// of relative rounding for matrices of the sizes met here.
pub(super) const SINGULAR: f64 = 1e-14;

/// Rows that are in J at every step of every sample, with the same coefficients.
#[derive(Debug)]
pub(super) struct Fixed {
    /// Row numbers, ascending.
    pub(super) rows: Vec<usize>,
    /// The coefficients F, `[f, n]`.
    pub(super) jacobian: Vec<f64>,
    /// U of FFᵀ + λI, `[f, f]`.
    upper: Vec<f64>,
    /// E = U⁻ᵀF, `[f, n]`: Jᵀ's products with it are the off-diagonal block of larger factors.
    whitened: Vec<f64>,
    /// FᵀF + λI, `[n, n]`, for steps that are solved among the variables.
    gram: Vec<f64>,
}

impl Fixed {
    /// `None` where no row is fixed, or the fixed ones are dependent and λ = 0.
    pub(super) fn new(
        problem: &DampedProblem<'_>,
        policy: RowPolicy,
        damping: f64,
        scratch: &mut Scratch,
    ) -> Option<Self> {
        let n = problem.n;
        let (mut fixed_rows, mut jacobian, mut at) = (vec![], vec![], 0);
        for block in &problem.blocks {
            if block.is_constant() {
                for row in 0..block.rows {
                    if policy == RowPolicy::All || problem.equality[at + row] {
                        fixed_rows.push(at + row);
                        jacobian.extend_from_slice(&block.linear.data()[row * n..(row + 1) * n]);
                    }
                }
            }
            at += block.rows;
        }
        let f = fixed_rows.len();
        if f == 0 {
            return None;
        }
        let mut upper = vec![0.0; f * f];
        gram_of_rows(&jacobian, f, n, damping, &mut upper);
        if !cholesky(&mut upper, f, scratch) {
            return None;
        }
        let mut whitened = jacobian.clone();
        // Column by column of F this is a triangular solve; row by row it runs along memory.
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
        let mut gram = vec![0.0; n * n];
        multiply(
            view_mut(&mut gram, n, n),
            1.0,
            view(&jacobian, f, n).transpose(),
            view(&jacobian, f, n),
        );
        (0..n).for_each(|j| gram[j * n + j] += damping);
        Some(Self {
            rows: fixed_rows,
            jacobian,
            upper,
            whitened,
            gram,
        })
    }

    fn count(&self) -> usize {
        self.rows.len()
    }
}

/// What one thread needs to factor.
pub(super) struct Scratch {
    memory: MemBuffer,
    /// Coefficients of the moving rows, `[q, n]`.
    pub(super) moving: Vec<f64>,
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
        }
    }
}

/// The factor of one step.
#[derive(Debug)]
pub(super) enum Factor {
    /// JJᵀ + λI over the rows: the fixed ones' factor, then these.
    Rows {
        /// The moving rows' products with E, `[q, f]`.
        coupling: Vec<f64>,
        /// U of the Schur complement, `[q, q]`.
        schur: Vec<f64>,
    },
    /// U of JᵀJ + λI over the variables, `[n, n]`.
    Variables(Vec<f64>),
}

impl Factor {
    /// Factors the step's matrix for `q` moving rows, whose coefficients are in
    /// `scratch.moving`. `None` where it is singular or not finite.
    pub(super) fn new(
        fixed: Option<&Fixed>,
        q: usize,
        n: usize,
        damping: f64,
        scratch: &mut Scratch,
    ) -> Option<Self> {
        let f = fixed.map_or(0, Fixed::count);
        let moving = std::mem::take(&mut scratch.moving);
        let jacobian = &moving[..q * n];
        let factor = if f + q <= n || damping == 0.0 {
            let mut coupling = vec![0.0; q * f];
            let mut schur = vec![0.0; q * q];
            gram_of_rows(jacobian, q, n, damping, &mut schur);
            if let Some(fixed) = fixed {
                multiply(
                    view_mut(&mut coupling, q, f),
                    1.0,
                    view(jacobian, q, n),
                    view(&fixed.whitened, f, n).transpose(),
                );
                let coupling = view(&coupling, q, f);
                triangular_matmul(
                    MatMut::from_column_major_slice_mut(&mut schur, q, q),
                    BlockStructure::TriangularLower,
                    Accum::Add,
                    coupling,
                    BlockStructure::Rectangular,
                    coupling.transpose(),
                    BlockStructure::Rectangular,
                    -1.0,
                    Par::Seq,
                );
            }
            cholesky(&mut schur, q, scratch).then_some(Self::Rows { coupling, schur })
        } else {
            let mut gram = match fixed {
                Some(fixed) => fixed.gram.clone(),
                None => {
                    let mut gram = vec![0.0; n * n];
                    (0..n).for_each(|j| gram[j * n + j] = damping);
                    gram
                }
            };
            add_multiply(
                view_mut(&mut gram, n, n),
                1.0,
                view(jacobian, q, n).transpose(),
                view(jacobian, q, n),
            );
            cholesky(&mut gram, n, scratch).then_some(Self::Variables(gram))
        };
        scratch.moving = moving;
        factor
    }

    /// (JJᵀ + λI)⁻¹ in place, for a vector over the fixed rows, then the moving ones.
    pub(super) fn solve_rows(
        coupling: &[f64],
        schur: &[f64],
        fixed: Option<&Fixed>,
        x: &mut [f64],
    ) {
        let f = fixed.map_or(0, Fixed::count);
        let (head, tail) = x.split_at_mut(f);
        let q = tail.len();
        if let Some(fixed) = fixed {
            solve_transposed(&fixed.upper, f, head);
            for i in 0..q {
                tail[i] -= dot(&coupling[i * f..(i + 1) * f], head);
            }
        }
        solve_transposed(schur, q, tail);
        solve_upper(schur, q, tail);
        if let Some(fixed) = fixed {
            for i in 0..q {
                axpy(-tail[i], &coupling[i * f..(i + 1) * f], head);
            }
            solve_upper(&fixed.upper, f, head);
        }
    }

    /// (JᵀJ + λI)⁻¹ in place.
    pub(super) fn solve_variables(upper: &[f64], x: &mut [f64]) {
        let n = x.len();
        solve_transposed(upper, n, x);
        solve_upper(upper, n, x);
    }
}

/// Loads the coefficients of the moving rows at y.
pub(super) fn load_moving(
    problem: &DampedProblem<'_>,
    sample: usize,
    moving: &[u32],
    y: &[f64],
    out: &mut [f64],
) {
    let n = problem.n;
    for (slot, &row) in moving.iter().enumerate() {
        rows::jacobian_row(
            problem,
            sample,
            row as usize,
            y,
            &mut out[slot * n..(slot + 1) * n],
        );
    }
}

/// The lower triangle, column-major, of JJᵀ + λI for `count` rows.
fn gram_of_rows(jacobian: &[f64], count: usize, n: usize, damping: f64, gram: &mut [f64]) {
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
}

/// Factors the lower triangle, column-major, in place; read by rows it is U. False where the
/// matrix is not positive definite to working precision.
fn cholesky(matrix: &mut [f64], size: usize, scratch: &mut Scratch) -> bool {
    if size == 0 {
        return true;
    }
    let largest = (0..size).map(|i| matrix[i * size + i]).fold(0.0, f64::max);
    let factored = cholesky_in_place(
        MatMut::from_column_major_slice_mut(matrix, size, size),
        Default::default(),
        Par::Seq,
        MemStack::new(&mut scratch.memory),
        Default::default(),
    );
    // The comparison also fails for NaN.
    factored.is_ok() && (0..size).all(|i| matrix[i * size + i].powi(2) > SINGULAR * largest)
}

/// x ← U⁻ᵀx.
fn solve_transposed(upper: &[f64], size: usize, x: &mut [f64]) {
    for i in 0..size {
        let (head, tail) = x.split_at_mut(i + 1);
        head[i] /= upper[i * size + i];
        axpy(-head[i], &upper[i * size + i + 1..(i + 1) * size], tail);
    }
}

/// x ← U⁻¹x.
fn solve_upper(upper: &[f64], size: usize, x: &mut [f64]) {
    for i in (0..size).rev() {
        let (head, tail) = x.split_at_mut(i + 1);
        head[i] =
            (head[i] - dot(&upper[i * size + i + 1..(i + 1) * size], tail)) / upper[i * size + i];
    }
}
