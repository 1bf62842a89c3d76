//! Sets that are a point, rows that repeat each other, points that lie on a boundary: where formulas divide by
//! nothing, or shapes lose an axis.

#[path = "../../nls/tests/support/mod.rs"]
mod support;

use burn::tensor::Tensor;
use feasible_core::{Affine, Bounds, Dual, Function, Quadratic};
use feasible_repair::{
    Completion, Dc3, Dc3Settings, FsNet, FsNetSettings, GaugeMap, HardNetAff, RayCone, RaySettings,
    Rayen, RowPolicy, SnareNet, SnareNetSettings, Status,
};
use support::{check_gradients, numbers, same, tensor};

fn equal(a: Vec<f64>, b: Vec<f64>, n: usize) -> Affine {
    let m = b.len();
    let bounds = Bounds::equal(tensor(b, [1, m])).unwrap();
    Affine::shared(tensor(a, [m, n]), bounds).unwrap()
}

fn at(point: Vec<f64>) -> RaySettings {
    RaySettings {
        interior: Some(point),
        ..RaySettings::default()
    }
}

/// √y₁ ≤ 1 and √y₂ ≤ 9, the second sample where there is no root: the derivative there is not finite, and a
/// cotangent of zero times it would be NaN in the gradient of all that the samples share.
#[test]
fn a_sample_without_a_value_spoils_no_gradient() {
    let bounds = Bounds::at_most(tensor(vec![1.0, 9.0], [1, 2])).unwrap();
    let set = Function::new(2, bounds, |y: Dual| y.sqrt());
    let dc3 = Dc3Settings {
        learning_rate: 0.4,
        train_steps: 100,
        ..Dc3Settings::default()
    };
    let (fsnet, dc3) = (
        FsNet::new(FsNetSettings::default()).unwrap(),
        Dc3::new(dc3).unwrap(),
    );
    let stepwise = |settings| SnareNet::new(settings).unwrap();
    let clamped = stepwise(SnareNetSettings {
        trust_region: Some(1.0),
        ..SnareNetSettings::default()
    });
    let inexact = stepwise(SnareNetSettings {
        conjugate_gradient: Some(10),
        ..SnareNetSettings::default()
    });
    let plain = stepwise(SnareNetSettings::default());
    for name in ["fsnet", "dc3", "clamped", "inexact", "plain"] {
        let repair = |raw| match name {
            "fsnet" => fsnet.forward(raw, &set, None),
            "dc3" => dc3.forward(raw, &set, None),
            "clamped" => clamped.forward(raw, &set, None),
            "inexact" => inexact.forward(raw, &set, None),
            _ => plain.forward(raw, &set, None),
        };
        let weight = tensor::<2>(vec![1.0, 0.0, 0.0, 1.0], [2, 2]).require_grad();
        let raw = |x| tensor::<2>(x, [2, 2]).matmul(weight.clone());
        let both = repair(raw(vec![4.0, 1.0, -1.0, 1.0])).unwrap();
        assert!(both.status[0].is_converged(), "{name}: {:?}", both.status);
        assert_eq!(both.status[1], Status::NonFinite, "{name}");
        assert!(both.residual[1].is_nan(), "{name}");
        // It keeps its input.
        same(&both.y.clone().narrow(0, 1, 1), &[-1.0, 1.0]);
        // The other one is what it is beside a sample like itself, and so is its gradient.
        let twice = repair(raw(vec![4.0, 1.0, 4.0, 1.0])).unwrap();
        let first = |y: Tensor<2>| y.narrow(0, 0, 1);
        same(&first(both.y.clone()), &numbers(&first(twice.y.clone())));
        let gradient = |y: Tensor<2>| {
            let gradients = first(y).square().sum().backward();
            numbers(&weight.grad(&gradients).unwrap())
        };
        let (got, expected) = (gradient(both.y), gradient(twice.y));
        for (got, expected) in got.iter().zip(&expected) {
            assert!(
                (got - expected).abs() < 1e-12,
                "{name}: {got} and {expected}"
            );
        }
        let alone = repair(raw(vec![-1.0, 1.0, -1.0, 2.0])).unwrap();
        assert_eq!(alone.status, [Status::NonFinite; 2], "{name}");
        same(&alone.y, &[-1.0, 1.0, -1.0, 2.0]);
    }
}

