//! Every backward mode × linear solver against differences of the problem solved again.

mod common;

use common::{Example, difference, example, few, plain, solvers, tight};
use feasible_least_squares::{
    AutoCost, Backward, Builder, Damping, Dogleg, GradientQuality, Hessian, Inputs,
    LevenbergMarquardt, Manifold, Real, Residual, Robust, Settings, Shape, Step, Stopping, Values,
};

/// ℓ = Σ (i + 1) xᵢ of the solution.
fn loss(example: &Example, settings: &Settings) -> f64 {
    let solution = example
        .objective
        .solve(&example.inputs(), settings)
        .unwrap();
    solution
        .x
        .iter()
        .enumerate()
        .map(|(i, x)| (i + 1) as f64 * x)
        .sum()
}

fn cotangent(example: &Example) -> Vec<f64> {
    (0..example.objective.storage())
        .map(|i| (i + 1) as f64)
        .collect()
}

/// The largest error of the gradient by auxiliaries and, where asked, by the start, relative to its
/// largest entry.
fn error(example: &mut Example, settings: &Settings, start_too: bool) -> (f64, GradientQuality) {
    let solution = example
        .objective
        .solve(&example.inputs(), settings)
        .unwrap();
    let gradients = example
        .objective
        .vjp(&example.inputs(), &solution, &cotangent(example))
        .unwrap();
    let (theta, start) = (example.theta(), example.start());
    let mut pairs = Vec::new();
    for i in 0..theta.len() {
        let d = difference(&theta, i, 1e-2, |theta| {
            example.set_theta(theta);
            loss(example, settings)
        });
        pairs.push((gradients.auxiliaries[i], d));
    }
    example.set_theta(&theta);
    for i in 0..if start_too { start.len() } else { 0 } {
        let d = difference(&start, i, 1e-2, |start| {
            example.set_start(start);
            loss(example, settings)
        });
        pairs.push((gradients.start[i], d));
    }
    example.set_start(&start);
    let largest = pairs.iter().map(|(_, d)| d.abs()).fold(0.0, f64::max);
    let worst = pairs.iter().map(|(g, d)| (g - d).abs()).fold(0.0, f64::max);
    (worst / largest, gradients.quality[0])
}

fn losses() -> [Robust; 4] {
    [
        Robust::None,
        Robust::Cauchy { scale: 1.5 },
        Robust::Welsch { scale: 3.0 },
        Robust::GemanMcClure { scale: 4.0 },
    ]
}

#[test]
fn implicit_gradients_are_exact_for_every_solver_and_loss() {
    for robust in losses() {
        for linear in solvers() {
            let mut example = example(robust);
            let (error, quality) = error(&mut example, &tight(linear), false);
            // Differences of fourth order with steps of 1e-3 are good to about 1e-9 here.
            assert!(error < 1e-7, "{robust:?} {linear:?}: {error:e}");
            assert_eq!(quality, GradientQuality::Exact, "{robust:?} {linear:?}");
        }
    }
}

#[test]
fn gauss_newton_gradients_are_wrong_by_percents_and_say_so() {
    let mut example = example(Robust::None);
    let settings = Settings {
        backward: Backward::Implicit {
            hessian: Hessian::GaussNewton,
        },
        ..tight(Default::default())
    };
    let (error, quality) = error(&mut example, &settings, false);
    assert!(error > 0.01, "{error}");
    assert_eq!(quality, GradientQuality::Inexact);
}

/// Rows (x − θ, x² − 2): at θ = −1 the minimum is at 1, with the Hessian 1 + 6x² − 4 = 3, of which Gauss-Newton
/// takes 1 + 4x² = 5.
struct Bent;

impl Residual for Bent {
    fn rows(&self) -> usize {
        2
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let x = variables[0][0];
        out[0] = x - auxiliaries[0][0];
        out[1] = x * x - 2.0;
    }
}

