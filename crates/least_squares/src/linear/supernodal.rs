//! Triangular solves and products with a supernodal factor: for a few right-hand sides plain loops over its
//! columns are faster than matrix products of that shape.

use faer::sparse::linalg::cholesky::supernodal::SymbolicSupernodalCholesky;

use crate::dense::{axpy, dot, vectorised};

/// `x` ← L⁻ᵀL⁻¹ `x`, in the order of the factor; up to three right-hand sides, one after another. Each block of L is
/// read once for all, and each of its numbers multiplies all of them. `scratch` holds whatever is left in it.
pub(super) fn solve(
    symbolic: &SymbolicSupernodalCholesky<usize>,
    factor: &[f64],
    x: &mut [f64],
    scratch: &mut Vec<f64>,
) {
    match x.len() / symbolic.nrows().max(1) {
        0 => {}
        1 => solve_together::<1>(symbolic, factor, x, scratch),
        2 => solve_together::<2>(symbolic, factor, x, scratch),
        _ => solve_together::<3>(symbolic, factor, x, scratch),
    }
}

fn solve_together<const R: usize>(
    symbolic: &SymbolicSupernodalCholesky<usize>,
    factor: &[f64],
    x: &mut [f64],
    scratch: &mut Vec<f64>,
) {
    let n = symbolic.nrows();
    let (columns, _) = x.split_at_mut(R * n);
    let mut columns = columns.chunks_exact_mut(n);
    let mut x: [&mut [f64]; R] = std::array::from_fn(|_| columns.next().expect("R of them"));
    vectorised(
        #[inline(always)]
        || {
            for s in 0..symbolic.n_supernodes() {
                forward(&supernode(symbolic, factor, s), &mut x, scratch);
            }
            for s in (0..symbolic.n_supernodes()).rev() {
                backward(&supernode(symbolic, factor, s), &mut x, scratch);
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
                let node = supernode(symbolic, factor, s);
                let (start, size) = (node.start, node.size);
                let x = &x[start..start + size];
                for (j, column) in node.columns().enumerate() {
                    axpy(x[j], &column[j..size], &mut out[start + j..start + size]);
                }
                let [below] = bottom_product(&node, [x], scratch);
                for (row, value) in node.pattern.iter().zip(below) {
                    out[*row] += value;
                }
            }
        },
    );
}

/// Consecutive columns of L with the same rows below them.
struct Supernode<'f> {
    /// Of equal height, one after another.
    block: &'f [f64],
    /// The first column.
    start: usize,
    size: usize,
    /// The rows below the diagonal part.
    pattern: &'f [usize],
}

impl<'f> Supernode<'f> {
    #[inline(always)]
    fn height(&self) -> usize {
        self.size + self.pattern.len()
    }

    #[inline(always)]
    fn columns(&self) -> std::slice::ChunksExact<'f, f64> {
        self.block.chunks_exact(self.height().max(1))
    }

    /// The rows below of `K` columns from the given one.
    #[inline(always)]
    fn bottoms<const K: usize>(&self, first: usize) -> [&'f [f64]; K] {
        let (height, below) = (self.height(), self.pattern.len());
        std::array::from_fn(|k| &self.block[(first + k) * height + self.size..][..below])
    }
}

#[inline(always)]
fn supernode<'f>(
    symbolic: &'f SymbolicSupernodalCholesky<usize>,
    factor: &'f [f64],
    s: usize,
) -> Supernode<'f> {
    let start = symbolic.supernode_begin()[s];
    let values = symbolic.col_ptr_for_val();
    Supernode {
        block: &factor[values[s]..values[s + 1]],
        start,
        size: symbolic.supernode_end()[s] - start,
        pattern: symbolic.supernode(s).pattern(),
    }
}

/// B `x` for the rows B of the block below its diagonal part, four columns a pass, so that the sums are
/// read and written a quarter as often.
#[inline(always)]
fn bottom_product<'s, const R: usize>(
    node: &Supernode<'_>,
    x: [&[f64]; R],
    scratch: &'s mut Vec<f64>,
) -> [&'s [f64]; R] {
    let below = node.pattern.len();
    scratch.clear();
    scratch.resize(R * below, 0.0);
    let mut sums = scratch.chunks_exact_mut(below.max(1));
    let mut sums: [&mut [f64]; R] = std::array::from_fn(|_| sums.next().unwrap_or_default());
    let mut first = 0;
    while first + 4 <= node.size {
        let columns = node.bottoms::<4>(first);
        let f = x.map(|x| [0, 1, 2, 3].map(|k| x[first + k]));
        let (heads, tails) = halves(columns);
        for (r, sum) in sums.iter_mut().enumerate() {
            let tail = &mut sum[below - below % LANES..];
            for (i, sum) in tail.iter_mut().enumerate() {
                *sum += combination(f[r], tails.map(|c| c[i]));
            }
        }
        let mut sums: [&mut [[f64; LANES]]; R] = sums.each_mut().map(|sum| {
            let (sum, _) = sum.as_chunks_mut();
            &mut sum[..below / LANES]
        });
        for i in 0..below / LANES {
            let columns = heads.map(|c| c[i]);
            for (sum, f) in sums.iter_mut().zip(&f) {
                let sum = &mut sum[i];
                for lane in 0..LANES {
                    sum[lane] += combination(*f, columns.map(|c| c[lane]));
                }
            }
        }
        first += 4;
    }
    for column in first..node.size {
        let [a] = node.bottoms::<1>(column);
        for (sum, x) in sums.iter_mut().zip(&x) {
            axpy(x[column], a, sum);
        }
    }
    sums.map(|sum| &*sum)
}

