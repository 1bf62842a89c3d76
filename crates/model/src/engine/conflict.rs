//! The rows that make a sample infeasible.

use std::ops::Range;

use feasible_solver::{
    Cone, ConeProblem, ConeSettings, NamedRow, Sparse, Status, Values, solve_cones,
};

use super::cones::ConeData;
use super::{Data, Solved};
use crate::canon::{Block, ConeProgram, Program};
use crate::problem::SolveSettings;

/// Solves after which a conflict of cones is left as it is.
const SOLVES: usize = 200;

impl Data {
    /// Rows that contradict each other, with their shares of the proof; `None` for samples that are
    /// not infeasible, and where the contradiction is too slight to be proved.
    pub(crate) fn conflict(
        &self,
        program: &Program,
        solved: &Solved,
        i: usize,
        settings: &SolveSettings,
    ) -> Option<Vec<(Block, usize, f64)>> {
        match (self, program, solved) {
            (Data::Cones(data), Program::Cones(maps), Solved::Cones(solution)) => {
                let rows = solution.conflict(i)?;
                let rows = thinned(data, maps, i, rows, &settings.cones).into_iter();
                Some(rows.map(|(row, v)| (Block::Cone, row, v.abs())).collect())
            }
            (Data::Dense(data), _, Solved::Dense(solution)) => {
                if let Some(row) = data.crossed(i) {
                    return Some(vec![(Block::Lower, row, 0.5), (Block::Upper, row, 0.5)]);
                }
                let rows = solution.conflict(i)?.rows.into_iter();
                let place = |row: NamedRow| match row {
                    NamedRow::Equality(row) => (Block::Equality, row),
                    NamedRow::Lower(row) => (Block::Lower, row),
                    NamedRow::Upper(row) => (Block::Upper, row),
                    NamedRow::Quadratic(row) => (Block::Quadratic, row),
                };
                let named = rows.map(|row| {
                    let (block, index) = place(row.row);
                    (block, index, row.weight)
                });
                Some(named.collect())
            }
            _ => None,
        }
    }
}

/// Leaves out cones as long as the rest still conflict: an interior point's certificate has a part of
/// every row that is in any. First many at once, the lightest first, then one by one (the deletion
/// filter of Chinneck & Dravnieks 1991).
fn thinned(
    data: &ConeData,
    maps: &ConeProgram,
    i: usize,
    mut rows: Vec<(usize, f64)>,
    settings: &ConeSettings,
) -> Vec<(usize, f64)> {
    let all = single_cones(&maps.cones);
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
            if let Some(fewer) = contradiction(data, maps, i, &rest, &all, settings) {
                rows = fewer;
                // What its certificate does without goes at once.
                let needed = |at: &usize| weight(&rows, *at) > 0.0;
                end = before.iter().filter(|at| needed(at)).count();
                kept = rest.into_iter().filter(needed).collect();
            }
        }
        chunk /= 2;
    }
    rows
}

/// The certificate of some cones alone, by the rows of the whole program; `None` where they can be
/// met.
fn contradiction(
    data: &ConeData,
    maps: &ConeProgram,
    i: usize,
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
    let (a, b) = data.rows(maps, i);
    let mut places = vec![usize::MAX; maps.a.rows];
    for (place, row) in rows.iter().enumerate() {
        places[*row] = place;
    }
    let (mut starts, mut indices, mut values) = (vec![0], vec![], vec![]);
    for column in 0..maps.a.columns {
        for at in maps.a.starts[column]..maps.a.starts[column + 1] {
            let place = places[maps.a.indices[at]];
            if place != usize::MAX {
                indices.push(place);
                values.push(a[at]);
            }
        }
        starts.push(indices.len());
    }
    let right: Vec<f64> = rows.iter().map(|row| b[*row]).collect();
    let nothing = vec![0.0; maps.a.columns];
    let problem = ConeProblem {
        batch: 1,
        n: maps.a.columns,
        p: None,
        q: Values::Shared(&nothing),
        a: Sparse {
            rows: rows.len(),
            columns: maps.a.columns,
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
    let named = solution.conflict(0)?.into_iter();
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
