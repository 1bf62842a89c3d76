//! The optimality system of one sample on a fixed set of active rows.
//!
//! Solves `[H Eᵀ; E 0] (x, η) = (r, s)`, in the least-norm least-squares sense when the rows of
//! `E` are dependent or `H` is singular on their null space. Rows are normalised, so "least norm"
//! in `η` is with multipliers per unit row. Two forms: with a positive diagonal `H`, Cholesky of
//! `E H⁻¹Eᵀ`; otherwise the null-space method (Nocedal & Wright, *Numerical Optimization*, §16.2).
//! Every solution gets iterative refinement against the original `H` and `E`.

use faer::{Mat, Side};

use crate::dense::{axpy, dot, max_abs, multiply, view, view_mut};
use crate::nullspace::{Nullspace, spread};
use crate::packed::{packed_cholesky, solve_packed};
use crate::problem::Matrix;

/// The range-space form squares the conditioning of `H^{-1/2}`; beyond these spreads the
/// null-space form is used.
const DIAGONAL_SPREAD: f64 = 1e8;
const SCHUR_SPREAD: f64 = 1e10;

/// Refinement steps at most; one is usual.
const REFINEMENTS: usize = 3;

/// A factored system.
pub(crate) struct ActiveKkt<'a> {
    n: usize,
    hessian: Matrix<'a>,
    /// Active rows, `[a, n]`.
    rows: &'a [f64],
    norms: Vec<f64>,
    form: Form,
    /// The rows are dependent or the reduced Hessian is singular.
    pub(crate) deficient: bool,
    /// Squared diagonal spread of the triangular factors.
    pub(crate) condition: f64,
}

enum Form {
    Range {
        /// `Ẽ H⁻¹`, `[a, n]`.
        weighted: Vec<f64>,
        inverse: Vec<f64>,
        /// Packed Cholesky factor of `Ẽ H⁻¹Ẽᵀ`.
        factor: Vec<f64>,
    },
    Null {
        /// Orthonormal basis of the range of `Ẽ` when its rows are dependent: `[a, r]`.
        basis: Option<Mat<f64>>,
        /// Right inverse of the independent rows, `[n, r]`.
        particular: Mat<f64>,
        /// Null-space basis, `[n, n−r]`.
        null: Mat<f64>,
        reduced: ReducedHessian,
    },
}

enum ReducedHessian {
    Cholesky(Mat<f64>),
    /// Eigenvectors and pseudo-inverted eigenvalues.
    Eigen(Mat<f64>, Vec<f64>),
}

