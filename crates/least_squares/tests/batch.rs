//! What the samples of a batch share, what they do not, and callbacks on each.

mod common;

use common::{Pull, Rosenbrock, plain, steps, tight};
use feasible_least_squares::{
    AutoCost, Builder, Control, Inputs, Linear, Manifold, Real, Residual, Robust, Settings, Status,
    Step, Values, Weight,
};

/// ln x − θ: not finite below 0.
struct Logarithm;

impl Residual for Logarithm {
    fn rows(&self) -> usize {
        1
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        out[0] = variables[0][0].ln() - auxiliaries[0][0];
    }
}

#[test]
fn one_bad_sample_leaves_the_others_alone() {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(1)).unwrap();
    let theta = builder.auxiliary("theta", 1).unwrap();
    plain(&mut builder, "c", AutoCost::new(Logarithm), &[x], &[theta]);
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
