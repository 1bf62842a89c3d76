//! Bad samples among good ones, empty shapes, rows that say nothing, numbers that overflow, bad input.
#![allow(missing_docs)]

mod support;

use feasible_solver::{
    AdjointSettings, Cotangent, Equalities, Error, GradientQuality, Inequalities, Method,
    Parameter, Problem, Quadratics, Settings, Status, Symmetric, Tangents, Values, Wanted, adjoint,
    solve, solve_from, tangent,
};
use support::{INF, Owned, random, random_shape};

const METHODS: [Method; 2] = [Method::Auto, Method::InteriorPoint];

fn with(method: Method) -> Settings {
    Settings {
        method,
        ..Settings::default()
    }
}

/// The good samples' bits must not depend on what shares their batch.
#[test]
fn a_bad_sample_leaves_the_others_bit_identical() {
    for (seed, quadratics) in [(1, false), (2, false), (3, true), (4, true), (5, false)] {
        let mut shape = random_shape(seed, 5, 12, quadratics);
        shape.m = shape.m.max(3);
        shape.per_sample = 0b10_0110_1010;
        let owned = random(shape, seed);
        let good = solve(&owned.problem(), &Settings::default()).unwrap();
        assert!(good.all_solved());
        let mut bad = owned.clone();
        // Row 1 repeats row 0 with bounds that exclude it, in sample 2 only: contradictory.
        let n = owned.n;
        let (m, s) = (owned.m, 2);
        bad.parts[5].data[s * m] = -INF;
        bad.parts[6].data[s * m] = 0.0;
        let mut both = [owned.clone(), bad];
        for owned in &mut both {
            let row = owned.parts[4].data[..n].to_vec();
            owned.parts[4].data[n..2 * n].copy_from_slice(&row);
        }
        let [mut reference, mut bad] = both;
        for i in 0..5 {
            for owned in [&mut reference, &mut bad] {
                owned.parts[5].data[i * m + 1] = -INF;
                owned.parts[6].data[i * m + 1] = INF;
            }
        }
        bad.parts[5].data[s * m + 1] = 1.0;
        bad.parts[6].data[s * m + 1] = 2.0;
        let settings = Settings::default();
        let (a, b) = (
            solve(&reference.problem(), &settings).unwrap(),
            solve(&bad.problem(), &settings).unwrap(),
        );
        assert_eq!(b.status[s], Status::PrimalInfeasible);
        let cotangent = vec![1.0; 5 * n];
        let cotangent = Cotangent::of_x(&cotangent);
        let gradient = |owned: &Owned, solution| {
            adjoint(
                &owned.problem(),
                solution,
                &cotangent,
                &Wanted::ALL,
                &AdjointSettings::default(),
            )
            .unwrap()
        };
        let (ga, gb) = (gradient(&reference, &a), gradient(&bad, &b));
        assert_eq!(gb.reports[s].quality, GradientQuality::Unavailable);
        let (qa, qb) = (ga.q.unwrap(), gb.q.unwrap());
        assert!(qb[s * n..(s + 1) * n].iter().all(|v| *v == 0.0));
        for i in (0..5).filter(|i| *i != s) {
            assert_eq!(a.x[i * n..(i + 1) * n], b.x[i * n..(i + 1) * n]);
            assert_eq!(a.residuals[i], b.residuals[i]);
            assert_eq!(qa[i * n..(i + 1) * n], qb[i * n..(i + 1) * n]);
        }
    }
}

#[test]
fn empty_batches_and_empty_parts() {
    let empty = Problem {
        batch: 0,
        n: 3,
        p: Symmetric::Diagonal(Values::PerSample(&[])),
        q: Values::PerSample(&[]),
        equalities: Some(Equalities {
            rows: 1,
            a: Values::Shared(&[1.0, 1.0, 1.0]),
            b: Values::PerSample(&[]),
        }),
        inequalities: None,
        quadratics: None,
    };
    let solution = solve(&empty, &Settings::default()).unwrap();
    assert_eq!(solution.batch(), 0);
    let cotangent = Cotangent::of_x(&[]);
    let gradients = adjoint(
        &empty,
        &solution,
        &cotangent,
        &Wanted::ALL,
        &AdjointSettings::default(),
    )
    .unwrap();
    assert_eq!(gradients.a, Some(vec![0.0; 3]));
    assert_eq!(gradients.b, Some(vec![]));

    // Zero rows in every part, one variable.
    let problem = Problem {
        batch: 2,
        n: 1,
        p: Symmetric::Dense(Values::Shared(&[2.0])),
        q: Values::PerSample(&[-2.0, 4.0]),
        equalities: Some(Equalities {
            rows: 0,
            a: Values::Shared(&[]),
            b: Values::Shared(&[]),
        }),
        inequalities: Some(Inequalities {
            rows: 0,
            g: Values::Shared(&[]),
            l: Values::Shared(&[]),
            u: Values::PerSample(&[]),
        }),
        quadratics: Some(Quadratics {
            rows: 0,
            h: Symmetric::Dense(Values::Shared(&[])),
            g: Values::Shared(&[]),
            c: Values::Shared(&[]),
        }),
    };
    for method in METHODS {
        let solution = solve(&problem, &with(method)).unwrap();
        for (x, expected) in solution.x.iter().zip([1.0, -2.0]) {
            assert!((x - expected).abs() < 1e-12);
        }
        let cotangent = Cotangent {
            x: &[1.0, 1.0],
            equality_dual: None,
            inequality_dual: None,
            quadratic_dual: None,
        };
        let gradients = adjoint(
            &problem,
            &solution,
            &cotangent,
            &Wanted::ALL,
            &AdjointSettings::default(),
        )
        .unwrap();
        for q in gradients.q.unwrap() {
            assert!((q + 0.5).abs() < 1e-15);
        }
    }
}

