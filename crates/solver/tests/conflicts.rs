//! Certificates of samples without a solution: checked term by term, and the rows they name.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_solver::NamedRow::{self, Equality, Lower, Quadratic, Upper};
use feasible_solver::{
    Equalities, Inequalities, Method, Problem, Quadratics, Settings, Solution, Status, Symmetric,
    Values, solve,
};
use rand::RngExt;
use support::{INF, Owned, inner, normal, quadratic_value, random, random_shape, rng};

fn with(method: Method) -> Settings {
    Settings {
        method,
        ..Settings::default()
    }
}

/// The rows named for the only sample, in the problem's order.
fn named(solution: &Solution) -> Vec<NamedRow> {
    assert_eq!(solution.status[0], Status::PrimalInfeasible);
    let conflict = solution.conflict(0).expect("a certificate");
    let weights: f64 = conflict.rows.iter().map(|row| row.weight).sum();
    assert!((weights - 1.0).abs() < 1e-12);
    let mut rows: Vec<NamedRow> = conflict.rows.iter().map(|row| row.row).collect();
    let place = |row: &NamedRow| match *row {
        Equality(i) => (0, i),
        Lower(i) | Upper(i) => (1, i),
        Quadratic(i) => (2, i),
    };
    rows.sort_by_key(place);
    rows
}

/// `φ(x)` of the certificate, written out.
fn combination(owned: &Owned, solution: &Solution, x: &[f64]) -> f64 {
    let farkas = solution.farkas(0).expect("a certificate");
    let n = owned.n;
    let mut value = 0.0;
    for (i, nu) in farkas.equality.iter().enumerate() {
        value += nu * (inner(&owned.of(2, 0)[i * n..(i + 1) * n], x) - owned.of(3, 0)[i]);
    }
    for (i, lambda) in farkas.inequality.iter().enumerate() {
        if *lambda != 0.0 {
            let bound = owned.of(if *lambda > 0.0 { 6 } else { 5 }, 0)[i];
            assert!(bound.is_finite());
            value += lambda * (inner(&owned.of(4, 0)[i * n..(i + 1) * n], x) - bound);
        }
    }
    for (i, mu) in farkas.quadratic.iter().enumerate() {
        assert!(*mu >= 0.0);
        if *mu > 0.0 {
            value += mu * (quadratic_value(owned, 0, i, x) - owned.of(9, 0)[i]);
        }
    }
    value
}

/// Positive at random points of every size, and never below the gap it states.
fn check_proof(owned: &Owned, solution: &Solution, seed: u64) {
    let gap = solution.farkas(0).unwrap().gap;
    assert!(gap > 0.0);
    let mut rng = rng(seed ^ 0xfa);
    for size in [0.0, 0.1, 1.0, 10.0] {
        for _ in 0..5 {
            let x: Vec<f64> = normal(&mut rng, owned.n).iter().map(|v| size * v).collect();
            let value = combination(owned, solution, &x);
            assert!(value > 0.999 * gap, "seed {seed}: {value:e} below {gap:e}");
        }
    }
}

/// The problem without some bounds.
fn without(owned: &Owned, remove: impl Fn(NamedRow) -> bool) -> Owned {
    let mut out = owned.clone();
    for i in 0..owned.m {
        if remove(Lower(i)) {
            out.parts[5].data[i] = -INF;
        }
        if remove(Upper(i)) {
            out.parts[6].data[i] = INF;
        }
    }
    for i in (0..owned.k).filter(|&i| remove(Quadratic(i))) {
        out.parts[9].data[i] = INF;
    }
    // Rows of zeros with right-hand side zero say nothing.
    for i in (0..owned.p_rows).filter(|&i| remove(Equality(i))) {
        out.parts[2].data[i * owned.n..(i + 1) * owned.n].fill(0.0);
        out.parts[3].data[i] = 0.0;
    }
    out
}

fn feasible(owned: &Owned) -> bool {
    // The objective is beside the point, and a strictly convex one has a solution if any point is
    // feasible.
    let mut owned = owned.clone();
    owned.p_diagonal = true;
    owned.parts[0].data = vec![1.0; owned.n];
    owned.parts[0].shared = true;
    match solve(&owned.problem(), &Settings::default())
        .unwrap()
        .status[0]
    {
        Status::PrimalInfeasible => false,
        Status::Solved => true,
        other => panic!("{other:?}"),
    }
}

