//! DC3's random problems, simple and non-convex.
//!
//! Donti, Rolnick & Kolter, "DC3: A learning method for optimization with hard constraints", ICLR 2021;
//! `datasets/simple/make_dataset.py` and `datasets/nonconvex/make_dataset.py` of locuslab/DC3.
//! Both files draw the same numbers after `np.random.seed(17)`; only the objective differs. In order:
//!
//! | array | draw | shape |
//! |---|---|---|
//! | `Q` | diagonal of U[0, 1) | `[n, n]` |
//! | `p` | U[0, 1) | `[n]` |
//! | `A` | N(0, 1) | `[eq, n]` |
//! | `X` | U[-1, 1) | `[samples, eq]` |
//! | `G` | N(0, 1) | `[ineq, n]` |
//! | `h` | `Σ_j ∣(G A⁺)_ij∣` | `[ineq]` |
//!
//! `y = A⁺x` satisfies `Gy ≤ h` because `∣x∣ ≤ 1`, so every sample is feasible.

use super::pseudo_inverse::{product, pseudo_inverse};
use super::{Error, Parts, Size};
use crate::numpy_random::LegacyRandom;

/// `np.random.seed(17)`.
pub(super) const SEED: u32 = 17;

pub(super) fn draw(size: &Size, random: &mut LegacyRandom) -> Result<Parts, Error> {
    let Size {
        n,
        eq,
        ineq: m,
        samples,
    } = *size;
    let q = random.rand_vec(n);
    let p = random.rand_vec(n);
    let equality = random.randn_vec(eq * n);
    let x = random.uniform_vec(-1.0, 1.0, samples * eq);
    let ineq = random.randn_vec(m * n);
    let upper = absolute_row_sums(&ineq, &equality, size)?;
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

/// `Σ_j |(G A⁺)_ij|`: the largest value of row `i` of `G A⁺x` over the box `|x| ≤ 1`.
pub(crate) fn absolute_row_sums(
    ineq: &[f64],
    equality: &[f64],
    size: &Size,
) -> Result<Vec<f64>, Error> {
    let inverse = pseudo_inverse(equality, size.eq, size.n)?;
    let rows = product(ineq, &inverse, size.ineq, size.n, size.eq);
    Ok(rows
        .chunks_exact(size.eq)
        .map(|row| row.iter().map(|v| v.abs()).sum())
        .collect())
}
