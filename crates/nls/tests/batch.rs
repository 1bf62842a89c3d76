//! Samples of a batch do not disturb each other, and stopping does what it says.

mod support;

use std::ops::ControlFlow;

use burn::tensor::Tensor;
use feasible_core::{Affine, Bounds, Constraints, Dual};
use feasible_nls::{
    Backward, ConstraintResidual, Damping, FunctionResidual, LevenbergMarquardt, Residual,
    Settings, Status, Stopping, Weights,
};
use support::{normal, numbers, rng, tensor};

fn dampings() -> [Damping; 2] {
    [Damping::Fixed(1e-2), Damping::default()]
}

/// A circle and a wave: two rows, two variables, many iterations from some starts.
fn curved() -> impl Residual {
    FunctionResidual::new(2, 2, |y| {
        let circle = y.clone().square().sum() - 2.0;
        let wave = (y.column(0) * 2.0).sin() - y.column(1);
        Dual::cat(vec![circle, wave])
    })
}

#[test]
fn a_sample_gets_the_same_bits_alone_and_in_any_batch() {
    let starts = normal(&mut rng(2), 24 * 2);
    for damping in dampings() {
        let solver = LevenbergMarquardt::new(Settings {
            damping,
            ..Settings::default()
        })
        .unwrap();
        let together = solver
            .solve(&curved(), tensor(starts.clone(), [24, 2]))
            .unwrap();
        let y = numbers(&together.y);
        let distinct: std::collections::BTreeSet<_> = together.iterations.iter().collect();
        assert!(
            distinct.len() > 2,
            "samples must stop at different iterations for this test to mean something"
        );
        for b in 0..24 {
            let alone = solver
                .solve(&curved(), tensor(starts[2 * b..][..2].to_vec(), [1, 2]))
                .unwrap();
            assert_eq!(numbers(&alone.y), y[2 * b..][..2], "sample {b}");
            assert_eq!(alone.iterations[0], together.iterations[b]);
            assert_eq!(alone.status[0], together.status[b]);
        }
    }
}

#[test]
fn a_converged_sample_keeps_its_variables_bit_for_bit() {
    let solver = LevenbergMarquardt::new(Settings {
        damping: Damping::Fixed(1e-2),
        ..Settings::default()
    })
    .unwrap();
    let mut residual = curved();
    let mut seen: Vec<(Vec<f64>, Vec<bool>)> = vec![];
    let start = tensor(normal(&mut rng(2), 12), [6, 2]);
    solver
        .solve_with(&mut residual, start, |iteration, _| {
            seen.push((
                numbers(iteration.y),
                iteration.status.iter().map(Option::is_some).collect(),
            ));
            ControlFlow::Continue(())
        })
        .unwrap();
    let mut frozen = 0;
    for pair in seen.windows(2) {
        for b in (0..6).filter(|&b| pair[0].1[b]) {
            assert_eq!(pair[0].0[2 * b..][..2], pair[1].0[2 * b..][..2]);
            frozen += 1;
        }
    }
    assert!(frozen > 0);
}

#[test]
fn whole_batch_stopping_gives_every_sample_the_same_number_of_steps() {
    let settings = Settings {
        damping: Damping::Fixed(1e-2),
        stopping: Stopping::WholeBatch,
        ..Settings::default()
    };
    let start = || tensor(normal(&mut rng(2), 12), [6, 2]);
    let whole = LevenbergMarquardt::new(settings)
        .unwrap()
        .solve(&curved(), start())
        .unwrap();
    let single = Settings {
        stopping: Stopping::PerSample,
        ..settings
    };
    let single = LevenbergMarquardt::new(single)
        .unwrap()
        .solve(&curved(), start())
        .unwrap();
    let most = *single.iterations.iter().max().unwrap();
    assert_eq!(whole.iterations, vec![most; 6]);
    assert!(
        whole
            .residual_norm
            .iter()
            .zip(&single.residual_norm)
            .all(|(w, s)| w <= s)
    );
}

