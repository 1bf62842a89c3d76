//! Forward derivatives: transposes of the adjoint, against differences, and whole Jacobians.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_solver::{
    AdjointSettings, Equalities, Error, GradientQuality, Inequalities, Outputs, Parameter, Problem,
    Quadratics, Settings, Solution, SolutionTangent, Symmetric, Tangents, Values, jacobian, solve,
    tangent,
};
use support::derivatives::{
    Loss, direction, gradients, made_degenerate, moved, movement, parts, semidefinite, shape,
    single,
};
use support::{INF, Owned, inner, random};

const PARAMETERS: [Parameter; 10] = [
    Parameter::P,
    Parameter::Q,
    Parameter::A,
    Parameter::B,
    Parameter::G,
    Parameter::L,
    Parameter::U,
    Parameter::QuadraticH,
    Parameter::QuadraticG,
    Parameter::QuadraticC,
];

/// A direction in the layouts of the problem's own parameters.
fn tangents<'a>(owned: &Owned, d: &'a [Vec<f64>; 10]) -> Tangents<'a> {
    let part = |i: usize| {
        let data = &d[i][..];
        (!data.is_empty()).then(|| {
            if owned.parts[i].shared {
                Values::Shared(data)
            } else {
                Values::PerSample(data)
            }
        })
    };
    Tangents {
        p: part(0),
        q: part(1),
        a: part(2),
        b: part(3),
        g: part(4),
        l: part(5),
        u: part(6),
        quadratic_h: part(7),
        quadratic_g: part(8),
        quadratic_c: part(9),
    }
}

fn forward(owned: &Owned, solution: &Solution, d: &[Vec<f64>; 10]) -> SolutionTangent {
    tangent(
        &owned.problem(),
        solution,
        &tangents(owned, d),
        &AdjointSettings::default(),
    )
    .unwrap()
}

fn along(loss: &Loss, tangent: &SolutionTangent) -> f64 {
    inner(&loss.x, &tangent.x)
        + inner(&loss.nu, &tangent.equality_dual)
        + inner(&loss.lambda, &tangent.inequality_dual)
        + inner(&loss.mu, &tangent.quadratic_dual)
}

/// ⟨cotangent, J d⟩ against ⟨Jᵀ cotangent, d⟩, relative to the size of the terms.
fn transposition_error(owned: &Owned, seed: u64) -> f64 {
    let solution = solve(&owned.problem(), &Settings::default()).unwrap();
    assert!(solution.all_solved(), "seed {seed}: {:?}", solution.status);
    let d = direction(owned, seed);
    let loss = Loss::random(owned, seed, true);
    let gradients = gradients(owned, &solution, &loss);
    let tangent = forward(owned, &solution, &d);
    for (a, b) in gradients.reports.iter().zip(&tangent.reports) {
        assert_eq!(a.quality, b.quality, "seed {seed}");
        assert_eq!(a.margin, b.margin, "seed {seed}");
    }
    let (mut backward, mut squares) = (0.0, 0.0);
    for (g, d) in parts(&gradients).iter().zip(&d) {
        for (g, d) in g.iter().zip(d) {
            backward += g * d;
            squares += (g * d).powi(2);
        }
    }
    let forward = along(&loss, &tangent);
    (forward - backward).abs() / forward.abs().max(f64::sqrt(squares)).max(1e-12)
}

fn transposed(seeds: std::ops::Range<u64>, make: impl Fn(u64) -> Vec<Owned>, least: usize) {
    let (mut worst, mut problems) = (0.0f64, 0);
    for seed in seeds {
        for owned in make(seed) {
            let error = transposition_error(&owned, seed);
            // Rounding times the condition of the worst of these systems.
            assert!(error < 1e-10, "seed {seed}: {error:e}");
            worst = worst.max(error);
            problems += 1;
        }
    }
    println!("{problems} problems, worst {worst:.1e}");
    assert!(problems >= least, "{problems}");
}

#[test]
fn transposes_the_adjoint_of_quadratic_programs() {
    transposed(0..300, |seed| vec![random(shape(seed, false), seed)], 300);
}

