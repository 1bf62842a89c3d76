//! Gradients by the names of the model.

use std::collections::HashSet;

use feasible_solver::{AdjointSettings, GradientReport, Values};

use crate::engine::{SolverCotangent, pinned};
use crate::error::Error;
use crate::numbers::{Pullback, check_numbers, unknown};
use crate::problem::{Handle, Inner};
use crate::solution::Solution;

/// Derivatives of a scalar loss with respect to parts of the solution; what is not named is zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cotangent<'a> {
    /// By variable, `[batch, size]` each.
    pub variables: &'a [(&'a str, &'a [f64])],
    /// By constraint, of its dual values, `[batch, size]` each.
    pub duals: &'a [(Handle<'a>, &'a [f64])],
}

/// Derivatives of the loss with respect to parameters.
#[derive(Clone, Debug)]
pub struct Gradients {
    parameters: Vec<(String, Vec<f64>)>,
    /// How far each sample's gradient can be trusted.
    pub reports: Vec<GradientReport>,
}

impl Gradients {
    /// A wanted parameter's gradient in the layout of its values: `[size]`, the sum over the batch,
    /// where they were shared, `[batch, size]` where not.
    ///
    /// # Errors
    /// [`Error::UnknownName`] for a parameter that was not wanted.
    pub fn parameter(&self, name: &str) -> Result<&[f64], Error> {
        match self.parameters.iter().find(|(known, _)| known == name) {
            Some((_, gradient)) => Ok(gradient),
            None => Err(unknown(
                name,
                "wanted parameter",
                self.parameters.iter().map(|(name, _)| name),
            )),
        }
    }

    /// All of them, in the order in which they were asked for.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &[f64])> {
        self.parameters.iter().map(|(name, g)| (&name[..], &g[..]))
    }
}

pub(crate) fn adjoint(
    problem: &Inner,
    solution: &Solution,
    cotangent: &Cotangent<'_>,
    wanted: &[&str],
    settings: &AdjointSettings,
) -> Result<Gradients, Error> {
    let mut indices = Vec::with_capacity(wanted.len());
    for name in wanted {
        let index = problem.parameter_index(name)?;
        if indices.contains(&index) {
            return Err(Error::GivenTwice {
                name: (*name).to_owned(),
                what: "parameter",
            });
        }
        indices.push(index);
    }
    let (parameters, data, solved) = solution.parts();
    let mut inner = solver_cotangent(problem, solution, cotangent)?;
    let held = pinned::each(problem, solution, |i, one| {
        one.adjoint(&parameters.single(i), &inner, i, settings)
    })?;
    held.iter()
        .for_each(|(i, _)| inner.clear(*i, solution.batch()));
    let flags: Vec<bool> = (0..parameters.given.len())
        .map(|i| indices.contains(&i))
        .collect();
    let mut pullback = Pullback::new(parameters);
    let program = &problem.canonical.program;
    let mut reports = data.pullback(program, solved, &inner, &flags, settings, &mut pullback)?;
    for (i, one) in held {
        pullback.add_sample(i, &one.theta);
        reports[i] = one.report;
    }
    Ok(Gradients {
        parameters: wanted
            .iter()
            .zip(&indices)
            .map(|(name, index)| ((*name).to_owned(), pullback.of(*index)))
            .collect(),
        reports,
    })
}

/// Cotangents by name as those of the solver's answer; none for samples without a solution.
fn solver_cotangent(
    problem: &Inner,
    solution: &Solution,
    cotangent: &Cotangent<'_>,
) -> Result<SolverCotangent, Error> {
    let (batch, n) = (solution.batch(), problem.canonical.n);
    let solved: Vec<usize> = (0..batch)
        .filter(|i| solution.status()[*i].is_solved())
        .collect();
    let mut out = SolverCotangent {
        x: vec![0.0; batch * n],
        ..SolverCotangent::default()
    };
    let mut seen = HashSet::new();
    for (name, values) in cotangent.variables {
        let index = problem.variable_index(name)?;
        let columns = &problem.canonical.variables[index].1;
        let size = columns.len();
        check_numbers(
            "cotangent of variable",
            name,
            &Values::PerSample(values),
            batch,
            size,
        )?;
        if !seen.insert(index) {
            return Err(Error::GivenTwice {
                name: (*name).to_owned(),
                what: "cotangent of variable",
            });
        }
        for &i in &solved {
            for (column, v) in columns.iter().zip(&values[i * size..(i + 1) * size]) {
                out.x[i * n + *column as usize] += v;
            }
        }
    }
    let mut seen = HashSet::new();
    for (handle, values) in cotangent.duals {
        let index = problem.constraint_index(*handle)?;
        let constraint = &problem.formulation.constraints[index];
        let (label, size) = (constraint.label(), constraint.shape().size());
        let what = "cotangent of constraint";
        check_numbers(what, &label, &Values::PerSample(values), batch, size)?;
        if !seen.insert(index) {
            return Err(Error::GivenTwice { name: label, what });
        }
        for &i in &solved {
            for slot in &problem.canonical.duals[index] {
                let v = values[i * size + slot.entry];
                for piece in solution.pieces(slot, i) {
                    // Gaps are those of the rows that the multipliers belong to.
                    let len = solution.parts().2.multipliers(slot.block).len();
                    let target = out.numbers(piece.part, len);
                    target[i * (len / batch) + piece.index] += piece.factor * v;
                }
            }
        }
    }
    Ok(out)
}
