//! Optima kept on disk, so that a study solves the published labels once.

use crate::atomic_file::write_atomically;
use crate::local_solver::{Optimum, OptimumStatus, check_samples, optima};
use crate::npz::Archive;
use crate::recipes::{Error, Instance};
use npyz::WriterBuilder;
use npyz::npz::NpzWriter;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Goes up when the file's arrays or the optima themselves would come out differently.
const VERSION: u32 = 1;

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
    /// They were solved for but could not be written, for this reason.
    NotKept(String),
}

/// The optima of [`optima`](crate::optima), read from the `cache` folder where an earlier call left them.
///
/// The file's name holds the version, recipe, size, seed and range; the file holds a fingerprint of the
/// instance's numbers, so that a hand-made instance of the same name is told apart. A file that is torn, of
/// another version or of another instance is solved for again and replaced. The folder is made where missing;
/// without one every call solves.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be made; whatever [`optima`](crate::optima) returns.
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
    let wrong = match read(&file, fingerprint, samples.len(), instance.size.n) {
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
    let optima = optima(instance, samples, progress)?;
    let kept = write_atomically(&file, |writer| {
        write(writer, fingerprint, instance.size.n, &optima)
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
    let size = &instance.size;
    format!(
        "optima-v{VERSION}-{}-n{}-eq{}-ineq{}-samples{}-seed{}-{}-{}.npz",
        instance.recipe,
        size.n,
        size.eq,
        size.ineq,
        size.samples,
        instance.seed,
        samples.start,
        samples.end
    )
}

/// FNV-1a (Fowler, Noll & Vo; 64 bits) taken over the words of every array: changes with any bit of any entry.
fn fingerprint(instance: &Instance) -> u64 {
    let arrays = [
        &instance.q,
        &instance.p,
        &instance.equality,
        &instance.x,
        &instance.ineq,
        &instance.upper,
    ];
    arrays
        .into_iter()
        .chain(&instance.ineq_diagonals)
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325, |hash, v| {
            (hash ^ v.to_bits()).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

/// Codes of the statuses in the file.
const STATUSES: [OptimumStatus; 4] = [
    OptimumStatus::Optimal,
    OptimumStatus::Infeasible,
    OptimumStatus::Unbounded,
    OptimumStatus::Unconverged,
];

fn write(
    file: &mut BufWriter<File>,
    fingerprint: u64,
    n: usize,
    optima: &[Optimum],
) -> io::Result<()> {
    let mut npz = NpzWriter::new(file);
    array(&mut npz, "version", &[], [VERSION])?;
    array(&mut npz, "fingerprint", &[], [fingerprint])?;
    let count = optima.len();
    let points = optima.iter().flat_map(|o| o.y.iter().copied());
    array(&mut npz, "y", &[count, n], points)?;
    array(
        &mut npz,
        "objective",
        &[count],
        optima.iter().map(|o| o.objective),
    )?;
    array(
        &mut npz,
        "kkt_residual",
        &[count],
        optima.iter().map(|o| o.kkt_residual),
    )?;
    let code = |o: &Optimum| STATUSES.iter().position(|s| *s == o.status).unwrap_or(0) as u8;
    array(&mut npz, "status", &[count], optima.iter().map(code))?;
    npz.zip_writer().finish()?;
    Ok(())
}

fn array<T: npyz::AutoSerialize>(
    npz: &mut NpzWriter<&mut BufWriter<File>>,
    name: &str,
    shape: &[usize],
    values: impl IntoIterator<Item = T>,
) -> io::Result<()> {
    let shape: Vec<u64> = shape.iter().map(|&d| d as u64).collect();
    let mut writer = npz
        .array::<T>(name, Default::default())?
        .default_dtype()
        .shape(&shape)
        .begin_nd()?;
    writer.extend(values)?;
    writer.finish()
}

fn read(file: &Path, fingerprint: u64, count: usize, n: usize) -> Result<Vec<Optimum>, Error> {
    let mut archive = Archive::open(file)?;
    let version: u32 = archive.scalar("version")?;
    if version != VERSION {
        return Err(archive.problem(format!("version {version}, must be {VERSION}")));
    }
    if archive.scalar::<u64>("fingerprint")? != fingerprint {
        return Err(archive.problem("optima of another instance".into()));
    }
    let y: Vec<f64> = archive.array("y", &[count, n])?;
    let objective: Vec<f64> = archive.array("objective", &[count])?;
    let kkt_residual: Vec<f64> = archive.array("kkt_residual", &[count])?;
    let codes: Vec<u8> = archive.array("status", &[count])?;
    y.chunks_exact(n)
        .zip(objective)
        .zip(kkt_residual)
        .zip(codes)
        .map(|(((y, objective), kkt_residual), code)| {
            let status = STATUSES
                .get(usize::from(code))
                .ok_or_else(|| archive.problem(format!("status {code} is not known")))?;
            Ok(Optimum {
                y: y.to_vec(),
                objective,
                status: *status,
                kkt_residual,
            })
        })
        .collect()
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
        let mut other = instance.clone();
        other.p[0] += 1e-15;
        let again = cached(folder.path(), &other);
        assert!(
            matches!(again.origin, Origin::Replaced(ref why) if why.contains("another instance"))
        );
        assert_eq!(cached(folder.path(), &other).origin, Origin::Read);
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
