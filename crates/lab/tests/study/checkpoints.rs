//! Checkpoints that are kept, and ones that cannot be read.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use feasible_lab::{Beginning, Checkpoint, Error, Event, Silent, Study};
use feasible_record::{RunReader, RunStatus};

use crate::{exact, metrics, options, study, warnings_in};

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
