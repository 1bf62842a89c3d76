//! Instances as `.npz` files, under the array names of the published data sets.
//!
//! | recipe | arrays |
//! |---|---|
//! | `dc3-simple`, `dc3-nonconvex` | `Q` `[n, n]`, `p` `[n]`, `A` `[eq, n]`, `X` `[samples, eq]`, `G` `[ineq, n]`, `h` `[ineq]` |
//! | `snare-noncvx` | `Q` `[n, n]`, `p` `[n]`, `A` `[ineq, n]`, `b` `[ineq]`, `C` `[eq, n]`, `X` `[samples, eq]` |
//! | `snare-qcqp` | `Q`, `p`, `A`, `X`, `G`, `h` as DC3's, and `H` `[ineq, n, n]` |
//!
//! All are `f64` in C order; `Q` and `H` are full matrices with zeros beside the diagonal. Two more arrays say
//! where they come from: `recipe` (text) and `seed` (`uint32`), both of no dimension. `numpy.load` reads them all.

use crate::atomic_file::write_atomically;
use crate::recipes::{Error, Instance, Parts, Recipe, Size};
use npyz::npz::{NpzArchive, NpzWriter};
use npyz::{DType, Deserialize, NpyFile, Order, WriterBuilder};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read};
use std::path::Path;

/// Names of a recipe's arrays.
struct Names {
    equality: &'static str,
    ineq: &'static str,
    upper: &'static str,
}

fn names(recipe: Recipe) -> Names {
    match recipe {
        Recipe::SnareNoncvx => Names {
            equality: "C",
            ineq: "A",
            upper: "b",
        },
        Recipe::Dc3Simple | Recipe::Dc3Nonconvex | Recipe::SnareQcqp => Names {
            equality: "A",
            ineq: "G",
            upper: "h",
        },
    }
}

/// Writes an instance; the file appears whole or not at all.
///
/// # Errors
/// [`Error::Io`].
pub fn write(path: &Path, instance: &Instance) -> Result<(), Error> {
    write_atomically(path, |file| write_arrays(file, instance)).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })
}

fn write_arrays(file: &mut BufWriter<File>, instance: &Instance) -> io::Result<()> {
    let Size {
        n,
        eq,
        ineq: m,
        samples,
    } = instance.size;
    let names = names(instance.recipe);
    let mut npz = NpzWriter::new(file);
    let mut array = |name: &str, shape: &[usize], values: &mut dyn Iterator<Item = f64>| {
        let shape: Vec<u64> = shape.iter().map(|&d| d as u64).collect();
        let mut writer = npz
            .array::<f64>(name, Default::default())?
            .default_dtype()
            .shape(&shape)
            .begin_nd()?;
        writer.extend(values)?;
        writer.finish()
    };
    array("Q", &[n, n], &mut full(&instance.q, n))?;
    array("p", &[n], &mut instance.p.iter().copied())?;
    array(
        names.equality,
        &[eq, n],
        &mut instance.equality.iter().copied(),
    )?;
    array("X", &[samples, eq], &mut instance.x.iter().copied())?;
    array(names.ineq, &[m, n], &mut instance.ineq.iter().copied())?;
    array(names.upper, &[m], &mut instance.upper.iter().copied())?;
    if let Some(diagonals) = &instance.ineq_diagonals {
        array("H", &[m, n, n], &mut full(diagonals, n))?;
    }

    let text = instance.recipe.name();
    let dtype = format!("<U{}", text.len())
        .parse()
        .map_err(io::Error::other)?;
    let mut writer = npz
        .array::<str>("recipe", Default::default())?
        .dtype(DType::new_scalar(dtype))
        .shape(&[])
        .begin_nd()?;
    writer.push(text)?;
    writer.finish()?;
    let mut writer = npz
        .array::<u32>("seed", Default::default())?
        .default_dtype()
        .shape(&[])
        .begin_nd()?;
    writer.push(&instance.seed)?;
    writer.finish()?;
    npz.zip_writer().finish()?;
    Ok(())
}

/// Entries of the full matrices `[rows, n, n]` with these diagonals `[rows, n]`.
fn full(diagonals: &[f64], n: usize) -> impl Iterator<Item = f64> + '_ {
    diagonals.chunks_exact(n).flat_map(move |diagonal| {
        (0..n * n).map(move |k| {
            if k % (n + 1) == 0 {
                diagonal[k / n]
            } else {
                0.0
            }
        })
    })
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// [`Error::Io`] where the file cannot be opened, [`Error::File`] where it is not an instance: torn, an array
/// missing, of another shape or type, or with a value that [`Instance::new`] refuses.
pub fn read(path: &Path) -> Result<Instance, Error> {
    let mut archive = Archive::open(path)?;
    let text: String = archive.scalar("recipe", "text")?;
    let recipe = Recipe::from_name(&text)
        .ok_or_else(|| archive.problem(format!("unknown recipe {text:?}")))?;
    let seed = archive.scalar("seed", "uint32")?;
    archive.instance(recipe, seed)
}

