//! RAYEN and the gauge map against closed forms, against the sets they must stay in, and their
//! gradients against central differences.

#[path = "../../nls/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use burn::tensor::Tensor;
use feasible_core::{Affine, Bounds, Constraints, Dual, Function, Quadratic, Stacked};
use feasible_repair::{GaugeMap, RayCone, RaySettings, Rayen, Repaired, Status};
use support::{check_gradients, normal, numbers, rng, same, tensor};

const BATCH: usize = 12;
const N: usize = 5;

fn below(u: Vec<f64>) -> Bounds {
    Bounds::at_most(tensor(u.clone(), [1, u.len()])).unwrap()
}

fn cube(n: usize, half: f64) -> Affine {
    let mut rows = vec![0.0; n * n];
    (0..n).for_each(|i| rows[i * n + i] = 1.0);
    let bounds = Bounds::shared(tensor(vec![-half; n], [n]), tensor(vec![half; n], [n]));
    Affine::shared(tensor(rows, [n, n]), bounds.unwrap()).unwrap()
}

/// A bounded set with every kind of row around its interior: a cube, two slanted rows, diagonal and
/// dense quadratic rows, and one equality aᵀy = 0.1, or `x` where given.
fn mixed(x: Option<Tensor<2>>) -> Stacked {
    let mut rng = rng(1);
    let mut draw = |count| normal(&mut rng, count);
    let h = draw(2 * N).iter().map(|v| 0.1 + 0.1 * v * v).collect();
    let half = tensor::<2>(draw(N * N), [N, N]) * 0.4;
    let dense = half.clone().transpose().matmul(half).unsqueeze_dim::<3>(0);
    let target = x.unwrap_or_else(|| tensor(vec![0.1], [1, 1]));
    let parts: Vec<Arc<dyn Constraints>> = vec![
        Arc::new(cube(N, 1.5)),
        Arc::new(Affine::shared(tensor(draw(2 * N), [2, N]), below(vec![0.8, 0.6])).unwrap()),
        Arc::new(
            Quadratic::diagonal(
                tensor(h, [2, N]),
                tensor(draw(2 * N), [2, N]),
                below(vec![0.7, 0.9]),
            )
            .unwrap(),
        ),
        Arc::new(Quadratic::dense(dense, tensor(draw(N), [1, N]), below(vec![0.8])).unwrap()),
        Arc::new(Affine::shared(tensor(draw(N), [1, N]), Bounds::equal(target).unwrap()).unwrap()),
    ];
    Stacked::new(parts).unwrap()
}

fn raw() -> Tensor<2> {
    tensor(normal(&mut rng(2), BATCH * N), [BATCH, N]) * 2.0
}

fn given(interior: Vec<f64>) -> RaySettings {
    RaySettings {
        interior: Some(interior),
        ..RaySettings::default()
    }
}

fn rayen(settings: RaySettings, y0: Tensor<2>, set: &dyn Constraints) -> Repaired {
    Rayen::new(settings)
        .unwrap()
        .forward(y0, set, None)
        .unwrap()
}

fn gauge_map(settings: RaySettings, y0: Tensor<2>, set: &dyn Constraints) -> Repaired {
    GaugeMap::new(settings)
        .unwrap()
        .forward(y0, set, None)
        .unwrap()
}

