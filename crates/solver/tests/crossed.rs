//! Samples with a lower bound above its upper one: refused, infeasible with a name, or relaxed.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_solver::{
    AdjointSettings, Cotangent, CrossedBounds, Degenerate, Error, GradientQuality, Inequalities,
    Outputs, Parameter, Problem, Quadratics, Settings, Status, Symmetric, Values, Wanted, adjoint,
    jacobian, solve, solve_from,
};
use support::derivatives::{Loss, parts};
use support::relaxed::{Tally, elastic};
use support::{INF, Owned, inner, random, random_shape};

fn report() -> Settings {
    Settings {
        crossed_bounds: CrossedBounds::Infeasible,
        ..Settings::default()
    }
}

/// `min ½(x − t)²` with `2 ≥ gx ≥ l` in each of some samples.
fn line<'a>(q: &'a [f64], g: &'a [f64], l: &'a [f64], u: &'a [f64]) -> Problem<'a> {
    Problem {
        batch: q.len(),
        n: 1,
        p: Symmetric::Diagonal(Values::Shared(&[1.0])),
        q: Values::PerSample(q),
        equalities: None,
        inequalities: Some(Inequalities {
            rows: 1,
            g: Values::Shared(g),
            l: Values::PerSample(l),
            u: Values::Shared(u),
        }),
        quadratics: None,
    }
}

/// The default is an error; asked to, the sample alone is infeasible, by the two bounds of its row,
/// and the others keep their bits.
#[test]
fn one_sample_of_a_batch() {
    let (q, g, u) = ([-5.0, -1.0, -0.6], [2.0], [2.0]);
    let problem = line(&q, &g, &[-1.0, 3.0, 0.5], &u);
    let error = solve(&problem, &Settings::default()).unwrap_err();
    assert_eq!(
        error,
        Error::CrossedBounds {
            sample: 1,
            row: 0,
            lower: 3.0,
            upper: 2.0
        }
    );
    let apart = line(&q, &g, &[-1.0, 1.5, 0.5], &u);
    let apart = solve(&apart, &Settings::default()).unwrap();
    let expected = [Status::Solved, Status::PrimalInfeasible, Status::Solved];
    let solution = solve(&problem, &report()).unwrap();
    assert_eq!(solution.status, expected);
    assert_eq!(solution.conflict(0), None);
    assert_eq!(
        solution.conflict(1).unwrap().to_string(),
        "row 0 (lower) and row 0 (upper) conflict"
    );
    let farkas = solution.farkas(1).unwrap();
    // The rows miss each other by 1, and each is half of what moving x by ½ moves.
    assert_eq!((&farkas.inequality[..], farkas.gap), (&[0.0][..], 0.25));
    let relaxed = solve(&problem, &elastic(10.0)).unwrap();
    assert_eq!(relaxed.status[1], Status::Relaxed);
    assert_eq!(relaxed.conflict(1), solution.conflict(1));
    for found in [&solution, &relaxed] {
        for i in [0, 2] {
            assert_eq!(found.x[i], apart.x[i]);
            assert_eq!(found.inequality_dual[i], apart.inequality_dual[i]);
            assert_eq!(found.iterations[i], apart.iterations[i]);
        }
    }
    let warm = solve_from(&problem, &relaxed, &elastic(10.0)).unwrap();
    assert_eq!(warm.status, relaxed.status);
    // One point by two ways, each to rounding.
    assert!((warm.x[1] - relaxed.x[1]).abs() < 1e-13);
    let of = |found: &feasible_solver::Solution| {
        let cotangent = Cotangent::of_x(&[1.0; 3]);
        let settings = AdjointSettings::default();
        let found = adjoint(&problem, found, &cotangent, &Wanted::ALL, &settings).unwrap();
        let quality: Vec<_> = found.reports.iter().map(|r| r.quality).collect();
        (found.q.unwrap(), quality)
    };
    let exact = GradientQuality::Exact;
    let (q, quality) = of(&solution);
    assert_eq!(quality, [exact, GradientQuality::Unavailable, exact]);
    assert_eq!(q[1], 0.0);
    assert_eq!(of(&relaxed).1, [exact; 3]);
}

