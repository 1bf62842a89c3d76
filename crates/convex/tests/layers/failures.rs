//! What happens to problems without a solution, and to input that is none.

use burn::tensor::Tensor;
use feasible_convex::{
    ConvexSettings, ConvexSolution, Error, GradientQuality, Hessian, Infeasible, OnFailure,
    QcqpLayer, QpLayer, QpTensors, RowHessians, Status,
};

use crate::support::{assert_close, numbers, random, tensor};

const N: usize = 3;

fn layer(on_failure: OnFailure) -> QpLayer {
    QpLayer::new(ConvexSettings {
        on_failure,
        ..ConvexSettings::default()
    })
    .unwrap()
}

fn identity(n: usize) -> Hessian {
    Hessian::diagonal(tensor(&vec![1.0; n], [n]))
}

/// Projections of random points on 0 ≤ Σx ≤ 1, −½ ≤ x₁ ≤ 1, with x₁ ≥ 2 instead of x₁ ≥ −½ in the
/// samples of `bad`.
struct Batch {
    q: Tensor<2>,
    g: Tensor<2>,
    l: Tensor<2>,
    problem: QpTensors,
}

fn batch(samples: &[usize], bad: &[usize]) -> Batch {
    let points = random(5)(5 * N);
    let (mut q, mut l, mut u) = (vec![], vec![], vec![]);
    for &sample in samples {
        q.extend(points[sample * N..][..N].iter().map(|p| 3.0 * p));
        let lower = if bad.contains(&sample) { 2.0 } else { -0.5 };
        l.extend([0.0, lower, f64::NEG_INFINITY]);
        u.extend([1.0, f64::INFINITY, 1.0]);
    }
    let count = samples.len();
    let g = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0];
    let q = tensor(&q, [count, N]).require_grad();
    let g = tensor(&g, [3, N]).require_grad();
    let l = tensor(&l, [count, 3]).require_grad();
    let problem = QpTensors::new(identity(N), q.clone()).inequalities(
        g.clone(),
        l.clone(),
        tensor(&u, [count, 3]),
    );
    Batch { q, g, l, problem }
}

/// Gradients of Σ x², with respect to q, G and l.
fn gradients(batch: &Batch, solution: &ConvexSolution) -> [Vec<f64>; 3] {
    let gradients = (solution.x.clone() * solution.x.clone()).sum().backward();
    [
        numbers(&batch.q.grad(&gradients).unwrap()),
        numbers(&batch.g.grad(&gradients).unwrap()),
        numbers(&batch.l.grad(&gradients).unwrap()),
    ]
}

#[test]
fn an_infeasible_sample_is_an_error_by_default() {
    let Batch { problem, .. } = batch(&[0, 1, 2, 3], &[1, 3]);
    let error = QpLayer::default().forward(&problem).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unsolved {
                sample: 1,
                status: Status::PrimalInfeasible,
                failed: 2,
                batch: 4,
                ..
            }
        ),
        "{error}"
    );
    let message = error.to_string();
    assert!(
        message.starts_with("sample 1 ended as PrimalInfeasible, because row "),
        "{message}"
    );
    assert!(
        message.contains(" conflict (2 of 4 samples failed)"),
        "{message}"
    );
}

#[test]
fn an_infeasible_sample_leaves_the_others_as_they_are() {
    for on_failure in [OnFailure::Nan, OnFailure::Keep] {
        let layer = layer(on_failure);
        let (with, clean) = (batch(&[0, 1, 2, 3], &[1]), batch(&[0, 1, 2, 3], &[]));
        let without = batch(&[0, 2, 3], &[]);
        let solution = layer.forward(&with.problem).unwrap();
        let clean = layer.forward(&clean.problem).unwrap();
        let others_alone = layer.forward(&without.problem).unwrap();
        assert_eq!(solution.status[1], Status::PrimalInfeasible);

        let others = |values: Vec<f64>| [&values[..N], &values[2 * N..]].concat();
        let x = numbers(&solution.x);
        match on_failure {
            OnFailure::Nan => assert!(x[N..2 * N].iter().all(|v| v.is_nan())),
            _ => assert!(x[N..2 * N].iter().all(|v| v.is_finite())),
        }
        // Bit for bit where only that sample differs; a smaller batch groups the sums of a matrix
        // product in another way.
        let dual = numbers(&solution.inequality_dual());
        assert_eq!(others(x.clone()), others(numbers(&clean.x)));
        assert_eq!(
            others(dual.clone()),
            others(numbers(&clean.inequality_dual()))
        );
        assert_close("x", &others(x), &numbers(&others_alone.x), 1e-14);
        assert_close(
            "λ",
            &others(dual),
            &numbers(&others_alone.inequality_dual()),
            1e-14,
        );

        // With NaN the loss is NaN too, and so is its cotangent in that sample.
        let got = gradients(&with, &solution);
        let expected = gradients(&without, &others_alone);
        assert_eq!(got[0][N..2 * N], [0.0; N]);
        assert_eq!(got[2][N..2 * N], [0.0; N]);
        assert_close("∂q", &others(got[0].clone()), &expected[0], 1e-14);
        assert_close("∂G", &got[1], &expected[1], 1e-14);
        assert_close("∂l", &others(got[2].clone()), &expected[2], 1e-14);
        assert!(expected[1].iter().any(|g| g.abs() > 0.1), "{expected:?}");
        let reports = solution.gradient_reports().get().unwrap();
        let quality: Vec<_> = reports.iter().map(|report| report.quality).collect();
        let [exact, unavailable] = [GradientQuality::Exact, GradientQuality::Unavailable];
        assert_eq!(quality, [exact, unavailable, exact, exact]);
    }
}

