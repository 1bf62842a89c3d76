//! A run folder's network, problem and method, made again from its settings.

use std::path::Path;

use feasible_nn::Mlp;
use feasible_record::RunReader;

use crate::checkpoint::{Checkpoint, Progress};
use crate::config::{RunConfig, RunProblem};
use crate::runner::check_task;
use crate::start::initial_network;
use crate::{Error, Task};

/// A run that has been trained, or is being trained.
#[derive(Debug)]
pub struct SavedRun {
    reader: RunReader,
    config: RunConfig,
    task: Task,
}

/// A run's state at one of its checkpoints.
#[derive(Debug)]
pub struct SavedState {
    /// The network, in training mode.
    pub network: Mlp,
    /// How far the run had come.
    pub progress: Progress,
}

impl SavedRun {
    /// Opens the run in a folder and puts its published problem on its device.
    ///
    /// # Errors
    /// [`Error::Record`] if there is no run; [`Error::Value`] if its settings cannot be read, or its
    /// problem is one's own, for which there is [`SavedRun::with_task`]; as [`Task::published`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let (reader, config) = read(path.as_ref())?;
        if let RunProblem::Own(own) = &config.problem {
            let expected = "a published one; a program of its own must say how this one is made";
            return Err(Error::value("problem", format!("{:?}", own.name), expected));
        }
        let task = Task::published(&config.problem, &config.training)?;
        Ok(Self {
            reader,
            config,
            task,
        })
    }

    /// Opens the run in a folder, of the problem that `task` is.
    ///
    /// # Errors
    /// As [`SavedRun::open`]; [`Error::Value`] if the task has another number type or another number of
    /// training samples than the run.
    pub fn with_task(path: impl AsRef<Path>, task: Task) -> Result<Self, Error> {
        let (reader, config) = read(path.as_ref())?;
        check_task(&config, &task)?;
        Ok(Self {
            reader,
            config,
            task,
        })
    }

    /// Its folder and records.
    pub fn reader(&self) -> &RunReader {
        &self.reader
    }

    /// Its settings.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// Its problem.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The steps of its checkpoints, ascending.
    ///
    /// # Errors
    /// [`Error::Record`] if its events cannot be read.
    pub fn steps(&self) -> Result<Vec<u64>, Error> {
        let checkpoints = self.reader.checkpoints()?;
        Ok(checkpoints.iter().map(|found| found.step).collect())
    }

    /// Its state at the checkpoint of a step; at the last one where none is given.
    ///
    /// # Errors
    /// [`Error::Value`] if there is no such checkpoint, [`Error::Checkpoint`] if it cannot be used.
    pub fn state(&self, step: Option<u64>) -> Result<SavedState, Error> {
        state(&self.reader, &self.config, &self.task, step)
    }
}

/// A run's state at a checkpoint, as [`SavedRun::state`]. `task` may be another's of as many inputs and
/// variables.
pub(crate) fn state(
    reader: &RunReader,
    config: &RunConfig,
    task: &Task,
    step: Option<u64>,
) -> Result<SavedState, Error> {
    let checkpoints = reader.checkpoints()?;
    let found = match step {
        None => checkpoints.last(),
        Some(step) => checkpoints.iter().find(|found| found.step == step),
    };
    let Some(found) = found else {
        let steps: Vec<String> = checkpoints.iter().map(|c| c.step.to_string()).collect();
        let expected = match &steps[..] {
            [] => "of a run with checkpoints; this one has none yet".to_owned(),
            steps => format!("one of the run's checkpoints: {}", steps.join(", ")),
        };
        let got = step.map_or("absent".to_owned(), |step| step.to_string());
        return Err(Error::value("step", got, expected));
    };
    let checkpoint = Checkpoint::read(&found.path)?;
    let network = initial_network(config, task)?;
    let network = checkpoint
        .load_module(network)
        .map_err(|fault| Error::Checkpoint {
            path: found.path.clone(),
            fault,
        })?;
    Ok(SavedState {
        network,
        progress: checkpoint.progress,
    })
}

pub(crate) fn read(path: &Path) -> Result<(RunReader, RunConfig), Error> {
    let reader = RunReader::open(path)?;
    let config = serde_json::from_value(reader.document().info.config.clone());
    let config: RunConfig = config.map_err(|error| {
        let got = format!("not that of a run ({error})");
        Error::value("config", got, "what this program writes into run.json")
    })?;
    config.validate()?;
    Ok((reader, config))
}
