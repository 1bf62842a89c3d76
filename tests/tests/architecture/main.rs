//! The crate rules of `ARCHITECTURE.md`, checked against the manifests and the sources.
//!
//! Development dependencies are exempt: a test may compare with anything.

mod manifests;
mod sources;

use std::path::{Path, PathBuf};

/// The crates of the concrete backends.
const BACKEND_PACKAGES: &[&str] = &[
    "burn-flex",
    "burn-ndarray",
    "burn-cubecl",
    "burn-wgpu",
    "burn-cuda",
    "burn-rocm",
    "burn-tch",
    "burn-candle",
];

/// Cargo runs a package's tests in its folder. `CARGO_MANIFEST_DIR` would be that of the checkout
/// that compiled the test, where several share one target folder.
fn root() -> PathBuf {
    Path::new("..")
        .canonicalize()
        .expect("the workspace folder")
}
