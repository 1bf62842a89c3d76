//! Derivatives of the central path's point in programs with exponential and power cones: closed forms,
//! differences of a barrier method that shares nothing with the solver, and the limit.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_solver::{
    AdjointSettings, Cone, ConeCotangent, ConeGradients, ConeProblem, ConeSettings, ConeSolution,
    ConeTangents, ConeWanted, Degenerate, GradientQuality, Values, cone_adjoint, cone_tangent,
    solve_cones,
};
use support::barrier::central;
use support::cones::{KINDS, MATRICES, Owned, Pattern, random, solve};
use support::{inner, normal, rng};

fn with(degenerate: Degenerate) -> AdjointSettings {
    AdjointSettings {
        degenerate,
        ..AdjointSettings::default()
    }
}

/// `min ½x² − qx` with `x` in row `row` of three, the others the numbers `b`: the derivatives by q
/// and by b.
fn one_variable(
    cone: Cone,
    row: usize,
    q: f64,
    b: [f64; 3],
    mu: f64,
) -> (f64, Vec<f64>, GradientQuality) {
    let (p, a) = (
        Pattern::new(1, 1, |_, _| true),
        Pattern::new(3, 1, |at, _| at == row),
    );
    let cones = [cone];
    let problem = ConeProblem {
        batch: 1,
        n: 1,
        p: Some(p.with(Values::Shared(&[1.0]))),
        q: Values::Shared(&[-q]),
        a: a.with(Values::Shared(&[-1.0])),
        b: Values::Shared(&b),
        cones: &cones,
    };
    let solution = solve_cones(&problem, &ConeSettings::default()).unwrap();
    assert!(solution.all_solved(), "{:?}", solution.status);
    let cotangent = ConeCotangent::of_x(&[1.0]);
    let settings = with(Degenerate::Smoothed { mu });
    let found = cone_adjoint(&problem, &solution, &cotangent, &ConeWanted::ALL, &settings).unwrap();
    let quality = found.reports[0].quality;
    (-found.q.unwrap()[0], found.b.unwrap(), quality)
}

/// Below `c = h·ln(t/h)`: the barrier's conditions are `(q − x)(c − x) = μ`, so that x is the smooth
/// minimum of q and c, also where both are the same.
#[test]
fn a_bound_by_a_logarithm() {
    for (h, t) in [(1.0, 2.0), (0.7, 1.5), (2.0, 0.5)] {
        let c = h * f64::ln(t / h);
        for beyond in [-2.0, -0.1, 0.0, 0.3, 4.0] {
            for mu in [1.0, 1e-2, 1e-4, 1e-6, 1e-8] {
                let q = c + beyond;
                // Of c in the derivative of ½(q + c − √((q − c)² + 4μ)).
                let of_c = 0.5 * (1.0 + beyond / (beyond * beyond + 4.0 * mu).sqrt());
                let (of_q, of_b, quality) =
                    one_variable(Cone::Exponential(1), 0, q, [0.0, h, t], mu);
                let expected = match beyond {
                    0.0 => GradientQuality::Degenerate,
                    _ => GradientQuality::Smoothed,
                };
                assert_eq!(quality, expected, "{q} {mu}");
                for (got, expected) in [
                    (of_q, 1.0 - of_c),
                    (of_b[1], of_c * (f64::ln(t / h) - 1.0)),
                    (of_b[2], of_c * h / t),
                ] {
                    // The point is √μ or more from the boundary, whose rounding the derivative divides by
                    // that: 4e-12 at the smallest μ, 2e-13 at the largest.
                    assert!((got - expected).abs() < 2e-11, "{q} {mu}: {got} {expected}");
                }
            }
        }
    }
}

