//! Newton's method on the optimality conditions of a guessed active set.
//!
//! With the active rows as equalities the conditions are smooth, and Newton ends at rounding
//! (for QPs in one step). Rows whose multiplier comes out negative leave the set, violated rows
//! enter it, a few times; a guess that does not settle is given up.

mod guess;
mod sizes;

pub(crate) use guess::Guess;

use std::cell::RefCell;

use crate::adjoint::direction::write_lagrangian_hessian;
use crate::dense::{copy, max_abs, norm, vectorised};
use crate::interior_point::{Answer, natural_length};
use crate::kkt::{self, ActiveKkt, Solved};
use crate::nullspace::RANK_TOLERANCE;
use crate::polish::sizes::Sizes;
use crate::problem::{Matrix, Sample};
use crate::residual::{Measured, Terms, measure};
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

/// Steps that may gain less than half before giving up: the first ones on a curved row, from a multiplier that is
/// far off.
const PATIENCE: usize = 2;

/// The push of a row that is let go where the polish fails, relative to the objective's gradient.
const WEAK: f64 = 1e-5;

/// How far from the solution a polished point may be, relative to its size, as the last step tells: what a system
/// of condition 1e10 leaves.
const SETTLED: f64 = 1e-6;

/// What polishing works in, kept from one sample to the next.
#[derive(Default)]
struct Memory {
    terms: Terms,
    /// Where it is.
    at: Guess,
    /// The best point so far.
    best: Guess,
    /// Gradients of the active rows, `[a, n]`, and right-hand sides.
    rows: Vec<f64>,
    rest: Vec<f64>,
    stationarity: Vec<f64>,
    /// Sizes of its terms.
    forces: Vec<f64>,
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
    let answer = with_memory(sample, guess, tolerance, &mut memory, &mut steps).or_else(|| {
        let weaker = without_weak_rows(sample, guess, &mut memory.terms)?;
        with_memory(sample, &weaker, tolerance, &mut memory, &mut steps)
    });
    if keeps_memory(sample) {
        MEMORY.replace(memory);
    }
    (answer, steps)
}

/// The guess without rows that hardly push: one that a small set's inside is near of is no bound yet, and its
/// curvature leads Newton's method astray. `None` where there are none.
fn without_weak_rows(sample: &Sample<'_>, guess: &Guess, terms: &mut Terms) -> Option<Guess> {
    let n = sample.n;
    terms.evaluate(sample, guess.point());
    let force = max_abs(sample.q).max(max_abs(&terms.px));
    let mut weaker = guess.clone();
    let mut let_go = false;
    for row in guess.linear_rows() {
        let push = guess.lambda[row].abs() * norm(&sample.g[row * n..(row + 1) * n]);
        if push <= WEAK * force {
            (weaker.linear[row], let_go) = (0.0, true);
        }
    }
    for row in guess.quadratic_rows() {
        let push = guess.mu[row] * norm(&terms.jacobian[row * n..(row + 1) * n]);
        if push <= WEAK * force {
            (weaker.quadratic[row], let_go) = (false, true);
        }
    }
    let_go.then_some(weaker)
}

fn with_memory(
    sample: &Sample<'_>,
    guess: &Guess,
    tolerance: f64,
    memory: &mut Memory,
    steps: &mut usize,
) -> Option<Answer> {
    let mut at = std::mem::take(&mut memory.at);
    at.clone_from(guess);
    let answer = settle(sample, &mut at, tolerance, memory, steps);
    memory.at = at;
    answer
}

/// Newton's method on active sets that change, until one holds the solution.
fn settle(
    sample: &Sample<'_>,
    at: &mut Guess,
    tolerance: f64,
    memory: &mut Memory,
    steps: &mut usize,
) -> Option<Answer> {
    let accept = ACCEPT.min(tolerance);
    let length = vectorised(
        #[inline(always)]
        || natural_length(sample, &mut memory.rest),
    );
    let length = length.min(1.0);
    for _ in 0..=CHANGES {
        let newton = newton(sample, at, length, memory, steps, accept)?;
        vectorised(
            #[inline(always)]
            || memory.terms.evaluate(sample, at.point()),
        );
        // Where it ended is the best point.
        let sizes = Sizes {
            sample,
            terms: &memory.terms,
            at: memory.best.point(),
            length,
        };
        if !change_active_set(sample, &memory.terms, &sizes, at, accept) {
            let solved = newton.solves(accept);
            return solved.then(|| answer(at, newton.measured.absolute));
        }
    }
    None
}

fn answer(at: &Guess, residuals: Residuals) -> Answer {
    let active = ActiveRows {
        identified: true,
        ..at.active()
    };
    Answer {
        x: at.x.clone(),
        nu: at.nu.clone(),
        lambda: at.lambda.clone(),
        mu: at.mu.clone(),
        status: Status::Solved,
        iterations: 0,
        residuals,
        margin: 0.0,
        objective: 0.0,
        active,
    }
}

