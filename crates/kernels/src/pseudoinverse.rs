//! Symmetric systems that are singular, or not positive definite, whatever the units of their unknowns.

use faer::{Mat, Side};

use crate::{axpy, dot};

/// The pseudoinverse H⁺ of a symmetric matrix, whose rank is judged by the eigenvalues of SHS for a diagonal
/// S: scaled to a diagonal of ones, so that units that differ are no singularity.
///
/// H⁺ itself does not depend on S: the part of a right-hand side outside the range is taken off, and solutions
/// are the shortest ones, both by the plain Euclidean norm.
#[derive(Debug)]
pub struct Pseudoinverse {
    scales: Vec<f64>,
    /// Of SHS, ascending.
    values: Vec<f64>,
    vectors: Mat<f64>,
    floor: f64,
    /// An orthonormal basis of the null space of H.
    null: Vec<Vec<f64>>,
}

impl Pseudoinverse {
    /// `scaled` is SHS, `[n, n]`, `scales` the diagonal of S, all positive. Eigenvalues up to `floor` count as
    /// zero. `None` where there are no eigenvalues, as of numbers that are not finite.
    pub fn new(scaled: &[f64], scales: &[f64], floor: f64) -> Option<Self> {
        let n = scales.len();
        let eigen = Mat::from_fn(n, n, |i, j| scaled[i * n + j])
            .self_adjoint_eigen(Side::Lower)
            .ok()?;
        let values: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
        let mut inverse = Self {
            scales: scales.to_vec(),
            values,
            vectors: eigen.U().to_owned(),
            floor,
            null: vec![],
        };
        let vanishing: Vec<usize> = (0..n).filter(|k| inverse.vanishes(*k)).collect();
        for k in vanishing {
            // Eigenvectors of SHS for zero are S⁻¹ times null vectors of H.
            let mut vector: Vec<f64> = inverse.vector(k).zip(scales).map(|(u, s)| u * s).collect();
            // The second time for what rounding leaves.
            (0..2).for_each(|_| inverse.remove_null(&mut vector));
            let size = dot(&vector, &vector).sqrt();
            if size > 0.0 {
                vector.iter_mut().for_each(|v| *v /= size);
                inverse.null.push(vector);
            }
        }
        Some(inverse)
    }

    /// The eigenvalues of SHS, ascending.
    pub fn eigenvalues(&self) -> &[f64] {
        &self.values
    }

    /// Replaces `x` by H⁺x.
    pub fn solve(&self, x: &mut [f64]) {
        self.remove_null(x);
        self.scale(x);
        let mut solved = vec![0.0; x.len()];
        for k in (0..x.len()).filter(|k| !self.vanishes(*k)) {
            let along = self.vector(k).zip(&*x).map(|(u, x)| u * x).sum::<f64>() / self.values[k];
            let parts = solved.iter_mut().zip(self.vector(k));
            parts.for_each(|(s, u)| *s += along * u);
        }
        self.scale(&mut solved);
        self.remove_null(&mut solved);
        x.copy_from_slice(&solved);
    }

    fn vanishes(&self, k: usize) -> bool {
        self.values[k].abs() <= self.floor
    }

    fn vector(&self, k: usize) -> impl Iterator<Item = f64> {
        self.vectors.col(k).iter().copied()
    }

    fn scale(&self, x: &mut [f64]) {
        x.iter_mut().zip(&self.scales).for_each(|(x, s)| *x *= s);
    }

    fn remove_null(&self, x: &mut [f64]) {
        for u in &self.null {
            axpy(-dot(u, x), u, x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// H = AᵀA with A = [1 2 w; 2 4 −w] has the null vector (2, −1, 0), and H⁺ by the Moore-Penrose conditions.
    #[test]
    fn the_pseudoinverse_is_that_of_the_matrix_whatever_the_scaling() {
        for w in [1.0, 1e5, 1e-2, 1e-5] {
            let a = [[1.0, 2.0, w], [2.0, 4.0, -w]];
            let h = |i: usize, j: usize| a.iter().map(|row| row[i] * row[j]).sum::<f64>();
            let scales: Vec<f64> = (0..3).map(|i| h(i, i).sqrt().recip()).collect();
            let scaled: Vec<f64> = (0..9)
                .map(|at| h(at / 3, at % 3) * scales[at / 3] * scales[at % 3])
                .collect();
            let inverse = Pseudoinverse::new(&scaled, &scales, 1e-12).unwrap();
            assert!(inverse.eigenvalues()[0].abs() < 1e-12 && inverse.eigenvalues()[1] > 0.1);
            let column = |j: usize| {
                let mut x = vec![0.0; 3];
                x[j] = 1.0;
                inverse.solve(&mut x);
                x
            };
            let plus: Vec<Vec<f64>> = (0..3).map(column).collect();
            // On the range, spanned by (1, 2, 0)/√5 and the last axis, H is [25 −√5w; −√5w 2w²].
            let (r, d) = (5f64.sqrt(), 45.0 * w * w);
            let block = [[2.0 * w * w / d, r * w / d], [r * w / d, 25.0 / d]];
            let basis = [[1.0 / r, 2.0 / r, 0.0], [0.0, 0.0, 1.0]];
            let expected = |i: usize, j: usize| -> f64 {
                let part = |at: usize| basis[at / 2][i] * block[at / 2][at % 2] * basis[at % 2][j];
                (0..4).map(part).sum()
            };
            for (i, j) in (0..9).map(|at| (at / 3, at % 3)) {
                let size = (expected(i, i) * expected(j, j)).sqrt();
                let error = (plus[j][i] - expected(i, j)).abs();
                // The null vector is known to the rounding of scaled unknowns, and divided by the units.
                let rounding = 1e-14 * f64::max(1.0, f64::powi(w, -2));
                assert!(
                    error <= rounding * size,
                    "{w}: {i}, {j}: {error:e} of {size:e}"
                );
            }
        }
    }
}
