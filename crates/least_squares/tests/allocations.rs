//! What iterations allocate: nothing, forward and backward through them. Nothing else may run in this process, which
//! counts for all of it.
#![allow(missing_docs)]

use std::alloc::System;

use feasible_least_squares::{
    AnalyticCost, AutoCost, Backward, Builder, Cost, Damping, Inputs, LevenbergMarquardt, Manifold,
    Objective, Real, Residual, Robust, Settings, Step, Stopping, Values, Weight,
};
use rayon::ThreadPoolBuilder;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BATCH: usize = 8;

/// Variables; rows in the two cases.
const N: usize = 6;

/// Row i is yᵢ + ¼ yᵢ² + yᵢ₊₁ − z.
struct Chain {
    rows: usize,
}

impl Residual for Chain {
    fn rows(&self) -> usize {
        self.rows
    }

    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (y, z) = (variables[0], auxiliaries[0]);
        for (i, out) in out.iter_mut().enumerate() {
            let (y, next) = (y[i % N], y[(i + 1) % N]);
            *out = y + y * y * 0.25 + next - z[0];
        }
    }
}

/// The same by hand.
fn by_hand(rows: usize) -> AnalyticCost {
    AnalyticCost::new(
        rows,
        |at, out| {
            let (y, z) = (at.variables[0], at.auxiliaries[0]);
            for (i, out) in out.iter_mut().enumerate() {
                *out = y[i % N] + 0.25 * y[i % N].powi(2) + y[(i + 1) % N] - z[0];
            }
        },
        |at, out| {
            out.fill(0.0);
            for (i, row) in out.chunks_exact_mut(N).enumerate() {
                row[i % N] = 1.0 + 0.5 * at.variables[0][i % N];
                row[(i + 1) % N] = 1.0;
            }
        },
    )
    .with_probe(|at, probe, gradient| {
        for (i, (s, t)) in probe.s.iter().zip(probe.t).enumerate() {
            let (here, next) = (i % N, (i + 1) % N);
            gradient.variables[here] +=
                0.5 * s * probe.d[here] + t * (1.0 + 0.5 * at.variables[0][here]);
            gradient.variables[next] += t;
            gradient.auxiliaries[0] -= t;
        }
    })
}

fn objective(cost: impl Cost + 'static) -> Objective {
    let mut builder = Builder::new();
    let y = builder.variable("y", Manifold::Vector(N)).unwrap();
    let z = builder.auxiliary("z", 1).unwrap();
    builder
        .cost("rows", cost, &[y], &[z], Weight::Identity, Robust::None)
        .unwrap();
    builder.build().unwrap()
}

/// Allocations of a solve with so many iterations, and of its backward pass.
fn allocations(objective: &Objective, iterations: usize) -> [usize; 2] {
    let start: Vec<f64> = (0..BATCH * N).map(|i| (i as f64 * 0.7).sin()).collect();
    let (y, z) = (
        objective.variable("y").unwrap(),
        objective.auxiliary("z").unwrap(),
    );
    let inputs = Inputs::new(objective, BATCH)
        .start(y, Values::PerSample(&start))
        .auxiliary(z, Values::Shared(&[0.3]));
    let settings = Settings {
        max_iterations: iterations,
        step: Step::LevenbergMarquardt(LevenbergMarquardt {
            damping: Damping::Fixed,
            // So slow that nothing converges.
            initial: 100.0,
            ..LevenbergMarquardt::default()
        }),
        stopping: Stopping {
            gradient: 0.0,
            cost: 0.0,
            step: 0.0,
        },
        backward: Backward::Unrolled,
        ..Settings::default()
    };
    let cotangent = vec![1.0; BATCH * N];
    let mut counts = [0; 2];
    // The first time makes what threads keep.
    for _ in 0..2 {
        let region = Region::new(ALLOCATOR);
        let solution = objective.solve(&inputs, &settings).unwrap();
        counts[0] = region.change().allocations + region.change().reallocations;
        let taken: usize = solution.history.iter().map(Vec::len).sum();
        assert_eq!(taken, BATCH * iterations);
        let region = Region::new(ALLOCATOR);
        let gradients = objective.vjp(&inputs, &solution, &cotangent).unwrap();
        counts[1] = region.change().allocations + region.change().reallocations;
        assert!(gradients.start.iter().all(|v| *v != 0.0));
    }
    counts
}

#[test]
fn iterations_allocate_nothing() {
    let pool = ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        // Systems of the size of the variables, and of the rows.
        for rows in [9, 4] {
            for objective in [
                objective(by_hand(rows)),
                objective(AutoCost::new(Chain { rows })),
            ] {
                let few = allocations(&objective, 3);
                let many = allocations(&objective, 13);
                assert_eq!(few, many, "{rows} rows");
            }
        }
    });
}
