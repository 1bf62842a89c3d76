//! The cone of positive semidefinite matrices near a solution.
//!
//! A symmetric matrix is the vector of its upper triangle by columns, with entries off the diagonal
//! times `√2`, so that inner products are those of the matrices; the cone is then its own dual. With
//! `W = QΛQᵀ` its projection keeps the positive eigenvalues (Higham 1988), and the projection's
//! derivative is, in the eigenvectors' basis, the entrywise product with `1` between two positive
//! eigenvalues, `λᵢ/(λᵢ − λⱼ)` between a positive and a negative one, and `0` between two negative
//! ones (Sun & Sun 2002; Malick & Sendov 2006): equal eigenvalues of one sign are no kink.

use std::f64::consts::SQRT_2;

use faer::{Mat, MatRef, Side};

use crate::cone::geometry::{Direction, Local};

/// Rows of a matrix of this size.
pub(crate) fn rows(size: usize) -> usize {
    // Halved before it is multiplied: no size that fits the memory overflows.
    if size.is_multiple_of(2) {
        (size / 2).saturating_mul(size.saturating_add(1))
    } else {
        size.saturating_mul(size / 2 + 1)
    }
}

/// Places of the upper triangle by columns.
fn triangle(size: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..size).flat_map(|column| (0..=column).map(move |row| (row, column)))
}

/// The lower triangle of a vector's matrix.
fn matrix_of(size: usize, vector: &[f64]) -> Mat<f64> {
    let mut matrix = Mat::zeros(size, size);
    for ((row, column), v) in triangle(size).zip(vector) {
        matrix[(column, row)] = if row == column { *v } else { v / SQRT_2 };
    }
    matrix
}

/// `Σ weight · q qᵀ` over the columns `q` that have a weight above zero.
fn spread(vectors: MatRef<'_, f64>, weights: impl Fn(usize) -> f64, out: &mut [f64]) {
    out.fill(0.0);
    for k in 0..vectors.ncols() {
        let weight = weights(k);
        if !(weight > 0.0) {
            continue;
        }
        let q = vectors.col(k);
        for ((row, column), out) in triangle(vectors.nrows()).zip(out.iter_mut()) {
            let size = if row == column {
                weight
            } else {
                weight * SQRT_2
            };
            *out += size * q[row] * q[column];
        }
    }
}

/// The unit vector along `q rᵀ + r qᵀ`, of two orthonormal eigenvectors.
fn across(vectors: MatRef<'_, f64>, i: usize, j: usize) -> Vec<f64> {
    let (q, r) = (vectors.col(i), vectors.col(j));
    triangle(vectors.nrows())
        .map(|(row, column)| match (i == j, row == column) {
            (true, true) => q[row] * q[row],
            (true, false) => SQRT_2 * q[row] * q[column],
            (false, true) => SQRT_2 * q[row] * r[row],
            (false, false) => q[row] * r[column] + r[row] * q[column],
        })
        .collect()
}

/// Eigenvalues, ascending, and eigenvectors of a vector's matrix.
pub(crate) struct Eigen {
    pub(crate) values: Vec<f64>,
    vectors: Mat<f64>,
}

/// `None` for numbers that are not finite.
pub(crate) fn eigen(size: usize, w: &[f64]) -> Option<Eigen> {
    if !w.iter().all(|v| v.is_finite()) {
        return None;
    }
    let eigen = matrix_of(size, w).self_adjoint_eigen(Side::Lower).ok()?;
    Some(Eigen {
        values: eigen.S().column_vector().iter().copied().collect(),
        vectors: eigen.U().to_owned(),
    })
}

impl Eigen {
    /// The vector of `Σ weight · q qᵀ`, weights above zero.
    pub(crate) fn spread(&self, weights: impl Fn(usize) -> f64, out: &mut [f64]) {
        spread(self.vectors.as_ref(), weights, out);
    }

    /// See [`across`].
    pub(crate) fn across(&self, i: usize, j: usize) -> Vec<f64> {
        across(self.vectors.as_ref(), i, j)
    }
}

