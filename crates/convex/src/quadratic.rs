//! The forward pass of quadratic programs, with or without quadratic rows.

use std::borrow::Cow;

use feasible_solver::{
    AdjointSettings, Cotangent, Settings, Solution, Status, adjoint, solve, solve_from,
};

use crate::adjoint::{Answer, Part, Solved};
use crate::host_problem::{HostProblem, Role, read};
use crate::layer::SolvedBatch;
use crate::problem::{QpTensors, QuadraticTensors};
use crate::{ConvexSettings, ConvexSolution, Error};

/// Solves the batch, from another batch's solution if there is one, and records it.
pub(crate) fn forward(
    settings: &ConvexSettings,
    qp: &QpTensors,
    quadratics: Option<&QuadraticTensors>,
    previous: Option<&ConvexSolution>,
) -> Result<ConvexSolution, Error> {
    let (problem, tracked) = read(qp, quadratics)?;
    let solver = Settings {
        rounding: settings.solver.rounding.max(tracked.rounding),
        ..settings.solver
    };
    let found = match previous {
        Some(previous) => {
            let previous = &previous.batch.solved.solution;
            solve_from(&problem.as_problem(), previous, &solver)?
        }
        None => solve(&problem.as_problem(), &solver)?,
    };
    let (status, iterations, residuals) = (
        found.status.clone(),
        found.iterations.clone(),
        found.residuals.clone(),
    );
    let solved = SolvedProgram {
        problem,
        solution: found,
        settings: settings.adjoint,
        roles: tracked.roles.clone(),
    };
    let batch = SolvedBatch::new(solved, tracked, settings.on_failure)?;
    Ok(ConvexSolution {
        x: batch.part(0),
        status,
        iterations,
        residuals,
        batch,
    })
}

#[derive(Debug)]
pub(crate) struct SolvedProgram {
    pub(crate) problem: HostProblem,
    pub(crate) solution: Solution,
    pub(crate) settings: AdjointSettings,
    roles: Vec<Role>,
}

impl Solved for SolvedProgram {
    fn status(&self) -> &[Status] {
        &self.solution.status
    }

    fn conflict(&self, sample: usize) -> Option<String> {
        Some(self.solution.conflict(sample)?.to_string())
    }

    fn parts(&self) -> Vec<Part<'_>> {
        let (solution, sizes) = (&self.solution, &self.problem.sizes);
        vec![
            (&solution.x, sizes.n),
            (&solution.equality_dual, sizes.equalities),
            (&solution.inequality_dual, sizes.inequalities),
            (&solution.quadratic_dual, sizes.quadratics),
        ]
    }

    fn gradients(&self, cotangents: &[Option<&[f64]>]) -> Option<Answer> {
        let &[x, equality_dual, inequality_dual, quadratic_dual] = cotangents else {
            return None;
        };
        let cotangent = Cotangent {
            x: &x.map_or_else(|| vec![0.0; self.solution.x.len()].into(), Cow::Borrowed),
            equality_dual,
            inequality_dual,
            quadratic_dual,
        };
        let wanted = Role::wanted(&self.roles);
        let problem = self.problem.as_problem();
        let mut gradients = adjoint(
            &problem,
            &self.solution,
            &cotangent,
            &wanted,
            &self.settings,
        )
        .ok()?;
        let of_roles = self
            .roles
            .iter()
            .map(|role| role.take(&mut gradients).unwrap_or_default())
            .collect();
        Some((of_roles, gradients.reports))
    }
}
