//! Solves samples that share `P`, `A`, `G`: everything of size `n` is a matrix product over all of
//! them, each sample only pivots on its own few rows.

use std::ops::Range;
use std::sync::Arc;

use crate::active_set::basis::solve_root;
use crate::active_set::certificate::proves_infeasible;
use crate::active_set::memory::{Memory, row_values};
use crate::active_set::pivot::{Outcome, Rows};
use crate::active_set::reduced::Reduced;
use crate::cut::Cut;
use crate::dense::{vectorised, view};
use crate::fixed::{Verdict, judge};
use crate::problem::Problem;
use crate::residual::{Evaluated, Measured, Point, margin, measure};
use crate::settings::Settings;
use crate::solution::{ActiveRows, Solution};
use crate::status::Status;

/// Residuals above this, relative, are worth a refinement step: it is some tens of rounding errors
/// for the sizes this crate is for.
const REFINE_ABOVE: f64 = 1e-14;

/// Result of one sample.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// `None` hands the sample to the interior point.
    pub(crate) status: Option<Status>,
    pub(crate) iterations: usize,
    pub(crate) measured: Measured,
    /// Strict-complementarity margin, see [`crate::GradientReport`].
    pub(crate) margin: f64,
    /// Where its working rows are among [`WorkingRows::rows`], and their root in [`WorkingRows::root`].
    rows: Range<usize>,
    root: Range<usize>,
    dependent: Vec<u32>,
}

/// The working rows and their roots, one sample's after the other's.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkingRows {
    rows: Vec<u32>,
    /// Whether the upper bound holds it, or both do: parallel to `rows`.
    upper: Vec<bool>,
    root: Vec<f64>,
}

impl WorkingRows {
    fn of(&self, found: &Found) -> (&[u32], &[f64]) {
        (
            &self.rows[found.rows.clone()],
            &self.root[found.root.clone()],
        )
    }

    /// Each of a sample's rows, and whether its upper bound holds it.
    fn sides(&self, found: &Found) -> impl Iterator<Item = (usize, bool)> {
        let range = found.rows.clone();
        let rows = self.rows[range.clone()].iter().map(|row| *row as usize);
        rows.zip(self.upper[range].iter().copied())
    }
}

/// What became of a run of samples.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) found: Vec<Found>,
    /// See [`WorkingRows`].
    pub(crate) rows: Arc<Vec<u32>>,
    pub(crate) root: Arc<Vec<f64>>,
}

impl Finished {
    /// `memory` is that of the run.
    pub(crate) fn new(found: Vec<Found>, memory: &mut Memory) -> Finished {
        let working = std::mem::take(&mut memory.working);
        Finished {
            found,
            rows: Arc::new(working.rows),
            root: Arc::new(working.root),
        }
    }
}

/// A batch to solve, from another solution's active rows where there is one.
#[derive(Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) problem: &'a Problem<'a>,
    pub(crate) settings: &'a Settings,
    pub(crate) previous: Option<&'a Solution>,
}

/// Output slices of some samples.
pub(crate) struct Slots<'s> {
    /// `[count, n]`
    pub(crate) x: &'s mut [f64],
    /// `[count, p]`
    pub(crate) nu: &'s mut [f64],
    /// `[count, m]`
    pub(crate) lambda: &'s mut [f64],
}