/// As many equalities as variables, and more, that leave one point or a line.
#[test]
fn sets_of_one_point_are_that_point() {
    let leaf = tensor::<2>(vec![3.0, -4.0, 0.5, 0.25], [2, 2]).require_grad();
    let raw = || leaf.clone();
    let point = [0.5, 0.25];
    let corner = equal(vec![1.0, 0.0, 0.0, 1.0], point.to_vec(), 2);
    let thrice = equal(vec![1.0, 0.0, 0.0, 1.0, 1.0, 1.0], vec![0.5, 0.25, 0.75], 2);
    for set in [corner, thrice] {
        for settings in [at(point.to_vec()), RaySettings::default()] {
            let map = GaugeMap::new(settings.clone()).unwrap();
            let mapped = map.forward(raw(), &set, None).unwrap();
            assert!(mapped.status.iter().all(|s| s.is_converged()));
            let ray = Rayen::new(settings).unwrap();
            let drawn = ray.forward(raw(), &set, None).unwrap();
            for y in [mapped.y, drawn.y] {
                same(&y, &[point, point].concat());
                let gradients = y.sum().backward();
                same(&leaf.grad(&gradients).unwrap(), &[0.0; 4]);
            }
        }
    }
}

/// A row given three times in two variables is one row.
#[test]
fn repeated_equalities_leave_their_line() {
    let set = equal(
        vec![1.0, 1.0, 2.0, 2.0, -1.0, -1.0],
        vec![1.0, 2.0, -1.0],
        2,
    );
    let ray = Rayen::new(at(vec![0.5, 0.5])).unwrap();
    let drawn = ray
        .forward(tensor(vec![3.0, 0.0], [1, 2]), &set, None)
        .unwrap();
    same(&drawn.y, &[2.0, -1.0]);
}

#[test]
fn sets_that_are_not_convex_are_refused_with_a_given_point_too() {
    let saddle = |h: Vec<f64>| {
        let below = Bounds::at_most(tensor(vec![1.0], [1, 1])).unwrap();
        Quadratic::diagonal(tensor(h, [1, 2]), tensor(vec![0.0; 2], [1, 2]), below).unwrap()
    };
    let raw = || tensor(vec![3.0, 4.0], [1, 2]);
    for h in [[-1.0, -1.0], [1.0, -1e-3]] {
        let set = saddle(h.to_vec());
        let ray = Rayen::new(at(vec![0.0; 2])).unwrap();
        let map = GaugeMap::new(at(vec![0.0; 2])).unwrap();
        for refused in [
            ray.forward(raw(), &set, None).unwrap_err(),
            map.forward(raw(), &set, None).unwrap_err(),
        ] {
            let text = refused.to_string();
            assert!(text.contains("not convex"), "{text}");
        }
    }
}

#[test]
fn cones_that_are_none_are_named() {
    let set = equal(vec![1.0, -1.0], vec![0.0], 2);
    let message = |cone| {
        let layer = Rayen::new(at(vec![0.0; 2])).unwrap();
        let layer = layer.with_cones(vec![cone]).unwrap();
        let raw = tensor(vec![1.0, 2.0], [1, 2]);
        layer.forward(raw, &set, None).unwrap_err().to_string()
    };
    let inequality = |entry: f64| RayCone::MatrixInequality {
        constant: vec![1.0, 0.0, 0.0, 1.0],
        matrices: vec![0.0, 1.0, entry, 0.0, 1.0, 0.0, 0.0, -1.0],
    };
    assert!(message(inequality(f64::NAN)).contains("`cone.matrices` is NaN at index [2]"));
    assert!(message(inequality(0.5)).contains("entries (1, 0) and (0, 1) differ"));
    let cone = RayCone::SecondOrder {
        matrix: vec![1.0, 0.0],
        offset: vec![0.0],
        direction: vec![0.0, 0.0],
        level: f64::INFINITY,
    };
    assert!(message(cone).contains("`cone.level` is inf"));
}

/// Where an equality holds already, it goes on to hold: y = ŷ − A⁺(Aŷ − b) is a projection everywhere.
#[test]
fn an_equality_that_is_met_keeps_its_derivative() {
    let set = equal(vec![1.0, 1.0], vec![1.0], 2);
    let layer = HardNetAff::new();
    let raw = || tensor(vec![0.5, 0.5, 2.0, 3.0], [2, 2]);
    let repair = |inputs: &[Tensor<2>]| layer.forward(inputs[0].clone(), &set, None).unwrap().y;
    check_gradients("hardnet-aff", &[raw()], repair, 1e-4, 1e-9);
    // Beside a row that is widened.
    let bounds = Bounds::shared(tensor(vec![1.0, -9.0], [2]), tensor(vec![1.0, 9.0], [2]));
    let set = Affine::shared(tensor(vec![1.0, 1.0, 1.0, -1.0], [2, 2]), bounds.unwrap()).unwrap();
    let repair = |inputs: &[Tensor<2>]| {
        let epsilon = tensor(vec![0.0, 0.5], [2]);
        layer
            .forward(inputs[0].clone(), &set, Some(epsilon))
            .unwrap()
            .y
    };
    check_gradients("hardnet-aff, widened", &[raw()], repair, 1e-4, 1e-9);
}