#[test]
fn transposes_the_adjoint_with_quadratic_rows() {
    let make = |seed| vec![random(shape(seed, true), seed)];
    transposed(10_000..10_200, make, 200);
}

#[test]
fn transposes_the_adjoint_of_semidefinite_and_linear_objectives() {
    transposed(30_000..30_150, |seed| vec![semidefinite(seed)], 150);
}

#[test]
fn transposes_the_adjoint_of_degenerate_samples() {
    let make = |seed| {
        let owned = single(seed);
        let solution = solve(&owned.problem(), &Settings::default()).unwrap();
        made_degenerate(&owned, &solution)
            .into_iter()
            .flatten()
            .collect()
    };
    transposed(40_000..40_150, make, 250);
}

/// Every entry of the derivative of `x` and of all multipliers, on every sample.
#[test]
fn matches_differences_of_solves() {
    let settings = Settings::default();
    let (mut checked, mut samples, mut worst) = (0, 0, 0.0f64);
    let seeds = (0..150).chain(10_000..10_100);
    for seed in seeds {
        let owned = random(shape(seed, seed >= 10_000), seed);
        let solution = solve(&owned.problem(), &settings).unwrap();
        let d = direction(&owned, seed);
        let tangent = forward(&owned, &solution, &d);
        samples += owned.batch;
        let mut open: Vec<usize> = (0..owned.batch).collect();
        // As for the gradients: half-widths tried in turn until no sample changes its rows.
        for step in [2e-6, 2e-7, 2e-8] {
            let at = [-2.0, -1.0, 1.0, 2.0]
                .map(|t| solve(&moved(&owned, &d, t * step).problem(), &settings).unwrap());
            open.retain(|&sample| {
                let report = tangent.reports[sample];
                assert_eq!(report.quality, GradientQuality::Exact, "seed {seed}");
                let far = at
                    .iter()
                    .map(|s| movement(&owned, &solution, s, sample, step))
                    .fold(0.0, f64::max);
                if report.margin < far {
                    return true;
                }
                let error = difference_error(&owned, &tangent, &at, sample, step);
                assert!(
                    error < 1e-6,
                    "seed {seed} sample {sample}: {error:e}, {report:?}"
                );
                worst = worst.max(error);
                checked += 1;
                false
            });
        }
    }
    println!("{checked} samples, worst {worst:.1e}");
    assert_eq!(checked, samples);
}

/// Largest error over the sample's entries, relative to the largest derivative of its kind.
fn difference_error(
    owned: &Owned,
    tangent: &SolutionTangent,
    at: &[Solution; 4],
    sample: usize,
    step: f64,
) -> f64 {
    let quotient = |values: [&Vec<f64>; 4], i: usize| {
        let [far_below, below, above, far_above] = values.map(|v| v[i]);
        (8.0 * (above - below) - (far_above - far_below)) / (12.0 * step)
    };
    type Part = fn(&Solution) -> &Vec<f64>;
    let kinds: [(&Vec<f64>, Part, usize); 4] = [
        (&tangent.x, |s| &s.x, owned.n),
        (&tangent.equality_dual, |s| &s.equality_dual, owned.p_rows),
        (&tangent.inequality_dual, |s| &s.inequality_dual, owned.m),
        (&tangent.quadratic_dual, |s| &s.quadratic_dual, owned.k),
    ];
    let mut worst = 0.0f64;
    // Multipliers and points can differ by orders; rounding of the largest is what all carry.
    let overall = kinds
        .iter()
        .flat_map(|(d, _, len)| &d[sample * len..(sample + 1) * len])
        .fold(1.0f64, |a, v| a.max(v.abs()));
    for (derivative, part, len) in kinds {
        let values = at.each_ref().map(part);
        for i in sample * len..(sample + 1) * len {
            worst = worst.max((derivative[i] - quotient(values, i)).abs() / overall);
        }
    }
    worst
}

