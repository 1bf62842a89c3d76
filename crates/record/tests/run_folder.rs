//! A run from creation to table, with the accidents in between.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use feasible_record::{
    Error, Event, EventKind, Metric, Number, RunInfo, RunReader, RunStatus, RunWriter, is_study,
    list_runs, list_study,
};
use serde_json::json;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn info(seed: u64) -> RunInfo {
    RunInfo {
        config: json!({ "method": "snarenet", "rate": 0.1 + 0.2, "cap": Number(f64::INFINITY) }),
        git_revision: Some("0123abc".to_owned()),
        versions: [("burn".to_owned(), "0.22.1".to_owned())].into(),
        device: "cpu".to_owned(),
        dtype: "f64".to_owned(),
        seed,
    }
}

fn metrics(path: &Path) -> Result<Vec<Metric>, Error> {
    RunReader::open(path)?.metrics()?.collect()
}

fn events(path: &Path) -> Result<Vec<Event>, Error> {
    RunReader::open(path)?.events()?.collect()
}

/// What step `step` of the pretended training measures.
fn loss(step: u64) -> f64 {
    1.0 / (step as f64 + 1.0 / 3.0)
}

#[test]
fn what_was_written_is_read() -> Outcome {
    let root = tempfile::tempdir()?;
    let mut writer = RunWriter::create(root.path(), "quick", "a.1", &info(u64::MAX))?;
    let path = writer.path().to_path_buf();
    writer.metric(
        1,
        0,
        0.125,
        &[
            ("loss", loss(1)),
            ("gap", f64::NAN),
            ("höhe \"x\"\n", f64::NEG_INFINITY),
        ],
    )?;
    writer.metric(1, 0, 0.25, &[])?;
    writer.event(
        EventKind::Warning,
        1,
        json!({ "worst": Number(f64::INFINITY) }),
    )?;
    let checkpoint = writer.checkpoint(1, b"parameters")?;

    let reader = RunReader::open(&path)?;
    assert_eq!((reader.study(), reader.run()), ("quick", "a.1"));
    assert_eq!(reader.document().status, RunStatus::Running);
    assert_eq!(reader.document().info, info(u64::MAX));
    assert!(reader.is_being_written()?);
    writer.finish()?;

    let reader = RunReader::open(&path)?;
    let document = reader.document();
    assert_eq!(document.status, RunStatus::Finished);
    assert!(document.end.unwrap() >= document.start);
    assert!(!reader.is_being_written()?);
    let read = metrics(&path)?;
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].value("loss"), Some(loss(1)));
    assert!(read[0].value("gap").unwrap().is_nan());
    assert_eq!(read[0].value("höhe \"x\"\n"), Some(f64::NEG_INFINITY));
    assert_eq!(read[0].value("absent"), None);
    let read = events(&path)?;
    assert_eq!(read[0].payload, json!({ "worst": "Infinity" }));
    assert_eq!(read[1].kind, EventKind::Checkpoint);
    let last = reader.last_checkpoint()?.unwrap();
    assert_eq!((last.step, &last.path), (1, &checkpoint));
    assert_eq!(fs::read(checkpoint)?, b"parameters");
    Ok(())
}

#[test]
fn every_status_comes_back() -> Outcome {
    let root = tempfile::tempdir()?;
    let mut writer = RunWriter::create(root.path(), "s", "r", &RunInfo::default())?;
    let path = writer.path().to_path_buf();
    let statuses = [
        RunStatus::Failed {
            reason: "no \"device\"\n".to_owned(),
        },
        RunStatus::Diverged { step: 12 },
        RunStatus::Finished,
        RunStatus::Running,
    ];
    for status in statuses {
        writer.set_status(status.clone())?;
        let document = RunReader::open(&path)?.document().clone();
        assert_eq!(document.end.is_none(), status == RunStatus::Running);
        assert_eq!(document.status, status);
    }
    Ok(())
}

#[test]
fn arguments_that_would_spoil_the_files_are_refused() -> Outcome {
    let root = tempfile::tempdir()?;
    for (study, run) in [("..", "a"), ("a", "../b"), ("a/b", "c"), ("", "c")] {
        assert!(matches!(
            RunWriter::create(root.path(), study, run, &info(0)),
            Err(Error::Name { .. })
        ));
    }
    assert_eq!(fs::read_dir(root.path())?.count(), 0);
    let mut writer = RunWriter::create(root.path(), "s", "r", &info(0))?;
    writer.metric(5, 0, 0.0, &[("loss", 1.0)])?;
    let back = writer
        .metric(4, 0, 0.0, &[("loss", 1.0)])
        .unwrap_err()
        .to_string();
    assert_eq!(
        back,
        "`step` is 4, must be at least 5, the last recorded step"
    );
    assert!(matches!(
        writer.metric(6, 0, 0.0, &[("a", 1.0), ("a", 2.0)]),
        Err(Error::Argument {
            argument: "values",
            ..
        })
    ));
    assert_eq!(metrics(writer.path())?.len(), 1);
    Ok(())
}

