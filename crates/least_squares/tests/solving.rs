//! Steps × linear solvers on problems with known minima, and what becomes of samples that have none.

mod common;

use common::{Pull, alone, plain, solvers, tight};
use feasible_least_squares::{
    AutoCost, Builder, Clipped, Control, Damping, Dogleg, Inputs, LevenbergMarquardt, Linear,
    LinearCost, Manifold, Objective, Real, Residual, Robust, Settings, Shape, Status, Step,
    Stopping, Test, Values, Weight,
};

struct Rosenbrock;

impl Residual for Rosenbrock {
    fn rows(&self) -> usize {
        2
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], _: &[&[T]], out: &mut [T]) {
        let (x, y) = (variables[0][0], variables[0][1]);
        out[0] = (y - x * x) * 10.0;
        out[1] = T::constant(1.0) - x;
    }
}

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

/// 1/x − θ: not finite at 0, and only for positive x below a bound of any size.
struct Inverse;

impl Residual for Inverse {
    fn rows(&self) -> usize {
        1
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        out[0] = variables[0][0].ln() - auxiliaries[0][0];
    }
}

fn steps() -> Vec<Step> {
    let lm = LevenbergMarquardt::default();
    vec![
        Step::LevenbergMarquardt(lm),
        Step::LevenbergMarquardt(LevenbergMarquardt {
            damping: Damping::Nielsen,
            ..lm
        }),
        Step::LevenbergMarquardt(LevenbergMarquardt {
            shape: Shape::ELLIPSOIDAL,
            ..lm
        }),
        Step::Dogleg(Dogleg::default()),
    ]
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

/// x near θ with x in a box, and x₀ + x₁ near 0.
fn in_a_box(target: &[f64], start: &[f64], linear: Linear) -> feasible_least_squares::Solution {
    let mut builder = Builder::new();
    let x = builder
        .variable("x", Manifold::bounded([-1.0, -1.0], [1.0, f64::INFINITY]))
        .unwrap();
    let theta = builder.auxiliary("theta", 2).unwrap();
    plain(&mut builder, "pull", AutoCost::new(Pull(2)), &[x], &[theta]);
    builder
        .cost(
            "sum",
            LinearCost::new(1, 2, [1.0, 1.0], [0.0]),
            &[x],
            &[],
            Weight::scale(1.0),
            Robust::None,
        )
        .unwrap();
    let objective = builder.build().unwrap();
    let inputs = Inputs::new(&objective, 1)
        .start(x, Values::Shared(start))
        .auxiliary(theta, Values::Shared(target));
    let solution = objective.solve(&inputs, &tight(linear)).unwrap();
    let gradients = objective.vjp(&inputs, &solution, &[1.0, 10.0]).unwrap();
    // With x₀ at its bound 1: x₁ minimises ½(x₁ − θ₁)² + ½(1 + x₁)², so that dx₁/dθ₁ = ½.
    if solution.x[0] == 1.0 {
        assert!(gradients.auxiliaries[0].abs() < 1e-14);
        assert!((gradients.auxiliaries[1] - 5.0).abs() < 1e-12);
    }
    solution
}

#[test]
fn bounds_hold_and_what_they_hold_does_not_move() {
    for linear in solvers() {
        for start in [[0.0, 0.0], [5.0, -9.0], [1.0, -1.0], [-1.0, 2.0]] {
            let solution = in_a_box(&[4.0, 3.0], &start, linear);
            assert!(
                solution.all_converged(),
                "{linear:?} {start:?} {:?}",
                solution.status
            );
            assert_eq!(solution.x[0], 1.0);
            assert!((solution.x[1] - 1.0).abs() < 1e-12, "{linear:?} {start:?}");
            // Inside, the bounds do not matter: (I + 11ᵀ)x = θ.
            let solution = in_a_box(&[0.6, 0.3], &start, linear);
            assert!((solution.x[0] - 0.3).abs() < 1e-12);
            assert!(solution.x[1].abs() < 1e-12);
        }
    }
}

#[test]
fn a_bound_without_pressure_is_degenerate() {
    let mut builder = Builder::new();
    let x = builder
        .variable("x", Manifold::bounded([0.0], [1.0]))
        .unwrap();
    let theta = builder.auxiliary("theta", 1).unwrap();
    plain(&mut builder, "c", AutoCost::new(Pull(1)), &[x], &[theta]);
    let objective = builder.build().unwrap();
    let inputs = Inputs::new(&objective, 1)
        .start(x, Values::Shared(&[0.5]))
        .auxiliary(theta, Values::Shared(&[1.0]));
    let mut solution = objective.solve(&inputs, &tight(Linear::Auto)).unwrap();
    assert!((solution.x[0] - 1.0).abs() < 1e-12);
    solution.x[0] = 1.0;
    let gradients = objective.vjp(&inputs, &solution, &[1.0]).unwrap();
    assert_eq!(
        gradients.quality[0],
        feasible_least_squares::GradientQuality::Degenerate
    );
}

#[test]
fn one_bad_sample_leaves_the_others_alone() {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(1)).unwrap();
    let theta = builder.auxiliary("theta", 1).unwrap();
    plain(&mut builder, "c", AutoCost::new(Inverse), &[x], &[theta]);
    let objective = builder.build().unwrap();
    let thetas = [0.3, -0.7, 1.0, 2.0];
    for step in steps().into_iter().chain([Step::GaussNewton]) {
        let settings = Settings {
            step,
            ..tight(Linear::Auto)
        };
        let run = |starts: &[f64]| {
            let inputs = Inputs::new(&objective, starts.len())
                .start(x, Values::PerSample(starts))
                .auxiliary(theta, Values::PerSample(&thetas[..starts.len()]));
            let solution = objective.solve(&inputs, &settings).unwrap();
            let gradients = objective
                .vjp(&inputs, &solution, &vec![1.0; starts.len()])
                .unwrap();
            (solution, gradients)
        };
        let (good, good_gradients) = run(&[1.0, 0.5, 2.0, 9.0]);
        // ln x is NaN below 0. Sample 3 starts so far off that the first step leads there.
        let (mixed, mixed_gradients) = run(&[1.0, -0.5, 2.0, 9.0]);
        assert_eq!(mixed.status[1], Status::NonFinite, "{step:?}");
        assert_eq!(
            mixed_gradients.quality[1],
            feasible_least_squares::GradientQuality::Unavailable
        );
        assert_eq!(mixed_gradients.auxiliaries[1], 0.0);
        assert_eq!(mixed.x[1], -0.5, "its start is returned");
        for i in [0, 2, 3] {
            assert!(
                good.status[i].is_converged(),
                "{step:?} {i}: {:?}",
                good.history[i]
            );
            assert!((good.x[i] - thetas[i].exp()).abs() < 1e-11 * thetas[i].exp());
            assert_eq!(good.x[i], mixed.x[i]);
            assert_eq!(good.history[i].len(), mixed.history[i].len());
            assert_eq!(
                good_gradients.auxiliaries[i],
                mixed_gradients.auxiliaries[i]
            );
            // dx/dθ = x.
            let error = good_gradients.auxiliaries[i] - good.x[i];
            assert!(error.abs() < 1e-10 * good.x[i], "{step:?} {i}");
        }
    }
}

