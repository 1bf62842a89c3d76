//! Turns directions `w` into parameter gradients: sums over the batch as matrix products where a
//! parameter is shared, one write per sample where it is not.

use std::cell::OnceCell;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::adjoint::direction::Directions;
use crate::adjoint::force::upper_share;
use crate::adjoint::types::Wanted;
use crate::batch::Values;
use crate::dense::{add_multiply, axpy, multiply, vectorised, view, view_mut};
use crate::problem::Problem;
use crate::solution::Solution;

/// A parameter of a [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Parameter {
    /// `P`.
    P,
    /// `q`.
    Q,
    /// `A`.
    A,
    /// `b`.
    B,
    /// `G`.
    G,
    /// `l`.
    L,
    /// `u`.
    U,
    /// `H`.
    QuadraticH,
    /// Linear parts of the quadratic rows.
    QuadraticG,
    /// `c`.
    QuadraticC,
}

impl fmt::Display for Parameter {
    /// The argument that it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Parameter::P => "p",
            Parameter::Q => "q",
            Parameter::A => "a",
            Parameter::B => "b",
            Parameter::G => "g",
            Parameter::L => "l",
            Parameter::U => "u",
            Parameter::QuadraticH => "quadratics.h",
            Parameter::QuadraticG => "quadratics.g",
            Parameter::QuadraticC => "quadratics.c",
        })
    }
}

/// Number of parameters.
pub(crate) const COUNT: usize = 10;

/// All parameters.
pub(crate) const PARAMETERS: [Parameter; COUNT] = [
    Parameter::P,
    Parameter::Q,
    Parameter::A,
    Parameter::B,
    Parameter::G,
    Parameter::L,
    Parameter::U,
    Parameter::QuadraticH,
    Parameter::QuadraticG,
    Parameter::QuadraticC,
];

/// Where and how large a parameter's gradient is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) shared: bool,
    /// Numbers of one copy.
    pub(crate) len: usize,
}

/// The layout of a parameter, or `None` when it is not wanted or the problem lacks it.
pub(crate) fn layout(
    parameter: Parameter,
    problem: &Problem<'_>,
    wanted: &Wanted,
) -> Option<Layout> {
    let wanted = match parameter {
        Parameter::P => wanted.p,
        Parameter::Q => wanted.q,
        Parameter::A => wanted.a,
        Parameter::B => wanted.b,
        Parameter::G => wanted.g,
        Parameter::L => wanted.l,
        Parameter::U => wanted.u,
        Parameter::QuadraticH => wanted.quadratic_h,
        Parameter::QuadraticG => wanted.quadratic_g,
        Parameter::QuadraticC => wanted.quadratic_c,
    };
    let (values, len) = numbers(parameter, problem)?;
    wanted.then_some(Layout {
        shared: values.is_shared(),
        len,
    })
}

/// A parameter's numbers and how many one copy has, or `None` when the problem lacks it.
pub(crate) fn numbers<'a>(
    parameter: Parameter,
    problem: &Problem<'a>,
) -> Option<(Values<'a>, usize)> {
    let n = problem.n;
    let eq = problem.equalities;
    let ineq = problem.inequalities;
    let quad = problem.quadratics;
    match parameter {
        Parameter::P => Some((problem.p.values(), problem.p.entries(n))),
        Parameter::Q => Some((problem.q, n)),
        Parameter::A => eq.map(|part| (part.a, part.rows * n)),
        Parameter::B => eq.map(|part| (part.b, part.rows)),
        Parameter::G => ineq.map(|part| (part.g, part.rows * n)),
        Parameter::L => ineq.map(|part| (part.l, part.rows)),
        Parameter::U => ineq.map(|part| (part.u, part.rows)),
        Parameter::QuadraticH => quad.map(|part| (part.h.values(), part.rows * part.h.entries(n))),
        Parameter::QuadraticG => quad.map(|part| (part.g, part.rows * n)),
        Parameter::QuadraticC => quad.map(|part| (part.c, part.rows)),
    }
}

