//! Optima kept on disk, so that a study solves the published labels once.

mod file;

use crate::atomic_file::{check_writable, write_atomically};
use crate::local_solver::{Optimum, check_samples, optima};
use crate::recipes::{Error, Instance};
use file::{VERSION, read, write};
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Optima with where they come from. Iterates over the optima.
#[derive(Clone, Debug)]
pub struct CachedOptima {
    /// One per sample, in order.
    pub optima: Vec<Optimum>,
    /// Whether they were read or solved for.
    pub origin: Origin,
    /// The file that holds them, if any does.
    pub file: Option<PathBuf>,
}

impl IntoIterator for CachedOptima {
    type Item = Optimum;
    type IntoIter = std::vec::IntoIter<Optimum>;

    fn into_iter(self) -> Self::IntoIter {
        self.optima.into_iter()
    }
}

/// Where optima come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The file had them.
    Read,
    /// No file had them. They are kept now, where a folder was given.
    Solved,
    /// There was a file that is not these optima, for this reason; it was replaced.
    Replaced(String),
    /// They were solved for, and then writing them failed for this reason: a full disk, for one.
    NotKept(String),
}

/// The optima of [`optima`](crate::optima), read from the `cache` folder where an earlier call left them.
///
/// The file's name holds the version, recipe, size, seed and range; the file holds a fingerprint of the
/// instance's numbers, so that a hand-made instance of the same name is told apart. A file that is torn, of
/// another version or of another instance is solved for again and replaced. The folder is made where missing;
/// without one every call solves.
///
/// A folder that takes no files is an error before anything is solved. Solved optima are never lost to the
/// cache: where writing fails only then, they are returned as [`Origin::NotKept`]. Reading needs no permission to
/// write.
///
/// # Errors
/// [`Error::Io`] with the folder or file that cannot be made; whatever [`optima`](crate::optima) returns.
///
/// # Cost
/// Reading 833 published optima takes 15 ms, against seconds to solve for them.
pub fn optima_cached(
    instance: &Instance,
    samples: Range<usize>,
    cache: Option<&Path>,
    progress: &mut dyn FnMut(usize),
) -> Result<CachedOptima, Error> {
    let Some(folder) = cache else {
        return Ok(CachedOptima {
            optima: optima(instance, samples, progress)?,
            origin: Origin::Solved,
            file: None,
        });
    };
    check_samples(instance, &samples)?;
    fs::create_dir_all(folder).map_err(|source| Error::Io {
        path: folder.to_owned(),
        source,
    })?;
    let file = folder.join(file_name(instance, &samples));
    let fingerprint = fingerprint(instance);
    let wrong = match read(&file, fingerprint, samples.len(), instance.size().n) {
        Ok(optima) => {
            progress(optima.len());
            return Ok(CachedOptima {
                optima,
                origin: Origin::Read,
                file: Some(file),
            });
        }
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(error.to_string()),
    };
    check_writable(&file).map_err(|source| Error::Io {
        path: file.clone(),
        source,
    })?;
    let optima = optima(instance, samples, progress)?;
    let kept = write_atomically(&file, |writer| {
        write(writer, fingerprint, instance.size().n, &optima)
    });
    let (origin, file) = match (kept, wrong) {
        (Err(error), _) => (Origin::NotKept(error.to_string()), None),
        (Ok(()), Some(reason)) => (Origin::Replaced(reason), Some(file)),
        (Ok(()), None) => (Origin::Solved, Some(file)),
    };
    Ok(CachedOptima {
        optima,
        origin,
        file,
    })
}

fn file_name(instance: &Instance, samples: &Range<usize>) -> String {
    let size = instance.size();
    format!(
        "optima-v{VERSION}-{}-n{}-eq{}-ineq{}-samples{}-seed{}-{}-{}.npz",
        instance.recipe(),
        size.n,
        size.eq,
        size.ineq,
        size.samples,
        instance.seed(),
        samples.start,
        samples.end
    )
}

