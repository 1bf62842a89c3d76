//! Forward-mode derivatives: against the backward pass and against central differences.

use burn::tensor::Tensor;
use feasible_convex::{
    Cone, ConeLayer, ConeParameter, ConeTensors, Direction, GradientQuality, Hessian, QcqpLayer,
    QpLayer, QpParameter, QpTensors, RowHessians, SparseMatrix,
};

use crate::support::{assert_close, numbers, random, tensor};

const N: usize = 4;
const BATCH: usize = 3;

/// A QP whose rows bind in some samples, with every tensor tracked.
struct Qp {
    p: Tensor<3>,
    q: Tensor<2>,
    a: Tensor<3>,
    b: Tensor<2>,
    g: Tensor<3>,
    l: Tensor<2>,
    u: Tensor<2>,
}

impl Qp {
    fn draw(seed: u64) -> Self {
        let mut draw = random(seed);
        let root = draw(N * N);
        let p: Vec<f64> = (0..N * N)
            .map(|at| {
                let (i, j) = (at / N, at % N);
                let product: f64 = (0..N).map(|k| root[i * N + k] * root[j * N + k]).sum();
                product + if i == j { 0.5 } else { 0.0 }
            })
            .collect();
        Self {
            p: tensor(&p, [1, N, N]).require_grad(),
            q: tensor(&draw(BATCH * N), [BATCH, N]).require_grad(),
            a: tensor(&draw(N), [1, 1, N]).require_grad(),
            b: tensor(&draw(BATCH), [BATCH, 1]).require_grad(),
            g: tensor(&draw(BATCH * 2 * N), [BATCH, 2, N]).require_grad(),
            l: tensor(&[-0.3, -0.2], [1, 2]).require_grad(),
            u: tensor(&[0.1, 0.2], [1, 2]).require_grad(),
        }
    }

