//! Chooses the method, spreads the batch over threads, gathers the answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use feasible_kernels::keep_freed_memory;
use rayon::prelude::*;

use crate::active_set::batch::{active_set, takes};
use crate::adjoint::check_solution;
use crate::bounds::{self, Bounds};
use crate::conflict::{certify, least_norm};
use crate::crossed::Uncrossed;
use crate::elastic::relax;
use crate::error::Error;
use crate::interior_point::{Answer, Prepared, confirm, solve_sample};
use crate::polish::Guess;
use crate::problem::Problem;
use crate::settings::{Infeasible, Settings};
use crate::solution::{ActiveRows, Factors, Solution};
use crate::status::{Residuals, Status};
use crate::validate::validate;

/// Solves a batch of convex QPs or QCQPs.
///
/// # Problem
/// See [`Problem`]. Strictly convex QPs go to a dual active-set method (Goldfarb & Idnani 1983;
/// Arnström, Bemporad & Axehill 2022), everything else to a primal-dual interior point followed by
/// Newton steps on the active set. Both end with residuals near rounding where the problem allows.
///
/// # Shapes
/// As [`Problem`] and [`Solution`] say. A batch of 0 gives an empty solution.
///
/// # Errors
/// [`Error::Shape`], [`Error::NotFinite`], [`Error::CrossedBounds`] unless [`Settings::crossed_bounds`] takes
/// them, [`Error::Asymmetric`], [`Error::NotConvex`], [`Error::TooLarge`], [`Error::NoVariables`],
/// [`Error::Setting`]. Infeasible or unbounded samples are not errors: they have a [`Status`] and say why
/// ([`Solution::conflict`], [`Solution::ray`]), and never change the other samples' answers.
///
/// # Cost
/// With `P`, `A`, `G` shared: one factorisation, `O(n³)`, for the batch, then
/// `O((n + p)(n + p + m))` per sample in matrix products plus `O(m·a)` per pivot with `a` active
/// rows. Otherwise `O(n³)` per sample and, in the interior point, per iteration. A certificate costs
/// the pivots of one sample (after one factorisation, for the batch where `A` and `G` are shared),
/// for an unbounded objective one interior-point solve, for a conflict with quadratic rows one for
/// every row it names.
pub fn solve(problem: &Problem<'_>, settings: &Settings) -> Result<Solution, Error> {
    settings.validate()?;
    validate(problem, settings)?;
    solve_checked(problem, None, settings)
}

/// Solves a batch from the solutions of another: of the same sizes, and best with nearby numbers.
///
/// Each sample that was solved in `previous` starts from its active rows there. The dual active set
/// takes the independent ones up and drops those that no longer push, the interior point is
/// replaced by Newton's method on the rows, as long as that ends at a confirmed solution; otherwise,
/// and for every other sample, the solve starts cold. Statuses and accuracy are those of
/// [`solve`]; where solutions are not unique another of them can be returned.
/// [`Solution::iterations`] counts what was done, attempts included.
///
/// # Errors
/// Those of [`solve`], and [`Error::ForeignSolution`] when `previous` has other sizes than the
/// problem.
///
/// # Cost
/// At the same active rows: no pivots, or a few factorisations of the rows' system.
pub fn solve_from(
    problem: &Problem<'_>,
    previous: &Solution,
    settings: &Settings,
) -> Result<Solution, Error> {
    settings.validate()?;
    check_solution(problem, previous)?;
    validate(problem, settings)?;
    solve_checked(problem, Some(previous), settings)
}

fn solve_checked(
    problem: &Problem<'_>,
    previous: Option<&Solution>,
    settings: &Settings,
) -> Result<Solution, Error> {
    let mut solution = empty(problem);
    if problem.batch == 0 {
        return Ok(solution);
    }
    keep_freed_memory();
    let (mut touching, mut uncrossed) = (None, None);
    let as_given = problem;
    let mut problem = *as_given;
    if bounds::any(as_given, |l, u| l > u) {
        touching = Bounds::touching(as_given, settings.rounding).map(Arc::new);
        if let Some(touching) = &touching {
            problem = touching.problem(as_given);
        }
        uncrossed = Uncrossed::of(&problem);
    }
    let open = match &uncrossed {
        Some(uncrossed) => uncrossed.bounds.problem(&problem),
        None => problem,
    };
    solve_open(&open, previous, settings, &mut solution)?;
    for i in uncrossed.iter().flat_map(|uncrossed| &uncrossed.samples) {
        solution.status[*i] = Status::PrimalInfeasible;
    }
    certificates(&problem, settings, &mut solution);
    if let Infeasible::Elastic { weight } = settings.infeasible {
        relax_infeasible(&problem, settings, weight, &mut solution);
    }
    solution.bounds = touching;
    Ok(solution)
}

/// Solves a batch whose bounds do not cross.
///
/// # Errors
/// Those that only [`active_set`] checks.
fn solve_open(
    problem: &Problem<'_>,
    previous: Option<&Solution>,
    settings: &Settings,
    solution: &mut Solution,
) -> Result<(), Error> {
    let mut left = if takes(problem, settings) {
        active_set(problem, previous, settings, solution)?
    } else {
        (0..problem.batch).collect()
    };
    if let Some(previous) = previous {
        left = confirm_guesses(problem, previous, settings, &left, solution);
    }
    interior_point(problem, settings, &left, solution);
    Ok(())
}

