//! Models whose bounds cross at some parameters: one sample's infeasibility, or its closest feasible
//! problem with derivatives of variables and of both bounds' dual values.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_model::{
    AdjointSettings, CompiledProblem, Cotangent, Form, GradientQuality, Handle, Infeasible, Model,
    Settings, Solution, SolveSettings, Status, norm2, sum_squares,
};
use support::{Input, close, directions, each, normal, rng, shared, values};

const WEIGHT: f64 = 20.0;

/// Numbers up to the weight from small systems, relative to themselves: the worst of this file is 4e-16.
const ROUNDING: f64 = 1e-14;

fn elastic() -> SolveSettings {
    SolveSettings {
        dense: Settings {
            infeasible: Infeasible::Elastic { weight: WEIGHT },
            ..Settings::default()
        },
        ..SolveSettings::default()
    }
}

/// Both sides of `x` from parameters, a floor at twice another, and a budget.
fn bounded() -> CompiledProblem {
    let mut model = Model::new();
    let x = model.variable("x", [3]);
    let y = model.parameter("y", [3]);
    let (low, high) = (model.parameter("low", [3]), model.parameter("high", []));
    model
        .minimize(sum_squares(&x - y))
        .subject_to(x.ge(low).named("low"))
        .subject_to(x.le(high).named("high"))
        .subject_to(x.sum().le(4.0).named("budget"))
        .compile()
        .unwrap()
}

/// Sample 1's second entry crosses, and sample 2's first two do; all of shared `high`.
fn inputs() -> [Input; 3] {
    [
        each("y", vec![0.3, -0.5, 2.0, 0.4, 0.9, 0.2, -0.3, 9.0, 0.1]),
        each("low", vec![-1.0, 0.0, 0.2, 0.1, 1.7, -0.5, 2.0, 1.3, -3.0]),
        shared("high", vec![1.0]),
    ]
}

fn solve(problem: &CompiledProblem, inputs: &[Input], settings: &SolveSettings) -> Solution {
    problem.solve(&values(inputs), 3, settings).unwrap()
}

/// Only the crossed samples fail, each by the names of its bounds; the others keep their bits.
#[test]
fn a_crossed_sample_fails_alone() {
    let problem = bounded();
    assert!(matches!(
        problem.form(),
        Form::Qp {
            inequalities: 4,
            ..
        }
    ));
    let solution = solve(&problem, &inputs(), &SolveSettings::default());
    let infeasible = Status::PrimalInfeasible;
    assert_eq!(solution.status(), [Status::Solved, infeasible, infeasible]);
    assert_eq!(
        solution.conflict(1).unwrap().to_string(),
        "`low` at entry 1 and `high` at entry 1 conflict"
    );
    assert!(
        solution
            .variable("x")
            .unwrap()
            .iter()
            .all(|v| v.is_finite())
    );
    let relaxed = solve(&problem, &inputs(), &elastic());
    assert_eq!(
        relaxed.status(),
        [Status::Solved, Status::Relaxed, Status::Relaxed]
    );
    assert_eq!(relaxed.conflict(1), solution.conflict(1));
    let first = |solution: &Solution| solution.variable("x").unwrap()[..3].to_vec();
    assert_eq!(first(&solution), first(&relaxed));
    // By hand: free of their bounds, between them, beyond the lower one.
    let w = WEIGHT;
    let between = |y: f64, l: f64| (2.0 * y + w * (l + 1.0)) / (2.0 + 2.0 * w);
    let expected = [
        0.4,
        between(0.9, 1.7),
        0.2,
        between(-0.3, 2.0),
        (18.0 + w) / (2.0 + w),
        0.1,
    ];
    close(&relaxed.variable("x").unwrap()[3..], &expected, ROUNDING);
    let x = &relaxed.variable("x").unwrap()[3..];
    let (low, high) = (relaxed.dual("low").unwrap(), relaxed.dual("high").unwrap());
    let expected_low = [0.0, w * (1.7 - x[1]), 0.0, w * (2.0 - x[3]), 0.0, 0.0];
    let expected_high = [
        0.0,
        w * (x[1] - 1.0),
        0.0,
        w * (x[3] - 1.0),
        w * (x[4] - 1.0),
        0.0,
    ];
    close(&low[3..], &expected_low, ROUNDING);
    close(&high[3..], &expected_high, ROUNDING);
    close(
        &relaxed.violation("low").unwrap()[1..],
        &[1.7 - x[1], 2.0 - x[3]],
        ROUNDING,
    );
}

