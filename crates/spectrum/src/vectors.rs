//! Vectors of length n, many at a time: dot products, combinations, orthogonalisation.
//!
//! Sums run over blocks of fixed size in a fixed order, so that a result does not depend on the
//! number of threads.

pub(crate) use feasible_kernels::{axpy, dot};
use rayon::prelude::*;

/// Entries of one block; 4096 numbers of a basis vector and of the vector beside it stay in the
/// first-level cache.
const BLOCK: usize = 4096;

/// Below this many multiplications threads cost more than they save.
const WORTH_THREADS: usize = 1 << 17;

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

/// `w += V h`, with the sign of `factor`.
pub(crate) fn add_combination(w: &mut [f64], factor: f64, basis: &[Vec<f64>], h: &[f64]) {
    let of_block = |(block, part): (usize, &mut [f64])| {
        let from = block * BLOCK;
        for (v, &c) in basis.iter().zip(h) {
            if c != 0.0 {
                axpy(factor * c, &v[from..from + part.len()], part);
            }
        }
    };
    if basis.len() * w.len() < WORTH_THREADS {
        w.chunks_mut(BLOCK).enumerate().for_each(of_block);
    } else {
        w.par_chunks_mut(BLOCK).enumerate().for_each(of_block);
    }
}

/// `V Y`: one vector for each column of coefficients.
pub(crate) fn combinations(basis: &[Vec<f64>], columns: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n = basis.first().map_or(0, Vec::len);
    columns
        .iter()
        .map(|column| {
            let mut out = vec![0.0; n];
            add_combination(&mut out, 1.0, basis, column);
            out
        })
        .collect()
}

/// Removes from `w` its part in the span of orthonormal vectors, twice, which is enough for
/// orthogonality to rounding (Giraud, Langou & Rozložník 2005). Returns the coefficients removed.
pub(crate) fn orthogonalise(w: &mut [f64], basis: &[Vec<f64>]) -> Vec<f64> {
    let mut h = coefficients(basis, w);
    add_combination(w, -1.0, basis, &h);
    let again = coefficients(basis, w);
    add_combination(w, -1.0, basis, &again);
    axpy(1.0, &again, &mut h);
    h
}
