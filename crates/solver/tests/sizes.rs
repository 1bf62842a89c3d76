//! Problems of so many variables or rows that matrices of their squares would not fit any memory.
#![allow(missing_docs)]

use feasible_solver::{
    AdjointSettings, Cotangent, Error, GradientQuality, Inequalities, Infeasible, Method, Problem,
    Settings, Status, Symmetric, Values, Wanted, adjoint, solve,
};

const MANY: usize = 100_000;

fn without_rows<'a>(p: &'a [f64], q: &'a [f64]) -> Problem<'a> {
    Problem {
        batch: 1,
        n: q.len(),
        p: Symmetric::Diagonal(Values::Shared(p)),
        q: Values::PerSample(q),
        equalities: None,
        inequalities: None,
        quadratics: None,
    }
}

#[test]
fn a_diagonal_without_rows_stays_one() {
    let p: Vec<f64> = (0..MANY).map(|i| 1.0 + (i % 7) as f64).collect();
    let q: Vec<f64> = (0..MANY).map(|i| (i as f64).sin()).collect();
    let cotangent = vec![1.0; MANY];
    for (shared, method) in [
        (true, Method::Auto),
        (false, Method::Auto),
        (true, Method::InteriorPoint),
    ] {
        let mut problem = without_rows(&p, &q);
        if !shared {
            problem.p = Symmetric::Diagonal(Values::PerSample(&p));
        }
        let settings = Settings {
            method,
            ..Settings::default()
        };
        let solution = solve(&problem, &settings).unwrap();
        assert_eq!(solution.status, [Status::Solved]);
        let cotangent = Cotangent::of_x(&cotangent);
        let gradients = adjoint(
            &problem,
            &solution,
            &cotangent,
            &Wanted::ALL,
            &AdjointSettings::default(),
        )
        .unwrap();
        assert_eq!(gradients.reports[0].quality, GradientQuality::Exact);
        let of_q = gradients.q.unwrap();
        for i in 0..MANY {
            assert!((solution.x[i] + q[i] / p[i]).abs() < 1e-12);
            assert!((of_q[i] + 1.0 / p[i]).abs() < 1e-12);
        }
    }
}

#[test]
fn a_solution_that_overflows_is_no_reason_for_matrices() {
    let (p, q) = (vec![1e-10; MANY], vec![1e300; MANY]);
    let solution = solve(&without_rows(&p, &q), &Settings::default()).unwrap();
    assert!(!solution.all_solved());
}

#[test]
fn matrices_out_of_proportion_are_refused() {
    let (mut p, q) = (vec![1.0; MANY], vec![1.0; MANY]);
    let one = vec![1.0; MANY];
    let mut problem = without_rows(&p, &q);
    problem.inequalities = Some(Inequalities {
        rows: 1,
        g: Values::Shared(&one),
        l: Values::Shared(&[1.0]),
        u: Values::Shared(&[1.0]),
    });
    let refused = Error::TooLarge {
        n: MANY,
        most: 1 << 27,
    };
    assert_eq!(solve(&problem, &Settings::default()).unwrap_err(), refused);
    p[0] = 1e-7;
    let problem = without_rows(&p, &q);
    assert_eq!(solve(&problem, &Settings::default()).unwrap_err(), refused);
}

/// The square of the rows is left to nothing: not to the pivots, the polish, the certificate or the derivative.
#[test]
fn many_rows_are_solved_without_their_square() {
    let (g, below) = (vec![1.0; MANY], vec![f64::NEG_INFINITY; MANY]);
    let above = vec![1.0; MANY];
    let with = |l, u| Problem {
        inequalities: Some(Inequalities {
            rows: MANY,
            g: Values::Shared(&g),
            l: Values::Shared(l),
            u: Values::Shared(u),
        }),
        ..without_rows(&[1.0], &[-3.0])
    };
    let problem = with(&below, &above);
    let solution = solve(&problem, &Settings::default()).unwrap();
    assert_eq!(solution.status, [Status::Solved]);
    assert!((solution.x[0] - 1.0).abs() < 1e-9);
    let (cotangent, settings) = (Cotangent::of_x(&[1.0]), AdjointSettings::default());
    let gradients = adjoint(&problem, &solution, &cotangent, &Wanted::ALL, &settings);
    assert_eq!(gradients.unwrap().q.unwrap(), [0.0]);

    let (mut below, mut wide) = (below.clone(), above.clone());
    (below[7], wide[7]) = (1.5, 2.0);
    let problem = with(&below, &wide);
    for infeasible in [Infeasible::Report, Infeasible::ELASTIC] {
        let settings = Settings {
            infeasible,
            ..Settings::default()
        };
        let solution = solve(&problem, &settings).unwrap();
        assert_eq!(solution.status, [Status::PrimalInfeasible]);
    }
}
