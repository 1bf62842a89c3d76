//! The point of the central path with a given complementarity, found from the solution.
//!
//! On the path every bound has a slack `s > 0` and a multiplier `λ > 0` with `s·λ = μ`; equalities
//! and rows of equal bounds hold. It exists, is unique in `x` for a strictly convex objective and
//! smooth in the data, wherever some point satisfies every inequality with room to spare (Nocedal
//! & Wright, *Numerical Optimization*, §14.1, §19.6).

use crate::adjoint::direction::lagrangian_hessian;
use crate::adjoint::force::is_between;
use crate::dense::{dot, max_abs};
use crate::kkt::Solved;
use crate::nullspace::RANK_TOLERANCE;
use crate::problem::Sample;
use crate::residual::{Point, Terms};
use crate::soft::SoftSystem;

/// Newton steps before giving up; five are usual, and twelve the most that random problems needed.
const STEPS: usize = 100;

/// Halvings of a step before it counts as none.
const HALVINGS: usize = 40;

/// Share of the way to the boundary that a step may go.
const TO_BOUNDARY: f64 = 0.99;

/// What every residual must reach, relative. Newton ends orders below.
const ACCEPT: f64 = 1e-9;

/// Which bound a slack belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Upper(usize),
    Lower(usize),
    Quadratic(usize),
}

/// One bound of a central point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) place: Place,
    pub(crate) slack: f64,
    pub(crate) dual: f64,
}

/// A point of the central path.
#[derive(Clone, Debug)]
pub(crate) struct Central {
    pub(crate) x: Vec<f64>,
    pub(crate) nu: Vec<f64>,
    /// Net multipliers of all linear rows, `[m]`.
    pub(crate) lambda: Vec<f64>,
    /// Multipliers of quadratic rows, `[k]`.
    pub(crate) mu: Vec<f64>,
    /// Rows of equal bounds.
    pub(crate) fixed: Vec<usize>,
    pub(crate) bounds: Vec<Bound>,
    fixed_dual: Vec<f64>,
}

/// What the conditions miss by at a point.
struct Defect {
    terms: Terms,
    equality: Vec<f64>,
    fixed: Vec<f64>,
    /// `c_j + s_j`
    primal: Vec<f64>,
    /// The norm that steps have to lower.
    merit: f64,
}

