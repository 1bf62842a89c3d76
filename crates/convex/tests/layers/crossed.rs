//! Samples with a lower bound above its upper one: the numbers are tested in the solver's and the model's
//! crates; here policies, tensors and backward passes.

use burn::tensor::Tensor;
use feasible_convex::model::{Model, sum_squares};
use feasible_convex::{
    ConvexLayer, ConvexLayerSettings, ConvexSettings, CrossedBounds, Error, GradientQuality,
    Hessian, Infeasible, OnFailure, QpLayer, QpTensors, Status,
};

use crate::support::{assert_close, numbers, tensor};

const WEIGHT: f64 = 20.0;

/// Projections of 0.4, 0.9 and 5 on `l ≤ x ≤ 1`, with l = 1.7 in the second.
fn problem() -> (QpTensors, [Tensor<2>; 2]) {
    let q = tensor::<2>(&[-0.4, -0.9, -5.0], [3, 1]).require_grad();
    let l = tensor::<2>(&[0.0, 1.7, 0.0], [3, 1]).require_grad();
    let problem = QpTensors::new(Hessian::diagonal(tensor::<1>(&[1.0], [1])), q.clone())
        .inequalities(
            tensor::<2>(&[1.0], [1, 1]),
            l.clone(),
            tensor::<1>(&[1.0], [1]),
        );
    (problem, [q, l])
}

fn layer(on_failure: OnFailure, change: impl FnOnce(&mut ConvexSettings)) -> QpLayer {
    let mut settings = ConvexSettings {
        on_failure,
        ..ConvexSettings::default()
    };
    change(&mut settings);
    QpLayer::new(settings).unwrap()
}

#[test]
fn crossed_bounds_are_an_error_unless_they_are_asked_for() {
    for on_failure in [OnFailure::Error, OnFailure::Nan, OnFailure::Keep] {
        let error = layer(on_failure, |_| ()).forward(&problem().0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "bounds of row 0 of sample 1 are crossed: l = 1.7 > u = 1"
        );
    }
    let asked = |settings: &mut ConvexSettings| {
        settings.solver.crossed_bounds = CrossedBounds::Infeasible;
    };
    let error = layer(OnFailure::Error, asked).forward(&problem().0);
    let message = error.unwrap_err().to_string();
    assert!(
        message.starts_with(
            "sample 1 ended as PrimalInfeasible, because row 0 (lower) and row 0 (upper) conflict"
        ),
        "{message}"
    );
    let (problem, [q, _]) = problem();
    let solution = layer(OnFailure::Nan, asked).forward(&problem).unwrap();
    let x = numbers(&solution.x);
    assert!(x[1].is_nan());
    assert_eq!([x[0], x[2]], [0.4, 1.0]);
    let gradients = (solution.x.clone() * 2.0).sum().backward();
    assert_eq!(numbers(&q.grad(&gradients).unwrap()), [-2.0, 0.0, 0.0]);
}

#[test]
fn crossed_bounds_give_way() {
    let (problem, [q, l]) = problem();
    let elastic = |settings: &mut ConvexSettings| {
        settings.solver.infeasible = Infeasible::Elastic { weight: WEIGHT };
    };
    let solution = layer(OnFailure::Error, elastic).forward(&problem).unwrap();
    assert_eq!(
        solution.status,
        [Status::Solved, Status::Relaxed, Status::Solved]
    );
    let whole = 1.0 + 2.0 * WEIGHT;
    let expected = [0.4, (0.9 + 2.7 * WEIGHT) / whole, 1.0];
    // Rounding.
    assert_close("x", &numbers(&solution.x), &expected, 1e-14);
    let reports = solution.gradient_reports();
    let gradients = solution.x.clone().sum().backward();
    assert_eq!(reports.count(GradientQuality::Exact), Some(3));
    let of_q = numbers(&q.grad(&gradients).unwrap());
    assert_close("∂q", &of_q, &[-1.0, -1.0 / whole, 0.0], 1e-13);
    let of_l = numbers(&l.grad(&gradients).unwrap());
    assert_close("∂l", &of_l, &[0.0, WEIGHT / whole, 0.0], 1e-13);
}

#[test]
fn models_have_them_as_a_samples_own_matter() {
    let mut model = Model::new();
    let x = model.variable("x", []);
    let (y, low) = (model.parameter("y", []), model.parameter("low", []));
    let problem = model
        .minimize(0.5 * sum_squares(&x - y))
        .subject_to(x.ge(low).named("low"))
        .subject_to(x.le(1.0).named("high"))
        .compile()
        .unwrap();
    let given = || {
        [
            ("y", tensor::<1>(&[0.4, 0.9, 5.0], [3])),
            ("low", tensor::<1>(&[0.0, 1.7, 0.0], [3])),
        ]
    };
    let with = |infeasible, on_failure| {
        let mut settings = ConvexLayerSettings {
            on_failure,
            ..ConvexLayerSettings::default()
        };
        settings.solver.dense.infeasible = infeasible;
        let layer = ConvexLayer::new(problem.clone()).with_settings(settings);
        let given = given().map(|(name, values)| (name, values.require_grad()));
        let solution = layer
            .unwrap()
            .forward(given.clone().map(|(name, values)| (name, values.into())));
        (solution, given)
    };
    let Err(Error::Unsolved {
        sample: 1,
        conflict: Some(text),
        failed: 1,
        ..
    }) = with(Infeasible::Report, OnFailure::Error).0
    else {
        panic!("one sample's bounds cross");
    };
    assert_eq!(text, "`low` and `high` conflict");
    let solution = with(Infeasible::Report, OnFailure::Nan).0.unwrap();
    let x = numbers(&solution.variable("x").unwrap());
    assert!(x[1].is_nan());
    assert_eq!([x[0], x[2]], [0.4, 1.0]);
    let elastic = Infeasible::Elastic { weight: WEIGHT };
    let (solution, given) = with(elastic, OnFailure::Error);
    let solution = solution.unwrap();
    let whole = 1.0 + 2.0 * WEIGHT;
    let x = (0.9 + 2.7 * WEIGHT) / whole;
    let found = numbers(&solution.variable("x").unwrap());
    assert_close("x", &found, &[0.4, x, 1.0], 1e-14);
    let duals = ["low", "high"].map(|name| solution.dual(name).unwrap());
    let expected = [0.0, WEIGHT * (1.7 - x), 0.0];
    assert_close("λ of low", &numbers(&duals[0]), &expected, 1e-13);
    let expected = [0.0, WEIGHT * (x - 1.0), 4.0];
    assert_close("λ of high", &numbers(&duals[1]), &expected, 1e-13);
    let jacobian = numbers(&solution.dual_jacobian("high", "low").unwrap().values);
    let slope = WEIGHT * WEIGHT / whole;
    assert_close("∂λ", &jacobian, &[0.0, slope, 0.0], 1e-13);
    let [_, high] = duals;
    let gradients = high.sum().backward();
    let of_low = numbers(&given[1].1.grad(&gradients).unwrap());
    assert_close("∂low", &of_low, &[0.0, slope, 0.0], 1e-13);
}
