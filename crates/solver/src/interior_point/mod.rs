//! Interior point for one sample: QCQPs, and QPs that are not strictly convex.

mod certificate;
mod iterate;
mod iterations;
mod model;
mod natural;
mod newton;
mod prepared;
mod recast;
mod second;
mod variables;

pub(crate) use natural::{largest_of_diagonal, natural_length};
pub(crate) use prepared::Prepared;
pub(crate) use recast::Owned;

use std::cell::RefCell;

use crate::dense::{max_abs, norm, vectorised, zeros};
use crate::interior_point::iterations::{Iterations, Pause};
use crate::interior_point::model::Model;
use crate::interior_point::natural::Natural;
use crate::interior_point::second::Known;
use crate::polish::{Guess, polish};
use crate::problem::Sample;
use crate::residual::{Measured, Point, Terms, margin, measure};
use crate::settings::Settings;
use crate::size::{has_square, is_separable};
use crate::solution::ActiveRows;
use crate::status::{Residuals, Status};
use crate::work::keeps_memory;

/// One sample's answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) x: Vec<f64>,
    pub(crate) nu: Vec<f64>,
    pub(crate) lambda: Vec<f64>,
    pub(crate) mu: Vec<f64>,
    pub(crate) status: Status,
    pub(crate) iterations: usize,
    pub(crate) residuals: Residuals,
    pub(crate) margin: f64,
    pub(crate) objective: f64,
    pub(crate) active: ActiveRows,
}

impl Answer {
    fn empty(sample: &Sample<'_>, status: Status) -> Answer {
        Answer {
            x: vec![0.0; sample.n],
            nu: vec![0.0; sample.b.len()],
            lambda: vec![0.0; sample.l.len()],
            mu: vec![0.0; sample.c.len()],
            status,
            iterations: 0,
            residuals: Residuals::default(),
            margin: 0.0,
            objective: 0.0,
            active: ActiveRows::default(),
        }
    }

    pub(crate) fn point(&self) -> Point<'_> {
        Point {
            x: &self.x,
            nu: &self.nu,
            lambda: &self.lambda,
            mu: &self.mu,
        }
    }
}

/// Solves one sample.
pub(crate) fn solve_sample(
    sample: &Sample<'_>,
    prepared: &Prepared,
    settings: &Settings,
) -> Answer {
    if let Some(recast) = recast::EqualRows::of(sample) {
        let inner = recast.sample();
        let mut answer = in_some_units(&inner, &Prepared::new(&inner), settings);
        recast.restore(sample, &mut answer);
        return finish(sample, answer);
    }
    let answer = in_some_units(sample, prepared, settings);
    finish(sample, answer)
}

/// Solves in the units given; where that confirms no solution, in the sample's own.
fn in_some_units(sample: &Sample<'_>, prepared: &Prepared, settings: &Settings) -> Answer {
    let given = run(sample, prepared, settings);
    if given.active.identified {
        return given;
    }
    let Some(natural) = Natural::of(sample) else {
        return given;
    };
    let inner = natural.sample();
    let mut own = run(&inner, &Prepared::new(&inner), settings);
    natural.restore(&mut own);
    let iterations = given.iterations + own.iterations;
    let undecided = matches!(given.status, Status::MaxIterations | Status::NumericalError);
    // Multipliers or the objective may be no numbers in the units given. A verdict of infeasibility that only
    // these units suggest is none.
    let solves = own.status.is_solved()
        && measured(sample, own.point()).relative() <= settings.reachable_tolerance();
    let better = solves && (own.active.identified || undecided);
    let mut answer = if better { own } else { given };
    answer.iterations = iterations;
    answer
}

/// Newton steps from a guessed point on its guessed rows: the answer if they end at a confirmed
/// solution, and how many were taken.
pub(crate) fn confirm(
    sample: &Sample<'_>,
    guess: &Guess,
    settings: &Settings,
) -> (Option<Answer>, usize) {
    let tolerance = settings.reachable_tolerance();
    let recast = recast::EqualRows::of(sample);
    let (found, steps) = match &recast {
        Some(recast) => polish(&recast.sample(), &recast.guess(guess), tolerance),
        None => polish(sample, guess, tolerance),
    };
    let answer = found.map(|mut answer| {
        answer.iterations = steps;
        if let Some(recast) = &recast {
            recast.restore(sample, &mut answer);
        }
        finish(sample, answer)
    });
    (answer, steps)
}

