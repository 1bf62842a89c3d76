//! Training on a problem of one's own, with a known answer.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use feasible_core::{Affine, Bounds, Constraints, host};
use feasible_data::{Part, Problem};
use feasible_lab::{
    BackboneConfig, Beginning, Checkpoint, Error, Event, Measure, MethodConfig, MethodKind,
    OptimizerConfig, OptimizerKind, References, RunConfig, RunProblem, Silent, Table, Task,
    Trainer, TrainingConfig, train_run,
};
use feasible_record::{EventKind, Metric, RunReader, RunStatus};
use serde_json::json;

/// min ½‖y − (x, −x)‖² subject to y₁ + y₂ = 1, y₁ ≤ 0.75: the projection of (x, −x), which is
/// y₁ = min(x + ½, ¾), y₂ = 1 − y₁.
#[derive(Debug)]
struct Line {
    device: Device,
    inputs: Vec<f64>,
    /// What the objective is multiplied by.
    scale: f64,
}

impl Line {
    fn solution(x: f64) -> f64 {
        (x + 0.5).min(0.75)
    }
}

impl Problem for Line {
    fn name(&self) -> &str {
        "line"
    }

    fn inputs(&self) -> usize {
        1
    }

    fn variables(&self) -> usize {
        2
    }

    fn samples(&self, _: Part) -> usize {
        self.inputs.len()
    }

    fn input(&self, _: Part) -> &[f64] {
        &self.inputs
    }

    fn objective(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        let target = Tensor::cat(vec![x.clone(), -x], 1);
        (y - target).square().sum_dim(1).squeeze_dim::<1>(1) * (0.5 * self.scale)
    }

    fn constraints(&self, _: Tensor<2>) -> Result<Arc<dyn Constraints>, feasible_core::Error> {
        let tensor =
            |values: &[f64]| host::write(values.to_vec(), [values.len()], &self.device, DType::F64);
        let rows = host::write(vec![1.0, 1.0, 1.0, 0.0], [2, 2], &self.device, DType::F64);
        let bounds = Bounds::shared(tensor(&[1.0, f64::NEG_INFINITY]), tensor(&[1.0, 0.75]))?;
        Ok(Arc::new(Affine::shared(rows, bounds)?))
    }

    fn reference(
        &self,
        _: Part,
        _: Option<&Path>,
        _: &mut dyn FnMut(usize),
    ) -> Result<Vec<f64>, feasible_data::Error> {
        let objective = |&x: &f64| {
            let y = Self::solution(x);
            0.5 * ((y - x).powi(2) + (1.0 - y + x).powi(2))
        };
        Ok(self.inputs.iter().map(objective).collect())
    }
}

fn inputs() -> Vec<f64> {
    (0..64).map(|i| f64::from(i) / 32.0 - 1.0).collect()
}

fn task() -> Task {
    Task::new(&Device::flex(), DType::F64, None, |device| {
        Ok(Arc::new(Line {
            device: device.clone(),
            inputs: inputs(),
            scale: 1.0,
        }))
    })
    .unwrap()
}

fn config(method: MethodConfig, epochs: usize) -> RunConfig {
    RunConfig {
        study: "own".into(),
        problem: RunProblem::own("line", json!({ "inputs": 64 })),
        method,
        backbone: BackboneConfig {
            hidden: vec![],
            batch_norm: false,
            dropout: 0.0,
            ..BackboneConfig::default()
        },
        seed: 1,
        training: TrainingConfig {
            optimizer: OptimizerConfig {
                learning_rate: 0.02,
                ..OptimizerConfig::default()
            },
            ..TrainingConfig::new(epochs, 16)
        },
    }
}

fn metrics(run: &Path) -> Vec<Metric> {
    let metrics = RunReader::open(run).unwrap().metrics().unwrap();
    metrics.collect::<Result<_, _>>().unwrap()
}

/// What the test measured, from the run's folder.
struct Test(Metric);

impl Test {
    fn of(&self, name: &str) -> f64 {
        self.0.value(&format!("test.{name}")).unwrap()
    }
}

fn train(config: &RunConfig, task: &Task, references: &References) -> Test {
    let runs = tempfile::tempdir().unwrap();
    let report = train_run(runs.path(), config, task, references, &mut Silent).unwrap();
    assert_eq!(report.status, RunStatus::Finished);
    let found = Test(metrics(&report.path).pop().unwrap());
    assert!(found.of("seconds") > 0.0);
    assert_eq!((found.of("unreferenced"), found.of("samples")), (0.0, 64.0));
    found
}

