//! Solutions, by the names of the model.

use std::sync::Arc;

use feasible_solver::{Infeasible, Residuals, Status};

use crate::canon::{Block, Slot};
use crate::conflict::{Conflict, conflict};
use crate::engine::{Data, Part, Piece, Solved};
use crate::error::Error;
use crate::model::Direction;
use crate::numbers::Parameters;
use crate::problem::{Handle, Inner, SolveSettings};

/// Solutions of a batch.
///
/// Samples whose status is not [`Status::Solved`] hold the solver's last finite iterate, or a
/// certificate; see [`feasible_solver::Solution`] and [`feasible_solver::ConeSolution`].
#[derive(Debug)]
pub struct Solution {
    problem: Arc<Inner>,
    parameters: Parameters,
    data: Data,
    solved: Solved,
    settings: SolveSettings,
    /// By variable, `[batch, size]` each.
    variables: Vec<Vec<f64>>,
}

impl Solution {
    pub(crate) fn new(
        problem: Arc<Inner>,
        parameters: Parameters,
        data: Data,
        solved: Solved,
        settings: SolveSettings,
    ) -> Solution {
        let n = problem.canonical.n;
        let samples = solved.x().chunks_exact(n);
        let variables = problem
            .canonical
            .variables
            .iter()
            .map(|(_, columns)| {
                let of = |x: &[f64]| columns.iter().map(|c| x[*c as usize]).collect::<Vec<_>>();
                samples.clone().flat_map(of).collect()
            })
            .collect();
        Solution {
            problem,
            parameters,
            data,
            solved,
            settings,
            variables,
        }
    }

    /// Number of samples.
    pub fn batch(&self) -> usize {
        self.parameters.batch
    }

    /// Outcome of each sample.
    pub fn status(&self) -> &[Status] {
        self.solved.status()
    }

    /// Whether every sample was solved.
    pub fn all_solved(&self) -> bool {
        self.status().iter().all(|status| status.is_solved())
    }

    /// The solver's iterations of each sample.
    pub fn iterations(&self) -> &[usize] {
        self.solved.iterations()
    }

    /// Residuals of each sample, of the solver's form.
    pub fn residuals(&self) -> &[Residuals] {
        self.solved.residuals()
    }

    /// A variable's values, `[batch, size]`, each sample row-major.
    ///
    /// # Errors
    /// [`Error::UnknownName`].
    pub fn variable(&self, name: &str) -> Result<&[f64], Error> {
        Ok(&self.variables[self.problem.variable_index(name)?])
    }

