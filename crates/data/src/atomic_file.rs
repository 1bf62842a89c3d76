//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells apart two files that one process writes to the same place at the same time.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// Writes a file beside `path` and renames it to `path` once it is complete, so that a reader, or a run that
/// was killed, never meets half a file. Nothing is left behind on failure.
pub(crate) fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let beside = temporary_name(path)?;
    let write = || {
        let mut writer = BufWriter::new(File::create(&beside)?);
        fill(&mut writer)?;
        writer.flush()?;
        writer.get_ref().sync_all()?;
        fs::rename(&beside, path)
    };
    write().inspect_err(|_| {
        // Whatever went wrong first is what the caller needs to know.
        let _ = fs::remove_file(&beside);
    })
}

/// Whether a file can be written to `path`, told by making one beside it and taking it away.
pub(crate) fn check_writable(path: &Path) -> io::Result<()> {
    let beside = temporary_name(path)?;
    File::create(&beside)?;
    fs::remove_file(&beside)
}

fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
    let mut beside = name.to_os_string();
    let write = WRITES.fetch_add(1, Ordering::Relaxed);
    beside.push(format!(".{}-{write}.part", std::process::id()));
    Ok(path.with_file_name(beside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_checked_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept");
        check_writable(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(check_writable(&folder.path().join("missing/kept")).is_err());
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept");
        write_atomically(&path, |w| w.write_all(b"old")).unwrap();
        let failed = write_atomically(&path, |w| {
            w.write_all(b"half")?;
            Err(io::Error::other("killed"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write_atomically(&path, |w| w.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
