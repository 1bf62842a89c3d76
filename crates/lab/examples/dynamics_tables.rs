//! The table of the edge of stability in the book, and how many sharpnesses are undefined, from the runs
//! of `studies/edge_of_stability.toml` and `studies/dynamics.toml`.
//!
//! cargo run --release -p feasible-lab --example dynamics_tables -- runs

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::path::Path;

use feasible_lab::RunConfig;
use feasible_record::{Metric, RunReader, list_study};

struct Run {
    name: String,
    config: RunConfig,
    metrics: Vec<Metric>,
}

fn runs(study: &Path) -> Result<Vec<Run>, Box<dyn Error>> {
    let read = |run: &RunReader| {
        Ok(Run {
            name: run.run().to_owned(),
            config: serde_json::from_value(run.document().info.config.clone())?,
            metrics: run.metrics()?.collect::<Result<_, _>>()?,
        })
    };
    list_study(study)?.runs.iter().map(read).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "runs".to_owned());
    for (study, print) in [
        ("edge-of-stability", edge as fn(&[Run])),
        ("dynamics", |_| ()),
    ] {
        let path = Path::new(&folder).join(study);
        if !path.is_dir() {
            println!("{} is not there", path.display());
            continue;
        }
        let runs = runs(&path)?;
        print(&runs);
        undefined(study, &runs);
    }
    Ok(())
}

/// A column's entries, one a seed in their order.
fn edge(runs: &[Run]) {
    let mut methods: Vec<&str> = Vec::new();
    for run in runs {
        let method = run.config.method.label();
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    for method in methods {
        let mut of_method: Vec<&Run> = runs
            .iter()
            .filter(|run| run.config.method.label() == method)
            .collect();
        of_method.sort_by_key(|run| run.config.seed);
        println!("{method}");
        for run in of_method {
            println!("  seed {}: {}", run.config.seed, row(run));
        }
    }
}

fn row(run: &Run) -> String {
    // The flow has no threshold of its own: descent with its learning rate has this one.
    let batch = run.config.training.batch as f64;
    let threshold = 2.0 / (run.config.optimizer().learning_rate * batch);
    let of =
        |name: &str| -> Vec<f64> { run.metrics.iter().filter_map(|m| m.value(name)).collect() };
    let sharpness: Vec<(u64, f64)> = run
        .metrics
        .iter()
        .filter_map(|m| Some((m.step, m.value("dynamics.sharpness")? / threshold)))
        .collect();
    let losses = of("epoch.loss");
    let rises = losses.windows(2).filter(|pair| pair[1] > pair[0]).count();
    let Some(crossing) = sharpness.iter().position(|(_, ratio)| *ratio >= 1.0) else {
        return format!("2/η {threshold:.4}, never reached; loss rose {rises} times");
    };
    let mut from_then: Vec<f64> = sharpness[crossing..].iter().map(|(_, r)| *r).collect();
    let last = from_then[from_then.len() - 1];
    from_then.sort_unstable_by(f64::total_cmp);
    let middle = (from_then[(from_then.len() - 1) / 2] + from_then[from_then.len() / 2]) / 2.0;
    format!(
        "2/η {threshold:.4}; after {} steps {:.2}; at or above it first after {} steps, from then on \
         median {middle:.3}, {:.2} to {:.2}; at the end {last:.2}; loss rose {rises} times in {} steps",
        sharpness[0].0,
        sharpness[0].1,
        sharpness[crossing].0,
        from_then[0],
        from_then[from_then.len() - 1],
        losses.len()
    )
}

/// Measurements that have the threshold or the products of a sharpness but not itself.
fn undefined(study: &str, runs: &[Run]) {
    let mut spoilt = 0;
    for run in runs {
        let measured = |m: &&Metric| m.value("dynamics.sharpness_products").is_some();
        let all = run.metrics.iter().filter(measured);
        let without: Vec<u64> = all
            .clone()
            .filter(|m| m.value("dynamics.sharpness").is_none())
            .map(|m| m.step)
            .collect();
        if !without.is_empty() {
            spoilt += 1;
            println!(
                "{}: no sharpness at steps {without:?}, of {} measurements",
                run.name,
                all.count()
            );
        }
    }
    println!("{study}: {spoilt} of {} runs lack a sharpness", runs.len());
}
