//! The elastic problem of infeasible samples: closed forms, its own optimality conditions, and
//! derivatives against differences.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_solver::{
    AdjointSettings, Equalities, GradientQuality, Inequalities, Infeasible, Problem, Quadratics,
    Settings, Solution, Status, Symmetric, Values, Wanted, adjoint, solve,
};
use support::derivatives::{Loss, gradients, shape};
use support::relaxed::{Tally, elastic};
use support::{INF, Owned, inner, quadratic_value, random, random_shape};

/// `x ≥ 1` and `x ≤ −1` around `min ½(x − t)²`: `x = t/(1 + 2ρ)`, the middle for large ρ.
#[test]
fn two_bounds_that_exclude_each_other() {
    for weight in [1.0, 1e3, 1e6] {
        let problem = Problem {
            batch: 1,
            n: 1,
            p: Symmetric::Diagonal(Values::Shared(&[1.0])),
            q: Values::Shared(&[-0.7]),
            equalities: None,
            inequalities: Some(Inequalities {
                rows: 2,
                g: Values::Shared(&[1.0, 1.0]),
                l: Values::Shared(&[1.0, -INF]),
                u: Values::Shared(&[INF, -1.0]),
            }),
            quadratics: None,
        };
        let solution = solve(&problem, &elastic(weight)).unwrap();
        assert_eq!(solution.status, [Status::Relaxed]);
        assert!(solution.all_solved());
        let x = 0.7 / (1.0 + 2.0 * weight);
        assert!((solution.x[0] - x).abs() < 1e-12);
        let shift = solution.shift(0).unwrap();
        assert!((shift.inequality[0] - (x - 1.0)).abs() < 1e-12);
        assert!((shift.inequality[1] - (x + 1.0)).abs() < 1e-12);
        assert!((solution.residuals[0].primal - (1.0 + x)).abs() < 1e-12);
        // The rows are where their shifted bounds are: to rounding of the multipliers, 2ρ in all.
        assert!(solution.residuals[0].gap < 1e-14 * (1.0 + 2.0 * weight));
        // It still says why.
        let text = solution.conflict(0).unwrap().to_string();
        assert_eq!(text, "row 0 (lower) and row 1 (upper) conflict");
        let loss = feasible_solver::Cotangent::of_x(&[1.0]);
        let settings = AdjointSettings::default();
        let found = adjoint(&problem, &solution, &loss, &Wanted::ALL, &settings).unwrap();
        assert_eq!(found.reports[0].quality, GradientQuality::Exact);
        let (q, l, u) = (found.q.unwrap(), found.l.unwrap(), found.u.unwrap());
        let scale = 1.0 / (1.0 + 2.0 * weight);
        assert!((q[0] + scale).abs() < 1e-9 * scale.max(1e-3));
        assert!((l[0] - weight * scale).abs() < 1e-9 && (u[1] - weight * scale).abs() < 1e-9);
        assert_eq!((l[1], u[0]), (0.0, 0.0));
        // dx/dG_0 = ρ(1 − 2x)/(1 + 2ρ): the row's distance and its direction both change.
        let g = found.g.unwrap()[0];
        assert!((g - weight * (1.0 - 2.0 * x) * scale).abs() < 1e-9);
    }
}

/// Contradictory equalities fix the compromise, the objective what they leave free.
#[test]
fn equalities_are_met_halfway() {
    let problem = Problem {
        batch: 1,
        n: 2,
        p: Symmetric::Diagonal(Values::Shared(&[1.0, 1.0])),
        q: Values::Shared(&[5.0, -3.0]),
        equalities: Some(Equalities {
            rows: 2,
            a: Values::Shared(&[1.0, 0.0, 1.0, 0.0]),
            b: Values::Shared(&[1.0, 3.0]),
        }),
        inequalities: None,
        quadratics: None,
    };
    let solution = solve(
        &problem,
        &Settings {
            infeasible: Infeasible::ELASTIC,
            ..Settings::default()
        },
    );
    let solution = solution.unwrap();
    assert_eq!(solution.status, [Status::Relaxed]);
    // x₀ = (4ρ − 5)/(1 + 2ρ).
    assert!((solution.x[0] - (4e6 - 5.0) / (1.0 + 2e6)).abs() < 1e-11);
    assert!((solution.x[1] - 3.0).abs() < 1e-12);
    let shift = solution.shift(0).unwrap().equality;
    assert!((shift[0] - (solution.x[0] - 1.0)).abs() < 1e-9);
    assert!((shift[1] - (solution.x[0] - 3.0)).abs() < 1e-9);
}

