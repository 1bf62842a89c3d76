//! Solves the transposed optimality system: `M w = −cotangent` for every sample of a run.
//!
//! `M = [H Eᵀ; E 0]` is symmetric, `H = P + Σ 2μ_iH_i`, `E` the equalities and active rows. With
//! `w` known, every parameter's gradient is `wᵀ∂F/∂θ`, `F` the optimality conditions
//! (Amos & Kolter 2017, eq. 6–8, there for QPs without quadratic rows).

use crate::active_set::shared::{Products, solve_on_active};
use crate::adjoint::types::{Cotangent, GradientQuality, GradientReport};
use crate::dense::{dot, max_abs, vectorised};
use crate::kkt::ActiveKkt;
use crate::nullspace::spread;
use crate::problem::{Matrix, Problem, Sample};
use crate::residual::{Point, Terms};
use crate::settings::AdjointSettings;
use crate::solution::{ActiveRows, Solution};

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
}

const UNAVAILABLE: GradientReport = GradientReport {
    quality: GradientQuality::Unavailable,
    residual: f64::INFINITY,
    margin: 0.0,
    condition: f64::INFINITY,
};

/// Solves for samples `first .. first + count`.
pub(crate) fn directions(
    problem: &Problem<'_>,
    solution: &Solution,
    cotangent: &Cotangent<'_>,
    settings: &AdjointSettings,
    first: usize,
    count: usize,
) -> Directions {
    let (n, p) = (problem.n, problem.equality_rows());
    let (m, k) = (problem.inequality_rows(), problem.quadratic_rows());
    let mut out = Directions {
        x: vec![0.0; count * n],
        nu: vec![0.0; count * p],
        lambda: vec![0.0; count * m],
        mu: vec![0.0; count * k],
        reports: vec![UNAVAILABLE; count],
    };
    let batched = batched(
        problem, solution, cotangent, settings, first, count, &mut out,
    );
    for i in 0..count {
        if !batched[i] && solution.status[first + i].is_solved() {
            single(
                problem,
                solution,
                cotangent,
                settings,
                first + i,
                i,
                &mut out,
            );
        }
    }
    out
}

