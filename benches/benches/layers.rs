//! Forward, backward and both together of every layer: batch 128, f64, flex.
//!
//! cargo bench -p feasible-benches --bench layers

#![allow(missing_docs, reason = "criterion's macros write public items")]

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use feasible::burn::tensor::{DType, Device, Tensor};
use feasible::convex::{Hessian, Projection, QcqpLayer, QpLayer, QpTensors, RowHessians};
use feasible::nls::{Backward, ConstraintResidual, Damping, LevenbergMarquardt, Settings};
use feasible::repair::{RowPolicy, SnareNet, SnareNetSettings};
use feasible::{Affine, Bounds, Constraints, Quadratic, Stacked, host};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};
use std::sync::Arc;

const BATCH: usize = 128;

/// Variables, equalities, inequalities.
const SIZES: [(usize, usize, usize); 2] = [(20, 5, 10), (100, 50, 50)];

struct Draws {
    rng: ChaCha8Rng,
    device: Device,
}

impl Draws {
    fn new() -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(0),
            device: Device::flex().autodiff(),
        }
    }

    fn normal<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let values = (0..shape.iter().product())
            .map(|_| StandardNormal.sample(&mut self.rng))
            .collect();
        host::write(values, shape, &self.device, DType::F64)
    }

    fn uniform<const D: usize>(&mut self, low: f64, high: f64, shape: [usize; D]) -> Tensor<D> {
        let range = Uniform::new(low, high).expect("a range");
        let values = (0..shape.iter().product())
            .map(|_| range.sample(&mut self.rng))
            .collect();
        host::write(values, shape, &self.device, DType::F64)
    }
}

/// Whether the inputs want gradients.
#[derive(Clone, Copy)]
enum Track {
    Nothing,
    Everything,
}

impl Track {
    fn leaf<const D: usize>(self, tensor: Tensor<D>) -> Tensor<D> {
        match self {
            Track::Nothing => tensor.detach(),
            Track::Everything => tensor.detach().require_grad(),
        }
    }
}

/// Times a layer's forward pass without anything to record, its backward pass alone, and both. The
/// loss is the sum of the output.
fn time<F: Fn() -> Tensor<2>>(
    c: &mut Criterion,
    name: &str,
    size: (usize, usize, usize),
    layer: impl Fn(Track) -> F,
) {
    let size = format!("n={}/{}/{}", size.0, size.1, size.2);
    let mut group = c.benchmark_group(name);
    group.sample_size(20);
    let forward = layer(Track::Nothing);
    group.bench_function(BenchmarkId::new("forward", &size), |b| b.iter(&forward));
    let tracked = layer(Track::Everything);
    group.bench_function(BenchmarkId::new("backward", &size), |b| {
        b.iter_batched(
            || tracked().sum(),
            |loss| loss.backward(),
            BatchSize::PerIteration,
        )
    });
    group.bench_function(BenchmarkId::new("forward and backward", &size), |b| {
        b.iter(|| tracked().sum().backward())
    });
    group.finish();
}

/// What a QP's matrices look like.
#[derive(Clone, Copy)]
enum Matrices {
    /// Diagonal P, A and G shared by the batch.
    Shared,
    /// Dense P, A and G shared by the batch.
    SharedDense,
    /// Diagonal P, A and G a sample.
    PerSample,
}

