//! Functions of eigenvalues and singular values, against closed forms and differences.
#![cfg(feature = "semidefinite")]
#![allow(missing_docs)]

mod support;

use feasible_model::{
    CompiledProblem, Domain, Form, Formulation, Model, Sign, diag, lambda_max, lambda_min, log_det,
    matrix_frac, norm1, nuclear_norm, operator_norm, sum_squares,
};
use support::{
    against_differences, close, definite, each, gradients, normal, rng, shared, solved,
    symmetric_part,
};

const NEAR: f64 = 1e-7;

fn compiled(formulation: Formulation) -> CompiledProblem {
    let problem = formulation.compile().unwrap();
    assert!(matches!(problem.form(), Form::Cone { .. }));
    problem
}

/// A rotation of the plane times a diagonal times its transpose.
fn turned(angle: f64, [a, b]: [f64; 2]) -> Vec<f64> {
    let (s, c) = angle.sin_cos();
    vec![
        a * c * c + b * s * s,
        (a - b) * s * c,
        (a - b) * s * c,
        a * s * s + b * c * c,
    ]
}

/// `R(angle)·diag(a, b)·R(other)ᵀ`.
fn singular(angle: f64, other: f64, [a, b]: [f64; 2]) -> Vec<f64> {
    let ((s, c), (t, d)) = (angle.sin_cos(), other.sin_cos());
    vec![
        a * c * d + b * s * t,
        a * c * t - b * s * d,
        a * s * d - b * c * t,
        a * s * t + b * c * d,
    ]
}

/// Negative eigenvalues are clipped; the multiplier is twice what was clipped.
#[test]
fn projection_on_semidefinite_matrices() {
    let mut model = Model::new();
    let x = model.variable_in("x", [2, 2], Domain::Symmetric);
    let y = model.parameter_in("y", [2, 2], Domain::Symmetric);
    let cone = x.succeeds(0.0).named("cone");
    assert_eq!(cone.dual_sign(), Sign::Unknown);
    let problem = compiled(model.minimize(sum_squares(&x - &y)).subject_to(&cone));
    let inputs = [each(
        "y",
        [turned(0.4, [1.5, -0.7]), turned(-1.1, [0.3, 2.0])].concat(),
    )
    .symmetric(2)];
    let solution = solved(&problem, &inputs, 2);
    let expected = [turned(0.4, [1.5, 0.0]), turned(-1.1, [0.3, 2.0])].concat();
    close(solution.variable("x").unwrap(), &expected, NEAR);
    let dual = [turned(0.4, [0.0, 1.4]), vec![0.0; 4]].concat();
    close(&solution.dual("cone").unwrap(), &dual, NEAR);
    assert!(
        solution
            .violation("cone")
            .unwrap()
            .iter()
            .all(|v| *v < 1e-8)
    );
    against_differences(&problem, &inputs, 2, &["x"], &["cone"], 1);
}

/// `−log det X + tr(SX)` has the solution `S⁻¹`, and `dX = −S⁻¹ dS S⁻¹`.
#[test]
fn inverse_covariance() {
    let n = 3;
    let mut model = Model::new();
    let x = model.variable_in("x", [n, n], Domain::Symmetric);
    let s = model.parameter_in("s", [n, n], Domain::Symmetric);
    let problem = compiled(model.minimize(x.dot(&s) - log_det(&x)));
    let mut rng = rng(2);
    let inputs = [each("s", definite(&mut rng, n)).symmetric(n)];
    let solution = solved(&problem, &inputs, 1);
    let x = solution.variable("x").unwrap();
    let s = &inputs[0].data;
    for i in 0..n {
        for j in 0..n {
            let product: f64 = (0..n).map(|k| s[i * n + k] * x[k * n + j]).sum();
            assert!((product - f64::from(u8::from(i == j))).abs() < NEAR);
        }
    }
    let w = normal(&mut rng, n * n);
    let g = gradients(&problem, &solution, &inputs, &[("x", &w)], &[]);
    let expected: Vec<f64> = (0..n * n)
        .map(|at| {
            let (a, b) = (at / n, at % n);
            let sum = (0..n * n).map(|at| {
                let (i, j) = (at / n, at % n);
                let mean = 0.5 * (w[i * n + j] + w[j * n + i]);
                mean * x[i * n + a] * x[b * n + j]
            });
            -sum.sum::<f64>()
        })
        .collect();
    let got = g.parameter("s").unwrap();
    let symmetric: Vec<f64> = (0..n * n)
        .map(|at| 0.5 * (got[at] + got[at % n * n + at / n]))
        .collect();
    close(&symmetric, &expected, 1e-6);
    against_differences(&problem, &inputs, 1, &["x"], &[], 3);
}

