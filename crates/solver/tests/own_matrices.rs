//! Batches whose samples have matrices of their own, the good beside the bad.
#![allow(missing_docs)]

mod support;

use feasible_solver::{
    AdjointSettings, Cotangent, Error, GradientQuality, Method, Problem, Settings, Status,
    Symmetric, Values, Wanted, adjoint, solve,
};
use support::{INF, Owned, Shape, random};

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
        let settings = Settings {
            method,
            ..Settings::default()
        };
        solve(&problem, &settings)
    };
    for method in [Method::Auto, Method::InteriorPoint] {
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
