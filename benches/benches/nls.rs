//! Nonlinear least squares beside Theseus: Levenberg-Marquardt on a residual its user wrote.
//!
//! cargo bench -p feasible-benches --bench nls
//!
//! `benches/peers/nls.py` is the same work: batch 128, r(y) = A y + Q y² − z with z reachable, λ = 1e-3
//! fixed, at most 10 iterations, the gradient of Σ y³ with respect to start and z.

#![allow(missing_docs, reason = "criterion's macros write public items")]
#![allow(clippy::print_stderr, reason = "how many iterations are timed")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use feasible::Dual;
use feasible::burn::tensor::{DType, Device, Tensor};
use feasible::host;
use feasible::nls::least_squares::{
    AutoCost, Backward, Builder, Damping, Inputs, LevenbergMarquardt, Manifold, Objective, Real,
    Residual, Robust, Settings, Step, Values, Weight,
};
use feasible::nls::{self, FunctionResidual, ObjectiveLayer, ObjectiveTensors};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};

const BATCH: usize = 128;
const ITERATIONS: usize = 10;
const DAMPING: f64 = 1e-3;

struct Work {
    n: usize,
    m: usize,
    a: Vec<f64>,
    q: Vec<f64>,
    start: Vec<f64>,
    target: Vec<f64>,
}

