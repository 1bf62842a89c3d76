//! Projections: closed forms, optimality on mixed sets, relaxation, refusals.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use feasible_convex::{ConvexSettings, Error, OnFailure, Projection, Status};
use feasible_core::{
    Affine, Block, Bounds, Constraints, Curvature, Dual, Function, Quadratic, Stacked, Violations,
};

use crate::support::{assert_close, numbers, random, tensor};

/// Solver and formula both round at about 1e-16 a step; the problems have a handful of steps.
const ROUNDING: f64 = 1e-12;
const INF: f64 = f64::INFINITY;

fn shared(lower: &[f64], upper: &[f64]) -> Bounds {
    Bounds::shared(tensor(lower, [lower.len()]), tensor(upper, [upper.len()])).unwrap()
}

/// The rows of ∂y/∂ŷ of one sample, one backward pass a row.
fn jacobian(constraints: &dyn Constraints, y_hat: &[f64]) -> Vec<f64> {
    let n = y_hat.len();
    let mut rows = vec![];
    for i in 0..n {
        let y_hat = tensor(y_hat, [1, n]).require_grad();
        let y = Projection::default()
            .forward(y_hat.clone(), constraints)
            .unwrap()
            .y;
        let gradients = y.narrow(1, i, 1).sum().backward();
        rows.extend(numbers(&y_hat.grad(&gradients).unwrap()));
    }
    rows
}

#[test]
fn a_plane() {
    // aᵀy = b: y = ŷ − a (aᵀŷ − b)/‖a‖², ∂y/∂ŷ = I − aaᵀ/‖a‖².
    let a = [1.0, -2.0, 2.0];
    let constraints = Affine::shared(tensor(&a, [1, 3]), shared(&[3.0], &[3.0])).unwrap();
    let y_hat = [0.5, 1.0, -1.0];
    let excess: f64 = (a.iter().zip(y_hat).map(|(a, y)| a * y).sum::<f64>() - 3.0) / 9.0;
    let expected: Vec<f64> = a.iter().zip(y_hat).map(|(a, y)| y - a * excess).collect();
    let projected = Projection::default()
        .forward(tensor(&y_hat, [1, 3]), &constraints)
        .unwrap();
    assert_close("y", &numbers(&projected.y), &expected, ROUNDING);
    assert_close("λ", &numbers(&projected.dual()), &[excess], ROUNDING);
    let expected: Vec<f64> = (0..9)
        .map(|e| f64::from(u8::from(e / 3 == e % 3)) - a[e / 3] * a[e % 3] / 9.0)
        .collect();
    assert_close("J", &jacobian(&constraints, &y_hat), &expected, ROUNDING);
}

#[test]
fn a_simplex() {
    // Duchi et al. 2008: y = max(ŷ − τ, 0) with Σy = 1; ∂y/∂ŷ = diag(s) − ssᵀ/|s| on the support.
    let n = 6;
    let mut rows = vec![1.0; n];
    rows.extend((0..n * n).map(|e| f64::from(u8::from(e / n == e % n))));
    let (mut lower, mut upper) = (vec![0.0; n + 1], vec![INF; n + 1]);
    (lower[0], upper[0]) = (1.0, 1.0);
    let constraints = Affine::shared(tensor(&rows, [n + 1, n]), shared(&lower, &upper)).unwrap();
    let mut random = random(3);
    for _ in 0..10 {
        let y_hat = random(n);
        let mut sorted = y_hat.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let (mut sum, mut tau) = (0.0, 0.0);
        for (k, v) in sorted.iter().enumerate() {
            sum += v;
            if v - (sum - 1.0) / (k + 1) as f64 > 0.0 {
                tau = (sum - 1.0) / (k + 1) as f64;
            }
        }
        let expected: Vec<f64> = y_hat.iter().map(|v| (v - tau).max(0.0)).collect();
        let projected = Projection::default().forward(tensor(&y_hat, [1, n]), &constraints);
        assert_close("y", &numbers(&projected.unwrap().y), &expected, ROUNDING);
        let support: Vec<f64> = y_hat
            .iter()
            .map(|v| f64::from(u8::from(*v > tau)))
            .collect();
        let size: f64 = support.iter().sum();
        let expected: Vec<f64> = (0..n * n)
            .map(|e| {
                let (i, j) = (e / n, e % n);
                let own = if i == j { support[i] } else { 0.0 };
                own - support[i] * support[j] / size
            })
            .collect();
        assert_close("J", &jacobian(&constraints, &y_hat), &expected, ROUNDING);
    }
}

