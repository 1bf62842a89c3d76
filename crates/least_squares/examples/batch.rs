//! Times Levenberg-Marquardt on batches of dense problems: rows A y + Q y² − z, written by their user once over
//! every scalar, ten iterations at most with a fixed damping, forward and unrolled backward.
//!
//!     cargo run --release -p feasible-least-squares --example batch -- [REPEATS] [PART OF A NAME]
//!
//! The least and the median of the repeats, milliseconds. "loops" writes the sums out, "dot" calls `Real::dot`.

#![allow(clippy::print_stdout, reason = "it prints times")]

use std::error::Error;
use std::time::Instant;

use feasible_least_squares::{
    AutoCost, Backward, Builder, Damping, Inputs, LevenbergMarquardt, Manifold, Objective, Real,
    Residual, Robust, Settings, Step, Values, Weight,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

const BATCH: usize = 128;

struct Rows {
    n: usize,
    a: Vec<f64>,
    q: Vec<f64>,
    /// Whether sums are left to [`Real::dot`].
    dot: bool,
}

impl Residual for Rows {
    fn rows(&self) -> usize {
        self.a.len() / self.n
    }

    #[inline(always)]
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (y, z) = (variables[0], auxiliaries[0]);
        let squares: Vec<T> = y.iter().map(|y| *y * *y).collect();
        let rows = self.a.chunks(self.n).zip(self.q.chunks(self.n));
        for ((out, (a, q)), z) in out.iter_mut().zip(rows).zip(z) {
            if self.dot {
                *out = T::dot(a, y) + T::dot(q, &squares) - *z;
            } else {
                let mut sum = T::constant(0.0);
                for ((a, q), (y, square)) in a.iter().zip(q).zip(y.iter().zip(&squares)) {
                    sum += *y * *a + *square * *q;
                }
                *out = sum - *z;
            }
        }
    }
}

struct Work {
    objective: Objective,
    start: Vec<f64>,
    target: Vec<f64>,
}

impl Work {
    fn draw(n: usize, m: usize, dot: bool) -> Result<Self, Box<dyn Error>> {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut normal = |scale: f64, count: usize| -> Vec<f64> {
            (0..count)
                .map(|_| scale * rng.sample::<f64, _>(StandardNormal))
                .collect()
        };
        let a = normal((n as f64).powf(-0.5), m * n);
        let start = normal(2.0, BATCH * n);
        let mut unit = |scale: f64, count: usize| -> Vec<f64> {
            (0..count).map(|_| scale * rng.random::<f64>()).collect()
        };
        let q = unit(1.0 / n as f64, m * n);
        let most = unit(1.0, m);
        let rows = Rows { n, a, q, dot };
        // Rows that some y reaches.
        let target = start
            .chunks(n)
            .flat_map(|y| {
                let mut row = vec![0.0; m];
                rows.evaluate(&[y], &[&vec![0.0; m]], &mut row);
                let reached = row.into_iter().zip(&most).map(|(row, most)| row.min(*most));
                reached.collect::<Vec<f64>>()
            })
            .collect();
        let mut builder = Builder::new();
        let y = builder.variable("y", Manifold::Vector(n))?;
        let z = builder.auxiliary("z", m)?;
        let cost = AutoCost::new(rows);
        builder.cost("rows", cost, &[y], &[z], Weight::Identity, Robust::None)?;
        Ok(Self {
            objective: builder.build()?,
            start,
            target,
        })
    }
}

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
    let step = LevenbergMarquardt {
        damping: Damping::Fixed,
        initial: 1e-3,
        ..LevenbergMarquardt::default()
    };
    let settings = |backward| Settings {
        max_iterations: 10,
        step: Step::LevenbergMarquardt(step),
        backward,
        ..Settings::default()
    };
    for (n, m) in [(20, 10), (100, 50)] {
        for dot in [true, false] {
            let name = format!("n={n} m={m} {}", if dot { "dot" } else { "loops" });
            if !name.contains(&only) {
                continue;
            }
            let work = Work::draw(n, m, dot)?;
            let objective = &work.objective;
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