#[test]
fn a_run_is_created_once_and_written_by_one() -> Outcome {
    let root = tempfile::tempdir()?;
    let writer = RunWriter::create(root.path(), "s", "r", &info(0))?;
    let path = writer.path().to_path_buf();
    assert!(matches!(
        RunWriter::create(root.path(), "s", "r", &info(0)),
        Err(Error::Exists { .. })
    ));
    let busy = RunWriter::resume(&path, 0, &info(0)).unwrap_err();
    assert!(
        matches!(&busy, Error::Busy { path: p } if *p == path),
        "{busy}"
    );
    drop(writer);
    assert_eq!(
        RunReader::open(&path)?.document().status,
        RunStatus::Running
    );
    RunWriter::resume(&path, 0, &info(0))?;
    assert!(matches!(
        RunWriter::create(root.path(), "s", "r", &info(0)),
        Err(Error::Exists { .. })
    ));
    Ok(())
}

#[test]
fn a_creation_cut_short_is_taken_over_unless_it_has_records() -> Outcome {
    let root = tempfile::tempdir()?;
    let path = root.path().join("s/r");
    fs::create_dir_all(path.join("checkpoints"))?;
    fs::write(path.join("metrics.jsonl"), "")?;
    drop(RunWriter::create(root.path(), "s", "r", &info(0))?);
    fs::remove_file(path.join("run.json"))?;
    fs::write(path.join("metrics.jsonl"), "{}\n")?;
    assert!(matches!(
        RunWriter::create(root.path(), "s", "r", &info(0)),
        Err(Error::Exists { .. })
    ));
    Ok(())
}

/// Trains `until` steps with a checkpoint every ten, as the lab does.
fn train(writer: &mut RunWriter, from: u64, until: u64) -> Result<(), Error> {
    for step in from + 1..=until {
        writer.metric(step, step / 10, step as f64, &[("loss", loss(step))])?;
        if step % 7 == 0 {
            writer.event(EventKind::Note, step, step.to_string())?;
        }
        if step % 10 == 0 {
            writer.checkpoint(step, &step.to_le_bytes())?;
        }
    }
    Ok(())
}

fn is_complete(path: &Path, until: u64) -> Outcome {
    let steps: Vec<(u64, Option<f64>)> = metrics(path)?
        .iter()
        .map(|m| (m.step, m.value("loss")))
        .collect();
    assert_eq!(
        steps,
        (1..=until).map(|s| (s, Some(loss(s)))).collect::<Vec<_>>()
    );
    let notes: Vec<u64> = events(path)?
        .iter()
        .filter(|e| e.kind == EventKind::Note)
        .map(|e| e.step)
        .collect();
    assert_eq!(
        notes,
        (1..=until).filter(|s| s % 7 == 0).collect::<Vec<_>>()
    );
    let checkpoints = RunReader::open(path)?.checkpoints()?;
    assert_eq!(
        checkpoints.iter().map(|c| c.step).collect::<Vec<_>>(),
        (1..=until / 10).map(|c| c * 10).collect::<Vec<_>>()
    );
    Ok(())
}

#[test]
fn a_run_stopped_at_any_byte_resumes_without_a_step_lost_or_doubled() -> Outcome {
    let root = tempfile::tempdir()?;
    let mut writer = RunWriter::create(root.path(), "s", "r", &info(0))?;
    let path = writer.path().to_path_buf();
    train(&mut writer, 0, 20)?;
    drop(writer);
    // The last checkpoint is that of step 20; two more steps are written and cut anywhere.
    let kept = fs::read(path.join("metrics.jsonl"))?.len();
    let mut writer = RunWriter::resume(&path, 20, &info(0))?;
    assert_eq!(
        writer.last_metric().map(|m| (m.step, m.wall_seconds.0)),
        Some((20, 20.0))
    );
    for step in 21..=22 {
        writer.metric(step, 0, 0.0, &[("loss", -1.0)])?;
    }
    drop(writer);
    let text = fs::read(path.join("metrics.jsonl"))?;
    for cut in kept..=text.len() {
        fs::write(path.join("metrics.jsonl"), &text[..cut])?;
        let mut writer = RunWriter::resume(&path, 20, &info(0))?;
        train(&mut writer, 20, 25)?;
        drop(writer);
        is_complete(&path, 25)?;
    }
    Ok(())
}

