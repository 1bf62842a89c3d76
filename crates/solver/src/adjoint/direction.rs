//! Solves the linearised optimality system, `M w = −force`, for every sample of a run.
//!
//! `M = [H Eᵀ; E 0]` is symmetric, `H = P + Σ 2μ_iH_i`, `E` the equalities and active rows. With
//! `w` of a cotangent every parameter's gradient is `wᵀ∂F/∂θ`, `F` the optimality conditions
//! (Amos & Kolter 2017, eq. 6–8, there for QPs without quadratic rows); `w` of `∂F/∂θ·dθ` is the
//! solution's derivative along `dθ`.

use crate::active_set::basis::condition;
use crate::active_set::explicit::Explicit;
use crate::active_set::least_distance::Builder;
use crate::active_set::memory::{Lent, Memory};
use crate::active_set::reduced::Reduced;
use crate::active_set::shared::solve_on_active;
use crate::adjoint::force::{Force, Source};
use crate::adjoint::system::{Memory as SystemMemory, Step, System};
use crate::adjoint::types::{Cotangent, GradientQuality, GradientReport};
use crate::dense::{axpy, max_abs, vectorised, zeros};
use crate::nullspace::RANK_TOLERANCE;
use crate::problem::{Matrix, Problem, Sample};
use crate::residual::Point;
use crate::settings::{AdjointSettings, Degenerate};
use crate::solution::{ActiveRows, Factors, Own, Solution};
use crate::status::Status;

/// `w` of a run of samples; zero lines where there is no derivative.
pub(crate) struct Directions {
    /// `[count, n]`
    pub(crate) x: Vec<f64>,
    /// `[count, p]`
    pub(crate) nu: Vec<f64>,
    /// `[count, m]`, zero on inactive rows.
    pub(crate) lambda: Vec<f64>,
    /// `[count, k]`, zero on inactive rows.
    pub(crate) mu: Vec<f64>,
    pub(crate) reports: Vec<GradientReport>,
    /// Points of the central path, when those are what is differentiated.
    pub(crate) smoothed: Option<Smoothed>,
}

/// What stands in for the solutions of a run.
pub(crate) struct Smoothed {
    /// `[count, n]`
    pub(crate) x: Vec<f64>,
    /// `[count, p]`
    pub(crate) nu: Vec<f64>,
    /// `[count, m]`
    pub(crate) lambda: Vec<f64>,
    /// `[count, k]`
    pub(crate) mu: Vec<f64>,
    /// The part of the directions' `λ` that belongs to upper bounds, `[count, m]`.
    pub(crate) upper: Vec<f64>,
}

impl Directions {
    /// No direction for any of `count` samples.
    pub(crate) fn none(
        problem: &Problem<'_>,
        count: usize,
        settings: &AdjointSettings,
    ) -> Directions {
        let zeros = || {
            let rows = [
                problem.n,
                problem.equality_rows(),
                problem.inequality_rows(),
                problem.quadratic_rows(),
            ];
            rows.map(|len| vec![0.0; count * len])
        };
        let [x, nu, lambda, mu] = zeros();
        let smoothed = matches!(settings.degenerate, Degenerate::Smoothed { .. }).then(|| {
            let upper = lambda.clone();
            let [x, nu, lambda, mu] = zeros();
            Smoothed {
                x,
                nu,
                lambda,
                mu,
                upper,
            }
        });
        Directions {
            x,
            nu,
            lambda,
            mu,
            reports: vec![GradientReport::UNAVAILABLE; count],
            smoothed,
        }
    }

    /// Writes one sample's line.
    pub(crate) fn put(&mut self, slot: usize, step: &Step, at: Point<'_>) {
        let write = |target: &mut [f64], part: &[f64]| {
            let len = part.len();
            target[slot * len..(slot + 1) * len].copy_from_slice(part);
        };
        write(&mut self.x, &step.x);
        write(&mut self.nu, &step.nu);
        write(&mut self.lambda, &step.lambda);
        write(&mut self.mu, &step.mu);
        if let Some(smoothed) = &mut self.smoothed {
            write(&mut smoothed.x, at.x);
            write(&mut smoothed.nu, at.nu);
            write(&mut smoothed.lambda, at.lambda);
            write(&mut smoothed.mu, at.mu);
            write(&mut smoothed.upper, &step.upper);
        }
    }
}

