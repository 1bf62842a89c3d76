//! The factored matrix of one damped step, JJᵀ + λI or JᵀJ + λI, with the rows that never change
//! factored once for the batch.

use faer::linalg::matmul::triangular::{BlockStructure, matmul as triangular_matmul};
use faer::{Accum, MatMut, Par};

use super::cholesky::{
    Scratch, cholesky, gram_of_rows, read_diagonal, solve_transposed, solve_upper, whiten,
};
use super::rows;
use super::{DampedProblem, RowPolicy, RowWeights};
use crate::dense::{add_multiply, axpy, dot, max_abs, multiply, view, view_mut};

/// Rows that are in J at every step of every sample, with the same coefficients.
#[derive(Debug)]
pub(super) struct Fixed {
    /// Row numbers, ascending.
    pub(super) rows: Vec<usize>,
    /// The coefficients times their weights, F, `[f, n]`.
    pub(super) jacobian: Vec<f64>,
    /// U of FFᵀ + λI, `[f, f]`; empty where f > n, whose steps are all solved among the variables.
    upper: Vec<f64>,
    /// E = U⁻ᵀF, `[f, n]`: Jᵀ's products with it are the off-diagonal block of larger factors.
    /// Empty where U is.
    whitened: Vec<f64>,
    /// FᵀF + λI, `[n, n]`, for steps that are solved among the variables.
    gram: Vec<f64>,
}

impl Fixed {
    /// `None` where no row is fixed, or the fixed ones are dependent and λ = 0. Rows of zeros are
    /// not fixed: whether they take part depends on their residual.
    pub(super) fn new(
        problem: &DampedProblem<'_>,
        policy: RowPolicy,
        weights: RowWeights,
        damping: f64,
        scratch: &mut Scratch,
    ) -> Option<Self> {
        let n = problem.n;
        let (mut fixed_rows, mut jacobian, mut at) = (vec![], vec![], 0);
        for block in &problem.blocks {
            if block.is_constant() {
                for row in 0..block.rows {
                    let coefficients = &block.linear.data()[row * n..(row + 1) * n];
                    let always = policy == RowPolicy::All || problem.equality[at + row];
                    if always && max_abs(coefficients) > 0.0 {
                        fixed_rows.push(at + row);
                        let weight = weights.of(coefficients);
                        jacobian.extend(coefficients.iter().map(|a| weight * a));
                    }
                }
            }
            at += block.rows;
        }
        let f = fixed_rows.len();
        if f == 0 {
            return None;
        }
        let (upper, whitened) = if f <= n {
            let mut upper = vec![0.0; f * f];
            gram_of_rows(&jacobian, f, n, damping, &mut upper, &mut scratch.diagonal);
            if !cholesky(&mut upper, f, scratch) {
                return None;
            }
            let whitened = whiten(&upper, &jacobian, f, n);
            (upper, whitened)
        } else {
            (vec![], vec![])
        };
        let mut gram = vec![0.0; n * n];
        multiply(
            view_mut(&mut gram, n, n),
            1.0,
            view(&jacobian, f, n).transpose(),
            view(&jacobian, f, n),
        );
        (0..n).for_each(|j| gram[j * n + j] += damping);
        Some(Self {
            rows: fixed_rows,
            jacobian,
            upper,
            whitened,
            gram,
        })
    }

    fn count(&self) -> usize {
        self.rows.len()
    }
}

/// Which matrix a step is solved with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// JJᵀ + λI over the rows, where they are not more than the variables.
    #[default]
    Rows,
    /// JᵀJ + λI over the variables.
    Variables,
}

/// The factor of one step.
#[derive(Debug, Default)]
pub(super) struct Factor {
    pub(super) form: Form,
    /// Over the rows: the moving rows' products with E, `[q, f]`.
    coupling: Vec<f64>,
    /// U, over the rows of the Schur complement of the moving ones, `[q, q]`; over the variables
    /// of the whole matrix, `[n, n]`.
    upper: Vec<f64>,
}

