//! The bare solver beside the same work through Burn (flex, f64), and large batches.
//!
//! cargo bench -p feasible-benches --bench solver

#![allow(missing_docs, reason = "criterion's macros write public items")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use faer::MatRef;
use feasible::burn::tensor::{DType, Device, Tensor};
use feasible::convex::{Hessian, QpLayer, QpTensors};
use feasible::host::{self, HostAdjoint, Input};
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

/// What a QP's matrices look like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Matrices {
    Shared,
    SharedDense,
    PerSample,
}

/// DC3's QPs (Donti, Rolnick & Kolter 2021): one-sided rows whose bounds the least-norm point of
/// every b meets, so that many of them bind; q and b are a sample's own.
struct Qp {
    batch: usize,
    size: (usize, usize, usize),
    matrices: Matrices,
    p: Vec<f64>,
    q: Vec<f64>,
    a: Vec<f64>,
    b: Vec<f64>,
    g: Vec<f64>,
    l: Vec<f64>,
    u: Vec<f64>,
}

impl Qp {
    fn draw(batch: usize, size: (usize, usize, usize), matrices: Matrices) -> Self {
        let (n, equalities, rows) = size;
        let mut draws = Draws::new(0);
        let copies = if matrices == Matrices::PerSample {
            batch
        } else {
            1
        };
        let a = draws.normal(1.0, copies * equalities * n);
        let g = draws.normal(1.0, copies * rows * n);
        let p = match matrices {
            Matrices::SharedDense => {
                let root = draws.normal((n as f64).powf(-0.5), n * n);
                (0..n * n)
                    .map(|at| {
                        let (i, j) = (at / n, at % n);
                        let dot: f64 = (0..n).map(|k| root[k * n + i] * root[k * n + j]).sum();
                        dot + if i == j { 0.1 } else { 0.0 }
                    })
                    .collect()
            }
            _ => draws.uniform(0.1, 1.1, copies * n),
        };
        let u = (a.chunks(equalities * n).zip(g.chunks(rows * n)))
            .flat_map(|(a, g)| {
                let view = MatRef::from_row_major_slice(a, equalities, n).to_owned();
                let inverse = view.svd().expect("finite numbers").pseudoinverse();
                let reach = MatRef::from_row_major_slice(g, rows, n) * inverse;
                let row = |i: usize| reach.row(i).iter().map(|v| v.abs()).sum::<f64>();
                (0..rows).map(row).collect::<Vec<_>>()
            })
            .collect();
        Self {
            batch,
            size,
            matrices,
            p,
            q: draws.uniform(0.0, 1.0, batch * n),
            a,
            b: draws.uniform(-1.0, 1.0, batch * equalities),
            l: vec![f64::NEG_INFINITY; copies * rows],
            g,
            u,
        }
    }

    fn problem(&self) -> Problem<'_> {
        let values: fn(&[f64]) -> Values<'_> = match self.matrices {
            Matrices::PerSample => |data| Values::PerSample(data),
            _ => |data| Values::Shared(data),
        };
        let (n, equalities, rows) = self.size;
        Problem {
            batch: self.batch,
            n,
            p: match self.matrices {
                Matrices::SharedDense => Symmetric::Dense(values(&self.p)),
                _ => Symmetric::Diagonal(values(&self.p)),
            },
            q: Values::PerSample(&self.q),
            equalities: Some(Equalities {
                rows: equalities,
                a: values(&self.a),
                b: Values::PerSample(&self.b),
            }),
            inequalities: Some(Inequalities {
                rows,
                g: values(&self.g),
                l: values(&self.l),
                u: values(&self.u),
            }),
            quadratics: None,
        }
    }

    /// As tensors, of which those that are wanted are tracked.
    fn tensors(&self, wanted: &Wanted) -> QpTensors {
        let device = Device::flex().autodiff();
        let (n, equalities, rows) = self.size;
        let vector = |values: &[f64], width: usize, wanted: bool| -> Tensor<2> {
            let shape = [values.len() / width, width];
            let tensor = host::write(values.to_vec(), shape, &device, DType::F64);
            tensor.set_require_grad(wanted)
        };
        let matrix = |values: &[f64], rows: usize, wanted: bool| -> Tensor<3> {
            let shape = [values.len() / (rows * n), rows, n];
            let tensor = host::write(values.to_vec(), shape, &device, DType::F64);
            tensor.set_require_grad(wanted)
        };
        let p = match self.matrices {
            Matrices::SharedDense => Hessian::dense(matrix(&self.p, n, wanted.p)),
            _ => Hessian::diagonal(vector(&self.p, n, wanted.p)),
        };
        QpTensors::new(p, vector(&self.q, n, wanted.q))
            .equalities(
                matrix(&self.a, equalities, wanted.a),
                vector(&self.b, equalities, wanted.b),
            )
            .inequalities(
                matrix(&self.g, rows, wanted.g),
                vector(&self.l, rows, wanted.l),
                vector(&self.u, rows, wanted.u),
            )
    }
}

