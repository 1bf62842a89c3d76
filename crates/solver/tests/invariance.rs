//! What must not change the answer: the order of rows, their scale, repeating them, redundant
//! equalities, how parameters are stored, which method ran.
#![allow(missing_docs)]

mod support;

use feasible_solver::{
    AdjointSettings, Cotangent, Method, Settings, Solution, Status, Symmetric, Values, Wanted,
    adjoint, solve,
};
use proptest::prelude::*;
use support::{Owned, Part, random, random_shape};

/// Answers are polished to rounding; conditioning of the random problems (seldom above 1e4)
/// multiplies it.
const SAME: f64 = 1e-9;

fn solution(owned: &Owned) -> Solution {
    let solution = solve(&owned.problem(), &Settings::default()).unwrap();
    assert!(solution.all_solved(), "{:?}", solution.status);
    solution
}

fn same(a: &[f64], b: &[f64]) -> Result<(), TestCaseError> {
    prop_assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        prop_assert!((a - b).abs() <= SAME * (1.0 + a.abs()), "{} and {}", a, b);
    }
    Ok(())
}

fn problem(seed: u64, quadratics: bool) -> Owned {
    let mut shape = random_shape(seed, 2, 16, quadratics);
    shape.m = shape.m.max(2);
    shape.per_sample = 0b10_0110_1010;
    random(shape, seed)
}

/// Rebuilds every row of a part: `[rows, width]` per copy.
fn map_rows(part: &mut Part, rows: usize, width: usize, f: impl Fn(&[&[f64]]) -> Vec<f64>) {
    if rows * width == 0 {
        return;
    }
    part.data = part
        .data
        .chunks_exact(rows * width)
        .flat_map(|copy| f(&copy.chunks_exact(width).collect::<Vec<_>>()))
        .collect();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn row_order(seed in 0u64..100_000, quadratics: bool) {
        let owned = problem(seed, quadratics);
        let (n, m) = (owned.n, owned.m);
        let mut reversed = owned.clone();
        for (part, width) in [(4, n), (5, 1), (6, 1)] {
            map_rows(&mut reversed.parts[part], m, width, |rows| {
                rows.iter().rev().flat_map(|row| row.iter().copied()).collect()
            });
        }
        let (a, b) = (solution(&owned), solution(&reversed));
        same(&a.x, &b.x)?;
        for (a, b) in a.inequality_dual.chunks(m).zip(b.inequality_dual.chunks(m)) {
            let b: Vec<f64> = b.iter().rev().copied().collect();
            same(a, &b)?;
        }
    }

    #[test]
    fn row_scale(seed in 0u64..100_000, quadratics: bool, exponent in -5i32..6) {
        let owned = problem(seed, quadratics);
        let (n, m) = (owned.n, owned.m);
        let factor = |i: usize| 10f64.powi(if i.is_multiple_of(2) { exponent } else { 0 });
        let mut scaled = owned.clone();
        for (part, width) in [(4, n), (5, 1), (6, 1)] {
            map_rows(&mut scaled.parts[part], m, width, |rows| {
                rows.iter()
                    .enumerate()
                    .flat_map(|(i, row)| row.iter().map(move |v| v * factor(i)))
                    .collect()
            });
        }
        if quadratics {
            let entries = if owned.h_diagonal { n } else { n * n };
            for (part, width) in [(7, entries), (8, n), (9, 1)] {
                map_rows(&mut scaled.parts[part], owned.k, width, |rows| {
                    rows.iter()
                        .enumerate()
                        .flat_map(|(i, row)| row.iter().map(move |v| v * factor(i)))
                        .collect()
                });
            }
        }
        same(&solution(&owned).x, &solution(&scaled).x)?;
    }

    #[test]
    fn repeated_rows(seed in 0u64..100_000, quadratics: bool) {
        let owned = problem(seed, quadratics);
        let (n, m) = (owned.n, owned.m);
        let mut repeated = owned.clone();
        repeated.m = 2 * m;
        for (part, width) in [(4, n), (5, 1), (6, 1)] {
            map_rows(&mut repeated.parts[part], m, width, |rows| {
                let once: Vec<f64> = rows.iter().flat_map(|row| row.iter().copied()).collect();
                [&once[..], &once].concat()
            });
        }
        let (a, b) = (solution(&owned), solution(&repeated));
        same(&a.x, &b.x)?;
        for (a, b) in a.inequality_dual.chunks(m).zip(b.inequality_dual.chunks(2 * m)) {
            let sum: Vec<f64> = (0..m).map(|i| b[i] + b[m + i]).collect();
            same(a, &sum)?;
        }
    }

    #[test]
    fn redundant_equalities(seed in 0u64..100_000, quadratics: bool) {
        let mut shape = random_shape(seed, 2, 16, quadratics);
        shape.n = shape.n.max(4);
        shape.p_rank = shape.n;
        shape.p_rows = 2;
        shape.per_sample = 0b10_0110_1010;
        let owned = random(shape, seed);
        let n = owned.n;
        let mut redundant = owned.clone();
        redundant.p_rows = 4;
        for (part, width) in [(2, n), (3, 1)] {
            map_rows(&mut redundant.parts[part], 2, width, |rows| {
                let mut out = [rows[0], rows[1]].concat();
                out.extend(rows[0].iter().zip(rows[1]).map(|(a, b)| 2.0 * a - 3.0 * b));
                out.extend(rows[1].iter().map(|v| 1e3 * v));
                out
            });
        }
        same(&solution(&owned).x, &solution(&redundant).x)?;
    }

    #[test]
    fn storage(seed in 0u64..100_000, quadratics: bool) {
        let owned = problem(seed, quadratics);
        let mut copied = owned.clone();
        for part in &mut copied.parts {
            if part.shared {
                part.data = [&part.data[..], &part.data].concat();
                part.shared = false;
            }
        }
        let (a, b) = (solution(&owned), solution(&copied));
        same(&a.x, &b.x)?;
        same(&a.equality_dual, &b.equality_dual)?;
        same(&a.inequality_dual, &b.inequality_dual)?;
        same(&a.quadratic_dual, &b.quadratic_dual)?;
        if owned.p_diagonal {
            let n = owned.n;
            let mut dense = vec![0.0; n * n];
            (0..n).for_each(|i| dense[i * n + i] = owned.parts[0].data[i]);
            let mut problem = owned.problem();
            problem.p = Symmetric::Dense(Values::Shared(&dense));
            let b = solve(&problem, &Settings::default()).unwrap();
            same(&a.x, &b.x)?;
        }
    }

    #[test]
    fn method(seed in 0u64..100_000) {
        let owned = problem(seed, false);
        let a = solution(&owned);
        let settings = Settings { method: Method::InteriorPoint, ..Settings::default() };
        let b = solve(&owned.problem(), &settings).unwrap();
        prop_assert!(b.status.iter().all(|s| *s == Status::Solved));
        same(&a.x, &b.x)?;
        same(&a.inequality_dual, &b.inequality_dual)?;
    }
}