/// FNV-1a (Fowler, Noll & Vo; 64 bits) taken over the words of every array: changes with any bit of any entry.
fn fingerprint(instance: &Instance) -> u64 {
    let parts = instance.parts();
    let arrays = [
        &parts.q,
        &parts.p,
        &parts.equality,
        &parts.x,
        &parts.ineq,
        &parts.upper,
    ];
    arrays
        .into_iter()
        .chain(&parts.ineq_diagonals)
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325, |hash, v| {
            (hash ^ v.to_bits()).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipes::{Recipe, Size, generate};

    const SMALL: Size = Size {
        n: 6,
        eq: 2,
        ineq: 3,
        samples: 8,
    };

    fn cached(folder: &Path, instance: &Instance) -> CachedOptima {
        optima_cached(instance, 2..7, Some(folder), &mut |_| {}).unwrap()
    }

    #[test]
    fn the_second_call_reads_what_the_first_solved() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("new/folder");
        for recipe in [Recipe::Dc3Simple, Recipe::SnareNoncvx] {
            let instance = generate(recipe, &SMALL, 4).unwrap();
            let first = cached(&below, &instance);
            assert_eq!(first.origin, Origin::Solved);
            assert_eq!(first.optima.len(), 5);
            let second = cached(&below, &instance);
            assert_eq!(second.origin, Origin::Read);
            assert_eq!(second.optima, first.optima);
        }
        assert_eq!(fs::read_dir(&below).unwrap().count(), 2);
    }

    #[test]
    fn torn_and_foreign_files_are_replaced_and_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let instance = generate(Recipe::Dc3Simple, &SMALL, 4).unwrap();
        let first = cached(folder.path(), &instance);
        let file = first.file.unwrap();
        let whole = fs::read(&file).unwrap();
        for end in [0, 10, whole.len() / 2, whole.len() - 1] {
            fs::write(&file, &whole[..end]).unwrap();
            let again = cached(folder.path(), &instance);
            assert!(matches!(again.origin, Origin::Replaced(ref why) if why.contains("npz")));
            assert_eq!(again.optima, first.optima);
        }
        let mut parts = instance.parts().clone();
        parts.p[0] += 1e-15;
        let other = Instance::new(instance.recipe(), SMALL, instance.seed(), parts).unwrap();
        let again = cached(folder.path(), &other);
        assert!(
            matches!(again.origin, Origin::Replaced(ref why) if why.contains("another instance"))
        );
        assert_eq!(cached(folder.path(), &other).origin, Origin::Read);
    }

    #[test]
    fn optima_that_cannot_be_kept_are_returned_and_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let instance = generate(Recipe::Dc3Simple, &SMALL, 4).unwrap();
        // A folder where the file should be lets files be made beside it, but not be renamed to it.
        let place = folder.path().join(file_name(&instance, &(2..7)));
        fs::create_dir(&place).unwrap();
        let found = cached(folder.path(), &instance);
        assert!(matches!(found.origin, Origin::NotKept(_)));
        assert_eq!((found.file, found.optima.len()), (None, 5));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// `/proc` takes no files, not even from the superuser, whom permissions do not stop.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_takes_no_files_is_an_error_before_anything_is_solved() {
        let instance = generate(Recipe::Dc3Simple, &SMALL, 4).unwrap();
        let mut told = 0;
        let result = optima_cached(&instance, 2..7, Some(Path::new("/proc/self")), &mut |_| {
            told += 1;
        });
        match result {
            Err(Error::Io { path, .. }) => assert!(path.starts_with("/proc/self"), "{path:?}"),
            other => panic!("expected an error, got {other:?}"),
        }
        assert_eq!(told, 0);
    }

    #[test]
    fn nothing_is_kept_without_a_folder() {
        let instance = generate(Recipe::Dc3Simple, &SMALL, 4).unwrap();
        let found = optima_cached(&instance, 2..7, None, &mut |_| {}).unwrap();
        assert_eq!(
            (found.origin.clone(), found.file.clone()),
            (Origin::Solved, None)
        );
        assert_eq!(found.into_iter().count(), 5);
    }

    #[test]
    fn samples_outside_are_refused_before_a_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let instance = generate(Recipe::Dc3Simple, &SMALL, 4).unwrap();
        let result = optima_cached(&instance, 0..9, Some(folder.path()), &mut |_| {});
        assert!(matches!(
            result,
            Err(Error::Samples {
                end: 9,
                samples: 8,
                ..
            })
        ));
    }

    #[test]
    fn a_folder_that_is_a_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, b"").unwrap();
        let instance = generate(Recipe::Dc3Simple, &SMALL, 4).unwrap();
        let result = optima_cached(&instance, 0..1, Some(&path), &mut |_| {});
        assert!(matches!(result, Err(Error::Io { .. })));
    }
}
