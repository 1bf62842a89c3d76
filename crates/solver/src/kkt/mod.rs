//! The optimality system of one sample on a fixed set of active rows.
//!
//! Solves `[H Eᵀ; E 0] (x, η) = (r, s)`, in the least-norm least-squares sense when the rows of
//! `E` are dependent or `H` is singular on their null space. Rows are normalised, so "least norm"
//! in `η` is with multipliers per unit row. Two forms: with a safely positive definite `H`, Cholesky of
//! it and of `E H⁻¹Eᵀ`; otherwise the null-space method (Nocedal & Wright, *Numerical Optimization*, §16.2).
//! Every solution gets iterative refinement against the original `H` and `E`.

mod null;
mod range;

use crate::dense::{axpy, copy, dot, max_abs};
use crate::problem::Matrix;
use null::{Null, null_form};
use range::Range;

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
    /// By the diagonals of the triangular factors and by an estimate of their inverses.
    pub(crate) condition: f64,
}

/// What a system is factored in, kept from one to the next.
#[derive(Default)]
pub(crate) struct Memory {
    /// The rows' norms, 1 for rows of zeros.
    norms: Vec<f64>,
    range: Range,
}

enum Form {
    /// That of the memory.
    Range,
    Null(Box<Null>),
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
        let range = memory.range.factor(n, hessian, rows, norms, rank_tolerance);
        let (form, deficient, condition) = match range {
            Some(condition) => (Form::Range, false, condition),
            None => {
                let (null, deficient, condition) =
                    null_form(n, hessian, rows, norms, rank_tolerance)?;
                (Form::Null(Box::new(null)), deficient, condition)
            }
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
