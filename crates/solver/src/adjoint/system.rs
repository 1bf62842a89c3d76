//! The linearised optimality system of one sample, by its own factorisation: quadratic rows,
//! degeneracy, a solution of the interior point, or a point of the central path.

use crate::adjoint::central::{Central, Place};
use crate::adjoint::direction::lagrangian_hessian;
use crate::adjoint::force::{Force, is_between, upper_share};
use crate::adjoint::held::{Held, Known, held};
use crate::adjoint::types::{GradientQuality, GradientReport};
use crate::dense::max_abs;
use crate::kkt::ActiveKkt;
use crate::problem::{Problem, Sample};
use crate::residual::{Point, Terms};
use crate::settings::{AdjointSettings, Degenerate};
use crate::soft::SoftSystem;
use crate::solution::Solution;

/// One sample's system, not yet factored.
pub(crate) struct System<'a> {
    sample: Sample<'a>,
    solved: Point<'a>,
    /// The point that is differentiated, when it is not the solution.
    central: Option<Central>,
    /// What the rows after the equalities are.
    rows: Vec<Row>,
    equations: SoftSystem,
    margin: f64,
    best: GradientQuality,
}

/// One row of a system.
#[derive(Clone, Copy, Debug)]
enum Row {
    /// A row of `G` held at the bound its multiplier points to.
    Held(usize),
    /// One bound of a row of `G`, or a quadratic row.
    Bound(Place),
}

/// What the system answers to a push: a direction in the solution, or an adjoint one.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// `[n]`
    pub(crate) x: Vec<f64>,
    /// `[p]`
    pub(crate) nu: Vec<f64>,
    /// `[m]`, zero on inactive rows.
    pub(crate) lambda: Vec<f64>,
    /// The part of `lambda` that belongs to upper bounds.
    pub(crate) upper: Vec<f64>,
    /// `[k]`, zero on inactive rows.
    pub(crate) mu: Vec<f64>,
    /// Relative residual of the linear system.
    pub(crate) residual: f64,
}

/// A factored [`System`].
pub(crate) struct Factored<'s> {
    system: &'s System<'s>,
    kkt: ActiveKkt<'s>,
}

impl<'a> System<'a> {
    /// Sets up a solved sample.
    pub(crate) fn new(
        problem: &'a Problem<'a>,
        solution: &'a Solution,
        settings: &AdjointSettings,
        index: usize,
    ) -> System<'a> {
        let at_solution = System::at_solution(problem, solution, settings, index);
        let Degenerate::Smoothed { mu } = settings.degenerate else {
            return at_solution;
        };
        let (sample, solved) = (at_solution.sample, at_solution.solved);
        let compliance = solution.compliance(index);
        let Some(central) = Central::find(&sample, solved, mu, compliance) else {
            return System {
                best: GradientQuality::Degenerate,
                ..at_solution
            };
        };
        // Whether the solution has a kink is the solution's own matter.
        let regular = at_solution.factor(settings).is_some_and(|factored| {
            factored.report(0.0, settings).quality == GradientQuality::Exact
        });
        let mut terms = Terms::default();
        terms.evaluate(&sample, central.point());
        let (gradients, softness) = central.rows(&sample, &terms.jacobian, compliance);
        let fixed = central.fixed.iter().map(|&row| Row::Held(row));
        let bounds = central.bounds.iter().map(|bound| Row::Bound(bound.place));
        let hessian = lagrangian_hessian(&sample, &central.mu);
        System {
            rows: fixed.chain(bounds).collect(),
            equations: SoftSystem::new(sample.n, hessian, gradients, &softness),
            best: if regular {
                GradientQuality::Smoothed
            } else {
                GradientQuality::Degenerate
            },
            central: Some(central),
            ..at_solution
        }
    }

    fn at_solution(
        problem: &'a Problem<'a>,
        solution: &'a Solution,
        settings: &AdjointSettings,
        index: usize,
    ) -> System<'a> {
        let sample = problem.sample(index);
        let at = solution.point(problem, index);
        let mut terms = Terms::default();
        terms.evaluate(&sample, at);
        let margin = solution.margin[index];
        let weak = margin <= settings.degenerate_margin;
        let active = &solution.active[index];
        let Held {
            linear,
            quadratic,
            chosen,
        } = {
            let known = Known {
                active,
                weak,
                rigid: solution.compliance(index) == 0.0,
            };
            held(&sample, &terms, at, known, settings)
        };
        let n = sample.n;
        let mut gradients = sample.a.to_vec();
        for &row in &linear {
            gradients.extend_from_slice(&sample.g[row * n..(row + 1) * n]);
        }
        for &row in &quadratic {
            gradients.extend_from_slice(&terms.jacobian[row * n..(row + 1) * n]);
        }
        let mut softness = vec![solution.compliance(index); gradients.len() / n];
        let held = &mut softness[sample.b.len()..];
        for (softness, &row) in held.iter_mut().zip(&linear) {
            // Two springs side by side.
            if is_between(&sample, row, at.x) {
                *softness *= 0.5;
            }
        }
        let hessian = lagrangian_hessian(&sample, at.mu);
        let quadratic = quadratic.into_iter().map(Place::Quadratic);
        System {
            sample,
            solved: at,
            central: None,
            rows: linear
                .into_iter()
                .map(Row::Held)
                .chain(quadratic.map(Row::Bound))
                .collect(),
            equations: SoftSystem::new(n, hessian, gradients, &softness),
            margin,
            best: if !weak && !chosen && active.identified {
                GradientQuality::Exact
            } else {
                GradientQuality::Degenerate
            },
        }
    }

    /// The point the system is linearised about.
    pub(crate) fn point(&self) -> Point<'_> {
        match &self.central {
            Some(central) => central.point(),
            None => self.solved,
        }
    }

    /// Factors; `None` when the data leaves the finite numbers.
    pub(crate) fn factor(&self, settings: &AdjointSettings) -> Option<Factored<'_>> {
        let kkt = self.equations.factor(settings.rank_tolerance)?;
        Some(Factored { system: self, kkt })
    }

    /// The share of a held row that its upper bound has.
    fn share(&self, row: usize) -> f64 {
        let at = self.point();
        upper_share(&self.sample, row, at.lambda[row], at.x)
    }
}

