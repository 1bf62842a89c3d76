//! `feasible landscape` on runs and files.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use feasible_landscape::{About, Landscape, PlaneKind, Quantity, Surface};
use feasible_record::{Metric, RunReader, summary};
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
samples = 600
[training]
epochs = 6
batch = 50
keep_every = 1
[[backbone]]
kind = 'mlp'
hidden = [16]
[[method]]
kind = 'soft'
[[method]]
kind = 'snarenet'
rows = 'violated'
";

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

/// A trained study, for all tests: each writes below a name of its own.
fn trained() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("study.toml"), STUDY).unwrap();
        let output = feasible(&["study", "study.toml", "--quiet"], folder.path());
        assert!(output.status.success(), "{}", text(&output.stderr));
        folder
    });
    folder.path()
}

const SOFT: &str = "runs/small/snare-qcqp-20-8-6_soft_mlp-16_s1";
const OTHER: &str = "runs/small/snare-qcqp-20-8-6_soft_mlp-16_s2";
const SNARENET: &str = "runs/small/snare-qcqp-20-8-6_snarenet_mlp-16_s1";

fn landscape(run: &str, out: &str, arguments: &[&str]) -> Value {
    let all = [&["landscape", run, "--out", out, "--json"], arguments].concat();
    let output = feasible(&all, trained());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn read(out: &str, name: &str) -> Landscape {
    Landscape::read(&trained().join(out), name).unwrap()
}

fn centre(landscape: &Landscape, quantity: &str) -> f64 {
    let at = landscape.surface.centre().unwrap();
    landscape.surface.quantity(quantity).unwrap().values[at]
}

/// The centre has what the run recorded of its own network when it was validated.
#[test]
fn the_centre_is_what_the_run_recorded() {
    for (run, out) in [(SOFT, "centre-soft"), (SNARENET, "centre-snarenet")] {
        let json = landscape(run, out, &["--points", "5", "--part", "validation"]);
        assert_eq!(json["centre_is_exact"], true);
        assert_eq!(json["evaluated"], 25);
        let found = read(out, "random-step-60");
        let reader = RunReader::open(trained().join(run)).unwrap();
        let metrics: Vec<Metric> = reader.metrics().unwrap().map(Result::unwrap).collect();
        for (quantity, recorded) in [
            ("loss", "valid.loss"),
            ("objective", "valid.objective"),
            ("violation_max", "valid.violation_max"),
            ("raw_violation_max", "valid.raw_violation_max"),
        ] {
            let expected = summary::last(&metrics, recorded).unwrap().value;
            let got = centre(&found, quantity);
            // The same sums in the same order, but for the loss's.
            assert!(
                (got - expected).abs() <= 1e-13 * expected.abs(),
                "{quantity}: {got} {expected}"
            );
        }
        for picture in ["loss", "violation_max"] {
            let path = trained()
                .join(out)
                .join(format!("random-step-60-{picture}.svg"));
            let svg = fs::read_to_string(path).unwrap();
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            assert!(svg.contains("random direction 1"), "{svg}");
        }
    }
}

#[test]
fn a_killed_scan_goes_on() {
    let whole = landscape(SOFT, "whole", &["--points", "41"]);
    assert_eq!(whole["evaluated"], 41 * 41);
    let journal = trained().join("killed/random-step-60.scan");
    let rows = || fs::read(&journal).map_or(0, |b| b.iter().filter(|&&b| b == b'\n').count());
    let mut child = Command::new(env!("CARGO_BIN_EXE_feasible"))
        .args([
            "landscape",
            SOFT,
            "--out",
            "killed",
            "--points",
            "41",
            "--quiet",
        ])
        .current_dir(trained())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while rows() < 5 && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the scan stands still");
        thread::sleep(Duration::from_millis(1));
    }
    // One that has ended by now is not killed, and is scanned anew.
    child.kill().unwrap();
    let killed = !child.wait().unwrap().success();
    let resumed = landscape(SOFT, "killed", &["--points", "41", "--resume"]);
    let evaluated = resumed["evaluated"].as_u64().unwrap();
    let most = if killed { 41 * 38 } else { 41 * 41 };
    assert!(evaluated <= most, "{evaluated}");
    assert!(!journal.exists());
    let (whole, killed) = (
        read("whole", "random-step-60"),
        read("killed", "random-step-60"),
    );
    assert_eq!(whole.surface, killed.surface);
}

/// Rows of other settings are not mixed in.
#[test]
fn a_scan_of_other_settings_is_not_gone_on_with() {
    let journal = trained().join("mixed/random-step-60.scan");
    fs::create_dir_all(journal.parent().unwrap()).unwrap();
    fs::write(&journal, "feasible landscape scan 1 0000000000000000\n").unwrap();
    let arguments = [
        "landscape",
        SOFT,
        "--out",
        "mixed",
        "--points",
        "3",
        "--resume",
    ];
    let output = feasible(&arguments, trained());
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("other axes, quantities or parameters"),
        "{}",
        text(&output.stderr)
    );
    let fresh = feasible(&arguments[..6], trained());
    assert_eq!(fresh.status.code(), Some(0), "{}", text(&fresh.stderr));
}

