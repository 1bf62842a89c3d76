//! Triangular factors whose diagonals look harmless: what a gradient's report says has to hold for them too.
#![allow(missing_docs)]

use faer::Mat;
use feasible_solver::{
    AdjointSettings, Cotangent, Equalities, GradientQuality, GradientReport, Inequalities, Problem,
    Quadratics, Settings, Status, Symmetric, Values, Wanted, adjoint, solve,
};

const INF: f64 = f64::INFINITY;

/// Unit upper triangular with −0.9 above the diagonal: the inverse has entries up to `0.9·1.9^(n−2)`.
fn triangle(n: usize) -> Vec<f64> {
    let entry = |i: usize, j: usize| match i.cmp(&j) {
        std::cmp::Ordering::Less => -0.9,
        std::cmp::Ordering::Equal => 1.0,
        std::cmp::Ordering::Greater => 0.0,
    };
    (0..n * n).map(|at| entry(at / n, at % n)).collect()
}

/// `UᵀU`, which is its own transpose to the last bit.
fn gram(u: &[f64], n: usize) -> Vec<f64> {
    let entry = |i: usize, j: usize| (0..n).map(|k| u[k * n + i] * u[k * n + j]).sum();
    (0..n * n).map(|at| entry(at / n, at % n)).collect()
}

fn times(matrix: &[f64], x: &[f64]) -> Vec<f64> {
    let rows = matrix.chunks_exact(x.len());
    rows.map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum())
        .collect()
}

fn transposed(matrix: &[f64], n: usize) -> Vec<f64> {
    (0..n * n).map(|at| matrix[at % n * n + at / n]).collect()
}

/// Ratio of the outermost singular values.
fn condition_of(matrix: &[f64], n: usize) -> f64 {
    let values = Mat::from_fn(n, n, |i, j| matrix[i * n + j])
        .singular_values()
        .unwrap();
    values[0] / values[n - 1].max(f64::MIN_POSITIVE)
}

fn vectors(n: usize) -> [Vec<f64>; 2] {
    [
        vec![1.0; n],
        (0..n).map(|i| (1.0 + (i * i) as f64).sin()).collect(),
    ]
}

fn error(x: &[f64], expected: &[f64]) -> f64 {
    let size = expected.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
    let pairs = x.iter().zip(expected);
    pairs.fold(0.0, |a: f64, (x, e)| a.max((x - e).abs())) / size
}

/// What is promised of a gradient of a system with this condition.
fn check(report: GradientReport, condition: f64, error: f64, what: &str) {
    let limits = AdjointSettings::default();
    let what = format!("{what}: error {error:e}, condition {condition:e}, {report:?}");
    match report.quality {
        GradientQuality::Exact => {
            assert!(report.condition > 1e-2 * condition, "{what}");
            assert!(report.condition < 1e3 * condition, "{what}");
            assert!(condition < 1e2 * limits.condition_limit, "{what}");
            assert!(error < 1e2 * f64::EPSILON * condition, "{what}");
        }
        GradientQuality::Degenerate => assert!(condition > 1e10, "{what}"),
        _ => panic!("{what}"),
    }
}

