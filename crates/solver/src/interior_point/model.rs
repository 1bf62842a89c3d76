//! One sample as the interior point sees it: scaled, equalities eliminated, every finite bound a
//! row `c_j(x) ≤ 0` of its own.

use crate::dense::{axpy, dot, max_abs, zeros};
use crate::fixed::{Verdict, judge};
use crate::interior_point::prepared::Prepared;
use crate::problem::Sample;
use crate::settings::Settings;

/// One-sided rows: first those of `G`, then the quadratic ones.
pub(crate) struct Model<'a> {
    pub(crate) sample: &'a Sample<'a>,
    pub(crate) prepared: &'a Prepared,
    /// Factor of the objective.
    pub(crate) cost_scale: f64,
    /// A point that satisfies the equalities, `[n]`.
    pub(crate) origin: Vec<f64>,
    /// Rows of `G` in use.
    pub(crate) linear: Vec<usize>,
    /// One-sided linear rows: position in `linear`, sign (`+1` upper), scaled bound times sign.
    pub(crate) sides: Vec<Side>,
    /// Quadratic rows in use.
    pub(crate) quadratic: Vec<usize>,
    /// `1 + |bound|` of every one-sided row: what its residual is measured against. A row's own
    /// bound, so that a huge one elsewhere excuses nothing here.
    pub(crate) row_size: Vec<f64>,
}

/// `sign · g̃ᵀx ≤ bound`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    pub(crate) position: usize,
    pub(crate) sign: f64,
    pub(crate) bound: f64,
}

/// The lists of a [`Model`], kept from one sample to the next.
#[derive(Default)]
pub(crate) struct Memory {
    origin: Vec<f64>,
    linear: Vec<usize>,
    sides: Vec<Side>,
    quadratic: Vec<usize>,
    row_size: Vec<f64>,
}

/// The constraints contradict each other before anything is iterated.
pub(crate) struct Contradiction;

impl<'a> Model<'a> {
    /// Sets up one sample.
    pub(crate) fn new(
        sample: &'a Sample<'a>,
        prepared: &'a Prepared,
        settings: &Settings,
        memory: Memory,
    ) -> Result<Model<'a>, Contradiction> {
        let Memory {
            mut origin,
            mut linear,
            mut sides,
            mut quadratic,
            mut row_size,
        } = memory;
        zeros(&mut origin, sample.n);
        linear.clear();
        sides.clear();
        quadratic.clear();
        row_size.clear();
        if let Some(split) = &prepared.split {
            let (miss, size) = split.nullspace.inconsistency(sample.b);
            if miss > settings.contradiction() * (1.0 + size) {
                return Err(Contradiction);
            }
            for (j, &row) in split.nullspace.kept.iter().enumerate() {
                for (x, v) in origin.iter_mut().zip(split.particular.col(j).iter()) {
                    *x += sample.b[row] * v;
                }
            }
        }
        for i in 0..sample.l.len() {
            let scale = prepared.row_scale[i];
            let (l, u) = (sample.l[i], sample.u[i]);
            if !prepared.movable[i] {
                let verdict = judge(sample, i, &origin, settings, |row| match &prepared.split {
                    Some(split) => split.nullspace.combination_of(row),
                    None => Vec::new(),
                });
                // What is unclear shows in the answer's residual.
                if let Verdict::Contradicts { .. } = verdict {
                    return Err(Contradiction);
                }
                continue;
            }
            let position = linear.len();
            for (bound, sign) in [(u, 1.0), (l, -1.0)] {
                if bound.is_finite() {
                    row_size.push(1.0 + (scale * bound).abs());
                    sides.push(Side {
                        position,
                        sign,
                        bound: sign * scale * bound,
                    });
                }
            }
            if l.is_finite() || u.is_finite() {
                linear.push(i);
            }
        }
        for i in 0..sample.c.len() {
            let scale = prepared.quadratic_scale[i];
            if scale == 0.0 {
                if sample.c[i] < 0.0 {
                    return Err(Contradiction);
                }
            } else if sample.c[i].is_finite() {
                row_size.push(1.0 + (scale * sample.c[i]).abs());
                quadratic.push(i);
            }
        }
        let size = prepared.p_size.max(max_abs(sample.q));
        let cost_scale = if size > 0.0 { 1.0 / size } else { 1.0 };
        Ok(Model {
            sample,
            prepared,
            cost_scale,
            origin,
            linear,
            sides,
            quadratic,
            row_size,
        })
    }

    /// What it was made in.
    pub(crate) fn into_memory(self) -> Memory {
        Memory {
            origin: self.origin,
            linear: self.linear,
            sides: self.sides,
            quadratic: self.quadratic,
            row_size: self.row_size,
        }
    }

    /// The largest of the rows' residuals, each relative to its bound; NaN when one is.
    #[inline(always)]
    pub(crate) fn relative_rows(&self, residuals: &[f64]) -> f64 {
        let mut worst = 0.0f64;
        for (residual, size) in residuals.iter().zip(&self.row_size) {
            let relative = residual.abs() / size;
            if relative > worst || relative.is_nan() {
                worst = relative;
            }
        }
        worst
    }

    /// One-sided rows in all.
    pub(crate) fn count(&self) -> usize {
        self.sides.len() + self.quadratic.len()
    }

    /// `x = origin + Z z`.
    #[inline(always)]
    pub(crate) fn lift(&self, z: &[f64], x: &mut [f64]) {
        x.copy_from_slice(&self.origin);
        match &self.prepared.split {
            None => axpy(1.0, z, x),
            Some(split) => {
                if z.is_empty() {
                    return;
                }
                for (x, row) in x.iter_mut().zip(split.null.chunks_exact(z.len())) {
                    *x += dot(row, z);
                }
            }
        }
    }

    /// `out = Zᵀ v`.
    #[inline(always)]
    pub(crate) fn project(&self, v: &[f64], out: &mut [f64]) {
        match &self.prepared.split {
            None => out.copy_from_slice(v),
            Some(split) => {
                out.fill(0.0);
                if out.is_empty() {
                    return;
                }
                for (v, row) in v.iter().zip(split.null.chunks_exact(out.len())) {
                    axpy(*v, row, out);
                }
            }
        }
    }

    /// Scaled row of `G` at a position of `linear`.
    #[inline(always)]
    pub(crate) fn row(&self, position: usize) -> &[f64] {
        let (n, i) = (self.sample.n, self.linear[position]);
        &self.prepared.rows[i * n..(i + 1) * n]
    }

    /// Scaled row in `z`.
    #[inline(always)]
    pub(crate) fn reduced_row(&self, position: usize) -> &[f64] {
        if self.prepared.split.is_none() {
            return self.row(position);
        }
        let (d, i) = (self.prepared.free, self.linear[position]);
        &self.prepared.reduced_rows[i * d..(i + 1) * d]
    }

    /// Scale of a quadratic row in use.
    #[inline(always)]
    pub(crate) fn quadratic_scale(&self, position: usize) -> f64 {
        self.prepared.quadratic_scale[self.quadratic[position]]
    }
}

