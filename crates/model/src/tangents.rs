//! Derivatives of solutions by the names of the model, forwards: along a direction of the
//! parameters, and whole.

use std::sync::Arc;

use rayon::prelude::*;

use feasible_solver::{AdjointSettings, GradientReport, Values};

use crate::canon::Slot;
use crate::engine::pinned::Held;
use crate::engine::{JacobianBlock, Piece, pinned};
use crate::error::Error;
use crate::numbers::Parameters;
use crate::problem::{Handle, Inner};
use crate::solution::Solution;

/// How the solutions of a batch move along a direction of the parameters; zero for samples without a
/// solution.
#[derive(Clone, Debug)]
pub struct Tangent {
    problem: Arc<Inner>,
    variables: Vec<Vec<f64>>,
    duals: Vec<Vec<f64>>,
    /// How far each sample's derivative can be trusted.
    pub reports: Vec<GradientReport>,
}

impl Tangent {
    /// Of a variable, `[batch, size]`, each sample row-major.
    ///
    /// # Errors
    /// [`Error::UnknownName`].
    pub fn variable(&self, name: &str) -> Result<&[f64], Error> {
        Ok(&self.variables[self.problem.variable_index(name)?])
    }

    /// Of a constraint's dual values, `[batch, size]`.
    ///
    /// # Errors
    /// [`Error::UnknownName`].
    pub fn dual<'a>(&self, constraint: impl Into<Handle<'a>>) -> Result<&[f64], Error> {
        Ok(&self.duals[self.problem.constraint_index(constraint.into())?])
    }
}

/// The derivatives of a variable, or of a constraint's dual values, with respect to a parameter, of
/// which every sample counts as having a copy of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Jacobian {
    /// `[batch, rows, columns]`; zero for samples without a solution.
    pub values: Vec<f64>,
    /// The variable's or the constraint's size.
    pub rows: usize,
    /// The parameter's size.
    pub columns: usize,
    /// How far each sample's derivatives can be trusted.
    pub reports: Vec<GradientReport>,
}

/// What a [`Jacobian`] is of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output<'a> {
    Variable(&'a str),
    Dual(Handle<'a>),
}

pub(crate) fn tangent(
    problem: &Arc<Inner>,
    solution: &Solution,
    directions: &[(&str, Values<'_>)],
    settings: &AdjointSettings,
) -> Result<Tangent, Error> {
    let canonical = &problem.canonical;
    let batch = solution.batch();
    let direction = Parameters::direction(
        &canonical.parameters,
        canonical.parameter_entries,
        directions,
        batch,
    )
    .map_err(|error| problem.explained(error))?;
    let (_, data, solved) = solution.parts();
    let mut found = data.pushforward(&canonical.program, solved, &direction, settings)?;
    let held = pinned::each(problem, solution, |i, held| {
        held.tangent(&direction.single(i), settings)
    })?;
    for (i, tangent) in &held {
        found.replace(*i, tangent);
    }
    let samples = || found.x.chunks_exact(canonical.n);
    let variables = canonical.variables.iter().map(|(_, columns)| {
        let of = |x: &[f64]| columns.iter().map(|c| x[*c as usize]).collect::<Vec<_>>();
        samples().flat_map(of).collect()
    });
    let constraints = problem.formulation.constraints.iter();
    let duals = constraints
        .zip(&canonical.duals)
        .map(|(constraint, slots)| {
            let size = constraint.shape().size();
            let mut out = vec![0.0; batch * size];
            for i in 0..batch {
                for slot in slots {
                    for piece in solution.pieces(slot, i) {
                        let all = found.numbers(piece.part);
                        let moves = all[i * (all.len() / batch) + piece.index];
                        out[i * size + slot.entry] += piece.factor * moves;
                    }
                }
            }
            out
        });
    Ok(Tangent {
        problem: problem.clone(),
        variables: variables.collect(),
        duals: duals.collect(),
        reports: found.reports,
    })
}

pub(crate) fn jacobian(
    problem: &Inner,
    solution: &Solution,
    output: Output<'_>,
    parameter: &str,
    settings: &AdjointSettings,
) -> Result<Jacobian, Error> {
    let canonical = &problem.canonical;
    let of = match output {
        Output::Variable(name) => {
            Of::Columns(&canonical.variables[problem.variable_index(name)?].1)
        }
        Output::Dual(handle) => {
            let index = problem.constraint_index(handle)?;
            let size = problem.formulation.constraints[index].shape().size();
            Of::Slots(&canonical.duals[index], size)
        }
    };
    let leaf = problem.parameter_index(parameter)?;
    // Also where there is no sample to see them.
    settings.validate()?;
    let (parameters, data, solved) = solution.parts();
    let range = parameters.range(leaf);
    let rows = of.rows();
    let size = rows * range.len();
    let one = |i: usize| {
        let lines = of.lines(solution, i);
        let block = JacobianBlock {
            n: canonical.n,
            lines: &lines,
            leaf,
            leaves: parameters.given.len(),
            entries: parameters.entries(),
            first: range.start,
            len: range.len(),
        };
        match pinned::hold(canonical, solution, i)? {
            Some(Held {
                program,
                data,
                solved,
            }) => data.jacobian(&program, &solved, 0, &block, settings),
            None => data.jacobian(&canonical.program, solved, i, &block, settings),
        }
    };
    let samples: Vec<Option<(Vec<f64>, GradientReport)>> = (0..solution.batch())
        .into_par_iter()
        .map(one)
        .collect::<Result<_, Error>>()?;
    let mut out = Jacobian {
        values: Vec::with_capacity(solution.batch() * size),
        rows,
        columns: range.len(),
        reports: Vec::with_capacity(solution.batch()),
    };
    for found in samples {
        match found {
            Some((values, report)) => {
                out.values.extend(values);
                out.reports.push(report);
            }
            None => {
                out.values.resize(out.values.len() + size, 0.0);
                out.reports.push(GradientReport::UNAVAILABLE);
            }
        }
    }
    Ok(out)
}

/// Where an [`Output`] is in the solver's answer.
#[derive(Clone, Copy)]
enum Of<'a> {
    Columns(&'a [u32]),
    /// With the number of entries that the slots belong to.
    Slots(&'a [Slot], usize),
}

impl Of<'_> {
    fn rows(&self) -> usize {
        match self {
            Of::Columns(columns) => columns.len(),
            Of::Slots(_, size) => *size,
        }
    }

    /// What each entry is made of in one sample.
    fn lines(&self, solution: &Solution, i: usize) -> Vec<Vec<Piece>> {
        match self {
            Of::Columns(columns) => columns.iter().map(|c| vec![Piece::column(*c)]).collect(),
            Of::Slots(slots, size) => {
                let mut lines = vec![Vec::new(); *size];
                for slot in *slots {
                    lines[slot.entry].extend(solution.pieces(slot, i));
                }
                lines
            }
        }
    }
}
