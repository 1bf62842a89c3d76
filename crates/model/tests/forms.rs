//! Which solver a model goes to, and with how many rows.
#![allow(missing_docs)]

mod support;

use feasible_model::{
    Domain, Expr, Form, Formulation, Model, Route, abs, constant, huber, identity, log, max,
    maximum, norm_inf, norm1, norm2, quad_form, quad_over_lin, square, sum_squares,
};
use support::{close, each, normal, rng, shared, solved};

fn qp(variables: usize, equalities: usize, inequalities: usize) -> Form {
    Form::Qp {
        variables,
        equalities,
        inequalities,
    }
}

fn qcqp(variables: usize, equalities: usize, inequalities: usize, quadratics: usize) -> Form {
    Form::Qcqp {
        variables,
        equalities,
        inequalities,
        quadratics,
    }
}

fn form(build: impl FnOnce(&mut Model, &Expr) -> Formulation) -> Form {
    let mut model = Model::new();
    let x = model.variable("x", [3]);
    build(&mut model, &x).compile().unwrap().form()
}

#[test]
fn the_smallest_form_is_found() {
    let a = constant([2, 3], vec![1., 2., 3., 4., 5., 6.]);
    // A constant matrix is substituted, one of parameters gets rows of its own.
    assert_eq!(
        form(|m, x| m.minimize(sum_squares(a.matmul(x) - 1.0))),
        qp(3, 0, 0)
    );
    assert_eq!(
        form(|m, x| {
            let b = m.parameter("b", [2]);
            m.minimize(sum_squares(a.matmul(x) - b))
        }),
        qp(3, 0, 0)
    );
    assert_eq!(
        form(|m, x| {
            let a = m.parameter("a", [2, 3]);
            m.minimize(sum_squares(a.matmul(x)) + sum_squares(x))
        }),
        qp(5, 2, 0)
    );
    assert_eq!(
        form(|m, x| {
            let p = m.parameter_in("p", [3, 3], Domain::Semidefinite);
            m.minimize(quad_form(x, &p))
        }),
        qp(3, 0, 0)
    );
    // Two-sided rows, whichever way they are written.
    assert_eq!(
        form(|m, x| {
            m.minimize(sum_squares(x))
                .subject_to(x.ge(-1.0))
                .subject_to(x.le(1.0))
                .subject_to(a.matmul(x).le(1.0))
                .subject_to((-a.matmul(x)).le(2.0))
        }),
        qp(3, 0, 5)
    );
    // A second bound of the same side needs a row of its own.
    assert_eq!(
        form(|m, x| {
            let u = m.parameter("u", [3]);
            m.minimize(sum_squares(x))
                .subject_to(x.le(1.0))
                .subject_to(x.le(u))
        }),
        qp(3, 0, 6)
    );
    // Epigraphs that one row bounds disappear: a norm's ball is a box.
    assert_eq!(
        form(|m, x| m.minimize(sum_squares(x)).subject_to(norm_inf(x).le(1.0))),
        qp(3, 0, 3)
    );
    assert_eq!(
        form(|m, x| m.minimize(sum_squares(x)).subject_to(abs(x).le(1.0))),
        qp(3, 0, 3)
    );
    assert_eq!(
        form(|m, x| m.minimize(sum_squares(x)).subject_to(max(&abs(x)).le(1.0))),
        qp(3, 0, 3)
    );
    assert_eq!(form(|m, x| m.minimize(max(&abs(x)))), qp(4, 0, 6));
    assert_eq!(form(|m, x| m.minimize(norm1(x))), qp(6, 0, 6));
    assert_eq!(form(|m, x| m.minimize(huber(x, 1.0).sum())), qp(9, 0, 6));
    // An argument of known sign needs no epigraph.
    let mut model = Model::new();
    let y = model.variable_in("y", [3], Domain::Nonnegative);
    assert_eq!(
        model.minimize(norm1(&y)).compile().unwrap().form(),
        qp(3, 0, 3)
    );

    // Quadratic rows.
    assert_eq!(
        form(|m, x| m.minimize(x.sum()).subject_to(sum_squares(x).le(1.0))),
        qcqp(3, 0, 0, 1)
    );
    assert_eq!(
        form(|m, x| m.minimize(x.sum()).subject_to(square(x).le(1.0))),
        qcqp(3, 0, 0, 3)
    );
    assert_eq!(
        form(|m, x| {
            let limit = sum_squares(x) + quad_form(x, &identity(3)) + norm1(x);
            m.minimize(x.sum()).subject_to(limit.le(1.0))
        }),
        qcqp(6, 0, 6, 1)
    );
    assert_eq!(
        form(|m, x| {
            let y = m.parameter("y", [3]);
            m.minimize(x.sum()).subject_to(sum_squares(x - &y).le(1.0))
        }),
        qcqp(6, 3, 0, 1)
    );
    assert_eq!(
        form(|m, x| {
            let parts = maximum(&[sum_squares(x), x.sum()]);
            m.minimize(parts)
        }),
        qcqp(4, 0, 1, 1)
    );

    // Cones, with the objective's squares left in the objective.
    let is_cone = |form| matches!(form, Form::Cone { .. });
    assert_eq!(
        form(|m, x| m.minimize(sum_squares(x)).subject_to(norm2(x).le(1.0))),
        Form::Cone {
            variables: 4,
            rows: 5,
            entries: 5
        }
    );
    assert!(is_cone(form(|m, x| m.minimize(-log(x).sum()))));
    assert!(is_cone(form(
        |m, x| m.minimize(quad_over_lin(x, &(x.at([0]) + 1.0)))
    )));
    assert!(is_cone(form(|m, x| m
        .minimize(sum_squares(x))
        .route(Route::Cones))));
    assert!(is_cone(form(|m, x| m.minimize(square(&sum_squares(x))))));
}