/// Rows that take no part make no system singular, with fewer rows than variables and with more.
#[test]
fn satisfied_rows_take_no_part_in_undamped_steps() {
    for slack_rows in [0, 3] {
        let m = 2 + slack_rows;
        let mut a = vec![1.0, 0.0, 0.0, 1.0];
        a.extend([1.0, 1.0].repeat(slack_rows));
        let mut upper = vec![1.0, 1.0];
        upper.resize(m, 50.0);
        let below = Bounds::at_most(tensor(upper, [1, m])).unwrap();
        let set = Affine::shared(tensor(a, [m, 2]), below).unwrap();
        for trust_region in [None, Some(5.0)] {
            let layer = SnareNet::new(SnareNetSettings {
                damping: 0.0,
                rows: RowPolicy::Violated,
                trust_region,
                ..SnareNetSettings::default()
            })
            .unwrap();
            let raw = tensor(vec![3.0, 0.0, 2.0, 4.0, 0.5, 0.5], [3, 2]);
            let repaired = layer.forward(raw, &set, None).unwrap();
            assert_eq!(
                repaired.status,
                [Status::ConvergedByResidual; 3],
                "{slack_rows} {trust_region:?}"
            );
            same(&repaired.y, &[1.0, 0.0, 1.0, 1.0, 0.5, 0.5]);
        }
    }
}

/// How many rows one sample is beyond, here more than there are variables, says nothing of another.
#[test]
fn samples_of_many_rows_leave_those_of_few_alone() {
    let rows = vec![1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 1.0];
    let below = Bounds::at_most(tensor(vec![1.0, 1.0, 3.0, 9.0], [1, 4])).unwrap();
    let set = Affine::shared(tensor(rows, [4, 2]), below).unwrap();
    let layer = SnareNet::new(SnareNetSettings {
        damping: 0.0,
        rows: RowPolicy::Violated,
        trust_region: Some(50.0),
        ..SnareNetSettings::default()
    })
    .unwrap();
    // Beyond the first row, and beyond all.
    let both = tensor(vec![3.0, 0.0, 6.0, 8.0], [2, 2]);
    let repaired = layer.forward(both, &set, None).unwrap();
    assert_eq!(repaired.status, [Status::ConvergedByResidual; 2]);
    same(&repaired.y.narrow(0, 0, 1), &[1.0, 0.0]);
}

/// On the circle either variable can be computed from the other but where it is 0 itself. The choice is one for
/// the batch, whatever its order.
#[test]
fn completion_suits_all_samples_whatever_their_order() {
    let bounds = Bounds::equal(tensor(vec![1.0], [1, 1])).unwrap();
    let circle = Quadratic::diagonal(
        tensor(vec![1.0; 2], [1, 2]),
        tensor(vec![0.0; 2], [1, 2]),
        bounds,
    )
    .unwrap();
    let layer = Dc3::new(Dc3Settings {
        completion: Completion::Equalities,
        ..Dc3Settings::default()
    })
    .unwrap();
    let orders = [
        [[0.9, 0.2], [0.05, 0.9], [0.1, 1.1]],
        [[0.05, 0.9], [0.9, 0.2], [0.1, 1.1]],
        [[0.1, 1.1], [0.05, 0.9], [0.9, 0.2]],
    ];
    for samples in orders {
        let raw = tensor(samples.concat(), [3, 2]);
        let repaired = layer.forward(raw, &circle, None).unwrap();
        assert!(
            repaired.status.iter().all(|s| s.is_converged()),
            "{:?}",
            repaired.status
        );
        for (y, raw) in numbers(&repaired.y).chunks_exact(2).zip(&samples) {
            assert!((y[0].hypot(y[1]) - 1.0).abs() < 1e-9);
            // The first is kept.
            assert!((y[0] - raw[0]).abs() < 1e-12);
        }
    }
}

/// √y₁ + y₂ = 1: y₂ can be computed always, y₁ where it is large enough; a sample without a root has no say.
#[test]
fn a_sample_without_a_jacobian_does_not_choose() {
    let bounds = || Bounds::equal(tensor(vec![1.0], [1, 1])).unwrap();
    let set = Function::new(2, bounds(), |y: Dual| y.column(0).sqrt() + y.column(1));
    let layer = Dc3::new(Dc3Settings::default()).unwrap();
    let raw = tensor(vec![-1.0, 0.5, 4.0, 0.5], [2, 2]);
    let repaired = layer.forward(raw, &set, None).unwrap();
    assert!(!repaired.status[0].is_converged());
    assert!(repaired.status[1].is_converged(), "{:?}", repaired.status);
    same(&repaired.y.narrow(0, 1, 1), &[4.0, -1.0]);
}
