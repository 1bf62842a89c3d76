//! Π-net against closed forms, against the convex layer's projection, and its gradient against
//! central differences.

#[path = "../../nls/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use burn::tensor::Tensor;
use feasible_convex::Projection;
use feasible_core::{Affine, Bounds, Constraints, Quadratic, Stacked};
use feasible_repair::{PiNet, PiNetSettings, Repaired, Status};
use support::{check_gradients, normal, numbers, rng, tensor};

const BATCH: usize = 12;
const N: usize = 6;
const EQ: usize = 2;
const INEQ: usize = 3;

/// Ay = x; l ≤ Cy ≤ l + 0.5; −2 y₁ ≤ 0.6 and y₂ ≤ 0.4, which are bounds; one matrix, or one a sample.
fn set(x: Tensor<2>, lower: Tensor<2>, copies: usize) -> Stacked {
    let mut rng = rng(1);
    let mut draw = |count| normal(&mut rng, count);
    let equalities = tensor(draw(copies * EQ * N), [copies, EQ, N]);
    let inequalities = tensor(draw(copies * INEQ * N), [copies, INEQ, N]);
    let mut bounds = vec![0.0; 2 * N];
    (bounds[0], bounds[N + 1]) = (-2.0, 1.0);
    let upper = lower.clone() + 0.5;
    let parts: Vec<Arc<dyn Constraints>> = vec![
        Arc::new(
            Affine::per_sample(inequalities, Bounds::per_sample(lower, upper).unwrap()).unwrap(),
        ),
        Arc::new(Affine::per_sample(equalities, Bounds::equal(x).unwrap()).unwrap()),
        Arc::new(
            Affine::shared(
                tensor(bounds, [2, N]),
                Bounds::at_most(tensor(vec![0.6, 0.4], [1, 2])).unwrap(),
            )
            .unwrap(),
        ),
    ];
    Stacked::new(parts).unwrap()
}

fn inputs() -> [Tensor<2>; 3] {
    let mut rng = rng(2);
    [
        tensor(normal(&mut rng, BATCH * N), [BATCH, N]),
        tensor(normal(&mut rng, BATCH * EQ), [BATCH, EQ]) * 0.3,
        tensor(normal(&mut rng, BATCH * INEQ), [BATCH, INEQ]) * 0.2 - 0.25,
    ]
}

fn exact() -> PiNetSettings {
    PiNetSettings {
        tolerance: 1e-13,
        max_iterations: 20_000,
        ..PiNetSettings::default()
    }
}

fn repair(settings: PiNetSettings, y0: Tensor<2>, set: &dyn Constraints) -> Repaired {
    PiNet::new(settings)
        .unwrap()
        .forward(y0, set, None)
        .unwrap()
}

#[test]
fn points_of_the_simplex_are_known() {
    let rows = [
        vec![1.0, 1.0, 1.0],
        vec![1.0, 0.0, 0.0],
        vec![0.0, 1.0, 0.0],
        vec![0.0, 0.0, 1.0],
    ];
    let infinity = f64::INFINITY;
    let bounds = Bounds::shared(
        tensor(vec![1.0, 0.0, 0.0, 0.0], [4]),
        tensor(vec![1.0, infinity, infinity, infinity], [4]),
    );
    let simplex = Affine::shared(tensor(rows.concat(), [4, 3]), bounds.unwrap()).unwrap();
    let y0 = tensor(vec![0.5, 0.9, 0.1, 2.0, 0.0, 0.25], [2, 3]);
    for sigma in [0.1, 1.0, 5.0] {
        let settings = PiNetSettings { sigma, ..exact() };
        let repaired = repair(settings, y0.clone(), &simplex);
        let expected = [0.3, 0.7, 0.0, 1.0, 0.0, 0.0];
        for (got, expected) in numbers(&repaired.y).iter().zip(expected) {
            assert!(
                (got - expected).abs() < 1e-12,
                "{got} instead of {expected}"
            );
        }
        assert_eq!(repaired.status, [Status::ConvergedByResidual; 2]);
    }
}