/// Constants are dealt with as parameters are: the policy is the solve's, so compiling does not refuse them.
#[test]
fn constant_bounds_that_cross() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let problem = model
        .minimize(sum_squares(&x))
        .subject_to(x.ge(2.0).named("low"))
        .subject_to(x.le(1.0).named("high"))
        .compile()
        .unwrap();
    let solution = problem.solve(&[], 1, &SolveSettings::default()).unwrap();
    assert_eq!(solution.status(), [Status::PrimalInfeasible]);
    assert_eq!(
        solution.conflict(0).unwrap().to_string(),
        "`low` at entry 0 and `high` at entry 0 conflict"
    );
    let relaxed = problem.solve(&[], 1, &elastic()).unwrap();
    assert_eq!(relaxed.status(), [Status::Relaxed]);
    // x = w(2 + 1)/(2 + 2w).
    let expected = 3.0 * WEIGHT / (2.0 + 2.0 * WEIGHT);
    close(relaxed.variable("x").unwrap(), &[expected; 2], ROUNDING);
}

/// Bounds that cross by rounding touch, in a sample of shared and own ones.
#[test]
fn bounds_that_touch_are_equal() {
    let problem = bounded();
    let mut given = inputs();
    given[1].data = [1.0 + 2e-16, 0.0, 0.0].repeat(3);
    for settings in [SolveSettings::default(), elastic()] {
        let solution = solve(&problem, &given, &settings);
        assert_eq!(solution.status(), [Status::Solved; 3]);
        close(&solution.variable("x").unwrap()[..1], &[1.0], ROUNDING);
    }
}

/// Bounds from single precision that cross by its rounding: an equality there, as at their middle.
#[test]
fn bounds_that_cross_by_the_rounding_of_single_precision() {
    let (l, u) = (f64::from(0.1f32 + 0.6), f64::from(0.7f32));
    assert!(l > u);
    let problem = bounded();
    let inputs = |low: f64, high: f64| {
        [
            each("y", vec![0.3, -0.5, 2.0, 0.4, 0.9, 0.2, -0.3, 9.0, 0.1]),
            each("low", [low, -3.0, low].repeat(3)),
            shared("high", vec![high]),
        ]
    };
    let given = inputs(l, u);
    let double = solve(&problem, &given, &SolveSettings::default());
    assert_eq!(double.status(), [Status::PrimalInfeasible; 3]);
    let middle = 0.5 * (l + u);
    for mut settings in [SolveSettings::default(), elastic()] {
        settings.dense.rounding = f64::from(f32::EPSILON);
        let solution = solve(&problem, &given, &settings);
        let equal = solve(&problem, &inputs(middle, middle), &settings);
        assert_eq!(solution.status(), [Status::Solved; 3]);
        let x = solution.variable("x").unwrap();
        // The middle entry has its upper bound as given.
        let free = |y: f64| y.min(u);
        let expected = [-0.5, 0.9, 9.0].map(|y| [middle, free(y), middle]).concat();
        close(x, &expected, ROUNDING);
        for name in ["low", "high", "budget"] {
            let (got, expected) = (solution.dual(name).unwrap(), equal.dual(name).unwrap());
            // Of numbers as far apart as the bounds, times the objective's curvature.
            close(&got, &expected, 1e-6);
        }
        let ones = [1.0; 9];
        let duals = [0.5; 9];
        let cotangent = Cotangent {
            variables: &[("x", &ones)],
            duals: &[(Handle::Name("low"), &duals)],
        };
        let adjoint = AdjointSettings::default();
        let of = |solution: &Solution| {
            let wanted = ["y", "low", "high"];
            let found = problem
                .adjoint(solution, &cotangent, &wanted, &adjoint)
                .unwrap();
            for report in &found.reports {
                assert_eq!(report.quality, GradientQuality::Exact);
            }
            wanted
                .map(|name| found.parameter(name).unwrap().to_vec())
                .concat()
        };
        close(&of(&solution), &of(&equal), ROUNDING);
    }
}

