//! Forward, and forward with backward, of every layer: batch 128, f64, flex.
//!
//! cargo bench -p feasible-benches --bench layers

#![allow(missing_docs, reason = "criterion's macros write public items")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use feasible::burn::tensor::{DType, Device, Tensor};
use feasible::convex::{Hessian, Projection, QpLayer, QpTensors};
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

/// Times `forward`, then `forward` and the gradient of the sum of its output.
fn both(
    c: &mut Criterion,
    name: &str,
    size: (usize, usize, usize),
    forward: impl Fn() -> Tensor<2>,
) {
    let size = format!("n={}/{}/{}", size.0, size.1, size.2);
    let mut group = c.benchmark_group(name);
    group.sample_size(20);
    group.bench_function(BenchmarkId::new("forward", &size), |b| b.iter(&forward));
    group.bench_function(BenchmarkId::new("forward and backward", &size), |b| {
        b.iter(|| forward().sum().backward())
    });
    group.finish();
}

/// The QP of DC3's kind that the peers' scripts time: shared diagonal P, A and G.
fn qp(c: &mut Criterion) {
    for size in SIZES {
        let (n, eq, ineq) = size;
        let mut draws = Draws::new();
        let p = draws.uniform(0.1, 1.1, [n]).require_grad();
        let a = draws.normal([eq, n]).require_grad();
        let g = draws.normal([ineq, n]).require_grad();
        let b = draws.uniform(-1.0, 1.0, [BATCH, eq]).require_grad();
        let q = draws.uniform(0.0, 1.0, [BATCH, n]).require_grad();
        // Wide enough to be feasible: a third of the published bound's typical size.
        let u = (g.clone().inner().square().sum_dim(1).sqrt() * 2.0).reshape([ineq]);
        let u = Tensor::from_inner(u).require_grad();
        let l = u.clone().detach().full_like(f64::NEG_INFINITY);
        let layer = QpLayer::default();
        both(c, "qp, shared matrices, every gradient", size, || {
            let problem = QpTensors::new(Hessian::diagonal(p.clone()), q.clone())
                .equalities(a.clone(), b.clone())
                .inequalities(g.clone(), l.clone(), u.clone());
            layer
                .forward(&problem)
                .expect("the problems are feasible")
                .x
        });
    }
}

/// Rows of SnareNet's QCQP: diagonal quadratics and equalities.
fn quadratic_rows(draws: &mut Draws, n: usize, eq: usize, ineq: usize) -> Stacked {
    let h = draws.uniform(0.0, 0.1, [ineq, n]);
    let g = draws.uniform(-1.0, 1.0, [ineq, n]);
    let a = draws.uniform(-1.0, 1.0, [eq, n]);
    let x = draws.uniform(-0.5, 0.5, [BATCH, eq]);
    let upper = host::write(vec![4.0; ineq], [1, ineq], &draws.device, DType::F64);
    let quadratic =
        Quadratic::diagonal(h, g, Bounds::at_most(upper).expect("finite")).expect("shapes agree");
    let affine = Affine::shared(a, Bounds::equal(x).expect("finite")).expect("shapes agree");
    Stacked::new(vec![Arc::new(quadratic), Arc::new(affine)]).expect("shapes agree")
}

fn projection(c: &mut Criterion) {
    for size in SIZES {
        let (n, eq, ineq) = size;
        let mut draws = Draws::new();
        let rows = quadratic_rows(&mut draws, n, eq, ineq);
        let raw = draws.normal([BATCH, n]).require_grad();
        let layer = Projection::default();
        both(c, "qcqp projection, diagonal H", size, || {
            layer.forward(raw.clone(), &rows).expect("feasible").y
        });
    }
}

fn snarenet(c: &mut Criterion) {
    for size in SIZES {
        let (n, eq, ineq) = size;
        let mut draws = Draws::new();
        let rows = quadratic_rows(&mut draws, n, eq, ineq);
        let raw = draws.uniform(-0.5, 0.5, [BATCH, n]).require_grad();
        for (name, policy) in [
            ("snarenet, all rows", RowPolicy::All),
            ("snarenet, violated rows", RowPolicy::Violated),
        ] {
            let layer = SnareNet::new(SnareNetSettings {
                tolerance: 1e-6,
                rows: policy,
                ..Default::default()
            })
            .expect("valid");
            both(c, name, size, || {
                layer.forward(raw.clone(), &rows, None).expect("finite").y
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
        let raw = draws.uniform(-0.5, 0.5, [BATCH, n]).require_grad();
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
            let target = target.clone().require_grad();
            both(c, name, size, || {
                let residual =
                    ConstraintResidual::new(&rows, target.clone()).expect("shapes agree");
                solver.solve(&residual, raw.clone()).expect("finite").y
            });
        }
    }
}

criterion_group!(benches, qp, projection, snarenet, least_squares);
criterion_main!(benches);
