//! Runs in folders: what they record, how they go on, what they refuse.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use feasible_core::Constraints;
use feasible_data::{Part, Problem};
use feasible_lab::{
    Beginning, Checkpoint, Error, Event, Measure, MethodConfig, MethodKind, OptimizerConfig,
    OptimizerKind, References, RunConfig, RunProblem, Silent, Table, Task, Trainer, TrainingConfig,
    train_run,
};
use feasible_record::{EventKind, Metric, RunReader, RunStatus};
use serde_json::json;

use crate::{Line, config, inputs, metrics, task};

/// Everything recorded but times, to the last bit.
fn exact(run: &Path) -> Vec<(u64, Vec<(String, u64)>)> {
    let untimed = |metric: Metric| {
        let values = metric.values.into_iter();
        let values = values.filter(|(name, _)| !name.ends_with("seconds"));
        let bits = values.map(|(name, value)| (name, value.0.to_bits()));
        (metric.step, bits.collect())
    };
    metrics(run).into_iter().map(untimed).collect()
}

/// All dynamics of a network with a projection, beside the same run without them. The projection
/// onto a line has a Jacobian of rank 1, and of rank 0 where the inequality holds the point.
#[test]
fn dynamics_are_recorded_by_name_and_change_nothing() {
    let task = task();
    let references = task.references(None, &mut |_, _| {}).unwrap();
    let mut config = config(MethodConfig::new(MethodKind::Projection), 5);
    let plain = tempfile::tempdir().unwrap();
    let plain = train_run(plain.path(), &config, &task, &references, &mut Silent)
        .map(|report| exact(&report.path))
        .unwrap();
    let settings = serde_json::to_string(&config.training).unwrap();
    assert!(!settings.contains("measure"), "{settings}");

    config.training.measure = vec![
        Measure::Cosine,
        Measure::LayerGradients,
        Measure::Jacobian,
        Measure::NoiseScale,
        Measure::Sharpness,
    ];
    config.training.measure_every = 2;
    for optimizer in [
        config.training.optimizer.clone(),
        OptimizerConfig {
            kind: OptimizerKind::Sgd { momentum: 0.5 },
            learning_rate: 0.01,
        },
    ] {
        let is_adam = optimizer == config.training.optimizer;
        let mut config = config.clone();
        config.training.optimizer = optimizer;
        let runs = tempfile::tempdir().unwrap();
        let report = train_run(runs.path(), &config, &task, &references, &mut Silent).unwrap();
        assert_eq!(report.status, RunStatus::Finished);
        let measured: Vec<Metric> = metrics(&report.path)
            .into_iter()
            .filter(|metric| metric.value("dynamics.seconds").is_some())
            .collect();
        let epochs: Vec<u64> = measured.iter().map(|metric| metric.epoch).collect();
        assert_eq!(epochs, [1, 3, 4]);
        for metric in &measured {
            let of = |name: &str| metric.value(&format!("dynamics.{name}"));
            let rank = of("jacobian_rank").unwrap();
            assert!((0.0..=1.0).contains(&rank), "{rank}");
            assert_eq!(of("jacobian_dead_directions"), Some(2.0 - rank));
            // A projection of a gradient is no longer than the gradient.
            let (before, after) = (of("layer_gradient_before"), of("layer_gradient_after"));
            assert!(before.unwrap() <= after.unwrap() * (1.0 + 1e-9));
            assert!(of("gradient_objective").unwrap() > 0.0);
            assert!(of("gradient_variance").unwrap() >= 0.0);
            // The loss is quadratic where no sample changes sides, and convex for this network.
            assert!(of("sharpness").unwrap() > 0.0);
            assert!(of("sharpness_symmetry_defect").unwrap() < 1e-3);
            if is_adam {
                assert!(of("preconditioned_sharpness").unwrap() > 0.0);
                let threshold = of("preconditioned_threshold").unwrap();
                assert!((threshold - 38.0 / (0.02 * 16.0)).abs() < 1e-9);
            } else {
                let threshold = of("sharpness_threshold").unwrap();
                assert!((threshold - 3.0 / (0.01 * 16.0)).abs() < 1e-9);
                assert_eq!(of("preconditioned_sharpness"), None);
            }
        }
        if is_adam {
            let rest: Vec<_> = exact(&report.path)
                .into_iter()
                .filter(|(_, values)| values.iter().all(|(n, _)| !n.starts_with("dynamics.")))
                .collect();
            assert_eq!(rest, plain);
        }
    }
    config.training.dtype = feasible_lab::Precision::F32;
    let error = config.validate().unwrap_err().to_string();
    assert!(error.contains("training.measure"), "{error}");
}

