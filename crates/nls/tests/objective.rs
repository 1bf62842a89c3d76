//! The layer of named variables and costs: what it returns, its derivatives in every mode, its errors.

use std::sync::Mutex;

use burn::tensor::{DType, Device, Tensor};
use feasible_core::host;
use feasible_nls::least_squares::{
    AutoCost, Backward, Between, Builder, Control, Difference, GradientQuality, Hessian, Manifold,
    Numbers, Objective, Real, Residual, Robust, Settings, Source, Stopping, Weight,
};
use feasible_nls::{ObjectiveLayer, ObjectiveTensors};

fn tensor(values: &[f64], shape: [usize; 2]) -> Tensor<2> {
    host::write(
        values.to_vec(),
        shape,
        &Device::flex().autodiff(),
        DType::F64,
    )
}

fn numbers(tensor: &Tensor<2>) -> Vec<f64> {
    host::read("tensor", tensor).unwrap()
}

/// Decay a exp(−b t) at fixed times, less what was measured: no curve fits all of it, so the residual
/// stays and its curvature counts.
struct Decay;

const TIMES: [f64; 4] = [0.0, 0.5, 1.0, 2.0];

impl Residual for Decay {
    fn rows(&self) -> usize {
        TIMES.len()
    }

    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (curve, measured) = (variables[0], auxiliaries[0]);
        for (i, time) in TIMES.into_iter().enumerate() {
            out[i] = curve[0] * (-(curve[1] * time)).exp() - measured[i];
        }
    }
}

fn decay() -> Objective {
    let mut objective = Builder::new();
    let curve = objective.variable("curve", Manifold::Vector(2)).unwrap();
    let measured = objective.auxiliary("measured", 4).unwrap();
    let trust = objective.auxiliary("trust", 4).unwrap();
    let weight = Weight::Diagonal(Source::Auxiliary(trust));
    objective
        .cost(
            "fit",
            AutoCost::new(Decay),
            &[curve],
            &[measured],
            weight,
            Robust::None,
        )
        .unwrap();
    objective.build().unwrap()
}

const MEASURED: [f64; 8] = [2.0, 0.9, 1.2, 0.1, 1.0, 1.1, 0.2, 0.4];
const TRUST: [f64; 4] = [1.0, 0.5, 2.0, 1.5];

fn loss(solution: &Tensor<2>) -> Tensor<1> {
    let weights = tensor(&[1.0, -0.7, 0.3, 2.0], [2, 2]);
    (solution.clone() * weights).sum()
}

fn solve(mode: Backward, start: &Tensor<2>, measured: &Tensor<2>, trust: &Tensor<2>) -> Solved {
    // To rounding, which differences amplify.
    let stopping = Stopping {
        gradient: 1e-15,
        step: 0.0,
        ..Stopping::default()
    };
    let settings = Settings {
        backward: mode,
        stopping,
        ..Settings::default()
    };
    let layer = ObjectiveLayer::new(decay(), settings).unwrap();
    let inputs = ObjectiveTensors::new()
        .start("curve", start.clone())
        .auxiliary("measured", measured.clone())
        .auxiliary("trust", trust.clone());
    let solution = layer.solve(&inputs).unwrap();
    assert!(solution.all_converged(), "{:?}", solution.status);
    let reports = solution.gradient_reports();
    (loss(&solution.variable("curve").unwrap()), reports)
}

type Solved = (Tensor<1>, feasible_nls::ObjectiveReports);

/// Central differences of the re-solved problem, for each number of `values`.
fn differences(values: &[f64], shape: [usize; 2], value: impl Fn(&Tensor<2>) -> f64) -> Vec<f64> {
    let step = 1e-4;
    (0..values.len())
        .map(|i| {
            let at = |step: f64| {
                let mut moved = values.to_vec();
                moved[i] += step;
                value(&tensor(&moved, shape))
            };
            // Four points, whose truncation is of order step⁴.
            (8.0 * (at(step) - at(-step)) - at(2.0 * step) + at(-2.0 * step)) / (12.0 * step)
        })
        .collect()
}

fn scalar(loss: Tensor<1>) -> f64 {
    host::read("loss", &loss).unwrap()[0]
}

fn relative(got: &[f64], expected: &[f64]) -> f64 {
    let size = expected.iter().fold(0.0f64, |a, v| a.max(v.abs()));
    let error = got.iter().zip(expected).map(|(a, b)| (a - b).abs());
    error.fold(0.0f64, f64::max) / size
}

