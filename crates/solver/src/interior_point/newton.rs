//! The condensed Newton system of one iteration:
//! `(Zᵀ(P + Σ2μ_iH_i)Z + EᵀDE + δI) dz = r`, `E` the rows' gradients in `z`, `D = λ/s`.
//!
//! Dense Cholesky of size `free`, or, when everything but the rows is a positive diagonal, Cholesky
//! of the rows' system by the Sherman-Morrison-Woodbury identity.

use faer::{Mat, Side};

use crate::adjoint::direction::{Hessian, lagrangian_hessian};
use crate::dense::{add_multiply, axpy, dot, max_abs, multiply, view, view_mut};
use crate::interior_point::model::{Model, Values};
use crate::packed::{packed_cholesky, solve_packed};
use crate::problem::Matrix;

/// First regularisation of the dense system, relative to its largest diagonal entry. It acts as a
/// proximal term: it slows the step along flat directions but does not move the solution.
const REGULARISATION: f64 = 1e-13;

/// A factored Newton system.
pub(crate) struct Newton {
    /// Gradients of the rows in `z`: linear ones (fixed), then quadratic ones. `[rows, free]`.
    rows: Vec<f64>,
    /// `Zᵀ P Z`, when no quadratic row changes the Hessian.
    constant: Option<Vec<f64>>,
    weights: Vec<f64>,
    form: Form,
    multipliers: Vec<f64>,
}

enum Form {
    Dense(Mat<f64>),
    Rows {
        /// Inverse of the diagonal part.
        inverse: Vec<f64>,
        /// `E · inverse`, `[rows, free]`.
        weighted: Vec<f64>,
        /// Packed factor of `D⁻¹ + E · inverse · Eᵀ`.
        factor: Vec<f64>,
    },
}

impl Newton {
    /// Memory and everything that stays fixed.
    pub(crate) fn new(model: &Model<'_>) -> Newton {
        let d = model.prepared.free;
        let count = model.linear.len() + model.quadratic.len();
        let mut rows = vec![0.0; count * d];
        if d > 0 {
            for (position, row) in rows
                .chunks_exact_mut(d)
                .take(model.linear.len())
                .enumerate()
            {
                row.copy_from_slice(model.reduced_row(position));
            }
        }
        let small = model.prepared.diagonal_plus_rows(model.sample);
        let constant = (!small && model.quadratic.is_empty()).then(|| {
            let mut out = vec![0.0; d * d];
            reduce(model, model.sample.p, &mut out);
            out.iter_mut().for_each(|v| *v *= model.cost_scale);
            out
        });
        let form = if small {
            Form::Rows {
                inverse: vec![0.0; d],
                weighted: vec![0.0; count * d],
                factor: Vec::with_capacity(count * (count + 1) / 2),
            }
        } else {
            Form::Dense(Mat::zeros(0, 0))
        };
        Newton {
            rows,
            constant,
            weights: vec![0.0; count],
            form,
            multipliers: vec![0.0; model.sample.c.len()],
        }
    }

