//! Similarity of runs and the shape of trajectories.

use std::f64::consts::TAU;

use feasible_landscape::{barrier, classical_mds, linear_cka, trajectory_statistics};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

fn gaussian(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count)
        .map(|_| StandardNormal.sample(&mut rng))
        .collect()
}

fn cka(samples: usize, x: &[f64], y: &[f64]) -> f64 {
    linear_cka(samples, x, y).unwrap().unwrap()
}

#[test]
fn cka_is_one_up_to_rotation_scale_and_shift() {
    let x = gaussian(60 * 2, 1);
    // Rotated by 0.7, scaled, shifted, and a third output that does not vary.
    let y: Vec<f64> = x
        .chunks_exact(2)
        .flat_map(|p| {
            let (c, s) = (0.7f64.cos(), 0.7f64.sin());
            [
                3.0 * (c * p[0] - s * p[1]) + 100.0,
                3.0 * (s * p[0] + c * p[1]) - 7.0,
                5.0,
            ]
        })
        .collect();
    assert!((cka(60, &x, &x) - 1.0).abs() < 1e-14);
    assert!((cka(60, &x, &y) - 1.0).abs() < 1e-12);
    assert!((cka(60, &x, &y) - cka(60, &y, &x)).abs() < 1e-15);
}

#[test]
fn cka_of_known_outputs() {
    // Orthogonal centred columns: of x one, of y that one and another of the same length.
    let x = [1.0, -1.0, 1.0, -1.0];
    let y = [1.0, 1.0, -1.0, 1.0, 1.0, -1.0, -1.0, -1.0];
    // ‖YᵀX‖² = 16, ‖XᵀX‖ = 4, ‖YᵀY‖ = √(16 + 16): 16/(4 · √32) = 1/√2.
    assert!((cka(4, &x, &y) - 0.5f64.sqrt()).abs() < 1e-14);
    let orthogonal = [1.0, 1.0, -1.0, -1.0];
    assert!(cka(4, &x, &orthogonal).abs() < 1e-15);
    // More outputs than samples goes by rows: the same number as by columns, which zeros pad.
    let x = gaussian(6 * 3, 2);
    let y = gaussian(6 * 3, 3);
    let pad = |x: &[f64]| {
        x.chunks(3)
            .flat_map(|r| [r, &[0.0; 9]].concat())
            .collect::<Vec<_>>()
    };
    assert!((cka(6, &pad(&x), &pad(&y)) - cka(6, &x, &y)).abs() < 1e-13);
    // Numbers of any size.
    let huge: Vec<f64> = x.iter().map(|v| v * 1e200).collect();
    assert!((cka(6, &huge, &y) - cka(6, &x, &y)).abs() < 1e-13);
}

#[test]
fn cka_is_undefined_without_variation() {
    assert_eq!(linear_cka(3, &[0.1; 3], &[1.0, 2.0, 3.0]).unwrap(), None);
    assert_eq!(linear_cka(1, &[1.0], &[2.0]).unwrap(), None);
    assert!(linear_cka(0, &[], &[]).is_err());
    assert!(linear_cka(2, &[1.0; 3], &[1.0; 2]).is_err());
    assert!(linear_cka(2, &[], &[1.0; 2]).is_err());
    assert!(linear_cka(2, &[1.0, f64::NAN], &[1.0; 2]).is_err());
}

#[test]
fn barriers_of_known_paths() {
    let positions: Vec<f64> = (0..=100).map(|i| f64::from(i) / 100.0).collect();
    let on = |f: &dyn Fn(f64) -> f64| {
        let losses: Vec<f64> = positions.iter().map(|&a| f(a)).collect();
        barrier(&positions, &losses).unwrap()
    };
    let hump = on(&|a| 1.0 + a + 4.0 * a * (1.0 - a)).unwrap();
    assert!(
        (hump.height - 1.0).abs() < 1e-14 && hump.at == 0.5,
        "{hump:?}"
    );
    // 1 + 5a − 4a² is highest at 5/8, between two positions: 2.5624, less the mean 1.5.
    assert!((hump.above_mean - 1.0624).abs() < 1e-12, "{hump:?}");
    let valley = on(&|a| (a - 0.5) * (a - 0.5)).unwrap();
    assert_eq!((valley.height, valley.at), (0.0, 0.0));
    assert_eq!(on(&|a| if a == 0.5 { f64::NAN } else { a }), None);
    assert_eq!(on(&|a| if a == 1.0 { f64::INFINITY } else { a }), None);
    assert!(barrier(&[], &[]).is_err());
    assert!(barrier(&[0.0, 1.0], &[1.0]).is_err());
    for bad in [[0.0, 0.5], [0.1, 1.0], [1.0, 0.0], [0.0, f64::NAN]] {
        assert!(barrier(&bad, &[0.0, 0.0]).is_err());
    }
}

