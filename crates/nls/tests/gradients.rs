//! Gradients of both backward modes against central differences, on every sample.

#![allow(clippy::print_stdout)] // measured figures, shown on failure or with --nocapture

mod support;

use std::cell::Cell;

use burn::tensor::Tensor;
use feasible_core::{Bounds, Dual, Quadratic};
use feasible_nls::{
    Backward, ConstraintResidual, Damping, Error, FunctionResidual, GradientQuality,
    LevenbergMarquardt, Residual, Settings, Status, Weights,
};
use support::{check_gradients, normal, numbers, rng, tensor};

const BATCH: usize = 6;

/// A nonlinear residual of m rows in n variables with per-sample parameters p `[batch, n]` and
/// q `[batch, m]`, shared s `[1, n]`:  r = A(y + 0.2 sin(y + s)) + 0.1 (y·p)² − q.
fn nonlinear(
    m: usize,
    n: usize,
    parameters: &[Tensor<2>],
) -> FunctionResidual<impl Fn(Dual, &[Tensor<2>]) -> Dual + use<>> {
    // Far from singular, or a Gauss-Newton step differs wildly between neighbouring inputs.
    let mut matrix = normal(&mut rng(100 + (m * 17 + n) as u64), m * n);
    (0..m).for_each(|i| matrix[i * n + i % n] += 3.0);
    let matrix = tensor(matrix, [m, n]);
    FunctionResidual::with_parameters(n, m, parameters.to_vec(), move |y, p| {
        let bent = y.clone() + (y.clone() + p[2].clone()).sin() * 0.2;
        let square = (y * p[0].clone()).sum().square() * 0.1;
        bent.left_multiply(matrix.clone()) + square - p[1].clone()
    })
}

fn inputs(seed: u64, m: usize, n: usize) -> Vec<Tensor<2>> {
    let mut rng = rng(seed);
    let mut draw =
        |rows: usize, columns: usize| tensor(normal(&mut rng, rows * columns), [rows, columns]);
    vec![draw(BATCH, n), draw(BATCH, m), draw(1, n), draw(BATCH, n)]
}

fn tight(damping: Damping, backward: Backward) -> Settings {
    Settings {
        damping,
        backward,
        residual_tolerance: 1e-13,
        step_tolerance: 1e-13,
        ..Settings::default()
    }
}

/// Few iterations, so that the start matters: unrolled gradients must be exact anyway.
#[test]
fn unrolled_gradients_are_those_of_the_iterations_that_were_run() {
    for (m, n) in [(2, 5), (4, 4), (6, 3), (1, 1)] {
        for damping in [Damping::Fixed(0.0), Damping::Fixed(0.3), Damping::default()] {
            for weights in [Weights::None, Weights::RowScales] {
                let settings = Settings {
                    max_iterations: 3,
                    ..tight(damping, Backward::Unrolled)
                };
                let solver = LevenbergMarquardt::new(settings)
                    .unwrap()
                    .with_weights(weights.clone());
                let solve = |i: &[Tensor<2>]| {
                    solver
                        .solve(&nonlinear(m, n, &i[..3]), i[3].clone())
                        .unwrap()
                };
                let name = format!("{m} rows, {n} variables, {damping:?}, {weights:?}");
                let worst = check_gradients(&name, &inputs(1, m, n), |i| solve(i).y, 1e-4, 2e-6);
                println!("{name}: {worst:.1e}");
            }
        }
    }
}

#[test]
fn unrolled_gradients_reach_given_weights() {
    for (m, n) in [(2, 4), (6, 3)] {
        let mut all = inputs(4, m, n);
        all.push(tensor(
            normal(&mut rng(5), BATCH * m)
                .iter()
                .map(|w| 0.5 + w.abs())
                .collect(),
            [BATCH, m],
        ));
        for backward in [Backward::Unrolled, Backward::Implicit] {
            // With fewer rows than variables the weights decide the way, not a stationary point.
            if m < n && backward == Backward::Implicit {
                continue;
            }
            let settings = Settings {
                max_iterations: 100,
                ..tight(Damping::Fixed(0.05), backward)
            };
            let solve = |i: &[Tensor<2>]| {
                let solver = LevenbergMarquardt::new(settings)
                    .unwrap()
                    .with_weights(Weights::Given(i[4].clone()));
                solver
                    .solve(&nonlinear(m, n, &i[..3]), i[3].clone())
                    .unwrap()
                    .y
            };
            let worst = check_gradients(&format!("{backward:?} {m}×{n}"), &all, solve, 1e-4, 2e-6);
            println!("weights, {backward:?}, {m}×{n}: {worst:.1e}");
        }
    }
}

