//! The problems whose solutions have no derivative, and why: from the point and the multipliers alone,
//! not by what the solver reports of them.

use faer::Mat;
use feasible_solver::Solution;

use crate::support::{Owned, inner};

/// Why a solution has no derivative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A row is at its bound without a multiplier.
    Weak,
    /// Rows that hold depend on each other: multipliers are not unique.
    Dependent,
    /// The objective is flat along the rows that hold: the minimiser is not unique.
    Flat,
}

/// A slack, relative to the point, and a multiplier, relative to the objective's slope, that are zero:
/// residuals of both are below 1e-9.
const ZERO: f64 = 1e-7;

/// Singular values of rows of length 1 that are zero.
const RANK: f64 = 1e-9;

/// All causes that a solution shows.
pub fn causes(owned: &Owned, solution: &Solution) -> Vec<Cause> {
    let n = owned.n;
    let part = |i: usize| &owned.parts[i].data[..];
    let largest = |v: &[f64]| v.iter().fold(0.0f64, |a, v| a.max(v.abs()));
    let x = &solution.x[..];
    let (reach, force) = (ZERO * (1.0 + largest(x)), ZERO * (1.0 + largest(part(1))));
    let unit = |row: &[f64]| -> Option<Vec<f64>> {
        let norm = inner(row, row).sqrt();
        (norm > 0.0).then(|| row.iter().map(|v| v / norm).collect())
    };
    let mut rows: Vec<Vec<f64>> = part(2).chunks_exact(n).filter_map(unit).collect();
    let mut weak = false;
    for (i, row) in part(4).chunks_exact(n).enumerate() {
        let (l, u) = (part(5)[i], part(6)[i]);
        let Some(of_length_one) = unit(row) else {
            continue;
        };
        let (value, norm) = (inner(row, x), inner(row, row).sqrt());
        if (value - l).min(u - value) > reach * norm {
            continue;
        }
        weak |= l < u && solution.inequality_dual[i].abs() * norm <= force;
        rows.push(of_length_one);
    }
    let rank = |rows: &[Vec<f64>]| -> usize {
        let matrix = Mat::from_fn(rows.len(), n, |i, j| rows[i][j]);
        let values = matrix.singular_values().unwrap();
        values.iter().filter(|v| **v > RANK).count()
    };
    let mut all = rows.clone();
    if owned.p_diagonal {
        let entries = part(0).iter().enumerate().filter(|(_, v)| **v > 0.0);
        all.extend(entries.map(|(i, _)| (0..n).map(|j| f64::from(u8::from(i == j))).collect()));
    } else {
        all.extend(part(0).chunks_exact(n).filter_map(unit));
    }
    let mut found = Vec::new();
    found.extend(weak.then_some(Cause::Weak));
    found.extend((rank(&rows) < rows.len()).then_some(Cause::Dependent));
    found.extend((rank(&all) < n).then_some(Cause::Flat));
    found
}

/// Every problem of the set whose solution has no derivative.
pub const KNOWN: [(&str, &[Cause]); 13] = [
    ("CVXQP1_S", &[Cause::Dependent]),
    ("CVXQP2_S", &[Cause::Dependent]),
    ("CVXQP3_S", &[Cause::Weak, Cause::Dependent]),
    ("DUALC8", &[Cause::Flat]),
    ("HS268", &[Cause::Weak]),
    ("HS35MOD", &[Cause::Weak]),
    ("QADLITTL", &[Cause::Weak, Cause::Dependent, Cause::Flat]),
    ("QAFIRO", &[Cause::Dependent, Cause::Flat]),
    ("QISRAEL", &[Cause::Dependent]),
    ("QPCBLEND", &[Cause::Weak, Cause::Dependent]),
    ("QPCBOEI2", &[Cause::Weak, Cause::Dependent]),
    ("QSCAGR7", &[Cause::Dependent, Cause::Flat]),
    ("QSHARE2B", &[Cause::Weak, Cause::Dependent, Cause::Flat]),
];

/// The causes of one of them; none for the others.
pub fn known(name: &str) -> &'static [Cause] {
    let found = KNOWN.iter().find(|(known, _)| *known == name);
    found.map_or(&[], |(_, causes)| causes)
}