/// A sample that gives way elsewhere: the duals of bounds that touch are those of equal ones.
#[test]
fn touching_bounds_of_a_relaxed_sample() {
    let (l, u) = (f64::from(0.1f32 + 0.6), f64::from(0.7f32));
    let middle = 0.5 * (l + u);
    let mut settings = elastic();
    settings.dense.rounding = f64::from(f32::EPSILON);
    // Where x is at the two bounds' middle without a push, and with one from either side.
    for y in [middle, 0.0, 2.0] {
        let problem = bounded();
        let solved = |low: f64, high: f64| {
            let given = [
                each("y", [y, 0.0, 0.0].repeat(3)),
                each("low", [low, 1.9, -1.0].repeat(3)),
                shared("high", vec![high]),
            ];
            let solution = solve(&problem, &given, &settings);
            assert_eq!(solution.status(), [Status::Relaxed; 3]);
            let duals = ["low", "high"].map(|name| solution.dual(name).unwrap());
            if y == middle {
                // Nothing pushes, and the gap of the two is none.
                assert!(duals.iter().all(|dual| dual[0].abs() < 1e-12), "{duals:?}");
            }
            duals.concat()
        };
        // The other bound moves by as much as rounding, times the weight.
        close(&solved(l, u), &solved(middle, middle), 1e-5);
    }
}

/// Rows of cones cannot give way: the policy is refused by name, not passed over.
#[test]
fn a_model_in_cones_refuses_the_elastic_policy() {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let y = model.parameter("y", [2]);
    let problem = model
        .minimize(sum_squares(&x - y))
        .subject_to(norm2(&x).le(1.0))
        .subject_to(x.ge(2.0))
        .compile()
        .unwrap();
    assert!(matches!(problem.form(), Form::Cone { .. }));
    let given = [shared("y", vec![0.5, 0.5])];
    let report = problem.solve(&values(&given), 1, &SolveSettings::default());
    let report = report.unwrap();
    assert_eq!(report.status(), [Status::PrimalInfeasible]);
    for error in [
        problem.solve(&values(&given), 1, &elastic()).unwrap_err(),
        problem
            .solve_from(&values(&given), 1, &report, &elastic())
            .unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            "setting `dense.infeasible` is Elastic { weight: 20.0 } but must be Report for a model \
             that is solved in cones, whose rows cannot give way"
        );
    }
}

