//! Sparse cone programs: plain Clarabel, the forward pass and the backward pass.
//!
//! cargo bench -p feasible-benches --bench cones

#![allow(missing_docs, reason = "criterion's macros write public items")]

use std::hint::black_box;

use clarabel::algebra::CscMatrix;
use clarabel::solver::{DefaultSettings, DefaultSolver, IPSolver, SupportedConeT};
use criterion::{Criterion, criterion_group, criterion_main};
use feasible::solver::{
    AdjointSettings, Cone, ConeCotangent, ConeProblem, ConeSettings, ConeWanted, GradientQuality,
    GradientReport, Sparse, Values, cone_adjoint, solve_cones,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

/// A sparse matrix as it is drawn.
struct Triplets {
    rows: usize,
    columns: usize,
    entries: Vec<(usize, usize, f64)>,
}

impl Triplets {
    fn new(rows: usize, columns: usize) -> Self {
        Self {
            rows,
            columns,
            entries: Vec::new(),
        }
    }

    fn push(&mut self, row: usize, column: usize, value: f64) {
        self.entries.push((row, column, value));
    }

    fn compress(mut self) -> CscMatrix<f64> {
        self.entries.sort_by_key(|&(row, column, _)| (column, row));
        let mut starts = vec![0; self.columns + 1];
        for &(_, column, _) in &self.entries {
            starts[column + 1] += 1;
        }
        for column in 0..self.columns {
            starts[column + 1] += starts[column];
        }
        CscMatrix::new(
            self.rows,
            self.columns,
            starts,
            self.entries.iter().map(|e| e.0).collect(),
            self.entries.iter().map(|e| e.2).collect(),
        )
    }
}

/// Matrices shared by the batch, `q` a sample.
struct Program {
    name: &'static str,
    p: CscMatrix<f64>,
    a: CscMatrix<f64>,
    b: Vec<f64>,
    q: Vec<f64>,
    cones: Vec<Cone>,
    batch: usize,
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// `max μᵀx − ‖(Fᵀx, Dx)‖` over the simplex: `assets` variables, a second-order cone.
fn portfolio(assets: usize, factors: usize, batch: usize) -> Program {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let n = assets + 1;
    let mut a = Triplets::new(1 + assets + 1 + factors + assets, n);
    let mut b = vec![0.0; a.rows];
    b[0] = 1.0;
    for i in 0..assets {
        a.push(0, i, 1.0);
        a.push(1 + i, i, -1.0);
    }
    let first = 1 + assets;
    a.push(first, assets, -1.0);
    for j in 0..factors {
        for i in 0..assets {
            if rng.random_bool(0.5) {
                a.push(first + 1 + j, i, -normal(&mut rng));
            }
        }
    }
    for i in 0..assets {
        let own = 0.5 + rng.random::<f64>();
        a.push(first + 1 + factors + i, i, -own * (factors as f64).sqrt());
    }
    let mut q = Vec::new();
    for _ in 0..batch {
        q.extend((0..assets).map(|_| -normal(&mut rng)));
        q.push(1.0);
    }
    Program {
        name: "portfolio",
        p: CscMatrix::zeros((n, n)),
        a: a.compress(),
        b,
        q,
        cones: vec![
            Cone::Zero(1),
            Cone::Nonnegative(assets),
            Cone::SecondOrder(1 + factors + assets),
        ],
        batch,
    }
}

/// `min ½‖Fx − b‖² + λ‖x‖₁` with the residual and the absolute values as variables of their own.
fn lasso(features: usize, samples: usize, batch: usize) -> Program {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let n = 2 * features + samples;
    let mut a = Triplets::new(samples + 2 * features, n);
    let mut p = Triplets::new(n, n);
    let mut b = vec![0.0; a.rows];
    for row in 0..samples {
        for column in 0..features {
            if rng.random_bool(0.15) {
                a.push(row, column, normal(&mut rng));
            }
        }
        a.push(row, 2 * features + row, -1.0);
        p.push(2 * features + row, 2 * features + row, 1.0);
        b[row] = normal(&mut rng);
    }
    for i in 0..features {
        a.push(samples + i, i, 1.0);
        a.push(samples + i, features + i, -1.0);
        a.push(samples + features + i, i, -1.0);
        a.push(samples + features + i, features + i, -1.0);
    }
    let mut q = Vec::new();
    for _ in 0..batch {
        q.extend((0..features).map(|_| 0.1 * normal(&mut rng)));
        q.extend((0..features).map(|_| 1.0));
        q.extend((0..samples).map(|_| 0.0));
    }
    Program {
        name: "lasso",
        p: p.compress(),
        a: a.compress(),
        b,
        q,
        cones: vec![Cone::Zero(samples), Cone::Nonnegative(2 * features)],
        batch,
    }
}

/// `max Σ entropy(xᵢ) − cᵀx` over the simplex with some linear rows: exponential cones.
fn entropy(size: usize, rows: usize, batch: usize) -> Program {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    // Variables x and t ≤ −x log x: (t, x, 1) in the exponential cone.
    let n = 2 * size;
    let mut a = Triplets::new(1 + rows + 3 * size, n);
    let mut b = vec![0.0; a.rows];
    b[0] = 1.0;
    for i in 0..size {
        a.push(0, i, 1.0);
    }
    for row in 0..rows {
        for i in 0..size {
            if rng.random_bool(0.2) {
                a.push(1 + row, i, normal(&mut rng));
            }
        }
        b[1 + row] = 0.05;
    }
    for i in 0..size {
        let first = 1 + rows + 3 * i;
        a.push(first, size + i, -1.0);
        a.push(first + 1, i, -1.0);
        b[first + 2] = 1.0;
    }
    let mut q = Vec::new();
    for _ in 0..batch {
        q.extend((0..size).map(|_| normal(&mut rng)));
        q.extend((0..size).map(|_| -1.0));
    }
    Program {
        name: "entropy",
        p: CscMatrix::zeros((n, n)),
        a: a.compress(),
        b,
        q,
        cones: vec![
            Cone::Zero(1),
            Cone::Nonnegative(rows),
            Cone::Exponential(size),
        ],
        batch,
    }
}

fn clarabel_cones(cones: &[Cone]) -> Vec<SupportedConeT<f64>> {
    cones
        .iter()
        .flat_map(|cone| match *cone {
            Cone::Zero(rows) => vec![SupportedConeT::ZeroConeT(rows)],
            Cone::Nonnegative(rows) => vec![SupportedConeT::NonnegativeConeT(rows)],
            Cone::SecondOrder(rows) => vec![SupportedConeT::SecondOrderConeT(rows)],
            Cone::Exponential(count) => vec![SupportedConeT::ExponentialConeT(); count],
            Cone::Power(alpha) => vec![SupportedConeT::PowerConeT(alpha)],
            Cone::Semidefinite(size) => unreachable!("no program here has matrices of size {size}"),
        })
        .collect()
}

fn sparse<'a>(matrix: &'a CscMatrix<f64>) -> Sparse<'a> {
    Sparse {
        rows: matrix.m,
        columns: matrix.n,
        starts: &matrix.colptr,
        indices: &matrix.rowval,
        values: Values::Shared(&matrix.nzval),
    }
}

