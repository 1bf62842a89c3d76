//! Whether the objective of a cone program is convex.

use ::clarabel::algebra::CscMatrix;
use ::clarabel::qdldl::{QDLDLFactorisation, QDLDLSettings};
use rayon::prelude::*;

use crate::cone::problem::{ConeProblem, Sparse};
use crate::dense::max_abs;
use crate::error::Error;
use crate::semidefinite;

/// Refuses a `P` with a negative eigenvalue.
pub(super) fn convex(problem: &ConeProblem<'_>, rounding: f64) -> Result<(), Error> {
    let Some(p) = problem.p else {
        return Ok(());
    };
    let copies = if p.values.is_shared() {
        problem.batch.min(1)
    } else {
        problem.batch
    };
    let check = |copy: usize| {
        let values = p.values.sample(copy, p.entries());
        let allowed = semidefinite::tolerance(problem.n, rounding) * max_abs(values);
        let sample = (!p.values.is_shared()).then_some(copy);
        if allowed == 0.0 || definite(&p, values, allowed) {
            return None;
        }
        semidefinite::lowest_of_upper(problem.n, p.places().zip(values), allowed).map(
            |eigenvalue| Error::NotConvex {
                argument: "p",
                sample,
                index: 0,
                eigenvalue,
            },
        )
    };
    match (0..copies).into_par_iter().find_map_first(check) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Whether a symmetric matrix given by its upper triangle has no eigenvalue below `-allowed`, by a
/// sparse factorisation. False says nothing: a semidefinite matrix may fail by rounding.
fn definite(p: &Sparse<'_>, values: &[f64], allowed: f64) -> bool {
    let shift = 0.5 * allowed;
    let (mut starts, mut indices, mut entries) = (vec![0], Vec::new(), Vec::new());
    for column in 0..p.columns {
        let mut diagonal = shift;
        for at in p.starts[column]..p.starts[column + 1] {
            if p.indices[at] == column {
                diagonal += values[at];
            } else {
                indices.push(p.indices[at]);
                entries.push(values[at]);
            }
        }
        indices.push(column);
        entries.push(diagonal);
        starts.push(indices.len());
    }
    let matrix = CscMatrix::new(p.columns, p.columns, starts, indices, entries);
    let settings = QDLDLSettings {
        regularize_enable: false,
        ..QDLDLSettings::default()
    };
    QDLDLFactorisation::<f64>::new(&matrix, Some(settings))
        .is_ok_and(|factor| factor.D.iter().all(|pivot| *pivot > 0.0))
}
