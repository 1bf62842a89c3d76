//! Optimality residuals of a point on the original data.

use crate::dense::{axpy, dot, max_abs};
use crate::problem::Sample;
use crate::status::Residuals;

/// What the residuals are made of at one point.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// Gradient of the Lagrangian, `[n]`.
    pub(crate) stationarity: Vec<f64>,
    /// `P x`, `[n]`.
    pub(crate) px: Vec<f64>,
    /// `A x`, `[p]`.
    pub(crate) ax: Vec<f64>,
    /// `G x`, `[m]`.
    pub(crate) gx: Vec<f64>,
    /// `xᵀH_i x + g_iᵀx`, `[k]`.
    pub(crate) quadratic: Vec<f64>,
    /// `2H_i x + g_i`, `[k, n]`.
    pub(crate) jacobian: Vec<f64>,
}

/// A primal-dual point of one sample.
#[derive(Clone, Copy)]
pub(crate) struct Point<'a> {
    pub(crate) x: &'a [f64],
    pub(crate) nu: &'a [f64],
    pub(crate) lambda: &'a [f64],
    pub(crate) mu: &'a [f64],
}

impl Terms {
    /// Evaluates everything at a point.
    #[inline(always)]
    pub(crate) fn evaluate(&mut self, sample: &Sample<'_>, at: Point<'_>) {
        let n = sample.n;
        self.px.clear();
        self.px.resize(n, 0.0);
        sample.p.add_product(1.0, at.x, &mut self.px);
        self.stationarity.clear();
        self.stationarity.extend_from_slice(sample.q);
        axpy(1.0, &self.px, &mut self.stationarity);
        self.ax.clear();
        for (row, nu) in sample.a.chunks_exact(n).zip(at.nu) {
            self.ax.push(dot(row, at.x));
            axpy(*nu, row, &mut self.stationarity);
        }
        self.gx.clear();
        for (row, lambda) in sample.g.chunks_exact(n).zip(at.lambda) {
            self.gx.push(dot(row, at.x));
            if *lambda != 0.0 {
                axpy(*lambda, row, &mut self.stationarity);
            }
        }
        self.quadratic.clear();
        self.jacobian.clear();
        for (i, (row, mu)) in sample.hg.chunks_exact(n).zip(at.mu).enumerate() {
            let start = self.jacobian.len();
            self.jacobian.resize(start + n, 0.0);
            let gradient = &mut self.jacobian[start..];
            sample.h.row(i, n).add_product(1.0, at.x, gradient);
            self.quadratic.push(dot(gradient, at.x) + dot(row, at.x));
            for (gradient, row) in gradient.iter_mut().zip(row) {
                *gradient = 2.0 * *gradient + row;
            }
            axpy(*mu, gradient, &mut self.stationarity);
        }
    }
}

/// Residuals and the sizes they are measured against.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) absolute: Residuals,
    /// 1 + the largest term that cancels in each residual.
    pub(crate) scale: Residuals,
    pub(crate) objective: f64,
}

impl Measured {
    /// The worst relative residual; NaN when anything is, and where the terms overflow: a residual
    /// divided by an infinity says nothing.
    pub(crate) fn relative(&self) -> f64 {
        if !(self.objective.is_finite() && self.scale.worst().is_finite()) {
            return f64::NAN;
        }
        Residuals {
            primal: self.absolute.primal / self.scale.primal,
            dual: self.absolute.dual / self.scale.dual,
            gap: self.absolute.gap / self.scale.gap,
        }
        .worst()
    }
}

/// The parts of [`Terms`] that residuals need, borrowed so that batched code can share them.
#[derive(Clone, Copy)]
pub(crate) struct Evaluated<'a> {
    pub(crate) stationarity: &'a [f64],
    pub(crate) px: &'a [f64],
    pub(crate) ax: &'a [f64],
    pub(crate) gx: &'a [f64],
    pub(crate) quadratic: &'a [f64],
}

impl Terms {
    pub(crate) fn evaluated(&self) -> Evaluated<'_> {
        Evaluated {
            stationarity: &self.stationarity,
            px: &self.px,
            ax: &self.ax,
            gx: &self.gx,
            quadratic: &self.quadratic,
        }
    }
}