/// Values and gradients at a point.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    pub(crate) x: Vec<f64>,
    /// Scaled objective.
    pub(crate) cost: f64,
    /// Scaled objective's gradient in `x`, `[n]`.
    pub(crate) cost_gradient: Vec<f64>,
    /// `c_j(x)`, `[count]`.
    pub(crate) rows: Vec<f64>,
    /// Scaled quadratic rows' gradients in `x`, `[quadratic, n]`.
    pub(crate) jacobian: Vec<f64>,
    products: Vec<f64>,
}

impl Values {
    /// Makes room for a model's.
    pub(crate) fn prepare(&mut self, model: &Model<'_>) {
        let n = model.sample.n;
        self.cost = 0.0;
        zeros(&mut self.x, n);
        zeros(&mut self.cost_gradient, n);
        zeros(&mut self.rows, model.count());
        zeros(&mut self.jacobian, model.quadratic.len() * n);
        zeros(&mut self.products, model.linear.len());
    }

    /// Evaluates at `z`.
    #[inline(always)]
    pub(crate) fn evaluate(&mut self, model: &Model<'_>, z: &[f64]) {
        let (sample, n) = (model.sample, model.sample.n);
        model.lift(z, &mut self.x);
        self.cost_gradient.fill(0.0);
        sample
            .p
            .add_product(model.cost_scale, &self.x, &mut self.cost_gradient);
        let quadratic = 0.5 * dot(&self.cost_gradient, &self.x);
        self.cost = quadratic + model.cost_scale * dot(sample.q, &self.x);
        axpy(model.cost_scale, sample.q, &mut self.cost_gradient);
        for (position, product) in self.products.iter_mut().enumerate() {
            *product = dot(model.row(position), &self.x);
        }
        for (row, side) in self.rows.iter_mut().zip(&model.sides) {
            *row = side.sign * self.products[side.position] - side.bound;
        }
        let first = model.sides.len();
        for (position, &i) in model.quadratic.iter().enumerate() {
            let scale = model.quadratic_scale(position);
            let gradient = &mut self.jacobian[position * n..(position + 1) * n];
            gradient.fill(0.0);
            sample.h.row(i, n).add_product(scale, &self.x, gradient);
            let linear = &sample.hg[i * n..(i + 1) * n];
            self.rows[first + position] =
                dot(gradient, &self.x) + scale * (dot(linear, &self.x) - sample.c[i]);
            for (gradient, linear) in gradient.iter_mut().zip(linear) {
                *gradient = 2.0 * *gradient + scale * linear;
            }
        }
    }

    /// `out += Σ weight_j ∇c_j` in `x`.
    #[inline(always)]
    pub(crate) fn add_weighted_gradients(
        &self,
        model: &Model<'_>,
        weights: &[f64],
        combined: &mut Vec<f64>,
        out: &mut [f64],
    ) {
        let n = model.sample.n;
        combined.clear();
        combined.resize(model.linear.len(), 0.0);
        for (side, weight) in model.sides.iter().zip(weights) {
            combined[side.position] += side.sign * weight;
        }
        for (position, weight) in combined.iter().enumerate() {
            axpy(*weight, model.row(position), out);
        }
        let rest = &weights[model.sides.len()..];
        for (gradient, weight) in self.jacobian.chunks_exact(n).zip(rest) {
            axpy(*weight, gradient, out);
        }
    }

    /// `out_j = ∇c_jᵀ d` for a direction in `x`.
    #[inline(always)]
    pub(crate) fn directional(&self, model: &Model<'_>, d: &[f64], out: &mut [f64]) {
        let n = model.sample.n;
        let mut last = (usize::MAX, 0.0);
        for (out, side) in out.iter_mut().zip(&model.sides) {
            if last.0 != side.position {
                last = (side.position, dot(model.row(side.position), d));
            }
            *out = side.sign * last.1;
        }
        let first = model.sides.len();
        for (out, gradient) in out[first..].iter_mut().zip(self.jacobian.chunks_exact(n)) {
            *out = dot(gradient, d);
        }
    }
}
