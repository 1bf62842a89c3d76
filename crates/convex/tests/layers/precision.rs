//! f32 tensors in and out.

use burn::tensor::{DType, Tensor};
use feasible_convex::model::{Model, sum_squares};
use feasible_convex::{ConvexLayer, GradientQuality, Hessian, QpLayer, QpTensors};
use feasible_core::host;

use crate::support::{assert_close, device, numbers, random};

const BATCH: usize = 4;
const N: usize = 5;

/// x, λ, ∂q and ∂G of random problems whose numbers f32 holds exactly.
fn solve(dtype: DType) -> [Vec<f64>; 4] {
    let mut random = random(11);
    let mut exact = |count: usize| -> Vec<f64> {
        random(count)
            .into_iter()
            .map(|v| f64::from(v as f32))
            .collect()
    };
    let (q, g, weights) = (exact(BATCH * N), exact(3 * N), exact(BATCH * N));
    let leaf = |values: &[f64], rows: usize| -> Tensor<2> {
        host::write(values.to_vec(), [rows, N], &device(), dtype).require_grad()
    };
    let bound = |value: f64| host::write(vec![value; 3], [3], &device(), dtype);
    let (q, g) = (leaf(&q, BATCH), leaf(&g, 3));
    let p = host::write(vec![1.0, 0.5, 2.0, 0.25, 1.0], [N], &device(), dtype);
    let problem = QpTensors::new(Hessian::diagonal(p), q.clone()).inequalities(
        g.clone(),
        bound(-0.25),
        bound(0.125),
    );
    let solution = QpLayer::default().forward(&problem).unwrap();
    assert_eq!(solution.x.dtype(), dtype);
    let weights = host::write(weights, [BATCH, N], &device(), dtype);
    let gradients = (solution.x.clone() * weights).sum().backward();
    let (of_q, of_g) = (q.grad(&gradients).unwrap(), g.grad(&gradients).unwrap());
    assert_eq!((of_q.dtype(), of_g.dtype()), (dtype, dtype));
    [
        numbers(&solution.x),
        numbers(&solution.inequality_dual()),
        numbers(&of_q),
        numbers(&of_g),
    ]
}

#[test]
fn f32_costs_one_rounding() {
    let (single, double) = (solve(DType::F32), solve(DType::F64));
    for ((what, got), expected) in ["x", "λ", "∂q", "∂G"].iter().zip(single).zip(double) {
        // Half an ulp of f32: the arithmetic in between is the same.
        assert_close(what, &got, &expected, f64::from(f32::EPSILON) / 2.0);
    }
}

#[test]
fn precisions_mix_and_the_output_follows_q() {
    let q: Tensor<2> = host::write(vec![-1.0, 4.0], [1, 2], &device(), DType::F32).require_grad();
    let p: Tensor<2> = host::write(vec![2.0, 4.0], [1, 2], &device(), DType::F64).require_grad();
    let problem = QpTensors::new(Hessian::diagonal(p.clone()), q.clone());
    let x = QpLayer::default().forward(&problem).unwrap().x;
    assert_eq!(x.dtype(), DType::F32);
    let gradients = x.sum().backward();
    // x = −q/p.
    let (of_p, of_q) = (p.grad(&gradients).unwrap(), q.grad(&gradients).unwrap());
    assert_eq!((of_p.dtype(), of_q.dtype()), (DType::F64, DType::F32));
    assert_close("∂p", &numbers(&of_p), &[-0.25, 0.25], 1e-14);
    assert_close("∂q", &numbers(&of_q), &[-0.5, -0.25], 1e-14);
}

