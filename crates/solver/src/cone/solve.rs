//! Solves a batch of cone programs.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::cone::clarabel::{self, Raw};
use crate::cone::geometry::Local;
use crate::cone::newton::{ConePoint, polish};
use crate::cone::problem::ConeProblem;
use crate::error::Error;
use crate::settings::in_open_unit;
use crate::status::{Residuals, Status};

/// How to solve cone programs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConeSettings {
    /// Clarabel's feasibility and gap tolerances, absolute and relative. Default `1e-9`; the
    /// polish usually reaches `1e-13`.
    pub tolerance: f64,
    /// Clarabel's tolerances for certificates. Default `1e-9`.
    pub infeasibility_tolerance: f64,
    /// Iterations before [`Status::MaxIterations`]. Default 200.
    pub max_iterations: u32,
}

impl Default for ConeSettings {
    fn default() -> Self {
        ConeSettings {
            tolerance: 1e-9,
            infeasibility_tolerance: 1e-9,
            max_iterations: 200,
        }
    }
}

impl ConeSettings {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), Error> {
        in_open_unit("tolerance", self.tolerance)?;
        in_open_unit("infeasibility_tolerance", self.infeasibility_tolerance)?;
        if self.max_iterations == 0 {
            return Err(Error::Setting {
                setting: "max_iterations",
                value: 0.0,
                must: "at least 1",
            });
        }
        Ok(())
    }
}

/// Solutions of a batch of cone programs, with what the adjoint reuses.
///
/// A sample that is [`Status::PrimalInfeasible`] has a certificate in `z`: `Aᵀz = 0`, `bᵀz < 0`,
/// `z ∈ K*`. One that is [`Status::DualInfeasible`] has a ray in `x` and `s`: `Px = 0`,
/// `Ax + s = 0`, `qᵀx < 0`, `s ∈ K`. Others that are not solved have the last iterate.
#[derive(Clone, Debug)]
pub struct ConeSolution {
    /// Minimisers, `[batch, n]`.
    pub x: Vec<f64>,
    /// Slacks, `[batch, m]`.
    pub s: Vec<f64>,
    /// Multipliers, `[batch, m]`.
    pub z: Vec<f64>,
    /// `½xᵀPx + qᵀx`, `[batch]`.
    pub objective: Vec<f64>,
    /// Outcome of each sample.
    pub status: Vec<Status>,
    /// Clarabel's iterations plus Newton steps of each sample.
    pub iterations: Vec<usize>,
    /// Residuals of each sample; `gap` is `|sᵀz|`.
    pub residuals: Vec<Residuals>,
    /// The cones around each sample's point.
    pub(crate) local: Vec<Local>,
    /// Whether each sample's point was polished to rounding.
    pub(crate) confirmed: Vec<bool>,
}

impl ConeSolution {
    /// Whether every sample was solved.
    pub fn all_solved(&self) -> bool {
        self.status.iter().all(|status| status.is_solved())
    }
}

/// Solves a batch of cone programs.
///
/// # Problem
/// See [`ConeProblem`].
///
/// # Optimality conditions
/// `Px + q + Aᵀz = 0`, `Ax + s = b`, `s ∈ K`, `z ∈ K*`, `sᵀz = 0`. With `w = z − s` the last three
/// are `z = Π(w)`, `s = Π(w) − w`, `Π` the projection on `K*`.
///
/// # Errors
/// [`Error::Shape`], [`Error::NotFinite`], [`Error::Pattern`], [`Error::Cone`],
/// [`Error::NotConvex`], [`Error::NoVariables`], [`Error::Setting`]. Infeasible and unbounded
/// samples are not errors: they have a [`Status`], and never change the other samples' answers.
///
/// # Cost
/// Clarabel's, plus two or three dense factorisations of size `n +` active rows for the polish.
pub fn solve_cones(
    problem: &ConeProblem<'_>,
    settings: &ConeSettings,
) -> Result<ConeSolution, Error> {
    settings.validate()?;
    problem.validate()?;
    convex(problem)?;
    let answers: Vec<Answer> = (0..problem.batch)
        .into_par_iter()
        .map(|i| answer(problem, i, settings))
        .collect();
    let (n, m) = (problem.n, problem.rows());
    let mut solution = ConeSolution {
        x: Vec::with_capacity(problem.batch * n),
        s: Vec::with_capacity(problem.batch * m),
        z: Vec::with_capacity(problem.batch * m),
        objective: Vec::with_capacity(problem.batch),
        status: Vec::with_capacity(problem.batch),
        iterations: Vec::with_capacity(problem.batch),
        residuals: Vec::with_capacity(problem.batch),
        local: Vec::with_capacity(problem.batch),
        confirmed: Vec::with_capacity(problem.batch),
    };
    for answer in answers {
        solution.x.extend(answer.point.x);
        solution.s.extend(answer.point.s);
        solution.z.extend(answer.point.z);
        solution.objective.push(answer.objective);
        solution.status.push(answer.status);
        solution.iterations.push(answer.iterations);
        solution.residuals.push(answer.residuals);
        solution.local.push(answer.local);
        solution.confirmed.push(answer.confirmed);
    }
    Ok(solution)
}

struct Answer {
    point: ConePoint,
    objective: f64,
    status: Status,
    iterations: usize,
    residuals: Residuals,
    local: Local,
    confirmed: bool,
}

fn answer(problem: &ConeProblem<'_>, i: usize, settings: &ConeSettings) -> Answer {
    let sample = problem.sample(i);
    let nothing = || Raw {
        point: ConePoint {
            x: vec![0.0; sample.n],
            s: vec![0.0; sample.m],
            z: vec![0.0; sample.m],
        },
        status: Status::NumericalError,
        almost: false,
        iterations: 0,
    };
    let raw = clarabel::solve(&sample, settings).unwrap_or_else(nothing);
    let mut answer = Answer {
        objective: 0.0,
        status: raw.status,
        iterations: raw.iterations,
        residuals: Residuals::default(),
        local: Local::default(),
        confirmed: false,
        point: raw.point,
    };
    if !(raw.status.is_solved() || raw.almost) {
        return answer;
    }
    let polished = polish(&sample, &answer.point);
    answer.iterations += polished.steps;
    answer.residuals = polished.measured.absolute;
    answer.objective = polished.measured.objective;
    answer.confirmed = polished.confirmed;
    answer.local = polished.local;
    answer.point = polished.point;
    // Clarabel's verdict is about its scaled problem; the residuals are about the one given.
    let reached = polished.measured.relative() <= settings.tolerance.max(1e-8);
    answer.status = match (reached, raw.status) {
        (true, _) => Status::Solved,
        (false, Status::Solved) => Status::NumericalError,
        (false, status) => status,
    };
    answer
}

/// Refuses a `P` with a negative eigenvalue.
fn convex(problem: &ConeProblem<'_>) -> Result<(), Error> {
    let Some(p) = problem.p else {
        return Ok(());
    };
    let copies = if p.values.is_shared() {
        problem.batch.min(1)
    } else {
        problem.batch
    };
    let check = |copy: usize| {
        let values = p.values.sample(copy, p.entries());
        let size = crate::dense::max_abs(values);
        let sample = (!p.values.is_shared()).then_some(copy);
        crate::validate::lowest_of_upper(problem.n, p.places().zip(values), size).map(
            |eigenvalue| Error::NotConvex {
                argument: "p",
                sample,
                index: 0,
                eigenvalue,
            },
        )
    };
    match (0..copies).into_par_iter().find_map_first(check) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
