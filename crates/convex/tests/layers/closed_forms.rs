//! Solutions and Jacobians that can be written down.

use feasible_convex::{Hessian, QcqpLayer, QpLayer, QpTensors, RowHessians, Status};

use crate::support::{assert_close, numbers, tensor};

/// Solver and formula both round at about 1e-16 a step; the problems have a handful of steps.
const ROUNDING: f64 = 1e-12;

#[test]
fn a_weighted_split_of_one_unit() {
    // min ½p₁x₁² + ½p₂x₂², x₁ + x₂ = b: x = b (p₂, p₁)/(p₁ + p₂), ν = −b p₁p₂/(p₁ + p₂).
    let values = [2.0, 4.0, 1.0, 3.0, 0.5, 0.5];
    let p = tensor(&values, [3, 2]).require_grad();
    let b = tensor(&[1.0, -2.0, 3.0], [3, 1]).require_grad();
    let problem = QpTensors::new(Hessian::diagonal(p.clone()), tensor(&[0.0; 2], [2]))
        .equalities(tensor(&[1.0, 1.0], [1, 2]), b.clone());
    let solution = QpLayer::default().forward(&problem).unwrap();
    let (mut x, mut dual, mut of_p, mut of_b) = (vec![], vec![], vec![], vec![]);
    for (p, b) in values.chunks(2).zip([1.0, -2.0, 3.0]) {
        let (p1, p2, sum) = (p[0], p[1], p[0] + p[1]);
        x.extend([b * p2 / sum, b * p1 / sum]);
        dual.push(-b * p1 * p2 / sum);
        // The loss is x₁ + 10 ν.
        of_p.push(-b * p2 / sum.powi(2) - 10.0 * b * (p2 / sum).powi(2));
        of_p.push(b * p1 / sum.powi(2) - 10.0 * b * (p1 / sum).powi(2));
        of_b.push(p2 / sum - 10.0 * p1 * p2 / sum);
    }
    assert_close("x", &numbers(&solution.x), &x, ROUNDING);
    assert_close("ν", &numbers(&solution.equality_dual()), &dual, ROUNDING);
    let loss = solution.x.clone().narrow(1, 0, 1).sum() + solution.equality_dual().sum() * 10.0;
    let gradients = loss.backward();
    assert_close(
        "∂p",
        &numbers(&p.grad(&gradients).unwrap()),
        &of_p,
        ROUNDING,
    );
    assert_close(
        "∂b",
        &numbers(&b.grad(&gradients).unwrap()),
        &of_b,
        ROUNDING,
    );
}

#[test]
fn a_box_clips_and_its_bounds_take_the_gradient() {
    // x = clip(−q/p, l, u); λ = −(p x + q).
    let q = tensor(&[-4.0, 1.0, 6.0], [1, 3]).require_grad();
    let l = tensor(&[-1.0, -1.0, -1.0], [3]).require_grad();
    let u = tensor(&[1.0, 1.0, f64::INFINITY], [3]).require_grad();
    let identity = tensor(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], [3, 3]);
    let problem = QpTensors::new(Hessian::diagonal(tensor(&[2.0; 3], [3])), q.clone())
        .inequalities(identity, l.clone(), u.clone());
    let solution = QpLayer::default().forward(&problem).unwrap();
    assert_close("x", &numbers(&solution.x), &[1.0, -0.5, -1.0], ROUNDING);
    assert_close(
        "λ",
        &numbers(&solution.inequality_dual()),
        &[2.0, 0.0, -4.0],
        ROUNDING,
    );
    let gradients = (solution.x * tensor(&[3.0, 5.0, 7.0], [1, 3]))
        .sum()
        .backward();
    assert_close(
        "∂q",
        &numbers(&q.grad(&gradients).unwrap()),
        &[0.0, -2.5, 0.0],
        ROUNDING,
    );
    assert_close(
        "∂l",
        &numbers(&l.grad(&gradients).unwrap()),
        &[0.0, 0.0, 7.0],
        ROUNDING,
    );
    assert_close(
        "∂u",
        &numbers(&u.grad(&gradients).unwrap()),
        &[3.0, 0.0, 0.0],
        ROUNDING,
    );
}

#[test]
fn a_linear_objective_over_a_ball() {
    // min qᵀx, xᵀx ≤ c: x = −√c q/‖q‖, μ = ‖q‖/(2√c).
    let (q, c) = ([3.0, -4.0], 4.0f64);
    let c_tensor = tensor(&[c], [1]).require_grad();
    let problem = QpTensors::new(
        Hessian::diagonal(tensor(&[0.0; 2], [2])),
        tensor(&q, [1, 2]),
    )
    .quadratics(
        RowHessians::diagonal(tensor(&[1.0; 2], [1, 2])),
        tensor(&[0.0; 2], [1, 2]),
        c_tensor.clone(),
    );
    let solution = QcqpLayer::default().forward(&problem).unwrap();
    assert_eq!(solution.status, [Status::Solved]);
    assert_close("x", &numbers(&solution.x), &[-1.2, 1.6], ROUNDING);
    assert_close(
        "μ",
        &numbers(&solution.quadratic_dual()),
        &[5.0 / 4.0],
        ROUNDING,
    );
    // x₁ + 2μ: ∂x₁/∂c = −q₁/(2‖q‖√c), ∂μ/∂c = −‖q‖/(4 c^{3/2}).
    let loss = solution.x.clone().narrow(1, 0, 1).sum() + solution.quadratic_dual().sum() * 2.0;
    let expected = -3.0 / (2.0 * 5.0 * 2.0) - 2.0 * 5.0 / (4.0 * 8.0);
    let gradient = c_tensor.grad(&loss.backward()).unwrap();
    assert_close("∂c", &numbers(&gradient), &[expected], ROUNDING);
}

#[test]
fn one_variable() {
    // min ½·4x² − 8x, x ≤ 1 in the first sample and x ≤ 5 in the second.
    let problem = QpTensors::new(Hessian::dense(tensor(&[4.0], [1, 1])), tensor(&[-8.0], [1]))
        .inequalities(
            tensor(&[1.0], [1, 1]),
            tensor(&[f64::NEG_INFINITY], [1]),
            tensor(&[1.0, 5.0], [2, 1]),
        );
    let solution = QpLayer::default().forward(&problem).unwrap();
    assert_close("x", &numbers(&solution.x), &[1.0, 2.0], ROUNDING);
    assert_close(
        "λ",
        &numbers(&solution.inequality_dual()),
        &[4.0, 0.0],
        ROUNDING,
    );
}