/// A direction shared by the batch is the same direction for every sample, whatever layout the
/// parameter has; and derivatives add up.
#[test]
fn layouts_of_directions_are_free() {
    let owned = random(shape(3, true), 3);
    let (batch, n) = (owned.batch, owned.n);
    assert!(batch > 1);
    let problem = owned.problem();
    let solution = solve(&problem, &Settings::default()).unwrap();
    let dq: Vec<f64> = (0..n).map(|i| (i as f64).cos()).collect();
    let run = |values| {
        let tangents = Tangents::only(Parameter::Q, values);
        tangent(&problem, &solution, &tangents, &AdjointSettings::default())
            .unwrap()
            .x
    };
    let repeated = dq.repeat(batch);
    assert_eq!(run(Values::Shared(&dq)), run(Values::PerSample(&repeated)));
    let doubled: Vec<f64> = dq.iter().map(|v| 2.0 * v).collect();
    for (a, b) in run(Values::Shared(&dq))
        .iter()
        .zip(run(Values::Shared(&doubled)))
    {
        assert!((2.0 * a - b).abs() <= 1e-12 * (1.0 + b.abs()));
    }
    let nothing = tangent(
        &problem,
        &solution,
        &Tangents::default(),
        &AdjointSettings::default(),
    );
    assert!(nothing.unwrap().x.iter().all(|v| *v == 0.0));
}

/// Every column of every Jacobian is the derivative along that entry.
#[test]
fn jacobian_columns_are_tangents() {
    let (mut columns, mut worst) = (0, 0.0f64);
    for seed in (0..30).chain(10_000..10_020) {
        let mut shape = shape(seed, seed >= 10_000);
        shape.n = 1 + (seed % 5) as usize;
        shape.p_rows = shape.p_rows.min(shape.n / 2);
        shape.m = shape.m.min(4);
        shape.p_rank = shape.n;
        let owned = random(shape, seed);
        let problem = owned.problem();
        let solution = solve(&problem, &Settings::default()).unwrap();
        let settings = AdjointSettings::default();
        for (part, parameter) in PARAMETERS.into_iter().enumerate() {
            for outputs in [Outputs::Primal, Outputs::PrimalAndDuals] {
                let whole = jacobian(&problem, &solution, parameter, outputs, &settings).unwrap();
                let len = whole.len;
                let data = &owned.parts[part];
                let copies = if data.shared { 1 } else { owned.batch };
                assert_eq!(len * copies, data.data.len());
                assert_eq!(whole.x.len(), owned.batch * owned.n * len);
                let duals = if outputs == Outputs::Primal {
                    0
                } else {
                    owned.batch * len
                };
                assert_eq!(whole.inequality_dual.len(), duals * owned.m);
                for column in 0..len {
                    let mut unit = vec![0.0; len];
                    unit[column] = 1.0;
                    let tangents = Tangents::only(parameter, Values::Shared(&unit));
                    let t = tangent(&problem, &solution, &tangents, &settings).unwrap();
                    for (matrix, vector) in [
                        (&whole.x, &t.x),
                        (&whole.equality_dual, &t.equality_dual),
                        (&whole.inequality_dual, &t.inequality_dual),
                        (&whole.quadratic_dual, &t.quadratic_dual),
                    ] {
                        if matrix.is_empty() {
                            continue;
                        }
                        for (line, v) in matrix.chunks_exact(len).zip(vector) {
                            let error = (line[column] - v).abs() / (1.0 + v.abs());
                            assert!(
                                error < 1e-9,
                                "seed {seed} {parameter:?} {column}: {error:e}"
                            );
                            worst = worst.max(error);
                        }
                    }
                    columns += 1;
                }
            }
        }
    }
    println!("{columns} columns, worst {worst:.1e}");
    assert!(columns > 2000);
}

