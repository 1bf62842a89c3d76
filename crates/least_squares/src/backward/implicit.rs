//! By the stationarity of a minimiser: ∇E(x(θ); θ) = 0 gives ∂ℓ/∂θ = −∂(wᵀ∇E)/∂θ with Hw = v.
//!
//! On a curved space ∇E is the gradient by steps from x and H its symmetric Hessian: what the two orders of
//! second derivatives differ by is a multiple of ∇E, which is zero.
//!
//! A coordinate that the gradient holds at its bound does not move with θ. One at its bound without such a
//! gradient may move to one side only: that is reported as [`GradientQuality::Degenerate`].

use faer::linalg::solvers::Solve;
use faer::{Mat, MatMut, Side};

use super::propagate::{Cotangent, propagate};
use super::{Adjoint, Job, hessian};
use crate::dense::{add_transposed, axpy, dot, max_abs, multiply, norm};
use crate::linear::cholesky::{Cholesky, gram_of_rows};
use crate::linear::is_sparse;
use crate::linear::rows::whole_jacobian;
use crate::linear::sparse::Sparse;
use crate::objective::Objective;
use crate::settings::{Hessian, Linear, Settings};
use crate::status::GradientQuality;
use crate::step::find_held;
use crate::term::{Linearisation, Sample};

pub(super) struct Implicit<'a> {
    objective: &'a Objective,
    exact: bool,
    at: Linearisation,
    held: Vec<bool>,
    /// Each term's part of the matrix, `[width, width]`, where it is not assembled at once.
    blocks: Vec<Vec<f64>>,
    solver: Solver<'a>,
}

enum Solver<'a> {
    Dense(Cholesky),
    Sparse(Sparse<'a>),
    Cg { tolerance: f64, iterations: usize },
}

/// Relative residual of the adjoint system up to which a gradient is called exact. Backward stable solves
/// leave a few units of rounding times the square root of the size; a system this far off has lost half
/// the digits.
const ACCURATE: f64 = 1e-8;

/// Condition from which on fewer than three digits are left, and the null space is taken for one.
const SINGULAR: f64 = 1e13;

/// Curvature, relative to the whole, up to which a direction that only it decides counts as undecided.
const NEGLIGIBLE: f64 = 1e-6;

impl<'a> Implicit<'a> {
    pub(super) fn new(objective: &'a Objective, settings: &Settings, hessian: Hessian) -> Self {
        let solver = match settings.linear {
            Linear::SparseCholesky => Solver::Sparse(Sparse::new(objective)),
            Linear::Auto if is_sparse(objective) => Solver::Sparse(Sparse::new(objective)),
            Linear::ConjugateGradient {
                tolerance,
                max_iterations,
            } => Solver::Cg {
                tolerance,
                iterations: max_iterations,
            },
            _ => Solver::Dense(Cholesky::new(objective.tangent)),
        };
        Self {
            objective,
            exact: hessian == Hessian::Exact,
            at: Linearisation::new(objective),
            held: vec![false; objective.tangent],
            blocks: objective
                .terms
                .iter()
                .map(|t| vec![0.0; t.width * t.width])
                .collect(),
            solver,
        }
    }

