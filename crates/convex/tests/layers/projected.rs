//! What a projection returns besides its points: forward derivatives, conflicts, shifts, warm starts.

use std::sync::Arc;

use burn::tensor::Tensor;
use feasible_convex::{ConvexSettings, Infeasible, OnFailure, Projection, Status};
use feasible_core::{Affine, Bounds, Constraints, Quadratic, Stacked};

use crate::projection::mixed;
use crate::support::{assert_close, numbers, random, tensor};

const ROUNDING: f64 = 1e-10;
const INF: f64 = f64::INFINITY;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// ⟨c, J d⟩ = ⟨Jᵀc, d⟩ for points and multipliers, and the Jacobian's columns are its tangents.
#[test]
fn tangents_and_jacobians_agree_with_the_backward_pass() {
    const BATCH: usize = 4;
    let constraints = mixed(BATCH);
    let (n, m) = (constraints.variables(), constraints.bounds().rows());
    let mut draw = random(3);
    let y_hat = tensor::<2>(&draw(BATCH * n), [BATCH, n]).require_grad();
    let projected = Projection::default()
        .forward(y_hat.clone(), &constraints)
        .unwrap();
    let direction = draw(BATCH * n);
    let (c, of_dual) = (draw(BATCH * n), draw(BATCH * m));
    let loss = (projected.y.clone() * tensor(&c, [BATCH, n])).sum()
        + (projected.dual() * tensor(&of_dual, [BATCH, m])).sum();
    let pulled = numbers(&y_hat.grad(&loss.backward()).unwrap());
    let tangent = projected.tangent(&tensor(&direction, [BATCH, n])).unwrap();
    assert_eq!(tangent.reports.len(), BATCH);
    let pushed = dot(&c, &numbers(&tangent.y)) + dot(&of_dual, &numbers(&tangent.dual));
    assert_close("⟨c, Jd⟩", &[pushed], &[dot(&pulled, &direction)], ROUNDING);

    let jacobian = projected.jacobian().unwrap();
    assert_eq!(jacobian.y.dims(), [BATCH, n, n]);
    assert_eq!(jacobian.dual.dims(), [BATCH, m, n]);
    for (whole, along, rows) in [
        (numbers(&jacobian.y), numbers(&tangent.y), n),
        (numbers(&jacobian.dual), numbers(&tangent.dual), m),
    ] {
        let products: Vec<f64> = whole
            .chunks_exact(n)
            .enumerate()
            .map(|(at, row)| dot(row, &direction[at / rows * n..][..n]))
            .collect();
        assert_close("Jd", &products, &along, ROUNDING);
    }
    // One direction for the batch.
    let one = projected.tangent(&tensor(&direction[..n], [1, n])).unwrap();
    let repeated = projected
        .tangent(&tensor(&direction[..n].repeat(BATCH), [BATCH, n]))
        .unwrap();
    assert_close(
        "one direction",
        &numbers(&one.y),
        &numbers(&repeated.y),
        0.0,
    );
    let error = projected
        .tangent(&tensor(&[1.0], [1, 1]))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`direction`") && error.contains("[1, 5] or [4, 5]"),
        "{error}"
    );
}

#[test]
fn nothing_has_derivatives_of_nothing() {
    let bounds = Bounds::shared(tensor(&[0.0], [1]), tensor(&[1.0], [1])).unwrap();
    let constraints = Affine::shared(tensor(&[1.0, 0.0], [1, 2]), bounds).unwrap();
    let projected = Projection::default()
        .forward(tensor(&[], [0, 2]), &constraints)
        .unwrap();
    let tangent = projected.tangent(&tensor(&[1.0, 2.0], [1, 2])).unwrap();
    assert_eq!((tangent.y.dims(), tangent.dual.dims()), ([0, 2], [0, 1]));
    assert_eq!(projected.jacobian().unwrap().dual.dims(), [0, 1, 2]);
    assert_eq!(projected.gradient_reports().get(), None);
    assert!(projected.conflict(0).is_none() && projected.shift(0).is_none());
}

/// A disc, then x₀ = 1.5 out of its reach in the second sample, then a row that does not matter. The
/// solver's order is another: equalities, affine rows, quadratic ones.
fn disc_and_line(second: f64) -> Stacked {
    let disc = Quadratic::diagonal(
        tensor(&[1.0, 1.0], [1, 2]),
        tensor(&[0.0, 0.0], [1, 2]),
        Bounds::at_most(tensor(&[1.0], [1, 1])).unwrap(),
    );
    let free = Bounds::per_sample(tensor(&[-9.0], [1, 1]), tensor(&[9.0], [1, 1])).unwrap();
    let free = Affine::shared(tensor(&[0.0, 1.0], [1, 2]), free);
    let line = Bounds::equal(tensor(&[0.5, second], [2, 1])).unwrap();
    let line = Affine::shared(tensor(&[1.0, 0.0], [1, 2]), line);
    Stacked::new(vec![
        Arc::new(disc.unwrap()),
        Arc::new(free.unwrap()),
        Arc::new(line.unwrap()),
    ])
    .unwrap()
}

