//! Triangular solves and products with a supernodal factor: for a few right-hand sides plain loops over its
//! columns are faster than matrix products of that shape.

use faer::sparse::linalg::cholesky::supernodal::SymbolicSupernodalCholesky;

use crate::dense::{axpy, dot, vectorised};

/// `x` ← L⁻ᵀL⁻¹ `x`, in the order of the factor; one or more right-hand sides, one after another, each block
/// of L being read once for all. `scratch` holds whatever is left in it.
pub(super) fn solve(
    symbolic: &SymbolicSupernodalCholesky<usize>,
    factor: &[f64],
    x: &mut [f64],
    scratch: &mut Vec<f64>,
) {
    let n = symbolic.nrows();
    vectorised(
        #[inline(always)]
        || {
            for s in 0..symbolic.n_supernodes() {
                let (block, start, size, pattern) = supernode(symbolic, factor, s);
                for x in x.chunks_exact_mut(n) {
                    forward(block, &mut x[start..], size, pattern, start, scratch);
                }
            }
            for s in (0..symbolic.n_supernodes()).rev() {
                let (block, start, size, pattern) = supernode(symbolic, factor, s);
                for x in x.chunks_exact_mut(n) {
                    backward(block, x, start, size, pattern, scratch);
                }
            }
        },
    );
}

/// `out` += L `x`, in the order of the factor.
pub(super) fn add_product(
    symbolic: &SymbolicSupernodalCholesky<usize>,
    factor: &[f64],
    x: &[f64],
    out: &mut [f64],
) {
    for s in 0..symbolic.n_supernodes() {
        let (block, start, size, pattern) = supernode(symbolic, factor, s);
        for (j, column) in block.chunks_exact(size + pattern.len()).enumerate() {
            let along = x[start + j];
            let (diagonal, bottom) = column.split_at(size);
            axpy(along, &diagonal[j..], &mut out[start + j..start + size]);
            for (row, value) in pattern.iter().zip(bottom) {
                out[*row] += value * along;
            }
        }
    }
}

/// A supernode's columns, of equal height, its first column, how many there are, and the rows below.
#[inline(always)]
fn supernode<'f>(
    symbolic: &'f SymbolicSupernodalCholesky<usize>,
    factor: &'f [f64],
    s: usize,
) -> (&'f [f64], usize, usize, &'f [usize]) {
    let start = symbolic.supernode_begin()[s];
    let size = symbolic.supernode_end()[s] - start;
    let values = symbolic.col_ptr_for_val();
    let pattern = symbolic.supernode(s).pattern();
    (&factor[values[s]..values[s + 1]], start, size, pattern)
}

/// `x` begins at the supernode's first column.
#[inline(always)]
fn forward(
    block: &[f64],
    x: &mut [f64],
    size: usize,
    pattern: &[usize],
    start: usize,
    below: &mut Vec<f64>,
) {
    below.clear();
    below.resize(pattern.len(), 0.0);
    for (j, column) in block.chunks_exact(size + pattern.len()).enumerate() {
        let (diagonal, bottom) = column.split_at(size);
        let (head, tail) = x.split_at_mut(j + 1);
        head[j] /= diagonal[j];
        let value = head[j];
        axpy(-value, &diagonal[j + 1..], &mut tail[..size - j - 1]);
        axpy(value, bottom, below);
    }
    for (row, value) in pattern.iter().zip(below.iter()) {
        x[row - start] -= value;
    }
}

#[inline(always)]
fn backward(
    block: &[f64],
    x: &mut [f64],
    start: usize,
    size: usize,
    pattern: &[usize],
    below: &mut Vec<f64>,
) {
    below.clear();
    below.extend(pattern.iter().map(|row| x[*row]));
    let x = &mut x[start..start + size];
    let columns = block.chunks_exact(size + pattern.len()).enumerate();
    for (j, column) in columns.rev() {
        let (diagonal, bottom) = column.split_at(size);
        let (head, tail) = x.split_at_mut(j + 1);
        let known = dot(&diagonal[j + 1..], tail) + dot(bottom, below);
        head[j] = (head[j] - known) / diagonal[j];
    }
}
