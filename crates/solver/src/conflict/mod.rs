//! Why a sample has no solution: multipliers that prove it, and the rows they name.

mod find;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use find::{certify, least_norm};

/// Multipliers that prove that no point satisfies a sample's constraints.
///
/// With the signs of [`crate::Problem`]'s Lagrangian, `φ(x) = νᵀ(Ax−b) + λ_uᵀ(Gx−u) − λ_lᵀ(Gx−l)
/// + Σ μ_i(xᵀH_ix + g_iᵀx − c_i)` is at most 0 at every feasible point, but positive everywhere:
/// without quadratic rows `Aᵀν + Gᵀ(λ_u−λ_l) = 0` and `νᵀb + λ_uᵀu − λ_lᵀl < 0` (Farkas).
/// Multipliers of zero belong to rows that are not needed. Scaled so that the weights of
/// [`Conflict`] sum to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Farkas {
    /// `ν`, `[p]`.
    pub equality: Vec<f64>,
    /// `λ_u − λ_l`, `[m]`: positive where the upper bound is part of the conflict, negative where
    /// the lower one is. Zero in a row whose bounds cross: it is a conflict by itself, both its
    /// multipliers one.
    pub inequality: Vec<f64>,
    /// `μ ≥ 0`, `[k]`.
    pub quadratic: Vec<f64>,
    /// `min φ`: how far the rows are from agreeing, relative to their sizes.
    pub gap: f64,
    pub(crate) conflict: Conflict,
}

/// Rows that contradict each other, the weightiest first.
///
/// The set is irreducible unless the rows' numbers are too close to tell, or a problem with quadratic
/// rows or too many for factors names more than a thousand: without any one of them the others can be
/// met. It need not be the only one, nor the smallest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    /// The rows.
    pub rows: Vec<ConflictingRow>,
}

/// One row of a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConflictingRow {
    /// Which one.
    pub row: NamedRow,
    /// Its share of the certificate: multiplier times the row's norm, over the sum of all.
    pub weight: f64,
}

/// A row of a problem by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NamedRow {
    /// Row of `A`.
    Equality(usize),
    /// Lower bound of a row of `G`.
    Lower(usize),
    /// Upper bound of a row of `G`.
    Upper(usize),
    /// Quadratic row.
    Quadratic(usize),
}

impl fmt::Display for NamedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NamedRow::Equality(i) => write!(f, "equality {i}"),
            NamedRow::Lower(i) => write!(f, "row {i} (lower)"),
            NamedRow::Upper(i) => write!(f, "row {i} (upper)"),
            NamedRow::Quadratic(i) => write!(f, "quadratic row {i}"),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.rows.iter().map(|row| row.row.to_string()).collect();
        f.write_str(&conflict_in_words(&names))
    }
}

/// Names that a sentence lists.
const NAMED: usize = 8;

/// The sentence that what is named contradicts itself: the first eight names, and how many more there are.
pub fn conflict_in_words(names: &[String]) -> String {
    match names {
        [] => "nothing conflicts".to_owned(),
        [only] => format!("{only} cannot be met"),
        [rest @ .., last] if names.len() <= NAMED => {
            format!("{} and {last} conflict", rest.join(", "))
        }
        many => format!(
            "{} and {} more conflict",
            many[..NAMED].join(", "),
            many.len() - NAMED
        ),
    }
}

/// Why a sample has no solution.
#[derive(Clone, Debug)]
pub(crate) enum Certificate {
    Infeasible(Farkas),
    /// A direction of unit largest entry along which the objective falls forever.
    Unbounded(Vec<f64>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_reads_as_a_sentence() {
        let of = |rows: &[NamedRow]| {
            let rows = rows.iter().map(|&row| ConflictingRow { row, weight: 0.5 });
            Conflict {
                rows: rows.collect(),
            }
            .to_string()
        };
        use NamedRow::{Equality, Lower, Quadratic, Upper};
        assert_eq!(
            of(&[Lower(0), Upper(3), Equality(1)]),
            "row 0 (lower), row 3 (upper) and equality 1 conflict"
        );
        assert_eq!(of(&[Quadratic(2)]), "quadratic row 2 cannot be met");
        let nine: Vec<NamedRow> = (0..9).map(Equality).collect();
        assert!(of(&nine).ends_with("equality 6, equality 7 and 1 more conflict"));
        assert!(of(&nine[..8]).ends_with("equality 6 and equality 7 conflict"));
    }
}
