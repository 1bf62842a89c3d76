//! The implicit gradient of a repair: the derivative of where its steps lead, with the last step's
//! matrix held constant.
//!
//! A step is Δ = Dᵀr, D = (JJᵀ + λI)⁻¹J, of which only the rows outside their box, A, have an r. Were
//! g affine, and A always the same, the steps from ŷ would end at the point of ŷ + range(D_Aᵀ) that
//! holds g_A = b_A, whatever λ:
//!
//! ```text
//! y* = ŷ − G (g_A(ŷ) − b_A),      G = D_Aᵀ K_AA⁻¹,      K = JDᵀ = I − λ(JJᵀ + λI)⁻¹
//! dy* = (I − G J_A) dŷ + G (db_A − ∂g_A dθ)
//! ```
//!
//! That is used, with J at y*, for every g. J_A dy* = db_A − ∂g_A dθ, so what the held rows say of the
//! output is exact for any g. What they leave open, the part along the set, comes from ŷ alone, and is
//! right to first order in the way ŷ − y*. G is J_A⁺ where J has no other rows than A, and where λ = 0
//! the columns of J⁺.
//!
//! How good that is shows by its own prediction: the point ŷ − G (g_A(ŷ) − g_A(y*)), relative to the
//! way. It is y* itself where the formula is exact, but not only there: rows may bend beside the way and
//! not on it, and a row that was left may end near its bound by chance. Both are reported
//! ([`super::LimitQuality`]). Rows that were outside the box on the way and end inside are not in A.
//!
//! K_AA is symmetric with eigenvalues in (0, 1], most of them near 1: conjugate gradients solve it with
//! the factor of the step.

use std::sync::Arc;

use rayon::prelude::*;

use super::cholesky::Scratch;
use super::factor::{Factor, Fixed, Form, load_moving};
use super::held::{Held, LimitQuality};
use super::rows::values;
use super::sample::{Context, Run, Workspace};
use super::step::{Coefficients, Factored};
use super::{DampedGradients, DampedProblem, DampedStatus, RowPolicy};
use crate::dense::{axpy, dot, vectorised};

/// Relative residual of the solves: a hundred units of rounding for matrices as well conditioned as K.
const TOLERANCE: f64 = 1e-13;

/// K_AA x = c by conjugate gradients, and whether they got to rounding; `apply` is K_AA. Where rows of A
/// depend on each other, but not their bounds, x is the shortest solution.
pub(super) fn solve(apply: impl Fn(&[f64], &mut [f64]), c: &[f64]) -> (Vec<f64>, bool) {
    let size = c.len();
    let mut x = vec![0.0; size];
    let mut r = c.to_vec();
    let mut p = r.clone();
    let mut kp = vec![0.0; size];
    let mut square = dot(&r, &r);
    let enough = TOLERANCE * TOLERANCE * square;
    for _ in 0..2 * size + 10 {
        if square <= enough {
            return (x, true);
        }
        apply(&p, &mut kp);
        let length = square / dot(&p, &kp);
        if !length.is_finite() {
            break;
        }
        axpy(length, &p, &mut x);
        axpy(-length, &kp, &mut r);
        let next = dot(&r, &r);
        let turn = next / square;
        p.iter_mut().zip(&r).for_each(|(p, r)| *p = r + turn * *p);
        square = next;
    }
    (x, false)
}

/// Rows, their factor, and which of them are held.
pub(super) struct System<'a> {
    pub(super) coefficients: Coefficients<'a>,
    pub(super) factor: &'a Factor,
    pub(super) held: &'a [Held],
    pub(super) damping: f64,
}

