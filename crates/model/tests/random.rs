//! Random models: what compiles is solved, and the solution is one.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use std::cell::Cell;
use std::ops::Range;

use feasible_model::{
    AdjointSettings, CompiledProblem, Expr, GradientQuality, Model, Route, SolveSettings, Status,
    abs, constant, entropy, exp, geo_mean, huber, inv_pos, kl_div, log, log_sum_exp, logistic, max,
    maximum, min, minimum, neg_part, norm_inf, norm1, norm2, pos, power, quad_form, quad_over_lin,
    rel_entr, sqrt, square, sum_largest, sum_smallest, sum_squares, vstack,
};
use proptest::prelude::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use support::{Input, close, normal, rng, shared, uniform, values};

const N: usize = 3;

/// Leaves of a random model.
struct Leaves {
    x: Expr,
    p: Expr,
    lambda: Expr,
}

/// A random vector `[N]` of any curvature.
fn vector(rng: &mut ChaCha8Rng, leaves: &Leaves, depth: usize) -> Expr {
    if depth == 0 {
        let c = constant([N], normal(rng, N));
        return match rng.random_range(0..5) {
            0 => leaves.x.clone(),
            1 => &leaves.x + c,
            2 => &leaves.x + &leaves.p,
            3 => &leaves.x * &leaves.p,
            _ => constant([N, N], normal(rng, N * N)).matmul(&leaves.x) + c,
        };
    }
    let v = vector(rng, leaves, depth - 1);
    // The box keeps x within 2, so that this is often positive.
    let shifted = || &v + 4.0;
    match rng.random_range(0..24) {
        0 => abs(&v),
        1 => square(&v),
        2 => exp(&(0.3 * &v)),
        3 => pos(&v),
        4 => neg_part(&v),
        5 => log(&shifted()),
        6 => sqrt(&shifted()),
        7 => entropy(&shifted()),
        8 => huber(&v, 0.7),
        9 => logistic(&v),
        10 => power(&shifted(), 1.7),
        11 => power(&shifted(), 0.4),
        12 => power(&shifted(), -0.8),
        13 => inv_pos(&shifted()),
        14 => -v,
        15 => &v + vector(rng, leaves, depth - 1),
        16 => constant([N], normal(rng, N)) * &v,
        17 => maximum(&[v, vector(rng, leaves, depth - 1)]),
        18 => minimum(&[v, vector(rng, leaves, depth - 1)]),
        19 => &leaves.lambda * v,
        20 => rel_entr(&shifted(), &(vector(rng, leaves, 0) + 5.0)),
        21 => kl_div(&shifted(), &constant([N], uniform(rng, 0.5, 3.0, N))),
        22 => power(&v, 4.0),
        _ => v.cumsum(),
    }
}

/// A random scalar of any curvature.
fn scalar(rng: &mut ChaCha8Rng, leaves: &Leaves, depth: usize) -> Expr {
    let v = vector(rng, leaves, depth);
    match rng.random_range(0..18) {
        0 => v.sum(),
        1 => norm1(&v),
        2 => norm2(&v),
        3 => norm_inf(&v),
        4 => max(&v),
        5 => min(&v),
        6 => sum_squares(&v),
        7 => log_sum_exp(&v),
        8 => quad_over_lin(&v, &(leaves.x.sum() + 8.0)),
        9 => sum_largest(&v, 2),
        10 => sum_smallest(&v, 2),
        11 => geo_mean(&(v + 4.0)),
        12 => {
            let m = support::definite(rng, N);
            quad_form(&v, &constant([N, N], m))
        }
        13 => &leaves.lambda * v.sum(),
        14 => -v.sum(),
        15 if depth > 0 => scalar(rng, leaves, depth - 1) + scalar(rng, leaves, depth - 1),
        16 if depth > 0 => max(&vstack(&[
            scalar(rng, leaves, depth - 1),
            scalar(rng, leaves, depth - 1),
        ])),
        17 if depth > 0 => exp(&(0.2 * scalar(rng, leaves, depth - 1))),
        _ => constant([N], uniform(rng, 0.0, 1.0, N)).dot(v),
    }
}

