//! One sample's whole derivative of some of its numbers with respect to one parameter.

use std::ops::Range;

use feasible_solver::{
    AdjointSettings, ConeDerivative, ConeTangents, GradientReport, SampleDerivative, Tangents,
    Values, cone_differentiate, differentiate,
};

use super::dense::in_order;
use super::parts::{Part, Piece};
use super::tangent::{PARAMETERS, gap};
use super::{Data, Solved, SolverCotangent, SolverTangent};
use crate::canon::{Block, ConeProgram, DenseProgram, Program};
use crate::error::Error;
use crate::map::AffineMap;

/// What is differentiated with respect to what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JacobianBlock<'a> {
    /// Number of all columns.
    pub(crate) n: usize,
    /// What each of the differentiated numbers is made of; those of no pieces are constant.
    pub(crate) lines: &'a [Vec<Piece>],
    /// Which of the parameters.
    pub(crate) leaf: usize,
    /// Number of parameters, and of their numbers.
    pub(crate) leaves: usize,
    pub(crate) entries: usize,
    /// First of the parameter's numbers, and how many they are.
    pub(crate) first: usize,
    pub(crate) len: usize,
}

impl JacobianBlock<'_> {
    fn range(&self) -> Range<usize> {
        self.first..self.first + self.len
    }

    /// Only this parameter.
    fn flags(&self) -> Vec<bool> {
        (0..self.leaves).map(|leaf| leaf == self.leaf).collect()
    }

    /// Whether to go forwards, one solve a number of the parameter, or backwards, one a line.
    fn is_forward(&self) -> bool {
        self.len < self.lines.iter().filter(|line| !line.is_empty()).count()
    }

    /// Line by line: `pull` adds what a cotangent of the solver's answer, of which parts have the
    /// given sizes, means for all parameters.
    fn backward(
        &self,
        size: impl Fn(Part) -> usize,
        mut pull: impl FnMut(&SolverCotangent, &mut [f64]) -> Result<(), Error>,
    ) -> Result<Vec<f64>, Error> {
        let mut unit = SolverCotangent {
            x: vec![0.0; self.n],
            ..SolverCotangent::default()
        };
        let mut theta = vec![0.0; self.entries];
        let mut out = Vec::with_capacity(self.lines.len() * self.len);
        for line in self.lines {
            theta.fill(0.0);
            if !line.is_empty() {
                for piece in line {
                    unit.numbers(piece.part, size(piece.part))[piece.index] += piece.factor;
                }
                pull(&unit, &mut theta)?;
                for piece in line {
                    unit.numbers(piece.part, size(piece.part))[piece.index] = 0.0;
                }
            }
            out.extend_from_slice(&theta[self.range()]);
        }
        Ok(out)
    }

    /// Column by column from the derivatives along single numbers.
    fn forward(
        &self,
        mut push: impl FnMut(&[f64]) -> Result<SolverTangent, Error>,
    ) -> Result<Vec<f64>, Error> {
        let mut theta = vec![0.0; self.entries];
        let mut out = vec![0.0; self.lines.len() * self.len];
        for at in 0..self.len {
            theta[self.first + at] = 1.0;
            let moves = push(&theta)?;
            theta[self.first + at] = 0.0;
            for (out, line) in out.chunks_exact_mut(self.len).zip(self.lines) {
                out[at] = line.iter().map(|piece| piece.of(&moves)).sum();
            }
        }
        Ok(out)
    }

    fn dense(
        &self,
        maps: &DenseProgram,
        derivative: &mut SampleDerivative<'_>,
    ) -> Result<Vec<f64>, Error> {
        let (all, flags) = (maps.all(), self.flags());
        if self.is_forward() {
            let mut moves = all.map(|map| {
                let touched = map.uses(self.leaf);
                touched.then(|| vec![0.0; map.len()])
            });
            return self.forward(|theta| {
                let mut tangents = Tangents::default();
                for ((map, moves), parameter) in all.iter().zip(&mut moves).zip(PARAMETERS) {
                    if let Some(moves) = moves {
                        map.differential(theta, moves);
                        tangents = tangents.and(parameter, Values::Shared(moves));
                    }
                }
                let mut found = SolverTangent::dense(derivative.tangent(&tangents)?);
                found.gap = gap(&tangents, 1, maps.inequality_rows);
                Ok(found)
            });
        }
        let wanted = maps.touched(&flags);
        let size = |part| match part {
            Part::Columns => self.n,
            Part::Multipliers(Block::Equality) => maps.equality_rows,
            Part::Multipliers(Block::Quadratic) => maps.quadratic_rows,
            Part::Multipliers(_) | Part::Gap => maps.inequality_rows,
        };
        self.backward(size, |unit, theta| {
            let cotangent = unit.dense();
            let gradients = derivative.adjoint(&cotangent, &wanted)?;
            for (map, gradient) in all.iter().zip(in_order(&gradients)) {
                if let Some(gradient) = gradient {
                    map.pullback(gradient, theta);
                }
            }
            if let Some(gap) = &unit.gap {
                maps.l.pullback(gap, theta);
                let opposite: Vec<f64> = gap.iter().map(|v| -v).collect();
                maps.u.pullback(&opposite, theta);
            }
            Ok(())
        })
    }

    fn cones(
        &self,
        maps: &ConeProgram,
        derivative: &mut ConeDerivative<'_>,
    ) -> Result<Vec<f64>, Error> {
        let p = maps.p.as_ref().map(|p| &p.map);
        if self.is_forward() {
            let along = |map: &AffineMap, theta: &[f64]| {
                map.uses(self.leaf).then(|| {
                    let mut moves = vec![0.0; map.len()];
                    map.differential(theta, &mut moves);
                    moves
                })
            };
            return self.forward(|theta| {
                let of_p = p.and_then(|map| along(map, theta));
                let [q, a, b] = [&maps.q, &maps.a.map, &maps.b].map(|map| along(map, theta));
                let tangents = ConeTangents {
                    p: of_p.as_deref().map(Values::Shared),
                    q: q.as_deref().map(Values::Shared),
                    a: a.as_deref().map(Values::Shared),
                    b: b.as_deref().map(Values::Shared),
                };
                Ok(SolverTangent::cones(derivative.tangent(&tangents)?))
            });
        }
        let wanted = maps.touched(&self.flags());
        let size = |part| match part {
            Part::Columns => self.n,
            Part::Multipliers(_) => maps.a.rows,
            Part::Gap => 0,
        };
        self.backward(size, |unit, theta| {
            let found = derivative.adjoint(&unit.cones(), &wanted)?;
            let parts = [
                (p, &found.p),
                (Some(&maps.q), &found.q),
                (Some(&maps.a.map), &found.a),
                (Some(&maps.b), &found.b),
            ];
            for (map, gradient) in parts {
                if let (Some(map), Some(gradient)) = (map, gradient) {
                    map.pullback(gradient, theta);
                }
            }
            Ok(())
        })
    }
}

impl Data {
    /// `[lines, numbers of the parameter]` of sample `i`; `None` where it has no derivative.
    pub(crate) fn jacobian(
        &self,
        program: &Program,
        solved: &Solved,
        i: usize,
        block: &JacobianBlock<'_>,
        settings: &AdjointSettings,
    ) -> Result<Option<(Vec<f64>, GradientReport)>, Error> {
        let batch = solved.status().len();
        let found = match (self, program, solved) {
            (Data::Dense(data), Program::Dense(maps), Solved::Dense(solution)) => {
                differentiate(&data.problem(batch), solution, i, settings, |derivative| {
                    Ok((block.dense(maps, derivative)?, derivative.report()))
                })?
            }
            (Data::Cones(data), Program::Cones(maps), Solved::Cones(solution)) => {
                cone_differentiate(
                    &data.problem(maps, batch),
                    solution,
                    i,
                    settings,
                    |derivative| Ok((block.cones(maps, derivative)?, derivative.report())),
                )?
            }
            _ => return Err(Error::ForeignSolution),
        };
        found.transpose()
    }
}
