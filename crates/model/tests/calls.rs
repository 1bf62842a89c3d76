//! Calls with wrong arguments, and batches with samples that have no solution.
#![allow(missing_docs)]

mod support;

use feasible_model::{
    AdjointSettings, CompiledProblem, Cotangent, Domain, Error, GradientQuality, Handle, Model,
    SolveSettings, Status, Values, log, sum_squares,
};
use support::{against_differences, close, each, gradients, shared, values};

fn problem() -> CompiledProblem {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let y = model.parameter("y", [2]);
    let w = model.parameter_in("w", [], Domain::Nonnegative);
    model
        .minimize(w * sum_squares(&x - y))
        .subject_to(x.ge(0.0).named("floor"))
        .compile()
        .unwrap()
}

#[test]
fn wrong_calls_are_named() {
    let problem = problem();
    let settings = SolveSettings::default();
    let one = Values::Shared(&[1.0]);
    let y = Values::PerSample(&[1.0, 2.0, 3.0, 4.0]);
    let cases: Vec<(Vec<(&str, Values<'_>)>, &str)> = vec![
        (vec![("y", y)], "parameter `w` of shape [] has no values"),
        (
            vec![("y", y), ("w", one), ("z", one)],
            "`z` is no parameter of this problem; it has `w`, `y`",
        ),
        (
            vec![("y", y), ("w", one), ("w", one)],
            "parameter `w` is given twice",
        ),
        (
            vec![("y", one), ("w", one)],
            "parameter `y` holds 1 numbers but must hold 2",
        ),
        (
            vec![("y", Values::PerSample(&[0.0; 2])), ("w", one)],
            "holds 2 numbers but must hold 4 (2 for each of 2 samples)",
        ),
        (
            vec![
                ("y", Values::PerSample(&[0.0, 0.0, 0.0, f64::NAN])),
                ("w", one),
            ],
            "parameter `y` is NaN at entry 1 of sample 1",
        ),
        (
            vec![("y", Values::Shared(&[f64::INFINITY, 0.0])), ("w", one)],
            "parameter `y` is inf at entry 0 of the shared values",
        ),
        (
            vec![("y", y), ("w", Values::PerSample(&[1.0, -1.0]))],
            "parameter `w` is -1 at entry 0 of sample 1 but is declared nonnegative",
        ),
    ];
    for (values, text) in cases {
        let message = problem
            .solve(&values, 2, &settings)
            .unwrap_err()
            .to_string();
        assert!(message.contains(text), "`{text}` is not in: {message}");
    }
    let mut bad = settings;
    bad.dense.tolerance = 0.0;
    let error = problem.solve(&[("y", y), ("w", one)], 2, &bad).unwrap_err();
    assert!(matches!(error, Error::Solver(_)));

    let solution = problem
        .solve(&[("y", y), ("w", one)], 2, &settings)
        .unwrap();
    assert!(
        solution
            .variable("z")
            .unwrap_err()
            .to_string()
            .contains("it has `x`")
    );
    assert!(
        solution
            .dual("roof")
            .unwrap_err()
            .to_string()
            .contains("it has `floor`")
    );
    let adjoint = |cotangent: Cotangent<'_>, wanted: &[&str]| {
        let settings = AdjointSettings::default();
        problem.adjoint(&solution, &cotangent, wanted, &settings)
    };
    let none = Cotangent::default();
    assert!(matches!(
        adjoint(none, &["v"]),
        Err(Error::UnknownName { .. })
    ));
    assert!(matches!(
        adjoint(none, &["y", "y"]),
        Err(Error::GivenTwice { .. })
    ));
    let of = |variables| Cotangent {
        variables,
        duals: &[],
    };
    assert!(matches!(
        adjoint(of(&[("x", &[1.0])]), &["y"]),
        Err(Error::Length { .. })
    ));
    assert!(matches!(
        adjoint(of(&[("x", &[1.0, 0.0, f64::NAN, 0.0])]), &["y"]),
        Err(Error::NotFinite {
            sample: Some(1),
            entry: 0,
            ..
        })
    ));
    let twice: &[(&str, &[f64])] = &[("x", &[1.0; 4]), ("x", &[1.0; 4])];
    assert!(matches!(
        adjoint(of(twice), &["y"]),
        Err(Error::GivenTwice { .. })
    ));
    let duals: &[(Handle<'_>, &[f64])] = &[("roof".into(), &[1.0; 4])];
    let unknown = Cotangent {
        variables: &[],
        duals,
    };
    assert!(matches!(
        adjoint(unknown, &["y"]),
        Err(Error::UnknownName { .. })
    ));
    let gradients = adjoint(of(&[("x", &[1.0; 4])]), &["y"]).unwrap();
    assert!(
        gradients
            .parameter("w")
            .unwrap_err()
            .to_string()
            .contains("it has `y`")
    );
    let other = self::problem();
    let stranger = other.solve(&[("y", y), ("w", one)], 2, &settings).unwrap();
    let foreign = problem.adjoint(&stranger, &none, &["y"], &AdjointSettings::default());
    assert!(matches!(foreign, Err(Error::ForeignSolution)));
}

#[test]
fn an_empty_batch_is_no_mistake() {
    let problem = problem();
    let values = [("y", Values::PerSample(&[])), ("w", Values::Shared(&[1.0]))];
    let solution = problem
        .solve(&values, 0, &SolveSettings::default())
        .unwrap();
    assert_eq!(solution.batch(), 0);
    assert!(solution.variable("x").unwrap().is_empty());
    assert!(solution.dual("floor").unwrap().is_empty());
    assert!(solution.objective().unwrap().is_empty());
    let gradients = problem
        .adjoint(
            &solution,
            &Cotangent {
                variables: &[("x", &[])],
                duals: &[],
            },
            &["y", "w"],
            &AdjointSettings::default(),
        )
        .unwrap();
    assert!(gradients.parameter("y").unwrap().is_empty());
    assert_eq!(gradients.parameter("w").unwrap(), [0.0]);
}

/// Crossed bounds, in rows that became one and in cones, and an unbounded sample.
#[test]
fn a_failed_sample_leaves_the_others_alone() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let (y, l, u) = (
        model.parameter("y", [2]),
        model.parameter("l", []),
        model.parameter("u", []),
    );
    let rows = model
        .minimize(sum_squares(&x - &y))
        .subject_to(x.ge(&l))
        .subject_to(x.le(&u).named("upper"));
    let mut other = Model::new();
    let z = other.variable("x", [2]);
    let (y, l, u) = (
        other.parameter("y", [2]),
        other.parameter("l", []),
        other.parameter("u", []),
    );
    let cones = other
        .minimize(sum_squares(&z - &y) - log(&z).sum() * 1e-3)
        .subject_to(z.ge(&l))
        .subject_to(z.le(&u).named("upper"));
    let inputs = [
        each("y", vec![2.0, 0.5, 0.3, 0.4, 0.1, 3.0]),
        shared("l", vec![0.2]),
        each("u", vec![1.0, 0.1, 1.0]),
    ];
    for problem in [rows.compile().unwrap(), cones.compile().unwrap()] {
        let solution = problem
            .solve(&values(&inputs), 3, &SolveSettings::default())
            .unwrap();
        assert_eq!(
            solution.status(),
            [Status::Solved, Status::PrimalInfeasible, Status::Solved]
        );
        let g = gradients(&problem, &solution, &inputs, &[("x", &[1.0; 6])], &[]);
        let quality: Vec<_> = g.reports.iter().map(|r| r.quality).collect();
        assert_eq!(quality[1], GradientQuality::Unavailable);
        assert_eq!(quality[0], GradientQuality::Exact);
        let y = g.parameter("y").unwrap();
        assert_eq!(&y[2..4], [0.0, 0.0]);
        assert_eq!(g.parameter("u").unwrap()[1], 0.0);
        close(g.parameter("l").unwrap(), &[1.0], 1e-6);
        // Without the failed sample nothing changes.
        let kept = [
            each("y", vec![2.0, 0.5, 0.1, 3.0]),
            shared("l", vec![0.2]),
            each("u", vec![1.0, 1.0]),
        ];
        let alone = problem
            .solve(&values(&kept), 2, &SolveSettings::default())
            .unwrap();
        let (x, own) = (
            solution.variable("x").unwrap(),
            alone.variable("x").unwrap(),
        );
        close(&[&x[..2], &x[4..]].concat(), own, 1e-12);
        let g2 = gradients(&problem, &alone, &kept, &[("x", &[1.0; 4])], &[]);
        close(g.parameter("l").unwrap(), g2.parameter("l").unwrap(), 1e-10);
        against_differences(&problem, &kept, 2, &["x"], &["upper"], 1);
    }
    // Shared bounds that cross: every sample is infeasible.
    let all = [
        each("y", vec![0.0; 4]),
        shared("l", vec![0.5]),
        shared("u", vec![0.1]),
    ];
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let (y, l, u) = (
        model.parameter("y", [2]),
        model.parameter("l", []),
        model.parameter("u", []),
    );
    let problem = model
        .minimize(sum_squares(&x - y))
        .subject_to(x.ge(l))
        .subject_to(x.le(u))
        .compile()
        .unwrap();
    let solution = problem
        .solve(&values(&all), 2, &SolveSettings::default())
        .unwrap();
    assert_eq!(solution.status(), [Status::PrimalInfeasible; 2]);
}

#[test]
fn unbounded_samples_have_their_status() {
    let mut model = Model::new();
    let x = model.variable("x", []);
    let c = model.parameter("c", []);
    let problem = model
        .minimize(c * &x)
        .subject_to(x.ge(0.0))
        .compile()
        .unwrap();
    let inputs = [each("c", vec![1.0, -1.0])];
    let solution = problem
        .solve(&values(&inputs), 2, &SolveSettings::default())
        .unwrap();
    assert_eq!(solution.status(), [Status::Solved, Status::DualInfeasible]);
}

/// Signs of dual values: `L = ±f + Σλ(small − large) + Σν(left − right)`.
#[test]
fn dual_signs() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let minimised = sum_squares(&x);
    for (direction, objective) in [(1, minimised.clone()), (-1, -minimised)] {
        for flipped in [false, true] {
            let total = x.sum();
            let equal = if flipped {
                feasible_model::Expr::from(2.0).eq(&total)
            } else {
                total.eq(2.0)
            };
            let floor = x.at([0]).ge(1.5).named("floor");
            let formulation = if direction == 1 {
                model.minimize(&objective)
            } else {
                model.maximize(&objective)
            };
            let problem = formulation
                .subject_to(&equal)
                .subject_to(&floor)
                .compile()
                .unwrap();
            let solution = problem.solve(&[], 1, &SolveSettings::default()).unwrap();
            close(solution.variable("x").unwrap(), &[1.5, 0.5], 1e-11);
            // 2x₂ + ν = 0 and 2x₁ + ν − λ = 0.
            let nu = if flipped { 1.0 } else { -1.0 };
            close(&solution.dual(&equal).unwrap(), &[nu], 1e-11);
            close(&solution.dual(&floor).unwrap(), &[2.0], 1e-11);
            close(
                &solution.objective().unwrap(),
                &[2.5 * f64::from(direction)],
                1e-11,
            );
        }
    }
}
