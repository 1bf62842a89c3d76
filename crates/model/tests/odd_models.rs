//! Models that are written seldom or by mistake: their answers by hand, and what errors say of them.
#![allow(missing_docs)]

mod support;

use feasible_model::{
    CompiledProblem, Domain, Expr, GradientQuality, Model, Solution, SolveSettings, Status, Values,
    constant, entropy, exp, identity, kl_div, lambda_max, log_det, norm2, quad_form, sum_squares,
};
use support::{
    Input, against_differences, close, compiled, each, gradients, mistake, refused, shared, solved,
    values,
};

/// Numbers of order 1 from small systems.
const ROUNDING: f64 = 1e-13;

fn exact(problem: &CompiledProblem, solution: &Solution, inputs: &[Input]) -> bool {
    let weights: Vec<(String, Vec<f64>)> = problem
        .variables()
        .map(|(name, _)| {
            (
                name.to_owned(),
                vec![1.0; solution.variable(name).unwrap().len()],
            )
        })
        .collect();
    let on: Vec<(&str, &[f64])> = weights.iter().map(|(n, w)| (&n[..], &w[..])).collect();
    let reports = gradients(problem, solution, inputs, &on, &[]).reports;
    reports.iter().all(|r| r.quality == GradientQuality::Exact)
}

/// A constraint that is added again, as itself or as a clone, is one constraint with one multiplier.
#[test]
fn a_constraint_given_twice_is_one() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let a = model.parameter("a", [2]);
    let cap = x.le(&a).named("cap");
    let problem = compiled(
        model
            .minimize(sum_squares(&x - 2.0))
            .subject_to(&cap)
            .subject_to(cap.clone())
            .subject_to_all([cap.clone(), x.ge(-9.0)]),
    );
    assert_eq!(problem.constraints().count(), 2);
    let inputs = [shared("a", vec![1.0, 3.0])];
    let solution = solved(&problem, &inputs, 1);
    close(&solution.dual("cap").unwrap(), &[2.0, 0.0], ROUNDING);
    assert!(exact(&problem, &solution, &inputs));
}

/// Sums of parameters and constants that no variable is in: true in one sample, false in another, by name.
#[test]
fn constraints_without_variables() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let a = model.parameter("a", []);
    let inputs = [each("a", vec![1.0, 2.0])];
    for constraint in [a.eq(1.0), a.le(1.0), (&a + 0.0 * x.sum()).eq(1.0)] {
        let problem = compiled(
            model
                .minimize(sum_squares(&x - &a))
                .subject_to(constraint.named("no variable")),
        );
        let solution = problem
            .solve(&values(&inputs), 2, &SolveSettings::default())
            .unwrap();
        assert_eq!(
            solution.status(),
            [Status::Solved, Status::PrimalInfeasible]
        );
        close(&solution.variable("x").unwrap()[..2], &[1.0; 2], ROUNDING);
        let conflict = solution.conflict(1).unwrap().to_string();
        assert_eq!(conflict, "`no variable` cannot be met");
    }
    let problem = compiled(
        model
            .minimize(sum_squares(&x))
            .subject_to(Expr::from(-1.0).eq(0.0).named("numbers")),
    );
    let solution = problem.solve(&[], 1, &SolveSettings::default()).unwrap();
    let conflict = solution.conflict(0).unwrap().to_string();
    assert_eq!(conflict, "`numbers` cannot be met");
}

/// The parameter is to blame, and its sample; the solver's `P` is nothing that the user wrote.
#[test]
fn an_indefinite_parameter_is_named() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let (risk, good) = (
        model.parameter_in("risk", [2, 2], Domain::Semidefinite),
        model.parameter_in("good", [2, 2], Domain::Semidefinite),
    );
    let formulation = model
        .minimize(quad_form(&x, &good) + 0.5 * quad_form(&x, &risk) - x.sum())
        .subject_to(x.le(1.0));
    let fine = vec![1e-3, 0.0, 0.0, 1e-3];
    let bad = vec![1.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 1.0];
    for formulation in [
        formulation.clone(),
        formulation.subject_to(norm2(&x).le(3.0)),
    ] {
        let problem = compiled(formulation);
        let message = refused(
            &problem,
            &[shared("good", fine.clone()), each("risk", bad.clone())],
            2,
        );
        assert_eq!(
            message,
            "parameter `risk` has the eigenvalue -1.000e0 in sample 1 but is declared positive semidefinite"
        );
        let message = refused(
            &problem,
            &[
                shared("good", fine.clone()),
                shared("risk", bad[4..].to_vec()),
            ],
            2,
        );
        assert!(message.contains("in the shared values"), "{message}");
    }
    // Singular to rounding, of either sign, is semidefinite.
    let problem = compiled(
        model
            .minimize(quad_form(&x, &risk) - x.sum())
            .subject_to(x.le(1.0)),
    );
    for off in [-1e-12, 1e-12] {
        let inputs = [shared("risk", vec![0.01, 0.02, 0.02, 0.04 + off])];
        let solution = solved(&problem, &inputs, 1);
        close(solution.variable("x").unwrap(), &[1.0; 2], ROUNDING);
    }
}

