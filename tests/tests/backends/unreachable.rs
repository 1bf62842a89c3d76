//! A batch with a sample that cannot be met, or has no value: it is told, and does not spoil the other one.

use burn::tensor::Tensor;
use feasible::nls::least_squares::{AutoCost, Builder, Manifold, Real, Residual, Robust, Weight};
use feasible::nls::{
    FunctionResidual, LevenbergMarquardt, ObjectiveLayer, ObjectiveTensors, Settings,
};
use feasible::repair::{
    Dc3, Dc3Settings, FsNet, FsNetSettings, GaugeMap, HardNetAff, HardNetCvx, PiNet, PiNetSettings,
    RaySettings, Rayen, Repaired, SnareNet, SnareNetSettings, Status,
};
use feasible::{Affine, Bounds, Constraints, Dual, Function, host};

use crate::Backend;

/// y₁ − θ and ln y₂.
struct Logarithm;

impl Residual for Logarithm {
    fn rows(&self) -> usize {
        2
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        out[0] = variables[0][0] - auxiliaries[0][0];
        out[1] = variables[0][1].ln();
    }
}

type Repair = Box<dyn Fn(Tensor<2>, &dyn Constraints) -> Repaired>;

macro_rules! method {
    ($name:literal, $layer:expr) => {{
        let layer = $layer;
        let repair: Repair = Box::new(move |y, set| layer.forward(y, set, None).unwrap());
        ($name, repair)
    }};
}

impl Backend {
    fn general_methods(&self) -> Vec<(&'static str, Repair)> {
        let dc3 = Dc3Settings {
            learning_rate: 0.4,
            train_steps: 100,
            test_steps: 100,
            ..Dc3Settings::default()
        };
        vec![
            method!("snarenet", self.snarenet(1e-2)),
            method!(
                "hardnet++",
                SnareNet::new(SnareNetSettings {
                    tolerance: self.tolerance,
                    ..SnareNetSettings::hardnet_plus_plus()
                })
                .unwrap()
            ),
            method!("fsnet", FsNet::new(FsNetSettings::default()).unwrap()),
            method!("dc3", Dc3::new(dc3).unwrap()),
        ]
    }

    /// The first sample is in [0, 1], and its gradient is finite, by either of them; the second has not converged.
    fn one_of_two(&self, name: &str, repair: &Repair, set: &dyn Constraints, raw: [[f64; 2]; 2]) {
        let raw = self.matrix(raw).require_grad();
        let repaired = repair(raw.clone(), set);
        let [first, second] = repaired.status[..] else {
            panic!("{name}: a status a sample");
        };
        assert!(first.is_converged(), "{name}: {first:?}");
        // Steps may end at the least distance.
        assert_ne!(second, Status::ConvergedByResidual, "{name}");
        let missed = repaired.residual[1];
        assert!(missed.is_nan() || missed > 1e-3, "{name}: {missed:e}");
        let y = host::read("y", &repaired.y).unwrap();
        assert!((-1e-3..=1.0 + 1e-3).contains(&y[0]), "{name}: {y:?}");
        let first = repaired.y.narrow(0, 0, 1).sum().backward();
        let gradient = host::read("gradient", &raw.grad(&first).unwrap()).unwrap();
        assert!(
            gradient.iter().all(|v| v.is_finite()),
            "{name}: {gradient:?}"
        );
    }

