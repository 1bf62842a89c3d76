//! Dense Cholesky factors, upper triangular and row-major: K = UᵀU, so that both triangular solves run
//! along contiguous rows.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::matmul::triangular::{BlockStructure, matmul as triangular_matmul};
use faer::{Accum, MatMut, MatRef, Par};

use crate::{axpy, dot, vectorised};

/// Up to this size plain loops are faster than the blocked routines.
const LOOPS: usize = 32;

/// The Cholesky factor of a matrix, and the memory that making it needs.
pub struct Cholesky {
    size: usize,
    /// U by rows; below its diagonal whatever the matrix had.
    upper: Vec<f64>,
    diagonal: Vec<f64>,
    /// 1 over U's diagonal.
    inverses: Vec<f64>,
    memory: MemBuffer,
}

impl std::fmt::Debug for Cholesky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cholesky")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl Cholesky {
    /// Memory for matrices up to `size`, the first of which has it.
    pub fn new(size: usize) -> Self {
        Self {
            size,
            upper: vec![0.0; size * size],
            diagonal: vec![0.0; size],
            inverses: vec![0.0; size],
            memory: MemBuffer::new(cholesky_in_place_scratch::<f64>(
                size,
                Par::Seq,
                Default::default(),
            )),
        }
    }

    /// For matrices of another size, not above the one that there is memory for; there is no factor until one is
    /// made or restored.
    pub fn resize(&mut self, size: usize) {
        self.size = size;
        self.upper.resize(size * size, 0.0);
        self.diagonal.resize(size, 0.0);
        self.inverses.resize(size, 0.0);
    }

    /// Factors a matrix of which the upper triangle is read, row-major, plus what `add` gives for each
    /// entry of its diagonal. False where a pivot is not above the rounding of its entry: the matrix is
    /// singular for all that can be known, or not positive, or not finite.
    pub fn factor(&mut self, matrix: &[f64], add: impl Fn(usize, f64) -> f64) -> bool {
        let n = self.size;
        self.upper.copy_from_slice(matrix);
        for i in 0..n {
            let entry = self.upper[i * n + i];
            self.diagonal[i] = entry + add(i, entry);
            self.upper[i * n + i] = self.diagonal[i];
        }
        if n <= LOOPS {
            let (upper, diagonal, inverses) = (&mut self.upper, &self.diagonal, &mut self.inverses);
            return vectorised(
                #[inline(always)]
                || by_loops(upper, diagonal, inverses, n),
            );
        }
        let factored = cholesky_in_place(
            MatMut::from_column_major_slice_mut(&mut self.upper, n, n),
            Default::default(),
            Par::Seq,
            MemStack::new(&mut self.memory),
            Default::default(),
        );
        self.invert_diagonal();
        factored.is_ok()
            && (0..n)
                .all(|i| !pivot_is_rounding(self.upper[i * n + i].powi(2), self.diagonal[i], n))
    }

    fn invert_diagonal(&mut self) {
        let diagonal = self.upper.iter().step_by(self.size + 1);
        for (inverse, pivot) in self.inverses.iter_mut().zip(diagonal) {
            *inverse = 1.0 / pivot;
        }
    }

    /// The factor, for [`restore`](Self::restore).
    pub fn kept(&self) -> &[f64] {
        &self.upper
    }

    /// Makes a factor the one to solve with again.
    pub fn restore(&mut self, kept: &[f64]) {
        self.upper.copy_from_slice(kept);
        self.invert_diagonal();
    }

    /// x ← K⁻¹x.
    pub fn solve(&self, x: &mut [f64]) {
        vectorised(
            #[inline(always)]
            || {
                self.solve_transposed(x);
                self.solve_upper(x);
            },
        );
    }

    #[inline(always)]
    fn solve_transposed(&self, x: &mut [f64]) {
        let n = self.size;
        for i in 0..n {
            let (head, tail) = x.split_at_mut(i + 1);
            head[i] *= self.inverses[i];
            axpy(-head[i], &self.upper[i * n + i + 1..(i + 1) * n], tail);
        }
    }

    #[inline(always)]
    fn solve_upper(&self, x: &mut [f64]) {
        let n = self.size;
        for i in (0..n).rev() {
            let (head, tail) = x.split_at_mut(i + 1);
            let row = &self.upper[i * n + i + 1..(i + 1) * n];
            head[i] = (head[i] - dot(row, tail)) * self.inverses[i];
        }
    }
}

/// Pivots lose about a unit of relative rounding a row; for few rows the sums of the diagonal
/// entries themselves lose more.
const FEWEST_ROUNDINGS: usize = 50;

