//! Whole derivatives of dual values: closed forms, and every number of every sample against central
//! differences, in all forms; kinks, failed samples and wrong calls.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_model::{
    AdjointSettings, CompiledProblem, Domain, Error, Form, GradientQuality, Handle, Jacobian,
    Model, Route, Solution, SolveSettings, Values, diag, entropy, exp, norm2, quad_form,
    sum_squares,
};
use support::{
    Input, close, definite, each, normal, rng, shared, softmax, solved, uniform, values,
};

fn settings() -> AdjointSettings {
    AdjointSettings::default()
}

fn whole(
    problem: &CompiledProblem,
    solution: &Solution,
    constraint: &str,
    parameter: &str,
) -> Jacobian {
    problem
        .dual_jacobian(solution, constraint, parameter, &settings())
        .unwrap()
}

/// Numbers of order 1 from systems of a dozen unknowns and condition below 1e3, by either solver: the
/// worst of this file is 4e-16.
const ROUNDING: f64 = 1e-14;

/// Inequalities of which some entry pushes in some sample, and none pulls.
fn binding(solution: &Solution, constraints: &[&str]) {
    for name in constraints {
        let duals = solution.dual(*name).unwrap();
        let signs = duals.iter().all(|v| *v > -ROUNDING);
        assert!(
            signs && duals.iter().any(|v| *v > 1e-3),
            "{name}: {duals:?}"
        );
    }
}

/// Steps of the differences: what the fourth order leaves is below 1e-12.
const STEP: f64 = 1e-4;
/// Dual values are exact to rounding, about 1e-14, and their quotients to 1e-10; the worst is 3e-11.
const WITHIN: f64 = 5e-10;

/// Every number of the Jacobians of some constraints' dual values with respect to every parameter, sample
/// by sample, against differences of fourth order. Returns the largest error, relative to `1 + |number|`.
///
/// A symmetric parameter's mirrored entries are moved together, and their columns added.
fn against_differences(
    problem: &CompiledProblem,
    inputs: &[Input],
    batch: usize,
    constraints: &[&str],
    tolerance: f64,
) -> f64 {
    let solution = solved(problem, inputs, batch);
    let mut worst = 0.0f64;
    for constraint in constraints {
        let duals = |inputs: &[Input]| solved(problem, inputs, batch).dual(*constraint).unwrap();
        for (k, input) in inputs.iter().enumerate() {
            let jacobian = whole(problem, &solution, constraint, input.name);
            let (rows, columns) = (jacobian.rows, jacobian.columns);
            assert_eq!(jacobian.values.len(), batch * rows * columns);
            for (i, report) in jacobian.reports.iter().enumerate() {
                assert_eq!(report.quality, GradientQuality::Exact, "sample {i}");
            }
            for column in 0..columns {
                let mirrored = match input.symmetric {
                    Some(n) => column % n * n + column / n,
                    None => column,
                };
                // All samples at once: none sees another's numbers.
                let at = |by: f64| {
                    let mut inputs = inputs.to_vec();
                    for copy in inputs[k].data.chunks_exact_mut(columns) {
                        copy[column] += by;
                        if mirrored != column {
                            copy[mirrored] += by;
                        }
                    }
                    duals(&inputs)
                };
                let [far_below, below, above, far_above] =
                    [-2.0, -1.0, 1.0, 2.0].map(|t| at(t * STEP));
                for line in 0..batch * rows {
                    let measured = (8.0 * (above[line] - below[line])
                        - (far_above[line] - far_below[line]))
                        / (12.0 * STEP);
                    let mut got = jacobian.values[line * columns + column];
                    if mirrored != column {
                        got += jacobian.values[line * columns + mirrored];
                    }
                    let error = (got - measured).abs() / (1.0 + measured.abs());
                    assert!(
                        error <= tolerance,
                        "{:?}: `{constraint}` line {line} by {}[{column}]: {got}, difference {measured}",
                        problem.form(),
                        input.name
                    );
                    worst = worst.max(error);
                }
            }
        }
    }
    worst
}

