//! Columns of epigraphs that do not bind, held fast.
//!
//! The epigraph column of a function in a constraint that does not bind is not unique, and the
//! adjoint's system is singular in it, though the user's variables are unique. Around the solution
//! nothing depends on such a column: every row it has part in is slack. So the problem in which it
//! is a constant has the same solution and the same derivative, and a regular system.

use std::ops::Range;

use feasible_solver::{AdjointSettings, GradientReport};
use rayon::prelude::*;

use super::{Data, Solved, SolverCotangent, SolverTangent};
use crate::canon::{Block, Canonical, Program};
use crate::error::Error;
use crate::numbers::{Parameters, Pullback};
use crate::problem::{Inner, SolveSettings};
use crate::solution::Solution;

/// A column that may be held: it is none of the user's, nor in the objective, nor in equalities.
#[derive(Clone, Debug)]
pub(crate) struct Loose {
    pub(crate) column: u32,
    /// The multipliers of the rows it has part in.
    pub(crate) parts: Vec<(Block, Range<usize>)>,
}

/// One sample's adjoint with its loose columns held.
pub(crate) struct Pinned {
    /// Gradients of all parameters.
    pub(crate) theta: Vec<f64>,
    pub(crate) report: GradientReport,
}

/// A row that pushes less than this, relative to what pushes most, does not bind, if the solution of the
/// problem with the column held agrees. Its push is its multiplier times its largest coefficient: rows of
/// huge numbers bind with tiny multipliers.
const SLACK: f64 = 1e-8;
/// The held problem's solution is the same to the solver's tolerance.
const SAME: f64 = 1e-7;

/// The columns of a sample that no row holds.
fn columns(canonical: &Canonical, data: &Data, solved: &Solved, i: usize) -> Vec<u32> {
    if canonical.loose.is_empty() {
        return Vec::new();
    }
    let batch = solved.status().len();
    let pushes = |block: Block| -> Vec<f64> {
        let all = solved.multipliers(block);
        let rows = all.len() / batch.max(1);
        let sizes = data.row_sizes(&canonical.program, block, i);
        let own = all[i * rows..(i + 1) * rows].iter();
        own.zip(sizes).map(|(v, size)| v.abs() * size).collect()
    };
    let blocks = [Block::Upper, Block::Quadratic, Block::Cone].map(|block| (block, pushes(block)));
    let largest = blocks
        .iter()
        .flat_map(|(_, pushes)| pushes)
        .fold(0.0f64, |m, v| m.max(*v));
    let allowed = SLACK * (1.0 + largest);
    let idle = |(block, rows): &(Block, Range<usize>)| {
        let found = blocks.iter().find(|(other, _)| other == block);
        found.is_some_and(|(_, pushes)| pushes[rows.clone()].iter().all(|v| *v <= allowed))
    };
    let loose = canonical.loose.iter();
    loose
        .filter(|loose| loose.parts.iter().all(idle))
        .map(|loose| loose.column)
        .collect()
}

/// Shift by which a column of which an interval should be optimal is moved, relative.
const SHIFT: f64 = 1e-5;

/// The columns of a sample that can move both ways without moving the user's variables.
fn flat(
    canonical: &Canonical,
    parameters: &Parameters,
    solved: &Solved,
    i: usize,
    settings: &SolveSettings,
) -> Result<Vec<u32>, Error> {
    let n = canonical.n;
    let x = &solved.x()[i * n..(i + 1) * n];
    let users: Vec<usize> = canonical
        .variables
        .iter()
        .flat_map(|(_, columns)| columns.iter().map(|c| *c as usize))
        .collect();
    let mut found = Vec::new();
    for &column in &canonical.flat {
        let at = x[column as usize];
        let mut free = true;
        for sign in [1.0, -1.0] {
            let value = at + sign * SHIFT * (1.0 + at.abs());
            let held = Held::new(canonical, parameters, i, &[column], &[value], settings)?;
            free &= held.agrees(x, users.iter().copied());
        }
        if free {
            found.push(column);
        }
    }
    Ok(found)
}

/// One sample with columns held at values.
pub(crate) struct Held {
    pub(crate) program: Program,
    pub(crate) data: Data,
    pub(crate) solved: Solved,
}

