//! A solver's data at one batch of parameters: solved, and differentiated.

mod cones;
mod conflict;
mod dense;
mod jacobian;
mod parts;
pub(crate) mod pinned;
mod tangent;

use feasible_solver::{
    AdjointSettings, ConeSolution, CrossedBounds, GradientReport, Residuals, Settings, Status,
    solve, solve_cones, solve_from,
};

use crate::canon::{Block, Program};
use crate::error::Error;
use crate::numbers::{Parameters, Pullback};
use crate::problem::SolveSettings;
use cones::ConeData;
use dense::DenseData;
pub(crate) use jacobian::JacobianBlock;
pub(crate) use parts::{Part, Piece, SolverCotangent, SolverTangent};

/// The numbers of every part.
#[derive(Debug)]
pub(crate) enum Data {
    Dense(Box<DenseData>),
    Cones(Box<ConeData>),
}

/// A solver's answer.
#[derive(Debug)]
pub(crate) enum Solved {
    Dense(Box<feasible_solver::Solution>),
    Cones(Box<ConeSolution>),
}

impl Data {
    pub(crate) fn new(program: &Program, parameters: &Parameters, n: usize) -> Data {
        match program {
            Program::Dense(maps) => Data::Dense(Box::new(DenseData::new(maps, parameters, n))),
            Program::Cones(maps) => Data::Cones(Box::new(ConeData::new(maps, parameters, n))),
        }
    }

    pub(crate) fn solve(
        &self,
        program: &Program,
        batch: usize,
        settings: &SolveSettings,
        previous: Option<&Solved>,
    ) -> Result<Solved, Error> {
        match (self, program) {
            (Data::Cones(data), Program::Cones(maps)) => {
                let solution = solve_cones(&data.problem(maps, batch), &settings.cones)?;
                Ok(Solved::Cones(Box::new(solution)))
            }
            (Data::Dense(data), _) => {
                // A row's two sides may be two constraints, which contradict each other like any.
                let settings = Settings {
                    crossed_bounds: CrossedBounds::Infeasible,
                    ..settings.dense
                };
                let problem = data.problem(batch);
                let solution = match previous {
                    Some(Solved::Dense(previous)) => solve_from(&problem, previous, &settings)?,
                    _ => solve(&problem, &settings)?,
                };
                Ok(Solved::Dense(Box::new(solution)))
            }
            _ => Err(Error::ForeignSolution),
        }
    }

    /// Gradients with respect to the data, brought back to the parameters.
    pub(crate) fn pullback(
        &self,
        program: &Program,
        solved: &Solved,
        cotangent: &SolverCotangent,
        wanted: &[bool],
        settings: &AdjointSettings,
        into: &mut Pullback<'_>,
    ) -> Result<Vec<GradientReport>, Error> {
        match (self, program, solved) {
            (Data::Dense(data), Program::Dense(maps), Solved::Dense(solution)) => {
                data.pullback(maps, solution, cotangent, wanted, settings, into)
            }
            (Data::Cones(data), Program::Cones(maps), Solved::Cones(solution)) => {
                data.pullback(maps, solution, cotangent, wanted, settings, into)
            }
            _ => Err(Error::ForeignSolution),
        }
    }
}

impl Data {
    /// The largest coefficient of each inequality of one kind in one sample.
    pub(crate) fn row_sizes(&self, program: &Program, block: Block, i: usize) -> Vec<f64> {
        match (self, program) {
            (Data::Cones(data), Program::Cones(maps)) if block == Block::Cone => {
                data.row_sizes(maps, i)
            }
            (Data::Dense(data), _) => data.row_sizes(block, i),
            _ => Vec::new(),
        }
    }
}

impl Solved {
    pub(crate) fn x(&self) -> &[f64] {
        match self {
            Solved::Dense(solution) => &solution.x,
            Solved::Cones(solution) => &solution.x,
        }
    }

    /// The objective that was minimised, without what no variable moves.
    pub(crate) fn objective(&self) -> &[f64] {
        match self {
            Solved::Dense(solution) => &solution.objective,
            Solved::Cones(solution) => &solution.objective,
        }
    }

    pub(crate) fn status(&self) -> &[Status] {
        match self {
            Solved::Dense(solution) => &solution.status,
            Solved::Cones(solution) => &solution.status,
        }
    }

    /// The direction along which an unbounded sample's objective falls forever, by columns.
    pub(crate) fn ray(&self, sample: usize) -> Option<&[f64]> {
        match self {
            Solved::Dense(solution) => solution.ray(sample),
            Solved::Cones(solution) => solution.ray(sample),
        }
    }

    pub(crate) fn iterations(&self) -> &[usize] {
        match self {
            Solved::Dense(solution) => &solution.iterations,
            Solved::Cones(solution) => &solution.iterations,
        }
    }

    pub(crate) fn residuals(&self) -> &[Residuals] {
        match self {
            Solved::Dense(solution) => &solution.residuals,
            Solved::Cones(solution) => &solution.residuals,
        }
    }

    /// All samples' numbers of one part.
    pub(crate) fn numbers(&self, part: Part) -> &[f64] {
        match part {
            Part::Columns => self.x(),
            Part::Multipliers(block) => self.multipliers(block),
            // Of the problem, not of its answer.
            Part::Gap => &[],
        }
    }

    /// All samples' multipliers of one kind.
    pub(crate) fn multipliers(&self, block: Block) -> &[f64] {
        match (self, block) {
            (Solved::Dense(solution), Block::Equality) => &solution.equality_dual,
            (Solved::Dense(solution), Block::Upper | Block::Lower) => &solution.inequality_dual,
            (Solved::Dense(solution), Block::Quadratic) => &solution.quadratic_dual,
            (Solved::Cones(solution), Block::Cone) => &solution.z,
            _ => &[],
        }
    }
}
