//! Studies from their text to their tables, on small published problems.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use feasible_lab::{
    Beginning, Checkpoint, Column, Error, Event, Existing, Options, Silent, Study, StudyConfig,
    Table,
};
use feasible_record::{Metric, RunReader, RunStatus};

fn options(runs: &Path) -> Options {
    Options {
        runs: runs.to_path_buf(),
        existing: Existing::Continue,
    }
}

fn study(problem: &str, training: &str, methods: &str) -> Study {
    let text = format!(
        "name = 'small'\nseeds = [3]\n[problem]\n{problem}\nvariables = 8\nequalities = 3\ninequalities = 4\nsamples = 120\n\
         [training]\nbatch = 16\n{training}\n[[backbone]]\nkind = 'mlp'\nhidden = [16, 16]\n{methods}"
    );
    Study::new(StudyConfig::from_toml(&text).unwrap()).unwrap()
}

const ALL_METHODS: &str = "
[[method]]
kind = 'soft'
[[method]]
kind = 'projection'
[[method]]
kind = 'projection'
relaxation = { schedule = 'linear', decay_epochs = 2 }
[[method]]
kind = 'snarenet'
[[method]]
kind = 'snarenet'
name = 'violated rows, whole batch'
rows = 'violated'
stopping = 'whole-batch'
soft_epochs = 1
[[method]]
kind = 'snarenet'
relaxation = { schedule = 'linear-harmonic', decay_epochs = 2 }
";