#[test]
fn a_cotangent_that_is_not_finite_stays_in_its_sample() {
    let clean = batch(&[0, 1], &[]);
    let solution = QpLayer::default().forward(&clean.problem).unwrap();
    let weights = tensor(&[1.0, 1.0, 1.0, f64::NAN, 1.0, 1.0], [2, N]);
    let gradients = (solution.x.clone() * weights).sum().backward();
    let of_q = numbers(&clean.q.grad(&gradients).unwrap());
    assert!(of_q.iter().all(|g| g.is_finite()), "{of_q:?}");
    assert_eq!(of_q[N..], [0.0; N]);
    assert_eq!(
        solution
            .gradient_reports()
            .count(GradientQuality::Unavailable),
        Some(1)
    );
    assert_eq!(
        solution.gradient_reports().count(GradientQuality::Exact),
        Some(1)
    );
}

/// Solution and multipliers are outputs of their own; the worse report of a sample counts.
#[test]
fn a_report_is_of_all_outputs_that_a_loss_uses() {
    let one = |name| {
        move |solution: &ConvexSolution| match name {
            "x" => solution.x.clone(),
            _ => solution.inequality_dual(),
        }
    };
    for (spoilt, sound) in [("x", "dual"), ("dual", "x")] {
        let clean = batch(&[0, 1], &[]);
        let solution = QpLayer::default().forward(&clean.problem).unwrap();
        let (spoilt, sound) = (one(spoilt)(&solution), one(sound)(&solution));
        let [samples, width] = spoilt.dims();
        let mut weights = vec![1.0; samples * width];
        weights[width] = f64::NAN;
        let loss = (spoilt * tensor(&weights, [samples, width])).sum() + sound.sum();
        let of_q = numbers(&clean.q.grad(&loss.backward()).unwrap());
        assert!(of_q.iter().all(|g| g.is_finite()), "{of_q:?}");
        let reports = solution.gradient_reports().get().unwrap();
        assert_eq!(reports[0].quality, GradientQuality::Exact);
        assert_eq!(reports[1].quality, GradientQuality::Unavailable);
    }
}

/// Asked for twice, an output is one operation: a cotangent that is not finite in one use is none.
#[test]
fn an_output_used_twice_has_one_report() {
    let clean = batch(&[0, 1], &[]);
    let solution = QpLayer::default().forward(&clean.problem).unwrap();
    let [samples, width] = solution.inequality_dual().dims();
    let mut weights = vec![1.0; samples * width];
    weights[width] = f64::NAN;
    let weights = tensor(&weights, [samples, width]);
    let loss = (solution.inequality_dual() * weights).sum() + solution.inequality_dual().sum();
    let of_q = numbers(&clean.q.grad(&loss.backward()).unwrap());
    assert!(of_q.iter().all(|g| g.is_finite()), "{of_q:?}");
    assert_eq!(of_q[N..], [0.0; N]);
    let reports = solution.gradient_reports().get().unwrap();
    assert_eq!(reports[0].quality, GradientQuality::Exact);
    assert_eq!(reports[1].quality, GradientQuality::Unavailable);
}

