//! The adjoint system with a sparse matrix: by the last factor of the solve where there is one, else by a
//! factor of its own.
//!
//! The factor that the last step was made with is of the Gauss-Newton matrix a step before the end. Conjugate
//! gradients with it as preconditioner see a matrix near the identity, as what it lacks of the exact Hessian is
//! small where residuals are: a few iterations, each a pair of triangular solves, against a factorisation.

use faer::MatMut;

use super::condition::{InverseNorm, inverse_norm};
use super::{SINGULAR, System};
use crate::backward::Adjoint;
use crate::backward::hessian::Curvature;
use crate::dense::{axpy, dot};
use crate::linear::Damp;
use crate::linear::sparse::Sparse;
use crate::settings::Shape;
use crate::status::GradientQuality;

pub(super) struct SparseAdjoint<'a> {
    sparse: Sparse<'a>,
    /// The entries of the exact Hessian, where that is not the matrix itself.
    exact: Vec<f64>,
}

/// What iterations by a factor of another matrix reach: the error relative to the solution in the norm of the
/// matrix, ‖r‖ by M⁻¹. One more correction by the factor, of a rate of at most a digit, follows.
const ENERGY: f64 = 1e-9;

/// Iterations up to which they are cheaper than a factorisation, for graphs of a few thousand poses.
const FEW: usize = 10;

/// How many times smaller the matrix may be than the one whose factor is used, along what is known of it,
/// before a factor of its own decides whether it is singular.
const SMALLER: f64 = 1e-3;

impl<'a> SparseAdjoint<'a> {
    pub(super) fn new(sparse: Sparse<'a>) -> Self {
        let exact = Vec::new();
        Self { sparse, exact }
    }

    pub(super) fn assemble(&mut self, system: &System<'_>, curvature: &mut Curvature) {
        let objective = system.objective;
        match system.matrix {
            Some(known) => {
                self.sparse.matrix.clear();
                self.sparse.matrix.extend_from_slice(known);
            }
            None => self.sparse.load(objective, system.at, system.held),
        }
        let mut values = std::mem::take(&mut self.exact);
        if system.exact {
            std::mem::swap(&mut values, &mut self.sparse.matrix);
        } else {
            values.clone_from(&self.sparse.matrix);
        }
        self.sparse
            .add_parts(objective, system.held, &mut values, |index, part| {
                curvature.add(objective, index, &system.sample, system.at, part);
            });
        if system.exact {
            std::mem::swap(&mut values, &mut self.sparse.matrix);
        }
        self.exact = values;
    }

    /// `out` = the exact Hessian times `x`, whichever the matrix is.
    pub(super) fn multiply_exact(&self, system: &System<'_>, x: &[f64], out: &mut [f64]) {
        let values = if system.exact {
            &self.sparse.matrix
        } else {
            &self.exact
        };
        self.sparse.multiply(values, x, out);
    }

