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
use faer::Mat;

/// `np.random.seed(17)`.
pub(super) const SEED: u32 = 17;

pub(super) fn draw(size: &Size, random: &mut LegacyRandom) -> Result<Parts, Error> {
    let mut parts = draw_arrays(size, random);
    parts.upper = absolute_row_sums(&parts.ineq, &parts.equality, size)?;
    Ok(parts)
}

/// Everything that is drawn; `upper` is left empty.
fn draw_arrays(size: &Size, random: &mut LegacyRandom) -> Parts {
    let Size {
        n,
        eq,
        ineq: m,
        samples,
    } = *size;
    // Fields are evaluated in the order written, which is the order of the draws.
    Parts {
        q: random.rand_vec(n),
        p: random.rand_vec(n),
        equality: random.randn_vec(eq * n),
        x: random.uniform_vec(-1.0, 1.0, samples * eq),
        ineq: random.randn_vec(m * n),
        ineq_diagonals: None,
        upper: Vec::new(),
    }
}

/// Least `|det|` of the completion's matrix that DC3 accepts.
const LEAST_DETERMINANT: f64 = 1e-4;
/// Choices DC3 tries before it gives up.
const MOST_CHOICES: usize = 100;

/// The `n - eq` variables that DC3's network predicts, in the order drawn; the others follow from the
/// equalities.
///
/// DC3 draws them right after the data, with `np.random.choice(n, n - eq, replace=False)`, again until the
/// remaining columns of the equality rows have `|det| ≥ 1e-4`, and keeps them in its published files
/// (`SimpleProblem.__init__` in its `utils.py`). The published size and seed give the published choice.
///
/// # Errors
/// [`Error::Size`]; [`Error::Value`] where 100 choices fail, as DC3 does.
///
/// # Cost
/// The draws of the whole instance, and a determinant of size `eq` per choice.
pub fn dc3_partial_variables(size: &Size, seed: u32) -> Result<Vec<usize>, Error> {
    size.validate()?;
    let mut random = LegacyRandom::new(seed);
    let equality = draw_arrays(size, &mut random).equality;
    let n = u32::try_from(size.n).map_err(|_| Error::Size {
        what: "n",
        got: size.n,
        need: "less than 2³²".into(),
    })?;
    for _ in 0..MOST_CHOICES {
        let order = random.permutation(n);
        let (partial, other) = order.split_at(size.n - size.eq);
        let mut other = other.to_vec();
        other.sort_unstable();
        let square = Mat::from_fn(size.eq, size.eq, |i, j| equality[i * size.n + other[j]]);
        if square.determinant().abs() >= LEAST_DETERMINANT {
            return Ok(partial.to_vec());
        }
    }
    Err(Error::Value {
        argument: "equality",
        problem: format!(
            "{MOST_CHOICES} choices of {} columns all have a determinant under {LEAST_DETERMINANT}",
            size.eq
        ),
    })
}

/// `Σ_j |(G A⁺)_ij|`: the largest value of row `i` of `G A⁺x` over the box `|x| ≤ 1`.
pub(super) fn absolute_row_sums(
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