    pub(super) fn reverse(&mut self, job: &Job<'_>) -> Adjoint {
        let objective = self.objective;
        let sample = Sample {
            x: job.x,
            auxiliaries: job.auxiliaries,
        };
        self.at.update(objective, &sample);
        if !self.at.cost.is_finite() || !max_abs(&self.at.gradient).is_finite() {
            return Adjoint::zero(objective, GradientQuality::Unavailable);
        }
        let mut result = Adjoint::zero(objective, GradientQuality::Exact);
        if !job.converged {
            result.worsen(GradientQuality::Inexact);
        }
        let mut v = job.v.clone();
        if objective.bounded {
            find_held(objective, job.x, &self.at.gradient, &mut self.held);
            if self.has_weak_bound(job.x) {
                result.worsen(GradientQuality::Degenerate);
            }
            for (v, held) in v.iter_mut().zip(&self.held) {
                if *held {
                    *v = 0.0;
                }
            }
            self.at.hold(objective, &self.held);
        }
        self.assemble(&sample);
        let w = self.solve(&v, &mut result);
        let Some(w) = w else {
            return Adjoint::zero(objective, GradientQuality::Unavailable);
        };
        let size = norm(&v);
        if size > 0.0 {
            let mut product = vec![0.0; v.len()];
            self.multiply(&w, &mut product);
            if !self.exact {
                self.add_curvature_product(&sample, &w, &mut product);
            }
            axpy(-1.0, &v, &mut product);
            result.residual = norm(&product) / size;
            if !(result.residual <= ACCURATE) {
                result.worsen(GradientQuality::Inexact);
            }
        } else {
            result.residual = 0.0;
        }
        let z = w.iter().map(|w| -w).collect();
        let cotangent = Cotangent::of_gradient(objective, &self.at, z);
        propagate(
            objective,
            &sample,
            &self.at,
            &cotangent,
            None,
            &mut result.auxiliaries,
        );
        result
    }

    /// Whether a coordinate is at a bound that the gradient does not press it against.
    fn has_weak_bound(&self, x: &[f64]) -> bool {
        // The gradient is a sum of products; below this it is the rounding of that sum.
        let rounding = 1e-9 * (1.0 + norm(&self.at.rows));
        self.objective.variables.iter().any(|variable| {
            variable.manifold.bounds().is_some_and(|bounds| {
                (0..bounds.lower.len()).any(|i| {
                    let x = x[variable.place + i];
                    let at_bound = x <= bounds.lower[i] || x >= bounds.upper[i];
                    at_bound && self.at.gradient[variable.column + i].abs() <= rounding
                })
            })
        })
    }

    fn assemble(&mut self, sample: &Sample<'_>) {
        for (index, block) in self.blocks.iter_mut().enumerate() {
            let term = &self.objective.terms[index];
            hessian::of_term(self.objective, index, sample, &self.at, self.exact, block);
            for (local, column) in term.columns.iter().enumerate() {
                if self.held[*column] {
                    for other in 0..term.width {
                        block[local * term.width + other] = 0.0;
                        block[other * term.width + local] = 0.0;
                    }
                }
            }
        }
    }

    /// `out` = the assembled matrix times `x`, the identity where a coordinate is held.
    fn multiply(&self, x: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        let mut gathered = Vec::new();
        let mut local = Vec::new();
        for (term, block) in self.objective.terms.iter().zip(&self.blocks) {
            local.resize(term.width, 0.0);
            multiply(block, term.gather(x, &mut gathered), &mut local);
            for (value, column) in local.iter().zip(&term.columns) {
                out[*column] += value;
            }
        }
        for (i, held) in self.held.iter().enumerate() {
            if *held {
                out[i] = x[i];
            }
        }
    }

    /// Adds what the Gauss-Newton matrix leaves out, times `x`.
    fn add_curvature_product(&self, sample: &Sample<'_>, x: &[f64], out: &mut [f64]) {
        let mut gathered = Vec::new();
        for (index, term) in self.objective.terms.iter().enumerate() {
            let mut block = vec![0.0; term.width * term.width];
            hessian::add_curvature(self.objective, index, sample, &self.at, &mut block);
            let mut local = vec![0.0; term.width];
            add_transposed(&block, term.gather(x, &mut gathered), &mut local);
            for (value, column) in local.iter().zip(&term.columns) {
                if !self.held[*column] {
                    out[*column] += value;
                }
            }
        }
    }

    fn solve(&mut self, v: &[f64], result: &mut Adjoint) -> Option<Vec<f64>> {
        let n = v.len();
        match &mut self.solver {
            Solver::Dense(_) => self.solve_dense(v, result),
            Solver::Sparse(_) => self.solve_sparse(v, result),
            Solver::Cg {
                tolerance,
                iterations,
            } => {
                let (tolerance, iterations) = (*tolerance, *iterations);
                let mut w = vec![0.0; n];
                if !self.solve_cg(v, tolerance, iterations, &mut w) {
                    result.worsen(GradientQuality::Degenerate);
                }
                Some(w)
            }
        }
    }