/// Solves for samples `first .. first + count`.
pub(crate) fn directions(
    problem: &Problem<'_>,
    solution: &Solution,
    source: Source<'_>,
    settings: &AdjointSettings,
    first: usize,
    count: usize,
) -> Directions {
    let mut out = Directions::none(problem, count, settings);
    let mut batched = vec![false; count];
    let mut force = Force::zero(problem);
    if out.smoothed.is_none() {
        let mut by_factors =
            |reduced: &Reduced<'_>, from: usize, to: usize, memory: &mut Memory| {
                let run = Pivoted {
                    problem,
                    solution,
                    source,
                    settings,
                    reduced,
                    first,
                };
                run.directions(from, &mut batched[from..to], memory, &mut force, &mut out);
            };
        match &solution.factors {
            Factors::None => {}
            Factors::Shared(factors) => {
                let memory = &mut Lent::new(problem, count);
                by_factors(&factors.reduced(), 0, count, memory);
            }
            Factors::PerSample(layout, factors) => {
                let layout = *layout;
                let memory = &mut Lent::new(problem, 1);
                // For factors that are made again, one sample's after the other's.
                let mut again: Option<(Builder, Vec<f64>)> = None;
                for i in 0..count {
                    match &factors[first + i] {
                        Own::None => {}
                        Own::LeastDistance(kept) => {
                            by_factors(&kept.reduced(layout), i, i + 1, memory);
                        }
                        Own::Explicit(kept) => by_factors(&kept.reduced(), i, i + 1, memory),
                        Own::Again => {
                            let sample = problem.sample(first + i);
                            let (builder, numbers) =
                                again.get_or_insert_with(|| (Builder::new(layout), Vec::new()));
                            numbers.clear();
                            if let Some(condition) = builder.build(&sample, numbers) {
                                let reduced = builder.reduced(numbers, condition);
                                by_factors(&reduced, i, i + 1, memory);
                            } else if let Some(explicit) = Explicit::null_space(&sample) {
                                by_factors(&explicit.reduced(), i, i + 1, memory);
                            }
                        }
                    }
                }
            }
        }
    }
    let mut memory = SystemMemory::default();
    for i in 0..count {
        if batched[i] || !solution.status[first + i].is_solved() {
            continue;
        }
        let system = System::new(problem, solution, settings, first + i, &mut memory);
        source.write(problem, first + i, system.point(), &mut force);
        single(&system, &force, settings, &mut memory, i, &mut out);
        system.keep(&mut memory);
    }
    out
}

/// Samples of a run that have factors in common.
struct Pivoted<'a> {
    problem: &'a Problem<'a>,
    solution: &'a Solution,
    source: Source<'a>,
    settings: &'a AdjointSettings,
    reduced: &'a Reduced<'a>,
    /// Index of the run's first sample in the batch.
    first: usize,
}

