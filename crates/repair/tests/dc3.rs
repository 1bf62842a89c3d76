//! DC3 against the published iteration written out, its completion against the rows it must meet,
//! and all gradients against central differences.

#[path = "../../nls/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use feasible_core::{Affine, Bounds, Constraints, Dual, Function, Quadratic, Stacked};
use feasible_repair::{Completion, Dc3, Dc3Settings, Repaired, Status};
use support::{check_gradients, normal, numbers, rng, tensor};

const BATCH: usize = 10;
const N: usize = 6;
const EQ: usize = 2;
const INEQ: usize = 4;

fn equality_rows() -> Vec<f64> {
    normal(&mut rng(1), EQ * N)
}

fn inequality_rows() -> Vec<f64> {
    normal(&mut rng(2), INEQ * N)
}

/// Gy ≤ 0.2 and Ay = x, as in the published quadratic programs.
fn program(x: Tensor<2>, copies: usize) -> Stacked {
    let below = Bounds::at_most(tensor(vec![0.2; INEQ], [1, INEQ])).unwrap();
    let inequalities = Affine::shared(tensor(inequality_rows(), [INEQ, N]), below).unwrap();
    let a = tensor(equality_rows().repeat(copies), [copies, EQ, N]);
    let equalities = Affine::per_sample(a, Bounds::equal(x).unwrap()).unwrap();
    Stacked::new(vec![Arc::new(inequalities), Arc::new(equalities)]).unwrap()
}

fn inputs() -> [Tensor<2>; 2] {
    let mut rng = rng(3);
    let y0 = tensor(normal(&mut rng, BATCH * N), [BATCH, N]);
    let x = tensor(normal(&mut rng, BATCH * EQ), [BATCH, EQ]) * 0.3;
    [y0, x]
}

fn settings() -> Dc3Settings {
    Dc3Settings {
        learning_rate: 0.005,
        partial: Some(vec![0, 1, 3, 4]),
        ..Dc3Settings::default()
    }
}

fn repair(settings: Dc3Settings, y0: Tensor<2>, set: &dyn Constraints) -> Repaired {
    Dc3::new(settings).unwrap().forward(y0, set, None).unwrap()
}

/// Completion and ten correction steps with momentum in the kept variables, as section 3 has them:
/// G_eff = G_p − G_o A_o⁻¹ A_p by a 2 × 2 inverse written out.
fn published(y0: &[f64], x: &[f64], steps: usize, rate: f64, momentum: f64) -> Vec<f64> {
    let (partial, other) = ([0, 1, 3, 4], [2, 5]);
    let (a, g) = (equality_rows(), inequality_rows());
    let (p, q, r, s) = (a[other[0]], a[other[1]], a[N + other[0]], a[N + other[1]]);
    let determinant = p * s - q * r;
    let inverse = [
        [s / determinant, -q / determinant],
        [-r / determinant, p / determinant],
    ];
    let complete = |z: &[f64]| {
        let mut y = vec![0.0; N];
        partial.iter().zip(z).for_each(|(&j, z)| y[j] = *z);
        let short: Vec<f64> = (0..EQ)
            .map(|i| x[i] - partial.iter().map(|&j| a[i * N + j] * y[j]).sum::<f64>())
            .collect();
        for (i, &j) in other.iter().enumerate() {
            y[j] = inverse[i][0] * short[0] + inverse[i][1] * short[1];
        }
        y
    };
    let mut z: Vec<f64> = partial.iter().map(|&j| y0[j]).collect();
    let mut velocity = [0.0; 4];
    for _ in 0..steps {
        let y = complete(&z);
        let mut gradient = [0.0; 4];
        for row in g.chunks_exact(N) {
            let value: f64 = row.iter().zip(&y).map(|(g, y)| g * y).sum();
            let over = (value - 0.2).max(0.0);
            for (k, &j) in partial.iter().enumerate() {
                let moved: Vec<f64> = (0..2)
                    .map(|i| inverse[i][0] * a[j] + inverse[i][1] * a[N + j])
                    .collect();
                let effective = row[j] - row[other[0]] * moved[0] - row[other[1]] * moved[1];
                gradient[k] += 2.0 * over * effective;
            }
        }
        for k in 0..4 {
            velocity[k] = rate * gradient[k] + momentum * velocity[k];
            z[k] -= velocity[k];
        }
    }
    complete(&z)
}

