//! The program as a user runs it: exit codes, output, and being killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use feasible_record::{Metric, RunReader, RunStatus, list_runs};
use serde_json::Value;

fn feasible(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_feasible"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const STUDY: &str = "
name = 'small'
seeds = [1, 2]
[problem]
recipe = 'snare-qcqp'
variables = 20
equalities = 8
inequalities = 6
samples = 600
[training]
epochs = 6
batch = 25
[[backbone]]
kind = 'mlp'
hidden = [32, 32]
[[method]]
kind = 'soft'
[[method]]
kind = 'snarenet'
rows = 'violated'
relaxation = { decay_epochs = 3 }
";

fn study_file(folder: &Path, content: &str) -> PathBuf {
    let path = folder.join("study.toml");
    fs::write(&path, content).unwrap();
    path
}

/// Everything recorded but times, to the last bit.
fn exact(path: &Path) -> Vec<(u64, u64, BTreeMap<String, u64>)> {
    let metrics = RunReader::open(path).unwrap().metrics().unwrap();
    let records = metrics.map(Result::unwrap).map(|metric: Metric| {
        let untimed = metric
            .values
            .iter()
            .filter(|(name, _)| !name.ends_with("seconds"));
        (
            metric.step,
            metric.epoch,
            untimed
                .map(|(name, value)| (name.clone(), value.0.to_bits()))
                .collect(),
        )
    });
    records.collect()
}

fn lines(path: &Path) -> usize {
    fs::read(path).map_or(0, |bytes| bytes.iter().filter(|&&b| b == b'\n').count())
}

/// Lines of all metrics files below a runs folder.
fn recorded(runs: &Path) -> usize {
    let folders = |path: &Path| {
        fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    };
    folders(runs)
        .flat_map(|study| folders(&study).collect::<Vec<_>>())
        .map(|run| lines(&run.join("metrics.jsonl")))
        .sum()
}

#[test]
fn a_killed_study_goes_on_as_if_nothing_had_happened() {
    let folder = tempfile::tempdir().unwrap();
    study_file(folder.path(), STUDY);
    let whole = feasible(
        &["study", "study.toml", "--runs", "whole", "--quiet"],
        folder.path(),
    );
    assert!(whole.status.success(), "{}", text(&whole.stderr));

    let runs = folder.path().join("killed");
    let mut kills = 0;
    // 20 steps an epoch, 480 in all: five kills, each at another place.
    for target in [10, 45, 118, 150, 330] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_feasible"))
            .args(["study", "study.toml", "--runs", "killed", "--quiet"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        while recorded(&runs) < target && child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the study stands still");
            thread::sleep(Duration::from_millis(1));
        }
        kills += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(
        kills >= 4,
        "the study was too quick to be killed: {kills} kills"
    );
    let finished = feasible(&["study", "study.toml", "--runs", "killed"], folder.path());
    assert!(finished.status.success(), "{}", text(&finished.stderr));

    let list = |name: &str| list_runs(folder.path().join(name)).unwrap();
    let (whole, killed) = (list("whole"), list("killed"));
    assert!(killed.problems.is_empty());
    assert_eq!(whole.runs.len(), 4);
    assert_eq!(killed.runs.len(), 4);
    for (expected, got) in whole.runs.iter().zip(&killed.runs) {
        assert_eq!(expected.run(), got.run());
        assert_eq!(got.document().status, RunStatus::Finished);
        let records = exact(got.path());
        let steps: Vec<u64> = records
            .iter()
            .filter(|(_, _, values)| values.contains_key("train.loss"))
            .map(|r| r.0)
            .collect();
        assert_eq!(steps, (1..=120).collect::<Vec<u64>>(), "{}", got.run());
        assert_eq!(records, exact(expected.path()), "{}", got.run());
    }
}

#[test]
fn output_is_a_table_or_one_json_document() {
    let folder = tempfile::tempdir().unwrap();
    study_file(folder.path(), &STUDY.replace("epochs = 6", "epochs = 3"));
    let output = feasible(&["study", "study.toml", "--json"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["runs"].as_array().unwrap().len(), 4);
    assert_eq!(json["table"]["rows"].as_array().unwrap().len(), 2);
    assert_eq!(json["set_aside"], Value::Null);
    // Progress went to standard error, at most one line an epoch beside three lines a run.
    let progress = text(&output.stderr);
    assert!(
        progress.contains("epoch 3/3") && progress.lines().count() <= 1 + 4 * (3 + 3),
        "{progress}"
    );

    let again = feasible(&["study", "study.toml", "--quiet"], folder.path());
    assert_eq!(
        (again.status.code(), text(&again.stderr)),
        (Some(0), String::new())
    );
    let table = feasible(&["table", "runs"], folder.path());
    assert_eq!(
        text(&again.stdout),
        text(&table.stdout) + "\nruns: runs/small (this table again: feasible table runs/small)\n"
    );
    assert!(
        text(&table.stdout).contains("snarenet + relaxation"),
        "{}",
        text(&table.stdout)
    );
    for (format, expected) in [
        ("markdown", "| method |"),
        ("csv", "study,problem,method"),
        ("json", "{\n"),
    ] {
        let output = feasible(&["table", "runs/small", "--format", format], folder.path());
        assert!(
            text(&output.stdout).starts_with(expected),
            "{}",
            text(&output.stdout)
        );
    }
}

#[test]
fn mistakes_are_explained_and_have_code_2() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to, expected) in [
        (
            "epochs = 6",
            "epoch = 6",
            "study.toml, line 11: unknown field `epoch`",
        ),
        (
            "epochs = 6",
            "epochs = 0",
            "`training.epochs` is 0, must be at least 1",
        ),
        (
            "batch = 25",
            "batch = 25\ndevice = 'cuda'",
            "--features cuda",
        ),
        (
            "batch = 25",
            "batch = 25\ntrain_samples = 10000",
            "`training.train_samples` is 10000, must be at most 500",
        ),
        ("name = 'small'", "name = '../small'", "contains \"..\""),
        ("[problem]", "[problem", "study.toml, line 4"),
    ] {
        study_file(folder.path(), &STUDY.replace(from, to));
        let output = feasible(&["study", "study.toml"], folder.path());
        let message = text(&output.stderr);
        assert!(
            message.starts_with("error: ") && message.contains(expected),
            "{message}\nshould contain {expected}"
        );
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(output.stdout.is_empty());
    }
    assert_eq!(feasible(&["study"], folder.path()).status.code(), Some(2));
    assert_eq!(
        feasible(&["table", "runs", "--format", "pdf"], folder.path())
            .status
            .code(),
        Some(2)
    );
    assert_eq!(
        feasible(
            &["data", "qcqp", "--eq", "200", "--out", "a.npz"],
            folder.path()
        )
        .status
        .code(),
        Some(2)
    );
    // What is missing is a failure, not a mistake in the words.
    let missing = feasible(&["table", "nowhere"], folder.path());
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        text(&missing.stderr).contains("nowhere"),
        "{}",
        text(&missing.stderr)
    );
}