/// Random rows of which the last contradicts a positive combination of some of the others, and of
/// the equalities.
fn contradictory(seed: u64) -> (Owned, Vec<NamedRow>) {
    let mut rng = rng(seed ^ 0xc0);
    let mut shape = random_shape(seed, 1, 14, false);
    shape.n = shape.n.max(4);
    shape.p_rows = shape.p_rows.min(shape.n / 3);
    shape.m = shape.m.max(3);
    shape.per_sample = 0;
    shape.p_rank = if seed.is_multiple_of(3) {
        shape.n / 2
    } else {
        shape.n
    };
    let mut owned = random(shape, seed);
    if shape.p_rank < shape.n {
        // Bounded below, so that infeasible is all it can be.
        owned.parts[1].data.fill(0.0);
    }
    let (n, last) = (owned.n, owned.m - 1);
    let used = (n - 1 - owned.p_rows).min(last).min(3);
    let mut row = vec![0.0; n];
    let mut bound = 0.0;
    let mut names = Vec::new();
    for i in 0..owned.p_rows {
        if rng.random_bool(0.5) {
            let w: f64 = rng.random_range(0.5..2.0) * if rng.random_bool(0.5) { 1.0 } else { -1.0 };
            for j in 0..n {
                row[j] += w * owned.parts[2].data[i * n + j];
            }
            bound += w * owned.parts[3].data[i];
            names.push(Equality(i));
        }
    }
    for i in 0..used {
        let w: f64 = rng.random_range(0.5..2.0);
        let upper = owned.parts[6].data[i].is_finite();
        let (sign, value) = if upper {
            (1.0, owned.parts[6].data[i])
        } else {
            (-1.0, owned.parts[5].data[i])
        };
        for j in 0..n {
            row[j] += sign * w * owned.parts[4].data[i * n + j];
        }
        bound += sign * w * value;
        names.push(if upper { Upper(i) } else { Lower(i) });
    }
    owned.parts[4].data[last * n..].copy_from_slice(&row);
    owned.parts[5].data[last] = bound + 0.5;
    owned.parts[6].data[last] = INF;
    names.push(Lower(last));
    // The other rows only get in the way far out.
    for i in used..last {
        owned.parts[5].data[i] = -INF;
        owned.parts[6].data[i] = owned.parts[6].data[i].clamp(1e2, 1e3);
    }
    (owned, names)
}

#[test]
fn constructed_conflicts_are_named() {
    let mut exact = 0;
    for seed in 0..120 {
        let (owned, names) = contradictory(seed);
        for method in [Method::Auto, Method::InteriorPoint] {
            let solution = solve(&owned.problem(), &with(method)).unwrap();
            let found = named(&solution);
            check_proof(&owned, &solution, seed);
            // Irreducible: infeasible on its own, feasible without any of its rows.
            assert!(
                !feasible(&without(&owned, |row| !found.contains(&row))),
                "seed {seed}"
            );
            for &row in &found {
                let rest = without(&owned, |other| other == row || !found.contains(&other));
                assert!(feasible(&rest), "seed {seed}: {found:?} without {row:?}");
            }
            exact += usize::from(found == names);
        }
    }
    println!("{exact} of 240 are the constructed ones");
    // Random rows can contradict the last one in another way as well.
    assert!(exact >= 230, "{exact}");
}

fn two<'a>(g: &'a [f64], l: &'a [f64], u: &'a [f64]) -> Problem<'a> {
    Problem {
        batch: 1,
        n: 2,
        p: Symmetric::Diagonal(Values::Shared(&[1.0, 1.0])),
        q: Values::Shared(&[1.0, -1.0]),
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

#[test]
fn small_conflicts() {
    for method in [Method::Auto, Method::InteriorPoint] {
        let solve = |problem: &Problem<'_>| solve(problem, &with(method)).unwrap();
        // x₀ ≥ 1 and x₀ ≤ 0, scaled apart, among rows that are not to blame.
        let g = [1e3, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0];
        let (l, u) = ([1e3, -1.0, -INF, -INF], [INF, 1.0, 9.0, 0.0]);
        let problem = two(&g, &l, &u);
        let solution = solve(&problem);
        assert_eq!(named(&solution), [Lower(0), Upper(3)]);
        let text = solution.conflict(0).unwrap().to_string();
        assert_eq!(text, "row 0 (lower) and row 3 (upper) conflict");
        let farkas = solution.farkas(0).unwrap();
        assert!((farkas.inequality[0] + 0.5e-3).abs() < 1e-15);
        assert!((farkas.inequality[3] - 0.5).abs() < 1e-12);
        assert!((farkas.gap - 0.5).abs() < 1e-12);

        // A row of zeros.
        let problem = two(&[0.0, 0.0, 1.0, 0.0], &[-INF, 0.0], &[-1.0, 1.0]);
        assert_eq!(named(&solve(&problem)), [Upper(0)]);

        // A row that an equality fixes.
        let mut problem = two(&[2.0, 2.0, 1.0, 0.0], &[-INF, 0.0], &[1.0, 1.0]);
        problem.equalities = Some(Equalities {
            rows: 1,
            a: Values::Shared(&[1.0, 1.0]),
            b: Values::Shared(&[1.0]),
        });
        let solution = solve(&problem);
        assert_eq!(named(&solution), [Equality(0), Upper(0)]);
        let text = solution.conflict(0).unwrap().to_string();
        assert_eq!(text, "equality 0 and row 0 (upper) conflict");

        // Equalities among themselves; the first has no part in it.
        let mut problem = two(&[1.0, 0.0], &[0.0], &[1.0]);
        problem.n = 3;
        problem.p = Symmetric::Diagonal(Values::Shared(&[1.0; 3]));
        problem.q = Values::Shared(&[0.0; 3]);
        problem.inequalities = None;
        let a = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 2.0, 2.0];
        problem.equalities = Some(Equalities {
            rows: 3,
            a: Values::Shared(&a),
            b: Values::Shared(&[1.0, 1.0, 3.0]),
        });
        assert_eq!(named(&solve(&problem)), [Equality(1), Equality(2)]);
    }
}