impl<'a> ActiveKkt<'a> {
    /// Factors the system. `rows` is `[a, n]` row-major. `None` only when a factorisation of
    /// finite data fails to converge, or data is not finite.
    pub(crate) fn new(
        n: usize,
        hessian: Matrix<'a>,
        rows: &'a [f64],
        rank_tolerance: f64,
    ) -> Option<ActiveKkt<'a>> {
        if !hessian.max_abs().is_finite() || !max_abs(rows).is_finite() {
            return None;
        }
        let norms: Vec<f64> = rows
            .chunks_exact(n)
            .map(|row| {
                let norm = dot(row, row).sqrt();
                if norm > 0.0 { norm } else { 1.0 }
            })
            .collect();
        if let Matrix::Diagonal(d) = hessian
            && let Some((form, condition)) = range_form(n, d, rows, &norms)
        {
            return Some(ActiveKkt {
                n,
                hessian,
                rows,
                norms,
                form,
                deficient: false,
                condition,
            });
        }
        let (form, deficient, condition) = null_form(n, hessian, rows, &norms, rank_tolerance)?;
        Some(ActiveKkt {
            n,
            hessian,
            rows,
            norms,
            form,
            deficient,
            condition,
        })
    }

    /// Solves for one right-hand side; returns `(x, η)` and the relative residual left.
    pub(crate) fn solve(&self, r: &[f64], s: &[f64]) -> (Vec<f64>, Vec<f64>, f64) {
        let (mut x, mut eta) = self.apply(r, s);
        let size = max_abs(r).max(max_abs(s));
        if size == 0.0 {
            return (x, eta, 0.0);
        }
        let (mut rest_r, mut rest_s, mut error) = self.residual(r, s, &x, &eta);
        for _ in 0..REFINEMENTS {
            if !(error > 1e-15 * size) {
                break;
            }
            let (dx, deta) = self.apply(&rest_r, &rest_s);
            let next_x: Vec<f64> = x.iter().zip(&dx).map(|(a, b)| a + b).collect();
            let next_eta: Vec<f64> = eta.iter().zip(&deta).map(|(a, b)| a + b).collect();
            let (next_r, next_s, next_error) = self.residual(r, s, &next_x, &next_eta);
            // A NaN error must stop too.
            if !(next_error < 0.5 * error) {
                if next_error < error {
                    (x, eta, error) = (next_x, next_eta, next_error);
                }
                break;
            }
            (x, eta, rest_r, rest_s, error) = (next_x, next_eta, next_r, next_s, next_error);
        }
        (x, eta, error / size)
    }

    fn residual(&self, r: &[f64], s: &[f64], x: &[f64], eta: &[f64]) -> (Vec<f64>, Vec<f64>, f64) {
        let mut rest_r = r.to_vec();
        self.hessian.add_product(-1.0, x, &mut rest_r);
        let mut rest_s = s.to_vec();
        for (i, row) in self.rows.chunks_exact(self.n).enumerate() {
            axpy(-eta[i], row, &mut rest_r);
            rest_s[i] -= dot(row, x);
        }
        let error = max_abs(&rest_r);
        let error_s = max_abs(&rest_s);
        let error = if error_s > error || error_s.is_nan() {
            error_s
        } else {
            error
        };
        (rest_r, rest_s, error)
    }

    fn apply(&self, r: &[f64], s: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let n = self.n;
        let s: Vec<f64> = s
            .iter()
            .zip(&self.norms)
            .map(|(s, norm)| s / norm)
            .collect();
        let (x, mut eta) = match &self.form {
            Form::Range {
                weighted,
                inverse,
                factor,
            } => {
                // η = S⁻¹(Ẽ H⁻¹ r − s), x = H⁻¹(r − Ẽᵀη).
                let mut eta: Vec<f64> = weighted
                    .chunks_exact(n)
                    .zip(&s)
                    .map(|(row, s)| dot(row, r) - s)
                    .collect();
                solve_packed(factor, &mut eta);
                let mut x: Vec<f64> = r
                    .iter()
                    .zip(inverse)
                    .map(|(r, inverse)| r * inverse)
                    .collect();
                for (row, eta) in weighted.chunks_exact(n).zip(&eta) {
                    axpy(-eta, row, &mut x);
                }
                (x, eta)
            }
            Form::Null {
                basis,
                particular,
                null,
                reduced,
            } => {
                let s = match basis {
                    Some(basis) => transposed_product(basis, &s),
                    None => s,
                };
                let mut x = product(particular, &s);
                let mut rest = r.to_vec();
                self.hessian.add_product(-1.0, &x, &mut rest);
                let inside = reduced.solve(transposed_product(null, &rest));
                for (x, d) in x.iter_mut().zip(product(null, &inside)) {
                    *x += d;
                }
                let mut rest = r.to_vec();
                self.hessian.add_product(-1.0, &x, &mut rest);
                let eta = transposed_product(particular, &rest);
                (
                    x,
                    match basis {
                        Some(basis) => product(basis, &eta),
                        None => eta,
                    },
                )
            }
        };
        for (eta, norm) in eta.iter_mut().zip(&self.norms) {
            *eta /= norm;
        }
        (x, eta)
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

fn range_form(n: usize, d: &[f64], rows: &[f64], norms: &[f64]) -> Option<(Form, f64)> {
    let diagonal = spread(d.iter().copied());
    if !(d.iter().all(|v| *v > 0.0) && diagonal < DIAGONAL_SPREAD) {
        return None;
    }
    let count = norms.len();
    let inverse: Vec<f64> = d.iter().map(|v| 1.0 / v).collect();
    let mut weighted = Vec::with_capacity(count * n);
    for (row, norm) in rows.chunks_exact(n).zip(norms) {
        weighted.extend(
            row.iter()
                .zip(&inverse)
                .map(|(v, inverse)| v * inverse / norm),
        );
    }
    let mut factor = Vec::with_capacity(count * (count + 1) / 2);
    for i in 0..count {
        for j in 0..=i {
            factor.push(dot(&weighted[i * n..(i + 1) * n], &rows[j * n..(j + 1) * n]) / norms[j]);
        }
    }
    let before: Vec<f64> = (0..count).map(|i| factor[i * (i + 3) / 2]).collect();
    if !packed_cholesky(&mut factor, count) {
        return None;
    }
    // Each pivot against the diagonal it started from: their ratio is a squared sine.
    let weakest = (0..count)
        .map(|i| factor[i * (i + 3) / 2].powi(2) / before[i])
        .fold(1.0f64, f64::min);
    let schur = spread((0..count).map(|i| factor[i * (i + 3) / 2])).powi(2);
    let good = weakest * SCHUR_SPREAD > 1.0 && schur < SCHUR_SPREAD;
    good.then_some((
        Form::Range {
            weighted,
            inverse,
            factor,
        },
        diagonal.max(schur),
    ))
}

fn null_form(
    n: usize,
    hessian: Matrix<'_>,
    rows: &[f64],
    norms: &[f64],
    rank_tolerance: f64,
) -> Option<(Form, bool, f64)> {
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
    let mut condition = split.spread().powi(2);
    let mut factored = None;
    let size = hessian.max_abs();
    if let Ok(factor) = reduced.llt(Side::Lower) {
        let lower = factor.L();
        let smallest = (0..free)
            .map(|j| lower[(j, j)] * lower[(j, j)])
            .fold(f64::INFINITY, f64::min);
        if smallest > rank_tolerance * size {
            condition = condition.max(spread((0..free).map(|j| lower[(j, j)])).powi(2));
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
    let null = split.null;
    Some((
        Form::Null {
            basis,
            particular,
            null,
            reduced,
        },
        deficient,
        condition,
    ))
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

#[cfg(test)]
mod tests {
    use super::*;

    const DENSE: [f64; 9] = [4.0, 1.0, 0.0, 1.0, 3.0, 0.5, 0.0, 0.5, 2.0];

    #[test]
    fn both_forms_solve_the_system() {
        let rows = [1.0, 2.0, -1.0, 0.0, 30.0, 10.0];
        let (r, s) = ([1.0, -2.0, 0.5], [0.3, -0.7]);
        for hessian in [Matrix::Dense(&DENSE), Matrix::Diagonal(&[4.0, 3.0, 2.0])] {
            let kkt = ActiveKkt::new(3, hessian, &rows, 1e-10).unwrap();
            let (_, _, error) = kkt.solve(&r, &s);
            assert!(error < 1e-14 && !kkt.deficient);
        }
    }

    #[test]
    fn no_rows_is_a_plain_solve() {
        let kkt = ActiveKkt::new(3, Matrix::Dense(&DENSE), &[], 1e-10).unwrap();
        let (x, eta, error) = kkt.solve(&[5.0, 4.5, 2.5], &[]);
        assert!(error < 1e-14 && eta.is_empty());
        for v in x {
            assert!((v - 1.0).abs() < 1e-14);
        }
    }

    #[test]
    fn duplicate_rows_share_the_multiplier() {
        let rows = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0];
        let kkt = ActiveKkt::new(3, Matrix::Diagonal(&[2.0, 1.0, 1.0]), &rows, 1e-10).unwrap();
        assert!(kkt.deficient);
        let (x, eta, error) = kkt.solve(&[4.0, 1.0, 1.0], &[1.0, 1.0]);
        assert!(error < 1e-14);
        assert!((x[0] - 1.0).abs() < 1e-14 && (eta[0] - 1.0).abs() < 1e-14);
        assert!((eta[0] - eta[1]).abs() < 1e-14);
    }

    /// By its rows the matrix has rank 1, by its columns, which are judged by their own lengths, 2.
    #[test]
    fn rows_that_almost_agree_are_a_deficient_system() {
        for apart in [1e-16, 1e-13, 0.9e-10] {
            let rows = [1.0, 0.0, 0.0, 1.0, apart, 0.0];
            let kkt = ActiveKkt::new(3, Matrix::Dense(&DENSE), &rows, 1e-10).unwrap();
            assert!(kkt.deficient);
            let (x, eta, error) = kkt.solve(&[5.0, 4.0, 2.5], &[1.0, 1.0]);
            assert!(error < 2.0 * apart.max(1e-14), "{apart}: {error}");
            assert!((x[0] - 1.0).abs() < 1e-9 && (eta[0] - eta[1]).abs() < 1e-9);
        }
    }

    #[test]
    fn singular_hessian_gives_the_least_norm_point() {
        let kkt = ActiveKkt::new(2, Matrix::Diagonal(&[0.0, 0.0]), &[1.0, 1.0], 1e-10).unwrap();
        assert!(kkt.deficient);
        let (x, eta, error) = kkt.solve(&[1.0, 1.0], &[1.0]);
        assert!(error < 1e-14);
        assert!((x[0] - 0.5).abs() < 1e-14 && (x[1] - 0.5).abs() < 1e-14);
        assert!((eta[0] - 1.0).abs() < 1e-14);
    }

    #[test]
    fn zero_rows_are_deficient() {
        let kkt = ActiveKkt::new(2, Matrix::Diagonal(&[1.0, 1.0]), &[0.0, 0.0], 1e-10).unwrap();
        assert!(kkt.deficient);
        let (x, eta, _) = kkt.solve(&[1.0, 2.0], &[0.0]);
        assert_eq!((x, eta), (vec![1.0, 2.0], vec![0.0]));
    }
}