/// QPs of the kind that DC3 and the peers' scripts time, with the gradient of every parameter.
fn qp(c: &mut Criterion) {
    for (name, matrices) in [
        ("qp, shared matrices", Matrices::Shared),
        ("qp, shared matrices, dense P", Matrices::SharedDense),
        ("qp, matrices a sample", Matrices::PerSample),
    ] {
        for size in SIZES {
            let (n, eq, ineq) = size;
            let mut draws = Draws::new();
            let copies = match matrices {
                Matrices::PerSample => BATCH,
                _ => 1,
            };
            let diagonal = draws.uniform(0.1, 1.1, [copies, n]);
            let root = draws.normal([n, n]);
            let dense = root.clone().transpose().matmul(root) / n as f64
                + Tensor::<2>::eye(n, &draws.device).cast(DType::F64) * 0.1;
            let a = draws.normal([copies, eq, n]);
            let g = draws.normal([copies, ineq, n]);
            let b = draws.uniform(-1.0, 1.0, [BATCH, eq]);
            let q = draws.uniform(0.0, 1.0, [BATCH, n]);
            // Wide enough to be feasible, narrow enough to bind.
            let u = (g.clone().square().sum_dim(2).sqrt() * 2.0).reshape([copies, ineq]);
            time(c, name, size, |track| {
                let (diagonal, dense) = (track.leaf(diagonal.clone()), track.leaf(dense.clone()));
                let (a, g) = (track.leaf(a.clone()), track.leaf(g.clone()));
                let (b, q, u) = (
                    track.leaf(b.clone()),
                    track.leaf(q.clone()),
                    track.leaf(u.clone()),
                );
                let l = u.clone().detach().full_like(f64::NEG_INFINITY);
                move || {
                    let p = match matrices {
                        Matrices::SharedDense => Hessian::dense(dense.clone()),
                        _ => Hessian::diagonal(diagonal.clone()),
                    };
                    let problem = QpTensors::new(p, q.clone())
                        .equalities(a.clone(), b.clone())
                        .inequalities(g.clone(), l.clone(), u.clone());
                    QpLayer::default()
                        .forward(&problem)
                        .expect("the problems are feasible")
                        .x
                }
            });
        }
    }
}

/// A general QCQP: dense P and H_i, every parameter tracked.
fn qcqp(c: &mut Criterion) {
    for (n, ineq) in [(20, 5), (100, 10)] {
        let mut draws = Draws::new();
        let gram = |draws: &mut Draws| {
            let root = draws.normal([n, n]);
            root.clone().transpose().matmul(root) / n as f64
                + Tensor::<2>::eye(n, &draws.device).cast(DType::F64) * 0.1
        };
        let p = gram(&mut draws);
        let h: Vec<Tensor<3>> = (0..ineq)
            .map(|_| gram(&mut draws).unsqueeze_dim(0))
            .collect();
        let h = Tensor::cat(h, 0);
        let g = draws.normal([ineq, n]);
        let q = draws.normal([BATCH, n]);
        time(c, "qcqp, dense P and H", (n, 0, ineq), |track| {
            let (p, h) = (track.leaf(p.clone()), track.leaf(h.clone()));
            let (g, q) = (track.leaf(g.clone()), track.leaf(q.clone()));
            let c = track.leaf(host::write(
                vec![1.0; ineq],
                [ineq],
                &q.device(),
                DType::F64,
            ));
            move || {
                let problem = QpTensors::new(Hessian::dense(p.clone()), q.clone()).quadratics(
                    RowHessians::dense(h.clone()),
                    g.clone(),
                    c.clone(),
                );
                QcqpLayer::default()
                    .forward(&problem)
                    .expect("0 is feasible")
                    .x
            }
        });
    }
}

/// Rows of SnareNet's QCQP: diagonal quadratics and equalities.
fn quadratic_rows(draws: &mut Draws, n: usize, eq: usize, ineq: usize) -> Stacked {
    let h = draws.uniform(0.0, 0.1, [ineq, n]);
    let g = draws.uniform(-1.0, 1.0, [ineq, n]);
    let upper = host::write(vec![4.0; ineq], [1, ineq], &draws.device, DType::F64);
    let quadratic =
        Quadratic::diagonal(h, g, Bounds::at_most(upper).expect("finite")).expect("shapes agree");
    Stacked::new(vec![
        Arc::new(quadratic),
        Arc::new(equality_rows(draws, n, eq)),
    ])
    .expect("shapes agree")
}

