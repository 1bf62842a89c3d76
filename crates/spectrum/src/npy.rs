//! Symmetric matrices from numpy's `.npy` files.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use npyz::{NpyFile, Order};

use crate::dense::DenseMatrix;
use crate::error::Error;

/// Asymmetry that reading forgives, relative to the largest entry: products such as `XᵀX` computed
/// in the file's precision are off by a few roundings of each entry's terms.
const DOUBLE: f64 = 1e-12;
const SINGLE: f64 = 1e-5;

/// Reads a square, finite, symmetric matrix of `float32` or `float64`, of either byte order and
/// either memory order.
///
/// Mirrored entries may differ by `1e-12` of the largest entry (`1e-5` for `float32`); their mean is
/// taken.
///
/// # Errors
/// [`Error::File`] naming the file and what is wrong with it; [`Error::Asymmetric`].
pub fn read_npy(path: &Path) -> Result<DenseMatrix, Error> {
    let wrong = |problem: String| Error::File {
        path: path.display().to_string(),
        problem,
    };
    let mut file = File::open(path).map_err(|e| wrong(format!("could not be opened: {e}")))?;
    if !has_countable_shape(&mut file).map_err(|e| wrong(format!("could not be read: {e}")))? {
        return Err(wrong(
            "has a shape with more entries than can be counted".to_owned(),
        ));
    }
    let npy = NpyFile::new(BufReader::new(file))
        .map_err(|e| wrong(format!("is not a numpy .npy file: {e}")))?;
    let shape = npy.shape().to_vec();
    let &[rows, columns] = &shape[..] else {
        return Err(wrong(format!(
            "has shape {shape:?} but must be a square matrix"
        )));
    };
    if rows != columns || rows == 0 {
        return Err(wrong(format!(
            "has shape {shape:?} but must be a square matrix"
        )));
    }
    let n = usize::try_from(rows).map_err(|_| wrong(format!("has shape {shape:?}, too large")))?;
    let fortran = npy.order() == Order::Fortran;
    let descr = npy.dtype().descr();
    let torn = |e: std::io::Error| wrong(format!("ends early or is damaged: {e}"));
    let (values, tolerance) = match npy.try_data::<f64>() {
        Ok(data) => (data.collect::<Result<Vec<f64>, _>>().map_err(torn)?, DOUBLE),
        Err(npy) => match npy.try_data::<f32>() {
            Ok(data) => {
                let wide = data.map(|v| v.map(f64::from));
                (wide.collect::<Result<Vec<f64>, _>>().map_err(torn)?, SINGLE)
            }
            Err(_) => {
                return Err(wrong(format!(
                    "has entries of type {descr} but must have float32 or float64"
                )));
            }
        },
    };
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        let (i, j) = if fortran {
            (at % n, at / n)
        } else {
            (at / n, at % n)
        };
        return Err(wrong(format!(
            "has {} at ({i}, {j}) but must be finite",
            values[at]
        )));
    }
    // A symmetric matrix is the same in both memory orders, and one that is not is refused here.
    let mut matrix = DenseMatrix::new(n, values)?;
    matrix.check_symmetric(tolerance)?;
    matrix.symmetrise();
    Ok(matrix)
}

/// Whether the product of the dimensions in the header fits the type it is computed in when the file
/// is read. Anything that is no such header passes: it is refused later, with its reason.
fn has_countable_shape(file: &mut File) -> io::Result<bool> {
    let mut start = Vec::new();
    file.take(4096).read_to_end(&mut start)?;
    file.seek(SeekFrom::Start(0))?;
    let text = String::from_utf8_lossy(&start);
    let dimensions = text
        .split_once("'shape'")
        .and_then(|(_, rest)| rest.split_once('('))
        .and_then(|(_, rest)| rest.split_once(')'))
        .map_or("", |(inside, _)| inside);
    let product = dimensions
        .split(',')
        .map(str::trim)
        .filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
        .try_fold(1u64, |product, d| product.checked_mul(d.parse().ok()?));
    // Bytes are counted too, eight an entry.
    Ok(product.is_some_and(|p| p.checked_mul(8).is_some()))
}
