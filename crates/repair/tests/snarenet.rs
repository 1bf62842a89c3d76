//! SnareNet's layer against a reference written separately, against the least-squares layer with a
//! refreshed target, and against closed forms.

#![allow(clippy::print_stdout)] // measured figures, shown on failure or with --nocapture

#[path = "../../nls/tests/support/mod.rs"]
mod support;

use std::ops::ControlFlow;
use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use feasible_core::{Affine, Bounds, Constraints, Dual, Function, Quadratic, Stacked};
use feasible_nls::{ConstraintResidual, LevenbergMarquardt, Settings};
use feasible_repair::{Repaired, RowPolicy, RowWeights, SnareNet, SnareNetSettings, Stopping};
use support::{check_gradients, device, normal, numbers, rng, tensor};

const BATCH: usize = 8;
/// More than rows, so that the Jacobian stays far from singular and the iteration contracts.
const N: usize = 8;

/// Three quadratic rows (diagonal and dense), a two-sided affine row, and two affine equalities to
/// `x`, `[batch, 2]`.
fn quadratic_and_affine(x: Tensor<2>) -> Stacked {
    let mut rng = rng(1);
    let mut draw = |count: usize| normal(&mut rng, count);
    let squares: Vec<f64> = draw(2 * N).iter().map(|v| 0.1 + v * v).collect();
    let half = tensor::<2>(draw(N * N), [N, N]) * 0.5;
    let dense = half.clone().transpose().matmul(half).unsqueeze_dim::<3>(0);
    let at_most = |u: Vec<f64>| Bounds::at_most(tensor(u.clone(), [1, u.len()])).unwrap();
    let two_sided =
        Bounds::per_sample(tensor(vec![-0.2], [1, 1]), tensor(vec![0.3], [1, 1])).unwrap();
    let parts: Vec<Arc<dyn Constraints>> = vec![
        Arc::new(
            Quadratic::diagonal(
                tensor(squares, [2, N]),
                tensor(draw(2 * N), [2, N]),
                at_most(vec![1.0, 1.5]),
            )
            .unwrap(),
        ),
        Arc::new(Quadratic::dense(dense, tensor(draw(N), [1, N]), at_most(vec![0.8])).unwrap()),
        Arc::new(Affine::shared(tensor(draw(N), [1, N]), two_sided).unwrap()),
        Arc::new(Affine::shared(tensor(draw(2 * N), [2, N]), Bounds::equal(x).unwrap()).unwrap()),
    ];
    Stacked::new(parts).unwrap()
}

/// Nonlinear rows, with `x`, `[batch, 2]`, inside the functions: |y|² about 1 + x₁², a wave that
/// stays below x₂, a product that equals 0.1.
fn nonlinear(x: Tensor<2>) -> Function<impl Fn(Dual) -> Dual> {
    let bounds = Bounds::shared(
        tensor(vec![-0.1, f64::NEG_INFINITY, 0.1], [3]),
        tensor(vec![0.1, 0.0, 0.1], [3]),
    );
    Function::new(N, bounds.unwrap(), move |y| {
        let x = Dual::constant(x.clone());
        let sphere = y.clone().square().sum() - (x.column(0).square() + 1.0);
        let wave = (y.column(0) * 2.0).sin() * 0.3 + y.column(0) + y.column(1).tanh() - x.column(1);
        let product = y.column(2) * y.column(3).exp();
        Dual::cat(vec![sphere, wave, product])
    })
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Blocks,
    General,
}

fn constraints(kind: Kind, x: Tensor<2>) -> Box<dyn Constraints> {
    match kind {
        Kind::Blocks => Box::new(quadratic_and_affine(x)),
        Kind::General => Box::new(nonlinear(x)),
    }
}

fn inputs() -> [Tensor<2>; 2] {
    let mut rng = rng(2);
    let y0 = normal(&mut rng, BATCH * N)
        .iter()
        .map(|v| 0.8 * v)
        .collect();
    let x = normal(&mut rng, BATCH * 2)
        .iter()
        .map(|v| 0.3 * v)
        .collect();
    [tensor(y0, [BATCH, N]), tensor(x, [BATCH, 2])]
}

