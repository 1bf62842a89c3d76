//! Models' derivatives forwards, and the names in their conflicts. Families of models, kinks and
//! cones are tested in the model's own crate; here tensors, names, and the backward pass beside them.

use burn::tensor::{DType, Device, Tensor};
use feasible_convex::model::{CompiledProblem, Domain, Model, Route, norm1, norm2, sum_squares};
use feasible_convex::{
    ConvexLayer, ConvexLayerSettings, Error, GradientQuality, GradientReport, ModelSolution,
    ModelTensor, OnFailure,
};
use feasible_core::host;

use crate::support::{assert_close, entries, numbers, random, tensor};

const BATCH: usize = 3;

/// min ‖Ax − b‖² + λ‖x‖₁ s.t. sum(x) ≤ total, ‖x‖ ≤ radius, as a QCQP and in cones.
fn regression(route: Route) -> CompiledProblem {
    let mut model = Model::new();
    let x = model.variable("x", [2, 2]);
    let a = model.parameter("a", [5, 4]);
    let b = model.parameter("b", [5]);
    let weight = model.parameter_in("weight", [], Domain::Nonnegative);
    let total = model.parameter("total", []);
    let flat = x.flatten();
    model
        .minimize(sum_squares(a.matmul(&flat) - &b) + weight * norm1(&flat))
        .subject_to(flat.sum().le(total).named("total"))
        .subject_to(sum_squares(&flat).le(0.3).named("ball"))
        .route(route)
        .compile()
        .unwrap()
}

const SHAPES: [(&str, usize); 4] = [("a", 20), ("b", BATCH * 5), ("weight", 1), ("total", BATCH)];

fn tensors(data: &[Vec<f64>; 4]) -> [ModelTensor; 4] {
    let [a, b, weight, total] = data;
    [
        tensor(a, [5, 4]).require_grad().into(),
        tensor(b, [BATCH, 5]).require_grad().into(),
        tensor(weight, [1]).require_grad().into(),
        tensor(total, [BATCH]).require_grad().into(),
    ]
}

