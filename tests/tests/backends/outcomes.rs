//! What layers do besides solving: certificates, relaxed samples, kinks, warm starts, policies, forward
//! derivatives of curved rows and cones, and least squares that cannot be met.

use feasible::convex::model::{Model, norm2, sum_squares};
use feasible::convex::{
    Cone, ConeLayer, ConeLayerSettings, ConeParameter, ConeTensors, ConvexLayer,
    ConvexLayerSettings, ConvexSettings, Degenerate, Direction, GradientQuality, Hessian,
    Infeasible, OnFailure, Projection, QcqpLayer, QpLayer, QpParameter, QpTensors, RowHessians,
    SparseMatrix, Status,
};
use feasible::nls::{self, FunctionResidual, LevenbergMarquardt};
use feasible::{Affine, Bounds, host};

use crate::Backend;

impl Backend {
    /// Projections on x ≥ 2 and x ≤ 1, which contradict each other, and on x ≥ ½ and x ≤ 1.
    pub(crate) fn conflicts_and_relaxed_samples(&self) {
        let rows = self.matrix([[1.0], [1.0]]);
        let infinity = f64::INFINITY;
        let bounds = Bounds::per_sample(
            self.matrix([[2.0, -infinity], [0.5, -infinity]]),
            self.matrix([[infinity, 1.0], [infinity, 1.0]]),
        );
        let constraints = Affine::shared(rows, bounds.unwrap()).unwrap();
        let y_hat = self.matrix([[0.0], [0.0]]).require_grad();
        let mut settings = ConvexSettings {
            on_failure: OnFailure::Keep,
            ..ConvexSettings::default()
        };
        let layer = Projection::new(settings).unwrap();
        let projected = layer.forward(y_hat.clone(), &constraints).unwrap();
        assert_eq!(projected.status, [Status::PrimalInfeasible, Status::Solved]);
        let conflict = projected.conflict(0).unwrap();
        assert_eq!(conflict.rows.len(), 2, "{conflict}");
        // min ½y² + ½w(2 − y)² + ½w(y − 1)²: y = 3w/(1 + 2w), which moves with ŷ by 1/(1 + 2w).
        settings.solver.infeasible = Infeasible::Elastic { weight: 10.0 };
        let layer = Projection::new(settings).unwrap();
        let relaxed = layer.forward(y_hat.clone(), &constraints).unwrap();
        assert_eq!(relaxed.status, [Status::Relaxed, Status::Solved]);
        self.same("relaxed", &relaxed.y, &[30.0 / 21.0, 0.5]);
        let gradient = y_hat.grad(&relaxed.y.clone().sum().backward()).unwrap();
        self.same("relaxed gradient", &gradient, &[1.0 / 21.0, 0.0]);
        let shift = relaxed.shift(0).unwrap();
        let expected = [30.0 / 21.0 - 2.0, 30.0 / 21.0 - 1.0];
        for (got, expected) in shift.iter().zip(expected) {
            assert!((got - expected).abs() <= self.tolerance, "{shift:?}");
        }
    }

    /// The projection of 0 on x ≥ 0: derivatives from both sides, by the option.
    pub(crate) fn kinks_by_option(&self) {
        for (degenerate, expected) in [(Degenerate::Held, 0.0), (Degenerate::Released, 1.0)] {
            let mut settings = ConvexSettings::default();
            settings.adjoint.degenerate = degenerate;
            let q = self.matrix([[0.0]]).require_grad();
            let problem = QpTensors::new(Hessian::diagonal(self.vector(&[1.0])), q.clone())
                .inequalities(
                    self.matrix([[1.0]]),
                    self.vector(&[0.0]),
                    self.vector(&[f64::INFINITY]),
                );
            let solution = QpLayer::new(settings).unwrap().forward(&problem).unwrap();
            let reports = solution.gradient_reports();
            let gradients = (-solution.x.clone()).sum().backward();
            self.same("kink", &q.grad(&gradients).unwrap(), &[expected]);
            assert_eq!(reports.count(GradientQuality::Degenerate), Some(1));
        }
    }

    /// The projection on the disc from where the last one ended.
    pub(crate) fn warm_starts(&self) {
        let disc = |q: [[f64; 2]; 1]| {
            QpTensors::new(Hessian::diagonal(self.vector(&[1.0, 1.0])), self.matrix(q)).quadratics(
                RowHessians::diagonal(self.matrix([[1.0, 1.0]])),
                self.matrix([[0.0, 0.0]]),
                self.vector(&[1.0]),
            )
        };
        let layer = QcqpLayer::default();
        let before = layer.forward(&disc([[-3.0, -4.0]])).unwrap();
        let warm = layer.forward_from(&disc([[-4.0, -3.0]]), &before).unwrap();
        self.same("warm", &warm.x, &[0.8, 0.6]);
        // (I − uuᵀ)/‖q‖ along e₀, of the opposite sign.
        let direction = Direction::default()
            .along(QpParameter::Q, &self.matrix([[1.0, 0.0]]))
            .unwrap();
        let tangent = warm.tangent(&direction).unwrap();
        self.same("disc tangent", &tangent.x, &[-0.36 / 5.0, 0.48 / 5.0]);
    }

