//! Constructed kinks and non-unique solutions must be reported, with a finite answer.
#![allow(missing_docs)]

use feasible_solver::{
    AdjointSettings, Cotangent, Equalities, GradientQuality, Gradients, Inequalities, Method,
    Problem, Quadratics, Settings, Symmetric, Values, Wanted, adjoint, solve,
};

const INF: f64 = f64::INFINITY;
const ONES: Symmetric<'static> = Symmetric::Diagonal(Values::Shared(&[1.0, 1.0]));

fn gradients(problem: &Problem<'_>) -> Gradients {
    gradients_with(problem, &Settings::default())
}

fn gradients_with(problem: &Problem<'_>, settings: &Settings) -> Gradients {
    let solution = solve(problem, settings).unwrap();
    assert!(solution.all_solved(), "{:?}", solution.status);
    let x = vec![1.0; problem.batch * problem.n];
    let cotangent = Cotangent::of_x(&x);
    let gradients = adjoint(
        problem,
        &solution,
        &cotangent,
        &Wanted::ALL,
        &AdjointSettings::default(),
    )
    .unwrap();
    for part in [
        &gradients.q,
        &gradients.u,
        &gradients.g,
        &gradients.p,
        &gradients.quadratic_c,
    ] {
        assert!(part.iter().flatten().all(|v| v.is_finite()));
    }
    gradients
}

fn rows<'a>(g: &'a [f64], l: &'a [f64], u: &'a [f64]) -> Option<Inequalities<'a>> {
    Some(Inequalities {
        rows: l.len(),
        g: Values::Shared(g),
        l: Values::Shared(l),
        u: Values::Shared(u),
    })
}

fn base<'a>(p: Symmetric<'a>, q: &'a [f64]) -> Problem<'a> {
    Problem {
        batch: 1,
        n: 2,
        p,
        q: Values::Shared(q),
        equalities: None,
        inequalities: None,
        quadratics: None,
    }
}

#[test]
fn a_bound_touched_without_force() {
    // The unconstrained minimiser lies exactly on the bound.
    let mut problem = base(ONES, &[-1.0, 0.0]);
    problem.inequalities = rows(&[1.0, 0.0], &[-INF], &[1.0]);
    let gradients = gradients(&problem);
    assert_eq!(gradients.reports[0].quality, GradientQuality::Degenerate);
    assert!(gradients.reports[0].margin < 1e-12);
}

#[test]
fn duplicate_active_rows_share_the_gradient() {
    let mut problem = base(ONES, &[-3.0, 0.0]);
    problem.inequalities = rows(&[1.0, 0.0, 1.0, 0.0], &[-INF, -INF], &[1.0, 1.0]);
    let gradients = gradients(&problem);
    assert_eq!(gradients.reports[0].quality, GradientQuality::Degenerate);
    // Moving both bounds together moves x by as much.
    let u = gradients.u.unwrap();
    assert!((u[0] + u[1] - 1.0).abs() < 1e-12 && (u[0] - u[1]).abs() < 1e-12);
}

#[test]
fn redundant_equalities() {
    let mut problem = base(ONES, &[1.0, 2.0]);
    problem.equalities = Some(Equalities {
        rows: 2,
        a: Values::Shared(&[1.0, 1.0, 2.0, 2.0]),
        b: Values::Shared(&[1.0, 2.0]),
    });
    let gradients = gradients(&problem);
    assert_eq!(gradients.reports[0].quality, GradientQuality::Degenerate);
}