/// Banerjee, El Ghaoui & d'Aspremont 2008.
#[test]
fn sparse_inverse_covariance() {
    let n = 3;
    let mut model = Model::new();
    let x = model.variable_in("x", [n, n], Domain::Symmetric);
    let s = model.parameter_in("s", [n, n], Domain::Symmetric);
    let weight = model.parameter_in("weight", [], Domain::Nonnegative);
    let objective = x.dot(&s) - log_det(&x) + &weight * norm1(&x);
    let problem = compiled(model.minimize(objective));
    let mut rng = rng(4);
    let inputs = [
        each("s", definite(&mut rng, n)).symmetric(n),
        shared("weight", vec![0.2]),
    ];
    against_differences(&problem, &inputs, 1, &["x"], &[], 5);
}

/// Where the entries of `S` beyond the weight make a tree, `W = X⁻¹` has them shrunk by the weight, the
/// diagonal raised by it, and `w_ij` for a pair that is not an edge the product along the path: here
/// `w₁₃ = w₁₂w₂₃/w₂₂` (Fattahi & Sojoudi 2019). `dX = −X dW X`.
#[test]
fn sparse_inverse_covariance_of_a_path() {
    let n = 3;
    let mut model = Model::new();
    let x = model.variable_in("x", [n, n], Domain::Symmetric);
    let s = model.parameter_in("s", [n, n], Domain::Symmetric);
    let weight = model.parameter_in("weight", [], Domain::Nonnegative);
    let problem = compiled(model.minimize(x.dot(&s) - log_det(&x) + &weight * norm1(&x)));
    let (s, weight) = ([1.0, 0.5, 0.1, 0.5, 1.2, -0.45, 0.1, -0.45, 0.9], 0.2);
    let inputs = [
        each("s", s.to_vec()).symmetric(n),
        shared("weight", vec![weight]),
    ];
    let solution = solved(&problem, &inputs, 1);
    let [d1, d2, d3] = [s[0], s[4], s[8]].map(|v| v + weight);
    let (a, b) = (s[1] - weight, s[5] + weight);
    assert!((a * b / d2 - s[2]).abs() < weight);
    let (of_a, of_b) = (d1 * d2 - a * a, d2 * d3 - b * b);
    let expected = [
        d2 / of_a,
        -a / of_a,
        0.0,
        -a / of_a,
        (1.0 + a * a / of_a + b * b / of_b) / d2,
        -b / of_b,
        0.0,
        -b / of_b,
        d2 / of_b,
    ];
    close(solution.variable("x").unwrap(), &expected, NEAR);
    let w = normal(&mut rng(11), n * n);
    let g = gradients(&problem, &solution, &inputs, &[("x", &w)], &[]);
    // The derivative of Σ wX in W is q = −X w X, w symmetric.
    let mean = symmetric_part(&w, n);
    let q = |i: usize, j: usize| -> f64 {
        let pairs = (0..n * n).map(|at| (at / n, at % n));
        -pairs
            .map(|(k, l)| expected[i * n + k] * mean[k * n + l] * expected[l * n + j])
            .sum::<f64>()
    };
    // Half of what a pair of mirrored entries has.
    let (of_12, of_23) = (q(0, 1) + q(0, 2) * b / d2, q(1, 2) + q(0, 2) * a / d2);
    let of_22 = q(1, 1) - 2.0 * q(0, 2) * a * b / (d2 * d2);
    let of_s = [
        q(0, 0),
        of_12,
        0.0,
        of_12,
        of_22,
        of_23,
        0.0,
        of_23,
        q(2, 2),
    ];
    close(&symmetric_part(g.parameter("s").unwrap(), n), &of_s, NEAR);
    // s₁₂ is shrunk, s₂₃ is negative and raised.
    let of_weight = q(0, 0) + of_22 + q(2, 2) - 2.0 * of_12 + 2.0 * of_23;
    close(g.parameter("weight").unwrap(), &[of_weight], NEAR);
    against_differences(&problem, &inputs, 1, &["x"], &[], 12);
}