/// A convex scalar, with its value at the point where the constraints are to hold.
fn convex(rng: &mut ChaCha8Rng, leaves: &Leaves, inputs: &[Input]) -> Option<(Expr, f64)> {
    for _ in 0..200 {
        let depth = rng.random_range(0..4);
        let candidate = scalar(rng, leaves, depth);
        let candidate = if candidate.curvature().is_convex() {
            candidate
        } else if candidate.curvature().is_concave() {
            -candidate
        } else {
            continue;
        };
        let value = candidate.value(&at(inputs, &[0.0; N])).unwrap()[0];
        if value.abs() < 50.0 {
            return Some((candidate, value));
        }
    }
    None
}

fn at<'a>(inputs: &'a [Input], x: &'a [f64]) -> Vec<(&'a str, &'a [f64])> {
    let mut all: Vec<(&str, &[f64])> = inputs.iter().map(|i| (i.name, &i.data[..])).collect();
    all.push(("x", x));
    all
}

struct Case {
    inputs: Vec<Input>,
    f: Expr,
    limit: Option<(Expr, f64)>,
    center: Vec<f64>,
    problems: [CompiledProblem; 2],
}

fn case(seed: u64) -> Option<Case> {
    let mut rng = rng(seed);
    let mut model = Model::new();
    let leaves = Leaves {
        x: model.variable("x", [N]),
        p: model.parameter("p", [N]),
        lambda: model.parameter_in("lambda", [], feasible_model::Domain::Nonnegative),
    };
    let t = model.variable("t", []);
    let inputs = vec![
        shared("p", normal(&mut rng, N)),
        shared("lambda", uniform(&mut rng, 0.1, 1.0, 1)),
    ];
    let (f, _) = convex(&mut rng, &leaves, &inputs)?;
    let limit = if rng.random_range(0..2) == 0 {
        convex(&mut rng, &leaves, &inputs)
    } else {
        None
    };
    let center = normal(&mut rng, N);
    // Both parameters occur, whatever was drawn.
    let both = (&leaves.lambda * leaves.x.sum() + leaves.p.dot(&leaves.x)) * 0.01;
    let formulation = || {
        model
            .minimize(&t + 0.5 * sum_squares(&leaves.x - constant([N], center.clone())) + &both)
            .subject_to(f.le(&t).named("epigraph"))
            .subject_to(abs(&leaves.x).le(2.0))
            .subject_to_all(limit.as_ref().map(|(g, value)| g.le(value + 0.1)))
    };
    // An expression that the rules accept may still need a parameter's matrix in a cone; none here.
    let auto = formulation().compile().ok()?;
    let cones = formulation().route(Route::Cones).compile().ok()?;
    Some(Case {
        inputs,
        f,
        limit,
        center,
        problems: [auto, cones],
    })
}

