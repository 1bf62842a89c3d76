//! All runs below a folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::writer::DOCUMENT;
use crate::{Error, RunReader};

/// What [`list_runs`] found.
#[derive(Debug, Default)]
pub struct RunList {
    /// The readable runs, by study and then by run name.
    pub runs: Vec<RunReader>,
    /// One error for each folder that should be a run and cannot be read, so that a table can say
    /// what it leaves out.
    pub problems: Vec<Error>,
}

/// Finds the runs `<root>/<study>/<run>`.
///
/// Plain files, links and names that start with a dot are passed over.
///
/// # Errors
/// [`Error::Io`] when `root` or a study's folder cannot be read. A bad run is not an error; it goes
/// to [`RunList::problems`].
pub fn list_runs(root: impl AsRef<Path>) -> Result<RunList, Error> {
    let mut list = RunList::default();
    for study in folders(root.as_ref())? {
        list.add_study(&study)?;
    }
    Ok(list)
}

/// Finds the runs `<study>/<run>` of one study's folder, as [`list_runs`] does.
///
/// # Errors
/// As [`list_runs`].
pub fn list_study(study: impl AsRef<Path>) -> Result<RunList, Error> {
    let mut list = RunList::default();
    list.add_study(study.as_ref())?;
    Ok(list)
}

/// Whether a folder is a study's: a visible folder in it has a `run.json`.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be read.
pub fn is_study(folder: impl AsRef<Path>) -> Result<bool, Error> {
    let runs = folders(folder.as_ref())?;
    Ok(runs.iter().any(|run| run.join(DOCUMENT).is_file()))
}

impl RunList {
    fn add_study(&mut self, study: &Path) -> Result<(), Error> {
        for run in folders(study)? {
            match RunReader::open(&run) {
                Ok(reader) => self.runs.push(reader),
                Err(problem) => self.problems.push(problem),
            }
        }
        Ok(())
    }
}

/// The visible folders in a folder, sorted by name.
fn folders(parent: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(parent).map_err(Error::io("read", parent))? {
        let entry = entry.map_err(Error::io("read", parent))?;
        // The type of a link is not followed, which keeps the listing below `root`.
        let is_folder = entry
            .file_type()
            .map_err(Error::io("read", &entry.path()))?
            .is_dir();
        if is_folder && !entry.file_name().as_encoded_bytes().starts_with(b".") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
