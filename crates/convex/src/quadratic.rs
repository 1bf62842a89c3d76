//! The forward pass of quadratic programs, with or without quadratic rows.

use std::borrow::Cow;

use feasible_solver::{
    AdjointSettings, Conflict, Cotangent, NamedRow, Settings, Solution, Status, adjoint, solve,
    solve_from,
};

use crate::adjoint::{Answer, Part, Solved};
use crate::host_problem::{HostProblem, Role, read, refuse_non_finite};
use crate::layer::SolvedBatch;
use crate::problem::{QpTensors, QuadraticTensors};
use crate::{ConvexSettings, ConvexSolution, Error};

/// Where a problem comes from.
#[derive(Default)]
pub(crate) struct Origin<'p> {
    /// The solution of another batch to start from.
    pub(crate) previous: Option<&'p ConvexSolution>,
    /// The places of the rows of A, of G and of the quadratic rows in what the caller calls its rows,
    /// where that is another order.
    pub(crate) rows: Option<[Vec<usize>; 3]>,
}

impl<'p> From<&'p ConvexSolution> for Origin<'p> {
    fn from(previous: &'p ConvexSolution) -> Self {
        Self {
            previous: Some(previous),
            rows: None,
        }
    }
}

/// Solves the batch and records it.
pub(crate) fn forward(
    settings: &ConvexSettings,
    qp: &QpTensors,
    quadratics: Option<&QuadraticTensors>,
    origin: Origin<'_>,
) -> Result<ConvexSolution, Error> {
    let (problem, mut tracked) = read(qp, quadratics)?;
    let solver = Settings {
        rounding: settings.solver.rounding.max(tracked.rounding),
        ..settings.solver
    };
    let found = match origin.previous {
        Some(previous) => {
            let previous = &previous.batch.solved.solution;
            solve_from(&problem.as_problem(), previous, &solver)
        }
        None => solve(&problem.as_problem(), &solver),
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            refuse_non_finite(qp, quadratics)?;
            return Err(error.into());
        }
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
        roles: std::mem::take(&mut tracked.roles),
        rows: origin.rows,
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
    /// As [`Origin::rows`].
    rows: Option<[Vec<usize>; 3]>,
}

impl SolvedProgram {
    /// The rows that make a sample infeasible, by the caller's names.
    pub(crate) fn conflicting_rows(&self, sample: usize) -> Option<Conflict> {
        let mut conflict = self.solution.conflict(sample)?;
        if let Some([equalities, inequalities, quadratics]) = &self.rows {
            for found in &mut conflict.rows {
                found.row = match found.row {
                    NamedRow::Equality(i) => NamedRow::Equality(equalities[i]),
                    NamedRow::Lower(i) => NamedRow::Lower(inequalities[i]),
                    NamedRow::Upper(i) => NamedRow::Upper(inequalities[i]),
                    NamedRow::Quadratic(i) => NamedRow::Quadratic(quadratics[i]),
                };
            }
        }
        Some(conflict)
    }
}

impl Solved for SolvedProgram {
    fn status(&self) -> &[Status] {
        &self.solution.status
    }

    fn conflict(&self, sample: usize) -> Option<String> {
        Some(self.conflicting_rows(sample)?.to_string())
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
