//! Writing a run, and going on with one that was stopped.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::lines::{LineWriter, check, keep};
use crate::lock::Lock;
use crate::reader::{checkpoint_file, folder_of_run};
use crate::{
    Error, Event, EventKind, Metric, Number, RunDocument, RunInfo, RunStatus, files, validate_name,
};

pub(crate) const DOCUMENT: &str = "run.json";
pub(crate) const METRICS: &str = "metrics.jsonl";
pub(crate) const EVENTS: &str = "events.jsonl";
pub(crate) const CHECKPOINTS: &str = "checkpoints";

/// The one writer of a run. While it lives nobody else can write the run; dropped without
/// [`RunWriter::finish`] it leaves the run resumable, as a killed process does.
#[derive(Debug)]
pub struct RunWriter {
    folder: PathBuf,
    document: RunDocument,
    metrics: LineWriter,
    events: LineWriter,
    last: Option<Metric>,
    _lock: Lock,
}

impl RunWriter {
    /// Starts the run `<root>/<study>/<run>`; folders that are missing are made.
    ///
    /// # Errors
    /// [`Error::Name`] for a name that cannot be a folder, [`Error::Exists`] when the run is there
    /// already, [`Error::Busy`] when another process is starting it, [`Error::Io`] from the system.
    pub fn create(
        root: impl AsRef<Path>,
        study: &str,
        run: &str,
        info: &RunInfo,
    ) -> Result<Self, Error> {
        validate_name("study", study)?;
        validate_name("run", run)?;
        let folder = root.as_ref().join(study).join(run);
        let exists = || Error::Exists {
            path: folder.clone(),
        };
        let document_path = folder.join(DOCUMENT);
        if document_path.exists() {
            return Err(exists());
        }
        let checkpoints = folder.join(CHECKPOINTS);
        fs::create_dir_all(&checkpoints).map_err(Error::io("create", &checkpoints))?;
        let lock = Lock::take(&folder)?;
        let metrics = folder.join(METRICS);
        // The document is written last, so a folder without it is what a writer killed while
        // creating left, and is taken over; unless it has records, which nobody may lose.
        let has_records = fs::metadata(&metrics).is_ok_and(|m| m.len() > 0);
        if has_records || document_path.exists() {
            return Err(exists());
        }
        let metrics = LineWriter::open(metrics)?;
        let events = LineWriter::open(folder.join(EVENTS))?;
        let document = RunDocument::new(info);
        document.write(&document_path)?;
        Ok(Self {
            folder,
            document,
            metrics,
            events,
            last: None,
            _lock: lock,
        })
    }

    /// Goes on with the run in `path` after its checkpoint of step `from_step`.
    ///
    /// Metrics and events of later steps and a torn last line are dropped, and a
    /// [`EventKind::Resumed`] event says how many. `run.json` keeps the revision and the versions
    /// that the run began with; the event has those of `info` where they differ. Record a step's metrics before its checkpoint:
    /// what is recorded for that step afterwards would be missing had the process died in between.
    ///
    /// # Errors
    /// [`Error::NotARun`], [`Error::Busy`] when it is being written, [`Error::Document`],
    /// [`Error::Format`] or [`Error::Line`] for damaged files (nothing is dropped then), and
    /// [`Error::Io`].
    pub fn resume(path: impl AsRef<Path>, from_step: u64, info: &RunInfo) -> Result<Self, Error> {
        Self::reopen(path.as_ref(), Some(from_step), info)
    }

    /// Goes on with the run in `path` from the very beginning, for a run without a checkpoint, or with
    /// no other than that before its first step, which must be written again: all its metrics and
    /// events are dropped. `info` is as for [`RunWriter::resume`].
    ///
    /// # Errors
    /// As [`RunWriter::resume`].
    pub fn restart(path: impl AsRef<Path>, info: &RunInfo) -> Result<Self, Error> {
        Self::reopen(path.as_ref(), None, info)
    }