    fn solve_dense(&mut self, v: &[f64], result: &mut Adjoint) -> Option<Vec<f64>> {
        let objective = self.objective;
        let n = v.len();
        let mut matrix = vec![0.0; n * n];
        for (term, block) in objective.terms.iter().zip(&self.blocks) {
            for (row, i) in block.chunks_exact(term.width).zip(&term.columns) {
                for (value, j) in row.iter().zip(&term.columns) {
                    matrix[i * n + j] += value;
                }
            }
        }
        for i in 0..n {
            if self.held[i] {
                matrix[i * n + i] = 1.0;
            }
        }
        let gauss_newton = self.gauss_newton_diagonal();
        let Solver::Dense(cholesky) = &mut self.solver else {
            return None;
        };
        let largest = matrix
            .chunks_exact(n)
            .map(|row| row.iter().map(|v| v.abs()).sum::<f64>())
            .fold(0.0, f64::max);
        // What is left of the residuals of an exactly solvable problem makes curvature that means nothing:
        // eigenvalues as small as that are not told from zero.
        let curvature = gauss_newton.map_or(0.0, |diagonal| {
            let beyond = (0..n).filter(|i| !self.held[*i]);
            beyond
                .map(|i| (matrix[i * n + i] - diagonal[i]).abs())
                .fold(0.0, f64::max)
        });
        let is_rest = curvature <= NEGLIGIBLE * largest;
        let floor = (largest / SINGULAR).max(if is_rest { 10.0 * curvature } else { 0.0 });
        if objective.rows < n && is_rest {
            result.worsen(GradientQuality::Degenerate);
            return self.solve_rows(v, result);
        }
        if cholesky.factor(&matrix, |_, _| 0.0) {
            let inverse = inverse_norm(n, |x| cholesky.solve(x));
            result.condition = largest * inverse;
            if inverse * floor < 1.0 {
                let mut w = v.to_vec();
                cholesky.solve(&mut w);
                return Some(w);
            }
        }
        // Singular or not positive: the pseudoinverse.
        let eigen = Mat::from_fn(n, n, |i, j| matrix[i * n + j])
            .self_adjoint_eigen(Side::Lower)
            .ok()?;
        let (values, vectors) = (eigen.S().column_vector(), eigen.U());
        let mut w = vec![0.0; n];
        let mut smallest = f64::INFINITY;
        for k in 0..n {
            let value = values[k];
            smallest = smallest.min(value.abs());
            if value <= floor {
                result.worsen(GradientQuality::Degenerate);
            }
            if value.abs() > floor {
                let along = (0..n).map(|i| vectors[(i, k)] * v[i]).sum::<f64>() / value;
                (0..n).for_each(|i| w[i] += along * vectors[(i, k)]);
            }
        }
        result.condition = largest / smallest;
        Some(w)
    }

    /// The diagonal of the Gauss-Newton part, where the matrix has more.
    fn gauss_newton_diagonal(&self) -> Option<Vec<f64>> {
        if !self.exact {
            return None;
        }
        let mut diagonal = vec![0.0; self.objective.tangent];
        for term in &self.objective.terms {
            for row in self.at.block(term).chunks_exact(term.width) {
                for (value, column) in row.iter().zip(&term.columns) {
                    diagonal[*column] += value * value;
                }
            }
        }
        Some(diagonal)
    }