/// Rows in units over six decades: fewer iterations pass by pass, to the same points.
#[test]
fn equilibration_undoes_the_units_of_rows_and_changes_no_point() {
    let [y0, x, lower] = inputs();
    let mut rng = rng(1);
    let mut draw = |count| normal(&mut rng, count);
    let (a, c) = (draw(EQ * N), draw(INEQ * N));
    let set = |units: [f64; EQ + INEQ]| -> Stacked {
        let units =
            |first: usize, count: usize| tensor(units[first..][..count].to_vec(), [1, count]);
        let rows = |values: &[f64], first: usize, count: usize| {
            tensor(values.to_vec(), [count, N]) * units(first, count).reshape([count, 1])
        };
        let lower = lower.clone() * units(EQ, INEQ);
        let upper = lower.clone() + units(EQ, INEQ) * 0.5;
        let inside = Bounds::per_sample(lower, upper).unwrap();
        let equal = Bounds::equal(x.clone() * units(0, EQ)).unwrap();
        let parts: Vec<Arc<dyn Constraints>> = vec![
            Arc::new(Affine::shared(rows(&c, EQ, INEQ), inside).unwrap()),
            Arc::new(Affine::shared(rows(&a, 0, EQ), equal).unwrap()),
        ];
        Stacked::new(parts).unwrap()
    };
    let (plain, scaled) = (set([1.0; EQ + INEQ]), set([1e-3, 1e2, 1e3, 1.0, 1e-2]));
    let run = |set: &Stacked, equilibration, tolerance| {
        let settings = PiNetSettings {
            equilibration,
            tolerance,
            ..exact()
        };
        repair(settings, y0.clone(), set)
    };
    let total = |repaired: &Repaired| repaired.iterations.iter().sum::<usize>();
    // The first pass hardly touches them.
    let [first, few, many] = [1, 25, 200].map(|passes| total(&run(&scaled, passes, 1e-8)));
    assert!(5 * few < first && 4 * many < few, "{first} {few} {many}");
    let projected = Projection::default().forward(y0.clone(), &plain).unwrap();
    for (got, expected) in numbers(&run(&scaled, 25, 1e-12).y)
        .iter()
        .zip(numbers(&projected.y))
    {
        // The tolerance over the rate of convergence.
        assert!((got - expected).abs() < 1e-9, "{got} instead of {expected}");
    }
}

#[test]
fn it_is_the_projection_that_the_convex_layer_computes() {
    for copies in [1, BATCH] {
        let [y0, x, lower] = inputs();
        let set = set(x, lower, copies);
        let repaired = repair(exact(), y0.clone(), &set);
        let expected = Projection::default().forward(y0, &set).unwrap();
        for (got, expected) in numbers(&repaired.y).iter().zip(numbers(&expected.y)) {
            // The tolerance over the rate of convergence, here better than 0.99.
            assert!(
                (got - expected).abs() < 1e-10,
                "{got} instead of {expected}"
            );
        }
    }
}

/// The published property: the last projection makes equalities hold however few iterations ran.
#[test]
fn equalities_hold_after_five_iterations() {
    let [y0, x, lower] = inputs();
    let set = set(x, lower, 1);
    let settings = PiNetSettings {
        max_iterations: 5,
        ..PiNetSettings::default()
    };
    let repaired = repair(settings, y0, &set);
    let rows = numbers(&set.bounds().residual(set.values(repaired.y)));
    for row in rows.chunks_exact(INEQ + EQ + 2) {
        assert!(row[INEQ].abs() < 1e-13 && row[INEQ + 1].abs() < 1e-13);
    }
    assert!(repaired.status.contains(&Status::MaxIterations));
    assert!(repaired.residual.iter().any(|r| *r > 1e-3));
}