#[test]
fn implicit_gradients_are_exact_with_a_residual_left() {
    let mut checked = 0;
    for seed in 0..2 {
        for (m, n) in [(5, 3), (8, 2), (4, 4), (2, 1)] {
            for weights in [Weights::None, Weights::RowScales] {
                let solver = LevenbergMarquardt::new(Settings {
                    max_iterations: 300,
                    ..tight(Damping::default(), Backward::Implicit)
                });
                let solver = solver.unwrap().with_weights(weights.clone());
                let solve = |i: &[Tensor<2>]| {
                    solver
                        .solve(&nonlinear(m, n, &i[..3]), i[3].clone())
                        .unwrap()
                };
                let all = inputs(seed, m, n);
                let tracked: Vec<_> = all.iter().map(|t| t.clone().require_grad()).collect();
                let solution = solve(&tracked);
                let quality = solution.gradient.unwrap();
                assert!(
                    quality.iter().all(|q| *q == GradientQuality::Exact),
                    "{quality:?} {:?}",
                    solution.status
                );
                let worst = check_gradients(
                    &format!("seed {seed}, {m}×{n}, {weights:?}"),
                    &all,
                    |i| solve(i).y,
                    1e-4,
                    1e-6,
                );
                println!("implicit, seed {seed}, {m}×{n}: {worst:.1e}");
                checked += BATCH;
            }
        }
    }
    assert_eq!(checked, 2 * 4 * 2 * BATCH);
}

#[test]
fn both_modes_agree_with_the_closed_form_on_linear_problems() {
    // r = A y − b: dy/db = (AᵀA)⁻¹Aᵀ for m ≥ n; AᵀAAᵀ⁻¹ for m < n from any start.
    for (m, n) in [(6, 3), (3, 3), (2, 5)] {
        let a = normal(&mut rng(9), m * n);
        let matrix = faer::Mat::from_fn(m, n, |i, j| a[i * n + j]);
        let pinv = matrix.thin_svd().unwrap().pseudoinverse();
        let start = tensor(normal(&mut rng(10), BATCH * n), [BATCH, n]);
        for backward in [Backward::Unrolled, Backward::Implicit] {
            let b = tensor(normal(&mut rng(8), BATCH * m), [BATCH, m]).require_grad();
            let linear = tensor(a.clone(), [m, n]);
            let residual = FunctionResidual::with_parameters(n, m, vec![b.clone()], move |y, p| {
                y.left_multiply(linear.clone()) - p[0].clone()
            });
            let solver = LevenbergMarquardt::new(tight(Damping::Fixed(0.0), backward)).unwrap();
            let solution = solver.solve(&residual, start.clone()).unwrap();
            let expected_quality = if m < n {
                GradientQuality::Degenerate
            } else {
                GradientQuality::Exact
            };
            if let Some(quality) = &solution.gradient {
                assert_eq!(*quality, vec![expected_quality; BATCH]);
            }
            let c = normal(&mut rng(12), BATCH * n);
            let gradients = (solution.y * tensor(c.clone(), [BATCH, n]))
                .sum()
                .backward();
            let got = numbers(&b.grad(&gradients).unwrap());
            for sample in 0..BATCH {
                for i in 0..m {
                    let expected: f64 = (0..n).map(|j| pinv[(j, i)] * c[sample * n + j]).sum();
                    // Condition numbers below 100 here.
                    let error = (got[sample * m + i] - expected).abs();
                    assert!(
                        error < 1e-11,
                        "{backward:?} {m}×{n}, sample {sample}: error {error:e}"
                    );
                }
            }
        }
    }
}

#[test]
fn implicit_gradients_of_quadratic_constraints_use_their_closed_curvature() {
    // A target out of reach: three quadratic rows in two variables, so second derivatives count.
    let h = tensor(vec![1.0, 0.5, 0.2, 2.0, 1.0, 1.0], [3, 2]);
    let a = tensor(vec![1.0, 0.0, 0.0, 1.0, -1.0, 1.0], [3, 2]);
    let constraints =
        Quadratic::diagonal(h, a, Bounds::at_most(tensor(vec![0.0; 3], [1, 3])).unwrap()).unwrap();
    let targets = tensor(
        normal(&mut rng(20), BATCH * 3)
            .iter()
            .map(|v| 2.0 + 0.5 * v)
            .collect(),
        [BATCH, 3],
    );
    let settings = Settings {
        max_iterations: 300,
        ..tight(Damping::default(), Backward::Implicit)
    };
    let solver = LevenbergMarquardt::new(settings).unwrap();
    let solve = |i: &[Tensor<2>]| {
        let residual = ConstraintResidual::new(&constraints, i[0].clone()).unwrap();
        let start = tensor([0.8, 0.6].repeat(BATCH), [BATCH, 2]);
        let solution = solver.solve(&residual, start).unwrap();
        assert!(
            solution.residual_norm.iter().all(|r| *r > 1e-3),
            "second derivatives must matter"
        );
        solution.y
    };
    let worst = check_gradients("targets", &[targets], solve, 1e-4, 1e-6);
    println!("quadratic constraints: {worst:.1e}");
}

