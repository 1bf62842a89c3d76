//! The run folder: what a training run leaves on disk, and how it is read again.
//!
//! ```text
//! runs/<study>/<run>/run.json                  config, revision, versions, device, dtype, seed, start, end, status
//!                    metrics.jsonl             one object a line: step, epoch, wall seconds, values by name
//!                    events.jsonl              one object a line: notes, warnings, checkpoints, ...
//!                    checkpoints/*.safetensors
//! ```
//!
//! The promises, and where they are kept:
//!
//! - A number is read back bit for bit; NaN and the infinities are the strings `"NaN"`,
//!   `"Infinity"` and `"-Infinity"` ([`Number`]).
//! - A line is written whole, so a killed run leaves at most one torn line, the last. Readers skip
//!   it; a bad line anywhere else is an error with its file and number ([`Records`]).
//! - `run.json` and checkpoints are replaced whole or not at all.
//! - A run has one writer at a time, and the guard goes with the process, however it ends.
//! - [`RunWriter::resume`] drops what came after the checkpoint, so that no step is lost or doubled.
//!
//! ```
//! use feasible_record::{EventKind, Metric, RunInfo, RunReader, RunWriter};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let temporary = tempfile::tempdir()?;
//! # let root = temporary.path();
//! let info = RunInfo { device: "cpu".into(), dtype: "f64".into(), seed: 7, ..RunInfo::default() };
//! let mut writer = RunWriter::create(root, "quickstart", "snarenet-7", &info)?;
//! writer.metric(1, 0, 0.02, &[("loss", 0.5), ("gap", f64::NAN)])?;
//! writer.event(EventKind::Note, 1, "the gap needs a reference optimum")?;
//! writer.finish()?;
//!
//! let reader = RunReader::open(root.join("quickstart").join("snarenet-7"))?;
//! let metrics = reader.metrics()?.collect::<Result<Vec<Metric>, _>>()?;
//! assert_eq!(metrics[0].value("loss"), Some(0.5));
//! assert!(metrics[0].value("gap").is_some_and(f64::is_nan));
//! # Ok(()) }
//! ```

mod document;
mod error;
mod files;
mod lines;
mod listing;
mod lock;
mod name;
mod number;
mod reader;
mod records;
pub mod summary;
mod writer;

pub use document::{FORMAT, RunDocument, RunInfo, RunStatus, Timestamp};
pub use error::Error;
pub use files::replace as replace_file;
pub use lines::Records;
pub use listing::{RunList, is_study, list_runs, list_study};
pub use name::validate_name;
pub use number::Number;
pub use reader::{Checkpoint, RunReader};
pub use records::{Event, EventKind, Metric};
pub use writer::RunWriter;
