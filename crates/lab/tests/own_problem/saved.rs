//! Landscapes of runs on a problem of one's own.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::{DType, Device};
use feasible_lab::{
    EarlierRows, Error, LandscapeOutput, LandscapeSettings, MethodConfig, MethodKind, PlaneChoice,
    RunConfig, RunReport, SavedRun, Silent, Task, train_run,
};

use crate::{Line, config, inputs, task};

fn trained(runs: &Path, seed: u64) -> (RunReport, RunConfig) {
    let task = task();
    let config = RunConfig {
        seed,
        ..config(MethodConfig::new(MethodKind::Projection), 1)
    };
    let references = task.references(None, &mut |_, _| {}).unwrap();
    let report = train_run(runs, &config, &task, &references, &mut Silent).unwrap();
    (report, config)
}

/// The other run's folder does not say how its problem is made, but it is the same.
#[test]
fn a_line_between_runs_is_of_their_own_problem() {
    let runs = tempfile::tempdir().unwrap();
    let (one, _) = trained(runs.path(), 1);
    let (two, _) = trained(runs.path(), 2);
    let run = SavedRun::with_task(&one.path, task()).unwrap();
    let out = tempfile::tempdir().unwrap();
    let output = LandscapeOutput {
        folder: out.path(),
        name: "line",
        rows: EarlierRows::Discard,
        progress: &|_, _| ControlFlow::Continue(()),
    };
    let settings = LandscapeSettings {
        plane: PlaneChoice::Between(vec![two.path.clone()]),
        points: 5,
        ..LandscapeSettings::default()
    };
    let found = run.landscape(None, &settings, &output).unwrap().landscape;
    let end = found.surface.a.iter().position(|a| *a == 1.0).unwrap();
    let settings = LandscapeSettings {
        points: 3,
        ..LandscapeSettings::default()
    };
    let other = SavedRun::with_task(&two.path, task()).unwrap();
    let other = other.landscape(None, &settings, &output).unwrap().landscape;
    let centre = other.surface.centre().unwrap();
    let loss = |l: &feasible_landscape::Landscape, at: usize| {
        l.surface.quantity("loss").unwrap().values[at]
    };
    // The parameters at 1 are θ + (θ' − θ), rounded.
    let (got, expected) = (loss(&found, end), loss(&other, centre));
    assert!((got / expected - 1.0).abs() < 1e-12, "{got} {expected}");
}

#[test]
fn a_task_must_be_that_of_the_run() {
    let runs = tempfile::tempdir().unwrap();
    let (report, _) = trained(runs.path(), 1);
    let single = Task::new(&Device::flex(), DType::F32, None, |device| {
        Ok(Arc::new(Line {
            device: device.clone(),
            inputs: inputs(),
            scale: 1.0,
        }))
    });
    let error = SavedRun::with_task(&report.path, single.unwrap()).unwrap_err();
    assert!(
        matches!(&error, Error::Value { key, .. } if key == "task.dtype"),
        "{error}"
    );
}
