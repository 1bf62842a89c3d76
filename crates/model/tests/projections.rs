//! Projections: points and derivatives with closed forms.
#![allow(missing_docs)]

mod support;

use feasible_model::{CompiledProblem, Domain, Form, Model, norm1, norm2, sum_squares};
use support::{against_differences, close, each, gradients, normal, rng, shared, solved, uniform};

/// Rounding of sums over the few dozen terms below.
const EXACT: f64 = 1e-11;

/// `min ½‖x − y‖²` under what a closure adds.
fn projection(
    n: usize,
    add: impl FnOnce(&mut Model, &feasible_model::Expr) -> Vec<feasible_model::Constraint>,
) -> CompiledProblem {
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let y = model.parameter("y", [n]);
    let constraints = add(&mut model, &x);
    model
        .minimize(0.5 * sum_squares(&x - &y))
        .subject_to_all(constraints)
        .compile()
        .unwrap()
}

#[test]
fn on_a_box() {
    let (n, batch) = (6, 8);
    let problem = projection(n, |model, x| {
        let l = model.parameter("l", [n]);
        let u = model.parameter("u", [n]);
        vec![x.ge(&l).named("lower"), x.le(&u).named("upper")]
    });
    assert_eq!(
        problem.form(),
        Form::Qp {
            variables: n,
            equalities: 0,
            inequalities: n
        }
    );
    let mut rng = rng(1);
    let inputs = [
        each("y", normal(&mut rng, batch * n)),
        shared("l", uniform(&mut rng, -0.8, -0.3, n)),
        shared("u", uniform(&mut rng, 0.3, 0.8, n)),
    ];
    let solution = solved(&problem, &inputs, batch);
    let (y, l, u) = (&inputs[0].data, &inputs[1].data, &inputs[2].data);
    let x: Vec<f64> = (0..batch * n)
        .map(|i| y[i].clamp(l[i % n], u[i % n]))
        .collect();
    close(solution.variable("x").unwrap(), &x, EXACT);
    let upper: Vec<f64> = (0..batch * n).map(|i| (y[i] - u[i % n]).max(0.0)).collect();
    let lower: Vec<f64> = (0..batch * n).map(|i| (l[i % n] - y[i]).max(0.0)).collect();
    close(&solution.dual("upper").unwrap(), &upper, EXACT);
    close(&solution.dual("lower").unwrap(), &lower, EXACT);

    let weight = normal(&mut rng, batch * n);
    let g = gradients(&problem, &solution, &inputs, &[("x", &weight)], &[]);
    let on = |hold: &dyn Fn(usize) -> bool| -> Vec<f64> {
        (0..batch * n)
            .map(|i| if hold(i) { weight[i] } else { 0.0 })
            .collect()
    };
    let summed = |each: Vec<f64>| -> Vec<f64> {
        (0..n)
            .map(|j| (0..batch).map(|i| each[i * n + j]).sum())
            .collect()
    };
    close(g.parameter("y").unwrap(), &on(&|i| x[i] == y[i]), EXACT);
    close(
        g.parameter("l").unwrap(),
        &summed(on(&|i| y[i] < l[i % n])),
        EXACT,
    );
    close(
        g.parameter("u").unwrap(),
        &summed(on(&|i| y[i] > u[i % n])),
        EXACT,
    );
    against_differences(&problem, &inputs, batch, &["x"], &["lower", "upper"], 2);
}

/// Held, Wolfe & Crowder 1974: a shift, then clipping; the derivative centres on the support.
#[test]
fn on_the_simplex() {
    let (n, batch) = (7, 8);
    let problem = projection(n, |_, x| vec![x.ge(0.0), x.sum().eq(1.0).named("total")]);
    let mut rng = rng(3);
    let y: Vec<f64> = normal(&mut rng, batch * n)
        .iter()
        .map(|v| 0.4 * v)
        .collect();
    let inputs = [each("y", y.clone())];
    let solution = solved(&problem, &inputs, batch);
    let weight = normal(&mut rng, batch * n);
    let g = gradients(&problem, &solution, &inputs, &[("x", &weight)], &[]);
    for i in 0..batch {
        let y = &y[i * n..(i + 1) * n];
        let mut sorted = y.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let mut shift = 0.0;
        let mut sum = 0.0;
        for (k, v) in sorted.iter().enumerate() {
            sum += v;
            let trial = (sum - 1.0) / (k + 1) as f64;
            if *v > trial {
                shift = trial;
            }
        }
        let x: Vec<f64> = y.iter().map(|v| (v - shift).max(0.0)).collect();
        close(
            &solution.variable("x").unwrap()[i * n..(i + 1) * n],
            &x,
            EXACT,
        );
        close(&solution.dual("total").unwrap()[i..=i], &[shift], EXACT);
        let support: Vec<usize> = (0..n).filter(|j| x[*j] > 0.0).collect();
        let w = &weight[i * n..(i + 1) * n];
        let mean = support.iter().map(|j| w[*j]).sum::<f64>() / support.len() as f64;
        let expected: Vec<f64> = (0..n)
            .map(|j| if x[j] > 0.0 { w[j] - mean } else { 0.0 })
            .collect();
        close(
            &g.parameter("y").unwrap()[i * n..(i + 1) * n],
            &expected,
            EXACT,
        );
    }
    against_differences(&problem, &inputs, batch, &["x"], &["total"], 4);
}

