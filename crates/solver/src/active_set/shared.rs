//! Solves a run of samples that share `P`, `A`, `G`: everything of size `n` is a matrix product
//! over the run, each sample only pivots on its own few rows.

use std::sync::Arc;

use crate::active_set::basis::solve_root;
use crate::active_set::certificate::proves_infeasible;
use crate::active_set::memory::{Memory, row_values};
use crate::active_set::pivot::{Outcome, Rows};
use crate::active_set::reduced::Reduced;
use crate::cut::Cut;
use crate::dense::{vectorised, view};
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
    pub(crate) active: ActiveRows,
}

/// Output slices of a run.
pub(crate) struct Slots<'s> {
    /// `[count, n]`
    pub(crate) x: &'s mut [f64],
    /// `[count, p]`
    pub(crate) nu: &'s mut [f64],
    /// `[count, m]`
    pub(crate) lambda: &'s mut [f64],
}

/// Solves samples `first .. first + slots`, from another solution's active rows where there is one.
pub(crate) fn solve_run(
    problem: &Problem<'_>,
    reduced: &Reduced,
    first: usize,
    memory: &mut Memory,
    slots: &mut Slots<'_>,
    settings: &Settings,
    previous: Option<&Solution>,
) -> Vec<Found> {
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
    reduced.point(&memory.rhs, &mut memory.point, &mut memory.work);
    let g = view(problem.sample(first).g, m, n);
    row_values(&memory.point, size, g, count, &mut memory.rows);

    memory.multipliers.fill(0.0);
    let mut found = vectorised(
        #[inline(always)]
        || pivot_all(problem, reduced, first, memory, settings, previous),
    );
    reduced.respond(&memory.multipliers, &mut memory.point, &mut memory.work);

    let sample = problem.sample(first);
    memory
        .products
        .apply(&sample, reduced, &memory.point, &memory.multipliers);
    vectorised(
        #[inline(always)]
        || record(problem, reduced, first, memory, &mut found, slots),
    );
    if found.iter().any(needs_refinement) {
        refine(problem, reduced, first, memory, &mut found, slots);
    }
    for one in &mut found {
        let relative = one.measured.relative();
        // A NaN hands over as well.
        if one.status == Some(Status::Solved) && !(relative <= settings.reachable_tolerance()) {
            one.status = None;
        }
    }
    found
}

/// Whether a solved sample's residual is above rounding. NaN counts.
fn needs_refinement(found: &Found) -> bool {
    found.status == Some(Status::Solved) && !(found.measured.relative() <= REFINE_ABOVE)
}

#[inline(always)]
fn pivot_all(
    problem: &Problem<'_>,
    reduced: &Reduced,
    first: usize,
    memory: &mut Memory,
    settings: &Settings,
    previous: Option<&Solution>,
) -> Vec<Found> {
    let m = reduced.m;
    let contradiction = settings.contradiction();
    let Memory {
        rows,
        multipliers,
        pivots,
        start,
        lower,
        upper,
        places,
        ..
    } = memory;
    let count = memory.point.len() / (reduced.n + reduced.p);
    let mut found = Vec::with_capacity(count);
    // The run's working rows and roots, one sample's after the other's.
    let (mut linear, mut root) = (Vec::new(), Vec::new());
    places.clear();
    places.resize(count, (0..0, 0..0));
    for i in 0..count {
        let b = problem
            .equalities
            .map_or(&[][..], |part| part.b.sample(first + i, reduced.p));
        let (l, u) = problem.inequalities.map_or((&[][..], &[][..]), |part| {
            (part.l.sample(first + i, m), part.u.sample(first + i, m))
        });
        let values = &rows[i * m..(i + 1) * m];
        let mut feasible = consistent(reduced, b, contradiction);
        for j in 0..m {
            let scale = reduced.scale[j];
            if scale > 0.0 {
                start[j] = scale * values[j];
                lower[j] = scale * l[j];
                upper[j] = scale * u[j];
            } else {
                // The equalities fix this row: it is satisfied or nothing can be done.
                let slack = contradiction * (reduced.norms[j] + values[j].abs());
                feasible &= values[j] >= l[j] - slack && values[j] <= u[j] + slack;
                (start[j], lower[j], upper[j]) = (0.0, f64::NEG_INFINITY, f64::INFINITY);
            }
        }
        if !feasible {
            found.push(Found::plain(Some(Status::PrimalInfeasible), 0));
            continue;
        }
        let rows = Rows {
            k: &reduced.k,
            start,
            lower,
            upper,
        };
        let guess = previous.map_or(Vec::new(), |previous| previous.working_set(first + i));
        let (mut outcome, mut iterations) = pivots.run(rows, &guess);
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
                let (row, entry) = (linear.len(), root.len());
                linear.extend(pivots.basis.working.iter().map(|&w| w as u32));
                pivots.basis.append_root(&mut root);
                places[i] = (row..linear.len(), entry..root.len());
                one.active = ActiveRows {
                    linear: Cut::default(),
                    quadratic: Vec::new(),
                    dependent: (0..m)
                        .filter(|&j| l[j] == u[j] && !pivots.basis.working.contains(&j))
                        .map(|j| j as u32)
                        .collect(),
                    root: Cut::default(),
                    identified: true,
                };
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
    let (linear, root) = (Arc::new(linear), Arc::new(root));
    for (one, (rows, entries)) in found.iter_mut().zip(places.drain(..)) {
        one.active.linear = Cut::of(&linear, rows);
        one.active.root = Cut::of(&root, entries);
    }
    found
}

fn consistent(reduced: &Reduced, b: &[f64], contradiction: f64) -> bool {
    match &reduced.split {
        Some(split) if !split.dropped.is_empty() => {
            let (miss, size) = split.inconsistency(b);
            miss <= contradiction * (1.0 + size)
        }
        _ => true,
    }
}

impl Found {
    /// A sample that the method cannot start on.
    pub(crate) fn handed_over() -> Found {
        Found::plain(None, 0)
    }

    fn plain(status: Option<Status>, iterations: usize) -> Found {
        Found {
            status,
            iterations,
            measured: Measured::default(),
            margin: 0.0,
            active: ActiveRows::default(),
        }
    }
}

/// Measures the run's points, records residuals and margins, and copies into the slots every first
/// point and every refined point that is better.
#[inline(always)]
fn record(
    problem: &Problem<'_>,
    reduced: &Reduced,
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
            found[i].margin = margin(&sample, terms, at, &reduced.norms, &[]);
            slots.x[i * n..(i + 1) * n].copy_from_slice(at.x);
            slots.nu[i * p..(i + 1) * p].copy_from_slice(at.nu);
            slots.lambda[i * m..(i + 1) * m].copy_from_slice(at.lambda);
        }
    }
}

