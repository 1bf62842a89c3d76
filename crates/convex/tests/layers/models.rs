//! Disciplined models as layers: shapes of parameters, gradients of variables and dual values,
//! policies, and messages. What a model means is tested in its own crate.

use burn::tensor::Tensor;
use feasible_convex::model::{CompiledProblem, Model, norm1, norm2, sum_squares};
use feasible_convex::{
    ConvexLayer, ConvexLayerSettings, Error, GradientQuality, Infeasible, ModelSolution,
    ModelTensor, OnFailure, Status,
};

use crate::support::{assert_close, central_differences, entries, numbers, random, tensor};

const BATCH: usize = 2;

/// min ‖Ax − b‖² + λ‖x‖₁ s.t. sum(x) ≤ total.
fn regression() -> CompiledProblem {
    let mut model = Model::new();
    let x = model.variable("x", [3]);
    let a = model.parameter("a", [4, 3]);
    let b = model.parameter("b", [4]);
    let weight = model.parameter_in("weight", [], feasible_convex::model::Domain::Nonnegative);
    let total = model.parameter("total", []);
    model
        .minimize(sum_squares(a.matmul(&x) - &b) + weight * norm1(&x))
        .subject_to(x.sum().le(total).named("budget"))
        .compile()
        .unwrap()
}

/// A shared, b and the total a sample's own, the weight one number.
fn forward(layer: &ConvexLayer, data: &[Vec<f64>; 4]) -> (ModelSolution, [ModelTensor; 4]) {
    let [a, b, weight, total] = data;
    let given: [ModelTensor; 4] = [
        tensor(a, [4, 3]).require_grad().into(),
        tensor(b, [BATCH, 4]).require_grad().into(),
        tensor(weight, [1]).require_grad().into(),
        tensor(total, [BATCH]).require_grad().into(),
    ];
    let names = ["a", "b", "weight", "total"];
    let solution = layer.forward(names.into_iter().zip(given.clone())).unwrap();
    (solution, given)
}

#[test]
fn gradients_of_every_parameter_agree_with_differences() {
    let layer = ConvexLayer::new(regression());
    let mut random = random(17);
    let weights = random(BATCH * 4);
    let loss = |solution: &ModelSolution| {
        let x = solution.variable("x").unwrap();
        let dual = solution.dual("budget").unwrap();
        let all = Tensor::cat(vec![x, dual], 1);
        (all * tensor(&weights, [BATCH, 4])).sum()
    };
    let mut worst = 0.0f64;
    for _ in 0..6 {
        let data = [random(12), random(BATCH * 4), vec![0.05], vec![-0.3, 0.1]];
        let (solution, given) = forward(&layer, &data);
        let reports = solution.gradient_reports();
        let gradients = loss(&solution).backward();
        assert_eq!(reports.count(GradientQuality::Exact), Some(BATCH));
        for (at, leaf) in given.iter().enumerate() {
            let got = match leaf {
                ModelTensor::One(leaf) => numbers(&leaf.grad(&gradients).unwrap()),
                ModelTensor::Two(leaf) => numbers(&leaf.grad(&gradients).unwrap()),
                ModelTensor::Three(leaf) => numbers(&leaf.grad(&gradients).unwrap()),
            };
            let expected = central_differences(&data[at], &entries(got.len()), |values| {
                let mut moved = data.clone();
                moved[at] = values.to_vec();
                numbers(&loss(&forward(&layer, &moved).0))[0]
            });
            let what = ["∂a", "∂b", "∂weight", "∂total"][at];
            worst = worst.max(assert_close(what, &got, &expected, 1e-6));
        }
    }
    eprintln!("convex layer: worst relative error {worst:.1e}");
}

/// A matrix shared as [m, n], as [1, m, n] and as one a sample gives the same solutions.
#[test]
fn parameters_come_in_three_shapes() {
    let layer = ConvexLayer::new(regression());
    let mut random = random(3);
    let (a, b) = (random(12), random(BATCH * 4));
    let solve = |a: ModelTensor| {
        let given: [(&str, ModelTensor); 4] = [
            ("total", tensor(&[1.0], [1]).into()),
            ("weight", tensor(&[0.1, 0.1], [BATCH]).into()),
            ("b", tensor(&b, [BATCH, 4]).into()),
            ("a", a),
        ];
        numbers(&layer.forward(given).unwrap().variable("x").unwrap())
    };
    let shared = solve(tensor(&a, [4, 3]).into());
    assert_close("x", &solve(tensor(&a, [1, 4, 3]).into()), &shared, 1e-12);
    let own = [a.clone(), a].concat();
    assert_close(
        "x",
        &solve(tensor(&own, [BATCH, 4, 3]).into()),
        &shared,
        1e-9,
    );
}

