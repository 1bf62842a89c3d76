//! What several benchmarks of this package share; see its targets.

pub mod dc3;
