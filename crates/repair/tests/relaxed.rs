//! Every method in a widened box: what it may leave, what it must not, and its gradient there.

#[path = "../../nls/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use burn::tensor::Tensor;
use feasible_core::{Affine, Bounds, Constraints, Stacked};
use feasible_repair::{
    Dc3, Dc3Settings, FsNet, FsNetSettings, GaugeMap, HardNetAff, HardNetCvx, PiNet, PiNetSettings,
    RaySettings, Rayen, Repaired, RowPolicy, SnareNet, SnareNetSettings,
};
use support::{check_gradients, numbers, tensor};

type Layer = Box<dyn Fn(Tensor<2>, &dyn Constraints, Tensor<1>) -> Repaired>;

/// y₁ ≤ 1, y₂ ≥ −1, y₁ + y₂ + y₃ = ¼.
fn rows() -> Affine {
    let infinity = f64::INFINITY;
    let a = vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0];
    let lower = tensor(vec![-infinity, -1.0, 0.25], [3]);
    let upper = tensor(vec![1.0, infinity, 0.25], [3]);
    Affine::shared(tensor(a, [3, 3]), Bounds::shared(lower, upper).unwrap()).unwrap()
}

/// The same in a cube, which makes it bounded.
fn bounded() -> Stacked {
    let mut identity = vec![0.0; 9];
    (0..3).for_each(|i| identity[4 * i] = 1.0);
    let half = |side| tensor(vec![side; 3], [3]);
    let cube = Bounds::shared(half(-9.0), half(9.0)).unwrap();
    let cube = Affine::shared(tensor(identity, [3, 3]), cube).unwrap();
    Stacked::new(vec![Arc::new(rows()), Arc::new(cube)]).unwrap()
}

/// Layers that stop at rounding, and whether their equalities stay exact.
fn layers() -> Vec<(&'static str, bool, Layer)> {
    let snarenet = SnareNetSettings {
        tolerance: 1e-13,
        ..SnareNetSettings::default()
    };
    let (all, violated) = (
        SnareNet::new(snarenet).unwrap(),
        SnareNet::new(SnareNetSettings {
            rows: RowPolicy::Violated,
            ..snarenet
        })
        .unwrap(),
    );
    let plus_plus = SnareNet::new(SnareNetSettings {
        tolerance: 1e-13,
        ..SnareNetSettings::hardnet_plus_plus()
    })
    .unwrap();
    let dc3 = Dc3::new(Dc3Settings {
        learning_rate: 0.1,
        momentum: 0.0,
        tolerance: 0.0,
        train_steps: 200,
        test_steps: 200,
        ..Dc3Settings::default()
    })
    .unwrap();
    let fsnet = FsNet::new(FsNetSettings {
        train_tolerance: 1e-26,
        test_tolerance: 1e-26,
        gradient_tolerance: 1e-13,
        unrolled: 100,
        max_iterations: 100,
        ..FsNetSettings::default()
    })
    .unwrap();
    let pinet = PiNet::new(PiNetSettings {
        tolerance: 1e-13,
        max_iterations: 20_000,
        ..PiNetSettings::default()
    })
    .unwrap();
    let interior = RaySettings {
        interior: Some(vec![0.0, 0.0, 0.25]),
        ..RaySettings::default()
    };
    let rayen = Rayen::new(interior.clone()).unwrap();
    let gauge_map = GaugeMap::new(interior).unwrap();
    let (aff, cvx) = (HardNetAff::new(), HardNetCvx::new());
    macro_rules! layer {
        ($name:literal, $exact:literal, $layer:expr) => {{
            let layer = $layer;
            let forward: Layer =
                Box::new(move |y, set, epsilon| layer.forward(y, set, Some(epsilon)).unwrap());
            ($name, $exact, forward)
        }};
    }
    vec![
        layer!("hardnet-aff", false, aff),
        layer!("hardnet-cvx", false, cvx),
        layer!("snarenet", false, all),
        layer!("snarenet, violated rows", false, violated),
        layer!("hardnet++", false, plus_plus),
        layer!("fsnet", false, fsnet),
        layer!("pinet", false, pinet),
        layer!("dc3", true, dc3),
        layer!("rayen", true, rayen),
        layer!("gauge map", true, gauge_map),
    ]
}

/// Beyond every row, beyond one, inside the widened box alone, and inside.
const RAW: [f64; 12] = [
    3.0, -2.0, 1.0, 0.2, -1.9, 1.7, 1.3, -1.1, 0.1, 0.4, 0.1, -0.25,
];
const WIDER: [f64; 3] = [0.5, 0.25, 0.1];

#[test]
fn every_method_goes_to_the_widened_box() {
    let raw = || tensor(RAW.to_vec(), [4, 3]);
    for (name, exact, layer) in layers() {
        // A cube's rows for the method whose set must be bounded.
        let (rows, bounded): (Affine, Stacked) = (rows(), bounded());
        let is_gauge = name == "gauge map";
        let set: &dyn Constraints = if is_gauge { &bounded } else { &rows };
        let widened = |by: f64| {
            let mut epsilon: Vec<f64> = WIDER.iter().map(|e| by * e).collect();
            epsilon.resize(set.rows(), 0.0);
            tensor::<1>(epsilon, [set.rows()])
        };
        let outside = |repaired: &Repaired, by: f64| -> f64 {
            let y = numbers(&repaired.y);
            let of = |y: &[f64]| {
                let equality = if exact { 0.0 } else { by * WIDER[2] };
                (y[0] - 1.0 - by * WIDER[0])
                    .max(-1.0 - by * WIDER[1] - y[1])
                    .max((y.iter().sum::<f64>() - 0.25).abs() - equality)
            };
            y.chunks_exact(3).map(of).fold(f64::NEG_INFINITY, f64::max)
        };
        let (narrow, wide) = (
            layer(raw(), set, widened(0.0)),
            layer(raw(), set, widened(1.0)),
        );
        // DC3's steps shrink by 0.9 or so each.
        assert!(outside(&narrow, 0.0) < 1e-8, "{name}");
        assert!(
            outside(&wide, 1.0) < 1e-8,
            "{name}: {}",
            outside(&wide, 1.0)
        );
        // The widened box is used: some sample ends beyond the narrow one.
        assert!(outside(&wide, 0.0) > 1e-3, "{name}");
        assert!(
            wide.residual.iter().all(|r| *r < 1e-8),
            "{name}: {:?}",
            wide.residual
        );
        if !exact {
            // Inside the widened box nothing is moved.
            let kept = &numbers(&wide.y)[9..];
            assert!(
                kept.iter()
                    .zip(&RAW[9..])
                    .all(|(a, b)| (a - b).abs() < 1e-12),
                "{name}"
            );
        }
        check_gradients(
            name,
            &[raw()],
            |inputs| layer(inputs[0].clone(), set, widened(1.0)).y,
            1e-5,
            1e-6,
        );
    }
}
