//! Derivatives of cone programs' solutions with respect to every number.

use rayon::prelude::*;

use crate::adjoint::{GradientReport, check_cotangent};
use crate::batch::Values;
use crate::cone::linearised::{Linearised, check_solution};
use crate::cone::problem::{ConeProblem, Sparse};
use crate::cone::solve::ConeSolution;
use crate::error::Error;
use crate::settings::AdjointSettings;

/// Derivatives of a scalar loss with respect to the solution.
#[derive(Clone, Copy, Debug)]
pub struct ConeCotangent<'a> {
    /// With respect to `x`, `[batch, n]`.
    pub x: &'a [f64],
    /// With respect to `z`, `[batch, m]`; `None` is zero.
    pub z: Option<&'a [f64]>,
    /// With respect to `s`, `[batch, m]`; `None` is zero.
    pub s: Option<&'a [f64]>,
}

impl<'a> ConeCotangent<'a> {
    /// Of a function of the minimisers alone.
    pub fn of_x(x: &'a [f64]) -> Self {
        Self {
            x,
            z: None,
            s: None,
        }
    }
}

/// Which gradients to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConeWanted {
    /// `P`.
    pub p: bool,
    /// `q`.
    pub q: bool,
    /// `A`.
    pub a: bool,
    /// `b`.
    pub b: bool,
}

impl ConeWanted {
    /// Everything.
    pub const ALL: ConeWanted = ConeWanted {
        p: true,
        q: true,
        a: true,
        b: true,
    };
}

/// Derivatives of the loss with respect to the parameters, in their layouts; a shared parameter
/// gets the sum over the batch. An entry of `P`'s upper triangle off the diagonal stands for two
/// mirrored numbers, and its gradient is that of moving both.
#[derive(Clone, Debug, Default)]
pub struct ConeGradients {
    /// `P`, on its pattern.
    pub p: Option<Vec<f64>>,
    /// `q`.
    pub q: Option<Vec<f64>>,
    /// `A`, on its pattern.
    pub a: Option<Vec<f64>>,
    /// `b`.
    pub b: Option<Vec<f64>>,
    /// How far each sample's gradient can be trusted.
    pub reports: Vec<GradientReport>,
}

/// Gradients of a scalar loss with respect to a cone program's parameters, given its gradient with
/// respect to the solution.
///
/// # Adjoint
/// One symmetric system a sample, that of the polish. With `(w, v)` its solution for the
/// cotangents, `∂P = −w xᵀ`, `∂q = −w`, `∂A = −(z wᵀ + v xᵀ)`, `∂b = v`.
///
/// # Kinks
/// Where an eigenvalue of the pair is too small to have a sign, what touches is held
/// ([`crate::Degenerate::LeastNorm`], `Held`) or let go (`Released`), and so are exponential and power
/// cones that touch their boundary or that of their dual. A singular system gets its least-norm solution.
/// [`crate::Degenerate::Smoothed`] differentiates the central path's point: `z ∘ s = μe` in symmetric
/// cones, `z = −μ∇f(s)` in exponential and power cones, `f` their barriers of degree 3,
/// `−ln(y·ln(v/y) − x) − ln y − ln v` and `−ln(x^(2α)·y^(2−2α) − v²) − (1−α)·ln x − α·ln y`
/// (Nesterov & Nemirovskii 1994; Chares 2009).
///
/// # Errors
/// As [`crate::adjoint`].
///
/// # Cost
/// One factorisation a sample, sparse where the problem is, and a few solves.
pub fn cone_adjoint(
    problem: &ConeProblem<'_>,
    solution: &ConeSolution,
    cotangent: &ConeCotangent<'_>,
    wanted: &ConeWanted,
    settings: &AdjointSettings,
) -> Result<ConeGradients, Error> {
    settings.validate()?;
    check_solution(problem, solution)?;
    check(problem, problem.batch, cotangent)?;
    let (batch, n, m) = (problem.batch, problem.n, problem.rows());
    let directions: Vec<Direction> = (0..batch)
        .into_par_iter()
        .map(|i| direction(problem, solution, cotangent, settings, i))
        .collect();
    let mut gradients = ConeGradients::default();
    if let Some(p) = problem.p.filter(|_| wanted.p) {
        gradients.p = Some(on_pattern(&p, batch, |i, row, column| {
            directions[i].of_p(row, column)
        }));
    }
    if wanted.q {
        gradients.q = Some(vector(problem.q, batch, n, |i, j| -directions[i].w[j]));
    }
    if wanted.a {
        gradients.a = Some(on_pattern(&problem.a, batch, |i, row, column| {
            directions[i].of_a(row, column)
        }));
    }
    if wanted.b {
        gradients.b = Some(vector(problem.b, batch, m, |i, j| directions[i].v[j]));
    }
    gradients.reports = directions.into_iter().map(|d| d.report).collect();
    Ok(gradients)
}

