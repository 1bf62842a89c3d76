//! Repair methods.

use burn::tensor::Tensor;
use feasible::repair::{
    Dc3, Dc3Settings, FsNet, FsNetSettings, GaugeMap, HardNetAff, HardNetCvx, PiNet, PiNetSettings,
    RaySettings, Rayen, SnareNet, SnareNetSettings,
};
use feasible::{Affine, Bounds, Constraints, Dual, Function, Quadratic, Stacked, host};
use std::sync::Arc;

use crate::Backend;

impl Backend {
    pub(crate) fn snarenet(&self, damping: f64) -> SnareNet {
        let tolerance = self.tolerance * 0.1;
        SnareNet::new(SnareNetSettings {
            tolerance,
            damping,
            ..Default::default()
        })
        .unwrap()
    }

    /// One undamped step is y − A⁺(Ay − b).
    pub(crate) fn repair_of_affine_rows(&self) {
        let bounds = Bounds::equal(self.matrix([[1.0], [4.0]])).unwrap();
        let sum = Affine::shared(self.matrix([[1.0, 1.0, 1.0]]), bounds).unwrap();
        let raw = self
            .matrix([[1.0, 2.0, 4.0], [0.0, 0.0, 1.0]])
            .require_grad();
        let repaired = self.snarenet(0.0).forward(raw.clone(), &sum, None).unwrap();
        self.same(
            "affine repair",
            &repaired.y,
            &[-1.0, 0.0, 2.0, 1.0, 1.0, 2.0],
        );
        let gradients = repaired.y.narrow(1, 0, 1).sum().backward();
        let third = 1.0 / 3.0;
        let row = [1.0 - third, -third, -third];
        self.same(
            "affine repair gradient",
            &raw.grad(&gradients).unwrap(),
            &[row, row].concat(),
        );
    }

    /// The circle as a quadratic row (on the host) and as a function (on the device). Damped
    /// steps towards a circle keep the direction, so the fixed point is ŷ/‖ŷ‖ and the gradient
    /// that of the normalisation.
    pub(crate) fn repair_of_a_circle_by_both_paths(&self) {
        let one = || Bounds::equal(self.matrix([[1.0]])).unwrap();
        let row = Quadratic::diagonal(self.matrix([[1.0, 1.0]]), self.matrix([[0.0, 0.0]]), one())
            .unwrap();
        let function = Function::new(2, one(), |y: Dual| y.square().sum());
        for constraints in [&row as &dyn Constraints, &function] {
            let raw = self.matrix([[3.0, 4.0], [0.6, -0.3]]).require_grad();
            let repaired = self
                .snarenet(1e-2)
                .forward(raw.clone(), constraints, None)
                .unwrap();
            let short = 0.45f64.sqrt();
            self.same(
                "circle",
                &repaired.y,
                &[0.6, 0.8, 0.6 / short, -0.3 / short],
            );
            let gradients = repaired.y.narrow(1, 0, 1).sum().backward();
            let expected = [
                0.64 / 5.0,
                -0.48 / 5.0,
                0.09 / 0.45 / short,
                0.18 / 0.45 / short,
            ];
            // A tolerance on the residual leaves as much again in the gradient.
            self.same("circle gradient", &raw.grad(&gradients).unwrap(), &expected);
        }
    }

    pub(crate) fn repair_with_infinite_bounds_and_relaxation(&self) {
        let bounds = Bounds::at_most(self.matrix([[1.0, 0.0]])).unwrap();
        let rows = self.matrix([[1.0, 0.0], [0.0, 1.0]]);
        let half_planes = Affine::shared(rows, bounds).unwrap();
        let raw = self.matrix([[3.0, -5.0], [0.5, -1.0]]);
        let repaired = self
            .snarenet(0.0)
            .forward(raw.clone(), &half_planes, Some(self.vector(&[0.5, 0.0])))
            .unwrap();
        self.same("relaxed", &repaired.y, &[1.5, -5.0, 0.5, -1.0]);
        assert_eq!(
            repaired.iterations[1], 0,
            "a feasible sample is not touched"
        );
    }