/// ‖x‖ ≤ radius and x₀ ≥ bound, where the second sample's bound is out of reach.
fn reach(on_failure: OnFailure) -> Result<(ModelSolution, Tensor<1>), Error> {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let bound = model.parameter("bound", []);
    let problem = model
        .minimize(sum_squares(&x))
        .subject_to(norm2(&x).le(1.0))
        .subject_to(x.at([0]).ge(bound).named("bound"))
        .compile()
        .unwrap();
    let settings = ConvexLayerSettings {
        on_failure,
        ..ConvexLayerSettings::default()
    };
    let bound: Tensor<1> = tensor(&[0.5, 2.0], [2]).require_grad();
    let layer = ConvexLayer::new(problem).with_settings(settings)?;
    Ok((layer.forward([("bound", bound.clone().into())])?, bound))
}

#[test]
fn samples_without_a_solution_follow_the_policy() {
    let message = reach(OnFailure::Error).unwrap_err().to_string();
    assert!(
        message.contains("sample 1 ended as PrimalInfeasible"),
        "{message}"
    );
    let (solution, bound) = reach(OnFailure::Nan).unwrap();
    assert_eq!(solution.status, [Status::Solved, Status::PrimalInfeasible]);
    let x = solution.variable("x").unwrap();
    assert!(numbers(&x)[2].is_nan());
    let reports = solution.gradient_reports();
    let gradients = x.narrow(0, 0, 1).narrow(1, 0, 1).sum().backward();
    assert_close(
        "∂bound",
        &numbers(&bound.grad(&gradients).unwrap()),
        &[1.0, 0.0],
        1e-9,
    );
    assert_eq!(reports.count(GradientQuality::Unavailable), Some(1));
}

#[test]
fn mistakes_are_named() {
    let layer = ConvexLayer::new(regression());
    let message = |given: Vec<(&'static str, ModelTensor)>| {
        layer
            .forward(given)
            .expect_err("must be refused")
            .to_string()
    };
    let a = || ModelTensor::from(tensor(&[1.0; 12], [4, 3]));
    let one = || ModelTensor::from(tensor(&[1.0], [1]));
    let b = |rows: usize| ModelTensor::from(tensor(&vec![1.0; rows * 4], [rows, 4]));
    for (expected, given) in [
        (
            "parameter `total` of shape",
            vec![("a", a()), ("b", b(1)), ("weight", one())],
        ),
        ("`c` is no parameter", vec![("c", one())]),
        (
            "parameter `a` has shape [2, 4] but must have [4, 3]",
            vec![("a", b(2))],
        ),
        (
            "parameter `b` is given for 3 samples but must be for 1 or 5",
            vec![("b", b(3)), ("total", tensor(&[1.0; 5], [5]).into())],
        ),
        ("without parameters", vec![]),
        (
            "`weight` is -1",
            vec![
                ("a", a()),
                ("b", b(1)),
                ("total", one()),
                ("weight", tensor(&[-1.0], [1]).into()),
            ],
        ),
        (
            "`b` is NaN at entry 1 of sample 1",
            vec![
                ("a", a()),
                (
                    "b",
                    tensor(&[0.0, 0.0, 0.0, 0.0, 0.0, f64::NAN, 0.0, 0.0], [2, 4]).into(),
                ),
                ("total", one()),
                ("weight", one()),
            ],
        ),
    ] {
        let message = message(given);
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let given = [("a", a()), ("b", b(1)), ("total", one()), ("weight", one())];
    let solution = layer.forward(given).unwrap();
    let message = solution.variable("y").unwrap_err().to_string();
    assert!(message.contains("no variable `y`; it has: x"), "{message}");
    let message = solution.dual("limit").unwrap_err().to_string();
    assert!(
        message.contains("no named constraint `limit`; it has: budget"),
        "{message}"
    );
}

/// The regression's next batch from the last one's solutions; a conic model and another's solutions.
#[test]
fn a_warm_start_changes_the_steps_only() {
    let mut model = Model::new();
    let x = model.variable("x", [4]);
    let y = model.parameter("y", [4]);
    let problem = model
        .minimize(sum_squares(&x - y))
        .subject_to(x.ge(0.0))
        .subject_to(x.sum().eq(1.0))
        .compile()
        .unwrap();
    let layer = ConvexLayer::new(problem.clone());
    let points = random(4)(12);
    let near: Vec<f64> = points.iter().map(|v| v + 1e-3).collect();
    let given = |values: &[f64]| [("y", tensor::<2>(values, [3, 4]).into())];
    let before = layer.forward(given(&points)).unwrap();
    let cold = layer.forward(given(&near)).unwrap();
    let warm = layer.forward_from(given(&near), &before).unwrap();
    let x = |solution: &ModelSolution| numbers(&solution.variable("x").unwrap());
    assert_close("x", &x(&warm), &x(&cold), 1e-12);
    let steps = |solution: &ModelSolution| solution.iterations.iter().sum::<usize>();
    assert!(
        steps(&warm) < steps(&cold),
        "{} {}",
        steps(&warm),
        steps(&cold)
    );
    let (conic, _) = reach(OnFailure::Nan).unwrap();
    let error = layer
        .forward_from(given(&near), &conic)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "the solution belongs to another compiled problem");
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let at = model.parameter("at", [2]);
    let conic = model
        .minimize(norm2(&(&x - at)))
        .subject_to(norm2(&x).le(1.0));
    let layer = ConvexLayer::new(conic.compile().unwrap());
    let given = |values: &[f64]| {
        let at: Tensor<2> = tensor(values, [values.len() / 2, 2]);
        [("at", at.into())]
    };
    let before = layer.forward(given(&[3.0, 4.0, 0.0, 2.0])).unwrap();
    let again = layer
        .forward_from(given(&[4.0, 3.0, 2.0, 0.0]), &before)
        .unwrap();
    let expected = [0.8, 0.6, 1.0, 0.0];
    assert_close(
        "conic",
        &numbers(&again.variable("x").unwrap()),
        &expected,
        1e-8,
    );
    let error = layer
        .forward_from(given(&[4.0, 3.0]), &before)
        .unwrap_err()
        .to_string();
    assert!(error.contains("holds 2 for `batch`"), "{error}");
}