/// One gradient a sample and one that the batch shares, by every mode, on residuals that stay.
#[test]
fn every_mode_against_differences() {
    let exact = Backward::Implicit {
        hessian: Hessian::Exact,
    };
    let start = tensor(&[1.0, 1.0], [1, 2]);
    let (measured, trust) = (tensor(&MEASURED, [2, 4]), tensor(&TRUST, [1, 4]));
    let by_measured = differences(&MEASURED, [2, 4], |measured| {
        scalar(solve(exact, &start, measured, &trust).0)
    });
    let by_trust = differences(&TRUST, [1, 4], |trust| {
        scalar(solve(exact, &start, &measured, trust).0)
    });
    for (mode, limit, quality) in [
        (exact, 1e-8, GradientQuality::Exact),
        (Backward::Unrolled, 1e-8, GradientQuality::Exact),
        // Its own error is of the order of the square of its step.
        (
            Backward::DirectLoss { epsilon: 1e-4 },
            1e-6,
            GradientQuality::Inexact,
        ),
    ] {
        let (measured, trust) = (
            measured.clone().require_grad(),
            trust.clone().require_grad(),
        );
        let (loss, reports) = solve(mode, &start, &measured, &trust);
        let gradients = loss.backward();
        for (tensor, expected) in [(&measured, &by_measured), (&trust, &by_trust)] {
            let error = relative(&numbers(&tensor.grad(&gradients).unwrap()), expected);
            assert!(error <= limit, "{mode:?}: {error:e}");
        }
        let reports = reports.get().unwrap();
        assert_eq!(reports.len(), 2);
        assert!(
            reports.iter().all(|report| report.quality <= quality),
            "{reports:?}"
        );
    }
    // What Theseus's implicit mode does is far off here, and says so.
    let measured = measured.require_grad();
    let mode = Backward::Implicit {
        hessian: Hessian::GaussNewton,
    };
    let (loss, reports) = solve(mode, &start, &measured, &trust);
    let gradients = loss.backward();
    let error = relative(&numbers(&measured.grad(&gradients).unwrap()), &by_measured);
    assert!(error > 0.05, "{error:e}");
    let reports = reports.get().unwrap();
    assert!(
        reports
            .iter()
            .all(|report| report.quality == GradientQuality::Inexact)
    );
}

/// Two poses, one known and one measured from it: the second is the first moved by the measurement.
#[test]
fn poses_move_with_what_was_measured() {
    let mut objective = Builder::new();
    let first = objective.variable("first", Manifold::Se2).unwrap();
    let second = objective.variable("second", Manifold::Se2).unwrap();
    let measured = objective.auxiliary("measured", 4).unwrap();
    let origin = vec![1.0, 0.0, 0.0, 0.0];
    let (weight, robust) = (Weight::Identity, Robust::None);
    objective
        .cost(
            "prior",
            Difference::new(Manifold::Se2, Numbers::Constant(origin)),
            &[first],
            &[],
            weight.clone(),
            robust,
        )
        .unwrap();
    objective
        .cost(
            "odometry",
            Between::new(Manifold::Se2, Numbers::Auxiliary(4)),
            &[first, second],
            &[measured],
            weight,
            robust,
        )
        .unwrap();
    let layer = ObjectiveLayer::new(objective.build().unwrap(), Settings::default()).unwrap();
    let start = tensor(&[1.0, 0.0, 0.3, 0.1], [1, 4]);
    let (cos, sin) = (0.3f64.cos(), 0.3f64.sin());
    let motion = tensor(&[cos, sin, 2.0, 0.5, 1.0, 0.0, -1.0, 0.0], [2, 4]).require_grad();
    let inputs = ObjectiveTensors::new()
        .start("first", start.clone())
        .start("second", start)
        .auxiliary("measured", motion.clone());
    let solution = layer.solve(&inputs).unwrap();
    let second = solution.variable("second").unwrap();
    let error = relative(&numbers(&second), &numbers(&motion));
    assert!(error < 1e-10, "{error:e}");
    // The translation of the second pose is the measured one.
    let gradients = second.narrow(1, 2, 1).sum().backward();
    let gradient = numbers(&motion.grad(&gradients).unwrap());
    for (sample, row) in gradient.chunks(4).enumerate() {
        assert!(
            (row[2] - 1.0).abs() < 1e-9 && row[3].abs() < 1e-9,
            "{sample}: {row:?}"
        );
    }
}

#[test]
fn a_bad_sample_leaves_the_others_alone() {
    let layer = ObjectiveLayer::new(decay(), Settings::default()).unwrap();
    let alone = |measured: &[f64], start: &[f64]| {
        let inputs = ObjectiveTensors::new()
            .start("curve", tensor(start, [start.len() / 2, 2]))
            .auxiliary("measured", tensor(measured, [measured.len() / 4, 4]))
            .auxiliary("trust", tensor(&TRUST, [1, 4]));
        layer.solve(&inputs).unwrap()
    };
    // exp(−b t) overflows at the second sample's start.
    let both = alone(&MEASURED, &[1.0, 1.0, 1.0, -1e6]);
    let first = alone(&MEASURED[..4], &[1.0, 1.0]);
    assert!(both.status[0].is_converged() && !both.status[1].is_converged());
    assert_eq!(numbers(&both.all())[..2], numbers(&first.all())[..]);
}

