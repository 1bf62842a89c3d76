use super::*;
use crate::testing::{normal, rng};

fn linear(rows: usize, variables: usize, jacobian: &[f64], residual: &[f64]) -> Arc<Linear> {
    Arc::new(Linear {
        rows,
        variables,
        jacobian: jacobian.to_vec().into(),
        residual: residual.to_vec().into(),
    })
}

fn random(seed: u64, batch: usize, m: usize, n: usize) -> Arc<Linear> {
    let mut rng = rng(seed);
    let jacobian = normal(&mut rng, batch * m * n);
    linear(m, n, &jacobian, &normal(&mut rng, batch * m))
}

/// The step solves its optimality condition Bᵀ(s − BΔ) = λΔ.
fn stationarity_error(linear: &Linear, steps: &Steps, damping: f64) -> f64 {
    let n = linear.variables;
    let mut worst: f64 = 0.0;
    for b in 0..linear.batch() {
        let delta = &steps.delta[b * n..][..n];
        let mut gradient: Vec<f64> = delta.iter().map(|d| -damping * d).collect();
        for (row, s) in linear
            .jacobian_of(b)
            .chunks_exact(n)
            .zip(linear.residual_of(b))
        {
            let left = s - row.iter().zip(delta).map(|(b, d)| b * d).sum::<f64>();
            gradient
                .iter_mut()
                .zip(row)
                .for_each(|(g, b)| *g += b * left);
        }
        worst = gradient.iter().fold(worst, |a, g| a.max(g.abs()));
    }
    worst
}

#[test]
fn steps_are_stationary_in_both_forms() {
    for (m, n) in [(1, 1), (3, 5), (5, 5), (7, 4), (20, 30)] {
        for damping in [0.0, 1e-2, 10.0] {
            let linear = random(m as u64, 4, m, n);
            let steps = linear.steps(&[damping; 4], &[true; 4]);
            // Square Gaussian matrices of this size have condition numbers below 1e3; squared,
            // times rounding 1e-16, times entries of order 10.
            assert!(
                stationarity_error(&linear, &steps, damping) < 1e-8,
                "{m} rows, {n} variables, damping {damping}"
            );
        }
    }
}

#[test]
fn undamped_steps_with_few_rows_are_the_shortest_solutions() {
    let linear = linear(1, 2, &[3.0, 4.0], &[25.0]);
    let steps = linear.steps(&[0.0], &[true]);
    assert!(
        (steps.delta[0] - 3.0).abs() < 1e-14 && (steps.delta[1] - 4.0).abs() < 1e-14,
        "{:?}",
        steps.delta
    );
}

#[test]
fn undamped_steps_with_many_rows_are_least_squares() {
    // Rows ±y_i, of which one asks for 2: BᵀB = 2I.
    let jacobian = [1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, -1.0];
    let linear = linear(4, 2, &jacobian, &[2.0, 0.0, 0.0, 0.0]);
    let delta = linear.steps(&[0.0], &[true]).delta;
    assert!(
        (delta[0] - 1.0).abs() < 1e-15 && delta[1] == 0.0,
        "{delta:?}"
    );
}

#[test]
fn a_pivot_is_compared_with_its_own_row_and_damping() {
    let solved = |jacobian: [f64; 4], damping: f64| {
        let linear = linear(2, 2, &jacobian, &[1.0, 2.0]);
        linear.steps(&[damping], &[true]).solved(0)
    };
    for damping in [0.0, 1e-2] {
        assert!(
            solved([2e7, 0.0, 0.0, 1.0], damping),
            "rows of different size"
        );
    }
    // The same row twice: damping keeps them apart while it is more than rounding.
    assert!(solved([1.0, 1.0, 1.0, 1.0], 1e-2));
    assert!(!solved([1.0, 1.0, 1.0, 1.0], 0.0));
    assert!(!solved([1e8, 1e8, 1e8, 1e8], 1e-2));
}