/// `x² ≤ 1` against `x ≥ 3`, its cubic solved by bisection.
#[test]
fn a_disc_and_a_bound() {
    let weight = 50.0;
    let problem = |t: &'static [f64]| Problem {
        batch: 1,
        n: 1,
        p: Symmetric::Dense(Values::Shared(&[1.0])),
        q: Values::Shared(t),
        equalities: None,
        inequalities: Some(Inequalities {
            rows: 1,
            g: Values::Shared(&[1.0]),
            l: Values::Shared(&[3.0]),
            u: Values::Shared(&[INF]),
        }),
        quadratics: Some(Quadratics {
            rows: 1,
            h: Symmetric::Dense(Values::Shared(&[1.0])),
            g: Values::Shared(&[0.0]),
            c: Values::Shared(&[1.0]),
        }),
    };
    let root = |q: f64| {
        let slope = |x: f64| x + q + weight * (2.0 * x * (x * x - 1.0) - (3.0 - x));
        let (mut low, mut high) = (1.0f64, 3.0f64);
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            if slope(middle) > 0.0 {
                high = middle;
            } else {
                low = middle;
            }
        }
        low
    };
    let solution = solve(&problem(&[2.0]), &elastic(weight)).unwrap();
    assert_eq!(solution.status, [Status::Relaxed]);
    let x = root(2.0);
    assert!((solution.x[0] - x).abs() < 1e-11, "{} {x}", solution.x[0]);
    let shift = solution.shift(0).unwrap();
    assert!((shift.quadratic[0] - (x * x - 1.0)).abs() < 1e-10);
    assert!((shift.inequality[0] - (x - 3.0)).abs() < 1e-10);
}

/// A random problem in a box with a row that asks for more than the box allows, and for some a
/// quadratic row below its smallest value: contradictory whatever small changes are made.
fn contradictory(seed: u64, batch: usize) -> Owned {
    let quadratics = seed.is_multiple_of(2);
    let mut shape = random_shape(seed, batch, 12, quadratics);
    shape.m = shape.n + 2;
    shape.h_shift = 0.1;
    shape.p_rows = shape.p_rows.min(shape.n / 2);
    let mut owned = random(shape, seed);
    let (n, m) = (owned.n, owned.m);
    for g in owned.parts[4].data.chunks_exact_mut(m * n) {
        for i in 0..n {
            g[i * n..(i + 1) * n].fill(0.0);
            g[i * n + i] = 1.0;
        }
    }
    // No row of any sample reaches this inside the box.
    let last = owned.parts[4].data.chunks_exact(n).skip(m - 1).step_by(m);
    let farthest = last
        .map(|row| 2.0 * row.iter().map(|v| v.abs()).sum::<f64>())
        .fold(0.0, f64::max);
    let [.., lower, upper, _, _, _] = &mut owned.parts;
    for (l, u) in lower
        .data
        .chunks_exact_mut(m)
        .zip(upper.data.chunks_exact_mut(m))
    {
        l[..n].fill(-2.0);
        u[..n].fill(2.0);
        (l[m - 1], u[m - 1]) = (farthest + 1.0, INF);
    }
    if quadratics && seed.is_multiple_of(4) {
        let k = owned.k;
        for c in owned.parts[9].data.chunks_exact_mut(k) {
            c[0] = -200.0;
        }
    }
    owned
}

/// Gradient of `½xᵀPx + qᵀx + ½ρ·(squared violations)`, written out.
fn penalty_gradient(owned: &Owned, sample: usize, x: &[f64], weight: f64) -> (Vec<f64>, f64) {
    let n = owned.n;
    let (p, h) = (owned.of(0, sample), owned.of(7, sample));
    let mut gradient = owned.of(1, sample).to_vec();
    let mut size = 1.0f64;
    for i in 0..n {
        gradient[i] += match owned.p_diagonal {
            true => p[i] * x[i],
            false => inner(&p[i * n..(i + 1) * n], x),
        };
    }
    let mut add = |force: f64, row: &[f64]| {
        for j in 0..n {
            gradient[j] += force * row[j];
            size = size.max((force * row[j]).abs());
        }
    };
    for i in 0..owned.p_rows {
        let row = &owned.of(2, sample)[i * n..(i + 1) * n];
        add(weight * (inner(row, x) - owned.of(3, sample)[i]), row);
    }
    for i in 0..owned.m {
        let row = &owned.of(4, sample)[i * n..(i + 1) * n];
        let value = inner(row, x);
        let above = (value - owned.of(6, sample)[i]).max(0.0);
        let below = (owned.of(5, sample)[i] - value).max(0.0);
        add(weight * (above - below), row);
    }
    for k in 0..owned.k {
        let miss = quadratic_value(owned, sample, k, x) - owned.of(9, sample)[k];
        let slope: Vec<f64> = (0..n)
            .map(|i| {
                let hx = match owned.h_diagonal {
                    true => h[k * n + i] * x[i],
                    false => inner(&h[(k * n + i) * n..(k * n + i + 1) * n], x),
                };
                2.0 * hx + owned.of(8, sample)[k * n + i]
            })
            .collect();
        add(weight * miss.max(0.0), &slope);
    }
    (gradient, size)
}