#[test]
fn gauss_newton_takes_a_third_for_a_fifth() {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(1)).unwrap();
    let theta = builder.auxiliary("theta", 1).unwrap();
    plain(&mut builder, "bent", AutoCost::new(Bent), &[x], &[theta]);
    let objective = builder.build().unwrap();
    let inputs = Inputs::new(&objective, 1)
        .start(x, Values::Shared(&[0.8]))
        .auxiliary(theta, Values::Shared(&[-1.0]));
    for linear in solvers() {
        for (hessian, slope, quality) in [
            (Hessian::Exact, 1.0 / 3.0, GradientQuality::Exact),
            (Hessian::GaussNewton, 0.2, GradientQuality::Inexact),
        ] {
            let settings = Settings {
                backward: Backward::Implicit { hessian },
                ..tight(linear)
            };
            let solution = objective.solve(&inputs, &settings).unwrap();
            assert!((solution.x[0] - 1.0).abs() < 1e-12);
            let found = objective.vjp(&inputs, &solution, &[1.0]).unwrap();
            let error = (found.auxiliaries[0] - slope).abs();
            assert!(error < 1e-10, "{linear:?} {hessian:?}: {error:e}");
            assert_eq!(found.quality[0], quality, "{linear:?}");
        }
    }
}

/// Rows (x − θ, x²/10), whose Hessian 1 + 6x²/100 is positive everywhere.
struct Bowl;

impl Residual for Bowl {
    fn rows(&self) -> usize {
        2
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let x = variables[0][0];
        out[0] = x - auxiliaries[0][0];
        out[1] = x * x * 0.1;
    }
}

/// Steps that damping keeps short, and costs that may change by much, end iterations far from a minimum, where
/// nothing else is amiss.
#[test]
fn a_gradient_where_the_steps_became_short_is_not_called_exact() {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(1)).unwrap();
    let theta = builder.auxiliary("theta", 1).unwrap();
    plain(&mut builder, "bowl", AutoCost::new(Bowl), &[x], &[theta]);
    let objective = builder.build().unwrap();
    let inputs = Inputs::new(&objective, 1)
        .start(x, Values::Shared(&[50.0]))
        .auxiliary(theta, Values::Shared(&[1.0]));
    let fixed = |initial| {
        Step::LevenbergMarquardt(LevenbergMarquardt {
            damping: Damping::Fixed,
            initial,
            ..Default::default()
        })
    };
    let loose = |cost, step| Stopping {
        gradient: 0.0,
        cost,
        step,
    };
    for (step, stopping) in [
        (fixed(1e9), loose(0.0, 1e-6)),
        (fixed(1e5), loose(0.2, 0.0)),
    ] {
        for linear in solvers() {
            let settings = Settings {
                step,
                stopping,
                ..tight(linear)
            };
            let solution = objective.solve(&inputs, &settings).unwrap();
            assert!(solution.all_converged(), "{:?}", solution.status);
            assert!(solution.x[0] > 10.0);
            let found = objective.vjp(&inputs, &solution, &[1.0]).unwrap();
            assert_eq!(found.quality[0], GradientQuality::Inexact, "{linear:?}");
        }
    }
}

#[test]
fn direct_loss_gradients_agree_to_the_square_of_epsilon() {
    for linear in solvers() {
        let mut example = example(Robust::Cauchy { scale: 1.5 });
        let settings = Settings {
            backward: Backward::DirectLoss { epsilon: 1e-4 },
            ..tight(linear)
        };
        let (error, quality) = error(&mut example, &settings, false);
        // ε² times third derivatives of order one, and rounding over ε.
        assert!(error < 1e-6, "{linear:?}: {error:e}");
        assert_eq!(quality, GradientQuality::Inexact);
    }
}

