//! The linear system of Newton's method and of the adjoint:
//!
//! ```text
//! [ P    Bᵀ ] (dx)   (r₁)
//! [ B   −Γ  ] (u ) = (Tᵀr₂),     B = TᵀA,   dz = T u,
//! ```
//!
//! `T` the directions of [`Local`], `Γ` their curvatures. It is the linearisation of
//! `Px + q + AᵀΠ(w) = 0`, `Ax + Π(w) − w = b` after eliminating `w`: with `DΠ = T(I + Γ)⁻¹Tᵀ` and
//! `u = (I + Γ)⁻¹Tᵀdw` the rows along `T` of the second equation are `B dx − Γu = Tᵀr₂`, and the
//! others only say what `ds` is. The matrix is symmetric, so one factorisation serves both ways.

use faer::linalg::solvers::{PartialPivLu, Solve};
use faer::{Mat, Side};

use crate::cone::geometry::Local;
use crate::cone::problem::ConeSample;
use crate::dense::{axpy, max_abs};

/// Refinement steps at most.
const REFINEMENTS: usize = 3;

/// Pivots that spread further than this go to the eigenvalue decomposition, which tells a singular
/// system from a badly scaled one.
const PIVOT_SPREAD: f64 = 1e12;

/// The factored system of one sample.
pub(crate) struct System {
    n: usize,
    matrix: Mat<f64>,
    form: Form,
    /// Eigenvalues were taken for zero.
    pub(crate) deficient: bool,
    /// Ratio of the largest to the smallest pivot or eigenvalue used.
    pub(crate) condition: f64,
}

enum Form {
    Lu(PartialPivLu<f64>),
    /// Eigenvectors and pseudo-inverted eigenvalues: the least-norm solution.
    Eigen(Mat<f64>, Vec<f64>),
}

impl System {
    /// Assembles and factors; `None` only for numbers that are not finite.
    pub(crate) fn new(
        sample: &ConeSample<'_>,
        local: &Local,
        rank_tolerance: f64,
    ) -> Option<System> {
        let (n, count) = (sample.n, local.directions.len());
        let mut matrix = Mat::zeros(n + count, n + count);
        if let Some(p) = sample.p {
            for (row, column, v) in p.iter() {
                matrix[(row, column)] += v;
                if row != column {
                    matrix[(column, row)] += v;
                }
            }
        }
        // What each row has of the directions, which are those of one cone and so consecutive: the
        // first of them, and the entries from there on. An entry of A adds a multiple of them.
        let mut of_row: Vec<(usize, Vec<f64>)> = vec![(0, Vec::new()); sample.m];
        for (at, direction) in local.directions.iter().enumerate() {
            for (offset, entry) in direction.entries.iter().enumerate() {
                if *entry != 0.0 {
                    let (first, entries) = &mut of_row[direction.first + offset];
                    if entries.is_empty() {
                        *first = at;
                    }
                    entries.resize(at - *first, 0.0);
                    entries.push(*entry);
                }
            }
            matrix[(n + at, n + at)] = -direction.curvature;
        }
        for (row, column, v) in sample.a.iter() {
            let (first, entries) = &of_row[row];
            let into = &mut matrix.col_as_slice_mut(column)[n + first..][..entries.len()];
            axpy(v, entries, into);
        }
        for column in 0..n {
            for at in n..n + count {
                matrix[(column, at)] = matrix[(at, column)];
            }
        }
        let size = matrix.norm_max();
        if !size.is_finite() {
            return None;
        }
        let lu = matrix.partial_piv_lu();
        let pivots = lu.U();
        let (mut low, mut high) = (f64::INFINITY, 0.0f64);
        for i in 0..n + count {
            let pivot = pivots[(i, i)].abs();
            (low, high) = (low.min(pivot), high.max(pivot));
        }
        let spread = high / low;
        if spread <= PIVOT_SPREAD {
            return Some(System {
                n,
                matrix,
                form: Form::Lu(lu),
                deficient: false,
                condition: spread,
            });
        }
        let eigen = matrix.self_adjoint_eigen(Side::Lower).ok()?;
        let values: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
        let largest = max_abs(&values);
        let kept = |v: f64| v.abs() > rank_tolerance * largest;
        let inverses: Vec<f64> = values
            .iter()
            .map(|v| if kept(*v) { 1.0 / v } else { 0.0 })
            .collect();
        let deficient = inverses.contains(&0.0);
        let smallest = values
            .iter()
            .map(|v| v.abs())
            .filter(|v| kept(*v))
            .fold(largest, f64::min);
        Some(System {
            n,
            matrix,
            form: Form::Eigen(eigen.U().to_owned(), inverses),
            deficient,
            condition: if deficient {
                f64::INFINITY
            } else {
                largest / smallest
            },
        })
    }

    /// Solves for `(r₁, Tᵀr₂)`, given as one vector and overwritten; returns the relative residual.
    pub(crate) fn solve(&self, rhs: &mut Vec<f64>) -> f64 {
        let wanted = rhs.clone();
        let size = max_abs(&wanted);
        if size == 0.0 {
            return 0.0;
        }
        let mut x = self.apply(&wanted);
        let mut rest = self.residual(&wanted, &x);
        let mut error = max_abs(&rest);
        for _ in 0..REFINEMENTS {
            if !(error > 1e-15 * size) {
                break;
            }
            let step = self.apply(&rest);
            let next: Vec<f64> = x.iter().zip(&step).map(|(a, b)| a + b).collect();
            let next_rest = self.residual(&wanted, &next);
            let next_error = max_abs(&next_rest);
            // A NaN stops as well.
            if !(next_error < error) {
                break;
            }
            (x, rest, error) = (next, next_rest, next_error);
        }
        *rhs = x;
        error / size
    }

    /// Number of variables, before the directions.
    pub(crate) fn variables(&self) -> usize {
        self.n
    }

    fn residual(&self, wanted: &[f64], x: &[f64]) -> Vec<f64> {
        let mut rest = wanted.to_vec();
        for (j, x) in x.iter().enumerate() {
            for (rest, v) in rest.iter_mut().zip(self.matrix.col(j).iter()) {
                *rest -= v * x;
            }
        }
        rest
    }

    fn apply(&self, rhs: &[f64]) -> Vec<f64> {
        let size = rhs.len();
        match &self.form {
            Form::Lu(lu) => {
                let mut column = Mat::from_fn(size, 1, |i, _| rhs[i]);
                lu.solve_in_place(column.as_mut());
                column.col(0).iter().copied().collect()
            }
            Form::Eigen(vectors, inverses) => {
                let mut out = vec![0.0; size];
                for (j, inverse) in inverses.iter().enumerate() {
                    if *inverse == 0.0 {
                        continue;
                    }
                    let along: f64 = vectors.col(j).iter().zip(rhs).map(|(a, b)| a * b).sum();
                    for (out, v) in out.iter_mut().zip(vectors.col(j).iter()) {
                        *out += inverse * along * v;
                    }
                }
                out
            }
        }
    }
}