/// The same condition stated twice as rows of equal bounds, or once there and once as an equality:
/// which of the two carries the multiplier is a choice, by whatever method.
#[test]
fn duplicate_rows_of_equal_bounds() {
    let mut twice = base(ONES, &[-3.0, 0.0]);
    twice.inequalities = rows(&[1.0, 0.0, 1.0, 0.0], &[1.0; 2], &[1.0; 2]);
    let mut beside_an_equality = base(ONES, &[-3.0, 0.0]);
    beside_an_equality.inequalities = rows(&[1.0, 0.0], &[1.0], &[1.0]);
    beside_an_equality.equalities = Some(Equalities {
        rows: 1,
        a: Values::Shared(&[1.0, 0.0]),
        b: Values::Shared(&[1.0]),
    });
    for problem in [twice, beside_an_equality] {
        for method in [Method::Auto, Method::InteriorPoint] {
            let settings = Settings {
                method,
                ..Settings::default()
            };
            let gradients = gradients_with(&problem, &settings);
            assert_eq!(gradients.reports[0].quality, GradientQuality::Degenerate);
            // The least-norm answer shares the derivative evenly, whatever the method.
            let mut shares = gradients.u.unwrap();
            for (u, l) in shares.iter_mut().zip(gradients.l.unwrap()) {
                *u += l;
            }
            shares.extend(gradients.b.unwrap_or_default());
            assert_eq!(shares.len(), 2);
            for share in shares {
                assert!((share - 0.5).abs() < 1e-12, "{method:?}: {share}");
            }
        }
    }
}

/// x² ≤ 0 has no interior: no multiplier exists, and the point cannot be confirmed. To a loose
/// tolerance it counts as solved, with a margin that looks safe because μ·2x stays finite.
#[test]
fn no_interior_is_never_exact() {
    let problem = Problem {
        n: 1,
        quadratics: Some(Quadratics {
            rows: 1,
            h: Symmetric::Diagonal(Values::Shared(&[1.0])),
            g: Values::Shared(&[0.0]),
            c: Values::Shared(&[0.0]),
        }),
        ..base(Symmetric::Diagonal(Values::Shared(&[1.0])), &[-1.0])
    };
    let mut solved = 0;
    for tolerance in [1e-9, 1e-3, 0.02, 0.1] {
        let settings = Settings {
            tolerance,
            ..Settings::default()
        };
        let solution = solve(&problem, &settings).unwrap();
        let gradients = adjoint(
            &problem,
            &solution,
            &Cotangent::of_x(&[1.0]),
            &Wanted::ALL,
            &AdjointSettings::default(),
        )
        .unwrap();
        let report = gradients.reports[0];
        assert_ne!(report.quality, GradientQuality::Exact, "{tolerance:e}");
        if solution.all_solved() && report.margin > 0.1 {
            solved += 1;
            assert_eq!(report.quality, GradientQuality::Degenerate);
        }
    }
    assert!(solved > 0, "no tolerance shows the case");
}

/// Two active rows at an angle of 1e-7: independent, but the gradient has few digits left.
#[test]
fn ill_conditioned_rows_are_not_called_exact() {
    let mut problem = base(ONES, &[-3.0, 0.0]);
    let g = [1.0, 0.0, 1.0, 1e-7];
    problem.inequalities = rows(&g, &[1.0, 1.0], &[1.0, 1.0]);
    let gradients = gradients(&problem);
    assert_eq!(gradients.reports[0].quality, GradientQuality::Degenerate);
}

#[test]
fn more_active_rows_than_variables() {
    // Three lines through one vertex, all pushed.
    let mut problem = base(ONES, &[-5.0, -5.0]);
    problem.inequalities = rows(
        &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0],
        &[-INF; 3],
        &[1.0, 1.0, 2.0],
    );
    let gradients = gradients(&problem);
    assert_eq!(gradients.reports[0].quality, GradientQuality::Degenerate);
}

#[test]
fn a_linear_program_with_many_optima() {
    // min x over the unit box: y is free in [0, 1].
    let zeros = Symmetric::Diagonal(Values::Shared(&[0.0, 0.0]));
    let mut problem = base(zeros, &[1.0, 0.0]);
    problem.inequalities = rows(&[1.0, 0.0, 0.0, 1.0], &[0.0, 0.0], &[1.0, 1.0]);
    let gradients = gradients(&problem);
    assert_eq!(gradients.reports[0].quality, GradientQuality::Degenerate);
    // x = l_0 whatever y is.
    assert!((gradients.l.unwrap()[0] - 1.0).abs() < 1e-6);
}

