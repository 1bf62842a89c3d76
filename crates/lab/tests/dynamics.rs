//! What a run records of its dynamics: spectra and landscapes at three moments, signal to noise, kept
//! checkpoints; gradient descent and gradient flow.

use std::ops::ControlFlow;
use std::path::Path;

use feasible_data::Part;
use feasible_lab::{
    Checkpoint, Error, Event as Told, Observer, References, RunReport, SavedRun, Silent,
    StudyConfig, Task, train_run,
};
use feasible_landscape::Landscape;
use feasible_record::{Event, EventKind, Metric, RunReader, RunStatus};
use serde_json::Value;

const STUDY: &str = "
name = 'small'
seeds = [1]
[problem]
recipe = 'snare-qcqp'
variables = 8
equalities = 3
inequalities = 3
samples = 60
[training]
epochs = 4
batch = 10
TRAINING
[[backbone]]
kind = 'mlp'
hidden = [6]
BACKBONE
[[method]]
METHOD
";

const SMOOTH: &str = "activation = 'tanh'\nbatch_norm = false\ndropout = 0.0";

fn study(training: &str, backbone: &str, method: &str) -> Result<StudyConfig, Error> {
    StudyConfig::from_toml(
        &STUDY
            .replace("TRAINING", training)
            .replace("BACKBONE", backbone)
            .replace("METHOD", method),
    )
}

fn train(runs: &Path, study: &StudyConfig) -> Result<RunReport, Error> {
    train_watched(runs, study, &mut Silent)
}

fn train_watched(
    runs: &Path,
    study: &StudyConfig,
    observer: &mut dyn Observer,
) -> Result<RunReport, Error> {
    let config = &study.combinations()[0];
    let task = Task::published(&config.problem, &config.training)?;
    let unknown = |part| vec![f64::NAN; task.evaluation().samples(part)];
    let references = References {
        validation: unknown(Part::Validation),
        test: unknown(Part::Test),
    };
    train_run(runs, config, &task, &references, observer)
}

fn metrics(report: &RunReport) -> Vec<Metric> {
    let reader = RunReader::open(&report.path).unwrap();
    reader.metrics().unwrap().map(Result::unwrap).collect()
}

fn events(report: &RunReport, kind: EventKind) -> Vec<Event> {
    let reader = RunReader::open(&report.path).unwrap();
    let events = reader.events().unwrap().map(Result::unwrap);
    events.filter(|event| event.kind == kind).collect()
}

#[test]
fn spectra_and_landscapes_are_of_start_middle_and_end() {
    let runs = tempfile::tempdir().unwrap();
    let measure = "measure = ['snr', 'spectrum', 'density', 'landscape']\nmeasure_every = 2\nlandscape_points = 5";
    let study = study(measure, "", "kind = 'snarenet'\nrows = 'violated'").unwrap();
    let report = train(runs.path(), &study).unwrap();
    assert_eq!(report.status, RunStatus::Finished);
    for (kind, folder) in [
        (EventKind::Spectrum, "spectra"),
        (EventKind::Landscape, "landscapes"),
    ] {
        let found = events(&report, kind);
        let steps: Vec<u64> = found.iter().map(|event| event.step).collect();
        assert_eq!(steps, [0, 10, 20]);
        for (event, moment) in found.iter().zip(["start", "middle", "end"]) {
            assert_eq!(event.payload["file"], format!("{folder}/{moment}.json"));
            assert!(
                report
                    .path
                    .join(folder)
                    .join(format!("{moment}.json"))
                    .is_file()
            );
        }
    }
    for moment in ["start", "middle", "end"] {
        let text = std::fs::read_to_string(report.path.join(format!("spectra/{moment}.json")));
        let spectrum: Value = serde_json::from_str(&text.unwrap()).unwrap();
        let largest: Vec<f64> = spectrum["largest"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect();
        assert!(largest.windows(2).all(|w| w[0] >= w[1]), "{largest:?}");
        let smallest = spectrum["smallest"].as_f64().unwrap();
        assert!(largest[4] >= smallest);
        // Gauss quadrature's nodes lie within the spectrum; the ends were found to three digits.
        let reach = 1e-2 * (largest[0] - smallest);
        for quadrature in spectrum["density"]["quadratures"].as_array().unwrap() {
            let nodes = quadrature["nodes"].as_array().unwrap();
            let inside = |v: &Value| {
                let node = v.as_f64().unwrap();
                node <= largest[0] + reach && node >= smallest - reach
            };
            assert!(
                nodes.iter().all(inside),
                "{nodes:?}: {smallest} to {}",
                largest[0]
            );
        }
        let landscape = Landscape::read(&report.path.join("landscapes"), moment).unwrap();
        assert_eq!(landscape.surface.points(), 25);
        let centre = landscape.surface.centre().unwrap();
        let at = |name: &str| landscape.surface.quantity(name).unwrap().values[centre];
        let parts = at("objective") + at("penalty_upper") + at("penalty_lower");
        assert!((at("loss") - parts).abs() <= 1e-12 * parts.abs()); // rounding of a sum
        assert!(at("violation_max") < at("raw_violation_max"));
    }
    let all = metrics(&report);
    let of = |name: &str| all.iter().filter(|m| m.value(name).is_some()).count();
    assert_eq!(of("dynamics.eigenvalue_1"), 3);
    assert_eq!(of("dynamics.landscape_basins"), 3);
    assert_eq!(of("dynamics.snr_global"), 2);
    assert_eq!(of("dynamics.snr_median"), 2);
    let share = all.iter().filter_map(|m| m.value("dynamics.share"));
    assert!(share.clone().count() == 2 && share.clone().all(|s| s > 0.0));
}

/// What is recorded before the first step is no part of the epoch's time.
#[test]
fn a_moment_is_no_training_time() {
    let runs = tempfile::tempdir().unwrap();
    let measure = "measure = ['sharpness', 'landscape']\nlandscape_points = 41";
    let mut told = Vec::new();
    let mut watch = |event: &Told<'_>| {
        if let Told::Epoch { summary, .. } = event {
            told.push(summary.seconds);
        }
        ControlFlow::Continue(())
    };
    let method = "kind = 'snarenet'\nrows = 'violated'";
    let study = study(measure, "", method).unwrap();
    let report = train_watched(runs.path(), &study, &mut watch).unwrap();
    let all = metrics(&report);
    let first = |name: &str| all.iter().find_map(|m| m.value(name)).unwrap();
    let epoch = first("epoch.seconds");
    assert_eq!(told[0], epoch);
    // 1,681 batches of 50 evaluated, and five of 10 stepped on: hundreds of times the work. With the
    // moment in it the epoch could not be shorter.
    let moment = first("dynamics.moment_seconds");
    assert!(epoch < moment, "{epoch} {moment}");
}

