//! The bare solver, small batches and a large one. What Burn adds to it is `through_burn`.
//!
//! cargo bench -p feasible-benches --bench solver

#![allow(missing_docs, reason = "criterion's macros write public items")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use feasible::solver::{
    AdjointSettings, Cotangent, Problem, Quadratics, Settings, Solution, Symmetric, Values, Wanted,
    adjoint, solve,
};
use feasible_benches::dc3::{Draws, Matrices, Qp};

/// Gradients of the sum of all minimisers.
fn backward(problem: &Problem<'_>, solution: &Solution, wanted: &Wanted) {
    let ones = vec![1.0; solution.x.len()];
    let cotangent = Cotangent::of_x(&ones);
    let settings = AdjointSettings::default();
    black_box(adjoint(problem, solution, &cotangent, wanted, &settings).expect("valid"));
}

/// DC3's QPs.
fn quadratic_programs(c: &mut Criterion) {
    let sizes = [(20, 5, 10), (100, 50, 50)];
    let kinds = [
        ("qp, DC3's draw", Matrices::Shared),
        ("qp, DC3's draw, dense P", Matrices::SharedDense),
        ("qp, DC3's draw, matrices a sample", Matrices::PerSample),
    ];
    for (name, matrices) in kinds {
        for size in sizes {
            qp(c, name, &Qp::draw(128, size, matrices));
        }
    }
    qp(
        c,
        "qp, batch 16384",
        &Qp::draw(16_384, sizes[0], Matrices::Shared),
    );
}

fn qp(c: &mut Criterion, name: &str, qp: &Qp) {
    let problem = qp.problem();
    let solution = solve(&problem, &Settings::default()).expect("valid");
    assert!(solution.all_solved());
    let size = qp.name();
    let mut group = c.benchmark_group(name);
    group
        .throughput(Throughput::Elements(qp.batch as u64))
        .sample_size(20);
    group.bench_function(BenchmarkId::new("forward", &size), |b| {
        b.iter(|| solve(&problem, &Settings::default()))
    });
    let of_q = Wanted {
        q: true,
        ..Wanted::NONE
    };
    // What a network predicts is often q alone.
    for (wanted, of) in [(Wanted::ALL, ""), (of_q, " of q")] {
        let id = BenchmarkId::new(format!("forward and backward{of}"), &size);
        group.bench_function(id, |b| {
            b.iter(|| {
                let solution = solve(&problem, &Settings::default()).expect("valid");
                backward(&problem, &solution, &wanted);
            })
        });
    }
    group.finish();
}

/// Projections on the intersection of random ellipsoids, the peers' QCQP.
fn ellipsoids(c: &mut Criterion) {
    for (n, rows) in [(20, 5), (100, 10)] {
        let batch = 128;
        let mut draws = Draws::new(1);
        let diagonals = draws.uniform(0.0, 1.0, rows * n);
        let bounds = draws.uniform(1.0, 2.0, rows);
        let linear = draws.normal(1.0, rows * n);
        let q = draws.normal(3.0, batch * n);
        let roots = draws.normal((n as f64).powf(-0.5), rows * n * n);
        let mut dense = vec![0.0; rows * n * n];
        for (dense, root) in dense.chunks_mut(n * n).zip(roots.chunks(n * n)) {
            for i in 0..n {
                for j in 0..n {
                    dense[i * n + j] = (0..n).map(|k| root[i * n + k] * root[j * n + k]).sum();
                }
            }
        }
        let ones = vec![1.0; n];
        for (name, h) in [
            (
                "diagonal H",
                Symmetric::Diagonal(Values::Shared(&diagonals)),
            ),
            ("dense H", Symmetric::Dense(Values::Shared(&dense))),
        ] {
            let problem = Problem {
                batch,
                n,
                p: Symmetric::Diagonal(Values::Shared(&ones)),
                q: Values::PerSample(&q),
                equalities: None,
                inequalities: None,
                quadratics: Some(Quadratics {
                    rows,
                    h,
                    g: Values::Shared(&linear),
                    c: Values::Shared(&bounds),
                }),
            };
            let mut group = c.benchmark_group(format!("projection, {name}, no equalities"));
            group.sample_size(10);
            let size = format!("n={n}/0/{rows}");
            group.bench_function(BenchmarkId::new("forward", &size), |b| {
                b.iter(|| solve(&problem, &Settings::default()))
            });
            group.bench_function(BenchmarkId::new("forward and backward", &size), |b| {
                b.iter(|| {
                    let solution = solve(&problem, &Settings::default()).expect("valid");
                    backward(&problem, &solution, &Wanted::ALL);
                })
            });
            group.finish();
        }
    }
}

criterion_group!(benches, quadratic_programs, ellipsoids);
criterion_main!(benches);