/// A Gram matrix of too few rows computed in f32 has eigenvalues of both signs near zero and
/// mirrored entries that differ; a multiple of a row misses by rounding.
#[test]
fn f32_rounding_is_no_modelling_mistake() {
    let mut random = random(5);
    let m: Tensor<2> = host::write(random(2 * N), [2, N], &device(), DType::F32);
    let gram = m.clone().transpose().matmul(m);
    let mut p = numbers(&gram);
    p[1] += 0.5 * f64::from(f32::EPSILON) * p[1].abs();
    let a = [[1.0f32, 0.0, 0.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0, 0.0]];
    let b = [0.7f32, 3.0 * 0.7f32];
    let q: Tensor<2> = host::write(random(N), [1, N], &device(), DType::F32).require_grad();
    let single =
        |values: Vec<f64>, shape: [usize; 2]| host::write(values, shape, &device(), DType::F32);
    let identity = (0..N * N)
        .map(|i| f64::from(u8::from(i % (N + 1) == 0)))
        .collect();
    let bound = |value: f64| host::write(vec![value; N], [N], &device(), DType::F32);
    let problem = QpTensors::new(Hessian::dense(single(p, [N, N])), q.clone())
        .equalities(
            Tensor::<2>::from_data(a, &device()),
            Tensor::<1>::from_data(b, &device()),
        )
        .inequalities(single(identity, [N, N]), bound(-1.0), bound(1.0));
    let x = QpLayer::default().forward(&problem).unwrap().x;
    assert_close("x[0]", &numbers(&x)[..1], &[0.7], 1e-6);
    let gradients = x.sum().backward();
    assert!(
        numbers(&q.grad(&gradients).unwrap())
            .iter()
            .all(|v| v.is_finite())
    );

    // What is no rounding is still refused.
    let skew = single(vec![1.0, 0.5, 0.501, 1.0], [2, 2]);
    let q: Tensor<2> = single(vec![1.0, 1.0], [1, 2]);
    let problem = QpTensors::new(Hessian::dense(skew), q);
    let error = QpLayer::default()
        .forward(&problem)
        .unwrap_err()
        .to_string();
    assert!(error.contains("symmetric"), "{error}");
}

/// In f32 the sum 0.1 + 0.6 lies above 0.7: one number, and its row an equality.
#[test]
fn f32_bounds_that_cross_by_one_rounding_touch() {
    let (low, high) = (0.1f32 + 0.6, 0.7f32);
    assert!(low > high);
    let bound = |value: f32| -> Tensor<1> {
        host::write(vec![f64::from(value)], [1], &device(), DType::F32).require_grad()
    };
    let target = |values: [f64; 2]| -> Tensor<2> {
        host::write(values.to_vec(), [1, 2], &device(), DType::F32).require_grad()
    };
    let row =
        |values: Vec<f64>| -> Tensor<2> { host::write(values, [1, 2], &device(), DType::F32) };
    let ones: Tensor<1> = host::write(vec![1.0, 1.0], [2], &device(), DType::F32);
    // Pushed against the upper bound, and against the lower one.
    for at in [2.0, -2.0] {
        let (l, u) = (bound(low), bound(high));
        let problem = QpTensors::new(Hessian::diagonal(ones.clone()), target([-at, 0.0]))
            .inequalities(row(vec![1.0, 0.0]), l.clone(), u.clone());
        let solution = QpLayer::default().forward(&problem).unwrap();
        assert_close("x", &numbers(&solution.x), &[0.7, 0.0], 1e-7);
        let reports = solution.gradient_reports();
        let gradients = solution.x.clone().sum().backward();
        let of = |bound: &Tensor<1>| numbers(&bound.grad(&gradients).unwrap())[0];
        assert_close("∂l + ∂u", &[of(&l) + of(&u)], &[1.0], 1e-6);
        assert_eq!(reports.get().unwrap()[0].quality, GradientQuality::Exact);

        let mut model = Model::new();
        let x = model.variable("x", [2]);
        let y = model.parameter("y", [2]);
        let (lower, upper) = (model.parameter("low", []), model.parameter("high", []));
        let problem = model
            .minimize(sum_squares(&x - y))
            .subject_to(x.ge(lower))
            .subject_to(x.le(upper))
            .compile()
            .unwrap();
        let (l, u) = (bound(low), bound(high));
        let given = [
            ("y", target([at, -at]).into()),
            ("low", l.clone().into()),
            ("high", u.clone().into()),
        ];
        let solution = ConvexLayer::new(problem).forward(given).unwrap();
        let x = solution.variable("x").unwrap();
        assert_close("model's x", &numbers(&x), &[0.7, 0.7], 1e-7);
        let gradients = x.sum().backward();
        let of = |bound: &Tensor<1>| numbers(&bound.grad(&gradients).unwrap())[0];
        assert_close("model's ∂l + ∂u", &[of(&l) + of(&u)], &[2.0], 1e-6);
    }
}
