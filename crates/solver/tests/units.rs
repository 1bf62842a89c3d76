//! The units that variables and objectives are measured in say nothing: a problem in others has the same solution
//! and the same derivatives, in them.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_solver::{
    AdjointSettings, Cotangent, Equalities, GradientQuality, Gradients, Problem, Quadratics,
    Settings, Status, Symmetric, Values, Wanted, adjoint, solve,
};
use support::cones::{self, KINDS, MATRICES};
use support::{Owned, Shape, normal, random, rng};

/// The largest difference, relative to the largest number.
fn apart(got: &[f64], expected: impl Iterator<Item = f64>) -> f64 {
    let expected: Vec<f64> = expected.collect();
    assert_eq!(got.len(), expected.len());
    let size = expected
        .iter()
        .fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()));
    let errors = got.iter().zip(&expected).map(|(a, b)| (a - b).abs());
    // A NaN must not pass.
    errors.fold(0.0, |m: f64, v| if v <= m { m } else { v }) / size
}

/// `x` in units of `length`, the objective in units of `cost`: P, q, A, b, G, l, u, H, g, c.
fn in_units(owned: &Owned, length: f64, cost: f64) -> Owned {
    let (row, square) = (1.0 / length, 1.0 / (length * length));
    let factors = [
        cost * square,
        cost * row,
        row,
        1.0,
        row,
        1.0,
        1.0,
        square,
        row,
        1.0,
    ];
    let mut owned = owned.clone();
    for (part, factor) in owned.parts.iter_mut().zip(factors) {
        part.data.iter_mut().for_each(|v| *v *= factor);
    }
    owned
}

/// Gradients of q, G, u and g in the units of the first: where rows alone determine the solution that of q is nothing
/// but rounding.
fn of_q_and_rows(of: &Gradients, length: f64, cost: f64) -> Vec<f64> {
    let square = length * length;
    let parts = [
        (&of.q, square / cost),
        (&of.g, square),
        (&of.u, length),
        (&of.quadratic_g, square),
    ];
    let each = parts
        .into_iter()
        .flat_map(|(part, unit)| part.iter().flatten().map(move |v| v / unit));
    each.collect()
}

/// Quadratic rows, semidefinite objectives and linear ones, which the interior point solves.
#[test]
fn quadratic_programs_in_any_units() {
    let lengths = [1e-5, 1e-4, 1e-2, 30.0, 1e4, 1e7];
    let (mut worst, mut exact, mut samples) = ([0.0f64; 2], 0, 0);
    for seed in 0..40 {
        let mut shape = Shape {
            batch: 2,
            n: 3 + seed as usize % 5,
            p_rows: seed as usize % 2,
            m: 6,
            k: 2,
            p_diagonal: false,
            h_diagonal: seed % 3 == 0,
            per_sample: 0b10_0110_1010,
            p_rank: 8,
            h_shift: 0.1,
            equal_rows: 0.0,
        };
        match seed % 4 {
            // A semidefinite objective, with and without quadratic rows.
            2 => shape.p_rank = 2,
            3 => (shape.p_rank, shape.k, shape.m) = (2, 0, 2 * shape.n + 2),
            _ => {}
        }
        let owned = random(shape, seed);
        let of_x = normal(&mut rng(seed), 2 * shape.n);
        let cotangent = Cotangent::of_x(&of_x);
        let settings = AdjointSettings::default();
        let differentiated = |owned: &Owned| {
            let problem = owned.problem();
            let solution = solve(&problem, &Settings::default()).unwrap();
            let gradients =
                adjoint(&problem, &solution, &cotangent, &Wanted::ALL, &settings).unwrap();
            (solution, gradients)
        };
        let (base, base_gradients) = differentiated(&owned);
        let good = |report: &feasible_solver::GradientReport| {
            report.quality == GradientQuality::Exact && report.margin > 1e-4
        };
        if !(base.all_solved() && base_gradients.reports.iter().all(good)) {
            continue;
        }
        for length in lengths {
            for cost in [1e-3 * length, length, 1e9] {
                let (found, gradients) = differentiated(&in_units(&owned, length, cost));
                let what = format!("seed {seed}, {length:e}, {cost:e}");
                assert!(found.all_solved(), "{what}: {:?}", found.status);
                let x = apart(&found.x, base.x.iter().map(|v| length * v));
                let mu = &base.quadratic_dual;
                let mu = apart(&found.quadratic_dual, mu.iter().map(|v| cost * v));
                assert!(x.max(mu) < 1e-8, "{what}: {x:e}, {mu:e}");
                worst[0] = worst[0].max(x);
                samples += 2;
                // Margins are absolute: what pushes by 1e-8 counts as weak.
                let is_exact =
                    |r: &feasible_solver::GradientReport| r.quality == GradientQuality::Exact;
                exact += gradients.reports.iter().filter(|r| is_exact(r)).count();
                if !gradients.reports.iter().all(is_exact) {
                    let weak = gradients.reports.iter().any(|r| r.margin <= 1e-8);
                    assert!(weak, "{what}: {:?}", gradients.reports);
                    continue;
                }
                let expected = of_q_and_rows(&base_gradients, 1.0, 1.0).into_iter();
                let error = apart(&of_q_and_rows(&gradients, length, cost), expected);
                assert!(error < 1e-6, "{what}: {error:e}");
                worst[1] = worst[1].max(error);
            }
        }
    }
    println!(
        "{exact} of {samples} exact, worst {:.1e}, {:.1e}",
        worst[0], worst[1]
    );
    assert!(
        samples > 1000 && exact * 10 > samples * 9,
        "{exact}, {samples}"
    );
}

