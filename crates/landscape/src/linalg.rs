//! Vectors, and eigenvalues of small symmetric matrices.

use faer::{Mat, Side};
pub(crate) use feasible_kernels::{axpy, dot, norm};

use crate::error::Error;

pub(crate) fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(x, y)| x - y).collect()
}

/// Eigenvalues, largest first, and unit eigenvectors of a symmetric row-major matrix.
pub(crate) fn eigen_descending(
    size: usize,
    data: &[f64],
) -> Result<(Vec<f64>, Vec<Vec<f64>>), Error> {
    if size == 0 {
        return Ok((Vec::new(), Vec::new()));
    }
    let largest = data.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    if !largest.is_finite() {
        return Err(Error::Eigenvalues { size });
    }
    // Far from 1 the decomposition's own squares would leave the range of the type.
    let unit = if largest > 0.0 { largest } else { 1.0 };
    let matrix = Mat::from_fn(size, size, |i, j| data[i * size + j] / unit);
    let eigen = matrix
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| Error::Eigenvalues { size })?;
    let order = (0..size).rev();
    let values = order.clone().map(|i| eigen.S()[i] * unit).collect();
    let vectors = order
        .map(|i| {
            let column: Vec<f64> = (0..size).map(|r| eigen.U()[(r, i)]).collect();
            // The sign is arbitrary: fixed so that pictures do not flip from run to run.
            let largest = (0..size)
                .max_by(|&p, &q| column[p].abs().total_cmp(&column[q].abs()))
                .unwrap_or(0);
            let sign = if column[largest] < 0.0 { -1.0 } else { 1.0 };
            column.into_iter().map(|v| sign * v).collect()
        })
        .collect();
    Ok((values, vectors))
}
