//! What a landscape of 51 × 51 points costs beside as many plain forward passes: the published QCQP
//! (100 variables, 50 equalities, 50 quadratic inequalities), 833 samples, loss and violations, with a
//! soft penalty and repaired.
//!
//! cargo run --release -p feasible-lab --example landscape_cost

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::ops::ControlFlow;
use std::time::Instant;

use burn::module::Module;
use feasible_data::Part;
use feasible_lab::{
    EarlierRows, LandscapeOutput, LandscapeSettings, Method, References, SavedRun, Silent,
    StudyConfig, Task, train_run,
};

const POINTS: usize = 51;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let study = StudyConfig::from_toml(
        r#"
        name = "cost"
        seeds = [456]
        [problem]
        recipe = "snare-qcqp"
        [training]
        epochs = 1
        batch = 200
        record_steps_every = 100
        [[method]]
        kind = "soft"
        [[method]]
        kind = "snarenet"
        rows = "violated"
        tolerance = 1e-6
        "#,
    )?;
    for config in study.combinations() {
        let task = Task::published(&config.problem, &config.training)?;
        let unknown = |part| vec![f64::NAN; task.evaluation().samples(part)];
        let references = References {
            validation: unknown(Part::Validation),
            test: unknown(Part::Test),
        };
        let runs = tempfile::tempdir()?;
        let report = train_run(runs.path(), &config, &task, &references, &mut Silent)?;
        let run = SavedRun::open(&report.path)?;

        // The plain pass of a prediction: the network, and the layer where there is one.
        let network = run.state(None)?.network.valid();
        let problem = run.task().evaluation();
        let x = run.task().inputs(Part::Test);
        let method = Method::new(&config.method)?;
        let constraints = problem.constraints(x.clone())?;
        let pass = || -> Result<(), Box<dyn std::error::Error>> {
            let raw = network.forward(x.clone());
            let repaired = method.apply(raw, constraints.as_ref(), None)?;
            feasible_core::host::read("y", &repaired.y)?;
            Ok(())
        };
        pass()?;
        let start = Instant::now();
        for _ in 0..POINTS * POINTS {
            pass()?;
        }
        let passes = start.elapsed().as_secs_f64();

        let settings = LandscapeSettings {
            points: POINTS,
            // Around the trained network, so that the layer's work is that of a plain pass.
            extent: Some(0.1),
            part: Part::Test,
            samples: 833,
            ..LandscapeSettings::default()
        };
        let folder = tempfile::tempdir()?;
        let output = LandscapeOutput {
            folder: folder.path(),
            name: "cost",
            rows: EarlierRows::Discard,
            progress: &|_, _| ControlFlow::Continue(()),
        };
        let found = run.landscape(None, &settings, &output)?;
        println!(
            "{}: {} points of {} samples in {:.1} s, {} plain passes in {passes:.1} s: {:.2}; the centre is exact: {:?}",
            config.method.label(),
            found.evaluated,
            found.samples,
            found.seconds,
            POINTS * POINTS,
            found.seconds / passes,
            found.centre_is_exact,
        );
    }
    Ok(())
}