impl Pivoted<'_> {
    /// Those of the run's samples from `from` on whose active set is clean, as matrix products; marks
    /// which it did.
    fn directions(
        &self,
        from: usize,
        done: &mut [bool],
        memory: &mut Memory,
        force: &mut Force,
        out: &mut Directions,
    ) {
        let (problem, solution, reduced) = (self.problem, self.solution, self.reduced);
        let (first, count) = (self.first + from, done.len());
        // The factors are independent to a tolerance of their own, a stricter one is for each sample's system.
        if !reduced.full_rank() || self.settings.rank_tolerance > RANK_TOLERANCE {
            return;
        }
        for (i, done) in done.iter_mut().enumerate() {
            let active = &solution.active[first + i];
            let rows = active.linear.len();
            *done = solution.status[first + i] == Status::Solved
                && solution.margin[first + i] > self.settings.degenerate_margin
                && active.identified
                && active.root.len() == rows * rows
                && active.dependent.is_empty();
        }
        if !done.contains(&true) {
            return;
        }
        let (n, p, m) = (reduced.n, reduced.p, reduced.m);
        let size = n + p;
        memory.rhs.fill(0.0);
        for i in (0..count).filter(|&i| done[i]) {
            let index = first + i;
            let line = &mut memory.rhs[i * size..(i + 1) * size];
            let active = &solution.active[index];
            let targets = &mut memory.targets[i * m..(i + 1) * m];
            if let Source::Cotangent(cotangent) = self.source {
                push_back(cotangent, index, line.split_at_mut(n), active, targets);
                continue;
            }
            let at = solution.point(problem, index);
            self.source.write(problem, index, at, force);
            for (r, v) in line.iter_mut().zip(force.x.iter().chain(&force.nu)) {
                *r = -v;
            }
            let sample = problem.sample(index);
            for &row in active.linear.iter() {
                let row = row as usize;
                targets[row] = -force.row(&sample, row, at.lambda[row], at.x);
            }
        }
        let sample = problem.sample(first);
        let none: (&[u32], &[f64]) = (&[], &[]);
        let active = |i: usize| match done[i] {
            true => {
                let active = &solution.active[first + i];
                (&active.linear[..], &active.root[..])
            }
            false => none,
        };
        // A loss of the minimisers alone pushes on stationarity alone.
        let used = match self.source {
            Source::Cotangent(cotangent) if cotangent.equality_dual.is_none() => n,
            _ => size,
        };
        solve_on_active(reduced, sample.g, used, active, memory);
        let Memory {
            point,
            rhs,
            multipliers,
            products,
            targets,
            ..
        } = memory;
        products.apply(&sample, reduced, point, multipliers);

        vectorised(
            #[inline(always)]
            || {
                for i in 0..count {
                    if !done[i] {
                        continue;
                    }
                    let line = &rhs[i * size..(i + 1) * size];
                    let (on_x, on_nu) = line.split_at(n);
                    let stationarity = &mut products.gradient[i * n..(i + 1) * n];
                    let equalities = &mut products.ax[i * p..(i + 1) * p];
                    axpy(-1.0, on_x, stationarity);
                    axpy(-1.0, on_nu, equalities);
                    let mut error = max_abs(stationarity);
                    let mut note = |v: f64| {
                        if v.abs() > error || v.is_nan() {
                            error = v.abs();
                        }
                    };
                    note(max_abs(equalities));
                    let mut force = max_abs(line);
                    let active = &solution.active[first + i];
                    for &row in active.linear.iter() {
                        let wanted = targets[i * m + row as usize];
                        note(products.gx[i * m + row as usize] - wanted);
                        force = force.max(wanted.abs());
                    }
                    // Nothing wanted and nothing found; a NaN is neither.
                    let residual = if force == 0.0 && error == 0.0 {
                        0.0
                    } else {
                        error / force
                    };
                    // Anything doubtful, NaN included, goes to the method with refinement: two digits
                    // short of what would no longer be called exact.
                    let rows = active.linear.len();
                    let condition = reduced.condition.max(condition(&active.root, rows));
                    if !(residual <= self.settings.residual_tolerance * 1e-2
                        && condition <= self.settings.condition_limit)
                    {
                        done[i] = false;
                        continue;
                    }
                    let slot = from + i;
                    let w = &point[i * size..(i + 1) * size];
                    out.x[slot * n..(slot + 1) * n].copy_from_slice(&w[..n]);
                    out.nu[slot * p..(slot + 1) * p].copy_from_slice(&w[n..]);
                    out.lambda[slot * m..(slot + 1) * m]
                        .copy_from_slice(&products.lambda[i * m..(i + 1) * m]);
                    out.reports[slot] = GradientReport {
                        quality: GradientQuality::Exact,
                        residual,
                        margin: solution.margin[first + i],
                        condition,
                    };
                }
            },
        );
    }
}

/// Minus a cotangent, on stationarity and equalities and on the active rows, at whichever bound.
fn push_back(
    cotangent: &Cotangent<'_>,
    index: usize,
    (on_x, on_nu): (&mut [f64], &mut [f64]),
    active: &ActiveRows,
    on_rows: &mut [f64],
) {
    let (n, p, m) = (on_x.len(), on_nu.len(), on_rows.len());
    for (push, c) in on_x.iter_mut().zip(&cotangent.x[index * n..]) {
        *push = -c;
    }
    if let Some(dual) = cotangent.equality_dual {
        for (push, c) in on_nu.iter_mut().zip(&dual[index * p..]) {
            *push = -c;
        }
    }
    for &row in active.linear.iter() {
        let row = row as usize;
        let dual = cotangent.inequality_dual;
        on_rows[row] = dual.map_or(0.0, |dual| -dual[index * m + row]);
    }
}

