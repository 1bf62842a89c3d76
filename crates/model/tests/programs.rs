//! One layer for each atom with a closed form.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_model::{
    Domain, Expr, Form, Model, abs, constant, geo_mean, inv_pos, log, max, maximum, min, neg_part,
    norm_inf, norm2, pos, power, quad_form, quad_over_lin, sqrt, square, sum_largest, sum_smallest,
    sum_squares, weighted_geo_mean,
};
use support::{
    against_differences, close, definite, each, gradients, normal, rng, shared, solved, uniform,
};

const NEAR: f64 = 1e-9;

/// Water filling: `x = (1/ν − a)₊` with power `P` in all (Boyd & Vandenberghe 2004, example 5.2).
#[test]
fn water_filling() {
    let (n, batch) = (4, 3);
    let mut model = Model::new();
    let x = model.variable_in("x", [n], Domain::Nonnegative);
    let noise = model.parameter_in("noise", [n], Domain::Nonnegative);
    let power = model.parameter("power", []);
    let problem = model
        .maximize(log(&(&x + &noise)).sum())
        .subject_to(x.sum().eq(&power).named("power"))
        .compile()
        .unwrap();
    let mut rng = rng(7);
    let inputs = [
        each("noise", uniform(&mut rng, 0.2, 1.5, batch * n)),
        each("power", vec![0.5, 1.0, 3.0]),
    ];
    let solution = solved(&problem, &inputs, batch);
    for i in 0..batch {
        let noise = &inputs[0].data[i * n..(i + 1) * n];
        let mut sorted = noise.to_vec();
        sorted.sort_by(f64::total_cmp);
        let mut level = 0.0;
        let mut sum = inputs[1].data[i];
        for (k, a) in sorted.iter().enumerate() {
            sum += a;
            let trial = sum / (k + 1) as f64;
            if trial > *a {
                level = trial;
            }
        }
        let x: Vec<f64> = noise.iter().map(|a| (level - a).max(0.0)).collect();
        close(
            &solution.variable("x").unwrap()[i * n..(i + 1) * n],
            &x,
            NEAR,
        );
        close(
            &solution.dual("power").unwrap()[i..=i],
            &[1.0 / level],
            NEAR,
        );
    }
    against_differences(&problem, &inputs, batch, &["x"], &["power"], 8);
}

/// `max Π xᵢ^wᵢ`, `cᵀx ≤ 1` spends the share `wᵢ` on good `i`.
#[test]
fn cobb_douglas_shares() {
    let weights = [0.5, 0.3, 0.2];
    for (weights, uniform_weights) in [(weights, false), ([1.0 / 3.0; 3], true)] {
        let mut model = Model::new();
        let x = model.variable("x", [3]);
        let prices = model.parameter_in("prices", [3], Domain::Nonnegative);
        let utility = if uniform_weights {
            geo_mean(&x)
        } else {
            weighted_geo_mean(&x, &weights)
        };
        let problem = model
            .maximize(utility)
            .subject_to(prices.dot(&x).le(1.0))
            .compile()
            .unwrap();
        let inputs = [each("prices", vec![1.0, 2.0, 0.5, 0.3, 0.9, 1.4])];
        let solution = solved(&problem, &inputs, 2);
        let expected: Vec<f64> = (0..6).map(|i| weights[i % 3] / inputs[0].data[i]).collect();
        close(solution.variable("x").unwrap(), &expected, NEAR);
        let w = normal(&mut rng(9), 6);
        let g = gradients(&problem, &solution, &inputs, &[("x", &w)], &[]);
        let slope: Vec<f64> = (0..6)
            .map(|i| -w[i] * weights[i % 3] / inputs[0].data[i].powi(2))
            .collect();
        close(g.parameter("prices").unwrap(), &slope, 1e-8);
        against_differences(&problem, &inputs, 2, &["x"], &[], 10);
    }
}

/// `min f(x) − cᵀx` for a scalar function: the solution is where `f' = c`.
fn scalar_layer(
    objective: impl Fn(&Expr) -> Expr,
    slopes: &[f64],
    inverse: impl Fn(f64) -> f64,
    inverse_derivative: impl Fn(f64) -> f64,
) {
    let mut model = Model::new();
    let x = model.variable("x", []);
    let c = model.parameter("c", []);
    let problem = model.minimize(objective(&x) - &c * &x).compile().unwrap();
    let batch = slopes.len();
    let inputs = [each("c", slopes.to_vec())];
    let solution = solved(&problem, &inputs, batch);
    let expected: Vec<f64> = slopes.iter().map(|c| inverse(*c)).collect();
    close(solution.variable("x").unwrap(), &expected, NEAR);
    let ones = vec![1.0; batch];
    let g = gradients(&problem, &solution, &inputs, &[("x", &ones)], &[]);
    let expected: Vec<f64> = slopes.iter().map(|c| inverse_derivative(*c)).collect();
    close(g.parameter("c").unwrap(), &expected, 1e-8);
    against_differences(&problem, &inputs, batch, &["x"], &[], 11);
}

