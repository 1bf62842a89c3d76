//! What [`crate::solve`] returns.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::active_set::explicit::Explicit;
use crate::active_set::least_distance::{Kept, Layout};
use crate::bounds::Bounds;
use crate::conflict::{Certificate, Conflict, Farkas};
use crate::cut::Cut;
use crate::problem::Problem;
use crate::residual::Point;
use crate::status::{Residuals, Status};

/// Solutions of a batch, with what the adjoint reuses: factors of matrices that are each sample's own are up to
/// 256 MiB of it.
///
/// Samples whose status is neither [`Status::Solved`] nor [`Status::Relaxed`] hold the last finite
/// iterate.
#[derive(Clone, Debug)]
pub struct Solution {
    /// Minimisers, `[batch, n]`.
    pub x: Vec<f64>,
    /// `ν`, `[batch, p]`. Zero on equality rows dropped as redundant.
    pub equality_dual: Vec<f64>,
    /// `λ_u − λ_l`, `[batch, m]`: positive where the upper bound holds the point, negative where
    /// the lower bound does.
    pub inequality_dual: Vec<f64>,
    /// `μ ≥ 0`, `[batch, k]`.
    pub quadratic_dual: Vec<f64>,
    /// `½xᵀPx + qᵀx`, `[batch]`.
    pub objective: Vec<f64>,
    /// Outcome of each sample.
    pub status: Vec<Status>,
    /// Pivots (active set) plus Newton steps (interior point, polish) of each sample.
    pub iterations: Vec<usize>,
    /// Residuals of each sample on the original data; of a [`Status::Relaxed`] sample `gap` is that of
    /// the elastic problem, whose bounds are shifted.
    pub residuals: Vec<Residuals>,
    /// Factors of the active-set method.
    pub(crate) factors: Factors,
    /// Strict-complementarity margin of each sample.
    pub(crate) margin: Vec<f64>,
    /// Active rows of each sample.
    pub(crate) active: Vec<ActiveRows>,
    /// Why samples have no solution, by sample.
    pub(crate) certificates: BTreeMap<usize, Certificate>,
    /// How far a row of a relaxed sample gives way to a unit multiplier.
    pub(crate) compliance: f64,
    /// The bounds that were solved for, where some of the problem's cross by rounding alone.
    pub(crate) bounds: Option<Arc<Bounds>>,
}

/// How far the bounds of a [`Status::Relaxed`] sample had to give way: its `x` satisfies
/// `Ax = b + equality`, `l + min(inequality, 0) ≤ Gx ≤ u + max(inequality, 0)` and
/// `xᵀH_ix + g_iᵀx ≤ c + quadratic`. Where both of two bounds that cross give way, `inequality` is how
/// much farther the upper one does: they meet at `Gx = ½(l + u + inequality)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Shift {
    /// `[p]`
    pub equality: Vec<f64>,
    /// `[m]`: above 0 the upper bound rises, below 0 the lower bound falls.
    pub inequality: Vec<f64>,
    /// `[k]`
    pub quadratic: Vec<f64>,
}

impl Solution {
    /// Number of samples.
    pub fn batch(&self) -> usize {
        self.status.len()
    }

    /// The multipliers that prove a sample [`Status::PrimalInfeasible`], or that it was before it
    /// became [`Status::Relaxed`]. `None` for every other sample, and where the contradiction is too slight for multipliers that can be checked.
    pub fn farkas(&self, sample: usize) -> Option<&Farkas> {
        match self.certificates.get(&sample) {
            Some(Certificate::Infeasible(farkas)) => Some(farkas),
            _ => None,
        }
    }

    /// The rows that make a sample infeasible, the weightiest first; `None` where
    /// [`Solution::farkas`] is.
    pub fn conflict(&self, sample: usize) -> Option<Conflict> {
        self.farkas(sample).map(|farkas| farkas.conflict.clone())
    }

    /// The direction, of unit largest entry, along which the objective of a
    /// [`Status::DualInfeasible`] sample falls forever, `[n]`: `Pv = 0`, `Av = 0`, `H_iv = 0`,
    /// `g_iᵀv ≤ 0`, no finite bound of `Gv` approached, `qᵀv < 0`. `None` for every other sample.
    pub fn ray(&self, sample: usize) -> Option<&[f64]> {
        match self.certificates.get(&sample) {
            Some(Certificate::Unbounded(ray)) => Some(ray),
            _ => None,
        }
    }

