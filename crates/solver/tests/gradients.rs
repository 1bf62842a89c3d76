//! Gradients against central differences of the solver itself.
//!
//! Every problem is perturbed along a random direction of all its parameters at once; for every
//! sample on its own the difference quotient (fourth order) has to match the inner product of
//! gradient and direction. A difference that could straddle a change of the active set is
//! recognised by the reported margin: a multiplier or slack that vanishes must first move by the
//! margin. It is tried again with smaller steps before the sample counts as straddling.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_solver::{GradientQuality, Settings, Solution, solve};
use support::derivatives::{
    Loss, direction, gradients, made_degenerate, moved, movement, parts, semidefinite, shape,
    single,
};
use support::{Owned, random};

/// Half-width of the differences: truncation is its fourth power, rounding 1e-15 over it.
const STEP: f64 = 2e-6;

/// The widths tried in turn; rounding at the last is a tenth of the tolerance.
const STEPS: [f64; 3] = [STEP, STEP / 10.0, STEP / 100.0];

/// Largest relative error: what rounding of the differences allows on the worst conditioned of the
/// problems below.
const TOLERANCE: f64 = 1e-6;

#[derive(Default, Debug)]
struct Tally {
    problems: usize,
    samples: usize,
    checked: usize,
    straddling: usize,
    degenerate: usize,
    worst: f64,
}

fn check_direction(owned: &Owned, seed: u64, duals: bool, d: &[Vec<f64>; 10], tally: &mut Tally) {
    let settings = Settings::default();
    let solution = solve(&owned.problem(), &settings).unwrap();
    assert!(solution.all_solved(), "seed {seed}: {:?}", solution.status);
    let loss = Loss::random(owned, seed, duals);
    let reports = gradients(owned, &solution, &loss).reports;
    tally.problems += 1;
    let mut open: Vec<usize> = Vec::new();
    for (sample, report) in reports.iter().enumerate() {
        tally.samples += 1;
        match report.quality {
            GradientQuality::Exact => open.push(sample),
            GradientQuality::Degenerate => tally.degenerate += 1,
            other => panic!("seed {seed}: sample {sample} was solved, its gradient is {other:?}"),
        }
    }
    for step in STEPS {
        if open.is_empty() {
            return;
        }
        let at = [-2.0, -1.0, 1.0, 2.0].map(|t| {
            let solution = solve(&moved(owned, d, t * step).problem(), &settings).unwrap();
            // So small a change of a strictly convex, feasible problem leaves it one.
            assert!(solution.all_solved(), "seed {seed}: {:?}", solution.status);
            solution
        });
        open.retain(|&sample| {
            let movements = at
                .iter()
                .map(|s| movement(owned, &solution, s, sample, step));
            let straddles = reports[sample].margin < movements.fold(0.0, f64::max);
            if !straddles {
                let only = loss.only(owned, sample);
                let error = relative_error(owned, &solution, &only, d, &at, step);
                tally.checked += 1;
                tally.worst = tally.worst.max(error);
                assert!(
                    error < TOLERANCE,
                    "seed {seed}, sample {sample}: error {error:e} at step {step:e}, n {} p {} m {} k {}, {:?}",
                    owned.n, owned.p_rows, owned.m, owned.k, reports[sample]
                );
            }
            straddles
        });
    }
    tally.straddling += open.len();
}

/// How far the difference quotient of a loss is from the gradient's inner product with `d`.
fn relative_error(
    owned: &Owned,
    solution: &Solution,
    loss: &Loss,
    d: &[Vec<f64>; 10],
    at: &[Solution; 4],
    step: f64,
) -> f64 {
    let gradients = gradients(owned, solution, loss);
    let (mut predicted, mut squares) = (0.0, 0.0);
    for (g, d) in parts(&gradients).iter().zip(d) {
        for (g, d) in g.iter().zip(d) {
            predicted += g * d;
            squares += (g * d).powi(2);
        }
    }
    let value = at.each_ref().map(|s| loss.value(s));
    let measured = (8.0 * (value[2] - value[1]) - (value[3] - value[0])) / (12.0 * step);
    // The typical size of the inner product with a random direction guards against cancellation.
    let size = predicted.abs().max(measured.abs()).max(f64::sqrt(squares));
    (predicted - measured).abs() / size.max(1e-12)
}

fn many(seeds: std::ops::Range<u64>, quadratics: bool) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        let owned = random(shape(seed, quadratics), seed);
        let d = direction(&owned, seed);
        check_direction(&owned, seed, seed % 2 == 0, &d, &mut tally);
    }
    println!("{tally:?}");
    // Random problems are never degenerate, and no step has to be left out.
    assert_eq!((tally.degenerate, tally.straddling), (0, 0), "{tally:?}");
    assert_eq!(tally.checked, tally.samples);
    tally
}

#[test]
fn quadratic_programs_along_random_directions() {
    assert_eq!(many(0..600, false).problems, 600);
}

#[test]
fn quadratically_constrained_programs_along_random_directions() {
    assert_eq!(many(10_000..10_400, true).problems, 400);
}

