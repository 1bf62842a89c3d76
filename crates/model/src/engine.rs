//! A solver's data at one batch of parameters: solved, and differentiated.

use feasible_solver::{
    AdjointSettings, ConeCotangent, ConeProblem, ConeSolution, ConeWanted, Cotangent, Equalities,
    GradientQuality, GradientReport, Inequalities, Problem, Quadratics, Residuals, Sparse, Status,
    Symmetric, Values, Wanted, adjoint, cone_adjoint, solve, solve_cones,
};

use crate::canon::{Block, ConeProgram, DenseProgram, Program, SparseMap};
use crate::error::Error;
use crate::numbers::{Numbers, Parameters, Pullback};
use crate::problem::SolveSettings;

/// Bounds of one row that cross by rounding alone, relative: the two sides may come from different
/// sums of the same numbers.
const TOUCHING: f64 = 1e-13;

/// The numbers of every part.
#[derive(Debug)]
pub(crate) enum Data {
    Dense(Box<DenseData>),
    Cones(Box<ConeData>),
}

#[derive(Debug)]
pub(crate) struct DenseData {
    n: usize,
    rows: [usize; 3],
    diagonal: [bool; 2],
    p: Numbers,
    q: Numbers,
    a: Numbers,
    b: Numbers,
    g: Numbers,
    l: Numbers,
    u: Numbers,
    h: Numbers,
    hg: Numbers,
    hc: Numbers,
    /// Samples with a row whose bounds contradict each other.
    crossed: Vec<bool>,
}