/// Reads a file that has the recipe's arrays but says neither recipe nor seed, such as `numpy.savez` of a
/// published data set makes.
///
/// # Errors
/// As [`read`].
pub fn read_as(path: &Path, recipe: Recipe, seed: u32) -> Result<Instance, Error> {
    Archive::open(path)?.instance(recipe, seed)
}

struct Archive<'a> {
    path: &'a Path,
    npz: NpzArchive<BufReader<File>>,
}

impl<'a> Archive<'a> {
    fn open(path: &'a Path) -> Result<Self, Error> {
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

    fn problem(&self, problem: String) -> Error {
        problem_in(self.path, problem)
    }

    fn instance(&mut self, recipe: Recipe, seed: u32) -> Result<Instance, Error> {
        let names = names(recipe);
        let [n, _] = self.shape("Q")?;
        let [eq, _] = self.shape(names.equality)?;
        let [ineq, _] = self.shape(names.ineq)?;
        let [samples, _] = self.shape("X")?;
        let size = Size {
            n,
            eq,
            ineq,
            samples,
        };
        // Before anything is allocated: a damaged header may claim any shape.
        size.validate().map_err(|e| self.problem(e.to_string()))?;
        let parts = Parts {
            q: self.diagonals("Q", &[n, n])?,
            p: self.array("p", &[n])?,
            equality: self.array(names.equality, &[eq, n])?,
            x: self.array("X", &[samples, eq])?,
            ineq: self.array(names.ineq, &[ineq, n])?,
            ineq_diagonals: match recipe {
                Recipe::SnareQcqp => Some(self.diagonals("H", &[ineq, n, n])?),
                _ => None,
            },
            upper: self.array(names.upper, &[ineq])?,
        };
        Instance::new(recipe, size, seed, parts).map_err(|e| self.problem(e.to_string()))
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

    fn shape<const D: usize>(&mut self, name: &str) -> Result<[usize; D], Error> {
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
    fn entries(
        &mut self,
        name: &'static str,
        shape: &[usize],
    ) -> Result<impl Iterator<Item = Result<f64, Error>> + '_, Error> {
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
        let values = typed::<f64, _>(path, name, "float64", entry)?;
        Ok(values
            .map(move |value| value.map_err(|e| problem_in(path, format!("array {name}: {e}")))))
    }

    fn array(&mut self, name: &'static str, shape: &[usize]) -> Result<Vec<f64>, Error> {
        self.entries(name, shape)?.collect()
    }

    /// Diagonals of square matrices, which must be zero beside them.
    fn diagonals(&mut self, name: &'static str, shape: &[usize]) -> Result<Vec<f64>, Error> {
        let path = self.path;
        let n = shape[shape.len() - 1];
        let mut diagonals = Vec::new();
        for (k, value) in self.entries(name, shape)?.enumerate() {
            let (row, column) = (k / n % n, k % n);
            let value = value?;
            if row == column {
                diagonals.push(value);
            } else if value != 0.0 {
                let problem = format!(
                    "array {name} has {value} at row {row}, column {column}, must be diagonal"
                );
                return Err(problem_in(path, problem));
            }
        }
        Ok(diagonals)
    }

    fn scalar<T: Deserialize>(&mut self, name: &'static str, kind: &str) -> Result<T, Error> {
        let path = self.path;
        let entry = self.entry(name)?;
        let shape = entry.shape().to_vec();
        let mut values = typed::<T, _>(path, name, kind, entry)?;
        match (values.next(), values.next()) {
            (Some(Ok(value)), None) => Ok(value),
            (Some(Err(e)), _) => Err(problem_in(path, format!("array {name}: {e}"))),
            _ => Err(problem_in(
                path,
                format!("array {name} has shape {shape:?}, must be a scalar"),
            )),
        }
    }
}

fn typed<'r, T: Deserialize, R: Read + 'r>(
    path: &Path,
    name: &str,
    kind: &str,
    entry: NpyFile<R>,
) -> Result<npyz::NpyReader<T, R>, Error> {
    entry.try_data::<T>().map_err(|entry| {
        let problem = format!(
            "array {name} has type {}, must be {kind}",
            entry.dtype().descr()
        );
        problem_in(path, problem)
    })
}

fn problem_in(path: &Path, problem: String) -> Error {
    Error::File {
        path: path.to_owned(),
        problem,
    }
}
