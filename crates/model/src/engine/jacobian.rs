//! One sample's whole derivative of some columns with respect to one parameter.

use std::ops::Range;

use feasible_solver::{
    AdjointSettings, ConeCotangent, ConeDerivative, ConeTangents, Cotangent, GradientReport,
    SampleDerivative, Tangents, Values, cone_differentiate, differentiate,
};

use super::dense::in_order;
use super::tangent::PARAMETERS;
use super::{Data, Solved};
use crate::canon::{ConeProgram, DenseProgram, Program};
use crate::error::Error;
use crate::map::AffineMap;

/// What is differentiated with respect to what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JacobianBlock<'a> {
    /// Number of all columns.
    pub(crate) n: usize,
    /// The columns that are differentiated.
    pub(crate) columns: &'a [u32],
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

    /// Whether to go forwards, one solve a number of the parameter, or backwards, one a column.
    fn is_forward(&self) -> bool {
        self.len < self.columns.len()
    }

    /// Line by line from the derivatives of single columns: `pull` adds what a column's cotangent
    /// means for all parameters.
    fn backward(
        &self,
        mut pull: impl FnMut(&[f64], &mut [f64]) -> Result<(), Error>,
    ) -> Result<Vec<f64>, Error> {
        let mut unit = vec![0.0; self.n];
        let mut theta = vec![0.0; self.entries];
        let mut out = Vec::with_capacity(self.columns.len() * self.len);
        for column in self.columns {
            unit[*column as usize] = 1.0;
            theta.fill(0.0);
            pull(&unit, &mut theta)?;
            unit[*column as usize] = 0.0;
            out.extend_from_slice(&theta[self.range()]);
        }
        Ok(out)
    }

    /// Column by column from the derivatives along single numbers.
    fn forward(
        &self,
        mut push: impl FnMut(&[f64]) -> Result<Vec<f64>, Error>,
    ) -> Result<Vec<f64>, Error> {
        let mut theta = vec![0.0; self.entries];
        let mut out = vec![0.0; self.columns.len() * self.len];
        for at in 0..self.len {
            theta[self.first + at] = 1.0;
            let x = push(&theta)?;
            theta[self.first + at] = 0.0;
            for (line, column) in out.chunks_exact_mut(self.len).zip(self.columns) {
                line[at] = x[*column as usize];
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
                Ok(derivative.tangent(&tangents)?.x)
            });
        }
        let wanted = maps.touched(&flags);
        self.backward(|unit, theta| {
            let cotangent = Cotangent {
                x: unit,
                equality_dual: None,
                inequality_dual: None,
                quadratic_dual: None,
            };
            let gradients = derivative.adjoint(&cotangent, &wanted)?;
            for (map, gradient) in all.iter().zip(in_order(&gradients)) {
                if let Some(gradient) = gradient {
                    map.pullback(gradient, theta);
                }
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
                Ok(derivative.tangent(&tangents)?.x)
            });
        }
        let wanted = maps.touched(&self.flags());
        self.backward(|unit, theta| {
            let cotangent = ConeCotangent {
                x: unit,
                z: None,
                s: None,
            };
            let found = derivative.adjoint(&cotangent, &wanted)?;
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
    /// `[columns, numbers of the parameter]` of sample `i`; `None` where it has no derivative.
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
