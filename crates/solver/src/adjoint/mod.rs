//! Derivatives of the solution with respect to every parameter.

pub(crate) mod accumulate;
mod central;
pub(crate) mod direction;
pub(crate) mod force;
mod held;
mod jacobian;
mod sample;
mod system;
mod tangent;
mod types;

pub use accumulate::Parameter;
pub use jacobian::{Jacobian, Outputs, jacobian};
pub use sample::{SampleDerivative, differentiate};
pub use tangent::{SolutionTangent, Tangents, tangent};
pub use types::{Cotangent, GradientQuality, GradientReport, Gradients, Wanted};

use feasible_kernels::{longest_even_run, map_runs, run_length};

use crate::active_set::least_distance::Layout;
use crate::batch::Values;
use crate::error::Error;
use crate::problem::Problem;
use crate::settings::AdjointSettings;
use crate::solution::{Factors, Solution};
use crate::validate::{self, Infinities};
use crate::work::threads;
use accumulate::{COUNT, PARAMETERS, Run, Sink, layout};
use direction::directions;
use force::Source;

/// Samples one task differentiates together, as in the solve; more for large batches, because each
/// run holds its own copy of every shared gradient until all are added.
const RUN: usize = 64;
const MOST_RUNS: usize = 32;

/// Gradients of a scalar loss with respect to the problem's parameters, given its gradient with
/// respect to the solution.
///
/// # Optimality conditions
/// On the rows that are active at the solution,
/// `Px + q + Aᵀν + Gᵀλ + Σμ_i(2H_ix + g_i) = 0` together with the active rows as equalities
/// defines `(x, ν, λ, μ)` as a smooth function of every parameter as long as each active row has a
/// positive multiplier and active gradients are independent.
///
/// # Adjoint
/// One symmetric linear system per sample, `[H Eᵀ; E 0] w = −cotangent`; then each gradient is a
/// product of `w` with the solution (Amos & Kolter 2017). With factors shared by the batch it costs
/// triangular solves on the active rows and matrix products over the batch.
///
/// Where the conditions fail the answer is data, not an error: see [`GradientQuality`], and
/// [`AdjointSettings::degenerate`] for which of several answers is returned. Relaxed samples
/// ([`crate::Infeasible::Elastic`]) have the gradient of their elastic problem.
/// Multipliers of inactive rows are constant, so their cotangents have no effect.
///
/// # Shapes
/// As [`Cotangent`] and [`Gradients`] say.
///
/// # Errors
/// [`Error::Shape`] and [`Error::NotFinite`] for the cotangent, [`Error::ForeignSolution`] when
/// the solution has other sizes than the problem, or factors of a `P` in another form, [`Error::Setting`]. The problem
/// must be the one that was solved; only that is checked again.
///
/// # Cost
/// Matrices that the active-set method factored: products with those factors, `O((n + p)(n + p + m))` per
/// sample; matrices of a sample's own are factored again where the factors of the batch would fill more than
/// 256 MiB. Otherwise one `O(n³)` factorisation per sample.
pub fn adjoint(
    problem: &Problem<'_>,
    solution: &Solution,
    cotangent: &Cotangent<'_>,
    wanted: &Wanted,
    settings: &AdjointSettings,
) -> Result<Gradients, Error> {
    settings.validate()?;
    check_solved(problem, solution)?;
    let batch = problem.batch;
    check(problem, batch, cotangent)?;
    // In the layout of the problem as given, about the bounds that were solved for.
    let layouts = PARAMETERS.map(|parameter| layout(parameter, problem, wanted));
    let problem = &solution.solved_problem(problem);
    let mut gradients: [Option<Vec<f64>>; COUNT] = layouts.map(|layout| {
        layout.map(|layout| {
            vec![
                0.0;
                if layout.shared {
                    layout.len
                } else {
                    batch * layout.len
                }
            ]
        })
    });
    let threads = threads(problem, solution.factors.are_kept());
    let numbers = |shared: bool| -> usize {
        let layouts = layouts.iter().flatten();
        layouts
            .filter(|layout| layout.shared == shared)
            .map(|layout| layout.len)
            .sum()
    };
    let run = if numbers(true) > numbers(false) {
        // Every run has a copy of what is shared, to fill and to add: more than a thread that wakes late costs.
        longest_even_run(batch, threads, longest(batch))
    } else {
        run_length(batch, threads, longest(batch))
    };
    let runs = batch.div_ceil(run);

    // Cut the per-sample gradients into one slice per run.
    let mut tasks: Vec<[Option<Sink<'_>>; COUNT]> =
        (0..runs).map(|_| std::array::from_fn(|_| None)).collect();
    for (at, gradient) in gradients.iter_mut().enumerate() {
        let (Some(layout), Some(gradient)) = (layouts[at], gradient.as_mut()) else {
            continue;
        };
        let mut rest = &mut gradient[..];
        for (r, task) in tasks.iter_mut().enumerate() {
            task[at] = Some(if layout.shared {
                Sink::Sum(Vec::new())
            } else {
                let count = run.min(batch - r * run);
                let (head, tail) = rest.split_at_mut(count * layout.len);
                rest = tail;
                Sink::Slot(head)
            });
        }
    }
    let done: Vec<(Vec<GradientReport>, [Vec<f64>; COUNT])> = map_runs(
        tasks,
        threads,
        || (),
        |(), r, mut sinks| {
            let first = r * run;
            let count = run.min(batch - first);
            let source = Source::Cotangent(cotangent);
            let directions = directions(problem, solution, source, settings, first, count);
            let task = Run::new(problem, solution, &directions, first, count);
            let mut sums: [Vec<f64>; COUNT] = Default::default();
            for (at, sink) in sinks.iter_mut().enumerate() {
                let (Some(sink), Some(layout)) = (sink, layouts[at]) else {
                    continue;
                };
                if let Sink::Sum(sum) = sink {
                    *sum = vec![0.0; layout.len];
                }
                task.fill(PARAMETERS[at], sink);
                if let Sink::Sum(sum) = sink {
                    sums[at] = std::mem::take(sum);
                }
            }
            (directions.reports, sums)
        },
    );
    // Added in the runs' order, so that the result does not depend on which thread was first.
    let mut reports = Vec::with_capacity(batch);
    for (more, sums) in done {
        reports.extend(more);
        for (gradient, sum) in gradients.iter_mut().zip(sums) {
            if let Some(gradient) = gradient.as_mut().filter(|_| !sum.is_empty()) {
                crate::dense::axpy(1.0, &sum, gradient);
            }
        }
    }
    let [p, q, a, b, g, l, u, quadratic_h, quadratic_g, quadratic_c] = gradients;
    Ok(Gradients {
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
        reports,
    })
}

/// Samples one task takes at most.
pub(crate) fn longest(batch: usize) -> usize {
    RUN.max(batch.div_ceil(MOST_RUNS))
}

/// Whether the solution has the problem's sizes.
pub(crate) fn check_solution(problem: &Problem<'_>, solution: &Solution) -> Result<(), Error> {
    let batch = problem.batch;
    let sizes = [
        ("batch", solution.status.len(), batch),
        ("x", solution.x.len(), batch * problem.n),
        (
            "equality_dual",
            solution.equality_dual.len(),
            batch * problem.equality_rows(),
        ),
        (
            "inequality_dual",
            solution.inequality_dual.len(),
            batch * problem.inequality_rows(),
        ),
        (
            "quadratic_dual",
            solution.quadratic_dual.len(),
            batch * problem.quadratic_rows(),
        ),
    ];
    for (what, got, expected) in sizes {
        if got != expected {
            return Err(Error::ForeignSolution {
                what,
                got,
                expected,
            });
        }
    }
    Ok(())
}

/// Whether the solution has the problem's sizes, and its factors are of matrices of the problem's form.
pub(crate) fn check_solved(problem: &Problem<'_>, solution: &Solution) -> Result<(), Error> {
    check_solution(problem, solution)?;
    let layout = Layout::of(problem);
    match solution.factors {
        Factors::PerSample(factored, _) if factored != layout => Err(Error::ForeignSolution {
            what: "p",
            got: factored.p_len(),
            expected: layout.p_len(),
        }),
        _ => Ok(()),
    }
}

/// Lengths and finiteness of the cotangent of some samples.
fn check(problem: &Problem<'_>, samples: usize, cotangent: &Cotangent<'_>) -> Result<(), Error> {
    let parts = [
        ("cotangent.x", Some(cotangent.x), problem.n, "[batch, n]"),
        (
            "cotangent.equality_dual",
            cotangent.equality_dual,
            problem.equality_rows(),
            "[batch, p]",
        ),
        (
            "cotangent.inequality_dual",
            cotangent.inequality_dual,
            problem.inequality_rows(),
            "[batch, m]",
        ),
        (
            "cotangent.quadratic_dual",
            cotangent.quadratic_dual,
            problem.quadratic_rows(),
            "[batch, k]",
        ),
    ];
    check_cotangent(samples, &parts)
}

/// Lengths and finiteness of a cotangent's parts: name, numbers, length of one sample, layout.
pub(crate) fn check_cotangent(
    batch: usize,
    parts: &[(&'static str, Option<&[f64]>, usize, &'static str)],
) -> Result<(), Error> {
    for &(argument, part, len, layout) in parts {
        if let Some(part) = part {
            let values = Values::PerSample(part);
            validate::check(argument, values, batch, len, layout, Infinities::None)?;
        }
    }
    Ok(())
}