/// Gradients of the sum of all minimisers.
fn backward(problem: &Problem<'_>, solution: &Solution, wanted: &Wanted) {
    let ones = vec![1.0; solution.x.len()];
    let cotangent = Cotangent::of_x(&ones);
    let settings = AdjointSettings::default();
    black_box(adjoint(problem, solution, &cotangent, wanted, &settings).expect("valid"));
}

/// A computation that costs nothing, with these lengths of its inputs.
#[derive(Debug)]
struct Idle(Vec<usize>);

impl HostAdjoint for Idle {
    fn vjp(&self, _: &[f64]) -> Vec<Vec<f64>> {
        self.0.iter().map(|length| vec![0.0; *length]).collect()
    }
}

/// What Burn's graph and its backward steps take, whatever the layer.
fn graph_alone(tracked: &[Tensor<1>], shape: [usize; 2]) {
    let inputs = tracked.iter().cloned().map(Input::new).collect();
    let lengths = tracked.iter().map(|tensor| tensor.dims()[0]).collect();
    let device = tracked[0].device();
    let output = vec![0.0; shape[0] * shape[1]];
    let adjoint = Arc::new(Idle(lengths));
    let output = host::record(output, shape, &device, DType::F64, inputs, adjoint);
    black_box(output.sum().backward());
}

/// The solver by itself and through a layer, in one group.
fn through_burn(c: &mut Criterion) {
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
    let (n, equalities, rows) = qp.size;
    let size = format!("n={n}/{equalities}/{rows}");
    let mut group = c.benchmark_group(name);
    group
        .throughput(Throughput::Elements(qp.batch as u64))
        .sample_size(20);
    group.bench_function(BenchmarkId::new("forward", &size), |b| {
        b.iter(|| solve(&problem, &Settings::default()))
    });
    let layer = QpLayer::default();
    let constant = qp.tensors(&Wanted::NONE);
    group.bench_function(BenchmarkId::new("layer, forward", &size), |b| {
        b.iter(|| layer.forward(&constant).expect("valid").x)
    });
    let of_q = Wanted {
        q: true,
        ..Wanted::NONE
    };
    // What a network predicts is often q alone.
    for (wanted, of) in [(Wanted::ALL, ""), (of_q, " of q")] {
        let id = |prefix| BenchmarkId::new(format!("{prefix}forward and backward{of}"), &size);
        group.bench_function(id(""), |b| {
            b.iter(|| {
                let solution = solve(&problem, &Settings::default()).expect("valid");
                backward(&problem, &solution, &wanted);
            })
        });
        let tracked = qp.tensors(&wanted);
        group.bench_function(id("layer, "), |b| {
            b.iter(|| layer.forward(&tracked).expect("valid").x.sum().backward())
        });
        let device = Device::flex().autodiff();
        let all = [&qp.p, &qp.q, &qp.a, &qp.b, &qp.g, &qp.l, &qp.u];
        let parameters = if wanted.p { &all[..] } else { &all[1..2] };
        let inputs: Vec<Tensor<1>> = parameters
            .iter()
            .map(|values| host::write(values.to_vec(), [values.len()], &device, DType::F64))
            .map(Tensor::require_grad)
            .collect();
        group.bench_function(id("graph alone, "), |b| {
            b.iter(|| graph_alone(&inputs, [qp.batch, n]))
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

criterion_group!(benches, through_burn, ellipsoids);
criterion_main!(benches);