/// A x = b for `[batch, n, n]` and `[batch, n]` by elimination without pivoting, in tensor operations
/// that Burn differentiates: shares nothing with the Cholesky on the host.
fn eliminate(a: Tensor<3>, b: Tensor<2>) -> Tensor<2> {
    let n = b.dims()[1];
    let pivot = a
        .clone()
        .slice([0..a.dims()[0], 0..1, 0..1])
        .squeeze_dim::<2>(2);
    let first = b.clone().slice_dim(1, 0..1);
    if n == 1 {
        return first / pivot;
    }
    let across = a.clone().slice_dim(1, 0..1).slice_dim(2, 1..n);
    let down = a.clone().slice_dim(1, 1..n).slice_dim(2, 0..1);
    let factors = down / pivot.clone().unsqueeze_dim::<3>(2);
    let rest = a.slice_dim(1, 1..n).slice_dim(2, 1..n) - factors.clone().matmul(across.clone());
    let right = b.slice_dim(1, 1..n) - factors.squeeze_dim::<2>(2) * first.clone();
    let tail = eliminate(rest, right);
    let head = (first - (across.squeeze_dim::<2>(1) * tail.clone()).sum_dim(1)) / pivot;
    Tensor::cat(vec![head, tail], 1)
}

/// The published iteration, word for word, on a whole batch: returns the output and the number of
/// iterations. With λ = 0 the shortest step.
fn published(
    y0: Tensor<2>,
    g: &dyn Constraints,
    epsilon: &[f64],
    settings: &SnareNetSettings,
) -> (Tensor<2>, usize) {
    let largest = |t: &[f64]| t.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
    let epsilon = tensor(epsilon.to_vec(), [1, epsilon.len()]);
    let mut y = y0;
    for k in 0..settings.max_iterations {
        let values = g.values(y.clone());
        let above = relu(values.clone() - g.bounds().upper() - epsilon.clone());
        let below = relu(g.bounds().lower() - epsilon.clone() - values);
        let r = -(below - above);
        if largest(&numbers(&r)) < settings.tolerance {
            return (y, k);
        }
        let j = g.jacobian(y.clone());
        let transposed = j.clone().swap_dims(1, 2);
        let identity = |n: usize| {
            Tensor::<2>::eye(n, &device())
                .cast(y.dtype())
                .unsqueeze_dim::<3>(0)
        };
        let dy = if settings.damping > 0.0 {
            let matrix = transposed.clone().matmul(j) + identity(y.dims()[1]) * settings.damping;
            eliminate(
                matrix,
                transposed
                    .matmul(r.unsqueeze_dim::<3>(2))
                    .squeeze_dim::<2>(2),
            )
        } else {
            let t = eliminate(j.matmul(transposed.clone()), r);
            transposed
                .matmul(t.unsqueeze_dim::<3>(2))
                .squeeze_dim::<2>(2)
        };
        y = y - dy.clone();
        if largest(&numbers(&dy)) < settings.tolerance {
            return (y, k + 1);
        }
    }
    (y, settings.max_iterations)
}

fn epsilon(rows: usize) -> Vec<f64> {
    (0..rows).map(|i| 0.02 * i as f64).collect()
}

fn layer(settings: SnareNetSettings) -> SnareNet {
    SnareNet::new(settings).unwrap()
}

fn forward(settings: SnareNetSettings, kind: Kind, inputs: &[Tensor<2>]) -> Repaired {
    let g = constraints(kind, inputs[1].clone());
    let epsilon = epsilon(g.rows());
    let rows = epsilon.len();
    layer(settings)
        .forward(inputs[0].clone(), g.as_ref(), Some(tensor(epsilon, [rows])))
        .unwrap()
}

/// ∂/∂inputs of Σ c·y, for the same c each time.
fn gradients(y: &Tensor<2>, inputs: &[Tensor<2>]) -> Vec<f64> {
    let [rows, columns] = y.dims();
    let c = tensor(normal(&mut rng(77), rows * columns), [rows, columns]);
    let gradients = (y.clone() * c).sum().backward();
    inputs
        .iter()
        .flat_map(|i| numbers(&i.grad(&gradients).unwrap()))
        .collect()
}

/// Relative to the largest entry, at least one.
fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(1.0, |a: f64, v| a.max(v.abs()));
    a.iter()
        .zip(b)
        .fold(0.0, |worst: f64, (a, b)| worst.max((a - b).abs() / scale))
}

fn tracked() -> [Tensor<2>; 2] {
    inputs().map(|t| t.require_grad())
}

/// Samples converge in 5 to 15 iterations, and the two linear solvers round differently: 1e-11 was
/// measured, with matrices of condition numbers up to about 1e4.
const AGAINST_REFERENCE: f64 = 1e-10;

