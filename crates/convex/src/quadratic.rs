//! The forward pass of quadratic programs, with or without quadratic rows.

use std::sync::Arc;

use feasible_solver::{
    AdjointSettings, Cotangent, Settings, Solution, Status, adjoint, solve, solve_from,
};

use crate::adjoint::{Answer, Part, Solved};
use crate::forward::Kept;
use crate::host_problem::{HostProblem, Role, read};
use crate::layer;
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
    let found = Arc::new(match previous {
        Some(previous) => solve_from(&problem.as_problem(), &previous.found, &solver)?,
        None => solve(&problem.as_problem(), &solver)?,
    });
    let (status, iterations, residuals) = (
        found.status.clone(),
        found.iterations.clone(),
        found.residuals.clone(),
    );
    let solved = Arc::new(SolvedProgram {
        problem,
        solution: found.clone(),
        settings: settings.adjoint,
        roles: tracked.roles.clone(),
    });
    let (packed, reports) = layer::record(solved.clone(), tracked, settings.on_failure)?;
    Ok(ConvexSolution {
        x: packed.part(0),
        equality_dual: packed.part(1),
        inequality_dual: packed.part(2),
        quadratic_dual: packed.part(3),
        status,
        iterations,
        residuals,
        found,
        reports,
        kept: Kept {
            solved,
            device: packed.device,
            dtype: packed.dtype,
        },
    })
}

#[derive(Debug)]
pub(crate) struct SolvedProgram {
    pub(crate) problem: HostProblem,
    pub(crate) solution: Arc<Solution>,
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

    fn gradients(&self, cotangents: &[Option<Vec<f64>>]) -> Option<Answer> {
        let [Some(x), equality, inequality, quadratic] = cotangents else {
            return None;
        };
        let cotangent = Cotangent {
            x,
            equality_dual: equality.as_deref(),
            inequality_dual: inequality.as_deref(),
            quadratic_dual: quadratic.as_deref(),
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