    /// How far a [`Status::Relaxed`] sample's bounds gave way; `None` for every other sample.
    pub fn shift(&self, sample: usize) -> Option<Shift> {
        if *self.status.get(sample)? != Status::Relaxed {
            return None;
        }
        let batch = self.batch();
        let cut = |duals: &[f64]| {
            let len = duals.len() / batch;
            let own = &duals[sample * len..(sample + 1) * len];
            own.iter().map(|v| self.compliance * v).collect()
        };
        Some(Shift {
            equality: cut(&self.equality_dual),
            inequality: cut(&self.inequality_dual),
            quadratic: cut(&self.quadratic_dual),
        })
    }

    /// The problem as it was solved: a derivative about other bounds than those that hold the point
    /// would not know its rows of equal ones.
    pub(crate) fn solved_problem<'a>(&'a self, problem: &Problem<'a>) -> Problem<'a> {
        match &self.bounds {
            Some(bounds) => bounds.problem(problem),
            None => *problem,
        }
    }

    /// How far a unit multiplier moves a row of this sample.
    pub(crate) fn compliance(&self, sample: usize) -> f64 {
        if self.status[sample] == Status::Relaxed {
            self.compliance
        } else {
            0.0
        }
    }

    /// The rows of `G` that hold a solved sample, each with the sign of its multiplier.
    pub(crate) fn working_set(&self, sample: usize) -> impl Iterator<Item = (usize, f64)> {
        let m = self.inequality_dual.len() / self.batch();
        let rows: &[u32] = match self.status[sample] {
            Status::Solved => &self.active[sample].linear,
            _ => &[],
        };
        rows.iter().map(move |&row| {
            let lambda = self.inequality_dual[sample * m + row as usize];
            (row as usize, if lambda < 0.0 { -1.0 } else { 1.0 })
        })
    }

    /// One sample's primal-dual point.
    pub(crate) fn point(&self, problem: &Problem<'_>, i: usize) -> Point<'_> {
        let cut = |data, len: usize| -> &[f64] {
            let data: &[f64] = data;
            &data[i * len..(i + 1) * len]
        };
        Point {
            x: cut(&self.x, problem.n),
            nu: cut(&self.equality_dual, problem.equality_rows()),
            lambda: cut(&self.inequality_dual, problem.inequality_rows()),
            mu: cut(&self.quadratic_dual, problem.quadratic_rows()),
        }
    }

    /// Whether every sample was solved.
    pub fn all_solved(&self) -> bool {
        self.status.iter().all(|status| status.is_solved())
    }
}

/// What the active-set method factored.
#[derive(Clone, Debug, Default)]
pub(crate) enum Factors {
    /// Nothing.
    #[default]
    None,
    /// The matrices that the batch shares.
    Shared(Arc<Explicit>),
    /// Every sample's own, of matrices of that layout.
    PerSample(Layout, Arc<Vec<Own>>),
}

impl Factors {
    /// Whether derivatives find the factors made, those of a batch's first samples at least.
    pub(crate) fn are_kept(&self) -> bool {
        match self {
            Factors::None => false,
            Factors::Shared(_) => true,
            Factors::PerSample(_, own) => own.iter().any(Own::is_kept),
        }
    }
}

/// The factors of a sample with matrices of its own.
#[derive(Clone, Debug)]
pub(crate) enum Own {
    /// There are none that a derivative can use.
    None,
    /// Kept for the adjoint.
    LeastDistance(Kept),
    /// Those of the safer construction.
    Explicit(Box<Explicit>),
    /// To be made again where they are wanted.
    Again,
}

impl Own {
    fn is_kept(&self) -> bool {
        matches!(self, Own::LeastDistance(_) | Own::Explicit(_))
    }
}

/// The rows that hold a sample's solution.
#[derive(Clone, Debug, Default)]
pub(crate) struct ActiveRows {
    /// Inequality rows, by position in `root`.
    pub(crate) linear: Cut<u32>,
    /// Quadratic rows, ascending.
    pub(crate) quadratic: Vec<u32>,
    /// Rows of equal bounds that the others imply: satisfied, but with multipliers of their own only
    /// by a choice.
    pub(crate) dependent: Vec<u32>,
    /// A square root of the inverse of the scaled `K` on `linear`, see [`crate::active_set::basis`];
    /// empty when the sample was not solved by pivots.
    pub(crate) root: Cut<f64>,
    /// Whether the equations of these rows were solved to rounding and every other row and sign
    /// agreed; otherwise the rows are a guess from a converged iterate.
    pub(crate) identified: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AdjointSettings, Cotangent, Equalities, GradientQuality, Inequalities, Problem, Settings,
        Symmetric, Values, Wanted, adjoint, solve,
    };

