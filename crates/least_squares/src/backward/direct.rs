//! Direct loss minimisation: the difference of ∂E/∂θ between two minimisers of a tilted objective.
//!
//! x± minimise E(x; θ) ± ε aᵀx, where a is the cotangent by stored numbers. Then x± = x ∓ εH⁻¹v + O(ε²), and
//! (∂E/∂θ(x₊) − ∂E/∂θ(x₋))/2ε = −∂²E/∂θ∂x H⁻¹v + O(ε²), the implicit gradient.
//!
//! A minimiser that is not isolated has no such neighbours: where nothing but the tilt decides, x± are wherever
//! that leads, and there is no gradient.

use super::{Adjoint, Job};
use crate::dense::{max_abs, norm};
use crate::objective::Objective;
use crate::optimise::{Task, optimise};
use crate::settings::{LevenbergMarquardt, Settings, Step, Stopping};
use crate::status::GradientQuality;
use crate::step::find_held;
use crate::term::{self, Linearisation, Sample, TermProbe};
use crate::workspace::Workspace;

pub(super) struct Direct<'a> {
    objective: &'a Objective,
    settings: Settings,
    epsilon: f64,
    space: Workspace<'a>,
    at: Linearisation,
}

impl<'a> Direct<'a> {
    pub(super) fn new(objective: &'a Objective, settings: &Settings, epsilon: f64) -> Self {
        // The tilted objective is no sum of squares, so that steps need a region.
        let step = match settings.step {
            Step::LevenbergMarquardt(lm) => LevenbergMarquardt {
                damping: Default::default(),
                ..lm
            },
            _ => LevenbergMarquardt::default(),
        };
        let settings = Settings {
            step: Step::LevenbergMarquardt(step),
            // What is left of the gradient is divided by ε.
            stopping: Stopping {
                gradient: 1e-15,
                cost: 0.0,
                step: 1e-16,
            },
            max_iterations: settings.max_iterations.max(50),
            ..*settings
        };
        Self {
            objective,
            epsilon,
            space: Workspace::new(objective, &settings, true),
            settings,
            at: Linearisation::new(objective),
        }
    }

    pub(super) fn reverse(&mut self, job: &Job<'_>) -> Adjoint {
        let objective = self.objective;
        let mut result = Adjoint::zero(objective, GradientQuality::Inexact);
        let largest = max_abs(&job.v);
        if largest == 0.0 {
            return result;
        }
        let epsilon = self.epsilon / largest;
        let gradient = self.free_gradient(job);
        let mut tilted = Vec::with_capacity(2);
        for sign in [1.0, -1.0] {
            let Some(x) = self.minimiser(job, sign * epsilon) else {
                return Adjoint::zero(objective, GradientQuality::Unavailable);
            };
            self.add_gradient(
                &Sample {
                    x: &x,
                    auxiliaries: job.auxiliaries,
                },
                sign / (2.0 * epsilon),
                &mut result.auxiliaries,
            );
            tilted.push(x);
        }
        // A point that is no minimiser to within ε is on neither side of the middle. The solution is one to
        // its own tolerance only, which in a direction that hardly counts can be far: then the middle is
        // where the same iterations end without a tilt.
        if gradient <= 0.1 * self.epsilon && !are_opposite(job.x, &tilted[0], &tilted[1]) {
            let middle = self.minimiser(job, 0.0);
            if !middle.is_some_and(|middle| are_opposite(&middle, &tilted[0], &tilted[1])) {
                return Adjoint::zero(objective, GradientQuality::Unavailable);
            }
        }
        result
    }

    /// Where the iterations from a solution end with `factor` times the cotangent added to the gradient;
    /// `None` where they do not come near enough.
    fn minimiser(&mut self, job: &Job<'_>, factor: f64) -> Option<Vec<f64>> {
        let objective = self.objective;
        let mut tilt = vec![0.0; objective.storage];
        for variable in &objective.variables {
            let place = variable.place..variable.place + variable.manifold.storage();
            let column = variable.column..variable.column + variable.manifold.tangent();
            variable
                .manifold
                .raise(&job.x[place.clone()], &job.v[column], &mut tilt[place]);
        }
        tilt.iter_mut().for_each(|t| *t *= factor);
        let mut x = job.x.to_vec();
        let task = Task {
            sample: 0,
            auxiliaries: job.auxiliaries,
            tilt: Some(&tilt),
            callback: None,
            record: Some(0),
            keep: false,
        };
        let outcome = optimise(&mut self.space, &self.settings, &mut x, &task);
        let gradient = outcome.history.last().map_or(0.0, |r| r.gradient);
        // The error of x± is about that of the gradient, to be compared with ε.
        (outcome.cost.is_finite() && gradient <= 1e-3 * self.epsilon).then_some(x)
    }

    /// max|∇E| over the coordinates that are free to move.
    fn free_gradient(&mut self, job: &Job<'_>) -> f64 {
        let objective = self.objective;
        let sample = Sample {
            x: job.x,
            auxiliaries: job.auxiliaries,
        };
        self.at.update(objective, &sample);
        let held = &mut self.space.held;
        held.fill(false);
        find_held(objective, job.x, &self.at.gradient, held);
        let free = self.at.gradient.iter().zip(held.iter());
        free.filter(|(_, held)| !**held)
            .fold(0.0, |most, (g, _)| f64::max(most, g.abs()))
    }

    /// `out` += `factor` ∂E/∂θ.
    fn add_gradient(&mut self, sample: &Sample<'_>, factor: f64, out: &mut [f64]) {
        let objective = self.objective;
        self.at.update(objective, sample);
        let mut scratch = term::ProbeScratch::default();
        for (term, scale) in objective.terms.iter().zip(&self.at.scales) {
            let rows = &self.at.rows[term.row..term.row + term.rows];
            let t: Vec<f64> = rows.iter().map(|r| factor * scale * r).collect();
            let probe = TermProbe {
                bilinear: &[],
                t: &t,
                kept: &[],
            };
            term::probe(objective, term, sample, &probe, None, out, &mut scratch);
        }
    }
}

/// Whether two points are displaced from `x` by what differs in terms of order ε² from ±εH⁻¹v: the sum of
/// the displacements is then far below their difference, or nothing has moved but by rounding.
fn are_opposite(x: &[f64], a: &[f64], b: &[f64]) -> bool {
    let (sum, difference): (Vec<f64>, Vec<f64>) = (a.iter().zip(b).zip(x))
        .map(|((a, b), x)| ((a - x) + (b - x), a - b))
        .unzip();
    norm(&sum) <= 0.5 * norm(&difference) + NOT_MOVED * (1.0 + norm(x))
}

/// A displacement, relative to the point, as small as minimisers are inaccurate.
const NOT_MOVED: f64 = 1e-8;