/// Complementary pair and directions at `w`, which starts at row `first` and is of this size:
/// `p(p + 1)/2 + p(size − p)` directions with `p` positive eigenvalues.
pub(crate) fn semidefinite(
    local: &mut Local,
    (first, size): (usize, usize),
    w: &[f64],
    (s, primal): (&mut [f64], f64),
    (z, dual): (&mut [f64], f64),
) {
    let Some(eigen) = eigen(size, w) else {
        local.smooth = false;
        local.distance(0.0);
        return;
    };
    let values = &eigen.values;
    for value in values {
        local.note(*value, primal, dual);
    }
    // Ascending.
    let negative = values.iter().take_while(|value| !(**value > 0.0)).count();
    if negative == 0 {
        // The projection is the identity.
        z.copy_from_slice(w);
        s.fill(0.0);
        (first..first + w.len()).for_each(|row| local.unit(row));
        return;
    }
    eigen.spread(|k| values[k], z);
    eigen.spread(|k| -values[k], s);
    for i in negative..size {
        for j in 0..=i {
            let curvature = if j < negative {
                -values[j] / values[i]
            } else {
                0.0
            };
            local.directions.push(Direction {
                first,
                entries: eigen.across(i, j),
                curvature,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cone::geometry::tests::check;
    use crate::cone::problem::Cone;

    /// The vector of `Σ value · q qᵀ` with `q` the columns of a rotation by Cayley's formula.
    fn with_eigenvalues(values: &[f64]) -> Vec<f64> {
        let size = values.len();
        let skew = |i: usize, j: usize| match i.cmp(&j) {
            std::cmp::Ordering::Less => 0.3 + 0.2 * (i as f64) - 0.1 * (j as f64),
            std::cmp::Ordering::Equal => 0.0,
            std::cmp::Ordering::Greater => -(0.3 + 0.2 * (j as f64) - 0.1 * (i as f64)),
        };
        let identity = |i: usize, j: usize| if i == j { 1.0 } else { 0.0 };
        let plus = Mat::from_fn(size, size, |i, j| identity(i, j) + skew(i, j));
        let minus = Mat::from_fn(size, size, |i, j| identity(i, j) - skew(i, j));
        use faer::linalg::solvers::Solve;
        let q = plus.partial_piv_lu().solve(&minus);
        triangle(size)
            .map(|(row, column)| {
                let sum: f64 = (0..size)
                    .map(|k| values[k] * q[(row, k)] * q[(column, k)])
                    .sum();
                if row == column { sum } else { SQRT_2 * sum }
            })
            .collect()
    }

    #[test]
    fn derivatives_of_the_projection() {
        for values in [
            &[2.0][..],
            &[-0.5],
            &[1.0, -0.5],
            &[1.0, 0.5],
            &[-1.0, -0.5],
            &[3.0, 1.0, -0.2],
            &[3.0, -1.0, -0.2, 0.4],
            // Repeated: positive, negative, and of both signs with one absolute value.
            &[1.0, 1.0, -0.5],
            &[1.0, -0.5, -0.5],
            &[1.0, 1.0, 1.0, -1.0, -1.0],
        ] {
            let w = with_eigenvalues(values);
            let nothing = vec![0.0; w.len()];
            check(&[Cone::Semidefinite(values.len())], &w, &nothing, &nothing);
        }
    }

    #[test]
    fn directions_are_orthonormal_and_as_many_as_the_rank_says() {
        let w = with_eigenvalues(&[3.0, 1.0, 0.5, -2.0, -0.1]);
        let (mut s, mut z) = (vec![0.0; 15], vec![0.0; 15]);
        let local = crate::cone::geometry::localise(&[Cone::Semidefinite(5)], &w, &mut s, &mut z);
        assert_eq!(local.directions.len(), 6 + 3 * 2);
        for (i, t) in local.directions.iter().enumerate() {
            for (j, u) in local.directions.iter().enumerate() {
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((t.dot(&u.entries) - expected).abs() < 1e-14);
            }
        }
        // −0.1 is the closest to zero, where the guess for s has no size.
        assert!((local.margin - 0.1).abs() < 1e-14);
    }

    #[test]
    fn numbers_that_are_not_finite_are_no_smooth_point() {
        let (mut s, mut z) = (vec![0.0; 3], vec![0.0; 3]);
        for bad in [f64::NAN, f64::INFINITY] {
            let w = [1.0, bad, -1.0];
            let cones = [Cone::Semidefinite(2)];
            let local = crate::cone::geometry::localise(&cones, &w, &mut s, &mut z);
            assert!(!local.smooth && local.margin == 0.0);
        }
    }

    #[test]
    fn rows_do_not_overflow() {
        assert_eq!([0, 1, 2, 3, 6].map(rows), [0, 1, 3, 6, 21]);
        assert_eq!(rows(usize::MAX), usize::MAX);
    }
}
