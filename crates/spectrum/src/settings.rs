//! Which eigenvalues are wanted, and how to find them.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Which eigenvalues are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Wanted {
    /// This many of the algebraically largest; the largest first.
    Top(usize),
    /// This many of the algebraically smallest; the smallest first.
    Bottom(usize),
    /// This many of largest absolute value; the largest first.
    Magnitude(usize),
    /// Both ends of the spectrum: the largest, largest first, then the smallest, smallest first.
    BothEnds {
        /// How many of the largest.
        top: usize,
        /// How many of the smallest.
        bottom: usize,
    },
}

impl Wanted {
    /// How many.
    pub fn count(self) -> usize {
        match self {
            Wanted::Top(k) | Wanted::Bottom(k) | Wanted::Magnitude(k) => k,
            Wanted::BothEnds { top, bottom } => top.saturating_add(bottom),
        }
    }

    /// # Errors
    /// [`Error::Count`] when none or more than `n` are wanted.
    pub(crate) fn validate(self, n: usize) -> Result<(), Error> {
        let count = self.count();
        if count == 0 || count > n {
            return Err(Error::Count { count, n });
        }
        Ok(())
    }
}

/// Whether to look for eigenvalues that one Krylov space cannot show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Copies {
    /// Search the complement of what was found, from a random direction, until the odds of a missed
    /// eigenvalue are below [`Settings::missed`].
    Search,
    /// Trust the first Krylov space: right for operators without repeated eigenvalues among those
    /// wanted, and a seventh to a third cheaper on the spectra of `benches/peers/eigsh.py`.
    Trust,
}

/// How to find eigenpairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// A pair counts as converged when `‖Hv − λv‖ ≤ tolerance · |λ|` for a unit `v`. Default `1e-8`.
    pub tolerance: f64,
    /// Rounding that products carry, relative to the operator's norm: residuals below
    /// `rounding · ‖H‖` count as converged whatever `|λ|` is. Default `1e-13`; products by finite
    /// differences have about `1e-9`, single precision about `1e-6`.
    pub rounding: f64,
    /// Asymmetry that is tolerated: `|uᵀHv − vᵀHu|` over the operator's norm, unit `u` and `v`.
    /// Above it the result is [`crate::Status::Asymmetric`]. Default `1e-6`.
    pub asymmetry: f64,
    /// Basis vectors held at a time, apart from the eigenvectors found; 0 chooses
    /// `max(2 count + 1, 20)`, as ARPACK's users do. More need fewer products, and more memory and
    /// orthogonalisation. Default 0.
    pub basis: usize,
    /// Products with the operator before [`crate::Status::Budget`], those for the final residuals
    /// included. At least twice the number of eigenvalues wanted. Default 10 000.
    pub products: usize,
    /// Whether to look for copies of repeated eigenvalues. Default [`Copies::Search`].
    pub copies: Copies,
    /// Odds that may remain of having missed an eigenvalue, where copies are searched for. Default
    /// `1e-4`.
    pub missed: f64,
    /// Seed of the random directions. The same seed gives the same numbers bit for bit, whatever
    /// the number of threads. Default 0.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tolerance: 1e-8,
            rounding: 1e-13,
            asymmetry: 1e-6,
            basis: 0,
            products: 10_000,
            copies: Copies::Search,
            missed: 1e-4,
            seed: 0,
        }
    }
}

impl Settings {
    /// Checks every field's range, for `count` eigenvalues.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first field out of range.
    pub fn validate(&self, count: usize) -> Result<(), Error> {
        let check = |setting, value: f64, good: bool, must| {
            if good {
                Ok(())
            } else {
                Err(Error::Setting {
                    setting,
                    value,
                    must,
                })
            }
        };
        let in_unit = |v: f64| v > 0.0 && v < 1.0;
        let t = self.tolerance;
        check(
            "tolerance",
            t,
            (0.0..1.0).contains(&t),
            "at least 0 and below 1",
        )?;
        check(
            "rounding",
            self.rounding,
            in_unit(self.rounding),
            "between 0 and 1",
        )?;
        let positive = self.asymmetry > 0.0;
        check("asymmetry", self.asymmetry, positive, "above 0")?;
        check(
            "missed",
            self.missed,
            in_unit(self.missed),
            "between 0 and 1",
        )?;
        let enough = self.basis == 0 || self.basis >= count.saturating_add(2);
        let must = "0 or at least 2 more than the eigenvalues wanted";
        check("basis", self.basis as f64, enough, must)?;
        let enough = self.products >= count.saturating_mul(2);
        let must = "at least twice the eigenvalues wanted";
        check("products", self.products as f64, enough, must)
    }

    pub(crate) fn basis_size(&self, count: usize) -> usize {
        match self.basis {
            0 => (2 * count + 1).max(20),
            given => given,
        }
    }
}
