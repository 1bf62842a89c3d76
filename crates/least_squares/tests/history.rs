//! What is recorded of iterations, against Levenberg-Marquardt's method written down a second time for two
//! unknowns, and what callbacks see of them.

mod common;

use std::sync::Mutex;

use feasible_least_squares::{
    AutoCost, Builder, Control, Damping, Inputs, LevenbergMarquardt, Manifold, Objective, Real,
    Record, Residual, Robust, Settings, Shape, Step, Stopping, Values, VariableId, Weight,
};

/// Rows a exp(−b tᵢ) − yᵢ.
struct Decay;

const T: [f64; 5] = [0.0, 0.5, 1.0, 2.0, 4.0];
const Y: [f64; 5] = [2.1, 1.3, 0.4, 0.9, -0.2];
const WEIGHTS: [f64; 5] = [1.0, 2.0, 0.7, 1.5, 0.9];

impl Residual for Decay {
    fn rows(&self) -> usize {
        5
    }
    fn evaluate<R: Real>(&self, variables: &[&[R]], _: &[&[R]], out: &mut [R]) {
        let (a, b) = (variables[0][0], variables[0][1]);
        for (out, (t, y)) in out.iter_mut().zip(T.into_iter().zip(Y)) {
            *out = a * (b * -t).exp() - y;
        }
    }
}

/// Weighted rows, each with its derivatives.
type Rows = Vec<(f64, [f64; 2])>;

/// One problem in two unknowns: as an objective, and as weighted rows with their Jacobian by hand.
struct Problem {
    name: &'static str,
    objective: Objective,
    x: VariableId,
    rows: fn(&[f64; 2]) -> Rows,
    robust: Robust,
    starts: [[f64; 2]; 2],
}

fn objective(
    residual: impl Residual + 'static,
    weight: Weight,
    robust: Robust,
) -> (Objective, VariableId) {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(2)).unwrap();
    builder
        .cost("f", AutoCost::new(residual), &[x], &[], weight, robust)
        .unwrap();
    (builder.build().unwrap(), x)
}

fn problems() -> Vec<Problem> {
    let decay = |name, robust| {
        let (objective, x) = objective(Decay, Weight::diagonal(WEIGHTS), robust);
        Problem {
            name,
            objective,
            x,
            rows: |x| {
                let rows = T.into_iter().zip(Y).zip(WEIGHTS);
                rows.map(|((t, y), w)| {
                    let e = (-x[1] * t).exp();
                    (w * (x[0] * e - y), [w * e, -w * x[0] * t * e])
                })
                .collect()
            },
            robust,
            starts: [[0.3, 3.0], [4.0, -0.4]],
        }
    };
    let (valley, x) = objective(common::Rosenbrock, Weight::Identity, Robust::None);
    vec![
        Problem {
            name: "valley",
            objective: valley,
            x,
            rows: |x| {
                vec![
                    (10.0 * (x[1] - x[0] * x[0]), [-20.0 * x[0], 10.0]),
                    (1.0 - x[0], [-1.0, 0.0]),
                ]
            },
            robust: Robust::None,
            starts: [[-1.2, 1.0], [0.5, -2.0]],
        },
        decay("decay", Robust::None),
        decay("decay, Cauchy", Robust::Cauchy { scale: 1.5 }),
    ]
}

/// Cost, gradient and Gauss-Newton matrix, with the loss's weight ρ' of the one cost.
fn normal_equations(problem: &Problem, x: &[f64; 2]) -> (f64, [f64; 2], [[f64; 2]; 2]) {
    let rows = (problem.rows)(x);
    let square: f64 = rows.iter().map(|(r, _)| r * r).sum();
    let (loss, first) = match problem.robust {
        Robust::Cauchy { scale } => {
            let q = square / (scale * scale);
            (scale * scale * (1.0 + q).ln(), 1.0 / (1.0 + q))
        }
        _ => (square, 1.0),
    };
    let (mut g, mut m) = ([0.0; 2], [[0.0; 2]; 2]);
    for (r, j) in rows {
        for i in 0..2 {
            g[i] += first * r * j[i];
            for k in 0..2 {
                m[i][k] += first * j[i] * j[k];
            }
        }
    }
    (0.5 * loss, g, m)
}

