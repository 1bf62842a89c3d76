//! Programs with semidefinite cones, alone and among others, around known solutions.
#![cfg(feature = "semidefinite")]
#![allow(missing_docs)]

mod support;

use feasible_solver::Cone;
use support::cones::{MATRICES, random};
use support::differences::{Tally, gradients_near_kinks, known_solutions_and_their_gradients};
use support::pinned::random_pinned;

const PROGRAMS: u64 = 1_000;

#[test]
fn known_solutions() {
    known_solutions_and_their_gradients(PROGRAMS, &MATRICES);
}

#[test]
fn derivatives_near_kinks() {
    gradients_near_kinks(200, &MATRICES);
}

#[test]
fn linear_objectives_and_ones_of_low_rank() {
    let mut tally = Tally::default();
    for seed in 0..400 {
        tally.check(seed, &random_pinned(seed, &MATRICES));
    }
    tally.finish(5);
}

#[test]
fn most_programs_have_a_semidefinite_cone() {
    let has = |cones: &[Cone]| cones.iter().any(|c| matches!(c, Cone::Semidefinite(_)));
    let with = (0..PROGRAMS).filter(|&seed| has(&random(seed, &MATRICES).0.cones));
    let with = with.count();
    assert!(with > 500, "{with} of {PROGRAMS}");
}
