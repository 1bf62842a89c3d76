//! Spreads a batch over threads, in runs of samples: with factors that all have in common, or each sample with
//! its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use feasible_kernels::{map_runs, run_length};

use crate::active_set::explicit::Explicit;
use crate::active_set::least_distance::{Builder, Kept, Layout};
use crate::active_set::memory::Lent;
use crate::active_set::shared::{Finished, Found, Slots, Task, solve_together};
use crate::cut::Cut;
use crate::error::Error;
use crate::problem::{Matrix, Problem};
use crate::semidefinite::{NotSemidefinite, Semidefinite, check_symmetric};
use crate::settings::{Method, Settings};
use crate::size::{given, has_factors};
use crate::solution::{Factors, Own, Solution};
use crate::status::Status;
use crate::validate::not_convex;
use crate::work::threads;

/// Samples one thread solves together: enough rows to fill a matrix product, few enough that their
/// points stay in the second-level cache.
const RUN: usize = 64;

/// Numbers of samples' own factors that a batch keeps at most: a quarter of a gigabyte.
const KEPT: usize = 1 << 25;

/// Whether a problem is for this method.
pub(crate) fn takes(problem: &Problem<'_>, settings: &Settings) -> bool {
    let sizes = [
        problem.n,
        problem.equality_rows(),
        problem.inequality_rows(),
    ];
    problem.quadratic_rows() == 0
        && settings.method == Method::Auto
        && (has_factors(sizes, given(problem)) || sizes[1..] == [0, 0])
}

/// Whether [`active_set`] is where symmetry and convexity of `P` are checked: a factor that each sample needs
/// anyway shows them.
pub(crate) fn checks_convexity(problem: &Problem<'_>, settings: &Settings) -> bool {
    takes(problem, settings) && !problem.p.is_diagonal() && !problem.p.values().is_shared()
}

/// Runs the active-set method; returns the samples it leaves to the interior point.
///
/// # Errors
/// Of [`checks_convexity`]'s samples, those of the first that fails.
pub(crate) fn active_set(
    problem: &Problem<'_>,
    previous: Option<&Solution>,
    settings: &Settings,
    solution: &mut Solution,
) -> Result<Vec<usize>, Error> {
    let task = Task {
        problem,
        settings,
        previous,
    };
    let shared = problem.matrices_shared();
    let threads = threads(problem, shared);
    let run = run_length(problem.batch, threads, RUN);
    let slots = slots(problem, run, solution);
    let (finished, factors) = if shared {
        let Some(explicit) = Explicit::new(&problem.sample(0)) else {
            return Ok((0..problem.batch).collect());
        };
        let reduced = explicit.reduced();
        let solve = |memory: &mut Lent, r: usize, mut slots: Slots<'_>| {
            let count = slots.x.len() / problem.n;
            memory.resize(problem, count);
            let mut found = Vec::with_capacity(count);
            solve_together(task, &reduced, r * run, memory, &mut slots, &mut found);
            Finished::new(found, memory)
        };
        let finished = map_runs(slots, threads, || Lent::new(problem, run), solve);
        (finished, Factors::Shared(Arc::new(explicit)))
    } else {
        let budget = &Budget::new(KEPT);
        let memory = || OwnMemory::new(problem, checks_convexity(problem, settings));
        let solve = |memory: &mut OwnMemory, r: usize, slots: Slots<'_>| {
            solve_each(task, r * run, memory, slots, budget)
        };
        let runs = map_runs(slots, threads, memory, solve);
        let runs: Vec<(Finished, Vec<Own>)> = runs.into_iter().collect::<Result<_, Error>>()?;
        let (finished, own): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
        let own = own.into_iter().flatten().collect();
        let layout = Layout::of(problem);
        (finished, Factors::PerSample(layout, Arc::new(own)))
    };
    solution.factors = factors;
    Ok(gather(finished, solution))
}

/// The outputs of every run.
fn slots<'s>(problem: &Problem<'_>, run: usize, solution: &'s mut Solution) -> Vec<Slots<'s>> {
    let (n, p, m) = (
        problem.n,
        problem.equality_rows(),
        problem.inequality_rows(),
    );
    // `chunks_mut` of an absent part must still yield one empty slice per run.
    let runs = problem.batch.div_ceil(run);
    let mut slots = Vec::with_capacity(runs);
    let (mut x, mut nu, mut lambda) = (
        &mut solution.x[..],
        &mut solution.equality_dual[..],
        &mut solution.inequality_dual[..],
    );
    for r in 0..runs {
        let count = run.min(problem.batch - r * run);
        let (head_x, tail_x) = x.split_at_mut(count * n);
        let (head_nu, tail_nu) = nu.split_at_mut(count * p);
        let (head_lambda, tail_lambda) = lambda.split_at_mut(count * m);
        slots.push(Slots {
            x: head_x,
            nu: head_nu,
            lambda: head_lambda,
        });
        (x, nu, lambda) = (tail_x, tail_nu, tail_lambda);
    }
    slots
}

