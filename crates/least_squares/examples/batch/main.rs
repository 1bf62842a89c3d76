//! Times Levenberg-Marquardt on batches of dense problems: rows A y + Q y² − z, written by their user once over
//! every scalar, ten iterations at most with a fixed damping, forward and unrolled backward.
//!
//!     cargo run --release -p feasible-least-squares --example batch -- [REPEATS] [PART OF A NAME]
//!
//! The least and the median of the repeats, milliseconds. "loops" writes the sums out, "dot" calls `Real::dot`.

#![allow(clippy::print_stdout, reason = "it prints times")]

mod problem;

use std::error::Error;
use std::time::Instant;

use feasible_least_squares::{self as least_squares, Backward, Inputs, Values};
use problem::{BATCH, Work, settings};

/// The least and the median of milliseconds.
fn times(repeats: usize, mut work: impl FnMut()) -> (f64, f64) {
    let mut times: Vec<f64> = (0..repeats.max(1))
        .map(|_| {
            let start = Instant::now();
            work();
            1e3 * start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[0], times[times.len() / 2])
}

fn main() -> Result<(), Box<dyn Error>> {
    let repeats = match std::env::args().nth(1) {
        Some(word) => word.parse()?,
        None => 50,
    };
    let only = std::env::args().nth(2).unwrap_or_default();
    for (n, m) in [(20, 10), (100, 50)] {
        for dot in [true, false] {
            let name = format!("n={n} m={m} {}", if dot { "dot" } else { "loops" });
            if !name.contains(&only) {
                continue;
            }
            let work = Work::draw(n, m);
            let objective = &work.objective(dot)?;
            let (y, z) = (
                objective.variable("y").ok_or("added above")?,
                objective.auxiliary("z").ok_or("added above")?,
            );
            let inputs = Inputs::new(objective, BATCH)
                .start(y, Values::PerSample(&work.start))
                .auxiliary(z, Values::PerSample(&work.target));
            let solve = |backward| objective.solve(&inputs, &settings(backward));
            let found = solve(Backward::Unrolled)?;
            let iterations: usize = found.history.iter().map(Vec::len).sum();
            let mean = iterations as f64 / BATCH as f64;
            println!("{name}, {mean:.1} iterations");
            let forward = times(repeats, || drop(solve(Backward::Unrolled)));
            println!(
                "  forward               {:7.3} {:7.3}",
                forward.0, forward.1
            );
            for (name, mode) in [
                ("unrolled", Backward::Unrolled),
                ("implicit", Backward::default()),
            ] {
                let both = times(repeats, || {
                    let gradients = solve(mode).and_then(|found| {
                        let cotangent: Vec<f64> = found.x.iter().map(|y| 3.0 * y * y).collect();
                        objective.vjp(&inputs, &found, &cotangent)
                    });
                    drop(std::hint::black_box(gradients));
                });
                println!("  and backward {name} {:7.3} {:7.3}", both.0, both.1);
            }
        }
    }
    Ok(())
}