/// A point inside a small ball far from the origin is its own projection, and the derivative is the identity:
/// the ball pushes by its gap over its tiny gradient, and holds nothing.
#[test]
fn balls_do_not_hold_what_is_inside() {
    for (n, radius, centre, inside) in [
        (2, 0.02, 10.0, 0.8),
        (20, 0.03, 10.0, 0.1),
        (50, 0.01, 1.0, 0.5),
        (100, 0.01, 1.0, 0.3),
        (2, 1e-3, 0.3, 0.9),
        (5, 0.1, 100.0, 0.1),
        (2, 1e-3, 0.0, 0.75),
        (2, 1e-6, 0.0, 0.5),
        (3, 1e6, 0.0, 0.5),
    ] {
        let mut at = vec![centre; n];
        let square: f64 = at.iter().map(|v| v * v).sum();
        let linear: Vec<f64> = at.iter().map(|v| -2.0 * v).collect();
        at[0] += inside * radius;
        let q: Vec<f64> = at.iter().map(|v| -v).collect();
        let (ones, limit) = (vec![1.0; n], [radius * radius - square]);
        let problem = Problem {
            batch: 1,
            n,
            p: Symmetric::Diagonal(Values::Shared(&ones)),
            q: Values::Shared(&q),
            equalities: None,
            inequalities: None,
            quadratics: Some(Quadratics {
                rows: 1,
                h: Symmetric::Diagonal(Values::Shared(&ones)),
                g: Values::Shared(&linear),
                c: Values::Shared(&limit),
            }),
        };
        let what = format!("n {n}, radius {radius}, centre {centre}");
        let solution = solve(&problem, &Settings::default()).unwrap();
        assert!(solution.all_solved(), "{what}");
        assert_eq!(solution.quadratic_dual, [0.0], "{what}");
        assert!(apart(&solution.x, at.iter().copied()) < 1e-12, "{what}");
        let settings = AdjointSettings::default();
        let cotangent = Cotangent::of_x(&ones);
        let gradients = adjoint(&problem, &solution, &cotangent, &Wanted::ALL, &settings).unwrap();
        let report = gradients.reports[0];
        assert_eq!(report.quality, GradientQuality::Exact, "{what}: {report:?}");
        assert!(gradients.q.unwrap().iter().all(|v| (v + 1.0).abs() < 1e-12));
    }
}

/// Cone programs of every kind around known solutions: all exact, whatever the units.
#[test]
fn cone_programs_in_any_units() {
    let (mut worst, mut samples) = ([0.0f64; 2], 0);
    let kinds = [&KINDS[..], &MATRICES[..]];
    for seed in 0..60 {
        let (owned, ..) = cones::random(seed, kinds[seed as usize % 2]);
        let m: usize = owned.cones.iter().map(|c| c.rows()).sum();
        let of_x = normal(&mut rng(seed), owned.batch * owned.n);
        let zeros = vec![0.0; owned.batch * m];
        let cotangents = [of_x, zeros.clone(), zeros];
        let base = cones::solve(&owned);
        let base_gradients = cones::gradients(&owned, &base, &cotangents);
        for (length, cost) in [
            (1e-6, 1.0),
            (1e-3, 1e-9),
            (1.0, 1e-7),
            (1.0, 1e7),
            (1e3, 1e-4),
            (1e5, 1e10),
            (1e6, 1e13),
        ] {
            let mut scaled = owned.clone();
            let factors = [cost / (length * length), cost / length, 1.0 / length, 1.0];
            for ((data, _), factor) in scaled.parts.iter_mut().zip(factors) {
                data.iter_mut().for_each(|v| *v *= factor);
            }
            let what = format!("seed {seed}, {length:e}, {cost:e}, {:?}", owned.cones);
            let found = cones::solve(&scaled);
            assert!(found.all_solved(), "{what}: {:?}", found.status);
            let x = apart(&found.x, base.x.iter().map(|v| length * v));
            let z = apart(&found.z, base.z.iter().map(|v| cost * v));
            assert!(x.max(z) < 1e-9, "{what}: {x:e}, {z:e}");
            let gradients = cones::gradients(&scaled, &found, &cotangents);
            for report in &gradients.reports {
                assert_eq!(report.quality, GradientQuality::Exact, "{what}: {report:?}");
            }
            // All in the units of the first: where rows alone determine the solution ∂q is nothing but rounding.
            let all = |of: &feasible_solver::ConeGradients, length: f64, cost: f64| -> Vec<f64> {
                let square = length * length;
                let parts = [(&of.q, square / cost), (&of.b, length), (&of.a, square)];
                let each = parts.into_iter().flat_map(|(part, unit)| {
                    let part = part.as_ref().unwrap().iter();
                    part.map(move |v| v / unit)
                });
                each.collect()
            };
            let expected = all(&base_gradients, 1.0, 1.0).into_iter();
            let error = apart(&all(&gradients, length, cost), expected);
            assert!(error < 1e-6, "{what}: {error:e}");
            (worst[0], worst[1]) = (worst[0].max(x), worst[1].max(error));
            samples += owned.batch;
        }
    }
    println!(
        "{samples} samples, worst {:.1e}, {:.1e}",
        worst[0], worst[1]
    );
}