impl Factor {
    /// Factors the step's matrix for `q` moving rows, whose coefficients are in
    /// `scratch.moving`, in the memory of the factor before. False where it is singular or not
    /// finite.
    pub(super) fn refactor(
        &mut self,
        fixed: Option<&Fixed>,
        q: usize,
        n: usize,
        damping: f64,
        scratch: &mut Scratch,
    ) -> bool {
        let f = fixed.map_or(0, Fixed::count);
        let moving = std::mem::take(&mut scratch.moving);
        let jacobian = &moving[..q * n];
        let factored = if f + q <= n {
            self.form = Form::Rows;
            self.load_rows(fixed, jacobian, q, n, damping, &mut scratch.diagonal);
            cholesky(&mut self.upper, f + q, scratch)
        } else {
            self.form = Form::Variables;
            self.load_variables(fixed, jacobian, q, n, damping, &mut scratch.diagonal);
            cholesky(&mut self.upper, n, scratch)
        };
        scratch.moving = moving;
        factored
    }

    /// The Schur complement of the moving rows. `diagonal` is that of JJᵀ + λI: what the
    /// complement's own has lost already tells of rows that depend on the fixed ones.
    fn load_rows(
        &mut self,
        fixed: Option<&Fixed>,
        jacobian: &[f64],
        q: usize,
        n: usize,
        damping: f64,
        diagonal: &mut Vec<f64>,
    ) {
        let f = fixed.map_or(0, Fixed::count);
        zeros(&mut self.coupling, q * f);
        zeros(&mut self.upper, q * q);
        gram_of_rows(jacobian, q, n, damping, &mut self.upper, diagonal);
        let Some(fixed) = fixed.filter(|_| q > 0) else {
            return;
        };
        multiply(
            view_mut(&mut self.coupling, q, f),
            1.0,
            view(jacobian, q, n),
            view(&fixed.whitened, f, n).transpose(),
        );
        let coupling = view(&self.coupling, q, f);
        triangular_matmul(
            MatMut::from_column_major_slice_mut(&mut self.upper, q, q),
            BlockStructure::TriangularLower,
            Accum::Add,
            coupling,
            BlockStructure::Rectangular,
            coupling.transpose(),
            BlockStructure::Rectangular,
            -1.0,
            Par::Seq,
        );
    }

    fn load_variables(
        &mut self,
        fixed: Option<&Fixed>,
        jacobian: &[f64],
        q: usize,
        n: usize,
        damping: f64,
        diagonal: &mut Vec<f64>,
    ) {
        self.coupling.clear();
        match fixed {
            Some(fixed) => self.upper.clone_from(&fixed.gram),
            None => {
                zeros(&mut self.upper, n * n);
                (0..n).for_each(|j| self.upper[j * n + j] = damping);
            }
        }
        add_multiply(
            view_mut(&mut self.upper, n, n),
            1.0,
            view(jacobian, q, n).transpose(),
            view(jacobian, q, n),
        );
        read_diagonal(&self.upper, n, diagonal);
    }

    /// (JJᵀ + λI)⁻¹ in place, for a vector over the fixed rows, then the moving ones.
    pub(super) fn solve_rows(&self, fixed: Option<&Fixed>, x: &mut [f64]) {
        let f = fixed.map_or(0, Fixed::count);
        let (coupling, schur) = (&self.coupling, &self.upper);
        let (head, tail) = x.split_at_mut(f);
        let q = tail.len();
        if let Some(fixed) = fixed {
            solve_transposed(&fixed.upper, head);
            for i in 0..q {
                tail[i] -= dot(&coupling[i * f..(i + 1) * f], head);
            }
        }
        solve_transposed(schur, tail);
        solve_upper(schur, tail);
        if let Some(fixed) = fixed {
            for i in 0..q {
                axpy(-tail[i], &coupling[i * f..(i + 1) * f], head);
            }
            solve_upper(&fixed.upper, head);
        }
    }

    /// (JᵀJ + λI)⁻¹ in place.
    pub(super) fn solve_variables(&self, x: &mut [f64]) {
        solve_transposed(&self.upper, x);
        solve_upper(&self.upper, x);
    }
}

fn zeros(values: &mut Vec<f64>, count: usize) {
    values.clear();
    values.resize(count, 0.0);
}

/// Loads the coefficients of the moving rows at y, times their `weights`, `[m]`, where there are any.
pub(super) fn load_moving(
    problem: &DampedProblem<'_>,
    sample: usize,
    moving: &[u32],
    weights: &[f64],
    y: &[f64],
    out: &mut [f64],
) {
    let n = problem.n;
    for (slot, &row) in moving.iter().enumerate() {
        let out = &mut out[slot * n..(slot + 1) * n];
        rows::jacobian_row(problem, sample, row as usize, y, out);
        if let Some(weight) = weights.get(row as usize) {
            out.iter_mut().for_each(|out| *out *= weight);
        }
    }
}
