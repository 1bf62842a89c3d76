//! The optimality conditions of one sample, linearised at its solution.

use crate::adjoint::{GradientQuality, GradientReport};
use crate::cone::geometry::Local;
use crate::cone::problem::{ConeProblem, ConeSample};
use crate::cone::solve::ConeSolution;
use crate::cone::system::{Rank, System};
use crate::dense::max_abs;
use crate::error::Error;
use crate::settings::AdjointSettings;

/// The report of a sample that has no derivatives.
pub(crate) const UNAVAILABLE: GradientReport = GradientReport {
    quality: GradientQuality::Unavailable,
    residual: f64::INFINITY,
    margin: 0.0,
    condition: f64::INFINITY,
};

/// A factored linearisation. Its matrix is symmetric, so that it serves derivatives forwards and
/// backwards.
pub(crate) struct Linearised<'a> {
    pub(crate) sample: ConeSample<'a>,
    local: &'a Local,
    confirmed: bool,
    system: System,
    rank: Rank,
    settings: &'a AdjointSettings,
    worst: f64,
}

impl<'a> Linearised<'a> {
    /// `None` where the sample was not solved or its numbers cannot be factored.
    pub(crate) fn at(
        problem: &'a ConeProblem<'a>,
        solution: &'a ConeSolution,
        settings: &'a AdjointSettings,
        i: usize,
    ) -> Option<Linearised<'a>> {
        if !solution.status[i].is_solved() {
            return None;
        }
        let sample = problem.sample(i);
        let local = &solution.local[i];
        let layout = &solution.layout;
        let mut system = System::new(&sample, local, layout, settings.rank_tolerance)?;
        let rank = system.rank(&sample, local);
        Some(Linearised {
            sample,
            local,
            confirmed: solution.confirmed[i],
            system,
            rank,
            settings,
            worst: 0.0,
        })
    }

    /// Solves `P dx + Aᵀdz = r₁`, `A dx + ds = r₂`, where `(ds, dz)` stays in the linearised
    /// cones. False, and zeros, if the numbers are not finite.
    pub(crate) fn solve(
        &mut self,
        right: (&[f64], &[f64]),
        dx: &mut [f64],
        dz: &mut [f64],
    ) -> bool {
        let residual = self.system.solve(&self.sample, self.local, right, dx, dz);
        if !(max_abs(dx).is_finite() && max_abs(dz).is_finite()) {
            dx.fill(0.0);
            dz.fill(0.0);
            self.worst = f64::INFINITY;
            return false;
        }
        // A NaN must not pass for a good residual.
        if !(residual <= self.worst) {
            self.worst = residual;
        }
        true
    }

    /// How far what was solved for can be trusted.
    pub(crate) fn report(&self) -> GradientReport {
        if self.worst == f64::INFINITY {
            return UNAVAILABLE;
        }
        let exact = self.confirmed
            && self.local.smooth
            && self.local.margin > self.settings.degenerate_margin
            && !self.rank.deficient
            && self.worst <= self.settings.residual_tolerance
            && self.rank.condition <= self.settings.condition_limit;
        GradientReport {
            quality: if exact {
                GradientQuality::Exact
            } else {
                GradientQuality::Degenerate
            },
            residual: self.worst,
            margin: self.local.margin,
            condition: self.rank.condition,
        }
    }
}

/// Refuses a solution of another problem.
pub(crate) fn check_solution(
    problem: &ConeProblem<'_>,
    solution: &ConeSolution,
) -> Result<(), Error> {
    let (batch, n, m) = (problem.batch, problem.n, problem.rows());
    for (what, got, expected) in [
        ("batch", solution.status.len(), batch),
        ("x", solution.x.len(), batch * n),
        ("z", solution.z.len(), batch * m),
    ] {
        if got != expected {
            return Err(Error::ForeignSolution {
                what,
                got,
                expected,
            });
        }
    }
    if solution.layout.belongs_to(problem) {
        Ok(())
    } else {
        Err(Error::ForeignPattern)
    }
}