#[test]
fn resuming_says_what_it_dropped_and_restarting_drops_all() -> Outcome {
    let root = tempfile::tempdir()?;
    let mut writer = RunWriter::create(root.path(), "s", "r", &info(0))?;
    let path = writer.path().to_path_buf();
    train(&mut writer, 0, 29)?;
    writer.set_status(RunStatus::Failed {
        reason: "x".to_owned(),
    })?;
    drop(writer);
    let torn = fs::OpenOptions::new()
        .append(true)
        .open(path.join("events.jsonl"));
    torn?.write_all(b"{\"kind\":\"no")?;
    let writer = RunWriter::resume(&path, 20, &info(0))?;
    assert_eq!(
        (&writer.document().status, writer.document().end),
        (&RunStatus::Running, None)
    );
    let resumed = events(&path)?.pop().unwrap();
    // Steps 21 to 29; the notes of 21 and 28 and the torn line.
    assert_eq!((resumed.kind, resumed.step), (EventKind::Resumed, 20));
    assert_eq!(
        resumed.payload,
        json!({ "metrics_dropped": 9, "events_dropped": 3 })
    );
    drop(writer);
    let newer = RunInfo {
        git_revision: Some("4567def".to_owned()),
        versions: [("burn".to_owned(), "0.23.0".to_owned())].into(),
        ..info(0)
    };
    drop(RunWriter::resume(&path, 20, &newer)?);
    assert_eq!(
        events(&path)?.pop().unwrap().payload,
        json!({
            "metrics_dropped": 0, "events_dropped": 0,
            "git_revision": "4567def", "versions": { "burn": "0.23.0" }
        })
    );
    assert_eq!(RunReader::open(&path)?.document().info, info(0));
    let mut writer = RunWriter::restart(&path, &info(0))?;
    assert!(metrics(&path)?.is_empty() && writer.last_metric().is_none());
    train(&mut writer, 0, 12)?;
    drop(writer);
    is_complete(&path, 12)
}

#[test]
fn a_checkpoint_counts_once_and_while_its_file_is_there() -> Outcome {
    let root = tempfile::tempdir()?;
    let mut writer = RunWriter::create(root.path(), "s", "r", &info(0))?;
    let reader = RunReader::open(writer.path())?;
    assert_eq!(reader.last_checkpoint()?, None);
    for step in [20, 30, 10, 30] {
        writer.checkpoint(step, b"parameters")?;
    }
    let found = reader.checkpoints()?;
    assert_eq!(
        found.iter().map(|c| c.step).collect::<Vec<_>>(),
        [10, 20, 30]
    );
    fs::remove_file(&found[2].path)?;
    assert_eq!(reader.last_checkpoint()?.map(|c| c.step), Some(20));
    Ok(())
}

#[test]
fn a_damaged_line_stops_a_resumption_before_anything_is_dropped() -> Outcome {
    let root = tempfile::tempdir()?;
    let mut writer = RunWriter::create(root.path(), "s", "r", &info(0))?;
    let path = writer.path().to_path_buf();
    train(&mut writer, 0, 29)?;
    drop(writer);
    fs::write(path.join("events.jsonl"), "{\"kind\":\"note\"}\n")?;
    let before = fs::read(path.join("metrics.jsonl"))?;
    let error = RunWriter::resume(&path, 10, &info(0)).unwrap_err();
    assert!(matches!(error, Error::Line { line: 1, .. }), "{error}");
    assert_eq!(fs::read(path.join("metrics.jsonl"))?, before);
    Ok(())
}