/// Only what a parameter per sample touches is per sample: the answers are those of one copy each.
#[test]
fn shared_and_own_parameters_agree() {
    let (m, n, batch) = (4, 3, 5);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let (a, b, u) = (
        model.parameter("a", [m, n]),
        model.parameter("b", [m]),
        model.parameter("u", []),
    );
    let problem = model
        .minimize(sum_squares(a.matmul(&x) - &b) + 0.1 * sum_squares(&x))
        .subject_to(x.le(&u).named("upper"))
        .compile()
        .unwrap();
    let mut rng = rng(1);
    let (a, b) = (normal(&mut rng, m * n), normal(&mut rng, batch * m));
    let one = [
        shared("a", a.clone()),
        each("b", b.clone()),
        shared("u", vec![0.2]),
    ];
    let all = [
        each("a", a.repeat(batch)),
        each("b", b),
        each("u", vec![0.2; batch]),
    ];
    let (first, second) = (solved(&problem, &one, batch), solved(&problem, &all, batch));
    close(
        first.variable("x").unwrap(),
        second.variable("x").unwrap(),
        1e-11,
    );
    let w = normal(&mut rng, batch * n);
    let g = support::gradients(&problem, &first, &one, &[("x", &w)], &[]);
    let h = support::gradients(&problem, &second, &all, &[("x", &w)], &[]);
    for (name, len) in [("a", m * n), ("u", 1)] {
        let each = h.parameter(name).unwrap();
        let sum: Vec<f64> = (0..len)
            .map(|j| (0..batch).map(|i| each[i * len + j]).sum())
            .collect();
        close(g.parameter(name).unwrap(), &sum, 1e-10);
    }
    close(g.parameter("b").unwrap(), h.parameter("b").unwrap(), 1e-10);
}

/// A large sparse problem is one for cones.
#[test]
fn large_problems_stay_sparse() {
    let n = 3000;
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let y = model.parameter("y", [n]);
    let problem = model
        .minimize(sum_squares(&x - y) + sum_squares(x.diff()))
        .subject_to(x.ge(0.0))
        .compile()
        .unwrap();
    assert_eq!(
        problem.form(),
        Form::Cone {
            variables: n,
            rows: n,
            entries: n
        }
    );
}

/// `3·max(x) ≤ 1` is three bounds on x; the constraint's multiplier is a third of theirs in all.
#[test]
fn eliminated_epigraphs_keep_their_multipliers() {
    let mut model = Model::new();
    let x = model.variable("x", [3]);
    let constraint = (3.0 * max(&x)).le(1.0).named("top");
    let problem = model
        .minimize(sum_squares(&x - constant([3], vec![1.0, 2.0, 0.0])))
        .subject_to(&constraint)
        .compile()
        .unwrap();
    assert_eq!(problem.form(), qp(3, 0, 3));
    let solution = solved(&problem, &[], 1);
    let third = 1.0 / 3.0;
    close(solution.variable("x").unwrap(), &[third, third, 0.0], 1e-12);
    // 2(1 − 1/3) and 2(2 − 1/3), over 3.
    close(
        &solution.dual(&constraint).unwrap(),
        &[(4.0 + 10.0) / 9.0],
        1e-12,
    );
}

/// An odd power's domain is part of the function.
#[test]
fn odd_powers_keep_their_domain() {
    let mut model = Model::new();
    let x = model.variable("x", []);
    let problem = model
        .minimize(feasible_model::power(&x, 3.0) + 5.0 * &x)
        .compile()
        .unwrap();
    let solution = solved(&problem, &[], 1);
    close(solution.variable("x").unwrap(), &[0.0], 1e-6);
}
