//! Bounds that cross by the rounding their numbers carry are a row of equal bounds at their middle:
//! for every method, for residuals, and for derivatives.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_solver::{
    AdjointSettings, Cotangent, CrossedBounds, Degenerate, Error, GradientQuality, Inequalities,
    Method, Outputs, Parameter, Problem, SampleDerivative, Settings, Solution, Status, Symmetric,
    Tangents, Values, Wanted, adjoint, differentiate, jacobian, solve, solve_from, tangent,
};
use support::derivatives::{Loss, parts, shape};
use support::relaxed::elastic;
use support::{Owned, random};

const SINGLE: f64 = f32::EPSILON as f64;

fn single(settings: Settings) -> Settings {
    Settings {
        rounding: SINGLE,
        ..settings
    }
}

/// 0.7 in single precision, and as a sum of two of its numbers, which lies above it.
fn bounds() -> (f64, f64) {
    let (l, u) = (f64::from(0.1f32 + 0.6), f64::from(0.7f32));
    assert!(l > u);
    (l, u)
}

/// `min ½‖x − (2, 0)‖²` with `x₀` between the two, in three samples of which the last does not touch.
fn projection<'a>(l: &'a [f64], u: Values<'a>) -> Problem<'a> {
    Problem {
        batch: 3,
        n: 2,
        p: Symmetric::Diagonal(Values::Shared(&[1.0, 1.0])),
        q: Values::PerSample(&[-2.0, 0.0, 3.0, 0.0, 0.4, 0.3]),
        equalities: None,
        inequalities: Some(Inequalities {
            rows: 1,
            g: Values::Shared(&[1.0, 0.0]),
            l: Values::Shared(l),
            u,
        }),
        quadratics: None,
    }
}

/// What is refused of exact numbers is an equality of numbers that carry single precision's rounding.
#[test]
fn rounding_of_single_precision_does_not_cross() {
    let (l, u) = bounds();
    let (lower, all) = ([l], [u, u, 1.5]);
    let problem = projection(&lower, Values::PerSample(&all));
    let error = solve(&problem, &Settings::default()).unwrap_err();
    assert!(matches!(
        error,
        Error::CrossedBounds {
            sample: 0,
            row: 0,
            ..
        }
    ));
    let report = Settings {
        crossed_bounds: CrossedBounds::Infeasible,
        ..Settings::default()
    };
    let apart = solve(&problem, &report).unwrap();
    let infeasible = Status::PrimalInfeasible;
    assert_eq!(apart.status, [infeasible, infeasible, Status::Solved]);

    let middle = 0.5 * (l + u);
    for settings in [Settings::default(), report, elastic(10.0)] {
        for method in [Method::Auto, Method::InteriorPoint] {
            let settings = single(Settings { method, ..settings });
            let solution = solve(&problem, &settings).unwrap();
            assert_eq!(solution.status, [Status::Solved; 3], "{method:?}");
            let expected = [middle, 0.0, middle, 0.0, l, -0.3];
            for (x, expected) in solution.x.iter().zip(expected) {
                assert!((x - expected).abs() < 1e-14, "{method:?}: {x} {expected}");
            }
            // Pushed from above, from below, and at the lower bound of the last.
            for (dual, expected) in solution.inequality_dual.iter().zip([1.3, -3.7, -1.1]) {
                assert!((dual - expected).abs() < 1e-6, "{method:?}: {dual}");
            }
            assert!(solution.residuals.iter().all(|r| r.worst() < 1e-13));
            let loss = Cotangent::of_x(&[1.0; 6]);
            let adjoint_settings = AdjointSettings::default();
            let back = adjoint(&problem, &solution, &loss, &Wanted::ALL, &adjoint_settings);
            let back = back.unwrap();
            for report in &back.reports {
                assert_eq!(report.quality, GradientQuality::Exact);
            }
            // Of equal bounds the one that the multiplier points to; one copy of l sums its samples.
            let (of_l, of_u) = (back.l.unwrap(), back.u.unwrap());
            assert_eq!((of_l.len(), of_u.len()), (1, 3));
            assert!((of_l[0] - 2.0).abs() < 1e-12, "{of_l:?}");
            for (got, expected) in of_u.into_iter().zip([1.0, 0.0, 0.0]) {
                assert!((got - expected).abs() < 1e-12);
            }
        }
    }
}

/// What is more than rounding stays a mistake.
#[test]
fn more_than_rounding_is_still_refused() {
    for apart in [1e-5, 1.0] {
        let (lower, upper) = ([0.7 + apart], [0.7]);
        let problem = projection(&lower, Values::Shared(&upper));
        let error = solve(&problem, &single(Settings::default())).unwrap_err();
        assert!(matches!(error, Error::CrossedBounds { .. }), "{apart:e}");
        let solution = solve(&problem, &single(elastic(10.0))).unwrap();
        assert_eq!(solution.status, [Status::Relaxed; 3]);
    }
}