#[test]
fn shared_numbers_are_those_of_every_sample() {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(2)).unwrap();
    let theta = builder.auxiliary("theta", 2).unwrap();
    let w = builder.auxiliary("w", 1).unwrap();
    builder
        .cost(
            "pull",
            AutoCost::new(Pull(2)),
            &[x],
            &[theta],
            Weight::scale(w),
            Robust::None,
        )
        .unwrap();
    plain(
        &mut builder,
        "rosenbrock",
        AutoCost::new(Rosenbrock),
        &[x],
        &[],
    );
    let objective = builder.build().unwrap();
    let (starts, thetas) = ([0.0, 0.1, 0.5, -0.2, 1.0, 1.0], [0.4, 0.9]);
    let shared = Inputs::new(&objective, 3)
        .start(x, Values::PerSample(&starts))
        .auxiliary(theta, Values::Shared(&thetas))
        .auxiliary(w, Values::Shared(&[0.7]));
    let copies = thetas.repeat(3);
    let own = Inputs::new(&objective, 3)
        .start(x, Values::PerSample(&starts))
        .auxiliary(theta, Values::PerSample(&copies))
        .auxiliary(w, Values::PerSample(&[0.7; 3]));
    let settings = tight(Linear::Auto);
    let (a, b) = (
        objective.solve(&shared, &settings).unwrap(),
        objective.solve(&own, &settings).unwrap(),
    );
    assert_eq!(a.x, b.x);
    let v = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let gradients = objective.vjp(&shared, &a, &v).unwrap();
    assert_eq!(
        gradients.auxiliaries,
        objective.vjp(&own, &b, &v).unwrap().auxiliaries
    );
    let sum: f64 = (0..3)
        .map(|i| gradients.auxiliary(&objective, w, i)[0])
        .sum();
    assert!((gradients.shared(&objective, w)[0] - sum).abs() < 1e-15);
}