/// Every number of a solution and of its gradients, to the last bit, on a new thread that solves others before and in
/// between.
fn bits(owned: &Owned, others: &[Owned]) -> Vec<u64> {
    std::thread::scope(|scope| scope.spawn(|| bits_here(owned, others)).join().unwrap())
}

fn bits_here(owned: &Owned, others: &[Owned]) -> Vec<u64> {
    others.iter().for_each(|other| drop(bits_here(other, &[])));
    let problem = owned.problem();
    let solution = solve(&problem, &Settings::default()).unwrap();
    others.iter().for_each(|other| drop(bits_here(other, &[])));
    let of_x = vec![1.0; solution.x.len()];
    let (cotangent, settings) = (Cotangent::of_x(&of_x), AdjointSettings::default());
    let gradients = adjoint(&problem, &solution, &cotangent, &Wanted::ALL, &settings).unwrap();
    let parts = [
        &solution.x,
        &solution.equality_dual,
        &solution.inequality_dual,
        &solution.quadratic_dual,
    ];
    let gradients = [
        &gradients.p,
        &gradients.q,
        &gradients.a,
        &gradients.b,
        &gradients.g,
        &gradients.u,
        &gradients.quadratic_h,
    ];
    let gradients = gradients.into_iter().flatten();
    (parts.into_iter().chain(gradients).flatten())
        .map(|v| v.to_bits())
        .collect()
}

/// A thread keeps the memory of what it solved last: what that was, and how large, changes nothing.
#[test]
fn what_a_thread_solved_before() {
    for seed in 0..60 {
        let quadratics = seed % 3 == 0;
        let of = |seed: u64| {
            let mut shape = random_shape(seed, 5, 16, quadratics);
            shape.m = shape.m.max(2);
            // Matrices in common, or every sample's own.
            shape.per_sample = if seed.is_multiple_of(2) {
                0b10_0110_1010
            } else {
                0b11_1111_1111
            };
            random(shape, seed)
        };
        let owned = of(seed);
        let mut sibling = owned.clone();
        // Other rows of the same problem hold it.
        sibling.parts[1].data.iter_mut().for_each(|v| *v = -*v);
        let others = [of(seed + 1), of(seed + 1000), sibling];
        assert_eq!(bits(&owned, &others), bits(&owned, &[]), "{seed}");
    }
}