/// At most so many iterations, ended before the cost's rounding decides on steps. Each with the point after it.
fn by_hand(
    problem: &Problem,
    start: [f64; 2],
    lm: &LevenbergMarquardt,
    most: usize,
) -> Vec<(Record, [f64; 2])> {
    let (mut x, mut lambda, mut growth) = (start, lm.initial, 2.0);
    let mut records = Vec::new();
    while records.len() < most {
        let (cost, g, m) = normal_equations(problem, &x);
        if g[0].abs().max(g[1].abs()) < 1e-3 {
            break;
        }
        let damped = |i: usize| match lm.shape {
            Shape::Spherical => m[i][i] + lambda,
            Shape::Ellipsoidal { floor } => m[i][i] + lambda * (m[i][i] + floor),
        };
        let (a, b, d) = (damped(0), m[0][1], damped(1));
        let determinant = a * d - b * b;
        let delta = [
            (b * g[1] - d * g[0]) / determinant,
            (b * g[0] - a * g[1]) / determinant,
        ];
        let next = [x[0] + delta[0], x[1] + delta[1]];
        let after = normal_equations(problem, &next).0;
        let linear = g[0] * delta[0] + g[1] * delta[1];
        let quadratic = (0..2)
            .map(|i| delta[i] * (m[i][0] * delta[0] + m[i][1] * delta[1]))
            .sum::<f64>();
        let gain = (cost - after) / -(linear + 0.5 * quadratic);
        let accepted = match lm.damping {
            Damping::Fixed => true,
            Damping::Factors { accept, .. } => gain > accept,
            Damping::Nielsen => gain > 0.0,
        };
        let record = Record {
            cost,
            gradient: g[0].abs().max(g[1].abs()),
            damping: lambda,
            step_norm: delta[0].hypot(delta[1]),
            gain_ratio: gain,
            accepted,
        };
        match lm.damping {
            Damping::Fixed => {}
            Damping::Factors { down, .. } if accepted => lambda /= down,
            Damping::Factors { up, .. } => lambda *= up,
            Damping::Nielsen if accepted => {
                lambda *= f64::max(1.0 / 3.0, 1.0 - (2.0 * gain - 1.0).powi(3));
                growth = 2.0;
            }
            Damping::Nielsen => {
                lambda *= growth;
                growth *= 2.0;
            }
        }
        if accepted {
            x = next;
        }
        records.push((record, x));
    }
    records
}

fn dampings() -> Vec<LevenbergMarquardt> {
    let lm = LevenbergMarquardt::default();
    vec![
        lm,
        LevenbergMarquardt {
            shape: Shape::Ellipsoidal { floor: 1e-3 },
            damping: Damping::Factors {
                down: 3.0,
                up: 2.0,
                accept: 0.25,
            },
            ..lm
        },
        LevenbergMarquardt {
            damping: Damping::Nielsen,
            ..lm
        },
        LevenbergMarquardt {
            damping: Damping::Fixed,
            initial: 3.0,
            ..lm
        },
    ]
}

fn close(got: f64, expected: f64) -> bool {
    // Rounding, which the iterations carry on and the gain ratio's difference of costs magnifies.
    (got - expected).abs() <= 1e-8 * expected.abs()
}

#[test]
fn records_are_those_of_the_method_written_a_second_time() {
    let (mut records, mut rejected) = (0, 0);
    for problem in problems() {
        for lm in dampings() {
            for (sample, start) in problem.starts.into_iter().enumerate() {
                let expected = by_hand(&problem, start, &lm, 12);
                let place = format!("{}, start {sample}, {lm:?}", problem.name);
                assert!(expected.len() >= 3, "{place}: {}", expected.len());
                let settings = Settings {
                    max_iterations: expected.len(),
                    step: Step::LevenbergMarquardt(lm),
                    stopping: Stopping {
                        gradient: 0.0,
                        cost: 0.0,
                        step: 0.0,
                    },
                    ..Settings::default()
                };
                // The other start is there to be kept apart.
                let starts = problem.starts.concat();
                let inputs =
                    Inputs::new(&problem.objective, 2).start(problem.x, Values::PerSample(&starts));
                let seen = Mutex::new(Vec::new());
                let solution = problem
                    .objective
                    .solve_with(&inputs, &settings, &|iteration| {
                        if iteration.sample == sample {
                            let x = iteration.variable(problem.x).to_vec();
                            let mut seen = seen.lock().unwrap();
                            seen.push((iteration.iteration, iteration.record, x));
                        }
                        Control::Continue
                    })
                    .unwrap();
                let history = &solution.history[sample];
                let seen = seen.into_inner().unwrap();
                assert_eq!(history.len(), expected.len(), "{place}");
                assert_eq!(seen.len(), expected.len(), "{place}");
                for (i, (record, (expected, x))) in history.iter().zip(&expected).enumerate() {
                    let both = format!("{place}, iteration {i}: {record:?} {expected:?}");
                    for (got, expected) in [
                        (record.cost, expected.cost),
                        (record.gradient, expected.gradient),
                        (record.damping, expected.damping),
                        (record.step_norm, expected.step_norm),
                        (record.gain_ratio, expected.gain_ratio),
                    ] {
                        assert!(close(got, expected), "{both}");
                    }
                    assert_eq!(record.accepted, expected.accepted, "{both}");
                    records += 1;
                    rejected += usize::from(!record.accepted);
                    let (iteration, told, at) = &seen[i];
                    assert_eq!((*iteration, told), (i + 1, record), "{place}");
                    assert!(
                        close(at[0], x[0]) && close(at[1], x[1]),
                        "{both}: {at:?} {x:?}"
                    );
                }
            }
        }
    }
    assert!(records > 150 && rejected > 10, "{records} {rejected}");
}
