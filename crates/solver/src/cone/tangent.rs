//! Derivatives of cone programs' solutions along directions of the parameters.

use std::fmt;

use rayon::prelude::*;

use crate::adjoint::GradientReport;
use crate::batch::Values;
use crate::cone::linearised::{Linearised, check_solution};
use crate::cone::problem::{ConeProblem, Matrix};
use crate::cone::solve::ConeSolution;
use crate::dense::axpy;
use crate::error::Error;
use crate::settings::AdjointSettings;
use crate::validate::{self, Infinities};

/// Directions of the parameters, each in its parameter's layout or shared; `None` is zero. An entry
/// of `P`'s upper triangle off the diagonal moves both mirrored numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConeTangents<'a> {
    /// Of `P`, on its pattern.
    pub p: Option<Values<'a>>,
    /// Of `q`, `[n]`.
    pub q: Option<Values<'a>>,
    /// Of `A`, on its pattern.
    pub a: Option<Values<'a>>,
    /// Of `b`, `[m]`.
    pub b: Option<Values<'a>>,
}

/// How solutions move along directions of the parameters. Zero for samples that were not solved.
#[derive(Clone, Debug, Default)]
pub struct ConeVelocity {
    /// Of `x`, `[batch, n]`.
    pub x: Vec<f64>,
    /// Of `s`, `[batch, m]`.
    pub s: Vec<f64>,
    /// Of `z`, `[batch, m]`.
    pub z: Vec<f64>,
    /// How far each sample's derivative can be trusted.
    pub reports: Vec<GradientReport>,
}

/// A parameter of a cone program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConeParameter {
    /// `P`, on its pattern.
    P,
    /// `q`.
    Q,
    /// `A`, on its pattern.
    A,
    /// `b`.
    B,
}

impl fmt::Display for ConeParameter {
    /// The argument that it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConeParameter::P => "p",
            ConeParameter::Q => "q",
            ConeParameter::A => "a",
            ConeParameter::B => "b",
        })
    }
}

/// Directional derivatives of the solutions: the Jacobian's product with a direction of the
/// parameters.
///
/// # Linearisation
/// The system of [`crate::cone_adjoint`], which is symmetric, with the right-hand side
/// `P dx + Aᵀdz = −(dP x + dq + dAᵀz)`, `A dx + ds = db − dA x`.
///
/// # Errors
/// [`Error::ForeignSolution`], [`Error::ForeignPattern`], [`Error::Shape`], [`Error::NotFinite`],
/// [`Error::Setting`].
///
/// # Cost
/// One factorisation and one solve a sample.
pub fn cone_tangent(
    problem: &ConeProblem<'_>,
    solution: &ConeSolution,
    tangents: &ConeTangents<'_>,
    settings: &AdjointSettings,
) -> Result<ConeVelocity, Error> {
    settings.validate()?;
    check_solution(problem, solution)?;
    check_tangents(problem, tangents)?;
    let (batch, n, m) = (problem.batch, problem.n, problem.rows());
    let moves: Vec<Move> = (0..batch)
        .into_par_iter()
        .map(|i| motion(problem, solution, tangents, settings, i))
        .collect();
    let mut out = ConeVelocity {
        x: Vec::with_capacity(batch * n),
        s: Vec::with_capacity(batch * m),
        z: Vec::with_capacity(batch * m),
        reports: Vec::with_capacity(batch),
    };
    for one in moves {
        out.x.extend(one.x);
        out.s.extend(one.s);
        out.z.extend(one.z);
        out.reports.push(one.report);
    }
    Ok(out)
}

/// One sample's derivative.
pub(super) struct Move {
    pub(super) x: Vec<f64>,
    pub(super) s: Vec<f64>,
    pub(super) z: Vec<f64>,
    pub(super) report: GradientReport,
}

fn motion(
    problem: &ConeProblem<'_>,
    solution: &ConeSolution,
    tangents: &ConeTangents<'_>,
    settings: &AdjointSettings,
    i: usize,
) -> Move {
    match Linearised::at(problem, solution, settings, i) {
        Some(mut linearised) => along(&mut linearised, tangents, i),
        None => Move {
            x: vec![0.0; problem.n],
            s: vec![0.0; problem.rows()],
            z: vec![0.0; problem.rows()],
            report: GradientReport::UNAVAILABLE,
        },
    }
}

/// The derivative of sample `i` along its part of the directions.
pub(super) fn along(
    linearised: &mut Linearised<'_>,
    tangents: &ConeTangents<'_>,
    i: usize,
) -> Move {
    let (n, m) = (linearised.sample.n, linearised.sample.m);
    let mut out = Move {
        x: vec![0.0; n],
        s: vec![0.0; m],
        z: vec![0.0; m],
        report: GradientReport::UNAVAILABLE,
    };
    let (x, z) = (linearised.x.to_vec(), linearised.z.to_vec());
    let (mut of_x, mut of_s) = (vec![0.0; n], vec![0.0; m]);
    if let (Some(p), Some(entries)) = (linearised.sample.p, tangents.p) {
        let entries = entries.sample(i, p.entries.len());
        Matrix { entries, ..p }.add_symmetric_product(&x, &mut of_x);
    }
    if let Some(q) = tangents.q {
        axpy(1.0, q.sample(i, n), &mut of_x);
    }
    if let Some(entries) = tangents.a {
        let a = linearised.sample.a;
        let entries = entries.sample(i, a.entries.len());
        let direction = Matrix { entries, ..a };
        direction.add_transposed_product(&z, &mut of_x);
        direction.add_product(&x, &mut of_s);
    }
    of_x.iter_mut().for_each(|v| *v = -*v);
    of_s.iter_mut().for_each(|v| *v = -*v);
    if let Some(b) = tangents.b {
        axpy(1.0, b.sample(i, m), &mut of_s);
    }
    if linearised.solve((&of_x, &of_s), &mut out.x, &mut out.z) {
        let mut ax = vec![0.0; m];
        linearised.sample.a.add_product(&out.x, &mut ax);
        for (s, (right, ax)) in out.s.iter_mut().zip(of_s.iter().zip(&ax)) {
            *s = right - ax;
        }
    }
    out.report = linearised.report();
    out
}

pub(super) fn check_tangents(
    problem: &ConeProblem<'_>,
    tangents: &ConeTangents<'_>,
) -> Result<(), Error> {
    let p = problem.p.map_or(0, |p| p.entries());
    let parts = [
        ("tangents.p", tangents.p, p, "entries of the pattern"),
        (
            "tangents.q",
            tangents.q,
            problem.n,
            "[n], per sample or shared",
        ),
        (
            "tangents.a",
            tangents.a,
            problem.a.entries(),
            "entries of the pattern",
        ),
        (
            "tangents.b",
            tangents.b,
            problem.rows(),
            "[m], per sample or shared",
        ),
    ];
    for (argument, values, len, layout) in parts {
        if let Some(values) = values {
            validate::check(
                argument,
                values,
                problem.batch,
                len,
                layout,
                Infinities::None,
            )?;
        }
    }
    Ok(())
}
