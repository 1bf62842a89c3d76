//! What is trained, and what ends a training.

use std::fs;
use std::path::Path;

use feasible_lab::{Checkpoint, Silent, Study, Table};
use feasible_record::{RunReader, RunStatus};

use crate::{ALL_METHODS, metrics, options, study};

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