/// Where one run puts one parameter's gradient.
pub(crate) enum Sink<'s> {
    /// This run's share of a sum over the batch.
    Sum(Vec<f64>),
    /// The run's own samples, `[count, len]`.
    Slot(&'s mut [f64]),
}

/// A run of samples with everything their gradients are made of.
pub(crate) struct Run<'a> {
    pub(crate) problem: &'a Problem<'a>,
    pub(crate) directions: &'a Directions,
    pub(crate) count: usize,
    /// Points that are differentiated, `[count, ·]` each.
    pub(crate) x: &'a [f64],
    pub(crate) nu: &'a [f64],
    pub(crate) lambda: &'a [f64],
    pub(crate) mu: &'a [f64],
    first: usize,
    /// The part of `w_λ` that belongs to upper bounds, once it is asked for.
    upper: OnceCell<Vec<f64>>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        problem: &'a Problem<'a>,
        solution: &'a Solution,
        directions: &'a Directions,
        first: usize,
        count: usize,
    ) -> Run<'a> {
        fn cut(data: &[f64], len: usize, first: usize, count: usize) -> &[f64] {
            &data[first * len..(first + count) * len]
        }
        let (p, m, k) = (
            problem.equality_rows(),
            problem.inequality_rows(),
            problem.quadratic_rows(),
        );
        let (x, nu, lambda, mu) = match &directions.smoothed {
            Some(at) => (&at.x[..], &at.nu[..], &at.lambda[..], &at.mu[..]),
            None => (
                cut(&solution.x, problem.n, first, count),
                cut(&solution.equality_dual, p, first, count),
                cut(&solution.inequality_dual, m, first, count),
                cut(&solution.quadratic_dual, k, first, count),
            ),
        };
        Run {
            problem,
            directions,
            count,
            x,
            nu,
            lambda,
            mu,
            first,
            upper: OnceCell::new(),
        }
    }

    /// Fills one parameter's sink.
    pub(crate) fn fill(&self, parameter: Parameter, sink: &mut Sink<'_>) {
        let w = self.directions;
        let (p, m, k) = (
            self.problem.equality_rows(),
            self.problem.inequality_rows(),
            self.problem.quadratic_rows(),
        );
        match parameter {
            Parameter::P => self.hessian(sink),
            Parameter::Q => self.vectors(sink, &w.x, 1.0),
            Parameter::A => self.outer(sink, p, self.nu, &w.nu),
            Parameter::B => self.vectors(sink, &w.nu, -1.0),
            Parameter::G => self.outer(sink, m, self.lambda, &w.lambda),
            Parameter::L => {
                let parts = w.lambda.iter().zip(self.upper_part());
                let lower: Vec<f64> = parts.map(|(both, upper)| both - upper).collect();
                self.vectors(sink, &lower, -1.0);
            }
            Parameter::U => self.vectors(sink, self.upper_part(), -1.0),
            Parameter::QuadraticH => self.quadratic_hessian(sink),
            Parameter::QuadraticG => self.outer(sink, k, self.mu, &w.mu),
            Parameter::QuadraticC => self.vectors(sink, &w.mu, -1.0),
        }
    }

    /// `factor · rows`, summed over the run when shared.
    fn vectors(&self, sink: &mut Sink<'_>, rows: &[f64], factor: f64) {
        match sink {
            Sink::Sum(sum) => {
                if sum.is_empty() {
                    return;
                }
                for row in rows.chunks_exact(sum.len()) {
                    axpy(factor, row, sum);
                }
            }
            Sink::Slot(slot) => {
                for (out, v) in slot.iter_mut().zip(rows) {
                    *out = factor * v;
                }
            }
        }
    }

    /// `dual · w_xᵀ + w_dual · xᵀ`.
    fn outer(&self, sink: &mut Sink<'_>, rows: usize, dual: &[f64], w_dual: &[f64]) {
        let (n, count) = (self.problem.n, self.count);
        match sink {
            Sink::Sum(sum) => {
                let (dual, w_dual) = (view(dual, count, rows), view(w_dual, count, rows));
                let w = view(&self.directions.x, count, n);
                multiply(view_mut(sum, rows, n), 1.0, dual.transpose(), w);
                add_multiply(
                    view_mut(sum, rows, n),
                    1.0,
                    w_dual.transpose(),
                    view(self.x, count, n),
                );
            }
            Sink::Slot(slot) => {
                for i in 0..count {
                    let (x, w) = self.lines(i);
                    for j in 0..rows {
                        let out = &mut slot[(i * rows + j) * n..(i * rows + j + 1) * n];
                        let (dual, w_dual) = (dual[i * rows + j], w_dual[i * rows + j]);
                        for ((out, w), x) in out.iter_mut().zip(w).zip(x) {
                            *out = dual * w + w_dual * x;
                        }
                    }
                }
            }
        }
    }

    fn lines(&self, i: usize) -> (&[f64], &[f64]) {
        let n = self.problem.n;
        (
            &self.x[i * n..(i + 1) * n],
            &self.directions.x[i * n..(i + 1) * n],
        )
    }

    /// `½(w xᵀ + x wᵀ)`, or `w ∘ x` for a diagonal.
    fn hessian(&self, sink: &mut Sink<'_>) {
        let (n, count) = (self.problem.n, self.count);
        let diagonal = self.problem.p.is_diagonal();
        match sink {
            Sink::Sum(sum) if diagonal => {
                for (x, w) in self
                    .x
                    .chunks_exact(n)
                    .zip(self.directions.x.chunks_exact(n))
                {
                    for ((sum, x), w) in sum.iter_mut().zip(x).zip(w) {
                        *sum += x * w;
                    }
                }
            }
            Sink::Sum(sum) => {
                let w = view(&self.directions.x, count, n);
                multiply(
                    view_mut(sum, n, n),
                    0.5,
                    w.transpose(),
                    view(self.x, count, n),
                );
                add_transpose(sum, n);
            }
            Sink::Slot(slot) if diagonal => {
                for ((out, x), w) in slot.iter_mut().zip(self.x).zip(&self.directions.x) {
                    *out = x * w;
                }
            }
            Sink::Slot(slot) => {
                for i in 0..count {
                    let (x, w) = self.lines(i);
                    let out = &mut slot[i * n * n..(i + 1) * n * n];
                    vectorised(
                        #[inline(always)]
                        || symmetric_outer(out, x, w, 0.5, 0.0),
                    );
                }
            }
        }
    }

    /// `μ(w xᵀ + x wᵀ) + w_μ x xᵀ` for every quadratic row.
    fn quadratic_hessian(&self, sink: &mut Sink<'_>) {
        let (n, count, k) = (self.problem.n, self.count, self.problem.quadratic_rows());
        let diagonal = self
            .problem
            .quadratics
            .is_some_and(|part| part.h.is_diagonal());
        let w_mu = &self.directions.mu;
        match sink {
            Sink::Sum(sum) if diagonal => {
                let pair = |f: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
                    self.x
                        .iter()
                        .zip(&self.directions.x)
                        .map(|(x, w)| f(*x, *w))
                        .collect()
                };
                let (cross, square) = (pair(&|x, w| 2.0 * x * w), pair(&|x, _| x * x));
                let target = view(self.mu, count, k);
                multiply(
                    view_mut(sum, k, n),
                    1.0,
                    target.transpose(),
                    view(&cross, count, n),
                );
                let target = view(w_mu, count, k);
                add_multiply(
                    view_mut(sum, k, n),
                    1.0,
                    target.transpose(),
                    view(&square, count, n),
                );
            }
            Sink::Sum(sum) => {
                let mut weighted = vec![0.0; count * n];
                for (row, sum) in sum.chunks_exact_mut(n * n).enumerate() {
                    for i in 0..count {
                        let (x, w) = self.lines(i);
                        let (mu, w_mu) = (self.mu[i * k + row], 0.5 * w_mu[i * k + row]);
                        for j in 0..n {
                            weighted[i * n + j] = mu * w[j] + w_mu * x[j];
                        }
                    }
                    let left = view(&weighted, count, n);
                    multiply(
                        view_mut(sum, n, n),
                        1.0,
                        left.transpose(),
                        view(self.x, count, n),
                    );
                    add_transpose(sum, n);
                }
            }
            Sink::Slot(slot) => {
                let entries = if diagonal { n } else { n * n };
                for i in 0..count {
                    let (x, w) = self.lines(i);
                    for row in 0..k {
                        let out = &mut slot[(i * k + row) * entries..(i * k + row + 1) * entries];
                        let (mu, w_mu) = (self.mu[i * k + row], w_mu[i * k + row]);
                        if diagonal {
                            for ((out, x), w) in out.iter_mut().zip(x).zip(w) {
                                *out = (2.0 * mu * w + w_mu * x) * x;
                            }
                        } else {
                            vectorised(
                                #[inline(always)]
                                || symmetric_outer(out, x, w, mu, w_mu),
                            );
                        }
                    }
                }
            }
        }
    }

    /// The part of `w_λ` that belongs to upper bounds; the rest belongs to lower ones.
    fn upper_part(&self) -> &[f64] {
        if let Some(smoothed) = &self.directions.smoothed {
            return &smoothed.upper;
        }
        self.upper.get_or_init(|| self.upper_at_solutions())
    }

    fn upper_at_solutions(&self) -> Vec<f64> {
        let m = self.problem.inequality_rows();
        let w = &self.directions.lambda;
        // Nearly always the multiplier says which bound it is: one pass without a branch.
        let side = |(w, lambda): (&f64, &f64)| if *lambda > 0.0 { *w } else { 0.0 };
        let mut upper: Vec<f64> = w.iter().zip(self.lambda).map(side).collect();
        let Some(bounds) = self.problem.inequalities else {
            return upper;
        };
        for i in 0..self.count {
            let rows = i * m..(i + 1) * m;
            let (l, u) = (
                bounds.l.sample(self.first + i, m),
                bounds.u.sample(self.first + i, m),
            );
            let (w, lambda) = (&w[rows.clone()], &self.lambda[rows.clone()]);
            let mut plain = true;
            for j in 0..m {
                plain &= w[j] == 0.0 || (lambda[j] != 0.0 && l[j] <= u[j]);
            }
            if plain {
                continue;
            }
            let sample = self.problem.sample(self.first + i);
            for (j, upper) in upper[rows].iter_mut().enumerate() {
                *upper = w[j] * upper_share(&sample, j, lambda[j], self.lines(i).0);
            }
        }
        upper
    }
}

/// `out = cross (w xᵀ + x wᵀ) + square · x xᵀ`, symmetric to the last bit.
#[inline(always)]
fn symmetric_outer(out: &mut [f64], x: &[f64], w: &[f64], cross: f64, square: f64) {
    let n = x.len();
    for (i, line) in out.chunks_exact_mut(n).enumerate() {
        let (xi, wi) = (x[i], w[i]);
        for ((out, w), x) in line.iter_mut().zip(w).zip(x) {
            *out = cross * (xi * w + wi * x) + square * (xi * x);
        }
    }
}

/// `square += squareᵀ`.
fn add_transpose(square: &mut [f64], n: usize) {
    for i in 0..n {
        for j in 0..i {
            let sum = square[i * n + j] + square[j * n + i];
            square[i * n + j] = sum;
            square[j * n + i] = sum;
        }
        square[i * n + i] *= 2.0;
    }
}