#[test]
fn steps_are_the_published_ones() {
    let [y0, x] = inputs();
    let (raw, side) = (numbers(&y0), numbers(&x));
    // One equality matrix for the batch, and one a sample: the two completions.
    for copies in [1, BATCH] {
        let tracked = y0.clone().detach().require_grad();
        let repaired = repair(settings(), tracked, &program(x.clone(), copies));
        for (sample, got) in numbers(&repaired.y).chunks_exact(N).enumerate() {
            let expected = published(
                &raw[sample * N..][..N],
                &side[sample * EQ..][..EQ],
                10,
                0.005,
                0.5,
            );
            for (got, expected) in got.iter().zip(&expected) {
                // Rounding, times the block's condition number, here below 10.
                assert!(
                    (got - expected).abs() < 1e-12,
                    "{got} instead of {expected}"
                );
            }
        }
    }
}

/// The published claim: equalities hold whatever is done about the other rows.
#[test]
fn equalities_hold_to_rounding_and_violations_fall() {
    let [y0, x] = inputs();
    for copies in [1, BATCH] {
        let set = program(x.clone(), copies);
        let violation = |steps: usize| {
            let settings = Dc3Settings {
                test_steps: steps,
                partial: None,
                ..settings()
            };
            let y = repair(settings, y0.clone(), &set).y;
            let rows = numbers(&set.bounds().residual(set.values(y)));
            let of = |from: usize, to: usize| {
                let samples = rows.chunks_exact(INEQ + EQ);
                samples
                    .flat_map(|row| row[from..to].to_vec())
                    .fold(0.0, |a: f64, v| a.max(v.abs()))
            };
            (of(0, INEQ), of(INEQ, INEQ + EQ))
        };
        let (before, equality) = violation(0);
        assert!(equality < 1e-13);
        let (after, equality) = violation(200);
        assert!(
            equality < 1e-13 && after < 0.5 * before,
            "{after} from {before}"
        );
    }
}

#[test]
fn gradients_agree_with_central_differences_on_every_sample() {
    let [y0, x] = inputs();
    for copies in [1, BATCH] {
        check_gradients(
            "DC3, affine equalities",
            &[y0.clone(), x.clone()],
            |inputs| {
                // Differences are taken of untracked inputs, which `train_steps` does not touch.
                let settings = Dc3Settings {
                    tolerance: 0.0,
                    ..settings()
                };
                repair(
                    settings,
                    inputs[0].clone(),
                    &program(inputs[1].clone(), copies),
                )
                .y
            },
            1e-6,
            1e-8, // rounding of differences of numbers of order one, over the step
        );
    }
}

/// |y|² = 1 + x₁² and y₁ e^{y₂} = x₂ + 1: equalities without a closed form; one bounded product.
fn curved(x: Tensor<2>) -> Function<impl Fn(Dual) -> Dual> {
    let bounds = Bounds::shared(
        tensor(vec![0.0, f64::NEG_INFINITY, 0.0], [3]),
        tensor(vec![0.0, -0.1, 0.0], [3]),
    );
    Function::new(N, bounds.unwrap(), move |y| {
        let x = Dual::constant(x.clone());
        let sphere = y.clone().square().sum() - (x.column(0).square() + 1.0);
        let product = y.column(3) * y.column(4) + y.column(5);
        let exponential = y.column(0) * y.column(1).exp() - (x.column(1) * 0.2 + 0.4);
        Dual::cat(vec![sphere, product, exponential])
    })
}

fn curved_inputs() -> [Tensor<2>; 2] {
    let [y0, x] = inputs();
    [y0 * 0.05 + 0.4, x]
}

fn curved_settings() -> Dc3Settings {
    Dc3Settings {
        partial: Some(vec![0, 3, 4, 5]),
        learning_rate: 0.05,
        tolerance: 0.0,
        newton_tolerance: 1e-13,
        ..Dc3Settings::default()
    }
}

#[test]
fn curved_equalities_hold_after_every_step() {
    let [y0, x] = curved_inputs();
    let set = curved(x);
    let repaired = repair(curved_settings(), y0, &set);
    let rows = numbers(&set.bounds().residual(set.values(repaired.y)));
    for row in rows.chunks_exact(3) {
        assert!(row[0].abs() < 1e-12 && row[2].abs() < 1e-12, "{row:?}");
    }
}

#[test]
fn gradients_through_newton_completion_agree_with_central_differences() {
    let worst = check_gradients(
        "DC3, curved equalities",
        &curved_inputs(),
        |inputs| {
            repair(
                curved_settings(),
                inputs[0].clone(),
                &curved(inputs[1].clone()),
            )
            .y
        },
        1e-5,
        1e-7, // Newton's tolerance over the step
    );
    assert!(worst > 0.0);
}

