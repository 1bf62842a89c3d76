use std::path::PathBuf;

use thiserror::Error as ThisError;

use crate::checkpoint::CheckpointFault;

/// What stopped a study or one of its runs. A run that diverged is a status, not an error.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// A study file that is not TOML, or has an unknown key or a value of the wrong type.
    #[error("{file}{}: {message}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Syntax {
        /// The file, or `study` when the text came from elsewhere.
        file: String,
        /// The line, counted from 1, where it is known.
        line: Option<usize>,
        /// What is wrong, with the nearest known key where one was mistyped.
        message: String,
    },
    /// A key of a study with a value it cannot have.
    #[error("`{key}` is {got}, must be {expected}")]
    Value {
        /// The key, with the table it is in: `training.epochs`.
        key: String,
        /// Its value.
        got: String,
        /// What it must be.
        expected: String,
    },
    /// A device whose backend is not part of this build.
    #[error(
        "training.device = {device:?} needs the cargo feature `{device}`, which this build lacks; rebuild with `--features {device}` or choose another device"
    )]
    Backend {
        /// The device, which is also the feature's name.
        device: &'static str,
    },
    /// The study file cannot be read.
    #[error("could not read the study file {}: {source}", path.display())]
    StudyFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A run in the runs folder was made with other settings.
    #[error("run {} was made with other settings:\n  {}\nrename the study, use another runs folder, or put the old runs aside", path.display(), differences.join("\n  "))]
    Changed {
        /// The run folder.
        path: PathBuf,
        /// One line for each key that differs.
        differences: Vec<String>,
    },
    /// A checkpoint that cannot be used.
    #[error("checkpoint {} {fault}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: CheckpointFault,
    },
    /// A run has recorded checkpoints, and none of them can be used. Nothing of it was touched.
    #[error("run {} cannot go on, and its records are left as they are:\n  {}\nrestore a checkpoint from a copy, use another runs folder, or put the old runs aside", path.display(), reasons.join("\n  "))]
    NoCheckpoint {
        /// The run folder.
        path: PathBuf,
        /// One line for each checkpoint: its file and what is wrong with it.
        reasons: Vec<String>,
    },
    /// A file that cannot be read or written.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The network cannot be made.
    #[error(transparent)]
    Network(#[from] feasible_nn::MlpError),
    /// The problem's data cannot be made or solved.
    #[error(transparent)]
    Data(#[from] feasible_data::Error),
    /// Constraints or tensors that do not fit.
    #[error(transparent)]
    Core(#[from] feasible_core::Error),
    /// The repair layer refused its input.
    #[error(transparent)]
    Repair(#[from] feasible_repair::Error),
    /// The convex layer refused its input.
    #[error(transparent)]
    Convex(#[from] feasible_convex::Error),
    /// Training dynamics cannot be measured.
    #[error(transparent)]
    Dynamics(#[from] feasible_dynamics::Error),
    /// A landscape cannot be scanned or kept.
    #[error(transparent)]
    Landscape(#[from] feasible_landscape::Error),
    /// A spectrum cannot be sampled.
    #[error(transparent)]
    Spectrum(#[from] feasible_spectrum::Error),
    /// The run folder cannot be read or written.
    #[error(transparent)]
    Record(#[from] feasible_record::Error),
}

impl Error {
    /// A value error from its three parts.
    pub(crate) fn value(
        key: impl Into<String>,
        got: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Self::Value {
            key: key.into(),
            got: got.to_string(),
            expected: expected.into(),
        }
    }

    /// Whether the runs folder, and so every run in it, is to blame, not one run's training.
    pub(crate) fn is_of_the_folder(&self) -> bool {
        matches!(
            self,
            Self::Record(_) | Self::Io { .. } | Self::Checkpoint { .. } | Self::NoCheckpoint { .. }
        )
    }

    /// Whether the study or the command line is to blame, not the run. Errors of other crates that this
    /// one passes on are not among its causes, and so are looked at here.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Syntax { .. }
                | Self::Value { .. }
                | Self::Backend { .. }
                | Self::StudyFile { .. }
                | Self::Changed { .. }
                | Self::Network(_)
                | Self::Landscape(feasible_landscape::Error::Argument { .. })
                | Self::Dynamics(feasible_dynamics::Error::Landscape(
                    feasible_landscape::Error::Argument { .. }
                ))
                | Self::Data(feasible_data::Error::Size { .. })
                | Self::Record(feasible_record::Error::Name { .. })
        )
    }

    /// For `map_err`: the path and the verb beside what the system said.
    pub(crate) fn io(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