/// Whether a pivot of the Cholesky factorisation of a `size × size` matrix has cancelled down to
/// rounding, so that its row depends on those before it for all that can be known. `diagonal` is
/// the matrix's own entry there: rows of any scale are judged by their own. True for NaN.
pub fn pivot_is_rounding(pivot: f64, diagonal: f64, size: usize) -> bool {
    let rounding = size.max(FEWEST_ROUNDINGS) as f64 * f64::EPSILON * diagonal;
    pivot.is_nan() || rounding.is_nan() || pivot <= rounding
}

#[inline(always)]
fn by_loops(upper: &mut [f64], diagonal: &[f64], inverses: &mut [f64], n: usize) -> bool {
    for k in 0..n {
        let (head, tail) = upper.split_at_mut((k + 1) * n);
        let row = &mut head[k * n..];
        if pivot_is_rounding(row[k], diagonal[k], n) || row[k].is_infinite() {
            return false;
        }
        let pivot = row[k].sqrt();
        row[k] = pivot;
        let inverse = 1.0 / pivot;
        inverses[k] = inverse;
        row[k + 1..].iter_mut().for_each(|v| *v *= inverse);
        for i in k + 1..n {
            let target = &mut tail[(i - k - 1) * n..(i - k) * n];
            axpy(-row[i], &row[i..], &mut target[i..]);
        }
    }
    true
}

/// The upper triangle, row-major, of JJᵀ for a row-major J of `m × n`.
pub fn gram_of_rows(j: &[f64], m: usize, n: usize, out: &mut [f64]) {
    if m <= LOOPS {
        vectorised(
            #[inline(always)]
            || {
                for a in 0..m {
                    let row = &j[a * n..(a + 1) * n];
                    for b in a..m {
                        out[a * m + b] = dot(row, &j[b * n..(b + 1) * n]);
                    }
                }
            },
        );
        return;
    }
    let j = MatRef::from_row_major_slice(j, m, n);
    product(out, m, j, j.transpose());
}

/// The upper triangle, row-major, of JᵀJ for a row-major J of `m × n`.
pub fn gram_of_columns(j: &[f64], m: usize, n: usize, out: &mut [f64]) {
    if n <= LOOPS {
        out.fill(0.0);
        vectorised(
            #[inline(always)]
            || {
                for row in j.chunks_exact(n) {
                    for a in 0..n {
                        axpy(row[a], &row[a..], &mut out[a * n + a..(a + 1) * n]);
                    }
                }
            },
        );
        return;
    }
    let j = MatRef::from_row_major_slice(j, m, n);
    product(out, n, j.transpose(), j);
}

/// A row-major upper triangle is a column-major lower one.
fn product(out: &mut [f64], size: usize, left: MatRef<'_, f64>, right: MatRef<'_, f64>) {
    triangular_matmul(
        MatMut::from_column_major_slice_mut(out, size, size),
        BlockStructure::TriangularLower,
        Accum::Replace,
        left,
        BlockStructure::Rectangular,
        right,
        BlockStructure::Rectangular,
        1.0,
        Par::Seq,
    );
}

#[cfg(test)]
mod tests {
    use super::{Cholesky, LOOPS};

    #[test]
    fn factors_solve_on_both_sides_of_the_loops_as_restored_ones_do() {
        for n in [1, LOOPS, LOOPS + 1, 3 * LOOPS] {
            // Diagonally dominant, with pivots far from 1.
            let entry = |i: usize, j: usize| {
                if i == j {
                    4.0
                } else {
                    1.0 / (n + i + j) as f64
                }
            };
            let matrix: Vec<f64> = (0..n * n).map(|k| entry(k / n, k % n)).collect();
            let expected: Vec<f64> = (0..n).map(|i| 1.0 - 0.1 * i as f64).collect();
            let product = |i: usize| (0..n).map(|j| entry(i, j) * expected[j]).sum::<f64>();
            let right: Vec<f64> = (0..n).map(product).collect();
            let mut factor = Cholesky::new(n);
            assert!(factor.factor(&matrix, |_, _| 0.0));
            let mut other = Cholesky::new(n);
            other.restore(factor.kept());
            for factor in [&factor, &other] {
                let mut x = right.clone();
                factor.solve(&mut x);
                for (got, expected) in x.iter().zip(&expected) {
                    // Condition below 2.
                    assert!((got - expected).abs() < 1e-13, "{n}: {got} {expected}");
                }
            }
        }
    }
}
