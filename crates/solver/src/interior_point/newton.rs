//! The condensed Newton system of one iteration:
//! `(Zᵀ(P + Σ2μ_iH_i)Z + EᵀDE + δI) dz = r`, `E` the rows' gradients in `z`, `D = λ/s`.
//!
//! Dense Cholesky of size `free`, or, when everything but the rows is a positive diagonal, Cholesky
//! of the rows' system by the Sherman-Morrison-Woodbury identity.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::{MatMut, MatRef, Par};

use crate::adjoint::direction::write_lagrangian_hessian;
use crate::dense::{add_multiply, axpy, dot, max_abs, multiply, view, view_mut, zeros};
use crate::interior_point::model::{Model, Values};
use crate::packed::{packed_cholesky, solve_packed};
use crate::problem::Matrix;

/// First regularisation of the dense system, relative to its largest diagonal entry. It acts as a
/// proximal term: it slows the step along flat directions but does not move the solution.
const REGULARISATION: f64 = 1e-13;

/// A factored Newton system, its memory kept from one sample to the next.
#[derive(Default)]
pub(crate) struct Newton {
    /// Gradients of the rows in `z`: linear ones (fixed), then quadratic ones. `[rows, free]`.
    rows: Vec<f64>,
    weights: Vec<f64>,
    multipliers: Vec<f64>,
    /// Diagonal of `P + Σ 2μ_iH_i`, or all of it.
    hessian: Vec<f64>,
    /// Rows with their weights, `[rows, free]`: those of the Newton system in the dense form, with the inverse of
    /// the diagonal in the other.
    weighted: Vec<f64>,
    form: Form,
    dense: Dense,
    /// Inverse of the diagonal part.
    inverse: Vec<f64>,
    /// Packed factor of `D⁻¹ + E · inverse · Eᵀ`.
    factor: Vec<f64>,
}

/// Which system is factored.
#[derive(Clone, Copy, Default, PartialEq)]
enum Form {
    /// That of the variables.
    #[default]
    Dense,
    /// That of the rows.
    Rows,
}

#[derive(Default)]
struct Dense {
    /// Whether no quadratic row changes the Hessian.
    is_constant: bool,
    /// Then `Zᵀ P Z`.
    constant: Vec<f64>,
    /// `[free, free]`
    matrix: Vec<f64>,
    /// Scratch of [`reduce`].
    product: Vec<f64>,
    /// Its Cholesky factor, by columns.
    lower: Vec<f64>,
    /// What a factorisation of so many rows works in.
    buffer: Option<(usize, MemBuffer)>,
}

