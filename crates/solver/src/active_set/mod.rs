//! Dual active-set method for strictly convex QPs (Goldfarb & Idnani 1983).

pub(crate) mod basis;
pub(crate) mod batch;
pub(crate) mod certificate;
pub(crate) mod explicit;
pub(crate) mod least_distance;
pub(crate) mod memory;
pub(crate) mod pivot;
pub(crate) mod range;
pub(crate) mod reduced;
pub(crate) mod shared;
mod violation;