/// `½(x − t)² + ½ρ((x − u)₊² + (l − x)₊²)` with `u = 1 < l = 3`: between them
/// `x = (t + ρ(l + u))/(1 + 2ρ)`, beyond `l` only the upper bound gives way, `x = (t + ρu)/(1 + ρ)`,
/// below `u` only the lower one.
#[test]
fn each_bound_has_its_own_shift() {
    let (l, u) = (3.0, 1.0);
    for weight in [1e-2, 1.0, 1e3, 1e6] {
        let between = |t: f64| (t + weight * (l + u)) / (1.0 + 2.0 * weight);
        // Where the sides change.
        let (low, high) = (u - weight * (l - u), l + weight * (l - u));
        for (t, case) in [
            (2.0, 0),
            (0.5 * (high + 2.0), 0),
            (0.5 * (low + 2.0), 0),
            (high + 0.5 * (high - low), 1),
            (low - 0.5 * (high - low), -1),
        ] {
            let (q, bounds) = ([-t], [l, u]);
            let problem = line(&q, &[1.0], &bounds[..1], &bounds[1..]);
            let solution = solve(&problem, &elastic(weight)).unwrap();
            assert_eq!(solution.status, [Status::Relaxed]);
            let (x, above, below) = match case {
                0 => {
                    let x = between(t);
                    (x, x - u, l - x)
                }
                1 => {
                    let x = (t + weight * u) / (1.0 + weight);
                    (x, x - u, 0.0)
                }
                _ => {
                    let x = (t + weight * l) / (1.0 + weight);
                    (x, 0.0, l - x)
                }
            };
            let size = 1.0 + t.abs();
            let found = solution.x[0];
            // Rounding of terms as large as t.
            assert!(
                (found - x).abs() < 1e-13 * size,
                "{weight:e} {t}: {found} {x}"
            );
            let shift = solution.shift(0).unwrap().inequality[0];
            assert!((shift - (above - below)).abs() < 1e-12 * size);
            if case == 0 {
                assert!((found - 0.5 * (l + u + shift)).abs() < 1e-12 * size);
            }
            let missed = solution.residuals[0].primal;
            assert!((missed - above.max(below)).abs() < 1e-13 * size);
            let settings = AdjointSettings::default();
            let loss = Cotangent::of_x(&[1.0]);
            let back = adjoint(&problem, &solution, &loss, &Wanted::ALL, &settings).unwrap();
            assert_eq!(
                back.reports[0].quality,
                GradientQuality::Exact,
                "{weight:e} {t}"
            );
            let (of_t, of_l, of_u) = match case {
                0 => {
                    let whole = 1.0 / (1.0 + 2.0 * weight);
                    (whole, weight * whole, weight * whole)
                }
                1 => (1.0 / (1.0 + weight), 0.0, weight / (1.0 + weight)),
                _ => (1.0 / (1.0 + weight), weight / (1.0 + weight), 0.0),
            };
            let got = [-back.q.unwrap()[0], back.l.unwrap()[0], back.u.unwrap()[0]];
            for (got, expected) in got.into_iter().zip([of_t, of_l, of_u]) {
                // Rounding of a system of condition ρ.
                assert!(
                    (got - expected).abs() < 1e-12,
                    "{weight:e} {t}: {got} {expected}"
                );
            }
            // dλ/du = −w(2 dx/du) … of λ = w(2x − l − u), or of one side.
            let lambda = jacobian(
                &problem,
                &solution,
                Parameter::U,
                Outputs::PrimalAndDuals,
                &settings,
            );
            let lambda = lambda.unwrap().inequality_dual[0];
            let expected = match case {
                0 => weight * (2.0 * of_u - 1.0),
                1 => weight * (of_u - 1.0),
                _ => 0.0,
            };
            assert!(
                (lambda - expected).abs() < 1e-9 * (1.0 + weight),
                "{lambda} {expected}"
            );
        }
    }
}

/// At `x = l`, where the lower bound begins to give way, the sample has a kink.
#[test]
fn the_change_of_sides_is_a_kink() {
    let problem = line(&[-5.0], &[1.0], &[3.0], &[1.0]);
    let solution = solve(&problem, &elastic(1.0)).unwrap();
    assert!((solution.x[0] - 3.0).abs() < 1e-13);
    let settings = AdjointSettings::default();
    let loss = Cotangent::of_x(&[1.0]);
    let back = adjoint(&problem, &solution, &loss, &Wanted::ALL, &settings).unwrap();
    assert_eq!(back.reports[0].quality, GradientQuality::Degenerate);
    // One of the two slopes.
    let of_t = -back.q.unwrap()[0];
    assert!((of_t - 0.5).abs() < 1e-12 || (of_t - 1.0 / 3.0).abs() < 1e-12);
}

