//! Rows that hold a point without force: rounding decides the sign of their multipliers, not the bound they are at.
#![allow(missing_docs)]

mod support;

use feasible_solver::{Inequalities, Problem, Settings, Status, Symmetric, Values, solve};
use support::{INF, normal, rng};

/// Of three rows the first, between the others, enters first and ends without force.
#[test]
fn rows_without_force_are_refined_at_their_own_bound() {
    let (n, batch) = (12, 400);
    let mut rng = rng(5);
    let (mut p, mut q, mut g, mut u) = (vec![], vec![], vec![], vec![]);
    for _ in 0..batch {
        // Weights over four digits between directions that are not the axes'.
        let root = normal(&mut rng, n * n);
        let weight = |k: usize| 10f64.powf(-4.0 * k as f64 / (n - 1) as f64);
        let entry = |i: usize, j: usize| {
            let term = |k: usize| root[k * n + i.min(j)] * root[k * n + i.max(j)] * weight(k);
            (0..n).map(term).sum::<f64>()
        };
        let matrix: Vec<f64> = (0..n * n).map(|at| entry(at / n, at % n)).collect();
        let rows = normal(&mut rng, 2 * n);
        let (b, c) = rows.split_at(n);
        let off = normal(&mut rng, n);
        let a: Vec<f64> = (0..n).map(|j| b[j] + c[j] + 1e-2 * off[j]).collect();
        let x = normal(&mut rng, n);
        let inner = |row: &[f64]| row.iter().zip(&x).map(|(a, x)| a * x).sum::<f64>();
        u.extend([inner(&a), inner(b), inner(c)]);
        q.extend((0..n).map(|i| -inner(&matrix[i * n..(i + 1) * n]) - b[i] - c[i]));
        p.extend(matrix);
        g.extend([&a, b, c].into_iter().flatten());
    }
    let l = vec![-INF; 3 * batch];
    let problem = Problem {
        batch,
        n,
        p: Symmetric::Dense(Values::PerSample(&p)),
        q: Values::PerSample(&q),
        equalities: None,
        inequalities: Some(Inequalities {
            rows: 3,
            g: Values::PerSample(&g),
            l: Values::PerSample(&l),
            u: Values::PerSample(&u),
        }),
        quadratics: None,
    };
    let solution = solve(&problem, &Settings::default()).unwrap();
    let (mut pressed, mut worst, mut worst_of_others) = (0, 0.0f64, 0.0f64);
    for i in 0..batch {
        assert_eq!(solution.status[i], Status::Solved);
        let miss = solution.residuals[i].primal;
        if solution.inequality_dual[3 * i] < 0.0 {
            pressed += 1;
            worst = worst.max(miss);
        } else {
            worst_of_others = worst_of_others.max(miss);
        }
    }
    // Two maxima of the same distribution, with signs by the toss of a coin.
    let what = format!("{pressed}: {worst:e}, {worst_of_others:e}");
    assert!(pressed > 10 && worst < 10.0 * worst_of_others, "{what}");
}
