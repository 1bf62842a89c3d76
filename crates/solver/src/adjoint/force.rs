//! Right-hand sides of the linearised optimality system: what a cotangent or a change of the
//! parameters pushes on each of its equations.

use crate::adjoint::tangent::Tangents;
use crate::adjoint::types::Cotangent;
use crate::dense::{axpy, dot};
use crate::problem::{Problem, Sample};
use crate::residual::Point;

/// One sample's push on stationarity, equalities, linear rows and quadratic rows.
#[derive(Clone, Debug)]
pub(crate) struct Force {
    /// `[n]`
    pub(crate) x: Vec<f64>,
    /// `[p]`
    pub(crate) nu: Vec<f64>,
    /// On the rows `Gx − u = 0`, `[m]`.
    pub(crate) upper: Vec<f64>,
    /// On the rows `Gx − l = 0`, `[m]`.
    pub(crate) lower: Vec<f64>,
    /// `[k]`
    pub(crate) mu: Vec<f64>,
}

impl Force {
    /// No push, in the sizes of a problem.
    pub(crate) fn zero(problem: &Problem<'_>) -> Force {
        let m = problem.inequality_rows();
        Force {
            x: vec![0.0; problem.n],
            nu: vec![0.0; problem.equality_rows()],
            upper: vec![0.0; m],
            lower: vec![0.0; m],
            mu: vec![0.0; problem.quadratic_rows()],
        }
    }

    fn parts(&mut self) -> [&mut Vec<f64>; 5] {
        [
            &mut self.x,
            &mut self.nu,
            &mut self.upper,
            &mut self.lower,
            &mut self.mu,
        ]
    }

    /// The push on a row that is active at either bound.
    pub(crate) fn row(&self, sample: &Sample<'_>, row: usize, lambda: f64, x: &[f64]) -> f64 {
        let (upper, lower) = (self.upper[row], self.lower[row]);
        if upper == lower {
            return upper;
        }
        let share = upper_share(sample, row, lambda, x);
        share * upper + (1.0 - share) * lower
    }
}

/// Which of an active row's bounds holds it, 1 for the upper one: the side the multiplier points
/// to, without a multiplier the nearer one. An equal-bounds row with a zero multiplier is split
/// evenly, which is right for every change that keeps the bounds equal. Crossed bounds that both give
/// way hold the row at their middle.
pub(crate) fn upper_share(sample: &Sample<'_>, row: usize, lambda: f64, x: &[f64]) -> f64 {
    let (l, u) = (sample.l[row], sample.u[row]);
    if is_between(sample, row, x) {
        0.5
    } else if lambda != 0.0 {
        f64::from(u8::from(lambda > 0.0))
    } else if l == u {
        0.5
    } else {
        let value = dot(&sample.g[row * sample.n..(row + 1) * sample.n], x);
        f64::from(u8::from((u - value) < (value - l)))
    }
}

/// Whether a row is between crossed bounds, both of which give way.
pub(crate) fn is_between(sample: &Sample<'_>, row: usize, x: &[f64]) -> bool {
    let (l, u) = (sample.l[row], sample.u[row]);
    l > u && {
        let value = dot(&sample.g[row * sample.n..(row + 1) * sample.n], x);
        u < value && value < l
    }
}

/// Where a run's right-hand sides come from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// The solution's side: a loss.
    Cotangent(&'a Cotangent<'a>),
    /// The parameters' side: `∂F/∂θ · dθ`, `F` the optimality conditions.
    Tangents(&'a Tangents<'a>),
}

impl Source<'_> {
    /// Writes the push on sample `index`, whose linearisation is about `at`.
    pub(crate) fn write(
        &self,
        problem: &Problem<'_>,
        index: usize,
        at: Point<'_>,
        out: &mut Force,
    ) {
        match self {
            Source::Cotangent(cotangent) => cotangent_force(cotangent, index, out),
            Source::Tangents(tangents) => {
                for part in out.parts() {
                    part.fill(0.0);
                }
                tangent_force(tangents, problem, index, at, out);
            }
        }
    }
}

