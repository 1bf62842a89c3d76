//! The optimality system of one sample on a fixed set of active rows.
//!
//! Solves `[H Eᵀ; E 0] (x, η) = (r, s)`, in the least-norm least-squares sense when the rows of
//! `E` are dependent or `H` is singular on their null space. Rows are normalised, so "least norm"
//! in `η` is with multipliers per unit row. Two forms: with a safely positive definite `H`, Cholesky of
//! it and of `E H⁻¹Eᵀ`; otherwise the null-space method (Nocedal & Wright, *Numerical Optimization*, §16.2).
//! Every solution gets iterative refinement against the original `H` and `E`.

use faer::{Mat, Side};
use feasible_kernels::Cholesky;

use crate::dense::{axpy, copy, dot, max_abs, multiply, vectorised, view, view_mut};
use crate::nullspace::{Nullspace, spread};
use crate::packed::{packed_cholesky, solve_packed};
use crate::problem::Matrix;

/// The range-space form squares the conditioning of `H^{-1/2}`; beyond these spreads the
/// null-space form is used.
const DIAGONAL_SPREAD: f64 = 1e8;
const SCHUR_SPREAD: f64 = 1e10;
/// Of either with a dense `H`, whose rounding is that of its largest entries: four digits are what refinement surely
/// gives back.
const DENSE_SPREAD: f64 = 1e4;

/// Refinement steps at most; one is usual.
const REFINEMENTS: usize = 3;

/// A factored system.
pub(crate) struct ActiveKkt<'a> {
    n: usize,
    hessian: Matrix<'a>,
    /// Active rows, `[a, n]`.
    rows: &'a [f64],
    memory: Memory,
    form: Form,
    /// The rows are dependent or the reduced Hessian is singular.
    pub(crate) deficient: bool,
    /// Squared diagonal spread of the triangular factors.
    pub(crate) condition: f64,
}

/// What a system is factored in, kept from one to the next.
#[derive(Default)]
pub(crate) struct Memory {
    /// The rows' norms, 1 for rows of zeros.
    norms: Vec<f64>,
    range: Range,
}

/// The range-space form.
#[derive(Default)]
struct Range {
    /// `Ẽ H⁻¹`, `[a, n]`.
    weighted: Vec<f64>,
    hessian: Inverse,
    /// Packed Cholesky factor of `Ẽ H⁻¹Ẽᵀ`.
    factor: Vec<f64>,
    /// The diagonal of what was factored.
    before: Vec<f64>,
}

/// What applies `H⁻¹`.
#[derive(Default)]
struct Inverse {
    /// Whether the diagonal does.
    is_diagonal: bool,
    diagonal: Vec<f64>,
    /// The largest size that the factor has memory for, and that.
    dense: Option<(usize, Cholesky)>,
}

enum Form {
    /// That of the memory.
    Range,
    Null(Box<Null>),
}

/// The null-space form.
struct Null {
    /// Orthonormal basis of the range of `Ẽ` when its rows are dependent: `[a, r]`.
    basis: Option<Mat<f64>>,
    /// Right inverse of the independent rows, `[n, r]`.
    particular: Mat<f64>,
    /// Null-space basis, `[n, n−r]`.
    null: Mat<f64>,
    reduced: ReducedHessian,
}