/// min a·x over x ≥ 0, y free: unbounded along x where a < 0. Dense and conic.
#[test]
fn an_unbounded_sample_has_a_ray_by_the_names_of_variables() {
    for conic in [false, true] {
        let mut model = Model::new();
        let (x, y) = (model.variable("x", [2]), model.variable("y", []));
        let a = model.parameter("a", [2]);
        let mut problem = model
            .minimize(a.dot(&x) + sum_squares(&y))
            .subject_to(x.ge(0.0));
        if conic {
            problem = problem.subject_to(norm2(&y).le(1.0));
        }
        let settings = ConvexLayerSettings {
            on_failure: OnFailure::Keep,
            ..ConvexLayerSettings::default()
        };
        let layer = ConvexLayer::new(problem.compile().unwrap())
            .with_settings(settings)
            .unwrap();
        let a: Tensor<2> = tensor(&[1.0, 2.0, 1.0, -1.0], [2, 2]);
        let solution = layer.forward([("a", a.into())]).unwrap();
        assert_eq!(solution.status, [Status::Solved, Status::DualInfeasible]);
        assert_eq!(solution.ray("x", 0).unwrap(), None);
        let ray = solution.ray("x", 1).unwrap().unwrap();
        assert!(
            ray[1] > 0.0 && ray[0] - ray[1] < 0.0 && ray[0] > -1e-7 * ray[1],
            "{ray:?}"
        );
        let along = solution.ray("y", 1).unwrap().unwrap();
        assert!(along[0].abs() < 1e-7 * ray[1], "{along:?}");
        assert!(solution.ray("z", 1).is_err());
    }
}

/// A relaxed sample's violation is how far its constraint gave way.
#[test]
fn a_relaxed_sample_says_how_far_constraints_gave_way() {
    let mut model = Model::new();
    let x = model.variable("x", []);
    let low = model.parameter("low", []);
    let problem = model
        .minimize(sum_squares(&x))
        .subject_to(x.ge(low).named("low"))
        .subject_to(x.le(1.0).named("high"))
        .compile()
        .unwrap();
    let mut settings = ConvexLayerSettings::default();
    settings.solver.dense.infeasible = Infeasible::Elastic { weight: 100.0 };
    let layer = ConvexLayer::new(problem).with_settings(settings).unwrap();
    let low: Tensor<1> = tensor(&[0.5, 2.0], [2]);
    let solution = layer.forward([("low", low.into())]).unwrap();
    assert_eq!(solution.status, [Status::Solved, Status::Relaxed]);
    // min x² + 50(2 − x)² + 50(x − 1)².
    let x = 300.0 / 202.0;
    assert_close(
        "low",
        &solution.violation("low").unwrap(),
        &[0.0, 2.0 - x],
        1e-9,
    );
    assert_close(
        "high",
        &solution.violation("high").unwrap(),
        &[0.0, x - 1.0],
        1e-9,
    );
    assert!(solution.violation("none").is_err());
}