    /// y₁ + 2y₂ + 2y₃ ≥ 7 from 5 below: y = ŷ + a(7 − aᵀŷ)/9.
    pub(crate) fn repair_in_closed_form(&self) {
        let bounds = Bounds::at_least(self.matrix([[7.0]])).unwrap();
        let row = Affine::shared(self.matrix([[1.0, 2.0, 2.0]]), bounds).unwrap();
        let raw = self
            .matrix([[2.0, 1.0, -3.0], [9.0, 0.0, 0.0]])
            .require_grad();
        let aff = HardNetAff::new().forward(raw.clone(), &row, None).unwrap();
        let cvx = HardNetCvx::new().forward(raw.clone(), &row, None).unwrap();
        for repaired in [aff, cvx] {
            let expected = [3.0, 3.0, -1.0, 9.0, 0.0, 0.0];
            self.same("closed form", &repaired.y, &expected);
            assert!(repaired.status.iter().all(|s| s.is_converged()));
            let gradients = repaired.y.narrow(1, 0, 1).sum().backward();
            let ninth = 1.0 / 9.0;
            self.same(
                "closed form gradient",
                &raw.grad(&gradients).unwrap(),
                &[8.0 * ninth, -2.0 * ninth, -2.0 * ninth, 1.0, 0.0, 0.0],
            );
        }
    }

    /// y₃ = t − y₁ − y₂ by either completion, and y₁ ≤ 1 corrected by one step of ¼: in the kept
    /// variables the gradient of (y₁ − 1)² is 2(y₁ − 1).
    pub(crate) fn repair_by_completion(&self) {
        let target = || Bounds::equal(self.matrix([[1.0]])).unwrap();
        let below = || Bounds::at_most(self.matrix([[1.0]])).unwrap();
        let bound = Affine::shared(self.matrix([[1.0, 0.0, 0.0]]), below()).unwrap();
        let sum = Affine::shared(self.matrix([[1.0, 1.0, 1.0]]), target()).unwrap();
        let function = Function::new(3, target(), |y: Dual| y.sum());
        let equalities: [Arc<dyn Constraints>; 2] = [Arc::new(sum), Arc::new(function)];
        for equality in equalities {
            let set = Stacked::new(vec![Arc::new(bound.clone()), equality]).unwrap();
            let layer = Dc3::new(Dc3Settings {
                partial: Some(vec![0, 1]),
                train_steps: 1,
                learning_rate: 0.25,
                ..Dc3Settings::default()
            })
            .unwrap();
            let raw = self
                .matrix([[3.0, 2.0, 7.0], [0.5, 1.0, 0.0]])
                .require_grad();
            let repaired = layer.forward(raw.clone(), &set, None).unwrap();
            self.same("completion", &repaired.y, &[2.0, 2.0, -3.0, 0.5, 1.0, -0.5]);
            let gradients = repaired.y.narrow(1, 2, 1).sum().backward();
            self.same(
                "completion gradient",
                &raw.grad(&gradients).unwrap(),
                &[-0.5, -1.0, 0.0, -1.0, -1.0, 0.0],
            );
        }
    }

