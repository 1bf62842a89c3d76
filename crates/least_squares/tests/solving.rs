//! Steps × linear solvers on problems with known minima, and what becomes of samples that have none.

mod common;

use common::{Rosenbrock, alone, plain, solvers, steps, tight};
use feasible_least_squares::{
    Builder, Inputs, Linear, LinearCost, Manifold, Objective, Real, Residual, Robust, Settings,
    Shape, Status, Step, Stopping, Test, Values, Weight,
};

/// Powell's function, whose Jacobian is singular at its minimum, 0.
struct Powell;

impl Residual for Powell {
    fn rows(&self) -> usize {
        4
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], _: &[&[T]], out: &mut [T]) {
        let x = variables[0];
        out[0] = x[0] + x[1] * 10.0;
        out[1] = (x[2] - x[3]) * 5f64.sqrt();
        out[2] = (x[1] - x[2] * 2.0).powi(2);
        out[3] = (x[0] - x[3]).powi(2) * 10f64.sqrt();
    }
}

/// Beale's function: minimum 0 at (3, ½).
struct Beale;

impl Residual for Beale {
    fn rows(&self) -> usize {
        3
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], _: &[&[T]], out: &mut [T]) {
        let (x, y) = (variables[0][0], variables[0][1]);
        for (i, c) in [1.5, 2.25, 2.625].into_iter().enumerate() {
            out[i] = x * (y.powi(i as i32 + 1) - 1.0) + c;
        }
    }
}

/// x³ − 5x: Gauss-Newton steps from 1 go to −1 and back.
struct Valley;

impl Residual for Valley {
    fn rows(&self) -> usize {
        1
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], _: &[&[T]], out: &mut [T]) {
        let x = variables[0][0];
        out[0] = x * x * x - x * 5.0;
    }
}

#[test]
fn a_step_across_a_valley_is_no_convergence() {
    let (objective, x) = alone(Valley, 1);
    let inputs = Inputs::new(&objective, 1).start(x, Values::Shared(&[1.0]));
    for cost in [0.0, 1e-9] {
        let stopping = Stopping {
            cost,
            ..Stopping::default()
        };
        let settings = Settings {
            step: Step::GaussNewton,
            max_iterations: 20,
            stopping,
            ..Settings::default()
        };
        let solution = objective.solve(&inputs, &settings).unwrap();
        assert_eq!(solution.status[0], Status::MaxIterations, "{cost}");
        let solution = objective
            .solve(
                &inputs,
                &Settings {
                    step: Step::default(),
                    ..settings
                },
            )
            .unwrap();
        assert!(solution.all_converged());
        // The roots are 0 and ±√5.
        let x = solution.x[0];
        assert!(x.abs().min((x * x - 5.0).abs()) < 1e-4, "{x}");
    }
}

#[test]
fn classic_problems_are_solved_by_every_step_and_solver() {
    for step in steps() {
        for linear in solvers() {
            let settings = Settings {
                step,
                max_iterations: 300,
                ..tight(linear)
            };
            let solve = |objective: &Objective, x, start: &[f64]| {
                let inputs = Inputs::new(objective, 1).start(x, Values::Shared(start));
                objective.solve(&inputs, &settings).unwrap()
            };
            let (objective, x) = alone(Rosenbrock, 2);
            let solution = solve(&objective, x, &[-1.2, 1.0]);
            assert!(
                solution.all_converged(),
                "{step:?} {linear:?}: {:?}",
                solution.status
            );
            // Distances are gradients over the smallest curvature, ½.
            assert!((solution.x[0] - 1.0).abs() < 1e-11 && (solution.x[1] - 1.0).abs() < 1e-11);
            let (objective, x) = alone(Beale, 2);
            let solution = solve(&objective, x, &[1.0, 1.0]);
            assert!(
                solution.all_converged(),
                "{step:?} {linear:?}: {:?}",
                solution.status
            );
            assert!((solution.x[0] - 3.0).abs() < 1e-10 && (solution.x[1] - 0.5).abs() < 1e-10);
            let (objective, x) = alone(Powell, 4);
            let solution = solve(&objective, x, &[3.0, -1.0, 0.0, 1.0]);
            // The last two rows are quartic: a gradient of 1e-13 is met at a distance of 1e-4.
            assert!(
                solution.cost[0] < 1e-14,
                "{step:?} {linear:?}: {}",
                solution.cost[0]
            );
            assert!(
                solution.x.iter().all(|x| x.abs() < 1e-3),
                "{step:?} {linear:?}: {:?} {:?}",
                solution.x,
                solution.status
            );
        }
    }
}

