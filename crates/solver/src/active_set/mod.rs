//! Dual active-set method for strictly convex QPs (Goldfarb & Idnani 1983).

mod certificate;
pub(crate) mod pivot;
mod range;
pub(crate) mod reduced;
pub(crate) mod shared;
