//! The repair's steps in reverse.
//!
//! With v the cotangent of y_{k+1} = y_k − Δ, over the rows (K = JJᵀ + λI, Δ = Jᵀμ, μ = K⁻¹r):
//! w = −K⁻¹Jv is the cotangent of r, and that of row i of J is −μ_i(v + Jᵀw) − w_iΔ. Over the
//! variables (M = JᵀJ + λI, Δ = M⁻¹Jᵀr): z = −M⁻¹v, the cotangent of r is Jz, and that of row i is
//! (r − JΔ)_i z − (Jz)_i Δ. A row's cotangent returns to y through 2H_i, that of r through J where
//! the row was outside its box. All of it is of the weighted rows where rows have weights; the gradient
//! of log w_i then is 2λμ_i w_i over the rows (w here the cotangent of r) and 2(r − JΔ)_i(Jz)_i over the
//! variables.

use rayon::prelude::*;

use super::cholesky::Scratch;
use super::factor::{Fixed, Form, load_moving};
use super::rows::add_curvature;
use super::step::{Coefficients, Step, Tape};
use super::weights::add_of_start;
use super::{DampedGradients, DampedProblem};
use crate::dense::vectorised;

/// The steps of a batch.
#[derive(Debug)]
pub(super) struct Taped {
    pub(super) samples: Vec<Tape>,
    pub(super) fixed: Option<Fixed>,
    /// λ.
    pub(super) damping: f64,
}

pub(super) fn vjp(
    problem: &DampedProblem<'_>,
    taped: &Taped,
    cotangent: &[f64],
) -> DampedGradients {
    let mut gradients = DampedGradients::of_the_start(problem, cotangent);
    gradients.samples(problem, 1).enumerate().for_each_init(
        || Reverse::new(problem, taped),
        |reverse, (sample, (v, lower, upper))| {
            vectorised(|| reverse.sample(sample, v, lower, upper));
        },
    );
    gradients
}

struct Reverse<'a> {
    problem: &'a DampedProblem<'a>,
    taped: &'a Taped,
    fixed: Option<&'a Fixed>,
    scratch: Scratch,
    /// The cotangent of r, over the rows.
    w: Vec<f64>,
    p: Vec<f64>,
    back: Vec<f64>,
    /// The gradient with respect to the logarithms of the weights, `[m]`, where there are weights.
    of_log_weights: Vec<f64>,
}

impl<'a> Reverse<'a> {
    fn new(problem: &'a DampedProblem<'a>, taped: &'a Taped) -> Self {
        let (n, m) = (problem.n, problem.rows());
        Self {
            problem,
            taped,
            fixed: taped.fixed.as_ref(),
            scratch: Scratch::new(m, n),
            w: Vec::with_capacity(m),
            p: vec![0.0; n],
            back: vec![0.0; n],
            of_log_weights: vec![],
        }
    }

    /// Replaces v, the cotangent of the output, by that of the start.
    fn sample(&mut self, sample: usize, v: &mut [f64], lower: &mut [f64], upper: &mut [f64]) {
        let Tape { weights, steps } = &self.taped.samples[sample];
        self.of_log_weights.clear();
        self.of_log_weights.resize(weights.len(), 0.0);
        for step in steps.iter().rev() {
            self.step(sample, step, weights, v, lower, upper);
        }
        if let Some(first) = steps.first() {
            add_of_start(self.problem, sample, &first.y, &self.of_log_weights, v);
        }
    }

    /// Replaces v, the cotangent after the step, by the one before it.
    fn step(
        &mut self,
        sample: usize,
        step: &Step,
        weights: &[f64],
        v: &mut [f64],
        lower: &mut [f64],
        upper: &mut [f64],
    ) {
        let n = self.problem.n;
        let (moving, factor) = (&step.factored.moving, &step.factored.factor);
        let q = moving.len();
        load_moving(
            self.problem,
            sample,
            moving,
            weights,
            &step.y,
            &mut self.scratch.moving,
        );
        let coefficients = Coefficients {
            fixed: self.fixed,
            moving: &self.scratch.moving[..q * n],
            n,
        };
        let (w, p, back) = (&mut self.w, &mut self.p, &mut self.back);
        w.clear();
        w.resize(step.sides.len(), 0.0);
        let first_moving = step.sides.len() - q;
        back.fill(0.0);
        p.copy_from_slice(v);
        match factor.form {
            Form::Rows => {
                coefficients.subtract_product(v, w);
                factor.solve_rows(self.fixed, w);
                coefficients.add_transposed(w, p);
            }
            Form::Variables => {
                // p is −z, so the product that is subtracted is Jz.
                factor.solve_variables(p);
                coefficients.subtract_product(p, w);
            }
        }
        let weight = |row: usize| weights.get(row).copied().unwrap_or(1.0);
        for (slot, &row) in moving.iter().enumerate() {
            let (at, row) = (first_moving + slot, row as usize);
            let (multiplier, w) = (step.multipliers[at], w[at]);
            let twice = -2.0 * weight(row);
            add_curvature(self.problem, sample, row, twice * multiplier, p, back);
            add_curvature(self.problem, sample, row, twice * w, &step.delta, back);
            if let Some(of_log_weight) = self.of_log_weights.get_mut(row) {
                // What the step leaves of the residual.
                let left = match factor.form {
                    Form::Rows => self.taped.damping * multiplier,
                    Form::Variables => multiplier,
                };
                *of_log_weight += 2.0 * left * w;
            }
        }
        let fixed_rows = self.fixed.map_or(&[][..], |fixed| &fixed.rows);
        let all_rows = fixed_rows
            .iter()
            .copied()
            .chain(moving.iter().map(|&row| row as usize));
        for ((row, side), w) in all_rows.zip(&step.sides).zip(w.iter_mut()) {
            match side {
                1 => upper[row] -= weight(row) * *w,
                -1 => lower[row] -= weight(row) * *w,
                _ => *w = 0.0,
            }
        }
        coefficients.add_transposed(w, back);
        for (v, back) in v.iter_mut().zip(back.iter()) {
            *v += back;
        }
    }
}