    fn reopen(path: &Path, until: Option<u64>, info: &RunInfo) -> Result<Self, Error> {
        let folder = folder_of_run(path)?;
        let lock = Lock::take(&folder)?;
        let document_path = folder.join(DOCUMENT);
        let mut document = RunDocument::read(&document_path)?;
        let (metrics, events) = (folder.join(METRICS), folder.join(EVENTS));
        // Both files are checked before either is changed.
        check::<Event>(&events)?;
        let kept_metrics = keep::<Metric>(&metrics, until)?;
        let kept_events = keep::<Event>(&events, until)?;
        document.set_status(RunStatus::Running);
        document.write(&document_path)?;
        let mut writer = Self {
            metrics: LineWriter::open(metrics)?,
            events: LineWriter::open(events)?,
            last: kept_metrics.last,
            folder,
            document,
            _lock: lock,
        };
        let mut payload = json!({ "metrics_dropped": kept_metrics.dropped, "events_dropped": kept_events.dropped });
        let began = &writer.document.info;
        if info.git_revision != began.git_revision {
            payload["git_revision"] = json!(info.git_revision);
        }
        if info.versions != began.versions {
            payload["versions"] = json!(info.versions);
        }
        writer.event(EventKind::Resumed, until.unwrap_or(0), payload)?;
        Ok(writer)
    }

    /// The run folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The content of `run.json`.
    pub fn document(&self) -> &RunDocument {
        &self.document
    }

    /// The last metric record of the run; after a resumption the last one kept, whose
    /// `wall_seconds` the caller's clock goes on from.
    pub fn last_metric(&self) -> Option<&Metric> {
        self.last.as_ref()
    }

    /// Appends values measured after `step` optimiser steps, in `epoch` (from 0), `wall_seconds`
    /// into the training. Several records of one step are fine. Costs one system call.
    ///
    /// # Errors
    /// [`Error::Argument`] for a step before the last recorded one or a name given twice, and
    /// [`Error::Io`]; the file is unchanged then.
    pub fn metric(
        &mut self,
        step: u64,
        epoch: u64,
        wall_seconds: f64,
        values: &[(&str, f64)],
    ) -> Result<(), Error> {
        if let Some(last) = self.last.as_ref().filter(|last| step < last.step) {
            return Err(Error::Argument {
                argument: "step",
                got: step.to_string(),
                expected: format!("at least {}, the last recorded step", last.step),
            });
        }
        let mut by_name = BTreeMap::new();
        for (name, value) in values {
            if by_name.insert((*name).to_owned(), Number(*value)).is_some() {
                return Err(Error::Argument {
                    argument: "values",
                    got: format!("two values named {name:?}"),
                    expected: "one value a name".to_owned(),
                });
            }
        }
        let record = Metric {
            step,
            epoch,
            wall_seconds: Number(wall_seconds),
            values: by_name,
        };
        self.metrics.append(&record)?;
        self.last = Some(record);
        Ok(())
    }

    /// Appends an event. `payload` is any JSON: a string, or what `serde_json::json!` makes.
    ///
    /// # Errors
    /// [`Error::Io`]; the file is unchanged then.
    pub fn event(
        &mut self,
        kind: EventKind,
        step: u64,
        payload: impl Into<Value>,
    ) -> Result<(), Error> {
        self.events.append(&Event {
            kind,
            step,
            payload: payload.into(),
        })
    }

    /// Writes `content` as the checkpoint of `step`, whole or not at all, then records the event
    /// that makes it count. Metrics recorded so far survive a power cut from here on.
    ///
    /// Returns the file's path. Costs a few disk synchronisations: call it per epoch, not per step.
    ///
    /// # Errors
    /// [`Error::Io`]; the checkpoint does not count then, and the one before it still does.
    pub fn checkpoint(&mut self, step: u64, content: &[u8]) -> Result<PathBuf, Error> {
        self.metrics.sync()?;
        let file = checkpoint_file(step);
        let path = self.folder.join(&file);
        files::replace(&path, content)?;
        self.event(EventKind::Checkpoint, step, json!({ "file": file }))?;
        self.events.sync()?;
        Ok(path)
    }

    /// Changes the status in `run.json`; any but [`RunStatus::Running`] also sets the end time.
    ///
    /// # Errors
    /// [`Error::Io`]; `run.json` is as it was then.
    pub fn set_status(&mut self, status: RunStatus) -> Result<(), Error> {
        let mut document = self.document.clone();
        document.set_status(status);
        document.write(&self.folder.join(DOCUMENT))?;
        self.document = document;
        Ok(())
    }

    /// Ends the run as planned and lets go of it.
    ///
    /// # Errors
    /// [`Error::Io`]; the run then still says [`RunStatus::Running`].
    pub fn finish(mut self) -> Result<(), Error> {
        self.metrics.sync()?;
        self.events.sync()?;
        self.set_status(RunStatus::Finished)
    }
}
