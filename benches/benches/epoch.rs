//! One training epoch, see below.
fn main() {}
