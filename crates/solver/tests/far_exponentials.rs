//! Exponentials of numbers so negative that they are far below rounding beside those of other cones.
#![allow(missing_docs)]

mod support;

use feasible_solver::{Cone, ConeProblem, GradientQuality, Values};
use support::cones::{Pattern, differentiated};
use support::{inner, normal, rng, uniform};

/// `min cᵀx + Σ x log x` on the simplex, a softmax whose smallest shares are far below rounding beside the others: every
/// one of them is found, and none spoils the gradients of the others, though its cone is at its kink to rounding.
#[test]
fn shares_far_below_rounding() {
    let mut rng = rng(5);
    for spread in [1.0, 10.0, 20.0, 40.0, 80.0, 200.0] {
        for n in [2, 3, 6] {
            let mut costs = uniform(&mut rng, 0.0, spread, n);
            (costs[0], costs[1]) = (0.0, spread);
            let pattern = Pattern::new(1 + 3 * n, 2 * n, |_, _| true);
            let entry = |row: usize, column: usize| match (row, column) {
                (0, j) if j < n => 1.0,
                (0, _) => 0.0,
                (row, j) if (row - 1) % 3 == 0 && j == n + (row - 1) / 3 => 1.0,
                (row, j) if (row - 1) % 3 == 1 && j == (row - 1) / 3 => -1.0,
                _ => 0.0,
            };
            let numbers: Vec<f64> = (0..2 * n)
                .flat_map(|column| (0..1 + 3 * n).map(move |row| entry(row, column)))
                .collect();
            let right: Vec<f64> = (0..1 + 3 * n)
                .map(|row| f64::from(u8::from(row % 3 == 0)))
                .collect();
            let objective: Vec<f64> = costs.iter().copied().chain(vec![1.0; n]).collect();
            let problem = ConeProblem {
                batch: 1,
                n: 2 * n,
                p: None,
                q: Values::Shared(&objective),
                a: pattern.with(Values::Shared(&numbers)),
                b: Values::Shared(&right),
                cones: &[Cone::Zero(1), Cone::Exponential(n)],
            };
            let weights = normal(&mut rng, n);
            let of_x: Vec<f64> = weights.iter().copied().chain(vec![0.0; n]).collect();
            let (solution, gradients) = differentiated(&problem, &of_x);
            let sum: f64 = costs.iter().map(|c| (-c).exp()).sum();
            let shares: Vec<f64> = costs.iter().map(|c| (-c).exp() / sum).collect();
            for (x, share) in solution.x.iter().zip(&shares) {
                assert!(
                    (x - share).abs() <= 1e-3 * share + 1e-40,
                    "{costs:?}: {x:e} for {share:e}"
                );
            }
            let mean = inner(&shares, &weights);
            let smallest = shares.iter().copied().fold(1.0, f64::min);
            let quality = gradients.reports[0].quality;
            assert_eq!(
                quality == GradientQuality::Exact,
                smallest > 1e-8,
                "{costs:?}"
            );
            for ((got, share), weight) in gradients.q.unwrap().iter().zip(&shares).zip(&weights) {
                let error = (got + share * (weight - mean)).abs();
                assert!(error < 1e-6, "{costs:?}: {error:e}");
            }
        }
    }
}

/// `min log Σ exp(m_i y + d_i) + ½ρy²` in one variable, whose solution runs out until most of the exponentials are gone:
/// their cones are next to flat, with curvatures of 1e20 and more, and no kink is near.
#[test]
fn cones_that_are_next_to_flat() {
    let mut rng = rng(6);
    for ridge in [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6] {
        for terms in [2, 3, 5] {
            let slopes = normal(&mut rng, terms);
            let shifts: Vec<f64> = normal(&mut rng, terms).iter().map(|v| 5.0 * v).collect();
            // y, t and the exponentials, whose sum is one.
            let (n, m) = (2 + terms, 1 + 3 * terms);
            let pattern = Pattern::new(m, n, |_, _| true);
            let entry = |row: usize, column: usize| {
                let at = row.wrapping_sub(1) / 3;
                match (row, row.wrapping_sub(1) % 3, column) {
                    (0, _, column) => f64::from(u8::from(column >= 2)),
                    (_, 0, 0) => -slopes[at],
                    (_, 0, 1) => 1.0,
                    (_, 2, column) if column == 2 + at => -1.0,
                    _ => 0.0,
                }
            };
            let numbers: Vec<f64> = (0..n)
                .flat_map(|column| (0..m).map(move |row| (row, column)))
                .map(|(row, column)| entry(row, column))
                .collect();
            let mut right = vec![0.0; m];
            right[0] = 1.0;
            for at in 0..terms {
                (right[1 + 3 * at], right[2 + 3 * at]) = (shifts[at], 1.0);
            }
            let objective: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i == 1))).collect();
            let of_y = Pattern::new(n, n, |row, column| row == 0 && column == 0);
            let problem = ConeProblem {
                batch: 1,
                n,
                p: Some(of_y.with(Values::Shared(std::slice::from_ref(&ridge)))),
                q: Values::Shared(&objective),
                a: pattern.with(Values::Shared(&numbers)),
                b: Values::Shared(&right),
                cones: &[Cone::Nonnegative(1), Cone::Exponential(terms)],
            };
            let mut of_x = vec![0.0; n];
            of_x[0] = 1.0;
            let (solution, gradients) = differentiated(&problem, &of_x);
            let y = solution.x[0];
            let powers = slopes.iter().zip(&shifts).map(|(m, d)| m * y + d);
            let largest = powers.clone().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = powers.map(|v| (v - largest).exp()).collect();
            let sum: f64 = weights.iter().sum();
            let shares: Vec<f64> = weights.iter().map(|v| v / sum).collect();
            let mean = inner(&shares, &slopes);
            let what = format!("{ridge:e}, {slopes:?}, {shifts:?}: {y}");
            assert!((mean + ridge * y).abs() < 1e-9, "{what}");
            let report = gradients.reports[0];
            assert_eq!(report.quality, GradientQuality::Exact, "{what}: {report:?}");
            let squares = shares
                .iter()
                .zip(&slopes)
                .map(|(p, m)| p * (m - mean).powi(2));
            let bend = squares.sum::<f64>() + ridge;
            let of_b = gradients.b.unwrap();
            for at in 0..terms {
                let expected = -shares[at] * (slopes[at] - mean) / bend;
                let error = (of_b[1 + 3 * at] - expected).abs();
                assert!(error < 1e-6 * (1.0 + expected.abs()), "{what}: {error:e}");
            }
        }
    }
}
