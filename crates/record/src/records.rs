//! The two kinds of line: a metric record and an event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Number;

/// One line of `metrics.jsonl`: values measured at one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Optimiser steps taken when the values were measured.
    pub step: u64,
    /// Epoch, counted from 0.
    pub epoch: u64,
    /// Seconds of training so far, across resumptions if the caller carries the clock over.
    pub wall_seconds: Number,
    /// Values by name.
    pub values: BTreeMap<String, Number>,
}

impl Metric {
    /// The value of this name; `None` when this record does not have it.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.values.get(name).map(|number| number.0)
    }
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// Something a reader of the run should know.
    Note,
    /// Something that may make the run's numbers doubtful.
    Warning,
    /// A checkpoint was written; the payload has its `file` relative to the run folder.
    Checkpoint,
    /// The run was resumed; the payload says how many lines were dropped, and has the revision and
    /// the versions that went on where they are not those of `run.json`.
    Resumed,
    /// A loss landscape was written.
    Landscape,
    /// A spectrum was written.
    Spectrum,
    /// A kind that a newer version wrote.
    #[serde(other)]
    Unknown,
}

/// One line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What it is about.
    pub kind: EventKind,
    /// Optimiser steps taken when it happened.
    pub step: u64,
    /// Details; any JSON. Wrap an `f64` that may be NaN or infinite in [`Number`].
    pub payload: Value,
}

/// What the two kinds of line have in common.
pub(crate) trait Stepped {
    fn step(&self) -> u64;
}

impl Stepped for Metric {
    fn step(&self) -> u64 {
        self.step
    }
}

impl Stepped for Event {
    fn step(&self) -> u64 {
        self.step
    }
}
