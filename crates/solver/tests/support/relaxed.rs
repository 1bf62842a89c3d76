//! Derivatives of relaxed samples against differences of relaxed solves.

use feasible_solver::{
    AdjointSettings, Degenerate, GradientQuality, Infeasible, Settings, Status, Tangents, Values,
    Wanted, adjoint, solve, tangent,
};

use super::derivatives::{Loss, direction, gradients, moved, movement, parts};
use super::{Owned, inner};

pub fn elastic(weight: f64) -> Settings {
    Settings {
        infeasible: Infeasible::Elastic { weight },
        ..Settings::default()
    }
}

/// What has been compared so far.
#[derive(Default)]
pub struct Tally {
    checked: usize,
    worst: f64,
    transposed: f64,
}

impl Tally {
    /// Forward and backward, of `x` and all multipliers, of one sample that is infeasible whatever small
    /// changes are made. `cancelling` is the size of the numbers of which multipliers are differences,
    /// `piece` says on which piece of the problem a point is.
    pub fn compare<P: PartialEq>(
        &mut self,
        owned: &Owned,
        seed: u64,
        weight: f64,
        cancelling: f64,
        piece: impl Fn(&[f64]) -> P,
    ) {
        let settings = elastic(weight);
        let solution = solve(&owned.problem(), &settings).unwrap();
        assert_eq!(solution.status, [Status::Relaxed], "seed {seed}");
        let d = direction(owned, seed);
        let loss = Loss::random(owned, seed, true);
        let found = gradients(owned, &solution, &loss);
        let shared = |i: usize| Some(Values::Shared(&d[i]));
        let tangents = Tangents {
            p: shared(0),
            q: shared(1),
            a: shared(2),
            b: shared(3),
            g: shared(4),
            l: shared(5),
            u: shared(6),
            quadratic_h: shared(7),
            quadratic_g: shared(8),
            quadratic_c: shared(9),
        };
        let (mut backward, mut squares) = (0.0, 0.0);
        for (g, d) in parts(&found).iter().zip(&d) {
            for (g, d) in g.iter().zip(d) {
                backward += g * d;
                squares += (g * d).powi(2);
            }
        }
        let size = f64::abs(backward).max(f64::sqrt(squares));
        for degenerate in [Degenerate::LeastNorm, Degenerate::Smoothed { mu: 1e-3 }] {
            let smooth = AdjointSettings {
                degenerate,
                ..AdjointSettings::default()
            };
            let problem = owned.problem();
            let ahead = tangent(&problem, &solution, &tangents, &smooth).unwrap();
            let cotangent = loss.cotangent();
            let back = adjoint(&problem, &solution, &cotangent, &Wanted::ALL, &smooth).unwrap();
            let expected = match degenerate {
                Degenerate::Smoothed { .. } => GradientQuality::Smoothed,
                _ => GradientQuality::Exact,
            };
            assert_eq!(ahead.reports[0].quality, expected, "seed {seed}");
            let forward = inner(&loss.x, &ahead.x)
                + inner(&loss.nu, &ahead.equality_dual)
                + inner(&loss.lambda, &ahead.inequality_dual)
                + inner(&loss.mu, &ahead.quadratic_dual);
            let backward: f64 = parts(&back).iter().zip(&d).map(|(g, d)| inner(g, d)).sum();
            let error = (forward - backward).abs() / size;
            // Rounding of two solves with one matrix.
            assert!(error < 1e-10, "seed {seed} {degenerate:?}: {error:e}");
            self.transposed = self.transposed.max(error);
        }
        // A difference that may straddle a change of the rows says nothing; a smaller one may.
        for step in [2e-6, 2e-7, 2e-8] {
            let at = [-2.0, -1.0, 1.0, 2.0].map(|t| {
                let moved = moved(owned, &d, t * step);
                let solution = solve(&moved.problem(), &settings).unwrap();
                assert_eq!(solution.status, [Status::Relaxed]);
                solution
            });
            let far = at.iter().map(|s| movement(owned, &solution, s, 0, step));
            let one_piece = at.iter().all(|s| piece(&s.x) == piece(&solution.x));
            if !one_piece || found.reports[0].margin < far.fold(0.0, f64::max) {
                continue;
            }
            let value = at.each_ref().map(|s| loss.value(s));
            let measured = (8.0 * (value[2] - value[1]) - (value[3] - value[0])) / (12.0 * step);
            let error = (backward - measured).abs() / size.max(measured.abs());
            // The worst is 2e-7 at the first step; what cancels has a rounding that smaller steps divide
            // by less.
            let allowed = 1e-6 + 10.0 * f64::EPSILON * cancelling / (step * size);
            assert!(error < allowed, "seed {seed}: {backward:e} {measured:e}");
            self.worst = self.worst.max(error);
            self.checked += 1;
            break;
        }
    }

    /// Differences must have had something to say of so many samples.
    pub fn finish(self, least: usize) {
        let Tally {
            checked,
            worst,
            transposed,
        } = self;
        println!("{checked} samples, worst {worst:.1e}, transposition {transposed:.1e}");
        assert!(checked >= least);
    }
}
