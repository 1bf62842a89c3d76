//! Every gradient against central differences, on every sample.

use super::paths::{both, every_choice, large};
use super::*;

/// Compares the gradients of Σ w·y after a fixed number of steps, because where a sample stops is
/// not differentiable, with central differences in y₀, in l and u together, and in u alone. Returns
/// how many numbers were compared.
fn check(name: &str, family: &Family, settings: DampedSettings) -> usize {
    let mut checked = 0;
    let mut rng = ChaCha8Rng::seed_from_u64(100);
    let (n, m, batch) = (family.n, family.counts.iter().sum::<usize>(), family.batch);
    let weights: Vec<f64> = (0..batch * n)
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    let settings = DampedSettings {
        tolerance: 0.0,
        max_iterations: 4,
        ..settings
    };
    let problem = family.problem();
    let damped = repair(&problem, &family.start, &settings, Record::Steps).unwrap();
    let gradients = damped.vjp(&problem, &weights);
    let loss = |start: &[f64], lower: &[f64], upper: &[f64]| -> Vec<f64> {
        let problem = DampedProblem {
            lower: Values::PerSample(lower),
            upper: Values::PerSample(upper),
            ..family.problem()
        };
        let y = repair(&problem, start, &settings, Record::Nothing)
            .unwrap()
            .y;
        (0..batch)
            .map(|i| (0..n).map(|k| y[i * n + k] * weights[i * n + k]).sum())
            .collect()
    };
    let mut compare =
        |part: &str, exact: &[f64], len: usize, shifted: &dyn Fn(usize, f64) -> Vec<f64>| {
            for k in 0..len {
                let (plus, minus) = (shifted(k, 1e-6), shifted(k, -1e-6));
                for i in 0..batch {
                    let difference = (plus[i] - minus[i]) / 2e-6;
                    let exact = exact[i * len + k];
                    // Truncation is about 1e-11 and rounding 1e-10 at this step.
                    assert!(
                        (difference - exact).abs() < 2e-8 * exact.abs().max(1.0),
                        "{name}, {part}, sample {i}, entry {k}: {exact} against {difference}"
                    );
                    checked += 1;
                }
            }
        };
    let moved = |values: &[f64], len: usize, k: usize, by: f64| -> Vec<f64> {
        values
            .iter()
            .enumerate()
            .map(|(i, v)| if i % len == k { v + by } else { *v })
            .collect()
    };
    compare("y0", &gradients.start, n, &|k, by| {
        loss(
            &moved(&family.start, n, k, by),
            &family.lower,
            &family.upper,
        )
    });
    let equality = &family.equality;
    compare(
        "l + u",
        &gradients
            .lower
            .iter()
            .zip(&gradients.upper)
            .map(|(l, u)| l + u)
            .collect::<Vec<_>>(),
        m,
        &|k, by| {
            loss(
                &family.start,
                &moved(&family.lower, m, k, by),
                &moved(&family.upper, m, k, by),
            )
        },
    );
    // One side alone must leave equalities as they are.
    let free = |g: &[f64]| -> Vec<f64> {
        g.iter()
            .enumerate()
            .map(|(i, g)| if equality[i % m] { 0.0 } else { *g })
            .collect()
    };
    compare("u", &free(&gradients.upper), m, &|k, by| {
        let by = if equality[k] { 0.0 } else { by };
        loss(
            &family.start,
            &family.lower,
            &moved(&family.upper, m, k, by),
        )
    });
    checked
}

#[test]
fn gradients_agree_with_central_differences_on_every_sample() {
    let mut checked = 0;
    for (at, family) in families().iter().enumerate() {
        for (rows, weights) in every_choice() {
            for stopping in [Stopping::PerSample, Stopping::WholeBatch] {
                let name = format!("family {at}, {rows:?}, {weights:?}, {stopping:?}");
                let settings = DampedSettings {
                    rows,
                    weights,
                    stopping,
                    ..SETTINGS
                };
                checked += check(&name, family, settings);
            }
        }
    }
    assert!(checked > 4000, "{checked}");
}

#[test]
fn undamped_gradients_agree_with_central_differences_on_every_sample() {
    // Fewer rows than variables, as many as keep the undamped steps from running away; and more,
    // of which all are in J. Undamped steps meet affine rows to the last bit or not, and under
    // `Violated` that bit decides whether a row is in the next step: where another row enters
    // there, the map has a kink.
    for (seed, counts, policies) in [
        (1, [3, 0, 0, 0], &[RowPolicy::All, RowPolicy::Violated][..]),
        (2, [2, 1, 1, 0], &[RowPolicy::All, RowPolicy::Violated]),
        (3, [2, 0, 0, 2], &[RowPolicy::All]),
        (4, [20, 0, 0, 0], &[RowPolicy::All]),
        (5, [12, 0, 0, 8], &[RowPolicy::All]),
    ] {
        for &rows in policies {
            let settings = DampedSettings {
                rows,
                damping: 0.0,
                ..SETTINGS
            };
            let name = format!("{counts:?}, {rows:?}");
            let family = Family::new(seed, 7, 5, counts);
            check(&name, &family, settings);
        }
    }
}

#[test]
fn gradients_of_chunks_are_those_of_their_samples() {
    let family = large();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let cotangent: Vec<f64> = (0..family.start.len())
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    // Together the first to converge go on: steps at rounding level, whose rows are on either side
    // of the box by chance, must not be among them.
    for (stopping, weights, max_iterations) in [
        (Stopping::PerSample, RowWeights::Uniform, 200),
        (Stopping::PerSample, RowWeights::InverseNorms, 200),
        (Stopping::WholeBatch, RowWeights::Uniform, 5),
        (Stopping::WholeBatch, RowWeights::InverseNorms, 5),
    ] {
        let settings = DampedSettings {
            stopping,
            weights,
            damping: 0.1,
            max_iterations,
            ..SETTINGS
        };
        let [fast, slow] =
            both(&family, &settings).map(|damped| damped.vjp(&family.problem(), &cotangent));
        for (name, fast, slow) in [
            ("y0", &fast.start, &slow.start),
            ("l", &fast.lower, &slow.lower),
            ("u", &fast.upper, &slow.upper),
        ] {
            assert!(
                fast.iter().any(|v| v.abs() > 0.1),
                "{name} has a gradient to compare"
            );
            for (at, (fast, slow)) in fast.iter().zip(slow).enumerate() {
                // A condition of about 10³, times some dozen steps of rounding.
                assert!(
                    (fast - slow).abs() < 1e-10,
                    "{stopping:?}, {name}, {at}: {fast} {slow}"
                );
            }
        }
    }
}
