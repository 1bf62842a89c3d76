//! SnareNet's `noncvx` problem.
//!
//! Chu, Boukas & Udell, "SnareNet", arXiv 2602.09317; `datasets/noncvx/generate_dataset.py` of
//! miniyachi/SnareNet. After `np.random.seed(2025)`, in order:
//!
//! | array | draw | shape | here |
//! |---|---|---|---|
//! | `Q` | diagonal of U[0, 1) | `[n, n]` | `q` |
//! | `p` | U[0, 1) | `[n]` | `p` |
//! | `A` | N(0, 1) | `[ineq, n]` | `ineq` |
//! | `C` | N(0, 1) | `[eq, n]` | `equality` |
//! | `b` | `Σ_j ∣(A C⁺)_ij∣` | `[ineq]` | `upper` |
//! | `X` | U[-1, 1) | `[samples, eq]` | `x` |
//!
//! The letters differ from DC3's (`A` holds the inequalities), and so does the order of the draws: the same
//! seed gives another instance. HardNet (Min & Azizan, arXiv 2410.10807) draws in this order with seed 17.

use super::dc3::absolute_row_sums;
use super::{Error, Parts, Size};
use crate::numpy_random::LegacyRandom;

/// `seed: 2025` in `configs/dataset/noncvx.yaml`.
pub(super) const SEED: u32 = 2025;

pub(super) fn draw(size: &Size, random: &mut LegacyRandom) -> Result<Parts, Error> {
    let Size {
        n,
        eq,
        ineq: m,
        samples,
    } = *size;
    let q = random.rand_vec(n);
    let p = random.rand_vec(n);
    let ineq = random.randn_vec(m * n);
    let equality = random.randn_vec(eq * n);
    let upper = absolute_row_sums(&ineq, &equality, size)?;
    let x = random.uniform_vec(-1.0, 1.0, samples * eq);
    Ok(Parts {
        q,
        p,
        equality,
        x,
        ineq,
        ineq_diagonals: None,
        upper,
    })
}
