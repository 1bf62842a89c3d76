//! What a solve allocates: memory belongs to runs of samples, not to samples. Nothing else may run in
//! this process, which counts for all of it.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use std::alloc::System;

use feasible_solver::{Settings, solve};
use rayon::ThreadPoolBuilder;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{Shape, random};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Samples of a run, on one thread.
const RUN: usize = 64;

/// Allocations that a run of shared matrices may make: its results and a few products' scratch.
const PER_RUN: usize = 32;

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

/// Allocations of one solve, growth of what is allocated included.
fn allocations(batch: usize, matrices: bool) -> usize {
    let owned = random(shape(batch, matrices), 7);
    let (problem, settings) = (owned.problem(), Settings::default());
    // Thread-local memory of matrix products is there from then on.
    assert!(solve(&problem, &settings).unwrap().all_solved());
    let region = Region::new(ALLOCATOR);
    let solution = solve(&problem, &settings).unwrap();
    let change = region.change();
    // Rows hold the points: an average sample has a few.
    let held = solution.inequality_dual.iter().filter(|v| **v != 0.0);
    assert!(held.count() > 2 * batch);
    change.allocations + change.reallocations
}

#[test]
fn samples_of_shared_matrices_allocate_nothing_of_their_own() {
    let pool = ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let [few, many] = pool.install(|| [1024, 4096].map(|batch| allocations(batch, false)));
    println!("shared matrices: {few} allocations for 1,024 samples, {many} for 4,096");
    assert!(many <= few + (4096 - 1024) / RUN * PER_RUN);
    let [few, many] = pool.install(|| [1024, 4096].map(|batch| allocations(batch, true)));
    println!("matrices of their own: {few} for 1,024 samples, {many} for 4,096");
}
