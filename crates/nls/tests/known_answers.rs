//! Classical problems with known solutions, and linear ones with a closed form.

mod support;

use burn::tensor::Tensor;
use faer::linalg::solvers::SolveLstsq;
use feasible_core::{Affine, Bounds, Dual, Function};
use feasible_nls::{
    AdaptiveDamping, ConstraintResidual, Damping, Error, FunctionResidual, LevenbergMarquardt,
    Settings, Solution, Status, Weights,
};
use support::{device, normal, numbers, rng, tensor};

fn solver(settings: Settings) -> LevenbergMarquardt {
    LevenbergMarquardt::new(settings).unwrap()
}

fn fixed(damping: f64) -> Settings {
    Settings {
        damping: Damping::Fixed(damping),
        ..Settings::default()
    }
}

fn scalars(y: &Dual, indices: &[usize]) -> Vec<Dual> {
    indices.iter().map(|i| y.column(*i)).collect()
}

fn rosenbrock() -> impl feasible_nls::Residual {
    FunctionResidual::new(2, 2, |y| {
        let (a, b) = (y.column(0), y.column(1));
        Dual::cat(vec![(b - a.clone().square()) * 10.0, -a + 1.0])
    })
}

fn assert_close(got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    for (g, e) in got.iter().zip(expected) {
        assert!((g - e).abs() < tolerance, "{got:?} against {expected:?}");
    }
}

#[test]
fn rosenbrock_from_several_starts() {
    let starts = tensor(vec![-1.2, 1.0, 3.0, -4.0, 0.0, 0.0, -1.2, 100.0], [4, 2]);
    let solution = solver(Settings::default())
        .solve(&rosenbrock(), starts)
        .unwrap();
    assert!(
        solution
            .status
            .iter()
            .all(|s| *s == Status::ConvergedByResidual),
        "{solution:?}"
    );
    // The residual is below 1e-8 and the inverse Jacobian at (1, 1) has norm about 2.
    assert_close(&numbers(&solution.y), &[1.0; 8], 1e-7);
    assert!(solution.residual_norm.iter().all(|r| *r < 1e-8));
}

#[test]
fn powell_singular_function_has_a_singular_jacobian_at_its_solution() {
    // Moré, Garbow and Hillstrom (1981), problem 13: solution 0, Jacobian of rank 2 there.
    let residual = FunctionResidual::new(4, 4, |y| {
        let [a, b, c, d]: [Dual; 4] = scalars(&y, &[0, 1, 2, 3]).try_into().unwrap();
        Dual::cat(vec![
            a.clone() + b.clone() * 10.0,
            (c.clone() - d.clone()) * 5f64.sqrt(),
            (b - c * 2.0).square(),
            (a - d).square() * 10f64.sqrt(),
        ])
    });
    let start = tensor(vec![3.0, -1.0, 0.0, 1.0], [1, 4]);
    let solution = solver(Settings::default()).solve(&residual, start).unwrap();
    assert!(solution.status[0].is_converged(), "{:?}", solution.status);
    // r ~ y² where the Jacobian is singular, so y is known to √1e-8 only.
    assert_close(&numbers(&solution.y), &[0.0; 4], 1e-3);
}

#[test]
fn helical_valley_and_brown_badly_scaled() {
    // Problem 7, with the angle's branch y₁ > 0; start (1, 0.5, 0), solution (1, 0, 0). arctan is
    // written by its own derivative.
    let arctan = |d: Dual| d.map(|v| v.atan(), |v| (v.clone() * v + 1.0).recip());
    let residual = FunctionResidual::new(3, 3, move |y| {
        let (a, b, c) = (y.column(0), y.column(1), y.column(2));
        let theta = arctan(b.clone() / a.clone()) / (2.0 * std::f64::consts::PI);
        let radius = (a.square() + b.square()).sqrt();
        Dual::cat(vec![
            (c.clone() - theta * 10.0) * 10.0,
            (radius - 1.0) * 10.0,
            c,
        ])
    });
    let solution = solver(Settings::default())
        .solve(&residual, tensor(vec![1.0, 0.5, 0.0], [1, 3]))
        .unwrap();
    assert_close(&numbers(&solution.y), &[1.0, 0.0, 0.0], 1e-8);

    // Problem 4: (1e6, 2e-6). Three rows for two variables, zero residual.
    let residual = FunctionResidual::new(2, 3, |y| {
        let (a, b) = (y.column(0), y.column(1));
        Dual::cat(vec![a.clone() - 1e6, b.clone() - 2e-6, a * b - 2.0])
    });
    let settings = Settings {
        max_iterations: 500,
        ..Settings::default()
    };
    let solution = solver(settings)
        .solve(&residual, tensor(vec![1.0, 1.0], [1, 2]))
        .unwrap();
    assert!(solution.status[0].is_converged(), "{solution:?}");
    assert_close(&numbers(&solution.y), &[1e6, 2e-6], 1e-6);
}

