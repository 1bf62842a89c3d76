//! One sample's optimality conditions, factored once for any number of derivatives.

use crate::adjoint::accumulate::{COUNT, PARAMETERS, Run, Sink, layout};
use crate::adjoint::direction::Directions;
use crate::adjoint::force::{Force, Source};
use crate::adjoint::system::{Factored, Memory, Step, System};
use crate::adjoint::tangent::{SolutionTangent, Tangents};
use crate::adjoint::types::{Cotangent, GradientReport, Gradients, Wanted};
use crate::adjoint::{check, check_solved};
use crate::error::Error;
use crate::problem::Problem;
use crate::settings::AdjointSettings;
use crate::solution::Solution;

/// The factored linearisation of one solved sample, see [`differentiate`].
pub struct SampleDerivative<'a> {
    problem: &'a Problem<'a>,
    solution: &'a Solution,
    settings: &'a AdjointSettings,
    index: usize,
    system: &'a System<'a>,
    factored: Factored<'a>,
    force: Force,
    step: Step,
    worst: f64,
}

/// Derivatives of one sample's solution along several directions, or of several functions of it,
/// from one factorisation: `work` asks for them one by one. Answers are those of [`crate::tangent`]
/// and [`crate::adjoint`].
///
/// `None`, without `work`, where the sample was not solved or its numbers cannot be factored.
///
/// # Errors
/// [`Error::ForeignSolution`] when the solution has other sizes than the problem,
/// [`Error::Setting`], [`Error::Sample`].
///
/// # Cost
/// One `O((n + a)³)` factorisation with `a` active rows, then one solve per derivative.
pub fn differentiate<R>(
    problem: &Problem<'_>,
    solution: &Solution,
    sample: usize,
    settings: &AdjointSettings,
    work: impl FnOnce(&mut SampleDerivative<'_>) -> R,
) -> Result<Option<R>, Error> {
    settings.validate()?;
    check_solved(problem, solution)?;
    Error::check_sample(sample, problem.batch)?;
    if !solution.status[sample].is_solved() {
        return Ok(None);
    }
    let problem = &solution.solved_problem(problem);
    let mut memory = Memory::default();
    let system = System::new(problem, solution, settings, sample, &mut memory);
    let Some(factored) = system.factor(settings, &mut memory) else {
        return Ok(None);
    };
    Ok(Some(work(&mut SampleDerivative {
        problem,
        solution,
        settings,
        index: sample,
        system: &system,
        factored,
        force: Force::zero(problem),
        step: Step::default(),
        worst: 0.0,
    })))
}

impl SampleDerivative<'_> {
    /// How the solution moves along a direction of the parameters, as a batch of one.
    ///
    /// # Errors
    /// As [`crate::tangent`].
    pub fn tangent(&mut self, tangents: &Tangents<'_>) -> Result<SolutionTangent, Error> {
        tangents.check(self.problem)?;
        Ok(if self.solve(Source::Tangents(tangents)) {
            let Step {
                x, nu, lambda, mu, ..
            } = std::mem::take(&mut self.step);
            SolutionTangent {
                x,
                equality_dual: nu,
                inequality_dual: lambda,
                quadratic_dual: mu,
                reports: vec![self.report()],
            }
        } else {
            SolutionTangent {
                x: vec![0.0; self.problem.n],
                equality_dual: vec![0.0; self.problem.equality_rows()],
                inequality_dual: vec![0.0; self.problem.inequality_rows()],
                quadratic_dual: vec![0.0; self.problem.quadratic_rows()],
                reports: vec![GradientReport::UNAVAILABLE],
            }
        })
    }

    /// Gradients of a function of this sample's solution with respect to the numbers that the sample
    /// uses, from the function's own gradient, a batch of one.
    ///
    /// # Errors
    /// As [`crate::adjoint`].
    pub fn adjoint(
        &mut self,
        cotangent: &Cotangent<'_>,
        wanted: &Wanted,
    ) -> Result<Gradients, Error> {
        check(self.problem, 1, cotangent)?;
        let mut directions = Directions::none(self.problem, 1, self.settings);
        if self.solve(Source::Cotangent(cotangent)) {
            directions.put(0, &self.step, self.system.point());
            directions.reports[0] = self.report();
        }
        let run = Run::new(self.problem, self.solution, &directions, self.index, 1);
        let mut gradients: [Option<Vec<f64>>; COUNT] = Default::default();
        for (parameter, gradient) in PARAMETERS.into_iter().zip(&mut gradients) {
            *gradient = layout(parameter, self.problem, wanted).map(|layout| {
                let mut values = vec![0.0; layout.len];
                run.fill(parameter, &mut Sink::Slot(&mut values));
                values
            });
        }
        let [p, q, a, b, g, l, u, quadratic_h, quadratic_g, quadratic_c] = gradients;
        Ok(Gradients {
            p,
            q,
            a,
            b,
            g,
            l,
            u,
            quadratic_h,
            quadratic_g,
            quadratic_c,
            reports: directions.reports,
        })
    }

    /// How far all derivatives so far can be trusted.
    pub fn report(&self) -> GradientReport {
        if self.worst.is_finite() {
            self.factored.report(self.worst, self.settings)
        } else {
            GradientReport::UNAVAILABLE
        }
    }

    /// False when a solve leaves the finite numbers.
    fn solve(&mut self, source: Source<'_>) -> bool {
        // A cotangent is a batch of one; tangents are those of the batch.
        let index = match source {
            Source::Cotangent(_) => 0,
            Source::Tangents(_) => self.index,
        };
        source.write(self.problem, index, self.system.point(), &mut self.force);
        let finite = self.factored.solve(&self.force, &mut self.step);
        let residual = self.step.residual;
        // A NaN must not pass for a good residual.
        if !(finite && residual.is_finite()) {
            self.worst = f64::INFINITY;
        } else if residual > self.worst {
            self.worst = residual;
        }
        finite
    }
}
