//! What is differentiated at the kinks of cones: the sides have closed forms.
#![allow(missing_docs)]

use feasible_solver::{
    AdjointSettings, Cone, ConeCotangent, ConeProblem, ConeSettings, ConeTangents, ConeWanted,
    Degenerate, Error, GradientQuality, Sparse, Values, cone_adjoint, cone_tangent, solve_cones,
};

/// The derivative of the projection of `target` on a cone, applied to `cotangent`.
fn projection(
    cone: Cone,
    target: &[f64],
    cotangent: &[f64],
    degenerate: Degenerate,
) -> Result<(Vec<f64>, GradientQuality), Error> {
    let n = target.len();
    let (starts, indices): (Vec<usize>, Vec<usize>) = ((0..=n).collect(), (0..n).collect());
    let (ones, minus) = (vec![1.0; n], vec![-1.0; n]);
    let matrix = |values| Sparse {
        rows: n,
        columns: n,
        starts: &starts,
        indices: &indices,
        values: Values::Shared(values),
    };
    let q: Vec<f64> = target.iter().map(|v| -v).collect();
    let (b, cones) = (vec![0.0; n], [cone]);
    let problem = ConeProblem {
        batch: 1,
        n,
        p: Some(matrix(&ones)),
        q: Values::Shared(&q),
        a: matrix(&minus),
        b: Values::Shared(&b),
        cones: &cones,
    };
    let solution = solve_cones(&problem, &ConeSettings::default())?;
    assert!(solution.all_solved());
    let cotangent = ConeCotangent {
        x: cotangent,
        z: None,
        s: None,
    };
    let settings = AdjointSettings {
        degenerate,
        ..AdjointSettings::default()
    };
    let gradients = cone_adjoint(&problem, &solution, &cotangent, &ConeWanted::ALL, &settings)?;
    // x depends on the target, −q.
    let of_target = gradients.q.unwrap().iter().map(|v| -v).collect();
    Ok((of_target, gradients.reports[0].quality))
}

#[track_caller]
fn close(got: &[f64], expected: &[f64]) {
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-6, "{got} instead of {expected}");
    }
}

/// At 0 the projection on the nonnegative numbers has the slopes 0 and 1.
#[test]
fn the_corner_of_a_half_line() {
    for (choice, slope) in [
        (Degenerate::LeastNorm, 0.0),
        (Degenerate::Held, 0.0),
        (Degenerate::Released, 1.0),
    ] {
        let (got, quality) =
            projection(Cone::Nonnegative(2), &[0.0, 1.0], &[1.0, 1.0], choice).unwrap();
        close(&got, &[slope, 1.0]);
        assert_eq!(quality, GradientQuality::Degenerate);
    }
}

/// On the boundary of the second-order cone the projection is the identity from inside, and loses
/// the outward normal from outside.
#[test]
fn the_boundary_of_a_second_order_cone() {
    let half = 0.5f64.sqrt();
    let target = [1.0, 0.6, 0.8];
    let normal = [half, -0.6 * half, -0.8 * half];
    let (held, quality) =
        projection(Cone::SecondOrder(3), &target, &normal, Degenerate::Held).unwrap();
    assert_eq!(quality, GradientQuality::Degenerate);
    close(&held, &[0.0; 3]);
    let (released, _) =
        projection(Cone::SecondOrder(3), &target, &normal, Degenerate::Released).unwrap();
    close(&released, &normal);
}

/// The semidefinite matrix with eigenvalues 2 and 0: the direction of the second is the normal.
#[test]
fn the_boundary_of_semidefinite_matrices() {
    let root = 2.0f64.sqrt();
    let (target, normal) = ([1.0, root, 1.0], [0.5, -0.5 * root, 0.5]);
    let cone = Cone::Semidefinite(2);
    let (held, quality) = projection(cone, &target, &normal, Degenerate::Held).unwrap();
    assert_eq!(quality, GradientQuality::Degenerate);
    close(&held, &[0.0; 3]);
    let (released, _) = projection(cone, &target, &normal, Degenerate::Released).unwrap();
    close(&released, &normal);
}