thread_local! {
    static SEEN: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

fn check(seed: u64) {
    let Some(case) = case(seed) else {
        return;
    };
    let (seen, solved) = SEEN.get();
    SEEN.set((seen + 1, solved));
    let settings = SolveSettings::default();
    let solutions = case
        .problems
        .each_ref()
        .map(|problem| problem.solve(&values(&case.inputs), 1, &settings).unwrap());
    let whole = |x: &[f64]| -> f64 {
        let f = case.f.value(&at(&case.inputs, x)).unwrap()[0];
        let (p, lambda) = (&case.inputs[0].data, case.inputs[1].data[0]);
        let near: f64 = x
            .iter()
            .zip(&case.center)
            .map(|(a, b)| (a - b).powi(2))
            .sum();
        let both: f64 = x.iter().zip(p).map(|(x, p)| x * (lambda + p)).sum();
        f + 0.5 * near + 0.01 * both
    };
    let feasible = |x: &[f64]| {
        let limit = case
            .limit
            .as_ref()
            .is_none_or(|(g, value)| g.value(&at(&case.inputs, x)).unwrap()[0] <= value + 0.1);
        limit && x.iter().all(|v| v.abs() <= 2.0)
    };
    let statuses = solutions.each_ref().map(|s| s.status()[0]);
    for status in statuses {
        // 0 is feasible with a finite objective, which is strongly convex, and x is in a box.
        let wrong = [Status::PrimalInfeasible, Status::DualInfeasible].contains(&status);
        assert!(!wrong, "seed {seed}, {}: {statuses:?}", case.f);
    }
    if !solutions.iter().all(|s| s.all_solved()) {
        println!("seed {seed}, {}: {statuses:?}", case.f);
        return;
    }
    let (seen, solved) = SEEN.get();
    SEEN.set((seen, solved + 1));
    for (problem, solution) in case.problems.iter().zip(&solutions) {
        let mut x = solution.variable("x").unwrap().to_vec();
        let t = solution.variable("t").unwrap()[0];
        if !whole(&x).is_finite() {
            // Rounding left a domain whose boundary it is on; 0 is well inside.
            x.iter_mut().for_each(|v| *v *= 1.0 - 1e-9);
            assert!(whole(&x).is_finite(), "{}", case.f);
        }
        let x = &x[..];
        let value = case.f.value(&at(&case.inputs, x)).unwrap()[0];
        assert!(
            (value - t).abs() <= 1e-7 * (1.0 + value.abs()),
            "{}: {value} and {t} in {:?}",
            case.f,
            problem.form()
        );
        let best = whole(x);
        let objective = solution.objective().unwrap()[0];
        assert!(
            (objective - best).abs() <= 1e-7 * (1.0 + best.abs()),
            "seed {seed}, {}: {objective} and {best}",
            case.f
        );
        let mut rng = rng(seed ^ 0x5eed);
        for scale in [1.0, 1e-1, 1e-2, 1e-3] {
            for _ in 0..20 {
                let step = normal(&mut rng, N);
                let moved: Vec<f64> = x.iter().zip(&step).map(|(x, d)| x + scale * d).collect();
                if feasible(&moved) {
                    let other = whole(&moved);
                    assert!(
                        other >= best - 1e-7 * (1.0 + best.abs()),
                        "{}: {other} below {best}",
                        case.f
                    );
                }
            }
        }
    }
    // The objective is strongly convex: there is one solution.
    let [a, b] = solutions.each_ref().map(|s| s.variable("x").unwrap());
    close(a, b, 1e-5);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_compiles_is_solved(seed in any::<u64>()) {
        check(seed);
    }
}

/// The same on fixed seeds, with a count: nearly all of them must have been solved.
#[test]
fn nearly_all_random_models_are_solved() {
    for seed in 0..300 {
        check(seed);
    }
    let (seen, solved) = SEEN.get();
    println!("{solved} of {seen} solved");
    assert!(
        seen >= 250 && solved * 1000 >= seen * 995,
        "{solved} of {seen}"
    );
}

/// Kinks at a smaller margin are within the steps of any difference that rounding leaves six digits.
const WITHIN_STEPS: f64 = 1e-6;

/// The derivative of `f` at 0 by central differences and Richardson's extrapolation, with the step at
/// which two estimates differ least: the map may bend or have a kink at any distance.
fn derivative(f: &mut dyn FnMut(f64) -> f64) -> f64 {
    let mut slope = |step: f64| (f(step) - f(-step)) / (2.0 * step);
    let mut best = (0.0, f64::INFINITY);
    let mut last = f64::INFINITY;
    for k in 0..10 {
        let step = 3e-3 * 0.25f64.powi(k);
        let (near, far) = (slope(step), slope(2.0 * step));
        let estimate = (4.0 * near - far) / 3.0;
        let doubt = (estimate - near).abs().min((estimate - last).abs());
        if doubt < best.1 {
            best = (estimate, doubt);
        }
        if best.1 <= 1e-9 * (1.0 + estimate.abs()) {
            break;
        }
        last = estimate;
    }
    best.0
}

/// What keeps a gradient from being exact.
#[derive(Default, Debug)]
struct Causes {
    /// Slopes on the two sides differ: the solution has no derivative.
    kink: usize,
    /// A row touches with a multiplier of zero.
    weak: usize,
    /// Rows depend on each other: multipliers are not unique.
    dependent: usize,
    /// None of these: the solver's to answer for.
    none: usize,
}

/// The default, and what `FEASIBLE_RANDOM_MODELS=first..end` says in its place.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("FEASIBLE_RANDOM_MODELS") else {
        return 1000..1500;
    };
    let range = text
        .split_once("..")
        .and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
    range.unwrap_or_else(|| panic!("FEASIBLE_RANDOM_MODELS is {text:?} but must be first..end"))
}

