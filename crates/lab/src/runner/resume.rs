//! Beginning a run, or going on with one that was stopped.

use std::path::Path;

use feasible_record::{Event, EventKind, RunInfo, RunReader, RunWriter};
use serde_json::json;

use crate::checkpoint::{Checkpoint, CheckpointFault};
use crate::config::RunConfig;
use crate::task::References;
use crate::trainer::Trainer;
use crate::{Error, Task};

/// A run ready to go on.
pub(super) struct Opened<'a> {
    pub(super) trainer: Trainer<'a>,
    pub(super) writer: RunWriter,
    /// In words, the damaged checkpoints that were passed over.
    pub(super) faults: Vec<String>,
}

/// A new run, or an old one at its last checkpoint; at the one before where that is damaged. A run
/// that has recorded a checkpoint never starts over.
pub(super) fn open<'a>(
    runs: &Path,
    config: &'a RunConfig,
    info: &RunInfo,
    task: &'a Task,
    references: &'a References,
) -> Result<Opened<'a>, Error> {
    let new = Trainer::new(config, task, references)?;
    let name = config.run_name();
    let folder = runs.join(&config.study).join(&name);
    if !folder.join("run.json").exists() {
        return Ok(Opened {
            trainer: new,
            writer: RunWriter::create(runs, &config.study, &name, info)?,
            faults: Vec::new(),
        });
    }
    let reader = RunReader::open(&folder)?;
    let mut faults = Vec::new();
    for found in reader.checkpoints()?.into_iter().rev() {
        let checkpoint = match Checkpoint::read(&found.path) {
            Ok(checkpoint) => checkpoint,
            Err(
                error @ Error::Checkpoint {
                    fault: CheckpointFault::Damaged(_),
                    ..
                },
            ) => {
                faults.push(error.to_string());
                continue;
            }
            Err(error) => return Err(error),
        };
        let restored = new.restore(&checkpoint);
        let trainer = restored.map_err(|fault| Error::Checkpoint {
            path: found.path,
            fault,
        })?;
        let mut writer = match trainer.steps() {
            // All that is recorded of step 0, its checkpoint included, is recorded again.
            0 => RunWriter::restart(&folder, info)?,
            steps => RunWriter::resume(&folder, steps, info)?,
        };
        for fault in &faults {
            let payload = json!({ "unusable_checkpoint": fault });
            writer.event(EventKind::Warning, trainer.steps(), payload)?;
        }
        return Ok(Opened {
            trainer,
            writer,
            faults,
        });
    }
    let recorded = reader
        .events()?
        .collect::<Result<Vec<Event>, _>>()?
        .iter()
        .filter(|event| event.kind == EventKind::Checkpoint)
        .count();
    if recorded > 0 {
        if faults.is_empty() {
            faults.push(format!(
                "it has recorded {recorded} checkpoints, and none of their files is there"
            ));
        }
        return Err(Error::NoCheckpoint {
            path: folder,
            reasons: faults,
        });
    }
    Ok(Opened {
        trainer: new,
        writer: RunWriter::restart(&folder, info)?,
        faults,
    })
}
