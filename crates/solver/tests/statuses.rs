//! Infeasible and unbounded problems, and those that only look like it.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use clarabel::solver::SolverStatus;
use feasible_solver::{
    AdjointSettings, Cotangent, Equalities, GradientQuality, Inequalities, Method, Problem,
    Quadratics, Settings, Status, Symmetric, Values, Wanted, adjoint, solve,
};
use support::reference::clarabel;
use support::{INF, normal, random, random_shape, rng};

const METHODS: [Method; 2] = [Method::Auto, Method::InteriorPoint];

fn with(method: Method) -> Settings {
    Settings {
        method,
        ..Settings::default()
    }
}

#[test]
fn infeasible_linear_rows_are_found() {
    for method in METHODS {
        for seed in 0..60 {
            let mut shape = random_shape(seed, 1, 20, false);
            shape.m = shape.m.max(2);
            let mut owned = random(shape, seed);
            for i in [4, 5, 6] {
                owned.parts[i].shared = true;
            }
            // The last row contradicts a positive combination of the others' upper bounds.
            let n = owned.n;
            let mut rng = rng(seed);
            let weights: Vec<f64> = normal(&mut rng, owned.m - 1)
                .iter()
                .map(|v| v.abs())
                .collect();
            let mut row = vec![0.0; n];
            let mut bound = 0.0;
            for (i, w) in weights.iter().enumerate() {
                for j in 0..n {
                    row[j] += w * owned.parts[4].data[i * n + j];
                }
                if owned.parts[6].data[i].is_infinite() {
                    owned.parts[6].data[i] = 1.0 + owned.parts[5].data[i].max(-10.0);
                }
                bound += w * owned.parts[6].data[i];
            }
            let last = owned.m - 1;
            owned.parts[4].data[last * n..].copy_from_slice(&row);
            owned.parts[5].data[last] = bound + 0.5;
            owned.parts[6].data[last] = INF;
            let solution = solve(&owned.problem(), &with(method)).unwrap();
            assert_eq!(
                solution.status[0],
                Status::PrimalInfeasible,
                "seed {seed} {method:?} {shape:?} iterations {}",
                solution.iterations[0]
            );
        }
    }
}

#[test]
fn infeasible_quadratic_rows_are_found() {
    for seed in 0..60 {
        let mut shape = random_shape(seed, 1, 15, true);
        shape.h_shift = 0.1;
        let mut owned = random(shape, seed);
        // Below the unconstrained minimum of the row: xᵀHx + gᵀx ≥ −gᵀH⁻¹g/4 ≥ −|g|²/(4·0.1).
        let norm: f64 = owned.of(8, 0)[..owned.n].iter().map(|v| v * v).sum();
        owned.parts[9].data[0] = -norm / 0.4 - 0.1;
        let solution = solve(&owned.problem(), &Settings::default()).unwrap();
        assert_eq!(
            solution.status[0],
            Status::PrimalInfeasible,
            "seed {seed} {shape:?}"
        );
    }
}

#[test]
fn unbounded_objectives_are_found() {
    let mut decided = 0;
    for seed in 0..60 {
        let quadratics = seed % 3 == 0;
        let mut shape = random_shape(seed, 1, 15, quadratics);
        shape.n = shape.n.max(3);
        shape.p_rows = shape.p_rows.min(shape.n / 3);
        shape.m = shape.m.min(shape.n / 3);
        shape.p_diagonal = false;
        shape.p_rank = shape.n / 3;
        shape.h_diagonal = true;
        let mut owned = random(shape, seed);
        let n = owned.n;
        if quadratics {
            // Leave the last variable out of every quadratic part.
            for row in owned.parts[7].data.chunks_exact_mut(n) {
                row[n - 1] = 0.0;
            }
            for row in owned.parts[8].data.chunks_exact_mut(n) {
                row[n - 1] = 0.0;
            }
        }
        let reference = clarabel(&owned, 0);
        let solution = solve(&owned.problem(), &Settings::default()).unwrap();
        let expected = match reference.status {
            SolverStatus::DualInfeasible | SolverStatus::AlmostDualInfeasible => {
                Status::DualInfeasible
            }
            SolverStatus::Solved | SolverStatus::AlmostSolved => Status::Solved,
            _ => continue,
        };
        decided += 1;
        assert_eq!(solution.status[0], expected, "seed {seed} {shape:?}");
    }
    assert_eq!(decided, 60, "Clarabel must have an opinion");
}