#[test]
fn a_problem_with_a_residual_left_stops_by_its_step() {
    // Jennrich and Sampson (problem 6): minimum 124.36218 at y₁ = y₂ = 0.25782521.
    let m = 10;
    let residual = FunctionResidual::new(2, m, move |y| {
        let rows = (1..=m).map(|i| {
            let i = i as f64;
            -((y.column(0) * i).exp() + (y.column(1) * i).exp()) + (2.0 + 2.0 * i)
        });
        Dual::cat(rows.collect())
    });
    let solution = solver(Settings::default())
        .solve(&residual, tensor(vec![0.3, 0.4], [1, 2]))
        .unwrap();
    assert_eq!(solution.status[0], Status::ConvergedByStep);
    // The published digits.
    assert_close(&numbers(&solution.y), &[0.257_825_21; 2], 1e-6);
}

#[test]
fn linear_problems_agree_with_a_qr_factorisation() {
    let mut rng = rng(11);
    for (m, n) in [(6, 3), (4, 4), (3, 6), (1, 1)] {
        let (batch, a, b) = (5, normal(&mut rng, m * n), normal(&mut rng, 5 * m));
        let matrix = tensor(a.clone(), [m, n]);
        let target = tensor(b.clone(), [batch, m]);
        let w: Vec<f64> = (0..m).map(|i| 1.0 + i as f64).collect();
        let residual = FunctionResidual::new(n, m, move |y| {
            y.left_multiply(matrix.clone()) - target.clone()
        });
        let weights = Weights::Given(tensor(w.clone(), [1, m]));
        let start = tensor(vec![0.0; batch * n], [batch, n]);
        let solution = solver(fixed(0.0))
            .with_weights(weights)
            .solve(&residual, start)
            .unwrap();
        assert!(
            solution.status.iter().all(|s| s.is_converged()),
            "{m}×{n} {:?}",
            solution.status
        );
        let got = numbers(&solution.y);
        for sample in 0..batch {
            let b = &b[sample * m..][..m];
            let expected: Vec<f64> = if m >= n {
                let weighted = faer::Mat::from_fn(m, n, |i, j| w[i] * a[i * n + j]);
                let rhs = faer::Mat::from_fn(m, 1, |i, _| w[i] * b[i]);
                let x = weighted.col_piv_qr().solve_lstsq(&rhs);
                (0..n).map(|j| x[(j, 0)]).collect()
            } else {
                // The shortest solution, through the QR factors of Aᵀ: y = Q R⁻ᵀ b.
                let transposed = faer::Mat::from_fn(n, m, |j, i| a[i * n + j]);
                let qr = transposed.qr();
                let (q, r) = (qr.compute_thin_Q(), qr.thin_R().to_owned());
                let mut z = vec![0.0; m];
                for i in 0..m {
                    z[i] = (b[i] - (0..i).map(|k| r[(k, i)] * z[k]).sum::<f64>()) / r[(i, i)];
                }
                (0..n)
                    .map(|j| (0..m).map(|i| q[(j, i)] * z[i]).sum())
                    .collect()
            };
            // Normal equations: rounding 1e-16 times a condition number of a few thousand, squared
            // at worst, but the second step refines the first.
            assert_close(&got[sample * n..][..n], &expected, 1e-10);
        }
    }
}