#[test]
fn conflicts_with_quadratic_rows() {
    let (g, l, u) = ([1.0, 0.0, 0.0, 1.0], [2.0, -5.0], [INF, 5.0]);
    let discs = |c: &'static [f64], linear: &'static [f64]| {
        let mut problem = two(&g, &l, &u);
        problem.quadratics = Some(Quadratics {
            rows: c.len(),
            h: Symmetric::Diagonal(Values::Shared(&[1.0, 1.0, 1.0, 1.0])),
            g: Values::Shared(linear),
            c: Values::Shared(c),
        });
        problem
    };
    // The unit disc and x₀ ≥ 2; the second disc is large.
    let problem = discs(&[1.0, 100.0], &[0.0; 4]);
    let solution = solve(&problem, &Settings::default()).unwrap();
    assert_eq!(named(&solution), [Lower(0), Quadratic(0)]);
    // min over x of μ(|x|² − 1) + λ(2 − x₀) with these weights is reached at x₀ = λ/2μ.
    let farkas = solution.farkas(0).unwrap();
    let (mu, lambda) = (farkas.quadratic[0], -farkas.inequality[0]);
    let least = 2.0 * lambda - mu - lambda * lambda / (4.0 * mu);
    assert!((farkas.gap - least).abs() < 1e-9 && farkas.gap > 0.1);

    // Two unit discs whose centres are 4 apart.
    let mut problem = discs(&[1.0, 1.0 - 16.0], &[0.0, 0.0, -8.0, 0.0]);
    problem.inequalities = None;
    let solution = solve(&problem, &Settings::default()).unwrap();
    assert_eq!(named(&solution), [Quadratic(0), Quadratic(1)]);
    let text = solution.conflict(0).unwrap().to_string();
    assert!(
        text.starts_with("quadratic row") && text.ends_with("conflict"),
        "{text}"
    );

    // |x|² ≤ −1, and 0 ≤ −1.
    let problem = discs(&[-1.0, 1.0], &[0.0; 4]);
    let mut alone = problem;
    alone.inequalities = None;
    assert_eq!(
        named(&solve(&alone, &Settings::default()).unwrap()),
        [Quadratic(0)]
    );
    let mut constant = alone;
    constant.quadratics = Some(Quadratics {
        rows: 1,
        h: Symmetric::Diagonal(Values::Shared(&[0.0, 0.0])),
        g: Values::Shared(&[0.0, 0.0]),
        c: Values::Shared(&[-1.0]),
    });
    assert_eq!(
        named(&solve(&constant, &Settings::default()).unwrap()),
        [Quadratic(0)]
    );
}

#[test]
fn random_quadratic_conflicts_are_proven() {
    let mut proven = 0;
    for seed in 0..60 {
        let mut shape = random_shape(seed, 1, 15, true);
        shape.h_shift = 0.1;
        let mut owned = random(shape, seed);
        let norm: f64 = owned.of(8, 0)[..owned.n].iter().map(|v| v * v).sum();
        owned.parts[9].data[0] = -norm / 0.4 - 0.1;
        let solution = solve(&owned.problem(), &Settings::default()).unwrap();
        // No point satisfies that row whatever the others say.
        assert_eq!(named(&solution), [Quadratic(0)], "seed {seed}");
        check_proof(&owned, &solution, seed);
        proven += 1;
    }
    assert_eq!(proven, 60);
}

