//! What is differentiated at a kink: one-sided derivatives in closed form, and the central path
//! against differences of a barrier method that shares nothing with the solver.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use faer::prelude::Solve;
use feasible_solver::{
    AdjointSettings, Cotangent, Degenerate, Equalities, GradientQuality, Gradients, Inequalities,
    Method, Outputs, Parameter, Problem, Settings, Symmetric, Tangents, Values, Wanted, adjoint,
    jacobian, solve, tangent,
};
use support::derivatives::{
    Loss, direction, made_degenerate, moved, parts, semidefinite, shape, single,
};
use support::{INF, Owned, inner, quadratic_value, random};

const CHOICES: [Degenerate; 4] = [
    Degenerate::LeastNorm,
    Degenerate::Held,
    Degenerate::Released,
    Degenerate::Smoothed { mu: 1e-6 },
];

fn with(degenerate: Degenerate) -> AdjointSettings {
    AdjointSettings {
        degenerate,
        ..AdjointSettings::default()
    }
}

/// Gradient of `Σ weight·x`, checked against `jacobian` and, along `q`, against `tangent`.
fn gradients(problem: &Problem<'_>, weight: &[f64], degenerate: Degenerate) -> Gradients {
    let settings = with(degenerate);
    let solution = solve(problem, &Settings::default()).unwrap();
    assert!(solution.all_solved());
    let cotangent = Cotangent {
        x: weight,
        equality_dual: None,
        inequality_dual: None,
        quadratic_dual: None,
    };
    let found = adjoint(problem, &solution, &cotangent, &Wanted::ALL, &settings).unwrap();
    let q = found.q.as_ref().unwrap();
    let n = problem.n;
    let whole = jacobian(problem, &solution, Parameter::Q, Outputs::Primal, &settings).unwrap();
    for j in 0..n {
        let mut unit = vec![0.0; n];
        unit[j] = 1.0;
        let tangents = Tangents::only(Parameter::Q, Values::Shared(&unit));
        let forward = tangent(problem, &solution, &tangents, &settings).unwrap();
        let column: f64 = (0..n).map(|i| weight[i] * whole.x[i * n + j]).sum();
        assert!((inner(weight, &forward.x) - q[j]).abs() < 1e-12 * (1.0 + q[j].abs()));
        assert!((column - q[j]).abs() < 1e-12 * (1.0 + q[j].abs()));
        assert_eq!(forward.reports[0].quality, found.reports[0].quality);
        assert_eq!(whole.reports[0].quality, found.reports[0].quality);
    }
    for part in parts(&found) {
        assert!(part.iter().all(|v| v.is_finite()));
    }
    found
}

fn problem<'a>(
    p: &'a [f64],
    q: &'a [f64],
    g: &'a [f64],
    l: &'a [f64],
    u: &'a [f64],
) -> Problem<'a> {
    Problem {
        batch: 1,
        n: q.len(),
        p: Symmetric::Diagonal(Values::Shared(p)),
        q: Values::Shared(q),
        equalities: None,
        inequalities: Some(Inequalities {
            rows: l.len(),
            g: Values::Shared(g),
            l: Values::Shared(l),
            u: Values::Shared(u),
        }),
        quadratics: None,
    }
}

/// `min ½(x − t)²` with `x ≥ 0`: `max(t, 0)`, and on the central path `(t + √(t² + 4μ))/2`.
#[test]
fn the_rectifier() {
    let derivative = |t: f64, degenerate| {
        let q = [-t];
        let problem = problem(&[1.0], &q, &[1.0], &[0.0], &[INF]);
        let found = gradients(&problem, &[1.0], degenerate);
        let bound = found.l.unwrap()[0];
        // Moving the bound and t together moves x by as much.
        assert!((bound - found.q.as_ref().unwrap()[0] - 1.0).abs() < 1e-9);
        (-found.q.unwrap()[0], found.reports[0].quality)
    };
    for (degenerate, expected) in [
        (Degenerate::LeastNorm, 0.0),
        (Degenerate::Held, 0.0),
        (Degenerate::Released, 1.0),
        (Degenerate::Smoothed { mu: 1e-2 }, 0.5),
        (Degenerate::Smoothed { mu: 1e-6 }, 0.5),
        (Degenerate::Smoothed { mu: 1e-10 }, 0.5),
    ] {
        let (found, quality) = derivative(0.0, degenerate);
        assert!((found - expected).abs() < 1e-12, "{degenerate:?}: {found}");
        assert_eq!(quality, GradientQuality::Degenerate);
    }
    for t in [-3.0, -0.2, 0.01, 0.5, 40.0] {
        for mu in [1.0, 1e-2, 1e-5, 1e-9] {
            let (found, quality) = derivative(t, Degenerate::Smoothed { mu });
            let expected = 0.5 * (1.0 + t / (t * t + 4.0 * mu).sqrt());
            assert!(
                (found - expected).abs() < 1e-10,
                "{t} {mu}: {found} {expected}"
            );
            assert_eq!(quality, GradientQuality::Smoothed);
        }
        for degenerate in [
            Degenerate::LeastNorm,
            Degenerate::Held,
            Degenerate::Released,
        ] {
            let (found, quality) = derivative(t, degenerate);
            assert!((found - f64::from(u8::from(t > 0.0))).abs() < 1e-14);
            assert_eq!(quality, GradientQuality::Exact);
        }
    }
}

