//! Whole Jacobians of cone programs' solutions.

use rayon::prelude::*;

use crate::adjoint::{GradientQuality, GradientReport, Outputs};
use crate::cone::linearised::{Linearised, check_solution};
use crate::cone::problem::ConeProblem;
use crate::cone::solve::ConeSolution;
use crate::cone::tangent::ConeParameter;
use crate::error::Error;
use crate::settings::AdjointSettings;

/// Derivatives of every sample's solution with respect to the numbers that sample uses of one
/// parameter. Samples that were not solved have zeros.
#[derive(Clone, Debug, Default)]
pub struct ConeJacobian {
    /// Numbers of one copy of the parameter; 0 for the `P` of a problem without one.
    pub len: usize,
    /// `∂x/∂θ`, `[batch, n, len]`.
    pub x: Vec<f64>,
    /// `∂s/∂θ`, `[batch, m, len]`; empty unless asked for.
    pub s: Vec<f64>,
    /// `∂z/∂θ`, `[batch, m, len]`; empty unless asked for.
    pub z: Vec<f64>,
    /// How far each sample's derivatives can be trusted.
    pub reports: Vec<GradientReport>,
}

/// The whole derivative of `x`, and of slacks and multipliers if `outputs` says so, with respect to one
/// parameter.
///
/// # Errors
/// [`Error::ForeignSolution`], [`Error::ForeignPattern`], [`Error::Setting`].
///
/// # Cost
/// One factorisation a sample, and one solve for every number of the parameter, or of `x` and where
/// they are wanted the multipliers, whichever are fewer. Slacks follow from `Ax + s = b`.
pub fn cone_jacobian(
    problem: &ConeProblem<'_>,
    solution: &ConeSolution,
    parameter: ConeParameter,
    outputs: Outputs,
    settings: &AdjointSettings,
) -> Result<ConeJacobian, Error> {
    settings.validate()?;
    check_solution(problem, solution)?;
    let places = match parameter {
        ConeParameter::P => problem.p.iter().flat_map(|p| p.places()).collect(),
        ConeParameter::A => problem.a.places().collect(),
        ConeParameter::Q => (0..problem.n).map(|k| (k, 0)).collect(),
        ConeParameter::B => (0..problem.rows()).map(|k| (k, 0)).collect(),
    };
    let numbers = Numbers { parameter, places };
    let samples: Vec<(Rows, GradientReport)> = (0..problem.batch)
        .into_par_iter()
        .map(|i| {
            let at = Linearised::at(problem, solution, settings, i);
            let found = at.map(|mut at| (numbers.rows(&mut at, outputs), at.report()));
            // One solve that leaves the finite numbers takes all that is of them with it.
            let found = found.filter(|(_, report)| report.quality != GradientQuality::Unavailable);
            found.unwrap_or_else(|| {
                let rows = numbers.no_rows(problem.n, problem.rows(), outputs);
                (rows, GradientReport::UNAVAILABLE)
            })
        })
        .collect();
    let mut out = ConeJacobian {
        len: numbers.len(),
        ..ConeJacobian::default()
    };
    for (rows, report) in samples {
        out.x.extend(rows.x);
        out.s.extend(rows.s);
        out.z.extend(rows.z);
        out.reports.push(report);
    }
    Ok(out)
}

/// One sample's part of a [`ConeJacobian`].
struct Rows {
    x: Vec<f64>,
    s: Vec<f64>,
    z: Vec<f64>,
}

/// The numbers of one parameter, by row and column of the matrix or by entry of the vector.
struct Numbers {
    parameter: ConeParameter,
    places: Vec<(usize, usize)>,
}

impl Numbers {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn no_rows(&self, n: usize, m: usize, outputs: Outputs) -> Rows {
        let m = match outputs {
            Outputs::Primal => 0,
            Outputs::PrimalAndDuals => m,
        };
        Rows {
            x: vec![0.0; n * self.len()],
            s: vec![0.0; m * self.len()],
            z: vec![0.0; m * self.len()],
        }
    }

    fn rows(&self, at: &mut Linearised<'_>, outputs: Outputs) -> Rows {
        let (n, m) = (at.sample.n, at.sample.m);
        let mut rows = self.no_rows(n, m, outputs);
        if self.len() == 0 {
            return rows;
        }
        let (x, z) = (at.x.to_vec(), at.z.to_vec());
        let (mut of_x, mut of_s) = (vec![0.0; n], vec![0.0; m]);
        let (mut w, mut v) = (vec![0.0; n], vec![0.0; m]);
        let wanted = n + rows.z.len() / self.len();
        if self.len() < wanted {
            for k in 0..self.len() {
                of_x.fill(0.0);
                of_s.fill(0.0);
                self.moved(
                    k,
                    (&x, &z),
                    |row, v| of_x[row] -= v,
                    |row, v| of_s[row] += v,
                );
                at.solve((&of_x, &of_s), &mut w, &mut v);
                for (rows, column) in [(&mut rows.x, &w), (&mut rows.z, &v)] {
                    let entries = rows.iter_mut().skip(k).step_by(self.len());
                    entries.zip(column).for_each(|(entry, v)| *entry = *v);
                }
            }
        } else {
            // The system is symmetric, so a row of its inverse is a column of it.
            for row in 0..wanted {
                let unit = match row.checked_sub(n) {
                    None => &mut of_x[row],
                    Some(row) => &mut of_s[row],
                };
                *unit = 1.0;
                at.solve((&of_x, &of_s), &mut w, &mut v);
                of_x.fill(0.0);
                of_s.fill(0.0);
                let out = match row.checked_sub(n) {
                    None => &mut rows.x[row * self.len()..][..self.len()],
                    Some(row) => &mut rows.z[row * self.len()..][..self.len()],
                };
                for (k, out) in out.iter_mut().enumerate() {
                    let mut moved = (0.0, 0.0);
                    let (of_x, of_s) = (&mut moved.0, &mut moved.1);
                    self.moved(
                        k,
                        (&x, &z),
                        |r, t| *of_x -= w[r] * t,
                        |r, t| *of_s += v[r] * t,
                    );
                    *out = moved.0 + moved.1;
                }
            }
        }
        if outputs == Outputs::PrimalAndDuals {
            self.slacks(at, &x, &z, &mut rows);
        }
        rows
    }

    /// `ds = db − dA x − A dx`.
    fn slacks(&self, at: &Linearised<'_>, x: &[f64], z: &[f64], rows: &mut Rows) {
        let len = self.len();
        for k in 0..len {
            let direct = |row: usize, v: f64| rows.s[row * len + k] += v;
            self.moved(k, (x, z), |_, _| {}, direct);
        }
        for (row, column, v) in at.sample.a.iter() {
            let moved = &rows.x[column * len..][..len];
            let out = &mut rows.s[row * len..][..len];
            out.iter_mut().zip(moved).for_each(|(s, x)| *s -= v * x);
        }
    }

    /// What number `k` moves: `dP x + dq + dAᵀz` at the variables, and `db − dA x` at the rows.
    fn moved(
        &self,
        k: usize,
        (x, z): (&[f64], &[f64]),
        mut of_x: impl FnMut(usize, f64),
        mut of_s: impl FnMut(usize, f64),
    ) {
        let (row, column) = self.places[k];
        match self.parameter {
            ConeParameter::Q => of_x(row, 1.0),
            ConeParameter::B => of_s(row, 1.0),
            ConeParameter::A => {
                of_x(column, z[row]);
                of_s(row, -x[column]);
            }
            ConeParameter::P => {
                of_x(row, x[column]);
                if row != column {
                    of_x(column, x[row]);
                }
            }
        }
    }
}
