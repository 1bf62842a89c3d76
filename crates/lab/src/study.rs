use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use feasible_record::{RunInfo, RunReader, RunStatus};
use serde_json::Value;

use crate::config::{RunConfig, StudyConfig};
use crate::observer::{Beginning, Event, Observer};
use crate::runner::{self, Ended};
use crate::{Error, Task};

/// A checked study, ready to run.
///
/// ```no_run
/// use feasible_lab::{Options, Silent, Study};
///
/// let study = Study::from_file("studies/quickstart.toml")?;
/// let report = study.run(&Options::default(), &mut Silent)?;
/// assert!(report.runs.iter().all(|run| run.status == feasible_record::RunStatus::Finished));
/// # Ok::<(), feasible_lab::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    config: StudyConfig,
}

/// Where a study's runs go, and whether to go on with old ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The runs folder. Default `runs`.
    pub runs: PathBuf,
    /// What to do with runs of this study that are there already. Default go on.
    pub existing: Existing,
}

/// What to do with runs of a study that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// Pass over those that have ended, go on with the others.
    #[default]
    Continue,
    /// Put the whole study folder aside under a hidden name and start over.
    SetAside,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            runs: PathBuf::from("runs"),
            existing: Existing::Continue,
        }
    }
}

/// How a study ended.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyReport {
    /// The study's folder.
    pub folder: PathBuf,
    /// Its runs, in the order of [`StudyConfig::combinations`]; those not reached are
    /// [`RunStatus::Running`].
    pub runs: Vec<RunReport>,
    /// Whether the observer stopped it.
    pub stopped: bool,
    /// Where an older study folder was put aside, if one was.
    pub set_aside: Option<PathBuf>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct RunReport {
    /// Its folder name.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    /// How it stands now.
    pub status: RunStatus,
}

impl Study {
    /// Checks a study.
    ///
    /// # Errors
    /// As [`StudyConfig::validate`].
    pub fn new(config: StudyConfig) -> Result<Self, Error> {
        config.validate()?;
        Ok(Self { config })
    }