/// Singular values are shrunk by the weight of the nuclear norm, clipped by a bound on the operator
/// norm.
#[test]
fn singular_values_are_shrunk_and_clipped() {
    let mut model = Model::new();
    let x = model.variable("x", [2, 2]);
    let y = model.parameter("y", [2, 2]);
    let weight = model.parameter_in("weight", [], Domain::Nonnegative);
    let bound = model.parameter("bound", []);
    let near = 0.5 * sum_squares(&x - &y);
    let data = [
        singular(0.3, 1.2, [2.0, 0.4]),
        singular(-0.8, 0.1, [1.5, 1.1]),
    ]
    .concat();
    let shrunk = compiled(model.minimize(&near + &weight * nuclear_norm(&x)));
    let inputs = [each("y", data.clone()), shared("weight", vec![0.6])];
    let solution = solved(&shrunk, &inputs, 2);
    let expected = [
        singular(0.3, 1.2, [1.4, 0.0]),
        singular(-0.8, 0.1, [0.9, 0.5]),
    ]
    .concat();
    close(solution.variable("x").unwrap(), &expected, NEAR);
    against_differences(&shrunk, &inputs, 2, &["x"], &[], 6);
    let norm = operator_norm(&x).le(&bound).named("bound");
    let clipped = compiled(model.minimize(near).subject_to(norm));
    let inputs = [each("y", data), shared("bound", vec![1.3])];
    let solution = solved(&clipped, &inputs, 2);
    let expected = [
        singular(0.3, 1.2, [1.3, 0.4]),
        singular(-0.8, 0.1, [1.3, 1.1]),
    ]
    .concat();
    close(solution.variable("x").unwrap(), &expected, NEAR);
    close(&solution.dual("bound").unwrap(), &[0.7, 0.2], NEAR);
    against_differences(&clipped, &inputs, 2, &["x"], &["bound"], 7);
}

/// Eigenvalues of a matrix with a diagonal that is free.
#[test]
fn extreme_eigenvalues() {
    let n = 3;
    let mut model = Model::new();
    let x = model.variable("x", [n]);
    let c = model.parameter_in("c", [n, n], Domain::Symmetric);
    let y = model.parameter("y", [n]);
    let matrix = &c + diag(&x);
    let spread = lambda_max(&matrix) - lambda_min(&matrix);
    let problem = compiled(model.minimize(spread + sum_squares(&x - &y)));
    let mut rng = rng(8);
    let inputs = [
        each("c", definite(&mut rng, n)).symmetric(n),
        each("y", normal(&mut rng, n)),
    ];
    against_differences(&problem, &inputs, 1, &["x"], &[], 9);
}

/// `½‖x − y‖² + ½xᵀP⁻¹x` has the solution `P(P + 1)⁻¹y`.
#[test]
fn fraction_of_a_matrix() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let y = model.parameter("y", [2]);
    let p = model.parameter_in("p", [2, 2], Domain::Semidefinite);
    let objective = 0.5 * sum_squares(&x - &y) + 0.5 * matrix_frac(&x, &p);
    let problem = compiled(model.minimize(objective));
    let inputs = [
        each("y", vec![1.0, -2.0]),
        each("p", turned(0.7, [2.0, 0.5])).symmetric(2),
    ];
    let solution = solved(&problem, &inputs, 1);
    let shrink = turned(0.7, [2.0 / 3.0, 1.0 / 3.0]);
    let expected = [shrink[0] - 2.0 * shrink[1], shrink[2] - 2.0 * shrink[3]];
    close(solution.variable("x").unwrap(), &expected, NEAR);
    against_differences(&problem, &inputs, 1, &["x"], &[], 10);
}
