//! The linearised optimality system of one sample, by its own factorisation: quadratic rows,
//! degeneracy, a solution of the interior point, or a point of the central path.

use crate::adjoint::central::{Central, Place};
use crate::adjoint::direction::lagrangian_hessian;
use crate::adjoint::force::{Force, is_between, upper_share};
use crate::adjoint::held::{Held, Known, hold};
use crate::adjoint::types::{GradientQuality, GradientReport};
use crate::dense::{copy, max_abs, vectorised, zeros};
use crate::kkt::{self, ActiveKkt, Solved};
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
    equations: SoftSystem,
    parts: Parts,
    margin: f64,
    best: GradientQuality,
}

/// What systems are set up, factored and solved in, kept from one sample to the next.
#[derive(Default)]
pub(crate) struct Memory {
    parts: Parts,
    hessian: Vec<f64>,
    gradients: Vec<f64>,
    factors: kkt::Memory,
    pub(crate) step: Step,
}

/// What a system is set up from.
#[derive(Default)]
struct Parts {
    terms: Terms,
    held: Held,
    /// What the rows after the equalities are.
    rows: Vec<Row>,
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
#[derive(Default)]
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
    /// What it is computed in: the right-hand sides of the system and its solution.
    right: (Vec<f64>, Vec<f64>),
    solved: Solved,
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
        memory: &mut Memory,
    ) -> System<'a> {
        let mut at_solution = System::at_solution(problem, solution, settings, index, memory);
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
        let regular = at_solution
            .factor(settings, memory)
            .is_some_and(|factored| {
                let exact = factored.report(0.0, settings).quality == GradientQuality::Exact;
                factored.keep(memory);
                exact
            });
        let Parts { terms, rows, .. } = &mut at_solution.parts;
        terms.evaluate(&sample, central.point());
        let (gradients, softness) = central.rows(&sample, &terms.jacobian, compliance);
        rows.clear();
        rows.extend(central.fixed.iter().map(|&row| Row::Held(row)));
        rows.extend(central.bounds.iter().map(|bound| Row::Bound(bound.place)));
        let hessian = lagrangian_hessian(&sample, &central.mu, Vec::new());
        System {
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
        memory: &mut Memory,
    ) -> System<'a> {
        let sample = problem.sample(index);
        let at = solution.point(problem, index);
        let mut parts = std::mem::take(&mut memory.parts);
        let Parts { terms, held, rows } = &mut parts;
        vectorised(
            #[inline(always)]
            || terms.evaluate(&sample, at),
        );
        let margin = solution.margin[index];
        let weak = margin <= settings.degenerate_margin;
        let active = &solution.active[index];
        let compliance = solution.compliance(index);
        let known = Known {
            active,
            weak,
            rigid: compliance == 0.0,
        };
        hold(&sample, terms, at, known, settings, held);
        let Held {
            linear,
            quadratic,
            chosen,
        } = &*held;
        let n = sample.n;
        let mut gradients = std::mem::take(&mut memory.gradients);
        copy(sample.a, &mut gradients);
        for &row in linear {
            gradients.extend_from_slice(&sample.g[row * n..(row + 1) * n]);
        }
        for &row in quadratic {
            gradients.extend_from_slice(&terms.jacobian[row * n..(row + 1) * n]);
        }
        let mut softness = Vec::new();
        if compliance > 0.0 {
            softness.resize(gradients.len() / n, compliance);
            let held = &mut softness[sample.b.len()..];
            for (softness, &row) in held.iter_mut().zip(linear) {
                // Two springs side by side.
                if is_between(&sample, row, at.x) {
                    *softness *= 0.5;
                }
            }
        }
        rows.clear();
        rows.extend(linear.iter().map(|&row| Row::Held(row)));
        rows.extend(
            quadratic
                .iter()
                .map(|&row| Row::Bound(Place::Quadratic(row))),
        );
        let best = if !weak && !chosen && active.identified {
            GradientQuality::Exact
        } else {
            GradientQuality::Degenerate
        };
        let hessian = lagrangian_hessian(&sample, at.mu, std::mem::take(&mut memory.hessian));
        System {
            sample,
            solved: at,
            central: None,
            equations: SoftSystem::new(n, hessian, gradients, &softness),
            parts,
            margin,
            best,
        }
    }

    /// Gives back what it was set up in.
    pub(crate) fn keep(self, memory: &mut Memory) {
        memory.parts = self.parts;
        (memory.hessian, memory.gradients) = self.equations.into_numbers();
    }

    /// The point the system is linearised about.
    pub(crate) fn point(&self) -> Point<'_> {
        match &self.central {
            Some(central) => central.point(),
            None => self.solved,
        }
    }

    /// Factors; `None` when the data leaves the finite numbers.
    pub(crate) fn factor(
        &self,
        settings: &AdjointSettings,
        memory: &mut Memory,
    ) -> Option<Factored<'_>> {
        let memory = std::mem::take(&mut memory.factors);
        let kkt = self.equations.factor(settings.rank_tolerance, memory)?;
        Some(Factored { system: self, kkt })
    }

    /// The share of a held row that its upper bound has.
    fn share(&self, row: usize) -> f64 {
        let at = self.point();
        upper_share(&self.sample, row, at.lambda[row], at.x)
    }
}

impl Factored<'_> {
    /// Solves `M step = −force`; false when the answer is not finite.
    pub(crate) fn solve(&self, force: &Force, step: &mut Step) -> bool {
        let system = self.system;
        let rows = &system.parts.rows;
        let at = system.point();
        let (r, s) = &mut step.right;
        r.clear();
        r.extend(force.x.iter().map(|v| -v));
        s.clear();
        s.extend(force.nu.iter().map(|v| -v));
        s.extend(rows.iter().map(|row| match *row {
            Row::Held(row) => -force.row(&system.sample, row, at.lambda[row], at.x),
            Row::Bound(Place::Upper(row)) => -force.upper[row],
            Row::Bound(Place::Lower(row)) => -force.lower[row],
            Row::Bound(Place::Quadratic(row)) => -force.mu[row],
        }));
        step.residual = system.equations.solve(&self.kkt, r, s, &mut step.solved);
        let Solved { x, eta, .. } = &step.solved;
        if !(max_abs(x).is_finite() && max_abs(eta).is_finite()) {
            return false;
        }
        let (nu, rest) = eta.split_at(force.nu.len());
        copy(x, &mut step.x);
        copy(nu, &mut step.nu);
        zeros(&mut step.lambda, force.upper.len());
        zeros(&mut step.upper, force.upper.len());
        zeros(&mut step.mu, force.mu.len());
        for (row, v) in rows.iter().zip(rest) {
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
        // Sums of two bounds' shares may have overflowed.
        max_abs(&step.lambda).is_finite()
    }

    /// Gives back what it was factored in.
    pub(crate) fn keep(self, memory: &mut Memory) {
        memory.factors = self.kkt.into_memory();
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