#[test]
fn an_unbounded_sample_has_a_status() {
    // min q x with x ≥ 0: bounded only where q > 0.
    let problem = QpTensors::new(
        Hessian::diagonal(tensor(&[0.0], [1])),
        tensor(&[1.0, -1.0], [2, 1]),
    )
    .inequalities(
        tensor(&[1.0], [1, 1]),
        tensor(&[0.0], [1]),
        tensor(&[f64::INFINITY], [1]),
    );
    let solution = layer(OnFailure::Keep).forward(&problem).unwrap();
    assert_eq!(solution.status, [Status::Solved, Status::DualInfeasible]);
    assert_close("x", &numbers(&solution.x)[..1], &[0.0], 1e-9);
}

#[test]
fn a_quadratic_row_that_nothing_meets_has_a_status() {
    // ‖x‖² ≤ −1 in the second sample.
    let problem = QpTensors::new(identity(2), tensor(&[-3.0, -4.0], [1, 2])).quadratics(
        RowHessians::diagonal(tensor(&[1.0; 2], [1, 2])),
        tensor(&[0.0; 2], [1, 2]),
        tensor(&[1.0, -1.0], [2, 1]),
    );
    let settings = ConvexSettings {
        on_failure: OnFailure::Nan,
        ..ConvexSettings::default()
    };
    let solution = QcqpLayer::new(settings).unwrap().forward(&problem).unwrap();
    assert_eq!(solution.status, [Status::Solved, Status::PrimalInfeasible]);
    assert_close("x", &numbers(&solution.x)[..2], &[0.6, 0.8], 1e-12);
}

#[test]
fn numbers_that_make_no_sense_are_named() {
    let nan = f64::NAN;
    let inf = f64::INFINITY;
    let q = || tensor(&[0.0; 4], [2, 2]);
    let box_of = |l: &[f64], u: &[f64]| {
        let g = tensor(&[1.0, 0.0, 0.0, 1.0], [2, 2]);
        QpTensors::new(identity(2), q()).inequalities(g, tensor(l, [2]), tensor(u, [2]))
    };
    let dense = |p: [f64; 4]| QpTensors::new(Hessian::dense(tensor(&p, [2, 2])), q());
    let cases = [
        (
            QpTensors::new(identity(2), tensor(&[0.0, 0.0, nan, 0.0], [2, 2])),
            "`q` is NaN at index [1, 0]",
        ),
        (
            QpTensors::new(identity(2), tensor(&[0.0, inf, 0.0, 0.0], [2, 2])),
            "`q` is inf at index [0, 1]",
        ),
        (dense([1.0, 0.0, 0.0, nan]), "`p` is NaN at index [0, 1, 1]"),
        (
            dense([1.0, 0.5, 0.0, 1.0]),
            "`p` of the shared data is not symmetric",
        ),
        (dense([1.0, 2.0, 2.0, 1.0]), "must be positive semidefinite"),
        (
            QpTensors::new(Hessian::diagonal(tensor(&[1.0, -1.0], [2])), q()),
            "must be positive semidefinite",
        ),
        (
            box_of(&[0.0, 3.0], &[1.0, 2.0]),
            "row 1 of sample 0 are crossed",
        ),
        (box_of(&[0.0, nan], &[1.0, 2.0]), "is NaN"),
        (box_of(&[0.0, 0.0], &[-inf, 2.0]), "is -inf"),
        (
            QpTensors::new(identity(2), tensor(&[], [2, 0])),
            "`p` has shape [1, 2]",
        ),
        (QpTensors::new(identity(0), tensor(&[], [2, 0])), "`n` is 0"),
        (
            QpTensors::new(identity(2), q())
                .equalities(tensor(&[1.0, nan], [1, 2]), tensor(&[1.0], [1])),
            "`a` is NaN at index [0, 0, 1]",
        ),
        (
            QpTensors::new(identity(2), q())
                .equalities(tensor(&[1.0, 1.0], [1, 2]), tensor(&[1.0, inf], [2, 1])),
            "`b` is inf at index [1, 0]",
        ),
    ];
    for (problem, expected) in cases {
        let message = QpLayer::default()
            .forward(&problem)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains(expected),
            "expected {expected:?} in {message:?}"
        );
    }
}

