//! Solving from another solution: the answers of a cold solve, in fewer steps.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_solver::{
    Equalities, Error, GradientQuality, Inequalities, Infeasible, Method, Problem, Settings,
    Solution, Status, Symmetric, Values, solve, solve_from,
};
use support::derivatives::{
    Loss, direction, gradients, made_degenerate, moved, parts, semidefinite, shape, single,
};
use support::{INF, Owned, normal, random, rng};

fn steps(solution: &Solution) -> usize {
    solution.iterations.iter().sum()
}

/// Largest difference of two solutions relative to the size of what differs.
fn difference(a: &Solution, b: &Solution) -> f64 {
    let mut worst = 0.0f64;
    for (a, b) in [
        (&a.x, &b.x),
        (&a.equality_dual, &b.equality_dual),
        (&a.inequality_dual, &b.inequality_dual),
        (&a.quadratic_dual, &b.quadratic_dual),
        (&a.objective, &b.objective),
    ] {
        let size = b.iter().fold(1.0f64, |s, v| s.max(v.abs()));
        for (a, b) in a.iter().zip(b) {
            worst = worst.max((a - b).abs() / size);
        }
    }
    worst
}

#[derive(Default)]
struct Tally {
    problems: usize,
    cold: usize,
    warm: usize,
    worst: f64,
    residual: f64,
}

impl Tally {
    /// Solves cold and from `previous`; statuses, points and multipliers have to agree.
    fn compare(&mut self, owned: &Owned, previous: &Solution, settings: &Settings, seed: u64) {
        let problem = owned.problem();
        let cold = solve(&problem, settings).unwrap();
        let warm = solve_from(&problem, previous, settings).unwrap();
        assert_eq!(cold.status, warm.status, "seed {seed}");
        assert!(cold.all_solved(), "seed {seed}");
        let error = difference(&warm, &cold);
        // Two solutions at rounding, times the condition of the worst of these problems.
        assert!(error < 1e-9, "seed {seed}: {error:e}");
        for residuals in &warm.residuals {
            self.residual = self.residual.max(residuals.worst());
        }
        self.problems += 1;
        self.cold += steps(&cold);
        self.warm += steps(&warm);
        self.worst = self.worst.max(error);
    }

    fn finish(&self, what: &str) {
        println!(
            "{what}: {} problems, {} steps cold, {} warm, worst {:.1e}, residual {:.1e}",
            self.problems, self.cold, self.warm, self.worst, self.residual
        );
        assert!(self.residual < 1e-9);
    }
}

fn nearby(owned: &Owned, seed: u64, size: f64) -> Owned {
    let mut d = direction(owned, seed);
    // A shift of P by less than its smallest eigenvalue keeps it convex; leave it.
    d[0].fill(0.0);
    d[7].fill(0.0);
    moved(owned, &d, size)
}

#[test]
fn nearby_quadratic_programs() {
    for method in [Method::Auto, Method::InteriorPoint] {
        let settings = Settings {
            method,
            ..Settings::default()
        };
        let mut tally = Tally::default();
        for seed in 0..200 {
            let owned = random(shape(seed, false), seed);
            let previous = solve(&owned.problem(), &settings).unwrap();
            tally.compare(&nearby(&owned, seed, 1e-3), &previous, &settings, seed);
        }
        tally.finish(&format!("{method:?}"));
        assert!(tally.warm * 4 < tally.cold, "{} {}", tally.warm, tally.cold);
    }
}

#[test]
fn nearby_problems_with_quadratic_rows() {
    let (settings, mut tally) = (Settings::default(), Tally::default());
    for seed in 10_000..10_150 {
        let owned = random(shape(seed, true), seed);
        let previous = solve(&owned.problem(), &settings).unwrap();
        tally.compare(&nearby(&owned, seed, 1e-3), &previous, &settings, seed);
    }
    tally.finish("quadratic rows");
    assert!(tally.warm * 2 < tally.cold);
}

#[test]
fn nearby_semidefinite_and_linear_objectives() {
    let (settings, mut tally) = (Settings::default(), Tally::default());
    for seed in 30_000..30_100 {
        let owned = semidefinite(seed);
        let previous = solve(&owned.problem(), &settings).unwrap();
        tally.compare(&nearby(&owned, seed, 1e-4), &previous, &settings, seed);
    }
    tally.finish("semidefinite");
    assert!(tally.warm * 2 < tally.cold);
}

