//! Triangular solves and products with a supernodal factor, its numbers in either precision: for a few
//! right-hand sides plain loops over its columns are faster than matrix products of that shape.

use faer::sparse::linalg::cholesky::supernodal::SymbolicSupernodalCholesky;

use crate::dense::{axpy, dots, vectorised};

/// `x` ← L⁻ᵀL⁻¹ `x` for each of `K` right-hand sides, in the order of the factor; each block of L is read once
/// for all. `scratch` holds whatever is left in it.
pub(super) fn solve<T: Copy + Into<f64>, const K: usize>(
    symbolic: &SymbolicSupernodalCholesky<usize>,
    factor: &[T],
    mut x: [&mut [f64]; K],
    scratch: &mut Vec<f64>,
) {
    vectorised(
        #[inline(always)]
        || {
            for s in 0..symbolic.n_supernodes() {
                forward(&Supernode::new(symbolic, factor, s), &mut x, scratch);
            }
            for s in (0..symbolic.n_supernodes()).rev() {
                backward(&Supernode::new(symbolic, factor, s), &mut x, scratch);
            }
        },
    );
}

/// `out` += L `x`, in the order of the factor. `scratch` holds whatever is left in it.
pub(super) fn add_product<T: Copy + Into<f64>>(
    symbolic: &SymbolicSupernodalCholesky<usize>,
    factor: &[T],
    x: &[f64],
    out: &mut [f64],
    scratch: &mut Vec<f64>,
) {
    vectorised(
        #[inline(always)]
        || {
            for s in 0..symbolic.n_supernodes() {
                let node = Supernode::new(symbolic, factor, s);
                let (begin, end) = (node.begin, node.begin + node.size);
                let x = &x[begin..end];
                for (j, column) in node.columns().enumerate() {
                    axpy(x[j], &column[j..node.size], &mut out[begin + j..end]);
                }
                bottom_product(&node, [x], scratch);
                for (row, value) in node.pattern.iter().zip(scratch.iter()) {
                    out[*row] += value;
                }
            }
        },
    );
}

/// Every column of a triangle waits for the sum over those after it: of fewer, in order sooner than in parts.
const SHORT: usize = 16;

/// Columns of equal height, one after another: a triangle of `size`, and the rows of the pattern below.
struct Supernode<'f, T> {
    block: &'f [T],
    begin: usize,
    size: usize,
    pattern: &'f [usize],
}

impl<'f, T: Copy + Into<f64>> Supernode<'f, T> {
    #[inline(always)]
    fn new(
        symbolic: &'f SymbolicSupernodalCholesky<usize>,
        factor: &'f [T],
        s: usize,
    ) -> Supernode<'f, T> {
        let begin = symbolic.supernode_begin()[s];
        let values = symbolic.col_ptr_for_val();
        Supernode {
            block: &factor[values[s]..values[s + 1]],
            begin,
            size: symbolic.supernode_end()[s] - begin,
            pattern: symbolic.supernode(s).pattern(),
        }
    }

    #[inline(always)]
    fn height(&self) -> usize {
        self.size + self.pattern.len()
    }

    #[inline(always)]
    fn columns(&self) -> std::slice::ChunksExact<'f, T> {
        self.block.chunks_exact(self.height().max(1))
    }
}

/// `out`, one after another, = B `x` for the rows B below the triangle, four columns a pass, so that `out` is
/// read and written a quarter as often.
#[inline(always)]
fn bottom_product<T: Copy + Into<f64>, const K: usize>(
    node: &Supernode<'_, T>,
    x: [&[f64]; K],
    out: &mut Vec<f64>,
) {
    let (size, height, below) = (node.size, node.height(), node.pattern.len());
    out.clear();
    out.resize(K * below, 0.0);
    // No closures in the loops: what maps arrays is compiled for itself, without the wide instructions.
    let mut outs: [&mut [f64]; K] = std::array::from_fn(|_| Default::default());
    let mut left = &mut out[..];
    let mut fours: [&[[f64; 4]]; K] = [&[]; K];
    let mut last: [&[f64]; K] = [&[]; K];
    for k in 0..K {
        (outs[k], left) = std::mem::take(&mut left).split_at_mut(below);
        (fours[k], last[k]) = x[k].as_chunks::<4>();
    }
    let mut blocks = node.block.chunks_exact(4 * height.max(1));
    for (at, columns) in (&mut blocks).enumerate() {
        let a = &columns[size..][..below];
        let b = &columns[height + size..][..below];
        let c = &columns[2 * height + size..][..below];
        let d = &columns[3 * height + size..][..below];
        for i in 0..below {
            let (a, b): (f64, f64) = (a[i].into(), b[i].into());
            let (c, d): (f64, f64) = (c[i].into(), d[i].into());
            for k in 0..K {
                let f = &fours[k][at];
                outs[k][i] += (f[0] * a + f[1] * b) + (f[2] * c + f[3] * d);
            }
        }
    }
    let columns = blocks.remainder().chunks_exact(height.max(1));
    for (at, column) in columns.enumerate() {
        for k in 0..K {
            axpy(last[k][at], &column[size..], outs[k]);
        }
    }
}

#[inline(always)]
fn forward<T: Copy + Into<f64>, const K: usize>(
    node: &Supernode<'_, T>,
    x: &mut [&mut [f64]; K],
    below: &mut Vec<f64>,
) {
    let (begin, size) = (node.begin, node.size);
    for (j, column) in node.columns().enumerate() {
        // The reciprocal does not wait for the value.
        let inverse = 1.0 / column[j].into();
        for x in x.iter_mut() {
            let (head, tail) = x[begin..begin + size].split_at_mut(j + 1);
            head[j] *= inverse;
            axpy(-head[j], &column[j + 1..size], tail);
        }
    }
    let mut heads: [&[f64]; K] = [&[]; K];
    for k in 0..K {
        heads[k] = &x[k][begin..begin + size];
    }
    bottom_product(node, heads, below);
    let rows = node.pattern.len();
    for (k, x) in x.iter_mut().enumerate() {
        for (row, value) in node.pattern.iter().zip(&below[k * rows..]) {
            x[*row] -= value;
        }
    }
}

#[inline(always)]
fn backward<T: Copy + Into<f64>, const K: usize>(
    node: &Supernode<'_, T>,
    x: &mut [&mut [f64]; K],
    below: &mut Vec<f64>,
) {
    let (begin, size, rows) = (node.begin, node.size, node.pattern.len());
    below.clear();
    for x in x.iter() {
        for row in node.pattern {
            below.push(x[*row]);
        }
    }
    let mut belows: [&[f64]; K] = [&[]; K];
    for k in 0..K {
        belows[k] = &below[k * rows..(k + 1) * rows];
    }
    for (j, column) in node.columns().enumerate().rev() {
        // The reciprocal does not wait for the sum.
        let inverse = 1.0 / column[j].into();
        let mut tails: [&[f64]; K] = [&[]; K];
        for k in 0..K {
            tails[k] = &x[k][begin + j + 1..begin + size];
        }
        let triangle = &column[j + 1..size];
        let here = if triangle.len() < SHORT {
            let mut here = [0.0; K];
            for k in 0..K {
                for (a, x) in triangle.iter().zip(tails[k]) {
                    here[k] += (*a).into() * x;
                }
            }
            here
        } else {
            dots(triangle, tails)
        };
        let there = dots(&column[size..], belows);
        for k in 0..K {
            let x = &mut x[k][begin + j];
            *x = (*x - (here[k] + there[k])) * inverse;
        }
    }
}
