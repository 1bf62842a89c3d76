//! Dense Cholesky factors, upper triangular and row-major: K = UᵀU, so that both triangular solves run
//! along contiguous rows.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::matmul::triangular::{BlockStructure, matmul as triangular_matmul};
use faer::{Accum, MatMut, MatRef, Par};

use crate::{axpy, dot, inverse_norm, multiply, vectorised};

/// Up to this size plain loops are faster than the blocked routines.
const LOOPS: usize = 32;

/// What factoring needs besides the matrix.
pub struct CholeskyMemory {
    /// The largest size there is memory for.
    largest: usize,
    /// 1 over the diagonal of the factor that was made last.
    inverses: Vec<f64>,
    buffer: MemBuffer,
}

impl std::fmt::Debug for CholeskyMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CholeskyMemory")
            .field("largest", &self.largest)
            .finish_non_exhaustive()
    }
}

impl CholeskyMemory {
    /// For matrices up to this size.
    pub fn new(largest: usize) -> Self {
        let scratch = cholesky_in_place_scratch::<f64>(largest, Par::Seq, Default::default());
        Self {
            largest,
            inverses: vec![0.0; largest],
            buffer: MemBuffer::new(scratch),
        }
    }
}

/// Factors a matrix in place, K = UᵀU, of which the upper triangle is read, row-major; below the diagonal is left as
/// it was. False where a pivot [is rounding](pivot_is_rounding) beside its entry of `diagonal`, for a matrix that is
/// part of one of size `whole`: it is singular for all that can be known, or not positive, or not finite.
///
/// # Panics
/// If `diagonal`, whose length is the matrix's size, is longer than there is memory for, or the matrix not of its
/// square's length.
pub fn cholesky(
    matrix: &mut [f64],
    diagonal: &[f64],
    whole: usize,
    memory: &mut CholeskyMemory,
) -> bool {
    let n = diagonal.len();
    assert!(n <= memory.largest && matrix.len() == n * n);
    let inverses = &mut memory.inverses[..n];
    if n <= LOOPS {
        return vectorised(
            #[inline(always)]
            || by_loops(matrix, diagonal, whole, inverses),
        );
    }
    let factored = cholesky_in_place(
        MatMut::from_column_major_slice_mut(matrix, n, n),
        Default::default(),
        Par::Seq,
        MemStack::new(&mut memory.buffer),
        Default::default(),
    );
    invert_diagonal(matrix, inverses);
    factored.is_ok()
        && (0..n).all(|i| !pivot_is_rounding(matrix[i * n + i].powi(2), diagonal[i], whole))
}

fn invert_diagonal(upper: &[f64], inverses: &mut [f64]) {
    let diagonal = upper.iter().step_by(inverses.len() + 1);
    for (inverse, pivot) in inverses.iter_mut().zip(diagonal) {
        *inverse = 1.0 / pivot;
    }
}

/// x ← U⁻ᵀx for row-major U of the size of x, with the inverses of its diagonal.
#[inline(always)]
pub fn solve_transposed(upper: &[f64], inverse: impl Fn(usize) -> f64, x: &mut [f64]) {
    let n = x.len();
    for i in 0..n {
        let (head, tail) = x.split_at_mut(i + 1);
        head[i] *= inverse(i);
        axpy(-head[i], &upper[i * n + i + 1..(i + 1) * n], tail);
    }
}

/// x ← U⁻¹x for row-major U of the size of x, with the inverses of its diagonal.
#[inline(always)]
pub fn solve_upper(upper: &[f64], inverse: impl Fn(usize) -> f64, x: &mut [f64]) {
    let n = x.len();
    for i in (0..n).rev() {
        let (head, tail) = x.split_at_mut(i + 1);
        let row = &upper[i * n + i + 1..(i + 1) * n];
        head[i] = (head[i] - dot(row, tail)) * inverse(i);
    }
}

/// A Cholesky factor that is made again and again, with its memory.
#[derive(Debug)]
pub struct Cholesky {
    /// U by rows; below its diagonal whatever the matrix had.
    upper: Vec<f64>,
    diagonal: Vec<f64>,
    memory: CholeskyMemory,
}