/// `min ½(x − t)² + s` with `|x| ≤ s` is soft thresholding: flat for `|t| < 1`, slope 1 beyond.
#[test]
fn the_kink_of_the_absolute_value() {
    let derivative = |t: f64, degenerate| {
        let q = [-t, 1.0];
        let (l, u) = ([-INF, -INF], [0.0, 0.0]);
        let problem = problem(&[1.0, 0.0], &q, &[1.0, -1.0, -1.0, -1.0], &l, &u);
        let found = gradients(&problem, &[1.0, 0.0], degenerate);
        (-found.q.unwrap()[0], found.reports[0].quality)
    };
    for t in [1.0, -1.0] {
        for (degenerate, expected) in [(Degenerate::Held, 0.0), (Degenerate::Released, 1.0)] {
            let (found, quality) = derivative(t, degenerate);
            assert!(
                (found - expected).abs() < 1e-8,
                "{t} {degenerate:?}: {found}"
            );
            assert_eq!(quality, GradientQuality::Degenerate);
        }
        let (found, quality) = derivative(t, Degenerate::Smoothed { mu: 1e-4 });
        assert!(found > 0.01 && found < 0.99, "{found}");
        assert_eq!(quality, GradientQuality::Degenerate);
    }
    for degenerate in [
        Degenerate::Held,
        Degenerate::Released,
        Degenerate::LeastNorm,
    ] {
        for (t, expected) in [(0.5, 0.0), (1.5, 1.0), (-2.0, 1.0)] {
            let (found, quality) = derivative(t, degenerate);
            assert!((found - expected).abs() < 1e-12);
            assert_eq!(quality, GradientQuality::Exact);
        }
    }
}

/// A row stated twice: least norm shares, a one-sided choice takes one of the two.
#[test]
fn rows_stated_twice() {
    let problem = problem(
        &[1.0, 1.0],
        &[-3.0, 0.0],
        &[1.0, 0.0, 1.0, 0.0],
        &[-INF, -INF],
        &[1.0, 1.0],
    );
    for degenerate in CHOICES {
        let found = gradients(&problem, &[1.0, 1.0], degenerate);
        assert_eq!(found.reports[0].quality, GradientQuality::Degenerate);
        let u = found.u.unwrap();
        // Near the bound the central path moves with it but for √μ-sized terms.
        let smooth = matches!(degenerate, Degenerate::Smoothed { .. });
        let allowed = if smooth { 1e-5 } else { 1e-12 };
        assert!((u[0] + u[1] - 1.0).abs() < allowed, "{degenerate:?} {u:?}");
        match degenerate {
            Degenerate::LeastNorm | Degenerate::Smoothed { .. } => {
                assert!((u[0] - u[1]).abs() < 1e-9);
            }
            _ => assert!(u.contains(&0.0), "{u:?}"),
        }
    }
}

/// Two rows through a corner, a third that touches it, and the same with the third pushed as well.
#[test]
fn corners_with_more_rows_than_variables() {
    let g = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0];
    let u = [1.0, 1.0, 2.0];
    for q in [[-5.0, -5.0], [-1.0, -1.0], [-2.0, -1.0]] {
        let problem = problem(&[1.0, 1.0], &q, &g, &[-INF; 3], &u);
        for degenerate in CHOICES {
            let found = gradients(&problem, &[1.0, -2.0], degenerate);
            assert_eq!(
                found.reports[0].quality,
                GradientQuality::Degenerate,
                "{q:?}"
            );
        }
    }
    // At (−2, −1) only the first row pushes: released, x₁ is free.
    let problem = problem(&[1.0, 1.0], &[-2.0, -1.0], &g, &[-INF; 3], &u);
    let released = gradients(&problem, &[1.0, 1.0], Degenerate::Released);
    assert!((released.q.as_ref().unwrap()[1] + 1.0).abs() < 1e-12);
    assert!((released.u.unwrap()[0] - 1.0).abs() < 1e-12);
    // Held, both coordinates stand still.
    let held = gradients(&problem, &[1.0, 1.0], Degenerate::Held);
    assert!(held.q.unwrap().iter().all(|v| v.abs() < 1e-12));
}

