//! One training epoch of the published QCQP (100 variables, 50 equalities, 50 quadratic
//! inequalities, 8,334 samples in batches of 100, f64, flex), on the true box: the dearest epochs
//! of a training with relaxation.
//!
//! cargo bench -p feasible-benches --bench epoch

#![allow(missing_docs, reason = "criterion's macros write public items")]

use criterion::{Criterion, criterion_group, criterion_main};
use feasible_lab::{StudyConfig, Task, Trainer};

const STUDY: &str = r#"
name = "epoch"
seeds = [456]

[problem]
recipe = "snare-qcqp"

[training]
epochs = 1
batch = 100

[[method]]
name = "soft penalty"
kind = "soft"

[[method]]
name = "snarenet, violated rows"
kind = "snarenet"
rows = "violated"
tolerance = 1e-6

[[method]]
name = "snarenet, all rows"
kind = "snarenet"
rows = "all"
tolerance = 1e-6

[[method]]
name = "snarenet, as published"
kind = "snarenet"
rows = "all"
stopping = "whole-batch"
tolerance = 1e-6
"#;

fn epoch(c: &mut Criterion) {
    let study = StudyConfig::from_toml(STUDY).expect("a valid study");
    let mut group = c.benchmark_group("epoch of the published QCQP");
    group.sample_size(10);
    for config in study.combinations() {
        let task = Task::published(&config.problem, &config.training).expect("flex is compiled in");
        let references = task
            .references(None, &mut |_, _| {})
            .expect("the instance is solvable");
        let mut trainer = Trainer::new(&config, &task, &references).expect("valid settings");
        group.bench_function(config.method.label(), |b| {
            b.iter(|| {
                for samples in trainer.begin_epoch().expect("the layer works") {
                    trainer
                        .step(&samples)
                        .expect("the layer works")
                        .expect("the loss is finite");
                }
                trainer.end_epoch();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, epoch);
criterion_main!(benches);