#[test]
fn hessians_whose_pivots_are_all_one() {
    for (n, v) in [8, 12, 16, 24, 30]
        .into_iter()
        .flat_map(|n| vectors(n).map(|v| (n, v)))
    {
        let u = triangle(n);
        let p = gram(&u, n);
        let condition = condition_of(&u, n).powi(2);
        let force = times(&p, &v);
        let q: Vec<f64> = force.iter().map(|v| -v).collect();
        let (h, hg, c) = (vec![1.0; n], vec![0.0; n], [1e6]);
        for (shared, quadratic) in [(false, false), (true, false), (false, true), (true, true)] {
            let problem = Problem {
                batch: 1,
                n,
                p: Symmetric::Dense(match shared {
                    true => Values::Shared(&p),
                    false => Values::PerSample(&p),
                }),
                q: Values::PerSample(&q),
                equalities: None,
                inequalities: None,
                quadratics: quadratic.then_some(Quadratics {
                    rows: 1,
                    h: Symmetric::Diagonal(Values::Shared(&h)),
                    g: Values::Shared(&hg),
                    c: Values::Shared(&c),
                }),
            };
            let what = format!("{n}, shared {shared}, quadratic {quadratic}");
            let solution = solve(&problem, &Settings::default()).unwrap();
            assert_eq!(solution.status, [Status::Solved], "{what}");
            let wanted = Wanted {
                q: true,
                ..Wanted::NONE
            };
            let cotangent = Cotangent::of_x(&force);
            let settings = AdjointSettings::default();
            let found = adjoint(&problem, &solution, &cotangent, &wanted, &settings).unwrap();
            let gradient: Vec<f64> = found.q.unwrap().iter().map(|v| -v).collect();
            let report = found.reports[0];
            check(report, condition, error(&gradient, &v), &what);
            if report.quality == GradientQuality::Exact {
                let error = error(&solution.x, &v);
                assert!(error < 1e2 * f64::EPSILON * condition, "{what}: {error:e}");
            }
        }
    }
}

/// How a problem is written down.
#[derive(Clone, Copy, Debug)]
struct Form {
    shared: bool,
    diagonal: bool,
    equalities: bool,
}

impl Form {
    fn all() -> impl Iterator<Item = Form> {
        (0..8).map(|k| Form {
            shared: k & 1 > 0,
            diagonal: k & 2 > 0,
            equalities: k & 4 > 0,
        })
    }
}

/// The identity in both forms, and bounds that are none.
struct Identity {
    diagonal: Vec<f64>,
    dense: Vec<f64>,
    free: Vec<f64>,
}

impl Identity {
    fn new(n: usize) -> Identity {
        let entry = |at: usize| f64::from(u8::from(at.is_multiple_of(n + 1)));
        Identity {
            diagonal: vec![1.0; n],
            dense: (0..n * n).map(entry).collect(),
            free: vec![INF; n],
        }
    }
}

/// `min ½‖x‖² + qᵀx` with as many rows as variables, at `b` or above it.
struct Held<'a> {
    rows: &'a [f64],
    b: &'a [f64],
    q: &'a [f64],
}