#[test]
fn redundant_equalities_are_flagged_under_every_choice() {
    let mut with_equalities = problem(&[1.0, 1.0], &[1.0, 2.0], &[1.0, 0.0], &[-5.0], &[5.0]);
    with_equalities.equalities = Some(Equalities {
        rows: 2,
        a: Values::Shared(&[1.0, 1.0, 2.0, 2.0]),
        b: Values::Shared(&[1.0, 2.0]),
    });
    for degenerate in CHOICES {
        let found = gradients(&with_equalities, &[1.0, 1.0], degenerate);
        assert_eq!(found.reports[0].quality, GradientQuality::Degenerate);
        let b = found.b.unwrap();
        // b and 2b together move the sum of x by b.
        assert!((b[0] + 2.0 * b[1] - 1.0).abs() < 1e-9, "{b:?}");
    }
}

/// Where no point has room to spare there is no central path: flagged, not invented.
#[test]
fn no_interior_falls_back() {
    let problem = problem(
        &[1.0, 1.0],
        &[-3.0, 1.0],
        &[1.0, 0.0, 1.0, 0.0],
        &[1.0, -INF],
        &[INF, 1.0],
    );
    let least_norm = gradients(&problem, &[1.0, 1.0], Degenerate::LeastNorm);
    let smoothed = gradients(&problem, &[1.0, 1.0], Degenerate::Smoothed { mu: 1e-4 });
    assert_eq!(smoothed.reports[0].quality, GradientQuality::Degenerate);
    assert_eq!(smoothed.q, least_norm.q);
}

/// The one-sided choices do not touch samples without a kink.
#[test]
fn samples_without_a_kink_are_unaffected() {
    for seed in (0..60).chain(10_000..10_040) {
        let owned = random(shape(seed, seed >= 10_000), seed);
        let problem = owned.problem();
        let solution = solve(&problem, &Settings::default()).unwrap();
        let loss = Loss::random(&owned, seed, true);
        let run = |degenerate| {
            adjoint(
                &problem,
                &solution,
                &loss.cotangent(),
                &Wanted::ALL,
                &with(degenerate),
            )
            .unwrap()
        };
        let base = run(Degenerate::LeastNorm);
        for degenerate in [Degenerate::Held, Degenerate::Released] {
            let other = run(degenerate);
            assert_eq!(parts(&base), parts(&other), "seed {seed}");
            assert_eq!(base.reports, other.reports);
        }
    }
}

/// Forward and backward stay transposes of each other, whatever is chosen.
#[test]
fn every_choice_is_transposed() {
    let mut worst = 0.0f64;
    let mut check = |owned: &Owned, seed: u64, method: Method| {
        let settings = Settings {
            method,
            ..Settings::default()
        };
        let problem = owned.problem();
        let solution = solve(&problem, &settings).unwrap();
        if !solution.all_solved() {
            return false;
        }
        let d = direction(owned, seed);
        let values = |i: usize| {
            let data = &d[i][..];
            (!data.is_empty()).then(|| match owned.parts[i].shared {
                true => Values::Shared(data),
                false => Values::PerSample(data),
            })
        };
        let tangents = Tangents {
            p: values(0),
            q: values(1),
            a: values(2),
            b: values(3),
            g: values(4),
            l: values(5),
            u: values(6),
            quadratic_h: values(7),
            quadratic_g: values(8),
            quadratic_c: values(9),
        };
        let loss = Loss::random(owned, seed, true);
        for degenerate in CHOICES {
            let settings = with(degenerate);
            let cotangent = loss.cotangent();
            let back = adjoint(&problem, &solution, &cotangent, &Wanted::ALL, &settings).unwrap();
            let ahead = tangent(&problem, &solution, &tangents, &settings).unwrap();
            let forward = inner(&loss.x, &ahead.x)
                + inner(&loss.nu, &ahead.equality_dual)
                + inner(&loss.lambda, &ahead.inequality_dual)
                + inner(&loss.mu, &ahead.quadratic_dual);
            let (mut backward, mut squares) = (0.0, 0.0);
            for (g, d) in parts(&back).iter().zip(&d) {
                for (g, d) in g.iter().zip(d) {
                    backward += g * d;
                    squares += (g * d).powi(2);
                }
            }
            let size = forward.abs().max(f64::sqrt(squares)).max(1e-12);
            let error = (forward - backward).abs() / size;
            assert!(error < 1e-10, "seed {seed} {degenerate:?}: {error:e}");
            worst = worst.max(error);
        }
        true
    };
    let mut problems = 0;
    for seed in (0..40).chain(10_000..10_040) {
        let owned = random(shape(seed, seed >= 10_000), seed);
        problems += usize::from(check(&owned, seed, Method::Auto));
    }
    for seed in 30_000..30_030 {
        problems += usize::from(check(&semidefinite(seed), seed, Method::Auto));
    }
    for seed in 40_000..40_040 {
        let owned = single(seed);
        let solution = solve(&owned.problem(), &Settings::default()).unwrap();
        for changed in made_degenerate(&owned, &solution).into_iter().flatten() {
            problems += usize::from(check(&changed, seed, Method::Auto));
        }
    }
    println!("{problems} problems, worst {worst:.1e}");
    assert!(problems > 180);
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
        if length == 1.0 && change < 1e-14 {
            break;
        }
    }
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