#[test]
fn a_ball() {
    // ‖y‖² ≤ r²: y = rŷ/‖ŷ‖, ∂y/∂ŷ = r/‖ŷ‖ (I − ŷŷᵀ/‖ŷ‖²), λ = (‖ŷ‖/r − 1)/2, and a point
    // inside stays where it is.
    let bounds = || Bounds::at_most(tensor(&[4.0], [1, 1])).unwrap();
    let linear = || tensor(&[0.0; 3], [1, 3]);
    let diagonal = Quadratic::diagonal(tensor(&[1.0; 3], [1, 3]), linear(), bounds()).unwrap();
    let dense = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let dense = Quadratic::dense(tensor(&dense, [1, 3, 3]), linear(), bounds()).unwrap();
    for constraints in [diagonal, dense] {
        let y_hat = [1.0, 2.0, -2.0, 0.1, 0.2, 0.3];
        let projected = Projection::default()
            .forward(tensor(&y_hat, [2, 3]), &constraints)
            .unwrap();
        let (k, scale) = (2.0 / 3.0, 1.0 / 9.0);
        let expected = [k, 2.0 * k, -2.0 * k, 0.1, 0.2, 0.3];
        assert_close("y", &numbers(&projected.y), &expected, ROUNDING);
        assert_close("λ", &numbers(&projected.dual()), &[0.25, 0.0], ROUNDING);
        let expected: Vec<f64> = (0..9)
            .map(|e| {
                let identity = f64::from(u8::from(e / 3 == e % 3));
                k * (identity - y_hat[e / 3] * y_hat[e % 3] * scale)
            })
            .collect();
        assert_close(
            "J",
            &jacobian(&constraints, &y_hat[..3]),
            &expected,
            ROUNDING,
        );
    }
}

/// Affine and quadratic rows in turns, shared and per sample, equalities between inequalities.
pub(crate) fn mixed(batch: usize) -> Stacked {
    let n = 5;
    let mut random = random(21);
    let first = Affine::shared(
        tensor(&random(3 * n), [3, n]),
        shared(&[-0.5, 0.1, -INF], &[0.5, 0.1, 0.2]),
    );
    let diagonals: Vec<f64> = random(2 * n).iter().map(|v| v * v + 0.1).collect();
    let ellipses = Quadratic::diagonal(
        tensor(&diagonals, [2, n]),
        tensor(&random(2 * n), [2, n]),
        Bounds::at_most(tensor(&[0.8, 0.5], [1, 2])).unwrap(),
    );
    let targets: Vec<f64> = random(batch).iter().map(|v| 0.1 * v).collect();
    let own = Affine::per_sample(
        tensor(&random(batch * n), [batch, 1, n]),
        Bounds::equal(tensor(&targets, [batch, 1])).unwrap(),
    );
    // Row 0 of this block has no curvature, and two bounds.
    let mut matrices = vec![0.0; 2 * n * n];
    for (e, entry) in matrices[n * n..].iter_mut().enumerate() {
        *entry = if e / n == e % n { 1.0 } else { 0.2 };
    }
    let linear = tensor(&random(2 * n), [1, 2, n]);
    let block = Block::new(linear, Curvature::Dense(tensor(&matrices, [1, 2, n, n]))).unwrap();
    let last = Quadratic::from_block(block, shared(&[-0.3, -INF], &[0.3, 0.6]));
    Stacked::new(vec![
        Arc::new(first.unwrap()),
        Arc::new(ellipses.unwrap()),
        Arc::new(own.unwrap()),
        Arc::new(last.unwrap()),
    ])
    .unwrap()
}

#[test]
fn mixed_sets_meet_their_optimality_conditions() {
    let (batch, n) = (20, 5);
    let constraints = mixed(batch);
    let y_hat: Vec<f64> = random(4)(batch * n).iter().map(|v| 2.0 * v).collect();
    let y_hat = tensor(&y_hat, [batch, n]);
    let projected = Projection::default()
        .forward(y_hat.clone(), &constraints)
        .unwrap();
    assert!(projected.status.iter().all(|&s| s == Status::Solved));

    // y − ŷ + Jᵀλ = 0 with λ in the rows' own order.
    let (y, dual) = (projected.y.clone(), projected.dual());
    let jacobian = constraints.jacobian(y.clone());
    let force = dual
        .clone()
        .unsqueeze_dim::<3>(1)
        .matmul(jacobian)
        .squeeze_dim::<2>(1);
    let gradient = numbers(&(y.clone() - y_hat + force));
    assert_close("stationarity", &gradient, &vec![0.0; batch * n], 1e-9);
    let summary = Violations::of(&constraints, y.clone())
        .summary(1e-9)
        .unwrap();
    assert_eq!(summary.infeasible_samples, 0);

    let (values, dual) = (numbers(&constraints.values(y)), numbers(&dual));
    let bounds = constraints.bounds();
    let (lower, upper) = (numbers(&bounds.lower()), numbers(&bounds.upper()));
    let mut held = [0; 8];
    for (e, &dual) in dual.iter().enumerate() {
        let bound = if dual > 0.0 { upper[e] } else { lower[e] };
        if dual.abs() > 1e-8 {
            held[e % 8] += 1;
            assert!(
                (values[e] - bound).abs() < 1e-8,
                "entry {e}: {} {bound}",
                values[e]
            );
        }
    }
    assert!(
        held.iter().all(|&count| count > 0),
        "a row never held: {held:?}"
    );
}