/// The unit disc as a quadratic row, a second-order cone, and a matrix inequality.
#[test]
fn a_disc_is_a_disc_in_every_form() {
    let y0 = || tensor(vec![3.0, 4.0, 0.3, -0.4, 0.0, 0.0], [3, 2]);
    let expected = [0.6, 0.8, 0.3, -0.4, 0.0, 0.0];
    let disc = Quadratic::diagonal(
        tensor(vec![1.0, 1.0], [1, 2]),
        tensor(vec![0.0, 0.0], [1, 2]),
        below(vec![1.0]),
    )
    .unwrap();
    same(&rayen(given(vec![0.0, 0.0]), y0(), &disc).y, &expected);
    let repaired = rayen(RaySettings::default(), y0(), &disc);
    // The deepest point of a disc is its centre, to the solver's tolerance.
    for (got, expected) in numbers(&repaired.y).iter().zip(expected) {
        assert!((got - expected).abs() < 1e-6, "{got} instead of {expected}");
    }
    assert_eq!(repaired.iterations, [1, 0, 0]);
    let cone = RayCone::SecondOrder {
        matrix: vec![1.0, 0.0, 0.0, 1.0],
        offset: vec![0.0, 0.0],
        direction: vec![0.0, 0.0],
        level: 1.0,
    };
    // [1 + y₂, y₁; y₁, 1 − y₂] is positive semidefinite where y₁² + y₂² ≤ 1.
    let inequality = RayCone::MatrixInequality {
        constant: vec![1.0, 0.0, 0.0, 1.0],
        matrices: vec![0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, -1.0],
    };
    let wide = cube(2, 100.0);
    for cone in [cone, inequality] {
        let layer = Rayen::new(given(vec![0.0, 0.0])).unwrap();
        let layer = layer.with_cones(vec![cone]).unwrap();
        same(&layer.forward(y0(), &wide, None).unwrap().y, &expected);
    }
}

/// ‖(y₁, y₂)‖ ≤ y₃ from (0, 0, 1): sideways the boundary is at distance 1, downwards at 1.
#[test]
fn a_second_order_cone_in_closed_form() {
    let cone = RayCone::SecondOrder {
        matrix: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        offset: vec![0.0, 0.0],
        direction: vec![0.0, 0.0, 1.0],
        level: 0.0,
    };
    let layer = Rayen::new(given(vec![0.0, 0.0, 1.0])).unwrap();
    let layer = layer.with_cones(vec![cone]).unwrap();
    let y0 = tensor(vec![3.0, 4.0, 1.0, 0.0, 0.0, -4.0, 0.0, 0.0, 50.0], [3, 3]);
    let repaired = layer.forward(y0, &cube(3, 100.0), None).unwrap();
    same(&repaired.y, &[0.6, 0.8, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 50.0]);
}

/// There the root of the quadratic is a double one, and its radicand rounds to either side of zero.
#[test]
fn rays_to_the_tip_of_a_cone_end_there() {
    let cone = RayCone::SecondOrder {
        matrix: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        offset: vec![0.0, 0.0],
        direction: vec![0.0, 0.0, 1.0],
        level: 0.0,
    };
    for point in normal(&mut rng(8), 200).chunks_exact(2) {
        let [a, b] = [0.5 * point[0].tanh(), 0.5 * point[1].tanh()];
        let layer = Rayen::new(given(vec![a, b, 1.0])).unwrap();
        let layer = layer.with_cones(vec![cone.clone()]).unwrap();
        let y0 = tensor::<2>(vec![-2.8 * a, -2.8 * b, -2.8], [1, 3]).require_grad();
        let repaired = layer.forward(y0.clone(), &cube(3, 100.0), None).unwrap();
        assert_eq!(repaired.status, [Status::ConvergedByResidual]);
        // The root of a rounding.
        let y = numbers(&repaired.y);
        assert!(y.iter().all(|v| v.abs() < 1e-7), "{y:?}");
        let outside = y[0].hypot(y[1]) - y[2];
        assert!((repaired.residual[0] - outside.max(0.0)).abs() < 1e-16);
        let gradients = repaired.y.sum().backward();
        let gradient = numbers(&y0.grad(&gradients).unwrap());
        assert!(gradient.iter().all(|v| v.is_finite()), "{gradient:?}");
    }
}

/// (vᵀy)² ≤ 1 along directions with vᵀd = 0, to rounding.
#[test]
fn a_quadratic_row_has_no_boundary_along_a_flat_direction() {
    for (v, y0) in [([0.3, 0.7], [7.0, -3.0]), ([0.1, 0.3], [30.0, -10.0])] {
        let h: Vec<f64> = v.iter().flat_map(|a| v.map(|b| a * b)).collect();
        let row = Quadratic::dense(
            tensor(h, [1, 2, 2]),
            tensor(vec![0.0, 0.0], [1, 2]),
            below(vec![1.0]),
        );
        let y0 = tensor::<2>(y0.to_vec(), [1, 2]).require_grad();
        let repaired = rayen(given(vec![0.0, 0.0]), y0.clone(), &row.unwrap());
        same(&repaired.y, &numbers(&y0));
        let gradients = repaired.y.sum().backward();
        same(&y0.grad(&gradients).unwrap(), &[1.0, 1.0]);
    }
}

