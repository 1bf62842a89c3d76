//! `feasible landscape`: loss and violation over a plane, as files and pictures.

mod pictures;

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use feasible_data::Part;
use feasible_lab::{
    BoxChoice, EarlierRows, LANDSCAPE_QUANTITIES, LandscapeOutput, LandscapeReport,
    LandscapeSettings, PlaneChoice, SavedRun,
};
use feasible_landscape::{Landscape, check_file_name};
use feasible_record::Number;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::args::{LandscapeArguments, PartName, PlaneName};
use crate::print;
use pictures::Picture;

pub(crate) fn run(arguments: &LandscapeArguments) -> anyhow::Result<ExitCode> {
    let source = &arguments.source;
    if source.is_dir() {
        of_run(arguments)?;
    } else {
        of_file(arguments)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Scans a run and draws what was found.
fn of_run(arguments: &LandscapeArguments) -> anyhow::Result<()> {
    let defaults = LandscapeSettings::default();
    let wanted = arguments.plane.unwrap_or(PlaneName::Random);
    let plane = match (wanted, &arguments.with[..]) {
        (PlaneName::Between, others) => PlaneChoice::Between(others.to_vec()),
        (PlaneName::Random, []) => PlaneChoice::Random,
        (PlaneName::Hessian, []) => PlaneChoice::Hessian,
        (PlaneName::Pca, []) => PlaneChoice::Pca,
        (_, [_, ..]) => {
            return Err(usage("--with", "given", "only with --plane between"));
        }
    };
    let default = ["loss", "violation_max"].map(str::to_owned).to_vec();
    let quantities = match &arguments.quantity[..] {
        [] => default,
        given => given.to_vec(),
    };
    // What cannot be drawn is said before anything is scanned.
    check(&quantities, &LANDSCAPE_QUANTITIES)?;
    let run = SavedRun::open(&arguments.source)?;
    let folder = match &arguments.out {
        Some(folder) => folder.clone(),
        None => arguments.source.join("landscapes"),
    };
    let step = match arguments.step {
        Some(step) => step,
        None => run.steps()?.last().copied().unwrap_or(0),
    };
    let plane_name = match wanted {
        PlaneName::Random => "random",
        PlaneName::Hessian => "hessian",
        PlaneName::Pca => "pca",
        PlaneName::Between => "between",
    };
    let name = arguments
        .name
        .clone()
        .unwrap_or_else(|| format!("{plane_name}-step-{step}"));
    let settings = LandscapeSettings {
        plane,
        points: arguments.points.unwrap_or(defaults.points),
        extent: arguments.extent,
        part: match arguments.part {
            None => defaults.part,
            Some(PartName::Train) => Part::Train,
            Some(PartName::Validation) => Part::Validation,
            Some(PartName::Test) => Part::Test,
        },
        samples: arguments.samples.unwrap_or(defaults.samples),
        bounds: if arguments.as_trained {
            BoxChoice::AsTrained
        } else {
            BoxChoice::True
        },
        seed: arguments.seed.unwrap_or(defaults.seed),
        refine: arguments.refine,
    };
    let progress = Rows::new(arguments.quiet);
    let report = run.landscape(
        arguments.step,
        &settings,
        &LandscapeOutput {
            folder: &folder,
            name: &name,
            rows: if arguments.resume {
                EarlierRows::Continue
            } else {
                EarlierRows::Discard
            },
            progress: &|done, of| progress.tell(done, of),
        },
    )?;
    progress.bar.finish_and_clear();
    let drawn = draw(arguments, &report.landscape, &quantities, &folder, &name)?;
    let file = folder.join(format!("{name}.json"));
    tell(arguments, &file, &report.landscape, &drawn, Some(&report))
}

/// Draws a file.
fn of_file(arguments: &LandscapeArguments) -> anyhow::Result<()> {
    let source = &arguments.source;
    if let Some(option) = of_a_scan(arguments) {
        return Err(usage(
            "source",
            &format!("{}, which is no folder", source.display()),
            &format!("a run's folder for {option}"),
        ));
    }
    let folder = source.parent().unwrap_or(Path::new("")).to_path_buf();
    let stem = match source.extension().and_then(|e| e.to_str()) {
        Some("json" | "npz") => source.file_stem(),
        _ => source.file_name(),
    };
    let stem = stem.unwrap_or_default().to_string_lossy().into_owned();
    let landscape = Landscape::read(&folder, &stem).with_context(|| {
        format!(
            "{} is no run's folder and no landscape that can be read",
            source.display()
        )
    })?;
    let names: Vec<&str> = landscape
        .surface
        .quantities
        .iter()
        .map(|q| q.name.as_str())
        .collect();
    let quantities = match &arguments.quantity[..] {
        [] => names.iter().map(|name| (*name).to_owned()).collect(),
        given => given.to_vec(),
    };
    check(&quantities, &names)?;
    let out = arguments.out.clone().unwrap_or(folder);
    let name = arguments.name.clone().unwrap_or(stem);
    check_file_name(&name)?;
    let drawn = draw(arguments, &landscape, &quantities, &out, &name)?;
    tell(arguments, source, &landscape, &drawn, None)
}

/// The first option given that only a scan has a use for.
fn of_a_scan(arguments: &LandscapeArguments) -> Option<&'static str> {
    let given = [
        ("--plane", arguments.plane.is_some()),
        ("--with", !arguments.with.is_empty()),
        ("--points", arguments.points.is_some()),
        ("--extent", arguments.extent.is_some()),
        ("--step", arguments.step.is_some()),
        ("--part", arguments.part.is_some()),
        ("--samples", arguments.samples.is_some()),
        ("--as-trained", arguments.as_trained),
        ("--seed", arguments.seed.is_some()),
        ("--refine", arguments.refine.is_some()),
        ("--resume", arguments.resume),
    ];
    let mut given = given.into_iter().filter(|(_, given)| *given);
    given.next().map(|(option, _)| option)
}

/// A mistake on the command line.
fn usage(key: &str, got: &str, expected: &str) -> anyhow::Error {
    feasible_lab::Error::Value {
        key: key.to_owned(),
        got: got.to_owned(),
        expected: expected.to_owned(),
    }
    .into()
}

fn check(wanted: &[String], known: &[&str]) -> anyhow::Result<()> {
    match wanted.iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(usage(
            "--quantity",
            name,
            &format!("one of {}", known.join(", ")),
        )),
    }
}