/// Of the projection on the simplex: with `|S|` entries inside, `∂τ/∂y = 1/|S|` inside, and a multiplier
/// outside is `τ − yᵢ`.
#[test]
fn the_simplex_has_its_closed_form() {
    let n = 4;
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let y = model.parameter("y", [n]);
    let formulation = model
        .minimize(0.5 * sum_squares(&x - y))
        .subject_to(x.sum().eq(1.0).named("total"))
        .subject_to(x.ge(0.0).named("positive"));
    let inputs = [each("y", vec![0.9, 0.5, 0.1, -1.0, 0.4, 0.3, 0.2, 0.15])];
    for route in [Route::Auto, Route::Cones] {
        let problem = formulation.clone().route(route).compile().unwrap();
        let solution = solved(&problem, &inputs, 2);
        let total = whole(&problem, &solution, "total", "y");
        let positive = whole(&problem, &solution, "positive", "y");
        assert_eq!((total.rows, total.columns), (1, n));
        assert_eq!((positive.rows, positive.columns), (n, n));
        for (i, inside) in [2, 4].into_iter().enumerate() {
            let share = |at: usize| {
                if at < inside {
                    1.0 / inside as f64
                } else {
                    0.0
                }
            };
            let expected: Vec<f64> = (0..n).map(share).collect();
            close(&total.values[i * n..(i + 1) * n], &expected, ROUNDING);
            let expected: Vec<f64> = (0..n * n)
                .map(|at| match (at / n, at % n) {
                    (row, _) if row < inside => 0.0,
                    (row, column) if row == column => -1.0,
                    (_, column) => share(column),
                })
                .collect();
            close(
                &positive.values[i * n * n..(i + 1) * n * n],
                &expected,
                ROUNDING,
            );
        }
    }
}

/// The multiplier of softmax's sum is `log Σ exp y − 1`, its derivative the softmax itself.
#[test]
fn softmax_is_its_multipliers_derivative() {
    let (n, batch) = (4, 3);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let y = model.parameter("y", [n]);
    let total = x.sum().eq(1.0);
    let problem = model
        .maximize(x.dot(&y) + entropy(&x).sum())
        .subject_to(&total)
        .compile()
        .unwrap();
    let y = normal(&mut rng(3), batch * n);
    let solution = solved(&problem, &[each("y", y.clone())], batch);
    // By the constraint itself, which has no name.
    let found = problem
        .dual_jacobian(&solution, &total, "y", &settings())
        .unwrap();
    for i in 0..batch {
        let expected = softmax(&y[i * n..(i + 1) * n]);
        close(&found.values[i * n..(i + 1) * n], &expected, ROUNDING);
    }
}

/// A QP whose rows have a matrix parameter, two sides and an equality; signs of a maximised objective.
#[test]
fn quadratic_programs() {
    let (n, m, batch) = (4, 3, 3);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let (p, q) = (
        model.parameter_in("p", [n, n], Domain::Semidefinite),
        model.parameter("q", [n]),
    );
    let (a, b) = (model.parameter("a", [m, n]), model.parameter("b", [m]));
    let low = model.parameter("low", []);
    let formulation = model
        .maximize(q.dot(&x) - 0.5 * quad_form(&x, &p))
        .subject_to(a.matmul(&x).le(b).named("rows"))
        .subject_to(x.ge(low).named("floor"))
        .subject_to(x.le(0.3).named("ceiling"))
        .subject_to((x.at([0]) + 2.0 * x.at([1])).eq(0.3).named("line"));
    let mut rng = rng(1);
    let inputs = [
        shared("p", definite(&mut rng, n)).symmetric(n),
        each(
            "q",
            normal(&mut rng, batch * n)
                .iter()
                .map(|v| 3.0 * v)
                .collect(),
        ),
        shared("a", normal(&mut rng, m * n)),
        each("b", uniform(&mut rng, 0.1, 0.4, batch * m)),
        each("low", vec![-0.4, -0.5, -0.3]),
    ];
    let problem = formulation.compile().unwrap();
    assert!(matches!(problem.form(), Form::Qp { .. }));
    let names = ["rows", "floor", "ceiling", "line"];
    let solution = solved(&problem, &inputs, batch);
    binding(&solution, &names[..3]);
    let worst = against_differences(&problem, &inputs, batch, &names, WITHIN);
    println!("QP: {worst:.1e}");
}

