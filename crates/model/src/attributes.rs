//! What is known of an expression without numbers: curvature, sign, monotonicity.

use std::fmt;

/// How an expression bends as a function of the variables and the parameters together.
///
/// Parameters count as affine, not as constants: that is the parametrised rule, under which the
/// solver's data is an affine function of the parameters (Agrawal, Amos, Barratt, Boyd, Diamond &
/// Kolter 2019, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curvature {
    /// Neither variables nor parameters.
    Constant,
    /// Affine.
    Affine,
    /// Convex.
    Convex,
    /// Concave.
    Concave,
    /// Not known to be any of these.
    Unknown,
}

impl Curvature {
    /// Constant or affine.
    pub fn is_affine(self) -> bool {
        matches!(self, Curvature::Constant | Curvature::Affine)
    }

    /// Convex, affine or constant.
    pub fn is_convex(self) -> bool {
        self.is_affine() || self == Curvature::Convex
    }

    /// Concave, affine or constant.
    pub fn is_concave(self) -> bool {
        self.is_affine() || self == Curvature::Concave
    }

    pub(crate) fn negated(self) -> Curvature {
        match self {
            Curvature::Convex => Curvature::Concave,
            Curvature::Concave => Curvature::Convex,
            same => same,
        }
    }

    pub(crate) fn plus(self, other: Curvature) -> Curvature {
        use Curvature::{Affine, Constant, Unknown};
        match (self, other) {
            (Unknown, _) | (_, Unknown) => Unknown,
            (Constant, c) | (c, Constant) => c,
            (Affine, c) | (c, Affine) => c,
            (a, b) if a == b => a,
            _ => Unknown,
        }
    }
}

impl fmt::Display for Curvature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Curvature::Constant => "constant",
            Curvature::Affine => "affine",
            Curvature::Convex => "convex",
            Curvature::Concave => "concave",
            Curvature::Unknown => "of unknown curvature",
        })
    }
}

/// What is known of the sign of all entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sign {
    /// All zero.
    Zero,
    /// None below zero.
    Nonnegative,
    /// None above zero.
    Nonpositive,
    /// Not known.
    Unknown,
}

impl Sign {
    /// Nonnegative or zero.
    pub fn is_nonnegative(self) -> bool {
        matches!(self, Sign::Nonnegative | Sign::Zero)
    }

    /// Nonpositive or zero.
    pub fn is_nonpositive(self) -> bool {
        matches!(self, Sign::Nonpositive | Sign::Zero)
    }

    pub(crate) fn of(data: &[f64]) -> Sign {
        match (
            data.iter().all(|v| *v >= 0.0),
            data.iter().all(|v| *v <= 0.0),
        ) {
            (true, true) => Sign::Zero,
            (true, false) => Sign::Nonnegative,
            (false, true) => Sign::Nonpositive,
            (false, false) => Sign::Unknown,
        }
    }

    pub(crate) fn negated(self) -> Sign {
        match self {
            Sign::Nonnegative => Sign::Nonpositive,
            Sign::Nonpositive => Sign::Nonnegative,
            same => same,
        }
    }

    pub(crate) fn plus(self, other: Sign) -> Sign {
        match (self, other) {
            (Sign::Zero, s) | (s, Sign::Zero) => s,
            (a, b) if a == b => a,
            _ => Sign::Unknown,
        }
    }

    pub(crate) fn times(self, other: Sign) -> Sign {
        match (self, other) {
            (Sign::Zero, _) | (_, Sign::Zero) => Sign::Zero,
            (Sign::Unknown, _) | (_, Sign::Unknown) => Sign::Unknown,
            (a, b) if a == b => Sign::Nonnegative,
            _ => Sign::Nonpositive,
        }
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sign::Zero => "zero",
            Sign::Nonnegative => "nonnegative",
            Sign::Nonpositive => "nonpositive",
            Sign::Unknown => "of unknown sign",
        })
    }
}

/// How a function moves with one of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Monotonicity {
    Increasing,
    Decreasing,
    Neither,
}

impl Monotonicity {
    /// Of an even function that grows away from zero.
    pub(crate) fn away_from_zero(sign: Sign) -> Monotonicity {
        if sign.is_nonnegative() {
            Monotonicity::Increasing
        } else if sign.is_nonpositive() {
            Monotonicity::Decreasing
        } else {
            Monotonicity::Neither
        }
    }
}

/// What a variable or a parameter is declared to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Domain {
    /// Any real numbers.
    #[default]
    Free,
    /// Every entry at least 0.
    Nonnegative,
    /// Every entry at most 0.
    Nonpositive,
    /// A symmetric matrix. A variable of this kind has `n(n+1)/2` unknowns.
    Symmetric,
    /// A symmetric positive semidefinite matrix.
    Semidefinite,
}

impl Domain {
    pub(crate) fn sign(self) -> Sign {
        match self {
            Domain::Nonnegative => Sign::Nonnegative,
            Domain::Nonpositive => Sign::Nonpositive,
            _ => Sign::Unknown,
        }
    }

    pub(crate) fn is_symmetric(self) -> bool {
        matches!(self, Domain::Symmetric | Domain::Semidefinite)
    }
}