impl Cholesky {
    /// For matrices of this size, until [`resize`](Self::resize).
    pub fn new(size: usize) -> Self {
        Self {
            upper: vec![0.0; size * size],
            diagonal: vec![0.0; size],
            memory: CholeskyMemory::new(size),
        }
    }

    /// For matrices of another size; what it solves with means nothing until a factor is made or restored.
    ///
    /// # Panics
    /// If the size is above the one that it was made with.
    pub fn resize(&mut self, size: usize) {
        assert!(size <= self.memory.largest);
        self.upper.resize(size * size, 0.0);
        self.diagonal.resize(size, 0.0);
    }

    fn size(&self) -> usize {
        self.diagonal.len()
    }

    /// As [`cholesky`], of a copy of the matrix plus what `add` gives for each entry of its diagonal.
    ///
    /// # Panics
    /// If the matrix has another size.
    pub fn factor(&mut self, matrix: &[f64], add: impl Fn(usize, f64) -> f64) -> bool {
        let n = self.size();
        self.upper.copy_from_slice(matrix);
        for i in 0..n {
            let entry = self.upper[i * n + i];
            self.diagonal[i] = entry + add(i, entry);
            self.upper[i * n + i] = self.diagonal[i];
        }
        cholesky(&mut self.upper, &self.diagonal, n, &mut self.memory)
    }

    /// The factor, for [`restore`](Self::restore).
    pub fn kept(&self) -> &[f64] {
        &self.upper
    }

    /// Makes a factor the one to solve with again.
    ///
    /// # Panics
    /// If it has another size.
    pub fn restore(&mut self, kept: &[f64]) {
        self.upper.copy_from_slice(kept);
        let size = self.size();
        invert_diagonal(&self.upper, &mut self.memory.inverses[..size]);
    }

    /// As [`inverse_norm`], of K⁻¹.
    ///
    /// # Panics
    /// If x has another length.
    pub fn inverse_norm(&self, x: &mut [f64], limit: f64) -> f64 {
        assert_eq!(x.len(), self.size());
        let inverses = &self.memory.inverses[..self.size()];
        vectorised(
            #[inline(always)]
            || inverse_norm(&self.upper, |i| inverses[i], x, limit),
        )
    }

