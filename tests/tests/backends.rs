//! The same list of layer checks on every backend, in every precision it has. Each check has a
//! closed form, so that no backend is only compared with another.

use burn::tensor::{DType, Device, Tensor, TensorData};
use feasible::convex::{
    GradientQuality, Hessian, Projection, QcqpLayer, QpLayer, QpTensors, RowHessians,
};
use feasible::nls::{Backward, FunctionResidual, LevenbergMarquardt, Settings};
use feasible::repair::{SnareNet, SnareNetSettings};
use feasible::{
    Affine, Bounds, Constraints, Dual, Function, Quadratic, SoftPenalty, Violations, host,
};

/// A backend under test.
struct Backend {
    device: Device,
    dtype: DType,
    /// What rounding leaves: layers compute in f64, tensors between them in `dtype`.
    tolerance: f64,
}

impl Backend {
    fn f64(device: Device) -> Self {
        Self {
            device: device.autodiff(),
            dtype: DType::F64,
            tolerance: 1e-9,
        }
    }

    /// Two hundred units of f32 rounding.
    fn f32(device: Device) -> Self {
        Self {
            device: device.autodiff(),
            dtype: DType::F32,
            tolerance: 2e-5,
        }
    }

    fn vector(&self, values: &[f64]) -> Tensor<1> {
        host::write(values.to_vec(), [values.len()], &self.device, self.dtype)
    }

    fn matrix<const R: usize, const C: usize>(&self, values: [[f64; C]; R]) -> Tensor<2> {
        let data = TensorData::new(values.concat(), [R, C]).convert_dtype(self.dtype);
        Tensor::from_data(data, (&self.device, self.dtype))
    }

