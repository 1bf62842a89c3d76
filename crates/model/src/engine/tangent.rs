//! How a solver's answer moves with the parameters.

use feasible_solver::{
    AdjointSettings, ConeTangents, GradientReport, Parameter, Tangents, cone_tangent, tangent,
};

use super::{Data, Solved};
use crate::canon::{Block, Program};
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

/// Derivatives of all parts of the answer, in the layouts of [`Solved`].
#[derive(Debug)]
pub(crate) struct SolverTangent {
    pub(crate) x: Vec<f64>,
    equality: Vec<f64>,
    inequality: Vec<f64>,
    quadratic: Vec<f64>,
    cone: Vec<f64>,
    pub(crate) reports: Vec<GradientReport>,
}

impl SolverTangent {
    /// All samples' multipliers of one kind.
    pub(crate) fn multipliers(&self, block: Block) -> &[f64] {
        match block {
            Block::Equality => &self.equality,
            Block::Upper | Block::Lower => &self.inequality,
            Block::Quadratic => &self.quadratic,
            Block::Cone => &self.cone,
        }
    }

    /// Puts a batch of one in the place of sample `i`; rows that were added to it are left out.
    pub(crate) fn replace(&mut self, i: usize, one: &SolverTangent) {
        let batch = self.reports.len();
        let parts = [
            (&mut self.x, &one.x),
            (&mut self.equality, &one.equality),
            (&mut self.inequality, &one.inequality),
            (&mut self.quadratic, &one.quadratic),
            (&mut self.cone, &one.cone),
        ];
        for (all, one) in parts {
            let len = all.len() / batch;
            all[i * len..(i + 1) * len].copy_from_slice(&one[..len]);
        }
        self.reports[i] = one.reports[0];
    }
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
                Ok(SolverTangent {
                    x: found.x,
                    equality: found.equality_dual,
                    inequality: found.inequality_dual,
                    quadratic: found.quadratic_dual,
                    cone: vec![],
                    reports: found.reports,
                })
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
                Ok(SolverTangent {
                    x: found.x,
                    equality: vec![],
                    inequality: vec![],
                    quadratic: vec![],
                    cone: found.z,
                    reports: found.reports,
                })
            }
            _ => Err(Error::ForeignSolution),
        }
    }
}
