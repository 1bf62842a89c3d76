//! Files that are replaced whole or not at all.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::Error;

/// Replaces `path` by `content` so that a reader, or a crash at any moment, sees the old content or
/// the new and never a mixture.
///
/// The temporary file lies beside it under a fixed name, so that what a killed writer left is
/// overwritten: other writers of the same path must be kept away, as a run's lock does.
///
/// # Errors
/// [`Error::Io`], if `path` has no file's name too. The old content stays, unless the last step alone
/// failed, which makes the new one outlast a power cut.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let Some(name) = path.file_name() else {
        return Err(Error::io("replace", path)(ErrorKind::InvalidInput.into()));
    };
    let mut name = name.to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let mut file = File::create(&temporary).map_err(Error::io("create", &temporary))?;
    file.write_all(content)
        .map_err(Error::io("write", &temporary))?;
    // Without this a power cut after the rename can leave the new name on an empty file.
    file.sync_all().map_err(Error::io("write", &temporary))?;
    fs::rename(&temporary, path).map_err(Error::io("replace", path))?;
    sync_folder(path)
}

/// Makes the rename itself durable. Only Unix can open a folder for that.
#[cfg(unix)]
fn sync_folder(path: &Path) -> Result<(), Error> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(Error::io("write", folder))
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> Result<(), Error> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_is_replaced_and_no_temporary_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        replace(&path, b"a longer first content").unwrap();
        fs::write(
            folder.path().join("run.json.tmp"),
            "what a killed writer left, longer than the content",
        )
        .unwrap();
        replace(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_names_the_path_and_leaves_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        fs::write(&path, "old").unwrap();
        fs::create_dir(folder.path().join("run.json.tmp")).unwrap();
        let error = replace(&path, b"new").unwrap_err().to_string();
        assert!(error.contains("run.json.tmp"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let error = replace(&folder.path().join(".."), b"new").unwrap_err();
        assert!(error.to_string().contains(".."), "{error}");
        assert!(!folder.path().join(".tmp").exists());
    }
}
