//! The feasible program.
fn main() {}