/// 10.01 y² − 10 y ≤ 0.01 ends at 1: b + √(b² + 4sc) has lost three digits there.
#[test]
fn the_root_of_a_row_that_falls_first_keeps_its_digits() {
    let of = |values: Vec<f64>| tensor::<2>(values, [1, 1]).cast(burn::tensor::DType::F32);
    let bounds = Bounds::at_most(of(vec![0.01])).unwrap();
    let row = Quadratic::diagonal(of(vec![10.01]), of(vec![-10.0]), bounds).unwrap();
    let y = numbers(&rayen(given(vec![0.0]), of(vec![2.0]), &row).y)[0];
    assert!((y - 1.0).abs() < 1e-6, "{y}");
}

/// The gauge of a cube is the maximum norm, so that the map is half · tanh.
#[test]
fn the_gauge_map_of_a_cube_is_a_tanh() {
    let y0 = raw();
    let expected: Vec<f64> = numbers(&y0).iter().map(|v| 2.5 * v.tanh()).collect();
    same(
        &gauge_map(given(vec![0.0; N]), y0, &cube(N, 2.5)).y,
        &expected,
    );
}

#[test]
fn outputs_are_inside_and_feasible_inputs_stay() {
    let set = mixed(None);
    for repaired in [
        rayen(RaySettings::default(), raw(), &set),
        gauge_map(RaySettings::default(), raw(), &set),
    ] {
        assert_eq!(repaired.status, [Status::ConvergedByResidual; BATCH]);
        // Rounding of numbers of order one.
        assert!(
            repaired.residual.iter().all(|r| *r < 1e-13),
            "{:?}",
            repaired.residual
        );
        let again = rayen(RaySettings::default(), repaired.y.clone(), &set);
        for (a, b) in numbers(&again.y).iter().zip(numbers(&repaired.y)) {
            assert!((a - b).abs() < 1e-12);
        }
    }
}

/// Sets that differ between samples have an interior point each.
#[test]
fn sets_of_each_sample() {
    let x = tensor(normal(&mut rng(6), BATCH), [BATCH, 1]) * 0.2;
    let set = mixed(Some(x));
    let repaired = rayen(RaySettings::default(), raw(), &set);
    assert_eq!(repaired.status, [Status::ConvergedByResidual; BATCH]);
    assert!(
        repaired.residual.iter().all(|r| *r < 1e-13),
        "{:?}",
        repaired.residual
    );
}

#[test]
fn gradients_agree_with_central_differences_on_every_sample() {
    let set = mixed(None);
    for (name, layer) in [
        (
            "RAYEN",
            &rayen as &dyn Fn(_, _, &dyn Constraints) -> Repaired,
        ),
        ("gauge map", &gauge_map),
    ] {
        let worst = check_gradients(
            name,
            &[raw()],
            |inputs| layer(RaySettings::default(), inputs[0].clone(), &set).y,
            1e-5,
            1e-8, // rounding over the step
        );
        assert!(worst > 0.0);
    }
    let inequality = RayCone::MatrixInequality {
        constant: vec![1.0, 0.2, 0.2, 1.0],
        matrices: normal(&mut rng(8), N)
            .iter()
            .flat_map(|v| [*v, 0.3 * v * v, 0.3 * v * v, 1.0 - v])
            .collect(),
    };
    let cone = RayCone::SecondOrder {
        matrix: normal(&mut rng(9), 3 * N),
        offset: vec![0.1, -0.2, 0.1],
        direction: normal(&mut rng(10), N),
        level: 1.0,
    };
    let layer = Rayen::new(given(vec![0.0; N])).unwrap();
    let layer = layer.with_cones(vec![inequality, cone]).unwrap();
    let wide = cube(N, 10.0);
    check_gradients(
        "RAYEN with cones",
        &[raw()],
        |inputs| layer.forward(inputs[0].clone(), &wide, None).unwrap().y,
        1e-5,
        1e-8,
    );
}

