//! A second opinion on linear rows: the sample as a cone program.
//!
//! Where the dense iterations end without a verdict, as on badly scaled problems with a semidefinite
//! objective, Clarabel's equilibration and its homogeneous embedding often reach one.

use super::Answer;
use crate::batch::Values;
use crate::cone::{Cone, ConeProblem, ConeSettings, Second, Sparse, solve_asking};
use crate::polish::{Guess, polish};
use crate::problem::{Matrix, Sample};
use crate::settings::Settings;
use crate::status::Status;

/// A sparse matrix by columns.
#[derive(Default)]
struct Columns {
    starts: Vec<usize>,
    indices: Vec<usize>,
    entries: Vec<f64>,
}

impl Columns {
    fn new(n: usize, rows: usize, entry: impl Fn(usize, usize) -> f64) -> Columns {
        let mut out = Columns {
            starts: vec![0],
            ..Columns::default()
        };
        for column in 0..n {
            for row in 0..rows {
                let value = entry(row, column);
                if value != 0.0 {
                    out.indices.push(row);
                    out.entries.push(value);
                }
            }
            out.starts.push(out.indices.len());
        }
        out
    }

    fn sparse(&self, rows: usize) -> Sparse<'_> {
        Sparse {
            rows,
            columns: self.starts.len() - 1,
            starts: &self.starts,
            indices: &self.indices,
            values: Values::Shared(&self.entries),
        }
    }
}

/// `None` for quadratic rows, and where Clarabel has no verdict either.
pub(super) fn opinion(sample: &Sample<'_>, settings: &Settings) -> Option<Answer> {
    if !sample.c.is_empty() {
        return None;
    }
    let (n, equalities) = (sample.n, sample.b.len());
    // One row a finite bound: row of G, and the sign that makes it an upper bound.
    let sides: Vec<(usize, f64)> = (0..sample.l.len())
        .flat_map(|row| [(row, 1.0, sample.u[row]), (row, -1.0, sample.l[row])])
        .filter(|(_, _, bound)| bound.is_finite())
        .map(|(row, sign, _)| (row, sign))
        .collect();
    let rows = equalities + sides.len();
    let a = Columns::new(n, rows, |row, column| match row.checked_sub(equalities) {
        None => sample.a[row * n + column],
        Some(at) => sides[at].1 * sample.g[sides[at].0 * n + column],
    });
    let b: Vec<f64> = (sample.b.iter().copied())
        .chain(sides.iter().map(|&(row, sign)| match sign > 0.0 {
            true => sample.u[row],
            false => -sample.l[row],
        }))
        .collect();
    let p = Columns::new(n, n, |row, column| match sample.p {
        Matrix::Dense(data) if row <= column => data[row * n + column],
        Matrix::Diagonal(data) if row == column => data[row],
        _ => 0.0,
    });
    let cones = [Cone::Zero(equalities), Cone::Nonnegative(sides.len())];
    let problem = ConeProblem {
        batch: 1,
        n,
        p: Some(p.sparse(n)),
        q: Values::Shared(sample.q),
        a: a.sparse(rows),
        b: Values::Shared(&b),
        cones: &cones,
    };
    let cone_settings = ConeSettings {
        tolerance: settings.reachable_tolerance(),
        rounding: settings.rounding,
        max_iterations: u32::try_from(settings.max_iterations).unwrap_or(u32::MAX),
        ..ConeSettings::default()
    };
    let found = solve_asking(&problem, &cone_settings, Second::Nobody).ok()?;
    let status = found.status[0];
    if !matches!(
        status,
        Status::Solved | Status::PrimalInfeasible | Status::DualInfeasible
    ) {
        return None;
    }
    let mut guess = Guess {
        x: found.x.clone(),
        nu: found.z[..equalities].to_vec(),
        lambda: vec![0.0; sample.l.len()],
        mu: Vec::new(),
        linear: vec![0.0; sample.l.len()],
        quadratic: Vec::new(),
    };
    for (at, &(row, sign)) in sides.iter().enumerate() {
        let (z, s) = (found.z[equalities + at], found.s[equalities + at]);
        guess.lambda[row] += sign * z;
        if z > s {
            guess.linear[row] = sign;
        }
    }
    if status.is_solved() {
        let (polished, steps) = polish(sample, &guess, settings.reachable_tolerance());
        if let Some(mut answer) = polished {
            answer.iterations = found.iterations[0] + steps;
            return Some(answer);
        }
    }
    let mut answer = Answer::empty(sample, status);
    answer.active = guess.active();
    (answer.x, answer.nu, answer.lambda) = (guess.x, guess.nu, guess.lambda);
    answer.iterations = found.iterations[0];
    Some(answer)
}
