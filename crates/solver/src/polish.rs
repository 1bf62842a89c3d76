//! Newton's method on the optimality conditions of a guessed active set.
//!
//! With the active rows as equalities the conditions are smooth, and Newton ends at rounding
//! (for QPs in one step). Rows whose multiplier comes out negative leave the set, violated rows
//! enter it, a few times; a guess that does not settle is given up.

use std::cell::RefCell;

use crate::adjoint::direction::write_lagrangian_hessian;
use crate::cut::Cut;
use crate::dense::{copy, dot, vectorised};
use crate::interior_point::Answer;
use crate::kkt::{self, ActiveKkt, Solved};
use crate::nullspace::RANK_TOLERANCE;
use crate::problem::{Matrix, Sample};
use crate::residual::{Measured, Point, Terms, measure};
use crate::solution::ActiveRows;
use crate::status::{Residuals, Status};
use crate::work::keeps_memory;

/// Changes of the active set before giving up.
const CHANGES: usize = 6;

/// Newton steps on one active set; quadratic convergence needs three or four from an
/// interior-point iterate.
const STEPS: usize = 8;

/// What a polished point must reach, relative. A right active set ends near 1e-15, a wrong one or
/// a hopeless system stays orders above.
const ACCEPT: f64 = 1e-11;

/// Where to start.
#[derive(Debug, Default)]
pub(crate) struct Guess {
    pub(crate) x: Vec<f64>,
    pub(crate) nu: Vec<f64>,
    pub(crate) lambda: Vec<f64>,
    pub(crate) mu: Vec<f64>,
    /// `+1` upper bound active, `−1` lower, `0` neither: `[m]`.
    pub(crate) linear: Vec<f64>,
    /// `[k]`
    pub(crate) quadratic: Vec<bool>,
}

impl Clone for Guess {
    fn clone(&self) -> Guess {
        let mut guess = Guess::default();
        guess.clone_from(self);
        guess
    }

    /// In the memory that is there, which a derived one would not use.
    fn clone_from(&mut self, other: &Guess) {
        self.x.clone_from(&other.x);
        self.nu.clone_from(&other.nu);
        self.lambda.clone_from(&other.lambda);
        self.mu.clone_from(&other.mu);
        self.linear.clone_from(&other.linear);
        self.quadratic.clone_from(&other.quadratic);
    }
}

impl Guess {
    /// The guess that a point and its active rows are those of a sample's solution. Rows without
    /// a multiplier are at their nearer bound.
    pub(crate) fn of(sample: &Sample<'_>, at: Point<'_>, active: &ActiveRows) -> Guess {
        let n = sample.n;
        let mut linear = vec![0.0; sample.l.len()];
        for &row in active.linear.iter() {
            let row = row as usize;
            let value = dot(&sample.g[row * n..(row + 1) * n], at.x);
            let (l, u, lambda) = (sample.l[row], sample.u[row], at.lambda[row]);
            let upper = if lambda != 0.0 {
                lambda > 0.0
            } else {
                u - value < value - l
            };
            let side = if upper { 1.0 } else { -1.0 };
            // A bound that is not there holds nothing.
            if (if upper { u } else { l }).is_finite() {
                linear[row] = side;
            }
        }
        let mut quadratic = vec![false; sample.c.len()];
        for &row in &active.quadratic {
            quadratic[row as usize] = sample.c[row as usize].is_finite();
        }
        Guess {
            x: at.x.to_vec(),
            nu: at.nu.to_vec(),
            lambda: at.lambda.to_vec(),
            mu: at.mu.to_vec(),
            linear,
            quadratic,
        }
    }

    /// The point without the guess.
    pub(crate) fn point(&self) -> Point<'_> {
        Point {
            x: &self.x,
            nu: &self.nu,
            lambda: &self.lambda,
            mu: &self.mu,
        }
    }

    /// Rows of `G` that are guessed to be active.
    fn linear_rows(&self) -> impl Iterator<Item = usize> {
        (0..self.linear.len()).filter(|&row| self.linear[row] != 0.0)
    }

    /// Quadratic rows that are.
    fn quadratic_rows(&self) -> impl Iterator<Item = usize> {
        (0..self.quadratic.len()).filter(|&row| self.quadratic[row])
    }

    /// The guessed active rows.
    pub(crate) fn active(&self) -> ActiveRows {
        ActiveRows {
            linear: self.linear_rows().map(|row| row as u32).collect(),
            quadratic: self.quadratic_rows().map(|row| row as u32).collect(),
            dependent: Vec::new(),
            root: Cut::default(),
            identified: false,
        }
    }
}

