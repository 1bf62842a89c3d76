//! What a solve allocates: memory belongs to runs of samples, not to samples. Nothing else may run in
//! this process, which counts for all of it.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use std::alloc::System;

use feasible_solver::{AdjointSettings, Cotangent, Settings, Solution, Wanted, adjoint, solve};
use rayon::ThreadPoolBuilder;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{Shape, random};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Samples of a run, on one thread.
const RUN: usize = 64;

/// Allocations that a run may make: its results, its factors and a few products' scratch.
const PER_RUN: usize = 32;

/// Allocations of one sample with quadratic rows: its minimiser, its multipliers, its active rows.
const PER_QUADRATIC_SAMPLE: usize = 3;

/// Vectors of every sample's own, and with `matrices` P, A and G too.
fn shape(batch: usize, matrices: bool) -> Shape {
    Shape {
        batch,
        n: 20,
        p_rows: 5,
        m: 15,
        k: 0,
        p_diagonal: false,
        h_diagonal: false,
        per_sample: if matrices { 0b111_1111 } else { 0b110_1010 },
        p_rank: 20,
        h_shift: 0.0,
        equal_rows: 0.0,
    }
}

/// With quadratic rows and diagonal matrices.
fn quadratic(batch: usize) -> Shape {
    Shape {
        p_rows: 0,
        m: 0,
        k: 5,
        p_diagonal: true,
        h_diagonal: true,
        per_sample: 0b10_0000_0010,
        ..shape(batch, false)
    }
}

/// Allocations of one solve and of its backward pass, growth of what is allocated included.
fn allocations(shape: Shape) -> [usize; 2] {
    let batch = shape.batch;
    let owned = random(shape, 7);
    let (problem, settings) = (owned.problem(), Settings::default());
    let of_x = vec![1.0; batch * problem.n];
    let cotangent = Cotangent::of_x(&of_x);
    let differentiate = |solution: &Solution| {
        let settings = AdjointSettings::default();
        adjoint(&problem, solution, &cotangent, &Wanted::ALL, &settings).unwrap()
    };
    // Thread-local memory of matrix products is there from then on.
    let solution = solve(&problem, &settings).unwrap();
    assert!(solution.all_solved());
    differentiate(&solution);
    let region = Region::new(ALLOCATOR);
    let solution = solve(&problem, &settings).unwrap();
    let forward = region.change();
    let region = Region::new(ALLOCATOR);
    let gradients = differentiate(&solution);
    let backward = region.change();
    assert_eq!(gradients.reports.len(), batch);
    // Rows hold the points: an average sample has a few.
    let duals = solution.inequality_dual.iter();
    let held = duals.chain(&solution.quadratic_dual).filter(|v| **v != 0.0);
    assert!(held.count() > batch);
    [forward, backward].map(|change| change.allocations + change.reallocations)
}

/// Those of 4,096 samples beyond those of 1,024.
fn beyond(shape: impl Fn(usize) -> Shape + Sync) -> [usize; 2] {
    let pool = ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let [few, many] = pool.install(|| [1024, 4096].map(|batch| allocations(shape(batch))));
    println!("forward and backward: {few:?} for 1,024 samples, {many:?} for 4,096");
    [
        many[0].saturating_sub(few[0]),
        many[1].saturating_sub(few[1]),
    ]
}

#[test]
fn samples_allocate_nothing_of_their_own() {
    let samples = 4096 - 1024;
    for matrices in [false, true] {
        for more in beyond(|batch| shape(batch, matrices)) {
            assert!(more <= samples / RUN * PER_RUN);
        }
    }
    let [forward, backward] = beyond(quadratic);
    assert!(forward <= samples * PER_QUADRATIC_SAMPLE);
    assert!(backward <= samples / RUN * PER_RUN);
}
