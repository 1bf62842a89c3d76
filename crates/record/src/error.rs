use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error as ThisError;

/// What stopped the reading or writing of a run folder. Each message names the path and what to do.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// A study or run name that cannot be a folder name.
    #[error("{role} name {name:?} {reason}; use 1 to 120 characters of A-Z a-z 0-9 . _ -")]
    Name {
        /// `study` or `run`.
        role: &'static str,
        /// The name, shortened when it is long.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The operating system refused.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// [`RunWriter::create`](crate::RunWriter::create) found a run of this name.
    #[error("run {} exists already; resume it, choose another name, or delete the folder", path.display())]
    Exists {
        /// The run folder.
        path: PathBuf,
    },
    /// Another writer holds the run.
    #[error("run {} is being written by another process or writer; wait for it or stop it", path.display())]
    Busy {
        /// The run folder.
        path: PathBuf,
    },
    /// The folder has no run in it.
    #[error("{} is not a run folder: {reason}", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// What is missing or wrong, and what to do.
        reason: &'static str,
    },
    /// `run.json` cannot be understood.
    #[error("{} is damaged: {reason}; restore it from a copy or delete the run's folder", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// `run.json` has another format number than this library's.
    #[error("{} has format {found}, this program reads format {expected}; use the program version that wrote the run", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format number found.
        found: u64,
        /// The format number this library reads and writes.
        expected: u64,
    },
    /// A complete line that is not a record.
    #[error("{}, line {line} is damaged: {reason}; restore the file from a copy, or delete that line to go without it", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// An argument that no record can hold.
    #[error("`{argument}` is {got}, must be {expected}")]
    Argument {
        /// The argument's name.
        argument: &'static str,
        /// What it was.
        got: String,
        /// What it must be.
        expected: String,
    },
    /// An earlier write left a torn line that could not be taken back.
    #[error("{} ends in a torn line after a failed write; resume the run from its last checkpoint", path.display())]
    Torn {
        /// The file.
        path: PathBuf,
    },
}

impl Error {
    /// For `map_err`: the path and the verb beside what the operating system said.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
