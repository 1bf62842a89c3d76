//! The linearised optimality system of one sample, by its own factorisation: per-sample matrices,
//! quadratic rows, or degeneracy.

use crate::adjoint::direction::{Hessian, lagrangian_hessian};
use crate::adjoint::force::Force;
use crate::adjoint::types::{GradientQuality, GradientReport};
use crate::dense::{dot, max_abs};
use crate::kkt::ActiveKkt;
use crate::problem::{Problem, Sample};
use crate::residual::{Point, Terms};
use crate::settings::AdjointSettings;
use crate::solution::{ActiveRows, Solution};

/// One sample's system on its active rows, not yet factored.
pub(crate) struct System<'a> {
    sample: Sample<'a>,
    at: Point<'a>,
    /// Active rows of `G`.
    linear: Vec<usize>,
    /// Active quadratic rows.
    quadratic: Vec<usize>,
    /// Equalities, then `linear`, then the gradients of `quadratic`.
    rows: Vec<f64>,
    hessian: Hessian,
    margin: f64,
    /// Whether nothing but the factorisation can stand in the way of an exact derivative.
    clean: bool,
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
        let sample = problem.sample(index);
        let at = solution.point(problem, index);
        let mut terms = Terms::default();
        terms.evaluate(&sample, at);
        let margin = solution.margin[index];
        let weak = margin <= settings.degenerate_margin;
        let active = &solution.active[index];
        let (linear, quadratic) = touching(
            &sample,
            &terms,
            at,
            active,
            weak,
            settings.degenerate_margin,
        );
        let n = sample.n;
        let mut rows = sample.a.to_vec();
        for &row in &linear {
            rows.extend_from_slice(&sample.g[row * n..(row + 1) * n]);
        }
        for &row in &quadratic {
            rows.extend_from_slice(&terms.jacobian[row * n..(row + 1) * n]);
        }
        System {
            sample,
            at,
            linear,
            quadratic,
            rows,
            hessian: lagrangian_hessian(&sample, at.mu),
            margin,
            clean: !weak && active.identified,
        }
    }

    /// The point the system is linearised about.
    pub(crate) fn point(&self) -> Point<'_> {
        self.at
    }

    /// Factors; `None` when the data leaves the finite numbers.
    pub(crate) fn factor(&self, settings: &AdjointSettings) -> Option<Factored<'_>> {
        let (n, hessian) = (self.sample.n, self.hessian.as_matrix());
        let kkt = ActiveKkt::new(n, hessian, &self.rows, settings.rank_tolerance)?;
        Some(Factored { system: self, kkt })
    }
}

impl Factored<'_> {
    /// Solves `M step = −force`; `None` when the answer is not finite.
    pub(crate) fn solve(&self, force: &Force) -> Option<Step> {
        let System {
            sample,
            at,
            linear,
            quadratic,
            ..
        } = self.system;
        let r: Vec<f64> = force.x.iter().map(|v| -v).collect();
        let mut s: Vec<f64> = force.nu.iter().map(|v| -v).collect();
        for &row in linear {
            s.push(-force.row(sample, row, at.lambda[row], at.x));
        }
        s.extend(quadratic.iter().map(|&row| -force.mu[row]));
        let (x, eta, residual) = self.kkt.solve(&r, &s);
        if !(max_abs(&x).is_finite() && max_abs(&eta).is_finite()) {
            return None;
        }
        let (nu, rest) = eta.split_at(force.nu.len());
        let mut step = Step {
            x,
            nu: nu.to_vec(),
            lambda: vec![0.0; force.upper.len()],
            mu: vec![0.0; force.mu.len()],
            residual,
        };
        for (&row, v) in linear.iter().zip(rest) {
            step.lambda[row] = *v;
        }
        for (&row, v) in quadratic.iter().zip(&rest[linear.len()..]) {
            step.mu[row] = *v;
        }
        Some(step)
    }

    /// The verdict on answers of this system whose largest residual is given.
    pub(crate) fn report(&self, residual: f64, settings: &AdjointSettings) -> GradientReport {
        let exact = self.system.clean
            && !self.kkt.deficient
            && residual <= settings.residual_tolerance
            && self.kkt.condition <= settings.condition_limit;
        let quality = if exact {
            GradientQuality::Exact
        } else {
            GradientQuality::Degenerate
        };
        GradientReport {
            quality,
            residual,
            margin: self.system.margin,
            condition: self.kkt.condition,
        }
    }
}

/// The active rows; for a degenerate sample also every row that touches its bound, so that the
/// answer does not depend on which of them the solver happened to use.
fn touching(
    sample: &Sample<'_>,
    terms: &Terms,
    at: Point<'_>,
    active: &ActiveRows,
    weak: bool,
    margin: f64,
) -> (Vec<usize>, Vec<usize>) {
    let mut linear: Vec<usize> = active
        .linear
        .iter()
        .chain(&active.dependent)
        .map(|&row| row as usize)
        .collect();
    let mut quadratic: Vec<usize> = active.quadratic.iter().map(|&row| row as usize).collect();
    if weak {
        let n = sample.n;
        let length = 1.0 + max_abs(at.x);
        for (i, row) in sample.g.chunks_exact(n).enumerate() {
            let reach = margin * length * dot(row, row).sqrt();
            let slack = (sample.u[i] - terms.gx[i]).min(terms.gx[i] - sample.l[i]);
            if slack <= reach && reach > 0.0 {
                linear.push(i);
            }
        }
        for (i, gradient) in terms.jacobian.chunks_exact(n).enumerate() {
            let reach = margin * length * dot(gradient, gradient).sqrt();
            if sample.c[i] - terms.quadratic[i] <= reach && reach > 0.0 {
                quadratic.push(i);
            }
        }
    }
    linear.sort_unstable();
    linear.dedup();
    quadratic.sort_unstable();
    quadratic.dedup();
    (linear, quadratic)
}
