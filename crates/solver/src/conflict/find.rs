//! Finds the certificate of a sample that was found infeasible or unbounded.
//!
//! Contradictory linear rows come from the dual active set on the least-norm problem: its working
//! rows are independent, so the combination that contradicts the entering row is the only one
//! there is, and its rows are an irreducible conflict (Gleeson & Ryan 1990). With quadratic rows
//! the multipliers are those of the smallest common relaxation, and rows that are not needed are
//! then left out one by one.

use crate::active_set::explicit::Explicit;
use crate::active_set::pivot::{Outcome, Pivots, Rows};
use crate::active_set::reduced::Reduced;
use crate::conflict::{Certificate, Conflict, ConflictingRow, Farkas, NamedRow};
use crate::crossed;
use crate::dense::{axpy, dot, max_abs, norm};
use crate::fixed::{Verdict, judge};
use crate::interior_point::{falling_direction, relaxation};
use crate::problem::{Matrix, Sample};
use crate::settings::Settings;
use crate::size::has_factors;
use crate::status::Status;

/// Multipliers below one of these shares of the largest weight are rounding: the first is taken
/// whose proof holds. A slight contradiction needs the small ones as well.
const NEGLIGIBLE: [f64; 3] = [1e-6, 1e-9, 1e-13];

/// Rows of a conflict that are tried one by one, each at the price of a solve, in problems without the factors
/// that name only those that are needed.
const MOST_TRIED: usize = 1000;

/// The certificate of a status, where one can be written down and checked. Samples that share `A`
/// and `G` can share [`least_norm`].
pub(crate) fn certify(
    sample: &Sample<'_>,
    status: Status,
    shared: Option<&Explicit>,
    settings: &Settings,
) -> Option<Certificate> {
    match status {
        Status::PrimalInfeasible => {
            infeasible(sample, shared, settings).map(Certificate::Infeasible)
        }
        Status::DualInfeasible => falling_direction(sample, settings).map(Certificate::Unbounded),
        _ => None,
    }
}

/// Multipliers before they are checked.
struct Candidate {
    nu: Vec<f64>,
    lambda: Vec<f64>,
    mu: Vec<f64>,
    /// Where the combination is smallest; anything without quadratic rows.
    x: Vec<f64>,
}

impl Candidate {
    fn zero(sample: &Sample<'_>) -> Candidate {
        Candidate {
            nu: vec![0.0; sample.b.len()],
            lambda: vec![0.0; sample.l.len()],
            mu: vec![0.0; sample.c.len()],
            x: vec![0.0; sample.n],
        }
    }
}

/// The factors of the least-norm problem on a sample's equalities and linear rows, `None` also where they are too
/// large.
pub(crate) fn least_norm(sample: &Sample<'_>) -> Option<Explicit> {
    let n = sample.n;
    let (p, m) = (sample.b.len(), sample.l.len());
    if !has_factors([n, p, m], sample.a.len() + sample.g.len()) {
        return None;
    }
    let ones = vec![1.0; n];
    Explicit::new(&Sample {
        p: Matrix::Diagonal(&ones),
        ..*sample
    })
}

fn infeasible(
    sample: &Sample<'_>,
    shared: Option<&Explicit>,
    settings: &Settings,
) -> Option<Farkas> {
    let linear = || match shared {
        Some(shared) => linear(sample, &shared.reduced(), settings),
        None => linear(sample, &least_norm(sample)?.reduced(), settings),
    };
    crossed::proof(sample)
        .or_else(|| checked(sample, constant_row(sample)?, settings))
        .or_else(|| linear().and_then(|found| checked(sample, found, settings)))
        .or_else(|| Some(thinned(sample, relaxed(sample, settings)?, settings)))
}

/// The rows that hold the smallest common relaxation back.
fn relaxed(sample: &Sample<'_>, settings: &Settings) -> Option<Farkas> {
    let (nu, lambda, mu, x) = relaxation(sample, settings)?;
    checked(sample, Candidate { nu, lambda, mu, x }, settings)
}