/// A run that was stopped in its first epoch goes on from the checkpoint before its first step, and
/// what it records there it records once.
#[test]
fn records_before_the_first_step_are_not_doubled() {
    let runs = tempfile::tempdir().unwrap();
    let training = "keep_every = 2\nmeasure = ['spectrum']";
    let study = study(training, "", "kind = 'soft'").unwrap();
    let mut stop = |event: &Told<'_>| match event {
        Told::Step { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    for _ in 0..2 {
        let report = train_watched(runs.path(), &study, &mut stop).unwrap();
        assert_eq!(report.status, RunStatus::Running);
        assert_eq!(SavedRun::open(&report.path).unwrap().steps().unwrap(), [0]);
    }
    let report = train(runs.path(), &study).unwrap();
    assert_eq!(report.status, RunStatus::Finished);
    let steps = |kind: EventKind| -> Vec<u64> {
        let found = events(&report, kind);
        found.iter().map(|event| event.step).collect()
    };
    assert_eq!(steps(EventKind::Spectrum), [0, 10, 20]);
    assert_eq!(steps(EventKind::Checkpoint), [0, 5, 10, 15, 20]);
    let all = metrics(&report);
    let recorded = all
        .iter()
        .filter(|m| m.value("dynamics.eigenvalue_1").is_some());
    let recorded: Vec<u64> = recorded.map(|metric| metric.step).collect();
    assert_eq!(recorded, [0, 10, 20]);
}

/// What is measured changes nothing of the training, and each ratio is that of the samples' own
/// gradients.
#[test]
fn signal_to_noise_is_that_of_the_samples_gradients() {
    let runs = tempfile::tempdir().unwrap();
    let measured = study(
        "measure = ['snr']\nmeasure_samples = 12",
        SMOOTH,
        "kind = 'soft'",
    )
    .unwrap();
    let report = train(runs.path(), &measured).unwrap();
    let last = metrics(&report)
        .iter()
        .rev()
        .find_map(|m| m.value("dynamics.snr_global"))
        .unwrap();
    // The same from one backward pass a sample.
    let run = SavedRun::open(&report.path).unwrap();
    let state = run.state(None).unwrap();
    let network = feasible_dynamics::evaluating(&state.network);
    let layout = feasible_dynamics::Layout::of(&network).unwrap();
    let problem = run.task().training();
    let penalty = run.config().training.penalty.to_penalty();
    let gradients = feasible_dynamics::per_sample_gradients(&network, &layout, 12, |network, i| {
        let x = run.task().training_inputs(&[i]);
        let y = network.forward(x.clone());
        let constraints = problem.constraints(x.clone())?;
        let penalty = penalty.components(constraints.as_ref(), y.clone()).total();
        Ok((problem.objective(x, y) + penalty).sum())
    });
    let expected = gradients.unwrap().moments().global_snr().unwrap();
    // Both are sums of some hundred products.
    assert!((last / expected - 1.0).abs() < 1e-10, "{last} {expected}");

    let plain = tempfile::tempdir().unwrap();
    let report_plain = train(plain.path(), &study("", SMOOTH, "kind = 'soft'").unwrap()).unwrap();
    let loss = |report: &RunReport| -> Vec<f64> {
        let all = metrics(report);
        all.iter().filter_map(|m| m.value("train.loss")).collect()
    };
    assert_eq!(loss(&report), loss(&report_plain));
}

#[test]
fn measurements_keep_to_their_share() {
    let runs = tempfile::tempdir().unwrap();
    let measure = "measure = ['sharpness']\nmeasure_every = 1\nmeasure_share = 1e-9";
    let report = train(runs.path(), &study(measure, "", "kind = 'soft'").unwrap()).unwrap();
    let all = metrics(&report);
    let epochs: Vec<u64> = all
        .iter()
        .filter(|m| m.value("dynamics.sharpness").is_some())
        .map(|m| m.epoch)
        .collect();
    // The first is made before anything is known of its cost, the last in any case.
    assert_eq!(epochs, [0, 3]);
}

#[test]
fn checkpoints_are_kept_from_the_start() {
    let runs = tempfile::tempdir().unwrap();
    let kept = study("keep_every = 2\ncheckpoint_every = 3", "", "kind = 'soft'").unwrap();
    let report = train(runs.path(), &kept).unwrap();
    let run = SavedRun::open(&report.path).unwrap();
    // 5 steps an epoch; that after epoch 3 is one of the last two.
    assert_eq!(run.steps().unwrap(), [0, 10, 15, 20]);
    let error = run.state(Some(5)).unwrap_err().to_string();
    assert!(error.contains("0, 10, 15, 20"), "{error}");
}

/// The parameters after training.
fn parameters(report: &RunReport) -> Vec<f64> {
    let run = SavedRun::open(&report.path).unwrap();
    let network = run.state(None).unwrap().network;
    let layout = feasible_dynamics::Layout::of(&network).unwrap();
    layout.flatten(&network).unwrap()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f64>().sqrt()
}

/// Of a smooth loss the flow's error falls with the fourth power of the step, and descent with
/// ever smaller steps tends to the flow with the first.
#[test]
fn the_flow_is_of_fourth_order_and_descent_tends_to_it() {
    // Without penalty and layer the loss is smooth.
    let method = "kind = 'soft'\npenalty = { upper = 0.0, lower = 0.0 }";
    let after = |kind: &str, rate: f64, epochs: usize| {
        let runs = tempfile::tempdir().unwrap();
        let training = format!("optimizer = {{ kind = '{kind}', learning_rate = {rate:e} }}");
        let text = STUDY
            .replace("TRAINING", &training)
            .replace("BACKBONE", SMOOTH)
            .replace("METHOD", method)
            .replace("epochs = 4", &format!("epochs = {epochs}"))
            .replace(
                "batch = 10",
                "batch = 60\ncheckpoint_every = 1000\nvalidate_every = 1000",
            );
        let study = StudyConfig::from_toml(&text).unwrap();
        parameters(&train(runs.path(), &study).unwrap())
    };
    let time = 0.04;
    let flow = |steps: usize| after("gradient-flow", time / steps as f64, steps);
    let (coarse, middle, exact) = (flow(2), flow(4), flow(32));
    let ratio = distance(&coarse, &exact) / distance(&middle, &exact);
    assert!((8.0..32.0).contains(&ratio), "{ratio}");
    let descent = |steps: usize| {
        let found = after("gradient-descent", time / steps as f64, steps);
        distance(&found, &exact)
    };
    let ratio = descent(32) / descent(64);
    assert!((1.7..2.3).contains(&ratio), "{ratio}");
}

#[test]
fn a_flow_needs_a_loss_of_the_parameters_alone() {
    let flow = "optimizer = { kind = 'gradient-flow' }";
    let error = study(flow, "", "kind = 'soft'").unwrap_err().to_string();
    assert!(
        error.contains("batch_norm = false, dropout = 0.0"),
        "{error}"
    );
    let runs = tempfile::tempdir().unwrap();
    let few = study(flow, SMOOTH, "kind = 'soft'").unwrap();
    let error = train(runs.path(), &few).unwrap_err().to_string();
    assert!(
        error.contains("`training.batch` is 10, must be at least 50"),
        "{error}"
    );
    assert!(error.contains("all training samples"), "{error}");
}

/// A checkpoint of descent has no moments, and goes on.
#[test]
fn descent_is_gone_on_with() {
    let runs = tempfile::tempdir().unwrap();
    let training = "optimizer = { kind = 'gradient-descent', learning_rate = 1e-4 }";
    let report = train(
        runs.path(),
        &study(training, SMOOTH, "kind = 'soft'").unwrap(),
    )
    .unwrap();
    let reader = RunReader::open(&report.path).unwrap();
    let found = reader.last_checkpoint().unwrap().unwrap();
    let checkpoint = Checkpoint::read(&found.path).unwrap();
    let states = checkpoint.optimizer();
    assert!(!states.is_empty());
    assert!(
        states
            .values()
            .all(|s| s.moments.is_empty() && s.steps == 20)
    );
}