impl Factored<'_> {
    /// Solves `M step = −force`; `None` when the answer is not finite.
    pub(crate) fn solve(&self, force: &Force) -> Option<Step> {
        let system = self.system;
        let at = system.point();
        let r: Vec<f64> = force.x.iter().map(|v| -v).collect();
        let mut s: Vec<f64> = force.nu.iter().map(|v| -v).collect();
        s.extend(system.rows.iter().map(|row| match *row {
            Row::Held(row) => -force.row(&system.sample, row, at.lambda[row], at.x),
            Row::Bound(Place::Upper(row)) => -force.upper[row],
            Row::Bound(Place::Lower(row)) => -force.lower[row],
            Row::Bound(Place::Quadratic(row)) => -force.mu[row],
        }));
        let (x, eta, residual) = system.equations.solve(&self.kkt, &r, &s);
        if !(max_abs(&x).is_finite() && max_abs(&eta).is_finite()) {
            return None;
        }
        let (nu, rest) = eta.split_at(force.nu.len());
        let rows = force.upper.len();
        let mut step = Step {
            x,
            nu: nu.to_vec(),
            lambda: vec![0.0; rows],
            upper: vec![0.0; rows],
            mu: vec![0.0; force.mu.len()],
            residual,
        };
        for (row, v) in system.rows.iter().zip(rest) {
            match *row {
                Row::Held(row) => {
                    step.lambda[row] = *v;
                    step.upper[row] = system.share(row) * v;
                }
                Row::Bound(Place::Upper(row)) => {
                    step.lambda[row] += v;
                    step.upper[row] = *v;
                }
                Row::Bound(Place::Lower(row)) => step.lambda[row] += v,
                Row::Bound(Place::Quadratic(row)) => step.mu[row] = *v,
            }
        }
        Some(step)
    }

    /// The verdict on answers of this system whose largest residual is given.
    pub(crate) fn report(&self, residual: f64, settings: &AdjointSettings) -> GradientReport {
        let regular = !self.kkt.deficient
            && residual <= settings.residual_tolerance
            && self.kkt.condition <= settings.condition_limit;
        GradientReport {
            quality: if regular {
                self.system.best
            } else {
                GradientQuality::Degenerate
            },
            residual,
            margin: self.system.margin,
            condition: self.kkt.condition,
        }
    }
}