#[test]
fn mistakes_are_named() {
    let layer = ObjectiveLayer::new(decay(), Settings::default()).unwrap();
    let good = ObjectiveTensors::new()
        .start("curve", tensor(&[1.0, 1.0], [1, 2]))
        .auxiliary("measured", tensor(&MEASURED, [2, 4]))
        .auxiliary("trust", tensor(&TRUST, [1, 4]));
    layer.solve(&good).unwrap();
    let nan = tensor(&[1.0, f64::NAN], [1, 2]);
    for (inputs, words) in [
        (ObjectiveTensors::new(), &["start"][..]),
        (
            good.clone().start("slope", tensor(&[1.0], [1, 1])),
            &["slope", "curve"],
        ),
        (
            good.clone().auxiliary("noise", tensor(&[1.0], [1, 1])),
            &["noise", "measured"],
        ),
        (good.clone().start("curve", nan), &["curve", "NaN"]),
        (
            good.clone().auxiliary("trust", tensor(&[1.0; 3], [1, 3])),
            &["trust", "[1, 3]", "[2, 4]"],
        ),
        (
            good.clone().auxiliary("trust", tensor(&[1.0; 12], [3, 4])),
            &["measured", "[2, 4]", "[3, 4]"],
        ),
        (
            ObjectiveTensors::new()
                .start("curve", tensor(&[1.0, 1.0], [1, 2]))
                .auxiliary("trust", tensor(&TRUST, [1, 4])),
            &["measured"],
        ),
    ] {
        let error = layer.solve(&inputs).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{error} lacks {word}");
        }
    }
    let settings = Settings {
        max_iterations: 0,
        ..Settings::default()
    };
    let error = ObjectiveLayer::new(decay(), settings)
        .unwrap_err()
        .to_string();
    assert!(error.contains("max_iterations"), "{error}");
}

#[test]
fn an_empty_batch_and_a_cotangent_that_is_not_finite() {
    let layer = ObjectiveLayer::new(decay(), Settings::default()).unwrap();
    let inputs = |measured: Tensor<2>| {
        ObjectiveTensors::new()
            .start("curve", tensor(&[1.0, 1.0], [1, 2]))
            .auxiliary("measured", measured)
            .auxiliary("trust", tensor(&TRUST, [1, 4]))
    };
    let empty = layer.solve(&inputs(tensor(&[], [0, 4]))).unwrap();
    assert_eq!(empty.all().dims(), [0, 2]);
    let measured = tensor(&MEASURED, [2, 4]).require_grad();
    let solution = layer.solve(&inputs(measured.clone())).unwrap();
    let factors = tensor(&[f64::NAN, 1.0, 1.0, 1.0], [2, 2]);
    let gradients = (solution.all() * factors).sum().backward();
    let gradient = numbers(&measured.grad(&gradients).unwrap());
    assert!(gradient[..4].iter().all(|v| *v == 0.0));
    assert!(gradient[4..].iter().all(|v| v.is_finite() && *v != 0.0));
    let reports = solution.gradient_reports().get().unwrap();
    assert_eq!(reports[0].quality, GradientQuality::Unavailable);
    assert_eq!(reports[1].quality, GradientQuality::Exact);
}

/// The callback sees what the history says, sample by sample, and may stop them.
#[test]
fn a_callback_sees_every_iteration_and_may_stop() {
    let start = tensor(&[1.0, 1.0, 1.5, 0.2], [2, 2]);
    let tensors = ObjectiveTensors::new()
        .start("curve", start)
        .auxiliary("measured", tensor(&MEASURED, [2, 4]))
        .auxiliary("trust", tensor(&TRUST, [1, 4]));
    let layer = ObjectiveLayer::new(decay(), Settings::default()).unwrap();
    let seen = Mutex::new(vec![vec![]; 2]);
    let solution = layer
        .solve_with(&tensors, &|iteration| {
            seen.lock().unwrap()[iteration.sample].push(iteration.record);
            Control::Continue
        })
        .unwrap();
    assert_eq!(*seen.lock().unwrap(), solution.history);
    assert!(solution.history.iter().all(|records| records.len() > 2));
    let stopped = layer
        .solve_with(&tensors, &|iteration| match iteration.sample {
            0 if iteration.iteration == 1 => Control::Stop,
            _ => Control::Continue,
        })
        .unwrap();
    assert_eq!(stopped.history[0].len(), 1);
    assert_eq!(stopped.history[1], solution.history[1]);
}