/// Crossed bounds beside a quadratic row that is met, and an objective that falls forever without it.
#[test]
fn other_rows_stay() {
    let mut problem = line(&[1.0], &[1.0], &[3.0], &[2.0]);
    problem.p = Symmetric::Diagonal(Values::Shared(&[0.0]));
    let unbounded = solve(&problem, &report()).unwrap();
    assert_eq!(unbounded.status, [Status::PrimalInfeasible]);
    problem.quadratics = Some(Quadratics {
        rows: 1,
        h: Symmetric::Diagonal(Values::Shared(&[1.0])),
        g: Values::Shared(&[0.0]),
        c: Values::Shared(&[1.0]),
    });
    let weight = 100.0;
    let solution = solve(&problem, &elastic(weight)).unwrap();
    assert_eq!(solution.status, [Status::Relaxed]);
    // 1 + 2wx(x² − 1) − w(3 − x) = 0 below u.
    let x = solution.x[0];
    let slope = 1.0 + weight * (2.0 * x * (x * x - 1.0) - (3.0 - x));
    // Rounding of terms of the size of w.
    assert!(slope.abs() < 1e-10, "{x}: {slope:e}");
}

/// Random problems, some of whose two-sided rows cross.
fn crossing(seed: u64) -> Owned {
    let mut shape = random_shape(seed, 1, 10, seed.is_multiple_of(2));
    shape.m = shape.m.max(3);
    shape.equal_rows = 0.0;
    shape.p_rows = shape.p_rows.min(shape.n / 2);
    shape.h_shift = 0.1;
    let mut owned = random(shape, seed);
    let m = owned.m;
    for row in (0..m).step_by(2) {
        let middle = 0.3 * (row as f64) - 0.5;
        let apart = if row == 0 { 1.0 } else { 0.1 };
        owned.parts[5].data[row] = middle + apart;
        owned.parts[6].data[row] = middle - apart;
    }
    if m > 1 {
        (owned.parts[5].data[1], owned.parts[6].data[1]) = (-INF, 0.2);
    }
    owned
}

/// Which bounds of the crossed rows give way.
fn sides(owned: &Owned, x: &[f64]) -> Vec<[bool; 2]> {
    let n = owned.n;
    let rows = owned.of(4, 0).chunks_exact(n).map(|row| inner(row, x));
    let bounds = owned.of(5, 0).iter().zip(owned.of(6, 0));
    let crossed = rows.zip(bounds).filter(|(_, (l, u))| l > u);
    crossed
        .map(|(value, (l, u))| [value < *l, value > *u])
        .collect()
}

/// Forward and backward, of x and all multipliers, against differences of relaxed solves; and the
/// central path's against its transposes.
#[test]
fn derivatives_against_differences() {
    let mut tally = Tally::default();
    for seed in 0..120 {
        let owned = crossing(seed);
        let weight = if seed.is_multiple_of(3) { 1e4 } else { 10.0 };
        // A multiplier of crossed bounds is the difference of two of the size of the weight.
        tally.compare(&owned, seed, weight, weight, |x| sides(&owned, x));
    }
    tally.finish(90);
}

/// As μ goes to zero the central path's derivative goes to the relaxed point's.
#[test]
fn the_central_path_ends_at_the_relaxed_point() {
    let mut checked = 0;
    for seed in 0..40 {
        let owned = crossing(seed);
        let problem = owned.problem();
        let solution = solve(&problem, &elastic(10.0)).unwrap();
        let loss = Loss::random(&owned, seed, true);
        let cotangent = loss.cotangent();
        let of = |degenerate| {
            let settings = AdjointSettings {
                degenerate,
                ..AdjointSettings::default()
            };
            let back = adjoint(&problem, &solution, &cotangent, &Wanted::ALL, &settings).unwrap();
            (parts(&back).concat(), back.reports[0])
        };
        let (exact, report) = of(Degenerate::LeastNorm);
        if report.margin < 1e-3 {
            continue;
        }
        let size = exact.iter().fold(1.0f64, |a, v| a.max(v.abs()));
        let errors = [1e-6, 1e-8].map(|mu| {
            let near = of(Degenerate::Smoothed { mu }).0;
            let apart = near.iter().zip(&exact).map(|(a, b)| (a - b).abs());
            apart.fold(0.0, f64::max) / size
        });
        // In proportion to μ over the margin's square.
        assert!(
            errors[1] < 1e-2 && errors[1] < 0.04 * errors[0] + 1e-9,
            "seed {seed} {errors:?}"
        );
        checked += 1;
    }
    assert!(checked > 25, "{checked}");
}
