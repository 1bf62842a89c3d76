//! Which rows count as equations when a sample is differentiated.

use crate::dense::{axpy, dot, max_abs};
use crate::problem::Sample;
use crate::residual::{Point, Terms};
use crate::settings::{AdjointSettings, Degenerate};
use crate::solution::ActiveRows;

/// Rows of `G` and quadratic rows, ascending.
type Rows = (Vec<usize>, Vec<usize>);

/// The rows that count as equations.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) linear: Vec<usize>,
    pub(crate) quadratic: Vec<usize>,
    /// Whether rows at their bound were left out.
    pub(crate) chosen: bool,
}

/// What is known about a sample besides its point.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) active: &'a ActiveRows,
    /// Whether some row touches its bound without force.
    pub(crate) weak: bool,
    /// Whether rows hold exactly. Rows that give way never depend on each other.
    pub(crate) rigid: bool,
}

/// Makes `out` the active rows. For a degenerate sample, those that the settings choose among all rows that
/// touch their bound.
pub(crate) fn hold(
    sample: &Sample<'_>,
    terms: &Terms,
    at: Point<'_>,
    known: Known<'_>,
    settings: &AdjointSettings,
    out: &mut Held,
) {
    let Known { active, weak, .. } = known;
    let Held {
        linear,
        quadratic,
        chosen,
    } = out;
    linear.clear();
    let rows = active.linear.iter().chain(&active.dependent);
    linear.extend(rows.map(|&row| row as usize));
    quadratic.clear();
    quadratic.extend(active.quadratic.iter().map(|&row| row as usize));
    *chosen = false;
    let one_sided = matches!(settings.degenerate, Degenerate::Held | Degenerate::Released);
    if weak {
        let touching = touching(sample, terms, at, settings.degenerate_margin);
        linear.extend(touching.0);
        quadratic.extend(touching.1);
    }
    for rows in [&mut *linear, quadratic] {
        rows.sort_unstable();
        rows.dedup();
    }
    if one_sided {
        let all = (std::mem::take(linear), std::mem::take(quadratic));
        let count = all.0.len() + all.1.len();
        (*linear, *quadratic) = independent(sample, terms, at, all, known, settings);
        *chosen = linear.len() + quadratic.len() < count;
    }
}

/// Every row at its bound, so that the answer does not depend on which of them the solver happened
/// to use.
fn touching(sample: &Sample<'_>, terms: &Terms, at: Point<'_>, margin: f64) -> Rows {
    let n = sample.n;
    let length = 1.0 + max_abs(at.x);
    let (mut linear, mut quadratic) = (Vec::new(), Vec::new());
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
    (linear, quadratic)
}

/// Equalities first, then rows with force by its size, then, if they are held, those without: each
/// unless the ones before it imply it. Rows of equal bounds are equalities and always stay.
fn independent(
    sample: &Sample<'_>,
    terms: &Terms,
    at: Point<'_>,
    (linear, quadratic): Rows,
    known: Known<'_>,
    settings: &AdjointSettings,
) -> Rows {
    let n = sample.n;
    let force = 1.0 + max_abs(sample.q);
    let release = known.weak && settings.degenerate == Degenerate::Released;
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for row in sample.a.chunks_exact(n) {
        extends(&mut basis, row, settings.rank_tolerance);
    }
    let mut kept: Rows = Default::default();
    // Quadratic rows are told apart by the second entry.
    let mut candidates: Vec<(f64, bool, usize, &[f64])> = Vec::new();
    for row in linear {
        let gradient = &sample.g[row * n..(row + 1) * n];
        if sample.l[row] == sample.u[row] {
            extends(&mut basis, gradient, settings.rank_tolerance);
            kept.0.push(row);
        } else {
            let push = at.lambda[row].abs() * dot(gradient, gradient).sqrt() / force;
            candidates.push((push, false, row, gradient));
        }
    }
    for row in quadratic {
        let gradient = &terms.jacobian[row * n..(row + 1) * n];
        let push = at.mu[row] * dot(gradient, gradient).sqrt() / force;
        candidates.push((push, true, row, gradient));
    }
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (push, is_quadratic, row, gradient) in candidates {
        if release && push <= settings.degenerate_margin {
            break;
        }
        if !known.rigid || extends(&mut basis, gradient, settings.rank_tolerance) {
            let rows = if is_quadratic {
                &mut kept.1
            } else {
                &mut kept.0
            };
            rows.push(row);
        }
    }
    kept.0.sort_unstable();
    kept.1.sort_unstable();
    kept
}

/// Adds what the row has beyond the span of an orthonormal basis, if it has anything.
fn extends(basis: &mut Vec<Vec<f64>>, row: &[f64], tolerance: f64) -> bool {
    let norm = dot(row, row).sqrt();
    if norm == 0.0 {
        return false;
    }
    let mut rest: Vec<f64> = row.iter().map(|v| v / norm).collect();
    // Twice, so that the rest is orthogonal to rounding.
    for _ in 0..2 {
        for direction in basis.iter() {
            axpy(-dot(direction, &rest), direction, &mut rest);
        }
    }
    let left = dot(&rest, &rest).sqrt();
    if left <= tolerance {
        return false;
    }
    rest.iter_mut().for_each(|v| *v /= left);
    basis.push(rest);
    true
}