    fn same<const D: usize>(&self, what: &str, tensor: &Tensor<D>, expected: &[f64]) {
        assert_eq!(
            tensor.dtype(),
            self.dtype,
            "{what}: a layer keeps the precision of its input"
        );
        let got = host::read("result", tensor).unwrap();
        assert_eq!(got.len(), expected.len(), "{what}");
        for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
            let close = (got - expected).abs() <= self.tolerance * expected.abs().max(1.0);
            assert!(close, "{what}, entry {at}: {got} instead of {expected}");
        }
    }

    fn run(&self) {
        self.penalty_and_violations();
        self.projection_on_the_simplex();
        self.quadratic_program_with_every_gradient();
        self.projection_on_the_ball();
        self.repair_of_affine_rows();
        self.repair_of_a_circle_by_both_paths();
        self.repair_with_infinite_bounds_and_relaxation();
        self.least_squares_by_both_backward_modes();
    }

    fn penalty_and_violations(&self) {
        let bounds = Bounds::shared(
            self.vector(&[0.0, f64::NEG_INFINITY]),
            self.vector(&[1.0, 1.0]),
        )
        .unwrap();
        let constraints = Affine::shared(self.matrix([[1.0, 0.0], [0.0, 1.0]]), bounds).unwrap();
        let y = self
            .matrix([[4.0, 5.0], [-3.0, -9.0], [0.5, 0.5]])
            .require_grad();
        let summary = Violations::of(&constraints, y.clone())
            .summary(1e-6)
            .unwrap();
        assert_eq!(
            (summary.max, summary.lower_max, summary.infeasible_samples),
            (4.0, 3.0, 2)
        );
        let penalty = SoftPenalty::default()
            .components(&constraints, y.clone())
            .total();
        self.same("penalty", &penalty, &[50.0, 30.0, 0.0]);
        let gradients = penalty.sum().backward();
        self.same(
            "penalty gradient",
            &y.grad(&gradients).unwrap(),
            &[6.0, 8.0, -10.0, 0.0, 0.0, 0.0],
        );
    }

    fn projection_on_the_simplex(&self) {
        let rows = self.matrix([
            [1.0, 1.0, 1.0],
            [1.0, 0.0, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 1.0],
        ]);
        let infinity = f64::INFINITY;
        let bounds = Bounds::shared(
            self.vector(&[1.0, 0.0, 0.0, 0.0]),
            self.vector(&[1.0, infinity, infinity, infinity]),
        );
        let simplex = Affine::shared(rows, bounds.unwrap()).unwrap();
        let y_hat = self
            .matrix([[0.5, 0.9, 0.1], [2.0, 0.0, 0.25]])
            .require_grad();
        let projected = Projection::default()
            .forward(y_hat.clone(), &simplex)
            .unwrap();
        let reports = projected.gradient_reports();
        self.same("projection", &projected.y, &[0.3, 0.7, 0.0, 1.0, 0.0, 0.0]);
        let gradients = projected.y.narrow(1, 0, 1).sum().backward();
        self.same(
            "projection gradient",
            &y_hat.grad(&gradients).unwrap(),
            &[0.5, -0.5, 0.0, 0.0, 0.0, 0.0],
        );
        assert_eq!(reports.count(GradientQuality::Exact), Some(2));
    }

    /// min ½ p‖x‖² + qᵀx with Σx = b: x = (−q + μ)/p, μ = (pb + Σq)/n.
    fn quadratic_program_with_every_gradient(&self) {
        let p = self.vector(&[2.0, 2.0]).require_grad();
        let q = self.matrix([[1.0, -1.0], [0.0, 2.0]]).require_grad();
        let a = self.matrix([[1.0, 1.0]]);
        let b = self.vector(&[3.0]).require_grad();
        let problem =
            QpTensors::new(Hessian::diagonal(p.clone()), q.clone()).equalities(a, b.clone());
        let solution = QpLayer::default().forward(&problem).unwrap();
        self.same("x", &solution.x, &[1.0, 2.0, 2.0, 1.0]);
        self.same("dual", &solution.equality_dual, &[-3.0, -4.0]);
        let gradients = solution.x.narrow(1, 0, 1).sum().backward();
        self.same(
            "q gradient",
            &q.grad(&gradients).unwrap(),
            &[-0.25, 0.25, -0.25, 0.25],
        );
        self.same("b gradient", &b.grad(&gradients).unwrap(), &[1.0]);
        // dx = −[projection on Σ = 0] (dp ∘ x)/p, summed over both samples.
        self.same(
            "p gradient",
            &p.grad(&gradients).unwrap(),
            &[-0.25 * (1.0 + 2.0), 0.25 * (2.0 + 1.0)],
        );
    }

    /// ŷ outside the unit ball goes to u = ŷ/‖ŷ‖, with derivative (I − uuᵀ)/‖ŷ‖.
    fn projection_on_the_ball(&self) {
        let y_hat = self.matrix([[3.0, 4.0], [0.3, 0.4]]).require_grad();
        let problem = QpTensors::new(Hessian::diagonal(self.vector(&[1.0, 1.0])), -y_hat.clone())
            .quadratics(
                RowHessians::diagonal(self.matrix([[1.0, 1.0]])),
                self.matrix([[0.0, 0.0]]),
                self.vector(&[1.0]),
            );
        let solution = QcqpLayer::default().forward(&problem).unwrap();
        self.same("ball", &solution.x, &[0.6, 0.8, 0.3, 0.4]);
        let gradients = solution.x.narrow(1, 0, 1).sum().backward();
        self.same(
            "ball gradient",
            &y_hat.grad(&gradients).unwrap(),
            &[0.64 / 5.0, -0.48 / 5.0, 1.0, 0.0],
        );
    }

    fn snarenet(&self, damping: f64) -> SnareNet {
        let tolerance = self.tolerance * 0.1;
        SnareNet::new(SnareNetSettings {
            tolerance,
            damping,
            ..Default::default()
        })
        .unwrap()
    }

    /// One undamped step is y − A⁺(Ay − b).
    fn repair_of_affine_rows(&self) {
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
    fn repair_of_a_circle_by_both_paths(&self) {
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

    fn repair_with_infinite_bounds_and_relaxation(&self) {
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

    /// r = (y² − θ)/√θ: y = √θ, dy/dθ = 1/(2√θ).
    fn least_squares_by_both_backward_modes(&self) {
        for backward in [Backward::Unrolled, Backward::Implicit] {
            let theta = self.matrix([[4.0], [9.0]]).require_grad();
            let residual = FunctionResidual::with_parameters(
                1,
                1,
                vec![theta.clone()],
                |y: Dual, theta: &[Tensor<2>]| {
                    (y.square() - theta[0].clone()) / theta[0].clone().sqrt()
                },
            );
            let settings = Settings {
                backward,
                residual_tolerance: self.tolerance * 0.1,
                ..Settings::default()
            };
            let solution = LevenbergMarquardt::new(settings)
                .unwrap()
                .solve(&residual, self.matrix([[1.0], [2.0]]))
                .unwrap();
            self.same("root", &solution.y, &[2.0, 3.0]);
            let gradients = solution.y.sum().backward();
            self.same(
                "root gradient",
                &theta.grad(&gradients).unwrap(),
                &[0.25, 1.0 / 6.0],
            );
        }
    }
}

#[cfg(feature = "flex")]
#[test]
fn flex_f64() {
    Backend::f64(Device::flex()).run();
}

#[cfg(feature = "flex")]
#[test]
fn flex_f32() {
    Backend::f32(Device::flex()).run();
}

#[cfg(feature = "ndarray")]
#[test]
#[allow(deprecated, reason = "deprecated upstream and still supported here")]
fn ndarray_f64() {
    Backend::f64(Device::ndarray()).run();
}

#[cfg(feature = "ndarray")]
#[test]
#[allow(deprecated, reason = "deprecated upstream and still supported here")]
fn ndarray_f32() {
    Backend::f32(Device::ndarray()).run();
}

#[cfg(feature = "wgpu")]
#[test]
fn wgpu_f32() {
    Backend::f32(Device::wgpu(Default::default())).run();
}
