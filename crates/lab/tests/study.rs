//! Studies from their text to their tables, on small published problems.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use feasible_lab::{
    Beginning, Checkpoint, Column, Error, Event, Existing, Options, Silent, Study, StudyConfig,
    Table,
};
use feasible_record::{EventKind, Metric, RunReader, RunStatus};

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

    let (mut beginning, mut warnings) = (None, Vec::new());
    let report = study.run(&options(folder.path()), &mut |event: &Event<'_>| {
        match event {
            Event::RunStarted { beginning: how, .. } => beginning = Some(*how),
            Event::Warning { message, .. } => warnings.push((*message).to_owned()),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    assert_eq!(report.unwrap().runs[0].status, RunStatus::Finished);
    assert_eq!(beginning, Some(Beginning::Resumed(2)));
    assert_eq!(exact(&run), exact(&expected.runs[0].path));
    let file = last.path.display().to_string();
    assert!(
        warnings.len() == 1 && warnings[0].contains(&file) && warnings[0].contains("is damaged"),
        "{warnings:?}"
    );
    let told: Vec<String> = warnings_in(&run);
    assert!(told.len() == 1 && told[0].contains(&file), "{told:?}");
}

/// What the warnings among a run's events say.
fn warnings_in(run: &Path) -> Vec<String> {
    RunReader::open(run)
        .unwrap()
        .events()
        .unwrap()
        .map(Result::unwrap)
        .filter(|event| event.kind == EventKind::Warning)
        .map(|event| event.payload.to_string())
        .collect()
}

/// A run stopped after the second of four epochs.
fn stopped(study: &Study, folder: &Path) -> std::path::PathBuf {
    let report = study.run(&options(folder), &mut |event: &Event<'_>| match event {
        Event::Epoch { epoch: 1, .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    report.unwrap().runs[0].path.clone()
}

#[test]
fn checkpoints_that_cannot_be_used_never_erase_a_run() {
    let study = study(
        "recipe = 'dc3-simple'",
        "epochs = 4",
        "[[method]]\nkind = 'soft'",
    );
    let folder = tempfile::tempdir().unwrap();
    let run = stopped(&study, folder.path());
    let checkpoints = RunReader::open(&run).unwrap().checkpoints().unwrap();
    let whole: Vec<Vec<u8>> = checkpoints
        .iter()
        .map(|found| fs::read(&found.path).unwrap())
        .collect();
    let recorded = exact(&run);
    let events = fs::read(run.join("events.jsonl")).unwrap();
    let refusal = || {
        let error = study.run(&options(folder.path()), &mut Silent).unwrap_err();
        assert_eq!(exact(&run), recorded, "{error}");
        assert_eq!(fs::read(run.join("events.jsonl")).unwrap(), events);
        error
    };

    for (found, bytes) in checkpoints.iter().zip(&whole) {
        fs::write(&found.path, &bytes[..bytes.len() / 2]).unwrap();
    }
    let error = refusal();
    let Error::NoCheckpoint { reasons, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(reasons.len(), 2);
    for (reason, found) in reasons.iter().rev().zip(&checkpoints) {
        assert!(
            reason.contains(&found.path.display().to_string()) && reason.contains("is damaged"),
            "{reason}"
        );
    }

    // Of another version: not damaged, so the one before it is no substitute.
    let newest = &checkpoints[1].path;
    let at = whole[1]
        .windows(13)
        .position(|part| part == b"\\\"format\\\":1,")
        .unwrap();
    let mut bytes = whole[1].clone();
    bytes[at + 11] = b'2';
    fs::write(newest, &bytes).unwrap();
    fs::write(&checkpoints[0].path, &whole[0]).unwrap();
    let error = refusal().to_string();
    assert!(
        error.contains(&newest.display().to_string()) && error.contains("has format 2"),
        "{error}"
    );

    for found in &checkpoints {
        fs::remove_file(&found.path).unwrap();
    }
    let error = refusal().to_string();
    assert!(error.contains("none of their files is there"), "{error}");

    for (found, bytes) in checkpoints.iter().zip(&whole) {
        fs::write(&found.path, bytes).unwrap();
    }
    let report = study.run(&options(folder.path()), &mut Silent).unwrap();
    assert_eq!(report.runs[0].status, RunStatus::Finished);
}

#[test]
fn the_best_checkpoint_is_there_and_of_the_true_box() {
    let study = study(
        "recipe = 'snare-qcqp'",
        "epochs = 6\ncheckpoint_every = 2\nvalidate_every = 3",
        "[[method]]\nkind = 'soft'\n[[method]]\nkind = 'snarenet'\nsoft_epochs = 1\nrelaxation = { decay_epochs = 5 }",
    );
    let folder = tempfile::tempdir().unwrap();
    let report = study.run(&options(folder.path()), &mut Silent).unwrap();
    let best = |index: usize| {
        let reader = RunReader::open(&report.runs[index].path).unwrap();
        let last = reader.last_checkpoint().unwrap().unwrap();
        let best = Checkpoint::read(&last.path).unwrap().progress.best;
        let kept: Vec<u64> = reader
            .checkpoints()
            .unwrap()
            .iter()
            .map(|found| found.step)
            .collect();
        (best.map(|best| best.step), kept)
    };
    // Seven steps an epoch: epochs 3 and 6 are validated, 2, 4 and 6 have checkpoints.
    let (soft, kept) = best(0);
    assert_eq!(soft, Some(42));
    assert_eq!(kept, [28, 42]);
    // ε is still positive in the sixth and last epoch.
    assert_eq!(best(1).0, None);
}

#[test]
fn runs_with_other_settings_are_rows_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let run = |epochs: usize, seed: u64, aside: &str| {
        let mut config = study(
            "recipe = 'dc3-simple'",
            &format!("epochs = {epochs}"),
            "[[method]]\nkind = 'soft'",
        )
        .config()
        .clone();
        config.seeds = vec![seed];
        let root = folder.path().join(aside);
        let report = Study::new(config)
            .unwrap()
            .run(&options(&root), &mut Silent)
            .unwrap();
        report.runs[0].path.clone()
    };
    let joined = folder.path().join("joined/small");
    fs::create_dir_all(&joined).unwrap();
    for (epochs, seed) in [(1, 1), (2, 2), (1, 3)] {
        let made = run(epochs, seed, &format!("e{epochs}"));
        fs::rename(&made, joined.join(made.file_name().unwrap())).unwrap();
    }
    let table = Table::read(&joined).unwrap();
    let rows: Vec<_> = table
        .rows
        .iter()
        .map(|row| (row.variant, row.finished))
        .collect();
    assert_eq!(rows, [(Some(1), 2), (Some(2), 1)]);
    assert_eq!(table.differences.len(), 1);
    assert_eq!(
        (
            table.differences[0].key.as_str(),
            &table.differences[0].values[..]
        ),
        ("training.epochs", &["1".to_owned(), "2".to_owned()][..])
    );

    // A set-aside folder beside the runs is none of them.
    fs::rename(
        joined.join("dc3-simple-8-3-4_soft_mlp-16-16_s2"),
        joined.join(".hidden"),
    )
    .unwrap();
    let table = Table::read(&joined).unwrap();
    assert_eq!((table.rows.len(), table.rows[0].variant), (1, None));
    assert!(table.unfinished.is_empty());
}

#[test]
fn a_row_is_feasible_only_if_every_seed_is() {
    let folder = tempfile::tempdir().unwrap();
    let study = study(
        "recipe = 'dc3-simple'",
        "epochs = 1",
        "[[method]]\nkind = 'snarenet'",
    );
    let mut config = study.config().clone();
    config.seeds = vec![1, 2];
    let report = Study::new(config)
        .unwrap()
        .run(&options(folder.path()), &mut Silent)
        .unwrap();
    assert!(Table::read(&report.folder).unwrap().rows[0].feasible);
    // 1.5e-4 in one seed, nothing in the other: the mean would be within 1e-4.
    let path = report.runs[0].path.join("metrics.jsonl");
    let lines = fs::read_to_string(&path).unwrap();
    let start = lines.find("\"test.inequality_max\":").unwrap() + "\"test.inequality_max\":".len();
    let end = start + lines[start..].find([',', '}']).unwrap();
    fs::write(&path, format!("{}1.5e-4{}", &lines[..start], &lines[end..])).unwrap();
    let row = &Table::read(&report.folder).unwrap().rows[0];
    assert!(row.cell(Column::InequalityMax).spread.mean.unwrap() <= 1e-4);
    assert!(!row.feasible);
}

#[test]
fn samples_the_layer_failed_on_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let study = study(
        "recipe = 'snare-qcqp'",
        "epochs = 1",
        "[[method]]\nkind = 'snarenet'\nmax_iterations = 1",
    );
    let mut warnings = Vec::new();
    let report = study.run(&options(folder.path()), &mut |event: &Event<'_>| {
        if let Event::Warning { message, .. } = event {
            warnings.push((*message).to_owned());
        }
        ControlFlow::Continue(())
    });
    let report = report.unwrap();
    assert_eq!(report.runs[0].status, RunStatus::Finished);
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("did not converge for 10"),
        "{warnings:?}"
    );
    assert_eq!(warnings_in(&report.runs[0].path).len(), 1);
    assert_eq!(
        Table::read(&report.folder).unwrap().rows[0].failed_samples,
        10
    );
}