/// Programs of large numbers that Clarabel calls unbounded or infeasible.
#[test]
fn verdicts_are_about_the_numbers_given() {
    use cones::Pattern;
    use feasible_solver::{Cone, ConeProblem, ConeSettings, solve_cones};
    let dense = |rows, columns| Pattern::new(rows, columns, |_, _| true);
    let solved = |n: usize, q: &[f64], a: &[f64], b: &[f64], kinds: &[Cone]| {
        let pattern = dense(b.len(), n);
        let problem = ConeProblem {
            batch: 1,
            n,
            p: None,
            q: Values::Shared(q),
            a: pattern.with(Values::Shared(a)),
            b: Values::Shared(b),
            cones: kinds,
        };
        let solution = solve_cones(&problem, &ConeSettings::default()).unwrap();
        (solution.status[0], solution.x)
    };
    // By columns: x + y ≤ 4e6, x + 3y ≤ 6e6, x, y ≥ 0.
    let (status, x) = solved(
        2,
        &[-1e6, -2e6],
        &[1.0, 1.0, -1.0, 0.0, 1.0, 3.0, 0.0, -1.0],
        &[4e6, 6e6, 0.0, 0.0],
        &[Cone::Nonnegative(4)],
    );
    assert_eq!(status, Status::Solved);
    assert!(apart(&x, [3e6, 1e6].into_iter()) < 1e-12);
    // On a disc of radius 1e5.
    let (status, x) = solved(
        2,
        &[-1e5, -2e5],
        &[0.0, -1.0, 0.0, 0.0, 0.0, -1.0],
        &[1e5, 0.0, 0.0],
        &[Cone::SecondOrder(3)],
    );
    assert_eq!(status, Status::Solved);
    let root = 1e5 / 5f64.sqrt();
    assert!(apart(&x, [root, 2.0 * root].into_iter()) < 1e-12);
    // 1e12 v − x with eˣ ≤ v has its minimum at x = −ln 1e12. Its cone has numbers of 1e12 and of 1e-12: that it
    // cannot be told is no verdict.
    let (status, x) = solved(
        2,
        &[-1.0, 1e12],
        &[-1.0, 0.0, 0.0, 0.0, 0.0, -1.0],
        &[0.0, 1.0, 0.0],
        &[Cone::Exponential(1)],
    );
    match status {
        Status::Solved => assert!((x[0] + 1e12f64.ln()).abs() < 1e-6, "{x:?}"),
        status => assert_eq!(status, Status::NumericalError),
    }
    // −1e-10 x with x ≥ 0 falls forever.
    let (status, _) = solved(1, &[-1e-10], &[-1.0], &[0.0], &[Cone::Nonnegative(1)]);
    assert_eq!(status, Status::DualInfeasible);
}

/// A solution is none where its objective is no number in the units given.
#[test]
fn what_overflows_on_the_way_back_is_not_solved() {
    let problem = Problem {
        batch: 1,
        n: 2,
        p: Symmetric::Diagonal(Values::Shared(&[0.0, 0.0])),
        q: Values::Shared(&[1e300, -1e300]),
        equalities: Some(Equalities {
            rows: 2,
            a: Values::Shared(&[2.0, 1e-8, -0.5, 1e-16]),
            b: Values::Shared(&[1e-8, -1.0]),
        }),
        inequalities: None,
        quadratics: None,
    };
    let solution = solve(&problem, &Settings::default()).unwrap();
    assert!(!solution.status[0].is_solved() || solution.objective[0].is_finite());
}