fn metrics(path: &Path) -> Vec<Metric> {
    RunReader::open(path)
        .unwrap()
        .metrics()
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// What is not a time, exactly.
type Exact = Vec<(u64, u64, BTreeMap<String, u64>)>;

/// Everything recorded but times.
fn exact(path: &Path) -> Exact {
    let bits = |metric: &Metric| {
        let untimed = metric
            .values
            .iter()
            .filter(|(name, _)| !name.ends_with("seconds"));
        untimed
            .map(|(name, value)| (name.clone(), value.0.to_bits()))
            .collect()
    };
    metrics(path)
        .iter()
        .map(|metric| (metric.step, metric.epoch, bits(metric)))
        .collect()
}

#[test]
fn every_method_trains_on_every_recipe_and_layers_end_feasible() {
    for recipe in ["dc3-simple", "dc3-nonconvex", "snare-noncvx", "snare-qcqp"] {
        let folder = tempfile::tempdir().unwrap();
        let study = study(
            &format!("recipe = '{recipe}'"),
            "epochs = 3\noptimizer = { learning_rate = 1e-2 }",
            ALL_METHODS,
        );
        let report = study.run(&options(folder.path()), &mut Silent).unwrap();
        assert_eq!(report.runs.len(), 6);
        for (run, config) in report.runs.iter().zip(study.config().combinations()) {
            assert_eq!(run.status, RunStatus::Finished, "{}", run.name);
            let metrics = metrics(&run.path);
            // 99 or 100 training samples in batches of 16, for 3 epochs.
            let steps: Vec<u64> = metrics
                .iter()
                .filter(|m| m.value("train.loss").is_some())
                .map(|m| m.step)
                .collect();
            assert_eq!(steps, (1..=21).collect::<Vec<u64>>());
            let of = |name: &str| {
                metrics
                    .iter()
                    .filter_map(|m| m.value(name))
                    .collect::<Vec<f64>>()
            };
            assert_eq!(
                (
                    of("epoch.loss").len(),
                    of("valid.objective").len(),
                    of("test.gap_max").len()
                ),
                (3, 3, 1)
            );
            let [first, .., last] = of("epoch.loss")[..] else {
                panic!()
            };
            // Relaxation makes a loss of later epochs incomparable with the first's: the box shrinks.
            assert!(
                config.method.relaxation.is_some() || last < first,
                "{recipe} {}: {first} {last}",
                run.name
            );
            assert_eq!(of("test.failed"), [0.0], "{recipe} {}", run.name);
            let violation = of("test.violation_max")[0];
            if config.method.label() == "soft" {
                assert!(
                    violation > 1e-3,
                    "{recipe}: a soft penalty after 21 steps is not feasible"
                );
            } else {
                // The layers' tolerances are 1e-8 and 1e-9; a step below it also ends SnareNet's
                // iteration, with a residual of at most 1e-8 (λ + σ²)/σ.
                assert!(violation < 1e-6, "{recipe} {}: {violation}", run.name);
                assert!(of("test.gap_max")[0] > -1e-4, "{recipe} {}", run.name);
            }
        }
    }
}

#[test]
fn relaxation_widens_the_box_and_closes_it() {
    let folder = tempfile::tempdir().unwrap();
    let study = study(
        "recipe = 'snare-qcqp'",
        "epochs = 5",
        "[[method]]\nkind = 'snarenet'\nsoft_epochs = 1\nrelaxation = { decay_epochs = 3 }",
    );
    let report = study.run(&options(folder.path()), &mut Silent).unwrap();
    let metrics = metrics(&report.runs[0].path);
    let epsilon: Vec<Option<f64>> = metrics
        .iter()
        .filter(|m| m.value("epoch.loss").is_some())
        .map(|m| m.value("epoch.epsilon_max"))
        .collect();
    let [None, Some(a), Some(b), Some(c), Some(d)] = epsilon[..] else {
        panic!("{epsilon:?}")
    };
    // Linear: 1, 2/3, 1/3, 0 of the first.
    assert!(
        a > 0.0
            && (b / a - 2.0 / 3.0).abs() < 1e-12
            && (c / a - 1.0 / 3.0).abs() < 1e-12
            && d == 0.0,
        "{epsilon:?}"
    );
    let violations: Vec<f64> = metrics
        .iter()
        .filter_map(|m| m.value("valid.violation_max"))
        .collect();
    assert!(
        violations[3] > 1e-6 && violations[4] < 1e-6,
        "{violations:?}"
    );
}

#[test]
fn a_stopped_study_goes_on_bit_for_bit_wherever_it_was_stopped() {
    let study = study(
        "recipe = 'snare-qcqp'",
        "epochs = 4\ncheckpoint_every = 2\nvalidate_every = 3",
        ALL_METHODS,
    );
    let whole = tempfile::tempdir().unwrap();
    let expected = study.run(&options(whole.path()), &mut Silent).unwrap();

    let parts = tempfile::tempdir().unwrap();
    // Seven steps an epoch, 28 a run: stops fall before the first checkpoint, between and after.
    let (mut calls, mut resumed) = (0, Vec::new());
    loop {
        let mut steps = 0;
        let stopped = study.run(&options(parts.path()), &mut |event: &Event<'_>| {
            match event {
                Event::RunStarted {
                    beginning: Beginning::Resumed(epochs),
                    ..
                } => resumed.push(*epochs),
                Event::Step { .. } => steps += 1,
                _ => {}
            }
            if steps == 17 + calls % 5 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        calls += 1;
        let report = stopped.unwrap();
        if !report.stopped {
            assert_eq!(report.runs.len(), expected.runs.len());
            for (got, expected) in report.runs.iter().zip(&expected.runs) {
                assert_eq!(got.status, RunStatus::Finished);
                assert_eq!(exact(&got.path), exact(&expected.path), "{}", got.name);
                let last = |path: &Path| {
                    RunReader::open(path)
                        .unwrap()
                        .last_checkpoint()
                        .unwrap()
                        .unwrap()
                        .path
                };
                let state = |path: &Path| {
                    let mut checkpoint = Checkpoint::read(&last(path)).unwrap();
                    checkpoint.progress.wall_seconds = 0.0;
                    checkpoint
                };
                assert_eq!(state(&got.path), state(&expected.path), "{}", got.name);
            }
            break;
        }
        assert!(calls < 50, "the study does not come forward");
    }
    assert!(
        calls >= 6 && resumed.len() >= 4,
        "{calls} calls, resumed at {resumed:?}"
    );
}

#[test]
fn a_damaged_checkpoint_costs_no_more_than_the_epochs_since_the_one_before() {
    let study = study(
        "recipe = 'dc3-simple'",
        "epochs = 4",
        "[[method]]\nkind = 'snarenet'",
    );
    let whole = tempfile::tempdir().unwrap();
    let expected = study.run(&options(whole.path()), &mut Silent).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let report = study.run(
        &options(folder.path()),
        &mut |event: &Event<'_>| match event {
            Event::Epoch { epoch: 2, .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        },
    );
    let run = report.unwrap().runs[0].path.clone();
    let last = RunReader::open(&run)
        .unwrap()
        .last_checkpoint()
        .unwrap()
        .unwrap();
    let bytes = fs::read(&last.path).unwrap();
    fs::write(&last.path, &bytes[..bytes.len() / 2]).unwrap();

    let mut beginning = None;
    let report = study.run(&options(folder.path()), &mut |event: &Event<'_>| {
        if let Event::RunStarted { beginning: how, .. } = event {
            beginning = Some(*how);
        }
        ControlFlow::Continue(())
    });
    assert_eq!(report.unwrap().runs[0].status, RunStatus::Finished);
    assert_eq!(beginning, Some(Beginning::Resumed(2)));
    assert_eq!(exact(&run), exact(&expected.runs[0].path));
}

#[test]
fn the_last_two_checkpoints_and_the_best_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let study = study(
        "recipe = 'dc3-simple'",
        "epochs = 6",
        "[[method]]\nkind = 'soft'",
    );
    let report = study.run(&options(folder.path()), &mut Silent).unwrap();
    let path = &report.runs[0].path;
    let valid: Vec<(u64, f64)> = metrics(path)
        .iter()
        .filter_map(|m| m.value("valid.loss").map(|loss| (m.step, loss)))
        .collect();
    let best = valid
        .iter()
        .copied()
        .reduce(|a, b| if b.1 < a.1 { b } else { a })
        .unwrap();
    let mut kept: Vec<u64> = RunReader::open(path)
        .unwrap()
        .checkpoints()
        .unwrap()
        .iter()
        .map(|c| c.step)
        .collect();
    kept.sort_unstable();
    let mut expected = vec![best.0, 35, 42];
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(kept, expected);
    assert_eq!(
        fs::read_dir(path.join("checkpoints")).unwrap().count(),
        expected.len()
    );
}

