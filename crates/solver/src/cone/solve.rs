//! Solves a batch of cone programs.

use std::ops::Range;
use std::sync::Arc;

use feasible_kernels::keep_freed_memory;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::cone::attempts::{Answer, EARLY, finish, fresh, restated};
use crate::cone::clarabel::{Ends, Prepared};
use crate::cone::convexity::convex;
use crate::cone::geometry::Local;
use crate::cone::layout::Layout;
use crate::cone::problem::{ConeProblem, ConeSample};
use crate::cone::scaled::Scaled;
use crate::cone::units::Units;
use crate::dense::max_abs;
use crate::error::Error;
use crate::settings::in_open_unit;
use crate::status::{Residuals, Status};

/// How to solve cone programs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConeSettings {
    /// Clarabel's feasibility and gap tolerances, absolute and relative. Default `1e-9`; the
    /// polish usually reaches `1e-13`. A point that it does not take to rounding counts as solved
    /// when its residuals are below this or `1e-8`, whichever is larger, relative to the terms that
    /// cancel in them.
    pub tolerance: f64,
    /// Clarabel's tolerances for certificates. Default `1e-9`.
    pub infeasibility_tolerance: f64,
    /// Relative rounding that the problem's numbers carry. Default [`f64::EPSILON`]; with
    /// [`f32::EPSILON`] an eigenvalue of `P` may be as much more below zero before it counts as a
    /// mistake.
    pub rounding: f64,
    /// Iterations before [`Status::MaxIterations`]. Default 200.
    pub max_iterations: u32,
}

impl Default for ConeSettings {
    fn default() -> Self {
        ConeSettings {
            tolerance: 1e-9,
            infeasibility_tolerance: 1e-9,
            rounding: f64::EPSILON,
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
        in_open_unit("rounding", self.rounding)?;
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
    /// What the linear systems have in common.
    pub(crate) layout: Arc<Layout>,
    /// The cones around each sample's point, of the [`Scaled`] sample where there is one.
    pub(crate) local: Vec<Local>,
    /// Whether each sample's point was polished to rounding.
    pub(crate) confirmed: Vec<bool>,
    /// The units of each sample's `local`.
    pub(crate) units: Vec<Units>,
}

impl ConeSolution {
    /// The direction along which the objective of a [`Status::DualInfeasible`] sample falls forever,
    /// `[n]`; `None` for every other sample.
    pub fn ray(&self, sample: usize) -> Option<&[f64]> {
        if *self.status.get(sample)? != Status::DualInfeasible {
            return None;
        }
        let n = self.x.len() / self.status.len();
        Some(&self.x[sample * n..(sample + 1) * n])
    }

    /// The rows whose multipliers prove a sample [`Status::PrimalInfeasible`] and those multipliers
    /// relative to the largest, the weightiest first; `None` for every other sample. Multipliers
    /// below `1e-6` are left out: they are what Clarabel's tolerance leaves. Rows that the proof can do
    /// without are among them, see [`crate::cone_conflict`].
    pub fn certificate(&self, sample: usize) -> Option<Vec<(usize, f64)>> {
        if *self.status.get(sample)? != Status::PrimalInfeasible {
            return None;
        }
        let rows = self.z.len() / self.status.len();
        let z = &self.z[sample * rows..(sample + 1) * rows];
        let largest = max_abs(z);
        let mut named: Vec<(usize, f64)> = (z.iter().enumerate())
            .map(|(row, z)| (row, z / largest))
            .filter(|(_, weight)| weight.abs() > 1e-6)
            .collect();
        named.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        Some(named)
    }

    /// Whether every sample was solved.
    pub fn all_solved(&self) -> bool {
        self.status.iter().all(|status| status.is_solved())
    }
}

/// Runs of samples per thread: enough to even out their lengths.
const RUNS: usize = 4;

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
/// Clarabel's iterations to a loose tolerance, then one or two factorisations of size `n +` active
/// rows, sparse where the problem is. Where the batch shares `P` and `A`, Clarabel is set up once a
/// thread.
pub fn solve_cones(
    problem: &ConeProblem<'_>,
    settings: &ConeSettings,
) -> Result<ConeSolution, Error> {
    solve_asking(problem, settings, Second::Dense)
}

/// Whom to ask about linear rows that the polish does not settle on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Second {
    /// The dense solver.
    Dense,
    /// Nobody: it is the dense solver that asks.
    Nobody,
}

/// As [`solve_cones`].
pub(crate) fn solve_asking(
    problem: &ConeProblem<'_>,
    settings: &ConeSettings,
    second: Second,
) -> Result<ConeSolution, Error> {
    settings.validate()?;
    problem.validate()?;
    convex(problem, settings.rounding)?;
    keep_freed_memory();
    let layout = Arc::new(Layout::new(problem));
    let run = match prepare_once(problem) {
        true => problem.batch.div_ceil(RUNS * rayon::current_num_threads()),
        false => 1,
    };
    let runs: Vec<Vec<Answer>> = (0..problem.batch.div_ceil(run.max(1)))
        .into_par_iter()
        .map(|r| {
            answers(
                problem,
                r * run..problem.batch.min((r + 1) * run),
                (settings, second),
                &layout,
            )
        })
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
        layout,
        local: Vec::with_capacity(problem.batch),
        confirmed: Vec::with_capacity(problem.batch),
        units: Vec::with_capacity(problem.batch),
    };
    for answer in runs.into_iter().flatten() {
        solution.x.extend(answer.point.x);
        solution.s.extend(answer.point.s);
        solution.z.extend(answer.point.z);
        solution.objective.push(answer.objective);
        solution.status.push(answer.status);
        solution.iterations.push(answer.iterations);
        solution.residuals.push(answer.residuals);
        solution.local.push(answer.local);
        solution.confirmed.push(answer.confirmed);
        solution.units.push(answer.units);
    }
    Ok(solution)
}

