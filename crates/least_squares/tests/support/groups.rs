//! Tangents of every size, and the power series that exponentials and Jacobians are.

use std::f64::consts::PI;

use feasible_least_squares::groups::Matrix;

pub(crate) fn product<const R: usize, const K: usize, const C: usize>(
    a: &Matrix<f64, R, K>,
    b: &Matrix<f64, K, C>,
) -> Matrix<f64, R, C> {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..K).map(|k| a[i][k] * b[k][j]).sum()))
}

pub(crate) fn identity<const N: usize>() -> Matrix<f64, N, N> {
    std::array::from_fn(|i| std::array::from_fn(|j| if i == j { 1.0 } else { 0.0 }))
}

/// Σ_k a^k / (k + shift)! with its first `terms` terms.
pub(crate) fn series<const N: usize>(
    a: &Matrix<f64, N, N>,
    shift: usize,
    terms: usize,
) -> Matrix<f64, N, N> {
    let mut power = identity::<N>();
    let mut scale = (1..=shift).fold(1.0, |f, i| f / i as f64);
    let mut sum = [[0.0; N]; N];
    for k in 0..terms {
        for i in 0..N {
            for j in 0..N {
                sum[i][j] += scale * power[i][j];
            }
        }
        power = product(&power, a);
        scale /= (k + shift + 1) as f64;
    }
    sum
}

#[track_caller]
pub(crate) fn assert_close(got: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), expected.len());
    let scale = expected.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
    for (g, e) in got.iter().zip(expected) {
        assert!(
            (g - e).abs() <= tolerance * scale,
            "{what}: {got:?}\nagainst {expected:?}"
        );
    }
}

/// Rotation vectors of every size: zero, tiny, both sides of each branch, near a half turn, beyond it.
pub(crate) fn angles() -> Vec<f64> {
    vec![
        0.0,
        1e-300,
        1e-160,
        1e-12,
        1e-7,
        1e-4,
        1e-2,
        0.5,
        0.612,
        0.613,
        1.0,
        1.999_999,
        2.000_001,
        2.7,
        PI - 1e-3,
        PI - 1e-9,
    ]
}

/// Tangents with each of those angles, along several axes, and translations of several sizes.
pub(crate) fn tangents_3d() -> Vec<[f64; 6]> {
    let axes = [[1.0, 0.0, 0.0], [0.0, -0.6, 0.8], [0.48, 0.6, -0.64]];
    let translations = [[0.0; 3], [1.0, -2.0, 0.5], [1e-6, 30.0, -7.0]];
    let mut out = Vec::new();
    for angle in angles() {
        for a in axes {
            for t in translations {
                out.push([t[0], t[1], t[2], angle * a[0], angle * a[1], angle * a[2]]);
            }
        }
    }
    out
}

pub(crate) fn tangents_2d() -> Vec<[f64; 3]> {
    let mut out = Vec::new();
    for angle in angles() {
        for signed in [angle, -angle] {
            for t in [[0.0; 2], [1.0, -2.0], [30.0, 1e-6]] {
                out.push([t[0], t[1], signed]);
            }
        }
    }
    out
}

/// `ad(τ)`, whose power series gives `Ad(Exp τ)` and `J_l(τ)`.
pub(crate) fn ad_so2(_: &[f64; 1]) -> Matrix<f64, 1, 1> {
    [[0.0]]
}
pub(crate) fn ad_se2(t: &[f64; 3]) -> Matrix<f64, 3, 3> {
    [[0.0, -t[2], t[1]], [t[2], 0.0, -t[0]], [0.0; 3]]
}
pub(crate) fn skew(t: &[f64]) -> Matrix<f64, 3, 3> {
    [[0.0, -t[2], t[1]], [t[2], 0.0, -t[0]], [-t[1], t[0], 0.0]]
}
pub(crate) fn ad_so3(t: &[f64; 3]) -> Matrix<f64, 3, 3> {
    skew(t)
}
pub(crate) fn ad_se3(t: &[f64; 6]) -> Matrix<f64, 6, 6> {
    let (rho, theta) = (skew(&t[..3]), skew(&t[3..]));
    std::array::from_fn(|i| {
        std::array::from_fn(|j| match (i < 3, j < 3) {
            (true, true) => theta[i][j],
            (true, false) => rho[i][j - 3],
            (false, true) => 0.0,
            (false, false) => theta[i - 3][j - 3],
        })
    })
}

/// The matrix of `τ^` in homogeneous coordinates; its exponential is the matrix of `Exp τ`.
pub(crate) fn hat_se2(t: &[f64; 3]) -> Matrix<f64, 3, 3> {
    [[0.0, -t[2], t[0]], [t[2], 0.0, t[1]], [0.0; 3]]
}
pub(crate) fn hat_se3(t: &[f64; 6]) -> Matrix<f64, 4, 4> {
    let r = skew(&t[3..]);
    [
        [r[0][0], r[0][1], r[0][2], t[0]],
        [r[1][0], r[1][1], r[1][2], t[1]],
        [r[2][0], r[2][1], r[2][2], t[2]],
        [0.0; 4],
    ]
}
