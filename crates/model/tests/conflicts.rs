//! Infeasible models name the user's constraints.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_model::{
    CompiledProblem, Conflict, ConflictSource, Constraint, Domain, Expr, Form, Model, Route,
    Solution, SolveSettings, Status, abs, constant, exp, log, max, norm2, sum_squares,
};
use support::{Input, each, normal, rng, shared, values};

fn solve(problem: &CompiledProblem, inputs: &[Input], batch: usize) -> Solution {
    problem
        .solve(&values(inputs), batch, &SolveSettings::default())
        .unwrap()
}

/// The only sample's conflict, whose shares are shares.
fn conflict(problem: &CompiledProblem) -> Conflict {
    let solution = solve(problem, &[], 1);
    assert_eq!(
        solution.status(),
        [Status::PrimalInfeasible],
        "{:?}",
        problem.form()
    );
    let conflict = solution.conflict(0).unwrap();
    let total: f64 = conflict.parts.iter().map(|part| part.weight).sum();
    assert!((total - 1.0).abs() < 1e-12);
    assert!(conflict.parts.iter().all(|part| part.weight > 0.0));
    conflict
}

/// In both solvers' forms, a sum that contradicts two bounds out of three; a fourth row has no part.
#[test]
fn contradictory_named_constraints() {
    let mut model = Model::new();
    let x = model.variable("x", [3]);
    let formulation = model
        .minimize(sum_squares(&x))
        .subject_to(x.ge(constant([3], vec![0.9, -5.0, 0.9])).named("floor"))
        .subject_to(x.le(4.0).named("ceiling"))
        .subject_to((x.at([0]) + x.at([2])).le(1.0).named("total"));
    for route in [Route::Auto, Route::Cones] {
        let problem = formulation.clone().route(route).compile().unwrap();
        let conflict = conflict(&problem);
        let mut names: Vec<String> = conflict.parts.iter().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(names, ["`floor` at entries 0, 2", "`total`"]);
        assert_eq!(conflict.parts.len(), 2);
        let floor = conflict.parts.iter().find(|part| {
            matches!(&part.what, ConflictSource::Constraint { name: Some(name), .. } if name == "floor")
        });
        assert_eq!(floor.unwrap().entries, [0, 2]);
    }
    let text = conflict(&formulation.compile().unwrap()).to_string();
    assert_eq!(text, "`floor` at entries 0, 2 and `total` conflict");
}

/// A constraint without a name has its position and text.
#[test]
fn a_cone_and_a_bound_without_a_name() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let problem = model
        .minimize(x.sum())
        .subject_to(norm2(&x).le(1.0).named("ball"))
        .subject_to(x.at([1]).le(3.0))
        .subject_to(x.at([0]).ge(2.0))
        .compile()
        .unwrap();
    assert!(matches!(problem.form(), Form::Cone { .. }));
    let conflict = conflict(&problem);
    let mut names: Vec<String> = conflict.parts.iter().map(ToString::to_string).collect();
    names.sort();
    assert_eq!(names, ["`ball`", "constraint 2 (`x[0] >= 2`)"]);
}

/// Only the second of three samples has no solution, and only it has a conflict.
#[test]
fn one_infeasible_sample_of_a_batch() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let (a, radius) = (model.parameter("a", [2]), model.parameter("radius", []));
    let formulation = model
        .minimize(sum_squares(&x))
        .subject_to(sum_squares(&x - &a).le(&radius).named("disc"))
        .subject_to(x.sum().ge(2.0).named("total"))
        .subject_to(x.ge(-9.0));
    let inputs = [
        each("a", vec![1.0, 1.0, -1.0, -1.0, 2.0, 1.0]),
        shared("radius", vec![0.5]),
    ];
    for route in [Route::Auto, Route::Cones] {
        let problem = formulation.clone().route(route).compile().unwrap();
        let solution = solve(&problem, &inputs, 3);
        assert_eq!(
            solution.status(),
            [Status::Solved, Status::PrimalInfeasible, Status::Solved]
        );
        assert_eq!(solution.conflict(0), None);
        assert_eq!(solution.conflict(2), None);
        assert_eq!(solution.conflict(3), None);
        let found = solution.conflict(1).unwrap();
        let mut names: Vec<String> = found.parts.iter().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(names, ["`disc`", "`total`"], "{:?}", problem.form());
    }
}

