//! Derivatives of the central path's point against differences of a barrier method that shares nothing
//! with the solver.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use faer::prelude::Solve;
use feasible_solver::{
    AdjointSettings, Degenerate, GradientQuality, Settings, Tangents, Values, solve, tangent,
};
use support::derivatives::{direction, moved, semidefinite, shape};
use support::{Owned, inner, quadratic_value, random};

fn with(degenerate: Degenerate) -> AdjointSettings {
    AdjointSettings {
        degenerate,
        ..AdjointSettings::default()
    }
}

/// The central path's point by Newton's method on the logarithmic barrier: `x` and the multipliers
/// it implies, `(x, ν, λ, μ)` in one list.
fn barrier(owned: &Owned, start: &[f64], mu: f64) -> Vec<f64> {
    let n = owned.n;
    let (l, u) = (owned.of(5, 0), owned.of(6, 0));
    let fixed: Vec<usize> = (0..owned.m).filter(|&i| l[i] == u[i]).collect();
    let mut rows: Vec<f64> = owned.of(2, 0).to_vec();
    let mut rhs: Vec<f64> = owned.of(3, 0).to_vec();
    for &i in &fixed {
        rows.extend(&owned.of(4, 0)[i * n..(i + 1) * n]);
        rhs.push(u[i]);
    }
    let count = rhs.len();
    let p = |i: usize, j: usize| match owned.p_diagonal {
        true if i == j => owned.of(0, 0)[i],
        true => 0.0,
        false => owned.of(0, 0)[i * n + j],
    };
    let h = |row: usize, i: usize, j: usize| match owned.h_diagonal {
        true if i == j => owned.of(7, 0)[row * n + i],
        true => 0.0,
        false => owned.of(7, 0)[(row * n + i) * n + j],
    };
    // (slack, gradient of the slack's negative, quadratic row) of every bound.
    let bounds = |x: &[f64]| {
        let mut found: Vec<(f64, Vec<f64>, Option<usize>)> = Vec::new();
        for i in (0..owned.m).filter(|i| !fixed.contains(i)) {
            let row = &owned.of(4, 0)[i * n..(i + 1) * n];
            let value = inner(row, x);
            if u[i].is_finite() {
                found.push((u[i] - value, row.to_vec(), None));
            }
            if l[i].is_finite() {
                found.push((value - l[i], row.iter().map(|v| -v).collect(), None));
            }
        }
        for k in 0..owned.k {
            let gradient = (0..n)
                .map(|i| {
                    let hx: f64 = (0..n).map(|j| h(k, i, j) * x[j]).sum();
                    2.0 * hx + owned.of(8, 0)[k * n + i]
                })
                .collect();
            found.push((
                owned.of(9, 0)[k] - quadratic_value(owned, 0, k, x),
                gradient,
                Some(k),
            ));
        }
        found
    };
    let size = n + count;
    let mut x = start.to_vec();
    let mut nu = vec![0.0; count];
    let mut last = f64::INFINITY;
    for _ in 0..200 {
        let mut matrix = faer::Mat::<f64>::zeros(size, size);
        let mut force = faer::Mat::<f64>::zeros(size, 1);
        for i in 0..n {
            force[(i, 0)] -= owned.of(1, 0)[i];
            for j in 0..n {
                matrix[(i, j)] += p(i, j);
                force[(i, 0)] -= p(i, j) * x[j];
            }
        }
        for (slack, gradient, quadratic) in bounds(&x) {
            for i in 0..n {
                force[(i, 0)] -= mu / slack * gradient[i];
                for j in 0..n {
                    matrix[(i, j)] += mu / (slack * slack) * gradient[i] * gradient[j];
                    if let Some(k) = quadratic {
                        matrix[(i, j)] += 2.0 * mu / slack * h(k, i, j);
                    }
                }
            }
        }
        for r in 0..count {
            force[(n + r, 0)] = rhs[r] - inner(&rows[r * n..(r + 1) * n], &x);
            for j in 0..n {
                matrix[(n + r, j)] = rows[r * n + j];
                matrix[(j, n + r)] = rows[r * n + j];
            }
        }
        let step = matrix.full_piv_lu().solve(&force);
        let mut length = 1.0;
        let moved =
            |length: f64| -> Vec<f64> { (0..n).map(|i| x[i] + length * step[(i, 0)]).collect() };
        // A step that keeps a tenth of every slack; Newton's own length near the end.
        let now = bounds(&x);
        while bounds(&moved(length))
            .iter()
            .zip(&now)
            .any(|(after, before)| after.0 < 0.1 * before.0)
        {
            length *= 0.7;
            assert!(length > 1e-12);
        }
        x = moved(length);
        nu = (0..count).map(|r| step[(n + r, 0)]).collect();
        let change = (0..n).map(|i| step[(i, 0)].abs()).fold(0.0, f64::max);
        last = change / length;
        if length == 1.0 && change < 1e-14 {
            break;
        }
    }
    // Rounding may keep the last steps above 1e-14; the square of this is far below it.
    assert!(last < 1e-10, "no central point at {mu}: {last:e}");
    let mut out = x.clone();
    out.extend(&nu[..owned.p_rows]);
    let mut lambda = vec![0.0; owned.m];
    for (&row, dual) in fixed.iter().zip(&nu[owned.p_rows..]) {
        lambda[row] = *dual;
    }
    for i in (0..owned.m).filter(|i| !fixed.contains(i)) {
        let value = inner(&owned.of(4, 0)[i * n..(i + 1) * n], &x);
        lambda[i] = mu / (u[i] - value) - mu / (value - l[i]);
    }
    out.extend(lambda);
    out.extend((0..owned.k).map(|k| mu / (owned.of(9, 0)[k] - quadratic_value(owned, 0, k, &x))));
    out
}