/// HardNet's use of it: no completion, every row corrected, for a closed form on one row: each step
/// takes the violation v of y ≤ 0 to v(1 − 2γ) without momentum.
#[test]
fn without_completion_all_rows_are_corrected() {
    let bounds = Bounds::equal(tensor(vec![0.0], [1, 1])).unwrap();
    let set = Affine::shared(tensor(vec![1.0], [1, 1]), bounds).unwrap();
    let settings = Dc3Settings {
        completion: Completion::None,
        learning_rate: 0.01,
        momentum: 0.0,
        test_steps: 7,
        ..Dc3Settings::default()
    };
    let repaired = repair(settings, tensor(vec![2.0, 0.0], [2, 1]), &set);
    assert!((numbers(&repaired.y)[0] - 2.0 * 0.98f64.powi(7)).abs() < 1e-14);
    assert_eq!(repaired.iterations, [7, 0]);
    assert_eq!(
        repaired.status,
        [Status::MaxIterations, Status::ConvergedByResidual]
    );
}

#[test]
fn quadratic_inequalities_are_corrected_too() {
    let disc = Quadratic::diagonal(
        tensor(vec![1.0, 1.0], [1, 2]),
        tensor(vec![0.0, 0.0], [1, 2]),
        Bounds::at_most(tensor(vec![1.0], [1, 1])).unwrap(),
    )
    .unwrap();
    let line = Affine::shared(
        tensor(vec![1.0, 1.0], [1, 2]),
        Bounds::equal(tensor(vec![1.0], [1, 1])).unwrap(),
    )
    .unwrap();
    let set = Stacked::new(vec![Arc::new(disc), Arc::new(line)]).unwrap();
    let settings = Dc3Settings {
        learning_rate: 0.01,
        momentum: 0.0,
        test_steps: 300,
        tolerance: 1e-6,
        ..Dc3Settings::default()
    };
    let repaired = repair(settings, tensor(vec![2.0, 2.0], [1, 2]), &set);
    assert_eq!(repaired.status, [Status::ConvergedByResidual]);
    // From outside along y₁ + y₂ = 1 the disc begins at (1, 0) or (0, 1).
    let y = numbers(&repaired.y);
    assert!((relu(repaired.y.clone()).sum().into_scalar::<f64>() - 1.0).abs() < 1e-5);
    assert!((y[0] * y[1]).abs() < 1e-5, "{y:?}");
}

#[test]
fn trouble_is_named() {
    let [y0, x] = inputs();
    let set = program(x, 1);
    let refusal = |settings: Dc3Settings| {
        let layer = Dc3::new(settings)?;
        layer.forward(y0.clone(), &set, None).map(|_| ())
    };
    for (settings, expected) in [
        (
            Dc3Settings {
                partial: Some(vec![0, 1]),
                ..settings()
            },
            "setting `partial` is [0, 1]",
        ),
        (
            Dc3Settings {
                learning_rate: 0.0,
                ..settings()
            },
            "setting `learning_rate`",
        ),
        (
            Dc3Settings {
                momentum: 1.0,
                ..settings()
            },
            "setting `momentum`",
        ),
    ] {
        let message = refusal(settings).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    // As many equalities as variables leave nothing to keep.
    let identity = tensor(vec![1.0, 0.0, 0.0, 1.0], [2, 2]);
    let bounds = Bounds::equal(tensor(vec![0.0, 0.0], [1, 2])).unwrap();
    let full = Affine::shared(identity, bounds).unwrap();
    let layer = Dc3::new(Dc3Settings::default()).unwrap();
    let message = layer.forward(tensor(vec![1.0, 1.0], [1, 2]), &full, None);
    assert!(
        message
            .unwrap_err()
            .to_string()
            .contains("at most 1 equality rows")
    );
    // Parallel rows have no invertible block.
    let twice = tensor(vec![1.0, 1.0, 1.0, 1.0, 1.0, 1.0], [2, 3]);
    let bounds = Bounds::equal(tensor(vec![1.0, 1.0], [1, 2])).unwrap();
    let parallel = Affine::shared(twice, bounds).unwrap();
    let repaired = layer.forward(tensor(vec![1.0; 3], [1, 3]), &parallel, None);
    assert_eq!(repaired.unwrap().status, [Status::Singular]);
}