/// Started where it ends: nothing is left to do.
#[test]
fn the_same_problem_again() {
    let settings = Settings::default();
    for seed in 0..60 {
        let owned = random(shape(seed, false), seed);
        let cold = solve(&owned.problem(), &settings).unwrap();
        let again = solve_from(&owned.problem(), &cold, &settings).unwrap();
        assert_eq!(steps(&again), 0, "seed {seed}");
        assert!(difference(&again, &cold) < 1e-11);
        let loss = Loss::random(&owned, seed, true);
        let (a, b) = (
            gradients(&owned, &cold, &loss),
            gradients(&owned, &again, &loss),
        );
        for (a, b) in parts(&a).iter().zip(parts(&b)) {
            let size = a.iter().fold(1.0f64, |s, v| s.max(v.abs()));
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9 * size));
        }
        assert!(
            b.reports
                .iter()
                .all(|r| r.quality == GradientQuality::Exact)
        );
    }
}

/// A start that has nothing to do with the problem costs steps, not accuracy.
#[test]
fn unrelated_starts() {
    let (settings, mut tally) = (Settings::default(), Tally::default());
    for seed in (0..80).chain(10_000..10_040) {
        let owned = random(shape(seed, seed >= 10_000), seed);
        let mut other = owned.clone();
        let len = other.parts[1].data.len();
        other.parts[1].data = normal(&mut rng(seed), len)
            .iter()
            .map(|v| 20.0 * v)
            .collect();
        let previous = solve(&other.problem(), &settings).unwrap();
        assert!(previous.all_solved());
        tally.compare(&owned, &previous, &settings, seed);
    }
    tally.finish("unrelated");
}

/// Kinks and rows stated twice: the same point, and multipliers that are one of several.
#[test]
fn degenerate_starts() {
    let settings = Settings::default();
    let mut checked = 0;
    for seed in 40_000..40_080 {
        let owned = single(seed);
        let solution = solve(&owned.problem(), &settings).unwrap();
        for changed in made_degenerate(&owned, &solution).into_iter().flatten() {
            let problem = changed.problem();
            let cold = solve(&problem, &settings).unwrap();
            let warm = solve_from(&problem, &cold, &settings).unwrap();
            assert_eq!(cold.status, warm.status);
            assert!(warm.residuals[0].worst() < 1e-9);
            let size = cold.x.iter().fold(1.0f64, |s, v| s.max(v.abs()));
            for (a, b) in warm.x.iter().zip(&cold.x) {
                assert!((a - b).abs() < 1e-9 * size, "seed {seed}: {a} {b}");
            }
            checked += 1;
        }
    }
    assert!(checked > 130, "{checked}");
}

/// `x₀ ≥ l` beside `x₀ ≤ 1`.
fn bounds<'a>(l: &'a [f64], q: &'a [f64]) -> Problem<'a> {
    Problem {
        batch: 2,
        n: 2,
        p: Symmetric::Diagonal(Values::Shared(&[1.0, 1.0])),
        q: Values::Shared(q),
        equalities: Some(Equalities {
            rows: 0,
            a: Values::Shared(&[]),
            b: Values::Shared(&[]),
        }),
        inequalities: Some(Inequalities {
            rows: 2,
            g: Values::Shared(&[1.0, 0.0, 1.0, 0.0]),
            l: Values::PerSample(l),
            u: Values::Shared(&[INF, 1.0]),
        }),
        quadratics: None,
    }
}

/// Infeasible from a feasible start, and back: the verdict is the cold one.
#[test]
fn statuses_do_not_depend_on_the_start() {
    let (good, bad) = ([0.5, -INF, 0.0, -INF], [0.5, -INF, 2.0, -INF]);
    for method in [Method::Auto, Method::InteriorPoint] {
        for infeasible in [Infeasible::Report, Infeasible::Elastic { weight: 10.0 }] {
            let settings = Settings {
                method,
                infeasible,
                ..Settings::default()
            };
            let q = [3.0, 1.0];
            let first = solve(&bounds(&good, &q), &settings).unwrap();
            assert!(first.all_solved());
            let second = solve_from(&bounds(&bad, &q), &first, &settings).unwrap();
            let expected = match infeasible {
                Infeasible::Report => Status::PrimalInfeasible,
                _ => Status::Relaxed,
            };
            assert_eq!(second.status, [Status::Solved, expected]);
            assert!(second.conflict(1).is_some());
            let third = solve_from(&bounds(&good, &q), &second, &settings).unwrap();
            assert_eq!(third.status, [Status::Solved; 2]);
            assert!(difference(&third, &first) < 1e-12);
        }
    }
}

#[test]
fn foreign_solutions_are_refused() {
    let settings = Settings::default();
    let owned = random(shape(3, false), 3);
    let other = random(shape(4, true), 4);
    let previous = solve(&other.problem(), &settings).unwrap();
    let refused = solve_from(&owned.problem(), &previous, &settings);
    assert!(matches!(refused, Err(Error::ForeignSolution { .. })));
}