#[test]
fn damaged_folders_are_named_with_what_to_do() -> Outcome {
    let root = tempfile::tempdir()?;
    drop(RunWriter::create(root.path(), "s", "r", &info(0))?);
    let path = root.path().join("s/r");
    let document = path.join("run.json");
    let good = fs::read_to_string(&document)?;

    let check = |content: &str, phrase: &str| {
        fs::write(&document, content).unwrap();
        let error = RunReader::open(&path).unwrap_err().to_string();
        assert!(
            error.contains("run.json") && error.contains(phrase),
            "{error}"
        );
        assert!(RunWriter::resume(&path, 0, &info(0)).is_err());
    };
    check(&good[..good.len() / 2], "damaged");
    check("", "damaged");
    check("{}", "no `format` number");
    check(
        "{\"format\": 2}",
        "has format 2, this program reads format 1",
    );
    check(
        &good.replace("\"device\"", "\"devise\""),
        "missing field `device`",
    );
    fs::write(&document, &good)?;

    fs::remove_file(path.join("metrics.jsonl"))?;
    let error = metrics(&path).unwrap_err().to_string();
    assert!(
        error.contains("could not open") && error.contains("metrics.jsonl"),
        "{error}"
    );
    let error = RunReader::open(root.path().join("nowhere"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("no such folder"), "{error}");
    let error = RunReader::open(root.path().join("s"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("it has no run.json"), "{error}");
    Ok(())
}

#[test]
fn a_run_document_cut_anywhere_is_an_error_and_never_a_panic() -> Outcome {
    let root = tempfile::tempdir()?;
    drop(RunWriter::create(root.path(), "s", "r", &info(0))?);
    let path = root.path().join("s/r");
    let good = fs::read(path.join("run.json"))?;
    for cut in 0..good.len() {
        fs::write(path.join("run.json"), &good[..cut])?;
        assert!(
            matches!(RunReader::open(&path), Err(Error::Document { .. })),
            "cut at {cut}"
        );
    }
    Ok(())
}

#[test]
fn an_event_of_a_newer_version_is_read_and_a_payload_cannot_choose_a_path() -> Outcome {
    let root = tempfile::tempdir()?;
    drop(RunWriter::create(root.path(), "s", "r", &info(0))?);
    let path = root.path().join("s/r");
    let lines = "{\"kind\":\"hologram\",\"step\":1,\"payload\":null}\n\
                 {\"kind\":\"checkpoint\",\"step\":2,\"payload\":{\"file\":\"../../../etc/passwd\"}}\n";
    fs::write(path.join("events.jsonl"), lines)?;
    assert_eq!(events(&path)?[0].kind, EventKind::Unknown);
    assert_eq!(RunReader::open(&path)?.checkpoints()?, []);
    Ok(())
}

#[test]
fn the_listing_is_sorted_and_says_what_it_could_not_read() -> Outcome {
    let root = tempfile::tempdir()?;
    for (study, run, seed) in [("b", "x", 1), ("a", "y-2", 2), ("a", "y-1", 3)] {
        RunWriter::create(root.path(), study, run, &info(seed))?.finish()?;
    }
    fs::create_dir_all(root.path().join("a/empty"))?;
    fs::create_dir_all(root.path().join("a/.hidden"))?;
    fs::create_dir_all(root.path().join("a/bad name"))?;
    fs::write(root.path().join("a/bad name/run.json"), "{}")?;
    fs::write(root.path().join("note.txt"), "not a study")?;
    let list = list_runs(root.path())?;
    let names: Vec<_> = list
        .runs
        .iter()
        .map(|r| (r.study(), r.run(), r.document().info.seed))
        .collect();
    assert_eq!(names, [("a", "y-1", 3), ("a", "y-2", 2), ("b", "x", 1)]);
    assert_eq!(list.problems.len(), 2);
    assert!(matches!(list.problems[0], Error::Name { role: "run", .. }));
    assert!(matches!(list.problems[1], Error::NotARun { .. }));
    let study = list_study(root.path().join("a"))?;
    assert_eq!((study.runs.len(), study.problems.len()), (2, 2));
    assert!(is_study(root.path().join("a"))? && !is_study(root.path())?);
    assert!(matches!(
        list_runs(root.path().join("none")),
        Err(Error::Io { .. })
    ));
    Ok(())
}

/// Set for the process that [`a_killed_process_leaves_a_run_that_resumes`] starts and kills.
const VICTIM: &str = "FEASIBLE_RECORD_TEST_ROOT";

#[test]
fn a_killed_process_leaves_a_run_that_resumes() -> Outcome {
    if let Some(root) = std::env::var_os(VICTIM) {
        let mut writer = RunWriter::create(PathBuf::from(root), "s", "r", &info(0))?;
        return Ok(train(&mut writer, 0, u64::MAX)?);
    }
    let root = tempfile::tempdir()?;
    let path = root.path().join("s/r");
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["--exact", "a_killed_process_leaves_a_run_that_resumes"])
        .env(VICTIM, root.path())
        .stdout(Stdio::null())
        .spawn()?;
    let started = Instant::now();
    let reached = loop {
        std::thread::sleep(Duration::from_millis(5));
        let reader = RunReader::open(&path).ok();
        if let Some(checkpoint) = reader
            .and_then(|r| r.last_checkpoint().ok().flatten())
            .filter(|c| c.step >= 30)
        {
            break checkpoint.step;
        }
        if started.elapsed() > Duration::from_secs(60) {
            victim.kill()?;
            panic!("no third checkpoint within a minute");
        }
    };
    let reader = RunReader::open(&path)?;
    assert!(reader.is_being_written()?);
    assert!(matches!(
        RunWriter::resume(&path, reached, &info(0)),
        Err(Error::Busy { .. })
    ));
    victim.kill()?;
    victim.wait()?;

    assert!(!reader.is_being_written()?);
    assert_eq!(
        RunReader::open(&path)?.document().status,
        RunStatus::Running
    );
    let from = reader.last_checkpoint()?.unwrap();
    assert_eq!(fs::read(&from.path)?, from.step.to_le_bytes());
    let until = from.step + 15;
    let mut writer = RunWriter::resume(&path, from.step, &info(0))?;
    train(&mut writer, from.step, until)?;
    writer.finish()?;
    is_complete(&path, until)
}