/// The same with linear inequalities, as in SnareNet's non-convex problem.
fn affine_rows(draws: &mut Draws, n: usize, eq: usize, ineq: usize) -> Stacked {
    let g = draws.normal([ineq, n]);
    let upper = g.clone().square().sum_dim(1).sqrt().reshape([1, ineq]) * 0.5;
    let rows = Affine::shared(g, Bounds::at_most(upper).expect("finite")).expect("shapes agree");
    Stacked::new(vec![Arc::new(rows), Arc::new(equality_rows(draws, n, eq))]).expect("shapes agree")
}

fn equality_rows(draws: &mut Draws, n: usize, eq: usize) -> Affine {
    let a = draws.uniform(-1.0, 1.0, [eq, n]);
    let x = draws.uniform(-0.5, 0.5, [BATCH, eq]);
    Affine::shared(a, Bounds::equal(x).expect("finite")).expect("shapes agree")
}

fn projection(c: &mut Criterion) {
    for size in SIZES {
        let (n, eq, ineq) = size;
        let mut draws = Draws::new();
        for (name, rows) in [
            ("projection, affine", affine_rows(&mut draws, n, eq, ineq)),
            (
                "projection, diagonal H",
                quadratic_rows(&mut draws, n, eq, ineq),
            ),
        ] {
            let raw = draws.normal([BATCH, n]);
            time(c, name, size, |track| {
                let (raw, rows) = (track.leaf(raw.clone()), rows.clone());
                move || {
                    Projection::default()
                        .forward(raw.clone(), &rows)
                        .expect("feasible")
                        .y
                }
            });
        }
    }
}

fn snarenet(c: &mut Criterion) {
    for size in SIZES {
        let (n, eq, ineq) = size;
        let mut draws = Draws::new();
        let affine = affine_rows(&mut draws, n, eq, ineq);
        let quadratic = quadratic_rows(&mut draws, n, eq, ineq);
        let raw = draws.uniform(-0.5, 0.5, [BATCH, n]);
        for (name, rows, policy) in [
            ("snarenet, affine, all rows", &affine, RowPolicy::All),
            ("snarenet, quadratic, all rows", &quadratic, RowPolicy::All),
            (
                "snarenet, quadratic, violated rows",
                &quadratic,
                RowPolicy::Violated,
            ),
        ] {
            let layer = SnareNet::new(SnareNetSettings {
                tolerance: 1e-6,
                rows: policy,
                ..Default::default()
            })
            .expect("valid");
            time(c, name, size, |track| {
                let (raw, rows, layer) = (track.leaf(raw.clone()), rows.clone(), layer.clone());
                move || layer.forward(raw.clone(), &rows, None).expect("finite").y
            });
        }
    }
}

/// Ten damped steps on the device, recorded or not.
fn least_squares(c: &mut Criterion) {
    for size in SIZES {
        let (n, eq, ineq) = size;
        let mut draws = Draws::new();
        let rows = quadratic_rows(&mut draws, n, eq, ineq);
        let raw = draws.uniform(-0.5, 0.5, [BATCH, n]);
        let target = rows.values(draws.uniform(-0.5, 0.5, [BATCH, n]));
        for (name, backward) in [
            ("least squares, unrolled", Backward::Unrolled),
            ("least squares, implicit", Backward::Implicit),
        ] {
            let settings = Settings {
                max_iterations: 10,
                damping: Damping::Fixed(1e-3),
                residual_tolerance: 0.0,
                step_tolerance: 0.0,
                backward,
                ..Settings::default()
            };
            let solver = LevenbergMarquardt::new(settings).expect("valid");
            time(c, name, size, |track| {
                let (raw, target) = (track.leaf(raw.clone()), track.leaf(target.clone()));
                let (rows, solver) = (rows.clone(), solver.clone());
                move || {
                    let residual =
                        ConstraintResidual::new(&rows, target.clone()).expect("shapes agree");
                    solver.solve(&residual, raw.clone()).expect("finite").y
                }
            });
        }
    }
}

criterion_group!(benches, qp, qcqp, projection, snarenet, least_squares);
criterion_main!(benches);
