//! What is differentiated at a kink: one-sided derivatives in closed form.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_solver::{
    AdjointSettings, Cotangent, Degenerate, Equalities, GradientQuality, Gradients, Inequalities,
    Method, Outputs, Parameter, Problem, Settings, Symmetric, Tangents, Values, Wanted, adjoint,
    jacobian, solve, tangent,
};
use support::derivatives::{Loss, direction, made_degenerate, parts, semidefinite, shape, single};
use support::{INF, Owned, inner, random};

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
