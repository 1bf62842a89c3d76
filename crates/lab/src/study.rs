use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use feasible_record::{RunReader, RunStatus};

use crate::config::{RunConfig, StudyConfig};
use crate::observer::{Event, Observer};
use crate::runner::{self, Run, RunReport};
use crate::task::References;
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
    /// Before anything is trained or put aside: if a device is missing, a problem cannot be made, or
    /// an existing run has other settings ([`Error::Changed`]). Later only if the runs folder fails,
    /// or a run's checkpoints cannot be used ([`Error::Checkpoint`], [`Error::NoCheckpoint`]).
    pub fn run(
        &self,
        options: &Options,
        observer: &mut dyn Observer,
    ) -> Result<StudyReport, Error> {
        let folder = options.runs.join(&self.config.name);
        let combinations = self.config.combinations();
        // Published problems are cheap to draw: all are made first, so that a bad one is found now.
        let mut tasks: BTreeMap<String, Task> = BTreeMap::new();
        for config in &combinations {
            if let Entry::Vacant(vacant) = tasks.entry(config.problem.label()) {
                vacant.insert(Task::published(&config.problem, &config.training)?);
            }
        }
        let set_aside = match options.existing {
            Existing::SetAside => set_aside(&folder)?,
            Existing::Continue => None,
        };
        let runs = combinations
            .iter()
            .map(|config| runner::existing(&options.runs, config))
            .collect::<Result<_, _>>()?;
        let mut report = StudyReport {
            folder,
            runs,
            stopped: false,
            set_aside,
        };
        let told = match &report.set_aside {
            Some(folder) => observer.observe(&Event::SetAside { folder }),
            None => ControlFlow::Continue(()),
        };
        report.stopped = told.is_break()
            || self
                .train(options, &combinations, &tasks, &mut report.runs, observer)?
                .is_break();
        Ok(report)
    }

    fn train(
        &self,
        options: &Options,
        combinations: &[RunConfig],
        tasks: &BTreeMap<String, Task>,
        reports: &mut [RunReport],
        observer: &mut dyn Observer,
    ) -> Result<ControlFlow<()>, Error> {
        let cache = options.runs.join(".optima");
        let mut references: BTreeMap<String, References> = BTreeMap::new();
        let total = reports.len();
        for (index, (config, report)) in combinations.iter().zip(reports).enumerate() {
            let label = config.problem.label();
            let run = Run {
                runs: &options.runs,
                config,
                task: &tasks[&label],
                position: (index, total),
            };
            if report.has_ended() {
                if run.pass_over(observer).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                continue;
            }
            if !references.contains_key(&label) {
                let mut stop = false;
                let computed = run.task.references(Some(&cache), &mut |done, total| {
                    let event = Event::References {
                        problem: &label,
                        done,
                        total,
                    };
                    stop |= observer.observe(&event).is_break();
                })?;
                if stop {
                    return Ok(ControlFlow::Break(()));
                }
                references.insert(label.clone(), computed);
            }
            let flow = match run.train(&references[&label], report, observer) {
                Err(error) if !error.is_of_the_folder() => {
                    report.status = RunStatus::Failed {
                        reason: error.to_string(),
                    };
                    observer.observe(&Event::RunEnded {
                        run: &report.name,
                        status: &report.status,
                        seconds: 0.0,
                    })
                }
                flow => flow?,
            };
            if flow.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
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