/// Where Newton's method ended on an active set.
struct Ended {
    /// The largest residual relative to its terms, of the active rows as equalities and of stationarity.
    defect: f64,
    measured: Measured,
    /// How far the point still is from the one that solves the equations, relative to its size.
    distance: f64,
}

impl Ended {
    /// Whether the point is clearly that of the active set.
    fn solves(&self, accept: f64) -> bool {
        self.defect <= accept && self.measured.relative() <= accept && self.distance <= SETTLED
    }
}

/// Newton steps on the current active set; multipliers of the other rows are set to zero.
/// `None` when the system cannot be solved or the iterates leave the finite numbers.
fn newton(
    sample: &Sample<'_>,
    at: &mut Guess,
    length: f64,
    memory: &mut Memory,
    steps: &mut usize,
    accept: f64,
) -> Option<Ended> {
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
        forces,
        hessian,
        kkt: factors,
        solved,
        ..
    } = memory;
    let mut least: Option<Ended> = None;
    let mut misses = 0;
    for step in 0..=STEPS {
        vectorised(
            #[inline(always)]
            || terms.evaluate(sample, at.point()),
        );
        let sizes = Sizes {
            sample,
            terms,
            at: at.point(),
            length,
        };
        let defect = vectorised(
            #[inline(always)]
            || defect(&sizes, at, forces),
        );
        if !defect.is_finite() {
            break;
        }
        // Of the step that led here: where it gained little, the one before is as far away.
        let moved = match step {
            0 => 0.0,
            _ => max_abs(&solved.x) / (max_abs(&at.x) + length),
        };
        let halves = least
            .as_ref()
            .is_none_or(|least| defect <= 0.5 * least.defect);
        let small = defect < 1e-3 * accept;
        match &mut least {
            Some(least) if defect >= least.defect => {
                least.distance = least.distance.max(moved);
            }
            _ => {
                least = Some(Ended {
                    defect,
                    measured: measure(sample, terms.evaluated(), at.point()),
                    distance: if small { 0.0 } else { moved },
                });
                best.clone_from(at);
            }
        }
        misses += usize::from(!halves);
        let solves = least.as_ref().is_some_and(|least| least.solves(accept));
        if small || step == STEPS || misses > PATIENCE || (misses > 0 && solves) {
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
    at.clone_from(best);
    least
}

fn bound(sample: &Sample<'_>, at: &Guess, row: usize) -> f64 {
    if at.linear[row] > 0.0 {
        sample.u[row]
    } else {
        sample.l[row]
    }
}

/// Largest residual of the active rows as equalities and of stationarity, relative to its terms; NaN where they
/// are no numbers.
#[inline(always)]
fn defect(sizes: &Sizes<'_>, at: &Guess, forces: &mut Vec<f64>) -> f64 {
    let (sample, terms) = (sizes.sample, sizes.terms);
    let mut worst = 0.0;
    let mut include = |v: f64, size: f64| {
        let share = if v == 0.0 { 0.0 } else { v.abs() / size };
        if share > worst || share.is_nan() || !size.is_finite() {
            worst = if size.is_finite() { share } else { f64::NAN };
        }
    };
    sizes.stationarity(forces);
    for (v, size) in terms.stationarity.iter().zip(forces.iter()) {
        include(*v, *size);
    }
    for (i, (ax, b)) in terms.ax.iter().zip(sample.b).enumerate() {
        include(ax - b, sizes.equality(i));
    }
    for row in at.linear_rows() {
        let bound = bound(sample, at, row);
        include(terms.gx[row] - bound, sizes.linear(row, bound));
    }
    for row in at.quadratic_rows() {
        let slack = terms.quadratic[row] - sample.c[row];
        include(slack, sizes.quadratic(row));
    }
    worst
}

/// Drops rows with a multiplier of the wrong sign, adds violated rows. True when anything changed.
fn change_active_set(
    sample: &Sample<'_>,
    terms: &Terms,
    sizes: &Sizes<'_>,
    at: &mut Guess,
    accept: f64,
) -> bool {
    let n = sample.n;
    let mut changed = false;
    let force = sizes.force();
    for row in 0..at.linear.len() {
        let (l, u) = (sample.l[row], sample.u[row]);
        if at.linear[row] != 0.0 {
            let norm = norm(&sample.g[row * n..(row + 1) * n]);
            if at.lambda[row] * at.linear[row] * norm < -accept * force {
                at.linear[row] = 0.0;
                changed = true;
            }
            continue;
        }
        let value = terms.gx[row];
        if value > u && value > u + accept * sizes.linear(row, u) {
            at.linear[row] = 1.0;
            changed = true;
        } else if value < l && value < l - accept * sizes.linear(row, l) {
            at.linear[row] = -1.0;
            changed = true;
        }
    }
    for row in 0..at.quadratic.len() {
        let c = sample.c[row];
        let value = terms.quadratic[row];
        if at.quadratic[row] {
            if at.mu[row] < 0.0 {
                at.quadratic[row] = false;
                changed = true;
            }
        } else if value > c && value > c + accept * sizes.quadratic(row) {
            at.quadratic[row] = true;
            changed = true;
        }
    }
    changed
}
