//! Exponential cones whose points are nearer to their kink than rounding.
#![allow(missing_docs)]

mod support;

use feasible_solver::{
    AdjointSettings, Cone, ConeCotangent, ConeProblem, ConeSettings, ConeWanted, GradientQuality,
    Values, cone_adjoint, solve_cones,
};
use support::cones::Pattern;
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
            let solution = solve_cones(&problem, &ConeSettings::default()).unwrap();
            let sum: f64 = costs.iter().map(|c| (-c).exp()).sum();
            let shares: Vec<f64> = costs.iter().map(|c| (-c).exp() / sum).collect();
            for (x, share) in solution.x.iter().zip(&shares) {
                assert!(
                    (x - share).abs() <= 1e-3 * share + 1e-15,
                    "{costs:?}: {x:e} for {share:e}"
                );
            }
            let weights = normal(&mut rng, n);
            let of_x: Vec<f64> = weights.iter().copied().chain(vec![0.0; n]).collect();
            let gradients = cone_adjoint(
                &problem,
                &solution,
                &ConeCotangent::of_x(&of_x),
                &ConeWanted::ALL,
                &AdjointSettings::default(),
            )
            .unwrap();
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