#[test]
fn a_relaxed_equality_has_two_bounds() {
    // y₁ + y₂ = 1 and y₁ − y₂ = 0, of which only the first is widened.
    let rows = tensor(&[1.0, 1.0, 1.0, -1.0], [2, 2]);
    let target = tensor(&[1.0, 0.0], [1, 2]);
    let constraints = Affine::shared(rows, Bounds::equal(target).unwrap()).unwrap();
    let layer = Projection::default();
    let y_hat = || tensor(&[1.5, 0.7, 0.0, -0.4, 0.5, 0.4], [3, 2]);
    let epsilon = tensor(&[0.2, 0.0], [2]).require_grad();
    let projected = layer
        .forward_relaxed(y_hat(), &constraints, epsilon.clone())
        .unwrap();
    let expected = [0.6, 0.6, 0.4, 0.4, 0.45, 0.45];
    assert_close("y", &numbers(&projected.y), &expected, ROUNDING);
    let weights = tensor(&[1.0, 0.0, 10.0, 0.0, 100.0, 0.0], [3, 2]);
    let gradients = (projected.y * weights).sum().backward();
    // y₁ = (1 ± ε)/2 in the first two samples, free in the third.
    let gradient = numbers(&epsilon.grad(&gradients).unwrap());
    assert_close("∂ε", &gradient[..1], &[0.5 - 5.0], ROUNDING);

    let none = layer
        .forward_relaxed(y_hat(), &constraints, tensor(&[0.0; 2], [2]))
        .unwrap();
    let plain = layer.forward(y_hat(), &constraints).unwrap();
    assert_eq!(numbers(&none.y), numbers(&plain.y));
    assert_close("y", &numbers(&plain.y), &[0.5; 6], ROUNDING);
}

#[test]
fn one_point_is_projected_on_many_sets() {
    let constraints = Affine::shared(
        tensor(&[1.0], [1, 1]),
        Bounds::at_most(tensor(&[1.0, 2.0, 9.0], [3, 1])).unwrap(),
    );
    let y_hat = tensor(&[5.0], [1, 1]).require_grad();
    let projected = Projection::default()
        .forward(y_hat.clone(), &constraints.unwrap())
        .unwrap();
    assert_close("y", &numbers(&projected.y), &[1.0, 2.0, 5.0], ROUNDING);
    let gradient = y_hat.grad(&projected.y.sum().backward()).unwrap();
    assert_close("∂ŷ", &numbers(&gradient), &[1.0], ROUNDING);
}

#[test]
fn an_empty_set_is_said_for_its_sample_alone() {
    let rows = tensor(&[1.0, 1.0, 1.0, 1.0], [2, 2]);
    let lower = tensor(&[0.0, -INF, 3.0, -INF], [2, 2]);
    let bounds = Bounds::per_sample(lower, tensor(&[INF, 1.0], [1, 2])).unwrap();
    let constraints = Affine::shared(rows, bounds).unwrap();
    let y_hat = || tensor(&[2.0, 0.0, 2.0, 0.0], [2, 2]);
    let error = Projection::default()
        .forward(y_hat(), &constraints)
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unsolved {
                sample: 1,
                failed: 1,
                batch: 2,
                ..
            }
        ),
        "{error}"
    );
    let settings = ConvexSettings {
        on_failure: OnFailure::Nan,
        ..ConvexSettings::default()
    };
    let projected = Projection::new(settings)
        .unwrap()
        .forward(y_hat(), &constraints)
        .unwrap();
    let y = numbers(&projected.y);
    assert_close("y", &y[..2], &[1.5, -0.5], ROUNDING);
    assert!(y[2].is_nan() && y[3].is_nan());
}

