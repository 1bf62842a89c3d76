//! Cone programs with known solutions: values, gradients against central differences on every
//! sample, statuses, degenerate points, bad input.
#![allow(missing_docs)]

mod support;

use feasible_solver::{
    AdjointSettings, Cone, ConeCotangent, ConeProblem, ConeSettings, ConeWanted, Error,
    GradientQuality, Status, Values, cone_adjoint, solve_cones,
};
use support::cones::{KINDS, Pattern, differentiated, nearest, quality, random, solve};
use support::differences::{Tally, gradients_near_kinks, known_solutions_and_their_gradients};
use support::pinned::random_pinned;

#[test]
fn known_solutions() {
    known_solutions_and_their_gradients(7_800, &KINDS);
}

#[test]
fn derivatives_near_kinks() {
    gradients_near_kinks(2_000, &KINDS);
}

/// Vertices and points of smooth boundaries that only the cones pin.
#[test]
fn linear_objectives_and_ones_of_low_rank() {
    let mut tally = Tally::default();
    for seed in 0..3_000 {
        tally.check(seed, &random_pinned(seed, &KINDS));
    }
    tally.finish(5);
}

/// Softmax is the entropy-regularised choice: max cᵀy + H(y) over the simplex. Variables (y, t) with
/// (−t_i, y_i, 1) in the exponential cone: y_i·exp(−t_i/y_i) ≤ 1.
#[test]
fn softmax() {
    let c: [f64; 3] = [0.3, -1.0, 2.0];
    let n = 6;
    let q: Vec<f64> = c.iter().map(|v| -v).chain([1.0; 3]).collect();
    // Rows: Σy = 1; then −t_i + … : s = b − A(y, t).
    let mut dense = vec![vec![0.0; n]; 10];
    let mut b = vec![0.0; 10];
    dense[0][..3].fill(1.0);
    b[0] = 1.0;
    for i in 0..3 {
        dense[1 + 3 * i][3 + i] = 1.0; // s = −t_i
        dense[2 + 3 * i][i] = -1.0; // s = y_i
        b[3 + 3 * i] = 1.0;
    }
    let pattern = Pattern::new(10, n, |row, column| dense[row][column] != 0.0);
    let values: Vec<f64> = pattern
        .places()
        .iter()
        .map(|&(row, column)| dense[row][column])
        .collect();
    let cones = [Cone::Zero(1), Cone::Exponential(3)];
    let problem = ConeProblem {
        batch: 1,
        n,
        p: None,
        q: Values::Shared(&q),
        a: pattern.with(Values::Shared(&values)),
        b: Values::Shared(&b),
        cones: &cones,
    };
    let solution = solve_cones(&problem, &ConeSettings::default()).unwrap();
    assert!(solution.all_solved());
    let total: f64 = c.iter().map(|v| v.exp()).sum();
    let y: Vec<f64> = c.iter().map(|v| v.exp() / total).collect();
    for (got, expected) in solution.x.iter().zip(&y) {
        assert!((got - expected).abs() < 1e-12, "{got} {expected}");
    }
    // ∂y_0/∂c = y_0(e_0 − y); q = −c.
    let gradients = cone_adjoint(
        &problem,
        &solution,
        &ConeCotangent {
            x: &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            z: None,
            s: None,
        },
        &ConeWanted::ALL,
        &AdjointSettings::default(),
    )
    .unwrap();
    assert_eq!(gradients.reports[0].quality, GradientQuality::Exact);
    let q = gradients.q.unwrap();
    for j in 0..3 {
        let expected = -y[0] * (if j == 0 { 1.0 } else { 0.0 } - y[j]);
        assert!((q[j] - expected).abs() < 1e-12, "{} {expected}", q[j]);
    }
}

#[test]
fn kinks_and_repeated_rows_are_flagged() {
    let identity = Pattern::new(2, 2, |row, column| row == column);
    let both = Pattern::new(2, 2, |row, column| row == column);
    let ones = [1.0, 1.0];
    // x ≥ 0 with the minimiser on the bound.
    let numbers: [&[f64]; 4] = [&ones, &[0.0, -1.0], &[-1.0, -1.0], &[0.0, 0.0]];
    let cones = [Cone::Nonnegative(2)];
    let (status, quality_, _) = quality(&nearest(&identity, &both, &numbers, &cones));
    assert_eq!(
        (status, quality_),
        (Status::Solved, GradientQuality::Degenerate)
    );
    // The same equality twice.
    let rows = Pattern::new(2, 2, |_, column| column == 0);
    let numbers: [&[f64]; 4] = [&ones, &[-3.0, 0.0], &[1.0, 1.0], &[1.0, 1.0]];
    let cones = [Cone::Zero(2)];
    let (status, quality_, gradients) = quality(&nearest(&identity, &rows, &numbers, &cones));
    assert_eq!(
        (status, quality_),
        (Status::Solved, GradientQuality::Degenerate)
    );
    // Least norm: both share the derivative.
    let b = gradients.b.unwrap();
    assert!(
        (b[0] - 0.5).abs() < 1e-9 && (b[1] - 0.5).abs() < 1e-9,
        "{b:?}"
    );
    // The tip of a second-order cone, touched without force: x = 0 is the minimiser of ½‖x‖².
    let rows = Pattern::new(3, 2, |row, column| row == column + 1);
    let numbers: [&[f64]; 4] = [&ones, &[0.0, 0.0], &[-1.0, -1.0], &[0.0, 0.0, 0.0]];
    let cones = [Cone::SecondOrder(3)];
    let (_, quality_, _) = quality(&nearest(&identity, &rows, &numbers, &cones));
    assert_ne!(quality_, GradientQuality::Exact);
}