/// `x = r y/‖y‖` outside: as a quadratic row and as a second-order cone.
#[test]
fn on_a_ball() {
    let (n, batch) = (5, 6);
    let squared = projection(n, |model, x| {
        let r = model.parameter("r", []);
        vec![sum_squares(x).le(&r).named("ball")]
    });
    assert!(
        matches!(squared.form(), Form::Qcqp { quadratics: 1, .. }),
        "{:?}",
        squared.form()
    );
    let cone = projection(n, |model, x| {
        let r = model.parameter("r", []);
        vec![norm2(x).le(&r).named("ball")]
    });
    assert!(
        matches!(cone.form(), Form::Cone { .. }),
        "{:?}",
        cone.form()
    );
    let mut rng = rng(5);
    let y = normal(&mut rng, batch * n);
    let radius = uniform(&mut rng, 0.5, 1.0, batch);
    let squares: Vec<f64> = radius.iter().map(|r| r * r).collect();
    let weight = normal(&mut rng, batch * n);
    for (problem, r, tolerance) in [(&squared, &squares, EXACT), (&cone, &radius, 1e-9)] {
        let inputs = [each("y", y.clone()), each("r", r.clone())];
        let solution = solved(problem, &inputs, batch);
        let g = gradients(problem, &solution, &inputs, &[("x", &weight)], &[]);
        for i in 0..batch {
            let (y, w) = (&y[i * n..(i + 1) * n], &weight[i * n..(i + 1) * n]);
            let norm = y.iter().map(|v| v * v).sum::<f64>().sqrt();
            assert!(norm > radius[i]);
            let x: Vec<f64> = y.iter().map(|v| v * radius[i] / norm).collect();
            close(
                &solution.variable("x").unwrap()[i * n..(i + 1) * n],
                &x,
                tolerance,
            );
            let along: f64 = y.iter().zip(w).map(|(y, w)| y * w).sum::<f64>() / (norm * norm);
            let expected: Vec<f64> = (0..n)
                .map(|j| radius[i] / norm * (w[j] - along * y[j]))
                .collect();
            close(
                &g.parameter("y").unwrap()[i * n..(i + 1) * n],
                &expected,
                tolerance,
            );
        }
        against_differences(problem, &inputs, batch, &["x"], &["ball"], 6);
    }
}

#[test]
fn on_a_halfspace() {
    let (n, batch) = (4, 6);
    let problem = projection(n, |model, x| {
        let a = model.parameter("a", [n]);
        let b = model.parameter("b", []);
        vec![a.matmul(x).le(&b).named("side")]
    });
    let mut rng = rng(7);
    let (y, a) = (normal(&mut rng, batch * n), normal(&mut rng, batch * n));
    let b = normal(&mut rng, batch);
    let inputs = [
        each("y", y.clone()),
        each("a", a.clone()),
        each("b", b.clone()),
    ];
    let solution = solved(&problem, &inputs, batch);
    for i in 0..batch {
        let (y, a) = (&y[i * n..(i + 1) * n], &a[i * n..(i + 1) * n]);
        let excess: f64 = y.iter().zip(a).map(|(y, a)| y * a).sum::<f64>() - b[i];
        let step = excess.max(0.0) / a.iter().map(|a| a * a).sum::<f64>();
        let x: Vec<f64> = y.iter().zip(a).map(|(y, a)| y - step * a).collect();
        close(
            &solution.variable("x").unwrap()[i * n..(i + 1) * n],
            &x,
            EXACT,
        );
        close(&solution.dual("side").unwrap()[i..=i], &[step], EXACT);
    }
    against_differences(&problem, &inputs, batch, &["x"], &["side"], 8);
}

/// ReLU is the projection on the nonnegative numbers (Amos & Kolter 2017).
#[test]
fn on_the_nonnegative_numbers() {
    let (n, batch) = (5, 4);
    let mut model = Model::new();
    let x = model.variable_in("x", [n], Domain::Nonnegative);
    let y = model.parameter("y", [n]);
    let problem = model.minimize(sum_squares(&x - &y)).compile().unwrap();
    let mut rng = rng(9);
    let inputs = [each("y", normal(&mut rng, batch * n))];
    let solution = solved(&problem, &inputs, batch);
    let relu: Vec<f64> = inputs[0].data.iter().map(|v| v.max(0.0)).collect();
    close(solution.variable("x").unwrap(), &relu, EXACT);
    let weight = normal(&mut rng, batch * n);
    let g = gradients(&problem, &solution, &inputs, &[("x", &weight)], &[]);
    let expected: Vec<f64> = relu
        .iter()
        .zip(&weight)
        .map(|(x, w)| if *x > 0.0 { *w } else { 0.0 })
        .collect();
    close(g.parameter("y").unwrap(), &expected, EXACT);
    against_differences(&problem, &inputs, batch, &["x"], &[], 10);
}

/// Soft thresholding is the proximal map of the 1-norm.
#[test]
fn on_the_cross_polytope_by_its_penalty() {
    let (n, batch) = (6, 4);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let y = model.parameter("y", [n]);
    let weight = model.parameter_in("weight", [], Domain::Nonnegative);
    let objective = 0.5 * sum_squares(&x - &y) + &weight * norm1(&x);
    let problem = model.minimize(objective).compile().unwrap();
    let mut rng = rng(11);
    let inputs = [
        each("y", normal(&mut rng, batch * n)),
        each("weight", vec![0.4; batch]),
    ];
    let solution = solved(&problem, &inputs, batch);
    let soft: Vec<f64> = inputs[0]
        .data
        .iter()
        .map(|v| v.signum() * (v.abs() - 0.4).max(0.0))
        .collect();
    close(solution.variable("x").unwrap(), &soft, 1e-9);
    against_differences(&problem, &inputs, batch, &["x"], &[], 12);
}
