//! The whole derivative of the solution with respect to one parameter, sample by sample.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::adjoint::accumulate::{Parameter, Run, Sink, numbers};
use crate::adjoint::check_solved;
use crate::adjoint::direction::Directions;
use crate::adjoint::force::{Force, Source};
use crate::adjoint::system::{Factored, Memory, Step, System};
use crate::adjoint::tangent::Tangents;
use crate::adjoint::types::GradientReport;
use crate::batch::Values;
use crate::error::Error;
use crate::problem::Problem;
use crate::settings::AdjointSettings;
use crate::solution::Solution;

/// What to differentiate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outputs {
    /// `x` alone.
    #[default]
    Primal,
    /// `x` and all multipliers.
    PrimalAndDuals,
}

/// Derivatives of every sample's solution with respect to the numbers that sample uses of one
/// parameter.
///
/// Samples that were not solved have zeros.
#[derive(Clone, Debug, Default)]
pub struct Jacobian {
    /// Numbers of one copy of the parameter.
    pub len: usize,
    /// `∂x/∂θ`, `[batch, n, len]`.
    pub x: Vec<f64>,
    /// `∂ν/∂θ`, `[batch, p, len]`; empty for [`Outputs::Primal`].
    pub equality_dual: Vec<f64>,
    /// `∂(λ_u − λ_l)/∂θ`, `[batch, m, len]`; empty for [`Outputs::Primal`].
    pub inequality_dual: Vec<f64>,
    /// `∂μ/∂θ`, `[batch, k, len]`; empty for [`Outputs::Primal`].
    pub quadratic_dual: Vec<f64>,
    /// How far each sample's derivative can be trusted.
    pub reports: Vec<GradientReport>,
}

/// The derivative of the solution with respect to one parameter, sample by sample.
///
/// A shared parameter is differentiated as if each sample had its own copy. Entries of a dense `P`
/// or `H` are derivatives along symmetric changes: an entry off the diagonal has half the
/// derivative of moving it together with its mirror entry, as in [`crate::Gradients`].
///
/// # Shapes
/// As [`Jacobian`] says. A parameter that the problem lacks has length 0.
///
/// # Errors
/// [`Error::ForeignSolution`] when the solution has other sizes than the problem,
/// [`Error::Setting`].
///
/// # Cost
/// One `O((n + a)³)` factorisation per sample with `a` active rows, then one solve per number of
/// the parameter (forward) or per output (backward), whichever are fewer; the memory of the result.
pub fn jacobian(
    problem: &Problem<'_>,
    solution: &Solution,
    parameter: Parameter,
    outputs: Outputs,
    settings: &AdjointSettings,
) -> Result<Jacobian, Error> {
    settings.validate()?;
    check_solved(problem, solution)?;
    let problem = &solution.solved_problem(problem);
    let len = numbers(parameter, problem).map_or(0, |(_, len)| len);
    let samples: Vec<([Vec<f64>; 4], GradientReport)> = (0..problem.batch)
        .into_par_iter()
        .map(|index| {
            let task = Task {
                problem,
                solution,
                parameter,
                len,
                sizes: sizes(problem, outputs),
                index,
            };
            let found = solution.status[index]
                .is_solved()
                .then(|| task.run(settings));
            found.flatten().unwrap_or_else(|| {
                (
                    task.sizes.map(|rows| vec![0.0; rows * len]),
                    GradientReport::UNAVAILABLE,
                )
            })
        })
        .collect();
    let mut out = Jacobian {
        len,
        ..Jacobian::default()
    };
    for ([x, nu, lambda, mu], report) in samples {
        out.x.extend(x);
        out.equality_dual.extend(nu);
        out.inequality_dual.extend(lambda);
        out.quadratic_dual.extend(mu);
        out.reports.push(report);
    }
    Ok(out)
}

/// How many of `x`, `ν`, `λ`, `μ` are differentiated.
fn sizes(problem: &Problem<'_>, outputs: Outputs) -> [usize; 4] {
    match outputs {
        Outputs::Primal => [problem.n, 0, 0, 0],
        Outputs::PrimalAndDuals => [
            problem.n,
            problem.equality_rows(),
            problem.inequality_rows(),
            problem.quadratic_rows(),
        ],
    }
}

/// One sample.
struct Task<'a> {
    problem: &'a Problem<'a>,
    solution: &'a Solution,
    parameter: Parameter,
    len: usize,
    sizes: [usize; 4],
    index: usize,
}

impl Task<'_> {
    /// `None` when a solve leaves the finite numbers.
    fn run(&self, settings: &AdjointSettings) -> Option<([Vec<f64>; 4], GradientReport)> {
        let mut memory = Memory::default();
        let (problem, solution) = (self.problem, self.solution);
        let system = System::new(problem, solution, settings, self.index, &mut memory);
        let factored = system.factor(settings, &mut memory)?;
        let step = &mut memory.step;
        let outputs: usize = self.sizes.iter().sum();
        let (parts, residual) = if self.len < outputs {
            self.forward(&system, &factored, step)?
        } else {
            self.backward(&system, &factored, settings, step)?
        };
        Some((parts, factored.report(residual, settings)))
    }

    /// Column by column.
    fn forward(
        &self,
        system: &System<'_>,
        factored: &Factored<'_>,
        step: &mut Step,
    ) -> Option<([Vec<f64>; 4], f64)> {
        let mut parts = self.sizes.map(|rows| vec![0.0; rows * self.len]);
        let mut worst = 0.0f64;
        let mut unit = vec![0.0; self.len];
        let mut force = Force::zero(self.problem);
        for column in 0..self.len {
            unit[column] = 1.0;
            let tangents = Tangents::only(self.parameter, Values::Shared(&unit));
            let source = Source::Tangents(&tangents);
            source.write(self.problem, self.index, system.point(), &mut force);
            if !factored.solve(&force, step) {
                return None;
            }
            unit[column] = 0.0;
            worst = worst.max(step.residual);
            let Step {
                x, nu, lambda, mu, ..
            } = &*step;
            for (part, values) in parts.iter_mut().zip([x, nu, lambda, mu]) {
                // Parts that are not wanted have no lines.
                for (line, v) in part.chunks_exact_mut(self.len).zip(values) {
                    line[column] = *v;
                }
            }
        }
        Some((parts, worst))
    }

    /// Row by row.
    fn backward(
        &self,
        system: &System<'_>,
        factored: &Factored<'_>,
        settings: &AdjointSettings,
        step: &mut Step,
    ) -> Option<([Vec<f64>; 4], f64)> {
        let mut parts = self.sizes.map(|rows| vec![0.0; rows * self.len]);
        let mut worst = 0.0f64;
        if self.len == 0 {
            return Some((parts, worst));
        }
        for (at, part) in parts.iter_mut().enumerate() {
            for (row, line) in part.chunks_exact_mut(self.len).enumerate() {
                let mut force = Force::zero(self.problem);
                match at {
                    0 => force.x[row] = 1.0,
                    1 => force.nu[row] = 1.0,
                    2 => (force.upper[row], force.lower[row]) = (1.0, 1.0),
                    _ => force.mu[row] = 1.0,
                }
                if !factored.solve(&force, step) {
                    return None;
                }
                worst = worst.max(step.residual);
                let mut directions = Directions::none(self.problem, 1, settings);
                directions.put(0, step, system.point());
                Run::new(self.problem, self.solution, &directions, self.index, 1)
                    .fill(self.parameter, &mut Sink::Slot(line));
            }
        }
        Some((parts, worst))
    }
}
