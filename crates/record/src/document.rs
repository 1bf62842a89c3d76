//! `run.json`: what was run, where, and how it ended.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, files};

/// The format number written to `run.json`. It changes when an older reader would misread a run.
pub const FORMAT: u64 = 1;

/// What is known before a run starts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunInfo {
    /// The whole configuration; any JSON. Wrap an `f64` that may be NaN or infinite in
    /// [`Number`](crate::Number), or it becomes `null`.
    pub config: Value,
    /// Revision of the source, when known.
    pub git_revision: Option<String>,
    /// Versions of programs and libraries by name.
    pub versions: BTreeMap<String, String>,
    /// The device in words.
    pub device: String,
    /// The floating-point type in words.
    pub dtype: String,
    /// The seed of the run's random numbers.
    pub seed: u64,
}

/// Milliseconds since 1970-01-01 00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The system clock now; 0 when that clock is before 1970.
    pub fn now() -> Self {
        let elapsed = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Where a run stands.
///
/// A run whose process was killed still says [`RunStatus::Running`];
/// [`RunReader::is_being_written`](crate::RunReader::is_being_written) tells the two apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunStatus {
    /// Started and not ended.
    Running,
    /// Ended as planned.
    Finished,
    /// Stopped by an error.
    Failed {
        /// The error's message.
        reason: String,
    },
    /// The loss or the parameters stopped being finite.
    Diverged {
        /// The first step at which they were not.
        step: u64,
    },
}

/// The content of `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunDocument {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u64,
    /// What was known before the run started.
    #[serde(flatten)]
    pub info: RunInfo,
    /// When the run was created.
    pub start: Timestamp,
    /// When it took its last status other than [`RunStatus::Running`].
    pub end: Option<Timestamp>,
    /// Where it stands.
    pub status: RunStatus,
}

impl RunDocument {
    pub(crate) fn new(info: &RunInfo) -> Self {
        Self {
            format: FORMAT,
            info: info.clone(),
            start: Timestamp::now(),
            end: None,
            status: RunStatus::Running,
        }
    }

    pub(crate) fn set_status(&mut self, status: RunStatus) {
        self.end = (status != RunStatus::Running).then(Timestamp::now);
        self.status = status;
    }

    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        let damaged = |reason: String| Error::Document {
            path: path.to_path_buf(),
            reason,
        };
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        // The number comes first: another format may lack every other field.
        let format = value.get("format").and_then(Value::as_u64);
        match format {
            None => Err(damaged("it has no `format` number".to_owned())),
            Some(found) if found != FORMAT => Err(Error::Format {
                path: path.to_path_buf(),
                found,
                expected: FORMAT,
            }),
            Some(_) => serde_json::from_value(value).map_err(|error| damaged(error.to_string())),
        }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(self).map_err(|error| Error::Argument {
            argument: "info",
            got: error.to_string(),
            expected: "convertible to JSON".to_owned(),
        })?;
        files::replace(path, &text)
    }
}
