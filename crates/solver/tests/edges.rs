//! Bad samples among good ones, empty shapes, rows that say nothing, numbers that overflow, bad input.
#![allow(missing_docs)]

mod support;

use feasible_solver::{
    AdjointSettings, Cotangent, Equalities, Error, GradientQuality, Inequalities, Method, Problem,
    Quadratics, Settings, Status, Symmetric, Values, Wanted, adjoint, solve,
};
use support::{INF, Owned, Shape, random, random_shape};

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

/// A convex matrix of each sample's own, `MMᵀ + I/10` with whole numbers in `M`.
fn convex_matrices(batch: usize, n: usize) -> Vec<f64> {
    let number = |i: usize, row: usize, k: usize| ((i + 7 * row + 3 * k) % 11) as f64 - 5.0;
    let entry = |i: usize, row: usize, column: usize| {
        let sum: f64 = (0..n)
            .map(|k| number(i, row, k) * number(i, column, k))
            .sum();
        sum + f64::from(u8::from(row == column)) / 10.0
    };
    (0..batch * n * n)
        .map(|at| entry(at / (n * n), at / n % n, at % n))
        .collect()
}

/// Whether a factor of its own shows it or a check before the interior point, the first sample that is not
/// convex is named, of a batch that takes several runs.
#[test]
fn the_first_matrix_that_is_not_convex_is_named() {
    let (batch, n) = (200, 9);
    let good = convex_matrices(batch, n);
    let q = vec![1.0; n];
    let solved = |p: &[f64], method: Method| {
        let problem = Problem {
            batch,
            n,
            p: Symmetric::Dense(Values::PerSample(p)),
            q: Values::Shared(&q),
            equalities: None,
            inequalities: None,
            quadratics: None,
        };
        solve(&problem, &with(method))
    };
    for method in METHODS {
        assert!(solved(&good, method).unwrap().all_solved());
        let mut bad = good.clone();
        for sample in [150, 90, 199] {
            bad[sample * n * n + (n + 1) * 4] = -1.0;
        }
        let found = solved(&bad, method).unwrap_err();
        let named = |found: &Error| match found {
            Error::NotConvex {
                argument: "p",
                sample: Some(sample),
                index: 0,
                eigenvalue,
            } if *eigenvalue < -1.0 => *sample,
            other => panic!("{other}"),
        };
        assert_eq!(named(&found), 90);
        // Symmetry comes before convexity in a sample, an earlier sample before either.
        for (sample, row, column) in [(90, 8, 1), (91, 1, 0)] {
            let mut skew = bad.clone();
            skew[sample * n * n + column * n + row] += 1e-3;
            match (sample, solved(&skew, method).unwrap_err()) {
                (
                    90,
                    Error::Asymmetric {
                        argument: "p",
                        sample: Some(90),
                        row: 8,
                        column: 1,
                        difference,
                        ..
                    },
                ) => assert!((difference - 1e-3).abs() < 1e-9),
                (91, found) => assert_eq!(named(&found), 90),
                (_, other) => panic!("{other}"),
            }
        }
        // Also where every matrix has a Cholesky factor.
        let mut skew = good.clone();
        skew[120 * n * n + 2] += 1e-3;
        skew[130 * n * n + 2] += 1e-3;
        assert!(matches!(
            solved(&skew, method),
            Err(Error::Asymmetric {
                sample: Some(120),
                row: 2,
                column: 0,
                ..
            })
        ));
        // A matrix that is singular, or symmetric but for rounding, is accepted.
        let mut rounded = good.clone();
        rounded[1] += 1e-12;
        rounded[n * n..2 * n * n].fill(0.0);
        let found = solved(&rounded, method).unwrap();
        assert_eq!(found.status[1], Status::DualInfeasible);
        assert_eq!(found.status[0], Status::Solved);
    }
}

