//! One sample's optimality conditions, factored once for any number of derivatives.

use crate::adjoint::GradientReport;
use crate::cone::adjoint::{ConeCotangent, ConeGradients, ConeWanted, answer, check};
use crate::cone::linearised::{Linearised, check_solution};
use crate::cone::problem::ConeProblem;
use crate::cone::solve::ConeSolution;
use crate::cone::tangent::{ConeTangents, ConeVelocity, along, check_tangents};
use crate::error::Error;
use crate::settings::AdjointSettings;

/// The factored linearisation of one solved sample, see [`cone_differentiate`].
pub struct ConeDerivative<'a> {
    problem: &'a ConeProblem<'a>,
    linearised: Linearised<'a>,
    index: usize,
}

/// Derivatives of one sample's solution along several directions, or of several functions of it,
/// from one factorisation: `work` asks for them one by one. Answers are those of
/// [`crate::cone_tangent`] and [`crate::cone_adjoint`].
///
/// `None`, without `work`, where the sample was not solved or its numbers cannot be factored.
///
/// # Errors
/// [`Error::ForeignSolution`], [`Error::ForeignPattern`], [`Error::Setting`], [`Error::Sample`].
///
/// # Cost
/// One factorisation, sparse where the problem is, then one solve per derivative.
pub fn cone_differentiate<R>(
    problem: &ConeProblem<'_>,
    solution: &ConeSolution,
    sample: usize,
    settings: &AdjointSettings,
    work: impl FnOnce(&mut ConeDerivative<'_>) -> R,
) -> Result<Option<R>, Error> {
    settings.validate()?;
    check_solution(problem, solution)?;
    Error::check_sample(sample, problem.batch)?;
    let linearised = Linearised::at(problem, solution, settings, sample);
    Ok(linearised.map(|linearised| {
        work(&mut ConeDerivative {
            problem,
            linearised,
            index: sample,
        })
    }))
}

impl ConeDerivative<'_> {
    /// How the solution moves along a direction of the parameters, as a batch of one.
    ///
    /// # Errors
    /// As [`crate::cone_tangent`].
    pub fn tangent(&mut self, tangents: &ConeTangents<'_>) -> Result<ConeVelocity, Error> {
        check_tangents(self.problem, tangents)?;
        let found = along(&mut self.linearised, tangents, self.index);
        Ok(ConeVelocity {
            x: found.x,
            s: found.s,
            z: found.z,
            reports: vec![found.report],
        })
    }

    /// Gradients of a function of this sample's solution with respect to the numbers that the sample
    /// uses, from the function's own gradient, a batch of one.
    ///
    /// # Errors
    /// As [`crate::cone_adjoint`].
    pub fn adjoint(
        &mut self,
        cotangent: &ConeCotangent<'_>,
        wanted: &ConeWanted,
    ) -> Result<ConeGradients, Error> {
        check(self.problem, 1, cotangent)?;
        let direction = answer(&mut self.linearised, cotangent, 0);
        let p = self.problem.p.filter(|_| wanted.p).map(|p| {
            let places = p.places();
            places.map(|(r, c)| direction.of_p(r, c)).collect()
        });
        let a = wanted.a.then(|| {
            let places = self.problem.a.places();
            places.map(|(r, c)| direction.of_a(r, c)).collect()
        });
        Ok(ConeGradients {
            p,
            a,
            q: wanted.q.then(|| direction.w.iter().map(|w| -w).collect()),
            reports: vec![direction.report],
            b: wanted.b.then_some(direction.v),
        })
    }

    /// How far all derivatives so far can be trusted.
    pub fn report(&self) -> GradientReport {
        self.linearised.report()
    }
}