#[test]
fn powers_have_their_conjugates() {
    let positive = [0.4, 1.0, 2.5];
    let negative = [-0.4, -1.0, -2.5];
    scalar_layer(square, &[-1.0, 0.5], |c| c / 2.0, |_| 0.5);
    // x³: 3x² = c.
    scalar_layer(
        |x| power(x, 3.0),
        &positive,
        |c| (c / 3.0).sqrt(),
        |c| 0.5 / (3.0 * c).sqrt(),
    );
    // x^1.5: 1.5 √x = c.
    scalar_layer(
        |x| power(x, 1.5),
        &positive,
        |c| (c / 1.5).powi(2),
        |c| 2.0 * c / 2.25,
    );
    // x⁴, all real numbers: 4x³ = c.
    scalar_layer(
        |x| power(x, 4.0),
        &[-2.0, 0.7],
        |c| (c / 4.0).cbrt(),
        |c| (c / 4.0).cbrt() / (3.0 * c),
    );
    // 1/x: −1/x² = c.
    scalar_layer(
        inv_pos,
        &negative,
        |c| (-1.0 / c).sqrt(),
        |c| 0.5 * (-c).powf(-1.5),
    );
    // x^−2: −2 x^−3 = c.
    scalar_layer(
        |x| power(x, -2.0),
        &negative,
        |c| (-2.0 / c).cbrt(),
        |c| (-2.0 / c).cbrt() / (-3.0 * c),
    );
    // −√x: −1/(2√x) = c.
    scalar_layer(
        |x| -sqrt(x),
        &negative,
        |c| 0.25 / (c * c),
        |c| -0.5 / (c * c * c),
    );
    // −x^0.3: −0.3 x^−0.7 = c.
    scalar_layer(
        |x| -power(x, 0.3),
        &negative,
        |c| (-0.3 / c).powf(1.0 / 0.7),
        |c| (-0.3 / c).powf(1.0 / 0.7) / (-0.7 * c),
    );
    // −log x: −1/x = c.
    scalar_layer(|x| -log(x), &negative, |c| -1.0 / c, |c| 1.0 / (c * c));
    // 1/x again, as 1²/x.
    scalar_layer(
        |x| quad_over_lin(&Expr::from(1.0), x),
        &negative,
        |c| (-1.0 / c).sqrt(),
        |c| 0.5 * (-c).powf(-1.5),
    );
}

/// A projection in the norm of an atom's sublevel set, or with the atom in the objective: all
/// parameters against differences.
#[test]
fn atoms_in_objectives_and_constraints() {
    let n = 4;
    type Atom = fn(&Expr) -> Expr;
    let convex: [(&str, Atom); 14] = [
        ("abs", |x| abs(x).sum()),
        ("max", max),
        ("norm_inf", norm_inf),
        ("norm2", norm2),
        ("pos", |x| pos(x).sum()),
        ("neg_part", |x| neg_part(x).sum()),
        ("sum_largest", |x| sum_largest(x, 2)),
        ("minus min", |x| -min(x)),
        ("minus sum_smallest", |x| -sum_smallest(x, 2)),
        ("maximum", |x| {
            maximum(&[x.clone(), 2.0 * x - 0.1, Expr::from(-0.3)]).sum()
        }),
        ("quad_over_lin", |x| {
            quad_over_lin(&x.slice(0..2), &(x.at([2]) + 3.0))
        }),
        ("quad_form", |x| {
            quad_form(&x.slice(0..2), &constant([2, 2], vec![2.0, 1.0, 1.0, 2.0]))
        }),
        ("norm of a square", |x| norm2(&square(x))),
        ("square of a norm", |x| square(&norm2(x))),
    ];
    for (seed, (name, atom)) in convex.into_iter().enumerate() {
        println!("{name}");
        let batch = 3;
        let mut rng = rng(100 + seed as u64);
        let y = normal(&mut rng, batch * n);
        let mut model = Model::new();
        let x = model.variable("x", [n]);
        let (y_, w) = (
            model.parameter("y", [n]),
            model.parameter_in("w", [], Domain::Nonnegative),
        );
        let penalty = model
            .minimize(0.5 * sum_squares(&x - &y_) + &w * atom(&x))
            .compile()
            .unwrap();
        let inputs = [each("y", y.clone()), each("w", vec![0.3; batch])];
        against_differences(&penalty, &inputs, batch, &["x"], &[], 7);

        let mut model = Model::new();
        let x = model.variable("x", [n]);
        let (y_, c, shift) = (
            model.parameter("y", [n]),
            model.parameter("c", []),
            model.parameter("shift", [n]),
        );
        let limit = model
            .minimize(0.5 * sum_squares(&x - &y_))
            .subject_to(atom(&(&x + &shift)).le(&c).named("limit"))
            .compile()
            .unwrap();
        let inputs = [
            each("y", y),
            each("c", vec![0.6; batch]),
            shared(
                "shift",
                normal(&mut rng, n).iter().map(|v| 0.1 * v).collect(),
            ),
        ];
        against_differences(&limit, &inputs, batch, &["x"], &["limit"], 8);
    }
}

/// A quadratic constraint with a parameter for its matrix.
#[test]
fn ellipsoid_with_a_parameter_matrix() {
    let (n, batch) = (3, 3);
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let (y, center) = (model.parameter("y", [n]), model.parameter("center", [n]));
    let matrix = model.parameter_in("matrix", [n, n], Domain::Semidefinite);
    let problem = model
        .minimize(sum_squares(&x - &y))
        .subject_to(
            quad_form(&(&x - &center), &matrix)
                .le(1.0)
                .named("ellipsoid"),
        )
        .compile()
        .unwrap();
    assert!(matches!(problem.form(), Form::Qcqp { quadratics: 1, .. }));
    let mut rng = rng(21);
    let inputs = [
        each(
            "y",
            normal(&mut rng, batch * n)
                .iter()
                .map(|v| 3.0 * v)
                .collect(),
        ),
        each("center", normal(&mut rng, batch * n)),
        each(
            "matrix",
            (0..batch).flat_map(|_| definite(&mut rng, n)).collect(),
        )
        .symmetric(n),
    ];
    let solution = solved(&problem, &inputs, batch);
    assert!(
        solution
            .violation("ellipsoid")
            .unwrap()
            .iter()
            .all(|v| *v < 1e-9)
    );
    against_differences(&problem, &inputs, batch, &["x"], &["ellipsoid"], 22);
}