/// One sample by its own factorisation: quadratic rows, degeneracy, or a solution of the interior point.
fn single(
    system: &System<'_>,
    force: &Force,
    settings: &AdjointSettings,
    memory: &mut SystemMemory,
    slot: usize,
    out: &mut Directions,
) {
    let Some(factored) = system.factor(settings, memory) else {
        return;
    };
    // Numbers that have overflowed are no derivative.
    if factored.solve(force, &mut memory.step) {
        out.put(slot, &memory.step, system.point());
        out.reports[slot] = factored.report(memory.step.residual, settings);
    }
    factored.keep(memory);
}

/// `P + Σ 2μ_iH_i`, diagonal when everything is.
pub(crate) enum Hessian {
    Dense(Vec<f64>),
    Diagonal(Vec<f64>),
}

impl Hessian {
    /// As a borrowed matrix.
    pub(crate) fn as_matrix(&self) -> Matrix<'_> {
        match self {
            Hessian::Dense(data) => Matrix::Dense(data),
            Hessian::Diagonal(data) => Matrix::Diagonal(data),
        }
    }

    pub(crate) fn is_diagonal(&self) -> bool {
        matches!(self, Hessian::Diagonal(_))
    }

    /// Its numbers.
    pub(crate) fn into_numbers(self) -> Vec<f64> {
        match self {
            Hessian::Dense(data) | Hessian::Diagonal(data) => data,
        }
    }

    /// The `n × n` numbers, stored dense from now on.
    pub(crate) fn make_dense(&mut self, n: usize) -> &mut Vec<f64> {
        if let Hessian::Diagonal(diagonal) = self {
            let mut dense = vec![0.0; n * n];
            add_to(&mut dense, 1.0, Matrix::Diagonal(diagonal), n);
            *self = Hessian::Dense(dense);
        }
        match self {
            Hessian::Dense(data) | Hessian::Diagonal(data) => data,
        }
    }

    /// Widens an `n × n` matrix by `more` variables with `weight` on the diagonal.
    pub(crate) fn append(&mut self, n: usize, more: usize, weight: f64) {
        let size = n + more;
        match self {
            Hessian::Diagonal(data) => data.resize(size, weight),
            Hessian::Dense(data) => {
                let mut wide = vec![0.0; size * size];
                for (i, row) in wide.chunks_exact_mut(size).enumerate() {
                    match data.get(i * n..(i + 1) * n).filter(|_| i < n) {
                        Some(line) => row[..n].copy_from_slice(line),
                        None => row[i] = weight,
                    }
                }
                *data = wide;
            }
        }
    }
}

/// The Hessian of the Lagrangian, in memory that is there.
pub(crate) fn lagrangian_hessian(sample: &Sample<'_>, mu: &[f64], mut sum: Vec<f64>) -> Hessian {
    match write_lagrangian_hessian(sample, mu, &mut sum) {
        true => Hessian::Diagonal(sum),
        false => Hessian::Dense(sum),
    }
}

/// Makes `sum` the Hessian of the Lagrangian; returns whether it is a diagonal, `[n]`, else it is `[n, n]`.
#[inline(always)]
pub(crate) fn write_lagrangian_hessian(
    sample: &Sample<'_>,
    mu: &[f64],
    sum: &mut Vec<f64>,
) -> bool {
    let n = sample.n;
    let diagonal = matches!(
        (sample.p, sample.h),
        (Matrix::Diagonal(_), Matrix::Diagonal(_))
    );
    zeros(sum, if diagonal { n } else { n * n });
    add_to(sum, 1.0, sample.p, n);
    for (i, mu) in mu.iter().enumerate() {
        if diagonal || *mu != 0.0 {
            add_to(sum, 2.0 * mu, sample.h.row(i, n), n);
        }
    }
    diagonal
}

/// `sum += factor · matrix`, where `sum` is `[n]` only if `matrix` is diagonal.
#[inline(always)]
fn add_to(sum: &mut [f64], factor: f64, matrix: Matrix<'_>, n: usize) {
    match matrix {
        Matrix::Diagonal(d) if sum.len() > n => {
            for (j, d) in d.iter().enumerate() {
                sum[j * n + j] += factor * d;
            }
        }
        Matrix::Dense(data) | Matrix::Diagonal(data) => crate::dense::axpy(factor, data, sum),
    }
}