/// Objectives of half rank and linear ones: rows hold what the objective leaves free.
#[test]
fn semidefinite_objectives_along_random_directions() {
    let mut tally = Tally::default();
    for seed in 30_000..30_200 {
        let owned = semidefinite(seed);
        let mut d = direction(&owned, seed);
        // Most changes of a singular P are not convex; multiples of it are.
        d[0] = owned.parts[0].data.iter().map(|v| 0.5 * v).collect();
        check_direction(&owned, seed, seed % 2 == 0, &d, &mut tally);
    }
    println!("{tally:?}");
    assert_eq!(tally.degenerate, 0, "{tally:?}");
    assert!(tally.straddling * 100 <= tally.samples, "{tally:?}");
}

/// Kinks and non-unique multipliers made from the solutions of random problems.
#[test]
fn degenerate_problems_are_flagged() {
    let settings = Settings::default();
    let (mut touching, mut twice, mut equalities, mut quadratics) = (0, 0, 0, 0);
    for seed in 40_000..40_300 {
        let owned = single(seed);
        let solution = solve(&owned.problem(), &settings).unwrap();
        let flagged = |changed: &Owned| {
            let solution = solve(&changed.problem(), &settings).unwrap();
            assert!(solution.all_solved(), "seed {seed}: {:?}", solution.status);
            let gradients = gradients(changed, &solution, &Loss::random(changed, seed, true));
            assert_eq!(
                gradients.reports[0].quality,
                GradientQuality::Degenerate,
                "seed {seed} {:?}",
                gradients.reports[0]
            );
            assert!(
                parts(&gradients)
                    .iter()
                    .all(|g| g.iter().all(|v| v.is_finite()))
            );
        };
        let changed = made_degenerate(&owned, &solution);
        let counts = [&mut touching, &mut twice, &mut equalities, &mut quadratics];
        for (changed, count) in changed.iter().zip(counts) {
            if let Some(changed) = changed {
                flagged(changed);
                *count += 1;
            }
        }
    }
    println!(
        "{touching} bounds touched, {twice} rows twice, {equalities} equalities twice, \
         {quadratics} quadratic rows touched"
    );
    assert!(touching > 200 && twice > 200 && equalities > 80);
    assert!(quadratics > 40, "{quadratics}");
}

/// Every entry of every parameter on small problems.
#[test]
fn every_entry_of_small_problems() {
    let (mut entries, mut problems, mut worst) = (0, 0, 0.0f64);
    let settings = Settings::default();
    for seed in 20_000..20_120 {
        let mut shape = shape(seed, seed % 2 == 0);
        shape.n = 1 + (seed % 4) as usize;
        shape.p_rows = shape.p_rows.min(shape.n / 2);
        shape.m = shape.m.min(3);
        shape.k = shape.k.min(2);
        shape.p_rank = shape.n;
        shape.batch = 2;
        shape.equal_rows = 0.0;
        let owned = random(shape, seed);
        let solution = solve(&owned.problem(), &settings).unwrap();
        let loss = Loss::random(&owned, seed, true);
        let gradients = gradients(&owned, &solution, &loss);
        // A unit change of one entry moves these problems by less than a thousand.
        if gradients.reports.iter().any(|r| r.margin < 1e3 * STEP) {
            continue;
        }
        problems += 1;
        let gradients = parts(&gradients).map(<[f64]>::to_vec);
        let size = |part: &[f64]| part.iter().fold(0.0f64, |a, v| a.max(v.abs()));
        let largest = gradients.iter().map(|part| size(part)).fold(0.0, f64::max);
        for part in 0..10 {
            // Against the parameter's own gradient, so that a small one is checked as well; the
            // floor is what rounding of the differences allows.
            let scale = size(&gradients[part]).max(1e-2 * largest).max(1e-12);
            for entry in 0..owned.parts[part].data.len() {
                if owned.parts[part].data[entry].is_infinite() {
                    continue;
                }
                let mut d: [Vec<f64>; 10] =
                    std::array::from_fn(|i| vec![0.0; owned.parts[i].data.len()]);
                d[part][entry] = 1.0;
                let mut predicted = gradients[part][entry];
                let dense = part == 0 && !owned.p_diagonal || part == 7 && !owned.h_diagonal;
                if dense {
                    let (n, inside) = (owned.n, entry % (owned.n * owned.n));
                    let mirror = entry - inside + inside % n * n + inside / n;
                    if mirror != entry {
                        // Symmetric matrices only move together with their mirror entry.
                        d[part][mirror] = 1.0;
                        predicted += gradients[part][mirror];
                        assert_eq!(gradients[part][mirror], gradients[part][entry]);
                    }
                }
                let value = |t: f64| {
                    let moved = moved(&owned, &d, t * STEP);
                    loss.value(&solve(&moved.problem(), &settings).unwrap())
                };
                let near = value(1.0) - value(-1.0);
                let measured = (8.0 * near - (value(2.0) - value(-2.0))) / (12.0 * STEP);
                let error = (predicted - measured).abs() / scale;
                assert!(
                    error < TOLERANCE,
                    "seed {seed} part {part} entry {entry}: {predicted:e} {measured:e}"
                );
                entries += 1;
                worst = worst.max(error);
            }
        }
    }
    println!("{problems} problems, {entries} entries, worst {worst:.1e}");
    assert!(problems >= 60);
}