/// The part of the run that has shared factors and a clean active set, as matrix products.
/// Returns which samples it did.
fn batched(
    problem: &Problem<'_>,
    solution: &Solution,
    cotangent: &Cotangent<'_>,
    settings: &AdjointSettings,
    first: usize,
    count: usize,
    out: &mut Directions,
) -> Vec<bool> {
    let none = vec![false; count];
    let Some(reduced) = &solution.reduced else {
        return none;
    };
    let (n, p, m) = (reduced.n, reduced.p, reduced.m);
    let clean: Vec<bool> = (first..first + count)
        .map(|i| {
            let active = &solution.active[i];
            let rows = active.linear.len();
            solution.status[i].is_solved()
                && solution.margin[i] > settings.degenerate_margin
                && reduced.full_rank()
                && active.factor.len() == rows * (rows + 1) / 2
                && active.dependent.is_empty()
        })
        .collect();
    if !clean.contains(&true) {
        return none;
    }
    let size = n + p;
    let nothing = ActiveRows::default();
    let mut rhs = vec![0.0; count * size];
    let mut active = Vec::with_capacity(count);
    for i in 0..count {
        if !clean[i] {
            active.push(&nothing);
            continue;
        }
        active.push(&solution.active[first + i]);
        let line = &mut rhs[i * size..(i + 1) * size];
        let x = &cotangent.x[(first + i) * n..(first + i + 1) * n];
        for (r, x) in line.iter_mut().zip(x) {
            *r = -x;
        }
        if let Some(nu) = cotangent.equality_dual {
            for (r, nu) in line[n..]
                .iter_mut()
                .zip(&nu[(first + i) * p..(first + i + 1) * p])
            {
                *r = -nu;
            }
        }
    }
    let target = |i: usize, row: usize| {
        cotangent.inequality_dual.map_or(0.0, |lambda| {
            -reduced.scale[row] * lambda[(first + i) * m + row]
        })
    };
    let sample = problem.sample(first);
    let (point, multipliers) = solve_on_active(reduced, sample.g, &rhs, &active, target);
    let mut products = Products::new(count, reduced);
    products.apply(&sample, reduced, &point, &multipliers);

    let mut done = clean;
    vectorised(
        #[inline(always)]
        || {
            for i in 0..count {
                if !done[i] {
                    continue;
                }
                let line = &rhs[i * size..(i + 1) * size];
                let mut error = 0.0f64;
                let mut note = |v: f64| {
                    if v.abs() > error || v.is_nan() {
                        error = v.abs();
                    }
                };
                for j in 0..n {
                    note(products.gradient[i * n + j] - line[j]);
                }
                for j in 0..p {
                    note(products.ax[i * p + j] - line[n + j]);
                }
                let mut force = max_abs(line);
                for &row in &active[i].linear {
                    let wanted = target(i, row as usize) / reduced.scale[row as usize];
                    note(products.gx[i * m + row as usize] - wanted);
                    force = force.max(wanted.abs());
                }
                let residual = if force == 0.0 { 0.0 } else { error / force };
                // Anything doubtful, NaN included, goes to the method with refinement: two digits
                // short of what would no longer be called exact.
                let factor = &active[i].factor;
                let diagonal = (0..active[i].linear.len()).map(|r| factor[r * (r + 3) / 2]);
                let condition = reduced.condition.max(spread(diagonal).powi(2));
                if !(residual <= settings.residual_tolerance * 1e-2
                    && condition <= settings.condition_limit)
                {
                    done[i] = false;
                    continue;
                }
                let w = &point[i * size..(i + 1) * size];
                out.x[i * n..(i + 1) * n].copy_from_slice(&w[..n]);
                out.nu[i * p..(i + 1) * p].copy_from_slice(&w[n..]);
                out.lambda[i * m..(i + 1) * m]
                    .copy_from_slice(&products.lambda[i * m..(i + 1) * m]);
                out.reports[i] = GradientReport {
                    quality: GradientQuality::Exact,
                    residual,
                    margin: solution.margin[first + i],
                    condition,
                };
            }
        },
    );
    done
}

/// One sample by its own factorisation: per-sample matrices, quadratic rows, or degeneracy.
fn single(
    problem: &Problem<'_>,
    solution: &Solution,
    cotangent: &Cotangent<'_>,
    settings: &AdjointSettings,
    index: usize,
    slot: usize,
    out: &mut Directions,
) {
    let n = problem.n;
    let (p, m, k) = (
        problem.equality_rows(),
        problem.inequality_rows(),
        problem.quadratic_rows(),
    );
    let sample = problem.sample(index);
    let at = Point {
        x: &solution.x[index * n..(index + 1) * n],
        nu: &solution.equality_dual[index * p..(index + 1) * p],
        lambda: &solution.inequality_dual[index * m..(index + 1) * m],
        mu: &solution.quadratic_dual[index * k..(index + 1) * k],
    };
    let mut terms = Terms::default();
    terms.evaluate(&sample, at);
    let margin = solution.margin[index];
    let weak = margin <= settings.degenerate_margin;
    let (linear, quadratic) = touching(
        &sample,
        &terms,
        at,
        &solution.active[index],
        weak,
        settings.degenerate_margin,
    );

    let mut rows = Vec::with_capacity((p + linear.len() + quadratic.len()) * n);
    rows.extend_from_slice(sample.a);
    for &row in &linear {
        rows.extend_from_slice(&sample.g[row * n..(row + 1) * n]);
    }
    for &row in &quadratic {
        rows.extend_from_slice(&terms.jacobian[row * n..(row + 1) * n]);
    }
    let negated = |part: Option<&[f64]>, len: usize, row: usize| {
        part.map_or(0.0, |values| -values[index * len + row])
    };
    let r: Vec<f64> = cotangent.x[index * n..(index + 1) * n]
        .iter()
        .map(|v| -v)
        .collect();
    let s: Vec<f64> = (0..p)
        .map(|row| negated(cotangent.equality_dual, p, row))
        .chain(
            linear
                .iter()
                .map(|&row| negated(cotangent.inequality_dual, m, row)),
        )
        .chain(
            quadratic
                .iter()
                .map(|&row| negated(cotangent.quadratic_dual, k, row)),
        )
        .collect();
    let hessian = lagrangian_hessian(&sample, at.mu);
    let matrix = hessian.as_matrix();
    let Some(kkt) = ActiveKkt::new(n, matrix, &rows, settings.rank_tolerance) else {
        return;
    };
    let (w, eta, residual) = kkt.solve(&r, &s);
    if !(max_abs(&w).is_finite() && max_abs(&eta).is_finite()) {
        return;
    }
    out.x[slot * n..(slot + 1) * n].copy_from_slice(&w);
    out.nu[slot * p..(slot + 1) * p].copy_from_slice(&eta[..p]);
    for (&row, v) in linear.iter().zip(&eta[p..]) {
        out.lambda[slot * m + row] = *v;
    }
    for (&row, v) in quadratic.iter().zip(&eta[p + linear.len()..]) {
        out.mu[slot * k + row] = *v;
    }
    let exact = !weak
        && !kkt.deficient
        && solution.active[index].identified
        && residual <= settings.residual_tolerance
        && kkt.condition <= settings.condition_limit;
    let quality = if exact {
        GradientQuality::Exact
    } else {
        GradientQuality::Degenerate
    };
    out.reports[slot] = GradientReport {
        quality,
        residual,
        margin,
        condition: kkt.condition,
    };
}