fn programs(c: &mut Criterion) {
    for program in [
        portfolio(100, 20, 64),
        portfolio(400, 40, 16),
        lasso(100, 60, 64),
        lasso(400, 200, 16),
        entropy(100, 20, 64),
        entropy(500, 50, 16),
    ] {
        time(c, &program);
    }
}

fn time(c: &mut Criterion, program: &Program) {
    let Program {
        name,
        p,
        a,
        b,
        q,
        cones,
        batch,
    } = program;
    let n = a.n;
    let problem = ConeProblem {
        batch: *batch,
        n,
        p: (!p.nzval.is_empty()).then(|| sparse(p)),
        q: Values::PerSample(q),
        a: sparse(a),
        b: Values::Shared(b),
        cones,
    };
    let settings = ConeSettings::default();
    let solution = solve_cones(&problem, &settings).expect("valid data");
    assert!(solution.all_solved());
    let ones = vec![1.0; batch * n];
    let cotangent = ConeCotangent::of_x(&ones);
    let backward = || {
        let (wanted, settings) = (ConeWanted::ALL, AdjointSettings::default());
        cone_adjoint(&problem, &solution, &cotangent, &wanted, &settings).expect("valid data")
    };
    let exact = |report: &GradientReport| report.quality == GradientQuality::Exact;
    assert!(backward().reports.iter().all(exact));
    let mut group = c.benchmark_group(format!("{name}, batch {batch}, n={n}, m={}", a.m));
    group.sample_size(15);
    // Samples over cores on both sides.
    group.bench_function("Clarabel", |bench| {
        bench.iter(|| {
            (0..*batch).into_par_iter().for_each(|i| {
                let settings = DefaultSettings {
                    verbose: false,
                    max_threads: 1,
                    ..DefaultSettings::default()
                };
                let q = &q[i * n..(i + 1) * n];
                let cones = clarabel_cones(cones);
                let mut solver =
                    DefaultSolver::new(p, q, a, b, &cones, settings).expect("valid data");
                solver.solve();
                black_box(&solver.solution.x);
            });
        })
    });
    group.bench_function("forward", |bench| {
        bench.iter(|| solve_cones(&problem, &settings).expect("valid data"))
    });
    group.bench_function("backward", |bench| bench.iter(backward));
    group.finish();
}

criterion_group!(benches, programs);
criterion_main!(benches);