fn steps() -> Vec<(&'static str, Step)> {
    let lm = LevenbergMarquardt::default();
    vec![
        ("gauss-newton", Step::GaussNewton),
        ("spherical", Step::LevenbergMarquardt(lm)),
        (
            "fixed",
            Step::LevenbergMarquardt(LevenbergMarquardt {
                damping: Damping::Fixed,
                initial: 0.3,
                ..lm
            }),
        ),
        (
            "ellipsoidal",
            Step::LevenbergMarquardt(LevenbergMarquardt {
                shape: Shape::ELLIPSOIDAL,
                initial: 0.2,
                ..lm
            }),
        ),
        (
            "dogleg inside",
            Step::Dogleg(Dogleg {
                radius: 100.0,
                ..Dogleg::default()
            }),
        ),
        (
            "dogleg between",
            Step::Dogleg(Dogleg {
                radius: 0.8,
                ..Dogleg::default()
            }),
        ),
        (
            "dogleg steepest",
            Step::Dogleg(Dogleg {
                radius: 0.05,
                ..Dogleg::default()
            }),
        ),
    ]
}

#[test]
fn unrolled_gradients_are_those_of_the_iterations_run() {
    for (name, step) in steps() {
        for linear in solvers() {
            for robust in [Robust::None, Robust::Cauchy { scale: 1.5 }] {
                let mut example = example(robust);
                let settings = Settings {
                    linear,
                    ..few(step, 4, Backward::Unrolled)
                };
                let (error, quality) = error(&mut example, &settings, true);
                assert!(error < 1e-7, "{name} {linear:?} {robust:?}: {error:e}");
                assert_eq!(quality, GradientQuality::Exact, "{name} {linear:?}");
            }
        }
    }
}

#[test]
fn truncated_gradients_take_the_point_before_as_given() {
    let (_, step) = steps()[1];
    let mut example = example(Robust::None);
    let recorded = Settings {
        backward: Backward::Truncated { iterations: 2 },
        ..few(step, 8, Backward::Unrolled)
    };
    let solution = example
        .objective
        .solve(&example.inputs(), &recorded)
        .unwrap();
    let v = cotangent(&example);
    let truncated = example
        .objective
        .vjp(&example.inputs(), &solution, &v)
        .unwrap();
    assert!(truncated.start.iter().all(|g| *g == 0.0));
    // The same from the iterate before the last two steps taken, with λ as it was there.
    let history = &solution.history[0];
    let taken: Vec<usize> = (0..8).filter(|i| history[*i].accepted).collect();
    assert!(taken.len() > 2);
    let first = taken[taken.len() - 2];
    let before = example
        .objective
        .solve(&example.inputs(), &few(step, first, Backward::Unrolled))
        .unwrap();
    let lambda = history[first].damping;
    example.set_start(&before.x);
    let Step::LevenbergMarquardt(lm) = step else {
        unreachable!()
    };
    let rest = few(
        Step::LevenbergMarquardt(LevenbergMarquardt {
            initial: lambda,
            ..lm
        }),
        8 - first,
        Backward::Unrolled,
    );
    let again = example.objective.solve(&example.inputs(), &rest).unwrap();
    let whole = example
        .objective
        .vjp(&example.inputs(), &again, &v)
        .unwrap();
    for (a, b) in truncated.auxiliaries.iter().zip(&whole.auxiliaries) {
        assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "{a} {b}");
    }
}

#[test]
fn unrolling_to_convergence_gives_the_implicit_gradient() {
    let example = example(Robust::Cauchy { scale: 1.5 });
    let settings = Settings {
        backward: Backward::Unrolled,
        ..tight(Default::default())
    };
    let solution = example
        .objective
        .solve(&example.inputs(), &settings)
        .unwrap();
    assert!(solution.all_converged());
    let v = cotangent(&example);
    let unrolled = example
        .objective
        .vjp(&example.inputs(), &solution, &v)
        .unwrap();
    let implicit = example
        .objective
        .vjp_by(&example.inputs(), &solution, &v, &Backward::default())
        .unwrap();
    for (a, b) in unrolled.auxiliaries.iter().zip(&implicit.auxiliaries) {
        // Gauss-Newton steps converge linearly here, and so do their derivatives.
        assert!((a - b).abs() < 1e-8 * (1.0 + b.abs()), "{a} {b}");
    }
}