#[test]
fn a_run_of_ones_own_problem_has_a_folder_goes_on_and_is_in_tables() {
    let task = task();
    let references = task.references(None, &mut |_, _| {}).unwrap();
    let mut config = config(MethodConfig::new(MethodKind::Projection), 5);
    config.training.validate_every = 2;
    let whole = tempfile::tempdir().unwrap();
    let expected = train_run(whole.path(), &config, &task, &references, &mut Silent).unwrap();
    let validated: Vec<u64> = metrics(&expected.path)
        .iter()
        .filter(|metric| metric.value("valid.loss").is_some())
        .map(|metric| metric.epoch)
        .collect();
    assert_eq!(validated, [1, 3, 4]);

    let parts = tempfile::tempdir().unwrap();
    let (mut beginnings, mut status) = (Vec::new(), RunStatus::Running);
    // Four steps an epoch: stops in epochs 1, 2 and 4.
    for stop in [6, 3, 6, usize::MAX, usize::MAX] {
        let mut steps = 0;
        let mut observer = |event: &Event<'_>| {
            match event {
                Event::RunStarted { beginning, .. } => beginnings.push(*beginning),
                Event::Step { .. } => steps += 1,
                _ => {}
            }
            if steps == stop {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let report = train_run(parts.path(), &config, &task, &references, &mut observer).unwrap();
        assert_eq!(report.name, "line_projection_mlp_s1");
        status = report.status;
    }
    assert_eq!(status, RunStatus::Finished);
    assert_eq!(
        beginnings,
        [
            Beginning::New,
            Beginning::Resumed(1),
            Beginning::Resumed(1),
            Beginning::Resumed(2),
            Beginning::Skipped
        ]
    );
    let run = parts.path().join("own/line_projection_mlp_s1");
    assert_eq!(exact(&run), exact(&expected.path));
    let table = Table::read(parts.path()).unwrap();
    assert_eq!(
        (table.rows[0].problem.as_str(), table.rows[0].finished),
        ("line", 1)
    );

    config.problem = RunProblem::own("line", json!({ "inputs": 65 }));
    let error = train_run(parts.path(), &config, &task, &references, &mut Silent).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("problem.settings.inputs: was 64, is now 65"),
        "{error}"
    );
}

/// The objective overflows where the training never looks: the run goes on, and so do its
/// checkpoints.
#[test]
fn an_infinite_validation_loss_is_no_best_and_spoils_no_checkpoint() {
    #[derive(Debug)]
    struct Overflowing(Line);
    impl Problem for Overflowing {
        fn name(&self) -> &str {
            "overflowing"
        }
        fn inputs(&self) -> usize {
            self.0.inputs()
        }
        fn variables(&self) -> usize {
            self.0.variables()
        }
        fn samples(&self, part: Part) -> usize {
            self.0.samples(part)
        }
        fn input(&self, part: Part) -> &[f64] {
            self.0.input(part)
        }
        fn objective(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
            self.0.objective(x, y)
        }
        fn constraints(&self, x: Tensor<2>) -> Result<Arc<dyn Constraints>, feasible_core::Error> {
            self.0.constraints(x)
        }
        fn reference(
            &self,
            part: Part,
            cache: Option<&Path>,
            progress: &mut dyn FnMut(usize),
        ) -> Result<Vec<f64>, feasible_data::Error> {
            self.0.reference(part, cache, progress)
        }
    }
    // The training's problem comes first, the evaluation's second.
    let made = std::cell::Cell::new(0);
    let task = Task::new(&Device::flex(), DType::F64, None, |device| {
        let scale = if made.replace(1) == 0 {
            1.0
        } else {
            f64::INFINITY
        };
        Ok(Arc::new(Overflowing(Line {
            device: device.clone(),
            inputs: inputs(),
            scale,
        })))
    })
    .unwrap();
    let references = task.references(None, &mut |_, _| {}).unwrap();
    let config = config(MethodConfig::new(MethodKind::Projection), 3);
    let runs = tempfile::tempdir().unwrap();
    let mut stop = |event: &Event<'_>| match event {
        Event::Epoch { epoch: 1, .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let report = train_run(runs.path(), &config, &task, &references, &mut stop).unwrap();
    let last = RunReader::open(&report.path).unwrap();
    let last = last.last_checkpoint().unwrap().unwrap();
    assert_eq!(Checkpoint::read(&last.path).unwrap().progress.best, None);

    let mut beginning = None;
    let mut watch = |event: &Event<'_>| {
        if let Event::RunStarted { beginning: how, .. } = event {
            beginning = Some(*how);
        }
        ControlFlow::Continue(())
    };
    let report = train_run(runs.path(), &config, &task, &references, &mut watch).unwrap();
    assert_eq!(
        (report.status, beginning),
        (RunStatus::Finished, Some(Beginning::Resumed(2)))
    );
}

