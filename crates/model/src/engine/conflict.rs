//! The rows that make a sample infeasible.

use feasible_solver::{NamedRow, cone_conflict};

use super::{Data, Solved};
use crate::canon::{Block, Program};
use crate::problem::SolveSettings;

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
                let problem = data.problem(maps, solution.status.len());
                let rows = cone_conflict(&problem, solution, i, &settings.cones)?.into_iter();
                Some(rows.map(|(row, v)| (Block::Cone, row, v.abs())).collect())
            }
            (Data::Dense(_), _, Solved::Dense(solution)) => {
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