#[test]
fn the_whole_batch_form_is_the_published_iteration() {
    for kind in [Kind::Blocks, Kind::General] {
        for damping in [1e-2, 0.0] {
            let settings = SnareNetSettings {
                damping,
                stopping: Stopping::WholeBatch,
                max_iterations: 30,
                ..Default::default()
            };
            let mine = tracked();
            let repaired = forward(settings, kind, &mine);
            let theirs = tracked();
            let g = constraints(kind, theirs[1].clone());
            let (y, iterations) =
                published(theirs[0].clone(), g.as_ref(), &epsilon(g.rows()), &settings);
            assert_eq!(
                repaired.iterations,
                vec![iterations; BATCH],
                "{kind:?}, damping {damping}"
            );
            let values = largest_difference(&numbers(&repaired.y), &numbers(&y));
            let slopes =
                largest_difference(&gradients(&repaired.y, &mine), &gradients(&y, &theirs));
            println!(
                "{kind:?}, damping {damping}: {iterations} iterations, values {values:.1e}, gradients {slopes:.1e}"
            );
            assert!(values < AGAINST_REFERENCE && slopes < AGAINST_REFERENCE);
        }
    }
}

#[test]
fn the_per_sample_form_is_the_published_iteration_on_batches_of_one() {
    for kind in [Kind::Blocks, Kind::General] {
        let settings = SnareNetSettings::default();
        let mine = tracked();
        let repaired = forward(settings, kind, &mine);
        let theirs = tracked();
        let mut parts = vec![];
        for b in 0..BATCH {
            let g = constraints(kind, theirs[1].clone().slice_dim(0, b..b + 1));
            let y0 = theirs[0].clone().slice_dim(0, b..b + 1);
            let (y, iterations) = published(y0, g.as_ref(), &epsilon(g.rows()), &settings);
            assert_eq!(repaired.iterations[b], iterations, "{kind:?}, sample {b}");
            parts.push(y);
        }
        let y = Tensor::cat(parts, 0);
        let values = largest_difference(&numbers(&repaired.y), &numbers(&y));
        let slopes = largest_difference(&gradients(&repaired.y, &mine), &gradients(&y, &theirs));
        println!(
            "{kind:?}: {:?}, values {values:.1e}, gradients {slopes:.1e}",
            repaired.iterations
        );
        assert!(values < AGAINST_REFERENCE && slopes < AGAINST_REFERENCE);
    }
}

/// Least squares on g(y) − target, with and without the target set anew in the callback.
fn least_squares(
    settings: &SnareNetSettings,
    kind: Kind,
    inputs: &[Tensor<2>],
    refresh: bool,
) -> Tensor<2> {
    let g = constraints(kind, inputs[1].clone());
    let rows = g.rows();
    let bounds = g.bounds().relaxed(tensor(epsilon(rows), [rows]));
    let target = |y: &Tensor<2>| {
        let values = g.values(y.clone());
        values.clone() - bounds.residual(values)
    };
    let mut residual = ConstraintResidual::new(g.as_ref(), target(&inputs[0])).unwrap();
    let solver = LevenbergMarquardt::new(Settings {
        max_iterations: settings.max_iterations,
        damping: feasible_nls::Damping::Fixed(settings.damping),
        residual_tolerance: settings.tolerance,
        step_tolerance: settings.tolerance,
        stopping: settings.stopping,
        ..Settings::default()
    });
    let solution =
        solver
            .unwrap()
            .solve_with(&mut residual, inputs[0].clone(), |iteration, residual| {
                if refresh {
                    residual.set_target(target(iteration.y)).unwrap();
                }
                ControlFlow::Continue(())
            });
    solution.unwrap().y
}

#[test]
fn the_layer_is_least_squares_with_the_target_refreshed_in_the_callback() {
    for kind in [Kind::Blocks, Kind::General] {
        for stopping in [Stopping::PerSample, Stopping::WholeBatch] {
            let settings = SnareNetSettings {
                stopping,
                max_iterations: 30,
                ..SnareNetSettings::default()
            };
            let (a, b) = (tracked(), tracked());
            let y = forward(settings, kind, &a).y;
            let refreshed = least_squares(&settings, kind, &b, true);
            let values = largest_difference(&numbers(&y), &numbers(&refreshed));
            let slopes = largest_difference(&gradients(&y, &a), &gradients(&refreshed, &b));
            println!("{kind:?}, {stopping:?}: values {values:.1e}, gradients {slopes:.1e}");
            assert!(values < 1e-12 && slopes < 1e-12);
            // With the first target kept, samples end elsewhere: rows inside the box are held.
            let kept = least_squares(&settings, kind, &inputs(), false);
            assert!(largest_difference(&numbers(&y), &numbers(&kept)) > 1e-2);
        }
    }
}