    /// y₁ ≥ 0 and y₁ ≤ u, with u = 1 and −1.
    pub(crate) fn repairs_of_sets_without_a_point(&self) {
        let infinity = f64::INFINITY;
        let bounds = Bounds::per_sample(
            self.matrix([[0.0, -infinity], [0.0, -infinity]]),
            self.matrix([[infinity, 1.0], [infinity, -1.0]]),
        );
        let rows = self.matrix([[1.0, 0.0], [1.0, 0.0]]);
        let set = Affine::shared(rows, bounds.unwrap()).unwrap();
        let mut methods = self.general_methods();
        methods.extend([
            method!("hardnet-cvx", HardNetCvx::new()),
            method!("pinet", PiNet::new(PiNetSettings::default()).unwrap()),
            method!("rayen", Rayen::new(RaySettings::default()).unwrap()),
        ]);
        for (name, repair) in &methods {
            self.one_of_two(name, repair, &set, [[3.0, 0.5], [3.0, 0.5]]);
        }
        // The same rows twice have no inverse: no sample is called converged but one that is inside.
        let (name, aff) = method!("hardnet-aff", HardNetAff::new());
        self.one_of_two(name, &aff, &set, [[0.5, 0.5], [3.0, 0.5]]);
        // Its set has to be bounded.
        let bounds = Bounds::per_sample(
            self.matrix([[0.0, -infinity, -1.0], [0.0, -infinity, -1.0]]),
            self.matrix([[2.0, 1.0, 1.0], [2.0, -1.0, 1.0]]),
        );
        let rows = self.matrix([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]);
        let set = Affine::shared(rows, bounds.unwrap()).unwrap();
        let (name, gauge) = method!("gauge map", GaugeMap::new(RaySettings::default()).unwrap());
        self.one_of_two(name, &gauge, &set, [[3.0, 0.5], [3.0, 0.5]]);
    }

    /// √y₁ ≤ 1 and √y₂ ≤ 9, from where there is a root and from where there is none.
    pub(crate) fn repairs_where_rows_have_no_value(&self) {
        let bounds = Bounds::at_most(self.matrix([[1.0, 9.0]])).unwrap();
        let set = Function::new(2, bounds, |y: Dual| y.sqrt());
        for (name, repair) in &self.general_methods() {
            self.one_of_two(name, repair, &set, [[4.0, 1.0], [-1.0, 1.0]]);
            let status = repair(self.matrix([[-1.0, 1.0]]), &set).status[0];
            assert_eq!(status, Status::NonFinite, "{name}");
        }
    }

    pub(crate) fn objectives_without_a_value(&self) {
        let mut objective = Builder::new();
        let y = objective.variable("y", Manifold::Vector(2)).unwrap();
        let theta = objective.auxiliary("theta", 1).unwrap();
        let cost = AutoCost::new(Logarithm);
        objective
            .cost("log", cost, &[y], &[theta], Weight::Identity, Robust::None)
            .unwrap();
        let layer = ObjectiveLayer::new(objective.build().unwrap(), Default::default()).unwrap();
        let theta = self.matrix([[0.5], [0.5]]).require_grad();
        let inputs = |start| {
            ObjectiveTensors::new()
                .start("y", start)
                .auxiliary("theta", theta.clone())
        };
        let solution = layer
            .solve(&inputs(self.matrix([[0.0, 2.0], [0.0, -2.0]])))
            .unwrap();
        let none = feasible::nls::least_squares::Status::NonFinite;
        assert!(solution.status[0].is_converged());
        assert_eq!(solution.status[1], none);
        assert!(solution.cost[1].is_nan());
        self.same("solved", &solution.all().narrow(0, 0, 1), &[0.5, 1.0]);
        let gradients = solution.all().sum().backward();
        self.same("gradient", &theta.grad(&gradients).unwrap(), &[1.0, 0.0]);
        let narrow = layer.solve(&inputs(self.matrix([[0.0], [0.0]])));
        let message = narrow.unwrap_err().to_string();
        assert!(
            message.contains("`y`") && message.contains("[2, 1]"),
            "{message}"
        );

        // A residual over tensors that returns other shapes than it was declared with.
        let solver = LevenbergMarquardt::new(Settings::default()).unwrap();
        let residual = FunctionResidual::new(2, 1, |y: Dual| y.square());
        let message = solver
            .solve(&residual, self.matrix([[1.0, 2.0, 3.0]]))
            .unwrap_err()
            .to_string();
        assert!(message.contains("[1, 3]"), "{message}");
    }
}