#[test]
fn a_run_that_diverges_says_where_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    // The step overflows: Adam moves every parameter by the learning rate.
    let study = study(
        "recipe = 'dc3-simple'",
        "epochs = 2\noptimizer = { learning_rate = 1e200 }",
        "[[method]]\nkind = 'soft'\n[[method]]\nkind = 'projection'",
    );
    let report = study.run(&options(folder.path()), &mut Silent).unwrap();
    assert!(
        report
            .runs
            .iter()
            .all(|run| run.status == RunStatus::Diverged { step: 2 }),
        "{:?}",
        report.runs
    );
    let table = Table::read(&report.folder).unwrap();
    assert!(table.rows.is_empty());
    assert_eq!(
        table
            .unfinished
            .iter()
            .map(|run| run.reason.as_str())
            .collect::<Vec<_>>(),
        ["diverged at step 2"; 2]
    );
}

#[test]
fn changed_settings_are_refused_by_name_and_fresh_puts_the_old_runs_aside() {
    let folder = tempfile::tempdir().unwrap();
    let methods = "[[method]]\nkind = 'soft'";
    let first = study("recipe = 'dc3-simple'", "epochs = 1", methods);
    first.run(&options(folder.path()), &mut Silent).unwrap();
    let second = study(
        "recipe = 'dc3-simple'",
        "epochs = 2\npenalty = { upper = 5.0 }",
        methods,
    );
    let error = second
        .run(&options(folder.path()), &mut Silent)
        .unwrap_err();
    let Error::Changed { differences, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(
        differences,
        &[
            "training.epochs: was 1, is now 2",
            "training.penalty.upper: was 10.0, is now 5.0"
        ]
    );
    assert!(error.is_configuration() && error.to_string().contains("--fresh"));

    let fresh = Options {
        existing: Existing::SetAside,
        ..options(folder.path())
    };
    let report = second.run(&fresh, &mut Silent).unwrap();
    assert_eq!(report.runs[0].status, RunStatus::Finished);
    let aside = report.set_aside.unwrap();
    assert!(aside.join(&report.runs[0].name).join("run.json").is_file());
    assert_eq!(Table::read(folder.path()).unwrap().rows.len(), 1);
}

#[test]
fn finished_runs_are_passed_over_and_new_seeds_join_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let methods = "[[method]]\nkind = 'soft'\n[[method]]\nkind = 'snarenet'";
    let one = study("recipe = 'dc3-simple'", "epochs = 1", methods);
    one.run(&options(folder.path()), &mut Silent).unwrap();
    let mut config = one.config().clone();
    config.seeds = vec![3, 4];
    let (mut skipped, mut trained) = (0, 0);
    let report = Study::new(config)
        .unwrap()
        .run(&options(folder.path()), &mut |event: &Event<'_>| {
            match event {
                Event::RunStarted {
                    beginning: Beginning::Skipped,
                    ..
                } => skipped += 1,
                Event::RunStarted { .. } => trained += 1,
                _ => {}
            }
            ControlFlow::Continue(())
        });
    assert_eq!((skipped, trained), (2, 2));
    let report = report.unwrap();
    let table = Table::read(&report.folder).unwrap();
    assert_eq!(table, Table::read(folder.path()).unwrap());
    assert!(table.unfinished.is_empty());
    assert_eq!(
        table
            .rows
            .iter()
            .map(|row| (row.method.as_str(), row.finished))
            .collect::<Vec<_>>(),
        [("soft", 2), ("snarenet", 2)]
    );
    let soft: Vec<f64> = report
        .runs
        .iter()
        .filter(|run| run.name.contains("_soft_"))
        .map(|run| {
            metrics(&run.path)
                .iter()
                .find_map(|m| m.value("test.objective"))
                .unwrap()
        })
        .collect();
    let spread = table.rows[0].cell(Column::Objective).spread;
    assert!((spread.mean.unwrap() - (soft[0] + soft[1]) / 2.0).abs() < 1e-12);
    assert!((spread.std.unwrap() - (soft[0] - soft[1]).abs() / 2f64.sqrt()).abs() < 1e-12);
}