#[test]
fn gradients_agree_with_central_differences() {
    for kind in [Kind::Blocks, Kind::General] {
        for rows in [RowPolicy::All, RowPolicy::Violated] {
            for weights in [RowWeights::Uniform, RowWeights::InverseNorms] {
                let settings = SnareNetSettings {
                    rows,
                    weights,
                    max_iterations: 6,
                    ..SnareNetSettings::default()
                };
                let name = format!("{kind:?}, {rows:?}, {weights:?}");
                let worst = check_gradients(
                    &name,
                    &inputs(),
                    |i| forward(settings, kind, i).y,
                    1e-6,
                    1e-7,
                );
                println!("{name}: {worst:.1e}");
            }
        }
    }
}

/// Rows that need gradients themselves take the general path; the same rows held constant take the
/// host's.
#[test]
fn tracked_rows_get_gradients_and_change_nothing_else() {
    let mut rng = rng(31);
    let mut draw = |rows: usize, columns: usize| {
        tensor::<2>(normal(&mut rng, rows * columns), [rows, columns])
    };
    let upper = tensor(vec![0.5, 0.8, 0.3], [1, 3]);
    let all = [draw(BATCH, N), draw(3, N).abs() * 0.3, draw(3, N)];
    for rows in [RowPolicy::All, RowPolicy::Violated] {
        for damping in [1e-2, 0.0] {
            let settings = SnareNetSettings {
                rows,
                damping,
                max_iterations: 20,
                ..SnareNetSettings::default()
            };
            let repair = |i: &[Tensor<2>]| {
                let bounds = Bounds::at_most(upper.clone()).unwrap();
                let g = Quadratic::diagonal(i[1].clone(), i[2].clone(), bounds).unwrap();
                layer(settings).forward(i[0].clone(), &g, None).unwrap()
            };
            let name = format!("{rows:?}, damping {damping}");
            let worst = check_gradients(&name, &all, |i| repair(i).y, 1e-6, 1e-7);
            let general = repair(&[
                all[0].clone().require_grad(),
                all[1].clone().require_grad(),
                all[2].clone(),
            ]);
            let start = all[0].clone().require_grad();
            let host = repair(&[start.clone(), all[1].clone(), all[2].clone()]);
            let values = largest_difference(&numbers(&general.y), &numbers(&host.y));
            println!(
                "{name}: gradients {worst:.1e}, values {values:.1e}, {:?}",
                host.iterations
            );
            assert_eq!(
                (general.status, general.iterations),
                (host.status, host.iterations)
            );
            assert!(values < 1e-12);
        }
    }
}

#[test]
fn relaxation_widens_every_row_and_gets_no_gradient() {
    let [y0, x] = inputs();
    let g = quadratic_and_affine(x);
    let epsilon = tensor(vec![0.05; 6], [6]).require_grad();
    let repaired = layer(SnareNetSettings::default())
        .forward(y0.require_grad(), &g, Some(epsilon.clone()))
        .unwrap();
    let relaxed = feasible_core::Violations::of(&g, repaired.y.clone())
        .summary(0.0)
        .unwrap();
    // Rows pushed from outside end on the relaxed box; the equalities among them by ±ε.
    assert!(
        relaxed.max <= 0.05 + 1e-8 && relaxed.max > 0.049,
        "{relaxed:?}"
    );
    assert!(epsilon.grad(&repaired.y.sum().backward()).is_none());
}

#[test]
fn wrong_input_is_named() {
    let [y0, x] = inputs();
    let g = quadratic_and_affine(x);
    let layer = layer(SnareNetSettings::default());
    let error =
        |y: Tensor<2>, e: Option<Tensor<1>>| layer.forward(y, &g, e).unwrap_err().to_string();
    assert_eq!(
        error(y0.clone(), Some(tensor(vec![0.0; 2], [2]))),
        "`epsilon` has shape [2], must be [6], one entry a row"
    );
    assert_eq!(
        error(y0.clone(), Some(tensor(vec![-1.0; 6], [6]))),
        "setting `epsilon` is -1, must be at least 0"
    );
    assert!(error(tensor(vec![0.0; 16], [2, 8]), None).contains("has shape"));
    for kind in [Kind::Blocks, Kind::General] {
        let g = constraints(kind, inputs()[1].clone());
        let error = |y: Tensor<2>| layer.forward(y, g.as_ref(), None).unwrap_err().to_string();
        assert_eq!(
            error(tensor(vec![0.0; 16], [8, 2])),
            "`y0` has shape [8, 2], must be [batch, 8]"
        );
        assert!(
            error(tensor(vec![f64::INFINITY; 64], [8, 8])).contains("`y0` is inf at index [0, 0]")
        );
    }
}