/// Away from kinks every choice but the smoothed one is the derivative.
#[test]
fn elsewhere_there_is_no_choice() {
    let run = |choice| {
        projection(
            Cone::SecondOrder(3),
            &[0.1, 2.0, -1.0],
            &[1.0, 2.0, 3.0],
            choice,
        )
    };
    let (exact, quality) = run(Degenerate::LeastNorm).unwrap();
    assert_eq!(quality, GradientQuality::Exact);
    assert_eq!(run(Degenerate::Held).unwrap().0, exact);
    assert_eq!(run(Degenerate::Released).unwrap().0, exact);
}

/// The central path of the projection of a number on the nonnegative ones is ½(t + √(t² + 4μ)): at the
/// kink its slope is ½ for every μ.
#[test]
fn the_central_path_of_a_corner() {
    let mu = 0.01;
    let choice = Degenerate::Smoothed { mu };
    let (got, quality) =
        projection(Cone::Nonnegative(3), &[0.0, 1.0, -0.5], &[1.0; 3], choice).unwrap();
    let slope = |t: f64| 0.5 * (1.0 + t / (t * t + 4.0 * mu).sqrt());
    for (got, t) in got.iter().zip([0.0, 1.0, -0.5]) {
        assert!((got - slope(t)).abs() < 1e-9, "{got} at {t}");
    }
    assert_eq!(quality, GradientQuality::Degenerate);
    let (_, quality) = projection(Cone::Nonnegative(1), &[1.0], &[1.0], choice).unwrap();
    assert_eq!(quality, GradientQuality::Smoothed);
}