#[inline(always)]
fn forward<const R: usize>(node: &Supernode<'_>, x: &mut [&mut [f64]; R], scratch: &mut Vec<f64>) {
    let (start, size) = (node.start, node.size);
    for (j, column) in node.columns().enumerate() {
        // The reciprocal does not wait for the value.
        let reciprocal = 1.0 / column[j];
        for x in x.iter_mut() {
            let (head, tail) = x[start..start + size].split_at_mut(j + 1);
            head[j] *= reciprocal;
            axpy(-head[j], &column[j + 1..size], tail);
        }
    }
    let known: [&[f64]; R] = std::array::from_fn(|r| &x[r][start..start + size]);
    let below = bottom_product(node, known, scratch);
    for (x, below) in x.iter_mut().zip(below) {
        for (row, value) in node.pattern.iter().zip(below) {
            x[*row] -= value;
        }
    }
}

#[inline(always)]
fn backward<const R: usize>(node: &Supernode<'_>, x: &mut [&mut [f64]; R], scratch: &mut Vec<f64>) {
    let (start, size) = (node.start, node.size);
    scratch.clear();
    for x in x.iter() {
        scratch.extend(node.pattern.iter().map(|row| x[*row]));
    }
    let mut below = scratch.chunks_exact(node.pattern.len().max(1));
    let below: [&[f64]; R] = std::array::from_fn(|_| below.next().unwrap_or_default());
    let mut first = 0;
    while first + 4 <= size {
        let sums = dots(node.bottoms::<4>(first), below);
        for (x, sums) in x.iter_mut().zip(sums) {
            for (x, sum) in x[start + first..].iter_mut().zip(sums) {
                *x -= sum;
            }
        }
        first += 4;
    }
    for column in first..size {
        let sums = dots(node.bottoms::<1>(column), below);
        for (x, [sum]) in x.iter_mut().zip(sums) {
            x[start + column] -= sum;
        }
    }
    for (j, column) in node.columns().enumerate().rev() {
        // The reciprocal does not wait for the sum.
        let reciprocal = 1.0 / column[j];
        for x in x.iter_mut() {
            let (head, tail) = x[start..start + size].split_at_mut(j + 1);
            head[j] = (head[j] - dot(&column[j + 1..size], tail)) * reciprocal;
        }
    }
}

/// Numbers that are worked on at once.
const LANES: usize = 4;

/// As whole lanes, and what is left; all of one length.
#[inline(always)]
fn halves<const K: usize>(a: [&[f64]; K]) -> ([&[[f64; LANES]]; K], [&[f64]; K]) {
    let len = a.first().map_or(0, |a| a.len());
    let heads = a.map(|a| &a.as_chunks().0[..len / LANES]);
    (heads, a.map(|a| &a[len - len % LANES..][..len % LANES]))
}

#[inline(always)]
fn combination(f: [f64; 4], x: [f64; 4]) -> f64 {
    (f[0] * x[0] + f[1] * x[1]) + (f[2] * x[2] + f[3] * x[3])
}

/// The inner products of `K` vectors with each of `R` others, every number being read once for all of them.
#[inline(always)]
fn dots<const K: usize, const R: usize>(a: [&[f64]; K], b: [&[f64]; R]) -> [[f64; K]; R] {
    let len = a[0].len();
    let ((a, a_rest), (b, b_rest)) = (halves(a), halves(b));
    let mut sums = [[[0.0; LANES]; K]; R];
    for i in 0..len / LANES {
        // Indices, which are unrolled early enough for the sums to stay in registers.
        for r in 0..R {
            let b = b[r][i];
            for k in 0..K {
                let a = a[k][i];
                for lane in 0..LANES {
                    sums[r][k][lane] += a[lane] * b[lane];
                }
            }
        }
    }
    let mut totals = sums.map(|sums| sums.map(|s| (s[0] + s[2]) + (s[1] + s[3])));
    for (totals, b) in totals.iter_mut().zip(&b_rest) {
        for (total, a) in totals.iter_mut().zip(&a_rest) {
            for i in 0..len % LANES {
                *total += a[i] * b[i];
            }
        }
    }
    totals
}