#[test]
fn adaptive_damping_succeeds_where_fixed_damping_diverges() {
    // arctan from beyond ±1.39: the Newton step overshoots, further each time.
    let residual = FunctionResidual::new(1, 1, |y| {
        y.map(|v| v.atan(), |v| (v.clone() * v + 1.0).recip())
    });
    let start = || tensor(vec![3.0, -10.0], [2, 1]);
    let newton = solver(fixed(0.0)).solve(&residual, start()).unwrap();
    assert!(
        newton.status.iter().all(|s| !s.is_converged()),
        "{:?}",
        newton.status
    );
    let adaptive = solver(Settings::default())
        .solve(&residual, start())
        .unwrap();
    assert!(
        adaptive.status.iter().all(|s| s.is_converged()),
        "{:?}",
        adaptive.status
    );
    assert_close(&numbers(&adaptive.y), &[0.0, 0.0], 1e-8);
}

#[test]
fn adaptive_damping_never_raises_the_cost_and_ends_with_the_best_iterate() {
    let settings = Settings {
        max_iterations: 6,
        ..Settings::default()
    };
    let mut residual = FunctionResidual::new(2, 2, |y| {
        let (a, b) = (y.column(0), y.column(1));
        Dual::cat(vec![(b - a.clone().square()) * 10.0, -a + 1.0])
    });
    let mut costs: Vec<Vec<f64>> = vec![];
    let start = tensor(vec![-1.2, 1.0, 5.0, -20.0], [2, 2]);
    let solution = solver(settings)
        .solve_with(&mut residual, start, |iteration, _| {
            costs.push(iteration.cost.to_vec());
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(
        (solution.status[0], solution.iterations[0]),
        (Status::MaxIterations, 6)
    );
    let y = numbers(&solution.y);
    for sample in 0..2 {
        let (a, b) = (y[2 * sample], y[2 * sample + 1]);
        let last = 0.5 * (100.0 * (b - a * a).powi(2) + (1.0 - a).powi(2));
        let mut sequence: Vec<f64> = costs.iter().map(|c| c[sample]).collect();
        sequence.push(last);
        assert!(sequence.windows(2).all(|w| w[1] <= w[0]), "{sequence:?}");
        assert!(last < sequence[0]);
    }
}

#[test]
fn f32_solves_too() {
    let start = Tensor::<2>::from_data([[-1.2, 1.0]], &device());
    let settings = Settings {
        residual_tolerance: 1e-5,
        step_tolerance: 1e-6,
        ..Settings::default()
    };
    let Solution { y, status, .. } = solver(settings).solve(&rosenbrock(), start).unwrap();
    assert!(status[0].is_converged());
    assert_eq!(y.dtype(), burn::tensor::DType::F32);
    assert_close(&numbers(&y), &[1.0, 1.0], 1e-4);
}

#[test]
fn wrong_input_is_named() {
    let solver = solver(Settings::default());
    let error = |y: Tensor<2>| solver.solve(&rosenbrock(), y).unwrap_err().to_string();
    assert_eq!(
        error(tensor(vec![0.0; 3], [1, 3])),
        "`start` has shape [1, 3], must be [batch, 2]"
    );
    assert_eq!(
        error(tensor(vec![0.0, f64::NAN], [1, 2])),
        "`start` is NaN at index [0, 1], must be finite"
    );
    let too_few = FunctionResidual::new(2, 2, |y| y.column(0));
    let error = solver
        .solve(&too_few, tensor(vec![0.0; 2], [1, 2]))
        .unwrap_err()
        .to_string();
    assert_eq!(error, "`residual(y)` has shape [1, 1], must be [1, 2]");
    let p = tensor(vec![0.0; 3], [3, 1]);
    let other_batch = FunctionResidual::with_parameters(1, 1, vec![p], |y, p| y - p[0].clone());
    let error = solver
        .solve(&other_batch, tensor(vec![0.0; 2], [2, 1]))
        .unwrap_err()
        .to_string();
    assert_eq!(error, "`start` has shape [2, 1], must be [3, 1]");
    let parameters = [3, 2].map(|batch| tensor(vec![0.0; batch], [batch, 1]));
    let two_batches = FunctionResidual::with_parameters(1, 1, parameters.to_vec(), |y, p| {
        y - p[0].clone() - p[1].clone()
    });
    let error = solver
        .solve(&two_batches, tensor(vec![0.0; 3], [3, 1]))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "`parameters` has shape [2, 1], must be [1 or 3, 1], as number 1 of them"
    );
    let bad = AdaptiveDamping {
        up: 0.5,
        ..AdaptiveDamping::default()
    };
    let bad = Settings {
        damping: Damping::Adaptive(bad),
        ..Settings::default()
    };
    assert!(matches!(
        LevenbergMarquardt::new(bad),
        Err(Error::Core(feasible_core::Error::Setting { .. }))
    ));
}

#[test]
fn constraints_that_do_not_fit_their_targets_are_named() {
    let solver = solver(Settings::default());
    let bounds = |rows: usize| Bounds::at_most(tensor(vec![1.0; rows], [1, rows])).unwrap();
    // Rows for eight samples, a target for four, and four starts.
    let rows = tensor::<3>(vec![1.0; 8], [8, 1, 1]);
    let rows = Affine::per_sample(rows, bounds(1)).unwrap();
    let start = tensor(vec![0.0; 4], [4, 1]);
    let residual = ConstraintResidual::new(&rows, tensor(vec![0.0; 4], [4, 1])).unwrap();
    let error = solver.solve(&residual, start.clone()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`a` has shape [8, 1, 1], must be [1 or 4] followed by [1, 1]"
    );
    // A function of more or fewer rows than it has bounds.
    for k in [1, 2, 5] {
        let function = Function::new(1, bounds(3), move |y| Dual::cat(vec![y; k]));
        let residual = ConstraintResidual::new(&function, tensor(vec![0.0; 3], [1, 3])).unwrap();
        let error = solver.solve(&residual, start.clone()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`residual(y)` has shape [4, {k}], must be [4, 3]")
        );
    }
    // A callback that sets a target for another batch.
    let rows = Affine::shared(tensor(vec![1.0], [1, 1]), bounds(1)).unwrap();
    let mut residual = ConstraintResidual::new(&rows, tensor(vec![1.0], [1, 1])).unwrap();
    let error = solver
        .solve_with(&mut residual, start, |_, residual| {
            residual.set_target(tensor(vec![1.0; 2], [2, 1])).unwrap();
            std::ops::ControlFlow::Continue(())
        })
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`target` has shape [2, 1], must be [1 or 4] followed by [1]"
    );
}