fn vector(
    values: Values<'_>,
    batch: usize,
    len: usize,
    entry: impl Fn(usize, usize) -> f64,
) -> Vec<f64> {
    if values.is_shared() {
        (0..len)
            .map(|j| (0..batch).map(|i| entry(i, j)).sum())
            .collect()
    } else {
        (0..batch * len)
            .map(|at| entry(at / len, at % len))
            .collect()
    }
}

fn on_pattern(
    sparse: &Sparse<'_>,
    batch: usize,
    entry: impl Fn(usize, usize, usize) -> f64,
) -> Vec<f64> {
    let places: Vec<(usize, usize)> = sparse.places().collect();
    vector(sparse.values, batch, places.len(), |i, at| {
        let (row, column) = places[at];
        entry(i, row, column)
    })
}

/// The answer of one sample's system to a cotangent.
pub(super) struct Direction {
    /// `[n]`
    pub(super) w: Vec<f64>,
    /// `[m]`
    pub(super) v: Vec<f64>,
    /// The point that was differentiated.
    x: Vec<f64>,
    z: Vec<f64>,
    pub(super) report: GradientReport,
}

impl Direction {
    /// The gradient of an entry of `P`'s upper triangle.
    pub(super) fn of_p(&self, row: usize, column: usize) -> f64 {
        let (w, x) = (&self.w, &self.x);
        if row == column {
            -w[row] * x[row]
        } else {
            -(w[row] * x[column] + w[column] * x[row])
        }
    }

    /// The gradient of an entry of `A`.
    pub(super) fn of_a(&self, row: usize, column: usize) -> f64 {
        -(self.z[row] * self.w[column] + self.v[row] * self.x[column])
    }
}

fn direction(
    problem: &ConeProblem<'_>,
    solution: &ConeSolution,
    cotangent: &ConeCotangent<'_>,
    settings: &AdjointSettings,
    i: usize,
) -> Direction {
    let (n, m) = (problem.n, problem.rows());
    match Linearised::at(problem, solution, settings, i) {
        Some(mut linearised) => answer(&mut linearised, cotangent, i),
        None => Direction {
            w: vec![0.0; n],
            v: vec![0.0; m],
            x: vec![0.0; n],
            z: vec![0.0; m],
            report: GradientReport::UNAVAILABLE,
        },
    }
}

/// Solves for the cotangent's sample `i`.
pub(super) fn answer(
    linearised: &mut Linearised<'_>,
    cotangent: &ConeCotangent<'_>,
    i: usize,
) -> Direction {
    let (n, m) = (linearised.sample.n, linearised.sample.m);
    let (mut w, mut v) = (vec![0.0; n], vec![0.0; m]);
    // s = b − Ax: its cotangent acts on x, and once more on A and b themselves.
    let of_s = cotangent.s.map(|s| &s[i * m..(i + 1) * m]);
    let mut of_x = cotangent.x[i * n..(i + 1) * n].to_vec();
    if let Some(s) = of_s {
        let negative: Vec<f64> = s.iter().map(|v| -v).collect();
        let a = linearised.sample.a;
        a.add_transposed_product(&negative, &mut of_x);
    }
    let nothing;
    let of_z = match cotangent.z {
        Some(z) => &z[i * m..(i + 1) * m],
        None => {
            nothing = vec![0.0; m];
            &nothing
        }
    };
    if linearised.solve((&of_x, of_z), &mut w, &mut v)
        && let Some(s) = of_s
    {
        crate::dense::axpy(1.0, s, &mut v);
    }
    Direction {
        w,
        v,
        report: linearised.report(),
        x: linearised.x.to_vec(),
        z: linearised.z.to_vec(),
    }
}

/// Lengths and finiteness of the cotangent of some samples.
pub(super) fn check(
    problem: &ConeProblem<'_>,
    samples: usize,
    cotangent: &ConeCotangent<'_>,
) -> Result<(), Error> {
    let (n, m) = (problem.n, problem.rows());
    check_cotangent(
        samples,
        &[
            ("cotangent.x", Some(cotangent.x), n, "[batch, n]"),
            ("cotangent.z", cotangent.z, m, "[batch, m]"),
            ("cotangent.s", cotangent.s, m, "[batch, m]"),
        ],
    )
}