#[test]
fn what_does_not_fit_is_an_error_that_names_it() {
    let task = task();
    let references = task.references(None, &mut |_, _| {}).unwrap();
    let good = config(MethodConfig::new(MethodKind::Soft), 2);
    let refused = |config: &RunConfig, references: &References, expected: &str| {
        let error = Trainer::new(config, &task, references).unwrap_err();
        assert!(
            matches!(error, Error::Value { .. }) && error.to_string().contains(expected),
            "{error}\nshould contain {expected}"
        );
    };
    let with = |training: TrainingConfig| RunConfig {
        training,
        ..good.clone()
    };
    refused(
        &with(TrainingConfig::new(1, 0)),
        &references,
        "`training.batch` is 0, must be at least 2",
    );
    refused(
        &with(TrainingConfig::new(0, 10)),
        &references,
        "`training.epochs` is 0",
    );
    refused(
        &good,
        &References::default(),
        "`references.validation` is 0 values, must be 64",
    );
    let short = References {
        test: vec![0.0; 3],
        ..references.clone()
    };
    refused(&good, &short, "`references.test` is 3 values, must be 64");

    let mut trainer = Trainer::new(&good, &task, &references).unwrap();
    for samples in [&[][..], &[64]] {
        let error = trainer.step(samples).unwrap_err().to_string();
        assert!(error.contains("`samples` is"), "{error}");
    }

    let runs = tempfile::tempdir().unwrap();
    let single = with(TrainingConfig {
        dtype: feasible_lab::Precision::F32,
        ..good.training.clone()
    });
    let error = train_run(runs.path(), &single, &task, &references, &mut Silent).unwrap_err();
    assert!(error.to_string().contains("`task.dtype` is F64"), "{error}");
    let outside = RunConfig {
        study: "../elsewhere".into(),
        ..good.clone()
    };
    assert!(train_run(runs.path(), &outside, &task, &references, &mut Silent).is_err());
    assert_eq!(std::fs::read_dir(runs.path()).unwrap().count(), 0);
}

#[test]
fn a_run_says_what_made_it_and_what_went_on_with_it() {
    let task = task();
    let references = task.references(None, &mut |_, _| {}).unwrap();
    let config = config(MethodConfig::new(MethodKind::Soft), 3);
    let runs = tempfile::tempdir().unwrap();
    let mut stop = |event: &Event<'_>| match event {
        Event::Epoch { epoch: 0, .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let report = train_run(runs.path(), &config, &task, &references, &mut stop).unwrap();
    let document = report.path.join("run.json");
    let text = std::fs::read_to_string(&document).unwrap();
    let info = &RunReader::open(&report.path)
        .unwrap()
        .document()
        .info
        .clone();
    let names: Vec<&str> = info.versions.keys().map(String::as_str).collect();
    assert_eq!(names, ["burn", "feasible"]);
    // As an older version would have left it.
    let burn = &info.versions["burn"];
    let older = text.replace(&format!("\"burn\": \"{burn}\""), "\"burn\": \"0.21.0\"");
    assert_ne!(text, older);
    std::fs::write(&document, older).unwrap();

    train_run(runs.path(), &config, &task, &references, &mut Silent).unwrap();
    let reader = RunReader::open(&report.path).unwrap();
    assert_eq!(reader.document().info.versions["burn"], "0.21.0");
    let resumed = reader
        .events()
        .unwrap()
        .map(Result::unwrap)
        .find(|event| event.kind == EventKind::Resumed)
        .unwrap();
    assert_eq!(&resumed.payload["versions"]["burn"], burn.as_str());
}
