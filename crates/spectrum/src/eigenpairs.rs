//! What was found.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the search for eigenpairs ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// Every pair has its residual below the tolerance.
    Converged,
    /// The products allowed were spent first. Pairs have their true residuals.
    Budget,
    /// Residuals stopped falling before the tolerance: the products carry more rounding than
    /// [`crate::Settings::rounding`] says. Pairs have their true residuals.
    Stagnated,
    /// A product had a NaN or an infinity; [`Eigenpairs::products`] is its number. Pairs are what
    /// the products before it gave, without residuals.
    NotFinite,
    /// The operator is not symmetric, to [`crate::Settings::asymmetry`]. Pairs are those of its
    /// symmetric part on the space seen so far and of no further use.
    Asymmetric,
}

/// What is known of one pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PairStatus {
    /// The residual is below the tolerance.
    Converged,
    /// It is not.
    Unconverged,
}

/// An eigenvalue and how good it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// λ, the Rayleigh quotient of its vector.
    pub value: f64,
    /// `‖Hv − λv‖` for the unit vector `v`, from products with the vectors found themselves and not
    /// from the recurrence. A symmetric `H` has an eigenvalue within this of λ. NaN where no such
    /// products could be had.
    pub residual: f64,
    /// Whether the residual is below the tolerance.
    pub status: PairStatus,
}

/// Eigenpairs of an operator, and how they were found.
#[derive(Clone)]
pub struct Eigenpairs {
    /// In the order of [`crate::Wanted`]. Fewer than wanted only if [`Status::NotFinite`],
    /// [`Status::Asymmetric`] or [`Status::Budget`] came first.
    pub pairs: Vec<Pair>,
    /// Orthonormal eigenvectors, one after the other, `[pairs, n]`.
    pub vectors: Vec<f64>,
    /// How it ended.
    pub status: Status,
    /// Products with the operator, all of them.
    pub products: usize,
    /// Of these, spent on the residuals of [`Pair::residual`].
    pub verification_products: usize,
    /// Of these, spent on the search for copies.
    pub search_products: usize,
    /// Times that a basis was restarted.
    pub restarts: usize,
    /// Bound on the odds that an eigenvalue beyond those found was missed: [`crate::Settings::missed`]
    /// after a search, 0 where the search left nothing to be missed, 1 where nobody looked. The odds
    /// are over the random directions, and the bound holds up to rounding.
    pub missed: f64,
    /// Largest `|uᵀHv − vᵀHu|` over `norm`, over pairs of basis vectors.
    pub symmetry_defect: f64,
    /// Lower bound on ‖H‖: the longest product of a unit vector.
    pub norm: f64,
}

impl Eigenpairs {
    /// Whether every wanted pair was found to the tolerance.
    pub fn all_converged(&self) -> bool {
        self.status == Status::Converged
    }

    /// The eigenvalues.
    pub fn values(&self) -> Vec<f64> {
        self.pairs.iter().map(|p| p.value).collect()
    }

    /// The vector of pair `index`, of length `n`; empty beyond the last.
    pub fn vector(&self, index: usize) -> &[f64] {
        if index >= self.pairs.len() {
            return &[];
        }
        let n = self.vectors.len() / self.pairs.len();
        &self.vectors[index * n..(index + 1) * n]
    }
}

/// Without the vectors, which fill pages.
impl fmt::Debug for Eigenpairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Eigenpairs")
            .field("pairs", &self.pairs)
            .field("status", &self.status)
            .field("products", &self.products)
            .field("verification_products", &self.verification_products)
            .field("search_products", &self.search_products)
            .field("restarts", &self.restarts)
            .field("missed", &self.missed)
            .field("symmetry_defect", &self.symmetry_defect)
            .field("norm", &self.norm)
            .finish_non_exhaustive()
    }
}
