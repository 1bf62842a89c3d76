//! One writer at a time.
//!
//! The guard is an advisory lock of the operating system on the file `lock`: it goes with the
//! process, also when that is killed, so there is no stale lock to clean up. The file itself stays;
//! removing it would let two writers lock two files of the same name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::Error;

const FILE: &str = "lock";
/// A reader's probe holds the lock for microseconds; half a second of patience outlasts any.
const ATTEMPTS: u32 = 25;
const PAUSE: Duration = Duration::from_millis(20);

/// The right to write a run; released when dropped and when the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the right to write the run in `folder`.
    pub(crate) fn take(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        for attempt in 1..=ATTEMPTS {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Busy {
                        path: folder.to_path_buf(),
                    });
                }
                // Some network file systems have no locks. Refusing to train there would be worse
                // than training unguarded.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    break;
                }
                Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
            }
        }
        Ok(Self { _file: file })
    }

    /// Whether a writer holds the run in `folder` at this moment.
    pub(crate) fn is_taken(folder: &Path) -> Result<bool, Error> {
        let path = folder.join(FILE);
        let file = match File::open(&path) {
            Ok(file) => file,
            // A copied run may come without its lock file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(false)
            }
            Err(TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_writer_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!Lock::is_taken(folder.path()).unwrap());
        let first = Lock::take(folder.path()).unwrap();
        assert!(Lock::is_taken(folder.path()).unwrap());
        assert!(matches!(Lock::take(folder.path()), Err(Error::Busy { .. })));
        drop(first);
        assert!(!Lock::is_taken(folder.path()).unwrap());
        Lock::take(folder.path()).unwrap();
    }

    #[test]
    fn probing_does_not_keep_a_writer_out() {
        let folder = tempfile::tempdir().unwrap();
        drop(Lock::take(folder.path()).unwrap());
        thread::scope(|scope| {
            scope.spawn(|| (0..2000).for_each(|_| drop(Lock::is_taken(folder.path()))));
            for _ in 0..50 {
                Lock::take(folder.path()).unwrap();
            }
        });
    }
}