/// What the model declares and the problem does not use.
#[test]
fn unused_names_are_told_from_unknown_ones() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let _ = model.variable("y", [2]);
    let _ = model.parameter("a", [2]);
    let problem = compiled(model.minimize(sum_squares(&x - 1.0)));
    let a = [shared("a", vec![1.0, 2.0])];
    assert_eq!(
        refused(&problem, &a, 1),
        "`a` is no parameter of this problem; it has none, and the model's `a` is not used in it"
    );
    let solution = solved(&problem, &[], 1);
    assert_eq!(
        solution.variable("y").unwrap_err().to_string(),
        "`y` is no variable of this problem; it has `x`, and the model's `y` is not used in it"
    );
    assert_eq!(
        solution.variable("z").unwrap_err().to_string(),
        "`z` is no variable of this problem; it has `x`"
    );
}

#[test]
fn nothing_has_no_entries() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let none = model.variable("none", [0, 2]);
    let message = mistake(model.minimize(sum_squares(&x) + sum_squares(&none)));
    assert!(
        message.contains("`none`: its shape [0, 2] has no entries"),
        "{message}"
    );
    let empty = constant([0], vec![]);
    let message = mistake(model.minimize(sum_squares(&x)).subject_to(empty.le(1.0)));
    assert!(
        message.contains("its shape [0] has no entries"),
        "{message}"
    );
    let message = mistake(model.minimize(sum_squares(&x) + x.slice(1..1).sum()));
    assert!(
        message.contains("the range is empty or outside of [2]"),
        "{message}"
    );
    let infinite = model.parameter("infinite", [2]);
    let problem = compiled(model.minimize(sum_squares(&x)).subject_to(x.le(&infinite)));
    let inputs = [shared("infinite", vec![1.0, f64::INFINITY])];
    assert_eq!(
        refused(&problem, &inputs, 1),
        "parameter `infinite` is inf at entry 1 of the shared values but must be finite"
    );
}

/// Matrices of one entry, as scalars would be.
#[test]
#[cfg(feature = "semidefinite")]
fn matrices_of_one_entry() {
    let mut model = Model::new();
    let x = model.variable("x", [1, 1]);
    let a = model.parameter("a", [1, 1]);
    let p = model.parameter_in("p", [1, 1], Domain::Semidefinite);
    // 2px = a; max(x, ·) + (x − a)²; 1/x = a.
    for (formulation, expected) in [
        (
            model
                .minimize(quad_form(&x.flatten(), &p) - a.dot_of(&x))
                .subject_to(x.succeeds(-5.0).named("above")),
            0.5,
        ),
        (
            model.minimize(lambda_max(&(2.0 * &x)) + sum_squares(&x - &a) + 0.0 * p.trace()),
            1.0,
        ),
        (
            model.maximize(log_det(&x) - a.dot_of(&x) + 0.0 * p.trace()),
            0.5,
        ),
    ] {
        let problem = compiled(formulation);
        let inputs = [shared("a", vec![2.0]), shared("p", vec![2.0])];
        let solution = solved(&problem, &inputs, 1);
        close(solution.variable("x").unwrap(), &[expected], 1e-12);
        against_differences(&problem, &inputs, 1, &["x"], &[], 1);
    }
}

#[cfg(feature = "semidefinite")]
trait DotOf {
    fn dot_of(&self, other: &Expr) -> Expr;
}

#[cfg(feature = "semidefinite")]
impl DotOf for Expr {
    fn dot_of(&self, other: &Expr) -> Expr {
        self.flatten().dot(other.flatten())
    }
}

