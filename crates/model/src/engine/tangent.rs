//! How a solver's answer moves with the parameters.

use feasible_solver::{AdjointSettings, ConeTangents, Parameter, Tangents, cone_tangent, tangent};

use super::{Data, Solved, SolverTangent};
use crate::canon::Program;
use crate::error::Error;
use crate::map::AffineMap;
use crate::numbers::{Numbers, Parameters};

/// The solver's parameters in the order of [`crate::canon::DenseProgram::all`].
pub(super) const PARAMETERS: [Parameter; 10] = [
    Parameter::P,
    Parameter::Q,
    Parameter::A,
    Parameter::B,
    Parameter::G,
    Parameter::L,
    Parameter::U,
    Parameter::QuadraticH,
    Parameter::QuadraticG,
    Parameter::QuadraticC,
];

/// How lower minus upper bounds move, `[batch, rows]`.
pub(super) fn gap(tangents: &Tangents<'_>, batch: usize, rows: usize) -> Vec<f64> {
    let mut gap = vec![0.0; batch * rows];
    for (i, gap) in gap.chunks_exact_mut(rows.max(1)).enumerate() {
        for (moves, sign) in [(tangents.l, 1.0), (tangents.u, -1.0)] {
            if let Some(moves) = moves {
                for (gap, v) in gap.iter_mut().zip(moves.sample(i, rows)) {
                    *gap += sign * v;
                }
            }
        }
    }
    gap
}

impl Data {
    /// The derivative of the answer along a direction of the parameters.
    pub(crate) fn pushforward(
        &self,
        program: &Program,
        solved: &Solved,
        direction: &Parameters,
        settings: &AdjointSettings,
    ) -> Result<SolverTangent, Error> {
        let batch = solved.status().len();
        // Parts that do not move are left out.
        let along = |map: &AffineMap| {
            let moves = direction.through(map, AffineMap::differential);
            moves.data.iter().any(|v| *v != 0.0).then_some(moves)
        };
        match (self, program, solved) {
            (Data::Dense(data), Program::Dense(maps), Solved::Dense(solution)) => {
                let moves: [Option<Numbers>; 10] = maps.all().map(along);
                let mut tangents = Tangents::default();
                for (parameter, moves) in PARAMETERS.into_iter().zip(&moves) {
                    if let Some(moves) = moves {
                        tangents = tangents.and(parameter, moves.values());
                    }
                }
                let found = tangent(&data.problem(batch), solution, &tangents, settings)?;
                let mut found = SolverTangent::dense(found);
                found.gap = gap(&tangents, batch, maps.inequality_rows);
                Ok(found)
            }
            (Data::Cones(data), Program::Cones(maps), Solved::Cones(solution)) => {
                let p = maps.p.as_ref().and_then(|p| along(&p.map));
                let (q, a, b) = (along(&maps.q), along(&maps.a.map), along(&maps.b));
                let tangents = ConeTangents {
                    p: p.as_ref().map(Numbers::values),
                    q: q.as_ref().map(Numbers::values),
                    a: a.as_ref().map(Numbers::values),
                    b: b.as_ref().map(Numbers::values),
                };
                let problem = data.problem(maps, batch);
                let found = cone_tangent(&problem, solution, &tangents, settings)?;
                Ok(SolverTangent::cones(found))
            }
            _ => Err(Error::ForeignSolution),
        }
    }
}