#[test]
fn failing_samples_do_not_alter_the_others() {
    // log y: the Newton step from y > e goes negative, where the logarithm is NaN; y = 1e-9 with a
    // parameter 0 makes the Jacobian vanish.
    let residual = |p: Tensor<2>| {
        FunctionResidual::with_parameters(1, 1, vec![p], |y, p| y.log() * p[0].clone())
    };
    let solver = |backward| {
        LevenbergMarquardt::new(Settings {
            damping: Damping::Fixed(0.0),
            backward,
            ..Settings::default()
        })
        .unwrap()
    };
    for backward in [Backward::Unrolled, Backward::Implicit] {
        let p = || tensor(vec![1.0, 1.0, 2.0, 1.0], [4, 1]).require_grad();
        let all = p();
        // Samples 1 and 3 fail: one after a step, one at its start.
        let start = tensor(vec![0.5, 20.0, 1.5, -1.0], [4, 1]).require_grad();
        let solution = solver(backward)
            .solve(&residual(all.clone()), start.clone())
            .unwrap();
        assert_eq!(solution.status[1], Status::NonFinite);
        assert_eq!(solution.status[3], Status::NonFinite);
        let y = numbers(&solution.y);
        assert_eq!(
            (y[1], y[3]),
            (20.0, -1.0),
            "the last iterate that was finite, or the start"
        );
        assert!(solution.residual_norm[3].is_nan() && solution.residual_norm[1].is_finite());
        // The step that was taken back does not count.
        assert_eq!((solution.iterations[1], solution.iterations[3]), (0, 0));
        let good = tensor(vec![1.0, 2.0], [2, 1]).require_grad();
        let good_start = tensor(vec![0.5, 1.5], [2, 1]).require_grad();
        let alone = solver(backward)
            .solve(&residual(good.clone()), good_start.clone())
            .unwrap();
        assert_eq!(numbers(&alone.y), [y[0], y[2]]);
        let gradients = solution.y.sum().backward();
        let alone_gradients = alone.y.sum().backward();
        let (a, b) = (
            numbers(&all.grad(&gradients).unwrap()),
            numbers(&good.grad(&alone_gradients).unwrap()),
        );
        assert_eq!([a[0], a[2]], b[..]);
        assert!(a[1].is_finite());
        if backward == Backward::Unrolled {
            let a = numbers(&start.grad(&gradients).unwrap());
            let b = numbers(&good_start.grad(&alone_gradients).unwrap());
            assert_eq!([a[0], a[2]], b[..]);
            // Frozen at its start: the solution is the start.
            assert_eq!(a[1], 1.0);
        }
    }
}

#[test]
fn a_bad_start_leaves_gradients_of_shared_tensors_finite() {
    // log y with y₀ = −1 in one sample, and one weight for the batch.
    let solve = |start: Vec<f64>, backward| {
        let shared = tensor(vec![0.5], [1, 1]).require_grad();
        let residual = FunctionResidual::with_parameters(1, 2, vec![shared.clone()], |y, p| {
            Dual::cat(vec![y.clone().log() - p[0].clone(), y.log() * 2.0])
        });
        let batch = start.len();
        let start = tensor(start, [batch, 1]).require_grad();
        for weights in [Weights::None, Weights::RowScales] {
            let settings = Settings {
                backward,
                residual_tolerance: 0.0,
                ..Settings::default()
            };
            let solver = LevenbergMarquardt::new(settings)
                .unwrap()
                .with_weights(weights);
            let solution = solver.solve(&residual, start.clone()).unwrap();
            let gradients = solution.y.sum().backward();
            assert!(
                start
                    .grad(&gradients)
                    .is_none_or(|g| numbers(&g).iter().all(|v| v.is_finite()))
            );
            if batch == 3 {
                assert_eq!(solution.status[1], Status::NonFinite);
                assert!(solution.residual_norm[1].is_nan());
            }
            let gradient = numbers(&shared.grad(&gradients).unwrap());
            assert!(gradient[0].is_finite(), "{backward:?}");
        }
        let solver = LevenbergMarquardt::new(Settings {
            backward,
            ..Settings::default()
        })
        .unwrap();
        let gradients = solver.solve(&residual, start).unwrap().y.sum().backward();
        numbers(&shared.grad(&gradients).unwrap())[0]
    };
    for backward in [Backward::Unrolled, Backward::Implicit] {
        let (with, without) = (
            solve(vec![0.6, -1.0, 1.4], backward),
            solve(vec![0.6, 1.4], backward),
        );
        // The same sum of two samples' gradients, with a zero in between.
        assert!((with - without).abs() < 1e-15, "{with} {without}");
    }
}

#[test]
fn a_singular_sample_is_flagged_and_stays_where_it_was() {
    let matrices = tensor(vec![1.0, 2.0, 2.0, 4.0, 1.0, 2.0, 2.0, -1.0], [2, 2, 2]);
    let constraints = Affine::per_sample(
        matrices,
        Bounds::equal(tensor(vec![1.0, 1.0], [1, 2])).unwrap(),
    )
    .unwrap();
    let residual = ConstraintResidual::new(&constraints, tensor(vec![1.0, 1.0], [1, 2])).unwrap();
    let solver = LevenbergMarquardt::new(Settings {
        damping: Damping::Fixed(0.0),
        ..Settings::default()
    })
    .unwrap();
    let solution = solver
        .solve(&residual, tensor(vec![0.25; 4], [2, 2]))
        .unwrap();
    assert_eq!(solution.status[0], Status::Singular);
    assert_eq!(
        solution.iterations[0], 0,
        "a step that failed does not count"
    );
    assert!(solution.status[1].is_converged());
    let y = numbers(&solution.y);
    assert_eq!(y[..2], [0.25, 0.25]);
    // y₁ + 2y₂ = 1 and 2y₁ − y₂ = 1.
    assert!(
        (y[2] - 0.6).abs() < 1e-14 && (y[3] - 0.2).abs() < 1e-14,
        "{y:?}"
    );
    // With damping the same sample converges to a least-squares point.
    let damped = LevenbergMarquardt::new(Settings::default()).unwrap();
    let solution = damped
        .solve(&residual, tensor(vec![0.25; 4], [2, 2]))
        .unwrap();
    assert!(
        solution.status.iter().all(|s| s.is_converged()),
        "{:?}",
        solution.status
    );
}

