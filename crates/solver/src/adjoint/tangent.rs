//! Forward derivatives: how the solution moves when the parameters do.

use feasible_kernels::{map_runs, run_length};

use crate::adjoint::accumulate::{PARAMETERS, Parameter, numbers};
use crate::adjoint::direction::directions;
use crate::adjoint::force::Source;
use crate::adjoint::types::GradientReport;
use crate::adjoint::{check_solved, longest};
use crate::batch::Values;
use crate::error::Error;
use crate::problem::Problem;
use crate::settings::AdjointSettings;
use crate::solution::Solution;
use crate::validate::{self, Infinities};
use crate::work::threads;

/// A direction in the parameters; an absent part does not move.
///
/// Every part has the layout of one copy of its parameter, and is shared by the batch or given per
/// sample whichever of the two its parameter is. Directions of a dense `P` or `H` count through
/// their symmetric part, as the matrices themselves are symmetric. Directions of infinite bounds
/// must be finite and have no effect.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tangents<'a> {
    /// Of `P`, `[n, n]`, or `[n]` when `P` is diagonal.
    pub p: Option<Values<'a>>,
    /// Of `q`, `[n]`.
    pub q: Option<Values<'a>>,
    /// Of `A`, `[p, n]`.
    pub a: Option<Values<'a>>,
    /// Of `b`, `[p]`.
    pub b: Option<Values<'a>>,
    /// Of `G`, `[m, n]`.
    pub g: Option<Values<'a>>,
    /// Of `l`, `[m]`.
    pub l: Option<Values<'a>>,
    /// Of `u`, `[m]`.
    pub u: Option<Values<'a>>,
    /// Of `H`, `[k, n, n]`, or `[k, n]` when the `H_i` are diagonal.
    pub quadratic_h: Option<Values<'a>>,
    /// Of the linear parts of the quadratic rows, `[k, n]`.
    pub quadratic_g: Option<Values<'a>>,
    /// Of `c`, `[k]`.
    pub quadratic_c: Option<Values<'a>>,
}

impl<'a> Tangents<'a> {
    /// A direction in one parameter alone.
    pub fn only(parameter: Parameter, values: Values<'a>) -> Tangents<'a> {
        Tangents::default().and(parameter, values)
    }

    /// With a direction of one more parameter, in place of any given before.
    pub fn and(mut self, parameter: Parameter, values: Values<'a>) -> Tangents<'a> {
        *self.part_mut(parameter) = Some(values);
        self
    }

    fn part_mut(&mut self, parameter: Parameter) -> &mut Option<Values<'a>> {
        match parameter {
            Parameter::P => &mut self.p,
            Parameter::Q => &mut self.q,
            Parameter::A => &mut self.a,
            Parameter::B => &mut self.b,
            Parameter::G => &mut self.g,
            Parameter::L => &mut self.l,
            Parameter::U => &mut self.u,
            Parameter::QuadraticH => &mut self.quadratic_h,
            Parameter::QuadraticG => &mut self.quadratic_g,
            Parameter::QuadraticC => &mut self.quadratic_c,
        }
    }

    pub(super) fn check(&self, problem: &Problem<'_>) -> Result<(), Error> {
        let mut tangents = *self;
        for parameter in PARAMETERS {
            let Some(values) = *tangents.part_mut(parameter) else {
                continue;
            };
            let (argument, layout) = description(parameter);
            // A part the problem lacks has no numbers.
            let len = numbers(parameter, problem).map_or(0, |(_, len)| len);
            validate::check(
                argument,
                values,
                problem.batch,
                len,
                layout,
                Infinities::None,
            )?;
        }
        Ok(())
    }
}

fn description(parameter: Parameter) -> (&'static str, &'static str) {
    match parameter {
        Parameter::P => ("tangents.p", "as `p`, per sample or shared"),
        Parameter::Q => ("tangents.q", "[n], per sample or shared"),
        Parameter::A => ("tangents.a", "[p, n], per sample or shared"),
        Parameter::B => ("tangents.b", "[p], per sample or shared"),
        Parameter::G => ("tangents.g", "[m, n], per sample or shared"),
        Parameter::L => ("tangents.l", "[m], per sample or shared"),
        Parameter::U => ("tangents.u", "[m], per sample or shared"),
        Parameter::QuadraticH => (
            "tangents.quadratic_h",
            "as `quadratics.h`, per sample or shared",
        ),
        Parameter::QuadraticG => ("tangents.quadratic_g", "[k, n], per sample or shared"),
        Parameter::QuadraticC => ("tangents.quadratic_c", "[k], per sample or shared"),
    }
}

/// Directional derivatives of a batch of solutions.
///
/// Samples that were not solved have zeros and [`crate::GradientQuality::Unavailable`].
#[derive(Clone, Debug, Default)]
pub struct SolutionTangent {
    /// Of `x`, `[batch, n]`.
    pub x: Vec<f64>,
    /// Of `ν`, `[batch, p]`.
    pub equality_dual: Vec<f64>,
    /// Of `λ_u − λ_l`, `[batch, m]`; zero on inactive rows.
    pub inequality_dual: Vec<f64>,
    /// Of `μ`, `[batch, k]`; zero on inactive rows.
    pub quadratic_dual: Vec<f64>,
    /// How far each sample's derivative can be trusted.
    pub reports: Vec<GradientReport>,
}

/// Derivative of the solution along a direction in the parameters.
///
/// # Problem
/// With `F(z, θ) = 0` the optimality conditions on the active rows and `z = (x, ν, λ, μ)`, the
/// derivative along `dθ` solves `[H Eᵀ; E 0] dz = −∂F/∂θ · dθ` (implicit function theorem). The
/// matrix is that of [`crate::adjoint`] and symmetric, and where it is singular the same
/// least-norm answer is taken, so that the two are transposes of each other on every sample:
/// `⟨cotangent, tangent(dθ)⟩ = ⟨adjoint(cotangent), dθ⟩`.
///
/// # Shapes
/// As [`Tangents`] and [`SolutionTangent`] say.
///
/// # Errors
/// [`Error::Shape`] and [`Error::NotFinite`] for the directions, [`Error::ForeignSolution`] when
/// the solution has other sizes than the problem, [`Error::Setting`]. The problem must be the one
/// that was solved; only its sizes are checked again.
///
/// # Cost
/// As [`crate::adjoint`], plus one product of every given direction with the solution.
pub fn tangent(
    problem: &Problem<'_>,
    solution: &Solution,
    tangents: &Tangents<'_>,
    settings: &AdjointSettings,
) -> Result<SolutionTangent, Error> {
    settings.validate()?;
    check_solved(problem, solution)?;
    tangents.check(problem)?;
    let problem = &solution.solved_problem(problem);
    let batch = problem.batch;
    let threads = threads(problem, solution.factors.are_kept());
    let run = run_length(batch, threads, longest(batch));
    let firsts: Vec<usize> = (0..batch).step_by(run).collect();
    let along = |_: &mut (), _, first: usize| {
        let count = run.min(batch - first);
        let source = Source::Tangents(tangents);
        directions(problem, solution, source, settings, first, count)
    };
    let parts = map_runs(firsts, threads, || (), along);
    let mut out = SolutionTangent::default();
    for part in parts {
        out.x.extend(part.x);
        out.equality_dual.extend(part.nu);
        out.inequality_dual.extend(part.lambda);
        out.quadratic_dual.extend(part.mu);
        out.reports.extend(part.reports);
    }
    Ok(out)
}