    /// w = Jᵀ(JJᵀ)⁻²Jv, the least-norm solution of JᵀJw = v for fewer rows than variables.
    fn solve_rows(&self, v: &[f64], result: &mut Adjoint) -> Option<Vec<f64>> {
        let objective = self.objective;
        let (m, n) = (objective.rows, objective.tangent);
        let mut jacobian = vec![0.0; m * n];
        whole_jacobian(objective, &self.at, &mut jacobian);
        let mut gram = vec![0.0; m * m];
        gram_of_rows(&jacobian, m, n, &mut gram);
        let mut y = vec![0.0; m];
        multiply(&jacobian, v, &mut y);
        let mut w = vec![0.0; n];
        let mut cholesky = Cholesky::new(m);
        if cholesky.factor(&gram, |_, _| 0.0) {
            let largest: f64 = (0..m).map(|i| gram[i * m + i]).fold(0.0, f64::max);
            result.condition = largest * inverse_norm(m, |x| cholesky.solve(x));
            cholesky.solve(&mut y);
            cholesky.solve(&mut y);
        } else {
            let eigen = Mat::from_fn(m, m, |i, j| gram[i.min(j) * m + i.max(j)])
                .self_adjoint_eigen(Side::Lower)
                .ok()?;
            let (values, vectors) = (eigen.S().column_vector(), eigen.U());
            let floor = values[m - 1] / SINGULAR;
            let mut z = vec![0.0; m];
            for k in (0..m).filter(|k| values[*k] > floor) {
                let along = (0..m).map(|i| vectors[(i, k)] * y[i]).sum::<f64>();
                let along = along / (values[k] * values[k]);
                (0..m).for_each(|i| z[i] += along * vectors[(i, k)]);
            }
            y = z;
            result.condition = f64::INFINITY;
        }
        add_transposed(&jacobian, &y, &mut w);
        for (i, held) in self.held.iter().enumerate() {
            if *held {
                w[i] = 0.0;
            }
        }
        Some(w)
    }

    fn solve_sparse(&mut self, v: &[f64], result: &mut Adjoint) -> Option<Vec<f64>> {
        let Solver::Sparse(sparse) = &mut self.solver else {
            return None;
        };
        sparse.load_blocks(self.objective, &self.blocks, &self.held);
        let largest = sparse.norm();
        if sparse.factor(crate::linear::Damp::NONE) {
            // Of the matrix scaled to a unit diagonal, which is what the accuracy of a Cholesky factor
            // depends on (Higham, theorem 10.6): units that differ are no singularity.
            let roots = sparse.diagonal_roots();
            let scaled_solve = |x: &mut [f64]| {
                x.iter_mut().zip(&roots).for_each(|(x, root)| *x *= root);
                sparse.solve(x);
                x.iter_mut().zip(&roots).for_each(|(x, root)| *x *= root);
            };
            let inverse = inverse_norm(v.len(), scaled_solve);
            result.condition = sparse.scaled_norm(&roots) * inverse;
            if result.condition < SINGULAR {
                let mut w = v.to_vec();
                sparse.solve(&mut w);
                return Some(w);
            }
        }
        result.worsen(GradientQuality::Degenerate);
        // Not positive, or singular: LU tells which.
        if let Some(lu) = sparse.indefinite() {
            let solve = |x: &mut [f64]| {
                let n = x.len();
                lu.solve_in_place(MatMut::from_column_major_slice_mut(x, n, 1));
            };
            result.condition = largest * inverse_norm(v.len(), solve);
            if result.condition < SINGULAR {
                let mut w = v.to_vec();
                solve(&mut w);
                return Some(w);
            }
        }
        result.condition = f64::INFINITY;
        least_norm(sparse, v, largest)
    }