    /// Reads a study file.
    ///
    /// # Errors
    /// As [`StudyConfig::from_file`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        StudyConfig::from_file(path.as_ref()).map(|config| Self { config })
    }

    /// The settings.
    pub fn config(&self) -> &StudyConfig {
        &self.config
    }

    /// Trains every run that has not ended, one after the other. A run that diverges or fails does
    /// not stop the others.
    ///
    /// # Errors
    /// Before anything is trained: if a device is missing, a problem cannot be made, or an existing
    /// run has other settings ([`Error::Changed`]). Later only if the runs folder fails.
    pub fn run(
        &self,
        options: &Options,
        observer: &mut dyn Observer,
    ) -> Result<StudyReport, Error> {
        let folder = options.runs.join(&self.config.name);
        let set_aside = match options.existing {
            Existing::SetAside => set_aside(&folder)?,
            Existing::Continue => None,
        };
        let combinations = self.config.combinations();
        let mut runs = Vec::new();
        for config in &combinations {
            let name = config.run_name();
            let path = folder.join(&name);
            let status = existing_status(&path, config)?;
            runs.push(RunReport { name, path, status });
        }
        // Published problems are cheap to draw: all are made first, so that a bad one is found now.
        let mut tasks: BTreeMap<String, Task> = BTreeMap::new();
        for problem in &self.config.problem {
            tasks.insert(
                problem.label(),
                Task::published(problem, &self.config.training)?,
            );
        }
        let mut report = StudyReport {
            folder,
            runs,
            stopped: false,
            set_aside,
        };
        report.stopped = self
            .train(options, &combinations, &tasks, &mut report.runs, observer)?
            .is_break();
        Ok(report)
    }

    fn train(
        &self,
        options: &Options,
        combinations: &[RunConfig],
        tasks: &BTreeMap<String, Task>,
        runs: &mut [RunReport],
        observer: &mut dyn Observer,
    ) -> Result<ControlFlow<()>, Error> {
        let cache = options.runs.join(".optima");
        let mut references = BTreeMap::new();
        let total = runs.len();
        for (index, (config, report)) in combinations.iter().zip(runs).enumerate() {
            let label = config.problem.label();
            let task = &tasks[&label];
            if has_ended(&report.status) {
                let steps = task.train_samples().div_ceil(config.training.batch);
                let epochs = config.training.epochs;
                let skipped = Event::RunStarted {
                    run: &report.name,
                    index,
                    total,
                    epochs,
                    steps,
                    beginning: Beginning::Skipped,
                };
                if observer.observe(&skipped).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                continue;
            }
            if !references.contains_key(&label) {
                let mut stop = false;
                let computed = task.references(Some(&cache), &mut |done, total| {
                    stop |= observer
                        .observe(&Event::References {
                            problem: &label,
                            done,
                            total,
                        })
                        .is_break();
                })?;
                if stop {
                    return Ok(ControlFlow::Break(()));
                }
                references.insert(label.clone(), computed);
            }
            let info = info(config)?;
            let (status, seconds) = match runner::run(
                &options.runs,
                config,
                &info,
                task,
                &references[&label],
                (index, total),
                observer,
            ) {
                Ok(Ended::With(status, seconds)) => (status, seconds),
                Ok(Ended::Stopped) => return Ok(ControlFlow::Break(())),
                Err(error @ (Error::Record(_) | Error::Io { .. })) => return Err(error),
                Err(error) => (
                    RunStatus::Failed {
                        reason: error.to_string(),
                    },
                    0.0,
                ),
            };
            report.status = status;
            let ended = Event::RunEnded {
                run: &report.name,
                status: &report.status,
                seconds,
            };
            if observer.observe(&ended).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Training again would give the same end. A failed run is tried again: its cause may be gone.
fn has_ended(status: &RunStatus) -> bool {
    matches!(status, RunStatus::Finished | RunStatus::Diverged { .. })
}

/// The status of a run that may be there, after checking that it was made with these settings.
fn existing_status(path: &Path, config: &RunConfig) -> Result<RunStatus, Error> {
    if !path.join("run.json").exists() {
        return Ok(RunStatus::Running);
    }
    let reader = RunReader::open(path)?;
    let mut differences = Vec::new();
    compare(
        "",
        &reader.document().info.config,
        &to_json(config)?,
        &mut differences,
    );
    if !differences.is_empty() {
        return Err(Error::Changed {
            path: path.to_path_buf(),
            differences,
        });
    }
    Ok(reader.document().status.clone())
}

fn compare(key: &str, old: &Value, new: &Value, differences: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in keys {
                let key = if key.is_empty() {
                    name.clone()
                } else {
                    format!("{key}.{name}")
                };
                let of = |table: &serde_json::Map<String, Value>| {
                    table.get(name).cloned().unwrap_or(Value::Null)
                };
                compare(&key, &of(a), &of(b), differences);
            }
        }
        _ if old != new => {
            let word = |value: &Value| {
                if value.is_null() {
                    "not set".to_owned()
                } else {
                    value.to_string()
                }
            };
            differences.push(format!("{key}: was {}, is now {}", word(old), word(new)));
        }
        _ => {}
    }
}

fn to_json(config: &RunConfig) -> Result<Value, Error> {
    serde_json::to_value(config)
        .map_err(|error| Error::value("study", error, "convertible to JSON"))
}

fn info(config: &RunConfig) -> Result<RunInfo, Error> {
    let dtype = match config.training.dtype {
        crate::config::Precision::F64 => "f64",
        crate::config::Precision::F32 => "f32",
    };
    Ok(RunInfo {
        config: to_json(config)?,
        git_revision: git_revision(),
        versions: [("feasible".to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into(),
        device: config.training.device.name().to_owned(),
        dtype: dtype.to_owned(),
        seed: config.seed,
    })
}

/// The revision of the working directory, when it is a git checkout and git is there.
fn git_revision() -> Option<String> {
    let output = Command::new("git")
        .args([
            "describe",
            "--always",
            "--dirty",
            "--abbrev=40",
            "--exclude=*",
        ])
        .output()
        .ok()?;
    let revision = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !revision.is_empty()).then_some(revision)
}

/// Renames a study folder to a hidden name, which listings pass over.
fn set_aside(folder: &Path) -> Result<Option<PathBuf>, Error> {
    if !folder.exists() {
        return Ok(None);
    }
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let run = entry.map_err(Error::io("read", folder))?.path();
        if let Ok(reader) = RunReader::open(&run)
            && reader.is_being_written()?
        {
            return Err(feasible_record::Error::Busy { path: run }.into());
        }
    }
    let moment = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let aside = folder.with_file_name(format!(".{name}-{moment}"));
    fs::rename(folder, &aside).map_err(Error::io("put aside", folder))?;
    Ok(Some(aside))
}