#[test]
fn the_smoothed_derivative_is_that_of_the_central_path() {
    const STEP: f64 = 1e-4;
    let (mut checked, mut worst) = (0, 0.0f64);
    for seed in (0..60).chain(10_000..10_060) {
        let mut shape = shape(seed, seed >= 10_000);
        shape.batch = 1;
        shape.n = 1 + (seed % 9) as usize;
        shape.p_rank = shape.n;
        shape.p_rows = shape.p_rows.min(shape.n / 3);
        shape.m = shape.m.min(shape.n + 1);
        if shape.p_rows + shape.m > shape.n {
            shape.equal_rows = 0.0;
        }
        let owned = random(shape, seed);
        let fixed = (0..owned.m).filter(|&i| owned.of(5, 0)[i] == owned.of(6, 0)[i]);
        if fixed.count() + owned.p_rows > owned.n {
            continue;
        }
        // Inside every bound, to start the barrier from.
        let mut inside = owned.clone();
        for i in 0..owned.m {
            if owned.of(5, 0)[i] < owned.of(6, 0)[i] {
                inside.parts[5].data[i] += 0.02;
                inside.parts[6].data[i] -= 0.02;
            }
        }
        inside.parts[9].data.iter_mut().for_each(|c| *c -= 0.02);
        let start = solve(&inside.problem(), &Settings::default()).unwrap();
        assert!(start.all_solved());
        let problem = owned.problem();
        let solution = solve(&problem, &Settings::default()).unwrap();
        let d = direction(&owned, seed);
        let tangents = Tangents {
            p: Some(Values::Shared(&d[0])),
            q: Some(Values::Shared(&d[1])),
            a: Some(Values::Shared(&d[2])),
            b: Some(Values::Shared(&d[3])),
            g: Some(Values::Shared(&d[4])),
            l: Some(Values::Shared(&d[5])),
            u: Some(Values::Shared(&d[6])),
            quadratic_h: Some(Values::Shared(&d[7])),
            quadratic_g: Some(Values::Shared(&d[8])),
            quadratic_c: Some(Values::Shared(&d[9])),
        };
        for mu in [1e-1, 1e-3] {
            let settings = with(Degenerate::Smoothed { mu });
            let found = tangent(&problem, &solution, &tangents, &settings).unwrap();
            assert_eq!(
                found.reports[0].quality,
                GradientQuality::Smoothed,
                "seed {seed}"
            );
            let found = [
                found.x,
                found.equality_dual,
                found.inequality_dual,
                found.quadratic_dual,
            ]
            .concat();
            let at = [-2.0, -1.0, 1.0, 2.0].map(|t| {
                // The start has room for the whole of such a change.
                barrier(&moved(&owned, &d, t * STEP), &start.x, mu)
            });
            let size = found.iter().fold(1.0f64, |a, v| a.max(v.abs()));
            for (i, found) in found.iter().enumerate() {
                let near = at[2][i] - at[1][i];
                let measured = (8.0 * near - (at[3][i] - at[0][i])) / (12.0 * STEP);
                let error = (found - measured).abs() / size;
                assert!(
                    error < 1e-6,
                    "seed {seed} μ {mu} entry {i}: {found} {measured}"
                );
                worst = worst.max(error);
            }
            checked += 1;
        }
    }
    println!("{checked} points of central paths, worst {worst:.1e}");
    assert!(checked > 200);
}

/// Newton arrives from every solution, however far along the path its point is.
#[test]
fn the_central_path_is_reached_from_every_solution() {
    let mut reached = 0;
    let owned = (0..120)
        .chain(10_000..10_080)
        .map(|seed| (seed, random(shape(seed, seed >= 10_000), seed)))
        .chain((30_000..30_060).map(|seed| (seed, semidefinite(seed))));
    for (seed, owned) in owned {
        let problem = owned.problem();
        let solution = solve(&problem, &Settings::default()).unwrap();
        for mu in [1.0, 1e-3, 1e-6, 1e-9] {
            let settings = with(Degenerate::Smoothed { mu });
            let found = tangent(&problem, &solution, &Tangents::default(), &settings).unwrap();
            for report in found.reports {
                assert_eq!(
                    report.quality,
                    GradientQuality::Smoothed,
                    "seed {seed} μ {mu:e}"
                );
                reached += 1;
            }
        }
    }
    println!("{reached} points");
    assert!(reached > 1500);
}
