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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{gaussian, generator};
    use rand_chacha::ChaCha8Rng;

    fn unit(n: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let mut v = gaussian(n, rng);
        let length = norm(&v);
        scale(&mut v, 1.0 / length);
        v
    }

    /// The largest entry of `VᵀV − I`.
    fn loss_of_orthogonality(basis: &[Vec<f64>]) -> f64 {
        let of = |i: usize, j: usize| {
            let expected = if i == j { 1.0 } else { 0.0 };
            (dot(&basis[i], &basis[j]) - expected).abs()
        };
        let pairs = (0..basis.len()).flat_map(|i| (0..=i).map(move |j| (i, j)));
        pairs.map(|(i, j)| of(i, j)).fold(0.0, f64::max)
    }

    /// As many Lanczos vectors as there are dimensions, with products that are wrong by `noise`. A space
    /// that has closed goes on from a random direction.
    fn whole_basis(diagonal: &[f64], noise: f64) -> Vec<Vec<f64>> {
        let n = diagonal.len();
        let mut rng = generator(1, 0);
        let mirror = unit(n, &mut rng);
        let reflect = |x: &mut [f64]| axpy(-2.0 * dot(&mirror, x), &mirror, x);
        let (mut basis, mut next, mut beta) = (Vec::new(), unit(n, &mut rng), 0.0);
        let mut largest = 0.0f64;
        loop {
            let mut w = next.clone();
            reflect(&mut w);
            w.iter_mut().zip(diagonal).for_each(|(w, d)| *w *= d);
            reflect(&mut w);
            axpy(noise, &unit(n, &mut rng), &mut w);
            largest = largest.max(norm(&w));
            basis.push(next);
            let mut coupling = vec![0.0; basis.len() - 1];
            if let Some(last) = coupling.last_mut() {
                *last = beta;
            }
            recurrence_row(&mut w, &basis, &coupling);
            beta = norm(&w);
            if beta <= 1e-16 * largest || basis.len() == n {
                beta = 0.0;
                match crate::random::unit_in_complement(n, &[&basis], &mut rng) {
                    Some(direction) => next = direction,
                    None => return basis,
                }
            } else {
                scale(&mut w, 1.0 / beta);
                next = w;
            }
        }
    }

    #[test]
    fn bases_are_orthonormal_to_rounding_whatever_the_spectrum() {
        let n = 200;
        type Spectrum = (&'static str, fn(f64) -> f64);
        let spectra: [Spectrum; 7] = [
            ("even", |i| i),
            ("graded", |i| 10f64.powf(-14.0 * i / 200.0)),
            ("graded below rounding", |i| 10f64.powf(-30.0 * i / 200.0)),
            ("clustered", |i| i % 5.0 + 1e-10 * i),
            ("repeated", |i| i % 7.0),
            ("one far out", |i| if i == 0.0 { 1e16 } else { i }),
            ("nearly one number", |i| 1.0 + 1e-14 * i),
        ];
        for (name, of) in spectra {
            let diagonal: Vec<f64> = (0..n).map(|i| of(f64::from(i))).collect();
            let largest = diagonal.iter().fold(0.0f64, |m, d| m.max(*d));
            for noise in [0.0, 1e-12, 1e-9, 1e-4] {
                let basis = whole_basis(&diagonal, noise * largest);
                let loss = loss_of_orthogonality(&basis);
                // 1.1e-15 is seen, with two passes everywhere as with one where it is enough: sums
                // of 200 products that round to 1e-16.
                assert!(loss <= 3e-15, "{name}, noise {noise:e}: {loss:e}");
            }
        }
    }

    /// Nearly all of a vector in the span: what one pass leaves is not orthogonal.
    #[test]
    fn what_nearly_cancels_is_orthogonalised_again() {
        let mut rng = generator(2, 0);
        let basis = whole_basis(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 0.0);
        let (last, basis) = basis.split_last().unwrap();
        for outside in [1.0, 1e-3, 1e-8, 1e-12] {
            let mut w = vec![0.0; 6];
            let inside = gaussian(5, &mut rng);
            add_combination(&mut w, 1.0, basis, &inside);
            axpy(outside, last, &mut w);
            let found = orthogonalise(&mut w, basis);
            let length = norm(&w);
            // A vector of length 2 is known to 1e-15.
            assert!((length - outside).abs() < 1e-15, "{outside:e}: {length:e}");
            for v in basis {
                assert!(dot(v, &w).abs() <= 1e-15 * length, "{outside:e}");
            }
            for (found, inside) in found.iter().zip(&inside) {
                assert!((found - inside).abs() < 3e-15);
            }
        }
    }

    /// Products that are not symmetric: H v has 0.25, −1 and 3 along the basis, where its mirror images
    /// are 0.5, −1 and 3.
    #[test]
    fn a_row_is_the_mean_of_coefficients_and_their_mirror_images() {
        let basis: Vec<Vec<f64>> = (0..3)
            .map(|i| (0..5).map(|j| f64::from(u8::from(i == j))).collect())
            .collect();
        let mut w = vec![0.25, -1.0, 3.0, 2.0, -4.0];
        let (row, apart) = recurrence_row(&mut w, &basis, &[0.5, -1.0]);
        assert_eq!((row, apart), (vec![0.375, -1.0, 3.0], 0.25));
        assert_eq!(w, [0.0, 0.0, 0.0, 2.0, -4.0]);
    }
}
