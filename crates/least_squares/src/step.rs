//! One step: from a linearisation to δ, and the state of the method between steps.

use crate::dense::{dot, norm};
use crate::linear::{Damp, System};
use crate::objective::Objective;
use crate::settings::{Damping, Dogleg, LevenbergMarquardt, Settings, Shape, Step};
use crate::term::Linearisation;

/// What a recorded step needs besides its point to be computed again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Taken {
    /// The damping of the linear system, or of dogleg's Gauss-Newton step.
    pub(crate) damp: Damp,
    /// Dogleg's radius.
    pub(crate) radius: Option<f64>,
    /// The factor that made a step without a region finite.
    pub(crate) shrink: f64,
}

/// How large steps may be, as it changes with their success.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    step: Step,
    /// λ, or the radius.
    pub(crate) size: f64,
    nielsen: f64,
    /// Rejections since the last step that was taken.
    pub(crate) rejections: usize,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    Accept,
    Reject,
}

impl Region {
    pub(crate) fn new(step: &Step) -> Self {
        let size = match step {
            Step::GaussNewton => 0.0,
            Step::LevenbergMarquardt(lm) => lm.initial,
            Step::Dogleg(dogleg) => dogleg.radius,
        };
        Self {
            step: *step,
            size,
            nielsen: 2.0,
            rejections: 0,
        }
    }

    /// Whether every finite step is taken.
    pub(crate) fn takes_all(&self) -> bool {
        match self.step {
            Step::GaussNewton => true,
            Step::LevenbergMarquardt(lm) => lm.damping == Damping::Fixed,
            Step::Dogleg(_) => false,
        }
    }

    pub(crate) fn taken(&self) -> Taken {
        let (damp, radius) = match self.step {
            Step::GaussNewton => (Damp::NONE, None),
            Step::LevenbergMarquardt(lm) => (
                Damp {
                    lambda: self.size,
                    shape: lm.shape,
                },
                None,
            ),
            Step::Dogleg(_) => (Damp::NONE, Some(self.size)),
        };
        Taken {
            damp,
            radius,
            shrink: 1.0,
        }
    }

    /// Judges a step by its gain ratio (NaN rejects) and changes the region. False when it cannot shrink
    /// any more.
    pub(crate) fn judge(&mut self, ratio: f64, step_norm: f64) -> (Verdict, bool) {
        match self.step {
            Step::GaussNewton => (Verdict::Accept, true),
            Step::LevenbergMarquardt(lm) => self.judge_damping(&lm, ratio),
            Step::Dogleg(dogleg) => self.judge_radius(&dogleg, ratio, step_norm),
        }
    }

    fn judge_damping(&mut self, lm: &LevenbergMarquardt, ratio: f64) -> (Verdict, bool) {
        let accepted = match lm.damping {
            Damping::Fixed => return (Verdict::Accept, true),
            Damping::Factors { accept, .. } => ratio > accept,
            Damping::Nielsen => ratio > 0.0,
        };
        let old = self.size;
        match lm.damping {
            Damping::Fixed => {}
            Damping::Factors { down, up, .. } => {
                self.size = if accepted { old / down } else { old * up };
            }
            Damping::Nielsen if accepted => {
                self.size = old * (1.0 - (2.0 * ratio - 1.0).powi(3)).max(1.0 / 3.0);
                self.nielsen = 2.0;
            }
            Damping::Nielsen => {
                self.size = old * self.nielsen;
                self.nielsen = (2.0 * self.nielsen).min(1e8);
            }
        }
        self.size = self.size.clamp(lm.min, lm.max);
        if accepted {
            self.rejections = 0;
            (Verdict::Accept, true)
        } else {
            self.rejections += 1;
            (Verdict::Reject, old < lm.max)
        }
    }

    fn judge_radius(&mut self, dogleg: &Dogleg, ratio: f64, step_norm: f64) -> (Verdict, bool) {
        if ratio.is_nan() || ratio < 0.25 {
            self.size *= 0.25;
        } else if ratio > 0.75 && step_norm > 0.99 * self.size {
            self.size = (2.0 * self.size).min(dogleg.max);
        }
        if ratio > dogleg.accept {
            self.rejections = 0;
            (Verdict::Accept, true)
        } else {
            self.rejections += 1;
            (Verdict::Reject, self.size > f64::MIN_POSITIVE.sqrt())
        }
    }
}

/// Where on dogleg's path the step ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Leg {
    /// At the Gauss-Newton step; without a region always.
    GaussNewton,
    /// On steepest descent, at the region's edge.
    Steepest,
    /// `blend` of the way from the steepest descent step to the Gauss-Newton step.
    Between(f64),
}

/// One step and, for dogleg, what it was made of.
#[derive(Debug, Default)]
pub(crate) struct Proposal {
    pub(crate) delta: Vec<f64>,
    pub(crate) gauss_newton: Vec<f64>,
    pub(crate) cauchy: Vec<f64>,
    /// Jg.
    pub(crate) along: Vec<f64>,
}