    /// Conjugate gradients on the assembled blocks, preconditioned by the diagonal; false where they meet
    /// a direction that the matrix is not positive along.
    fn solve_cg(&self, v: &[f64], tolerance: f64, iterations: usize, w: &mut [f64]) -> bool {
        let n = v.len();
        let mut diagonal = vec![0.0; n];
        for (term, block) in self.objective.terms.iter().zip(&self.blocks) {
            for (local, column) in term.columns.iter().enumerate() {
                diagonal[*column] += block[local * term.width + local];
            }
        }
        for (d, held) in diagonal.iter_mut().zip(&self.held) {
            if *held || !(*d > 0.0) {
                *d = 1.0;
            }
        }
        let precondition =
            |r: &[f64]| -> Vec<f64> { r.iter().zip(&diagonal).map(|(r, d)| r / d).collect() };
        let mut r = v.to_vec();
        let mut z = precondition(&r);
        let mut p = z.clone();
        let mut q = vec![0.0; n];
        let mut rz = dot(&r, &z);
        let target = tolerance * norm(v);
        for _ in 0..iterations {
            if norm(&r) <= target {
                break;
            }
            self.multiply(&p, &mut q);
            let curvature = dot(&p, &q);
            if !(curvature > f64::EPSILON * f64::EPSILON * dot(&p, &p)) {
                return false;
            }
            let alpha = rz / curvature;
            axpy(alpha, &p, w);
            axpy(-alpha, &q, &mut r);
            z = precondition(&r);
            let next = dot(&r, &z);
            let beta = next / rz;
            rz = next;
            for (p, z) in p.iter_mut().zip(&z) {
                *p = z + beta * *p;
            }
        }
        true
    }
}

/// The least-norm solution for a singular positive semidefinite matrix, by its regular neighbour
/// H + εI, of which ε(H + εI)⁻¹ is the projection on the null space but for ε/(λ + ε).
fn least_norm(sparse: &mut Sparse<'_>, v: &[f64], largest: f64) -> Option<Vec<f64>> {
    // Between the rounding of the matrix and its smallest eigenvalue above it, wherever that is.
    let epsilon = 1e-9 * largest;
    let damp = crate::linear::Damp {
        lambda: epsilon,
        shape: crate::settings::Shape::Spherical,
    };
    if !(epsilon > 0.0) || !sparse.factor(damp) {
        return None;
    }
    // Takes off the part in the null space, and of the others a part of (ε/(λ + ε))³.
    let purge = |sparse: &mut Sparse<'_>, x: &mut [f64]| {
        for _ in 0..2 {
            let mut null = x.to_vec();
            for _ in 0..3 {
                sparse.solve(&mut null);
                null.iter_mut().for_each(|v| *v *= epsilon);
            }
            axpy(-1.0, &null, x);
        }
    };
    let mut step = v.to_vec();
    purge(sparse, &mut step);
    // Iterated regularisation: w ← w + (H + εI)⁻¹(v − Hw), of which the error falls by ε/(λ + ε).
    let mut w = vec![0.0; v.len()];
    for _ in 0..4 {
        sparse.solve(&mut step);
        axpy(1.0, &step, &mut w);
        // v − H(w + s) = εs for the residual v − Hw = (H + εI)s.
        step.iter_mut().for_each(|v| *v *= epsilon);
    }
    // What rounding left of v in the null space was divided by ε.
    purge(sparse, &mut w);
    Some(w)
}

/// Unknowns from which on the solves of an estimate count beside the factor.
const MANY: usize = 1000;

/// An estimate from below of ‖H⁻¹‖₁ for a symmetric H, from solves alone (Higham, *Accuracy and stability
/// of numerical algorithms*, algorithm 15.1).
pub(super) fn inverse_norm(n: usize, mut solve: impl FnMut(&mut [f64])) -> f64 {
    let mut x = vec![1.0 / n as f64; n];
    let mut estimate = 0.0;
    let mut last = usize::MAX;
    // A round is two solves; later ones seldom double the estimate.
    let rounds = if n > MANY { 2 } else { 4 };
    for round in 1..=rounds {
        solve(&mut x);
        let sum: f64 = x.iter().map(|v| v.abs()).sum();
        if !(sum > estimate) {
            break;
        }
        estimate = sum;
        if round == rounds {
            break;
        }
        x.iter_mut()
            .for_each(|v| *v = if *v < 0.0 { -1.0 } else { 1.0 });
        solve(&mut x);
        let mut largest = 0;
        for (i, v) in x.iter().enumerate() {
            if v.abs() > x[largest].abs() {
                largest = i;
            }
        }
        if largest == last {
            break;
        }
        last = largest;
        x.fill(0.0);
        x[largest] = 1.0;
    }
    estimate
}