/// Working memory for samples with factors of their own.
struct OwnMemory {
    builder: Builder,
    memory: Lent,
    convexity: Semidefinite,
}

impl OwnMemory {
    fn new(problem: &Problem<'_>, checks_convexity: bool) -> OwnMemory {
        OwnMemory {
            builder: Builder::new(Layout::of(problem)),
            memory: Lent::new(problem, 1),
            convexity: Semidefinite::new(if checks_convexity { problem.n } else { 0 }),
        }
    }
}

/// Numbers that may still be kept. Which samples' are does not change what derivatives are.
struct Budget(AtomicUsize);

impl Budget {
    fn new(numbers: usize) -> Budget {
        Budget(AtomicUsize::new(numbers))
    }

    /// Takes so many, if there are.
    fn take(&self, numbers: usize) -> bool {
        let less = |left: usize| left.checked_sub(numbers);
        let order = Ordering::Relaxed;
        self.0.fetch_update(order, order, less).is_ok()
    }

    fn give_back(&self, numbers: usize) {
        self.0.fetch_add(numbers, Ordering::Relaxed);
    }
}

/// Solves a run of samples, each with factors of its own, which are kept for derivatives as far as the budget goes.
fn solve_each(
    task: Task<'_>,
    first: usize,
    memory: &mut OwnMemory,
    mut slots: Slots<'_>,
    budget: &Budget,
) -> Result<(Finished, Vec<Own>), Error> {
    let OwnMemory {
        builder,
        memory,
        convexity,
    } = memory;
    let (problem, rounding) = (task.problem, task.settings.rounding);
    let unchecked = checks_convexity(problem, task.settings);
    let sizes = [
        problem.n,
        problem.equality_rows(),
        problem.inequality_rows(),
    ];
    let count = slots.x.len() / problem.n;
    let len = Layout::of(problem).len();
    let keep = budget.take(count.saturating_mul(len));
    let mut numbers = Vec::with_capacity(if keep { count * len } else { len });
    let mut found = Vec::with_capacity(count);
    let mut own = Vec::with_capacity(count);
    for i in 0..count {
        let index = first + i;
        let sample = problem.sample(index);
        let mut slots = slots.of(i, sizes);
        let error = |found: NotSemidefinite| not_convex("p", Some(index), 0, found);
        let start = numbers.len();
        let unchecked = match sample.p {
            Matrix::Dense(p) if unchecked => Some(p),
            _ => None,
        };
        if let Some(p) = unchecked {
            check_symmetric(p, problem.n, rounding).map_err(error)?;
        }
        if let Some(condition) = builder.build(&sample, &mut numbers) {
            let reduced = builder.reduced(&numbers[start..], condition);
            solve_together(task, &reduced, index, memory, &mut slots, &mut found);
            let solved = found[i].status == Some(Status::Solved);
            if !(solved && keep) {
                numbers.truncate(start);
            }
            own.push(match solved {
                false => Own::None,
                true if keep => Own::LeastDistance(Kept {
                    numbers: Cut::default(),
                    condition,
                }),
                true => Own::Again,
            });
            continue;
        }
        if let Some(p) = unchecked {
            convexity.check_eigenvalues(p, rounding).map_err(error)?;
        }
        let Some(explicit) = Explicit::null_space(&sample) else {
            found.push(Found::handed_over());
            own.push(Own::None);
            continue;
        };
        let reduced = explicit.reduced();
        solve_together(task, &reduced, index, memory, &mut slots, &mut found);
        // What derivatives do not use is not kept: see `direction::Pivoted`.
        let used = reduced.full_rank() && found[i].status == Some(Status::Solved);
        own.push(match used {
            false => Own::None,
            true if budget.take(explicit.kept_len()) => {
                Own::Explicit(Box::new(explicit.without_pivots()))
            }
            true => Own::Again,
        });
    }
    if keep {
        budget.give_back(count * len - numbers.len());
    }
    let numbers = Arc::new(numbers);
    let kept = own.iter_mut().filter_map(|own| match own {
        Own::LeastDistance(kept) => Some(kept),
        _ => None,
    });
    for (at, kept) in kept.enumerate() {
        kept.numbers = Cut::of(&numbers, at * len..(at + 1) * len);
    }
    Ok((Finished::new(found, memory), own))
}

/// Writes down what was found; returns the samples that it leaves to another method.
fn gather(finished: Vec<Finished>, solution: &mut Solution) -> Vec<usize> {
    let mut left = Vec::new();
    let mut index = 0;
    for Finished { found, rows, root } in finished {
        for one in found {
            let i = index;
            index += 1;
            solution.iterations[i] = one.iterations;
            let Some(status) = one.status else {
                left.push(i);
                continue;
            };
            solution.status[i] = status;
            solution.residuals[i] = one.measured.absolute;
            solution.objective[i] = one.measured.objective;
            solution.margin[i] = one.margin;
            solution.active[i] = one.active(&rows, &root);
        }
    }
    left
}
