//! What the end of the iterations leaves of residuals that could be zero, and the curvature it brings.
//!
//! Where a problem can be solved exactly its Hessian is JᵀJ, and a direction that no row sees is one that the
//! rows do not decide. Rows that end at 1e-10 instead of 0 add curvature of that size to it, of either sign:
//! the eigenvalue is then no zero, but a number without meaning.

use super::System;
use super::blocks::Blocks;
use crate::backward::hessian::{add_curvature_of, add_gauss_newton, bends};
use crate::dense::{dot, norm};
use crate::term::Term;

/// Residual up to which a row counts as zero, relative to what the variables it sees, by their size or by 1,
/// make of it. The curvature of such rows is also taken for that much at most, relative to the rest.
const NEGLIGIBLE: f64 = 1e-6;

/// A diagonal scaling of the matrix, in which what one may neglect is small whatever the units are.
pub(super) struct Remainder {
    /// The reciprocal roots of the diagonal.
    pub(super) scales: Vec<f64>,
    /// Norm of the scaled curvature that means nothing: eigenvalues as small are not told from zero.
    pub(super) noise: f64,
    /// Whether there is no curvature but such.
    pub(super) is_all: bool,
}

impl Remainder {
    pub(super) fn of(system: &System<'_>, blocks: &Blocks) -> Self {
        let n = system.objective.tangent;
        let sizes = sizes(system);
        // By coordinate: of JᵀJ, of the curvature, and row sums of the curvature that means nothing.
        let (mut rows, mut curvature, mut noise) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        let mut entries: Vec<(usize, usize, f64)> = Vec::new();
        let mut is_all = true;
        let (mut small, mut part) = (Vec::new(), Vec::new());
        for ((index, term), block) in system.objective.terms.iter().enumerate().zip(blocks.iter()) {
            for row in system.at.block(term).chunks_exact(term.width) {
                for (value, column) in row.iter().zip(&term.columns) {
                    rows[*column] += value * value;
                }
            }
            if !system.exact {
                continue;
            }
            for (local, column) in term.columns.iter().enumerate() {
                curvature[*column] += block[local * term.width + local];
            }
            small.clear();
            small.extend(is_small(system, term, &sizes));
            let values = &system.at.rows[term.row..term.row + term.rows];
            let all_small = small.iter().all(|small| *small);
            let scale = system.at.scales[index];
            if scale == 0.0 {
                continue;
            }
            let robust = term.robust.loss(dot(values, values) / (scale * scale));
            is_all &= all_small || !(bends(term) || robust.second != 0.0);
            if !bends(term) || small.iter().zip(values).all(|(s, v)| !*s || *v == 0.0) {
                continue;
            }
            part.clear();
            part.resize(term.width * term.width, 0.0);
            if all_small {
                // What the block has beyond JᵀJ; the rounding of the difference means as little.
                add_gauss_newton(term, system.at, &mut part);
                part.iter_mut().zip(block).for_each(|(p, b)| *p = b - *p);
            } else {
                let masked = values.iter().zip(&small);
                let masked = masked.map(|(v, small)| if *small { *v } else { 0.0 });
                add_curvature_of(term, scale, &system.sample, masked, &mut part);
            }
            for (row, i) in part.chunks_exact(term.width.max(1)).zip(&term.columns) {
                for (value, j) in row.iter().zip(&term.columns) {
                    if *value != 0.0 && !system.held[*i] && !system.held[*j] {
                        noise[*i] += value.abs();
                        entries.push((*i, *j, *value));
                    }
                    if i == j {
                        curvature[*i] -= value;
                    }
                }
            }
        }
        let scales: Vec<f64> = (0..n)
            .map(|i| {
                // The blocks hold JᵀJ as well.
                let beyond = if system.exact {
                    (curvature[i] - rows[i]).abs()
                } else {
                    0.0
                };
                let diagonal = rows[i] + beyond + noise[i] / NEGLIGIBLE;
                if system.held[i] || diagonal == 0.0 {
                    1.0
                } else {
                    diagonal.sqrt().recip()
                }
            })
            .collect();
        let mut sums = vec![0.0; n];
        for (i, j, value) in entries {
            sums[i] += value.abs() * scales[i] * scales[j];
        }
        Self {
            scales,
            noise: sums.into_iter().fold(0.0, f64::max),
            is_all,
        }
    }
}

/// Of every coordinate, that of its variable or 1.
fn sizes(system: &System<'_>) -> Vec<f64> {
    let mut sizes = vec![1.0; system.objective.tangent];
    for variable in &system.objective.variables {
        let x = &system.sample.x[variable.place..][..variable.manifold.storage()];
        let tangent = variable.manifold.tangent();
        let flat = variable.manifold.is_flat() && x.len() == tangent;
        for (i, size) in sizes[variable.column..][..tangent].iter_mut().enumerate() {
            *size = f64::max(1.0, if flat { x[i].abs() } else { norm(x) });
        }
    }
    sizes
}

fn is_small<'a>(
    system: &'a System<'_>,
    term: &'a Term,
    sizes: &'a [f64],
) -> impl Iterator<Item = bool> + 'a {
    let values = &system.at.rows[term.row..term.row + term.rows];
    let rows = system.at.block(term).chunks_exact(term.width.max(1));
    values.iter().zip(rows).map(move |(value, row)| {
        let reach = row.iter().zip(&term.columns);
        let reach: f64 = reach.map(|(d, column)| d.abs() * sizes[*column]).sum();
        value.abs() <= NEGLIGIBLE * reach
    })
}