#[test]
fn gauss_newton_solves_linear_problems_in_one_step() {
    for linear in solvers() {
        let mut builder = Builder::new();
        let x = builder.variable("x", Manifold::Vector(2)).unwrap();
        let a = [1.0, 2.0, 0.5, -1.0, 3.0, 0.25];
        builder
            .cost(
                "c",
                LinearCost::new(3, 2, a, [1.0, -1.0, 2.0]),
                &[x],
                &[],
                Weight::diagonal([1.0, 2.0, 0.5]),
                Robust::None,
            )
            .unwrap();
        let objective = builder.build().unwrap();
        let inputs = Inputs::new(&objective, 1).start(x, Values::Shared(&[7.0, -3.0]));
        let settings = Settings {
            step: Step::GaussNewton,
            ..tight(linear)
        };
        let solution = objective.solve(&inputs, &settings).unwrap();
        assert!(solution.all_converged(), "{linear:?}");
        assert!(
            solution.history[0].len() <= 3,
            "{linear:?}: {:?}",
            solution.history[0]
        );
        // Normal equations by hand: AᵀW²A x = AᵀW²b.
        let w2 = [1.0, 4.0, 0.25];
        let b = [1.0, -1.0, 2.0];
        let m = |i: usize, j: usize| {
            (0..3)
                .map(|k| w2[k] * a[2 * k + i] * a[2 * k + j])
                .sum::<f64>()
        };
        let r = |i: usize| (0..3).map(|k| w2[k] * a[2 * k + i] * b[k]).sum::<f64>();
        let det = m(0, 0) * m(1, 1) - m(0, 1) * m(0, 1);
        let expected = [
            (m(1, 1) * r(0) - m(0, 1) * r(1)) / det,
            (m(0, 0) * r(1) - m(0, 1) * r(0)) / det,
        ];
        for (x, e) in solution.x.iter().zip(expected) {
            assert!((x - e).abs() < 1e-13, "{linear:?}: {x} {e}");
        }
    }
}

/// Two rows in three unknowns, the second a multiple of the first.
fn dependent(linear: Linear, step: Step) -> (Status, Vec<f64>) {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(3)).unwrap();
    plain(
        &mut builder,
        "c",
        LinearCost::new(
            4,
            3,
            [1.0, 2.0, 2.0, 2.0, 4.0, 4.0, 0.0, 0.0, 0.0, 3.0, 6.0, 6.0],
            [9.0, 18.0, 0.0, 27.0],
        ),
        &[x],
        &[],
    );
    let objective = builder.build().unwrap();
    let inputs = Inputs::new(&objective, 1).start(x, Values::Shared(&[0.0; 3]));
    let settings = Settings {
        step,
        ..tight(linear)
    };
    let solution = objective.solve(&inputs, &settings).unwrap();
    (solution.status[0], solution.x)
}

#[test]
fn systems_without_full_rank_are_flagged_or_solved_by_the_shortest_step() {
    for linear in [Linear::DenseCholesky, Linear::SparseCholesky] {
        let (status, x) = dependent(linear, Step::GaussNewton);
        assert_eq!(status, Status::Singular, "{linear:?}");
        assert_eq!(x, [0.0; 3], "the best iterate is kept");
    }
    let (status, x) = dependent(Linear::DenseQr, Step::GaussNewton);
    assert!(status.is_converged());
    for (x, e) in x.iter().zip([1.0, 2.0, 2.0]) {
        assert!((x - e).abs() < 1e-13);
    }
    // Damping makes the system regular, and leads to the same point from zero.
    for linear in solvers() {
        for step in steps() {
            let (status, x) = dependent(linear, step);
            assert!(status.is_converged(), "{linear:?} {step:?}: {status:?}");
            assert!((x[0] + 2.0 * (x[1] + x[2]) - 9.0).abs() < 1e-11);
            if matches!(step, Step::LevenbergMarquardt(lm) if lm.shape != Shape::Spherical) {
                // The shortest in the norm of the damping, which is another point.
                continue;
            }
            for (x, e) in x.iter().zip([1.0, 2.0, 2.0]) {
                // Along the null space nothing corrects rounding that the damping magnified.
                assert!((x - e).abs() < 1e-6, "{linear:?} {step:?}: {x} {e}");
            }
        }
    }
}

#[test]
fn iterations_without_progress_end_as_what_they_are() {
    let (objective, x) = alone(Rosenbrock, 2);
    let inputs = Inputs::new(&objective, 1).start(x, Values::Shared(&[-1.2, 1.0]));
    let settings = Settings {
        max_iterations: 3,
        ..Settings::default()
    };
    let solution = objective.solve(&inputs, &settings).unwrap();
    assert_eq!(solution.status, [Status::MaxIterations]);
    assert_eq!(solution.history[0].len(), 3);
    // Gauss-Newton overshoots in its first step, and the best iterate is the start.
    let settings = Settings {
        max_iterations: 1,
        step: Step::GaussNewton,
        ..Settings::default()
    };
    let solution = objective.solve(&inputs, &settings).unwrap();
    assert_eq!(solution.status, [Status::MaxIterations]);
    assert_eq!(solution.x, [-1.2, 1.0]);
    assert!((solution.cost[0] - 12.1).abs() < 1e-12);
    // Every test on its own.
    for (stopping, test) in [
        (
            Stopping {
                gradient: 1e-6,
                cost: 0.0,
                step: 0.0,
            },
            Test::Gradient,
        ),
        (
            Stopping {
                gradient: 0.0,
                cost: 0.3,
                step: 0.0,
            },
            Test::Cost,
        ),
        (
            Stopping {
                gradient: 0.0,
                cost: 0.0,
                step: 1e-3,
            },
            Test::Step,
        ),
    ] {
        let settings = Settings {
            stopping,
            ..Settings::default()
        };
        let solution = objective.solve(&inputs, &settings).unwrap();
        assert_eq!(solution.status, [Status::Converged(test)]);
    }
}