/// Iterates; where the iterations cannot tell, asks the two auxiliary problems, and then for a second opinion.
fn run(sample: &Sample<'_>, prepared: &Prepared, settings: &Settings) -> Answer {
    let mut answer = iterate(sample, prepared, settings);
    if !matches!(
        answer.status,
        Status::MaxIterations | Status::NumericalError
    ) {
        return answer;
    }
    // It has a solution, which overflows: the auxiliary problems would say no more, and are dense.
    if !has_square(sample.n, sample.p.len()) && is_separable(sample) {
        return answer;
    }
    let phase_one = recast::PhaseOne::of(sample);
    let inner = phase_one.sample();
    let found = iterate(&inner, &Prepared::new(&inner), settings);
    answer.iterations += found.iterations;
    // Ten times the tolerance, as phase one is itself solved to it; relative to the bounds that
    // hold the point.
    let noise = 10.0
        * settings
            .infeasibility_tolerance
            .max(settings.reachable_tolerance());
    let infeasible = match found.status.is_solved() {
        true => found.x[sample.n] > noise * phase_one.bound_size(&found),
        false => found.status == Status::PrimalInfeasible,
    };
    if infeasible {
        answer.status = Status::PrimalInfeasible;
        return answer;
    }
    let feasible = found.status.is_solved();
    let ray = recast::Recession::of(sample);
    let inner = ray.sample();
    let found = iterate(&inner, &Prepared::new(&inner), settings);
    answer.iterations += found.iterations;
    if found.status.is_solved() {
        let slope = crate::dense::dot(sample.q, &found.x);
        if slope < -1e-7 * max_abs(sample.q) {
            answer.status = Status::DualInfeasible;
            return answer;
        }
    }
    let bounded = found.status.is_solved();
    match second::opinion(sample, Known { feasible, bounded }, settings) {
        Some(mut second) => {
            second.iterations += answer.iterations;
            second
        }
        None => answer,
    }
}

/// The multipliers `(ν, λ, μ)` of an infeasible sample's smallest common relaxation, and its point.
pub(crate) type Relaxation = (Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>);

/// Relaxes every inequality of an infeasible sample by the same distance, the smallest that makes
/// it feasible.
pub(crate) fn relaxation(sample: &Sample<'_>, settings: &Settings) -> Option<Relaxation> {
    let phase_one = recast::PhaseOne::of(sample);
    let inner = phase_one.sample();
    let found = iterate(&inner, &Prepared::new(&inner), settings);
    if !(found.status.is_solved() && found.x[sample.n] > 0.0) {
        return None;
    }
    let (nu, lambda, mu) = recast::PhaseOne::multipliers(sample, &found);
    Some((nu, lambda, mu, found.x[..sample.n].to_vec()))
}

/// A direction of unit largest entry along which the objective of a feasible sample falls forever.
pub(crate) fn falling_direction(sample: &Sample<'_>, settings: &Settings) -> Option<Vec<f64>> {
    let recession = recast::Recession::of(sample);
    let inner = recession.sample();
    let found = iterate(&inner, &Prepared::new(&inner), settings);
    let size = max_abs(&found.x);
    let falls = crate::dense::dot(sample.q, &found.x) < 0.0;
    (found.status.is_solved() && falls && size > 0.0)
        .then(|| found.x.iter().map(|v| v / size).collect())
}