/// The same constraints as quadratic rows and in cones.
#[test]
fn quadratic_rows_and_second_order_cones() {
    let (n, batch) = (3, 2);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let (c, radius) = (model.parameter("c", [n]), model.parameter("radius", []));
    let f = model.parameter("f", [2, n]);
    let formulation = model
        .minimize(c.dot(&x) + 0.1 * sum_squares(&x))
        .subject_to(sum_squares(&x).le(radius).named("ball"))
        .subject_to(sum_squares(f.matmul(&x)).le(0.2).named("tube"))
        .subject_to(x.at([0]).ge(-0.1).named("half"));
    let mut rng = rng(5);
    let inputs = [
        each("c", normal(&mut rng, batch * n)),
        each("radius", vec![1.0, 0.5]),
        shared("f", normal(&mut rng, 2 * n)),
    ];
    let mut found = Vec::new();
    for route in [Route::Auto, Route::Cones] {
        let problem = formulation.clone().route(route).compile().unwrap();
        let names = ["ball", "tube", "half"];
        let worst = against_differences(&problem, &inputs, batch, &names, WITHIN);
        println!("{:?}: {worst:.1e}", problem.form());
        let solution = solved(&problem, &inputs, batch);
        binding(&solution, &names);
        found.push(whole(&problem, &solution, "ball", "c").values);
    }
    // One problem by two solvers.
    close(&found[0], &found[1], ROUNDING);
}

/// Norms, exponentials and a matrix inequality, whose dual values are a matrix.
#[test]
fn cones() {
    let (n, batch) = (3, 2);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let (y, cap) = (model.parameter("y", [n]), model.parameter("cap", [2]));
    let m = model.parameter("m", [n, n]);
    let problem = model
        .minimize(sum_squares(&x - y))
        .subject_to(norm2(&m.matmul(&x)).le(cap.at([0])).named("norm"))
        .subject_to(exp(&x).sum().le(cap.at([1])).named("exponentials"))
        .compile()
        .unwrap();
    let mut rng = rng(31);
    let inputs = [
        each("y", vec![1.0, 0.4, -0.3, 0.7, 0.9, 0.2]),
        shared("cap", vec![0.8, 2.7]),
        shared("m", definite(&mut rng, n)),
    ];
    let solution = solved(&problem, &inputs, batch);
    binding(&solution, &["norm", "exponentials"]);
    let worst = against_differences(&problem, &inputs, batch, &["norm", "exponentials"], WITHIN);
    println!("norm and exponentials: {worst:.1e}");
}

#[cfg(feature = "semidefinite")]
#[test]
fn matrix_inequalities() {
    let (n, batch) = (3, 2);
    let mut model = Model::new();
    let t = model.variable("t", [n]);
    let c = model.parameter_in("c", [n, n], Domain::Symmetric);
    let problem = model
        .minimize(t.sum() + 0.1 * sum_squares(&t))
        .subject_to(diag(&t).succeeds(c).named("above"))
        .compile()
        .unwrap();
    let mut rng = rng(9);
    let data: Vec<f64> = (0..batch).flat_map(|_| definite(&mut rng, n)).collect();
    let inputs = [each("c", data).symmetric(n)];
    let solution = solved(&problem, &inputs, batch);
    let z = solution.dual("above").unwrap();
    for i in 0..batch {
        for at in 0..n * n {
            assert_eq!(z[i * n * n + at], z[i * n * n + at % n * n + at / n]);
        }
    }
    let worst = against_differences(&problem, &inputs, batch, &["above"], WITHIN);
    println!("matrix inequality: {worst:.1e}");
}

