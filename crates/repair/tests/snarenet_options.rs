//! SnareNet's clamped steps and its conjugate gradients.

#[path = "../../nls/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use burn::tensor::Tensor;
use feasible_core::{Affine, Bounds, Constraints, Dual, Function, Quadratic, Stacked};
use feasible_repair::{
    Repaired, RowPolicy, RowWeights, SnareNet, SnareNetSettings, Status, Stopping,
};
use support::{check_gradients, normal, numbers, rng, tensor};

const BATCH: usize = 8;
const N: usize = 6;

fn rows(x: Tensor<2>) -> Stacked {
    let mut rng = rng(1);
    let mut draw = |count| normal(&mut rng, count);
    let h = draw(2 * N).iter().map(|v| 0.1 + 0.2 * v * v).collect();
    let below = Bounds::at_most(tensor(vec![0.4, 0.6], [1, 2])).unwrap();
    let parts: Vec<Arc<dyn Constraints>> = vec![
        Arc::new(
            Quadratic::diagonal(tensor(h, [2, N]), tensor(draw(2 * N), [2, N]), below).unwrap(),
        ),
        Arc::new(Affine::shared(tensor(draw(2 * N), [2, N]), Bounds::equal(x).unwrap()).unwrap()),
    ];
    Stacked::new(parts).unwrap()
}

fn inputs() -> [Tensor<2>; 2] {
    let mut rng = rng(2);
    [
        tensor(normal(&mut rng, BATCH * N), [BATCH, N]),
        tensor(normal(&mut rng, BATCH * 2), [BATCH, 2]) * 0.3,
    ]
}

fn repair(settings: SnareNetSettings, y0: Tensor<2>, set: &dyn Constraints) -> Repaired {
    let layer = SnareNet::new(settings).unwrap();
    layer.forward(y0, set, None).unwrap()
}

/// From 5 the undamped step on y² = 1 is 2.4; steps of 1 lead to 2 before Newton's method takes over.
#[test]
fn steps_are_clamped() {
    let bounds = || Bounds::equal(tensor(vec![1.0], [1, 1])).unwrap();
    let square = Function::new(1, bounds(), |y: Dual| y.square());
    let settings = |max_iterations| SnareNetSettings {
        trust_region: Some(1.0),
        damping: 0.0,
        max_iterations,
        ..SnareNetSettings::default()
    };
    let at = |steps| numbers(&repair(settings(steps), tensor(vec![5.0], [1, 1]), &square).y)[0];
    assert_eq!([at(1), at(2), at(3)], [4.0, 3.0, 2.0]);
    assert!((at(4) - 1.25).abs() < 1e-15);
    assert!((at(50) - 1.0).abs() < 1e-8);
}

/// A bound beyond every step changes nothing: the same iteration as on the host.
#[test]
fn wide_bounds_give_the_ordinary_iteration() {
    let [y0, x] = inputs();
    for rows_policy in [RowPolicy::All, RowPolicy::Violated] {
        for weights in [RowWeights::Uniform, RowWeights::InverseNorms] {
            for stopping in [Stopping::PerSample, Stopping::WholeBatch] {
                let plain = SnareNetSettings {
                    rows: rows_policy,
                    weights,
                    stopping,
                    ..SnareNetSettings::default()
                };
                let clamped = SnareNetSettings {
                    trust_region: Some(1e6),
                    ..plain
                };
                let set = rows(x.clone());
                let (a, b) = (
                    repair(plain, y0.clone(), &set),
                    repair(clamped, y0.clone(), &set),
                );
                assert_eq!(a.iterations, b.iterations);
                assert_eq!(a.status, b.status);
                for (a, b) in numbers(&a.y).iter().zip(numbers(&b.y)) {
                    // Cholesky against LU on matrices with condition numbers below 1e4.
                    assert!((a - b).abs() < 1e-10, "{a} {b}");
                }
            }
        }
    }
}

/// As many iterations as variables solve a system; a loose solve still converges, in more steps.
#[test]
fn conjugate_gradients_converge() {
    let [y0, x] = inputs();
    let set = rows(x);
    let direct = repair(SnareNetSettings::default(), y0.clone(), &set);
    let settings = SnareNetSettings {
        conjugate_gradient: Some(10),
        ..SnareNetSettings::default()
    };
    let inexact = repair(settings, y0, &set);
    assert!(inexact.status.iter().all(|s| s.is_converged()));
    let worst = |repaired: &Repaired| repaired.residual.iter().fold(0.0, |a: f64, r| a.max(*r));
    // Stopping by the step leaves as much again, and λ = 1e-2 makes steps short.
    assert!(worst(&direct) < 1e-7 && worst(&inexact) < 1e-7);
}

#[test]
fn gradients_agree_with_central_differences_on_every_sample() {
    for settings in [
        SnareNetSettings {
            trust_region: Some(0.3),
            ..SnareNetSettings::default()
        },
        SnareNetSettings {
            conjugate_gradient: Some(3),
            max_iterations: 4,
            ..SnareNetSettings::default()
        },
    ] {
        let worst = check_gradients(
            "options",
            &inputs(),
            |inputs| repair(settings, inputs[0].clone(), &rows(inputs[1].clone())).y,
            1e-6,
            1e-7, // rounding over the step
        );
        assert!(worst > 0.0);
    }
}

#[test]
fn trouble_stays_with_its_sample() {
    // log y is not finite at the second sample; at the third 1/y is large and the step clamped.
    let bounds = Bounds::equal(tensor(vec![0.0], [1, 1])).unwrap();
    let logarithm = Function::new(1, bounds, |y: Dual| y.log());
    let settings = SnareNetSettings {
        trust_region: Some(0.5),
        damping: 0.0,
        ..SnareNetSettings::default()
    };
    let y0 = tensor(vec![1.5, -1.0, 0.9], [3, 1]).require_grad();
    let repaired = repair(settings, y0.clone(), &logarithm);
    assert_eq!(
        repaired.status,
        [
            Status::ConvergedByResidual,
            Status::NonFinite,
            Status::ConvergedByResidual
        ]
    );
    let kept = repaired.y.narrow(0, 0, 1).sum().backward();
    assert!(
        numbers(&y0.grad(&kept).unwrap())
            .iter()
            .all(|g| g.is_finite())
    );
}