fn cotangent_force(cotangent: &Cotangent<'_>, index: usize, out: &mut Force) {
    let fill = |target: &mut [f64], part: Option<&[f64]>| match part {
        Some(values) => {
            let len = target.len();
            target.copy_from_slice(&values[index * len..(index + 1) * len]);
        }
        None => target.fill(0.0),
    };
    fill(&mut out.x, Some(cotangent.x));
    fill(&mut out.nu, cotangent.equality_dual);
    fill(&mut out.upper, cotangent.inequality_dual);
    fill(&mut out.lower, cotangent.inequality_dual);
    fill(&mut out.mu, cotangent.quadratic_dual);
}

fn tangent_force(
    tangents: &Tangents<'_>,
    problem: &Problem<'_>,
    index: usize,
    at: Point<'_>,
    out: &mut Force,
) {
    let n = problem.n;
    let (p, m, k) = (
        problem.equality_rows(),
        problem.inequality_rows(),
        problem.quadratic_rows(),
    );
    if let Some(values) = tangents.p {
        let d = values.sample(index, problem.p.entries(n));
        add_symmetric(1.0, d, problem.p.is_diagonal(), at.x, &mut out.x);
    }
    if let Some(values) = tangents.q {
        axpy(1.0, values.sample(index, n), &mut out.x);
    }
    if let Some(values) = tangents.a {
        let rows = values.sample(index, p * n).chunks_exact(n);
        for ((row, nu), push) in rows.zip(at.nu).zip(&mut out.nu) {
            axpy(*nu, row, &mut out.x);
            *push += dot(row, at.x);
        }
    }
    if let Some(values) = tangents.b {
        axpy(-1.0, values.sample(index, p), &mut out.nu);
    }
    if let Some(values) = tangents.g {
        for (j, row) in values.sample(index, m * n).chunks_exact(n).enumerate() {
            axpy(at.lambda[j], row, &mut out.x);
            let value = dot(row, at.x);
            out.upper[j] += value;
            out.lower[j] += value;
        }
    }
    if let Some(values) = tangents.l {
        axpy(-1.0, values.sample(index, m), &mut out.lower);
    }
    if let Some(values) = tangents.u {
        axpy(-1.0, values.sample(index, m), &mut out.upper);
    }
    if let (Some(values), Some(part)) = (tangents.quadratic_h, problem.quadratics) {
        let entries = part.h.entries(n);
        let matrices = values.sample(index, k * entries).chunks_exact(entries);
        for (i, d) in matrices.enumerate() {
            let mut product = vec![0.0; n];
            add_symmetric(1.0, d, part.h.is_diagonal(), at.x, &mut product);
            axpy(2.0 * at.mu[i], &product, &mut out.x);
            out.mu[i] += dot(&product, at.x);
        }
    }
    if let Some(values) = tangents.quadratic_g {
        for (i, row) in values.sample(index, k * n).chunks_exact(n).enumerate() {
            axpy(at.mu[i], row, &mut out.x);
            out.mu[i] += dot(row, at.x);
        }
    }
    if let Some(values) = tangents.quadratic_c {
        axpy(-1.0, values.sample(index, k), &mut out.mu);
    }
}

/// `y += factor · ½(D + Dᵀ) x`.
fn add_symmetric(factor: f64, d: &[f64], diagonal: bool, x: &[f64], y: &mut [f64]) {
    if diagonal {
        for ((y, d), x) in y.iter_mut().zip(d).zip(x) {
            *y += factor * d * x;
        }
        return;
    }
    for (i, row) in d.chunks_exact(x.len()).enumerate() {
        y[i] += 0.5 * factor * dot(row, x);
        axpy(0.5 * factor * x[i], row, y);
    }
}