    /// A constraint's dual values, `[batch, size]`, with the signs of
    /// [`crate::CompiledProblem`].
    ///
    /// # Errors
    /// [`Error::UnknownName`].
    pub fn dual<'a>(&self, constraint: impl Into<Handle<'a>>) -> Result<Vec<f64>, Error> {
        let index = self.problem.constraint_index(constraint.into())?;
        let size = self.problem.formulation.constraints[index].shape().size();
        let mut out = vec![0.0; self.batch() * size];
        for i in 0..self.batch() {
            for slot in &self.problem.canonical.duals[index] {
                for piece in self.pieces(slot, i) {
                    out[i * size + slot.entry] += piece.factor * self.number(piece, i);
                }
            }
        }
        Ok(out)
    }

    /// What a part of a dual value is made of in one sample, as far as it can move.
    ///
    /// With bounds that cross and both give way, `λ_u = w(gᵀx − u)` and `λ_l = w(l − gᵀx)` for the
    /// weight `w` of the elastic problem: the solver's `λ = λ_u − λ_l` leaves their sum `w(l − u)` to be
    /// added.
    pub(crate) fn pieces(&self, slot: &Slot, sample: usize) -> impl Iterator<Item = Piece> {
        let index = slot.index;
        let multiplier = |factor| Piece {
            part: Part::Multipliers(slot.block),
            index,
            factor,
        };
        let value = self.number(multiplier(1.0), sample);
        let both = match (slot.block, self.settings.dense.infeasible) {
            (Block::Upper | Block::Lower, Infeasible::Elastic { weight })
                if self.status()[sample] == Status::Relaxed =>
            {
                let gap = Piece {
                    part: Part::Gap,
                    index,
                    factor: 0.5 * weight * slot.factor,
                };
                (value.abs() < weight * self.number(gap, sample)).then_some(gap)
            }
            _ => None,
        };
        let first = multiplier(match (both, slot.block) {
            (None, _) => slot.slope(value),
            (Some(_), Block::Lower) => -0.5 * slot.factor,
            (Some(_), _) => 0.5 * slot.factor,
        });
        std::iter::once(first)
            .filter(|p| p.factor != 0.0)
            .chain(both)
    }

    fn number(&self, piece: Piece, sample: usize) -> f64 {
        if let (Part::Gap, Data::Dense(data)) = (piece.part, &self.data) {
            return data.gap(sample, piece.index, self.settings.dense.rounding);
        }
        let all = self.solved.numbers(piece.part);
        let len = all.len() / self.batch().max(1);
        all[sample * len + piece.index]
    }

    /// The objective of each sample, by evaluating the user's expression at its point.
    ///
    /// Where rounding left the point of a solved sample outside of the domain of one of the
    /// expression's functions, at whose boundary the minimiser is, the expression has no value there:
    /// it is then that of the form that was solved, which differs by as little as the point does.
    ///
    /// # Errors
    /// None for a solution of a compiled problem.
    ///
    /// # Cost
    /// One evaluation of the expression a sample.
    pub fn objective(&self) -> Result<Vec<f64>, Error> {
        let objective = &self.problem.formulation.objective;
        (0..self.batch())
            .map(|i| {
                let value = objective.evaluate(&|name| self.leaf(name, i))?;
                let value = value.first().copied().unwrap_or(f64::NAN);
                Ok(if value.is_finite() || !self.status()[i].is_solved() {
                    value
                } else {
                    self.canonical_objective(i)
                })
            })
            .collect()
    }

    /// What the solver minimised in one sample, in the user's sign and with what no variable moves.
    fn canonical_objective(&self, i: usize) -> f64 {
        let offset = &self.problem.canonical.offset;
        let value = self.solved.objective()[i] + offset.at(&self.parameters.theta(i));
        match self.problem.formulation.direction {
            Direction::Minimize => value,
            Direction::Maximize => -value,
        }
    }

    /// A constraint's largest violation in each sample; of a matrix inequality the most negative
    /// eigenvalue.
    ///
    /// # Errors
    /// [`Error::UnknownName`].
    pub fn violation<'a>(&self, constraint: impl Into<Handle<'a>>) -> Result<Vec<f64>, Error> {
        let index = self.problem.constraint_index(constraint.into())?;
        let constraint = &self.problem.formulation.constraints[index];
        (0..self.batch())
            .map(|i| {
                let residual = &constraint.0.residual;
                Ok(constraint.violation(&residual.evaluate(&|name| self.leaf(name, i))?))
            })
            .collect()
    }

    /// The constraints and domains that make an infeasible sample so, the weightiest first, also of
    /// one that was relaxed; `None` for every other sample, and where the contradiction is too slight
    /// to be proved.
    ///
    /// # Cost
    /// One pass over the rows of the solver's form, and over the model's sub-expressions where a
    /// function's domain takes part. Of a cone program also small solves, about one for every row
    /// that Clarabel's certificate names, to leave out what is not needed.
    pub fn conflict(&self, sample: usize) -> Option<Conflict> {
        conflict(&self.problem, self, sample)
    }

    /// The direction of a variable along which an unbounded sample's objective falls forever, `[size]`;
    /// `None` for every sample that is not [`Status::DualInfeasible`].
    ///
    /// # Errors
    /// [`Error::UnknownName`].
    pub fn ray(&self, variable: &str, sample: usize) -> Result<Option<Vec<f64>>, Error> {
        let variables = &self.problem.canonical.variables;
        let at = self.problem.variable_index(variable)?;
        let columns = &variables[at].1;
        let part = |ray: &[f64]| columns.iter().map(|c| ray[*c as usize]).collect();
        Ok(self.solved.ray(sample).map(part))
    }

    fn leaf(&self, name: &str, sample: usize) -> Option<&[f64]> {
        let canonical = &self.problem.canonical;
        if let Some(at) = canonical.variables.iter().position(|(l, _)| l.name == name) {
            let size = canonical.variables[at].1.len();
            return Some(&self.variables[at][sample * size..(sample + 1) * size]);
        }
        let at = canonical
            .parameters
            .iter()
            .position(|(l, _)| l.name == name)?;
        Some(self.parameters.given[at].sample(sample))
    }

    pub(crate) fn solved(&self) -> &Solved {
        &self.solved
    }

    pub(crate) fn problem(&self) -> &Arc<Inner> {
        &self.problem
    }

    pub(crate) fn settings(&self) -> &SolveSettings {
        &self.settings
    }

    pub(crate) fn parts(&self) -> (&Parameters, &Data, &Solved) {
        (&self.parameters, &self.data, &self.solved)
    }
}

