//! Rows of a cone program that cannot hold together.

use std::ops::Range;

use crate::batch::Values;
use crate::cone::problem::{Cone, ConeProblem, ConeSample, Sparse};
use crate::cone::solve::{ConeSettings, ConeSolution, solve_cones};
use crate::status::Status;

/// Solves after which a conflict is left as it is.
const SOLVES: usize = 200;

/// The rows that make a sample [`Status::PrimalInfeasible`], the weightiest first, with their
/// multipliers in the proof relative to the largest; none of the cones they belong to can be left out.
/// `None` for every other sample, and for one the problem does not have.
///
/// `solution` is that of `problem` with `settings`.
///
/// An interior point's certificate has a part of every row that is in any proof. Cones are left out of it
/// as long as the rest still conflict: first many at once, the lightest first, then one by one (the
/// deletion filter of Chinneck & Dravnieks 1991).
///
/// # Cost
/// A solve of part of the problem, without an objective, for every cone of the certificate or fewer,
/// at most 200.
pub fn cone_conflict(
    problem: &ConeProblem<'_>,
    solution: &ConeSolution,
    sample: usize,
    settings: &ConeSettings,
) -> Option<Vec<(usize, f64)>> {
    let mut rows = solution.certificate(sample)?;
    if sample >= problem.batch {
        return None;
    }
    let data = problem.sample(sample);
    let all = single_cones(problem.cones);
    let weight = |rows: &[(usize, f64)], at: usize| -> f64 {
        let within = rows.iter().filter(|(row, _)| all[at].1.contains(row));
        within.map(|(_, v)| v.abs()).sum()
    };
    // Places in `all`, the heaviest first.
    let mut named: Vec<(usize, f64)> = (0..all.len()).map(|at| (at, weight(&rows, at))).collect();
    named.retain(|(_, weight)| *weight > 0.0);
    named.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut kept: Vec<usize> = named.into_iter().map(|(at, _)| at).collect();
    let mut solves = 0;
    let mut chunk = kept.len() / 2;
    while chunk > 0 {
        let mut end = kept.len();
        while end > 0 && solves < SOLVES {
            let start = end.saturating_sub(chunk);
            let (before, behind) = (&kept[..start], &kept[end..]);
            solves += 1;
            let rest = [before, behind].concat();
            end = start;
            if let Some(fewer) = contradiction(&data, &rest, &all, settings) {
                rows = fewer;
                // What its certificate does without goes at once.
                let needed = |at: &usize| weight(&rows, *at) > 0.0;
                end = before.iter().filter(|at| needed(at)).count();
                kept = rest.into_iter().filter(needed).collect();
            }
        }
        chunk /= 2;
    }
    Some(rows)
}

/// The certificate of some cones alone, by the rows of the whole program; `None` where they can be
/// met.
fn contradiction(
    data: &ConeSample<'_>,
    kept: &[usize],
    all: &[(Cone, Range<usize>)],
    settings: &ConeSettings,
) -> Option<Vec<(usize, f64)>> {
    if kept.is_empty() {
        return None;
    }
    let mut kept = kept.to_vec();
    kept.sort_unstable();
    let rows: Vec<usize> = kept.iter().flat_map(|at| all[*at].1.clone()).collect();
    let cones: Vec<Cone> = kept.iter().map(|at| all[*at].0).collect();
    let mut places = vec![usize::MAX; data.m];
    for (place, row) in rows.iter().enumerate() {
        places[*row] = place;
    }
    let (mut starts, mut indices, mut values) = (vec![0], vec![], vec![]);
    for column in data.a.starts.windows(2) {
        for at in column[0]..column[1] {
            let place = places[data.a.indices[at]];
            if place != usize::MAX {
                indices.push(place);
                values.push(data.a.entries[at]);
            }
        }
        starts.push(indices.len());
    }
    let right: Vec<f64> = rows.iter().map(|row| data.b[*row]).collect();
    let nothing = vec![0.0; data.n];
    let problem = ConeProblem {
        batch: 1,
        n: data.n,
        p: None,
        q: Values::Shared(&nothing),
        a: Sparse {
            rows: rows.len(),
            columns: data.n,
            starts: &starts,
            indices: &indices,
            values: Values::Shared(&values),
        },
        b: Values::Shared(&right),
        cones: &cones,
    };
    let solution = solve_cones(&problem, settings).ok()?;
    if solution.status[0] != Status::PrimalInfeasible {
        return None;
    }
    let named = solution.certificate(0)?.into_iter();
    Some(named.map(|(row, v)| (rows[row], v)).collect())
}

/// One cone each, linear ones row by row, with their rows.
fn single_cones(cones: &[Cone]) -> Vec<(Cone, Range<usize>)> {
    let mut out = Vec::new();
    let mut first = 0;
    for &cone in cones {
        let (one, rows) = match cone {
            Cone::Zero(_) => (Cone::Zero(1), 1),
            Cone::Nonnegative(_) => (Cone::Nonnegative(1), 1),
            Cone::Exponential(_) => (Cone::Exponential(1), 3),
            other => (other, other.rows()),
        };
        let end = first + cone.rows();
        while first < end {
            out.push((one, first..first + rows));
            first += rows;
        }
    }
    out
}