#[test]
fn empty_problems_return_their_start() {
    let solver = solver(Settings::default());
    let none = solver
        .solve(&rosenbrock(), Tensor::zeros([0, 2], &device()))
        .unwrap();
    assert_eq!((none.y.dims(), none.status.len()), ([0, 2], 0));
    let no_rows = FunctionResidual::new(2, 0, |y| y.slice(0..0));
    let solution = solver
        .solve(&no_rows, tensor(vec![3.0, 4.0], [1, 2]))
        .unwrap();
    assert_eq!(numbers(&solution.y), [3.0, 4.0]);
    assert_eq!(
        (solution.status[0], solution.iterations[0]),
        (Status::ConvergedByResidual, 0)
    );
    let no_variables = FunctionResidual::new(0, 1, |_| unreachable!("nothing to evaluate at"));
    let error = solver
        .solve(&no_variables, Tensor::zeros([2, 0], &device()))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`start` has shape [2, 0], must be [batch, n] with at least one variable"
    );
}

/// Newton's method for y² = a, damped: what the history says is what a loop written here does.
#[test]
fn the_history_is_every_iteration() {
    let settings = Settings {
        max_iterations: 4,
        damping: Damping::Fixed(0.5),
        residual_tolerance: 0.0,
        step_tolerance: 0.0,
        ..Settings::default()
    };
    let target = [2.0, 9.0];
    let p = tensor(target.to_vec(), [2, 1]);
    let residual =
        FunctionResidual::with_parameters(1, 1, vec![p], |y, p| y.square() - p[0].clone());
    let start = tensor(vec![1.0, 5.0], [2, 1]);
    let solution = solver(settings).solve(&residual, start).unwrap();
    assert_eq!(solution.history.len(), 4);
    let mut y = [1.0f64, 5.0];
    for record in &solution.history {
        for i in 0..2 {
            let (r, j) = (y[i] * y[i] - target[i], 2.0 * y[i]);
            let step = -j * r / (j * j + 0.5);
            let close =
                |got: f64, expected: f64| (got - expected).abs() <= 1e-12 * (1.0 + expected.abs());
            assert!(close(record.cost[i], 0.5 * r * r), "{record:?}");
            assert!(close(record.step_norm[i], step.abs()), "{record:?}");
            assert_eq!(record.damping[i], 0.5);
            y[i] += step;
        }
    }
}
