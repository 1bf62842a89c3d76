//! Vectors of length n, many at a time: dot products, combinations, orthogonalisation.
//!
//! Sums run over blocks of fixed size in a fixed order, so that a result does not depend on the
//! number of threads.

use feasible_kernels::vectorised;
use rayon::prelude::*;

/// Entries of one block: of the vector that all others of the basis meet, it stays in the first-level
/// cache; of twenty basis vectors, in the second-level one.
const BLOCK: usize = 2048;

/// Below this many multiplications threads cost more than they save.
const WORTH_THREADS: usize = 1 << 17;

/// `aᵀb`.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    vectorised(
        #[inline(always)]
        || feasible_kernels::dot(a, b),
    )
}

/// `y += factor · x`.
pub(crate) fn axpy(factor: f64, x: &[f64], y: &mut [f64]) {
    vectorised(
        #[inline(always)]
        || feasible_kernels::axpy(factor, x, y),
    );
}

/// ‖a‖₂, also where the squares overflow or vanish.
pub(crate) fn norm(a: &[f64]) -> f64 {
    let plain = dot(a, a).sqrt();
    if plain.is_finite() && plain > 1e-140 {
        return plain;
    }
    let largest = a.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    if largest == 0.0 || !largest.is_finite() {
        return if largest == 0.0 { plain } else { largest };
    }
    let scaled: f64 = a.iter().map(|v| (v / largest) * (v / largest)).sum();
    largest * scaled.sqrt()
}

pub(crate) fn scale(a: &mut [f64], factor: f64) {
    for v in a {
        *v *= factor;
    }
}

/// `Vᵀ w`.
pub(crate) fn coefficients(basis: &[Vec<f64>], w: &[f64]) -> Vec<f64> {
    let of_block = |block: usize| -> Vec<f64> {
        let range = block * BLOCK..((block + 1) * BLOCK).min(w.len());
        let part = &w[range.clone()];
        basis.iter().map(|v| dot(&v[range.clone()], part)).collect()
    };
    let blocks = w.len().div_ceil(BLOCK);
    let parts: Vec<Vec<f64>> = if basis.len() * w.len() < WORTH_THREADS {
        (0..blocks).map(of_block).collect()
    } else {
        (0..blocks).into_par_iter().map(of_block).collect()
    };
    let mut sums = vec![0.0; basis.len()];
    for part in parts {
        axpy(1.0, &part, &mut sums);
    }
    sums
}

/// Adds `factor · h[i]` times the block of `basis[i]` that starts at `from`.
fn add_to_block(part: &mut [f64], from: usize, factor: f64, basis: &[Vec<f64>], h: &[f64]) {
    for (v, &c) in basis.iter().zip(h) {
        if c != 0.0 {
            axpy(factor * c, &v[from..from + part.len()], part);
        }
    }
}

/// `w += V h`, with the sign of `factor`.
pub(crate) fn add_combination(w: &mut [f64], factor: f64, basis: &[Vec<f64>], h: &[f64]) {
    let of_block = |(block, part): (usize, &mut [f64])| {
        add_to_block(part, block * BLOCK, factor, basis, h);
    };
    let terms = h.iter().filter(|c| **c != 0.0).count();
    if terms * w.len() < WORTH_THREADS {
        w.chunks_mut(BLOCK).enumerate().for_each(of_block);
    } else {
        w.par_chunks_mut(BLOCK).enumerate().for_each(of_block);
    }
}

/// `V Y`: one vector for each column of coefficients. All columns of a block are done while the
/// basis's block is in the cache, so that the basis is read once.
pub(crate) fn combinations(basis: &[Vec<f64>], columns: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n = basis.first().map_or(0, Vec::len);
    let mut out: Vec<Vec<f64>> = columns.iter().map(|_| vec![0.0; n]).collect();
    let mut blocks: Vec<Vec<&mut [f64]>> = Vec::new();
    blocks.resize_with(n.div_ceil(BLOCK), Vec::new);
    for vector in &mut out {
        for (block, part) in blocks.iter_mut().zip(vector.chunks_mut(BLOCK)) {
            block.push(part);
        }
    }
    let of_block = |(block, parts): (usize, Vec<&mut [f64]>)| {
        for (part, column) in parts.into_iter().zip(columns) {
            add_to_block(part, block * BLOCK, 1.0, basis, column);
        }
    };
    if basis.len() * columns.len() * n < WORTH_THREADS {
        blocks.into_iter().enumerate().for_each(of_block);
    } else {
        blocks.into_par_iter().enumerate().for_each(of_block);
    }
    out
}

/// Below this share of its length, what is left of a vector has too much of the rounding of what was
/// taken from it (Daniel, Gragg, Kaufman & Stewart, Math. Comp. 30, 1976).
const CANCELLED: f64 = std::f64::consts::FRAC_1_SQRT_2;

/// Removes from `w` its part in the span of orthonormal vectors, and once more if most of `w` was in
/// it: twice is enough for orthogonality to rounding (Giraud, Langou & Rozložník 2005). Returns the
/// coefficients removed.
pub(crate) fn orthogonalise(w: &mut [f64], basis: &[Vec<f64>]) -> Vec<f64> {
    if basis.is_empty() {
        return Vec::new();
    }
    let before = norm(w);
    let mut h = coefficients(basis, w);
    add_combination(w, -1.0, basis, &h);
    if norm(w) < CANCELLED * before {
        let again = coefficients(basis, w);
        add_combination(w, -1.0, basis, &again);
        axpy(1.0, &again, &mut h);
    }
    h
}

/// Takes from `w = H v`, `v` the last of an orthonormal basis, its part in the basis. `coupling` is what
/// the recurrence expects along the vectors before `v`. Returns the projected operator's new row, the
/// mean of coefficients and of their mirror images, which are the coupling, and how far these are
/// apart at most.
///
/// What is expected goes first. It is nearly all that the basis has of the product, so that one pass
/// over the whole basis is nearly always enough for the rest.
pub(crate) fn recurrence_row(
    w: &mut [f64],
    basis: &[Vec<f64>],
    coupling: &[f64],
) -> (Vec<f64>, f64) {
    let Some((v, earlier)) = basis.split_last() else {
        return (Vec::new(), 0.0);
    };
    add_combination(w, -1.0, earlier, coupling);
    let own = dot(v, w);
    axpy(-own, v, w);
    let mut row = orthogonalise(w, basis);
    let mut apart = 0.0f64;
    for (entry, expected) in row.iter_mut().zip(coupling) {
        apart = apart.max(entry.abs());
        *entry = expected + 0.5 * *entry;
    }
    if let Some(last) = row.last_mut() {
        *last += own;
    }
    (row, apart)
}
