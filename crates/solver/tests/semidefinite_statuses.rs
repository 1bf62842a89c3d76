//! Semidefinite programs without solutions, bad input, and numbers of extreme sizes.
#![cfg(feature = "semidefinite")]
#![allow(missing_docs)]

mod support;

use feasible_solver::{
    Cone, ConeProblem, ConeSettings, ConeSolution, Error, Status, Values, solve_cones,
};
use support::cones::{MATRICES, Pattern, random, rows_of};
use support::{inner, normal, rng};

fn solve(n: usize, q: &[f64], a: &[Vec<f64>], b: &[f64], cones: &[Cone]) -> ConeSolution {
    let pattern = Pattern::new(b.len(), n, |_, _| true);
    let values: Vec<f64> = pattern.places().iter().map(|&(i, j)| a[i][j]).collect();
    let problem = ConeProblem {
        batch: 1,
        n,
        p: None,
        q: Values::Shared(q),
        a: pattern.with(Values::Shared(&values)),
        b: Values::Shared(b),
        cones,
    };
    solve_cones(&problem, &ConeSettings::default()).unwrap()
}

/// The smallest eigenvalue of a 2×2 matrix in rows.
fn lowest(rows: &[f64]) -> f64 {
    let (mean, half) = (0.5 * (rows[0] + rows[2]), 0.5 * (rows[0] - rows[2]));
    mean - half.hypot(rows[1] / std::f64::consts::SQRT_2)
}

#[test]
fn infeasible_programs_have_a_certificate() {
    // [−1 x; x y] has a negative entry on its diagonal whatever x and y.
    let a = [
        vec![0.0, 0.0],
        vec![-std::f64::consts::SQRT_2, 0.0],
        vec![0.0, -1.0],
    ];
    let b = [-1.0, 0.0, 0.0];
    let solution = solve(2, &[1.0, 1.0], &a, &b, &[Cone::Semidefinite(2)]);
    assert_eq!(solution.status[0], Status::PrimalInfeasible);
    let z = &solution.z;
    let size = z.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    assert!(inner(&b, z) < -0.1 * size && lowest(z) > -1e-6 * size);
    for column in 0..2 {
        let sum: f64 = (0..3).map(|i| a[i][column] * z[i]).sum();
        assert!(sum.abs() < 1e-6 * size);
    }
}

#[test]
fn unbounded_programs_have_a_ray() {
    // xI + [0 1; 1 0] semidefinite, and x is wanted large.
    let a = [vec![-1.0], vec![0.0], vec![-1.0]];
    let b = rows_of(2, |i, j| if i == j { 0.0 } else { 1.0 });
    let solution = solve(1, &[-1.0], &a, &b, &[Cone::Semidefinite(2)]);
    assert_eq!(solution.status[0], Status::DualInfeasible);
    assert!(solution.x[0] > 0.0);
    let s = &solution.s;
    for i in 0..3 {
        assert!((a[i][0] * solution.x[0] + s[i]).abs() < 1e-6 * solution.x[0]);
    }
    assert!(lowest(s) > -1e-6 * solution.x[0]);
}

/// Infeasible, but by less than any distance: no certificate exists, and none may be claimed solved.
#[test]
fn weak_infeasibility_is_not_solved() {
    // [x 1; 1 0] comes as close to semidefinite as one likes.
    let a = [vec![-1.0], vec![0.0], vec![0.0]];
    let b = rows_of(2, |i, j| if i == j { 0.0 } else { 1.0 });
    let solution = solve(1, &[1.0], &a, &b, &[Cone::Semidefinite(2)]);
    assert_ne!(solution.status[0], Status::Solved);
}

#[test]
fn bad_input_is_named() {
    let (owned, ..) = random(2, &MATRICES);
    let message = |cones: &[Cone]| {
        let problem = ConeProblem {
            cones,
            ..owned.problem()
        };
        solve_cones(&problem, &ConeSettings::default())
            .unwrap_err()
            .to_string()
    };
    assert!(message(&[Cone::Zero(1), Cone::Semidefinite(0)]).contains("`cones[1]` has size 0"));
    assert!(message(&[Cone::Semidefinite(20)]).contains("must have 210 and"));
    // A size whose rows are more than can be counted.
    let huge = [
        Cone::Semidefinite(usize::MAX),
        Cone::Exponential(usize::MAX),
    ];
    assert!(message(&huge).contains("the pattern of `a` has"));
    let n = owned.n;
    let mut q = normal(&mut rng(1), owned.batch * n);
    q[1] = f64::NAN;
    let problem = ConeProblem {
        q: Values::PerSample(&q),
        ..owned.problem()
    };
    let error = solve_cones(&problem, &ConeSettings::default()).unwrap_err();
    assert!(matches!(error, Error::NotFinite { argument: "q", .. }));
}

/// Sizes at which products overflow or vanish end in a status, never in a panic.
#[test]
fn extreme_sizes_end_in_a_status() {
    for seed in 0..40 {
        let (owned, ..) = random(seed, &MATRICES);
        for scale in [1e-300, 1e-150, 1e-20, 1e20, 1e100, 1e150, 1e200, 1e300] {
            for part in 0..4 {
                let mut scaled = owned.clone();
                for v in &mut scaled.parts[part].0 {
                    *v *= scale;
                }
                let solution = solve_cones(&scaled.problem(), &ConeSettings::default()).unwrap();
                for (i, status) in solution.status.iter().enumerate() {
                    let x = &solution.x[i * owned.n..(i + 1) * owned.n];
                    assert!(!status.is_solved() || x.iter().all(|v| v.is_finite()));
                }
            }
        }
    }
}

#[test]
fn names_in_files() {
    let text = serde_json::to_string(&Cone::Semidefinite(3)).unwrap();
    assert_eq!(text, r#"{"psd":3}"#);
    assert_eq!(
        serde_json::from_str::<Cone>(&text).unwrap(),
        Cone::Semidefinite(3)
    );
}