impl Central {
    pub(crate) fn point(&self) -> Point<'_> {
        Point {
            x: &self.x,
            nu: &self.nu,
            lambda: &self.lambda,
            mu: &self.mu,
        }
    }

    /// Finds the point with complementarity `target` of a sample whose rows all have one
    /// compliance, from its solution. `None` where Newton does not arrive, as when the constraints
    /// have no interior.
    pub(crate) fn find(
        sample: &Sample<'_>,
        start: Point<'_>,
        target: f64,
        compliance: f64,
    ) -> Option<Central> {
        let mut at = Central::start(sample, start, target, compliance);
        let mut defect = at.defect(sample, target, compliance);
        for _ in 0..STEPS {
            let next = at.step(sample, &defect, target, compliance)?;
            let mut length = at.longest(&next);
            let mut moved = None;
            // Near the end only rounding keeps a full step from helping.
            let settled = at.accepted(sample, &defect, target);
            for _ in 0..if settled { 1 } else { HALVINGS } {
                let trial = at.along(&next, length);
                let after = trial.defect(sample, target, compliance);
                if after.merit < (1.0 - 1e-4 * length) * defect.merit {
                    moved = Some((trial, after));
                    break;
                }
                length *= 0.5;
            }
            match moved {
                Some((trial, after)) => (at, defect) = (trial, after),
                // Rounding: as good as it gets.
                None => break,
            }
        }
        at.accepted(sample, &defect, target).then_some(at)
    }

    /// Slacks and multipliers with the wanted product, of which the larger comes from the solution.
    fn start(sample: &Sample<'_>, start: Point<'_>, target: f64, compliance: f64) -> Central {
        let mut terms = Terms::default();
        terms.evaluate(sample, start);
        let n = sample.n;
        let mut bounds = Vec::new();
        let mut include = |place, slack: f64, dual: f64| {
            let (slack, dual) = if slack >= dual {
                let slack = slack.max(target.sqrt());
                (slack, target / slack)
            } else {
                let dual = dual.max(target.sqrt());
                (target / dual, dual)
            };
            bounds.push(Bound { place, slack, dual });
        };
        let mut fixed = Vec::new();
        for i in 0..sample.l.len() {
            let (l, u, lambda) = (sample.l[i], sample.u[i], start.lambda[i]);
            if l == u {
                fixed.push(i);
                continue;
            }
            if sample.g[i * n..(i + 1) * n].iter().all(|v| *v == 0.0) {
                continue;
            }
            let (mut above, mut below) = (lambda.max(0.0), (-lambda).max(0.0));
            if is_between(sample, i, start.x) {
                above = (terms.gx[i] - u) / compliance;
                below = (l - terms.gx[i]) / compliance;
            }
            if u.is_finite() {
                let slack = u - terms.gx[i] + compliance * above;
                include(Place::Upper(i), slack, above);
            }
            if l.is_finite() {
                let slack = terms.gx[i] + compliance * below - l;
                include(Place::Lower(i), slack, below);
            }
        }
        for i in 0..sample.c.len() {
            let (c, mu) = (sample.c[i], start.mu[i]);
            let constant = max_abs(&terms.jacobian[i * n..(i + 1) * n]) == 0.0
                && sample.h.row(i, n).max_abs() == 0.0;
            if c.is_finite() && !constant {
                include(
                    Place::Quadratic(i),
                    c - terms.quadratic[i] + compliance * mu,
                    mu,
                );
            }
        }
        let mut at = Central {
            x: start.x.to_vec(),
            nu: start.nu.to_vec(),
            lambda: vec![0.0; sample.l.len()],
            mu: vec![0.0; sample.c.len()],
            fixed_dual: fixed.iter().map(|&row| start.lambda[row]).collect(),
            fixed,
            bounds,
        };
        at.spread();
        at
    }

    /// Net multipliers from those of the bounds.
    fn spread(&mut self) {
        self.lambda.fill(0.0);
        for (&row, dual) in self.fixed.iter().zip(&self.fixed_dual) {
            self.lambda[row] = *dual;
        }
        for bound in &self.bounds {
            match bound.place {
                Place::Upper(row) => self.lambda[row] += bound.dual,
                Place::Lower(row) => self.lambda[row] -= bound.dual,
                Place::Quadratic(row) => self.mu[row] = bound.dual,
            }
        }
    }

    fn defect(&self, sample: &Sample<'_>, target: f64, compliance: f64) -> Defect {
        let mut terms = Terms::default();
        terms.evaluate(sample, self.point());
        let rows = terms.ax.iter().zip(sample.b).zip(&self.nu);
        let equality: Vec<f64> = rows.map(|((ax, b), nu)| ax - compliance * nu - b).collect();
        let fixed: Vec<f64> = self
            .fixed
            .iter()
            .zip(&self.fixed_dual)
            .map(|(&row, dual)| terms.gx[row] - compliance * dual - sample.u[row])
            .collect();
        let primal: Vec<f64> = self
            .bounds
            .iter()
            .map(|bound| {
                let value = match bound.place {
                    Place::Upper(row) => terms.gx[row] - sample.u[row],
                    Place::Lower(row) => sample.l[row] - terms.gx[row],
                    Place::Quadratic(row) => terms.quadratic[row] - sample.c[row],
                };
                value - compliance * bound.dual + bound.slack
            })
            .collect();
        let products: f64 = self
            .bounds
            .iter()
            .map(|bound| (bound.slack * bound.dual - target).powi(2) / target)
            .sum();
        let squares: f64 = [&terms.stationarity, &equality, &fixed, &primal]
            .iter()
            .map(|part| dot(part, part))
            .sum();
        Defect {
            terms,
            equality,
            fixed,
            primal,
            merit: (squares + products).sqrt(),
        }
    }

    /// The rows of the Newton system with their compliances: equalities, rows of equal bounds,
    /// bounds. Signs are those of the rows, so a lower bound's multiplier enters negative.
    pub(crate) fn rows(
        &self,
        sample: &Sample<'_>,
        jacobian: &[f64],
        compliance: f64,
    ) -> (Vec<f64>, Vec<f64>) {
        let n = sample.n;
        let mut rows = sample.a.to_vec();
        let mut softness = vec![compliance; sample.b.len() + self.fixed.len()];
        for &row in &self.fixed {
            rows.extend_from_slice(&sample.g[row * n..(row + 1) * n]);
        }
        for bound in &self.bounds {
            rows.extend_from_slice(match bound.place {
                Place::Upper(row) | Place::Lower(row) => &sample.g[row * n..(row + 1) * n],
                Place::Quadratic(row) => &jacobian[row * n..(row + 1) * n],
            });
            softness.push(compliance + bound.slack / bound.dual);
        }
        (rows, softness)
    }

    /// The Newton direction.
    fn step(
        &self,
        sample: &Sample<'_>,
        defect: &Defect,
        target: f64,
        compliance: f64,
    ) -> Option<Central> {
        let hessian = lagrangian_hessian(sample, &self.mu, Vec::new());
        let (rows, softness) = self.rows(sample, &defect.terms.jacobian, compliance);
        let system = SoftSystem::new(sample.n, hessian, rows, &softness);
        let kkt = system.factor(RANK_TOLERANCE, Default::default())?;
        let r: Vec<f64> = defect.terms.stationarity.iter().map(|v| -v).collect();
        let mut s: Vec<f64> = defect
            .equality
            .iter()
            .chain(&defect.fixed)
            .map(|v| -v)
            .collect();
        for (bound, primal) in self.bounds.iter().zip(&defect.primal) {
            let push = primal + (target - bound.slack * bound.dual) / bound.dual;
            s.push(-bound.sign() * push);
        }
        let mut solved = Solved::default();
        system.solve(&kkt, &r, &s, &mut solved);
        let Solved { x, eta, .. } = solved;
        let p = sample.b.len();
        let bounds = self
            .bounds
            .iter()
            .zip(&eta[p + self.fixed.len()..])
            .map(|(bound, eta)| {
                let dual = bound.sign() * eta;
                let slack = (target - bound.slack * (bound.dual + dual)) / bound.dual;
                Bound {
                    dual,
                    slack,
                    ..*bound
                }
            })
            .collect();
        let finite = max_abs(&x).is_finite() && max_abs(&eta).is_finite();
        finite.then(|| Central {
            x,
            nu: eta[..p].to_vec(),
            lambda: Vec::new(),
            mu: Vec::new(),
            fixed: Vec::new(),
            fixed_dual: eta[p..p + self.fixed.len()].to_vec(),
            bounds,
        })
    }

    /// Longest step, at most 1, that keeps slacks and multipliers positive.
    fn longest(&self, step: &Central) -> f64 {
        let mut length = 1.0f64;
        for (at, d) in self.bounds.iter().zip(&step.bounds) {
            for (value, change) in [(at.slack, d.slack), (at.dual, d.dual)] {
                if change < 0.0 {
                    length = length.min(-TO_BOUNDARY * value / change);
                }
            }
        }
        length
    }

    fn along(&self, step: &Central, length: f64) -> Central {
        let mut next = self.clone();
        for (target, d) in [
            (&mut next.x, &step.x),
            (&mut next.nu, &step.nu),
            (&mut next.fixed_dual, &step.fixed_dual),
        ] {
            crate::dense::axpy(length, d, target);
        }
        for (bound, d) in next.bounds.iter_mut().zip(&step.bounds) {
            bound.slack += length * d.slack;
            bound.dual += length * d.dual;
        }
        next.spread();
        next
    }

    fn accepted(&self, sample: &Sample<'_>, defect: &Defect, target: f64) -> bool {
        let force = 1.0 + max_abs(sample.q).max(max_abs(&defect.terms.px));
        let reach = 1.0 + max_abs(&self.x);
        let centred = |bound: &Bound| (bound.slack * bound.dual / target - 1.0).abs() <= 1e-6;
        let row =
            |miss: f64, norm: f64, bound: f64| miss.abs() <= ACCEPT * (norm * reach + bound.abs());
        let norm = |row: &[f64]| 1e-300 + dot(row, row).sqrt();
        let n = sample.n;
        max_abs(&defect.terms.stationarity) <= ACCEPT * force
            && self.bounds.iter().all(centred)
            && (0..sample.b.len()).all(|i| {
                row(
                    defect.equality[i],
                    norm(&sample.a[i * n..(i + 1) * n]),
                    sample.b[i],
                )
            })
            && self
                .fixed
                .iter()
                .zip(&defect.fixed)
                .all(|(&i, miss)| row(*miss, norm(&sample.g[i * n..(i + 1) * n]), sample.u[i]))
            && self.bounds.iter().zip(&defect.primal).all(|(bound, miss)| {
                let (line, value) = match bound.place {
                    Place::Upper(i) => (&sample.g[i * n..(i + 1) * n], sample.u[i]),
                    Place::Lower(i) => (&sample.g[i * n..(i + 1) * n], sample.l[i]),
                    Place::Quadratic(i) => {
                        (&defect.terms.jacobian[i * n..(i + 1) * n], sample.c[i])
                    }
                };
                // Bounds without room between them have slacks only as large as they are missed by.
                row(*miss, norm(line), value) && miss.abs() < 0.5 * bound.slack
            })
    }
}

impl Bound {
    /// `−1` for lower bounds.
    fn sign(&self) -> f64 {
        match self.place {
            Place::Lower(_) => -1.0,
            Place::Upper(_) | Place::Quadratic(_) => 1.0,
        }
    }
}