impl Proposal {
    pub(crate) fn new(objective: &Objective, settings: &Settings) -> Self {
        let n = objective.tangent;
        let dogleg = matches!(settings.step, Step::Dogleg(_));
        let (n2, m2) = if dogleg { (n, objective.rows) } else { (0, 0) };
        Self {
            delta: vec![0.0; n],
            gauss_newton: vec![0.0; n2],
            cauchy: vec![0.0; n2],
            along: vec![0.0; m2],
        }
    }

    /// Computes δ from a loaded system. `None` where it is singular. `taken.damp` becomes the damping that
    /// was needed.
    pub(crate) fn compute(
        &mut self,
        objective: &Objective,
        system: &mut System<'_>,
        at: &Linearisation,
        gradient: &[f64],
        tilted: bool,
        taken: &mut Taken,
    ) -> Option<Leg> {
        let Some(radius) = taken.radius else {
            if !system.factor(taken.damp) {
                return None;
            }
            system.step(objective, at, gradient, tilted, &mut self.delta);
            if taken.shrink != 1.0 {
                self.delta.iter_mut().for_each(|v| *v *= taken.shrink);
            }
            return Some(Leg::GaussNewton);
        };
        at.multiply(objective, gradient, &mut self.along);
        let (square, curvature) = (dot(gradient, gradient), dot(&self.along, &self.along));
        let alpha = square / curvature;
        let steepest = square.sqrt();
        // A matrix singular to rounding is damped a little, which the radius makes up for.
        let scale = curvature / square;
        let mut damp = taken.damp;
        while !system.factor(damp) {
            let next = if damp.lambda == 0.0 {
                1e-12 * scale
            } else {
                damp.lambda * 100.0
            };
            if !(next <= scale && next > 0.0) {
                return None;
            }
            damp = Damp {
                lambda: next,
                shape: Shape::Spherical,
            };
        }
        taken.damp = damp;
        let newton = &mut self.gauss_newton;
        system.step(objective, at, gradient, tilted, newton);
        let length = norm(newton);
        for (cauchy, g) in self.cauchy.iter_mut().zip(gradient) {
            *cauchy = -alpha * g;
        }
        if length <= radius {
            self.delta.copy_from_slice(newton);
            return Some(Leg::GaussNewton);
        }
        if !(alpha * steepest < radius) || !length.is_finite() {
            for (delta, g) in self.delta.iter_mut().zip(gradient) {
                *delta = -radius / steepest * g;
            }
            return Some(Leg::Steepest);
        }
        // ‖c + β(n − c)‖² = radius², the root in (0, 1), without cancellation.
        let (mut a, mut b) = (0.0, 0.0);
        for (n, c) in newton.iter().zip(&self.cauchy) {
            a += (n - c) * (n - c);
            b += c * (n - c);
        }
        let c = dot(&self.cauchy, &self.cauchy) - radius * radius;
        let root = (b * b - a * c).max(0.0).sqrt();
        let blend = if b > 0.0 {
            -c / (b + root)
        } else {
            (root - b) / a
        };
        for ((delta, n), c) in self.delta.iter_mut().zip(newton.iter()).zip(&self.cauchy) {
            *delta = c + blend * (n - c);
        }
        Some(Leg::Between(blend))
    }
}

/// The coordinates at a bound that the gradient pushes against.
pub(crate) fn find_held(objective: &Objective, x: &[f64], gradient: &[f64], held: &mut [bool]) {
    for variable in &objective.variables {
        if let Some(bounds) = variable.manifold.bounds() {
            for i in 0..bounds.lower.len() {
                let (x, g) = (x[variable.place + i], gradient[variable.column + i]);
                held[variable.column + i] =
                    (x <= bounds.lower[i] && g > 0.0) || (x >= bounds.upper[i] && g < 0.0);
            }
        }
    }
}

/// `out` = x ⊞ δ inside its bounds. δ becomes what was moved by.
pub(crate) fn advance(objective: &Objective, x: &[f64], delta: &mut [f64], out: &mut [f64]) {
    for variable in &objective.variables {
        let place = variable.place..variable.place + variable.manifold.storage();
        let column = variable.column..variable.column + variable.manifold.tangent();
        let (x, out, delta) = (&x[place.clone()], &mut out[place], &mut delta[column]);
        variable.manifold.retract(x, delta, out);
        if let Some(bounds) = variable.manifold.bounds() {
            for i in 0..out.len() {
                // Not `clamp`, which a NaN would pass unseen but a crossed bound would stop.
                let inside = out[i].max(bounds.lower[i]).min(bounds.upper[i]);
                if inside != out[i] && !out[i].is_nan() {
                    out[i] = inside;
                    delta[i] = inside - x[i];
                }
            }
        }
    }
}