#[test]
fn implicit_differentiation_leaves_the_network_behind_usable() {
    // The parameter is not a leaf: the backward passes for second derivatives must not consume its
    // graph.
    let x = tensor(vec![2.0, 3.0], [2, 1]).require_grad();
    let p = x.clone().square();
    let solve = |backward| {
        let residual = FunctionResidual::with_parameters(1, 2, vec![x.clone().square()], |y, p| {
            Dual::cat(vec![y.clone().square() - p[0].clone(), y * 0.1])
        });
        let solver = LevenbergMarquardt::new(Settings {
            max_iterations: 300,
            ..tight(Damping::default(), backward)
        });
        let solution = solver
            .unwrap()
            .solve(&residual, tensor(vec![1.0, 1.0], [2, 1]))
            .unwrap();
        numbers(
            &x.grad(&(solution.y + x.clone().square()).sum().backward())
                .unwrap(),
        )
    };
    let (implicit, unrolled) = (solve(Backward::Implicit), solve(Backward::Unrolled));
    for (a, b) in implicit.iter().zip(&unrolled) {
        // Both at a point stationary to about 1e-13.
        assert!((a - b).abs() < 1e-9, "{implicit:?} {unrolled:?}");
    }
    // Captured instead of given, it is refused.
    let residual = FunctionResidual::new(1, 1, move |y| y.square() * p.clone());
    let solver = LevenbergMarquardt::new(tight(Damping::default(), Backward::Implicit)).unwrap();
    assert_eq!(
        solver
            .solve(&residual, tensor(vec![1.0, 1.0], [2, 1]))
            .unwrap_err(),
        Error::TrackedCapture
    );
}

/// y² − 2, and how often it was asked at a tracked y.
#[derive(Debug, Default)]
struct Watched(Cell<usize>);

impl Residual for Watched {
    fn variables(&self) -> usize {
        2
    }

    fn rows(&self) -> usize {
        2
    }

    fn linearise(&self, y: Tensor<2>) -> (Tensor<2>, Tensor<3>) {
        self.0.set(self.0.get() + usize::from(y.is_tracked()));
        (Dual::variable(y).square() - 2.0).into_parts(2)
    }
}

#[test]
fn a_start_without_a_gradient_is_not_recorded() {
    let start = || tensor(vec![1.0, 2.0], [1, 2]).require_grad();
    // Row scales alone depend on the start, and the iterations where they are differentiated.
    for (weights, backward, recorded) in [
        (Weights::None, Backward::Implicit, false),
        (
            Weights::Given(tensor(vec![1.0, 2.0], [1, 2])),
            Backward::Implicit,
            false,
        ),
        (Weights::RowScales, Backward::Implicit, true),
        (Weights::None, Backward::Unrolled, true),
    ] {
        let residual = Watched::default();
        let solver = LevenbergMarquardt::new(tight(Damping::default(), backward)).unwrap();
        let solution = solver
            .with_weights(weights)
            .solve(&residual, start())
            .unwrap();
        assert!(solution.status.iter().all(|status| status.is_converged()));
        assert_eq!(residual.0.get() > 0, recorded);
    }
}

#[test]
fn samples_without_an_implicit_gradient_say_so() {
    // Sample 0 converges, 1 runs out of iterations, 2 breaks down, 3 is not isolated.
    let p = tensor(vec![1.0, 1e12, 1.0, 0.0], [4, 1]).require_grad();
    let residual =
        FunctionResidual::with_parameters(1, 1, vec![p.clone()], |y, p| y.square() - p[0].clone());
    let settings = Settings {
        max_iterations: 12,
        ..tight(Damping::Fixed(0.0), Backward::Implicit)
    };
    let solver = LevenbergMarquardt::new(settings).unwrap();
    let solution = solver
        .solve(&residual, tensor(vec![0.7, 1.0, 0.0, 0.0], [4, 1]))
        .unwrap();
    assert_eq!(
        solution.status,
        [
            Status::ConvergedByResidual,
            Status::MaxIterations,
            Status::Singular,
            Status::ConvergedByResidual
        ]
    );
    use GradientQuality::{Degenerate, Exact, Inexact, Unavailable};
    assert_eq!(
        solution.gradient.clone().unwrap(),
        [Exact, Inexact, Unavailable, Degenerate]
    );
    let gradient = numbers(&p.grad(&solution.y.sum().backward()).unwrap());
    assert!((gradient[0] - 0.5).abs() < 1e-12, "{gradient:?}");
    assert_eq!((gradient[2], gradient[3]), (0.0, 0.0));
}

