//! One run: a trainer whose figures and checkpoints go to a run folder.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use feasible_record::{EventKind, RunInfo, RunReader, RunStatus, RunWriter};
use serde_json::json;

use crate::checkpoint::Checkpoint;
use crate::config::RunConfig;
use crate::figures::{StepFigures, epoch_values};
use crate::observer::{Beginning, EpochSummary, Event, Observer};
use crate::task::References;
use crate::trainer::{Diverged, Trainer};
use crate::{Error, Task};

/// Checkpoints kept beside the best one: two, so that one damaged file does not lose a run.
const KEPT: usize = 2;

/// Burn's random numbers belong to the process, so runs take turns.
static TURN: Mutex<()> = Mutex::new(());

/// How a run's part in this process ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ended {
    /// With this status, after so many seconds of training.
    With(RunStatus, f64),
    /// The observer asked for it.
    Stopped,
}

/// Trains `config` into `<root>/<study>/<run>`, from the beginning or from where it was stopped.
pub(crate) fn run(
    root: &Path,
    config: &RunConfig,
    info: &RunInfo,
    task: &Task,
    references: &References,
    position: (usize, usize),
    observer: &mut dyn Observer,
) -> Result<Ended, Error> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let name = config.run_name();
    let folder = root.join(&config.study).join(&name);
    let (mut trainer, mut writer) = open(root, &folder, config, info, task, references)?;
    let beginning = if trainer.epochs() == 0 {
        Beginning::New
    } else {
        Beginning::Resumed(trainer.epochs())
    };
    let steps = task.train_samples().div_ceil(config.training.batch);
    let started = Event::RunStarted {
        run: &name,
        index: position.0,
        total: position.1,
        epochs: config.training.epochs,
        steps,
        beginning,
    };
    if observer.observe(&started).is_break() {
        return Ok(Ended::Stopped);
    }
    match train(&mut trainer, &mut writer, config, observer) {
        Ok(Progress::Done) => {
            writer.finish()?;
            Ok(Ended::With(RunStatus::Finished, trainer.wall_seconds()))
        }
        Ok(Progress::Stopped) => Ok(Ended::Stopped),
        Ok(Progress::Diverged) => {
            let status = RunStatus::Diverged {
                step: trainer.steps() + 1,
            };
            writer.event(
                EventKind::Warning,
                trainer.steps(),
                "the prediction or the loss is not finite",
            )?;
            writer.set_status(status.clone())?;
            Ok(Ended::With(status, trainer.wall_seconds()))
        }
        Err(error) => {
            // The folder may be what failed; the first error is the one to report.
            let _ = writer.set_status(RunStatus::Failed {
                reason: error.to_string(),
            });
            Err(error)
        }
    }
}

/// A new run, or an old one at its last usable checkpoint.
fn open<'a>(
    root: &Path,
    folder: &Path,
    config: &'a RunConfig,
    info: &RunInfo,
    task: &'a Task,
    references: &'a References,
) -> Result<(Trainer<'a>, RunWriter), Error> {
    let new = || Trainer::new(config, task, references);
    if !folder.join("run.json").exists() {
        return Ok((
            new()?,
            RunWriter::create(root, &config.study, &config.run_name(), info)?,
        ));
    }
    let mut checkpoints = RunReader::open(folder)?.checkpoints()?;
    checkpoints.sort_by_key(|checkpoint| checkpoint.step);
    let mut unusable = Vec::new();
    while let Some(found) = checkpoints.pop() {
        let restored = Checkpoint::read(&found.path).and_then(|checkpoint| {
            let of_another_run = |reason| Error::Checkpoint {
                path: found.path.clone(),
                reason,
            };
            new()?.restore(&checkpoint).map_err(of_another_run)
        });
        match restored {
            Ok(trainer) => {
                let mut writer = RunWriter::resume(folder, trainer.steps())?;
                for reason in unusable {
                    writer.event(
                        EventKind::Warning,
                        trainer.steps(),
                        json!({ "unusable_checkpoint": reason }),
                    )?;
                }
                return Ok((trainer, writer));
            }
            Err(error) => unusable.push(error.to_string()),
        }
    }
    Ok((new()?, RunWriter::restart(folder)?))
}

enum Progress {
    Done,
    Stopped,
    Diverged,
}

