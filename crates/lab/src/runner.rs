//! One run: a trainer whose figures and checkpoints go to a run folder.

mod resume;
mod session;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use burn::tensor::DType;
use feasible_record::{RunReader, RunStatus};

use crate::config::{Precision, RunConfig};
use crate::measure::Instruments;
use crate::observer::{Beginning, Event, Observer};
use crate::task::References;
use crate::{Error, Task, provenance, settings};
use session::{Session, Spent};

/// Burn's random numbers belong to the process, so runs take turns.
static TURN: Mutex<()> = Mutex::new(());

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

/// Trains one run, of any problem, into `<runs>/<study>/<run>`, as a study trains each of its own:
/// with metrics, validations and checkpoints as `config.training` says and the test at the end. A
/// run that was stopped goes on from its last checkpoint, one that has ended is passed over.
///
/// `task` is the problem that `config.problem` describes, on `config.training.device`.
///
/// ```
/// use feasible_lab::{Error, MethodConfig, MethodKind, RunConfig, RunProblem, Silent, Task};
/// use feasible_lab::TrainingConfig;
///
/// /// Trains a task made by `Task::new` with a `feasible_data::Problem` of one's own.
/// fn train(task: &Task) -> Result<(), Error> {
///     let config = RunConfig {
///         study: "mine".into(),
///         problem: RunProblem::own("my problem", serde_json::json!({ "seed": 7 })),
///         method: MethodConfig::new(MethodKind::Projection),
///         backbone: Default::default(),
///         seed: 1,
///         training: TrainingConfig::new(100, 50),
///     };
///     let references = task.references(None, &mut |_, _| {})?;
///     feasible_lab::train_run("runs".as_ref(), &config, task, &references, &mut Silent)?;
///     Ok(())
/// }
/// ```
///
/// # Errors
/// As [`Trainer::new`](crate::Trainer::new); [`Error::Value`] if the task has another number type or
/// another number of training samples than the settings; [`Error::Changed`] if the run is there with
/// other settings; [`Error::Checkpoint`] and [`Error::NoCheckpoint`] if it cannot go on; otherwise
/// what stopped the training, which the run folder has as its status.
pub fn train_run(
    runs: &Path,
    config: &RunConfig,
    task: &Task,
    references: &References,
    observer: &mut dyn Observer,
) -> Result<RunReport, Error> {
    config.validate()?;
    check_task(config, task)?;
    let mut report = existing(runs, config)?;
    let run = Run {
        runs,
        config,
        task,
        position: (0, 1),
    };
    // No other run follows, and one that the observer stopped is still running by its report.
    let _ = if report.has_ended() {
        run.pass_over(observer)
    } else {
        run.train(references, &mut report, observer)?
    };
    Ok(report)
}

/// Whether the task has the number type and the training samples of the settings.
pub(crate) fn check_task(config: &RunConfig, task: &Task) -> Result<(), Error> {
    let dtype = match config.training.dtype {
        Precision::F64 => DType::F64,
        Precision::F32 => DType::F32,
    };
    if task.dtype() != dtype {
        let expected = format!("{dtype:?} as in training.dtype");
        return Err(Error::value(
            "task.dtype",
            format!("{:?}", task.dtype()),
            expected,
        ));
    }
    match config.training.train_samples {
        Some(samples) if samples != task.train_samples() => Err(Error::value(
            "task.train_samples",
            task.train_samples(),
            format!("{samples} as in training.train_samples"),
        )),
        _ => Ok(()),
    }
}

/// A run that may be there, after checking that it was made with these settings.
pub(crate) fn existing(runs: &Path, config: &RunConfig) -> Result<RunReport, Error> {
    let name = config.run_name();
    let path = runs.join(&config.study).join(&name);
    let status = if path.join("run.json").exists() {
        let document = RunReader::open(&path)?.document().clone();
        let differences =
            settings::differences(&[document.info.config, settings::to_json(config)?]);
        if !differences.is_empty() {
            let in_words = |(key, values): &(String, Vec<String>)| {
                format!("{key}: was {}, is now {}", values[0], values[1])
            };
            return Err(Error::Changed {
                path,
                differences: differences.iter().map(in_words).collect(),
            });
        }
        document.status
    } else {
        RunStatus::Running
    };
    Ok(RunReport { name, path, status })
}

impl RunReport {
    /// Training again would give the same end. A failed run is tried again: its cause may be gone.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(
            self.status,
            RunStatus::Finished | RunStatus::Diverged { .. }
        )
    }
}

/// One run among those of a study.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) runs: &'a Path,
    pub(crate) config: &'a RunConfig,
    pub(crate) task: &'a Task,
    /// Which of how many, from 0.
    pub(crate) position: (usize, usize),
}

impl Run<'_> {
    /// Tells that the run has ended before.
    pub(crate) fn pass_over(&self, observer: &mut dyn Observer) -> ControlFlow<()> {
        self.begin(&self.config.run_name(), Beginning::Skipped, observer)
    }

    fn begin(
        &self,
        name: &str,
        beginning: Beginning,
        observer: &mut dyn Observer,
    ) -> ControlFlow<()> {
        let training = &self.config.training;
        let (index, total) = self.position;
        observer.observe(&Event::RunStarted {
            run: name,
            index,
            total,
            epochs: training.epochs,
            steps: self.task.train_samples().div_ceil(training.batch),
            beginning,
        })
    }

    /// Trains the run from the beginning or from where it was stopped, until it ends or the
    /// observer stops it.
    pub(crate) fn train(
        &self,
        references: &References,
        report: &mut RunReport,
        observer: &mut dyn Observer,
    ) -> Result<ControlFlow<()>, Error> {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let info = provenance::info(self.config)?;
        let opened = resume::open(self.runs, self.config, &info, self.task, references)?;
        let beginning = match opened.trainer.epochs() {
            0 => Beginning::New,
            epochs => Beginning::Resumed(epochs),
        };
        if self.begin(&report.name, beginning, observer).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let session = Session {
            name: &report.name,
            config: self.config,
            trainer: opened.trainer,
            writer: opened.writer,
            observer: &mut *observer,
            instruments: Instruments::default(),
            spent: Spent::default(),
        };
        let Some((status, seconds)) = session.run(&opened.faults)? else {
            return Ok(ControlFlow::Break(()));
        };
        report.status = status;
        Ok(observer.observe(&Event::RunEnded {
            run: &report.name,
            status: &report.status,
            seconds,
        }))
    }
}