/// Projection onto the unit disc: `J = (I − xxᵀ)/|y|` outside, `I` inside.
#[test]
fn jacobian_of_a_projection() {
    let q = [-3.0, -4.0, -0.1, 0.2];
    let problem = Problem {
        batch: 2,
        n: 2,
        p: Symmetric::Diagonal(Values::Shared(&[1.0, 1.0])),
        q: Values::PerSample(&q),
        equalities: None,
        inequalities: None,
        quadratics: Some(Quadratics {
            rows: 1,
            h: Symmetric::Diagonal(Values::Shared(&[1.0, 1.0])),
            g: Values::Shared(&[0.0, 0.0]),
            c: Values::Shared(&[1.0]),
        }),
    };
    let solution = solve(&problem, &Settings::default()).unwrap();
    let settings = AdjointSettings::default();
    let found = jacobian(
        &problem,
        &solution,
        Parameter::Q,
        Outputs::Primal,
        &settings,
    )
    .unwrap();
    let expected = [
        -(1.0 - 0.36) / 5.0,
        0.48 / 5.0,
        0.48 / 5.0,
        -(1.0 - 0.64) / 5.0,
        -1.0,
        0.0,
        0.0,
        -1.0,
    ];
    for (a, b) in found.x.iter().zip(expected) {
        assert!((a - b).abs() < 1e-13);
    }
    assert!(
        found
            .reports
            .iter()
            .all(|r| r.quality == GradientQuality::Exact)
    );
    // The radius: x = √c · y/|y|, and one number needs one solve.
    let c = Parameter::QuadraticC;
    let found = jacobian(&problem, &solution, c, Outputs::Primal, &settings).unwrap();
    for (a, b) in found.x.iter().zip([0.3, 0.4, 0.0, 0.0]) {
        assert!((a - b).abs() < 1e-13);
    }
}

#[test]
fn unsolved_samples_and_bad_directions() {
    let u = [1.0, -1.0];
    let problem = Problem {
        batch: 2,
        n: 1,
        p: Symmetric::Diagonal(Values::Shared(&[1.0])),
        q: Values::Shared(&[-3.0]),
        equalities: Some(Equalities {
            rows: 0,
            a: Values::Shared(&[]),
            b: Values::Shared(&[]),
        }),
        inequalities: Some(Inequalities {
            rows: 2,
            g: Values::Shared(&[1.0, -1.0]),
            l: Values::Shared(&[-INF, -INF]),
            u: Values::PerSample(&[u[0], 0.0, u[1], 0.0]),
        }),
        quadratics: None,
    };
    let solution = solve(&problem, &Settings::default()).unwrap();
    assert!(solution.status[0].is_solved() && !solution.status[1].is_solved());
    let settings = AdjointSettings::default();
    let one = [1.0, 1.0];
    let tangents = Tangents::only(Parameter::U, Values::Shared(&one));
    let moved = tangent(&problem, &solution, &tangents, &settings).unwrap();
    assert_eq!(moved.x, [1.0, 0.0]);
    assert_eq!(moved.reports[1].quality, GradientQuality::Unavailable);
    let whole = jacobian(
        &problem,
        &solution,
        Parameter::U,
        Outputs::Primal,
        &settings,
    )
    .unwrap();
    assert_eq!(whole.x, [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(whole.reports[1].quality, GradientQuality::Unavailable);
    // A parameter the problem lacks has no columns.
    let none = jacobian(
        &problem,
        &solution,
        Parameter::B,
        Outputs::Primal,
        &settings,
    )
    .unwrap();
    assert_eq!((none.len, none.x.len(), none.reports.len()), (0, 0, 2));

    let refused =
        |tangents: &Tangents<'_>| tangent(&problem, &solution, tangents, &settings).unwrap_err();
    let error = refused(&Tangents::only(Parameter::G, Values::Shared(&one[..1])));
    assert!(matches!(
        error,
        Error::Shape {
            argument: "tangents.g",
            got: 1,
            expected: 2,
            ..
        }
    ));
    let bad = [0.0, 0.0, 0.0, f64::NAN];
    let error = refused(&Tangents::only(Parameter::U, Values::PerSample(&bad)));
    assert!(matches!(
        error,
        Error::NotFinite {
            argument: "tangents.u",
            sample: Some(1),
            entry: 1,
            ..
        }
    ));
    let error = refused(&Tangents::only(Parameter::B, Values::Shared(&one)));
    assert!(matches!(
        error,
        Error::Shape {
            argument: "tangents.b",
            expected: 0,
            ..
        }
    ));
    let mut other = problem;
    other.batch = 1;
    other.inequalities = None;
    let refused = jacobian(&other, &solution, Parameter::Q, Outputs::Primal, &settings);
    assert!(matches!(refused, Err(Error::ForeignSolution { .. })));
}