/// The same of a second-order cone and of semidefinite matrices, by their eigenvalues: closed forms of
/// the point, differentiated by central differences, at a kink and away from it.
#[test]
fn the_central_path_of_spectral_cones() {
    let mu: f64 = 0.02;
    let f = |v: f64| 0.5 * (v + (v * v + 4.0 * mu).sqrt());
    let ball = |y: &[f64]| -> Vec<f64> {
        let r = (y[1] * y[1] + y[2] * y[2]).sqrt();
        let (up, down) = (f(y[0] + r), f(y[0] - r));
        let along = 0.5 * (up - down) / r;
        vec![0.5 * (up + down), along * y[1], along * y[2]]
    };
    // [[a, b/√2], [b/√2, c]] has the eigenvalues m ± r with m the mean of a and c.
    let matrix = |y: &[f64]| -> Vec<f64> {
        let (m, d) = (0.5 * (y[0] + y[2]), 0.5 * (y[0] - y[2]));
        let off = y[1] / 2.0f64.sqrt();
        let r = (d * d + off * off).sqrt();
        let (up, down) = (f(m + r), f(m - r));
        let (mean, along) = (0.5 * (up + down), 0.5 * (up - down) / r);
        vec![mean + along * d, along * y[1], mean - along * d]
    };
    type Path<'a> = &'a dyn Fn(&[f64]) -> Vec<f64>;
    let cases: [(Cone, Path<'_>, [f64; 3]); 6] = [
        (Cone::SecondOrder(3), &ball, [0.3, 0.5, -0.2]),
        (Cone::SecondOrder(3), &ball, [1.0, 0.6, 0.8]),
        (Cone::SecondOrder(3), &ball, [-2.0, 0.6, 0.8]),
        (Cone::Semidefinite(2), &matrix, [0.4, 1.1, -0.3]),
        (Cone::Semidefinite(2), &matrix, [1.0, 2.0f64.sqrt(), 1.0]),
        (Cone::Semidefinite(2), &matrix, [-1.0, 0.2, -0.7]),
    ];
    for (cone, path, target) in cases {
        let cotangent = [0.7, -1.3, 0.4];
        let choice = Degenerate::Smoothed { mu };
        let (got, _) = projection(cone, &target, &cotangent, choice).unwrap();
        for at in 0..3 {
            let moved = |t: f64| {
                let mut y = target;
                y[at] += t;
                let x = path(&y);
                x.iter().zip(&cotangent).map(|(x, c)| x * c).sum::<f64>()
            };
            let step = 1e-5;
            let expected = (moved(step) - moved(-step)) / (2.0 * step);
            assert!(
                (got[at] - expected).abs() < 1e-8,
                "{cone:?}: {} {expected}",
                got[at]
            );
        }
    }
}

/// With μ to zero the smoothed derivative tends to the exact one, and tangent and adjoint stay
/// transposes.
#[test]
fn smoothed_derivatives_of_whole_programs() {
    let n = 4;
    let (starts, indices): (Vec<usize>, Vec<usize>) = ((0..=n).collect(), (0..n).collect());
    let p = [1.0, 2.0, 0.5, 1.5];
    let q = [-1.0, 0.5, 2.0, -0.3];
    let rows = 1 + 2 + 4;
    let wave = |at: usize| (1.3 + 0.9 * at as f64).sin();
    let a: Vec<f64> = (0..rows * n).map(wave).collect();
    let (all, every): (Vec<usize>, Vec<usize>) = (
        (0..=n).map(|column| column * rows).collect(),
        (0..n).flat_map(|_| 0..rows).collect(),
    );
    let b = [0.1, 0.6, 0.4, 1.5, 0.2, -0.1, 0.3];
    let cones = [Cone::Zero(1), Cone::Nonnegative(2), Cone::SecondOrder(4)];
    let problem = ConeProblem {
        batch: 1,
        n,
        p: Some(Sparse {
            rows: n,
            columns: n,
            starts: &starts,
            indices: &indices,
            values: Values::Shared(&p),
        }),
        q: Values::Shared(&q),
        a: Sparse {
            rows,
            columns: n,
            starts: &all,
            indices: &every,
            values: Values::Shared(&a),
        },
        b: Values::Shared(&b),
        cones: &cones,
    };
    let solution = solve_cones(&problem, &ConeSettings::default()).unwrap();
    assert!(solution.all_solved());
    let of_x: Vec<f64> = (0..n).map(|at| wave(3 * at)).collect();
    let cotangent = ConeCotangent::of_x(&of_x);
    let with = |degenerate| {
        let settings = AdjointSettings {
            degenerate,
            ..AdjointSettings::default()
        };
        let all = cone_adjoint(&problem, &solution, &cotangent, &ConeWanted::ALL, &settings);
        (all.unwrap(), settings)
    };
    let exact = with(Degenerate::LeastNorm).0;
    assert_eq!(exact.reports[0].quality, GradientQuality::Exact);
    let mut errors = vec![];
    for mu in [1e-2, 1e-4, 1e-6, 1e-8] {
        let (smoothed, settings) = with(Degenerate::Smoothed { mu });
        assert_eq!(smoothed.reports[0].quality, GradientQuality::Smoothed);
        let directions: Vec<f64> = (0..a.len()).map(|at| wave(7 * at)).collect();
        let tangents = ConeTangents {
            a: Some(Values::Shared(&directions)),
            q: Some(Values::Shared(&directions[..n])),
            ..ConeTangents::default()
        };
        let velocity = cone_tangent(&problem, &solution, &tangents, &settings).unwrap();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let backwards = dot(smoothed.a.as_ref().unwrap(), &directions)
            + dot(smoothed.q.as_ref().unwrap(), &directions[..n]);
        assert!((dot(&velocity.x, &of_x) - backwards).abs() < 1e-10 * backwards.abs().max(1.0));
        let (got, expected) = (smoothed.b.unwrap(), exact.b.as_ref().unwrap());
        let error = got.iter().zip(expected).map(|(a, b)| (a - b).abs());
        errors.push(error.fold(0.0, f64::max));
    }
    assert!(
        errors.windows(2).all(|pair| pair[1] < pair[0]),
        "{errors:?}"
    );
    assert!(errors[3] < 1e-6, "{errors:?}");
}