/// Gradients of random models that are called exact, against extrapolated differences; and those that
/// are not called exact, by cause.
#[test]
fn exact_gradients_are_exact() {
    let (mut asked, mut seen, mut exact, mut unresolved) = (0, 0, 0, 0);
    let mut causes = Causes::default();
    for seed in seeds() {
        let Some(case) = case(seed) else {
            continue;
        };
        let weight = normal(&mut rng(seed), N);
        for problem in &case.problems {
            let settings = SolveSettings::default();
            let solve = |inputs: &[Input]| problem.solve(&values(inputs), 1, &settings).unwrap();
            let solution = solve(&case.inputs);
            asked += 1;
            if !solution.all_solved() {
                println!("seed {seed}, {}: {:?}", case.f, solution.status());
                continue;
            }
            seen += 1;
            let variables = [("x", &weight[..])];
            let g = support::gradients(problem, &solution, &case.inputs, &variables, &[]);
            // Whatever the quality, forwards is the transpose of backwards.
            let mut random = rng(seed);
            support::forwards(
                problem,
                &solution,
                &case.inputs,
                &variables,
                &[],
                &mut random,
            );
            let report = g.reports[0];
            let loss = |k: usize, at: usize, by: f64| -> f64 {
                let mut inputs = case.inputs.clone();
                inputs[k].data[at] += by;
                let solution = solve(&inputs);
                let x = solution.variable("x").unwrap();
                x.iter().zip(&weight).map(|(x, w)| x * w).sum()
            };
            let entries = case.inputs.iter().enumerate();
            let entries = entries.flat_map(|(k, input)| (0..input.data.len()).map(move |i| (k, i)));
            if report.quality == GradientQuality::Exact {
                exact += 1;
                if report.margin < WITHIN_STEPS {
                    unresolved += 1;
                    continue;
                }
                for (k, at) in entries {
                    let name = case.inputs[k].name;
                    let own = g.parameter(name).unwrap()[at];
                    let difference = derivative(&mut |by| loss(k, at, by));
                    assert!(
                        (own - difference).abs() <= 1e-6 * (1.0 + difference.abs()),
                        "seed {seed}, {name}[{at}]: {own} and {difference}, {report:?} for {}",
                        case.f
                    );
                }
                continue;
            }
            let mut kink = false;
            for (k, at) in entries {
                let step = 1e-6;
                let here = loss(k, at, 0.0);
                let above = (loss(k, at, step) - here) / step;
                let below = (here - loss(k, at, -step)) / step;
                kink |= (above - below).abs() > 1e-4 * (1.0 + above.abs());
            }
            let limits = AdjointSettings::default();
            *match () {
                () if kink => &mut causes.kink,
                () if report.margin <= limits.degenerate_margin => &mut causes.weak,
                () if report.condition > limits.condition_limit => &mut causes.dependent,
                () => {
                    println!("seed {seed}, for no reason: {report:?} for {}", case.f);
                    &mut causes.none
                }
            } += 1;
        }
    }
    println!(
        "{exact} exact of {seen} solved of {asked}, {unresolved} too near a kink for differences; \
         others {causes:?}"
    );
    assert!(seen * 1000 >= asked * 995, "{seen} of {asked}");
    assert!(exact * 100 >= seen * 97, "{exact} of {seen}");
    // The report under test is what excuses these.
    let excused = causes.weak + causes.dependent;
    assert!(excused * 1000 <= seen * 25, "{causes:?} of {seen}");
    assert!(unresolved * 100 <= seen, "{unresolved} of {seen}");
    assert!(causes.none * 1000 <= exact, "{causes:?} beside {exact}");
}

/// Seeds that random runs have failed on.
#[test]
fn seeds_that_failed_once() {
    for seed in [
        2021801434550445673,
        9599582010451415281,
        10556,
        20099,
        1908072485851304635,
        12708706397238536786,
        8485576486534596046,
        9863313141389719557,
        17314172772513035068,
        9602361342662100413,
        8728525181350871927,
        12020750270088085071,
        10095126074087733002,
        13135298978938547441,
        2521990747777851080,
        16336804878435849634,
        18198772056466226010,
        100320,
    ] {
        check(seed);
    }
}