/// Residuals of a point whose terms are known.
#[inline(always)]
pub(crate) fn measure(sample: &Sample<'_>, terms: Evaluated<'_>, at: Point<'_>) -> Measured {
    let (mut primal, mut gap) = (0.0f64, 0.0f64);
    let mut dual = max_abs(terms.stationarity);
    let mut size = 0.0f64;
    for (ax, b) in terms.ax.iter().zip(sample.b) {
        primal = worse(primal, (ax - b).abs());
        size = size.max(b.abs());
    }
    for i in 0..terms.gx.len() {
        let (value, l, u, lambda) = (terms.gx[i], sample.l[i], sample.u[i], at.lambda[i]);
        let (below, above) = (l - value, value - u);
        if below > 0.0 || above > 0.0 || value.is_nan() {
            primal = worse(primal, if above > below { above } else { below });
            size = size.max(if above > below { u.abs() } else { l.abs() });
        }
        let bound = if lambda > 0.0 { u } else { l };
        if lambda != 0.0 && bound.is_finite() {
            gap = worse(gap, gap + (lambda * (value - bound)).abs());
            size = size.max(bound.abs());
        } else if lambda != 0.0 {
            // A sign without a bound, which rounding leaves on rows that are touched without force:
            // as if the multiplier were dropped from the gradient.
            let row = &sample.g[i * sample.n..(i + 1) * sample.n];
            dual = worse(dual, max_abs(row) * lambda.abs());
        }
    }
    for i in 0..terms.quadratic.len() {
        let (value, c, mu) = (terms.quadratic[i], sample.c[i], at.mu[i]);
        if value > c || value.is_nan() {
            primal = worse(primal, value - c);
            size = size.max(c.abs());
        }
        if mu != 0.0 {
            gap = worse(gap, gap + (mu * (value - c)).abs());
            size = size.max(c.abs());
        }
    }
    let quadratic = dot(terms.px, at.x);
    let linear = dot(sample.q, at.x);
    Measured {
        absolute: Residuals { primal, dual, gap },
        scale: Residuals {
            primal: 1.0 + size,
            dual: 1.0 + max_abs(sample.q).max(max_abs(terms.px)),
            gap: 1.0 + quadratic.abs() + linear.abs(),
        },
        objective: 0.5 * quadratic + linear,
    }
}

/// Strict-complementarity margin of a point, as [`crate::GradientReport::margin`] defines it.
/// `norms` are those of `G`'s rows, `jacobian` the quadratic rows' gradients `[k, n]`.
#[inline(always)]
pub(crate) fn margin(
    sample: &Sample<'_>,
    terms: Evaluated<'_>,
    at: Point<'_>,
    norms: &[f64],
    jacobian: &[f64],
) -> f64 {
    // Divided once a row: the divisions would take as long as the solve does.
    let length = 1.0 / (1.0 + max_abs(at.x));
    let force = 1.0 / (1.0 + max_abs(sample.q));
    let mut smallest = f64::INFINITY;
    let mut include = |slack: f64, multiplier: f64, by_slack: f64, by_force: f64| {
        // Comparisons, not `f64::min`, which takes several instructions for what a NaN does.
        let (slack, push) = (slack * by_slack, multiplier * by_force);
        let larger = if slack > push { slack } else { push };
        smallest = if larger < smallest { larger } else { smallest };
    };
    for i in 0..terms.gx.len() {
        let (l, u) = (sample.l[i], sample.u[i]);
        // A row of zeros binds nothing, an equality row has no sides to switch between.
        if norms[i] > 0.0 && l < u {
            let (by_slack, by_force) = (length / norms[i], norms[i] * force);
            include(u - terms.gx[i], at.lambda[i], by_slack, by_force);
            include(terms.gx[i] - l, -at.lambda[i], by_slack, by_force);
        }
    }
    for (i, gradient) in jacobian.chunks_exact(sample.n).enumerate() {
        let norm = dot(gradient, gradient).sqrt();
        let slack = sample.c[i] - terms.quadratic[i];
        if norm > 0.0 {
            include(slack, at.mu[i], length / norm, norm * force);
        } else if slack <= 1e-9 {
            // Touching with a zero gradient: the feasible set has no interior there.
            include(0.0, 0.0, 1.0, 1.0);
        }
    }
    smallest.max(0.0)
}

/// The larger, NaN winning.
#[inline(always)]
fn worse(a: f64, b: f64) -> f64 {
    if b > a || b.is_nan() { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Symmetric, Values};
    use crate::problem::{Equalities, Inequalities, Problem, Quadratics};

    #[test]
    fn every_term_is_counted_with_its_sign() {
        let problem = Problem {
            batch: 1,
            n: 2,
            p: Symmetric::Dense(Values::Shared(&[2.0, 1.0, 1.0, 3.0])),
            q: Values::Shared(&[1.0, -1.0]),
            equalities: Some(Equalities {
                rows: 1,
                a: Values::Shared(&[1.0, 2.0]),
                b: Values::Shared(&[4.0]),
            }),
            inequalities: Some(Inequalities {
                rows: 1,
                g: Values::Shared(&[3.0, 1.0]),
                l: Values::Shared(&[f64::NEG_INFINITY]),
                u: Values::Shared(&[4.0]),
            }),
            quadratics: Some(Quadratics {
                rows: 1,
                h: Symmetric::Diagonal(Values::Shared(&[1.0, 2.0])),
                g: Values::Shared(&[0.5, 0.0]),
                c: Values::Shared(&[3.25]),
            }),
        };
        let sample = problem.sample(0);
        let at = Point {
            x: &[1.0, 1.0],
            nu: &[0.5],
            lambda: &[2.0],
            mu: &[1.0],
        };
        let mut terms = Terms::default();
        terms.evaluate(&sample, at);
        // Px + q + νa + λg + μ(2Hx + g).
        assert_eq!(
            terms.stationarity,
            [3.0 + 1.0 + 0.5 + 6.0 + 2.5, 4.0 - 1.0 + 1.0 + 2.0 + 4.0]
        );
        let measured = measure(&sample, terms.evaluated(), at);
        // Equality 3 − 4, quadratic 3.5 − 3.25, linear row at its bound.
        assert_eq!(
            measured.absolute,
            Residuals {
                primal: 1.0,
                dual: 13.0,
                gap: 0.25
            }
        );
    }
}
