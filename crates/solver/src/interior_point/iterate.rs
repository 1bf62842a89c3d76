//! Mehrotra's predictor-corrector iterations (Nocedal & Wright, *Numerical Optimization*, §16.6),
//! with the second-order terms of quadratic rows in the corrector.

use crate::dense::{axpy, dot, max_abs};
use crate::interior_point::certificate::{primal_infeasible, unbounded};
use crate::interior_point::model::{Model, Values};
use crate::interior_point::newton::Newton;

/// Share of the way to the boundary that a step may go.
const TO_BOUNDARY: f64 = 0.995;

/// Residuals may not exceed this times their starting ratio to the complementarity: a far looser
/// neighbourhood than theory asks for, which only stops runaway nonlinear steps.
const NEIGHBOURHOOD: f64 = 10.0;

/// Plain steps taken after one that made no progress.
const CAUTIOUS_STEPS: usize = 2;

/// Step lengths tried along the corrected direction, each 0.6 of the one before.
const TRIES: usize = 6;

/// Steps shorter than this, three times running, count as stalled.
const SHORTEST_STEP: f64 = 1e-7;

/// An iterate of the scaled problem.
pub(crate) struct Iterate {
    pub(crate) z: Vec<f64>,
    pub(crate) values: Values,
    /// Slacks of the one-sided rows.
    pub(crate) slack: Vec<f64>,
    /// Their multipliers, for the scaled rows and cost.
    pub(crate) dual: Vec<f64>,
    /// `c_j + s_j`.
    primal: Vec<f64>,
    /// Gradient of the Lagrangian in `x`; what is tested is its projection.
    pub(crate) gradient: Vec<f64>,
    reduced_gradient: Vec<f64>,
}

/// Why the iterations paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// Close enough that the caller should try to polish, or stop.
    Close,
    /// Residuals and gap are within the tolerance.
    Converged,
    PrimalInfeasible,
    Unbounded,
    /// Iterations spent.
    Limit,
    /// Steps no longer make progress.
    Stalled,
}

/// The iterations of one sample.
pub(crate) struct Iterations<'m> {
    model: &'m Model<'m>,
    newton: Newton,
    pub(crate) at: Iterate,
    pub(crate) count: usize,
    limit: usize,
    tolerance: f64,
    certificate: f64,
    /// Complementarity below which the next pause is due.
    next_pause: f64,
    ratio: f64,
    short_steps: usize,
    /// Steps still to be taken without the corrector's guess.
    cautious: usize,
    /// Worst residual or gap before the last step.
    last: f64,
    scratch: Vec<f64>,
}