#[test]
fn relaxed_points_minimise_the_penalty() {
    let mut worst = 0.0f64;
    for seed in 0..80 {
        let owned = contradictory(seed, 2);
        for weight in [1e-2, 1.0, 1e3, 1e6] {
            let solution = solve(&owned.problem(), &elastic(weight)).unwrap();
            for sample in 0..2 {
                assert_eq!(
                    solution.status[sample],
                    Status::Relaxed,
                    "seed {seed} ρ {weight:e}"
                );
                let x = &solution.x[sample * owned.n..(sample + 1) * owned.n];
                let (gradient, size) = penalty_gradient(&owned, sample, x, weight);
                let error = gradient.iter().fold(0.0f64, |a, v| a.max(v.abs())) / size;
                // The price times rounding of the rows' values.
                assert!(error < 1e-9, "seed {seed} ρ {weight:e}: {error:e}");
                worst = worst.max(error);
            }
        }
    }
    println!("worst {worst:.1e}");
}

/// Forward and backward, of `x` and all multipliers, against differences of relaxed solves; and the
/// central path's against its transposes.
#[test]
fn derivatives_of_relaxed_samples() {
    let mut tally = Tally::default();
    for seed in 0..120u64 {
        let weight = if seed.is_multiple_of(3) { 1e4 } else { 10.0 };
        tally.compare(&contradictory(seed, 1), seed, weight, 0.0, |_| ());
    }
    tally.finish(90);
}

/// Only infeasible samples are relaxed, and what stands beside them keeps its bits.
#[test]
fn feasible_samples_are_untouched() {
    for seed in 0..20 {
        let mut shape = shape(seed, seed.is_multiple_of(2));
        shape.batch = 5;
        shape.n = shape.n.min(12);
        shape.p_rows = shape.p_rows.min(shape.n / 2);
        shape.m = shape.m.clamp(2, shape.n + 2);
        shape.per_sample = 0b10_0110_1010;
        shape.equal_rows = 0.0;
        let mut owned = random(shape, seed);
        // Sample 2: row 1 repeats row 0 beyond its bounds.
        let (n, m) = (owned.n, owned.m);
        let row = owned.parts[4].data[..n].to_vec();
        owned.parts[4].data[n..2 * n].copy_from_slice(&row);
        for i in 0..5 {
            owned.parts[5].data[i * m + 1] = -INF;
            owned.parts[6].data[i * m + 1] = INF;
        }
        owned.parts[6].data[2 * m] = owned.parts[5].data[2 * m].max(-3.0) + 1.0;
        owned.parts[5].data[2 * m + 1] = owned.parts[6].data[2 * m] + 1.0;
        let run = |settings: &Settings| {
            let solution = solve(&owned.problem(), settings).unwrap();
            let found = gradients(&owned, &solution, &Loss::random(&owned, seed, true));
            (solution, found)
        };
        let (plain, plain_gradients) = run(&Settings::default());
        let (relaxed, relaxed_gradients) = run(&elastic(1e3));
        assert_eq!(plain.status[2], Status::PrimalInfeasible, "seed {seed}");
        assert_eq!(relaxed.status[2], Status::Relaxed);
        let own = |solution: &Solution, i: usize| {
            let cut = |data: &[f64], len: usize| data[i * len..(i + 1) * len].to_vec();
            (
                cut(&solution.x, n),
                cut(&solution.equality_dual, owned.p_rows),
                cut(&solution.inequality_dual, m),
                cut(&solution.quadratic_dual, owned.k),
                solution.residuals[i],
                solution.iterations[i],
            )
        };
        for i in [0, 1, 3, 4] {
            assert_eq!(own(&plain, i), own(&relaxed, i));
            assert_eq!(plain_gradients.reports[i], relaxed_gradients.reports[i]);
            assert!(relaxed.shift(i).is_none());
            let cut = |q: &Option<Vec<f64>>| q.as_ref().unwrap()[i * n..(i + 1) * n].to_vec();
            assert_eq!(cut(&plain_gradients.q), cut(&relaxed_gradients.q));
        }
        assert_eq!(
            plain_gradients.reports[2].quality,
            GradientQuality::Unavailable
        );
        assert_eq!(relaxed_gradients.reports[2].quality, GradientQuality::Exact);
        let shift = relaxed.shift(2).unwrap();
        assert!(shift.inequality[0] > 0.0 && shift.inequality[1] < 0.0);
    }
}

/// An objective that falls forever leaves nothing to relax.
#[test]
fn unbounded_elastic_problems_stay_infeasible() {
    let problem = Problem {
        batch: 1,
        n: 2,
        p: Symmetric::Diagonal(Values::Shared(&[1.0, 0.0])),
        q: Values::Shared(&[0.0, -1.0]),
        equalities: Some(Equalities {
            rows: 2,
            a: Values::Shared(&[1.0, 0.0, 1.0, 0.0]),
            b: Values::Shared(&[1.0, 3.0]),
        }),
        inequalities: None,
        quadratics: None,
    };
    let solution = solve(&problem, &elastic(10.0)).unwrap();
    assert_eq!(solution.status, [Status::PrimalInfeasible]);
    assert!(solution.shift(0).is_none() && solution.conflict(0).is_some());
}
