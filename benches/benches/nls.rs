//! Nonlinear least squares beside Theseus: Levenberg-Marquardt on a residual its user wrote.
//!
//! cargo bench -p feasible-benches --bench nls
//!
//! `benches/peers/nls.py` is the same work: batch 128, r(y) = A y + Q y² − z with z reachable, λ = 1e-3
//! fixed, at most 10 iterations, the gradient of Σ y³ with respect to start and z. The least-squares part without
//! Burn is also `crates/least_squares/examples/batch`, which is quicker to build and prints the least of its times.

#![allow(missing_docs, reason = "criterion's macros write public items")]
#![allow(clippy::print_stderr, reason = "how many iterations are timed")]

#[path = "../../crates/least_squares/examples/batch/problem.rs"]
mod problem;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use feasible::Dual;
use feasible::burn::tensor::{DType, Device, Tensor};
use feasible::host;
use feasible::nls::least_squares::{self, Backward, Inputs, Values};
use feasible::nls::{self, FunctionResidual, ObjectiveLayer, ObjectiveTensors};
use problem::{BATCH, DAMPING, ITERATIONS, Work, settings};

fn least_squares(c: &mut Criterion) {
    for (n, m) in [(20, 10), (100, 50)] {
        let work = Work::draw(n, m);
        let size = format!("n={n} m={m}");
        let mut group = c.benchmark_group("least squares");
        group.sample_size(10);

        let objective = work.objective(true).expect("valid");
        let (y, z) = (
            objective.variable("y").expect("named above"),
            objective.auxiliary("z").expect("named above"),
        );
        let inputs = Inputs::new(&objective, BATCH)
            .start(y, Values::PerSample(&work.start))
            .auxiliary(z, Values::PerSample(&work.target));
        let once = objective
            .solve(&inputs, &settings(Backward::Unrolled))
            .expect("valid");
        let most = once.history.iter().map(Vec::len).max();
        eprintln!("{size}: at most {most:?} iterations, {:?}", once.status[0]);
        group.bench_function(BenchmarkId::new("forward", &size), |b| {
            b.iter(|| {
                objective
                    .solve(&inputs, &settings(Backward::Unrolled))
                    .expect("valid")
            })
        });
        for (name, mode) in [
            ("forward and backward", Backward::Unrolled),
            ("forward and implicit backward", Backward::default()),
        ] {
            let settings = settings(mode);
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
        let layer = ObjectiveLayer::new(
            work.objective(true).expect("valid"),
            settings(Backward::Unrolled),
        )
        .expect("valid");
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

        group.finish();

        // The same residual over tensors, differentiated by dual numbers on the device.
        let mut group = c.benchmark_group("least squares over tensors");
        group.sample_size(10);
        for (name, backward, tracked) in [
            ("forward", nls::Backward::Unrolled, false),
            ("forward and backward", nls::Backward::Unrolled, true),
            (
                "forward and implicit backward",
                nls::Backward::Implicit,
                true,
            ),
        ] {
            let solver = nls::LevenbergMarquardt::new(nls::Settings {
                max_iterations: ITERATIONS,
                damping: nls::Damping::Fixed(DAMPING),
                backward,
                ..nls::Settings::default()
            })
            .expect("valid");
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
                    rows - z[0].clone()
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