/// Solves as many samples from `first` on as there is memory for, and adds what it finds.
pub(crate) fn solve_together(
    task: Task<'_>,
    reduced: &Reduced<'_>,
    first: usize,
    memory: &mut Memory,
    slots: &mut Slots<'_>,
    found: &mut Vec<Found>,
) {
    let Task {
        problem, settings, ..
    } = task;
    let (n, p, m) = (reduced.n, reduced.p, reduced.m);
    let size = n + p;
    let count = memory.point.len() / size;
    for i in 0..count {
        let line = &mut memory.rhs[i * size..(i + 1) * size];
        for (r, q) in line.iter_mut().zip(problem.q.sample(first + i, n)) {
            *r = -q;
        }
        if let Some(part) = problem.equalities {
            line[n..].copy_from_slice(part.b.sample(first + i, p));
        }
    }
    reduced.point(&memory.rhs, size, &mut memory.point, &mut memory.work);
    let g = view(problem.sample(first).g, m, n);
    row_values(&memory.point, size, g, count, &mut memory.rows);

    memory.multipliers.fill(0.0);
    let from = found.len();
    vectorised(
        #[inline(always)]
        || pivot_all(task, reduced, first, memory, found),
    );
    let found = &mut found[from..];
    reduced.respond(&memory.multipliers, &mut memory.point, &mut memory.work);

    let sample = problem.sample(first);
    memory
        .products
        .apply(&sample, reduced, &memory.point, &memory.multipliers);
    vectorised(
        #[inline(always)]
        || record(problem, reduced, first, memory, found, slots),
    );
    if found.iter().any(needs_refinement) {
        refine(problem, reduced, first, memory, found, slots);
    }
    for one in found {
        let relative = one.measured.relative();
        // A NaN hands over as well.
        if one.status == Some(Status::Solved) && !(relative <= settings.reachable_tolerance()) {
            one.status = None;
        }
    }
}

/// Whether a solved sample's residual is above rounding. NaN counts.
fn needs_refinement(found: &Found) -> bool {
    found.status == Some(Status::Solved) && !(found.measured.relative() <= REFINE_ABOVE)
}

#[inline(always)]
fn pivot_all(
    task: Task<'_>,
    reduced: &Reduced<'_>,
    first: usize,
    memory: &mut Memory,
    found: &mut Vec<Found>,
) {
    let Task {
        problem,
        settings,
        previous,
    } = task;
    let m = reduced.m;
    let contradiction = settings.contradiction();
    let Memory {
        rows,
        multipliers,
        pivots,
        start,
        lower,
        upper,
        working,
        guess,
        point,
        ..
    } = memory;
    let (n, size) = (reduced.n, reduced.n + reduced.p);
    let count = point.len() / size;
    for i in 0..count {
        let b = problem
            .equalities
            .map_or(&[][..], |part| part.b.sample(first + i, reduced.p));
        let (l, u) = problem.inequalities.map_or((&[][..], &[][..]), |part| {
            (part.l.sample(first + i, m), part.u.sample(first + i, m))
        });
        let values = &rows[i * m..(i + 1) * m];
        let (mut infeasible, mut unclear) = (!consistent(reduced, b, contradiction), false);
        for j in 0..m {
            let scale = reduced.scale[j];
            if scale > 0.0 {
                start[j] = scale * values[j];
                lower[j] = scale * l[j];
                upper[j] = scale * u[j];
            } else {
                let x = &point[i * size..i * size + n];
                match judge(&problem.sample(first + i), j, x, settings, |row| {
                    reduced.combination_of(row)
                }) {
                    Verdict::Holds => {}
                    Verdict::Contradicts { .. } => infeasible = true,
                    Verdict::Unclear => unclear = true,
                }
                (start[j], lower[j], upper[j]) = (0.0, f64::NEG_INFINITY, f64::INFINITY);
            }
        }
        if infeasible || unclear {
            found.push(Found::plain(
                infeasible.then_some(Status::PrimalInfeasible),
                0,
            ));
            continue;
        }
        let rows = Rows {
            k: reduced.k,
            start,
            lower,
            upper,
        };
        guess.clear();
        if let Some(previous) = previous {
            guess.extend(previous.working_set(first + i));
        }
        let (mut outcome, mut iterations) = pivots.run(rows, guess);
        if outcome != Outcome::Optimal && !guess.is_empty() {
            // What a wrong guess says about the sample is not the last word.
            let (again, more) = pivots.run(rows, &[]);
            (outcome, iterations) = (again, iterations + more);
        }
        let mut one = Found::plain(None, iterations);
        match outcome {
            Outcome::Optimal => {
                one.status = Some(Status::Solved);
                multipliers[i * m..(i + 1) * m].copy_from_slice(&pivots.lambda);
                let basis = &pivots.basis;
                let (row, entry) = (working.rows.len(), working.root.len());
                working.rows.extend(basis.working.iter().map(|&w| w as u32));
                working
                    .upper
                    .extend(pivots.side.iter().map(|side| *side >= 0.0));
                basis.append_root(&mut working.root);
                one.rows = row..working.rows.len();
                one.root = entry..working.root.len();
                let implied = |&j: &usize| l[j] == u[j] && !basis.working.contains(&j);
                one.dependent
                    .extend((0..m).filter(implied).map(|j| j as u32));
            }
            Outcome::Contradiction => {
                if proves_infeasible(&problem.sample(first + i), reduced, &pivots.ray, settings) {
                    one.status = Some(Status::PrimalInfeasible);
                }
            }
            Outcome::Stalled => {}
        }
        found.push(one);
    }
}