/// Whether one preparation of Clarabel serves the batch: then only `q` and `b` change.
fn prepare_once(problem: &ConeProblem<'_>) -> bool {
    problem.a.values.is_shared() && problem.p.is_none_or(|p| p.values.is_shared())
}

/// A run of samples. What is prepared once is prepared from sample 0, so that no answer depends on
/// how the batch is cut into runs.
fn answers(
    problem: &ConeProblem<'_>,
    samples: Range<usize>,
    (settings, second): (&ConeSettings, Second),
    layout: &Layout,
) -> Vec<Answer> {
    // The polish converges faster than the last iterations, so it starts early.
    let early = EARLY.max(settings.tolerance);
    let alone = samples == (0..1);
    let mut shared = if prepare_once(problem) && !alone {
        // Where A is shared its scaling is, too.
        with_even_rows(problem.sample(0), Units::GIVEN, |sample, _| {
            Prepared::new(sample, settings, Ends::At(early))
        })
    } else {
        None
    };
    let mut one = |sample: &ConeSample<'_>| {
        let mut spent = 0;
        if let Some(prepared) = &mut shared
            && prepared.update(sample)
        {
            let Some(raw) = prepared.solve() else {
                shared = None;
                return fresh(sample, (settings, second), layout);
            };
            let answer = finish(sample, raw, settings, layout);
            if answer.confirmed {
                return answer;
            }
            // What another sample's scaling did not lead to is no verdict.
            spent += answer.iterations;
        }
        let mut answer = fresh(sample, (settings, second), layout);
        answer.iterations += spent;
        answer
    };
    let restored = |i: usize| {
        let sample = problem.sample(i);
        let given = with_even_rows(sample, Units::GIVEN, |sample, scaled| {
            let mut answer = one(sample);
            if let Some(scaled) = scaled {
                scaled.restore(&mut answer);
            }
            answer
        });
        if given.is_certified() {
            return given;
        }
        let solution = given.is_measured().then_some(&given.point);
        match Units::of(&sample, solution, given.confirmed) {
            None => given,
            Some(units) => in_units(sample, units, given, (settings, second), layout),
        }
    };
    samples.map(restored).collect()
}

/// The answer in a sample's own units, or the one given where that is the better.
fn in_units(
    sample: ConeSample<'_>,
    units: Units,
    mut given: Answer,
    asked: (&ConeSettings, Second),
    layout: &Layout,
) -> Answer {
    let Some(scaled) = Scaled::of(&sample, units) else {
        return given;
    };
    let start = given.confirmed.then(|| scaled.point(given.point.clone()));
    let mut own = restated(&scaled.sample(), start, asked, layout);
    scaled.restore(&mut own);
    own.judge_again(asked.0);
    let iterations = given.iterations + own.iterations;
    // Small numbers are confirmed by floors that are larger than they.
    given.confirmed &= !units.are_small();
    let certified = own.is_certified() && !given.confirmed;
    let better = own.confirmed || certified || !given.is_verdict();
    let mut answer = if better { own } else { given };
    answer.iterations = iterations;
    answer
}

/// What `work` makes of a sample in these units, with its rows scaled where they are far from 1.
fn with_even_rows<R>(
    sample: ConeSample<'_>,
    units: Units,
    work: impl FnOnce(&ConeSample<'_>, Option<&Scaled<'_>>) -> R,
) -> R {
    match Scaled::of(&sample, units) {
        None => work(&sample, None),
        Some(scaled) => work(&scaled.sample(), Some(&scaled)),
    }
}
