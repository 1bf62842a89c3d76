//! Reading a run, also while it is being written.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::lines::Records;
use crate::lock::Lock;
use crate::writer::{CHECKPOINTS, DOCUMENT, EVENTS, METRICS};
use crate::{Error, Event, EventKind, Metric, RunDocument, validate_name};

/// A checkpoint that counts: its event was recorded and its file is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Optimiser steps taken when it was written.
    pub step: u64,
    /// The file.
    pub path: PathBuf,
}

/// One run folder. Holds `run.json`; the records are read from disk at each call.
#[derive(Debug, Clone)]
pub struct RunReader {
    folder: PathBuf,
    study: String,
    run: String,
    document: RunDocument,
}

impl RunReader {
    /// Opens the run in `path`, whose last two parts are the study's and the run's name.
    ///
    /// # Errors
    /// [`Error::NotARun`], [`Error::Name`], [`Error::Document`], [`Error::Format`] or [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder_of_run(path.as_ref())?;
        // `.` or a link has no names of its own.
        let full = folder.canonicalize().map_err(Error::io("find", &folder))?;
        let mut names = full
            .iter()
            .rev()
            .map(|part| part.to_string_lossy().into_owned());
        let run = names.next().unwrap_or_default();
        let study = names.next().unwrap_or_default();
        validate_name("run", &run)?;
        validate_name("study", &study)?;
        let document = RunDocument::read(&folder.join(DOCUMENT))?;
        Ok(Self {
            folder,
            study,
            run,
            document,
        })
    }

    /// The run folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The study's name, from the folder.
    pub fn study(&self) -> &str {
        &self.study
    }

    /// The run's name, from the folder.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The content of `run.json` when the run was opened.
    pub fn document(&self) -> &RunDocument {
        &self.document
    }

    /// The metric records in file order, from disk one at a time.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be opened; the items say [`Error::Line`] and [`Error::Io`].
    pub fn metrics(&self) -> Result<Records<Metric>, Error> {
        Records::open(self.folder.join(METRICS))
    }

    /// The events in file order, from disk one at a time.
    ///
    /// # Errors
    /// As [`RunReader::metrics`].
    pub fn events(&self) -> Result<Records<Event>, Error> {
        Records::open(self.folder.join(EVENTS))
    }

    /// The checkpoints that count, each once, by step. One whose file was deleted does not count.
    ///
    /// # Errors
    /// As [`RunReader::metrics`] and its items.
    pub fn checkpoints(&self) -> Result<Vec<Checkpoint>, Error> {
        let mut steps = BTreeSet::new();
        for event in self.events()? {
            let event = event?;
            if event.kind == EventKind::Checkpoint {
                steps.insert(event.step);
            }
        }
        // From the step, not from the payload: a file's text must not choose a path.
        let file = |step| Checkpoint {
            step,
            path: self.folder.join(checkpoint_file(step)),
        };
        Ok(steps
            .into_iter()
            .map(file)
            .filter(|checkpoint| checkpoint.path.is_file())
            .collect())
    }

    /// The checkpoint of the highest step, which [`RunWriter::resume`](crate::RunWriter::resume)
    /// goes on from; `None` when the run has none.
    ///
    /// # Errors
    /// As [`RunReader::checkpoints`].
    pub fn last_checkpoint(&self) -> Result<Option<Checkpoint>, Error> {
        Ok(self
            .checkpoints()?
            .into_iter()
            .max_by_key(|checkpoint| checkpoint.step))
    }

    /// Whether a writer holds the run at this moment. A run that is
    /// [`Running`](crate::RunStatus::Running) and not being written was killed.
    ///
    /// On a file system without locks the answer is always no.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn is_being_written(&self) -> Result<bool, Error> {
        Lock::is_taken(&self.folder)
    }
}

/// A checkpoint's path inside its run folder.
pub(crate) fn checkpoint_file(step: u64) -> String {
    format!("{CHECKPOINTS}/step-{step:010}.safetensors")
}

/// `path` when a run lies there.
pub(crate) fn folder_of_run(path: &Path) -> Result<PathBuf, Error> {
    let not = |reason| Error::NotARun {
        path: path.to_path_buf(),
        reason,
    };
    if !path.is_dir() {
        return Err(not("there is no such folder; check the path"));
    }
    if fs::symlink_metadata(path.join(DOCUMENT)).is_err() {
        return Err(not(
            "it has no run.json; give the folder of one run, or delete it if its creation was cut short",
        ));
    }
    Ok(path.to_path_buf())
}