#[test]
fn gradients_agree_with_central_differences_on_every_sample() {
    let iterative = PiNetSettings {
        backward_iterations: 200,
        ..exact()
    };
    let equilibrated = PiNetSettings {
        equilibration: 25,
        ..exact()
    };
    for (copies, settings) in [
        (1, exact()),
        (BATCH, exact()),
        (1, iterative),
        (1, equilibrated),
    ] {
        let worst = check_gradients(
            "Pi-net",
            &inputs(),
            |inputs| {
                let set = set(inputs[1].clone(), inputs[2].clone(), copies);
                repair(settings, inputs[0].clone(), &set).y
            },
            1e-5,
            1e-6, // the fixed point's tolerance over the step and the rate
        );
        assert!(worst > 0.0);
    }
}

#[test]
fn a_relaxed_equality_is_an_inequality() {
    let row = tensor(vec![1.0, 1.0], [1, 2]);
    let line = Affine::shared(row, Bounds::equal(tensor(vec![1.0], [1, 1])).unwrap()).unwrap();
    let layer = PiNet::new(exact()).unwrap();
    let y0 = tensor(vec![2.0, 2.0, 0.6, 0.5], [2, 2]);
    for (epsilon, expected) in [
        (Some(tensor(vec![1.0], [1])), [1.0, 1.0, 0.6, 0.5]),
        (None, [0.5, 0.5, 0.55, 0.45]),
    ] {
        let repaired = layer.forward(y0.clone(), &line, epsilon).unwrap();
        for (got, expected) in numbers(&repaired.y).iter().zip(expected) {
            assert!(
                (got - expected).abs() < 1e-12,
                "{got} instead of {expected}"
            );
        }
    }
}

#[test]
fn trouble_is_named() {
    let contradicting = Affine::shared(
        tensor(vec![1.0, 1.0, 1.0, 1.0], [2, 2]),
        Bounds::shared(
            tensor(vec![2.0, f64::NEG_INFINITY], [2]),
            tensor(vec![f64::INFINITY, 1.0], [2]),
        )
        .unwrap(),
    )
    .unwrap();
    let y0 = || tensor(vec![0.0, 0.0], [1, 2]);
    let repaired = repair(PiNetSettings::default(), y0(), &contradicting);
    assert_eq!(repaired.status, [Status::MaxIterations]);
    assert!(repaired.residual[0] >= 0.5 - 1e-6);
    let twice = Affine::shared(
        tensor(vec![1.0, 1.0, 1.0, 1.0], [2, 2]),
        Bounds::equal(tensor(vec![1.0, 2.0], [1, 2])).unwrap(),
    )
    .unwrap();
    let repaired = repair(PiNetSettings::default(), y0(), &twice);
    assert_eq!(repaired.status, [Status::Singular]);
    let disc = Quadratic::diagonal(
        tensor(vec![1.0, 1.0], [1, 2]),
        tensor(vec![0.0, 0.0], [1, 2]),
        Bounds::at_most(tensor(vec![1.0], [1, 1])).unwrap(),
    )
    .unwrap();
    let layer = PiNet::new(PiNetSettings::default()).unwrap();
    let message = layer.forward(y0(), &disc, None).unwrap_err().to_string();
    assert_eq!(message, "PiNet needs affine rows, but row 0 is quadratic");
    let tracked = Affine::shared(
        tensor(vec![1.0, 1.0], [1, 2]).require_grad(),
        Bounds::at_most(tensor(vec![1.0], [1, 1])).unwrap(),
    )
    .unwrap();
    let message = layer.forward(y0(), &tracked, None).unwrap_err().to_string();
    assert!(
        message.contains("row 0 is in need of a gradient"),
        "{message}"
    );
    for (settings, expected) in [
        (
            PiNetSettings {
                omega: 2.0,
                ..PiNetSettings::default()
            },
            "`omega`",
        ),
        (
            PiNetSettings {
                sigma: 0.0,
                ..PiNetSettings::default()
            },
            "`sigma`",
        ),
        (
            PiNetSettings {
                equilibration_tolerance: 0.0,
                ..PiNetSettings::default()
            },
            "`equilibration_tolerance`",
        ),
    ] {
        let message = PiNet::new(settings).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}