/// A solution, and what it is computed in.
#[derive(Default)]
pub(crate) struct Solved {
    pub(crate) x: Vec<f64>,
    pub(crate) eta: Vec<f64>,
    /// What is left of the right-hand sides.
    rest: (Vec<f64>, Vec<f64>),
    /// A correction, then the corrected solution, and what that leaves.
    next: (Vec<f64>, Vec<f64>),
    next_rest: (Vec<f64>, Vec<f64>),
    /// The rows' right-hand side by normalised rows.
    scaled: Vec<f64>,
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
        mut memory: Memory,
    ) -> Option<ActiveKkt<'a>> {
        if !hessian.max_abs().is_finite() || !max_abs(rows).is_finite() {
            return None;
        }
        let norms = &mut memory.norms;
        norms.clear();
        norms.extend(rows.chunks_exact(n).map(|row| {
            let norm = dot(row, row).sqrt();
            if norm > 0.0 { norm } else { 1.0 }
        }));
        let (form, deficient, condition) = match memory.range.factor(n, hessian, rows, norms) {
            Some(condition) => (Form::Range, false, condition),
            None => null_form(n, hessian, rows, norms, rank_tolerance)?,
        };
        Some(ActiveKkt {
            n,
            hessian,
            rows,
            memory,
            form,
            deficient,
            condition,
        })
    }

    /// What the next system can be factored in.
    pub(crate) fn into_memory(self) -> Memory {
        self.memory
    }

    /// Solves for one right-hand side, into `out`; returns the relative residual left.
    #[inline(always)]
    pub(crate) fn solve(&self, r: &[f64], s: &[f64], out: &mut Solved) -> f64 {
        let Solved {
            x,
            eta,
            rest,
            next,
            next_rest,
            scaled,
        } = out;
        self.apply(r, s, x, eta, scaled);
        let size = max_abs(r).max(max_abs(s));
        if size == 0.0 {
            return 0.0;
        }
        let mut error = self.residual(r, s, x, eta, rest);
        for _ in 0..REFINEMENTS {
            if !(error > 1e-15 * size) {
                break;
            }
            self.apply(&rest.0, &rest.1, &mut next.0, &mut next.1, scaled);
            axpy(1.0, x, &mut next.0);
            axpy(1.0, eta, &mut next.1);
            let next_error = self.residual(r, s, &next.0, &next.1, next_rest);
            let enough = !(next_error < 0.5 * error);
            if next_error < error {
                std::mem::swap(x, &mut next.0);
                std::mem::swap(eta, &mut next.1);
                std::mem::swap(rest, next_rest);
                error = next_error;
            }
            // A NaN error must stop too.
            if enough {
                break;
            }
        }
        error / size
    }

    /// What a solution leaves of the right-hand sides, and its largest entry.
    #[inline(always)]
    fn residual(
        &self,
        r: &[f64],
        s: &[f64],
        x: &[f64],
        eta: &[f64],
        (rest_r, rest_s): &mut (Vec<f64>, Vec<f64>),
    ) -> f64 {
        copy(r, rest_r);
        self.hessian.add_product(-1.0, x, rest_r);
        copy(s, rest_s);
        for (i, row) in self.rows.chunks_exact(self.n).enumerate() {
            axpy(-eta[i], row, rest_r);
            rest_s[i] -= dot(row, x);
        }
        let error = max_abs(rest_r);
        let error_s = max_abs(rest_s);
        if error_s > error || error_s.is_nan() {
            error_s
        } else {
            error
        }
    }

    /// One solution by the factors alone.
    #[inline(always)]
    fn apply(
        &self,
        r: &[f64],
        s: &[f64],
        x: &mut Vec<f64>,
        eta: &mut Vec<f64>,
        scaled: &mut Vec<f64>,
    ) {
        let norms = &self.memory.norms;
        scaled.clear();
        scaled.extend(s.iter().zip(norms).map(|(s, norm)| s / norm));
        match &self.form {
            Form::Range => self.memory.range.apply(self.n, r, scaled, x, eta),
            Form::Null(null) => null.apply(self.hessian, r, scaled, x, eta),
        }
        for (eta, norm) in eta.iter_mut().zip(norms) {
            *eta /= norm;
        }
    }
}

impl Range {
    /// `η = S⁻¹(Ẽ H⁻¹ r − s)`, `x = H⁻¹(r − Ẽᵀη)`.
    #[inline(always)]
    fn apply(&self, n: usize, r: &[f64], s: &[f64], x: &mut Vec<f64>, eta: &mut Vec<f64>) {
        let lines = self.weighted.chunks_exact(n);
        eta.clear();
        eta.extend(lines.clone().zip(s).map(|(row, s)| dot(row, r) - s));
        solve_packed(&self.factor, eta);
        copy(r, x);
        self.hessian.apply(x);
        for (row, eta) in lines.zip(eta.iter()) {
            axpy(-eta, row, x);
        }
    }