    pub(super) fn solve(
        &mut self,
        v: &[f64],
        factor: Option<&[f64]>,
        result: &mut Adjoint,
    ) -> Option<Vec<f64>> {
        if let Some((w, condition)) = factor.and_then(|factor| self.solve_by(factor, v)) {
            result.condition = condition;
            return Some(w);
        }
        if self.sparse.factor(Damp::NONE) {
            let factor = self.sparse.take_factor();
            let mut estimate = self.estimate(v.len());
            let mut w = v.to_vec();
            self.solve_with(&factor, &mut w, &mut estimate);
            while estimate.norm.asked().is_some() {
                self.solve_with(&factor, &mut [], &mut estimate);
            }
            result.condition = self.condition(&estimate);
            if result.condition < SINGULAR {
                return Some(w);
            }
        }
        result.worsen(GradientQuality::Degenerate);
        let largest = self.sparse.norm();
        // Not positive, or singular: LU tells which.
        if let Some(lu) = self.sparse.indefinite() {
            let solve = |x: &mut [f64]| {
                use faer::linalg::solvers::Solve;
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
        least_norm(&mut self.sparse, v, largest)
    }

    /// Conjugate gradients preconditioned by a factor of another matrix, and the condition, estimated beside
    /// them. `None` where they are slow, or meet a direction that the matrix is small or not positive along.
    fn solve_by(&mut self, factor: &[f64], v: &[f64]) -> Option<(Vec<f64>, f64)> {
        let n = v.len();
        let mut estimate = self.estimate(n);
        let mut w = vec![0.0; n];
        let mut r = v.to_vec();
        let mut z = r.clone();
        self.solve_with(factor, &mut z, &mut estimate);
        let mut p = z.clone();
        let mut q = vec![0.0; n];
        let mut rz = dot(&r, &z);
        let target = ENERGY * ENERGY * rz;
        let mut smallest = f64::INFINITY;
        let mut digits = rz;
        for _ in 0..FEW {
            if rz <= target {
                break;
            }
            // At least a digit in two iterations, of the square one in one.
            if !(rz <= digits) {
                return None;
            }
            digits *= 0.1;
            self.sparse.multiply(&self.sparse.matrix, &p, &mut q);
            let curvature = dot(&p, &q);
            let alpha = rz / curvature;
            if !(curvature > 0.0) {
                return None;
            }
            axpy(alpha, &p, &mut w);
            axpy(-alpha, &q, &mut r);
            z.copy_from_slice(&r);
            self.solve_with(factor, &mut z, &mut estimate);
            // The pivots of the Lanczos matrix of M⁻¹H, and so not below the least of its spectrum.
            smallest = smallest.min(alpha.recip());
            let next = dot(&r, &z);
            let beta = next / rz;
            rz = next;
            for (p, z) in p.iter_mut().zip(&z) {
                *p = z + beta * *p;
            }
        }
        if !(rz <= target) {
            return None;
        }
        axpy(1.0, &z, &mut w);
        while estimate.norm.asked().is_some() {
            self.solve_with(factor, &mut [], &mut estimate);
        }
        // Along the column of the inverse that was the largest the matrix is the nearest to singular.
        if let Some((column, entry)) = &estimate.column {
            self.sparse.multiply(&self.sparse.matrix, column, &mut q);
            smallest = smallest.min(dot(column, &q) / entry);
        }
        if !(smallest > SMALLER) {
            return None;
        }
        let condition = self.condition(&estimate) / smallest.min(1.0);
        (condition < SINGULAR).then_some((w, condition))
    }

    fn estimate(&self, n: usize) -> Estimate {
        Estimate {
            norm: InverseNorm::new(n),
            scales: self.sparse.unit_scales(),
            both: Vec::with_capacity(2 * n),
            column: None,
        }
    }

    /// `x` ← by the factor, unless it is empty, and what the estimate asks for in the same pass.
    fn solve_with(&mut self, factor: &[f64], x: &mut [f64], estimate: &mut Estimate) {
        let Estimate {
            norm,
            scales,
            both,
            column,
        } = estimate;
        let unit = norm.column();
        let Some(asked) = norm.asked() else {
            return self.sparse.solve_by(factor, x);
        };
        both.clear();
        both.extend_from_slice(x);
        both.extend(asked.iter().zip(scales.iter()).map(|(a, s)| a / s));
        self.sparse.solve_by(factor, both);
        let (solved, answer) = both.split_at(x.len());
        x.copy_from_slice(solved);
        for ((asked, answer), scale) in asked.iter_mut().zip(answer).zip(scales.iter()) {
            *asked = answer / scale;
        }
        if let Some(unit) = unit {
            // xᵀMx for Mx = e/s.
            *column = Some((answer.to_vec(), answer[unit] / scales[unit]));
        }
        norm.answered();
    }

    /// Of the matrix scaled to a unit diagonal, which is what the accuracy of a Cholesky factor depends on
    /// (Higham, *Accuracy and stability of numerical algorithms*, theorem 10.6): units that differ are no
    /// singularity.
    fn condition(&self, estimate: &Estimate) -> f64 {
        let values = &self.sparse.matrix;
        self.sparse.scaled_norm(values, &estimate.scales) * estimate.norm.estimate()
    }
}

/// Of the norm of the inverse of a matrix scaled to a unit diagonal.
struct Estimate {
    norm: InverseNorm,
    /// What scales it.
    scales: Vec<f64>,
    /// Two right-hand sides.
    both: Vec<f64>,
    /// The last single column x that was solved for, and its energy xᵀMx.
    column: Option<(Vec<f64>, f64)>,
}

/// The least-norm solution for a singular positive semidefinite matrix, by its regular neighbour
/// H + εI, of which ε(H + εI)⁻¹ is the projection on the null space but for ε/(λ + ε).
fn least_norm(sparse: &mut Sparse<'_>, v: &[f64], largest: f64) -> Option<Vec<f64>> {
    // Between the rounding of the matrix and its smallest eigenvalue above it, wherever that is.
    let epsilon = 1e-9 * largest;
    let damp = Damp {
        lambda: epsilon,
        shape: Shape::Spherical,
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