/// Newton's method from the active rows of another solution; returns the samples it leaves to the
/// interior point.
fn confirm_guesses(
    problem: &Problem<'_>,
    previous: &Solution,
    settings: &Settings,
    samples: &[usize],
    solution: &mut Solution,
) -> Vec<usize> {
    let found: Vec<(usize, Option<Answer>, usize)> = samples
        .par_iter()
        .map(|&i| {
            if previous.status[i] != Status::Solved {
                return (i, None, 0);
            }
            let sample = problem.sample(i);
            let guess = Guess::of(&sample, previous.point(problem, i), &previous.active[i]);
            let (answer, steps) = confirm(&sample, &guess, settings);
            (i, answer, steps)
        })
        .collect();
    let mut left = Vec::new();
    for (i, answer, steps) in found {
        match answer {
            Some(answer) => put(solution, i, answer),
            None => {
                solution.iterations[i] += steps;
                left.push(i);
            }
        }
    }
    left
}

/// Solves the elastic problems of the infeasible samples.
fn relax_infeasible(
    problem: &Problem<'_>,
    settings: &Settings,
    weight: f64,
    solution: &mut Solution,
) {
    solution.compliance = 1.0 / weight;
    let infeasible: Vec<usize> = (0..problem.batch)
        .filter(|&i| solution.status[i] == Status::PrimalInfeasible)
        .collect();
    let answers: Vec<(usize, Answer)> = infeasible
        .par_iter()
        .filter_map(|&i| Some((i, relax(&problem.sample(i), weight, settings)?)))
        .collect();
    for (i, answer) in answers {
        put(solution, i, answer);
    }
}

/// Writes down why samples have no solution.
fn certificates(problem: &Problem<'_>, settings: &Settings, solution: &mut Solution) {
    let status = &solution.status;
    let failed: Vec<usize> = (0..problem.batch)
        .filter(|&i| matches!(status[i], Status::PrimalInfeasible | Status::DualInfeasible))
        .collect();
    let one_matrix = problem.equalities.is_none_or(|part| part.a.is_shared())
        && problem.inequalities.is_none_or(|part| part.g.is_shared());
    let shared = if one_matrix && status.contains(&Status::PrimalInfeasible) {
        least_norm(&problem.sample(0))
    } else {
        None
    };
    let found: Vec<_> = failed
        .par_iter()
        .filter_map(|&i| {
            let sample = problem.sample(i);
            Some((i, certify(&sample, status[i], shared.as_ref(), settings)?))
        })
        .collect();
    solution.certificates = found.into_iter().collect();
}

fn empty(problem: &Problem<'_>) -> Solution {
    let batch = problem.batch;
    Solution {
        x: vec![0.0; batch * problem.n],
        equality_dual: vec![0.0; batch * problem.equality_rows()],
        inequality_dual: vec![0.0; batch * problem.inequality_rows()],
        quadratic_dual: vec![0.0; batch * problem.quadratic_rows()],
        objective: vec![0.0; batch],
        status: vec![Status::NumericalError; batch],
        iterations: vec![0; batch],
        residuals: vec![Residuals::default(); batch],
        factors: Factors::None,
        margin: vec![0.0; batch],
        active: vec![ActiveRows::default(); batch],
        certificates: BTreeMap::new(),
        compliance: 0.0,
        bounds: None,
    }
}

/// Runs the interior point on some samples.
fn interior_point(
    problem: &Problem<'_>,
    settings: &Settings,
    samples: &[usize],
    solution: &mut Solution,
) {
    if samples.is_empty() {
        return;
    }
    let all_shared = problem.matrices_shared()
        && problem
            .quadratics
            .is_none_or(|part| part.h.values().is_shared() && part.g.is_shared());
    let prepared = all_shared.then(|| Prepared::new(&problem.sample(0)));
    let answers: Vec<Answer> = samples
        .par_iter()
        .map(|&i| {
            let sample = problem.sample(i);
            match &prepared {
                Some(prepared) => solve_sample(&sample, prepared, settings),
                None => solve_sample(&sample, &Prepared::new(&sample), settings),
            }
        })
        .collect();
    for (&i, answer) in samples.iter().zip(answers) {
        put(solution, i, answer);
    }
}

/// Writes one sample's answer.
fn put(solution: &mut Solution, i: usize, answer: Answer) {
    for (target, values) in [
        (&mut solution.x, &answer.x),
        (&mut solution.equality_dual, &answer.nu),
        (&mut solution.inequality_dual, &answer.lambda),
        (&mut solution.quadratic_dual, &answer.mu),
    ] {
        let len = values.len();
        target[i * len..(i + 1) * len].copy_from_slice(values);
    }
    solution.status[i] = answer.status;
    solution.iterations[i] += answer.iterations;
    solution.residuals[i] = answer.residuals;
    solution.objective[i] = answer.objective;
    solution.margin[i] = answer.margin;
    solution.active[i] = answer.active;
}
