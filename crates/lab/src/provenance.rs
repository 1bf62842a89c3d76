//! What made a run: its settings, versions and revision, as `run.json` has them.

use std::process::Command;

use feasible_record::RunInfo;

use crate::Error;
use crate::config::{Precision, RunConfig};
use crate::settings::to_json;

/// The version of Burn in `Cargo.lock`; a test holds the two together.
const BURN_VERSION: &str = "0.22.1";

/// What is known of a run before it starts.
pub(crate) fn info(config: &RunConfig) -> Result<RunInfo, Error> {
    let dtype = match config.training.dtype {
        Precision::F64 => "f64",
        Precision::F32 => "f32",
    };
    let versions = [
        ("feasible", env!("CARGO_PKG_VERSION")),
        ("burn", BURN_VERSION),
    ];
    Ok(RunInfo {
        config: to_json(config)?,
        git_revision: git_revision(),
        versions: versions
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
            .into(),
        device: config.training.device.name().to_owned(),
        dtype: dtype.to_owned(),
        seed: config.seed,
    })
}

/// The revision of the working directory, when it is a git checkout and git is there: that of the
/// user's experiment. This program's own is told by its version.
fn git_revision() -> Option<String> {
    let output = Command::new("git")
        .args([
            "describe",
            "--always",
            "--dirty",
            "--abbrev=40",
            "--exclude=*",
        ])
        .output()
        .ok()?;
    let revision = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !revision.is_empty()).then_some(revision)
}