impl<'a> Held<'a> {
    fn problem(&self, form: Form, identity: &'a Identity) -> Problem<'a> {
        let values: fn(&'a [f64]) -> Values<'a> = match form.shared {
            true => Values::Shared,
            false => Values::PerSample,
        };
        let n = self.q.len();
        Problem {
            batch: 1,
            n,
            p: match form.diagonal {
                true => Symmetric::Diagonal(values(&identity.diagonal)),
                false => Symmetric::Dense(values(&identity.dense)),
            },
            q: Values::PerSample(self.q),
            equalities: form.equalities.then(|| Equalities {
                rows: n,
                a: values(self.rows),
                b: Values::PerSample(self.b),
            }),
            inequalities: (!form.equalities).then(|| Inequalities {
                rows: n,
                g: values(self.rows),
                l: Values::PerSample(self.b),
                u: Values::PerSample(&identity.free),
            }),
            quadratics: None,
        }
    }
}

/// `x = U⁻¹b` by equalities, and by rows that are all active.
#[test]
fn rows_whose_triangle_has_an_even_diagonal() {
    for (n, v) in [8, 12, 16, 24, 30]
        .into_iter()
        .flat_map(|n| vectors(n).map(|v| (n, v)))
    {
        let u = triangle(n);
        let lengths = u.chunks_exact(n).map(|row| times(row, row)[0].sqrt());
        let unit: Vec<f64> = lengths
            .zip(u.chunks_exact(n))
            .flat_map(|(length, row)| row.iter().map(move |v| v / length))
            .collect();
        let condition = condition_of(&unit, n).powi(2);
        let at = vec![1.0; n];
        let b = times(&u, &at);
        // Every multiplier is −1: x + q = Uᵀ1.
        let q: Vec<f64> = times(&transposed(&u, n), &at)
            .iter()
            .map(|v| v - 1.0)
            .collect();
        let memory = Identity::new(n);
        let cotangent = times(&transposed(&u, n), &v);
        for form in Form::all() {
            let held = Held {
                rows: &u,
                b: &b,
                q: &q,
            };
            let what = format!("{n}, {form:?}");
            let problem = held.problem(form, &memory);
            let solution = solve(&problem, &Settings::default()).unwrap();
            assert_eq!(solution.status, [Status::Solved], "{what}");
            let wanted = Wanted {
                b: form.equalities,
                l: !form.equalities,
                ..Wanted::NONE
            };
            let settings = AdjointSettings::default();
            let cotangent = Cotangent::of_x(&cotangent);
            let found = adjoint(&problem, &solution, &cotangent, &wanted, &settings).unwrap();
            let gradient = found.b.or(found.l).unwrap();
            check(found.reports[0], condition, error(&gradient, &v), &what);
        }
    }
}

/// Rows `(1, 0)` and `(1, apart)`: the second is `apart` outside the span of the first.
#[test]
fn rows_that_the_tolerance_calls_dependent_are() {
    let apart = 1e-4;
    let held = Held {
        rows: &[1.0, 0.0, 1.0, apart],
        b: &[1.0, 1.0 + apart],
        q: &[1.0, -1.0 + apart],
    };
    let memory = Identity::new(2);
    for form in Form::all() {
        let problem = held.problem(form, &memory);
        let what = format!("{form:?}");
        let solution = solve(&problem, &Settings::default()).unwrap();
        assert_eq!(solution.status, [Status::Solved], "{what}");
        for (rank_tolerance, expected) in [
            (1e-10, GradientQuality::Exact),
            (1e-5, GradientQuality::Exact),
            (1e-3, GradientQuality::Degenerate),
        ] {
            let settings = AdjointSettings {
                rank_tolerance,
                ..AdjointSettings::default()
            };
            let cotangent = Cotangent::of_x(&[1.0, 1.0]);
            let found = adjoint(&problem, &solution, &cotangent, &Wanted::ALL, &settings).unwrap();
            assert_eq!(
                found.reports[0].quality, expected,
                "{what}, {rank_tolerance:e}"
            );
        }
    }
}

/// An eigenvalue of 1e-4 beside entries of 1.
#[test]
fn a_hessian_that_the_tolerance_calls_singular_is() {
    let (dense, diagonal) = ([1.0, 0.0, 0.0, 1e-4], [1.0, 1e-4]);
    let forms = [
        Symmetric::Dense(Values::Shared(&dense)),
        Symmetric::Dense(Values::PerSample(&dense)),
        Symmetric::Diagonal(Values::Shared(&diagonal)),
        Symmetric::Diagonal(Values::PerSample(&diagonal)),
    ];
    for (form, p) in forms.into_iter().enumerate() {
        let problem = Problem {
            batch: 1,
            n: 2,
            p,
            q: Values::PerSample(&[1.0, 1.0]),
            equalities: None,
            inequalities: None,
            quadratics: None,
        };
        let solution = solve(&problem, &Settings::default()).unwrap();
        for (rank_tolerance, expected) in [
            (1e-5, GradientQuality::Exact),
            (1e-3, GradientQuality::Degenerate),
        ] {
            let settings = AdjointSettings {
                rank_tolerance,
                ..AdjointSettings::default()
            };
            let cotangent = Cotangent::of_x(&[1.0, 1.0]);
            let found = adjoint(&problem, &solution, &cotangent, &Wanted::ALL, &settings).unwrap();
            assert_eq!(
                found.reports[0].quality, expected,
                "{form}, {rank_tolerance:e}"
            );
        }
    }
}
