//! What parameters must be, what follows from it, and numbers that leave the range of a double.
#![allow(missing_docs)]

mod support;

use feasible_model::{
    Domain, Expr, Model, SolveSettings, constant, exp, norm2, power, quad_form, quad_over_lin,
    sum_squares, weighted_geo_mean,
};
use support::{close, compiled, mistake, refused, rng, shared, solved, uniform, values};

/// Numbers of order 1 from small systems.
const ROUNDING: f64 = 1e-13;

/// Mirrored entries are compared with the largest, not with each other, and single precision is known.
#[test]
fn symmetry_is_up_to_the_rounding_of_the_matrix() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let risk = model.parameter_in("risk", [2, 2], Domain::Semidefinite);
    let problem = compiled(model.minimize(quad_form(&x, &risk) - x.sum()));
    let solve = |matrix: [f64; 4], settings: &SolveSettings| {
        let inputs = [shared("risk", matrix.to_vec())];
        let solution = problem.solve(&values(&inputs), 1, settings);
        solution.map(|s| s.variable("x").unwrap().to_vec())
    };
    let mut single = SolveSettings::default();
    single.dense.rounding = f64::from(f32::EPSILON);
    close(
        &solve([1.0, 1e-17, 0.0, 1.0], &SolveSettings::default()).unwrap(),
        &[0.5; 2],
        ROUNDING,
    );
    let rounded = [1.0, f64::from(0.3_f32), f64::from(0.300_000_04_f32), 1.0];
    let error = solve(rounded, &SolveSettings::default()).unwrap_err();
    assert!(error.to_string().contains("declared symmetric"), "{error}");
    close(&solve(rounded, &single).unwrap(), &[0.5 / 1.3; 2], 1e-7);
}

/// A domain is checked wherever its parameter stands.
#[test]
fn semidefinite_parameters_are_checked_where_convexity_does_not_need_them() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let p = model.parameter_in("p", [2, 2], Domain::Semidefinite);
    let linear = model
        .minimize(sum_squares(&x))
        .subject_to(p.matmul(&x).ge(1.0));
    let covered = model.minimize(quad_form(&x, &p) + 2.0 * sum_squares(&x));
    for formulation in [linear, covered] {
        let problem = compiled(formulation);
        let message = refused(&problem, &[shared("p", vec![0.0, 1.0, 1.0, 0.0])], 1);
        assert_eq!(
            message,
            "parameter `p` has the eigenvalue -1.000e0 in the shared values but is declared positive \
             semidefinite"
        );
    }
}

#[test]
fn multiples_of_semidefinite_parameters_are_semidefinite() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let p = model.parameter_in("p", [2, 2], Domain::Semidefinite);
    // (4 p)/8, by way of more sums than a search without memory would end with.
    let mut sum = p.clone();
    for _ in 0..60 {
        sum = (&sum + &sum) / 2.0;
    }
    let half = (&sum * 4.0) / 8.0;
    let problem = compiled(model.minimize(quad_form(&x, &half) - x.sum()));
    let solution = solved(&problem, &[shared("p", vec![2.0, 0.0, 0.0, 4.0])], 1);
    close(solution.variable("x").unwrap(), &[0.5, 0.25], ROUNDING);
    assert!(mistake(model.minimize(quad_form(&x, &(&p / -2.0)))).contains("concave"));
}

/// Cones' exponents that round to 0 or 1, and numbers that overflow on the way, are mistakes of the
/// expression.
#[test]
fn numbers_beyond_the_range_are_named() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let y = model.variable("y", []);
    let tiny = power(&y, -1e-17);
    assert!(mistake(model.minimize(tiny)).contains("the exponent is -0.00000000000000001"));
    for weights in [[1.0, 1e-17], [1e308, 1e308], [1e-200, 1e200]] {
        let mean = weighted_geo_mean(&x, &weights);
        let message = mistake(model.maximize(mean).subject_to(x.le(1.0)));
        assert!(message.contains("a weight vanishes"), "{message}");
    }
    for overflowing in [
        (&y * 1e200) * 1e200,
        &y / 1e-310,
        quad_over_lin(&x, &constant([], vec![1e-310])),
    ] {
        let message = mistake(model.minimize(overflowing + norm2(&x)));
        assert!(message.contains("overflow"), "{message}");
    }
    assert!(x.reshape([usize::MAX, 2]).mistake().is_some());
}

/// A product of parameters is affine in one of its factors, whichever is written first.
#[test]
fn factors_of_parameters_commute() {
    let mut model = Model::new();
    let x = model.variable("x", []);
    let p = model.parameter_in("p", [], Domain::Nonnegative);
    let q = model.parameter("q", []);
    for product in [&p * exp(&q), exp(&q) * &p] {
        let problem = compiled(model.minimize(power(&x, 2.0)).subject_to(x.ge(product)));
        let inputs = [shared("p", vec![2.0]), shared("q", vec![0.5])];
        let solution = solved(&problem, &inputs, 1);
        close(
            solution.variable("x").unwrap(),
            &[2.0 * 0.5_f64.exp()],
            1e-7,
        );
    }
}

/// A minimiser at the boundary of a function's domain, which rounding takes past it: the objective is
/// that of the form that was solved.
#[test]
fn the_objective_at_the_boundary_of_a_domain_is_finite() {
    let mut beyond = 0;
    for seed in 0..40 {
        let mut rng = rng(seed);
        let target = uniform(&mut rng, -1.0, -0.1, 3);
        let scale = uniform(&mut rng, 0.3, 3.0, 2);
        for maximised in [false, true] {
            let mut model = Model::new();
            let x = model.variable("x", [3]);
            let y = model.parameter("y", [3]);
            // Smallest at x = 0: the slope there is the scale and what leads away from the target.
            let powers = power(&(scale[0] * &x), 1.5).sum() + scale[1] * x.sum();
            let objective = powers + 0.5 * sum_squares(&x - &y) + y.sum() - 4.0;
            let objective: Expr = if maximised { -objective } else { objective };
            let formulation = match maximised {
                false => model.minimize(objective.clone()),
                true => model.maximize(objective.clone()),
            };
            let problem = compiled(formulation);
            let solution = solved(&problem, &[shared("y", target.clone())], 1);
            let x = solution.variable("x").unwrap();
            let value = objective.value(&[("x", x), ("y", &target)]).unwrap()[0];
            beyond += usize::from(!value.is_finite());
            let least: f64 = target.iter().map(|y| 0.5 * y * y + y).sum::<f64>() - 4.0;
            let expected = if maximised { -least } else { least };
            close(&solution.objective().unwrap(), &[expected], 1e-8);
        }
    }
    assert!(beyond > 0, "no point is beyond the boundary");
}
