//! SnareNet's `cvx_qcqp` problem: convex quadratic rows.
//!
//! Chu, Boukas & Udell, "SnareNet", arXiv 2602.09317; `datasets/cvx_qcqp/generate_dataset.py` of
//! miniyachi/SnareNet. After `np.random.seed(2025)`, in order:
//!
//! | array | draw | shape |
//! |---|---|---|
//! | `Q` | diagonal of ½ U[0, 1) | `[n, n]` |
//! | `p` | U[-1, 1) | `[n]` |
//! | `A` | U[-1, 1) | `[eq, n]` |
//! | `X` | U[-½, ½) | `[samples, eq]` |
//! | `G` | U[-1, 1) | `[ineq, n]` |
//! | `H_i` | diagonal of U[0, 0.1) | `[ineq, n, n]` |
//! | `h` | `‖(A⁺)ᵀH_i A⁺‖₂ R² + ‖G_i A⁺‖₂ R + 0.1` | `[ineq]` |
//!
//! with `R` the largest `‖x‖₂` over all samples. The rows are `yᵀH_i y + G_i y ≤ h_i` (no ½), and `y = A⁺x`
//! satisfies them with at least 0.1 to spare.

use super::pseudo_inverse::{product, pseudo_inverse};
use super::{Error, Parts, Size};
use crate::numpy_random::LegacyRandom;
use faer::Mat;

/// `seed: 2025` in `configs/dataset/cvx_qcqp.yaml`.
pub(super) const SEED: u32 = 2025;
/// What the published bound leaves at `A⁺x`.
const MARGIN: f64 = 0.1;

pub(super) fn draw(size: &Size, random: &mut LegacyRandom) -> Result<Parts, Error> {
    let Size {
        n,
        eq,
        ineq: m,
        samples,
    } = *size;
    let q = random.rand_vec(n).into_iter().map(|v| v * 0.5).collect();
    let p = random.uniform_vec(-1.0, 1.0, n);
    let equality = random.uniform_vec(-1.0, 1.0, eq * n);
    let x = random.uniform_vec(-0.5, 0.5, samples * eq);
    let ineq = random.uniform_vec(-1.0, 1.0, m * n);
    let diagonals = random.uniform_vec(0.0, 0.1, m * n);
    let upper = bounds(&equality, &x, &ineq, &diagonals, size)?;
    Ok(Parts {
        q,
        p,
        equality,
        x,
        ineq,
        ineq_diagonals: Some(diagonals),
        upper,
    })
}

fn bounds(
    equality: &[f64],
    x: &[f64],
    ineq: &[f64],
    diagonals: &[f64],
    size: &Size,
) -> Result<Vec<f64>, Error> {
    let (n, eq) = (size.n, size.eq);
    let inverse = pseudo_inverse(equality, eq, n)?;
    let linear = product(ineq, &inverse, size.ineq, n, eq);
    let radius = x.chunks_exact(eq).map(norm).fold(0.0, f64::max);
    diagonals
        .chunks_exact(n)
        .zip(linear.chunks_exact(eq))
        .map(|(diagonal, row)| {
            Ok(spectral_norm(&inverse, diagonal, eq)? * (radius * radius)
                + norm(row) * radius
                + MARGIN)
        })
        .collect()
}

fn norm(v: &[f64]) -> f64 {
    v.iter().map(|e| e * e).sum::<f64>().sqrt()
}

/// `‖(A⁺)ᵀ diag(d) A⁺‖₂`: the largest singular value of that `[eq, eq]` matrix.
fn spectral_norm(inverse: &[f64], diagonal: &[f64], eq: usize) -> Result<f64, Error> {
    let n = diagonal.len();
    let right = Mat::from_fn(n, eq, |v, a| inverse[v * eq + a]);
    let left = Mat::from_fn(n, eq, |v, a| diagonal[v] * inverse[v * eq + a]);
    let sigma =
        (left.transpose() * &right)
            .singular_values()
            .map_err(|_| Error::Decomposition {
                matrix: "a quadratic row",
            })?;
    Ok(sigma.into_iter().fold(0.0, f64::max))
}