#[cfg(test)]
mod tests {
    use feasible_solver::Values;

    use crate::{
        Expr, Form, Formulation, Model, Route, SolveSettings, abs, constant, exp, quad_form,
        sum_squares,
    };

    /// A model of `x` and of parameters that an objective is made of.
    struct Case {
        model: Model,
        x: Expr,
        y: Expr,
        weight: Expr,
    }

    fn case() -> Case {
        let mut model = Model::new();
        Case {
            x: model.variable("x", [3]),
            y: model.parameter("y", [3]),
            weight: model.parameter_in("weight", [], crate::Domain::Nonnegative),
            model,
        }
    }

    fn objectives(case: &Case) -> Vec<Expr> {
        let Case { x, y, weight, .. } = case;
        let matrix = constant([3, 3], vec![2.0, 0.5, 0.0, 0.5, 1.0, -0.3, 0.0, -0.3, 1.5]);
        let shifted = || x - y + constant([3], vec![0.3, -1.0, 2.0]);
        vec![
            // Constants, parameters and their squares, under the identity, a matrix and a weight.
            sum_squares(shifted()) + 4.0 + y.sum() + weight,
            2.5 * sum_squares(shifted()) + sum_squares(&(2.0 * x + y)) - 3.0 * y.sum() + weight,
            quad_form(&shifted(), &matrix) - 7.0 - weight,
            weight * sum_squares(shifted()) + sum_squares(x),
            abs(&shifted()).sum() + sum_squares(shifted()) + weight * 2.0,
            exp(&(0.4 * x)).sum() + sum_squares(shifted()) + 1.0 + weight,
            exp(&(0.4 * x)).sum() + weight * sum_squares(shifted()) + y.sum(),
        ]
    }

    /// What is kept of the objective beside the solver's is all of it, whatever the form.
    #[test]
    fn the_canonical_objective_is_the_expressions() {
        let mut cones = 0;
        for at in 0..objectives(&case()).len() {
            for route in [Route::Auto, Route::Cones] {
                for maximised in [false, true] {
                    let case = case();
                    let objective = objectives(&case).swap_remove(at);
                    let formulation: Formulation = match maximised {
                        false => case.model.minimize(objective),
                        true => case.model.maximize(-objective + 2.0),
                    };
                    let problem = formulation
                        .subject_to(case.x.sum().le(0.5))
                        .subject_to(case.x.ge(-1.0))
                        .route(route)
                        .compile()
                        .unwrap();
                    let y = [0.7, -0.4, 1.1, -2.0, 0.3, 0.6];
                    let values = [
                        ("y", Values::PerSample(&y)),
                        ("weight", Values::Shared(&[0.8])),
                    ];
                    let settings = SolveSettings::default();
                    let solution = problem.solve(&values, 2, &settings).unwrap();
                    assert!(solution.all_solved());
                    cones += usize::from(matches!(problem.form(), Form::Cone { .. }));
                    for (i, evaluated) in solution.objective().unwrap().into_iter().enumerate() {
                        let kept = solution.canonical_objective(i);
                        // An epigraph's column is as tight as the solver's tolerance.
                        assert!(
                            (kept - evaluated).abs() < 1e-9 * (1.0 + evaluated.abs()),
                            "{at} {route:?} {maximised}: {kept} {evaluated}"
                        );
                    }
                }
            }
        }
        assert!(cones >= 14, "{cones}");
    }
}