fn draw(
    arguments: &LandscapeArguments,
    landscape: &Landscape,
    quantities: &[String],
    folder: &Path,
    name: &str,
) -> anyhow::Result<Vec<Picture>> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("could not create {}", folder.display()))?;
    let mut drawn = Vec::new();
    for quantity in quantities {
        let settings = pictures::Settings {
            log: arguments.log,
            topology: arguments.topology,
        };
        drawn.push(pictures::draw(
            landscape, quantity, &settings, folder, name,
        )?);
    }
    Ok(drawn)
}

/// What was drawn, in lines or as JSON.
fn tell(
    arguments: &LandscapeArguments,
    file: &Path,
    landscape: &Landscape,
    drawn: &[Picture],
    report: Option<&LandscapeReport>,
) -> anyhow::Result<()> {
    if arguments.json {
        let document = json!({
            "file": file,
            "title": landscape.about.title,
            "source": landscape.about.source,
            "plane": landscape.about.plane,
            "axes": landscape.about.labels,
            "explained": landscape.about.explained,
            "points": [landscape.surface.a.len(), landscape.surface.b.len()],
            "trajectory": landscape.trajectory.len(),
            "step": report.map(|r| r.step),
            "samples": report.map(|r| r.samples),
            "evaluated": report.map(|r| r.evaluated),
            "centre_is_exact": report.and_then(|r| r.centre_is_exact),
            "seconds": report.map(|r| r.seconds),
            "quantities": drawn.iter().map(picture_json).collect::<Vec<_>>(),
        });
        return Ok(print(&format!("{document:#}\n"))?);
    }
    let mut text = String::new();
    let about = &landscape.about;
    text.push_str(&format!("{}\n{}\n", about.title, about.source));
    if let Some(report) = report {
        text.push_str(&format!(
            "{} points in {:.1} s, {} samples each\n",
            report.evaluated, report.seconds, report.samples
        ));
    }
    for picture in drawn {
        text.push_str(&picture.to_text());
    }
    if report.is_some() {
        text.push_str(&format!("numbers: {}\n", file.display()));
    }
    Ok(print(&text)?)
}

fn picture_json(picture: &Picture) -> Value {
    let number = |value: Option<f64>| value.map(Number);
    json!({
        "quantity": picture.quantity,
        "pictures": picture.files,
        "smallest": number(picture.smallest),
        "largest": number(picture.largest),
        "centre": number(picture.centre),
        "undefined": picture.undefined,
        "minima": picture.minima.iter().map(|m| json!({
            "a": m.at.0, "b": m.at.1, "value": Number(m.value), "persistence": Number(m.persistence),
        })).collect::<Vec<_>>(),
    })
}

/// Progress by rows on standard error.
struct Rows {
    bar: ProgressBar,
    lines: bool,
}

impl Rows {
    fn new(quiet: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let bar = if quiet || !terminal {
            ProgressBar::hidden()
        } else {
            let style = ProgressStyle::with_template("  {bar:30} row {pos}/{len}  {eta} left");
            ProgressBar::new(0).with_style(style.expect("the template is valid"))
        };
        Self {
            bar,
            lines: !quiet && !terminal,
        }
    }

    fn tell(&self, done: usize, of: usize) -> ControlFlow<()> {
        self.bar.set_length(of as u64);
        self.bar.set_position(done as u64);
        // Ten lines at most in a log.
        if self.lines && (done == of || done.is_multiple_of(of.div_ceil(10))) {
            let _ = writeln!(io::stderr(), "row {done} of {of}");
        }
        ControlFlow::Continue(())
    }
}

/// A picture's file name beside the numbers'.
fn file(folder: &Path, name: &str, quantity: &str, what: &str) -> PathBuf {
    folder.join(format!("{name}-{quantity}{what}.svg"))
}
