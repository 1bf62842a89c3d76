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

/// Problems with as many variables are solved one by one, whatever their rows; smaller ones by rows eight at a time.
const WIDE: usize = 600;

/// Sizes of every form: eight at a time, one by rows, one by variables.
fn sizes() -> Vec<(usize, usize)> {
    let small = vec![(1, 1), (2, 5), (3, 5), (4, 4), (10, 20)];
    let by_rows = vec![(1, WIDE), (9, 60), (33, 34)];
    let by_variables = vec![(2, 1), (6, 3), (7, 4), (40, 33)];
    assert!(small.iter().all(|&(m, n)| Eight::takes(m, n)));
    let one = by_rows.iter().chain(&by_variables);
    assert!(one.clone().all(|&(m, n)| !Eight::takes(m, n)));
    [small, by_rows, by_variables].concat()
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
fn steps_are_stationary_in_every_form() {
    for (m, n) in sizes().into_iter().chain([(5, 5), (20, 30)]) {
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
    // Alone with variables that no row has, and eight at a time without them.
    let solved = |rows: [f64; 4], residual: [f64; 2], damping: f64| {
        let [narrow, wide] = [2, WIDE].map(|n| {
            let mut jacobian = vec![0.0; 2 * n];
            jacobian[..2].copy_from_slice(&rows[..2]);
            jacobian[n..n + 2].copy_from_slice(&rows[2..]);
            let linear = linear(2, n, &jacobian, &residual);
            linear.steps(&[damping], &[true]).solved(0)
        });
        assert_eq!(narrow, wide, "{rows:?}, {damping}");
        narrow
    };
    for damping in [0.0, 1e-2] {
        assert!(
            solved([2e7, 0.0, 0.0, 1.0], [1.0, 2.0], damping),
            "rows of different size"
        );
    }
    // The same row twice: damping keeps them apart while it is more than rounding.
    assert!(solved([1.0; 4], [1.0, 2.0], 1e-2));
    assert!(!solved([1.0; 4], [1.0, 2.0], 0.0));
    assert!(!solved([1e8; 4], [1.0, 2.0], 1e-2));
    // A row of zeros takes no part; with a residual it does, and one whose squares are zero as well.
    assert!(solved([0.0, 0.0, 0.0, 1.0], [0.0, 1.0], 0.0));
    assert!(!solved([0.0, 0.0, 0.0, 1.0], [1.0, 1.0], 0.0));
    assert!(!solved([1e-170, 0.0, 0.0, 1.0], [0.0, 1.0], 0.0));
}

#[test]
fn rows_of_zeros_change_nothing() {
    // Rows that count, rows of zeros before and as many after them, variables.
    for (m, zeros, n) in [
        (2, 1, 4),
        (9, 2, 60),
        (33, 1, 40),
        (3, 3, 4),
        (0, 2, 3),
        (0, 1, WIDE),
    ] {
        let jacobian = normal(&mut rng(3), m * n);
        let residual = normal(&mut rng(4), m);
        let mut padded = vec![0.0; (m + 2 * zeros) * n];
        padded[zeros * n..][..m * n].copy_from_slice(&jacobian);
        let mut padded_residual = vec![0.0; m + 2 * zeros];
        padded_residual[zeros..][..m].copy_from_slice(&residual);
        let many = linear(m + 2 * zeros, n, &padded, &padded_residual);
        let cotangent = normal(&mut rng(5), n);
        for damping in [0.0, 0.1] {
            let b = many.steps(&[damping], &[true]);
            assert!(b.solved(0), "{m}, {zeros}, {n}");
            let (delta, b) = (b.delta.clone(), b.into_adjoint().vjp(&cotangent));
            let rest = |i: &usize| !(zeros..zeros + m).contains(i);
            for row in (0..m + 2 * zeros).filter(rest) {
                assert!(b[0][row * n..][..n].iter().all(|v| *v == 0.0) && b[1][row] == 0.0);
            }
            if m == 0 {
                assert!(delta.iter().all(|d| *d == 0.0));
                continue;
            }
            let a = linear(m, n, &jacobian, &residual).steps(&[damping], &[true]);
            let close = |a: &[f64], b: &[f64], what: &str| {
                let largest = a.iter().fold(0.0, |l: f64, v| l.max(v.abs()));
                for (a, b) in a.iter().zip(b) {
                    // Condition below 1e4 squared, where the two are solved in another form.
                    assert!(
                        (a - b).abs() <= 1e-8 * largest,
                        "{m}, {zeros}, {n}: {what} {a} {b}"
                    );
                }
            };
            close(&a.delta, &delta, "step");
            let a = a.into_adjoint().vjp(&cotangent);
            close(&a[0], &b[0][zeros * n..][..m * n], "gradient of B");
            close(&a[1], &b[1][zeros..][..m], "gradient of s");
        }
    }
}

#[test]
fn singular_and_overflowing_samples_are_left_out_alone() {
    for n in [3, WIDE] {
        let good = random(5, 3, 2, n);
        let clean = good.steps(&[0.0; 3], &[true; 3]);
        // Sample 0: its rows are multiples; sample 2: squares overflow.
        let mut jacobian = good.jacobian.to_vec();
        let first: Vec<f64> = jacobian[..n].iter().map(|b| 3.0 * b).collect();
        jacobian[n..2 * n].copy_from_slice(&first);
        jacobian[4 * n] = 1e200;
        let linear = linear(2, n, &jacobian, &good.residual);
        let steps = linear.steps(&[0.0; 3], &[true; 3]);
        assert_eq!(
            [steps.solved(0), steps.solved(1), steps.solved(2)],
            [false, true, false]
        );
        assert!(steps.delta[..n].iter().all(|d| *d == 0.0));
        assert_eq!(steps.delta[n..2 * n], clean.delta[n..2 * n]);
        let cotangent = vec![1.0; 3 * n];
        let gradients = steps.into_adjoint().vjp(&cotangent);
        let expected = clean.into_adjoint().vjp(&cotangent);
        for (got, expected) in gradients.iter().zip(&expected) {
            let each = got.len() / 3;
            assert_eq!(got[each..2 * each], expected[each..2 * each]);
            let others = got[..each].iter().chain(&got[2 * each..]);
            assert!(others.into_iter().all(|v| *v == 0.0));
        }
    }
}

#[test]
fn every_sample_of_many_groups_is_as_it_is_alone() {
    // The last needs more than one thread where there are more.
    for (batch, m, n) in [(21, 3, 5), (21, 9, 60), (21, 6, 3), (300, 10, 20)] {
        let mut jacobian = normal(&mut rng(6), batch * m * n);
        let residual = normal(&mut rng(7), batch * m);
        let cotangent = normal(&mut rng(8), batch * n);
        let damping: Vec<f64> = (0..batch).map(|b| 0.1 * (b % 3) as f64).collect();
        let live: Vec<bool> = (0..batch).map(|b| b % 5 != 1).collect();
        // Without damping this one has two rows the same, or two columns.
        let (singular, rejected) = (3, 8);
        let own = &mut jacobian[singular * m * n..][..m * n];
        for row in own.chunks_exact_mut(n) {
            row[1] = row[0];
        }
        let (first, second) = own.split_at_mut(n);
        second[..n].copy_from_slice(first);
        let all = linear(m, n, &jacobian, &residual);
        let mut steps = all.steps(&damping, &live);
        assert!(steps.solved(rejected) && !steps.solved(singular));
        steps.reject(rejected);
        let solved: Vec<bool> = (0..batch).map(|b| steps.solved(b)).collect();
        let delta = steps.delta.clone();
        let gradients = steps.into_adjoint().vjp(&cotangent);
        for b in 0..batch {
            let own = |values: &[f64], each: usize| values[b * each..][..each].to_vec();
            let gradients = [own(&gradients[0], m * n), own(&gradients[1], m)];
            if !solved[b] {
                assert!(!live[b] || [singular, rejected].contains(&b), "{b}");
                let zeros = own(&delta, n).into_iter().chain(gradients.concat());
                assert!(zeros.into_iter().all(|v| v == 0.0), "{b}");
                continue;
            }
            let alone = linear(m, n, &own(&jacobian, m * n), &own(&residual, m));
            let alone = alone.steps(&damping[b..=b], &[true]);
            assert_eq!(alone.delta, own(&delta, n), "{b} of {batch}, {m}x{n}");
            let expected = alone.into_adjoint().vjp(&own(&cotangent, n));
            assert_eq!(gradients.to_vec(), expected, "{b} of {batch}, {m}x{n}");
        }
    }
}

#[test]
fn adjoints_agree_with_central_differences_in_every_form() {
    for (m, n) in sizes() {
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