    /// x ← K⁻¹x.
    ///
    /// # Panics
    /// If x has another length.
    pub fn solve(&self, x: &mut [f64]) {
        assert_eq!(x.len(), self.size());
        let inverses = &self.memory.inverses[..self.size()];
        vectorised(
            #[inline(always)]
            || {
                solve_transposed(&self.upper, |i| inverses[i], x);
                solve_upper(&self.upper, |i| inverses[i], x);
            },
        );
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
fn by_loops(upper: &mut [f64], diagonal: &[f64], whole: usize, inverses: &mut [f64]) -> bool {
    let n = diagonal.len();
    for k in 0..n {
        let (head, tail) = upper.split_at_mut((k + 1) * n);
        let row = &mut head[k * n..];
        if pivot_is_rounding(row[k], diagonal[k], whole) {
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

/// The upper triangle, row-major, of JJᵀ for a row-major J of `m × n`. Below its diagonal `out` holds anything.
pub fn gram_of_rows(j: &[f64], m: usize, n: usize, out: &mut [f64]) {
    if m <= LOOPS {
        vectorised(
            #[inline(always)]
            || {
                for a in 0..m {
                    let row = &j[a * n..(a + 1) * n];
                    multiply(&j[a * n..m * n], row, &mut out[a * m + a..(a + 1) * m]);
                }
            },
        );
        return;
    }
    let j = MatRef::from_row_major_slice(j, m, n);
    product(out, m, j, j.transpose());
}

/// The upper triangle, row-major, of JᵀJ for a row-major J of `m × n`. Below its diagonal `out` holds anything.
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
    use super::*;

    /// Diagonally dominant, with pivots far from 1.
    fn dominant(n: usize) -> Vec<f64> {
        let entry = |i: usize, j: usize| match i == j {
            true => 4.0,
            false => 1.0 / (n + i + j) as f64,
        };
        (0..n * n).map(|k| entry(k / n, k % n)).collect()
    }

    /// max|Kx − right| for a symmetric K plus `added` in the diagonal.
    fn error(matrix: &[f64], added: f64, x: &[f64], right: &[f64]) -> f64 {
        let n = x.len();
        let row = |i: usize| dot(&matrix[i * n..][..n], x) + added * x[i] - right[i];
        (0..n).fold(0.0, |worst: f64, i| worst.max(row(i).abs()))
    }

    #[test]
    fn factors_solve_on_both_sides_of_the_loops_as_restored_ones_do() {
        let largest = 3 * LOOPS;
        let mut factor = Cholesky::new(largest);
        let mut other = Cholesky::new(largest);
        // Down and up again.
        for n in [largest, 1, LOOPS, LOOPS + 1, 2, largest] {
            let matrix = dominant(n);
            let right: Vec<f64> = (0..n).map(|i| 1.0 - 0.1 * i as f64).collect();
            factor.resize(n);
            other.resize(n);
            for added in [0.0, 0.5] {
                assert!(factor.factor(&matrix, |_, _| added));
                other.restore(factor.kept());
                for factor in [&factor, &other] {
                    let mut x = right.clone();
                    factor.solve(&mut x);
                    // Condition below 2, numbers up to 10.
                    let error = error(&matrix, added, &x, &right);
                    assert!(error < 1e-13, "{n}: {error}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_factored_is_said_on_both_sides_of_the_loops() {
        for n in [2, LOOPS, LOOPS + 1, 2 * LOOPS] {
            let mut factor = Cholesky::new(n);
            let good = dominant(n);
            let at = |i: usize, j: usize| i.min(j) * n + i.max(j);
            let (last, before) = (n - 1, n - 2);
            for bad in [f64::NAN, f64::INFINITY, -4.0, 0.0] {
                for i in [0, last] {
                    let mut matrix = good.clone();
                    matrix[at(i, i)] = bad;
                    assert!(!factor.factor(&matrix, |_, _| 0.0), "{n}: {bad} at {i}");
                }
            }
            let mut matrix = good.clone();
            matrix[at(0, last)] = f64::NAN;
            assert!(!factor.factor(&matrix, |_, _| 0.0), "{n}");
            // The last row is the one before it.
            let mut matrix = good.clone();
            for j in 0..n {
                matrix[at(last, j)] = good[at(before, j)];
            }
            matrix[at(last, before)] = good[at(before, before)];
            matrix[at(last, last)] = good[at(before, before)];
            assert!(!factor.factor(&matrix, |_, _| 0.0), "{n}");
            assert!(factor.factor(&matrix, |_, _| 1e-3), "{n}: kept apart");
            assert!(factor.factor(&good, |_, _| 0.0), "{n}: usable again");
        }
    }

    #[test]
    fn gram_matrices_are_sums_of_products_on_both_sides_of_the_loops() {
        for (m, n) in [
            (1, 1),
            (3, 7),
            (7, 3),
            (LOOPS, LOOPS + 1),
            (LOOPS + 1, LOOPS),
            (70, 40),
        ] {
            let j: Vec<f64> = (0..m * n).map(|k| (k as f64 * 0.7).sin()).collect();
            let (mut rows, mut columns) = (vec![f64::NAN; m * m], vec![f64::NAN; n * n]);
            gram_of_rows(&j, m, n, &mut rows);
            gram_of_columns(&j, m, n, &mut columns);
            let check = |got: f64, terms: Vec<f64>, place: (usize, usize)| {
                let expected: f64 = terms.iter().sum();
                assert!(
                    (got - expected).abs() < 1e-13,
                    "{m}x{n}, {place:?}: {got} {expected}"
                );
            };
            for (a, b) in (0..m).flat_map(|a| (a..m).map(move |b| (a, b))) {
                let terms = (0..n).map(|k| j[a * n + k] * j[b * n + k]).collect();
                check(rows[a * m + b], terms, (a, b));
            }
            for (a, b) in (0..n).flat_map(|a| (a..n).map(move |b| (a, b))) {
                let terms = (0..m).map(|i| j[i * n + a] * j[i * n + b]).collect();
                check(columns[a * n + b], terms, (a, b));
            }
        }
    }
}
