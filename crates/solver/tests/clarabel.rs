//! Against Clarabel on random problems.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use clarabel::solver::SolverStatus;
use feasible_solver::{Settings, Status, solve};
use support::reference::{clarabel, kkt_residual};
use support::{random, random_shape};

/// Objectives agree to 1e-6 relative, minimisers as far as Clarabel's stopping test pins them, and
/// the optimality conditions hold to rounding.
fn agree(seeds: std::ops::Range<u64>, quadratics: bool, largest: usize) {
    let (mut samples, mut worst_x, mut worst_objective, mut worst_residual) =
        (0, 0.0f64, 0.0f64, 0.0f64);
    let (mut most_iterations, mut loose) = (0, 0);
    for seed in seeds {
        let shape = random_shape(seed, 2, largest, quadratics);
        let owned = random(shape, seed);
        let solution = solve(&owned.problem(), &Settings::default()).unwrap();
        for i in 0..owned.batch {
            let reference = clarabel(&owned, i);
            let n = owned.n;
            assert_eq!(
                solution.status[i],
                Status::Solved,
                "seed {seed} sample {i} {shape:?} {:?}",
                solution.residuals[i]
            );
            let size = 1.0 + reference.objective.abs();
            let objective = (solution.objective[i] - reference.objective).abs() / size;
            let x = &solution.x[i * n..(i + 1) * n];
            let length = 1.0 + reference.x.iter().fold(0.0f64, |a, v| a.max(v.abs()));
            let distance = x
                .iter()
                .zip(&reference.x)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max)
                / length;
            assert!(
                objective < 1e-6,
                "seed {seed} sample {i}: objective off by {objective:e} {shape:?}"
            );
            let residual = kkt_residual(
                &owned,
                i,
                x,
                &solution.equality_dual[i * owned.p_rows..(i + 1) * owned.p_rows],
                &solution.inequality_dual[i * owned.m..(i + 1) * owned.m],
                &solution.quadratic_dual[i * owned.k..(i + 1) * owned.k],
            );
            assert!(
                residual < 1e-10,
                "seed {seed} sample {i}: residual {residual:e} {shape:?}"
            );
            // Where the two minimisers differ by more, ours has to be the better one.
            assert!(
                distance < 1e-6 || residual < 1e-3 * reference.residual,
                "seed {seed} sample {i}: x off by {distance:e} {shape:?}"
            );
            loose += usize::from(distance > 1e-6);
            samples += 1;
            worst_x = worst_x.max(distance);
            worst_objective = worst_objective.max(objective);
            worst_residual = worst_residual.max(residual);
            most_iterations = most_iterations.max(solution.iterations[i]);
        }
    }
    println!(
        "{samples} samples: x {worst_x:.1e}, objective {worst_objective:.1e}, our residual {worst_residual:.1e}, most iterations {most_iterations}, x beyond 1e-6: {loose}"
    );
}

#[test]
fn random_quadratic_programs() {
    agree(0..200, false, 30);
}

#[test]
fn random_quadratically_constrained_programs() {
    agree(1000..1200, true, 30);
}

#[test]
fn larger_problems() {
    agree(2000..2010, false, 100);
    agree(2010..2016, true, 60);
}

/// Rank-deficient `P`: minimisers need not be unique, objectives are.
#[test]
fn semidefinite_objectives() {
    let (mut samples, mut unsolved) = (0, 0);
    for seed in 3000..3300 {
        let mut shape = random_shape(seed, 1, 20, seed % 2 == 0);
        shape.p_diagonal = false;
        // Half rank, or none at all: linear objectives.
        shape.p_rank = if seed % 3 == 0 { 0 } else { shape.n / 2 };
        shape.m = shape.n + 3;
        let owned = random(shape, seed);
        let solution = solve(&owned.problem(), &Settings::default()).unwrap();
        let reference = clarabel(&owned, 0);
        samples += 1;
        match reference.status {
            SolverStatus::Solved | SolverStatus::AlmostSolved => {
                assert_eq!(solution.status[0], Status::Solved, "seed {seed} {shape:?}");
                let size = 1.0 + reference.objective.abs();
                let objective = (solution.objective[0] - reference.objective).abs() / size;
                assert!(
                    objective < 1e-6,
                    "seed {seed}: objective off by {objective:e} {shape:?}"
                );
            }
            SolverStatus::DualInfeasible | SolverStatus::AlmostDualInfeasible => {
                assert_eq!(
                    solution.status[0],
                    Status::DualInfeasible,
                    "seed {seed} {shape:?}"
                );
            }
            other => {
                unsolved += 1;
                println!(
                    "seed {seed}: Clarabel {other:?}, ours {:?}",
                    solution.status[0]
                );
            }
        }
    }
    println!("{samples} samples, {unsolved} undecided by Clarabel");
    assert_eq!(unsolved, 0, "Clarabel must have an opinion");
}