    /// Factors; returns the condition, or `None` where the other form is safer.
    fn factor(
        &mut self,
        n: usize,
        hessian: Matrix<'_>,
        rows: &[f64],
        norms: &[f64],
    ) -> Option<f64> {
        let spread = self.hessian.factor(n, hessian)?;
        let factored = vectorised(
            #[inline(always)]
            || self.factor_rows(n, rows, norms),
        );
        let schur = factored.then(|| self.condition(norms.len())).flatten()?;
        Some(spread.max(schur))
    }

    #[inline(always)]
    fn factor_rows(&mut self, n: usize, rows: &[f64], norms: &[f64]) -> bool {
        let Range {
            weighted,
            hessian,
            factor,
            before,
        } = self;
        let count = norms.len();
        copy(rows, weighted);
        for (line, norm) in weighted.chunks_exact_mut(n).zip(norms) {
            hessian.apply(line);
            line.iter_mut().for_each(|v| *v /= norm);
        }
        factor.clear();
        factor.reserve(count * (count + 1) / 2);
        for i in 0..count {
            let line = &weighted[i * n..(i + 1) * n];
            for j in 0..=i {
                factor.push(dot(line, &rows[j * n..(j + 1) * n]) / norms[j]);
            }
        }
        before.clear();
        before.extend((0..count).map(|i| factor[i * (i + 3) / 2]));
        packed_cholesky(factor, count)
    }

    /// The condition of the rows' system; `None` where it is too large.
    fn condition(&self, count: usize) -> Option<f64> {
        let pivot = |i: usize| self.factor[i * (i + 3) / 2];
        // Each pivot against the diagonal it started from: their ratio is a squared sine.
        let weakest = (0..count)
            .map(|i| pivot(i).powi(2) / self.before[i])
            .fold(1.0f64, f64::min);
        let schur = spread((0..count).map(pivot)).powi(2);
        let limit = match self.hessian.is_diagonal {
            true => SCHUR_SPREAD,
            false => DENSE_SPREAD,
        };
        (weakest * limit > 1.0 && schur < limit).then_some(schur)
    }
}

impl Inverse {
    /// Factors; returns the spread of the pivots, or `None` where it is too large.
    fn factor(&mut self, n: usize, hessian: Matrix<'_>) -> Option<f64> {
        match hessian {
            Matrix::Diagonal(d) => {
                self.is_diagonal = true;
                let spread = spread(d.iter().copied());
                if !(d.iter().all(|v| *v > 0.0) && spread < DIAGONAL_SPREAD) {
                    return None;
                }
                self.diagonal.clear();
                self.diagonal.extend(d.iter().map(|v| 1.0 / v));
                Some(spread)
            }
            Matrix::Dense(data) => {
                self.is_diagonal = false;
                if self.dense.as_ref().is_none_or(|(largest, _)| *largest < n) {
                    self.dense = Some((n, Cholesky::new(n)));
                }
                let (_, cholesky) = self.dense.as_mut()?;
                cholesky.resize(n);
                if !cholesky.factor(data, |_, _| 0.0) {
                    return None;
                }
                let upper = cholesky.kept();
                let spread = spread((0..n).map(|i| upper[i * (n + 1)].powi(2)));
                (spread < DENSE_SPREAD).then_some(spread)
            }
        }
    }

    /// `x ← H⁻¹x`.
    #[inline(always)]
    fn apply(&self, x: &mut [f64]) {
        match &self.dense {
            Some((_, cholesky)) if !self.is_diagonal => cholesky.solve(x),
            _ => x
                .iter_mut()
                .zip(&self.diagonal)
                .for_each(|(x, inverse)| *x *= inverse),
        }
    }
}