    fn tensors(&self) -> QpTensors {
        QpTensors::new(Hessian::dense(self.p.clone()), self.q.clone())
            .equalities(self.a.clone(), self.b.clone())
            .inequalities(self.g.clone(), self.l.clone(), self.u.clone())
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// ⟨c, J d⟩ = ⟨Jᵀc, d⟩ for a direction of every parameter and cotangents of every output.
#[test]
fn tangents_are_the_transpose_of_the_backward_pass() {
    for seed in 0..10 {
        let qp = Qp::draw(seed);
        let solution = QpLayer::default().forward(&qp.tensors()).unwrap();
        let mut draw = random(100 + seed);
        let cotangents = [
            tensor::<2>(&draw(BATCH * N), [BATCH, N]),
            tensor::<2>(&draw(BATCH), [BATCH, 1]),
            tensor::<2>(&draw(BATCH * 2), [BATCH, 2]),
        ];
        let loss = (solution.x.clone() * cotangents[0].clone()).sum()
            + (solution.equality_dual().clone() * cotangents[1].clone()).sum()
            + (solution.inequality_dual().clone() * cotangents[2].clone()).sum();
        let reports = solution.gradient_reports();
        let gradients = loss.backward();
        assert_eq!(reports.count(GradientQuality::Exact), Some(BATCH));

        let mut direction = Direction::default();
        let mut expected = 0.0;
        macro_rules! along {
            ($($parameter:ident $tensor:ident),*) => {$(
                let shape = qp.$tensor.dims();
                let part = tensor(&draw(shape.iter().product()), shape);
                expected += dot(
                    &numbers(&qp.$tensor.grad(&gradients).unwrap()),
                    &numbers(&part),
                );
                direction = direction.along(QpParameter::$parameter, &part).unwrap();
            )*};
        }
        along!(P p, Q q, A a, B b, G g, L l, U u);
        let tangent = solution.tangent(&direction).unwrap();
        assert!(
            tangent
                .reports
                .iter()
                .all(|r| r.quality == GradientQuality::Exact)
        );
        let got = dot(&numbers(&tangent.x), &numbers(&cotangents[0]))
            + dot(&numbers(&tangent.equality_dual), &numbers(&cotangents[1]))
            + dot(&numbers(&tangent.inequality_dual), &numbers(&cotangents[2]));
        assert_close("⟨c, J d⟩", &[got], &[expected], 1e-10);
    }
}

/// Every column of the Jacobian is the tangent along a unit direction, and differences agree.
#[test]
fn jacobians_are_their_columns() {
    let qp = Qp::draw(3);
    let layer = QpLayer::default();
    let solution = layer.forward(&qp.tensors()).unwrap();
    let jacobian = solution.jacobian(QpParameter::Q).unwrap();
    assert_eq!(jacobian.x.dims(), [BATCH, N, N]);
    assert_eq!(jacobian.quadratic_dual.dims(), [BATCH, 0, N]);
    let whole = numbers(&jacobian.x);
    let duals = numbers(&jacobian.inequality_dual);
    for column in 0..N {
        let mut unit = vec![0.0; N];
        unit[column] = 1.0;
        let unit = tensor::<1>(&unit, [N]);
        let direction = Direction::default().along(QpParameter::Q, &unit).unwrap();
        let tangent = solution.tangent(&direction).unwrap();
        let expected: Vec<f64> = whole.iter().skip(column).step_by(N).copied().collect();
        assert_close("x", &numbers(&tangent.x), &expected, 1e-12);
        let expected: Vec<f64> = duals.iter().skip(column).step_by(N).copied().collect();
        assert_close("λ", &numbers(&tangent.inequality_dual), &expected, 1e-12);

        let at = |step: f64| {
            let moved = qp.q.clone().detach() + unit.clone().unsqueeze::<2>() * step;
            let tensors = QpTensors::new(Hessian::dense(qp.p.clone()), moved)
                .equalities(qp.a.clone(), qp.b.clone())
                .inequalities(qp.g.clone(), qp.l.clone(), qp.u.clone());
            numbers(&layer.forward(&tensors).unwrap().x)
        };
        let (ahead, behind) = (at(1e-5), at(-1e-5));
        let differences: Vec<f64> = ahead
            .iter()
            .zip(&behind)
            .map(|(a, b)| (a - b) / 2e-5)
            .collect();
        // The solution is piecewise linear in q: only rounding over the step is left.
        assert_close("differences", &numbers(&tangent.x), &differences, 1e-9);
    }
}

/// The nearest point of a ball: ∂x/∂ŷ = (I − x xᵀ)/‖ŷ‖, ∂x/∂c = x/2 at radius 1.
#[test]
fn the_projection_on_a_ball_in_closed_form() {
    let y = [[3.0, 4.0], [0.0, -2.0]];
    let q: Vec<f64> = y.iter().flatten().map(|v| -v).collect();
    let ones = tensor::<1>(&[1.0, 1.0], [2]);
    let zeros = tensor::<2>(&[0.0, 0.0], [1, 2]);
    let problem = QpTensors::new(Hessian::diagonal(ones.clone()), tensor::<2>(&q, [2, 2]))
        .quadratics(
            RowHessians::diagonal(ones.unsqueeze::<2>()),
            zeros,
            tensor::<1>(&[1.0], [1]),
        );
    let solution = QcqpLayer::default().forward(&problem).unwrap();
    let jacobian = solution.jacobian(QpParameter::Q).unwrap();
    let bound = solution.jacobian(QpParameter::QuadraticC).unwrap();
    let (mut expected, mut outward) = (vec![], vec![]);
    for [a, b] in y {
        let length = f64::hypot(a, b);
        let x = [a / length, b / length];
        for i in 0..2 {
            outward.push(0.5 * x[i]);
            for j in 0..2 {
                let identity = f64::from(u8::from(i == j));
                // q = −ŷ.
                expected.push(-(identity - x[i] * x[j]) / length);
            }
        }
    }
    assert_close("∂x/∂q", &numbers(&jacobian.x), &expected, 1e-12);
    assert_close("∂x/∂c", &numbers(&bound.x), &outward, 1e-12);
}

/// The same on a second-order cone, with the dot-product test.
#[test]
fn cone_programs_have_them_too() {
    let mut draw = random(5);
    let q = tensor::<2>(&[3.0, 4.0, 0.0, -2.0], [2, 2]).require_grad();
    let a = tensor::<2>(&[0.0, 0.0, -1.0, 0.0, 0.0, -1.0], [3, 2]).require_grad();
    let b = tensor::<1>(&[1.0, 0.0, 0.0], [3]).require_grad();
    let matrix = SparseMatrix::dense(a.clone());
    let problem = ConeTensors::new(q.clone(), matrix, b.clone(), vec![Cone::SecondOrder(3)]);
    let solution = ConeLayer::default().forward(&problem).unwrap();
    let cotangent = tensor::<2>(&draw(4), [2, 2]);
    let gradients = (solution.x.clone() * cotangent.clone()).sum().backward();
    let directions = (tensor::<2>(&draw(4), [2, 2]), tensor::<1>(&draw(3), [3]));
    let direction = Direction::default()
        .along(ConeParameter::Q, &directions.0)
        .unwrap()
        .along(ConeParameter::B, &directions.1)
        .unwrap();
    let tangent = solution.tangent(&direction).unwrap();
    let expected = dot(
        &numbers(&q.grad(&gradients).unwrap()),
        &numbers(&directions.0),
    ) + dot(
        &numbers(&b.grad(&gradients).unwrap()),
        &numbers(&directions.1),
    );
    let got = dot(&numbers(&tangent.x), &numbers(&cotangent));
    assert_close("⟨c, J d⟩", &[got], &[expected], 1e-9);
    // x = −q/‖q‖.
    let jacobian = solution.jacobian(ConeParameter::Q).unwrap();
    let expected = [-0.128, 0.096, 0.096, -0.072, -0.5, 0.0, 0.0, 0.0];
    assert_close("∂x/∂q", &numbers(&jacobian.x), &expected, 1e-8);
    // s = (1, x).
    let (first, second) = expected.split_at(4);
    let expected = [&[0.0; 2], first, &[0.0; 2], second].concat();
    assert_close("∂s/∂q", &numbers(&jacobian.s), &expected, 1e-8);
    // z = (‖q‖, q), by q + Aᵀz = 0 and complementarity.
    let expected = [0.6, 0.8, 1.0, 0.0, 0.0, 1.0, 0.0, -1.0, 1.0, 0.0, 0.0, 1.0];
    assert_close("∂z/∂q", &numbers(&jacobian.z), &expected, 1e-8);
}

#[test]
fn directions_given_twice_are_named() {
    let unit = tensor::<1>(&[1.0; N], [N]);
    let direction = Direction::default()
        .along(QpParameter::Q, &unit)
        .unwrap()
        .along(QpParameter::L, &unit)
        .unwrap();
    let error = direction.along(QpParameter::Q, &unit).unwrap_err();
    assert_eq!(
        error.to_string(),
        "direction of parameter `q` is given twice"
    );
    let direction = Direction::default().along(ConeParameter::B, &unit).unwrap();
    let error = direction.along(ConeParameter::B, &unit).unwrap_err();
    assert_eq!(
        error.to_string(),
        "direction of parameter `b` is given twice"
    );
}

#[test]
fn directions_of_the_wrong_length_are_named() {
    let solution = QpLayer::default().forward(&Qp::draw(0).tensors()).unwrap();
    for (direction, word) in [
        (tensor::<1>(&[1.0; 5], [5]), "5"),
        (tensor::<1>(&[f64::NAN; N], [N]), "NaN"),
    ] {
        let direction = Direction::default()
            .along(QpParameter::Q, &direction)
            .unwrap();
        let error = solution.tangent(&direction).unwrap_err().to_string();
        assert!(
            error.contains("tangents.q") && error.contains(word),
            "{error}"
        );
    }
}