/// At a vertex with too many rows the multipliers are not unique, and a failed sample has none.
#[test]
fn kinks_and_failures_are_reported() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let (y, cap) = (model.parameter("y", [2]), model.parameter("cap", []));
    let problem = model
        .minimize(sum_squares(&x - y))
        .subject_to(x.le(1.0).named("box"))
        .subject_to((x.at([0]) + x.at([1])).le(cap).named("sum"))
        .subject_to(x.ge(0.0).named("floor"))
        .compile()
        .unwrap();
    let inputs = [
        each("y", vec![3.0, 2.0, 3.0, 2.0, 3.0, 2.0]),
        each("cap", vec![1.5, 2.0, -1.0]),
    ];
    let solution = problem
        .solve(&values(&inputs), 3, &SolveSettings::default())
        .unwrap();
    let found = whole(&problem, &solution, "sum", "y");
    let quality: Vec<_> = found.reports.iter().map(|r| r.quality).collect();
    use GradientQuality::{Degenerate, Exact, Unavailable};
    assert_eq!(quality, [Exact, Degenerate, Unavailable]);
    // x = (1, ½): the sum's multiplier is 2(y₁ − x₁).
    close(&found.values[..2], &[0.0, 2.0], ROUNDING);
    assert!(found.values.iter().all(|v| v.is_finite()));
    assert_eq!(found.values[4..], [0.0, 0.0]);
}

/// A name may be a variable's and a constraint's, of a parameter nothing depends on.
#[test]
fn names_and_sizes() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let (y, idle) = (model.parameter("y", [2]), model.parameter("idle", [2, 2]));
    let slack = x.le(9.0).named("slack");
    let problem = model
        .minimize(sum_squares(&x - &y) + 0.0 * idle.sum())
        .subject_to(x.sum().eq(1.0).named("x"))
        .subject_to(&slack)
        .compile()
        .unwrap();
    let inputs = [shared("y", vec![1.0, 2.0]), each("idle", vec![1.0; 8])];
    let solution = solved(&problem, &inputs, 2);
    let of = |constraint: Handle<'_>, parameter: &str| {
        problem.dual_jacobian(&solution, constraint, parameter, &settings())
    };
    // ν = Σy − 1.
    close(&of("x".into(), "y").unwrap().values, &[1.0; 4], ROUNDING);
    let variable = problem.jacobian(&solution, "x", "y", &settings()).unwrap();
    close(&variable.values[..4], &[0.5, -0.5, -0.5, 0.5], ROUNDING);
    let none = of("x".into(), "idle").unwrap();
    assert_eq!((none.rows, none.columns), (1, 4));
    assert!(none.values.iter().all(|v| *v == 0.0));
    assert!(
        of((&slack).into(), "y")
            .unwrap()
            .values
            .iter()
            .all(|v| *v == 0.0)
    );
    let message = of("y".into(), "y").unwrap_err().to_string();
    assert!(
        message.contains("`y` is no constraint of this problem; it has `x`, `slack`"),
        "{message}"
    );
    let message = of("x".into(), "x").unwrap_err().to_string();
    assert!(message.contains("`x` is no parameter"), "{message}");
    let other = model.minimize(sum_squares(&x - &y)).compile().unwrap();
    assert_eq!(
        other.dual_jacobian(&solution, "x", "y", &settings()),
        Err(Error::ForeignSolution)
    );
    let bad = AdjointSettings {
        rank_tolerance: 2.0,
        ..settings()
    };
    assert!(problem.dual_jacobian(&solution, "x", "y", &bad).is_err());
    let empty = [
        ("y", Values::Shared(&[1.0, 2.0][..])),
        ("idle", Values::PerSample(&[])),
    ];
    let empty = problem.solve(&empty, 0, &SolveSettings::default()).unwrap();
    let found = problem
        .dual_jacobian(&empty, "x", "y", &settings())
        .unwrap();
    assert_eq!((found.values.len(), found.rows, found.columns), (0, 1, 2));
    assert!(problem.dual_jacobian(&empty, "x", "y", &bad).is_err());
}