#[test]
fn rows_of_zeros_and_rows_without_bounds() {
    let case = |u: f64| {
        let upper = [u, 1.0, INF];
        let problem = Problem {
            batch: 1,
            n: 2,
            p: Symmetric::Diagonal(Values::Shared(&[1.0, 1.0])),
            q: Values::Shared(&[-3.0, 0.0]),
            equalities: Some(Equalities {
                rows: 1,
                a: Values::Shared(&[0.0, 0.0]),
                b: Values::Shared(&[0.0]),
            }),
            inequalities: Some(Inequalities {
                rows: 3,
                g: Values::Shared(&[0.0, 0.0, 1.0, 0.0, 5.0, 5.0]),
                l: Values::Shared(&[-INF, -1.0, -INF]),
                u: Values::Shared(&upper),
            }),
            quadratics: None,
        };
        METHODS.map(|method| {
            let solution = solve(&problem, &with(method)).unwrap();
            (solution.status[0], solution.x[0])
        })
    };
    for (status, x) in case(0.0) {
        assert_eq!(status, Status::Solved);
        assert!((x - 1.0).abs() < 1e-12);
    }
    for (status, _) in case(-1.0) {
        assert_eq!(status, Status::PrimalInfeasible);
    }
}

#[test]
fn contracts_are_errors_with_names() {
    let owned = random(random_shape(7, 2, 5, false), 7);
    let problem = owned.problem();
    let solution = solve(&problem, &Settings::default()).unwrap();
    let x = vec![0.0; 2 * owned.n + 1];
    let cotangent = Cotangent::of_x(&x);
    let error = adjoint(
        &problem,
        &solution,
        &cotangent,
        &Wanted::ALL,
        &AdjointSettings::default(),
    )
    .unwrap_err();
    assert!(matches!(
        error,
        Error::Shape {
            argument: "cotangent.x",
            ..
        }
    ));
    let other = random(random_shape(8, 3, 5, false), 8);
    let x = vec![0.0; 3 * other.n];
    let cotangent = Cotangent { x: &x, ..cotangent };
    let error = adjoint(
        &other.problem(),
        &solution,
        &cotangent,
        &Wanted::ALL,
        &AdjointSettings::default(),
    )
    .unwrap_err();
    assert!(matches!(error, Error::ForeignSolution { .. }));
}

/// The minimiser is a number but its objective is not.
#[test]
fn an_objective_that_overflows_is_no_solution() {
    let problem = Problem {
        batch: 1,
        n: 1,
        p: Symmetric::Diagonal(Values::Shared(&[1e8])),
        q: Values::Shared(&[1e300]),
        equalities: None,
        inequalities: None,
        quadratics: None,
    };
    for method in METHODS {
        let solution = solve(&problem, &with(method)).unwrap();
        assert!(!solution.status[0].is_solved(), "{method:?}");
    }
}

/// Rows that bound squares of squares: nearly all of them are held by tiny multipliers, where plain
/// interior-point steps shorten without end.
#[test]
fn squares_of_squares_of_squares() {
    for (rows, dense) in (2..=7).flat_map(|rows| [(rows, false), (rows, true)]) {
        for nearest in [0.0085, 0.07, 0.3, 0.7, 1.5] {
            // min ½(x₀ − nearest)² + x_k,  xᵢ² ≤ xᵢ₊₁ for i < k, in y = x + 1 and with rows of their own size.
            let n = rows + 1;
            let mut p = vec![0.0; n];
            p[0] = 1.0;
            let mut q = vec![0.0; n];
            (q[0], q[rows]) = (-nearest - 1.0, 1.0);
            let entries = if dense { n * n } else { n };
            let (mut h, mut g) = (vec![0.0; rows * entries], vec![0.0; rows * n]);
            let mut c = vec![0.0; rows];
            for row in 0..rows {
                let size = [1.0, 7.0, 0.2][row % 3];
                h[row * entries + if dense { row * n + row } else { row }] = size;
                g[row * n + row] = -2.0 * size;
                g[row * n + row + 1] = -size;
                c[row] = -2.0 * size;
            }
            let h = Values::Shared(&h);
            let problem = Problem {
                batch: 1,
                n,
                p: Symmetric::Diagonal(Values::Shared(&p)),
                q: Values::Shared(&q),
                equalities: None,
                inequalities: None,
                quadratics: Some(Quadratics {
                    rows,
                    h: match dense {
                        true => Symmetric::Dense(h),
                        false => Symmetric::Diagonal(h),
                    },
                    g: Values::Shared(&g),
                    c: Values::Shared(&c),
                }),
            };
            let solution = solve(&problem, &Settings::default()).unwrap();
            assert!(solution.all_solved(), "{rows}, {nearest}");
            // The whole is ½(x − nearest)² + x^(2^rows).
            let (x, power) = (solution.x[0] - 1.0, 1 << rows);
            let slope = x - nearest + f64::from(power) * x.powi(power - 1);
            assert!(slope.abs() < 1e-8, "{rows}, {nearest}: {slope}");
        }
    }
}