#[test]
fn planes_of_trajectory_and_hessian() {
    let json = landscape(
        SOFT,
        "pca",
        &["--plane", "pca", "--points", "6", "--topology"],
    );
    // Six epochs and the start.
    assert_eq!(json["trajectory"], 7);
    let explained = json["explained"][0].as_f64().unwrap();
    assert!((0.3..=1.0).contains(&explained), "{explained}");
    assert_eq!(
        json["quantities"][0]["pictures"].as_array().unwrap().len(),
        3
    );
    let found = read("pca", "pca-step-60");
    let last = found.trajectory.last().unwrap();
    // The plane goes through the last checkpoint.
    assert_eq!((last.a, last.b, last.off_plane), (0.0, 0.0, 0.0));
    let reach = |values: &[f64]| (values[0], values[values.len() - 1]);
    let ((left, right), (low, high)) = (reach(&found.surface.a), reach(&found.surface.b));
    for point in &found.trajectory {
        assert!((left..=right).contains(&point.a) && (low..=high).contains(&point.b));
    }

    // Along the top eigenvector the loss curves upwards.
    landscape(
        SOFT,
        "hessian",
        &["--plane", "hessian", "--points", "3", "--extent", "1e-2"],
    );
    let found = read("hessian", "hessian-step-60");
    let loss = &found.surface.quantity("loss").unwrap().values;
    assert!(loss[3] + loss[5] > 2.0 * loss[4], "{loss:?}");
}

#[test]
fn a_line_between_runs_has_both_ends() {
    landscape(
        SOFT,
        "between",
        &["--plane", "between", "--with", OTHER, "--points", "9"],
    );
    let line = read("between", "between-step-60");
    assert!(line.surface.is_line());
    let end = line
        .surface
        .a
        .iter()
        .position(|a| (a - 1.0).abs() < 1e-12)
        .unwrap();
    landscape(OTHER, "end", &["--points", "3"]);
    let other = read("end", "random-step-60");
    for quantity in ["loss", "violation_max"] {
        let at_end = line.surface.quantity(quantity).unwrap().values[end];
        // The parameters at 1 are θ + (θ' − θ), rounded.
        let expected = centre(&other, quantity);
        assert!(
            (at_end / expected - 1.0).abs() < 1e-10,
            "{quantity}: {at_end} {expected}"
        );
    }
    let output = feasible(
        &[
            "landscape",
            SOFT,
            "--plane",
            "between",
            "--with",
            OTHER,
            "--refine",
        ],
        trained(),
    );
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[test]
fn refinement_spends_no_more_than_the_grid() {
    let json = landscape(SOFT, "refined", &["--points", "17", "--refine", "0.02"]);
    let evaluated = json["evaluated"].as_u64().unwrap();
    assert!((25..=17 * 17).contains(&evaluated), "{evaluated}");
    landscape(SOFT, "grid", &["--points", "17"]);
    let (refined, grid) = (
        read("refined", "random-step-60"),
        read("grid", "random-step-60"),
    );
    let loss = |l: &Landscape| l.surface.quantity("loss").unwrap().values.clone();
    let (refined, grid) = (loss(&refined), loss(&grid));
    let range = grid.iter().fold(0.0f64, |m, v| m.max(*v));
    for (r, g) in refined.iter().zip(&grid) {
        // The tolerance is an estimate from second differences: twice it for the rest.
        assert!((r - g).abs() <= 0.04 * range, "{r} {g}");
    }
}

/// The range of a trajectory is no multiple of a refinement's cells, and 13 intervals are none either.
#[test]
fn a_principal_plane_is_refined() {
    for (run, out) in [(SOFT, "refined-soft"), (SNARENET, "refined-snarenet")] {
        let arguments = ["--plane", "pca", "--points", "14", "--refine", "0.02"];
        let json = landscape(run, out, &arguments);
        let evaluated = json["evaluated"].as_u64().unwrap();
        assert!((25..=14 * 14).contains(&evaluated), "{evaluated}");
        let found = read(out, "pca-step-60");
        let last = found.trajectory.last().unwrap();
        assert_eq!((last.a, last.b), (0.0, 0.0));
        // To the last row and column.
        let loss = &found.surface.quantity("loss").unwrap().values;
        assert!(loss.iter().all(|v| v.is_finite()), "{loss:?}");
        let grid = format!("{out}-grid");
        landscape(run, &grid, &["--plane", "pca", "--points", "14"]);
        let grid = read(&grid, "pca-step-60");
        let exact = centre(&grid, "loss");
        let grid = &grid.surface.quantity("loss").unwrap().values;
        let range = |values: &[f64]| {
            let low = values.iter().fold(f64::INFINITY, |m, v| m.min(*v));
            values.iter().fold(f64::NEG_INFINITY, |m, v| m.max(*v)) - low
        };
        // The tolerance is an estimate from second differences: twice it for the rest.
        let off = (centre(&found, "loss") - exact).abs();
        assert!(off <= 0.04 * range(grid), "{off}");
    }
}

/// What would be written is not named by a path, and nothing beside the folder is touched.
#[test]
fn a_name_is_no_path() {
    let folder = tempfile::tempdir().unwrap();
    let (out, beside) = (folder.path().join("out"), folder.path().join("x.scan"));
    fs::write(&beside, "not ours").unwrap();
    let out_text = out.to_str().unwrap();
    let arguments = ["landscape", SOFT, "--out", out_text, "--points", "3"];
    let output = feasible(&[&arguments[..], &["--name", "../x"]].concat(), trained());
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("`name`"), "{message}");
    assert!(beside.exists() && !out.exists());
    // Neither are pictures of a file.
    landscape(SOFT, out_text, &["--points", "3", "--name", "good"]);
    let arguments = ["landscape", "out/good.json", "--name", "../bad"];
    let output = feasible(&arguments, folder.path());
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(!folder.path().join("bad-loss.svg").exists());
}

