//! The parts of a solver's answer, how they move, and what a loss says of them.

use feasible_solver::{ConeCotangent, ConeVelocity, Cotangent, GradientReport, SolutionTangent};

use crate::canon::Block;

/// One kind of numbers in a solver's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The columns' values.
    Columns,
    /// Multipliers of one kind of rows.
    Multipliers(Block),
    /// Lower minus upper bounds of the two-sided rows. They are the problem's numbers and not its
    /// answer's, but what crossed bounds push that both give way depends on them.
    Gap,
}

/// `factor` times a number of the answer: one term of a number that the user asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) part: Part,
    pub(crate) index: usize,
    pub(crate) factor: f64,
}

impl Piece {
    /// The column itself.
    pub(crate) fn column(column: u32) -> Piece {
        Piece {
            part: Part::Columns,
            index: column as usize,
            factor: 1.0,
        }
    }

    /// What it is of a batch of one.
    pub(super) fn of(&self, moves: &SolverTangent) -> f64 {
        self.factor * moves.numbers(self.part)[self.index]
    }
}

/// Derivatives of all parts of the answer, in the layouts of [`super::Solved`].
#[derive(Debug)]
pub(crate) struct SolverTangent {
    pub(crate) x: Vec<f64>,
    equality: Vec<f64>,
    inequality: Vec<f64>,
    quadratic: Vec<f64>,
    cone: Vec<f64>,
    /// Empty for cones.
    pub(super) gap: Vec<f64>,
    pub(crate) reports: Vec<GradientReport>,
}

impl SolverTangent {
    pub(super) fn dense(found: SolutionTangent) -> SolverTangent {
        SolverTangent {
            x: found.x,
            equality: found.equality_dual,
            inequality: found.inequality_dual,
            quadratic: found.quadratic_dual,
            cone: vec![],
            gap: vec![],
            reports: found.reports,
        }
    }

    pub(super) fn cones(found: ConeVelocity) -> SolverTangent {
        SolverTangent {
            x: found.x,
            equality: vec![],
            inequality: vec![],
            quadratic: vec![],
            cone: found.z,
            gap: vec![],
            reports: found.reports,
        }
    }

    /// All samples' numbers of one part.
    pub(crate) fn numbers(&self, part: Part) -> &[f64] {
        match part {
            Part::Columns => &self.x,
            Part::Multipliers(Block::Equality) => &self.equality,
            Part::Multipliers(Block::Upper | Block::Lower) => &self.inequality,
            Part::Multipliers(Block::Quadratic) => &self.quadratic,
            Part::Multipliers(Block::Cone) => &self.cone,
            Part::Gap => &self.gap,
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
            (&mut self.gap, &one.gap),
        ];
        for (all, one) in parts {
            let len = all.len() / batch;
            all[i * len..(i + 1) * len].copy_from_slice(&one[..len]);
        }
        self.reports[i] = one.reports[0];
    }
}

/// Cotangents of a solver's answer; parts that are not there are zero.
#[derive(Debug, Default)]
pub(crate) struct SolverCotangent {
    pub(crate) x: Vec<f64>,
    pub(crate) equality: Option<Vec<f64>>,
    pub(crate) inequality: Option<Vec<f64>>,
    pub(crate) quadratic: Option<Vec<f64>>,
    pub(crate) cone: Option<Vec<f64>>,
    pub(crate) gap: Option<Vec<f64>>,
}

impl SolverCotangent {
    /// All samples' numbers of one part, of which there are `len`.
    pub(crate) fn numbers(&mut self, part: Part, len: usize) -> &mut Vec<f64> {
        let part = match part {
            Part::Columns => return &mut self.x,
            Part::Multipliers(Block::Equality) => &mut self.equality,
            Part::Multipliers(Block::Upper | Block::Lower) => &mut self.inequality,
            Part::Multipliers(Block::Quadratic) => &mut self.quadratic,
            Part::Multipliers(Block::Cone) => &mut self.cone,
            Part::Gap => &mut self.gap,
        };
        part.get_or_insert_with(|| vec![0.0; len])
    }

    /// As the dense solver takes it.
    pub(super) fn dense(&self) -> Cotangent<'_> {
        Cotangent {
            x: &self.x,
            equality_dual: self.equality.as_deref(),
            inequality_dual: self.inequality.as_deref(),
            quadratic_dual: self.quadratic.as_deref(),
        }
    }

    /// As the cone solver takes it.
    pub(super) fn cones(&self) -> ConeCotangent<'_> {
        ConeCotangent {
            x: &self.x,
            z: self.cone.as_deref(),
            s: None,
        }
    }

    /// Forgets one sample's.
    pub(crate) fn clear(&mut self, i: usize, batch: usize) {
        let others = [
            &mut self.equality,
            &mut self.inequality,
            &mut self.quadratic,
            &mut self.cone,
            &mut self.gap,
        ];
        let all = others.into_iter().flatten().chain([&mut self.x]);
        for values in all {
            let len = values.len() / batch;
            values[i * len..(i + 1) * len].fill(0.0);
        }
    }
}
