//! Times pose graph solvers on one residual, `Log(z⁻¹ x₁⁻¹ x₂)` weighted by the file's information, from the file's
//! poses, to one cost: the best that any of them reaches, to 1e-8 relative.
//!
//!     RAYON_NUM_THREADS=1 cargo run --release -- FILE.g2o... [--runs N] [--iterations K] [--only NAME] [--backward]
//!
//! Every solver is run with an iteration limit of 1, 2, 3, … from the start; its time is that of the first whole run
//! that ends at the cost, the fastest of N. Building a problem is left out, analysing its structure is in. Costs are
//! computed here, from the poses that a solver returns, the same way for all. The first pose is held by a prior of its
//! own, which is zero at the optimum, or fixed. apex-solver does one iteration more than its limit.
//!
//! With `--backward` the derivative of our own solution with respect to every measurement is timed beside one
//! iteration.
//!
//! The graphs: M3500, sphere2500 and parking-garage are in `examples/data` of <https://github.com/rpl-cmu/fact.rs>,
//! more in `data` of <https://github.com/david-m-rosen/SE-Sync>. Their terms are not stated, so they are not here.

mod graph;
mod peers;

use std::process::ExitCode;

use graph::Poses;
use peers::{Peer, Run, Seconds};

/// Relative to the best cost.
const TOLERANCE: f64 = 1e-8;

struct Settings {
    files: Vec<String>,
    runs: usize,
    iterations: usize,
    /// Only solvers whose name begins with this.
    only: String,
    /// Only the derivatives of our own solutions.
    backward: bool,
}

fn settings() -> Result<Settings, String> {
    let mut settings = Settings {
        files: Vec::new(),
        runs: 10,
        iterations: 40,
        only: String::new(),
        backward: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().and_then(|w| w.parse().ok());
            value.ok_or_else(|| format!("{word} needs a whole number"))
        };
        match word.as_str() {
            "--runs" => settings.runs = number()?,
            "--only" => settings.only = words.next().ok_or("--only needs a name")?,
            "--backward" => settings.backward = true,
            "--iterations" => settings.iterations = number()?,
            _ => settings.files.push(word),
        }
    }
    if settings.files.is_empty() {
        return Err("name at least one g2o file".to_owned());
    }
    if std::env::var("RAYON_NUM_THREADS").as_deref() != Ok("1") {
        return Err("set RAYON_NUM_THREADS=1: the comparison is on one thread".to_owned());
    }
    Ok(settings)
}

/// Costs after 1, 2, … iterations, up to where they stop falling.
fn costs(peer: &dyn Peer, method: usize, graph: &graph::Graph, limit: usize) -> Vec<f64> {
    let mut costs = Vec::new();
    for iterations in 1..=limit {
        let cost = match peer.run(method, graph, iterations) {
            Some(Run { poses, .. }) => graph::cost(graph, &poses),
            None => f64::NAN,
        };
        costs.push(cost);
        let settled = costs.iter().rev().take(4);
        if costs.len() > 4
            && settled
                .clone()
                .all(|c| (c - cost).abs() <= 1e-11 * cost.abs())
        {
            break;
        }
        if cost.is_nan() && costs.len() > 2 {
            break;
        }
    }
    costs
}

fn compare(file: &str, settings: &Settings) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let graph = graph::parse(&text).map_err(|error| format!("{file}: {error}"))?;
    let start = graph::cost(&graph, &Poses::start(&graph));
    println!(
        "{file}: {}, cost at the start {start:.10e}",
        graph::size(&graph)
    );
    if settings.backward {
        peers::ours::backward(&graph, settings.runs);
        return Ok(());
    }
    let mut peers = peers::all();
    peers.retain(|peer| peer.name().starts_with(&settings.only));
    let mut all = Vec::new();
    for peer in &peers {
        for (method, name) in peer.methods().iter().enumerate() {
            let costs = costs(peer.as_ref(), method, &graph, settings.iterations);
            all.push((peer, method, *name, costs));
        }
    }
    let best = all
        .iter()
        .flat_map(|(.., costs)| costs)
        .fold(f64::INFINITY, |best, cost| best.min(*cost));
    println!("best cost {best:.12e}");
    for (peer, method, name, costs) in all {
        let reached = costs.iter().position(|c| *c <= best * (1.0 + TOLERANCE));
        let label = format!("{} {name}", peer.name());
        match reached {
            None => println!(
                "  {label:36} does not reach it: {:.10e} after {}",
                costs.iter().fold(f64::INFINITY, |m: f64, c| m.min(*c)),
                costs.len()
            ),
            Some(at) => {
                let runs: Vec<Seconds> = (0..settings.runs)
                    .filter_map(|_| peer.run(method, &graph, at + 1))
                    .map(|run| run.seconds)
                    .collect();
                let fastest = |of: fn(&Seconds) -> f64| {
                    1e3 * runs.iter().map(of).fold(f64::INFINITY, f64::min)
                };
                println!(
                    "  {label:36} {:3} iterations {:9.2} ms of the processor, {:9.2} ms by the wall",
                    at + 1,
                    fastest(|s| s.processor),
                    fastest(|s| s.wall)
                );
            }
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let outcome = settings().and_then(|settings| {
        settings
            .files
            .iter()
            .try_for_each(|file| compare(file, &settings))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