fn train(
    trainer: &mut Trainer<'_>,
    writer: &mut RunWriter,
    config: &RunConfig,
    observer: &mut dyn Observer,
) -> Result<Progress, Error> {
    let training = &config.training;
    while trainer.epochs() < training.epochs {
        let epoch = trainer.epochs();
        let last = epoch + 1 == training.epochs;
        let start = Instant::now();
        let mut taken: Vec<StepFigures> = Vec::new();
        for (index, samples) in trainer.begin_epoch()?.iter().enumerate() {
            let Ok(figures) = trainer.step(samples)? else {
                return Ok(Progress::Diverged);
            };
            if figures.details.is_some() {
                writer.metric(
                    trainer.steps(),
                    epoch as u64,
                    trainer.wall_seconds(),
                    &figures.values(),
                )?;
            }
            taken.push(figures);
            if observer
                .observe(&Event::Step {
                    epoch,
                    step: index + 1,
                    loss: figures.loss,
                })
                .is_break()
            {
                return Ok(Progress::Stopped);
            }
        }
        let seconds = start.elapsed().as_secs_f64();

        let mut values = epoch_values(&taken);
        values.push(("epoch.seconds", seconds));
        if let Some(epsilon) = trainer.epsilon() {
            values.push(("epoch.epsilon_max", epsilon.into_iter().fold(0.0, f64::max)));
        }
        record(writer, trainer, epoch, "", &values)?;
        let validation = if last || (epoch + 1).is_multiple_of(training.validate_every) {
            match trainer.validate()? {
                Ok(evaluation) => Some(evaluation),
                Err(Diverged) => return Ok(Progress::Diverged),
            }
        } else {
            None
        };
        trainer.end_epoch();
        if let Some(evaluation) = &validation {
            record(writer, trainer, epoch, "valid.", &evaluation.values())?;
        }
        if last {
            // Before the last checkpoint, so that a run that has it is complete.
            let Ok((evaluation, seconds)) = trainer.test()? else {
                return Ok(Progress::Diverged);
            };
            let mut values = evaluation.values();
            values.push(("seconds", seconds));
            record(writer, trainer, epoch, "test.", &values)?;
        }
        if last || (epoch + 1).is_multiple_of(training.checkpoint_every) {
            save(trainer, writer)?;
        }
        let loss = values
            .iter()
            .find(|(name, _)| *name == "epoch.loss")
            .map_or(f64::NAN, |(_, loss)| *loss);
        let summary = EpochSummary {
            seconds,
            loss,
            validation_objective: validation.as_ref().map(|v| v.objective),
            validation_violation: validation.as_ref().map(|v| v.violation_max),
        };
        if observer
            .observe(&Event::Epoch { epoch, summary })
            .is_break()
        {
            return Ok(Progress::Stopped);
        }
    }
    Ok(Progress::Done)
}

fn record(
    writer: &mut RunWriter,
    trainer: &Trainer<'_>,
    epoch: usize,
    prefix: &str,
    values: &[(&str, f64)],
) -> Result<(), Error> {
    let named: Vec<(String, f64)> = values
        .iter()
        .map(|(name, value)| (format!("{prefix}{name}"), *value))
        .collect();
    let named: Vec<(&str, f64)> = named
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    Ok(writer.metric(
        trainer.steps(),
        epoch as u64,
        trainer.wall_seconds(),
        &named,
    )?)
}

/// Writes a checkpoint, then removes those that are neither among the last nor the best.
fn save(trainer: &Trainer<'_>, writer: &mut RunWriter) -> Result<(), Error> {
    let bytes = trainer
        .checkpoint()
        .to_bytes()
        .map_err(|reason| Error::Checkpoint {
            path: writer.path().to_path_buf(),
            reason,
        })?;
    writer.checkpoint(trainer.steps(), &bytes)?;
    let mut checkpoints = RunReader::open(writer.path())?.checkpoints()?;
    checkpoints.sort_by_key(|checkpoint| checkpoint.step);
    checkpoints.dedup();
    let old = checkpoints.len().saturating_sub(KEPT);
    for checkpoint in &checkpoints[..old] {
        if trainer
            .best()
            .is_none_or(|best| best.step != checkpoint.step)
        {
            fs::remove_file(&checkpoint.path).map_err(Error::io("remove", &checkpoint.path))?;
        }
    }
    Ok(())
}
