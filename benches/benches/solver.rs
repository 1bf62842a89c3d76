//! The bare solver beside the same work through Burn (flex, f64), and large batches.
//!
//! cargo bench -p feasible-benches --bench solver

#![allow(missing_docs, reason = "criterion's macros write public items")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use feasible::burn::tensor::{DType, Device, Tensor};
use feasible::convex::{Hessian, QpLayer, QpTensors};
use feasible::host;
use feasible::solver::{
    AdjointSettings, Cotangent, Equalities, Inequalities, Problem, Quadratics, Settings, Solution,
    Symmetric, Values, Wanted, adjoint, solve,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};

struct Draws(ChaCha8Rng);

impl Draws {
    fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    fn uniform(&mut self, low: f64, high: f64, count: usize) -> Vec<f64> {
        let range = Uniform::new(low, high).expect("a range");
        (0..count).map(|_| range.sample(&mut self.0)).collect()
    }

    fn normal(&mut self, scale: f64, count: usize) -> Vec<f64> {
        (0..count)
            .map(|_| {
                let v: f64 = StandardNormal.sample(&mut self.0);
                scale * v
            })
            .collect()
    }
}

/// QPs of the kind that DC3 draws: diagonal P, shared matrices, q and b a sample's own, one-sided
/// rows.
struct Qp {
    batch: usize,
    n: usize,
    equalities: usize,
    inequalities: usize,
    p: Vec<f64>,
    q: Vec<f64>,
    a: Vec<f64>,
    b: Vec<f64>,
    g: Vec<f64>,
    l: Vec<f64>,
    u: Vec<f64>,
}

impl Qp {
    fn draw(batch: usize, n: usize, equalities: usize, inequalities: usize) -> Self {
        let mut draws = Draws::new(0);
        let g = draws.normal(1.0, inequalities * n);
        Self {
            batch,
            n,
            equalities,
            inequalities,
            p: draws.uniform(0.1, 1.1, n),
            q: draws.uniform(0.0, 1.0, batch * n),
            a: draws.normal(1.0, equalities * n),
            b: draws.uniform(-1.0, 1.0, batch * equalities),
            // As far from 0 as rows of this length reach: always feasible, some rows active.
            u: vec![0.6 * (n as f64).sqrt(); inequalities],
            l: vec![f64::NEG_INFINITY; inequalities],
            g,
        }
    }

    fn problem(&self) -> Problem<'_> {
        Problem {
            batch: self.batch,
            n: self.n,
            p: Symmetric::Diagonal(Values::Shared(&self.p)),
            q: Values::PerSample(&self.q),
            equalities: Some(Equalities {
                rows: self.equalities,
                a: Values::Shared(&self.a),
                b: Values::PerSample(&self.b),
            }),
            inequalities: Some(Inequalities {
                rows: self.inequalities,
                g: Values::Shared(&self.g),
                l: Values::Shared(&self.l),
                u: Values::Shared(&self.u),
            }),
            quadratics: None,
        }
    }

    /// As tensors; all of them want a gradient, or none.
    fn tensors(&self, tracked: bool) -> QpTensors {
        let device = Device::flex().autodiff();
        let leaf = |values: &[f64], shape: [usize; 2]| -> Tensor<2> {
            let tensor = host::write(values.to_vec(), shape, &device, DType::F64);
            tensor.set_require_grad(tracked)
        };
        let matrix = |values: &[f64], rows: usize| -> Tensor<3> {
            let shape = [1, rows, self.n];
            let tensor = host::write(values.to_vec(), shape, &device, DType::F64);
            tensor.set_require_grad(tracked)
        };
        QpTensors::new(
            Hessian::diagonal(leaf(&self.p, [1, self.n])),
            leaf(&self.q, [self.batch, self.n]),
        )
        .equalities(
            matrix(&self.a, self.equalities),
            leaf(&self.b, [self.batch, self.equalities]),
        )
        .inequalities(
            matrix(&self.g, self.inequalities),
            leaf(&self.l, [1, self.inequalities]),
            leaf(&self.u, [1, self.inequalities]),
        )
    }
}

/// Every gradient of the sum of all minimisers.
fn backward(problem: &Problem<'_>, solution: &Solution) {
    let ones = vec![1.0; solution.x.len()];
    let cotangent = Cotangent {
        x: &ones,
        equality_dual: None,
        inequality_dual: None,
        quadratic_dual: None,
    };
    let settings = AdjointSettings::default();
    black_box(adjoint(problem, solution, &cotangent, &Wanted::ALL, &settings).expect("valid"));
}

/// The solver by itself and through a layer, in one group.
fn through_burn(c: &mut Criterion) {
    for (batch, n, equalities, inequalities) in
        [(128, 20, 5, 10), (128, 100, 50, 50), (16_384, 20, 5, 10)]
    {
        let qp = Qp::draw(batch, n, equalities, inequalities);
        let problem = qp.problem();
        let solution = solve(&problem, &Settings::default()).expect("valid");
        assert!(solution.all_solved());
        let mut group = c.benchmark_group(format!(
            "qp, shared matrices, batch {batch}, n={n}/{equalities}/{inequalities}"
        ));
        group
            .throughput(Throughput::Elements(batch as u64))
            .sample_size(20);
        group.bench_function("solver, forward", |b| {
            b.iter(|| solve(&problem, &Settings::default()))
        });
        group.bench_function("solver, both", |b| {
            b.iter(|| {
                let solution = solve(&problem, &Settings::default()).expect("valid");
                backward(&problem, &solution);
            })
        });
        let layer = QpLayer::default();
        let constant = qp.tensors(false);
        group.bench_function("layer, forward", |b| {
            b.iter(|| layer.forward(&constant).expect("valid").x)
        });
        let tracked = qp.tensors(true);
        group.bench_function("layer, both", |b| {
            b.iter(|| layer.forward(&tracked).expect("valid").x.sum().backward())
        });
        group.finish();
    }
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
                    backward(&problem, &solution);
                })
            });
            group.finish();
        }
    }
}

criterion_group!(benches, through_burn, ellipsoids);
criterion_main!(benches);