/// Each sample of a batch with matrices of its own by every construction of its factors, or by none, is what it is
/// alone: answers and gradients bit by bit.
#[test]
fn samples_with_matrices_of_their_own_are_as_if_alone() {
    let (batch, n, p, m) = (9, 6, 2, 5);
    for p_diagonal in [false, true] {
        let shape = Shape {
            batch,
            n,
            p_rows: p,
            m,
            k: 0,
            p_diagonal,
            h_diagonal: false,
            per_sample: 0b111_1111,
            p_rank: n,
            h_shift: 0.0,
            equal_rows: 0.0,
        };
        let mut owned = random(shape, 5);
        let entries = owned.parts[0].data.len() / batch;
        let parts = &mut owned.parts;
        // Sample 1: a row that its equal contradicts.
        parts[4].data.copy_within(m * n..(m + 1) * n, (m + 1) * n);
        (parts[5].data[m], parts[6].data[m]) = (-INF, 0.0);
        (parts[5].data[m + 1], parts[6].data[m + 1]) = (1.0, INF);
        // Samples 3 and 4: the second equality states the first again, and contradicts it.
        for (i, times) in [(3, 2.0), (4, 3.0)] {
            for j in 0..n {
                parts[2].data[(i * p + 1) * n + j] = 2.0 * parts[2].data[i * p * n + j];
            }
            parts[3].data[i * p + 1] = times * parts[3].data[i * p];
        }
        // Sample 5: a variable without curvature, which the bounds below hold.
        let own = &mut parts[0].data[5 * entries..6 * entries];
        match p_diagonal {
            true => own[0] = 0.0,
            false => {
                own[..n].fill(0.0);
                own.iter_mut().step_by(n).for_each(|v| *v = 0.0);
            }
        }
        for row in 0..2 {
            let at = 5 * m + row;
            parts[4].data[at * n..(at + 1) * n].fill(0.0);
            parts[4].data[at * n] = 1.0;
            (parts[5].data[at], parts[6].data[at]) = (-8.0, 8.0);
        }
        let of = |i: usize| {
            let mut alone = owned.clone();
            alone.batch = 1;
            for part in &mut alone.parts {
                let len = part.data.len() / batch;
                part.data = part.data[i * len..(i + 1) * len].to_vec();
            }
            alone
        };
        let answer = |owned: &Owned| {
            let problem = owned.problem();
            let solution = solve(&problem, &Settings::default()).unwrap();
            let ones = vec![1.0; problem.batch * n];
            let settings = AdjointSettings::default();
            let cotangent = Cotangent::of_x(&ones);
            let gradients =
                adjoint(&problem, &solution, &cotangent, &Wanted::ALL, &settings).unwrap();
            (solution, gradients)
        };
        let (together, gradients) = answer(&owned);
        assert_eq!(together.status[1], Status::PrimalInfeasible);
        assert_eq!(together.status[4], Status::PrimalInfeasible);
        for i in [0, 2, 3, 5, 6, 7, 8] {
            assert_eq!(together.status[i], Status::Solved, "{p_diagonal}, {i}");
        }
        assert_eq!(gradients.reports[8].quality, GradientQuality::Exact);
        for i in 0..batch {
            let (alone, own) = answer(&of(i));
            assert_eq!(alone.status[0], together.status[i]);
            let cut = |data: &[f64]| {
                let len = data.len() / batch;
                data[i * len..(i + 1) * len].to_vec()
            };
            assert_eq!(alone.x, cut(&together.x), "{p_diagonal}, {i}");
            assert_eq!(alone.inequality_dual, cut(&together.inequality_dual));
            for (own, all) in [
                (&own.p, &gradients.p),
                (&own.a, &gradients.a),
                (&own.g, &gradients.g),
                (&own.u, &gradients.u),
            ] {
                assert_eq!(own.as_deref(), all.as_deref().map(cut).as_deref());
            }
            let report = |report: &feasible_solver::GradientReport| format!("{report:?}");
            assert_eq!(report(&own.reports[0]), report(&gradients.reports[i]));
        }
    }
}