#[test]
fn positions_reproduce_the_distances_of_points() {
    let points = gaussian(8 * 2, 4);
    let distance = |p: &[f64], i: usize, j: usize, d: usize| {
        (0..d)
            .map(|k| (p[i * d + k] - p[j * d + k]).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    let all = |p: &[f64], d: usize| {
        (0..64)
            .map(|k| distance(p, k / 8, k % 8, d))
            .collect::<Vec<f64>>()
    };
    let given = all(&points, 2);
    for dimensions in [2, 3, 9] {
        let found = classical_mds(8, &given, dimensions).unwrap();
        for (x, y) in all(&found.coordinates, dimensions).iter().zip(&given) {
            // Eigenvalues of rounding, 1e-16, have square roots of 1e-8.
            assert!((x - y).abs() < 1e-7, "{x} {y}");
        }
        assert!((found.explained[..2].iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(found.negative < 1e-12);
    }
    // Three points at distance 1 and a fourth at ½ of all: no points have these distances.
    let mut impossible = vec![1.0; 16];
    for i in 0..4 {
        impossible[i * 4 + i] = 0.0;
        if i < 3 {
            (impossible[i * 4 + 3], impossible[12 + i]) = (0.5, 0.5);
        }
    }
    assert!(classical_mds(4, &impossible, 2).unwrap().negative > 0.01);
    let same = classical_mds(3, &[0.0; 9], 2).unwrap();
    assert!(same.coordinates.iter().all(|c| *c == 0.0) && same.explained[0].is_nan());
    assert!(classical_mds(0, &[], 2).unwrap().coordinates.is_empty());
    assert!(classical_mds(2, &[0.0, 1.0, 2.0, 0.0], 2).is_err());
    assert!(classical_mds(2, &[0.0, -1.0, -1.0, 0.0], 2).is_err());
    assert!(classical_mds(2, &[1.0, 1.0, 1.0, 1.0], 2).is_err());
    assert!(classical_mds(2, &[0.0; 4], 0).is_err());
}

#[test]
fn a_straight_path() {
    let points: Vec<Vec<f64>> = (0..41)
        .map(|i| vec![3.0 * f64::from(i), 4.0 * f64::from(i), 1.0])
        .collect();
    let found = trajectory_statistics(&points).unwrap();
    assert!((found.path_length - 200.0).abs() < 1e-10);
    assert!((found.displacement - 200.0).abs() < 1e-10);
    let near = |found: Option<f64>, value: f64| (found.unwrap() - value).abs() < 1e-10;
    assert!(near(found.straightness, 1.0) && near(found.mean_cosine, 1.0));
    assert!(
        near(found.diffusion_exponent, 2.0) && near(found.dimensions, 1.0),
        "{found:?}"
    );
}

#[test]
fn a_circle() {
    let turn = TAU / 60.0;
    let points: Vec<Vec<f64>> = (0..=60)
        .map(|i| vec![(turn * f64::from(i)).cos(), (turn * f64::from(i)).sin()])
        .collect();
    let found = trajectory_statistics(&points).unwrap();
    let near = |found: f64, value: f64| (found - value).abs() < 1e-12;
    assert!(near(found.path_length, 60.0 * 2.0 * (turn / 2.0).sin()));
    assert!(found.straightness.unwrap() < 1e-12);
    assert!(near(found.mean_cosine.unwrap(), turn.cos()));
    // All but the last, which is the first again, fill two dimensions evenly.
    let open = trajectory_statistics(&points[..60]).unwrap();
    assert!(near(open.dimensions.unwrap(), 2.0), "{open:?}");
}

#[test]
fn a_random_walk() {
    let (steps, n) = (800, 300);
    let draws = gaussian(steps * n, 5);
    let mut points = vec![vec![0.0; n]];
    for step in draws.chunks_exact(n) {
        let last = &points[points.len() - 1];
        points.push(last.iter().zip(step).map(|(x, d)| x + d).collect());
    }
    let found = trajectory_statistics(&points).unwrap();
    // In 300 dimensions a squared length varies by √(2/300) = 8 % at most.
    let straight = found.straightness.unwrap() * (steps as f64).sqrt();
    assert!((straight - 1.0).abs() < 0.1, "{straight}");
    // The mean of 799 cosines of standard deviation 1/√300.
    assert!(found.mean_cosine.unwrap().abs() < 4.0 / (300.0f64 * 799.0).sqrt());
    let exponent = found.diffusion_exponent.unwrap();
    assert!((exponent - 1.0).abs() < 0.05, "{exponent}");
    // Variances of a long walk in many dimensions fall like 1/k²: (Σ1/k²)²/Σ1/k⁴ = (π²/6)²/(π⁴/90) = 2.5
    // (Antognini & Sohl-Dickstein 2018).
    let dimensions = found.dimensions.unwrap();
    assert!((dimensions - 2.5).abs() < 0.25, "{dimensions}");
}

#[test]
fn what_does_not_move_has_no_shape() {
    let still = trajectory_statistics(&vec![vec![1.5, -2.0]; 10]).unwrap();
    assert_eq!((still.path_length, still.displacement), (0.0, 0.0));
    assert_eq!((still.straightness, still.mean_cosine), (None, None));
    assert_eq!((still.diffusion_exponent, still.dimensions), (None, None));
    let one = trajectory_statistics(&[vec![1.0]]).unwrap();
    assert_eq!(one.straightness, None);
    assert!(trajectory_statistics(&[]).is_err());
    assert!(trajectory_statistics(&[vec![1.0], vec![1.0, 2.0]]).is_err());
    assert!(trajectory_statistics(&[vec![f64::NAN]]).is_err());
}