/// A linear network with a projection after it can represent the solution: raw = (x, −x) does. The
/// gap can close, and only to zero.
#[test]
fn a_projection_reaches_the_closed_form_optimum() {
    let task = task();
    let references = task.references(None, &mut |_, _| {}).unwrap();
    for kind in [
        MethodKind::Projection,
        MethodKind::SnareNet(feasible_lab::SnareNetSettings::default()),
    ] {
        let found = train(
            &config(MethodConfig::new(kind.clone()), 150),
            &task,
            &references,
        );
        // 600 steps of Adam at 0.02 settle to about a hundredth of the optimum, squared.
        let gap = found.of("gap_max");
        assert!((-1e-7..1e-3).contains(&gap), "{kind:?}: {gap}");
        let violation = found.of("violation_max");
        assert!(violation < 1e-6, "{kind:?}: {violation}");
    }
}

/// With r = y₁ + y₂ − 1 and the inequality inactive, min ½‖y − (x, −x)‖² + 10 r² has r = −1/41 and
/// objective 400/41² where the constrained optimum has ¼: the squared penalty is never exact.
#[test]
fn a_soft_penalty_leaves_a_violation_and_beats_the_constrained_optimum() {
    let task = task();
    let references = task.references(None, &mut |_, _| {}).unwrap();
    let found = train(
        &config(MethodConfig::new(MethodKind::Soft), 600),
        &task,
        &references,
    );
    // A linear network cannot bend where the inequality begins to act, so the closed form holds
    // for most samples only; the largest violation is at least its.
    assert!(found.of("violation_max") > 1.0 / 41.0);
    assert!(found.of("gap_mean") < 0.0);
    assert_eq!(found.of("feasible_1e-4"), 0.0);
}

/// Central differences of the summed loss against the step that plain gradient descent takes:
/// θ' − θ = −rate · gradient.
#[test]
fn a_step_follows_the_gradient_of_the_summed_loss() {
    use burn::module::{Module, ModuleVisitor, Param};
    use feasible_core::{PenaltyForm, SoftPenalty};
    use feasible_nn::Mlp;

    #[derive(Default)]
    struct Numbers(Vec<f64>);
    impl ModuleVisitor for Numbers {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0
                .extend(host::read("parameter", &param.val()).unwrap());
        }
    }
    let numbers = |network: &Mlp| {
        let mut numbers = Numbers::default();
        network.visit(&mut numbers);
        numbers.0
    };

    let task = task();
    let references = task.references(None, &mut |_, _| {}).unwrap();
    let rate = 1e-3;
    for kind in [
        MethodKind::Soft,
        MethodKind::Projection,
        MethodKind::SnareNet(feasible_lab::SnareNetSettings {
            tolerance: 1e-12,
            ..Default::default()
        }),
    ] {
        let mut config = config(MethodConfig::new(kind.clone()), 1);
        config.training.optimizer = OptimizerConfig {
            kind: OptimizerKind::Sgd { momentum: 0.0 },
            learning_rate: rate,
        };
        let mut trainer = Trainer::new(&config, &task, &references).unwrap();
        let before = numbers(trainer.network());
        let samples: Vec<usize> = (0..16).map(|i| 4 * i).collect();
        trainer.step(&samples).unwrap().unwrap();
        let after = numbers(trainer.network());

        // Order of the parameters: weight [1, 2], then bias [2].
        let method = feasible_lab::Method::new(&config.method).unwrap();
        let loss = |theta: &[f64]| {
            let problem = task.evaluation();
            let all = task.inputs(Part::Train);
            let rows = host::read("x", &all).unwrap();
            let x: Vec<f64> = samples.iter().map(|&i| rows[i]).collect();
            let raw = x
                .iter()
                .flat_map(|x| [theta[0] * x + theta[2], theta[1] * x + theta[3]])
                .collect();
            let x = host::write(x, [16, 1], task.device(), DType::F64);
            let raw = host::write(raw, [16, 2], task.device(), DType::F64);
            let constraints = problem.constraints(x.clone()).unwrap();
            let y = method.apply(raw, constraints.as_ref(), None).unwrap().y;
            let penalty = SoftPenalty {
                upper_weight: 10.0,
                lower_weight: 10.0,
                form: PenaltyForm::Squared,
            };
            let total = problem.objective(x, y.clone())
                + penalty.components(constraints.as_ref(), y).total();
            host::read("loss", &total).unwrap().iter().sum::<f64>()
        };
        for index in 0..4 {
            let h = 1e-5;
            let at = |shift: f64| {
                let mut theta = before.clone();
                theta[index] += shift;
                loss(&theta)
            };
            let slope = (at(h) - at(-h)) / (2.0 * h);
            let step = (before[index] - after[index]) / rate;
            // Differences lose about 1e-16 · |loss| / h = 1e-9 to rounding; kinks are not crossed.
            assert!(
                (slope - step).abs() < 1e-6 * (1.0 + slope.abs()),
                "{kind:?} {index}: {slope} {step}"
            );
        }
    }
}

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
