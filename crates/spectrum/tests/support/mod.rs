//! Matrices with known spectra.

#![allow(dead_code)] // Each test binary uses its share.

use faer::{Mat, Side};
use feasible_spectrum::{DenseMatrix, Eigenpairs, Operator, PairStatus};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

pub(crate) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub(crate) fn gaussian(n: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..n).map(|_| StandardNormal.sample(rng)).collect()
}

/// `Q diag(values) Qᵀ` with Q a product of `n` random reflections.
pub(crate) fn with_spectrum(values: &[f64], seed: u64) -> DenseMatrix {
    let n = values.len();
    let mut rng = rng(seed);
    let mut a = Mat::from_fn(n, n, |i, j| if i == j { values[i] } else { 0.0 });
    for _ in 0..n.min(40) {
        let v = gaussian(n, &mut rng);
        let square: f64 = v.iter().map(|x| x * x).sum();
        let h = Mat::from_fn(n, n, |i, j| {
            f64::from(u8::from(i == j)) - 2.0 * v[i] * v[j] / square
        });
        a = &h * &a * &h;
    }
    let mut matrix = DenseMatrix::new(n, row_major(&a)).unwrap();
    matrix.symmetrise();
    matrix
}

fn row_major(a: &Mat<f64>) -> Vec<f64> {
    let n = a.nrows();
    (0..n * n).map(|k| a[(k / n, k % n)]).collect()
}

/// Ascending eigenvalues by faer's dense decomposition.
pub(crate) fn dense_eigenvalues(matrix: &DenseMatrix) -> Vec<f64> {
    let n = matrix.n();
    let mat = Mat::from_fn(n, n, |i, j| matrix.data()[i * n + j]);
    mat.self_adjoint_eigenvalues(Side::Lower).unwrap()
}

pub(crate) fn norm(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Checks what every result promises: unit, orthogonal vectors and residuals that are true.
pub(crate) fn assert_honest(operator: &mut dyn Operator, found: &Eigenpairs) {
    let n = operator.dim();
    for (i, pair) in found.pairs.iter().enumerate() {
        let v = found.vector(i);
        assert!(
            (norm(v) - 1.0).abs() < 1e-12,
            "vector {i} has norm {}",
            norm(v)
        );
        for j in 0..i {
            let inner: f64 = v.iter().zip(found.vector(j)).map(|(a, b)| a * b).sum();
            // Vectors of one run are orthogonal to rounding; those of a later run are
            // orthogonalised against the earlier twice.
            assert!(inner.abs() < 1e-11, "vectors {i} and {j}: {inner:e}");
        }
        let mut product = vec![0.0; n];
        operator.apply(v, &mut product).unwrap();
        let difference: Vec<f64> = product
            .iter()
            .zip(v)
            .map(|(p, x)| p - pair.value * x)
            .collect();
        let true_residual = norm(&difference);
        let rounding = 1e-14 * found.norm.max(1e-300);
        assert!(
            (true_residual - pair.residual).abs() <= 0.01 * pair.residual + rounding,
            "pair {i}: residual {:e} is {true_residual:e}",
            pair.residual
        );
    }
    let converged = found
        .pairs
        .iter()
        .all(|p| p.status == PairStatus::Converged);
    assert!(converged || !found.all_converged());
}

/// Equally spaced numbers.
pub(crate) fn spread(n: usize, low: f64, high: f64) -> Vec<f64> {
    let step = (high - low) / (n - 1) as f64;
    (0..n).map(|i| low + step * i as f64).collect()
}
