//! What is differentiated at the kinks of cones: the sides have closed forms.
#![allow(missing_docs)]

use feasible_solver::{
    AdjointSettings, Cone, ConeCotangent, ConeProblem, ConeSettings, ConeSolution, ConeTangents,
    ConeWanted, Degenerate, Error, GradientQuality, Sparse, Values, cone_adjoint, cone_tangent,
    solve_cones,
};

/// min ½‖x − target‖² over a cone.
fn with_projection<R>(cone: Cone, target: &[f64], work: impl FnOnce(&ConeProblem<'_>) -> R) -> R {
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
    work(&ConeProblem {
        batch: 1,
        n,
        p: Some(matrix(&ones)),
        q: Values::Shared(&q),
        a: matrix(&minus),
        b: Values::Shared(&b),
        cones: &cones,
    })
}

fn solved(cone: Cone, target: &[f64]) -> Result<ConeSolution, Error> {
    with_projection(cone, target, |problem| {
        solve_cones(problem, &ConeSettings::default())
    })
}

/// The derivative of the projection of `target` on a cone, applied to `cotangent`.
fn projection(
    cone: Cone,
    target: &[f64],
    cotangent: &[f64],
    degenerate: Degenerate,
) -> Result<(Vec<f64>, GradientQuality), Error> {
    let solution = solved(cone, target)?;
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
    let gradients = with_projection(cone, target, |problem| {
        cone_adjoint(problem, &solution, &cotangent, &ConeWanted::ALL, &settings)
    })?;
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

/// A point, its multiplier and the normal of the boundary there, of a kind that has three rows.
fn boundary(cone: Cone) -> ([f64; 3], [f64; 3]) {
    let (point, slope): ([f64; 3], [f64; 3]) = match cone {
        Cone::Power(alpha) => {
            let (x, y): (f64, f64) = (0.8, 1.7);
            let g = x.powf(alpha) * y.powf(1.0 - alpha);
            ([x, y, -g], [-alpha * g / x, -(1.0 - alpha) * g / y, -1.0])
        }
        _ => {
            let (x, y): (f64, f64) = (-0.6, 1.2);
            let e = (x / y).exp();
            ([x, y, y * e], [e, e * (1.0 - x / y), -1.0])
        }
    };
    let norm = slope.iter().map(|v| v * v).sum::<f64>().sqrt();
    (point, slope.map(|v| v / norm))
}

const THREE_ROWS: [Cone; 4] = [
    Cone::Exponential(1),
    Cone::Power(0.5),
    Cone::Power(0.2),
    Cone::Power(0.9),
];

/// On their curved boundaries, as on that of the second-order cone: however they bend, a point that is
/// not pushed loses the normal alone.
#[test]
fn the_boundaries_of_exponential_and_power_cones() {
    let cotangent = [0.7, -1.3, 0.4];
    for cone in THREE_ROWS {
        let (target, normal) = boundary(cone);
        let along: f64 = normal.iter().zip(&cotangent).map(|(n, c)| n * c).sum();
        let without: [f64; 3] = std::array::from_fn(|i| cotangent[i] - along * normal[i]);
        for (choice, expected) in [
            (Degenerate::LeastNorm, without),
            (Degenerate::Held, without),
            (Degenerate::Released, cotangent),
        ] {
            let (got, quality) = projection(cone, &target, &cotangent, choice).unwrap();
            assert_eq!(quality, GradientQuality::Degenerate, "{cone:?}");
            close(&got, &expected);
        }
    }
}

/// At the apex, pushed by a multiplier that is on the dual cone's boundary: it stays, or leaves along the
/// ray that this multiplier touches.
#[test]
fn the_apexes_of_exponential_and_power_cones() {
    let cotangent = [0.7, -1.3, 0.4];
    for cone in THREE_ROWS {
        let (ray, normal) = boundary(cone);
        let size: f64 = ray.iter().map(|v| v * v).sum();
        let along: f64 = ray.iter().zip(&cotangent).map(|(r, c)| r * c).sum();
        let leaving = ray.map(|r| along * r / size);
        let target = normal.map(|n| 1.5 * n);
        for (choice, expected) in [
            (Degenerate::LeastNorm, [0.0; 3]),
            (Degenerate::Held, [0.0; 3]),
            (Degenerate::Released, leaving),
        ] {
            let (got, quality) = projection(cone, &target, &cotangent, choice).unwrap();
            assert_eq!(quality, GradientQuality::Degenerate, "{cone:?}");
            close(&got, &expected);
        }
    }
}

/// The two sides are those of the projection: difference quotients to either side of the kink.
#[test]
fn the_sides_are_one_sided_differences() {
    let project = |cone: Cone, target: &[f64; 3]| {
        let solution = solved(cone, target).unwrap();
        assert!(solution.all_solved());
        solution.x
    };
    for cone in THREE_ROWS {
        let (on, normal) = boundary(cone);
        let size = on.iter().map(|v| v * v).sum::<f64>().sqrt();
        let apex = normal.map(|n| 1.5 * n);
        // Outwards where it is held, and where the apex is, away from the ray.
        for (target, held) in [(on, normal), (apex, on.map(|v| -v / size))] {
            for (choice, sign) in [(Degenerate::Held, 1.0), (Degenerate::Released, -1.0)] {
                // The quotient is off by the boundary's curvature over the step's length.
                let step = 1e-7;
                let moved: [f64; 3] = std::array::from_fn(|i| target[i] + sign * step * held[i]);
                let (from, to) = (project(cone, &target), project(cone, &moved));
                for i in 0..3 {
                    let mut unit = [0.0; 3];
                    unit[i] = 1.0;
                    let (row, _) = projection(cone, &target, &unit, choice).unwrap();
                    let slope: f64 = row.iter().zip(&held).map(|(r, d)| r * sign * d).sum();
                    let quotient = (to[i] - from[i]) / step;
                    assert!(
                        (slope - quotient).abs() < 1e-6,
                        "{cone:?} {choice:?} {i}: {slope} {quotient}"
                    );
                }
            }
        }
    }
}

/// The nearest point with v ≥ y·exp((x + b₀)/y), y = 1 + b₁, to one of the curve itself, (0, 1): held, only
/// what is along the tangent (1, 1) moves it, and b moves the curve; released, it is where it is wanted.
#[test]
fn a_row_of_an_exponential_cone_without_force() {
    let (starts, indices) = ([0, 1, 2], [0, 1]);
    let (a_starts, a_indices) = ([0, 1, 2], [0, 2]);
    let (ones, minus) = ([1.0; 2], [-1.0; 2]);
    let matrix = |rows, starts, indices, values| Sparse {
        rows,
        columns: 2,
        starts,
        indices,
        values: Values::Shared(values),
    };
    let cones = [Cone::Exponential(1)];
    let problem = ConeProblem {
        batch: 1,
        n: 2,
        p: Some(matrix(2, &starts, &indices, &ones)),
        q: Values::Shared(&[0.0, -1.0]),
        a: matrix(3, &a_starts, &a_indices, &minus),
        b: Values::Shared(&[0.0, 1.0, 0.0]),
        cones: &cones,
    };
    let solution = solve_cones(&problem, &ConeSettings::default()).unwrap();
    assert!(solution.all_solved());
    close(&solution.x, &[0.0, 1.0]);
    for (degenerate, of_q, of_b) in [
        (Degenerate::Held, [-0.5, -0.5], [-0.5, -0.5, 0.5]),
        (Degenerate::Released, [-1.0, 0.0], [0.0; 3]),
    ] {
        let settings = AdjointSettings {
            degenerate,
            ..AdjointSettings::default()
        };
        let cotangent = ConeCotangent::of_x(&[1.0, 0.0]);
        let found = cone_adjoint(&problem, &solution, &cotangent, &ConeWanted::ALL, &settings);
        let found = found.unwrap();
        assert_eq!(found.reports[0].quality, GradientQuality::Degenerate);
        close(found.q.as_ref().unwrap(), &of_q);
        close(found.b.as_ref().unwrap(), &of_b);
    }
}