#[test]
fn conflicts_have_the_places_of_the_constraints() {
    let constraints = disc_and_line(1.5);
    let y_hat = tensor(&[0.3, 0.2, 0.3, 0.2], [2, 2]);
    let error = Projection::default()
        .forward(y_hat.clone(), &constraints)
        .unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("quadratic row 0") && message.contains("equality 2"),
        "{message}"
    );
    let keep = ConvexSettings {
        on_failure: OnFailure::Keep,
        ..ConvexSettings::default()
    };
    let projected = Projection::new(keep)
        .unwrap()
        .forward(y_hat, &constraints)
        .unwrap();
    assert!(projected.conflict(0).is_none());
    let conflict = projected.conflict(1).unwrap().to_string();
    assert!(message.contains(&conflict), "{conflict}; {message}");
}

/// min ½‖y − ŷ‖² + ½w(‖y‖² − 1)²₊ + ½w(y₀ − 1.5)²: the shifts are what the rows miss, in their order.
#[test]
fn shifts_have_the_places_of_the_constraints() {
    let constraints = disc_and_line(1.5);
    let mut elastic = ConvexSettings::default();
    elastic.solver.infeasible = Infeasible::Elastic { weight: 50.0 };
    let y_hat = tensor(&[0.3, 0.2, 0.3, 0.2], [2, 2]).require_grad();
    let projected = Projection::new(elastic)
        .unwrap()
        .forward(y_hat.clone(), &constraints)
        .unwrap();
    assert_eq!(projected.status, [Status::Solved, Status::Relaxed]);
    assert!(projected.shift(0).is_none());
    let y = numbers(&projected.y);
    let (a, b) = (y[2], y[3]);
    let shift = projected.shift(1).unwrap();
    assert_close("shift", &shift, &[a * a + b * b - 1.0, 0.0, a - 1.5], 1e-9);
    // Stationarity of the elastic problem.
    let (disc, line) = (50.0 * shift[0], 50.0 * shift[2]);
    let gradient = [a - 0.3 + 2.0 * disc * a + line, b - 0.2 + 2.0 * disc * b];
    assert_close("stationarity", &gradient, &[0.0, 0.0], 1e-7);
    // Its Hessian is I + 2λI + 4w yyᵀ + w e₀e₀ᵀ, and ∂y/∂ŷ the inverse.
    let h = 1.0 + 2.0 * disc;
    let [h00, h01, h11] = [h + 200.0 * a * a + 50.0, 200.0 * a * b, h + 200.0 * b * b];
    let determinant = h00 * h11 - h01 * h01;
    let expected = [h11 / determinant, -h01 / determinant];
    let gradients = projected.y.narrow(0, 1, 1).narrow(1, 0, 1).sum().backward();
    let got = numbers(&y_hat.grad(&gradients).unwrap());
    assert_close("∂y₀", &got[2..], &expected, 1e-7);
}

#[test]
fn a_warm_start_changes_the_steps_only() {
    const BATCH: usize = 6;
    let constraints = mixed(BATCH);
    let points = random(8)(BATCH * 5);
    let near: Vec<f64> = points.iter().map(|v| v + 1e-3).collect();
    let at = |values: &[f64]| -> Tensor<2> { tensor(values, [BATCH, 5]) };
    let layer = Projection::default();
    let before = layer.forward(at(&points), &constraints).unwrap();
    let cold = layer.forward(at(&near), &constraints).unwrap();
    let y_hat = at(&near).require_grad();
    let warm = layer
        .forward_from(y_hat.clone(), &constraints, &before)
        .unwrap();
    assert_close("y", &numbers(&warm.y), &numbers(&cold.y), ROUNDING);
    assert_close("λ", &numbers(&warm.dual()), &numbers(&cold.dual()), 1e-8);
    let steps = |iterations: &[usize]| iterations.iter().sum::<usize>();
    assert!(steps(&warm.iterations) < steps(&cold.iterations));
    assert!(y_hat.grad(&warm.y.sum().backward()).is_some());
    let fewer = mixed(2);
    let error = layer
        .forward_from(tensor(&near[..10], [2, 5]), &fewer, &before)
        .unwrap_err();
    assert!(error.to_string().contains("holds 6 for `batch`"), "{error}");
    // Nothing to start from.
    let bounds = Bounds::shared(tensor(&[-INF; 1], [1]), tensor(&[1.0], [1])).unwrap();
    let half = Affine::shared(tensor(&[1.0, 1.0], [1, 2]), bounds).unwrap();
    let empty = layer.forward(tensor(&[], [0, 2]), &half).unwrap();
    let y = layer
        .forward_from(tensor(&[1.0, 1.0], [1, 2]), &half, &empty)
        .unwrap()
        .y;
    assert_close("y", &numbers(&y), &[0.5, 0.5], ROUNDING);
}
