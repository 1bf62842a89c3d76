//! Studies that are stopped, changed or grown go on.

use std::ops::ControlFlow;
use std::path::Path;

use feasible_lab::{
    Beginning, Checkpoint, Column, Error, Event, Existing, Options, Silent, Study, Table,
};
use feasible_record::{RunReader, RunStatus};

use crate::{ALL_METHODS, exact, metrics, options, study};

#[test]
fn a_stopped_study_goes_on_bit_for_bit_wherever_it_was_stopped() {
    // FSNet's tolerance is another in every epoch, from 1e-2, so wide that a wrong one changes the training;
    // one gradient is the implicit one.
    let scheduled = "
[[method]]
kind = 'fsnet'
train_tolerance = 1e-2
tolerance_decay_epochs = 1
[[method]]
kind = 'snarenet'
name = 'implicit'
gradient = 'implicit'
";
    let study = study(
        "recipe = 'snare-qcqp'",
        "epochs = 4\ncheckpoint_every = 2\nvalidate_every = 3",
        &format!("{ALL_METHODS}{scheduled}"),
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