/// What `work` makes of every sample with loose columns, those held; a held sample is a problem of its
/// own and lives no longer than its work.
pub(crate) fn each<R: Send>(
    problem: &Inner,
    solution: &Solution,
    work: impl Fn(usize, &Held) -> Result<R, Error> + Sync,
) -> Result<Vec<(usize, R)>, Error> {
    let of = |i| match hold(&problem.canonical, solution, i)? {
        Some(held) => Ok(Some((i, work(i, &held)?))),
        None => Ok(None),
    };
    let found: Vec<Option<(usize, R)>> = (0..solution.batch())
        .into_par_iter()
        .map(of)
        .collect::<Result<_, Error>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// A sample with its loose columns held: `None` where there are none, where it has no solution, and
/// where that problem has another solution.
pub(crate) fn hold(
    canonical: &Canonical,
    solution: &Solution,
    i: usize,
) -> Result<Option<Held>, Error> {
    if !solution.status()[i].is_solved() {
        return Ok(None);
    }
    let (parameters, data, solved) = solution.parts();
    let settings = solution.settings();
    let mut columns = columns(canonical, data, solved, i);
    let flat = flat(canonical, parameters, solved, i, settings)?;
    let more: Vec<u32> = flat.into_iter().filter(|c| !columns.contains(c)).collect();
    columns.extend(more);
    if columns.is_empty() {
        return Ok(None);
    }
    let n = canonical.n;
    let x = &solved.x()[i * n..(i + 1) * n];
    let values: Vec<f64> = columns.iter().map(|c| x[*c as usize]).collect();
    let held = Held::new(canonical, parameters, i, &columns, &values, settings)?;
    Ok(held.agrees(x, 0..n).then_some(held))
}

impl Held {
    fn new(
        canonical: &Canonical,
        parameters: &Parameters,
        i: usize,
        columns: &[u32],
        values: &[f64],
        settings: &SolveSettings,
    ) -> Result<Held, Error> {
        let program = match &canonical.program {
            Program::Dense(maps) => {
                Program::Dense(Box::new(maps.with_fixed(canonical.n, columns, values)))
            }
            Program::Cones(maps) => Program::Cones(Box::new(maps.with_fixed(columns, values))),
        };
        let data = Data::new(&program, &parameters.single(i), canonical.n);
        let solved = data.solve(&program, 1, settings, None)?;
        Ok(Held {
            program,
            data,
            solved,
        })
    }

    /// Whether it is solved by the same point in some columns.
    fn agrees(&self, x: &[f64], mut columns: impl Iterator<Item = usize>) -> bool {
        let same = |c: usize| (self.solved.x()[c] - x[c]).abs() <= SAME * (1.0 + x[c].abs());
        self.solved.status()[0].is_solved() && columns.all(same)
    }

    /// The adjoint of this sample, `i` of `cotangent`'s batch.
    pub(crate) fn adjoint(
        &self,
        parameters: &Parameters,
        cotangent: &SolverCotangent,
        i: usize,
        settings: &AdjointSettings,
    ) -> Result<Pinned, Error> {
        let n = self.solved.x().len();
        let batch = cotangent.x.len() / n;
        let single = |all: &Option<Vec<f64>>, block: Block| {
            all.as_ref().map(|all| {
                let rows = all.len() / batch;
                let mut one = all[i * rows..(i + 1) * rows].to_vec();
                one.resize(self.solved.multipliers(block).len(), 0.0);
                one
            })
        };
        let cotangent = SolverCotangent {
            x: cotangent.x[i * n..(i + 1) * n].to_vec(),
            equality: single(&cotangent.equality, Block::Equality),
            inequality: single(&cotangent.inequality, Block::Upper),
            quadratic: single(&cotangent.quadratic, Block::Quadratic),
            cone: single(&cotangent.cone, Block::Cone),
            gap: single(&cotangent.gap, Block::Upper),
        };
        let mut pullback = Pullback::new(parameters);
        let wanted = vec![true; parameters.given.len()];
        let reports = self.data.pullback(
            &self.program,
            &self.solved,
            &cotangent,
            &wanted,
            settings,
            &mut pullback,
        )?;
        Ok(Pinned {
            theta: pullback.into_sample(),
            report: reports[0],
        })
    }

    /// How this sample moves along a direction of its own.
    pub(crate) fn tangent(
        &self,
        direction: &Parameters,
        settings: &AdjointSettings,
    ) -> Result<SolverTangent, Error> {
        self.data
            .pushforward(&self.program, &self.solved, direction, settings)
    }
}