/// Parameters where they are seldom: scaling a matrix, in sums over an axis, by index, inside functions of
/// their own, in a divisor's place, beside constants in a maximum.
#[test]
fn parameters_in_odd_places() {
    let mut model = Model::new();
    let x = model.variable("x", [2, 2]);
    let (a, m) = (model.parameter("a", []), model.parameter("m", [2, 3]));
    let w = model.parameter_in("w", [2], Domain::Nonnegative);
    let numbers = constant([2, 2], vec![1.0, 2.0, 3.0, 4.0]);
    let target = &a * numbers.clone();
    let problem = compiled(
        model
            .minimize(sum_squares(&x - target))
            .subject_to(x.sum_axis(1).eq(m.column(1)).named("rows"))
            .subject_to(x.at([0, 0]).ge(exp(&m.at([1, 2]))).named("exponential")),
    );
    let inputs = [
        each("a", vec![0.4, 0.2]),
        each(
            "m",
            vec![
                0.1, 1.0, 0.2, -1.0, 2.0, -0.4, 0.3, 0.5, 0.1, 0.0, -1.0, -0.2,
            ],
        ),
    ];
    let solution = solved(&problem, &inputs, 2);
    for i in 0..2 {
        let x = &solution.variable("x").unwrap()[4 * i..4 * i + 4];
        let (a, m) = (inputs[0].data[i], &inputs[1].data[6 * i..6 * i + 6]);
        let first = (0.5 * (m[1] - a)).max(m[5].exp());
        let middle = 0.5 * (m[4] - a);
        close(x, &[first, m[1] - first, middle, m[4] - middle], 1e-12);
    }
    against_differences(&problem, &inputs, 2, &["x"], &["rows", "exponential"], 3);

    // The closest distribution to weights that are none: themselves over their sum, and its logarithm.
    let mut other = Model::new();
    let y = other.variable("y", [2]);
    let v = other.parameter_in("v", [2], Domain::Nonnegative);
    let problem = compiled(
        other
            .minimize(kl_div(&y, &v).sum())
            .subject_to(y.sum().eq(1.0).named("total")),
    );
    let inputs = [each("v", vec![1.0, 3.0, 0.5, 0.25])];
    let solution = solved(&problem, &inputs, 2);
    close(
        solution.variable("y").unwrap(),
        &[0.25, 0.75, 2.0 / 3.0, 1.0 / 3.0],
        1e-12,
    );
    close(
        &solution.dual("total").unwrap(),
        &[4f64.ln(), 0.75f64.ln()],
        1e-12,
    );

    let message = mistake(model.minimize(sum_squares(&x / &a)));
    assert!(
        message.contains("make its reciprocal the parameter and multiply"),
        "{message}"
    );
    let message = mistake(model.minimize(sum_squares(&x - &a * w.at([0]))));
    assert!(
        message.contains("make the product one parameter"),
        "{message}"
    );
}

/// Objectives that are constant or only parameters, domains alone, equalities of matrices.
#[test]
fn little_to_decide() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let y = model.variable_in("y", [2], Domain::Nonnegative);
    let a = model.parameter("a", [2]);
    let inputs = [shared("a", vec![1.0, -1.0])];

    let problem = compiled(model.minimize(3.0).subject_to(x.eq(&a).named("fixed")));
    let solution = solved(&problem, &inputs, 1);
    close(&solution.objective().unwrap(), &[3.0], ROUNDING);
    close(solution.variable("x").unwrap(), &[1.0, -1.0], ROUNDING);
    close(&solution.dual("fixed").unwrap(), &[0.0; 2], ROUNDING);
    assert!(exact(&problem, &solution, &inputs));

    let problem = compiled(model.minimize(sum_squares(&y - &a)));
    let solution = solved(&problem, &inputs, 1);
    close(solution.variable("y").unwrap(), &[1.0, 0.0], ROUNDING);
    assert!(exact(&problem, &solution, &inputs));

    let mut model = Model::new();
    let x = model.variable("x", [2, 2]);
    let a = model.parameter("a", [2, 2]);
    let problem = compiled(
        model
            .maximize(a.trace())
            .subject_to(a.matmul(&x).eq(identity(2)).named("inverse")),
    );
    let inputs = [each("a", vec![1.0, 2.0, 0.0, 3.0, 2.0, 0.0, 1.0, 1.0])];
    let solution = solved(&problem, &inputs, 2);
    let third = 1.0 / 3.0;
    let expected = [1.0, -2.0 * third, 0.0, third, 0.5, 0.0, -0.5, 1.0];
    close(solution.variable("x").unwrap(), &expected, ROUNDING);
    against_differences(&problem, &inputs, 2, &["x"], &[], 2);
}

/// Entropy and log-determinant in one objective: `1/x = a + 1 + log x` in every entry.
#[test]
#[cfg(feature = "semidefinite")]
fn entropy_beside_a_determinant() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let a = model.parameter("a", [2]);
    let problem = compiled(
        model.maximize(log_det(&feasible_model::diag(&x)) + entropy(&x).sum() - a.dot(&x)),
    );
    let inputs = [each("a", vec![1.0, 0.0, -0.5, 2.0])];
    let solution = solved(&problem, &inputs, 2);
    for (x, a) in solution.variable("x").unwrap().iter().zip(&inputs[0].data) {
        let miss = 1.0 / x - a - 1.0 - x.ln();
        assert!(miss.abs() < 1e-12, "{x}: {miss:e}");
    }
    against_differences(&problem, &inputs, 2, &["x"], &[], 5);
}