/// What a sample is solved in, kept from one to the next.
#[derive(Default)]
struct Memory {
    model: model::Memory,
    iterations: iterations::Memory,
    guess: Guess,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

fn iterate(sample: &Sample<'_>, prepared: &Prepared, settings: &Settings) -> Answer {
    let scaled_q: Vec<f64>;
    let scaled_sample;
    let inner = match &prepared.variables {
        None => sample,
        Some(variables) => {
            scaled_q = sample
                .q
                .iter()
                .zip(&variables.scale)
                .map(|(q, scale)| q * scale)
                .collect();
            scaled_sample = variables.sample(sample, &scaled_q);
            &scaled_sample
        }
    };
    let memory = MEMORY.take();
    let Ok(model) = Model::new(inner, prepared, settings, memory.model) else {
        return Answer::empty(sample, Status::PrimalInfeasible);
    };
    // One digit below what is asked for, so that unscaling does not eat the tolerance.
    let tolerance = 0.1 * settings.reachable_tolerance();
    let started = vectorised(
        #[inline(always)]
        || {
            let certificate = settings.infeasibility_tolerance;
            Iterations::start(
                &model,
                memory.iterations,
                settings.max_iterations,
                tolerance,
                certificate,
            )
        },
    );
    let Some(mut iterations) = started else {
        return Answer::empty(sample, Status::NumericalError);
    };
    let mut guess = memory.guess;
    let answer = until_decided(sample, &model, settings, &mut iterations, &mut guess);
    if keeps_memory(sample) {
        MEMORY.replace(Memory {
            iterations: iterations.into_memory(),
            model: model.into_memory(),
            guess,
        });
    }
    answer
}

/// Iterates and polishes until there is an answer.
fn until_decided(
    sample: &Sample<'_>,
    model: &Model<'_>,
    settings: &Settings,
    iterations: &mut Iterations<'_>,
    guess: &mut Guess,
) -> Answer {
    let mut polishing = 0;
    loop {
        let pause = vectorised(
            #[inline(always)]
            || iterations.run(),
        );
        unscale(model, iterations, guess);
        let finite = max_abs(&guess.x).is_finite()
            && max_abs(&guess.lambda).is_finite()
            && max_abs(&guess.mu).is_finite();
        let status = match pause {
            Pause::Close | Pause::Converged | Pause::Limit | Pause::Stalled if finite => {
                let (polished, steps) = polish(sample, guess, settings.reachable_tolerance());
                polishing += steps;
                if let Some(mut answer) = polished {
                    answer.iterations = iterations.count + polishing;
                    return answer;
                }
                let measured = measured(sample, guess.point()).relative();
                let good = measured <= settings.reachable_tolerance();
                match pause {
                    Pause::Close => continue,
                    _ if good => Status::Solved,
                    // What the scaled problem calls converged need not be on the original data.
                    Pause::Converged if iterations.tighten() => continue,
                    Pause::Limit => Status::MaxIterations,
                    _ => Status::NumericalError,
                }
            }
            Pause::PrimalInfeasible => Status::PrimalInfeasible,
            Pause::Unbounded => Status::DualInfeasible,
            Pause::Limit => Status::MaxIterations,
            Pause::Close | Pause::Converged | Pause::Stalled => Status::NumericalError,
        };
        let mut answer = Answer::empty(sample, status);
        if finite {
            answer.active = guess.active();
            let guess = std::mem::take(guess);
            (answer.x, answer.nu) = (guess.x, guess.nu);
            (answer.lambda, answer.mu) = (guess.lambda, guess.mu);
        }
        answer.iterations = iterations.count + polishing;
        return answer;
    }
}

/// The iterate in the original scaling, with the active rows it suggests.
fn unscale(model: &Model<'_>, iterations: &Iterations<'_>, guess: &mut Guess) {
    let sample = model.sample;
    let at = &iterations.at;
    guess.x.clone_from(&at.values.x);
    if let Some(variables) = &model.prepared.variables {
        for (x, scale) in guess.x.iter_mut().zip(&variables.scale) {
            *x *= scale;
        }
    }
    zeros(&mut guess.nu, sample.b.len());
    zeros(&mut guess.lambda, sample.l.len());
    zeros(&mut guess.mu, sample.c.len());
    zeros(&mut guess.linear, sample.l.len());
    guess.quadratic.clear();
    guess.quadratic.resize(sample.c.len(), false);
    for (j, side) in model.sides.iter().enumerate() {
        let row = model.linear[side.position];
        let scale = model.prepared.row_scale[row] / model.cost_scale;
        guess.lambda[row] += side.sign * scale * at.dual[j];
        if at.dual[j] > at.slack[j] {
            guess.linear[row] = side.sign;
        }
    }
    let first = model.sides.len();
    for (position, &row) in model.quadratic.iter().enumerate() {
        let scale = model.quadratic_scale(position) / model.cost_scale;
        guess.mu[row] = scale * at.dual[first + position];
        guess.quadratic[row] = at.dual[first + position] > at.slack[first + position];
    }
    if let Some(split) = &model.prepared.split {
        for (j, &row) in split.nullspace.kept.iter().enumerate() {
            let column = split.particular.col(j);
            let force: f64 = column.iter().zip(&at.gradient).map(|(a, b)| a * b).sum();
            guess.nu[row] = -force / model.cost_scale;
        }
    }
}

thread_local! {
    static TERMS: RefCell<Terms> = RefCell::default();
}

fn measured(sample: &Sample<'_>, at: Point<'_>) -> Measured {
    let mut terms = TERMS.take();
    vectorised(
        #[inline(always)]
        || terms.evaluate(sample, at),
    );
    let measured = measure(sample, terms.evaluated(), at);
    if keeps_memory(sample) {
        TERMS.replace(terms);
    }
    measured
}

/// Residuals and margin on the data as it was given.
fn finish(sample: &Sample<'_>, mut answer: Answer) -> Answer {
    let n = sample.n;
    let mut terms = TERMS.take();
    let at = answer.point();
    vectorised(
        #[inline(always)]
        || terms.evaluate(sample, at),
    );
    let measured = measure(sample, terms.evaluated(), at);
    let norms: Vec<f64> = sample.g.chunks_exact(n).map(norm).collect();
    let margin = margin(sample, terms.evaluated(), at, &norms, &terms.jacobian);
    if keeps_memory(sample) {
        TERMS.replace(terms);
    }
    answer.residuals = measured.absolute;
    answer.objective = measured.objective;
    answer.margin = margin;
    answer
}