fn named(given: [ModelTensor; 4]) -> impl Iterator<Item = (&'static str, ModelTensor)> {
    SHAPES.into_iter().map(|(name, _)| name).zip(given)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn exact(reports: &[GradientReport]) -> bool {
    reports.iter().all(|r| r.quality == GradientQuality::Exact)
}

/// ⟨c, J d⟩ = ⟨Jᵀc, d⟩ with the backward pass of the tensors, for every parameter at once, and central
/// differences along d.
#[test]
fn tangents_are_the_transpose_of_the_backward_pass() {
    let mut worst = 0.0f64;
    for (seed, route) in [
        (1, Route::Auto),
        (2, Route::Cones),
        (3, Route::Auto),
        (4, Route::Cones),
    ] {
        let layer = ConvexLayer::new(regression(route));
        let mut random = random(seed);
        let data = [
            random(20),
            random(BATCH * 5),
            vec![0.05],
            vec![-0.3, 0.1, 2.0],
        ];
        let given = tensors(&data);
        let solution = layer.forward(named(given.clone())).unwrap();
        let cotangents = [random(BATCH * 4), random(BATCH), random(BATCH)];
        let [of_x, of_total, of_ball] = &cotangents;
        let loss = (solution.variable("x").unwrap() * tensor(of_x, [BATCH, 4])).sum()
            + (solution.dual("total").unwrap() * tensor(of_total, [BATCH, 1])).sum()
            + (solution.dual("ball").unwrap() * tensor(of_ball, [BATCH, 1])).sum();
        let gradients = loss.backward();
        let direction = SHAPES.map(|(_, len)| random(len));
        let expected: f64 = given
            .iter()
            .zip(&direction)
            .map(|(leaf, d)| {
                let gradient = match leaf {
                    ModelTensor::One(leaf) => numbers(&leaf.grad(&gradients).unwrap()),
                    ModelTensor::Two(leaf) => numbers(&leaf.grad(&gradients).unwrap()),
                    ModelTensor::Three(leaf) => numbers(&leaf.grad(&gradients).unwrap()),
                };
                dot(&gradient, d)
            })
            .sum();
        let tangent = solution.tangent(named(tensors(&direction))).unwrap();
        assert!(exact(&tangent.reports));
        let x = tangent.variable("x").unwrap();
        assert_eq!(x.dims(), [BATCH, 4]);
        let moves = [
            numbers(&x),
            numbers(&tangent.dual("total").unwrap()),
            numbers(&tangent.dual("ball").unwrap()),
        ];
        let got: f64 = moves.iter().zip(&cotangents).map(|(m, c)| dot(m, c)).sum();
        // Rounding of two solves with one matrix.
        assert_close("⟨c, J d⟩", &[got], &[expected], 1e-9);

        // Solutions are exact to about 1e-12, so that this step's quotient is to about 1e-7.
        let step = 1e-5;
        let at = |by: f64| {
            let mut moved = data.clone();
            for (values, d) in moved.iter_mut().zip(&direction) {
                values.iter_mut().zip(d).for_each(|(v, d)| *v += by * d);
            }
            let solution = layer.forward(named(tensors(&moved))).unwrap();
            [
                numbers(&solution.variable("x").unwrap()),
                numbers(&solution.dual("total").unwrap()),
                numbers(&solution.dual("ball").unwrap()),
            ]
        };
        let (above, below) = (at(step), at(-step));
        for (at, what) in ["x", "total", "ball"].into_iter().enumerate() {
            let pairs = above[at].iter().zip(&below[at]);
            let slopes: Vec<f64> = pairs.map(|(a, b)| (a - b) / (2.0 * step)).collect();
            worst = worst.max(assert_close(what, &moves[at], &slopes, 1e-6));
        }
    }
    eprintln!("models, forwards: worst relative error {worst:.1e}");
}

/// Every column of a Jacobian is the tangent along a unit direction of all samples alike.
#[test]
fn jacobians_are_their_columns() {
    let layer = ConvexLayer::new(regression(Route::Auto));
    let mut random = random(8);
    let data = [
        random(20),
        random(BATCH * 5),
        vec![0.05],
        vec![-0.3, 0.1, 2.0],
    ];
    let solution = layer.forward(named(tensors(&data))).unwrap();
    for (name, dims) in [
        ("a", vec![5, 4]),
        ("b", vec![5]),
        ("weight", vec![]),
        ("total", vec![]),
    ] {
        let len: usize = dims.iter().product();
        let jacobian = solution.jacobian("x", name).unwrap();
        assert_eq!(jacobian.values.dims(), [BATCH, 4, len]);
        assert!(exact(&jacobian.reports));
        let whole = numbers(&jacobian.values);
        let of_duals = ["total", "ball"].map(|constraint| {
            let jacobian = solution.dual_jacobian(constraint, name).unwrap();
            assert_eq!(jacobian.values.dims(), [BATCH, 1, len]);
            assert!(exact(&jacobian.reports));
            (constraint, numbers(&jacobian.values))
        });
        for (column, entry) in entries(len).iter().enumerate() {
            let mut unit = vec![0.0; len];
            unit[entry[0].0] = 1.0;
            let unit: ModelTensor = match dims[..] {
                [rows, columns] => tensor(&unit, [rows, columns]).into(),
                _ => tensor(&unit, [len]).into(),
            };
            let tangent = solution.tangent([(name, unit)]).unwrap();
            let of_column: Vec<f64> = (0..BATCH * 4)
                .map(|row| whole[row * len + column])
                .collect();
            let moves = numbers(&tangent.variable("x").unwrap());
            assert_close(name, &of_column, &moves, 1e-9);
            for (constraint, whole) in &of_duals {
                let of_column: Vec<f64> = (0..BATCH).map(|row| whole[row * len + column]).collect();
                let moves = numbers(&tangent.dual(constraint).unwrap());
                assert_close(constraint, &of_column, &moves, 1e-9);
            }
        }
    }
}

/// On the simplex and one of its faces: I − 11ᵀ/|S| on the support S. The results have the layer's
/// device and precision and are constants; a direction comes in every shape of its parameter.
#[test]
fn projection_on_the_simplex_in_closed_form() {
    let mut model = Model::new();
    let x = model.variable("x", [3]);
    let target = model.parameter("target", [3]);
    let problem = model
        .minimize(sum_squares(&x - &target))
        .subject_to(x.sum().eq(1.0).named("total"))
        .subject_to(x.ge(0.0))
        .compile()
        .unwrap();
    let device = Device::flex().autodiff();
    let target =
        Tensor::<2>::from_data([[0.5, 0.3, 0.1], [0.5, 0.9, -0.4]], &device).require_grad();
    let solution = ConvexLayer::new(problem)
        .forward([("target", target.into())])
        .unwrap();
    // τ of the simplex's sum moves by 2 and the share of each entry on the support.
    let of_total = solution.dual_jacobian("total", "target").unwrap();
    assert_eq!(of_total.values.dims(), [2, 1, 3]);
    assert_eq!(of_total.values.dtype(), DType::F32);
    assert!(!of_total.values.is_tracked());
    let two_thirds = 2.0 / 3.0;
    let shares = [two_thirds, two_thirds, two_thirds, 1.0, 1.0, 0.0];
    assert_close("∂ν/∂target", &numbers(&of_total.values), &shares, 1e-6);
    let jacobian = solution.jacobian("x", "target").unwrap();
    assert_eq!(jacobian.values.dtype(), DType::F32);
    assert!(!jacobian.values.is_tracked());
    let third = 1.0 / 3.0;
    let (one, other) = (1.0 - third, -third);
    let whole = [
        one, other, other, other, one, other, other, other, one, 0.5, -0.5, 0.0, -0.5, 0.5, 0.0,
        0.0, 0.0, 0.0,
    ];
    // f32.
    assert_close("∂x/∂target", &numbers(&jacobian.values), &whole, 1e-6);
    let up = [1.0, 0.0, 0.0];
    let expected = [one, other, other, 0.5, -0.5, 0.0];
    for direction in [
        ModelTensor::from(tensor(&up, [3])),
        ModelTensor::from(tensor(&up, [1, 3])),
        ModelTensor::from(tensor(&[up, up].concat(), [2, 3])),
    ] {
        let tangent = solution.tangent([("target", direction)]).unwrap();
        let x = tangent.variable("x").unwrap();
        assert!(!x.is_tracked());
        assert_close("dx", &numbers(&x), &expected, 1e-6);
    }
}

#[test]
fn mistakes_are_named() {
    let data = [
        vec![1.0; 20],
        vec![1.0; BATCH * 5],
        vec![0.1],
        vec![0.1; BATCH],
    ];
    let layer = ConvexLayer::new(regression(Route::Auto));
    let solution = layer.forward(named(tensors(&data))).unwrap();
    let one = || ModelTensor::from(tensor(&[1.0], [1]));
    let cases: [(Vec<(&str, ModelTensor)>, &str); 5] = [
        (
            vec![("c", one())],
            "`c` is no parameter of this problem; it has `a`, `b`, `weight`, `total`",
        ),
        (
            vec![("b", tensor(&[0.0; 4], [4]).into())],
            "parameter `b` has shape [4] but must have [5]",
        ),
        (
            vec![("b", tensor(&[0.0; 10], [2, 5]).into())],
            "parameter `b` is given for 2 samples but must be for 1 or 3",
        ),
        (
            vec![("total", one()), ("total", one())],
            "direction of parameter `total` is given twice",
        ),
        (
            vec![("total", tensor(&[0.0, f64::NAN, 0.0], [3]).into())],
            "direction of parameter `total` is NaN at entry 0 of sample 1",
        ),
    ];
    for (direction, text) in cases {
        let message = solution.tangent(direction).unwrap_err().to_string();
        assert!(message.contains(text), "`{text}` is not in: {message}");
    }
    let message = solution.jacobian("y", "a").unwrap_err().to_string();
    assert!(message.contains("`y` is no variable"), "{message}");
    let message = solution.jacobian("x", "c").unwrap_err().to_string();
    assert!(message.contains("`c` is no parameter"), "{message}");
    let message = solution.dual_jacobian("x", "a").unwrap_err().to_string();
    assert!(
        message.contains("no named constraint `x`; it has: total, ball"),
        "{message}"
    );
    let message = solution.dual_jacobian("ball", "c").unwrap_err().to_string();
    assert!(message.contains("`c` is no parameter"), "{message}");
    let tangent = solution.tangent([]).unwrap();
    assert!(
        numbers(&tangent.variable("x").unwrap())
            .iter()
            .all(|v| *v == 0.0)
    );
    let message = tangent.variable("y").unwrap_err().to_string();
    assert!(message.contains("no variable `y`; it has: x"), "{message}");
    let message = tangent.dual("floor").unwrap_err().to_string();
    assert!(
        message.contains("no named constraint `floor`; it has: total, ball"),
        "{message}"
    );
}

/// ‖x‖ ≤ 1 and x₀ ≥ bound: infeasible where the bound is out of reach.
fn reach(on_failure: OnFailure, bounds: &[f64]) -> Result<ModelSolution, Error> {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let bound = model.parameter("bound", []);
    let problem = model
        .minimize(sum_squares(&x))
        .subject_to(norm2(&x).le(1.0).named("ball"))
        .subject_to(x.sum().le(9.0))
        .subject_to(x.at([0]).ge(bound))
        .compile()
        .unwrap();
    let settings = ConvexLayerSettings {
        on_failure,
        ..ConvexLayerSettings::default()
    };
    let bound: Tensor<1> = tensor(bounds, [bounds.len()]).require_grad();
    ConvexLayer::new(problem)
        .with_settings(settings)?
        .forward([("bound", bound.into())])
}

/// The words and the parts of what conflicts, in a cone program, of the samples that have none.
#[test]
fn conflicts_name_constraints() {
    let bounds = [0.5, 2.0, -1.0];
    let Err(Error::Unsolved {
        sample: 1,
        conflict: Some(text),
        failed: 1,
        ..
    }) = reach(OnFailure::Error, &bounds)
    else {
        panic!("one sample has no solution");
    };
    assert!(
        ["`ball`", "constraint 2 (`x[0] >= bound`)"]
            .iter()
            .all(|name| text.contains(name))
            && text.ends_with("conflict")
            && !text.contains("constraint 1"),
        "{text}"
    );
    let solution = reach(OnFailure::Nan, &bounds).unwrap();
    assert!(solution.conflict(0).is_none() && solution.conflict(2).is_none());
    assert_eq!(solution.conflict(1).unwrap().to_string(), text);
    assert!(solution.conflict(3).is_none());
    // The failed sample does not move, the others do as if it were not there.
    let tangent = solution
        .tangent([("bound", tensor(&[1.0], [1]).into())])
        .unwrap();
    let moves = numbers(&tangent.variable("x").unwrap());
    assert_close("dx", &moves, &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0], 1e-9);
    let qualities: Vec<_> = tangent.reports.iter().map(|r| r.quality).collect();
    assert_eq!(qualities[1], GradientQuality::Unavailable);
    let jacobian = solution.jacobian("x", "bound").unwrap();
    assert_close("∂x", &numbers(&jacobian.values), &moves, 1e-9);
    assert_eq!(jacobian.reports[1].quality, GradientQuality::Unavailable);
}

/// Two named constraints that contradict each other for every parameter, as a QP.
#[test]
fn named_constraints_that_contradict_each_other() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let target = model.parameter("target", [2]);
    let problem = model
        .minimize(sum_squares(&x - target))
        .subject_to(x.ge(1.0).named("floor"))
        .subject_to(x.le(5.0).named("ceiling"))
        .subject_to(x.sum().le(1.5).named("total"))
        .compile()
        .unwrap();
    let target = host::write(vec![0.0, 0.0], [2], &Device::flex(), DType::F64);
    let message = ConvexLayer::new(problem)
        .forward([("target", Tensor::<1>::into(target))])
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with(
            "sample 0 ended as PrimalInfeasible, because `floor` and `total` conflict (1 of 1"
        ),
        "{message}"
    );
}