/// Random problems with rows of equal bounds, and the same with those bounds crossed by rounding
/// around the same middles.
fn pair(seed: u64) -> Option<(Owned, Owned)> {
    let mut shape = shape(seed, seed.is_multiple_of(2));
    shape.n = shape.n.clamp(4, 20);
    shape.p_rows = shape.p_rows.min(shape.n / 4);
    shape.m = shape.m.clamp(2, shape.n / 2);
    shape.p_rank = shape.n;
    shape.equal_rows = 0.4;
    let mut equal = random(shape, seed);
    if equal.parts[5].shared != equal.parts[6].shared {
        return None;
    }
    let mut crossed = equal.clone();
    let mut found = false;
    for row in 0..equal.parts[5].data.len() {
        let (l, u) = (equal.parts[5].data[row], equal.parts[6].data[row]);
        if l == u {
            let apart = SINGLE * l.abs();
            let (l, u) = (l + apart, u - 0.5 * apart);
            (crossed.parts[5].data[row], crossed.parts[6].data[row]) = (l, u);
            let middle = 0.5 * l + 0.5 * u;
            (equal.parts[5].data[row], equal.parts[6].data[row]) = (middle, middle);
            found |= l > u;
        }
    }
    found.then_some((equal, crossed))
}

/// Every number of the answer, and of every derivative of it, is that of the middles.
#[test]
fn answers_and_derivatives_are_those_of_equal_bounds() {
    let mut compared = 0;
    for seed in 0..60 {
        let Some((equal, crossed)) = pair(seed) else {
            continue;
        };
        let (plain, problem) = (equal.problem(), crossed.problem());
        for method in [Method::Auto, Method::InteriorPoint] {
            let settings = single(Settings {
                method,
                ..Settings::default()
            });
            let expected = solve(&plain, &settings).unwrap();
            let found = solve(&problem, &settings).unwrap();
            assert!(found.all_solved(), "seed {seed}: {:?}", found.status);
            let numbers = |s: &Solution| {
                let duals = [&s.equality_dual, &s.inequality_dual, &s.quadratic_dual];
                (s.x.clone(), duals.map(Clone::clone), s.residuals.clone())
            };
            assert_eq!(numbers(&found), numbers(&expected), "seed {seed}");
            let warm = solve_from(&problem, &found, &settings).unwrap();
            let again = solve_from(&plain, &expected, &settings).unwrap();
            assert_eq!(numbers(&warm), numbers(&again), "seed {seed}");
            for degenerate in [
                Degenerate::LeastNorm,
                Degenerate::Held,
                Degenerate::Released,
                Degenerate::Smoothed { mu: 1e-4 },
            ] {
                let settings = AdjointSettings {
                    degenerate,
                    ..AdjointSettings::default()
                };
                let loss = Loss::random(&equal, seed, true);
                let back = |problem: &Problem<'_>, solution: &Solution| {
                    let wanted = &Wanted::ALL;
                    adjoint(problem, solution, &loss.cotangent(), wanted, &settings).unwrap()
                };
                let (a, b) = (back(&problem, &found), back(&plain, &expected));
                assert_eq!(parts(&a), parts(&b), "seed {seed} {degenerate:?}");
                assert_eq!(a.reports, b.reports);
                for parameter in [Parameter::Q, Parameter::L, Parameter::U] {
                    let whole = |problem: &Problem<'_>, solution: &Solution| {
                        let outputs = Outputs::PrimalAndDuals;
                        let all = jacobian(problem, solution, parameter, outputs, &settings);
                        let all = all.unwrap();
                        (all.x, all.inequality_dual, all.reports)
                    };
                    assert_eq!(whole(&problem, &found), whole(&plain, &expected));
                    let d: Vec<f64> = (0..problem.parameter_len(parameter))
                        .map(|i| (i as f64).cos())
                        .collect();
                    let tangents = Tangents::only(parameter, Values::Shared(&d));
                    let ahead = |problem: &Problem<'_>, solution: &Solution| {
                        let ahead = tangent(problem, solution, &tangents, &settings).unwrap();
                        (ahead.x, ahead.inequality_dual, ahead.reports)
                    };
                    assert_eq!(ahead(&problem, &found), ahead(&plain, &expected));
                    let one = |problem: &Problem<'_>, solution: &Solution| {
                        let work =
                            |one: &mut SampleDerivative<'_>| one.tangent(&tangents).unwrap().x;
                        differentiate(problem, solution, 0, &settings, work).unwrap()
                    };
                    assert_eq!(one(&problem, &found), one(&plain, &expected));
                }
            }
            compared += 1;
        }
    }
    println!("{compared} compared");
    assert!(compared > 60, "{compared}");
}