#[test]
fn infeasible_and_unbounded_samples_have_certificates_and_spare_the_others() {
    // x ≤ b₀ and −x ≤ b₁, min ½p x² + qx.
    let p = Pattern::new(1, 1, |_, _| true);
    let a = Pattern::new(2, 1, |_, _| true);
    let (p_values, q) = ([1.0, 1.0, 0.0, 1.0], [-3.0, 0.0, 1.0, 0.5]);
    let b = [1.0, 0.0, -1.0, -1.0, 1.0, f64::MAX.sqrt(), 1.0, 1.0];
    let b: Vec<f64> = b.iter().map(|v: &f64| v.min(1e19)).collect();
    let values = [1.0, -1.0];
    let cones = [Cone::Nonnegative(2)];
    let problem = ConeProblem {
        batch: 4,
        n: 1,
        p: Some(p.with(Values::PerSample(&p_values))),
        q: Values::PerSample(&q),
        a: a.with(Values::Shared(&values)),
        b: Values::PerSample(&b),
        cones: &cones,
    };
    let (solution, gradients) = differentiated(&problem, &[1.0; 4]);
    assert_eq!(solution.status[0], Status::Solved);
    assert_eq!(solution.status[1], Status::PrimalInfeasible);
    assert_eq!(solution.status[3], Status::Solved);
    assert!((solution.x[0] - 1.0).abs() < 1e-12 && (solution.x[3] + 0.5).abs() < 1e-12);
    let z = &solution.z[2..4];
    assert!(z[0] > 0.0 && (z[0] - z[1]).abs() < 1e-6 * z[0]);
    assert_eq!(gradients.reports[1].quality, GradientQuality::Unavailable);
    assert_eq!(gradients.b.unwrap()[2..4], [0.0, 0.0]);
    let q = gradients.q.unwrap();
    assert!(q[1] == 0.0 && (q[3] + 1.0).abs() < 1e-12);

    // min −x with x ≥ 0 only.
    let a = Pattern::new(1, 1, |_, _| true);
    let cones = [Cone::Nonnegative(1)];
    let problem = ConeProblem {
        batch: 1,
        n: 1,
        p: None,
        q: Values::Shared(&[-1.0]),
        a: a.with(Values::Shared(&[-1.0])),
        b: Values::Shared(&[0.0]),
        cones: &cones,
    };
    let solution = solve_cones(&problem, &ConeSettings::default()).unwrap();
    assert_eq!(solution.status[0], Status::DualInfeasible);
    assert!(solution.x[0] > 0.0);
}

#[test]
fn bad_input_is_named() {
    let (owned, ..) = random(3, &KINDS);
    let good = owned.problem();
    let settings = ConeSettings::default();
    let message =
        |problem: &ConeProblem<'_>| solve_cones(problem, &settings).unwrap_err().to_string();
    let cones = [Cone::Power(1.5)];
    let bad = ConeProblem {
        cones: &cones,
        ..good
    };
    assert!(
        message(&bad).contains("`cones[0]` has exponent 1.5"),
        "{}",
        message(&bad)
    );
    let cones = [Cone::SecondOrder(0)];
    let bad = ConeProblem {
        cones: &cones,
        ..good
    };
    assert!(message(&bad).contains("`cones[0]` has no rows"));
    if cfg!(not(feature = "semidefinite")) {
        let cones = [Cone::Semidefinite(2)];
        let bad = ConeProblem {
            cones: &cones,
            ..good
        };
        assert!(message(&bad).contains("`cones[0]` is semidefinite, which needs the feature"));
    }
    let cones = [Cone::Zero(99)];
    let bad = ConeProblem {
        cones: &cones,
        ..good
    };
    assert!(
        message(&bad).contains("the pattern of `a` has"),
        "{}",
        message(&bad)
    );
    let q = vec![f64::NAN; owned.parts[1].0.len()];
    let bad = ConeProblem {
        q: Values::PerSample(&q),
        ..good
    };
    assert!(message(&bad).contains("`q` is NaN at entry 0 of sample 0"));
    let bad = ConeProblem {
        q: Values::Shared(&[0.0]),
        ..good
    };
    assert!(matches!(
        solve_cones(&bad, &settings),
        Err(Error::Shape {
            argument: "q",
            got: 1,
            ..
        })
    ));
    let mut negative = owned.clone();
    negative.parts[0].0[0] = -5.0;
    assert!(message(&negative.problem()).contains("`p` matrix 0 of the shared data"));
    let mut lower = owned.clone();
    let starts = (0..=owned.n).map(|c| if c == 0 { 0 } else { 1 }).collect();
    lower.p = Pattern {
        starts,
        indices: vec![1],
        ..lower.p
    };
    lower.parts[0].0.truncate(1);
    assert!(message(&lower.problem()).contains("below the diagonal"));
    let mut pattern = owned.clone();
    pattern.a.indices[0] = 1000;
    assert!(message(&pattern.problem()).contains("pattern of `a`"));
    let empty = ConeProblem {
        batch: 0,
        q: Values::PerSample(&[]),
        b: Values::PerSample(&[]),
        a: owned.a.with(Values::PerSample(&[])),
        ..good
    };
    assert!(solve_cones(&empty, &settings).unwrap().x.is_empty());
    let foreign = solve(&owned);
    assert!(matches!(
        cone_adjoint(
            &empty,
            &foreign,
            &ConeCotangent {
                x: &[],
                z: None,
                s: None
            },
            &ConeWanted::ALL,
            &AdjointSettings::default()
        ),
        Err(Error::ForeignSolution { .. })
    ));
    let none = owned.of(1, 0).len();
    assert_eq!(none, owned.n);
}