/// One sample of two variables with a unit Hessian and rows of `G`.
fn small<'a>(q: &'a [f64], g: &'a [f64], l: &'a [f64], u: &'a [f64]) -> Problem<'a> {
    Problem {
        batch: 1,
        n: 2,
        p: Symmetric::Diagonal(Values::Shared(&[1.0, 1.0])),
        q: Values::Shared(q),
        equalities: None,
        inequalities: Some(Inequalities {
            rows: l.len(),
            g: Values::Shared(g),
            l: Values::Shared(l),
            u: Values::Shared(u),
        }),
        quadratics: None,
    }
}

/// Rows at an angle of 1e-3 … 1e-6 that only meet far out: feasible, however far that is.
#[test]
fn nearly_opposite_rows_are_not_called_infeasible() {
    for angle in [1e-3, 1e-4, 1e-5, 1e-6] {
        let g = [1.0, 0.0, -1.0, angle];
        let problem = small(&[0.0, 0.0], &g, &[-INF, -INF], &[0.0, -1.0]);
        for method in METHODS {
            let solution = solve(&problem, &with(method)).unwrap();
            let status = solution.status[0];
            assert_ne!(status, Status::PrimalInfeasible, "{angle} {method:?}");
            assert_ne!(status, Status::DualInfeasible, "{angle} {method:?}");
            if angle >= 1e-5 {
                assert_eq!(status, Status::Solved, "{angle} {method:?}");
            }
            if status.is_solved() {
                assert!(solution.x[0].abs() < 1e-6);
                assert!((solution.x[1] * angle + 1.0).abs() < 1e-9);
            }
        }
    }
    // At no angle they do contradict.
    let problem = small(
        &[0.0, 0.0],
        &[1.0, 0.0, -1.0, 0.0],
        &[-INF, -INF],
        &[0.0, -1.0],
    );
    for method in METHODS {
        let solution = solve(&problem, &with(method)).unwrap();
        assert_eq!(solution.status[0], Status::PrimalInfeasible, "{method:?}");
    }
}

/// A bound that is only there to be no bound must not hide what the others say.
#[test]
fn a_huge_bound_elsewhere_changes_no_verdict() {
    let infinite = [INF, 1e6, 1e9, 1e15, 1e20];
    for huge in infinite {
        let u = [0.0, -1.0, huge];
        let g = [1.0, 0.0, -1.0, 0.0, 0.0, 1.0];
        let contradictory = small(&[0.0, 1.0], &g, &[-INF; 3], &u);
        let u = [0.5, 2.0, huge];
        let solvable = small(&[-1.0, -2.0], &g, &[-INF; 3], &u);
        for method in METHODS {
            let status = |problem: &Problem<'_>| solve(problem, &with(method)).unwrap().status[0];
            assert_eq!(status(&contradictory), Status::PrimalInfeasible, "{huge:e}");
            let solution = solve(&solvable, &with(method)).unwrap();
            assert_eq!(solution.status[0], Status::Solved, "{huge:e} {method:?}");
            for (x, expected) in solution.x.iter().zip([0.5, 2.0]) {
                assert!((x - expected).abs() < 1e-9, "{huge:e} {method:?}: {x}");
            }
        }
        // ‖x‖² ≤ −1.
        let mut problem = small(&[0.0, 1.0], &[1.0, 0.0], &[-INF], &u[2..]);
        problem.quadratics = Some(Quadratics {
            rows: 1,
            h: Symmetric::Diagonal(Values::Shared(&[1.0, 1.0])),
            g: Values::Shared(&[0.0, 0.0]),
            c: Values::Shared(&[-1.0]),
        });
        let solution = solve(&problem, &Settings::default()).unwrap();
        assert_eq!(solution.status[0], Status::PrimalInfeasible, "{huge:e}");
    }
}

/// A row that the equalities fix is judged by distance, whatever its scale.
#[test]
fn fixed_rows_are_judged_at_their_own_scale() {
    for scale in [1e-9, 1.0, 1e9] {
        let (g, miss, fit) = ([scale, 0.0], [0.5 * scale], [1.5 * scale]);
        for (u, expected) in [(&miss, Status::PrimalInfeasible), (&fit, Status::Solved)] {
            let mut problem = small(&[0.0, 0.0], &g, &[-INF], u);
            problem.equalities = Some(Equalities {
                rows: 1,
                a: Values::Shared(&[1.0, 0.0]),
                b: Values::Shared(&[1.0]),
            });
            for method in METHODS {
                let solution = solve(&problem, &with(method)).unwrap();
                assert_eq!(solution.status[0], expected, "{scale:e} {method:?}");
            }
        }
    }
}

