//! Convex layers: projections, quadratic and cone programs, models.

use feasible::convex::model::{Model, entropy};
use feasible::convex::{
    Cone, ConeLayer, ConeTensors, ConvexLayer, ConvexSettings, Direction, Error, GradientQuality,
    Hessian, OnFailure, Projection, QcqpLayer, QpLayer, QpParameter, QpTensors, RowHessians,
    SparseMatrix, Status,
};
use feasible::{Affine, Bounds, Quadratic, Stacked, host};
use std::sync::Arc;

use crate::Backend;

impl Backend {
    pub(crate) fn projection_on_the_simplex(&self) {
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
    pub(crate) fn quadratic_program_with_every_gradient(&self) {
        let p = self.vector(&[2.0, 2.0]).require_grad();
        let q = self.matrix([[1.0, -1.0], [0.0, 2.0]]).require_grad();
        let a = self.matrix([[1.0, 1.0]]);
        let b = self.vector(&[3.0]).require_grad();
        let problem =
            QpTensors::new(Hessian::diagonal(p.clone()), q.clone()).equalities(a, b.clone());
        let solution = QpLayer::default().forward(&problem).unwrap();
        self.same("x", &solution.x, &[1.0, 2.0, 2.0, 1.0]);
        self.same("dual", &solution.equality_dual(), &[-3.0, -4.0]);
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
    pub(crate) fn quadratic_program_with_dense_matrices_and_an_active_row(&self) {
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
        self.same("dense dual", &solution.inequality_dual(), &[3.0, 0.0]);
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
    pub(crate) fn projection_on_the_ball(&self) {
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
    pub(crate) fn quadratic_rows_with_every_gradient(&self) {
        let h = self.vector(&[1.0]).reshape([1, 1, 1]).require_grad();
        let g = self.matrix([[0.0]]).require_grad();
        let c = self.vector(&[4.0]).require_grad();
        let problem = QpTensors::new(Hessian::dense(self.matrix([[1.0]])), self.matrix([[-10.0]]))
            .quadratics(RowHessians::dense(h.clone()), g.clone(), c.clone());
        let solution = QcqpLayer::default().forward(&problem).unwrap();
        self.same("root", &solution.x, &[2.0]);
        // x − 10 + μ·2x = 0.
        self.same("multiplier", &solution.quadratic_dual(), &[2.0]);
        let gradients = solution.x.sum().backward();
        self.same("h gradient", &h.grad(&gradients).unwrap(), &[-1.0]);
        self.same("g gradient", &g.grad(&gradients).unwrap(), &[-0.5]);
        self.same("c gradient", &c.grad(&gradients).unwrap(), &[0.25]);
    }

    /// x = −q/‖q‖ minimises qᵀx on the unit disc, with multiplier z = (‖q‖, q).
    pub(crate) fn cone_program_with_every_gradient(&self) {
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
        self.same("s", &solution.s(), &[1.0, -0.6, -0.8, 1.0, 0.0, -1.0]);
        self.same("z", &solution.z(), &[5.0, 3.0, 4.0, 2.0, 0.0, 2.0]);
        let gradients = solution.x.narrow(1, 0, 1).sum().backward();
        let of_q = q.grad(&gradients).unwrap();
        self.same("∂q", &of_q, &[-0.128, 0.096, -0.5, 0.0]);
        // x scales with the radius b₀ and moves with the centre −(b₁, b₂).
        self.same("∂b", &b.grad(&gradients).unwrap(), &[-0.6, -2.0, 0.0]);
        // dA acts as dAᵀz does on q and −dA x on b: Σ z ∂qᵀ − ∂b xᵀ with each sample's own ∂b, (−0.6, −1, 0)
        // and (0, −1, 0).
        let of_a = a.grad(&gradients).unwrap();
        self.same("∂A", &of_a, &[-2.0, 0.0, -0.984, -1.512, -1.512, 0.384]);
        assert_eq!(reports.count(GradientQuality::Exact), Some(2));
    }

    /// The maximiser of cᵀx + entropy(x) over the simplex is softmax(c), with derivative
    /// diag(x) − xxᵀ.
    pub(crate) fn model_with_every_gradient(&self) {
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
        // The Jacobian is symmetric: its first column is that row.
        let up = self.vector(&[1.0, 0.0, 0.0]);
        let tangent = solution.tangent([("c", up.into())]).unwrap();
        self.same(
            "dx",
            &tangent.variable("x").unwrap(),
            &[0.109375, -0.03125, -0.078125, 0.25, -0.1875, -0.0625],
        );
        self.same("dν", &tangent.dual("total").unwrap(), &[0.125, 0.5]);
        let jacobian = solution.jacobian("x", "c").unwrap();
        self.same(
            "∂x/∂c",
            &jacobian.values.narrow(0, 1, 1).narrow(1, 1, 2),
            &[-0.1875, 0.234375, -0.046875, -0.0625, -0.046875, 0.109375],
        );
    }

    /// The disc x₁² + x₂² ≤ 1 and x₁ = 0.6: from (0.6, 3) to (0.6, 0.8), which moves with the
    /// equality's side by (1, −0.75).
    pub(crate) fn projection_on_stacked_rows(&self) {
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

    pub(crate) fn relaxed_projection(&self) {
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
    pub(crate) fn samples_without_a_solution(&self) {
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

    /// The nearest point of a half-line: 1 inside, 0 at its end, forward as backward.
    pub(crate) fn forward_derivatives(&self) {
        let q = self.matrix([[-2.0], [1.0]]).require_grad();
        let problem = QpTensors::new(Hessian::diagonal(self.vector(&[1.0])), q.clone())
            .inequalities(
                self.matrix([[1.0]]),
                self.vector(&[0.0]),
                self.vector(&[f64::INFINITY]),
            );
        let solution = QpLayer::default().forward(&problem).unwrap();
        let direction = Direction::default()
            .along(QpParameter::Q, &self.vector(&[-1.0]))
            .unwrap();
        let tangent = solution.tangent(&direction).unwrap();
        self.same("tangent", &tangent.x, &[1.0, 0.0]);
        let jacobian = solution.jacobian(QpParameter::Q).unwrap();
        self.same("Jacobian", &jacobian.x, &[-1.0, 0.0]);
    }
}
