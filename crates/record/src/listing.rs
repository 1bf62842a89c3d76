//! All runs below a folder.

use std::fs;
use std::path::{Path, PathBuf};

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
        for run in folders(&study)? {
            match RunReader::open(&run) {
                Ok(reader) => list.runs.push(reader),
                Err(problem) => list.problems.push(problem),
            }
        }
    }
    Ok(list)
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