impl<'m> Iterations<'m> {
    /// Starts: one regularised Newton step towards the violated rows, then slacks and multipliers
    /// on the central path with complementarity 1. `None` when even that cannot be factored.
    pub(crate) fn start(
        model: &'m Model<'m>,
        limit: usize,
        tolerance: f64,
        certificate: f64,
    ) -> Option<Iterations<'m>> {
        let (n, d, count) = (model.sample.n, model.prepared.free, model.count());
        let mut newton = Newton::new(model);
        let mut z = vec![0.0; d];
        let mut values = Values::new(model);
        let mut scratch = Vec::new();
        values.evaluate(model, &z);
        let ones = vec![1.0; count];
        if !newton.factor(model, &values, &ones, &ones) {
            return None;
        }
        let violated: Vec<f64> = values.rows.iter().map(|v| v.max(0.0)).collect();
        let mut rhs = values.cost_gradient.clone();
        values.add_weighted_gradients(model, &violated, &mut scratch, &mut rhs);
        model.project(&rhs, &mut z);
        newton.solve(&mut z);
        z.iter_mut().for_each(|v| *v = -*v);
        if !max_abs(&z).is_finite() {
            z.fill(0.0);
        }
        values.evaluate(model, &z);
        let slack: Vec<f64> = values.rows.iter().map(|v| (-v).max(1.0)).collect();
        let dual = slack.iter().map(|v| 1.0 / v).collect();
        let mut at = Iterate {
            z,
            values,
            slack,
            dual,
            primal: vec![0.0; count],
            gradient: vec![0.0; n],
            reduced_gradient: vec![0.0; d],
        };
        at.residuals(model, &mut scratch);
        let ratio = at.relative_residual(model).max(1.0);
        Some(Iterations {
            model,
            newton,
            at,
            count: 0,
            limit,
            tolerance,
            certificate,
            next_pause: 1e-5,
            ratio,
            short_steps: 0,
            cautious: 0,
            last: f64::INFINITY,
            scratch,
        })
    }

    /// Asks for a tenth of the residuals, when what converged is not good enough on the original
    /// data. False when rounding allows no less.
    pub(crate) fn tighten(&mut self) -> bool {
        self.tolerance *= 0.1;
        self.tolerance > f64::EPSILON
    }

    /// Iterates until there is something to decide.
    #[inline(always)]
    pub(crate) fn run(&mut self) -> Pause {
        let rows = self.model.count();
        loop {
            let complementarity = self.at.complementarity();
            let primal = self.model.relative_rows(&self.at.primal);
            let force = 1.0 + max_abs(&self.at.values.cost_gradient);
            let dual = max_abs(&self.at.reduced_gradient) / force;
            let gap = complementarity * rows as f64 / (1.0 + self.at.values.cost.abs());
            let worst = primal.max(dual).max(gap);
            if !(primal.is_finite() && dual.is_finite() && gap.is_finite()) {
                return Pause::Stalled;
            }
            if worst <= self.tolerance {
                return Pause::Converged;
            }
            if worst <= self.next_pause {
                self.next_pause = worst * 1e-2;
                return Pause::Close;
            }
            if primal_infeasible(self.model, &self.at, self.certificate) {
                return Pause::PrimalInfeasible;
            }
            if unbounded(self.model, &self.at.values.x, self.certificate) {
                return Pause::Unbounded;
            }
            if self.count >= self.limit {
                return Pause::Limit;
            }
            // Predictor-corrector steps on quadratic rows can cycle; a few plain centred ones end
            // that.
            if !self.model.quadratic.is_empty() && worst > 0.9 * self.last {
                self.cautious = CAUTIOUS_STEPS;
            }
            self.last = worst;
            self.count += 1;
            if let Some(pause) = self.step(complementarity) {
                return pause;
            }
        }
    }

    /// One predictor-corrector step, or why there is none.
    #[inline(always)]
    fn step(&mut self, complementarity: f64) -> Option<Pause> {
        let (model, rows) = (self.model, self.model.count());
        if !self
            .newton
            .factor(model, &self.at.values, &self.at.slack, &self.at.dual)
        {
            return Some(Pause::Stalled);
        }
        let products: Vec<f64> = self
            .at
            .slack
            .iter()
            .zip(&self.at.dual)
            .map(|(s, l)| s * l)
            .collect();
        let affine = self.direction(
            &self.at.gradient.clone(),
            &self.at.primal.clone(),
            &products,
        );
        let step = if rows == 0 {
            affine
        } else {
            let length = self.longest(&affine, 1.0);
            let after: f64 = (0..rows)
                .map(|j| {
                    (self.at.slack[j] + length * affine.slack[j])
                        * (self.at.dual[j] + length * affine.dual[j])
                })
                .sum::<f64>()
                / rows as f64;
            let centering = (after / complementarity).clamp(0.0, 1.0).powi(3);
            let mut target: Vec<f64> = (0..rows)
                .map(|j| {
                    products[j] + affine.slack[j] * affine.dual[j] - centering * complementarity
                })
                .collect();
            // Far outside the neighbourhood the rows' products shrink while the residuals stay, and
            // ever shorter steps end at the boundary: then only towards the centre.
            let lagging =
                self.at.relative_residual(model) > NEIGHBOURHOOD * self.ratio * complementarity;
            if length < 0.1 || self.cautious > 0 || lagging {
                self.cautious = self.cautious.saturating_sub(1);
                // The predictor says little about the step that will be taken.
                let centering = if lagging { 1.0 } else { centering.max(0.3) };
                for j in 0..rows {
                    target[j] = products[j] - centering * complementarity;
                }
                self.direction(&self.at.gradient.clone(), &self.at.primal.clone(), &target)
            } else {
                let (gradient, primal) = self.second_order(&affine);
                self.direction(&gradient, &primal, &target)
            }
        };
        if !step.finite() {
            return Some(Pause::Stalled);
        }
        if self.feasible() && unbounded(model, &step.x, self.certificate) {
            return Some(Pause::Unbounded);
        }
        let mut length = self.travel(&step, TRIES);
        if length == 0.0 {
            // The corrector's second-order guess misled: a plain centred Newton step is a descent
            // direction of the residuals and always gets somewhere.
            let target: Vec<f64> = products.iter().map(|v| v - 0.5 * complementarity).collect();
            let plain = self.direction(&self.at.gradient.clone(), &self.at.primal.clone(), &target);
            if !plain.finite() {
                return Some(Pause::Stalled);
            }
            length = self.travel(&plain, 4 * TRIES);
        }
        self.short_steps = if length < SHORTEST_STEP {
            self.short_steps + 1
        } else {
            0
        };
        (self.short_steps >= 3).then_some(Pause::Stalled)
    }

    /// Takes the longest acceptable step along a direction, of at most `tries` lengths; returns
    /// its length, or 0 having restored the iterate.
    #[inline(always)]
    fn travel(&mut self, step: &Direction, tries: usize) -> f64 {
        let model = self.model;
        let mut length = self.longest(step, TO_BOUNDARY);
        let (before, ratio) = (self.at.relative_residual(model), self.ratio);
        let old = (
            self.at.z.clone(),
            self.at.slack.clone(),
            self.at.dual.clone(),
        );
        let mut place = |at: &mut Iterate, length: f64| {
            for (target, from, direction) in [
                (&mut at.z, &old.0, &step.z),
                (&mut at.slack, &old.1, &step.slack),
                (&mut at.dual, &old.2, &step.dual),
            ] {
                for ((v, from), d) in target.iter_mut().zip(from).zip(direction) {
                    *v = from + length * d;
                }
            }
            at.values.evaluate(model, &at.z);
            at.residuals(model, &mut self.scratch);
        };
        for _ in 0..tries {
            place(&mut self.at, length);
            let after = self.at.relative_residual(model);
            let allowed = NEIGHBOURHOOD * ratio * self.at.complementarity();
            // Residuals of linear rows fall with the step whatever its length.
            if model.quadratic.is_empty()
                || after <= allowed
                || after <= (1.0 - 0.01 * length) * before
            {
                return length;
            }
            length *= 0.6;
        }
        place(&mut self.at, 0.0);
        0.0
    }

    fn feasible(&self) -> bool {
        self.model.relative_rows(&self.at.primal) <= 1e-6
    }

    /// Residuals with the terms that a full affine step would leave behind.
    #[inline(always)]
    fn second_order(&mut self, affine: &Direction) -> (Vec<f64>, Vec<f64>) {
        let (model, n) = (self.model, self.model.sample.n);
        let mut gradient = self.at.gradient.clone();
        let mut primal = self.at.primal.clone();
        let first = model.sides.len();
        for (position, &i) in model.quadratic.iter().enumerate() {
            self.scratch.clear();
            self.scratch.resize(n, 0.0);
            let scale = model.quadratic_scale(position);
            model
                .sample
                .h
                .row(i, n)
                .add_product(scale, &affine.x, &mut self.scratch);
            primal[first + position] += dot(&self.scratch, &affine.x);
            axpy(
                2.0 * affine.dual[first + position],
                &self.scratch,
                &mut gradient,
            );
        }
        (gradient, primal)
    }

    /// Newton direction for given residuals.
    #[inline(always)]
    fn direction(&mut self, gradient: &[f64], primal: &[f64], products: &[f64]) -> Direction {
        let model = self.model;
        let (n, rows) = (model.sample.n, model.count());
        // dz solves Φ dz = −Zᵀ(gradient + Jᵀ(D·primal − products/s)).
        let weights: Vec<f64> = (0..rows)
            .map(|j| (self.at.dual[j] * primal[j] - products[j]) / self.at.slack[j])
            .collect();
        let mut rhs = gradient.to_vec();
        self.at
            .values
            .add_weighted_gradients(model, &weights, &mut self.scratch, &mut rhs);
        let mut z = vec![0.0; model.prepared.free];
        model.project(&rhs, &mut z);
        self.newton.solve(&mut z);
        z.iter_mut().for_each(|v| *v = -*v);
        let mut x = vec![0.0; n];
        model.lift(&z, &mut x);
        axpy(-1.0, &model.origin, &mut x);
        let mut slack = vec![0.0; rows];
        self.at.values.directional(model, &x, &mut slack);
        let mut dual = vec![0.0; rows];
        for j in 0..rows {
            slack[j] = -primal[j] - slack[j];
            dual[j] = -(products[j] + self.at.dual[j] * slack[j]) / self.at.slack[j];
        }
        Direction { z, x, slack, dual }
    }

    /// Longest step, at most 1, that keeps slacks and multipliers positive.
    #[inline(always)]
    fn longest(&self, direction: &Direction, share: f64) -> f64 {
        let mut length = 1.0f64;
        for (values, steps) in [
            (&self.at.slack, &direction.slack),
            (&self.at.dual, &direction.dual),
        ] {
            for (v, d) in values.iter().zip(steps) {
                if *d < 0.0 {
                    length = length.min(-share * v / d);
                }
            }
        }
        length
    }
}