/// Numbers of x and of the duals of both bounds, every one of every sample, against differences; their
/// Jacobians, tangents and gradients against each other.
#[test]
fn derivatives_against_differences() {
    let problem = bounded();
    let given = inputs();
    let settings = AdjointSettings::default();
    let solution = solve(&problem, &given, &elastic());
    let names = ["low", "high", "budget"];
    let all = |solution: &Solution, i: usize| -> Vec<f64> {
        let mut out = solution.variable("x").unwrap()[i * 3..(i + 1) * 3].to_vec();
        for name in names {
            let duals = solution.dual(name).unwrap();
            let size = duals.len() / 3;
            out.extend(&duals[i * size..(i + 1) * size]);
        }
        out
    };
    // Piecewise linear: any step that stays on its piece is exact but for rounding, 1e-14 a number.
    let step = 1e-4;
    let mut worst = 0.0f64;
    for (k, input) in given.iter().enumerate() {
        let jacobians: Vec<_> =
            std::iter::once(problem.jacobian(&solution, "x", input.name, &settings))
                .chain(
                    names.map(|name| problem.dual_jacobian(&solution, name, input.name, &settings)),
                )
                .map(Result::unwrap)
                .collect();
        for jacobian in &jacobians {
            let exact = |r: &feasible_model::GradientReport| r.quality == GradientQuality::Exact;
            assert!(jacobian.reports.iter().all(exact));
        }
        let columns = jacobians[0].columns;
        for column in 0..columns {
            let at = |by: f64| {
                let mut given = given.clone();
                for copy in given[k].data.chunks_exact_mut(columns) {
                    copy[column] += by;
                }
                solve(&problem, &given, &elastic())
            };
            let (above, below) = (at(step), at(-step));
            for i in 0..3 {
                let lines = jacobians.iter().flat_map(|j| {
                    let own = &j.values[i * j.rows * columns..(i + 1) * j.rows * columns];
                    own.iter().skip(column).step_by(columns)
                });
                let (above, below) = (all(&above, i), all(&below, i));
                for (at, got) in lines.enumerate() {
                    let measured = (above[at] - below[at]) / (2.0 * step);
                    let error = (got - measured).abs();
                    // Rounding of numbers as large as 40 over the step.
                    assert!(
                        error < 1e-9,
                        "sample {i}, number {at} by {}[{column}]: {got} {measured}",
                        input.name
                    );
                    worst = worst.max(error);
                }
            }
        }
    }
    println!("worst {worst:.1e}");
    let mut rng = rng(6);
    let d = directions(&given, &mut rng);
    let tangent = problem.tangent(&solution, &values(&d), &settings).unwrap();
    let weights: Vec<Vec<f64>> = [9, 9, 9, 3].map(|len| normal(&mut rng, len)).into();
    let cotangent = Cotangent {
        variables: &[("x", &weights[0])],
        duals: &[
            (Handle::Name("low"), &weights[1]),
            (Handle::Name("high"), &weights[2]),
            (Handle::Name("budget"), &weights[3]),
        ],
    };
    let wanted = ["y", "low", "high"];
    let found = problem
        .adjoint(&solution, &cotangent, &wanted, &settings)
        .unwrap();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut forward = dot(&weights[0], tangent.variable("x").unwrap());
    for (name, w) in names.iter().zip(&weights[1..]) {
        forward += dot(w, tangent.dual(*name).unwrap());
    }
    let backward: f64 = d
        .iter()
        .map(|d| dot(found.parameter(d.name).unwrap(), &d.data))
        .sum();
    close(&[forward], &[backward], ROUNDING);
}

/// All parameters shared: the gradients are sums over the batch.
#[test]
fn shared_bounds_that_cross() {
    let problem = bounded();
    let given = [
        shared("y", vec![0.4, 0.9, 0.2]),
        shared("low", vec![0.1, 1.7, -0.5]),
        shared("high", vec![1.0]),
    ];
    let solution = solve(&problem, &given, &elastic());
    assert_eq!(solution.status(), [Status::Relaxed; 3]);
    let ones = [0.0, 1.0, 0.0].repeat(3);
    let cotangent = Cotangent {
        variables: &[],
        duals: &[(Handle::Name("high"), &ones)],
    };
    let settings = AdjointSettings::default();
    let found = problem
        .adjoint(&solution, &cotangent, &["y", "low", "high"], &settings)
        .unwrap();
    // λ = w(x − u) and x = (2y + w(l + u))/(2 + 2w).
    let w = WEIGHT;
    let of_bounds = w / (2.0 + 2.0 * w);
    close(
        found.parameter("high").unwrap(),
        &[3.0 * w * (of_bounds - 1.0)],
        ROUNDING,
    );
    close(
        found.parameter("low").unwrap(),
        &[0.0, 3.0 * w * of_bounds, 0.0],
        ROUNDING,
    );
    close(
        found.parameter("y").unwrap(),
        &[0.0, 3.0 * w / (1.0 + w), 0.0],
        ROUNDING,
    );
}