/// What makes a scan changes nothing of a file, and is refused rather than passed over.
#[test]
fn a_file_is_not_scanned() {
    landscape(SOFT, "file", &["--points", "3"]);
    let file = "file/random-step-60.json";
    for arguments in [
        &["--plane", "pca"][..],
        &["--with", OTHER],
        &["--points", "51"],
        &["--extent", "1"],
        &["--step", "60"],
        &["--part", "train"],
        &["--samples", "1000"],
        &["--as-trained"],
        &["--seed", "0"],
        &["--refine"],
        &["--resume"],
    ] {
        let output = feasible(&[&["landscape", file], arguments].concat(), trained());
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.contains(arguments[0]), "{arguments:?}: {message}");
    }
    let output = feasible(&["landscape", file, "--log"], trained());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn what_is_undefined_is_told_and_hatched() {
    let folder = tempfile::tempdir().unwrap();
    let values = vec![1.0, 2.0, 3.0, f64::NAN, 0.5, 4.0, 3.0, 2.0, f64::NAN];
    let landscape = Landscape {
        surface: Surface {
            a: vec![-1.0, 0.0, 1.0],
            b: vec![-1.0, 0.0, 1.0],
            quantities: vec![Quantity {
                name: "loss".to_owned(),
                values,
            }],
        },
        about: About {
            title: "A title".to_owned(),
            source: "a test".to_owned(),
            plane: PlaneKind::Given,
            labels: ["u".to_owned(), "v".to_owned()],
            explained: None,
        },
        trajectory: vec![],
    };
    landscape.write(folder.path(), "given").unwrap();
    let output = feasible(&["landscape", "given.json", "--json"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let loss = &json["quantities"][0];
    assert_eq!(
        (&loss["undefined"], &loss["smallest"]),
        (&2.into(), &0.5.into())
    );
    let svg = fs::read_to_string(folder.path().join("given-loss.svg")).unwrap();
    assert!(svg.contains("undefined: 2"), "{svg}");
    // The words without --json, and the other names of the same file.
    for name in ["given", "given.npz"] {
        let output = feasible(&["landscape", name], folder.path());
        let told = text(&output.stdout);
        assert!(
            told.contains("undefined at 2 points") && told.contains("1 basin"),
            "{told}"
        );
    }
}

#[test]
fn mistakes_are_explained() {
    for (arguments, code, expected) in [
        (
            &[SOFT, "--quantity", "lose"][..],
            2,
            "one of loss, objective",
        ),
        (&[SOFT, "--points", "4"], 2, "must be odd"),
        (
            &[SOFT, "--step", "7"],
            2,
            "one of the run's checkpoints: 0, 10",
        ),
        (&[SOFT, "--with", OTHER], 2, "only with --plane between"),
        (&[SOFT, "--plane", "between"], 2, "one or two others"),
        (
            &[SOFT, "--plane", "between", "--with", SOFT],
            2,
            "zero vector",
        ),
        (&[SOFT, "--extent", "1e308", "--refine"], 2, "finite"),
        (&[SOFT, "--name", "a/b"], 2, "`name` is \"a/b\""),
        (&[SOFT, "--extent", "0"], 2, "above 0"),
        (&["nowhere"], 1, "no run's folder and no landscape"),
        (&["runs"], 1, "no run.json"),
    ] {
        let output = feasible(&[&["landscape"], arguments].concat(), trained());
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
        assert!(
            message.contains(expected),
            "{message}\nshould contain {expected}"
        );
        assert!(output.stdout.is_empty());
    }
    let help = feasible(&["landscape", "--help"], trained());
    assert!(help.status.success() && text(&help.stdout).contains("Examples:"));
}