impl System<'_> {
    fn mask(&self, x: &mut [f64]) {
        for (at, x) in x.iter_mut().enumerate() {
            if self.held[at] == Held::Not {
                *x = 0.0;
            }
        }
    }

    /// D_A v.
    fn response(&self, v: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.held.len()];
        match self.factor.form {
            Form::Rows => {
                self.coefficients.subtract_product(v, &mut out);
                out.iter_mut().for_each(|out| *out = -*out);
                self.factor.solve_rows(self.coefficients.fixed, &mut out);
            }
            Form::Variables => {
                let mut v = v.to_vec();
                self.factor.solve_variables(&mut v);
                v.iter_mut().for_each(|v| *v = -*v);
                self.coefficients.subtract_product(&v, &mut out);
            }
        }
        self.mask(&mut out);
        out
    }

    /// D_Aᵀx.
    fn step(&self, x: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.coefficients.n];
        match self.factor.form {
            Form::Rows => {
                let mut x = x.to_vec();
                self.factor.solve_rows(self.coefficients.fixed, &mut x);
                self.coefficients.add_transposed(&x, &mut out);
            }
            Form::Variables => {
                self.coefficients.add_transposed(x, &mut out);
                self.factor.solve_variables(&mut out);
            }
        }
        out
    }

    fn solve(&self, c: &[f64]) -> (Vec<f64>, bool) {
        let apply = |x: &[f64], out: &mut [f64]| {
            match self.factor.form {
                Form::Rows => {
                    out.copy_from_slice(x);
                    if self.damping > 0.0 {
                        self.factor.solve_rows(self.coefficients.fixed, out);
                        for (out, x) in out.iter_mut().zip(x) {
                            *out = x - self.damping * *out;
                        }
                    }
                }
                Form::Variables => {
                    let mut step = self.step(x);
                    step.iter_mut().for_each(|v| *v = -*v);
                    out.fill(0.0);
                    self.coefficients.subtract_product(&step, out);
                }
            }
            self.mask(out);
        };
        solve(apply, c)
    }

    /// Replaces v, the cotangent of the output, by that of the start; returns that of the rows' bounds,
    /// divided by their weights.
    pub(super) fn pull_back(&self, v: &mut [f64]) -> Vec<f64> {
        let (x, _) = self.solve(&self.response(v));
        for (row, x) in self.coefficients.rows().zip(&x) {
            axpy(-x, row, v);
        }
        x
    }

    /// The way that the formula takes for a change of the rows, times their weights: x = K_AA⁻¹ change
    /// and D_Aᵀx; and whether it could be computed.
    pub(super) fn way(&self, mut change: Vec<f64>) -> (Vec<f64>, Vec<f64>, bool) {
        self.mask(&mut change);
        let (x, solved) = self.solve(&change);
        let step = self.step(&x);
        (x, step, solved)
    }

    /// ‖y* − (ŷ − G change)‖ / ‖way‖ for the way ŷ − y* and the change of the rows along it.
    pub(super) fn deviation(&self, way: &[f64], change: Vec<f64>) -> f64 {
        match self.way(change) {
            (_, _, false) => f64::NAN,
            (_, step, true) => relative_distance(way, &step),
        }
    }

    /// The cotangent of the rows for the cotangent u of −D_Aᵀx, where `way` is D_Aᵀx: as of a step with
    /// the residual x. Row by row `out(row, of p, p, of the way)` is called with the factors of p and of
    /// the way in it.
    pub(super) fn of_rows(
        &self,
        u: &[f64],
        x: &[f64],
        mut out: impl FnMut(usize, f64, &[f64], f64),
    ) {
        let mut p = u.to_vec();
        let mut w = vec![0.0; x.len()];
        let mut multipliers = x.to_vec();
        match self.factor.form {
            Form::Rows => {
                self.factor
                    .solve_rows(self.coefficients.fixed, &mut multipliers);
                self.coefficients.subtract_product(u, &mut w);
                self.factor.solve_rows(self.coefficients.fixed, &mut w);
                self.coefficients.add_transposed(&w, &mut p);
            }
            Form::Variables => {
                self.coefficients
                    .subtract_product(&self.step(x), &mut multipliers);
                self.factor.solve_variables(&mut p);
                self.coefficients.subtract_product(&p, &mut w);
            }
        }
        for (row, (multiplier, w)) in multipliers.iter().zip(&w).enumerate() {
            out(row, -multiplier, &p, -w);
        }
    }
}

/// ‖a − b‖ / ‖a‖; 0 for a = 0.
pub(super) fn relative_distance(a: &[f64], b: &[f64]) -> f64 {
    let apart: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
    if apart == 0.0 {
        return 0.0;
    }
    (apart / dot(a, a)).sqrt()
}

/// What is kept of one sample.
#[derive(Debug)]
pub(super) enum Kept {
    /// No step was taken: the output is the start.
    Unmoved,
    /// The steps broke down: there is no gradient.
    Lost,
    Limit(Limit),
}

/// The last step's rows, at the output.
#[derive(Debug)]
pub(super) struct Limit {
    y: Vec<f64>,
    weights: Vec<f64>,
    /// Of every fixed, then every moving row.
    held: Vec<Held>,
    factored: Arc<Factored>,
}

/// A batch's.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) samples: Vec<Kept>,
    pub(super) fixed: Option<Fixed>,
    pub(super) damping: f64,
}