/// Every number of a QP or QCQP times 1e8 or 1e-8 changes nothing but the multipliers.
#[test]
fn large_and_small_numbers() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let (s, a) = (
        model.parameter_in("s", [], Domain::Nonnegative),
        model.parameter("a", [2]),
    );
    let objective = sum_squares(&x - a);
    for (formulation, expected, multiplier) in [
        (
            model
                .minimize(objective.clone())
                .subject_to((&s * norm_one(&x)).le(&s).named("cap")),
            [0.0, 1.0],
            2.0,
        ),
        (
            model
                .minimize(objective.clone())
                .subject_to((&s * sum_squares(&x)).le(&s).named("cap")),
            [0.447_213_595_499_957_9, 0.894_427_190_999_915_9],
            5f64.sqrt() - 1.0,
        ),
        (
            model
                .minimize(objective)
                .subject_to((&s * x.sum()).le(&s).named("cap")),
            [0.0, 1.0],
            2.0,
        ),
    ] {
        let problem = compiled(formulation);
        for scale in [1e-8, 1e-4, 1.0, 1e4, 1e8] {
            let inputs = [shared("s", vec![scale]), shared("a", vec![1.0, 2.0])];
            let solution = solved(&problem, &inputs, 1);
            close(solution.variable("x").unwrap(), &expected, ROUNDING);
            let dual = solution.dual("cap").unwrap()[0] * scale;
            close(&[dual], &[multiplier], 1e-12);
        }
    }
}

fn norm_one(x: &Expr) -> Expr {
    feasible_model::norm1(x)
}

/// Cones whose numbers are large, in the sense that rows are multiplied: `‖x‖ ≤ a₀/s` and its kin. What is
/// called exact scales with the numbers, `s·dx/da` is one number.
#[test]
fn large_cones() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let a = model.parameter_in("a", [2], Domain::Nonnegative);
    let ball = || norm2(&(a.clone() * &x)).le(a.at([0]));
    let near = sum_squares(&x - 2.0);
    let root = 0.5f64.sqrt();
    let log = 2.5f64.ln();
    for (formulation, expected) in [
        (model.minimize(near.clone()).subject_to(ball()), root),
        (model.minimize(norm2(&(&x - 2.0))).subject_to(ball()), root),
        (
            model
                .minimize(near)
                .subject_to(a.dot(exp(&x)).le(5.0 * a.at([0]))),
            log,
        ),
    ] {
        let problem = compiled(formulation);
        let mut first: Option<Vec<f64>> = None;
        for scale in [1.0, 10.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e10] {
            let inputs = [shared("a", vec![scale; 2])];
            let solution = solved(&problem, &inputs, 1);
            // From 1e6 on where the objective is a norm: 3e-10.
            close(solution.variable("x").unwrap(), &[expected; 2], 1e-9);
            let found = gradients(&problem, &solution, &inputs, &[("x", &[1.0, 0.0])], &[]);
            if found.reports[0].quality != GradientQuality::Exact {
                // The norm's own bound `t ≤ a₀` is a linear row of coefficient 1 with a slack of the scale and
                // a multiplier of its inverse: from 1e6 on not all are confirmed to rounding, and at 1e8
                // the multiplier's sign is no longer told.
                assert!(scale > 9e5, "{scale:e}");
                continue;
            }
            let slope = found.parameter("a").unwrap().iter();
            let slope: Vec<f64> = slope.map(|v| scale * v).collect();
            // What is confirmed is right to rounding, times the condition of the norm's own scale.
            close(&slope, first.get_or_insert_with(|| slope.clone()), 1e-9);
        }
        assert!(first.is_some());
    }
}

/// A cone whose numbers are all small misses its right side by little wherever the point is: that is no
/// solution, whatever else is returned.
#[test]
fn a_small_cone_is_not_ignored() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let s = model.parameter_in("s", [], Domain::Nonnegative);
    let problem = compiled(
        model
            .minimize(norm2(&(&x - 2.0)))
            .subject_to(norm2(&(&s * &x)).le(&s).named("ball")),
    );
    for scale in [1.0, 1e-2, 1e-4, 1e-6, 1e-8, 1e-9] {
        let found = problem.solve(
            &[("s", Values::Shared(&[scale]))],
            1,
            &SolveSettings::default(),
        );
        let solution = found.unwrap();
        if solution.all_solved() {
            // The direction along the sphere is to the root of what the objective is.
            close(solution.variable("x").unwrap(), &[0.5f64.sqrt(); 2], 1e-4);
        } else {
            assert!(scale < 1e-6, "{scale:e}: {:?}", solution.status());
        }
    }
}