/// Leaves out one row after another, the lightest first, as long as the rest still conflict
/// (the deletion filter of Chinneck & Dravnieks 1991).
fn thinned(sample: &Sample<'_>, mut found: Farkas, settings: &Settings) -> Farkas {
    if found.conflict.rows.len() > MOST_TRIED {
        return found;
    }
    for candidate in found.conflict.rows.clone().iter().rev() {
        let named = |row| {
            let rows = &found.conflict.rows;
            row != candidate.row && rows.iter().any(|other| other.row == row)
        };
        if !found
            .conflict
            .rows
            .iter()
            .any(|row| row.row == candidate.row)
        {
            continue;
        }
        let n = sample.n;
        let (mut a, mut b) = (sample.a.to_vec(), sample.b.to_vec());
        for i in (0..b.len()).filter(|&i| !named(NamedRow::Equality(i))) {
            a[i * n..(i + 1) * n].fill(0.0);
            b[i] = 0.0;
        }
        let pick = |bounds: &[f64], row: fn(usize) -> NamedRow, none: f64| -> Vec<f64> {
            let bounds = bounds.iter().enumerate();
            bounds
                .map(|(i, v)| if named(row(i)) { *v } else { none })
                .collect()
        };
        let l = pick(sample.l, NamedRow::Lower, f64::NEG_INFINITY);
        let u = pick(sample.u, NamedRow::Upper, f64::INFINITY);
        let c = pick(sample.c, NamedRow::Quadratic, f64::INFINITY);
        let rest = Sample {
            a: &a,
            b: &b,
            l: &l,
            u: &u,
            c: &c,
            ..*sample
        };
        let fewer = least_norm(&rest)
            .and_then(|factors| linear(&rest, &factors.reduced(), settings))
            .and_then(|found| checked(&rest, found, settings))
            .or_else(|| relaxed(&rest, settings));
        if let Some(fewer) = fewer {
            found = fewer;
        }
    }
    found
}

/// A quadratic row without variables that asks `0 ≤ c < 0`.
fn constant_row(sample: &Sample<'_>) -> Option<Candidate> {
    let n = sample.n;
    let row = (0..sample.c.len()).find(|&i| {
        sample.c[i] < 0.0
            && sample.h.row(i, n).max_abs() == 0.0
            && max_abs(&sample.hg[i * n..(i + 1) * n]) == 0.0
    })?;
    let mut found = Candidate::zero(sample);
    found.mu[row] = 1.0;
    Some(found)
}

/// Contradictory equalities and linear rows.
fn linear(sample: &Sample<'_>, reduced: &Reduced<'_>, settings: &Settings) -> Option<Candidate> {
    let n = sample.n;
    let mut found = Candidate::zero(sample);
    if let Some(split) = reduced.split
        && let Some(nu) = split.contradiction(sample.b, settings.contradiction())
    {
        found.nu = nu;
        return Some(found);
    }
    let size = n + reduced.p;
    let mut rhs = vec![0.0; size];
    rhs[n..].copy_from_slice(sample.b);
    let mut point = vec![0.0; size];
    reduced.point(&rhs, rhs.len(), &mut point, &mut Vec::new());
    let x = &point[..n];
    let m = reduced.m;
    let (mut start, mut lower, mut upper) = (
        vec![0.0; m],
        vec![f64::NEG_INFINITY; m],
        vec![f64::INFINITY; m],
    );
    for j in 0..m {
        let row = &sample.g[j * n..(j + 1) * n];
        let (value, scale) = (dot(row, x), reduced.scale[j]);
        if scale > 0.0 {
            (start[j], lower[j], upper[j]) =
                (scale * value, scale * sample.l[j], scale * sample.u[j]);
            continue;
        }
        let combination = |row: &[f64]| reduced.combination_of(row);
        if let Verdict::Contradicts { sign, nu } = judge(sample, j, x, settings, combination) {
            found.lambda[j] = sign;
            found.nu = nu.iter().map(|v| -sign * v).collect();
            return Some(found);
        }
    }
    let mut pivots = Pivots::new(m, n);
    let rows = Rows {
        k: reduced.k,
        start: &start,
        lower: &lower,
        upper: &upper,
    };
    let (outcome, _) = pivots.run(rows, &[]);
    if outcome != Outcome::Contradiction {
        return None;
    }
    for (j, &ray) in pivots.ray.iter().enumerate() {
        found.lambda[j] = reduced.scale[j] * ray;
    }
    let mut response = vec![0.0; size];
    reduced.respond(&pivots.ray, &mut response, &mut Vec::new());
    found.nu.copy_from_slice(&response[n..]);
    Some(found)
}

/// Drops what is rounding, scales so that weights sum to 1, and checks the proof on the sample's own numbers: `φ` is convex,
/// so `φ(y) ≥ φ(x) + ∇φ(x)ᵀ(y − x)`, and a small gradient excludes every `y` that is not far away.
fn checked(sample: &Sample<'_>, found: Candidate, settings: &Settings) -> Option<Farkas> {
    let rows = weights(sample, &found);
    let largest = rows.iter().map(|row| row.weight).fold(0.0, f64::max);
    // NaN and a combination of nothing prove nothing.
    if !(largest > 0.0 && largest.is_finite()) {
        return None;
    }
    NEGLIGIBLE.iter().find_map(|share| {
        let named = rows
            .iter()
            .filter(|row| row.weight > share * largest)
            .copied();
        proven(sample, &found, named.collect(), settings)
    })
}

