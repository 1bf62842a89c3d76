//! Derivatives forwards: closed forms, central differences, kinks, failed samples, wrong calls. That
//! they are the adjoint's transposes is checked with every gradient, in `support`.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_model::{
    AdjointSettings, CompiledProblem, Cotangent, Degenerate, Error, GradientQuality, Handle, Model,
    Route, SolveSettings, Tangent, Values, abs, entropy, norm2, sum_squares,
};
use support::{Input, close, each, forwards, normal, rng, shared, softmax, solved, values};

/// Numbers of order 1 from systems of at most a dozen unknowns and condition below 100, by one solver or
/// two, forwards or backwards: exact to rounding, also where Newton's method took a cone's solution there.
/// The worst of this file is 6e-16.
const ROUNDING: f64 = 1e-14;

fn along(
    problem: &CompiledProblem,
    inputs: &[Input],
    batch: usize,
    direction: &[(&str, Values<'_>)],
) -> Tangent {
    let solution = solved(problem, inputs, batch);
    problem
        .tangent(&solution, direction, &AdjointSettings::default())
        .unwrap()
}

/// `∂softmax = diag(s) − s sᵀ`; the multiplier `log Σ exp y − 1` moves by `sᵀd`.
#[test]
fn softmax_has_its_jacobian() {
    let (n, batch) = (4, 3);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let y = model.parameter("y", [n]);
    let problem = model
        .maximize(x.dot(&y) + entropy(&x).sum())
        .subject_to(x.sum().eq(1.0).named("total"))
        .compile()
        .unwrap();
    let mut rng = rng(3);
    let inputs = [each("y", normal(&mut rng, batch * n))];
    let d = normal(&mut rng, n);
    let solution = solved(&problem, &inputs, batch);
    let settings = AdjointSettings::default();
    // One direction for all samples.
    let tangent = problem
        .tangent(&solution, &[("y", Values::Shared(&d))], &settings)
        .unwrap();
    let jacobian = problem.jacobian(&solution, "x", "y", &settings).unwrap();
    assert_eq!((jacobian.rows, jacobian.columns), (n, n));
    for i in 0..batch {
        let s = softmax(&inputs[0].data[i * n..(i + 1) * n]);
        let mean: f64 = s.iter().zip(&d).map(|(s, d)| s * d).sum();
        let expected: Vec<f64> = s.iter().zip(&d).map(|(s, d)| s * (d - mean)).collect();
        close(
            &tangent.variable("x").unwrap()[i * n..(i + 1) * n],
            &expected,
            ROUNDING,
        );
        close(&tangent.dual("total").unwrap()[i..=i], &[mean], ROUNDING);
        let whole: Vec<f64> = (0..n * n)
            .map(|at| {
                let (row, column) = (at / n, at % n);
                s[row] * (f64::from(u8::from(row == column)) - s[column])
            })
            .collect();
        close(
            &jacobian.values[i * n * n..(i + 1) * n * n],
            &whole,
            ROUNDING,
        );
    }
    let exact = |reports: &[feasible_model::GradientReport]| {
        reports.iter().all(|r| r.quality == GradientQuality::Exact)
    };
    assert!(exact(&tangent.reports) && exact(&jacobian.reports));
}

fn simplex(n: usize) -> CompiledProblem {
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let y = model.parameter("y", [n]);
    model
        .minimize(0.5 * sum_squares(&x - y))
        .subject_to(x.sum().eq(1.0).named("total"))
        .subject_to(x.ge(0.0).named("positive"))
        .compile()
        .unwrap()
}

/// On the support S the projection's derivative is `I − 11ᵀ/|S|`, elsewhere zero; the multiplier of
/// an entry outside is `τ − yᵢ`, with `τ = (Σ_S y − 1)/|S|`.
#[test]
fn projection_on_the_simplex_has_its_jacobian() {
    let n = 4;
    let problem = simplex(n);
    let inputs = [each("y", vec![0.9, 0.5, 0.1, -1.0, 0.4, 0.3, 0.2, 0.1])];
    let settings = AdjointSettings::default();
    let solution = solved(&problem, &inputs, 2);
    let jacobian = problem.jacobian(&solution, "x", "y", &settings).unwrap();
    let d = [0.3, -1.2, 0.7, 2.0];
    let tangent = along(&problem, &inputs, 2, &[("y", Values::Shared(&d))]);
    for (i, inside) in [2, 4].into_iter().enumerate() {
        let size = inside as f64;
        let whole: Vec<f64> = (0..n * n)
            .map(|at| {
                let (row, column) = (at / n, at % n);
                if row >= inside || column >= inside {
                    0.0
                } else {
                    f64::from(u8::from(row == column)) - 1.0 / size
                }
            })
            .collect();
        close(
            &jacobian.values[i * n * n..(i + 1) * n * n],
            &whole,
            ROUNDING,
        );
        let mean = d[..inside].iter().sum::<f64>() / size;
        for (at, d) in d.iter().enumerate() {
            let x = if at < inside { d - mean } else { 0.0 };
            let dual = if at < inside { 0.0 } else { mean - d };
            close(
                &tangent.variable("x").unwrap()[i * n + at..][..1],
                &[x],
                ROUNDING,
            );
            close(
                &tangent.dual("positive").unwrap()[i * n + at..][..1],
                &[dual],
                ROUNDING,
            );
        }
        close(&tangent.dual("total").unwrap()[i..=i], &[mean], ROUNDING);
    }
}

/// A parameter of fewer numbers than the variable goes forwards, one of more backwards; a symmetric
/// one moves in pairs.
#[test]
fn jacobians_go_both_ways() {
    let (m, n) = (5, 3);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let y = model.variable("y", []);
    let (a, b) = (model.parameter("a", [m, n]), model.parameter("b", [m]));
    let (c, cap) = (model.parameter("c", []), model.parameter("cap", [2]));
    let formulation = model
        .minimize(
            sum_squares(a.matmul(&x) - &b)
                + 0.1 * abs(&x).sum()
                + sum_squares(&y - c.clone() * x.at([0])),
        )
        .subject_to((x.sum() + &y).le(cap.at([0])).named("budget"))
        .subject_to(norm2(&x).le(cap.at([1])).named("ball"));
    let mut rng = rng(4);
    let inputs = [
        shared("a", normal(&mut rng, m * n)),
        each("b", normal(&mut rng, 2 * m)),
        each("c", vec![0.3, -0.7]),
        shared("cap", vec![0.1, 0.4]),
    ];
    for route in [Route::Auto, Route::Cones] {
        let problem = formulation.clone().route(route).compile().unwrap();
        support::against_differences(&problem, &inputs, 2, &["x", "y"], &["budget", "ball"], 7);
    }
}

/// At kinks and vertices with too many rows, the forward and the backward choice are one.
#[test]
fn kinks_are_flagged_and_transposes() {
    // On the boundary between two faces; a vertex; inside.
    let y = vec![0.8, 0.4, 0.1, 0.3, 2.0, 1.0, 1.0, 1.0, 0.3, 0.2, 0.3, 0.25];
    let inputs = [each("y", y)];
    for route in [Route::Auto, Route::Cones] {
        let mut model = Model::new();
        let x = model.variable("x", [4]);
        let y = model.parameter("y", [4]);
        let problem = model
            .minimize(0.5 * sum_squares(&x - y))
            .subject_to(x.sum().eq(1.0).named("total"))
            .subject_to(x.ge(0.0).named("positive"))
            .subject_to((2.0 * x.at([0])).ge(0.0).named("again"))
            .route(route)
            .compile()
            .unwrap();
        let solution = solved(&problem, &inputs, 3);
        let mut rng = rng(12);
        let weight = normal(&mut rng, 12);
        let total = normal(&mut rng, 3);
        let tangent = problem
            .tangent(
                &solution,
                &[("y", Values::Shared(&[1.0, 0.0, 0.0, 0.0]))],
                &AdjointSettings::default(),
            )
            .unwrap();
        assert_eq!(tangent.reports[1].quality, GradientQuality::Degenerate);
        assert_eq!(tangent.reports[2].quality, GradientQuality::Exact);
        let all = tangent.variable("x").unwrap().iter();
        assert!(
            all.chain(tangent.dual("positive").unwrap())
                .all(|v| v.is_finite())
        );
        forwards(
            &problem,
            &solution,
            &inputs,
            &[("x", &weight)],
            &[
                (Handle::Name("total"), &total),
                (Handle::Name("positive"), &weight),
                (Handle::Name("again"), &total),
            ],
            &mut rng,
        );
    }
}

/// ⟨w, J d⟩ = ⟨Jᵀw, d⟩ and the Jacobian's product for every choice at kinks, also where what is
/// differentiated is not the solution.
#[test]
fn every_choice_at_kinks_has_its_transpose() {
    let inputs = [each("y", vec![0.8, 0.4, 0.1, 0.3, 2.0, 1.0, 1.0, 1.0])];
    let mut rng = rng(21);
    let (weight, d) = (normal(&mut rng, 8), normal(&mut rng, 8));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for route in [Route::Auto, Route::Cones] {
        let mut model = Model::new();
        let x = model.variable("x", [4]);
        let y = model.parameter("y", [4]);
        let problem = model
            .minimize(0.5 * sum_squares(&x - y))
            .subject_to(x.sum().eq(1.0))
            .subject_to(x.ge(0.0).named("positive"))
            .route(route)
            .compile()
            .unwrap();
        let solution = solved(&problem, &inputs, 2);
        for degenerate in [
            Degenerate::LeastNorm,
            Degenerate::Held,
            Degenerate::Released,
            Degenerate::Smoothed { mu: 1e-3 },
        ] {
            let settings = AdjointSettings {
                degenerate,
                ..AdjointSettings::default()
            };
            let tangent = problem
                .tangent(&solution, &[("y", Values::PerSample(&d))], &settings)
                .unwrap();
            let cotangent = Cotangent {
                variables: &[("x", &weight)],
                duals: &[(Handle::Name("positive"), &weight)],
            };
            let gradients = problem
                .adjoint(&solution, &cotangent, &["y"], &settings)
                .unwrap();
            let left = dot(&weight, tangent.variable("x").unwrap())
                + dot(&weight, tangent.dual("positive").unwrap());
            let right = dot(gradients.parameter("y").unwrap(), &d);
            close(&[left], &[right], ROUNDING);
            let jacobian = problem.jacobian(&solution, "x", "y", &settings).unwrap();
            let product: Vec<f64> = (0..8)
                .map(|row| dot(&jacobian.values[row * 4..][..4], &d[row / 4 * 4..][..4]))
                .collect();
            close(&product, tangent.variable("x").unwrap(), ROUNDING);
            for reports in [&gradients.reports, &jacobian.reports] {
                let qualities = reports.iter().map(|r| r.quality);
                assert!(qualities.eq(tangent.reports.iter().map(|r| r.quality)));
            }
        }
    }
}

/// An epigraph column of a constraint that does not bind is held, forwards as backwards.
#[test]
fn slack_epigraphs_do_not_matter() {
    let mut model = Model::new();
    let x = model.variable("x", [3]);
    let (y, cap) = (model.parameter("y", [3]), model.parameter("cap", []));
    let problem = model
        .minimize(sum_squares(&x - y))
        .subject_to((norm2(&x) + norm2(&(&x - 1.0))).le(cap).named("cap"))
        .compile()
        .unwrap();
    let mut rng = rng(2);
    let y = normal(&mut rng, 9);
    // Slack in the first sample, binding in the others.
    let inputs = [each("y", y), each("cap", vec![50.0, 2.0, 2.3])];
    let solution = solved(&problem, &inputs, 3);
    let worst =
        support::along_differences(&problem, &solution, &inputs, &["x"], &["cap"], &mut rng);
    println!("against differences: {worst:.1e}");
    close(&solution.dual("cap").unwrap()[..1], &[0.0], ROUNDING);
    let jacobian = problem
        .jacobian(&solution, "x", "y", &AdjointSettings::default())
        .unwrap();
    let identity = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    close(&jacobian.values[..9], &identity, ROUNDING);
    let weight = normal(&mut rng, 9);
    forwards(
        &problem,
        &solution,
        &inputs,
        &[("x", &weight)],
        &[],
        &mut rng,
    );
}

#[test]
fn failed_samples_do_not_move() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let (a, total) = (model.parameter("a", [2]), model.parameter("total", []));
    let formulation = model
        .minimize(sum_squares(&x - &a))
        .subject_to(x.sum().le(total).named("total"))
        .subject_to(x.ge(1.0).named("floor"));
    let inputs = [
        each("a", vec![3.0, 2.0, 3.0, 2.0]),
        each("total", vec![4.0, 1.0]),
    ];
    for route in [Route::Auto, Route::Cones] {
        let problem = formulation.clone().route(route).compile().unwrap();
        let solution = problem
            .solve(&values(&inputs), 2, &SolveSettings::default())
            .unwrap();
        let settings = AdjointSettings::default();
        let direction = [("a", Values::Shared(&[1.0, 0.0][..]))];
        let tangent = problem.tangent(&solution, &direction, &settings).unwrap();
        close(
            tangent.variable("x").unwrap(),
            &[0.5, -0.5, 0.0, 0.0],
            ROUNDING,
        );
        close(tangent.dual("total").unwrap(), &[1.0, 0.0], ROUNDING);
        assert_eq!(tangent.dual("floor").unwrap()[2..], [0.0, 0.0]);
        let jacobian = problem.jacobian(&solution, "x", "a", &settings).unwrap();
        let expected = [0.5, -0.5, -0.5, 0.5, 0.0, 0.0, 0.0, 0.0];
        close(&jacobian.values, &expected, ROUNDING);
        for reports in [tangent.reports, jacobian.reports] {
            let qualities: Vec<_> = reports.iter().map(|r| r.quality).collect();
            assert_eq!(
                qualities,
                [GradientQuality::Exact, GradientQuality::Unavailable]
            );
        }
    }
}

#[test]
fn wrong_calls_are_named() {
    let problem = simplex(3);
    let inputs = [shared("y", vec![0.5, 0.2, 0.1])];
    let solution = solved(&problem, &inputs, 2);
    let settings = AdjointSettings::default();
    let message = |direction: &[(&str, Values<'_>)]| {
        let error = problem.tangent(&solution, direction, &settings);
        error.unwrap_err().to_string()
    };
    let three = Values::Shared(&[0.0; 3]);
    for (direction, text) in [
        (
            vec![("z", three)],
            "`z` is no parameter of this problem; it has `y`",
        ),
        (
            vec![("y", three), ("y", three)],
            "direction of parameter `y` is given twice",
        ),
        (
            vec![("y", Values::PerSample(&[0.0; 3]))],
            "direction of parameter `y` holds 3 numbers but must hold 6 (3 for each of 2 samples)",
        ),
        (
            vec![("y", Values::Shared(&[0.0; 4]))],
            "direction of parameter `y` holds 4 numbers but must hold 3",
        ),
        (
            vec![("y", Values::Shared(&[0.0, f64::NAN, 0.0]))],
            "direction of parameter `y` is NaN at entry 1",
        ),
    ] {
        let message = message(&direction);
        assert!(message.contains(text), "`{text}` is not in: {message}");
    }
    let jacobian = |variable, parameter| {
        let error = problem.jacobian(&solution, variable, parameter, &settings);
        error.unwrap_err().to_string()
    };
    assert!(jacobian("z", "y").contains("`z` is no variable of this problem; it has `x`"));
    assert!(jacobian("x", "z").contains("`z` is no parameter of this problem; it has `y`"));
    let tangent = problem.tangent(&solution, &[], &settings).unwrap();
    assert!(tangent.variable("x").unwrap().iter().all(|v| *v == 0.0));
    assert!(matches!(
        tangent.variable("y"),
        Err(Error::UnknownName { .. })
    ));
    assert!(matches!(tangent.dual("y"), Err(Error::UnknownName { .. })));
    let other = simplex(3);
    assert!(matches!(
        other.tangent(&solution, &[], &settings),
        Err(Error::ForeignSolution)
    ));
    assert!(matches!(
        other.jacobian(&solution, "x", "y", &settings),
        Err(Error::ForeignSolution)
    ));
    let mut bad = settings;
    bad.degenerate_margin = -1.0;
    assert!(problem.tangent(&solution, &[], &bad).is_err());
    assert!(problem.jacobian(&solution, "x", "y", &bad).is_err());
    // A batch of none.
    let none = problem
        .solve(
            &[("y", Values::PerSample(&[]))],
            0,
            &SolveSettings::default(),
        )
        .unwrap();
    let tangent = problem
        .tangent(&none, &[("y", Values::PerSample(&[]))], &settings)
        .unwrap();
    assert!(tangent.variable("x").unwrap().is_empty());
    let jacobian = problem.jacobian(&none, "x", "y", &settings).unwrap();
    assert!(jacobian.values.is_empty());
}