/// Two sides of one two-sided row, which the dense form never gives to the solver.
#[test]
fn bounds_that_cross() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let (l, u) = (model.parameter("l", [2]), model.parameter("u", []));
    let problem = model
        .minimize(sum_squares(&x))
        .subject_to(x.ge(l).named("lower"))
        .subject_to(x.le(u))
        .compile()
        .unwrap();
    let inputs = [each("l", vec![0.0, 0.0, 0.0, 2.0]), shared("u", vec![1.0])];
    let solution = solve(&problem, &inputs, 2);
    assert_eq!(solution.conflict(0), None);
    assert_eq!(
        solution.conflict(1).unwrap().to_string(),
        "`lower` at entry 1 and constraint 1 (`x <= u`) at entry 1 conflict"
    );
}

/// Domains of variables, of functions in constraints that themselves do not bind, and of functions in
/// the objective.
#[test]
fn domains_have_names() {
    let mut model = Model::new();
    let x = model.variable_in("x", [2], Domain::Nonnegative);
    let problem = model
        .minimize(sum_squares(&x))
        .subject_to(x.sum().le(-1.0).named("total"))
        .compile()
        .unwrap();
    assert_eq!(
        named(&conflict(&problem)),
        ["`total`", "the domain of variable `x`"]
    );

    let mut model = Model::new();
    let x = model.variable("x", []);
    let below = x.le(-1.0).named("below");
    let problem = model
        .minimize(sum_squares(&x))
        .subject_to(log(&x).ge(-50.0).named("logarithm"))
        .subject_to(&below)
        .compile()
        .unwrap();
    assert_eq!(named(&conflict(&problem)), ["`below`", "`logarithm`"]);

    let problem = model
        .minimize(-log(&x))
        .subject_to(&below)
        .compile()
        .unwrap();
    assert_eq!(
        named(&conflict(&problem)),
        ["`below`", "the domain of `log(x)` in the objective"]
    );
}

fn named(conflict: &Conflict) -> Vec<String> {
    let mut names: Vec<String> = conflict.parts.iter().map(ToString::to_string).collect();
    names.sort();
    names
}

/// Epigraph columns and quadratic rows lead back to the constraint they were made for.
#[test]
fn rows_of_functions_are_their_constraints() {
    let mut model = Model::new();
    let x = model.variable("x", [3]);
    let single = |constraint: feasible_model::Constraint| {
        let problem = model
            .minimize(x.sum())
            .subject_to(constraint.named("impossible"))
            .subject_to(x.ge(-1.0).named("idle"))
            .compile()
            .unwrap();
        conflict(&problem).to_string()
    };
    let alone = "`impossible` cannot be met";
    assert_eq!(single(sum_squares(&x).le(-1.0)), alone);
    assert_eq!(single(norm2(&x).le(-1.0)), alone);
    assert_eq!(single(abs(&x).sum().le(-1.0)), alone);
    let zero: Expr = 0.0 * x.at([0]);
    assert_eq!(single(zero.ge(1.0)), alone);

    let problem = model
        .minimize(sum_squares(&x))
        .subject_to(max(&(2.0 * &x)).le(1.0).named("top"))
        .subject_to(x.sum().eq(2.0).named("total"))
        .compile()
        .unwrap();
    assert_eq!(named(&conflict(&problem)), ["`top`", "`total`"]);
}