struct Direction {
    z: Vec<f64>,
    x: Vec<f64>,
    slack: Vec<f64>,
    dual: Vec<f64>,
}

impl Direction {
    fn finite(&self) -> bool {
        [&self.z, &self.slack, &self.dual]
            .iter()
            .all(|part| max_abs(part).is_finite())
    }
}

impl Iterate {
    fn complementarity(&self) -> f64 {
        let rows = self.slack.len().max(1);
        dot(&self.slack, &self.dual) / rows as f64
    }

    /// Residuals relative to the bounds and to the cost gradient.
    fn relative_residual(&self, model: &Model<'_>) -> f64 {
        let primal = model.relative_rows(&self.primal);
        primal.max(max_abs(&self.reduced_gradient) / (1.0 + max_abs(&self.values.cost_gradient)))
    }

    #[inline(always)]
    fn residuals(&mut self, model: &Model<'_>, scratch: &mut Vec<f64>) {
        for ((primal, row), slack) in self
            .primal
            .iter_mut()
            .zip(&self.values.rows)
            .zip(&self.slack)
        {
            *primal = row + slack;
        }
        self.gradient.copy_from_slice(&self.values.cost_gradient);
        self.values
            .add_weighted_gradients(model, &self.dual, scratch, &mut self.gradient);
        model.project(&self.gradient, &mut self.reduced_gradient);
    }
}