/// A ball and a row beyond it, among equalities and other rows.
#[test]
fn random_conflicts_of_a_ball_and_a_row_are_irreducible() {
    let mut sizes = Vec::new();
    for seed in 0..40 {
        let mut shape = random_shape(seed, 1, 10, true);
        shape.n = shape.n.max(3);
        shape.p_rows = 1;
        shape.m = shape.m.max(4);
        shape.h_diagonal = true;
        let mut owned = random(shape, seed);
        let n = owned.n;
        // |x|² ≤ 1, and a row whose lower bound no such point reaches.
        owned.parts[7].data[..n].fill(1.0);
        owned.parts[8].data[..n].fill(0.0);
        owned.parts[9].data[0] = 1.0;
        let row = &owned.parts[4].data[..n];
        owned.parts[5].data[0] = 1.1 * inner(row, row).sqrt();
        owned.parts[6].data[0] = INF;
        let solution = solve(&owned.problem(), &Settings::default()).unwrap();
        let found = named(&solution);
        check_proof(&owned, &solution, seed);
        assert!(
            !feasible(&without(&owned, |row| !found.contains(&row))),
            "seed {seed}"
        );
        for &row in &found {
            let rest = without(&owned, |other| other == row || !found.contains(&other));
            assert!(feasible(&rest), "seed {seed}: {found:?} without {row:?}");
        }
        sizes.push(found.len());
    }
    println!("rows named: {sizes:?}");
}

#[test]
fn rays_of_unbounded_samples() {
    let mut checked = 0;
    for seed in 0..60 {
        let quadratics = seed % 3 == 0;
        let mut shape = random_shape(seed, 1, 15, quadratics);
        shape.n = shape.n.max(3);
        shape.p_rows = shape.p_rows.min(shape.n / 3);
        shape.m = shape.m.min(shape.n / 3);
        shape.p_diagonal = false;
        shape.p_rank = shape.n / 3;
        shape.h_diagonal = true;
        let mut owned = random(shape, seed);
        let n = owned.n;
        if quadratics {
            for part in [7, 8] {
                for row in owned.parts[part].data.chunks_exact_mut(n) {
                    row[n - 1] = 0.0;
                }
            }
        }
        let solution = solve(&owned.problem(), &Settings::default()).unwrap();
        if solution.status[0] != Status::DualInfeasible {
            assert_eq!(solution.ray(0), None);
            continue;
        }
        let ray = solution.ray(0).expect("a direction");
        assert!(solution.conflict(0).is_none());
        let size = ray.iter().fold(0.0f64, |a, v| a.max(v.abs()));
        assert!((size - 1.0).abs() < 1e-12);
        assert!(inner(owned.of(1, 0), ray) < -1e-6);
        let small = 1e-9;
        for row in owned
            .of(0, 0)
            .chunks_exact(n)
            .chain(owned.of(2, 0).chunks_exact(n))
        {
            assert!(inner(row, ray).abs() < small, "seed {seed}");
        }
        for (i, row) in owned.of(4, 0).chunks_exact(n).enumerate() {
            let along = inner(row, ray);
            assert!(owned.of(6, 0)[i] == INF || along < small);
            assert!(owned.of(5, 0)[i] == -INF || along > -small);
        }
        for k in 0..owned.k {
            assert!((0..n).all(|j| (owned.of(7, 0)[k * n + j] * ray[j]).abs() < small));
            assert!(inner(&owned.of(8, 0)[k * n..(k + 1) * n], ray) < small);
        }
        checked += 1;
    }
    println!("{checked} rays");
    assert!(checked >= 30);
}

/// A bad sample says why; the others have nothing to say.
#[test]
fn only_bad_samples_have_certificates() {
    let problem = Problem {
        batch: 3,
        inequalities: Some(Inequalities {
            rows: 2,
            g: Values::Shared(&[1.0, 0.0, 1.0, 0.0]),
            l: Values::Shared(&[0.0, -INF]),
            u: Values::PerSample(&[1.0, 1.0, 1.0, -1.0, 1.0, 2.0]),
        }),
        ..two(&[], &[], &[])
    };
    let solution = solve(&problem, &Settings::default()).unwrap();
    assert!(solution.conflict(0).is_none() && solution.conflict(2).is_none());
    assert!(solution.farkas(0).is_none() && solution.ray(1).is_none());
    assert_eq!(
        solution.conflict(1).unwrap().to_string(),
        "row 0 (lower) and row 1 (upper) conflict"
    );
    // Beyond the batch.
    assert!(solution.conflict(3).is_none());
}
