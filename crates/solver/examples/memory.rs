//! Memory that a solution holds, a sample: resident memory of this process before and after, on Linux.
//!
//! cargo run --release -p feasible-solver --example memory
#![allow(clippy::print_stdout, missing_docs)]

use feasible_solver::{Equalities, Inequalities, Problem, Settings, Symmetric, Values, solve};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Bytes, in pages of 4 KiB.
fn resident() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096.0)
}

fn main() {
    println!("n/equalities/rows  batch  data, bytes a sample  solution, bytes a sample");
    for (batch, n, p, m) in [(16_384, 20, 5, 10), (16_384, 100, 50, 50)] {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut normal = |count: usize| -> Vec<f64> {
            (0..count)
                .map(|_| StandardNormal.sample(&mut rng))
                .collect()
        };
        let (a, g, b) = (normal(p * n), normal(m * n), normal(p));
        let q = normal(batch * n);
        let (ones, l) = (vec![1.0; n], vec![f64::NEG_INFINITY; m]);
        let u = vec![0.6 * (n as f64).sqrt(); m];
        let problem = Problem {
            batch,
            n,
            p: Symmetric::Diagonal(Values::Shared(&ones)),
            q: Values::PerSample(&q),
            equalities: Some(Equalities {
                rows: p,
                a: Values::Shared(&a),
                b: Values::Shared(&b),
            }),
            inequalities: Some(Inequalities {
                rows: m,
                g: Values::Shared(&g),
                l: Values::Shared(&l),
                u: Values::Shared(&u),
            }),
            quadratics: None,
        };
        let before = resident();
        let solution = solve(&problem, &Settings::default()).expect("valid data");
        let after = resident();
        assert!(solution.all_solved());
        let (Some(before), Some(after)) = (before, after) else {
            println!("this system does not say how much memory a process has");
            return;
        };
        println!(
            "{n}/{p}/{m}  {batch}  {}  {:.0}",
            8 * n,
            (after - before) / batch as f64
        );
    }
}
