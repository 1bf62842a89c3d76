//! Times of building, compiling and evaluating models with a hundred variables.
//!
//! `cargo run --release -p feasible-model --example construction`
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use feasible_model::{
    AdjointSettings, CompiledProblem, Cotangent, Domain, Error, Model, SolveSettings, Values,
    norm2, quad_form, sum_squares,
};

const N: usize = 100;
const REPEATS: usize = 20;
const BATCH: usize = 16;

/// OptNet's layer: every matrix and vector of a quadratic program is a parameter.
fn quadratic_program() -> Result<CompiledProblem, Error> {
    let mut model = Model::new();
    let x = model.variable("x", [N]);
    let p = model.parameter_in("p", [N, N], Domain::Semidefinite);
    let q = model.parameter("q", [N]);
    let g = model.parameter("g", [N, N]);
    let h = model.parameter("h", [N]);
    let a = model.parameter("a", [N / 2, N]);
    let b = model.parameter("b", [N / 2]);
    model
        .minimize(0.5 * quad_form(&x, &p) + q.dot(&x))
        .subject_to(a.matmul(&x).eq(&b))
        .subject_to(g.matmul(&x).le(&h))
        .compile()
}

/// A portfolio of a hundred assets with a hundred factors.
fn portfolio(limit: bool) -> Result<CompiledProblem, Error> {
    let mut model = Model::new();
    let x = model.variable_in("x", [N], Domain::Nonnegative);
    let returns = model.parameter("returns", [N]);
    let factors = model.parameter("factors", [N, N]);
    let risk = factors.matmul(&x);
    let formulation = if limit {
        model
            .maximize(returns.dot(&x))
            .subject_to(norm2(&risk).le(1.0))
    } else {
        model.maximize(returns.dot(&x) - sum_squares(&risk))
    };
    formulation.subject_to(x.sum().eq(1.0)).compile()
}

/// Numbers that look random and make every model here feasible.
fn wave(count: usize, phase: f64) -> Vec<f64> {
    (0..count).map(|i| (1.7 * i as f64 + phase).sin()).collect()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn timed<T>(mut run: impl FnMut() -> Result<T, Error>) -> Result<(Duration, T), Error> {
    let mut last = run()?;
    let mut times = Vec::new();
    for _ in 0..REPEATS {
        let start = Instant::now();
        last = run()?;
        times.push(start.elapsed());
    }
    Ok((median(times), last))
}

fn main() -> Result<(), Error> {
    let (time, program) = timed(quadratic_program)?;
    println!(
        "quadratic program, all parameters   {time:>10.1?}  {:?}",
        program.form()
    );
    for limit in [false, true] {
        let (time, problem) = timed(|| portfolio(limit))?;
        println!(
            "portfolio, risk limit {limit:<5}         {time:>10.1?}  {:?}",
            problem.form()
        );
    }

    // One linear term per sample, everything else shared.
    let mut p = vec![0.0; N * N];
    (0..N).for_each(|i| p[i * N + i] = 1.0 + (i % 7) as f64);
    let (q, g, h) = (wave(BATCH * N, 0.1), wave(N * N, 0.2), vec![1.0; N]);
    let (a, b) = (wave(N / 2 * N, 0.3), vec![0.0; N / 2]);
    let values = [
        ("p", Values::Shared(&p[..])),
        ("q", Values::PerSample(&q)),
        ("g", Values::Shared(&g)),
        ("h", Values::Shared(&h)),
        ("a", Values::Shared(&a)),
        ("b", Values::Shared(&b)),
    ];
    let settings = SolveSettings::default();
    let (time, solution) = timed(|| program.solve(&values, BATCH, &settings))?;
    println!("solve, batch {BATCH}, only q per sample    {time:>10.1?}");
    let ones = vec![1.0; BATCH * N];
    let cotangent = Cotangent {
        variables: &[("x", &ones)],
        duals: &[],
    };
    let wanted = ["p", "q", "g", "h", "a", "b"];
    let adjoint = AdjointSettings::default();
    let (time, _) = timed(|| program.adjoint(&solution, &cotangent, &wanted, &adjoint))?;
    println!("adjoint, all parameters             {time:>10.1?}");
    Ok(())
}