impl Newton {
    /// Makes room for a model, and computes what stays fixed.
    pub(crate) fn prepare(&mut self, model: &Model<'_>) {
        let d = model.prepared.free;
        let count = model.linear.len() + model.quadratic.len();
        zeros(&mut self.rows, count * d);
        if d > 0 {
            let rows = self.rows.chunks_exact_mut(d).take(model.linear.len());
            for (position, row) in rows.enumerate() {
                row.copy_from_slice(model.reduced_row(position));
            }
        }
        zeros(&mut self.weights, count);
        zeros(&mut self.multipliers, model.sample.c.len());
        zeros(&mut self.weighted, count * d);
        if model.prepared.diagonal_plus_rows(model.sample) {
            self.form = Form::Rows;
            zeros(&mut self.inverse, d);
            return;
        }
        self.form = Form::Dense;
        let dense = &mut self.dense;
        zeros(&mut dense.matrix, d * d);
        zeros(&mut dense.lower, d * d);
        if dense.buffer.as_ref().is_none_or(|(rows, _)| *rows < d) {
            let scratch = cholesky_in_place_scratch::<f64>(d, Par::Seq, Default::default());
            dense.buffer = Some((d, MemBuffer::new(scratch)));
        }
        dense.is_constant = model.quadratic.is_empty();
        if dense.is_constant {
            let out = &mut dense.constant;
            zeros(out, d * d);
            reduce(model, model.sample.p, &mut dense.product, out);
            out.iter_mut().for_each(|v| *v *= model.cost_scale);
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
        match self.form {
            Form::Rows => self.factor_rows(model),
            Form::Dense => self.factor_dense(model),
        }
    }

    #[inline(always)]
    fn factor_rows(&mut self, model: &Model<'_>) -> bool {
        let (d, count) = (model.prepared.free, self.weights.len());
        if !write_lagrangian_hessian(model.sample, &self.multipliers, &mut self.hessian) {
            return false;
        }
        for (inverse, v) in self.inverse.iter_mut().zip(&self.hessian) {
            *inverse = 1.0 / (model.cost_scale * v);
        }
        self.factor.clear();
        for i in 0..count {
            let row = &self.rows[i * d..(i + 1) * d];
            let line = &mut self.weighted[i * d..(i + 1) * d];
            for ((line, row), inverse) in line.iter_mut().zip(row).zip(&self.inverse) {
                *line = row * inverse;
            }
            for j in 0..i {
                self.factor.push(dot(line, &self.rows[j * d..(j + 1) * d]));
            }
            self.factor.push(dot(line, row) + 1.0 / self.weights[i]);
        }
        packed_cholesky(&mut self.factor, count)
    }

    #[inline(always)]
    fn factor_dense(&mut self, model: &Model<'_>) -> bool {
        let (d, count) = (model.prepared.free, self.weights.len());
        let dense = &mut self.dense;
        let matrix = &mut dense.matrix;
        match dense.is_constant {
            true => matrix.copy_from_slice(&dense.constant),
            false => {
                let hessian = &mut self.hessian;
                let hessian =
                    match write_lagrangian_hessian(model.sample, &self.multipliers, hessian) {
                        true => Matrix::Diagonal(hessian),
                        false => Matrix::Dense(hessian),
                    };
                reduce(model, hessian, &mut dense.product, matrix);
                matrix.iter_mut().for_each(|v| *v *= model.cost_scale);
            }
        }
        if d > 0 {
            let lines = self.weighted.chunks_exact_mut(d);
            for ((line, row), weight) in lines.zip(self.rows.chunks_exact(d)).zip(&self.weights) {
                for (line, row) in line.iter_mut().zip(row) {
                    *line = row * weight;
                }
            }
        }
        add_multiply(
            view_mut(matrix, d, d),
            1.0,
            view(&self.rows, count, d).transpose(),
            view(&self.weighted, count, d),
        );
        let largest = (0..d)
            .map(|i| matrix[i * d + i].abs())
            .fold(1e-30, f64::max);
        let Some((_, buffer)) = &mut dense.buffer else {
            return false;
        };
        let mut shift = REGULARISATION * largest.clamp(1.0, 1e3);
        for _ in 0..8 {
            for i in 0..d {
                matrix[i * d + i] += shift;
            }
            let mut lower = MatMut::from_column_major_slice_mut(&mut dense.lower, d, d);
            lower.copy_from_triangular_lower(view(matrix, d, d));
            let factored = cholesky_in_place(
                lower,
                Default::default(),
                Par::Seq,
                MemStack::new(buffer),
                Default::default(),
            );
            if factored.is_ok() {
                return max_abs(matrix).is_finite();
            }
            shift *= 100.0;
        }
        false
    }

    /// Solves in place; `inside` is scratch.
    #[inline(always)]
    pub(crate) fn solve(&self, rhs: &mut [f64], inside: &mut Vec<f64>) {
        let d = rhs.len();
        match self.form {
            Form::Dense => {
                if d > 0 {
                    let lower = MatRef::from_column_major_slice(&self.dense.lower, d, d);
                    let mut column = MatMut::from_column_major_slice_mut(rhs, d, 1);
                    lower.solve_lower_triangular_in_place(column.as_mut());
                    lower
                        .transpose()
                        .solve_upper_triangular_in_place(column.as_mut());
                }
            }
            Form::Rows => {
                let lines = self.weighted.chunks_exact(d);
                inside.clear();
                inside.extend(lines.clone().map(|row| dot(row, rhs)));
                solve_packed(&self.factor, inside);
                for (v, inverse) in rhs.iter_mut().zip(&self.inverse) {
                    *v *= inverse;
                }
                for (row, v) in lines.zip(inside.iter()) {
                    axpy(-v, row, rhs);
                }
            }
        }
    }
}

/// `out = Zᵀ M Z`; `product` is scratch.
fn reduce(model: &Model<'_>, matrix: Matrix<'_>, product: &mut Vec<f64>, out: &mut [f64]) {
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
    zeros(product, n * d);
    match matrix {
        Matrix::Dense(data) => multiply(view_mut(product, n, d), 1.0, view(data, n, n), null),
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
        view(product, n, d),
    );
}