    /// The positive part of [1 2; 2 1] is 3/2 [1 1; 1 1]; along the identity it moves by ½ [1 1; 1 1].
    pub(crate) fn semidefinite_cone(&self) {
        let root = f64::sqrt(2.0);
        let q = self.matrix([[-1.0, -2.0 * root, -1.0]]).require_grad();
        let identity = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let problem = ConeTensors::new(
            q.clone(),
            SparseMatrix::dense(-self.matrix(identity)),
            self.vector(&[0.0; 3]),
            vec![Cone::Semidefinite(2)],
        )
        .quadratic(SparseMatrix::upper_triangle(self.matrix(identity)));
        let solution = ConeLayer::default().forward(&problem).unwrap();
        self.same("positive part", &solution.x, &[1.5, 1.5 * root, 1.5]);
        let trace = solution.x.clone().narrow(1, 0, 1) + solution.x.clone().narrow(1, 2, 1);
        let half = [0.5, 0.5 * root, 0.5];
        let gradient = q.grad(&trace.sum().backward()).unwrap();
        self.same("gradient of the trace", &gradient, &half.map(|v| -v));
        let along = Direction::default()
            .along(ConeParameter::Q, &self.matrix([[-1.0, 0.0, -1.0]]))
            .unwrap();
        self.same("tangent", &solution.tangent(&along).unwrap().x, &half);
    }

    /// 1 ≤ x ≤ b: the second sample's b is below 1.
    pub(crate) fn conic_samples_without_a_solution(&self) {
        let b = self.matrix([[-1.0, 2.0], [-1.0, 0.0]]);
        let problem = ConeTensors::new(
            self.matrix([[1.0], [1.0]]),
            SparseMatrix::dense(self.matrix([[-1.0], [1.0]])),
            b,
            vec![Cone::Nonnegative(2)],
        );
        let message = ConeLayer::default().forward(&problem).unwrap_err();
        assert!(message.to_string().contains("sample 1"), "{message}");
        let nan = ConeLayerSettings {
            on_failure: OnFailure::Nan,
            ..ConeLayerSettings::default()
        };
        let solution = ConeLayer::new(nan).unwrap().forward(&problem).unwrap();
        let x = host::read("x", &solution.x).unwrap();
        assert!((x[0] - 1.0).abs() <= self.tolerance && x[1].is_nan());
        let rows = solution.conflict(1).unwrap();
        assert_eq!(rows.len(), 2, "{rows:?}");

        let mut model = Model::new();
        let x = model.variable("x", [2]);
        let floor = model.parameter("floor", []);
        let compiled = model
            .minimize(sum_squares(&x))
            .subject_to(norm2(&x).le(1.0))
            .subject_to(x.at([0]).ge(floor).named("floor"))
            .compile()
            .unwrap();
        let keep = ConvexLayerSettings {
            on_failure: OnFailure::Keep,
            ..ConvexLayerSettings::default()
        };
        let layer = ConvexLayer::new(compiled).with_settings(keep).unwrap();
        let floor = self.vector(&[0.5, 2.0]).require_grad();
        let solution = layer.forward([("floor", floor.clone().into())]).unwrap();
        assert_eq!(solution.status, [Status::Solved, Status::PrimalInfeasible]);
        let named = solution.conflict(1).unwrap().to_string();
        assert!(named.contains("floor"), "{named}");
        let gradients = solution.variable("x").unwrap().sum().backward();
        self.same("∂floor", &floor.grad(&gradients).unwrap(), &[1.0, 0.0]);
    }

    /// A residual without numbers, one that nothing meets, and no variables.
    pub(crate) fn least_squares_that_cannot_be_met(&self) {
        let solver = LevenbergMarquardt::new(nls::Settings::default()).unwrap();
        let target = self.matrix([[-2.0], [4.0]]);
        // ln(y − target) is no number below the target, and 0 one above it.
        let residual =
            FunctionResidual::with_parameters(1, 1, vec![target], |y, p| (y - p[0].clone()).log());
        let start = self.matrix([[0.0], [0.0]]);
        let solution = solver.solve(&residual, start).unwrap();
        assert_eq!(solution.status[1], nls::Status::NonFinite);
        assert!(solution.status[0].is_converged(), "{:?}", solution.status);
        self.same("root", &solution.y.narrow(0, 0, 1), &[-1.0]);
        // y² = −1: the best is y = 0, with the residual that stays.
        let short = self.matrix([[-1.0]]);
        let residual =
            FunctionResidual::with_parameters(1, 1, vec![short], |y, p| y.square() - p[0].clone());
        let solution = solver.solve(&residual, self.matrix([[0.5]])).unwrap();
        assert_ne!(solution.status[0], nls::Status::ConvergedByResidual);
        assert!(solution.residual_norm[0] >= 1.0 - self.tolerance);
        let empty = host::write(vec![], [1, 0], &self.device, self.dtype);
        let message = solver
            .solve(&FunctionResidual::new(0, 1, |y| y), empty)
            .unwrap_err();
        assert!(
            message.to_string().contains("at least one variable"),
            "{message}"
        );
        // A repair of rows that contradict each other ends, and says that it is not feasible.
        let bounds = Bounds::shared(self.vector(&[2.0, -1.0]), self.vector(&[3.0, 1.0])).unwrap();
        let rows = Affine::shared(self.matrix([[1.0, 0.0], [1.0, 0.0]]), bounds).unwrap();
        let raw = self.matrix([[0.0, 0.0]]).require_grad();
        let repaired = self
            .snarenet(0.0)
            .forward(raw.clone(), &rows, None)
            .unwrap();
        let summary = feasible::Violations::of(&rows, repaired.y.clone())
            .summary(1e-6)
            .unwrap();
        assert_eq!(summary.infeasible_samples, 1);
        let gradient = raw.grad(&repaired.y.sum().backward()).unwrap();
        let gradient = host::read("gradient", &gradient).unwrap();
        assert!(gradient.iter().all(|v| v.is_finite()), "{gradient:?}");
    }
}
