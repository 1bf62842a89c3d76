//! QPs and QCQPs at one batch of parameters.

use feasible_solver::{
    AdjointSettings, Cotangent, Equalities, GradientReport, Gradients, Inequalities, Problem,
    Quadratics, Solution, Symmetric, Wanted, adjoint,
};

use super::SolverCotangent;
use crate::canon::DenseProgram;
use crate::error::Error;
use crate::map::AffineMap;
use crate::numbers::{Numbers, Parameters, Pullback};

/// Bounds of one row that cross by rounding alone, relative: the two sides may come from different
/// sums of the same numbers.
const TOUCHING: f64 = 1e-13;

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
    /// Each sample's first row whose bounds contradict each other.
    crossed: Vec<Option<usize>>,
}

impl DenseData {
    pub(super) fn new(maps: &DenseProgram, parameters: &Parameters, n: usize) -> DenseData {
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
            crossed: vec![None; parameters.batch],
        };
        data.uncross(parameters.batch);
        data
    }

    /// A row whose bounds contradict each other.
    pub(super) fn crossed(&self, sample: usize) -> Option<usize> {
        self.crossed[sample]
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
                let of = if shared { 0..batch } else { i..i + 1 };
                for crossed in &mut self.crossed[of] {
                    crossed.get_or_insert(row - i * m);
                }
            }
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
        let cotangent = Cotangent {
            x: &cotangent.x,
            equality_dual: cotangent.equality.as_deref(),
            inequality_dual: cotangent.inequality.as_deref(),
            quadratic_dual: cotangent.quadratic.as_deref(),
        };
        let problem = self.problem(batch);
        let mut gradients = adjoint(&problem, solution, &cotangent, &wanted, settings)?;
        let numbers = [
            &self.p, &self.q, &self.a, &self.b, &self.g, &self.l, &self.u, &self.h, &self.hg,
            &self.hc,
        ];
        let parts = maps.all().into_iter().zip(numbers);
        for ((map, numbers), gradient) in parts.zip(in_order(&gradients)) {
            into.add(map, numbers.shared, gradient.as_ref());
        }
        for i in (0..batch).filter(|i| self.crossed[*i].is_some()) {
            gradients.reports[i] = GradientReport::UNAVAILABLE;
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