#[test]
fn a_relaxation_that_sees_no_finite_violation_is_a_divergence() {
    let folder = tempfile::tempdir().unwrap();
    // One step an epoch, which sends the parameters to 1e200; the second begins the relaxation.
    let study = study(
        "recipe = 'snare-qcqp'",
        "epochs = 3\nvalidate_every = 3\noptimizer = { learning_rate = 1e200 }",
        "[[method]]\nkind = 'snarenet'\nsoft_epochs = 1\nrelaxation = { decay_epochs = 1 }",
    );
    let mut config = study.config().clone();
    config.training.batch = 200;
    let report = Study::new(config)
        .unwrap()
        .run(&options(folder.path()), &mut Silent)
        .unwrap();
    assert_eq!(report.runs[0].status, RunStatus::Diverged { step: 2 });
}

#[test]
fn nothing_is_put_aside_for_a_study_that_cannot_run() {
    let folder = tempfile::tempdir().unwrap();
    let methods = "[[method]]\nkind = 'soft'";
    let first = study("recipe = 'dc3-simple'", "epochs = 1", methods);
    let report = first.run(&options(folder.path()), &mut Silent).unwrap();
    let fresh = Options {
        existing: Existing::SetAside,
        ..options(folder.path())
    };
    let impossible = study(
        "recipe = 'dc3-simple'",
        "epochs = 1\ntrain_samples = 5000",
        methods,
    );
    assert!(impossible.run(&fresh, &mut Silent).is_err());
    assert!(report.folder.is_dir());

    let mut events = Vec::new();
    let report = first.run(&fresh, &mut |event: &Event<'_>| {
        events.push(format!("{event:?}"));
        ControlFlow::Continue(())
    });
    let aside = format!("{:?}", report.unwrap().set_aside.unwrap());
    assert!(
        events[0].contains("SetAside") && events[0].contains(&aside),
        "{}",
        events[0]
    );
}

#[test]
fn the_studies_of_this_repository_are_valid() {
    let folder = Path::new("../../studies");
    let studies: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    assert!(studies.len() >= 4, "{studies:?}");
    for path in studies {
        let study = Study::from_file(&path).unwrap_or_else(|error| panic!("{error}"));
        assert!(!study.config().combinations().is_empty());
        for problem in &study.config().problem {
            feasible_lab::Task::published(&problem.clone().into(), &study.config().training)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
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
    // A run that diverged is not averaged away: its row is there, and undefined.
    assert_eq!(table.rows.len(), 2);
    for row in &table.rows {
        assert_eq!((row.finished, row.runs, row.feasible), (0, 1, false));
        assert!(
            row.cells
                .iter()
                .all(|cell| cell.spread.mean.is_none() && !cell.best)
        );
    }
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
    // A library does not know what the command line calls it.
    assert!(error.is_configuration() && !error.to_string().contains("--"));

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