#[test]
fn gradients_reach_the_bounds_from_a_given_point() {
    let upper = tensor(normal(&mut rng(3), BATCH * 3), [BATCH, 3]).abs() + 0.5;
    let a = normal(&mut rng(4), 3 * N);
    check_gradients(
        "bounds",
        &[raw(), upper],
        |inputs| {
            let bounds = Bounds::at_most(inputs[1].clone()).unwrap();
            let set = Affine::shared(tensor(a.clone(), [3, N]), bounds).unwrap();
            rayen(given(vec![0.0; N]), inputs[0].clone(), &set).y
        },
        1e-5,
        1e-8,
    );
}

#[test]
fn trouble_is_named() {
    // l = u in one sample only: no equality, and no interior there.
    let bounds = Bounds::per_sample(
        tensor(vec![1.0, 0.0], [2, 1]),
        tensor(vec![1.0, 2.0], [2, 1]),
    );
    let row = Affine::shared(tensor(vec![1.0, 0.0], [1, 2]), bounds.unwrap()).unwrap();
    let y0 = || tensor(vec![5.0, 1.0, 5.0, 1.0], [2, 2]);
    let repaired = rayen(RaySettings::default(), y0(), &row);
    assert_eq!(
        repaired.status,
        [Status::Singular, Status::ConvergedByResidual]
    );
    assert!(numbers(&repaired.y).iter().all(|v| v.is_finite()));
    same(
        &repaired.y.narrow(0, 1, 1),
        &[
            2.0,
            numbers(&rayen(RaySettings::default(), y0(), &row).y)[3],
        ],
    );
    // A point outside, and a set without an end.
    let half_plane = Affine::shared(tensor(vec![1.0, 0.0], [1, 2]), below(vec![1.0])).unwrap();
    let outside = rayen(given(vec![2.0, 0.0]), y0(), &half_plane);
    assert_eq!(outside.status, [Status::Singular; 2]);
    let endless = gauge_map(
        given(vec![0.0, 0.0]),
        tensor(vec![-1.0, 0.0, 1.0, 0.0], [2, 2]),
        &half_plane,
    );
    assert_eq!(
        endless.status,
        [Status::NonFinite, Status::ConvergedByResidual]
    );
    let function = Function::new(2, below(vec![1.0]), |y: Dual| y.square().sum());
    let layer = Rayen::new(RaySettings::default()).unwrap();
    let message = layer
        .forward(y0(), &function, None)
        .unwrap_err()
        .to_string();
    assert!(message.contains("row 0 is a general function"), "{message}");
    let ring = Quadratic::diagonal(
        tensor(vec![1.0, 1.0], [1, 2]),
        tensor(vec![0.0, 0.0], [1, 2]),
        Bounds::at_least(tensor(vec![1.0], [1, 1])).unwrap(),
    )
    .unwrap();
    let message = layer.forward(y0(), &ring, None).unwrap_err().to_string();
    assert!(
        message.contains("quadratic with a lower bound"),
        "{message}"
    );
    let message = rayen_error(given(vec![0.0; 3]), y0(), &half_plane);
    assert!(message.contains("`interior` has shape [3]"), "{message}");
    let message = Rayen::new(given(vec![f64::NAN])).unwrap_err().to_string();
    assert!(message.contains("`interior` is NaN"), "{message}");
    let cone = RayCone::MatrixInequality {
        constant: vec![1.0],
        matrices: vec![1.0],
    };
    let layer = Rayen::new(RaySettings::default()).unwrap();
    let message = layer.with_cones(vec![cone]).unwrap_err().to_string();
    assert!(message.contains("given where there are cones"), "{message}");
}

fn rayen_error(settings: RaySettings, y0: Tensor<2>, set: &dyn Constraints) -> String {
    let layer = Rayen::new(settings).unwrap();
    layer.forward(y0, set, None).unwrap_err().to_string()
}