#[test]
fn callbacks_stop_and_change_auxiliaries() {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(2)).unwrap();
    let theta = builder.auxiliary("theta", 2).unwrap();
    plain(&mut builder, "pull", AutoCost::new(Pull(2)), &[x], &[theta]);
    let objective = builder.build().unwrap();
    let inputs = Inputs::new(&objective, 2)
        .start(x, Values::Shared(&[5.0, 5.0]))
        .auxiliary(theta, Values::Shared(&[1.0, 2.0]));
    let settings = tight(Linear::Auto);
    let stopped = objective
        .solve_with(&inputs, &settings, &|iteration| {
            if iteration.sample == 1 {
                Control::Stop
            } else {
                Control::Continue
            }
        })
        .unwrap();
    assert!(stopped.status[0].is_converged());
    assert_eq!(stopped.status[1], Status::Callback);
    assert_eq!(stopped.history[1].len(), 1);
    // A target that is moved once, away from where the first led.
    let moved = objective
        .solve_with(&inputs, &settings, &|iteration| {
            if iteration.iteration == 2 {
                assert_eq!(iteration.auxiliary(theta), [1.0, 2.0]);
                assert!((iteration.variable(x)[0] - 1.0).abs() < 0.1);
                iteration.auxiliary_mut(theta).copy_from_slice(&[-3.0, 8.0]);
            }
            Control::Continue
        })
        .unwrap();
    assert!(moved.all_converged());
    assert!((moved.x[0] + 3.0).abs() < 1e-12 && (moved.x[1] - 8.0).abs() < 1e-12);
    let gradients = objective.vjp(&inputs, &moved, &[1.0; 4]).unwrap();
    assert!(
        gradients
            .auxiliaries
            .iter()
            .all(|g| (g - 1.0).abs() < 1e-12)
    );
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

#[test]
fn constraint_residuals_are_zero_inside_their_box() {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(2)).unwrap();
    let rows = LinearCost::new(2, 2, [1.0, 1.0, 1.0, -1.0], [0.0, 0.0]);
    let clipped = Clipped::new(rows, [-1.0, f64::NEG_INFINITY], [1.0, 0.5]).unwrap();
    plain(&mut builder, "box", clipped, &[x], &[]);
    let objective = builder.build().unwrap();
    let starts = [0.2, 0.1, 3.0, -1.0];
    let inputs = Inputs::new(&objective, 2).start(x, Values::PerSample(&starts));
    let solution = objective.solve(&inputs, &tight(Linear::Auto)).unwrap();
    assert!(solution.all_converged());
    assert_eq!(solution.sample(0), [0.2, 0.1]);
    // From (3, −1) both rows are out and lead to x₀ + x₁ = 1, x₀ − x₁ = ½, up to the gradient's tolerance.
    assert!((solution.x[2] - 0.75).abs() < 1e-12 && (solution.x[3] - 0.25).abs() < 1e-12);
}