#[test]
fn rows_of_zeros_change_nothing() {
    let few = random(3, 1, 2, 4);
    let mut jacobian = vec![0.0; 4 * 4];
    jacobian[4..12].copy_from_slice(&few.jacobian);
    let residual = [0.0, few.residual[0], few.residual[1], 0.0];
    let many = linear(4, 4, &jacobian, &residual);
    for damping in [0.0, 0.1] {
        let (a, b) = (
            few.steps(&[damping], &[true]),
            many.steps(&[damping], &[true]),
        );
        assert_eq!(a.delta, b.delta);
        let (a, b) = (a.into_adjoint(), b.into_adjoint());
        let (a, b) = (a.vjp(&[1.0, -2.0, 0.5, 3.0]), b.vjp(&[1.0, -2.0, 0.5, 3.0]));
        assert_eq!(a[0], b[0][4..12]);
        assert_eq!(a[1], b[1][1..3]);
        assert!(b[0][..4].iter().chain(&b[0][12..]).all(|v| *v == 0.0));
    }
}

#[test]
fn singular_and_overflowing_samples_are_left_out_alone() {
    let good = random(5, 3, 2, 3);
    let clean = good.steps(&[0.0; 3], &[true; 3]);
    // Sample 0: its rows are multiples; sample 2: squares overflow.
    let mut jacobian = good.jacobian.to_vec();
    let first: Vec<f64> = jacobian[..3].iter().map(|b| 3.0 * b).collect();
    jacobian[3..6].copy_from_slice(&first);
    jacobian[12] = 1e200;
    let linear = linear(2, 3, &jacobian, &good.residual);
    let steps = linear.steps(&[0.0; 3], &[true; 3]);
    assert_eq!(
        [steps.solved(0), steps.solved(1), steps.solved(2)],
        [false, true, false]
    );
    assert_eq!(steps.delta[..3], [0.0; 3]);
    assert_eq!(steps.delta[3..6], clean.delta[3..6]);
    let gradients = steps.into_adjoint().vjp(&[1.0; 9]);
    assert!(
        gradients[0]
            .iter()
            .chain(&gradients[1])
            .all(|v| v.is_finite())
    );
    assert!(gradients[0][..6].iter().all(|v| *v == 0.0));
}

#[test]
fn adjoints_agree_with_central_differences_in_both_forms() {
    for (m, n) in [(1, 1), (2, 5), (4, 4), (6, 3)] {
        for damping in [0.0, 0.3] {
            let at = random(40 + m as u64, 3, m, n);
            let cotangent = normal(&mut rng(1), 3 * n);
            let value = |jacobian: &[f64], residual: &[f64]| -> f64 {
                let steps = linear(m, n, jacobian, residual).steps(&[damping; 3], &[true; 3]);
                steps.delta.iter().zip(&cotangent).map(|(d, c)| d * c).sum()
            };
            let gradients = at
                .steps(&[damping; 3], &[true; 3])
                .into_adjoint()
                .vjp(&cotangent);
            let difference = |which: usize, entry: usize, step: f64| {
                let (mut jacobian, mut residual) = (at.jacobian.to_vec(), at.residual.to_vec());
                if which == 0 {
                    jacobian[entry] += step
                } else {
                    residual[entry] += step
                }
                value(&jacobian, &residual)
            };
            for which in 0..2 {
                let largest = gradients[which]
                    .iter()
                    .fold(1.0, |a: f64, v| a.max(v.abs()));
                for (entry, exact) in gradients[which].iter().enumerate() {
                    // Fourth order, step 1e-3 times the sensitivity: ill-conditioned samples have
                    // large higher derivatives.
                    let h = 1e-3 / largest;
                    let d =
                        |k: f64| difference(which, entry, k * h) - difference(which, entry, -k * h);
                    let quotient = (8.0 * d(1.0) - d(2.0)) / (12.0 * h);
                    let error = (exact - quotient).abs() / largest;
                    assert!(
                        error < 1e-7,
                        "{m}×{n}, damping {damping}, input {which}, entry {entry}: {exact} {quotient}"
                    );
                }
            }
        }
    }
}
