//! Mehrotra's predictor-corrector iterations (Nocedal & Wright, *Numerical Optimization*, §16.6),
//! with the second-order terms of quadratic rows in the corrector.

use crate::dense::{axpy, dot, max_abs, zeros};
use crate::interior_point::certificate::{primal_infeasible, unbounded};
use crate::interior_point::iterate::{Direction, Iterate};
use crate::interior_point::model::Model;
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

/// What iterations work in, kept from one sample to the next.
#[derive(Default)]
pub(crate) struct Memory {
    newton: Newton,
    at: Iterate,
    work: Work,
}

/// What one iteration works in.
#[derive(Default)]
struct Work {
    /// Products of slacks and multipliers, and what they are to become.
    products: Vec<f64>,
    target: Vec<f64>,
    /// Residuals with the terms that a full affine step would leave behind.
    gradient: Vec<f64>,
    primal: Vec<f64>,
    affine: Direction,
    step: Direction,
    /// `z`, slacks and multipliers before a step.
    before: [Vec<f64>; 3],
    weights: Vec<f64>,
    rhs: Vec<f64>,
    scratch: Vec<f64>,
}

/// The iterations of one sample.
pub(crate) struct Iterations<'m> {
    model: &'m Model<'m>,
    newton: Newton,
    pub(crate) at: Iterate,
    work: Work,
    pub(crate) count: usize,
    limit: usize,
    tolerance: f64,
    certificate: f64,
    /// The worst of primal and dual residual and gap at which the next pause is due.
    next_pause: f64,
    ratio: f64,
    short_steps: usize,
    /// Steps still to be taken without the corrector's guess.
    cautious: usize,
    /// Worst residual or gap before the last step.
    last: f64,
}

