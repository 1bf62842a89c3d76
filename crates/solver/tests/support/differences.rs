//! The check of all gradients of random cone programs.
#![allow(clippy::print_stdout)]

use super::cones::{gradients, random, solve};
use super::{inner, normal, rng};
use feasible_solver::{Cone, ConeSolution, GradientQuality};

/// Half-widths of the differences, tried in turn: fourth order, so that truncation is far below
/// 1e-12 of the fifth derivative at the first; problems near a singular one move so far that they
/// need the smaller ones. Rounding, 1e-14 of the solution over the width, only allows those where
/// the derivative is as large.
pub const STEPS: [f64; 5] = [1e-4, 1e-5, 1e-6, 1e-7, 1e-8];

/// Programs around known solutions: the solver finds them, calls every gradient exact, and every
/// gradient agrees with differences of solutions along a direction that moves every number.
pub fn known_solutions_and_their_gradients(programs: u64, kinds: &[Cone]) {
    let (mut samples, mut exact, mut checked, mut worst) = (0, 0, 0, 0.0f64);
    for seed in 0..programs {
        let (owned, x, s, z) = random(seed, kinds);
        let solution = solve(&owned);
        assert!(
            solution.all_solved(),
            "seed {seed} {:?} {:?}",
            owned.cones,
            solution.status
        );
        for (what, got, expected) in [
            ("x", &solution.x, &x),
            ("s", &solution.s, &s),
            ("z", &solution.z, &z),
        ] {
            for (got, expected) in got.iter().zip(expected) {
                assert!(
                    (got - expected).abs() < 1e-9 * (1.0 + expected.abs()),
                    "seed {seed} {:?} {what}: {got} {expected}",
                    owned.cones
                );
            }
        }
        let mut rng = rng(seed ^ 0xc0);
        let (n, m) = (owned.n, owned.a.rows);
        let c = [n, m, m].map(|len| normal(&mut rng, owned.batch * len));
        let d: [Vec<f64>; 4] = std::array::from_fn(|i| normal(&mut rng, owned.parts[i].0.len()));
        let moved = |t: f64| {
            let mut moved = owned.clone();
            for (part, d) in moved.parts.iter_mut().zip(&d) {
                for (v, d) in part.0.iter_mut().zip(d) {
                    *v += t * d;
                }
            }
            solve(&moved)
        };
        let around = |step: f64| [-2.0, -1.0, 1.0, 2.0].map(|t| moved(t * step));
        let first = around(STEPS[0]);
        let reports = gradients(&owned, &solution, &c).reports;
        for sample in 0..owned.batch {
            samples += 1;
            assert_eq!(
                reports[sample].quality,
                GradientQuality::Exact,
                "seed {seed} sample {sample} {:?}: {:?}",
                owned.cones,
                reports[sample]
            );
            exact += 1;
            // A piece of the boundary that changes between the points spoils the differences.
            if reports[sample].margin < 1e-2 {
                continue;
            }
            let only: [Vec<f64>; 3] = [(0, n), (1, m), (2, m)].map(|(i, len)| {
                let mut only = vec![0.0; c[i].len()];
                only[sample * len..(sample + 1) * len]
                    .copy_from_slice(&c[i][sample * len..(sample + 1) * len]);
                only
            });
            let gradients = gradients(&owned, &solution, &only);
            let parts = [&gradients.p, &gradients.q, &gradients.a, &gradients.b];
            let (mut predicted, mut squares) = (0.0, 0.0);
            for (g, d) in parts.iter().zip(&d) {
                for (g, d) in g.as_ref().unwrap().iter().zip(d) {
                    predicted += g * d;
                    squares += (g * d).powi(2);
                }
            }
            let error_of = |at: &[ConeSolution; 4], step: f64| {
                let value = at
                    .each_ref()
                    .map(|s| inner(&only[0], &s.x) + inner(&only[1], &s.z) + inner(&only[2], &s.s));
                let measured =
                    (8.0 * (value[2] - value[1]) - (value[3] - value[0])) / (12.0 * step);
                let size = predicted.abs().max(measured.abs()).max(f64::sqrt(squares));
                (predicted - measured).abs() / size
            };
            let mut error = error_of(&first, STEPS[0]);
            for step in &STEPS[1..] {
                if error >= 1e-6 {
                    error = error_of(&around(*step), *step);
                }
            }
            assert!(
                error < 1e-6,
                "seed {seed} sample {sample} {:?}: {predicted} {error:e} {:?}",
                owned.cones,
                reports[sample]
            );
            worst = worst.max(error);
            checked += 1;
        }
    }
    println!("{samples} samples, {exact} exact, {checked} checked, worst {worst:.1e}");
    assert!(checked * 10 > samples * 9);
}