impl Work {
    fn draw(n: usize, m: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut normal = |scale: f64, count: usize| -> Vec<f64> {
            (0..count)
                .map(|_| {
                    let v: f64 = StandardNormal.sample(&mut rng);
                    scale * v
                })
                .collect()
        };
        let a = normal((n as f64).powf(-0.5), m * n);
        let start = normal(2.0, BATCH * n);
        let unit = Uniform::new(0.0, 1.0).expect("a range");
        let q: Vec<f64> = (0..m * n)
            .map(|_| unit.sample(&mut rng) / n as f64)
            .collect();
        let u: Vec<f64> = (0..m).map(|_| unit.sample(&mut rng)).collect();
        let target = start
            .chunks(n)
            .flat_map(|y| {
                (0..m)
                    .map(|i| {
                        let row = i * n..(i + 1) * n;
                        let terms = a[row.clone()].iter().zip(&q[row]).zip(y);
                        terms
                            .map(|((a, q), y)| (a + q * y) * y)
                            .sum::<f64>()
                            .min(u[i])
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        Self {
            n,
            m,
            a,
            q,
            start,
            target,
        }
    }

    fn objective(&self) -> Objective {
        let mut objective = Builder::new();
        let y = objective
            .variable("y", Manifold::Vector(self.n))
            .expect("named once");
        let z = objective.auxiliary("z", self.m).expect("named once");
        let rows = AutoCost::new(Rows {
            n: self.n,
            m: self.m,
            a: self.a.clone(),
            q: self.q.clone(),
        });
        objective
            .cost("rows", rows, &[y], &[z], Weight::Identity, Robust::None)
            .expect("sizes fit");
        objective.build().expect("complete")
    }
}

/// The residual as a user writes it: one generic function, no derivative.
struct Rows {
    n: usize,
    m: usize,
    a: Vec<f64>,
    q: Vec<f64>,
}

impl Residual for Rows {
    fn rows(&self) -> usize {
        self.m
    }

    #[inline(always)]
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (y, z) = (variables[0], auxiliaries[0]);
        let squares: Vec<T> = y.iter().map(|y| *y * *y).collect();
        let rows = self.a.chunks(self.n).zip(self.q.chunks(self.n));
        for ((out, (a, q)), z) in out.iter_mut().zip(rows).zip(z) {
            *out = T::dot(a, y) + T::dot(q, &squares) - *z;
        }
    }
}

fn settings() -> Settings {
    let step = LevenbergMarquardt {
        damping: Damping::Fixed,
        initial: DAMPING,
        ..LevenbergMarquardt::default()
    };
    Settings {
        max_iterations: ITERATIONS,
        step: Step::LevenbergMarquardt(step),
        backward: Backward::Unrolled,
        ..Settings::default()
    }
}

fn least_squares(c: &mut Criterion) {
    for (n, m) in [(20, 10), (100, 50)] {
        let work = Work::draw(n, m);
        let size = format!("n={n} m={m}");
        let mut group = c.benchmark_group("least squares");
        group.sample_size(10);

        let objective = work.objective();
        let (y, z) = (
            objective.variable("y").expect("named above"),
            objective.auxiliary("z").expect("named above"),
        );
        let inputs = Inputs::new(&objective, BATCH)
            .start(y, Values::PerSample(&work.start))
            .auxiliary(z, Values::PerSample(&work.target));
        let once = objective.solve(&inputs, &settings()).expect("valid");
        let most = once.history.iter().map(Vec::len).max();
        eprintln!("{size}: at most {most:?} iterations, {:?}", once.status[0]);
        group.bench_function(BenchmarkId::new("forward", &size), |b| {
            b.iter(|| objective.solve(&inputs, &settings()).expect("valid"))
        });
        for (name, mode) in [
            ("forward and backward", Backward::Unrolled),
            ("forward and implicit backward", Backward::default()),
        ] {
            let settings = Settings {
                backward: mode,
                ..settings()
            };
            group.bench_function(BenchmarkId::new(name, &size), |b| {
                b.iter(|| {
                    let found = objective.solve(&inputs, &settings).expect("valid");
                    let cotangent: Vec<f64> = found.x.iter().map(|y| 3.0 * y * y).collect();
                    black_box(objective.vjp(&inputs, &found, &cotangent).expect("valid"))
                })
            });
        }

        let device = Device::flex().autodiff();
        let leaf = |values: &[f64], width: usize, tracked: bool| -> Tensor<2> {
            host::write(
                values.to_vec(),
                [values.len() / width, width],
                &device,
                DType::F64,
            )
            .set_require_grad(tracked)
        };
        let layer = ObjectiveLayer::new(work.objective(), settings()).expect("valid");
        for (name, tracked) in [
            ("layer, forward", false),
            ("layer, forward and backward", true),
        ] {
            let tensors = ObjectiveTensors::new()
                .start("y", leaf(&work.start, n, tracked))
                .auxiliary("z", leaf(&work.target, m, tracked));
            group.bench_function(BenchmarkId::new(name, &size), |b| {
                b.iter(|| {
                    let y = layer.solve(&tensors).expect("valid").all();
                    if tracked {
                        black_box(y.powi_scalar(3).sum().backward());
                    }
                })
            });
        }

        // The same residual over tensors, differentiated by dual numbers on the device.
        let solver = nls::LevenbergMarquardt::new(nls::Settings {
            max_iterations: ITERATIONS,
            damping: nls::Damping::Fixed(DAMPING),
            ..nls::Settings::default()
        })
        .expect("valid");
        for (name, tracked) in [
            ("over tensors, forward", false),
            ("over tensors, forward and backward", true),
        ] {
            let (a, q) = (leaf(&work.a, n, false), leaf(&work.q, n, false));
            let target = leaf(&work.target, m, tracked);
            let start = leaf(&work.start, n, tracked);
            let residual = FunctionResidual::with_parameters(
                n,
                m,
                vec![target],
                move |y: Dual, z: &[Tensor<2>]| {
                    let rows =
                        y.clone().left_multiply(a.clone()) + y.square().left_multiply(q.clone());
                    rows - Dual::constant(z[0].clone())
                },
            );
            group.bench_function(BenchmarkId::new(name, &size), |b| {
                b.iter(|| {
                    let y = solver.solve(&residual, start.clone()).expect("valid").y;
                    if tracked {
                        black_box(y.powi_scalar(3).sum().backward());
                    }
                })
            });
        }
        group.finish();
    }
}

criterion_group!(benches, least_squares);
criterion_main!(benches);