#[derive(Debug)]
pub(crate) struct ConeData {
    n: usize,
    p: Option<Numbers>,
    q: Numbers,
    a: Numbers,
    b: Numbers,
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
            Program::Cones(maps) => Data::Cones(Box::new(ConeData {
                n,
                p: maps.p.as_ref().map(|p| parameters.evaluate(&p.map)),
                q: parameters.evaluate(&maps.q),
                a: parameters.evaluate(&maps.a.map),
                b: parameters.evaluate(&maps.b),
            })),
        }
    }

    pub(crate) fn solve(
        &self,
        program: &Program,
        batch: usize,
        settings: &SolveSettings,
    ) -> Result<Solved, Error> {
        match (self, program) {
            (Data::Cones(data), Program::Cones(maps)) => {
                let solution = solve_cones(&data.problem(maps, batch), &settings.cones)?;
                Ok(Solved::Cones(Box::new(solution)))
            }
            (Data::Dense(data), _) => {
                let mut solution = solve(&data.problem(batch), &settings.dense)?;
                for i in (0..batch).filter(|i| data.crossed[*i]) {
                    solution.status[i] = Status::PrimalInfeasible;
                }
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

/// Cotangents of a solver's answer.
#[derive(Debug, Default)]
pub(crate) struct SolverCotangent {
    pub(crate) x: Vec<f64>,
    pub(crate) equality: Option<Vec<f64>>,
    pub(crate) inequality: Option<Vec<f64>>,
    pub(crate) quadratic: Option<Vec<f64>>,
    pub(crate) cone: Option<Vec<f64>>,
}

impl Solved {
    pub(crate) fn x(&self) -> &[f64] {
        match self {
            Solved::Dense(solution) => &solution.x,
            Solved::Cones(solution) => &solution.x,
        }
    }

    pub(crate) fn status(&self) -> &[Status] {
        match self {
            Solved::Dense(solution) => &solution.status,
            Solved::Cones(solution) => &solution.status,
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

impl DenseData {
    fn new(maps: &DenseProgram, parameters: &Parameters, n: usize) -> DenseData {
        let mut data = DenseData {
            n,
            rows: [
                maps.equality_rows,
                maps.inequality_rows,
                maps.quadratic_rows,
            ],
            diagonal: [maps.p_diagonal, maps.h_diagonal],
            p: parameters.evaluate(&maps.p),
            q: parameters.evaluate(&maps.q),
            a: parameters.evaluate(&maps.a),
            b: parameters.evaluate(&maps.b),
            g: parameters.evaluate(&maps.g),
            l: parameters.evaluate(&maps.l),
            u: parameters.evaluate(&maps.u),
            h: parameters.evaluate(&maps.h),
            hg: parameters.evaluate(&maps.hg),
            hc: parameters.evaluate(&maps.hc),
            crossed: vec![false; parameters.batch],
        };
        data.uncross(parameters.batch);
        data
    }

    /// The solver refuses a batch with crossed bounds; here they are one sample's infeasibility, so
    /// that sample gets bounds that do not bind.
    fn uncross(&mut self, batch: usize) {
        let m = self.rows[1];
        let shared = self.l.shared && self.u.shared;
        let any = (0..if shared { batch.min(1) } else { batch }).any(|i| {
            let l = self.l.values().sample(i, m);
            let u = self.u.values().sample(i, m);
            l.iter().zip(u).any(|(l, u)| l > u)
        });
        if !any {
            return;
        }
        for numbers in [&mut self.l, &mut self.u] {
            if numbers.shared && !shared {
                numbers.data = numbers.data.repeat(batch);
                numbers.shared = false;
            }
        }
        for i in 0..if shared { 1 } else { batch } {
            for row in i * m..(i + 1) * m {
                let (l, u) = (self.l.data[row], self.u.data[row]);
                if l <= u {
                    continue;
                }
                if l - u <= TOUCHING * (l.abs() + u.abs()) {
                    self.l.data[row] = u;
                    continue;
                }
                self.l.data[row] = f64::NEG_INFINITY;
                self.u.data[row] = f64::INFINITY;
                if shared {
                    self.crossed.fill(true);
                } else {
                    self.crossed[i] = true;
                }
            }
        }
    }

    fn problem(&self, batch: usize) -> Problem<'_> {
        let [equalities, inequalities, quadratics] = self.rows;
        let symmetric = |diagonal: bool, values| {
            if diagonal {
                Symmetric::Diagonal(values)
            } else {
                Symmetric::Dense(values)
            }
        };
        Problem {
            batch,
            n: self.n,
            p: symmetric(self.diagonal[0], self.p.values()),
            q: self.q.values(),
            equalities: (equalities > 0).then(|| Equalities {
                rows: equalities,
                a: self.a.values(),
                b: self.b.values(),
            }),
            inequalities: (inequalities > 0).then(|| Inequalities {
                rows: inequalities,
                g: self.g.values(),
                l: self.l.values(),
                u: self.u.values(),
            }),
            quadratics: (quadratics > 0).then(|| Quadratics {
                rows: quadratics,
                h: symmetric(self.diagonal[1], self.h.values()),
                g: self.hg.values(),
                c: self.hc.values(),
            }),
        }
    }

    fn pullback(
        &self,
        maps: &DenseProgram,
        solution: &feasible_solver::Solution,
        cotangent: &SolverCotangent,
        wanted: &[bool],
        settings: &AdjointSettings,
        into: &mut Pullback<'_>,
    ) -> Result<Vec<GradientReport>, Error> {
        let touched = |map: &crate::map::AffineMap| map.uses_any(wanted);
        let batch = solution.status.len();
        let wanted = Wanted {
            p: touched(&maps.p),
            q: touched(&maps.q),
            a: touched(&maps.a),
            b: touched(&maps.b),
            g: touched(&maps.g),
            l: touched(&maps.l),
            u: touched(&maps.u),
            quadratic_h: touched(&maps.h),
            quadratic_g: touched(&maps.hg),
            quadratic_c: touched(&maps.hc),
        };
        let cotangent = Cotangent {
            x: &cotangent.x,
            equality_dual: cotangent.equality.as_deref(),
            inequality_dual: cotangent.inequality.as_deref(),
            quadratic_dual: cotangent.quadratic.as_deref(),
        };
        let problem = self.problem(batch);
        let mut gradients = adjoint(&problem, solution, &cotangent, &wanted, settings)?;
        for (map, numbers, gradient) in [
            (&maps.p, &self.p, &gradients.p),
            (&maps.q, &self.q, &gradients.q),
            (&maps.a, &self.a, &gradients.a),
            (&maps.b, &self.b, &gradients.b),
            (&maps.g, &self.g, &gradients.g),
            (&maps.l, &self.l, &gradients.l),
            (&maps.u, &self.u, &gradients.u),
            (&maps.h, &self.h, &gradients.quadratic_h),
            (&maps.hg, &self.hg, &gradients.quadratic_g),
            (&maps.hc, &self.hc, &gradients.quadratic_c),
        ] {
            into.add(map, numbers.shared, gradient.as_ref());
        }
        for i in (0..batch).filter(|i| self.crossed[*i]) {
            gradients.reports[i] = GradientReport {
                quality: GradientQuality::Unavailable,
                residual: f64::INFINITY,
                margin: 0.0,
                condition: f64::INFINITY,
            };
        }
        Ok(gradients.reports)
    }
}

impl ConeData {
    fn problem<'a>(&'a self, maps: &'a ConeProgram, batch: usize) -> ConeProblem<'a> {
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

    fn pullback(
        &self,
        maps: &ConeProgram,
        solution: &ConeSolution,
        cotangent: &SolverCotangent,
        wanted: &[bool],
        settings: &AdjointSettings,
        into: &mut Pullback<'_>,
    ) -> Result<Vec<GradientReport>, Error> {
        let batch = solution.status.len();
        let wanted = ConeWanted {
            p: maps.p.as_ref().is_some_and(|p| p.map.uses_any(wanted)),
            q: maps.q.uses_any(wanted),
            a: maps.a.map.uses_any(wanted),
            b: maps.b.uses_any(wanted),
        };
        let cotangent = ConeCotangent {
            x: &cotangent.x,
            z: cotangent.cone.as_deref(),
            s: None,
        };
        let problem = self.problem(maps, batch);
        let gradients = cone_adjoint(&problem, solution, &cotangent, &wanted, settings)?;
        if let Some((map, numbers)) = maps.p.as_ref().zip(self.p.as_ref()) {
            into.add(&map.map, numbers.shared, gradients.p.as_ref());
        }
        into.add(&maps.q, self.q.shared, gradients.q.as_ref());
        into.add(&maps.a.map, self.a.shared, gradients.a.as_ref());
        into.add(&maps.b, self.b.shared, gradients.b.as_ref());
        Ok(gradients.reports)
    }
}