#[cfg(feature = "semidefinite")]
#[test]
fn matrix_inequalities() {
    let mut model = Model::new();
    let x = model.variable_in("x", [2, 2], Domain::Symmetric);
    let problem = model
        .minimize(x.at([0, 1]))
        .subject_to(x.succeeds(1.0).named("definite"))
        .subject_to(x.trace().le(1.0).named("trace"))
        .compile()
        .unwrap();
    let conflict = conflict(&problem);
    assert_eq!(named(&conflict), ["`definite`", "`trace`"]);
    assert!(
        conflict
            .parts
            .iter()
            .all(|part| part.entries.is_empty() || part.entries == [0])
    );
    let mut model = Model::new();
    let x = model.variable_in("x", [2, 2], Domain::Semidefinite);
    let problem = model
        .minimize(x.trace())
        .subject_to(x.at([1, 1]).le(-1.0))
        .compile()
        .unwrap();
    assert_eq!(
        named(&self::conflict(&problem)),
        [
            "constraint 0 (`x[1, 1] <= -1`)",
            "the domain of variable `x`"
        ]
    );
}

/// Long lists are cut.
#[test]
fn many_parts_are_counted() {
    let mut model = Model::new();
    let x = model.variable("x", [12]);
    let problem = model
        .minimize(sum_squares(&x))
        .subject_to_all((0..12).map(|i| x.at([i]).ge(1.0).named(format!("c{i}"))))
        .subject_to(x.sum().le(11.0).named("total"))
        .compile()
        .unwrap();
    let conflict = conflict(&problem);
    assert_eq!(conflict.parts.len(), 13);
    let text = conflict.to_string();
    assert!(text.ends_with("and 5 more conflict"), "{text}");
}

/// Of random half-spaces, balls and epigraphs of exponentials, those that are named cannot be met, and
/// can be without any one of them.
#[test]
fn random_conflicts_are_irreducible() {
    let (n, count) = (2, 9);
    let mut seen = [0, 0];
    for seed in 0..60 {
        let mut rng = rng(seed);
        let mut model = Model::new();
        let x = model.variable("x", [n]);
        let all: Vec<Constraint> = (0..count)
            .map(|i| {
                let a = normal(&mut rng, n);
                let b = normal(&mut rng, 1)[0];
                let side = constant([n], a.clone()).dot(&x);
                match if seed % 2 == 0 { 0 } else { i % 3 } {
                    0 => side.le(0.5 * b - 0.1),
                    1 => norm2(&(&x - constant([n], a))).le(0.7 + 0.3 * b.abs()),
                    _ => exp(&side).le(1.5 + b.abs()),
                }
            })
            .collect();
        for (at, route) in [Route::Auto, Route::Cones].into_iter().enumerate() {
            let with = |kept: &[usize]| {
                let problem = model
                    .minimize(sum_squares(&x))
                    .subject_to_all(kept.iter().map(|i| all[*i].clone()))
                    .route(route)
                    .compile()
                    .unwrap();
                solve(&problem, &[], 1)
            };
            let every: Vec<usize> = (0..count).collect();
            let solution = with(&every);
            if solution.status() != [Status::PrimalInfeasible] {
                continue;
            }
            let Some(conflict) = solution.conflict(0) else {
                continue;
            };
            seen[at] += 1;
            let named: Vec<usize> = conflict
                .parts
                .iter()
                .map(|part| match part.what {
                    ConflictSource::Constraint { index, .. } => index,
                    _ => panic!("{conflict}"),
                })
                .collect();
            // Helly: in the plane at most three.
            assert!(named.len() <= n + 1, "seed {seed}: {conflict}");
            assert_eq!(with(&named).status(), [Status::PrimalInfeasible]);
            for left_out in 0..named.len() {
                let mut rest = named.clone();
                rest.remove(left_out);
                let status = with(&rest).status()[0];
                assert!(
                    status.is_solved(),
                    "seed {seed}: {status:?} without one of {conflict}"
                );
            }
        }
    }
    println!("{seen:?} conflicts");
    assert!(seen.iter().all(|seen| *seen >= 30), "{seen:?}");
}