#[test]
fn quadratic_rows_that_are_not_convex_are_named() {
    let qp = || QpTensors::new(identity(2), tensor(&[0.0; 2], [2]));
    let (g, c) = (|| tensor(&[0.0; 4], [2, 2]), || tensor(&[1.0; 2], [2]));
    let diagonal = RowHessians::diagonal(tensor(&[1.0, 1.0, 1.0, -1.0], [2, 2]));
    let dense = [1.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 1.0];
    let dense = RowHessians::dense(tensor(&dense, [2, 2, 2]));
    for h in [diagonal, dense] {
        let problem = qp().quadratics(h, g(), c());
        let message = QcqpLayer::default()
            .forward(&problem)
            .unwrap_err()
            .to_string();
        assert!(message.contains("matrix 1"), "{message}");
        assert!(
            message.contains("must be positive semidefinite"),
            "{message}"
        );
    }
    let ball = || RowHessians::diagonal(tensor(&[1.0; 4], [2, 2]));
    let problem = qp().quadratics(ball(), g(), tensor(&[1.0, f64::NEG_INFINITY], [2]));
    let message = QcqpLayer::default()
        .forward(&problem)
        .unwrap_err()
        .to_string();
    assert!(message.contains("is -inf"), "{message}");
    let problem = qp().quadratics(ball(), tensor(&[0.0, 0.0, f64::NAN, 0.0], [2, 2]), c());
    let message = QcqpLayer::default()
        .forward(&problem)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("`quadratics.g` is NaN at index [0, 1, 0]"),
        "{message}"
    );
}

#[test]
fn parts_without_rows_change_nothing() {
    let q = tensor(&[-1.0, 2.0], [1, 2]).require_grad();
    let a = tensor(&[], [0, 2]).require_grad();
    let qp = QpTensors::new(identity(2), q.clone())
        .equalities(a.clone(), tensor(&[], [0]))
        .inequalities(tensor(&[], [0, 2]), tensor(&[], [0]), tensor(&[], [0]));
    let rows = RowHessians::diagonal(tensor(&[], [0, 2]));
    let qcqp = qp
        .clone()
        .quadratics(rows, tensor(&[], [0, 2]), tensor(&[], [0]));
    for solution in [
        QpLayer::default().forward(&qp),
        QcqpLayer::default().forward(&qcqp),
    ] {
        let solution = solution.unwrap();
        assert_close("x", &numbers(&solution.x), &[1.0, -2.0], 1e-14);
        assert_eq!(solution.equality_dual().dims(), [1, 0]);
        assert_eq!(solution.inequality_dual().dims(), [1, 0]);
        assert_eq!(solution.quadratic_dual().dims(), [1, 0]);
        let gradients = solution.x.sum().backward();
        assert_close(
            "∂q",
            &numbers(&q.grad(&gradients).unwrap()),
            &[-1.0, -1.0],
            1e-14,
        );
    }
}

#[test]
fn an_empty_batch_gives_empty_tensors() {
    let problem = QpTensors::new(identity(2), tensor(&[], [0, 2]).require_grad())
        .equalities(tensor(&[1.0, 1.0], [1, 2]), tensor(&[1.0], [1]));
    let solution = QpLayer::default().forward(&problem).unwrap();
    assert_eq!(solution.x.dims(), [0, 2]);
    assert_eq!(solution.equality_dual().dims(), [0, 1]);
    assert!(solution.status.is_empty());
}

/// x ≥ 1 and x ≤ 0 in the second sample only.
fn crossed(settings: ConvexSettings) -> (ConvexSolution, Tensor<2>) {
    let q = tensor(&[0.3, 0.3], [2, 1]).require_grad();
    let rows = tensor(&[1.0, 1.0], [2, 1]);
    let infinity = f64::INFINITY;
    let lower = tensor(&[-1.0, -infinity, 1.0, -infinity], [2, 2]);
    let upper = tensor(&[infinity, 0.0, infinity, 0.0], [2, 2]);
    let problem = QpTensors::new(Hessian::diagonal(tensor(&[1.0], [1])), q.clone())
        .inequalities(rows, lower, upper);
    let layer = QpLayer::new(settings).unwrap();
    (layer.forward(&problem).unwrap(), q)
}

#[test]
fn an_infeasible_sample_names_its_rows_or_gives_way() {
    let kept = ConvexSettings {
        on_failure: OnFailure::Keep,
        ..ConvexSettings::default()
    };
    let (solution, _) = crossed(kept);
    assert_eq!(solution.conflict(0), None);
    let conflict = solution.conflict(1).unwrap().to_string();
    assert!(conflict.contains("row 0 (lower)"), "{conflict}");
    assert!(conflict.contains("row 1 (upper)"), "{conflict}");

    let mut elastic = ConvexSettings::default();
    elastic.solver.infeasible = feasible_convex::Infeasible::ELASTIC;
    let (solution, q) = crossed(elastic);
    assert_eq!(solution.status, [Status::Solved, Status::Relaxed]);
    let x = numbers(&solution.x);
    // Both rows give way by half, up to the objective's share over the weight of 10⁶.
    assert!(
        (x[0] + 0.3).abs() < 1e-9 && (x[1] - 0.5).abs() < 1e-5,
        "{x:?}"
    );
    assert!(solution.shift(0).is_none() && solution.shift(1).is_some());
    let gradients = solution.x.sum().backward();
    let of_q = numbers(&q.grad(&gradients).unwrap());
    assert!(
        (of_q[0] + 1.0).abs() < 1e-9 && of_q[1].abs() < 1e-5,
        "{of_q:?}"
    );
}