#[test]
fn a_study_with_a_diverging_run_has_code_1() {
    let folder = tempfile::tempdir().unwrap();
    study_file(
        folder.path(),
        &STUDY.replace(
            "batch = 25",
            "batch = 25\noptimizer = { learning_rate = 1e200 }",
        ),
    );
    let output = feasible(&["study", "study.toml", "--quiet"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout).contains("diverged at step 2"),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn data_sets_are_written_and_help_has_examples() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "data",
        "qcqp",
        "--n",
        "6",
        "--eq",
        "2",
        "--ineq",
        "3",
        "--samples",
        "10",
        "--seed",
        "5",
        "--out",
        "a.npz",
    ];
    let output = feasible(&arguments, folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let instance = feasible_data::npz::read(&folder.path().join("a.npz")).unwrap();
    let size = instance.size();
    assert_eq!((size.n, size.ineq, instance.seed()), (6, 3, 5));
    let json = feasible(&[&arguments[..], &["--json"]].concat(), folder.path());
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "file": "a.npz", "recipe": "snare-qcqp", "variables": 6, "equalities": 2,
            "inequalities": 3, "samples": 10, "seed": 5,
        })
    );
    for command in [
        &["--help"][..],
        &["study", "--help"],
        &["table", "--help"],
        &["data", "--help"],
    ] {
        let output = feasible(command, folder.path());
        assert!(
            output.status.success() && text(&output.stdout).contains("Examples:"),
            "{command:?}"
        );
    }
}

