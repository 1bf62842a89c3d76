//! QPs and QCQPs at one batch of parameters.

use feasible_solver::{
    AdjointSettings, Equalities, GradientReport, Gradients, Inequalities, Problem, Quadratics,
    Solution, Symmetric, Wanted, adjoint, bounds_touch,
};

use super::SolverCotangent;
use crate::canon::{Block, DenseProgram};
use crate::error::Error;
use crate::map::AffineMap;
use crate::numbers::{Numbers, Parameters, Pullback};

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
}

impl DenseData {
    pub(super) fn new(maps: &DenseProgram, parameters: &Parameters, n: usize) -> DenseData {
        DenseData {
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
        }
    }

    /// Lower minus upper bound of a two-sided row; 0 where they cross by rounding alone, and the solver
    /// takes them for equal.
    pub(crate) fn gap(&self, sample: usize, row: usize, rounding: f64) -> f64 {
        let m = self.rows[1];
        let side = |numbers: &Numbers| numbers.values().sample(sample, m)[row];
        let (l, u) = (side(&self.l), side(&self.u));
        if bounds_touch(l, u, rounding) {
            0.0
        } else {
            l - u
        }
    }

    /// The largest coefficient of each inequality of one kind in one sample.
    pub(super) fn row_sizes(&self, block: Block, i: usize) -> Vec<f64> {
        let [_, inequalities, quadratics] = self.rows;
        let largest = |numbers: &Numbers, rows: usize, len: usize| -> Vec<f64> {
            let own = numbers.values().sample(i, rows * len);
            let of = |row: &[f64]| row.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            own.chunks_exact(len.max(1)).map(of).collect()
        };
        match block {
            Block::Upper | Block::Lower => largest(&self.g, inequalities, self.n),
            Block::Quadratic => {
                let len = if self.diagonal[1] {
                    self.n
                } else {
                    self.n * self.n
                };
                let square = largest(&self.h, quadratics, len).into_iter();
                let linear = largest(&self.hg, quadratics, self.n);
                square.zip(linear).map(|(a, b)| a.max(b)).collect()
            }
            Block::Equality | Block::Cone => Vec::new(),
        }
    }

    pub(super) fn problem(&self, batch: usize) -> Problem<'_> {
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

    pub(super) fn pullback(
        &self,
        maps: &DenseProgram,
        solution: &Solution,
        cotangent: &SolverCotangent,
        wanted: &[bool],
        settings: &AdjointSettings,
        into: &mut Pullback<'_>,
    ) -> Result<Vec<GradientReport>, Error> {
        let batch = solution.status.len();
        let wanted = maps.touched(wanted);
        let problem = self.problem(batch);
        let gradients = adjoint(&problem, solution, &cotangent.dense(), &wanted, settings)?;
        let numbers = [
            &self.p, &self.q, &self.a, &self.b, &self.g, &self.l, &self.u, &self.h, &self.hg,
            &self.hc,
        ];
        let parts = maps.all().into_iter().zip(numbers);
        for ((map, numbers), gradient) in parts.zip(in_order(&gradients)) {
            into.add(map, numbers.shared, gradient.as_ref());
        }
        if let Some(gap) = &cotangent.gap {
            for (map, numbers, sign) in [(&maps.l, &self.l, 1.0), (&maps.u, &self.u, -1.0)] {
                let mut gradient = vec![0.0; numbers.data.len()];
                for (at, v) in gap.iter().enumerate() {
                    let at = if numbers.shared {
                        at % self.rows[1]
                    } else {
                        at
                    };
                    gradient[at] += sign * v;
                }
                into.add(map, numbers.shared, Some(&gradient));
            }
        }
        Ok(gradients.reports)
    }
}

impl DenseProgram {
    /// The maps in the order of [`feasible_solver::Parameter`].
    pub(super) fn all(&self) -> [&AffineMap; 10] {
        [
            &self.p, &self.q, &self.a, &self.b, &self.g, &self.l, &self.u, &self.h, &self.hg,
            &self.hc,
        ]
    }

    /// The parts that some parameters reach.
    pub(super) fn touched(&self, by: &[bool]) -> Wanted {
        let [p, q, a, b, g, l, u, quadratic_h, quadratic_g, quadratic_c] =
            self.all().map(|map| map.uses_any(by));
        Wanted {
            p,
            q,
            a,
            b,
            g,
            l,
            u,
            quadratic_h,
            quadratic_g,
            quadratic_c,
        }
    }
}

/// Gradients in the order of [`DenseProgram::all`].
pub(super) fn in_order(gradients: &Gradients) -> [&Option<Vec<f64>>; 10] {
    [
        &gradients.p,
        &gradients.q,
        &gradients.a,
        &gradients.b,
        &gradients.g,
        &gradients.l,
        &gradients.u,
        &gradients.quadratic_h,
        &gradients.quadratic_g,
        &gradients.quadratic_c,
    ]
}
