//! The Moore-Penrose inverse of a matrix with full row rank.

use super::Error;
use faer::{Mat, MatRef};

/// numpy's default cut: singular values at most this share of the largest count as zero.
const RELATIVE_CUT: f64 = 1e-15;

/// `A⁺` of a row-major `A` `[rows, n]`, row-major `[n, rows]`, through the singular values as `np.linalg.pinv`.
///
/// Fails with [`Error::RankDeficient`] where a singular value falls under numpy's cut, as `A⁺x` would then
/// miss `Ay = x`.
pub(super) fn pseudo_inverse(a: &[f64], rows: usize, n: usize) -> Result<Vec<f64>, Error> {
    let svd = MatRef::from_row_major_slice(a, rows, n)
        .thin_svd()
        .map_err(|_| Error::Decomposition {
            matrix: "the equality matrix",
        })?;
    let sigma = svd.S().column_vector();
    let cut = RELATIVE_CUT * sigma.iter().copied().fold(0.0, f64::max);
    let rank = sigma.iter().filter(|&&s| s > cut).count();
    if rank < rows {
        return Err(Error::RankDeficient { rank, rows });
    }
    let (u, v) = (svd.U(), svd.V());
    let scaled = Mat::from_fn(n, rows, |i, k| v[(i, k)] / sigma[k]);
    Ok(row_major((&scaled * u.transpose()).as_ref()))
}

/// The product of row-major `left` `[rows, inner]` and `right` `[inner, columns]`, row-major.
pub(super) fn product(
    left: &[f64],
    right: &[f64],
    rows: usize,
    inner: usize,
    columns: usize,
) -> Vec<f64> {
    let left = MatRef::from_row_major_slice(left, rows, inner);
    let right = MatRef::from_row_major_slice(right, inner, columns);
    row_major((left * right).as_ref())
}

fn row_major(matrix: MatRef<'_, f64>) -> Vec<f64> {
    (0..matrix.nrows())
        .flat_map(|i| (0..matrix.ncols()).map(move |j| matrix[(i, j)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numpy_random::LegacyRandom;

    /// The four Penrose conditions (Proc. Cambridge Phil. Soc. 51, 1955) define the pseudo-inverse.
    #[test]
    fn the_four_penrose_conditions_hold() {
        let mut random = LegacyRandom::new(4);
        for (rows, n) in [(1, 2), (3, 4), (20, 50), (49, 50)] {
            let a = random.randn_vec(rows * n);
            let inverse = pseudo_inverse(&a, rows, n).unwrap();
            let a_inverse = product(&a, &inverse, rows, n, rows);
            let inverse_a = product(&inverse, &a, n, rows, n);
            // A and A⁺ act as inverses.
            let again = product(&a_inverse, &a, rows, rows, n);
            close(&again, &a, 1e-11);
            let again = product(&inverse_a, &inverse, n, n, rows);
            close(&again, &inverse, 1e-11);
            // Both products are symmetric.
            close(&transpose(&a_inverse, rows), &a_inverse, 1e-11);
            close(&transpose(&inverse_a, n), &inverse_a, 1e-11);
        }
    }

    #[test]
    fn dependent_rows_are_refused() {
        let a = [1.0, 2.0, 3.0, 2.0, 4.0, 6.0];
        assert!(matches!(
            pseudo_inverse(&a, 2, 3),
            Err(Error::RankDeficient { rank: 1, rows: 2 })
        ));
    }

    /// Absolute, against entries of order one to thirty: 1e-11 is a thousand roundings of the largest
    /// condition number here (about 60).
    fn close(got: &[f64], want: &[f64], tolerance: f64) {
        for (g, w) in got.iter().zip(want) {
            assert!((g - w).abs() < tolerance, "{g} is not {w}");
        }
    }

    fn transpose(square: &[f64], n: usize) -> Vec<f64> {
        (0..n * n).map(|k| square[(k % n) * n + k / n]).collect()
    }
}
