//! What recording all dynamics costs on the published non-convex problem, and what it records.
//!
//! cargo run --release -p feasible-lab --example dynamics_share

#![allow(clippy::print_stdout, reason = "an example prints")]

use feasible_data::Part;
use feasible_lab::{References, Silent, StudyConfig, Task, train_run};
use feasible_record::RunReader;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let study = StudyConfig::from_toml(
        r#"
        name = "share"
        seeds = [456]
        [problem]
        recipe = "snare-noncvx"
        [training]
        epochs = 30
        batch = 200
        checkpoint_every = 20
        validate_every = 20
        record_steps_every = 14
        measure = ["cosine", "layer-gradients", "jacobian", "noise-scale", "snr", "sharpness", "spectrum", "density", "landscape"]
        [[method]]
        kind = "soft"
        [[method]]
        kind = "projection"
        [[method]]
        kind = "snarenet"
        rows = "all"
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
        for measure in [vec![], config.training.measure.clone()] {
            let mut config = config.clone();
            config.training.measure = measure;
            let runs = tempfile::tempdir()?;
            let report = train_run(runs.path(), &config, &task, &references, &mut Silent)?;
            let metrics: Vec<_> = RunReader::open(&report.path)?
                .metrics()?
                .collect::<Result<_, _>>()?;
            let epochs: f64 = metrics
                .iter()
                .filter_map(|m| m.value("epoch.seconds"))
                .sum();
            let sum = |name: &str| metrics.iter().filter_map(|m| m.value(name)).sum::<f64>();
            println!(
                "{}: {} epochs in {epochs:.2} s, {:.2} s of measurements every ten epochs, {:.2} s of start, middle and end ({:.2} s spectra, {:.2} s landscapes)",
                report.name,
                config.training.epochs,
                sum("dynamics.seconds"),
                sum("dynamics.moment_seconds"),
                sum("dynamics.spectrum_seconds"),
                sum("dynamics.landscape_seconds")
            );
            let Some(last) = metrics
                .iter()
                .rev()
                .find(|m| m.value("dynamics.seconds").is_some())
            else {
                continue;
            };
            for (name, value) in &last.values {
                println!("    {name} {:.4e}", value.0);
            }
        }
    }
    Ok(())
}