/// ½(y² − p)² is largest at 0 for p = 4, and smallest there for p = −4, where H = 8 by its curvature alone.
#[test]
fn a_maximum_is_no_exact_solution() {
    let p = tensor(vec![4.0, -4.0], [2, 1]).require_grad();
    let residual =
        FunctionResidual::with_parameters(1, 1, vec![p.clone()], |y, p| y.square() - p[0].clone());
    let solver = LevenbergMarquardt::new(tight(Damping::Fixed(1e-2), Backward::Implicit)).unwrap();
    let solution = solver
        .solve(&residual, tensor(vec![0.0; 2], [2, 1]))
        .unwrap();
    assert!(solution.status.iter().all(|status| status.is_converged()));
    let expected = [GradientQuality::Degenerate, GradientQuality::Exact];
    assert_eq!(solution.gradient.clone().unwrap(), expected);
    let gradient = numbers(&p.grad(&solution.y.sum().backward()).unwrap());
    assert_eq!(gradient, [0.0, 0.0]);
}

/// y₁ − p and y₁² − 2 have dy₁/dp = 1/3 at p = −1, whatever the unit of a variable beside y₁ is.
#[test]
fn a_heavy_row_takes_no_gradient_from_a_light_one() {
    for exponent in -7..=7 {
        let weight = 10f64.powi(exponent);
        let p = tensor(vec![-1.0], [1, 1]).require_grad();
        let rows = move |y: &Dual, p: &[Tensor<2>]| {
            let x = y.column(0);
            Dual::cat(vec![
                x.clone() - p[0].clone(),
                x.square() - 2.0,
                y.column(1) * weight,
            ])
        };
        let residual =
            FunctionResidual::with_parameters(2, 3, vec![p.clone()], move |y, p| rows(&y, p));
        let solver = tight(Damping::default(), Backward::Implicit);
        let solution = LevenbergMarquardt::new(solver)
            .unwrap()
            .solve(&residual, tensor(vec![1.0, 0.0], [1, 2]))
            .unwrap();
        assert_eq!(
            solution.gradient.clone().unwrap(),
            [GradientQuality::Exact],
            "{weight:e}"
        );
        let gradient = numbers(&p.grad(&solution.y.sum().backward()).unwrap());
        assert!(
            (gradient[0] - 1.0 / 3.0).abs() < 1e-9,
            "{weight:e}: {gradient:?}"
        );
    }
}

#[test]
fn a_tolerance_that_is_met_far_from_the_solution_makes_no_exact_gradient() {
    // r = 1e-5 (y − p): damping makes the first step short for sample 0, the residual is small
    // anywhere near for sample 1, and sample 2 starts at its solution.
    let p = tensor(vec![0.5, 1e-4, 0.0], [3, 1]).require_grad();
    let residual =
        FunctionResidual::with_parameters(1, 1, vec![p], |y, p| (y - p[0].clone()) * 1e-5);
    let settings = Settings {
        damping: Damping::Fixed(1e-2),
        backward: Backward::Implicit,
        ..Settings::default()
    };
    let solution = LevenbergMarquardt::new(settings)
        .unwrap()
        .solve(&residual, tensor(vec![0.0; 3], [3, 1]))
        .unwrap();
    assert_eq!(
        solution.status,
        [
            Status::ConvergedByStep,
            Status::ConvergedByResidual,
            Status::ConvergedByResidual
        ]
    );
    use GradientQuality::{Exact, Inexact};
    assert_eq!(solution.gradient.unwrap(), [Inexact, Inexact, Exact]);
}

#[test]
fn nothing_is_recorded_without_tracked_tensors() {
    let parameters = inputs(1, 3, 3);
    let residual = nonlinear(3, 3, &parameters[..3]);
    assert_eq!(residual.rows(), 3);
    for backward in [Backward::Unrolled, Backward::Implicit] {
        let solver = LevenbergMarquardt::new(tight(Damping::default(), backward)).unwrap();
        let solution = solver.solve(&residual, parameters[3].clone()).unwrap();
        assert!(!solution.y.is_tracked() && solution.gradient.is_none());
    }
}