impl Context<'_> {
    /// Linearises at the output with the rows of the last step.
    pub(super) fn keep_limit(&self, run: &mut Run, workspace: &mut Workspace) {
        run.quality = LimitQuality::LOST;
        if matches!(run.status, DampedStatus::Singular | DampedStatus::NonFinite) {
            run.kept = Kept::Lost;
            return;
        }
        if run.iterations == 0 {
            run.kept = Kept::Unmoved;
            run.quality = LimitQuality::UNMOVED;
            return;
        }
        let (problem, n, m) = (self.problem, self.problem.n, self.problem.rows());
        let start = &self.start[run.sample * n..][..n];
        let (lower, upper) = (
            problem.lower.sample(run.sample, m),
            problem.upper.sample(run.sample, m),
        );
        let (mut before, mut after) = (vec![0.0; m], vec![0.0; m]);
        values(problem, run.sample, start, &mut before, &mut workspace.n);
        values(problem, run.sample, &run.y, &mut after, &mut workspace.n);
        let tolerance = self.settings.tolerance;
        let bounds = |row: usize| [lower[row], upper[row]];
        let held_by = |row: usize| Held::of(run.contacts[row], after[row], bounds(row), tolerance);
        let moving = match self.settings.rows {
            RowPolicy::All => run.factored.moving.clone(),
            RowPolicy::Violated => {
                let takes_part = |row: &u32| {
                    let row = *row as usize;
                    problem.equality[row] || held_by(row) != Held::Not
                };
                self.others.iter().copied().filter(takes_part).collect()
            }
        };
        let q = moving.len();
        load_moving(
            problem,
            run.sample,
            &moving,
            &run.tape.weights,
            &run.y,
            &mut workspace.scratch.moving,
        );
        let is_curved = moving.iter().any(|&row| self.curved[row as usize]);
        if is_curved || moving != run.factored.moving {
            let mut factored = Factored {
                moving: moving.clone(),
                ..Factored::default()
            };
            let damping = self.settings.damping;
            if !factored
                .factor
                .refactor(self.fixed, q, n, damping, &mut workspace.scratch)
            {
                run.kept = Kept::Lost;
                return;
            }
            run.factored = Arc::new(factored);
        }
        let fixed_rows = self.fixed.map_or(&[][..], |fixed| &fixed.rows);
        let rows = || {
            let moving = moving.iter().map(|row| *row as usize);
            fixed_rows.iter().copied().chain(moving)
        };
        let held: Vec<Held> = rows().map(held_by).collect();
        let settled =
            (0..m).all(|row| run.contacts[row].is_settled(after[row], bounds(row), tolerance));
        let way: Vec<f64> = start.iter().zip(&run.y).map(|(a, b)| a - b).collect();
        let weight = |row: usize| run.tape.weights.get(row).copied().unwrap_or(1.0);
        let change = rows().map(|row| weight(row) * (before[row] - after[row]));
        let change = change.collect();
        let system = System {
            coefficients: Coefficients {
                fixed: self.fixed,
                moving: &workspace.scratch.moving[..q * n],
                n,
            },
            factor: &run.factored.factor,
            held: &held,
            damping: self.settings.damping,
        };
        run.quality = LimitQuality {
            deviation: system.deviation(&way, change),
            settled,
            affine: !is_curved,
        };
        run.kept = Kept::Limit(Limit {
            y: run.y.clone(),
            weights: std::mem::take(&mut run.tape.weights),
            held,
            factored: run.factored.clone(),
        });
    }
}

pub(super) fn vjp(
    problem: &DampedProblem<'_>,
    limits: &Limits,
    cotangent: &[f64],
) -> DampedGradients {
    let mut gradients = DampedGradients::of_the_start(problem, cotangent);
    let samples = gradients.samples(problem, 1).zip(&limits.samples);
    samples.enumerate().for_each_init(
        || Scratch::new(problem.rows(), problem.n),
        |scratch, (sample, ((v, lower, upper), kept))| match kept {
            Kept::Unmoved => {}
            Kept::Lost => v.fill(0.0),
            Kept::Limit(limit) => vectorised(|| {
                reverse(problem, limits, (sample, limit), scratch, v, [lower, upper]);
            }),
        },
    );
    gradients
}

fn reverse(
    problem: &DampedProblem<'_>,
    limits: &Limits,
    (sample, limit): (usize, &Limit),
    scratch: &mut Scratch,
    v: &mut [f64],
    [lower, upper]: [&mut [f64]; 2],
) {
    let moving = &limit.factored.moving;
    load_moving(
        problem,
        sample,
        moving,
        &limit.weights,
        &limit.y,
        &mut scratch.moving,
    );
    let system = System {
        coefficients: Coefficients {
            fixed: limits.fixed.as_ref(),
            moving: &scratch.moving[..moving.len() * problem.n],
            n: problem.n,
        },
        factor: &limit.factored.factor,
        held: &limit.held,
        damping: limits.damping,
    };
    let x = system.pull_back(v);
    let fixed_rows = limits.fixed.as_ref().map_or(&[][..], |fixed| &fixed.rows);
    let rows = fixed_rows
        .iter()
        .copied()
        .chain(moving.iter().map(|row| *row as usize));
    for ((row, held), x) in rows.zip(&limit.held).zip(x) {
        let weight = limit.weights.get(row).copied().unwrap_or(1.0);
        held.add(weight * x, &mut lower[row], &mut upper[row]);
    }
}
