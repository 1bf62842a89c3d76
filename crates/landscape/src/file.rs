//! A landscape on disk: `<name>.npz` with the numbers and `<name>.json` with what they are.
//!
//! The arrays are `axis_a`, `axis_b` (grids), one array a quantity under its name, `[b, a]` or `[a]`,
//! and `trajectory_a`, `trajectory_b`, `trajectory_off_plane`. Both files are replaced by a rename,
//! the `.npz` first; the `.json` holds its fingerprint, so that a pair of which one is older, or a
//! damaged one, is recognised.

use std::fs::{self, File};
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use npyz::WriterBuilder;
use npyz::npz::{NpzArchive, NpzWriter};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::journal::fingerprint;
use crate::plane::{InPlane, Plane, PlaneKind};
use crate::surface::{Quantity, Surface, check_names};

/// A surface, with what is needed to read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Landscape {
    /// What the scan found.
    pub surface: Surface,
    /// What the axes and the picture say.
    pub about: About,
    /// Points of a trajectory, seen from the plane; may be empty.
    pub trajectory: Vec<InPlane>,
}

/// What a landscape is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Title of its pictures.
    pub title: String,
    /// Where the numbers come from: a run, a checkpoint, a step.
    pub source: String,
    /// Where the plane comes from.
    pub plane: PlaneKind,
    /// Names of the axes.
    pub labels: [String; 2],
    /// Share of the trajectory's variance along each axis.
    pub explained: Option<[f64; 2]>,
}

impl About {
    /// Title, source, and what the plane says of itself.
    pub fn of(plane: &Plane, title: impl Into<String>, source: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            source: source.into(),
            plane: plane.kind(),
            labels: plane.labels(),
            explained: plane.explained(),
        }
    }
}

/// Changes when an older reader would misread a file.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    #[serde(flatten)]
    about: About,
    quantities: Vec<String>,
    a: usize,
    b: usize,
    trajectory: usize,
    /// FNV-1a of the `.npz`, in hexadecimal: JSON's numbers do not hold 64 bits everywhere.
    npz_fingerprint: String,
}

fn with_extension(folder: &Path, name: &str, extension: &str) -> PathBuf {
    folder.join(format!("{name}.{extension}"))
}

impl Landscape {
    /// Writes `<name>.npz` and `<name>.json` into a folder, which is created.
    ///
    /// # Errors
    /// [`Error::Argument`] if the name is no file name or the surface's names or lengths do not fit;
    /// [`Error::Io`].
    pub fn write(&self, folder: &Path, name: &str) -> Result<(), Error> {
        check_file_name(name)?;
        self.check()?;
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let npz_path = with_extension(folder, name, "npz");
        let bytes = self.npz().map_err(Error::io("write", &npz_path))?;
        let document = Document {
            format: FORMAT,
            about: self.about.clone(),
            quantities: self
                .surface
                .quantities
                .iter()
                .map(|q| q.name.clone())
                .collect(),
            a: self.surface.a.len(),
            b: self.surface.b.len(),
            trajectory: self.trajectory.len(),
            npz_fingerprint: format!("{:016x}", fingerprint(&bytes)),
        };
        let json_path = with_extension(folder, name, "json");
        let mut text = serde_json::to_string_pretty(&document)
            .map_err(|e| Error::io("write", &json_path)(e.into()))?;
        text.push('\n');
        replace(&npz_path, &bytes)?;
        replace(&json_path, text.as_bytes())
    }

    /// Reads what [`Landscape::write`] wrote, bit for bit.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::File`] if a file is torn, of a later format, or not of its pair.
    pub fn read(folder: &Path, name: &str) -> Result<Self, Error> {
        check_file_name(name)?;
        let json_path = with_extension(folder, name, "json");
        let npz_path = with_extension(folder, name, "npz");
        let text = fs::read_to_string(&json_path).map_err(Error::io("read", &json_path))?;
        let bytes = fs::read(&npz_path).map_err(Error::io("read", &npz_path))?;
        let wrong = |path: &Path, problem: String| Error::File {
            path: path.to_owned(),
            problem,
        };
        let document: Document = serde_json::from_str(&text)
            .map_err(|e| wrong(&json_path, format!("is not a landscape's description: {e}")))?;
        if document.format != FORMAT {
            let problem = format!(
                "has format {} but this program reads {FORMAT}",
                document.format
            );
            return Err(wrong(&json_path, problem));
        }
        if document.npz_fingerprint != format!("{:016x}", fingerprint(&bytes)) {
            let problem =
                "is torn, or not the one that the .json beside it describes; write it again";
            return Err(wrong(&npz_path, problem.to_owned()));
        }
        check_names(document.quantities.iter().map(String::as_str))
            .map_err(|e| wrong(&json_path, e.to_string()))?;
        let mut npz = NpzArchive::new(Cursor::new(bytes))
            .map_err(|e| wrong(&npz_path, format!("is not a whole npz file: {e}")))?;
        let mut array = |name: &str, shape: &[u64]| {
            values(&mut npz, name, shape).map_err(|problem| wrong(&npz_path, problem))
        };
        let (a, b) = (document.a as u64, document.b as u64);
        let of_values = if b == 0 { vec![a] } else { vec![b, a] };
        let mut surface = Surface {
            a: array("axis_a", &[a])?,
            b: if b == 0 {
                Vec::new()
            } else {
                array("axis_b", &[b])?
            },
            quantities: Vec::new(),
        };
        for name in document.quantities {
            let values = array(&name, &of_values)?;
            surface.quantities.push(Quantity { name, values });
        }
        let mut trajectory = Vec::new();
        if document.trajectory > 0 {
            let of = [document.trajectory as u64];
            let first = array("trajectory_a", &of)?;
            let second = array("trajectory_b", &of)?;
            let off = array("trajectory_off_plane", &of)?;
            trajectory = first
                .into_iter()
                .zip(second)
                .zip(off)
                .map(|((a, b), off_plane)| InPlane { a, b, off_plane })
                .collect();
        }
        Ok(Self {
            surface,
            about: document.about,
            trajectory,
        })
    }

