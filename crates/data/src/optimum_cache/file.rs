//! The file that holds optima, an `.npz`.

use crate::local_solver::{Optimum, OptimumStatus};
use crate::npz::Archive;
use crate::recipes::Error;
use npyz::WriterBuilder;
use npyz::npz::NpzWriter;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

/// Goes up when the file's arrays or the optima themselves would come out differently.
pub(super) const VERSION: u32 = 1;

/// Code of a status in the file.
fn code(status: OptimumStatus) -> u8 {
    match status {
        OptimumStatus::Optimal => 0,
        OptimumStatus::Infeasible => 1,
        OptimumStatus::Unbounded => 2,
        OptimumStatus::Unconverged => 3,
    }
}

/// The status that has this [`code`].
fn status(code: u8) -> Option<OptimumStatus> {
    match code {
        0 => Some(OptimumStatus::Optimal),
        1 => Some(OptimumStatus::Infeasible),
        2 => Some(OptimumStatus::Unbounded),
        3 => Some(OptimumStatus::Unconverged),
        _ => None,
    }
}

/// Writes optima `[count]` of points `[n]`.
pub(super) fn write(
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
    array(
        &mut npz,
        "status",
        &[count],
        optima.iter().map(|o| code(o.status)),
    )?;
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

/// Reads the optima of the instance with this fingerprint.
pub(super) fn read(
    file: &Path,
    fingerprint: u64,
    count: usize,
    n: usize,
) -> Result<Vec<Optimum>, Error> {
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
            let status = status(code)
                .ok_or_else(|| archive.problem(format!("status {code} is not known")))?;
            Ok(Optimum {
                y: y.to_vec(),
                objective,
                status,
                kkt_residual,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atomic_file::write_atomically;

    #[test]
    fn every_status_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("optima.npz");
        let optima: Vec<Optimum> = [
            OptimumStatus::Optimal,
            OptimumStatus::Infeasible,
            OptimumStatus::Unbounded,
            OptimumStatus::Unconverged,
        ]
        .into_iter()
        .map(|status| Optimum {
            y: vec![1.5, -2.0],
            objective: 0.25,
            status,
            kkt_residual: 1e-9,
        })
        .collect();
        write_atomically(&file, |writer| write(writer, 7, 2, &optima)).unwrap();
        assert_eq!(read(&file, 7, 4, 2).unwrap(), optima);
        // The codes are those of files already written.
        let codes: Vec<u8> = optima.iter().map(|o| code(o.status)).collect();
        assert_eq!(codes, [0, 1, 2, 3]);
        assert_eq!(status(4), None);
    }
}
