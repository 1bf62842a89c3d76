//! Reading the arrays of an `.npz` file, with a reason for each refusal.

use crate::recipes::Error;
use npyz::npz::NpzArchive;
use npyz::{Deserialize, NpyFile, Order};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// An open `.npz` file whose arrays are read with their type and shape checked.
pub(crate) struct Archive<'a> {
    path: &'a Path,
    npz: NpzArchive<BufReader<File>>,
}

impl<'a> Archive<'a> {
    /// Opens the file and reads its table of contents, which a torn file lacks.
    pub(crate) fn open(path: &'a Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        let npz = NpzArchive::new(BufReader::new(file)).map_err(|e| Error::File {
            path: path.to_owned(),
            problem: format!("not a whole npz file ({e})"),
        })?;
        Ok(Self { path, npz })
    }

    /// What is wrong with this file.
    pub(crate) fn problem(&self, problem: String) -> Error {
        problem_in(self.path, problem)
    }

    fn entry(&mut self, name: &str) -> Result<NpyFile<impl Read + '_>, Error> {
        let path = self.path;
        let present: Vec<String> = self.npz.array_names().map(str::to_owned).collect();
        if !present.iter().any(|p| p == name) {
            let mut present = present;
            present.sort_unstable();
            return Err(problem_in(
                path,
                format!("array {name} is missing; there are {}", present.join(", ")),
            ));
        }
        match self.npz.by_name(name) {
            Ok(Some(entry)) => Ok(entry),
            Ok(None) => Err(problem_in(path, format!("array {name} is missing"))),
            Err(e) => Err(problem_in(path, format!("array {name}: {e}"))),
        }
    }

    /// The dimensions of an array that must have `D` of them; nothing is allocated for its entries.
    pub(crate) fn shape<const D: usize>(&mut self, name: &str) -> Result<[usize; D], Error> {
        let entry = self.entry(name)?;
        let shape: Vec<usize> = entry
            .shape()
            .iter()
            .map(|&d| usize::try_from(d).unwrap_or(usize::MAX))
            .collect();
        drop(entry);
        <[usize; D]>::try_from(shape).map_err(|shape| {
            self.problem(format!(
                "array {name} has shape {shape:?}, must have {D} dimensions"
            ))
        })
    }

    /// The entries in C order, one after the other.
    pub(crate) fn entries<'s, T: Kind + 's>(
        &'s mut self,
        name: &'static str,
        shape: &[usize],
    ) -> Result<impl Iterator<Item = Result<T, Error>> + 's, Error> {
        let path = self.path;
        let entry = self.entry(name)?;
        let same = entry
            .shape()
            .iter()
            .copied()
            .eq(shape.iter().map(|&d| d as u64));
        if !same {
            let problem = format!(
                "array {name} has shape {:?}, must have {shape:?}",
                entry.shape()
            );
            return Err(problem_in(path, problem));
        }
        if entry.order() == Order::Fortran && shape.len() > 1 {
            let problem = format!("array {name} is in Fortran order, must be in C order");
            return Err(problem_in(path, problem));
        }
        let values = entry.try_data::<T>().map_err(|entry| {
            let descr = entry.dtype().descr();
            problem_in(
                path,
                format!("array {name} has type {descr}, must be {}", T::NAME),
            )
        })?;
        Ok(values
            .map(move |value| value.map_err(|e| problem_in(path, format!("array {name}: {e}")))))
    }

    /// A whole array, which must have this shape.
    pub(crate) fn array<T: Kind>(
        &mut self,
        name: &'static str,
        shape: &[usize],
    ) -> Result<Vec<T>, Error> {
        self.entries(name, shape)?.collect()
    }

    /// The value of an array of no dimension.
    pub(crate) fn scalar<T: Kind>(&mut self, name: &'static str) -> Result<T, Error> {
        let mut values: Vec<T> = self.array(name, &[])?;
        values
            .pop()
            .ok_or_else(|| self.problem(format!("array {name} is empty")))
    }
}

/// Types of the arrays, with the name that an error calls them by.
pub(crate) trait Kind: Deserialize {
    /// The name.
    const NAME: &'static str;
}

impl Kind for f64 {
    const NAME: &'static str = "float64";
}

impl Kind for u8 {
    const NAME: &'static str = "uint8";
}

impl Kind for u32 {
    const NAME: &'static str = "uint32";
}

impl Kind for u64 {
    const NAME: &'static str = "uint64";
}

impl Kind for String {
    const NAME: &'static str = "text";
}

fn problem_in(path: &Path, problem: String) -> Error {
    Error::File {
        path: path.to_owned(),
        problem,
    }
}