#[test]
fn two_spheres_that_touch() {
    // The feasible set is one point, where both gradients are parallel.
    let mut problem = base(ONES, &[0.0, 1.0]);
    problem.quadratics = Some(Quadratics {
        rows: 2,
        h: Symmetric::Diagonal(Values::Shared(&[1.0; 4])),
        g: Values::Shared(&[2.0, 0.0, -2.0, 0.0]),
        c: Values::Shared(&[0.0, 0.0]),
    });
    let solution = solve(&problem, &Settings::default()).unwrap();
    // Without an interior multipliers grow without bound; only the verdict is promised.
    let x = [1.0, 1.0];
    let cotangent = Cotangent::of_x(&x);
    let gradients = adjoint(
        &problem,
        &solution,
        &cotangent,
        &Wanted::ALL,
        &AdjointSettings::default(),
    )
    .unwrap();
    assert_ne!(gradients.reports[0].quality, GradientQuality::Exact);
    assert!(solution.x.iter().all(|v| v.is_finite()));
    assert!(gradients.q.unwrap().iter().all(|v| v.is_finite()));
}

#[test]
fn a_sphere_touched_without_force() {
    let mut problem = base(ONES, &[-1.0, 0.0]);
    problem.quadratics = Some(Quadratics {
        rows: 1,
        h: Symmetric::Diagonal(Values::Shared(&[1.0; 2])),
        g: Values::Shared(&[0.0; 2]),
        c: Values::Shared(&[1.0]),
    });
    let gradients = gradients(&problem);
    assert_eq!(gradients.reports[0].quality, GradientQuality::Degenerate);
}

#[test]
fn equal_bounds_are_not_degenerate() {
    let mut problem = base(ONES, &[-3.0, 1.0]);
    problem.inequalities = rows(&[1.0, 0.0], &[1.0], &[1.0]);
    let gradients = gradients(&problem);
    assert_eq!(gradients.reports[0].quality, GradientQuality::Exact);
    assert_eq!(gradients.reports[0].margin, INF);
    let (l, u) = (gradients.l.unwrap(), gradients.u.unwrap());
    assert!((l[0] + u[0] - 1.0).abs() < 1e-14);
}

/// Numbers whose quotients overflow: whatever the verdict, gradients are finite, and none that is not
/// a number is called exact, also for a cotangent of zero.
#[test]
fn quotients_that_overflow_are_no_derivative() {
    let infinite = [-INF, -INF];
    let problem = Problem {
        batch: 1,
        n: 2,
        p: Symmetric::Dense(Values::Shared(&[2e32; 4])),
        q: Values::Shared(&[1.0, 1.0]),
        equalities: Some(Equalities {
            rows: 1,
            a: Values::Shared(&[1e-300, 0.0]),
            b: Values::Shared(&[0.0]),
        }),
        inequalities: Some(Inequalities {
            rows: 2,
            g: Values::Shared(&[0.0, 1e16, 1e16, 1e16]),
            l: Values::Shared(&infinite),
            u: Values::Shared(&[INF, INF]),
        }),
        quadratics: None,
    };
    let solution = solve(&problem, &Settings::default()).unwrap();
    for x in [[0.0, 0.0], [1.0, -1.0]] {
        let cotangent = Cotangent::of_x(&x);
        let settings = AdjointSettings::default();
        let gradients = adjoint(&problem, &solution, &cotangent, &Wanted::ALL, &settings).unwrap();
        let of_q = gradients.q.unwrap();
        assert!(of_q.iter().all(|v| v.is_finite()), "{of_q:?}");
        if !solution.all_solved() {
            assert_eq!(gradients.reports[0].quality, GradientQuality::Unavailable);
        }
    }
}