/// Numbers computed in single precision: a Gram matrix of too few rows has eigenvalues of either
/// sign near zero, and multiples of a row miss by rounding.
#[test]
fn single_precision_data_is_judged_by_its_rounding() {
    let m: [f32; 10] = std::array::from_fn(|i| ((i * i) as f32 * 0.37).sin());
    let p: Vec<f64> = (0..25)
        .map(|at| {
            let (i, j) = ((at / 5).min(at % 5), (at / 5).max(at % 5));
            f64::from(m[i] * m[j] + m[5 + i] * m[5 + j])
        })
        .collect();
    let b = [0.7f32, 3.0 * 0.7f32].map(f64::from);
    assert_ne!(b[1], 3.0 * b[0]);
    let a = [1.0, 0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0];
    let g: [f64; 25] = std::array::from_fn(|i| f64::from(u8::from(i % 6 == 0)));
    let problem = Problem {
        batch: 1,
        n: 5,
        p: Symmetric::Dense(Values::Shared(&p)),
        q: Values::Shared(&[1.0, -1.0, 2.0, -2.0, 0.5]),
        equalities: Some(Equalities {
            rows: 2,
            a: Values::Shared(&a),
            b: Values::Shared(&b),
        }),
        inequalities: Some(Inequalities {
            rows: 5,
            g: Values::Shared(&g),
            l: Values::Shared(&[-1.0; 5]),
            u: Values::Shared(&[1.0; 5]),
        }),
        quadratics: None,
    };
    let single = Settings {
        rounding: f64::from(f32::EPSILON),
        ..Settings::default()
    };
    let solution = solve(&problem, &single).unwrap();
    assert_eq!(solution.status[0], Status::Solved);
    assert!((solution.x[0] - 0.7).abs() < 1e-7);
    let reports = adjoint(
        &problem,
        &solution,
        &Cotangent::of_x(&[1.0; 5]),
        &Wanted::ALL,
        &AdjointSettings::default(),
    )
    .unwrap()
    .reports;
    assert_ne!(reports[0].quality, GradientQuality::Unavailable);
}

#[test]
fn linear_programs() {
    // min −x − 2y over the unit box with x + y ≤ 1.5.
    let problem = Problem {
        batch: 1,
        n: 2,
        p: Symmetric::Diagonal(Values::Shared(&[0.0, 0.0])),
        q: Values::Shared(&[-1.0, -2.0]),
        equalities: None,
        inequalities: Some(Inequalities {
            rows: 3,
            g: Values::Shared(&[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
            l: Values::Shared(&[0.0, 0.0, -INF]),
            u: Values::Shared(&[1.0, 1.0, 1.5]),
        }),
        quadratics: None,
    };
    let solution = solve(&problem, &Settings::default()).unwrap();
    assert_eq!(solution.status[0], Status::Solved);
    for (x, expected) in solution.x.iter().zip([0.5, 1.0]) {
        assert!((x - expected).abs() < 1e-12);
    }
    for (lambda, expected) in solution.inequality_dual.iter().zip([0.0, 1.0, 1.0]) {
        assert!((lambda - expected).abs() < 1e-12);
    }
}

#[test]
fn inconsistent_and_redundant_equalities() {
    let solve_with = |b: &[f64]| {
        let problem = Problem {
            batch: 1,
            n: 3,
            p: Symmetric::Diagonal(Values::Shared(&[1.0, 1.0, 1.0])),
            q: Values::Shared(&[0.0; 3]),
            equalities: Some(Equalities {
                rows: 3,
                a: Values::Shared(&[1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 1.0, 1.0]),
                b: Values::Shared(b),
            }),
            inequalities: None,
            quadratics: None,
        };
        METHODS.map(|method| {
            let solution = solve(&problem, &with(method)).unwrap();
            (solution.status[0], solution.x)
        })
    };
    for (status, x) in solve_with(&[1.0, 2.0, 4.0]) {
        assert_eq!(status, Status::Solved);
        for (x, expected) in x.iter().zip([1.0, 1.0, 1.0]) {
            assert!((x - expected).abs() < 1e-13);
        }
    }
    for (status, _) in solve_with(&[1.0, 2.0, 4.1]) {
        assert_eq!(status, Status::PrimalInfeasible);
    }
}