#[test]
fn a_callback_can_move_the_target_and_stop() {
    let constraints = Affine::shared(
        tensor(vec![1.0, 0.0, 0.0, 1.0], [2, 2]),
        Bounds::equal(tensor(vec![0.0; 2], [1, 2])).unwrap(),
    )
    .unwrap();
    let mut residual =
        ConstraintResidual::new(&constraints, tensor(vec![1.0, 1.0], [1, 2])).unwrap();
    let solver = LevenbergMarquardt::new(Settings {
        damping: Damping::Fixed(0.0),
        ..Settings::default()
    })
    .unwrap();
    let start = tensor(vec![0.0, 0.0], [1, 2]);
    let solution = solver
        .solve_with(&mut residual, start.clone(), |iteration, residual| {
            assert_eq!(numbers(&constraints.values(iteration.y.clone())).len(), 2);
            residual
                .set_target(tensor(vec![5.0, -3.0], [1, 2]))
                .unwrap();
            if iteration.index == 1 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .unwrap();
    assert_eq!(numbers(&solution.y), [5.0, -3.0]);
    assert_eq!(solution.iterations, [2]);
    let stopped = solver
        .solve_with(&mut residual, start, |_, residual| {
            residual.set_target(tensor(vec![9.0, 9.0], [1, 2])).unwrap();
            ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!(stopped.status, [Status::Stopped]);
    // The residual reported is that of the target left behind: (5, −3) − (9, 9).
    assert_eq!(stopped.residual_norm, [12.0]);
    assert!(residual.set_target(tensor(vec![1.0], [1, 1])).is_err());
}

/// y − 1 with the Jacobian of 1 − y: every step leads away.
#[derive(Debug)]
struct Uphill;

impl Residual for Uphill {
    fn variables(&self) -> usize {
        1
    }

    fn rows(&self) -> usize {
        1
    }

    fn linearise(&self, y: Tensor<2>) -> (Tensor<2>, Tensor<3>) {
        let jacobian = y.ones_like().neg().unsqueeze_dim::<3>(2);
        (y - 1.0, jacobian)
    }
}

#[test]
fn a_rejected_step_is_no_convergence_however_short() {
    // λ rises to 1e7, which makes the step 2e-7 long.
    let settings = Settings {
        step_tolerance: 1e-6,
        max_iterations: 30,
        ..Settings::default()
    };
    for stopping in [Stopping::PerSample, Stopping::WholeBatch] {
        let solver = LevenbergMarquardt::new(Settings {
            stopping,
            ..settings
        })
        .unwrap();
        let solution = solver.solve(&Uphill, tensor(vec![3.0], [1, 1])).unwrap();
        assert_eq!(
            (solution.status[0], solution.iterations[0]),
            (Status::MaxIterations, 30)
        );
        assert_eq!(numbers(&solution.y), [3.0]);
    }
}

/// Counts how often it is linearised.
#[derive(Debug)]
struct Counted<R>(R, std::cell::Cell<usize>);

impl<R: Residual> Residual for Counted<R> {
    fn variables(&self) -> usize {
        self.0.variables()
    }

    fn rows(&self) -> usize {
        self.0.rows()
    }

    fn linearise(&self, y: Tensor<2>) -> (Tensor<2>, Tensor<3>) {
        self.1.set(self.1.get() + 1);
        self.0.linearise(y)
    }

    fn values(&self, y: Tensor<2>) -> Tensor<2> {
        self.0.values(y)
    }
}

#[test]
fn the_start_is_linearised_once_whatever_the_weights() {
    for weights in [Weights::None, Weights::RowScales] {
        let solver = LevenbergMarquardt::new(Settings {
            max_iterations: 1,
            ..Settings::default()
        });
        let residual = Counted(curved(), std::cell::Cell::new(0));
        let start = tensor(vec![0.5, 3.0], [1, 2]);
        let solver = solver.unwrap().with_weights(weights.clone());
        solver.solve(&residual, start).unwrap();
        assert_eq!(residual.1.get(), 1, "{weights:?}");
    }
}