fn consistent(reduced: &Reduced<'_>, b: &[f64], contradiction: f64) -> bool {
    match reduced.split {
        Some(split) if !split.dropped.is_empty() => {
            let (miss, size) = split.inconsistency(b);
            miss <= contradiction * (1.0 + size)
        }
        _ => true,
    }
}

impl Slots<'_> {
    /// Those of one of the samples.
    pub(crate) fn of(&mut self, sample: usize, [n, p, m]: [usize; 3]) -> Slots<'_> {
        Slots {
            x: &mut self.x[sample * n..(sample + 1) * n],
            nu: &mut self.nu[sample * p..(sample + 1) * p],
            lambda: &mut self.lambda[sample * m..(sample + 1) * m],
        }
    }
}

impl Found {
    /// A sample that the method cannot start on.
    pub(crate) fn handed_over() -> Found {
        Found::plain(None, 0)
    }

    /// Its active rows, of the run's.
    pub(crate) fn active(self, rows: &Arc<Vec<u32>>, root: &Arc<Vec<f64>>) -> ActiveRows {
        ActiveRows {
            linear: Cut::of(rows, self.rows),
            quadratic: Vec::new(),
            dependent: self.dependent,
            root: Cut::of(root, self.root),
            identified: self.status == Some(Status::Solved),
        }
    }

    fn plain(status: Option<Status>, iterations: usize) -> Found {
        Found {
            status,
            iterations,
            measured: Measured::default(),
            margin: 0.0,
            rows: 0..0,
            root: 0..0,
            dependent: Vec::new(),
        }
    }
}

/// Measures the run's points, records residuals and margins, and copies into the slots every first
/// point and every refined point that is better.
#[inline(always)]
fn record(
    problem: &Problem<'_>,
    reduced: &Reduced<'_>,
    first: usize,
    memory: &mut Memory,
    found: &mut [Found],
    slots: &mut Slots<'_>,
) {
    let (n, p, m) = (reduced.n, reduced.p, reduced.m);
    let size = n + p;
    let (point, products) = (&memory.point, &mut memory.products);
    for i in 0..found.len() {
        let line = &point[i * size..(i + 1) * size];
        let sample = problem.sample(first + i);
        let at = Point {
            x: &line[..n],
            nu: &line[n..],
            lambda: &products.lambda[i * m..(i + 1) * m],
            mu: &[],
        };
        let stationarity = &mut products.gradient[i * n..(i + 1) * n];
        crate::dense::axpy(1.0, sample.q, stationarity);
        let terms = Evaluated {
            stationarity,
            px: &products.px[i * n..(i + 1) * n],
            ax: &products.ax[i * p..(i + 1) * p],
            gx: &products.gx[i * m..(i + 1) * m],
            quadratic: &[],
        };
        let measured = measure(&sample, terms, at);
        let before = found[i].measured;
        let is_first = before.scale.dual == 0.0;
        // Each sample's own residual decides, so that no sample's answer depends on another's.
        let improved = needs_refinement(&found[i]) && measured.relative() < before.relative();
        if is_first || improved {
            found[i].measured = measured;
            found[i].margin = margin(&sample, terms, at, reduced.norms, &[]);
            slots.x[i * n..(i + 1) * n].copy_from_slice(at.x);
            slots.nu[i * p..(i + 1) * p].copy_from_slice(at.nu);
            slots.lambda[i * m..(i + 1) * m].copy_from_slice(at.lambda);
        }
    }
}