impl<'m> Iterations<'m> {
    /// Starts: one regularised Newton step towards the violated rows, then slacks and multipliers
    /// on the central path with complementarity 1. `None` when even that cannot be factored.
    #[inline(always)]
    pub(crate) fn start(
        model: &'m Model<'m>,
        memory: Memory,
        limit: usize,
        tolerance: f64,
        certificate: f64,
    ) -> Option<Iterations<'m>> {
        let (n, d, count) = (model.sample.n, model.prepared.free, model.count());
        let Memory {
            mut newton,
            mut at,
            mut work,
        } = memory;
        newton.prepare(model);
        zeros(&mut at.z, d);
        at.values.prepare(model);
        at.values.evaluate(model, &at.z);
        let ones = &mut work.products;
        ones.clear();
        ones.resize(count, 1.0);
        if !newton.factor(model, &at.values, ones, ones) {
            return None;
        }
        let violated = &mut work.target;
        violated.clear();
        violated.extend(at.values.rows.iter().map(|v| v.max(0.0)));
        let rhs = &mut work.rhs;
        rhs.clear();
        rhs.extend_from_slice(&at.values.cost_gradient);
        at.values
            .add_weighted_gradients(model, violated, &mut work.scratch, rhs);
        model.project(rhs, &mut at.z);
        newton.solve(&mut at.z, &mut work.scratch);
        at.z.iter_mut().for_each(|v| *v = -*v);
        if !max_abs(&at.z).is_finite() {
            at.z.fill(0.0);
        }
        at.values.evaluate(model, &at.z);
        at.slack.clear();
        at.slack
            .extend(at.values.rows.iter().map(|v| (-v).max(1.0)));
        at.dual.clear();
        at.dual.extend(at.slack.iter().map(|v| 1.0 / v));
        zeros(&mut at.primal, count);
        zeros(&mut at.gradient, n);
        zeros(&mut at.reduced_gradient, d);
        at.residuals(model, &mut work.scratch);
        let ratio = at.relative_residual(model).max(1.0);
        Some(Iterations {
            model,
            newton,
            at,
            work,
            count: 0,
            limit,
            tolerance,
            certificate,
            next_pause: 1e-5,
            ratio,
            short_steps: 0,
            cautious: 0,
            last: f64::INFINITY,
        })
    }

    /// What the next sample's iterations can work in.
    pub(crate) fn into_memory(self) -> Memory {
        Memory {
            newton: self.newton,
            at: self.at,
            work: self.work,
        }
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
            let mut work = std::mem::take(&mut self.work);
            let pause = self.step(complementarity, &mut work);
            self.work = work;
            if let Some(pause) = pause {
                return pause;
            }
        }
    }

    /// One predictor-corrector step, or why there is none.
    #[inline(always)]
    fn step(&mut self, complementarity: f64, work: &mut Work) -> Option<Pause> {
        let (model, rows) = (self.model, self.model.count());
        if !self
            .newton
            .factor(model, &self.at.values, &self.at.slack, &self.at.dual)
        {
            return Some(Pause::Stalled);
        }
        let pairs = self.at.slack.iter().zip(&self.at.dual);
        work.products.clear();
        work.products.extend(pairs.map(|(s, l)| s * l));
        work.target.clear();
        work.target.extend_from_slice(&work.products);
        self.direction(Towards::Feasible, work);
        if rows > 0 {
            std::mem::swap(&mut work.step, &mut work.affine);
            let affine = &work.affine;
            let length = self.longest(affine, 1.0);
            let after: f64 = (0..rows)
                .map(|j| {
                    (self.at.slack[j] + length * affine.slack[j])
                        * (self.at.dual[j] + length * affine.dual[j])
                })
                .sum::<f64>()
                / rows as f64;
            let centering = (after / complementarity).clamp(0.0, 1.0).powi(3);
            for j in 0..rows {
                work.target[j] = work.products[j] + affine.slack[j] * affine.dual[j]
                    - centering * complementarity;
            }
            // Far outside the neighbourhood the rows' products shrink while the residuals stay, and
            // ever shorter steps end at the boundary: then only towards the centre.
            let lagging =
                self.at.relative_residual(model) > NEIGHBOURHOOD * self.ratio * complementarity;
            if length < 0.1 || self.cautious > 0 || lagging {
                self.cautious = self.cautious.saturating_sub(1);
                // The predictor says little about the step that will be taken.
                let centering = if lagging { 1.0 } else { centering.max(0.3) };
                for j in 0..rows {
                    work.target[j] = work.products[j] - centering * complementarity;
                }
                self.direction(Towards::Feasible, work);
            } else {
                self.second_order(work);
                self.direction(Towards::Corrected, work);
            }
        }
        if !work.step.finite() {
            return Some(Pause::Stalled);
        }
        if self.feasible() && unbounded(model, &work.step.x, self.certificate) {
            return Some(Pause::Unbounded);
        }
        let mut length = self.travel(work, TRIES);
        if length == 0.0 {
            // The corrector's second-order guess misled: a plain centred Newton step is a descent
            // direction of the residuals and always gets somewhere.
            for (target, product) in work.target.iter_mut().zip(&work.products) {
                *target = product - 0.5 * complementarity;
            }
            self.direction(Towards::Feasible, work);
            if !work.step.finite() {
                return Some(Pause::Stalled);
            }
            length = self.travel(work, 4 * TRIES);
        }
        self.short_steps = if length < SHORTEST_STEP {
            self.short_steps + 1
        } else {
            0
        };
        (self.short_steps >= 3).then_some(Pause::Stalled)
    }

    /// Takes the longest acceptable step along `work`'s direction, of at most `tries` lengths; returns
    /// its length, or 0 having restored the iterate.
    #[inline(always)]
    fn travel(&mut self, work: &mut Work, tries: usize) -> f64 {
        let model = self.model;
        let Work {
            step,
            before: old,
            scratch,
            ..
        } = work;
        let mut length = self.longest(step, TO_BOUNDARY);
        let (before, ratio) = (self.at.relative_residual(model), self.ratio);
        for (old, now) in old
            .iter_mut()
            .zip([&self.at.z, &self.at.slack, &self.at.dual])
        {
            old.clear();
            old.extend_from_slice(now);
        }
        for _ in 0..tries {
            self.at.place(model, step, length, old, scratch);
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
        self.at.place(model, step, 0.0, old, scratch);
        0.0
    }

    fn feasible(&self) -> bool {
        self.model.relative_rows(&self.at.primal) <= 1e-6
    }

    /// Residuals with the terms that a full affine step would leave behind.
    #[inline(always)]
    fn second_order(&self, work: &mut Work) {
        let (model, n) = (self.model, self.model.sample.n);
        let Work {
            gradient,
            primal,
            affine,
            scratch,
            ..
        } = work;
        gradient.clear();
        gradient.extend_from_slice(&self.at.gradient);
        primal.clear();
        primal.extend_from_slice(&self.at.primal);
        let first = model.sides.len();
        for (position, &i) in model.quadratic.iter().enumerate() {
            zeros(scratch, n);
            let scale = model.quadratic_scale(position);
            model
                .sample
                .h
                .row(i, n)
                .add_product(scale, &affine.x, scratch);
            primal[first + position] += dot(scratch, &affine.x);
            axpy(2.0 * affine.dual[first + position], scratch, gradient);
        }
    }

    /// Newton direction, `work`'s `step`, that takes the products of slacks and multipliers off by `target`.
    #[inline(always)]
    fn direction(&self, towards: Towards, work: &mut Work) {
        let model = self.model;
        let (n, rows) = (model.sample.n, model.count());
        let Work {
            target: products,
            gradient,
            primal,
            step,
            weights,
            rhs,
            scratch,
            ..
        } = work;
        let (gradient, primal): (&[f64], &[f64]) = match towards {
            Towards::Feasible => (&self.at.gradient, &self.at.primal),
            Towards::Corrected => (gradient, primal),
        };
        // dz solves Φ dz = −Zᵀ(gradient + Jᵀ(D·primal − products/s)).
        weights.clear();
        weights.extend(
            (0..rows).map(|j| (self.at.dual[j] * primal[j] - products[j]) / self.at.slack[j]),
        );
        rhs.clear();
        rhs.extend_from_slice(gradient);
        self.at
            .values
            .add_weighted_gradients(model, weights, scratch, rhs);
        let Direction { z, x, slack, dual } = step;
        zeros(z, model.prepared.free);
        model.project(rhs, z);
        self.newton.solve(z, scratch);
        z.iter_mut().for_each(|v| *v = -*v);
        zeros(x, n);
        model.lift(z, x);
        axpy(-1.0, &model.origin, x);
        zeros(slack, rows);
        self.at.values.directional(model, x, slack);
        zeros(dual, rows);
        for j in 0..rows {
            slack[j] = -primal[j] - slack[j];
            dual[j] = -(products[j] + self.at.dual[j] * slack[j]) / self.at.slack[j];
        }
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

/// Which residuals a direction takes away.
#[derive(Clone, Copy)]
enum Towards {
    /// Those of the iterate.
    Feasible,
    /// With what a full affine step would leave behind.
    Corrected,
}