/// One step of iterative refinement on the active rows of every sample.
fn refine(
    problem: &Problem<'_>,
    reduced: &Reduced,
    first: usize,
    memory: &mut Memory,
    found: &mut [Found],
    slots: &mut Slots<'_>,
) {
    let (n, p, m) = (reduced.n, reduced.p, reduced.m);
    let (size, count) = (n + p, found.len());
    let Memory {
        point,
        rhs,
        multipliers,
        products,
        ..
    } = memory;
    for i in 0..count {
        for j in 0..n {
            rhs[i * size + j] = -products.gradient[i * n + j];
        }
        let b = problem.sample(first + i).b;
        for j in 0..p {
            rhs[i * size + n + j] = b[j] - products.ax[i * p + j];
        }
    }
    let before = (point.clone(), multipliers.clone());
    let active: Vec<&ActiveRows> = found.iter().map(|f| &f.active).collect();
    let (gx, lambda) = (products.gx.clone(), products.lambda.clone());
    let target = |i: usize, row: usize| {
        let sample = problem.sample(first + i);
        let bound = if lambda[i * m + row] > 0.0 {
            sample.u[row]
        } else {
            sample.l[row]
        };
        let miss = bound - gx[i * m + row];
        // An equal-bounds row with a zero multiplier has both bounds; any other working row has
        // the bound its multiplier points to.
        if miss.is_finite() {
            reduced.scale[row] * miss
        } else {
            0.0
        }
    };
    solve_on_active(reduced, problem.sample(first).g, &active, memory, target);
    crate::dense::axpy(1.0, &before.0, &mut memory.point);
    crate::dense::axpy(1.0, &before.1, &mut memory.multipliers);
    let sample = problem.sample(first);
    memory
        .products
        .apply(&sample, reduced, &memory.point, &memory.multipliers);
    record(problem, reduced, first, memory, found, slots);
}

/// Solves `[P Aᵀ Eᵀ; A 0 0; E 0 0] (x, ν, λ̃) = (rhs, target)` for every sample of a run, `E` its
/// scaled active rows and `rhs` that of `memory`, where `(x, ν)` and `λ̃` are left.
///
/// Cost: two products of `count × (n+p)` by `(n+p) × (n+p)` and `m` rows, and two products with
/// triangles per sample on its active rows.
pub(crate) fn solve_on_active(
    reduced: &Reduced,
    g: &[f64],
    active: &[&ActiveRows],
    memory: &mut Memory,
    target: impl Fn(usize, usize) -> f64,
) {
    let (n, p, m) = (reduced.n, reduced.p, reduced.m);
    let (size, count) = (n + p, active.len());
    reduced.point(&memory.rhs, &mut memory.point, &mut memory.work);
    memory.multipliers.fill(0.0);
    if m == 0 {
        return;
    }
    row_values(&memory.point, size, view(g, m, n), count, &mut memory.rows);
    let Memory {
        rows,
        multipliers,
        start: small,
        lower: work,
        ..
    } = memory;
    vectorised(
        #[inline(always)]
        || {
            for (i, active) in active.iter().enumerate() {
                let held = active.linear.len();
                let (small, work) = (&mut small[..held], &mut work[..held]);
                for (slot, &row) in small.iter_mut().zip(active.linear.iter()) {
                    let row = row as usize;
                    *slot = reduced.scale[row] * rows[i * m + row] - target(i, row);
                }
                solve_root(&active.root, small, work);
                for (value, &row) in small.iter().zip(active.linear.iter()) {
                    multipliers[i * m + row as usize] = *value;
                }
            }
        },
    );
    reduced.respond(&memory.multipliers, &mut memory.point, &mut memory.work);
}
