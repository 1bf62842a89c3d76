//! The null-space form: orthonormal factors of the rows, a factor of `H` between them.

use faer::{Mat, Side};

use crate::dense::{multiply, view, view_mut};
use crate::nullspace::{Nullspace, inverse_norm_of, spread};
use crate::problem::Matrix;

/// The null-space form.
pub(super) struct Null {
    /// Orthonormal basis of the range of `Ẽ` when its rows are dependent: `[a, r]`.
    basis: Option<Mat<f64>>,
    /// Right inverse of the independent rows, `[n, r]`.
    particular: Mat<f64>,
    /// Null-space basis, `[n, n−r]`.
    null: Mat<f64>,
    reduced: ReducedHessian,
}

enum ReducedHessian {
    Cholesky(Mat<f64>),
    /// Eigenvectors and pseudo-inverted eigenvalues.
    Eigen(Mat<f64>, Vec<f64>),
}

impl Null {
    pub(super) fn apply(
        &self,
        hessian: Matrix<'_>,
        r: &[f64],
        s: &[f64],
        x: &mut Vec<f64>,
        eta: &mut Vec<f64>,
    ) {
        *x = match &self.basis {
            Some(basis) => product(&self.particular, &transposed_product(basis, s)),
            None => product(&self.particular, s),
        };
        let mut rest = r.to_vec();
        hessian.add_product(-1.0, x, &mut rest);
        let inside = self.reduced.solve(transposed_product(&self.null, &rest));
        for (x, d) in x.iter_mut().zip(product(&self.null, &inside)) {
            *x += d;
        }
        let mut rest = r.to_vec();
        hessian.add_product(-1.0, x, &mut rest);
        let held = transposed_product(&self.particular, &rest);
        *eta = match &self.basis {
            Some(basis) => product(basis, &held),
            None => held,
        };
    }
}

impl ReducedHessian {
    fn solve(&self, mut rhs: Vec<f64>) -> Vec<f64> {
        match self {
            ReducedHessian::Cholesky(lower) => {
                let size = rhs.len();
                if size > 0 {
                    let mut column = faer::MatMut::from_column_major_slice_mut(&mut rhs, size, 1);
                    lower.solve_lower_triangular_in_place(column.as_mut());
                    lower
                        .transpose()
                        .solve_upper_triangular_in_place(column.as_mut());
                }
                rhs
            }
            ReducedHessian::Eigen(vectors, inverses) => {
                let mut inside = transposed_product(vectors, &rhs);
                for (v, inverse) in inside.iter_mut().zip(inverses) {
                    *v *= inverse;
                }
                product(vectors, &inside)
            }
        }
    }
}

/// Factors; also whether the system is deficient, and its condition. `None` where a factorisation does not converge.
pub(super) fn null_form(
    n: usize,
    hessian: Matrix<'_>,
    rows: &[f64],
    norms: &[f64],
    rank_tolerance: f64,
) -> Option<(Null, bool, f64)> {
    let count = norms.len();
    let mut scaled = rows.to_vec();
    for (row, norm) in scaled.chunks_exact_mut(n).zip(norms) {
        row.iter_mut().for_each(|v| *v /= norm);
    }
    let mut split = Nullspace::with_tolerance(&scaled, count, n, rank_tolerance);
    let mut basis = None;
    let mut deficient = false;
    if split.rank() < count {
        deficient = true;
        let rank = split.rank();
        let range = split.column_space();
        let mut independent = vec![0.0; rank * n];
        multiply(
            view_mut(&mut independent, rank, n),
            1.0,
            range.transpose(),
            view(&scaled, count, n),
        );
        // The rank has been decided; a row at the limit must not be judged anew.
        split = Nullspace::with_tolerance(&independent, rank, n, 1e-2 * rank_tolerance);
        if split.rank() < rank {
            return None;
        }
        basis = Some(range);
    }
    // The right inverse's columns follow `kept`; put them back in row order.
    let ordered = split.particular();
    let mut particular = Mat::zeros(n, split.rank());
    for (j, &row) in split.kept.iter().enumerate() {
        particular.col_mut(row).copy_from(ordered.col(j));
    }
    let free = split.null.ncols();
    let mut hz = Mat::zeros(n, free);
    match hessian {
        Matrix::Dense(data) => multiply(hz.as_mut(), 1.0, view(data, n, n), split.null.as_ref()),
        Matrix::Diagonal(d) => {
            for j in 0..free {
                for i in 0..n {
                    hz[(i, j)] = d[i] * split.null[(i, j)];
                }
            }
        }
    }
    let mut reduced = Mat::zeros(free, free);
    multiply(reduced.as_mut(), 1.0, split.null.transpose(), hz.as_ref());
    let mut condition = split.condition();
    let mut factored = None;
    let size = hessian.max_abs();
    if let Ok(factor) = reduced.llt(Side::Lower) {
        let lower = factor.L();
        let smallest = (0..free)
            .map(|j| lower[(j, j)] * lower[(j, j)])
            .fold(f64::INFINITY, f64::min);
        // No eigenvalue is below one over the inverse's norm; where that is an estimate, pivots and it are asked.
        let inverse = inverse_norm_of(lower.transpose());
        if smallest > rank_tolerance * size && rank_tolerance * size * inverse < 1.0 {
            let largest = (0..free).map(|j| reduced[(j, j)]).fold(0.0, f64::max);
            let pivots = spread((0..free).map(|j| lower[(j, j)])).powi(2);
            condition = condition.max(pivots).max(largest * inverse);
            factored = Some(ReducedHessian::Cholesky(lower.to_owned()));
        }
    }
    let reduced = match factored {
        Some(factored) => factored,
        None => {
            let eigen = reduced.self_adjoint_eigen(Side::Lower).ok()?;
            let values: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
            let inverses: Vec<f64> = values
                .iter()
                .map(|v| {
                    if *v > rank_tolerance * size {
                        1.0 / v
                    } else {
                        0.0
                    }
                })
                .collect();
            if inverses.contains(&0.0) {
                deficient = true;
                condition = f64::INFINITY;
            } else {
                condition = condition.max(spread(values.into_iter()));
            }
            ReducedHessian::Eigen(eigen.U().to_owned(), inverses)
        }
    };
    if basis.is_some() {
        condition = f64::INFINITY;
    }
    let null = Null {
        basis,
        particular,
        null: split.null,
        reduced,
    };
    Some((null, deficient, condition))
}

fn product(matrix: &Mat<f64>, x: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; matrix.nrows()];
    for (j, x) in x.iter().enumerate() {
        for (out, v) in out.iter_mut().zip(matrix.col(j).iter()) {
            *out += x * v;
        }
    }
    out
}

fn transposed_product(matrix: &Mat<f64>, x: &[f64]) -> Vec<f64> {
    (0..matrix.ncols())
        .map(|j| matrix.col(j).iter().zip(x).map(|(v, x)| v * x).sum())
        .collect()
}