#[test]
fn a_missing_study_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let output = feasible(&["study", "absent.toml"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    assert!(message.contains("absent.toml"), "{message}");
    assert_eq!(message.matches("No such file").count(), 1, "{message}");
}

/// A run that takes a second, with one epoch.
fn quick() -> String {
    STUDY
        .replace("epochs = 6", "epochs = 1")
        .replace("seeds = [1, 2]", "seeds = [1]")
        .replace("relaxation = { decay_epochs = 3 }", "")
}

#[test]
fn fresh_puts_old_runs_aside_only_once_the_study_can_run() {
    let folder = tempfile::tempdir().unwrap();
    study_file(folder.path(), &quick());
    let fresh = ["study", "study.toml", "--fresh"];
    assert!(
        feasible(&fresh[..2], folder.path()).status.success(),
        "the first time"
    );
    let old = folder.path().join("runs/small");

    study_file(folder.path(), &quick().replace("epochs = 1", "epochs = 2"));
    let changed = feasible(&fresh[..2], folder.path());
    assert_eq!(changed.status.code(), Some(2));
    let message = text(&changed.stderr);
    assert!(
        message.contains("training.epochs: was 1, is now 2") && message.contains("--fresh"),
        "{message}"
    );

    study_file(
        folder.path(),
        &quick().replace("batch = 25", "batch = 25\ntrain_samples = 10000"),
    );
    let refused = feasible(&fresh, folder.path());
    assert_eq!(refused.status.code(), Some(2));
    assert!(old.is_dir(), "{}", text(&refused.stderr));

    study_file(folder.path(), &quick().replace("epochs = 1", "epochs = 2"));
    let output = feasible(&[&fresh[..], &["--json"]].concat(), folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let aside = json["set_aside"].as_str().unwrap();
    assert!(folder.path().join(aside).is_dir());
    // Told before the first run, not after the last.
    let progress = text(&output.stderr);
    assert!(
        progress.starts_with(&format!("the old runs are in {aside}\n")),
        "{progress}"
    );
}

#[test]
fn a_reader_that_has_gone_does_not_change_how_a_study_ended() {
    let folder = tempfile::tempdir().unwrap();
    for (training, code) in [
        ("batch = 25", 0),
        ("batch = 25\noptimizer = { learning_rate = 1e200 }", 1),
    ] {
        study_file(folder.path(), &quick().replace("batch = 25", training));
        let mut child = Command::new(env!("CARGO_BIN_EXE_feasible"))
            .args(["study", "study.toml", "--quiet", "--fresh"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{training}");
    }
}

#[test]
fn progress_names_every_problem_and_shows_a_violation_in_every_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let problem = "\nvariables = 20\nequalities = 8\ninequalities = 6\nsamples = 600\n";
    let two = quick()
        .replace("[problem]", "[[problem]]")
        .replace(
            "[training]",
            &format!("[[problem]]\nname = 'second'\nrecipe = 'dc3-simple'{problem}[training]"),
        )
        .replace("epochs = 1", "epochs = 2\nvalidate_every = 2");
    study_file(folder.path(), &two);
    let output = feasible(&["study", "study.toml"], folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let progress = text(&output.stderr);
    for problem in ["snare-qcqp 20/8/6", "second"] {
        let line = format!("optimal values of {problem}: 100 samples\n");
        assert_eq!(progress.matches(&line).count(), 1, "{progress}");
    }
    let epochs: Vec<&str> = progress
        .lines()
        .filter(|l| l.contains("epoch 1/"))
        .collect();
    assert!(
        !epochs.is_empty() && epochs.iter().all(|line| line.contains("violation ")),
        "{progress}"
    );
}