#[test]
fn a_warm_start_changes_the_steps_only() {
    let Batch { problem, .. } = batch(&[0, 1, 2, 3], &[]);
    let layer = QpLayer::default();
    let cold = layer.forward(&problem).unwrap();
    let warm = layer.forward_from(&problem, &cold).unwrap();
    let (x, expected) = (numbers(&warm.x), numbers(&cold.x));
    for (x, expected) in x.iter().zip(&expected) {
        assert!((x - expected).abs() < 1e-12 * (1.0 + expected.abs()));
    }
    let steps = |solution: &ConvexSolution| -> usize { solution.iterations.iter().sum() };
    assert!(
        steps(&warm) < steps(&cold),
        "{} {}",
        steps(&warm),
        steps(&cold)
    );
    let Batch { problem, .. } = batch(&[0, 1], &[]);
    let error = layer.forward_from(&problem, &cold).unwrap_err().to_string();
    assert!(error.contains("`solution` holds 4 for `batch`"), "{error}");
}

/// min ½‖x − 2e₀‖² over the unit disc, moved: the next one starts from the last.
#[test]
fn quadratic_rows_start_from_another_solution_too() {
    let problem = |points: &[f64]| {
        QpTensors::new(identity(2), tensor::<2>(points, [2, 2])).quadratics(
            RowHessians::diagonal(tensor::<2>(&[1.0, 1.0], [1, 2])),
            tensor::<2>(&[0.0, 0.0], [1, 2]),
            tensor::<1>(&[1.0], [1]),
        )
    };
    let layer = QcqpLayer::default();
    let before = layer.forward(&problem(&[-2.0, 0.0, 0.0, -3.0])).unwrap();
    let next = problem(&[-2.0, -0.1, 0.1, -3.0]);
    let cold = layer.forward(&next).unwrap();
    let warm = layer.forward_from(&next, &before).unwrap();
    assert_close("x", &numbers(&warm.x), &numbers(&cold.x), 1e-12);
    let steps = |solution: &ConvexSolution| -> usize { solution.iterations.iter().sum() };
    assert!(steps(&warm) < steps(&cold));
}

/// A disc that a row leaves no room in, relaxed: the gradient of the elastic problem in closed form.
#[test]
fn quadratic_rows_give_way_with_a_gradient() {
    const WEIGHT: f64 = 40.0;
    let mut settings = ConvexSettings::default();
    settings.solver.infeasible = Infeasible::Elastic { weight: WEIGHT };
    let layer = QcqpLayer::new(settings).unwrap();
    // x² ≤ 1, x ≥ 2, next to x₁ free: min ½x² + qx + ½w(x² − 1)² + ½w(2 − x)².
    let q = tensor::<2>(&[0.3], [1, 1]).require_grad();
    let problem = QpTensors::new(identity(1), q.clone())
        .inequalities(
            tensor::<2>(&[1.0], [1, 1]),
            tensor::<1>(&[2.0], [1]),
            tensor::<1>(&[f64::INFINITY], [1]),
        )
        .quadratics(
            RowHessians::diagonal(tensor::<2>(&[1.0], [1, 1])),
            tensor::<2>(&[0.0], [1, 1]),
            tensor::<1>(&[1.0], [1]),
        );
    let solution = layer.forward(&problem).unwrap();
    assert_eq!(solution.status, [Status::Relaxed]);
    let x = numbers(&solution.x)[0];
    let shift = solution.shift(0).unwrap();
    assert_close("inequality", &shift.inequality, &[x - 2.0], 1e-9);
    assert_close("quadratic", &shift.quadratic, &[x * x - 1.0], 1e-9);
    let slope = x + 0.3 + 2.0 * WEIGHT * (x * x - 1.0) * x + WEIGHT * (x - 2.0);
    assert!(slope.abs() < 1e-7, "{slope}");
    let gradient = numbers(&q.grad(&solution.x.sum().backward()).unwrap());
    let expected = -1.0 / (1.0 + 2.0 * WEIGHT * (3.0 * x * x - 1.0) + WEIGHT);
    assert_close("∂q", &gradient, &[expected], 1e-8);
}