/// A row whose square, or whose response to the curvature, is beyond the range of a double is no row that cannot
/// move: min ½ p x² + x for x ≥ 1 has its minimum at 1, with each sample's own matrices or with those of all.
#[test]
fn rows_whose_scales_overflow_are_not_infeasible() {
    for (curvature, factors) in [
        (1e-300, [1e8, 1.0, 3.0]),
        (1.0, [1e8, 1e-170, 3.0]),
        (1e300, [1e-10, 1.0, 3.0]),
        (1e-200, [1e150, 1.0, -3.0]),
    ] {
        for copies in [1, 2] {
            let p = vec![curvature; copies];
            let g: Vec<f64> = factors.repeat(copies);
            // Of the first row x ≥ −1, of the second x ≥ 1; the third is free.
            let l = [-factors[0], factors[1], -INF].repeat(2);
            let own = copies == 2;
            let problem = Problem {
                batch: 2,
                n: 1,
                p: Symmetric::Diagonal(if own {
                    Values::PerSample(&p)
                } else {
                    Values::Shared(&p)
                }),
                q: Values::PerSample(&[1.0, 1.0]),
                equalities: None,
                inequalities: Some(Inequalities {
                    rows: 3,
                    g: if own {
                        Values::PerSample(&g)
                    } else {
                        Values::Shared(&g)
                    },
                    l: Values::PerSample(&l),
                    u: Values::Shared(&[INF; 3]),
                }),
                quadratics: None,
            };
            for method in METHODS {
                let solution = solve(&problem, &with(method)).unwrap();
                for (x, status) in solution.x.iter().zip(&solution.status) {
                    let case =
                        format!("{curvature:e} {factors:?} {copies} {method:?}: {x} {status:?}");
                    let has_none =
                        [Status::PrimalInfeasible, Status::DualInfeasible].contains(status);
                    assert!(!has_none, "{case}");
                    // What a row of 1e-170 misses is below every tolerance.
                    let tells = factors[1] == 1.0;
                    let solved = *status == Status::Solved;
                    assert!(!(tells && solved) || (x - 1.0).abs() < 1e-6, "{case}");
                    assert!(status.is_solved() || curvature != 1.0, "{case}");
                }
            }
        }
    }
}

/// The factors of one form are no factors of the other.
#[test]
fn a_solution_of_a_matrix_in_another_form_is_foreign() {
    let (diagonal, dense, q) = ([2.0, 3.0], [2.0, 0.0, 0.0, 3.0], [1.0, 1.0]);
    let problem = |p| Problem {
        batch: 1,
        n: 2,
        p,
        q: Values::PerSample(&q),
        equalities: None,
        inequalities: None,
        quadratics: None,
    };
    let forms = [
        (Symmetric::Diagonal(Values::PerSample(&diagonal)), 2),
        (Symmetric::Dense(Values::PerSample(&dense)), 4),
    ];
    for (solved, other) in [(0, 1), (1, 0)] {
        let solution = solve(&problem(forms[solved].0), &Settings::default()).unwrap();
        let problem = problem(forms[other].0);
        let settings = AdjointSettings::default();
        let cotangent = Cotangent::of_x(&[1.0, 1.0]);
        let error = adjoint(&problem, &solution, &cotangent, &Wanted::ALL, &settings).unwrap_err();
        assert_eq!(
            error,
            Error::ForeignSolution {
                what: "p",
                got: forms[solved].1,
                expected: forms[other].1,
            }
        );
        let tangents = Tangents::only(Parameter::Q, Values::Shared(&q));
        assert_eq!(
            tangent(&problem, &solution, &tangents, &settings).unwrap_err(),
            error
        );
        // A start may be of any form.
        let again = solve_from(&problem, &solution, &Settings::default()).unwrap();
        assert_eq!(again.x, solution.x);
    }
}