/// What polishing works in, kept from one sample to the next.
#[derive(Default)]
struct Memory {
    terms: Terms,
    /// The best point so far.
    best: Guess,
    /// Gradients of the active rows, `[a, n]`, and right-hand sides.
    rows: Vec<f64>,
    rest: Vec<f64>,
    stationarity: Vec<f64>,
    hessian: Vec<f64>,
    kkt: kkt::Memory,
    solved: Solved,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// Polishes; `None` when the result is not clearly a solution. Also returns the steps taken.
pub(crate) fn polish(
    sample: &Sample<'_>,
    guess: &Guess,
    tolerance: f64,
) -> (Option<Answer>, usize) {
    let mut memory = MEMORY.take();
    let mut steps = 0;
    let answer = with_memory(sample, guess, tolerance, &mut memory, &mut steps);
    if keeps_memory(sample) {
        MEMORY.replace(memory);
    }
    (answer, steps)
}

fn with_memory(
    sample: &Sample<'_>,
    guess: &Guess,
    tolerance: f64,
    memory: &mut Memory,
    steps: &mut usize,
) -> Option<Answer> {
    let mut at = guess.clone();
    let accept = ACCEPT.min(tolerance);
    for _ in 0..=CHANGES {
        let measured = newton(sample, &mut at, memory, steps, accept)?;
        vectorised(
            #[inline(always)]
            || memory.terms.evaluate(sample, at.point()),
        );
        if !change_active_set(sample, &memory.terms, &mut at, accept) {
            let solved = measured.relative() <= accept;
            return solved.then(|| answer(at, measured.absolute));
        }
    }
    None
}

fn answer(at: Guess, residuals: Residuals) -> Answer {
    let active = ActiveRows {
        identified: true,
        ..at.active()
    };
    Answer {
        x: at.x,
        nu: at.nu,
        lambda: at.lambda,
        mu: at.mu,
        status: Status::Solved,
        iterations: 0,
        residuals,
        margin: 0.0,
        objective: 0.0,
        active,
    }
}

/// Newton steps on the current active set; multipliers of the other rows are set to zero.
/// `None` when the system cannot be solved or the iterates leave the finite numbers.
fn newton(
    sample: &Sample<'_>,
    at: &mut Guess,
    memory: &mut Memory,
    steps: &mut usize,
    accept: f64,
) -> Option<Measured> {
    let n = sample.n;
    for (lambda, side) in at.lambda.iter_mut().zip(&at.linear) {
        if *side == 0.0 {
            *lambda = 0.0;
        }
    }
    for (mu, on) in at.mu.iter_mut().zip(&at.quadratic) {
        if !on {
            *mu = 0.0;
        }
    }
    let Memory {
        terms,
        best,
        rows,
        rest,
        stationarity,
        hessian,
        kkt: factors,
        solved,
    } = memory;
    // The least error, and what was measured there.
    let mut least: Option<(f64, Measured)> = None;
    for step in 0..=STEPS {
        vectorised(
            #[inline(always)]
            || terms.evaluate(sample, at.point()),
        );
        let measured = measure(sample, terms.evaluated(), at.point());
        let error = defect(sample, terms, at);
        if !error.is_finite() {
            break;
        }
        let (is_least, is_enough) = match least {
            Some((least, _)) => (error < least, error > 0.5 * least),
            None => (true, false),
        };
        if is_least {
            least = Some((error, measured));
            best.clone_from(at);
        }
        if is_enough
            || step == STEPS
            || error < 1e-3 * accept * measured.scale.primal.min(measured.scale.dual)
        {
            break;
        }
        *steps += 1;
        copy(sample.a, rows);
        rest.clear();
        rest.extend(terms.ax.iter().zip(sample.b).map(|(ax, b)| b - ax));
        for row in at.linear_rows() {
            rows.extend_from_slice(&sample.g[row * n..(row + 1) * n]);
            rest.push(bound(sample, at, row) - terms.gx[row]);
        }
        for row in at.quadratic_rows() {
            rows.extend_from_slice(&terms.jacobian[row * n..(row + 1) * n]);
            rest.push(sample.c[row] - terms.quadratic[row]);
        }
        stationarity.clear();
        stationarity.extend(terms.stationarity.iter().map(|v| -v));
        let matrix = match write_lagrangian_hessian(sample, &at.mu, hessian) {
            true => Matrix::Diagonal(hessian),
            false => Matrix::Dense(hessian),
        };
        let kkt = ActiveKkt::new(n, matrix, rows, RANK_TOLERANCE, std::mem::take(factors))?;
        vectorised(
            #[inline(always)]
            || kkt.solve(stationarity, rest, solved),
        );
        *factors = kkt.into_memory();
        for (x, d) in at.x.iter_mut().zip(&solved.x) {
            *x += d;
        }
        let (equalities, held) = solved.eta.split_at(sample.b.len());
        for (nu, d) in at.nu.iter_mut().zip(equalities) {
            *nu += d;
        }
        let mut held = held.iter();
        for (lambda, side) in at.lambda.iter_mut().zip(&at.linear) {
            if *side != 0.0 {
                *lambda += held.next().copied().unwrap_or_default();
            }
        }
        for (mu, on) in at.mu.iter_mut().zip(&at.quadratic) {
            if *on {
                *mu += held.next().copied().unwrap_or_default();
            }
        }
    }
    let (_, measured) = least?;
    at.clone_from(best);
    Some(measured)
}

fn bound(sample: &Sample<'_>, at: &Guess, row: usize) -> f64 {
    if at.linear[row] > 0.0 {
        sample.u[row]
    } else {
        sample.l[row]
    }
}

/// Largest residual of the active rows as equalities and of stationarity.
fn defect(sample: &Sample<'_>, terms: &Terms, at: &Guess) -> f64 {
    let mut worst = crate::dense::max_abs(&terms.stationarity);
    let mut include = |v: f64| {
        if v.abs() > worst || v.is_nan() {
            worst = v.abs();
        }
    };
    for (ax, b) in terms.ax.iter().zip(sample.b) {
        include(ax - b);
    }
    for row in 0..at.linear.len() {
        if at.linear[row] != 0.0 {
            include(terms.gx[row] - bound(sample, at, row));
        }
    }
    for row in 0..at.quadratic.len() {
        if at.quadratic[row] {
            include(terms.quadratic[row] - sample.c[row]);
        }
    }
    worst
}

/// Drops rows with a multiplier of the wrong sign, adds violated rows. True when anything changed.
fn change_active_set(sample: &Sample<'_>, terms: &Terms, at: &mut Guess, accept: f64) -> bool {
    let n = sample.n;
    let mut changed = false;
    let force = 1.0 + crate::dense::max_abs(sample.q);
    for row in 0..at.linear.len() {
        let (l, u) = (sample.l[row], sample.u[row]);
        if at.linear[row] != 0.0 {
            let norm = dot(
                &sample.g[row * n..(row + 1) * n],
                &sample.g[row * n..(row + 1) * n],
            );
            if at.lambda[row] * at.linear[row] * norm.sqrt() < -accept * force {
                at.linear[row] = 0.0;
                changed = true;
            }
            continue;
        }
        let value = terms.gx[row];
        if value > u + accept * (1.0 + u.abs()) {
            at.linear[row] = 1.0;
            changed = true;
        } else if value < l - accept * (1.0 + l.abs()) {
            at.linear[row] = -1.0;
            changed = true;
        }
    }
    for row in 0..at.quadratic.len() {
        let c = sample.c[row];
        if at.quadratic[row] {
            if at.mu[row] < 0.0 {
                at.quadratic[row] = false;
                changed = true;
            }
        } else if terms.quadratic[row] > c + accept * (1.0 + c.abs()) {
            at.quadratic[row] = true;
            changed = true;
        }
    }
    changed
}
