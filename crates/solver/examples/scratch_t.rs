//! Times forward and backward on the sizes the peers are compared on.
//!
//! `cargo run --release -p feasible-solver --example timing`
#![allow(clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use feasible_solver::{
    AdjointSettings, Cotangent, Equalities, GradientQuality, Inequalities, Problem, Quadratics,
    Settings, Solution, Symmetric, Values, Wanted, adjoint, solve,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};

/// Median and best wall-clock milliseconds.
fn time(mut work: impl FnMut(), repeats: usize) -> (f64, f64) {
    for _ in 0..repeats / 4 + 2 {
        work();
    }
    let mut times: Vec<f64> = (0..repeats)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[repeats / 2], times[0])
}

/// DC3's recipe: `P` diagonal uniform, Gaussian `A`, `G`, `h = Σ|G A⁺|` so that `A⁺b` is feasible.
fn quadratic_program(batch: usize, n: usize, p: usize, m: usize, repeats: usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let unit = Uniform::new(0.0, 1.0).unwrap();
    let diagonal: Vec<f64> = (0..n).map(|_| unit.sample(&mut rng) + 0.1).collect();
    let mut normal = |count: usize| -> Vec<f64> {
        (0..count)
            .map(|_| StandardNormal.sample(&mut rng))
            .collect()
    };
    let (a, g) = (normal(p * n), normal(m * n));
    let pinv = faer::MatRef::from_row_major_slice(&a, p, n)
        .to_owned()
        .svd()
        .unwrap()
        .pseudoinverse();
    let product = faer::MatRef::from_row_major_slice(&g, m, n) * &pinv;
    let u: Vec<f64> = (0..m)
        .map(|i| product.row(i).iter().map(|v| v.abs()).sum())
        .collect();
    let l = vec![f64::NEG_INFINITY; m];
    let b: Vec<f64> = (0..batch * p)
        .map(|_| 2.0 * unit.sample(&mut rng) - 1.0)
        .collect();
    let q: Vec<f64> = (0..batch * n).map(|_| unit.sample(&mut rng)).collect();
    let mut dense = vec![0.0; n * n];
    for i in 0..n {
        dense[i * n + i] = diagonal[i];
    }
    for (name, p_matrix) in [
        ("diagonal P", Symmetric::Diagonal(Values::Shared(&diagonal))),
        ("dense P", Symmetric::Dense(Values::Shared(&dense))),
    ] {
        let problem = Problem {
            batch,
            n,
            p: p_matrix,
            q: Values::PerSample(&q),
            equalities: Some(Equalities {
                rows: p,
                a: Values::Shared(&a),
                b: Values::PerSample(&b),
            }),
            inequalities: Some(Inequalities {
                rows: m,
                g: Values::Shared(&g),
                l: Values::Shared(&l),
                u: Values::Shared(&u),
            }),
            quadratics: None,
        };
        report(
            &format!("QP B={batch} n={n} p={p} m={m} {name}"),
            &problem,
            repeats,
        );
    }
}

/// Projection onto random ellipsoids with diagonal `H`.
fn projection(batch: usize, n: usize, k: usize, repeats: usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let unit = Uniform::new(0.0, 1.0).unwrap();
    let h: Vec<f64> = (0..k * n).map(|_| unit.sample(&mut rng)).collect();
    let c: Vec<f64> = (0..k).map(|_| 1.0 + unit.sample(&mut rng)).collect();
    let mut normal = |count: usize, scale: f64| -> Vec<f64> {
        (0..count)
            .map(|_| {
                let v: f64 = StandardNormal.sample(&mut rng);
                scale * v
            })
            .collect()
    };
    let g = normal(k * n, 1.0);
    let q = normal(batch * n, 3.0);
    let ones = vec![1.0; n];
    let problem = Problem {
        batch,
        n,
        p: Symmetric::Diagonal(Values::Shared(&ones)),
        q: Values::PerSample(&q),
        equalities: None,
        inequalities: None,
        quadratics: Some(Quadratics {
            rows: k,
            h: Symmetric::Diagonal(Values::Shared(&h)),
            g: Values::Shared(&g),
            c: Values::Shared(&c),
        }),
    };
    report(
        &format!("QCQP projection B={batch} n={n} k={k}"),
        &problem,
        repeats,
    );
}

fn report(name: &str, problem: &Problem<'_>, repeats: usize) {
    let settings = Settings::default();
    let solution = solve(problem, &settings).unwrap();
    let worst = solution
        .residuals
        .iter()
        .map(|r| r.worst())
        .fold(0.0, f64::max);
    let solved = solution.status.iter().filter(|s| s.is_solved()).count();
    let backward = |solution: &Solution| {
        let x: Vec<f64> = solution.x.iter().map(|x| 2.0 * x).collect();
        let cotangent = Cotangent {
            x: &x,
            equality_dual: None,
            inequality_dual: None,
            quadratic_dual: None,
        };
        adjoint(
            problem,
            solution,
            &cotangent,
            &Wanted::ALL,
            &AdjointSettings::default(),
        )
        .unwrap()
    };
    let gradients = backward(&solution);
    let exact = gradients
        .reports
        .iter()
        .filter(|r| r.quality == GradientQuality::Exact)
        .count();
    let forward = time(
        || {
            black_box(solve(problem, &settings).unwrap());
        },
        repeats,
    );
    let both = time(
        || {
            black_box(backward(&solve(problem, &settings).unwrap()));
        },
        repeats,
    );
    let iterations = solution.iterations.iter().sum::<usize>() as f64 / solution.batch() as f64;
    println!(
        "{name:44} forward {:8.3} (best {:7.3}) ms   forward+backward {:8.3} (best {:7.3}) ms   \
         solved {solved} exact {exact} residual {worst:.1e} iterations {iterations:.1}",
        forward.0, forward.1, both.0, both.1
    );
}

fn main() { quadratic_program(128, 100, 50, 50, 101); }
