//! Seeded random vectors.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::vectors::{norm, orthogonalise, scale};

/// A generator for one stream of one seed: streams do not overlap.
pub(crate) fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

pub(crate) fn gaussian(n: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..n).map(|_| StandardNormal.sample(rng)).collect()
}

/// Independent signs with equal odds.
pub(crate) fn rademacher(n: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    use rand::Rng;
    let mut out = Vec::with_capacity(n);
    while out.len() < n {
        let bits = rng.next_u64();
        let take = (n - out.len()).min(64);
        out.extend((0..take).map(|k| if bits >> k & 1 == 1 { 1.0 } else { -1.0 }));
    }
    out
}

/// Uniform on the unit sphere of the complement of the orthonormal sets; `None` when they leave
/// nothing.
pub(crate) fn unit_in_complement(
    n: usize,
    sets: &[&[Vec<f64>]],
    rng: &mut ChaCha8Rng,
) -> Option<Vec<f64>> {
    if sets.iter().map(|s| s.len()).sum::<usize>() >= n {
        return None;
    }
    // A draw falls into the span by rounding only when the complement is small; the second draw
    // then nearly always has a part outside.
    for _ in 0..8 {
        let mut v = gaussian(n, rng);
        let before = norm(&v);
        for _ in 0..2 {
            for set in sets {
                orthogonalise(&mut v, set);
            }
        }
        let after = norm(&v);
        if after > 1e-10 * before {
            scale(&mut v, 1.0 / after);
            // Dividing by a small norm magnifies what rounding left.
            for set in sets {
                orthogonalise(&mut v, set);
            }
            let length = norm(&v);
            scale(&mut v, 1.0 / length);
            return Some(v);
        }
    }
    None
}