#[test]
fn single_precision_trains_too() {
    let folder = tempfile::tempdir().unwrap();
    let study = study(
        "recipe = 'dc3-simple'",
        "epochs = 2\ndtype = 'f32'",
        "[[method]]\nkind = 'snarenet'\ntolerance = 1e-4\nmax_iterations = 20",
    );
    let report = study.run(&options(folder.path()), &mut Silent).unwrap();
    assert_eq!(report.runs[0].status, RunStatus::Finished);
    let checkpoint = RunReader::open(&report.runs[0].path)
        .unwrap()
        .last_checkpoint()
        .unwrap()
        .unwrap();
    let bytes = fs::read(checkpoint.path).unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("\"dtype\":\"F32\""));
    let violation = metrics(&report.runs[0].path)
        .iter()
        .find_map(|m| m.value("test.violation_max"))
        .unwrap();
    assert!(violation < 1e-3, "{violation}");
}

#[test]
fn a_torn_checkpoint_is_an_error_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let study = study(
        "recipe = 'dc3-simple'",
        "epochs = 1",
        "[[method]]\nkind = 'soft'",
    );
    let report = study.run(&options(folder.path()), &mut Silent).unwrap();
    let path = RunReader::open(&report.runs[0].path)
        .unwrap()
        .last_checkpoint()
        .unwrap()
        .unwrap()
        .path;
    let bytes = fs::read(path).unwrap();
    assert!(Checkpoint::from_bytes(&bytes).is_ok());
    for length in (0..bytes.len()).step_by(37) {
        assert!(
            Checkpoint::from_bytes(&bytes[..length]).is_err(),
            "{length}"
        );
    }
}
