//! What is differentiated at the kinks of cones: the sides have closed forms.
#![allow(missing_docs)]

use feasible_solver::{
    AdjointSettings, Cone, ConeCotangent, ConeProblem, ConeSettings, ConeWanted, Degenerate, Error,
    GradientQuality, Sparse, Values, cone_adjoint, solve_cones,
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

/// Away from kinks every choice is the derivative, and there is none that smooths.
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
    let refused = run(Degenerate::Smoothed { mu: 1e-3 })
        .unwrap_err()
        .to_string();
    assert!(refused.contains("`degenerate.mu` is 0.001"), "{refused}");
}