    pub(crate) fn repair_by_splitting(&self) {
        let rows = self.matrix([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 2.0, 2.0]]);
        let infinity = f64::INFINITY;
        let bounds = Bounds::shared(
            self.vector(&[1.0, 0.0, -infinity]),
            self.vector(&[1.0, infinity, 2.0]),
        );
        let set = Affine::shared(rows, bounds.unwrap()).unwrap();
        let settings = PiNetSettings {
            tolerance: self.tolerance * 0.01,
            max_iterations: 10_000,
            ..PiNetSettings::default()
        };
        let raw = self
            .matrix([[0.5, 0.9, 0.1], [-2.0, 1.0, 0.5]])
            .require_grad();
        let layer = PiNet::new(settings).unwrap();
        let repaired = layer.forward(raw.clone(), &set, None).unwrap();
        let sixth = 1.0 / 6.0;
        self.same(
            "splitting",
            &repaired.y,
            &[0.5 - sixth, 0.9 - sixth, 0.1 - sixth, 0.0, 0.75, 0.25],
        );
        let gradients = repaired.y.narrow(1, 1, 1).sum().backward();
        let third = 1.0 / 3.0;
        self.same(
            "splitting gradient",
            &raw.grad(&gradients).unwrap(),
            &[-third, 2.0 * third, -third, 0.0, 0.5, -0.5],
        );
    }

    /// On one affine row every step is along it, so the point reached is the nearest.
    pub(crate) fn repair_by_quasi_newton_steps(&self) {
        let bounds = Bounds::equal(self.matrix([[1.0], [4.0]])).unwrap();
        let sum = Affine::shared(self.matrix([[1.0, 1.0, 1.0]]), bounds).unwrap();
        let tolerance = (self.tolerance * 0.1).powi(2);
        let settings = FsNetSettings {
            train_tolerance: tolerance,
            gradient_tolerance: 0.0,
            ..FsNetSettings::default()
        };
        let raw = self
            .matrix([[1.0, 2.0, 4.0], [0.0, 0.0, 1.0]])
            .require_grad();
        let layer = FsNet::new(settings).unwrap();
        let repaired = layer.forward(raw.clone(), &sum, None).unwrap();
        let expected = [-1.0, 0.0, 2.0, 1.0, 1.0, 2.0];
        self.same("quasi-Newton", &repaired.y, &expected);
        let gradients = repaired.y.narrow(1, 0, 1).sum().backward();
        let third = 1.0 / 3.0;
        let row = [1.0 - third, -third, -third];
        self.same(
            "quasi-Newton gradient",
            &raw.grad(&gradients).unwrap(),
            &[row, row].concat(),
        );
    }

    /// To the unit disc along the radius; onto a cube by its tanh.
    pub(crate) fn repair_along_rays(&self) {
        let one = || Bounds::at_most(self.matrix([[1.0]])).unwrap();
        let disc = Quadratic::diagonal(self.matrix([[1.0, 1.0]]), self.matrix([[0.0, 0.0]]), one())
            .unwrap();
        let centre = || RaySettings {
            interior: Some(vec![0.0, 0.0]),
            ..RaySettings::default()
        };
        let raw = self.matrix([[3.0, 4.0], [0.3, 0.4]]).require_grad();
        let layer = Rayen::new(centre()).unwrap();
        let repaired = layer.forward(raw.clone(), &disc, None).unwrap();
        self.same("ray", &repaired.y, &[0.6, 0.8, 0.3, 0.4]);
        let gradients = repaired.y.narrow(1, 0, 1).sum().backward();
        self.same(
            "ray gradient",
            &raw.grad(&gradients).unwrap(),
            &[0.64 / 5.0, -0.48 / 5.0, 1.0, 0.0],
        );
        let bounds = Bounds::shared(self.vector(&[-2.0, -2.0]), self.vector(&[2.0, 2.0]));
        let square = Affine::shared(self.matrix([[1.0, 0.0], [0.0, 1.0]]), bounds.unwrap());
        let square = square.unwrap();
        for settings in [centre(), RaySettings::default()] {
            let raw = self.matrix([[0.5, -0.25], [0.0, 1.0]]).require_grad();
            let layer = GaugeMap::new(settings).unwrap();
            let repaired = layer.forward(raw.clone(), &square, None).unwrap();
            let expected = [0.5f64, -0.25, 0.0, 1.0].map(|v| 2.0 * v.tanh());
            self.same("gauge map", &repaired.y, &expected);
            let gradients = repaired.y.sum().backward();
            let expected = [0.5f64, -0.25, 0.0, 1.0].map(|v| 2.0 * (1.0 - v.tanh().powi(2)));
            let gradient = raw.grad(&gradients).unwrap();
            self.same("gauge map gradient", &gradient, &expected);
        }
    }

    /// From 5 towards y² = 1 in steps of at most 1; and one affine row by conjugate gradients, whose
    /// first iteration is exact there.
    pub(crate) fn repair_with_clamped_and_inexact_steps(&self) {
        let square = Function::new(
            1,
            Bounds::equal(self.matrix([[1.0]])).unwrap(),
            |y: Dual| y.square(),
        );
        let layer = SnareNet::new(SnareNetSettings {
            trust_region: Some(1.0),
            damping: 0.0,
            max_iterations: 3,
            tolerance: 1e-5,
            ..SnareNetSettings::default()
        })
        .unwrap();
        let raw = self.matrix([[5.0], [1.0]]);
        let repaired = layer.forward(raw, &square, None).unwrap();
        self.same("clamped", &repaired.y, &[2.0, 1.0]);
        let bounds = Bounds::equal(self.matrix([[1.0]])).unwrap();
        let sum = Affine::shared(self.matrix([[1.0, 1.0, 1.0]]), bounds).unwrap();
        let layer = SnareNet::new(SnareNetSettings {
            conjugate_gradient: Some(10),
            damping: 0.0,
            tolerance: self.tolerance * 0.1,
            ..SnareNetSettings::default()
        })
        .unwrap();
        let raw = self.matrix([[1.0, 2.0, 4.0]]).require_grad();
        let repaired = layer.forward(raw.clone(), &sum, None).unwrap();
        self.same("conjugate gradients", &repaired.y, &[-1.0, 0.0, 2.0]);
        let gradients = repaired.y.narrow(1, 0, 1).sum().backward();
        let third = 1.0 / 3.0;
        self.same(
            "conjugate gradients gradient",
            &raw.grad(&gradients).unwrap(),
            &[1.0 - third, -third, -third],
        );
    }

    /// Every method refuses NaN and other widths, and passes empty batches on.
    pub(crate) fn repairs_of_bad_numbers(&self) {
        let bounds = Bounds::shared(self.vector(&[-1.0, -1.0]), self.vector(&[1.0, 1.0]));
        let identity = self.matrix([[1.0, 0.0], [0.0, 1.0]]);
        let square = Affine::shared(identity, bounds.unwrap()).unwrap();
        let clamped = SnareNetSettings {
            trust_region: Some(1.0),
            ..SnareNetSettings::default()
        };
        let inexact = SnareNetSettings {
            conjugate_gradient: Some(10),
            ..SnareNetSettings::default()
        };
        type Repair<'a> = Box<dyn Fn(Tensor<2>) -> Result<Tensor<2>, String> + 'a>;
        macro_rules! method {
            ($layer:expr) => {{
                let layer = $layer;
                let set = &square;
                Box::new(move |y: Tensor<2>| match layer.forward(y, set, None) {
                    Ok(repaired) => Ok(repaired.y),
                    Err(error) => Err(error.to_string()),
                }) as Repair<'_>
            }};
        }
        let methods = [
            method!(HardNetAff::new()),
            method!(HardNetCvx::new()),
            method!(Dc3::new(Dc3Settings::default()).unwrap()),
            method!(PiNet::new(PiNetSettings::default()).unwrap()),
            method!(FsNet::new(FsNetSettings::default()).unwrap()),
            method!(Rayen::new(RaySettings::default()).unwrap()),
            method!(GaugeMap::new(RaySettings::default()).unwrap()),
            method!(self.snarenet(1e-2)),
            method!(SnareNet::new(SnareNetSettings::hardnet_plus_plus()).unwrap()),
            method!(SnareNet::new(clamped).unwrap()),
            method!(SnareNet::new(inexact).unwrap()),
        ];
        for (at, repair) in methods.iter().enumerate() {
            let message = repair(self.matrix([[0.5, f64::NAN]])).unwrap_err();
            assert!(message.contains("`y0` is NaN"), "{message}");
            let message = repair(self.matrix([[0.5, 0.5, 0.5]])).unwrap_err();
            assert!(message.contains("`y0` has shape [1, 3]"), "{message}");
            let empty = host::write(vec![], [0, 2], &self.device, self.dtype);
            assert_eq!(repair(empty).unwrap().dims(), [0, 2]);
            let inside = repair(self.matrix([[3.0, 0.25]])).unwrap();
            let y = host::read("y", &inside).unwrap();
            assert!(y.iter().all(|v| v.is_finite()), "method {at}: {y:?}");
        }
    }
}
