//! Optima of the published test samples, beside the published figures.
//!
//! ```text
//! cargo run --release -p feasible-data --example published_optima
//! ```
#![allow(clippy::print_stdout)]

use feasible_data::{Error, OptimumStatus, Recipe, Size, Split, generate, optima};
use std::time::Instant;

fn main() -> Result<(), Error> {
    let split = Split::published(Size::default().samples);
    let cases = [
        (
            Recipe::Dc3Simple,
            Recipe::Dc3Simple.published_seed(),
            "published -15.05 (OSQP)",
        ),
        (
            Recipe::Dc3Nonconvex,
            Recipe::Dc3Nonconvex.published_seed(),
            "published -11.59 (IPOPT)",
        ),
        (Recipe::SnareNoncvx, 17, "HardNet's draws, published -14.28"),
        (
            Recipe::SnareNoncvx,
            Recipe::SnareNoncvx.published_seed(),
            "labels not published",
        ),
        (
            Recipe::SnareQcqp,
            Recipe::SnareQcqp.published_seed(),
            "labels not published",
        ),
    ];
    for (recipe, seed, published) in cases {
        let begin = Instant::now();
        let instance = generate(recipe, &Size::default(), seed)?;
        let drawn = begin.elapsed();
        let begin = Instant::now();
        let found = optima(&instance, split.test.clone(), &mut |_| {})?;
        let solved = begin.elapsed();
        let count = found.len() as f64;
        let mean = found.iter().map(|o| o.objective).sum::<f64>() / count;
        let worst = found.iter().map(|o| o.kkt_residual).fold(0.0, f64::max);
        let unconverged = found
            .iter()
            .filter(|o| o.status != OptimumStatus::Optimal)
            .count();
        println!(
            "{recipe} seed {seed}: mean {mean:.6}, {unconverged} of {count} not optimal, KKT residual at most \
             {worst:.1e}, drawn in {drawn:.2?}, solved in {solved:.2?}; {published}"
        );
    }
    Ok(())
}
