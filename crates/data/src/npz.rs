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

mod archive;

use crate::atomic_file::write_atomically;
use crate::recipes::{Error, Instance, Parts, Recipe, Size};
pub(crate) use archive::Archive;
use npyz::npz::NpzWriter;
use npyz::{DType, WriterBuilder};
use std::fs::File;
use std::io::{self, BufWriter};
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

/// Most bytes one array of a file may have: an entry of a plain zip holds 4 GiB, with the array's header and with
/// what compression adds to random numbers.
const MOST_BYTES: u128 = 4_000_000_000;

/// Checks that each array of such an instance fits into a file. Larger instances can be drawn and trained on:
/// above all `H`, which is kept as diagonals, has full matrices in the file.
///
/// # Errors
/// [`Error::Size`] with the array, its shape and bytes, and what would fit.
pub fn validate_size(recipe: Recipe, size: &Size) -> Result<(), Error> {
    let Size {
        n,
        eq,
        ineq: m,
        samples,
    } = *size;
    // The equality rows are fewer than those of `Q`.
    let mut arrays = vec![
        ("n", "Q", vec![n, n]),
        ("samples", "X", vec![samples, eq]),
        ("ineq", names(recipe).ineq, vec![m, n]),
    ];
    if recipe == Recipe::SnareQcqp {
        arrays.push(("ineq", "H", vec![m, n, n]));
    }
    for (what, array, shape) in arrays {
        let bytes = shape
            .iter()
            .fold(8_u128, |bytes, &d| bytes.saturating_mul(d as u128));
        if bytes > MOST_BYTES {
            return Err(Error::Size {
                what,
                got: shape[0],
                need: format!(
                    "smaller: array {array} {shape:?} has {bytes} bytes, and at most {MOST_BYTES} fit into a file"
                ),
            });
        }
    }
    Ok(())
}

/// Writes an instance; the file appears whole or not at all.
///
/// # Errors
/// [`Error::Size`] where [`validate_size`] refuses the size, before anything is written; [`Error::Io`].
pub fn write(path: &Path, instance: &Instance) -> Result<(), Error> {
    validate_size(instance.recipe(), &instance.size())?;
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
    } = instance.size();
    let names = names(instance.recipe());
    let parts = instance.parts();
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
    array("Q", &[n, n], &mut full(&parts.q, n))?;
    array("p", &[n], &mut parts.p.iter().copied())?;
    array(
        names.equality,
        &[eq, n],
        &mut parts.equality.iter().copied(),
    )?;
    array("X", &[samples, eq], &mut parts.x.iter().copied())?;
    array(names.ineq, &[m, n], &mut parts.ineq.iter().copied())?;
    array(names.upper, &[m], &mut parts.upper.iter().copied())?;
    if let Some(diagonals) = &parts.ineq_diagonals {
        array("H", &[m, n, n], &mut full(diagonals, n))?;
    }

    let text = instance.recipe().name();
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
    writer.push(&instance.seed())?;
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

/// Reads what [`write()`] wrote.
///
/// # Errors
/// [`Error::Io`] where the file cannot be opened, [`Error::File`] where it is not an instance: torn, an array
/// missing, of another shape or type, or with a value that [`Instance::new`] refuses.
pub fn read(path: &Path) -> Result<Instance, Error> {
    let mut archive = Archive::open(path)?;
    let text: String = archive.scalar("recipe")?;
    let recipe = Recipe::from_name(&text)
        .ok_or_else(|| archive.problem(format!("unknown recipe {text:?}")))?;
    let seed = archive.scalar("seed")?;
    instance(&mut archive, recipe, seed)
}

/// Reads a file that has the recipe's arrays but says neither recipe nor seed, such as `numpy.savez` of a
/// published data set makes.
///
/// # Errors
/// As [`read`].
pub fn read_as(path: &Path, recipe: Recipe, seed: u32) -> Result<Instance, Error> {
    instance(&mut Archive::open(path)?, recipe, seed)
}

fn instance(archive: &mut Archive<'_>, recipe: Recipe, seed: u32) -> Result<Instance, Error> {
    let names = names(recipe);
    let [n, _] = archive.shape("Q")?;
    let [eq, _] = archive.shape(names.equality)?;
    let [ineq, _] = archive.shape(names.ineq)?;
    let [samples, _] = archive.shape("X")?;
    let size = Size {
        n,
        eq,
        ineq,
        samples,
    };
    // Before anything is allocated: a damaged header may claim any shape.
    size.validate()
        .map_err(|e| archive.problem(e.to_string()))?;
    let parts = Parts {
        q: diagonals(archive, "Q", &[n, n])?,
        p: archive.array("p", &[n])?,
        equality: archive.array(names.equality, &[eq, n])?,
        x: archive.array("X", &[samples, eq])?,
        ineq: archive.array(names.ineq, &[ineq, n])?,
        ineq_diagonals: match recipe {
            Recipe::SnareQcqp => Some(diagonals(archive, "H", &[ineq, n, n])?),
            _ => None,
        },
        upper: archive.array(names.upper, &[ineq])?,
    };
    Instance::new(recipe, size, seed, parts).map_err(|e| archive.problem(e.to_string()))
}

/// Diagonals of square matrices, which must be zero beside them.
fn diagonals(
    archive: &mut Archive<'_>,
    name: &'static str,
    shape: &[usize],
) -> Result<Vec<f64>, Error> {
    let n = shape[shape.len() - 1];
    let mut diagonals = Vec::new();
    let mut beside = None;
    for (k, value) in archive.entries::<f64>(name, shape)?.enumerate() {
        let value = value?;
        let (row, column) = (k / n % n, k % n);
        if row == column {
            diagonals.push(value);
        } else if value != 0.0 {
            beside = beside.or(Some((value, row, column)));
        }
    }
    match beside {
        None => Ok(diagonals),
        Some((value, row, column)) => Err(archive.problem(format!(
            "array {name} has {value} at row {row}, column {column}, must be diagonal"
        ))),
    }
}
