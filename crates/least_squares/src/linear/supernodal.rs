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

/// `out` += L `x`, in the order of the factor. `scratch` holds whatever is left in it.
pub(super) fn add_product(
    symbolic: &SymbolicSupernodalCholesky<usize>,
    factor: &[f64],
    x: &[f64],
    out: &mut [f64],
    scratch: &mut Vec<f64>,
) {
    vectorised(
        #[inline(always)]
        || {
            for s in 0..symbolic.n_supernodes() {
                let (block, start, size, pattern) = supernode(symbolic, factor, s);
                let x = &x[start..start + size];
                for (j, column) in block.chunks_exact(size + pattern.len()).enumerate() {
                    axpy(x[j], &column[j..size], &mut out[start + j..start + size]);
                }
                bottom_product(block, size, x, pattern.len(), scratch);
                for (row, value) in pattern.iter().zip(scratch.iter()) {
                    out[*row] += value;
                }
            }
        },
    );
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

/// `out` = B `x` for the rows B of the block below its diagonal part, four columns a pass, so that `out` is
/// read and written a quarter as often.
#[inline(always)]
fn bottom_product(block: &[f64], size: usize, x: &[f64], below: usize, out: &mut Vec<f64>) {
    out.clear();
    out.resize(below, 0.0);
    let out = &mut out[..below];
    let height = size + below;
    let mut fours = block.chunks_exact(4 * height.max(1));
    let (factors, rest) = x.as_chunks::<4>();
    for (columns, f) in (&mut fours).zip(factors) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| &columns[i * height + size..][..below]);
        for i in 0..below {
            out[i] += (f[0] * a[i] + f[1] * b[i]) + (f[2] * c[i] + f[3] * d[i]);
        }
    }
    let columns = fours.remainder().chunks_exact(height.max(1));
    for (column, factor) in columns.zip(rest) {
        axpy(*factor, &column[size..], out);
    }
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
    for (j, column) in block.chunks_exact(size + pattern.len()).enumerate() {
        let (head, tail) = x.split_at_mut(j + 1);
        // The reciprocal does not wait for the value.
        head[j] *= 1.0 / column[j];
        axpy(-head[j], &column[j + 1..size], &mut tail[..size - j - 1]);
    }
    bottom_product(block, size, &x[..size], pattern.len(), below);
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
    let height = size + pattern.len();
    for (j, column) in block.chunks_exact(height).enumerate().rev() {
        let (head, tail) = x.split_at_mut(j + 1);
        let known = dot(&column[j + 1..size], tail) + dot(&column[size..], below);
        // The reciprocal does not wait for the sum.
        head[j] = (head[j] - known) * (1.0 / column[j]);
    }
}