/// `|x| ≤ g = t^α·h^(1−α)`: the conditions are `q = x + 2μx/(g² − x²)`, so that q is a function of x.
#[test]
fn a_bound_by_a_power() {
    for (alpha, t, h) in [(0.5, 1.0, 1.0), (0.3, 2.0, 0.5), (0.85, 0.4, 1.1)] {
        let g = f64::powf(t, alpha) * f64::powf(h, 1.0 - alpha);
        for part in [-0.99, -0.5, 0.0, 0.3, 0.9, 0.999_999] {
            for mu in [1.0, 1e-2, 1e-4, 1e-6] {
                let x = part * g;
                let room = (g - x) * (g + x);
                let q = x + 2.0 * mu * x / room;
                let of_x = 1.0 + 2.0 * mu * (g * g + x * x) / (room * room);
                let of_g = 4.0 * mu * x * g / (room * room) / of_x;
                let (of_q, of_b, quality) = one_variable(Cone::Power(alpha), 2, q, [t, h, 0.0], mu);
                assert_eq!(quality, GradientQuality::Smoothed, "{q} {mu}");
                for (got, expected) in [
                    (of_q, 1.0 / of_x),
                    (of_b[0], of_g * alpha * g / t),
                    (of_b[1], of_g * (1.0 - alpha) * g / h),
                ] {
                    // What is expected divides by g − x, down to 1e-6 of g, and has ten digits left there;
                    // the worst is 2e-11.
                    assert!((got - expected).abs() < 2e-10, "{x} {mu}: {got} {expected}");
                }
            }
        }
    }
}

fn one_sample(seed: u64, kinds: &[Cone]) -> Option<Owned> {
    let owned = random(seed, kinds).0;
    let asymmetric = |cone: &Cone| matches!(cone, Cone::Exponential(_) | Cone::Power(_));
    (owned.batch == 1 && owned.cones.iter().any(asymmetric)).then_some(owned)
}

/// Directions of P, q, A and b.
fn directions(owned: &Owned, seed: u64) -> [Vec<f64>; 4] {
    let mut rng = rng(seed ^ 0xc0);
    std::array::from_fn(|i| normal(&mut rng, owned.parts[i].0.len()))
}

fn moved(owned: &Owned, d: &[Vec<f64>; 4], t: f64) -> Owned {
    let mut moved = owned.clone();
    for (part, d) in moved.parts.iter_mut().zip(d) {
        for (v, d) in part.0.iter_mut().zip(d) {
            *v += t * d;
        }
    }
    moved
}

/// x, s and z as they move along the directions.
fn velocity(
    owned: &Owned,
    solution: &ConeSolution,
    d: &[Vec<f64>; 4],
    degenerate: Degenerate,
) -> (Vec<f64>, GradientQuality) {
    let values = |i: usize| match owned.parts[i].1 {
        true => Values::Shared(&d[i]),
        false => Values::PerSample(&d[i]),
    };
    let tangents = ConeTangents {
        p: Some(values(0)),
        q: Some(values(1)),
        a: Some(values(2)),
        b: Some(values(3)),
    };
    let settings = with(degenerate);
    let found = cone_tangent(&owned.problem(), solution, &tangents, &settings).unwrap();
    (
        [found.x, found.s, found.z].concat(),
        found.reports[0].quality,
    )
}

fn gradients(
    owned: &Owned,
    solution: &ConeSolution,
    cotangent: &[f64],
    degenerate: Degenerate,
) -> ConeGradients {
    let (n, m) = (owned.n, owned.a.rows);
    let cotangent = ConeCotangent {
        x: &cotangent[..n],
        s: Some(&cotangent[n..n + m]),
        z: Some(&cotangent[n + m..]),
    };
    let settings = with(degenerate);
    cone_adjoint(
        &owned.problem(),
        solution,
        &cotangent,
        &ConeWanted::ALL,
        &settings,
    )
    .unwrap()
}

/// Largest difference, relative to the largest number or 1.
fn apart(got: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let size = expected.iter().fold(1.0f64, |a, v| a.max(v.abs()));
    let differences = got.iter().zip(expected).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f64::max) / size
}