#[test]
fn no_rows_and_no_samples() {
    let bounds = Bounds::per_sample(tensor(&[], [1, 0]), tensor(&[], [1, 0])).unwrap();
    let constraints = Affine::per_sample(tensor(&[], [1, 0, 2]), bounds).unwrap();
    let projected = Projection::default().forward(tensor(&[1.0, 2.0], [1, 2]), &constraints);
    let projected = projected.unwrap();
    assert_eq!(numbers(&projected.y), [1.0, 2.0]);
    assert_eq!(projected.dual().dims(), [1, 0]);
    let constraints = Affine::shared(tensor(&[1.0, 0.0], [1, 2]), shared(&[0.0], &[1.0]));
    let projected = Projection::default().forward(tensor(&[], [0, 2]), &constraints.unwrap());
    let projected = projected.unwrap();
    assert_eq!(projected.y.dims(), [0, 2]);
    assert_eq!(projected.dual().dims(), [0, 1]);
}

/// A set whose blocks do not belong to its bounds.
#[derive(Debug)]
struct Inconsistent(Affine, Bounds);

impl Constraints for Inconsistent {
    fn variables(&self) -> usize {
        self.0.variables()
    }
    fn bounds(&self) -> &Bounds {
        &self.1
    }
    fn values(&self, y: Tensor<2>) -> Tensor<2> {
        self.0.values(y)
    }
    fn jacobian(&self, y: Tensor<2>) -> Tensor<3> {
        self.0.jacobian(y)
    }
    fn blocks(&self) -> Option<Vec<Block>> {
        self.0.blocks()
    }
}

#[test]
fn what_cannot_be_projected_on_is_refused() {
    let layer = Projection::default();
    let y_hat = || tensor(&[0.0; 2], [1, 2]);
    let function = Function::new(2, shared(&[0.0], &[1.0]), |y: Dual| y.square().sum());
    assert_eq!(
        layer.forward(y_hat(), &function).unwrap_err(),
        Error::NotBlocks
    );

    let line = || Affine::shared(tensor(&[1.0, 1.0], [1, 2]), shared(&[-1.0], &[1.0])).unwrap();
    let ring = |h: f64, lower: f64| {
        let lower = tensor(&[-INF, lower], [2, 1]);
        let bounds = Bounds::per_sample(lower, tensor(&[1.0], [1, 1])).unwrap();
        Quadratic::diagonal(tensor(&[1.0, h], [1, 2]), tensor(&[0.0; 2], [1, 2]), bounds).unwrap()
    };
    let stacked =
        |h, lower| Stacked::new(vec![Arc::new(line()), Arc::new(ring(h, lower))]).unwrap();
    let error = layer.forward(y_hat(), &stacked(1.0, 0.5)).unwrap_err();
    assert_eq!(
        error,
        Error::LowerBoundOnQuadratic {
            row: 1,
            sample: 1,
            lower: 0.5
        }
    );
    let error = layer.forward(y_hat(), &stacked(-1.0, -INF)).unwrap_err();
    assert!(
        error.to_string().contains("must be positive semidefinite"),
        "{error}"
    );

    let error = layer
        .forward(tensor(&[0.0; 3], [1, 3]), &line())
        .unwrap_err();
    assert!(
        error.to_string().starts_with("`y_hat` has shape [1, 3]"),
        "{error}"
    );
    let error = layer
        .forward(tensor(&[0.0, f64::NAN], [1, 2]), &line())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`y_hat` is NaN at index [0, 1]"),
        "{error}"
    );
    let error = layer
        .forward_relaxed(y_hat(), &line(), tensor(&[0.1; 2], [2]))
        .unwrap_err();
    assert!(
        error.to_string().starts_with("`relaxation` has shape [2]"),
        "{error}"
    );
    for bad in [-0.1, f64::NAN, INF] {
        let error = layer
            .forward_relaxed(y_hat(), &line(), tensor(&[bad], [1]))
            .unwrap_err();
        assert!(matches!(error, Error::Relaxation { row: 0, .. }), "{error}");
    }
    let inconsistent = Inconsistent(line(), shared(&[0.0; 2], &[1.0; 2]));
    let error = layer.forward(y_hat(), &inconsistent).unwrap_err();
    assert_eq!(
        error,
        Error::BlockRows {
            blocks: 1,
            bounds: 2
        }
    );
}

#[test]
fn constants_may_live_on_a_device_without_autodiff() {
    let plain = Device::flex();
    let rows = Tensor::<2>::from_data([[1.0, 1.0]], &plain);
    let bounds = Bounds::at_most(Tensor::from_data([[1.0]], &plain)).unwrap();
    let constraints = Affine::shared(rows, bounds).unwrap();
    let y_hat = Tensor::<2>::from_data([[1.0, 1.0]], &crate::support::device()).require_grad();
    let y = Projection::default()
        .forward(y_hat.clone(), &constraints)
        .unwrap()
        .y;
    let gradient = y_hat.grad(&y.narrow(1, 0, 1).sum().backward()).unwrap();
    assert_close(
        "∂ŷ",
        &numbers(&gradient),
        &[0.5, -0.5],
        f64::from(f32::EPSILON),
    );
}