/// The active rows; for a degenerate sample also every row that touches its bound, so that the
/// answer does not depend on which of them the solver happened to use.
fn touching(
    sample: &Sample<'_>,
    terms: &Terms,
    at: Point<'_>,
    active: &ActiveRows,
    weak: bool,
    margin: f64,
) -> (Vec<usize>, Vec<usize>) {
    let mut linear: Vec<usize> = active
        .linear
        .iter()
        .chain(&active.dependent)
        .map(|&row| row as usize)
        .collect();
    let mut quadratic: Vec<usize> = active.quadratic.iter().map(|&row| row as usize).collect();
    if weak {
        let n = sample.n;
        let length = 1.0 + max_abs(at.x);
        for (i, row) in sample.g.chunks_exact(n).enumerate() {
            let reach = margin * length * dot(row, row).sqrt();
            let slack = (sample.u[i] - terms.gx[i]).min(terms.gx[i] - sample.l[i]);
            if slack <= reach && reach > 0.0 {
                linear.push(i);
            }
        }
        for (i, gradient) in terms.jacobian.chunks_exact(n).enumerate() {
            let reach = margin * length * dot(gradient, gradient).sqrt();
            if sample.c[i] - terms.quadratic[i] <= reach && reach > 0.0 {
                quadratic.push(i);
            }
        }
    }
    linear.sort_unstable();
    linear.dedup();
    quadratic.sort_unstable();
    quadratic.dedup();
    (linear, quadratic)
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
}

/// The Hessian of the Lagrangian.
pub(crate) fn lagrangian_hessian(sample: &Sample<'_>, mu: &[f64]) -> Hessian {
    let n = sample.n;
    let all_diagonal = matches!(
        (sample.p, sample.h),
        (Matrix::Diagonal(_), Matrix::Diagonal(_))
    );
    if all_diagonal {
        let mut sum = vec![0.0; n];
        add_to(&mut sum, 1.0, sample.p, n);
        for (i, mu) in mu.iter().enumerate() {
            add_to(&mut sum, 2.0 * mu, sample.h.row(i, n), n);
        }
        return Hessian::Diagonal(sum);
    }
    let mut sum = vec![0.0; n * n];
    add_to(&mut sum, 1.0, sample.p, n);
    for (i, mu) in mu.iter().enumerate() {
        if *mu != 0.0 {
            add_to(&mut sum, 2.0 * mu, sample.h.row(i, n), n);
        }
    }
    Hessian::Dense(sum)
}

/// `sum += factor · matrix`, where `sum` is `[n]` only if `matrix` is diagonal.
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