    /// Factors at a point. False when no regularisation makes the system positive definite.
    #[inline(always)]
    pub(crate) fn factor(
        &mut self,
        model: &Model<'_>,
        values: &Values,
        slack: &[f64],
        dual: &[f64],
    ) -> bool {
        let (n, d) = (model.sample.n, model.prepared.free);
        let linear = model.linear.len();
        self.weights.fill(0.0);
        for (j, side) in model.sides.iter().enumerate() {
            self.weights[side.position] += dual[j] / slack[j];
        }
        let first = model.sides.len();
        for position in 0..model.quadratic.len() {
            self.weights[linear + position] = dual[first + position] / slack[first + position];
            let target = &mut self.rows[(linear + position) * d..(linear + position + 1) * d];
            model.project(&values.jacobian[position * n..(position + 1) * n], target);
        }
        // The Lagrangian's Hessian of the scaled problem, divided by the cost scale.
        self.multipliers.fill(0.0);
        for (position, &i) in model.quadratic.iter().enumerate() {
            self.multipliers[i] =
                dual[first + position] * model.quadratic_scale(position) / model.cost_scale;
        }
        match &mut self.form {
            Form::Rows {
                inverse,
                weighted,
                factor,
            } => {
                let Hessian::Diagonal(diagonal) =
                    lagrangian_hessian(model.sample, &self.multipliers)
                else {
                    return false;
                };
                for (inverse, v) in inverse.iter_mut().zip(&diagonal) {
                    *inverse = 1.0 / (model.cost_scale * v);
                }
                factor.clear();
                for i in 0..self.weights.len() {
                    let row = &self.rows[i * d..(i + 1) * d];
                    let line = &mut weighted[i * d..(i + 1) * d];
                    for ((line, row), inverse) in line.iter_mut().zip(row).zip(inverse.iter()) {
                        *line = row * inverse;
                    }
                    for j in 0..i {
                        factor.push(dot(line, &self.rows[j * d..(j + 1) * d]));
                    }
                    factor.push(dot(line, row) + 1.0 / self.weights[i]);
                }
                packed_cholesky(factor, self.weights.len())
            }
            Form::Dense(lower) => {
                let mut matrix = match &self.constant {
                    Some(constant) => constant.clone(),
                    None => {
                        let hessian = lagrangian_hessian(model.sample, &self.multipliers);
                        let mut out = vec![0.0; d * d];
                        reduce(model, hessian.as_matrix(), &mut out);
                        out.iter_mut().for_each(|v| *v *= model.cost_scale);
                        out
                    }
                };
                let count = self.weights.len();
                let mut weighted = self.rows.clone();
                if d > 0 {
                    for (row, weight) in weighted.chunks_exact_mut(d).zip(&self.weights) {
                        row.iter_mut().for_each(|v| *v *= weight);
                    }
                }
                add_multiply(
                    view_mut(&mut matrix, d, d),
                    1.0,
                    view(&self.rows, count, d).transpose(),
                    view(&weighted, count, d),
                );
                let largest = (0..d)
                    .map(|i| matrix[i * d + i].abs())
                    .fold(1e-30, f64::max);
                let mut shift = REGULARISATION * largest.clamp(1.0, 1e3);
                for _ in 0..8 {
                    for i in 0..d {
                        matrix[i * d + i] += shift;
                    }
                    if let Ok(factor) = view(&matrix, d, d).llt(Side::Lower) {
                        *lower = factor.L().to_owned();
                        return max_abs(&matrix).is_finite();
                    }
                    shift *= 100.0;
                }
                false
            }
        }
    }

    /// Solves in place.
    #[inline(always)]
    pub(crate) fn solve(&self, rhs: &mut [f64]) {
        let d = rhs.len();
        match &self.form {
            Form::Dense(lower) => {
                if d > 0 {
                    let mut column = faer::MatMut::from_column_major_slice_mut(rhs, d, 1);
                    lower.solve_lower_triangular_in_place(column.as_mut());
                    lower
                        .transpose()
                        .solve_upper_triangular_in_place(column.as_mut());
                }
            }
            Form::Rows {
                inverse,
                weighted,
                factor,
            } => {
                let mut inside: Vec<f64> =
                    weighted.chunks_exact(d).map(|row| dot(row, rhs)).collect();
                solve_packed(factor, &mut inside);
                for (v, inverse) in rhs.iter_mut().zip(inverse) {
                    *v *= inverse;
                }
                for (row, v) in weighted.chunks_exact(d).zip(&inside) {
                    axpy(-v, row, rhs);
                }
            }
        }
    }
}

/// `out = Zᵀ M Z`.
fn reduce(model: &Model<'_>, matrix: Matrix<'_>, out: &mut [f64]) {
    let (n, d) = (model.sample.n, model.prepared.free);
    let Some(split) = &model.prepared.split else {
        match matrix {
            Matrix::Dense(data) => out.copy_from_slice(data),
            Matrix::Diagonal(diagonal) => {
                out.fill(0.0);
                for (i, v) in diagonal.iter().enumerate() {
                    out[i * n + i] = *v;
                }
            }
        }
        return;
    };
    let null = view(&split.null, n, d);
    let mut product = vec![0.0; n * d];
    match matrix {
        Matrix::Dense(data) => multiply(view_mut(&mut product, n, d), 1.0, view(data, n, n), null),
        Matrix::Diagonal(diagonal) => {
            product.copy_from_slice(&split.null);
            if d > 0 {
                for (row, v) in product.chunks_exact_mut(d).zip(diagonal) {
                    row.iter_mut().for_each(|entry| *entry *= v);
                }
            }
        }
    }
    multiply(
        view_mut(out, d, d),
        1.0,
        null.transpose(),
        view(&product, n, d),
    );
}