/// Every number of x, s and z against differences of fourth order, and tangents against adjoints.
#[test]
fn the_derivative_is_that_of_the_barrier_problem() {
    const STEP: f64 = 1e-4;
    let mixed: Vec<Cone> = KINDS.into_iter().chain([Cone::Semidefinite(2)]).collect();
    let (mut checked, mut worst) = (0, 0.0f64);
    for seed in 0..700 {
        let Some(owned) = one_sample(seed, &mixed) else {
            continue;
        };
        let solution = solve(&owned);
        let d = directions(&owned, seed);
        for mu in [1.0, 1e-1, 1e-2] {
            let choice = Degenerate::Smoothed { mu };
            let (found, quality) = velocity(&owned, &solution, &d, choice);
            assert_eq!(quality, GradientQuality::Smoothed, "seed {seed} {mu}");
            let at = [-2.0, -1.0, 1.0, 2.0].map(|t| central(&moved(&owned, &d, t * STEP), mu));
            let measured: Vec<f64> = (0..found.len())
                .map(|i| (8.0 * (at[2][i] - at[1][i]) - (at[3][i] - at[0][i])) / (12.0 * STEP))
                .collect();
            let error = apart(&found, &measured);
            // What the fourth order leaves of derivatives that grow as μ falls: 4e-11, 2e-10 and 3e-9 for
            // the three.
            assert!(
                error < 1e-8,
                "seed {seed} μ {mu} {:?}: {error:e}",
                owned.cones
            );
            worst = worst.max(error);
            let cotangent = normal(&mut rng(seed), found.len());
            let back = gradients(&owned, &solution, &cotangent, choice);
            let parts = [&back.p, &back.q, &back.a, &back.b];
            let terms: Vec<f64> = (parts.iter().zip(&d))
                .map(|(g, d)| inner(g.as_ref().unwrap(), d))
                .collect();
            let size = terms.iter().fold(1.0f64, |a, v| a.max(v.abs()));
            let difference = inner(&cotangent, &found) - terms.iter().sum::<f64>();
            // Two solves with one matrix; the worst is 1e-14.
            assert!(
                difference.abs() < 1e-12 * size,
                "seed {seed} {difference:e}"
            );
            checked += 1;
        }
    }
    println!("{checked} points of central paths, worst {worst:.1e}");
    assert!(checked > 300);
}

/// As μ goes to zero the derivative goes to the exact one, in proportion.
#[test]
fn the_limit_is_the_derivative_of_the_solution() {
    let (mut checked, mut worst) = (0, 0.0f64);
    for seed in 0..900 {
        let Some(owned) = one_sample(seed, &KINDS) else {
            continue;
        };
        let solution = solve(&owned);
        let d = directions(&owned, seed);
        let (exact, quality) = velocity(&owned, &solution, &d, Degenerate::LeastNorm);
        assert_eq!(quality, GradientQuality::Exact, "seed {seed}");
        let errors = [1e-4, 1e-6, 1e-8].map(|mu| {
            let (found, quality) = velocity(&owned, &solution, &d, Degenerate::Smoothed { mu });
            assert_eq!(quality, GradientQuality::Smoothed, "seed {seed} {mu}");
            apart(&found, &exact)
        });
        // A hundredth, as of μ; 0.024 is the worst of the first step, where μ² still counts, 0.011 of the
        // second. Rounding is below both.
        assert!(errors[1] < 0.03 * errors[0], "seed {seed} {errors:?}");
        assert!(errors[2] < 0.012 * errors[1], "seed {seed} {errors:?}");
        worst = worst.max(errors[2]);
        checked += 1;
    }
    println!("{checked} programs, worst {worst:.1e}");
    assert!(checked > 100);
}

/// Newton arrives from every solution, however far along the path its point is.
#[test]
fn the_central_path_is_reached_from_every_solution() {
    let mut reached = 0;
    for seed in 0..2_000 {
        let kinds = if seed % 4 == 0 { &MATRICES[..] } else { &KINDS };
        let owned = random(seed, kinds).0;
        let solution = solve(&owned);
        for mu in [1.0, 1e-3, 1e-6, 1e-9] {
            let nothing = vec![0.0; owned.batch * (owned.n + 2 * owned.a.rows)];
            let (n, m) = (owned.batch * owned.n, owned.batch * owned.a.rows);
            let cotangent = ConeCotangent {
                x: &nothing[..n],
                s: Some(&nothing[..m]),
                z: Some(&nothing[..m]),
            };
            let settings = with(Degenerate::Smoothed { mu });
            let problem = owned.problem();
            let found = cone_adjoint(&problem, &solution, &cotangent, &ConeWanted::ALL, &settings);
            for report in found.unwrap().reports {
                assert_eq!(
                    report.quality,
                    GradientQuality::Smoothed,
                    "seed {seed} μ {mu:e} {:?}",
                    owned.cones
                );
                reached += 1;
            }
        }
    }
    println!("{reached} points");
    assert!(reached > 10_000);
}