    fn check(&self) -> Result<(), Error> {
        let surface = &self.surface;
        check_names(surface.quantities.iter().map(|q| q.name.as_str()))?;
        for quantity in &surface.quantities {
            let what = "values, one a point";
            crate::error::length("quantities", quantity.values.len(), surface.points(), what)?;
        }
        if surface.a.is_empty() {
            return Err(Error::argument("a", "is empty"));
        }
        Ok(())
    }

    fn npz(&self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Cursor::new(Vec::new());
        let mut npz = NpzWriter::new(&mut bytes);
        let surface = &self.surface;
        let (a, b) = (surface.a.len() as u64, surface.b.len() as u64);
        array(&mut npz, "axis_a", &[a], &surface.a)?;
        if b > 0 {
            array(&mut npz, "axis_b", &[b], &surface.b)?;
        }
        for quantity in &surface.quantities {
            let shape = if b > 0 { vec![b, a] } else { vec![a] };
            array(&mut npz, &quantity.name, &shape, &quantity.values)?;
        }
        if !self.trajectory.is_empty() {
            let of = [self.trajectory.len() as u64];
            let part = |f: fn(&InPlane) -> f64| self.trajectory.iter().map(f).collect::<Vec<_>>();
            array(&mut npz, "trajectory_a", &of, &part(|p| p.a))?;
            array(&mut npz, "trajectory_b", &of, &part(|p| p.b))?;
            array(
                &mut npz,
                "trajectory_off_plane",
                &of,
                &part(|p| p.off_plane),
            )?;
        }
        npz.zip_writer().finish()?;
        drop(npz);
        Ok(bytes.into_inner())
    }
}

fn array(
    npz: &mut NpzWriter<&mut Cursor<Vec<u8>>>,
    name: &str,
    shape: &[u64],
    values: &[f64],
) -> std::io::Result<()> {
    let mut writer = npz
        .array::<f64>(name, Default::default())?
        .default_dtype()
        .shape(shape)
        .begin_nd()?;
    writer.extend(values.iter().copied())?;
    writer.finish()
}

fn values<R: Read + std::io::Seek>(
    npz: &mut NpzArchive<R>,
    name: &str,
    shape: &[u64],
) -> Result<Vec<f64>, String> {
    let entry = npz
        .by_name(name)
        .map_err(|e| format!("array {name}: {e}"))?
        .ok_or_else(|| format!("array {name} is missing"))?;
    if entry.shape() != shape {
        return Err(format!(
            "array {name} has shape {:?}, must have {shape:?}",
            entry.shape()
        ));
    }
    let data = entry.try_data::<f64>().map_err(|entry| {
        format!(
            "array {name} has type {}, must be float64",
            entry.dtype().descr()
        )
    })?;
    data.collect::<Result<_, _>>()
        .map_err(|e| format!("array {name}: {e}"))
}

/// Checks that a landscape's files can have this name: before a long scan, rather than after it.
///
/// # Errors
/// [`Error::Argument`] if it is not 1 to 120 letters, digits and `_ . -` characters, or begins with a
/// dot.
pub fn check_file_name(name: &str) -> Result<(), Error> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || name.len() > 120 || name.starts_with('.') || !name.chars().all(good) {
        let problem =
            format!("is {name:?} but must be 1 to 120 letters, digits and _ . - characters");
        return Err(Error::argument("name", problem));
    }
    Ok(())
}

/// Replaces a file so that a reader, or a crash at any moment, sees the old content or the new.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let mut file = File::create(&temporary).map_err(Error::io("create", &temporary))?;
    file.write_all(content)
        .map_err(Error::io("write", &temporary))?;
    // Without this a power cut after the rename can leave the new name on an empty file.
    file.sync_all().map_err(Error::io("write", &temporary))?;
    fs::rename(&temporary, path).map_err(Error::io("replace", path))
}
