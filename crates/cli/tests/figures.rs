//! `feasible figures` on a trained study.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use feasible_record::{Metric, RunReader, RunStatus, summary};
use serde_json::Value;
use tempfile::TempDir;

const STUDY: &str = "
name = 'small'
seeds = [1, 2]
[problem]
recipe = 'snare-qcqp'
variables = 20
equalities = 8
inequalities = 6
samples = 300
[training]
epochs = 2
batch = 50
MEASURE
[[backbone]]
kind = 'mlp'
hidden = [16]
[[method]]
kind = 'soft'
[[method]]
kind = 'snarenet'
rows = 'violated'
";

const SOFT: &str = "snare-qcqp-20-8-6_soft_mlp-16_s1";
const OTHER: &str = "snare-qcqp-20-8-6_soft_mlp-16_s2";

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

fn train(measure: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let study = STUDY.replace("MEASURE", measure);
    fs::write(folder.path().join("study.toml"), study).unwrap();
    let output = feasible(&["study", "study.toml", "--quiet"], folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    folder
}

/// A trained study, for all tests: each writes below a name of its own.
fn trained() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| train("measure = ['snr', 'sharpness']\nmeasure_every = 1"))
        .path()
}

/// What `feasible figures --json` says, run in a folder.
fn figures(folder: &Path, arguments: &[&str]) -> Value {
    let output = feasible(&[&["figures", "--json"], arguments].concat(), folder);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn metrics(run: &str) -> Vec<Metric> {
    let reader = RunReader::open(trained().join("runs/small").join(run)).unwrap();
    reader.metrics().unwrap().map(Result::unwrap).collect()
}

/// The trained study again, under another name: its runs' folders with all their files.
fn copy(to: &Path) {
    fn all(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                all(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    all(&trained().join("runs/small"), to);
}

#[test]
fn figures_have_a_curve_for_each_method() {
    let metric = "snr_global,sharpness";
    let json = figures(
        trained(),
        &["runs/small", "--metric", metric, "--out", "curves"],
    );
    let metric = &json["metrics"][0];
    assert_eq!(metric["metric"], "dynamics.snr_global");
    let values = metric["values"].as_array().unwrap();
    assert_eq!(values.len(), 2);
    // The mean of the two seeds' last values.
    let of = |run| {
        let found = summary::last(&metrics(run), "dynamics.snr_global");
        found.unwrap().value
    };
    let expected = (of(SOFT) + of(OTHER)) / 2.0;
    let soft = values.iter().find(|v| v["method"] == "soft").unwrap();
    let got = soft["last"]["mean"].as_f64().unwrap();
    // Rounding of a sum.
    assert!((got / expected - 1.0).abs() < 1e-14);
    let picture = metric["pictures"][0].as_str().unwrap();
    let svg = fs::read_to_string(trained().join(picture)).unwrap();
    assert!(
        svg.contains(">soft<") && svg.contains(">snarenet<"),
        "{svg}"
    );
}

#[test]
fn only_what_has_a_part_of_the_name_is_drawn() {
    let arguments = [
        "figures",
        "runs/small",
        "--metric",
        "snr_mean",
        "--only",
        "soft",
        "--out",
        "only",
        "--prefix",
        "some-",
    ];
    let output = feasible(&arguments, trained());
    let told = text(&output.stdout);
    assert!(
        told.contains("soft") && told.contains("only/some-snare-qcqp"),
        "{told}"
    );
    assert!(!told.contains("snarenet"), "{told}");
    let pictures = fs::read_dir(trained().join("only")).unwrap();
    let pictures: Vec<_> = pictures.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(pictures.len(), 1);
    let svg = fs::read_to_string(&pictures[0]).unwrap();
    assert!(svg.contains(">soft<") && !svg.contains("snarenet"), "{svg}");
    let none = feasible(&["figures", "runs/small", "--only", "dc3"], trained());
    assert_eq!(none.status.code(), Some(2));
    assert!(
        text(&none.stderr).contains("snarenet, soft"),
        "{}",
        text(&none.stderr)
    );
}

/// Two studies of one problem and network have pictures of their own, and values that say whose they
/// are.
#[test]
fn studies_do_not_overwrite_each_other() {
    let folder = tempfile::tempdir().unwrap();
    // Both names are the same in plain letters.
    for study in ["one", "two", "two.a", "two-a"] {
        copy(&folder.path().join("runs").join(study));
    }
    let arguments = ["runs", "--metric", "snr_mean", "--out", "curves"];
    let json = figures(folder.path(), &arguments);
    let metric = &json["metrics"][0];
    let pictures: Vec<&str> = metric["pictures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|picture| picture.as_str().unwrap())
        .collect();
    assert_eq!(pictures.len(), 4);
    let written = fs::read_dir(folder.path().join("curves")).unwrap().count();
    assert_eq!(written, 4, "{pictures:?}");
    assert!(pictures[0].contains("/one-snare"), "{pictures:?}");
    let values = metric["values"].as_array().unwrap();
    let of = |study: &str| values.iter().filter(|v| v["study"] == study).count();
    assert_eq!((of("one"), of("two"), of("two.a")), (2, 2, 2));
    let output = feasible(&[&["figures"], &arguments[..]].concat(), folder.path());
    let told = text(&output.stdout);
    assert!(told.contains("  one, snare-qcqp"), "{told}");
    // One study needs no name.
    let arguments = ["runs/one", "--metric", "snr_mean", "--out", "curves-of-one"];
    let json = figures(folder.path(), &arguments);
    let picture = json["metrics"][0]["pictures"][0].as_str().unwrap();
    assert!(picture.contains("/snare-qcqp"), "{picture}");
}

/// The last value before a divergence is no result, and is averaged with none.
#[test]
fn a_diverged_run_has_no_last_value() {
    let folder = tempfile::tempdir().unwrap();
    let study = folder.path().join("runs/small");
    copy(&study);
    let path = study.join(SOFT).join("run.json");
    let mut document: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    document["status"] = serde_json::to_value(RunStatus::Diverged { step: 7 }).unwrap();
    fs::write(&path, format!("{document:#}")).unwrap();
    let json = figures(folder.path(), &["runs", "--metric", "snr_mean"]);
    let values = json["metrics"][0]["values"].as_array().unwrap();
    let of = |method: &str| values.iter().find(|v| v["method"] == method).unwrap();
    let (soft, snarenet) = (of("soft"), of("snarenet"));
    assert!(soft["first"]["mean"].is_number() && soft["last"]["mean"].is_null());
    assert_eq!(soft["last"]["undefined"], 1);
    assert!(snarenet["last"]["mean"].is_number());
}

#[test]
fn mistakes_are_explained() {
    let arguments = ["figures", "runs/small", "--metric", "sharpnes"];
    let unknown = feasible(&arguments, trained());
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("dynamics.sharpness"));
    // Without dynamics there is nothing to draw unless it is named.
    let plain = train("");
    let none = feasible(&["figures", "runs/small"], plain.path());
    assert_eq!(none.status.code(), Some(2), "{}", text(&none.stdout));
    assert!(none.stdout.is_empty());
    let message = text(&none.stderr);
    assert!(
        message.contains("`measure`") && message.contains("valid.loss"),
        "{message}"
    );
    assert!(!plain.path().join("runs/small/.figures").exists());
    figures(plain.path(), &["runs/small", "--metric", "valid.loss"]);
    let help = feasible(&["figures", "--help"], trained());
    let help = text(&help.stdout);
    assert!(
        help.contains("Examples:") && help.contains("threshold"),
        "{help}"
    );
}