/// One step of iterative refinement on the active rows of every sample.
fn refine(
    problem: &Problem<'_>,
    reduced: &Reduced<'_>,
    first: usize,
    memory: &mut Memory,
    found: &mut [Found],
    slots: &mut Slots<'_>,
) {
    let (n, p, m) = (reduced.n, reduced.p, reduced.m);
    let size = n + p;
    let Memory {
        point,
        rhs,
        multipliers,
        products,
        targets,
        before,
        working,
        ..
    } = memory;
    for i in 0..found.len() {
        let sample = problem.sample(first + i);
        for j in 0..n {
            rhs[i * size + j] = -products.gradient[i * n + j];
        }
        for j in 0..p {
            rhs[i * size + n + j] = sample.b[j] - products.ax[i * p + j];
        }
        // Not by the multiplier's sign, which rounding decides where there is no force.
        for (j, upper) in working.sides(&found[i]) {
            let bound = if upper { sample.u[j] } else { sample.l[j] };
            targets[i * m + j] = bound - products.gx[i * m + j];
        }
    }
    before.0.copy_from_slice(point);
    before.1.copy_from_slice(multipliers);
    let working = std::mem::take(&mut memory.working);
    let active = |i: usize| working.of(&found[i]);
    solve_on_active(reduced, problem.sample(first).g, size, active, memory);
    memory.working = working;
    crate::dense::axpy(1.0, &memory.before.0, &mut memory.point);
    crate::dense::axpy(1.0, &memory.before.1, &mut memory.multipliers);
    let sample = problem.sample(first);
    memory
        .products
        .apply(&sample, reduced, &memory.point, &memory.multipliers);
    record(problem, reduced, first, memory, found, slots);
}

/// Solves `[P Aᵀ Eᵀ; A 0 0; E 0 0] (x, ν, λ̃) = (rhs, targets)` for every sample of a run, `E` its active rows with
/// their root and `rhs` and `targets` those of `memory`, where `(x, ν)` and the scaled `λ̃` are left. Numbers of a
/// right-hand side from the `used`th on are zero.
///
/// Cost: two products of `count × (n+p)` by `(n+p) × (n+p)` and `m` rows, and two products with
/// triangles per sample on its active rows.
pub(crate) fn solve_on_active<'a>(
    reduced: &Reduced<'_>,
    g: &[f64],
    used: usize,
    active: impl Fn(usize) -> (&'a [u32], &'a [f64]),
    memory: &mut Memory,
) {
    let (n, p, m) = (reduced.n, reduced.p, reduced.m);
    let size = n + p;
    let count = memory.point.len() / size;
    reduced.point(&memory.rhs, used, &mut memory.point, &mut memory.work);
    memory.multipliers.fill(0.0);
    if m == 0 {
        return;
    }
    row_values(&memory.point, size, view(g, m, n), count, &mut memory.rows);
    let Memory {
        rows,
        multipliers,
        targets,
        start: small,
        lower: work,
        ..
    } = memory;
    vectorised(
        #[inline(always)]
        || {
            for i in 0..count {
                let (held, root) = active(i);
                let (small, work) = (&mut small[..held.len()], &mut work[..held.len()]);
                for (slot, &row) in small.iter_mut().zip(held) {
                    let row = row as usize;
                    *slot = reduced.scale[row] * (rows[i * m + row] - targets[i * m + row]);
                }
                solve_root(root, small, work);
                for (value, &row) in small.iter().zip(held) {
                    multipliers[i * m + row as usize] = *value;
                }
            }
        },
    );
    reduced.respond(&memory.multipliers, &mut memory.point, &mut memory.work);
}
