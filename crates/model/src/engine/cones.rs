//! Cone programs at one batch of parameters.

use feasible_solver::{
    AdjointSettings, ConeProblem, ConeSolution, ConeWanted, GradientReport, Sparse, Values,
    cone_adjoint,
};

use super::SolverCotangent;
use crate::canon::{ConeProgram, SparseMap};
use crate::error::Error;
use crate::numbers::{Numbers, Parameters, Pullback};

#[derive(Debug)]
pub(crate) struct ConeData {
    n: usize,
    p: Option<Numbers>,
    q: Numbers,
    a: Numbers,
    b: Numbers,
}

impl ConeData {
    pub(super) fn new(maps: &ConeProgram, parameters: &Parameters, n: usize) -> ConeData {
        ConeData {
            n,
            p: maps.p.as_ref().map(|p| parameters.evaluate(&p.map)),
            q: parameters.evaluate(&maps.q),
            a: parameters.evaluate(&maps.a.map),
            b: parameters.evaluate(&maps.b),
        }
    }

    pub(super) fn problem<'a>(&'a self, maps: &'a ConeProgram, batch: usize) -> ConeProblem<'a> {
        fn sparse<'a>(map: &'a SparseMap, values: Values<'a>) -> Sparse<'a> {
            Sparse {
                rows: map.rows,
                columns: map.columns,
                starts: &map.starts,
                indices: &map.indices,
                values,
            }
        }
        let p = maps.p.as_ref().zip(self.p.as_ref());
        ConeProblem {
            batch,
            n: self.n,
            p: p.map(|(map, numbers)| sparse(map, numbers.values())),
            q: self.q.values(),
            a: sparse(&maps.a, self.a.values()),
            b: self.b.values(),
            cones: &maps.cones,
        }
    }

    /// The largest coefficient of each row of one sample.
    pub(super) fn row_sizes(&self, maps: &ConeProgram, i: usize) -> Vec<f64> {
        let mut sizes = vec![0.0f64; maps.a.rows];
        let values = self.a.values().sample(i, maps.a.indices.len());
        for (row, v) in maps.a.indices.iter().zip(values) {
            sizes[*row] = sizes[*row].max(v.abs());
        }
        sizes
    }

    pub(super) fn pullback(
        &self,
        maps: &ConeProgram,
        solution: &ConeSolution,
        cotangent: &SolverCotangent,
        wanted: &[bool],
        settings: &AdjointSettings,
        into: &mut Pullback<'_>,
    ) -> Result<Vec<GradientReport>, Error> {
        let batch = solution.status.len();
        let wanted = maps.touched(wanted);
        let problem = self.problem(maps, batch);
        let gradients = cone_adjoint(&problem, solution, &cotangent.cones(), &wanted, settings)?;
        if let Some((map, numbers)) = maps.p.as_ref().zip(self.p.as_ref()) {
            into.add(&map.map, numbers.shared, gradients.p.as_ref());
        }
        into.add(&maps.q, self.q.shared, gradients.q.as_ref());
        into.add(&maps.a.map, self.a.shared, gradients.a.as_ref());
        into.add(&maps.b, self.b.shared, gradients.b.as_ref());
        Ok(gradients.reports)
    }
}

impl ConeProgram {
    /// The parts that some parameters reach.
    pub(super) fn touched(&self, by: &[bool]) -> ConeWanted {
        ConeWanted {
            p: self.p.as_ref().is_some_and(|p| p.map.uses_any(by)),
            q: self.q.uses_any(by),
            a: self.a.map.uses_any(by),
            b: self.b.uses_any(by),
        }
    }
}