/// Every row with its multiplier times its norm.
fn weights(sample: &Sample<'_>, found: &Candidate) -> Vec<ConflictingRow> {
    let n = sample.n;
    let mut rows: Vec<ConflictingRow> = Vec::new();
    let mut name = |row, weight: f64| rows.push(ConflictingRow { row, weight });
    // A row of zeros is contradicted by its own side alone.
    let length = |row: &[f64]| match norm(row) {
        0.0 => 1.0,
        length => length,
    };
    for (i, nu) in found.nu.iter().enumerate() {
        let weight = nu.abs() * length(&sample.a[i * n..(i + 1) * n]);
        name(NamedRow::Equality(i), weight);
    }
    for (i, lambda) in found.lambda.iter().enumerate() {
        let weight = lambda.abs() * length(&sample.g[i * n..(i + 1) * n]);
        let side = if *lambda > 0.0 {
            NamedRow::Upper(i)
        } else {
            NamedRow::Lower(i)
        };
        name(side, weight);
    }
    for (i, mu) in found.mu.iter().enumerate() {
        let linear = norm(&sample.hg[i * n..(i + 1) * n]);
        let size = linear.max(sample.h.row(i, n).max_abs());
        name(
            NamedRow::Quadratic(i),
            mu * if size > 0.0 { size } else { 1.0 },
        );
    }
    rows
}

/// The certificate of the named rows alone, if it is one.
fn proven(
    sample: &Sample<'_>,
    found: &Candidate,
    mut rows: Vec<ConflictingRow>,
    settings: &Settings,
) -> Option<Farkas> {
    let total: f64 = rows.iter().map(|row| row.weight).sum();
    let mut scaled = Candidate::zero(sample);
    for row in &mut rows {
        row.weight /= total;
        match row.row {
            NamedRow::Equality(i) => scaled.nu[i] = found.nu[i] / total,
            NamedRow::Lower(i) | NamedRow::Upper(i) => scaled.lambda[i] = found.lambda[i] / total,
            NamedRow::Quadratic(i) => scaled.mu[i] = found.mu[i] / total,
        }
    }
    scaled.x.copy_from_slice(&found.x);
    let gap = proof(sample, &scaled, settings)?;
    // Weights that differ by rounding alone stay in the problem's order.
    rows.sort_by_key(|row| std::cmp::Reverse((row.weight * 1e6).round() as i64));
    Some(Farkas {
        equality: scaled.nu,
        inequality: scaled.lambda,
        quadratic: scaled.mu,
        gap,
        conflict: Conflict { rows },
    })
}

/// `φ` at its smallest, if that is a contradiction.
fn proof(sample: &Sample<'_>, found: &Candidate, settings: &Settings) -> Option<f64> {
    let n = sample.n;
    let mut gradient = vec![0.0; n];
    let mut value = 0.0;
    for ((nu, b), row) in found.nu.iter().zip(sample.b).zip(sample.a.chunks_exact(n)) {
        value += nu * (dot(row, &found.x) - b);
        axpy(*nu, row, &mut gradient);
    }
    for (i, &lambda) in found.lambda.iter().enumerate() {
        if lambda != 0.0 {
            let row = &sample.g[i * n..(i + 1) * n];
            let bound = if lambda > 0.0 {
                sample.u[i]
            } else {
                sample.l[i]
            };
            value += lambda * (dot(row, &found.x) - bound);
            axpy(lambda, row, &mut gradient);
        }
    }
    for (i, &mu) in found.mu.iter().enumerate() {
        if mu != 0.0 {
            let mut product = vec![0.0; n];
            sample.h.row(i, n).add_product(1.0, &found.x, &mut product);
            let linear = &sample.hg[i * n..(i + 1) * n];
            value += mu * (dot(&product, &found.x) + dot(linear, &found.x) - sample.c[i]);
            axpy(2.0 * mu, &product, &mut gradient);
            axpy(mu, linear, &mut gradient);
        }
    }
    let tolerance = settings.infeasibility_tolerance;
    let reach = max_abs(&gradient) * (1.0 + max_abs(&found.x));
    (value > 0.0 && reach <= tolerance.max(1e-9) * value.max(tolerance)).then_some(value)
}
