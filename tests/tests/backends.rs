//! The same list of layer checks on every backend, in every precision it has. Each check has a
//! closed form, so that no backend is only compared with another.

use burn::tensor::{DType, Device, Tensor, TensorData};
use feasible::convex::model::{Model, entropy};
use feasible::convex::{
    Cone, ConeLayer, ConeTensors, ConvexLayer, ConvexSettings, Error, GradientQuality, Hessian,
    OnFailure, Projection, QcqpLayer, QpLayer, QpTensors, RowHessians, SparseMatrix, Status,
};
use feasible::nls::{Backward, FunctionResidual, LevenbergMarquardt, Settings};
use feasible::repair::{
    Dc3, Dc3Settings, FsNet, FsNetSettings, GaugeMap, HardNetAff, HardNetCvx, PiNet, PiNetSettings,
    RaySettings, Rayen, SnareNet, SnareNetSettings,
};
use feasible::{
    Affine, Bounds, Constraints, Dual, Function, Quadratic, SoftPenalty, Stacked, Violations, host,
};
use std::sync::Arc;

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
        self.quadratic_program_with_dense_matrices_and_an_active_row();
        self.projection_on_the_ball();
        self.quadratic_rows_with_every_gradient();
        self.cone_program_with_every_gradient();
        self.model_with_every_gradient();
        self.projection_on_stacked_rows();
        self.relaxed_projection();
        self.samples_without_a_solution();
        self.numbers_that_are_none();
        self.no_samples_and_no_rows();
        self.repair_of_affine_rows();
        self.repair_of_a_circle_by_both_paths();
        self.repair_with_infinite_bounds_and_relaxation();
        self.least_squares_by_both_backward_modes();
        self.repair_in_closed_form();
        self.repair_by_completion();
        self.repair_by_splitting();
        self.repair_by_quasi_newton_steps();
        self.repair_along_rays();
        self.repair_with_clamped_and_inexact_steps();
        self.repairs_of_bad_numbers();
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

    /// P = [2 1; 1 2], x₁ + x₂ ≤ u active: x = −P⁻¹(q + λ(1, 1)), λ = −(3u + q₁ + q₂)/2.
    fn quadratic_program_with_dense_matrices_and_an_active_row(&self) {
        let p = self.matrix([[2.0, 1.0], [1.0, 2.0]]).require_grad();
        let q = self.matrix([[-4.0, -5.0], [1.0, 2.0]]).require_grad();
        let g = self.matrix([[1.0, 1.0]]).require_grad();
        let (l, u) = (
            self.vector(&[f64::NEG_INFINITY]),
            self.vector(&[1.0]).require_grad(),
        );
        let problem = QpTensors::new(Hessian::dense(p.clone()), q.clone()).inequalities(
            g.clone(),
            l,
            u.clone(),
        );
        let solution = QpLayer::default().forward(&problem).unwrap();
        // The second sample's minimiser −P⁻¹q = (0, −1) meets the row.
        self.same("dense x", &solution.x, &[0.0, 1.0, 0.0, -1.0]);
        self.same("dense dual", &solution.inequality_dual, &[3.0, 0.0]);
        let gradients = solution.x.narrow(1, 0, 1).sum().backward();
        self.same(
            "dense q gradient",
            &q.grad(&gradients).unwrap(),
            &[-0.5, 0.5, -2.0 / 3.0, 1.0 / 3.0],
        );
        self.same("dense u gradient", &u.grad(&gradients).unwrap(), &[0.5]);
        // λ times the gradient in q plus the gradient in u times −x.
        self.same(
            "dense G gradient",
            &g.grad(&gradients).unwrap(),
            &[-1.5, 1.0],
        );
        // ½(w xᵀ + x wᵀ) summed over the samples, w = (−½, ½) and (−⅔, ⅓).
        let off = 1.0 / 3.0 - 0.25;
        self.same(
            "dense P gradient",
            &p.grad(&gradients).unwrap(),
            &[0.0, off, off, 0.5 - 1.0 / 3.0],
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

    /// h x² + g x ≤ c with x wanted as large as possible near 10: x = (−g + √(g² + 4hc))/(2h); at
    /// h = 1, g = 0, c = 4 it is 2, with derivatives −1, −½ and ¼.
    fn quadratic_rows_with_every_gradient(&self) {
        let h = self.vector(&[1.0]).reshape([1, 1, 1]).require_grad();
        let g = self.matrix([[0.0]]).require_grad();
        let c = self.vector(&[4.0]).require_grad();
        let problem = QpTensors::new(Hessian::dense(self.matrix([[1.0]])), self.matrix([[-10.0]]))
            .quadratics(RowHessians::dense(h.clone()), g.clone(), c.clone());
        let solution = QcqpLayer::default().forward(&problem).unwrap();
        self.same("root", &solution.x, &[2.0]);
        // x − 10 + μ·2x = 0.
        self.same("multiplier", &solution.quadratic_dual, &[2.0]);
        let gradients = solution.x.sum().backward();
        self.same("h gradient", &h.grad(&gradients).unwrap(), &[-1.0]);
        self.same("g gradient", &g.grad(&gradients).unwrap(), &[-0.5]);
        self.same("c gradient", &c.grad(&gradients).unwrap(), &[0.25]);
    }

    /// The disc x₁² + x₂² ≤ 1 and x₁ = 0.6: from (0.6, 3) to (0.6, 0.8), which moves with the
    /// equality's side by (1, −0.75).
    /// x = −q/‖q‖ minimises qᵀx on the unit disc, with multiplier z = (‖q‖, q).
    fn cone_program_with_every_gradient(&self) {
        let q = self.matrix([[3.0, 4.0], [0.0, 2.0]]).require_grad();
        let a = self
            .matrix([[0.0, 0.0], [-1.0, 0.0], [0.0, -1.0]])
            .require_grad();
        let b = self.vector(&[1.0, 0.0, 0.0]).require_grad();
        let problem = ConeTensors::new(
            q.clone(),
            SparseMatrix::dense(a.clone()),
            b.clone(),
            vec![Cone::SecondOrder(3)],
        );
        let solution = ConeLayer::default().forward(&problem).unwrap();
        let reports = solution.gradient_reports();
        self.same("x", &solution.x, &[-0.6, -0.8, 0.0, -1.0]);
        self.same("s", &solution.s, &[1.0, -0.6, -0.8, 1.0, 0.0, -1.0]);
        self.same("z", &solution.z, &[5.0, 3.0, 4.0, 2.0, 0.0, 2.0]);
        let gradients = solution.x.narrow(1, 0, 1).sum().backward();
        let of_q = q.grad(&gradients).unwrap();
        self.same("∂q", &of_q, &[-0.128, 0.096, -0.5, 0.0]);
        // x scales with the radius b₀ and moves with the centre −(b₁, b₂).
        self.same("∂b", &b.grad(&gradients).unwrap(), &[-0.6, -2.0, 0.0]);
        let of_a = host::read("∂A", &a.grad(&gradients).unwrap()).unwrap();
        assert!(of_a.iter().all(|v| v.is_finite()) && of_a.iter().any(|v| *v != 0.0));
        assert_eq!(reports.count(GradientQuality::Exact), Some(2));
    }

    /// The maximiser of cᵀx + entropy(x) over the simplex is softmax(c), with derivative
    /// diag(x) − xxᵀ.
    fn model_with_every_gradient(&self) {
        let mut model = Model::new();
        let x = model.variable("x", [3]);
        let c = model.parameter("c", [3]);
        let problem = model
            .maximize(x.dot(&c) + entropy(&x).sum())
            .subject_to(x.sum().eq(1.0).named("total"))
            .compile()
            .unwrap();
        let logs = [
            [1.0f64, 2.0, 5.0].map(f64::ln),
            [4.0, 3.0, 1.0].map(f64::ln),
        ];
        let c = self.matrix(logs).require_grad();
        let layer = ConvexLayer::new(problem);
        let solution = layer.forward([("c", c.clone().into())]).unwrap();
        let reports = solution.gradient_reports();
        let x = solution.variable("x").unwrap();
        self.same("x", &x, &[0.125, 0.25, 0.625, 0.5, 0.375, 0.125]);
        let gradients = x.narrow(1, 0, 1).sum().backward();
        let of_c = c.grad(&gradients).unwrap();
        self.same(
            "∂c",
            &of_c,
            &[0.109375, -0.03125, -0.078125, 0.25, -0.1875, -0.0625],
        );
        assert_eq!(reports.count(GradientQuality::Exact), Some(2));
    }

    fn projection_on_stacked_rows(&self) {
        let disc = Quadratic::diagonal(
            self.matrix([[1.0, 1.0]]),
            self.matrix([[0.0, 0.0]]),
            Bounds::at_most(self.matrix([[1.0]])).unwrap(),
        )
        .unwrap();
        let target = self.matrix([[0.6]]).require_grad();
        let line = Affine::shared(
            self.matrix([[1.0, 0.0]]),
            Bounds::equal(target.clone()).unwrap(),
        )
        .unwrap();
        let set = Stacked::new(vec![Arc::new(disc), Arc::new(line)]).unwrap();
        let raw = self.matrix([[0.6, 3.0], [0.0, 0.0]]);
        let projected = Projection::default().forward(raw, &set).unwrap();
        self.same("stacked", &projected.y, &[0.6, 0.8, 0.6, 0.0]);
        let gradients = projected.y.narrow(1, 1, 1).sum().backward();
        self.same(
            "stacked gradient",
            &target.grad(&gradients).unwrap(),
            &[-0.75],
        );
    }

    fn relaxed_projection(&self) {
        let rows = self.matrix([[1.0, 0.0], [0.0, 1.0]]);
        let box_ = Affine::shared(
            rows,
            Bounds::shared(self.vector(&[0.0, 1.0]), self.vector(&[1.0, 1.0])).unwrap(),
        )
        .unwrap();
        let raw = self.matrix([[3.0, 5.0], [-2.0, 0.75]]);
        let epsilon = self.vector(&[0.5, 0.25]);
        let projected = Projection::default()
            .forward_relaxed(raw, &box_, epsilon)
            .unwrap();
        self.same("relaxed", &projected.y, &[1.5, 1.25, -0.5, 0.75]);
    }

    /// The second sample's rows contradict each other.
    fn samples_without_a_solution(&self) {
        let q = self.matrix([[-2.0], [-2.0]]).require_grad();
        let problem = || {
            QpTensors::new(Hessian::diagonal(self.vector(&[1.0])), q.clone()).inequalities(
                self.matrix([[1.0], [-1.0]]),
                self.matrix([[f64::NEG_INFINITY, f64::NEG_INFINITY], [-1.0, 2.0]]),
                self.matrix([[1.0, f64::INFINITY], [f64::INFINITY, f64::INFINITY]]),
            )
        };
        let error = QpLayer::default().forward(&problem()).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Unsolved {
                    sample: 1,
                    status: Status::PrimalInfeasible,
                    failed: 1,
                    batch: 2,
                    ..
                }
            ),
            "{error}"
        );
        for on_failure in [OnFailure::Nan, OnFailure::Keep] {
            let layer = QpLayer::new(ConvexSettings {
                on_failure,
                ..ConvexSettings::default()
            })
            .unwrap();
            let solution = layer.forward(&problem()).unwrap();
            let x = host::read("x", &solution.x).unwrap();
            assert!((x[0] - 1.0).abs() <= self.tolerance);
            assert_eq!(x[1].is_nan(), on_failure == OnFailure::Nan);
            let gradients = (solution.x * -2.0).narrow(0, 0, 2).sum().backward();
            let of_q = host::read("q", &q.grad(&gradients).unwrap()).unwrap();
            // The first is held by its bound, the second adds nothing.
            assert_eq!(of_q, [0.0, 0.0]);
        }
    }

    fn numbers_that_are_none(&self) {
        let bounds = Bounds::shared(self.vector(&[0.0]), self.vector(&[1.0])).unwrap();
        let row = Affine::shared(self.matrix([[1.0, 1.0]]), bounds).unwrap();
        let y = self.matrix([[0.25, 0.25], [f64::NAN, 0.0]]);
        let summary = Violations::of(&row, y.clone()).summary(1e-6).unwrap();
        assert_eq!(summary.infeasible_samples, 1, "a NaN is never feasible");
        let message = Projection::default()
            .forward(y.clone(), &row)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("y_hat") && message.contains("NaN"),
            "{message}"
        );
        let message = self.snarenet(0.0).forward(y, &row, None).unwrap_err();
        assert!(message.to_string().contains("NaN"), "{message}");
        let crossed = Bounds::shared(self.vector(&[2.0]), self.vector(&[1.0]));
        assert!(crossed.unwrap_err().to_string().contains("row 0"));
    }

    fn no_samples_and_no_rows(&self) {
        let empty = |rows: usize, columns: usize| -> Tensor<2> {
            host::write(vec![], [rows, columns], &self.device, self.dtype)
        };
        let nothing = || Bounds::shared(self.vector(&[]), self.vector(&[])).unwrap();
        let none = Affine::shared(empty(0, 2), nothing()).unwrap();
        let one = Affine::shared(
            self.matrix([[1.0, 0.0]]),
            Bounds::at_most(self.matrix([[1.0]])).unwrap(),
        )
        .unwrap();
        let set = Stacked::new(vec![Arc::new(none.clone()), Arc::new(one)]).unwrap();
        let raw = self.matrix([[3.0, 4.0]]).require_grad();
        let projected = Projection::default().forward(raw.clone(), &set).unwrap();
        self.same("one row of two parts", &projected.y, &[1.0, 4.0]);
        let projected = Projection::default().forward(raw.clone(), &none).unwrap();
        self.same("no rows", &projected.y, &[3.0, 4.0]);
        for constraints in [&none as &dyn Constraints, &set] {
            let raw = empty(0, 2);
            let repaired = self.snarenet(0.0).forward(raw.clone(), constraints, None);
            assert_eq!(repaired.unwrap().y.dims(), [0, 2]);
            let projected = Projection::default().forward(raw, constraints).unwrap();
            assert_eq!(projected.y.dims(), [0, 2]);
        }
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

    /// y₁ + 2y₂ + 2y₃ ≥ 7 from 5 below: y = ŷ + a(7 − aᵀŷ)/9.
    fn repair_in_closed_form(&self) {
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
    fn repair_by_completion(&self) {
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

    fn repair_by_splitting(&self) {
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
    fn repair_by_quasi_newton_steps(&self) {
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
    fn repair_along_rays(&self) {
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
    fn repair_with_clamped_and_inexact_steps(&self) {
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
    fn repairs_of_bad_numbers(&self) {
        let bounds = Bounds::shared(self.vector(&[-1.0, -1.0]), self.vector(&[1.0, 1.0]));
        let identity = self.matrix([[1.0, 0.0], [0.0, 1.0]]);
        let square = Affine::shared(identity, bounds.unwrap()).unwrap();
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
        ];
        for repair in methods {
            let message = repair(self.matrix([[0.5, f64::NAN]])).unwrap_err();
            assert!(message.contains("`y0` is NaN"), "{message}");
            let message = repair(self.matrix([[0.5, 0.5, 0.5]])).unwrap_err();
            assert!(message.contains("`y0` has shape [1, 3]"), "{message}");
            let empty = host::write(vec![], [0, 2], &self.device, self.dtype);
            assert_eq!(repair(empty).unwrap().dims(), [0, 2]);
            let inside = repair(self.matrix([[3.0, 0.25]])).unwrap();
            assert!(
                host::read("y", &inside)
                    .unwrap()
                    .iter()
                    .all(|v| v.is_finite())
            );
        }
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

/// Without the feature a backend's tests are silently absent: the test command says which it means
/// to run.
#[test]
fn every_backend_asked_for_is_in_this_build() {
    let asked = std::env::var("FEASIBLE_TEST_BACKENDS").unwrap_or_default();
    for backend in asked.split_whitespace() {
        let built = [
            ("flex", cfg!(feature = "flex")),
            ("ndarray", cfg!(feature = "ndarray")),
            ("wgpu", cfg!(feature = "wgpu")),
        ];
        assert!(
            built.contains(&(backend, true)),
            "feasible-tests was built without {backend}"
        );
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
