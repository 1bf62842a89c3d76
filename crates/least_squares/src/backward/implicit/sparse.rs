//! The adjoint system with a sparse matrix: by the last factor of the solve where there is one, else by a
//! factor of its own.

mod kept;
#[cfg(test)]
mod tests;

use faer::MatMut;
use feasible_kernels::InverseNorm;

use super::{SINGULAR, System};
use crate::backward::Adjoint;
use crate::backward::hessian::Curvature;
use crate::dense::{axpy, norm};
use crate::linear::Damp;
use crate::linear::sparse::Sparse;
use crate::settings::Shape;
use crate::status::GradientQuality;

pub(super) struct SparseAdjoint<'a> {
    sparse: Sparse<'a>,
    /// The entries of the exact Hessian, where that is not the matrix itself.
    exact: Vec<f64>,
}

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
        system: &System<'_>,
        v: &[f64],
        factor: Option<&[f32]>,
        result: &mut Adjoint,
    ) -> Option<Vec<f64>> {
        if let Some(found) =
            factor.and_then(|factor| self.solve_by(factor, v, &system.free_gradient()))
        {
            result.condition = found.condition;
            result.newton = found.newton;
            if system.exact {
                result.residual = found.residual;
            }
            return Some(found.w);
        }
        if self.sparse.factor(Damp::NONE) {
            let factor = self.sparse.take_factor();
            let mut estimate = self.estimate(v.len());
            let (mut w, mut step) = (v.to_vec(), system.free_gradient());
            self.solve_with(&factor, vec![&mut w, &mut step], &mut estimate);
            self.finish(&factor, &mut estimate);
            result.newton = norm(&step);
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
            result.condition = largest * InverseNorm::new(vec![0.0; v.len()]).by(solve);
            if result.condition < SINGULAR {
                let mut w = v.to_vec();
                solve(&mut w);
                return Some(w);
            }
        }
        result.condition = f64::INFINITY;
        least_norm(&mut self.sparse, v, largest)
    }

    fn estimate(&self, n: usize) -> Estimate {
        Estimate {
            norm: InverseNorm::new(vec![0.0; n]),
            roots: self.sparse.diagonal_roots(),
        }
    }

    /// Replaces right-hand sides by their solutions with the factor, and in the same pass answers what the
    /// estimate asks for.
    fn solve_with<T: Copy + Into<f64>>(
        &mut self,
        factor: &[T],
        sides: Vec<&mut [f64]>,
        estimate: &mut Estimate,
    ) {
        let Estimate { norm, roots } = estimate;
        let mut sides = sides;
        let Some(asked) = norm.asked() else {
            return self.sparse.solve_by(factor, &mut sides);
        };
        scale(asked, roots);
        sides.push(&mut *asked);
        self.sparse.solve_by(factor, &mut sides);
        scale(asked, roots);
        norm.answered();
    }

    /// What the estimate still asks for.
    fn finish<T: Copy + Into<f64>>(&mut self, factor: &[T], estimate: &mut Estimate) {
        while estimate.norm.asked().is_some() {
            self.solve_with(factor, vec![], estimate);
        }
    }

    /// Of the matrix scaled to a unit diagonal, which is what the accuracy of a Cholesky factor depends on
    /// (Higham, *Accuracy and stability of numerical algorithms*, theorem 10.6): units that differ are no
    /// singularity.
    fn condition(&self, estimate: &Estimate) -> f64 {
        let scales: Vec<f64> = estimate.roots.iter().map(|root| root.recip()).collect();
        self.sparse.scaled_norm(&self.sparse.matrix, &scales) * estimate.norm.estimate()
    }
}

fn scale(x: &mut [f64], by: &[f64]) {
    x.iter_mut().zip(by).for_each(|(x, by)| *x *= by);
}

/// Of the norm of the inverse of a matrix scaled to a unit diagonal.
struct Estimate {
    norm: InverseNorm<Vec<f64>>,
    /// The square roots of the diagonal.
    roots: Vec<f64>,
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