impl Null {
    fn apply(
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
        Form::Null(Box::new(Null {
            basis,
            particular,
            null,
            reduced,
        })),
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

    fn factored<'a>(
        n: usize,
        hessian: Matrix<'a>,
        rows: &'a [f64],
        rank_tolerance: f64,
    ) -> Option<ActiveKkt<'a>> {
        ActiveKkt::new(n, hessian, rows, rank_tolerance, Memory::default())
    }

    fn solved(kkt: &ActiveKkt<'_>, r: &[f64], s: &[f64]) -> (Vec<f64>, Vec<f64>, f64) {
        let mut out = Solved::default();
        let error = kkt.solve(r, s, &mut out);
        (out.x, out.eta, error)
    }

    const DENSE: [f64; 9] = [4.0, 1.0, 0.0, 1.0, 3.0, 0.5, 0.0, 0.5, 2.0];

    #[test]
    fn both_forms_solve_the_system() {
        let rows = [1.0, 2.0, -1.0, 0.0, 30.0, 10.0];
        let (r, s) = ([1.0, -2.0, 0.5], [0.3, -0.7]);
        for hessian in [Matrix::Dense(&DENSE), Matrix::Diagonal(&[4.0, 3.0, 2.0])] {
            let kkt = factored(3, hessian, &rows, 1e-10).unwrap();
            let (_, _, error) = solved(&kkt, &r, &s);
            assert!(error < 1e-14 && !kkt.deficient);
        }
    }

    #[test]
    fn no_rows_is_a_plain_solve() {
        let kkt = factored(3, Matrix::Dense(&DENSE), &[], 1e-10).unwrap();
        let (x, eta, error) = solved(&kkt, &[5.0, 4.5, 2.5], &[]);
        assert!(error < 1e-14 && eta.is_empty());
        for v in x {
            assert!((v - 1.0).abs() < 1e-14);
        }
    }

    #[test]
    fn duplicate_rows_share_the_multiplier() {
        let rows = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0];
        let kkt = factored(3, Matrix::Diagonal(&[2.0, 1.0, 1.0]), &rows, 1e-10).unwrap();
        assert!(kkt.deficient);
        let (x, eta, error) = solved(&kkt, &[4.0, 1.0, 1.0], &[1.0, 1.0]);
        assert!(error < 1e-14);
        assert!((x[0] - 1.0).abs() < 1e-14 && (eta[0] - 1.0).abs() < 1e-14);
        assert!((eta[0] - eta[1]).abs() < 1e-14);
    }

    /// By its rows the matrix has rank 1, by its columns, which are judged by their own lengths, 2.
    #[test]
    fn rows_that_almost_agree_are_a_deficient_system() {
        for apart in [1e-16, 1e-13, 0.9e-10] {
            let rows = [1.0, 0.0, 0.0, 1.0, apart, 0.0];
            let kkt = factored(3, Matrix::Dense(&DENSE), &rows, 1e-10).unwrap();
            assert!(kkt.deficient);
            let (x, eta, error) = solved(&kkt, &[5.0, 4.0, 2.5], &[1.0, 1.0]);
            assert!(error < 2.0 * apart.max(1e-14), "{apart}: {error}");
            assert!((x[0] - 1.0).abs() < 1e-9 && (eta[0] - eta[1]).abs() < 1e-9);
        }
    }

    #[test]
    fn singular_hessian_gives_the_least_norm_point() {
        let kkt = factored(2, Matrix::Diagonal(&[0.0, 0.0]), &[1.0, 1.0], 1e-10).unwrap();
        assert!(kkt.deficient);
        let (x, eta, error) = solved(&kkt, &[1.0, 1.0], &[1.0]);
        assert!(error < 1e-14);
        assert!((x[0] - 0.5).abs() < 1e-14 && (x[1] - 0.5).abs() < 1e-14);
        assert!((eta[0] - 1.0).abs() < 1e-14);
    }

    #[test]
    fn zero_rows_are_deficient() {
        let kkt = factored(2, Matrix::Diagonal(&[1.0, 1.0]), &[0.0, 0.0], 1e-10).unwrap();
        assert!(kkt.deficient);
        let (x, eta, _) = solved(&kkt, &[1.0, 2.0], &[0.0]);
        assert_eq!((x, eta), (vec![1.0, 2.0], vec![0.0]));
    }
}