    #[test]
    fn gradients_are_the_same_whether_factors_were_kept_or_made_again() {
        let (batch, n, p, m) = (3, 4, 1, 2);
        let numbers = |count: usize, shift: f64| -> Vec<f64> {
            let number = |i: usize| ((i * i) as f64 * 0.37 + shift).sin();
            (0..batch * count).map(number).collect()
        };
        let diagonal = vec![1.5; batch * n];
        let (q, a, b) = (numbers(n, 0.0), numbers(p * n, 1.0), numbers(p, 2.0));
        let (g, l) = (numbers(m * n, 3.0), vec![-0.1; batch * m]);
        let u = vec![0.1; batch * m];
        let problem = Problem {
            batch,
            n,
            p: Symmetric::Diagonal(Values::PerSample(&diagonal)),
            q: Values::PerSample(&q),
            equalities: Some(Equalities {
                rows: p,
                a: Values::PerSample(&a),
                b: Values::PerSample(&b),
            }),
            inequalities: Some(Inequalities {
                rows: m,
                g: Values::PerSample(&g),
                l: Values::PerSample(&l),
                u: Values::PerSample(&u),
            }),
            quadratics: None,
        };
        let mut solution = solve(&problem, &Settings::default()).unwrap();
        assert!(solution.active.iter().any(|rows| !rows.linear.is_empty()));
        let ones = vec![1.0; batch * n];
        let gradients = |solution: &Solution| {
            let cotangent = Cotangent::of_x(&ones);
            let settings = AdjointSettings::default();
            adjoint(&problem, solution, &cotangent, &Wanted::ALL, &settings).unwrap()
        };
        let Factors::PerSample(layout, own) = &solution.factors else {
            panic!("matrices are each sample's own")
        };
        assert!(own.iter().all(Own::is_kept));
        let layout = *layout;
        let kept = gradients(&solution);
        solution.factors = Factors::PerSample(layout, Arc::new(vec![Own::Again; batch]));
        let again = gradients(&solution);
        assert_eq!(
            [kept.p, kept.q, kept.a, kept.b, kept.g, kept.l, kept.u],
            [
                again.p, again.q, again.a, again.b, again.g, again.l, again.u
            ]
        );
        assert_eq!(kept.reports, again.reports);
    }

    /// Rows that were not confirmed are a guess, also where there are none.
    #[test]
    fn gradients_of_unconfirmed_rows_are_not_exact() {
        for p in [
            Symmetric::Diagonal(Values::Shared(&[1.0])),
            Symmetric::Diagonal(Values::PerSample(&[1.0])),
        ] {
            let problem = Problem {
                batch: 1,
                n: 1,
                p,
                q: Values::PerSample(&[1.0]),
                equalities: None,
                inequalities: None,
                quadratics: None,
            };
            let mut solution = solve(&problem, &Settings::default()).unwrap();
            for (identified, quality) in [
                (true, GradientQuality::Exact),
                (false, GradientQuality::Degenerate),
            ] {
                solution.active[0].identified = identified;
                let cotangent = Cotangent::of_x(&[1.0]);
                let settings = AdjointSettings::default();
                let found =
                    adjoint(&problem, &solution, &cotangent, &Wanted::ALL, &settings).unwrap();
                assert_eq!(found.reports[0].quality, quality);
            }
        }
    }
}
