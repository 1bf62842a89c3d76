//! Studies from their text to their tables, on small published problems.

mod checkpoints;
mod resuming;
mod tables;
mod training;

use std::collections::BTreeMap;
use std::path::Path;

use feasible_lab::{Existing, Options, Study, StudyConfig};
use feasible_record::{EventKind, Metric, RunReader};

fn options(runs: &Path) -> Options {
    Options {
        runs: runs.to_path_buf(),
        existing: Existing::Continue,
    }
}

fn study(problem: &str, training: &str, methods: &str) -> Study {
    let text = format!(
        "name = 'small'\nseeds = [3]\n[problem]\n{problem}\nvariables = 8\nequalities = 3\ninequalities = 4\nsamples = 120\n\
         [training]\nbatch = 16\n{training}\n[[backbone]]\nkind = 'mlp'\nhidden = [16, 16]\n{methods}"
    );
    Study::new(StudyConfig::from_toml(&text).unwrap()).unwrap()
}

const ALL_METHODS: &str = "
[[method]]
kind = 'soft'
[[method]]
kind = 'projection'
[[method]]
kind = 'projection'
relaxation = { schedule = 'linear', decay_epochs = 2 }
[[method]]
kind = 'snarenet'
[[method]]
kind = 'snarenet'
name = 'violated rows, whole batch'
rows = 'violated'
stopping = 'whole-batch'
soft_epochs = 1
[[method]]
kind = 'snarenet'
relaxation = { schedule = 'linear-harmonic', decay_epochs = 2 }
";

fn metrics(path: &Path) -> Vec<Metric> {
    RunReader::open(path)
        .unwrap()
        .metrics()
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// What is not a time, exactly.
type Exact = Vec<(u64, u64, BTreeMap<String, u64>)>;

/// Everything recorded but times.
fn exact(path: &Path) -> Exact {
    let bits = |metric: &Metric| {
        let untimed = metric
            .values
            .iter()
            .filter(|(name, _)| !name.ends_with("seconds"));
        untimed
            .map(|(name, value)| (name.clone(), value.0.to_bits()))
            .collect()
    };
    metrics(path)
        .iter()
        .map(|metric| (metric.step, metric.epoch, bits(metric)))
        .collect()
}

fn warnings_in(run: &Path) -> Vec<String> {
    RunReader::open(run)
        .unwrap()
        .events()
        .unwrap()
        .map(Result::unwrap)
        .filter(|event| event.kind == EventKind::Warning)
        .map(|event| event.payload.to_string())
        .collect()
}
