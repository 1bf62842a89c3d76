//! Costs over tensors beside the same costs over scalars: solutions, derivatives of every mode, mistakes.

use burn::tensor::{DType, Device, Tensor};
use feasible_core::Dual;
use feasible_nls::TensorCost;
use feasible_nls::least_squares::{
    AutoCost, Backward, Builder, Cost, GradientQuality, Gradients, Hessian, Inputs, Linear,
    LinearCost, Manifold, Numbers, Objective, Real, Residual, Robust, Settings, Solution, Stopping,
    Values, Weight,
};

/// (x₀ z + sin x₁ − θ₀, x₀² + z² − θ₁, x₁ eᶻ).
struct Rows;

impl Residual for Rows {
    fn rows(&self) -> usize {
        3
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (x, z, theta) = (variables[0], variables[1][0], auxiliaries[0]);
        out[0] = x[0] * z + x[1].sin() - theta[0];
        out[1] = x[0] * x[0] + z * z - theta[1];
        out[2] = x[1] * z.exp();
    }
}

fn over_tensors() -> impl Cost + 'static {
    TensorCost::new(3, &Device::flex(), |y: &[Dual], theta: &[Tensor<2>]| {
        let (x, z) = (|i| y[0].column(i), || y[1].clone());
        let theta = |i: usize| Dual::constant(theta[0].clone().slice_dim(1, i..i + 1));
        Dual::cat(vec![
            x(0) * z() + x(1).sin() - theta(0),
            x(0).square() + z().square() - theta(1),
            x(1) * z().exp(),
        ])
    })
}

/// With a ready cost beside it, a robust loss, a weight that is an auxiliary, and residuals that stay.
fn objective(cost: impl Cost + 'static) -> Objective {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(2)).unwrap();
    let z = builder.variable("z", Manifold::Vector(1)).unwrap();
    let theta = builder.auxiliary("theta", 2).unwrap();
    let scale = builder.auxiliary("scale", 1).unwrap();
    let (weight, loss) = (Weight::scale(scale), Robust::Cauchy { scale: 2.0 });
    builder
        .cost("rows", cost, &[x, z], &[theta], weight, loss)
        .unwrap();
    let pull = LinearCost::new(
        2,
        2,
        [0.3, 0.1, 0.0, 0.2],
        Numbers::Constant(vec![0.5, -0.4]),
    );
    builder
        .cost("pull", pull, &[x], &[], Weight::Identity, Robust::None)
        .unwrap();
    builder.build().unwrap()
}

fn solved(objective: &Objective, settings: &Settings) -> (Solution, Gradients) {
    let id = |name| objective.variable(name).unwrap();
    let inputs = Inputs::new(objective, 3)
        .start(id("x"), Values::Shared(&[0.9, 0.2]))
        .start(id("z"), Values::Shared(&[0.7]))
        .auxiliary(
            objective.auxiliary("theta").unwrap(),
            Values::PerSample(&[1.0, 1.5, 0.4, 2.0, -0.2, 1.1]),
        )
        .auxiliary(
            objective.auxiliary("scale").unwrap(),
            Values::Shared(&[0.8]),
        );
    let solution = objective.solve(&inputs, settings).unwrap();
    assert!(solution.all_converged(), "{:?}", solution.status);
    let cotangent = [1.0, -2.0, 0.5].repeat(3);
    let gradients = objective.vjp(&inputs, &solution, &cotangent).unwrap();
    (solution, gradients)
}

#[test]
fn they_are_the_same_cost() {
    for linear in [
        Linear::DenseCholesky,
        Linear::DenseQr,
        Linear::SparseCholesky,
    ] {
        for backward in [
            Backward::default(),
            Backward::Implicit {
                hessian: Hessian::GaussNewton,
            },
            Backward::Unrolled,
        ] {
            let settings = Settings {
                linear,
                backward,
                stopping: Stopping {
                    gradient: 1e-12,
                    ..Stopping::default()
                },
                ..Settings::default()
            };
            let (mine, of_mine) = solved(&objective(over_tensors()), &settings);
            let (theirs, of_theirs) = solved(&objective(AutoCost::new(Rows)), &settings);
            let close = |a: &[f64], b: &[f64]| {
                for (a, b) in a.iter().zip(b) {
                    assert!(
                        (a - b).abs() < 1e-9 * (1.0 + b.abs()),
                        "{linear:?} {backward:?}: {a} and {b}"
                    );
                }
            };
            close(&mine.x, &theirs.x);
            close(&of_mine.auxiliaries, &of_theirs.auxiliaries);
            close(&of_mine.start, &of_theirs.start);
            assert_eq!(of_mine.quality, of_theirs.quality);
            if backward == Backward::default() {
                assert_eq!(of_mine.quality, [GradientQuality::Exact; 3]);
            }
        }
    }
}

type Function = Box<dyn Fn(&[Dual], &[Tensor<2>]) -> Dual + Send + Sync>;

#[test]
fn mistakes_are_named() {
    let message = |cost: Function, manifold| {
        let mut builder = Builder::new();
        let x = builder.variable("x", manifold).unwrap();
        let cost = TensorCost::new(2, &Device::flex(), cost);
        let added = builder.cost("c", cost, &[x], &[], Weight::Identity, Robust::None);
        added.unwrap_err().to_string()
    };
    assert_eq!(
        message(Box::new(|y, _| y[0].clone().square()), Manifold::Vector(3)),
        "cost `c` returns rows of shape [1, 3] but must return [1, 2]"
    );
    let text = message(Box::new(|y, _| y[0].clone()), Manifold::So2);
    assert!(text.contains("So2") && text.contains("vectors"), "{text}");
    // What it captures gets no gradient.
    let on = (&Device::flex().autodiff(), DType::F64);
    let p = Tensor::<2>::from_data([[3.0, 4.0]], on);
    let scaled = |p: Tensor<2>| -> Function {
        Box::new(move |y, _| y[0].clone() * Dual::constant(p.clone()))
    };
    let text = message(scaled(p.clone().require_grad()), Manifold::Vector(2));
    assert!(
        text.contains("captures a tensor") && text.contains("auxiliary"),
        "{text}"
    );
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(2)).unwrap();
    let cost = TensorCost::new(2, &Device::flex(), scaled(p));
    builder
        .cost("c", cost, &[x], &[], Weight::Identity, Robust::None)
        .unwrap();
}

/// A row that is no number ends its sample alone.
#[test]
fn a_row_without_a_value_ends_its_sample() {
    let root = TensorCost::new(1, &Device::flex(), |y: &[Dual], _: &[Tensor<2>]| {
        y[0].clone().sqrt() - Dual::constant(y[0].value().ones_like())
    });
    let mut builder = Builder::new();
    let y = builder.variable("y", Manifold::Vector(1)).unwrap();
    builder
        .cost("root", root, &[y], &[], Weight::Identity, Robust::None)
        .unwrap();
    let objective = builder.build().unwrap();
    let inputs = Inputs::new(&objective, 2).start(y, Values::PerSample(&[2.0, -1.0]));
    let solution = objective.solve(&inputs, &Settings::default()).unwrap();
    assert!(solution.status[0].is_converged() && (solution.x[0] - 1.0).abs() < 1e-9);
    assert_eq!(
        solution.status[1],
        feasible_nls::least_squares::Status::NonFinite
    );
}
