//! Directions, planes, principal directions.

use feasible_landscape::{
    Axis, Centre, Error, Filters, Group, InPlane, Plane, PlaneKind, WithoutFilters, orthonormalise,
    pca, random_direction,
};

fn norm(v: &[f64]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn groups() -> Vec<Group> {
    vec![
        Group::of_shape("weight", &[3, 2]),
        Group::of_shape("bias", &[2]),
        Group::of_shape("kernel", &[2, 1, 2, 1]),
    ]
}

/// 6 weights, 2 biases, 4 kernel entries.
const PARAMETERS: [f64; 12] = [
    1.0, 10.0, 2.0, 20.0, 2.0, 0.0, 5.0, -5.0, 3.0, 4.0, 0.0, 0.0,
];

#[test]
fn a_direction_is_as_long_as_each_filter() {
    let d = random_direction(&PARAMETERS, &groups(), WithoutFilters::Zero, 1).unwrap();
    // A neuron's weights are a column: entries 0, 2, 4 and 1, 3, 5.
    for c in 0..2 {
        let column = |v: &[f64]| norm(&[v[c], v[c + 2], v[c + 4]]);
        assert!((column(&d) - column(&PARAMETERS)).abs() < 1e-12);
    }
    assert_eq!(d[6..8], [0.0, 0.0]);
    assert!((norm(&d[8..10]) - 5.0).abs() < 1e-12);
    // A filter that is 0 has no length to give.
    assert_eq!(d[10..], [0.0, 0.0]);

    let own = random_direction(&PARAMETERS, &groups(), WithoutFilters::OwnNorm, 1).unwrap();
    assert!((norm(&own[6..8]) - 50f64.sqrt()).abs() < 1e-12);
    assert_eq!(own[..6], d[..6]);
    let other = random_direction(&PARAMETERS, &groups(), WithoutFilters::Zero, 2).unwrap();
    assert_ne!(d, other);
    // Rows, as torch lays a matrix out.
    let rows = Group {
        filters: Filters::Rows,
        ..Group::of_shape("weight", &[2, 3])
    };
    let d = random_direction(&PARAMETERS[..6], &[rows], WithoutFilters::Zero, 1).unwrap();
    assert!((norm(&d[..3]) - norm(&PARAMETERS[..3])).abs() < 1e-12);
    assert!((norm(&d[3..]) - norm(&PARAMETERS[3..6])).abs() < 1e-12);
}

#[test]
fn groups_that_do_not_fit_are_refused() {
    let said = |p: &[f64], g: &[Group]| {
        random_direction(p, g, WithoutFilters::Zero, 0)
            .unwrap_err()
            .to_string()
    };
    assert!(said(&PARAMETERS[..5], &groups()).contains("`groups` holds 12"));
    let mut bad = PARAMETERS;
    bad[4] = f64::NAN;
    assert!(said(&bad, &groups()).contains("entry 4"));
    let huge = [Group::of_shape("huge", &[usize::MAX, 2])];
    assert!(said(&[], &huge).contains("more entries"));
    let empty = [Group::of_shape("empty", &[0, 3])];
    assert!(
        random_direction(&[], &empty, WithoutFilters::OwnNorm, 0)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn orthonormal_directions_span_the_same() {
    let q = orthonormalise(&[vec![3.0, 0.0, 4.0], vec![1.0, 1.0, 1.0]]).unwrap();
    assert!((dot(&q[0], &q[1])).abs() < 1e-15);
    assert!((q[0][0] - 0.6).abs() < 1e-15 && (norm(&q[1]) - 1.0).abs() < 1e-15);
    for bad in [
        vec![vec![0.0, 0.0]],
        vec![vec![1.0, 2.0], vec![-2.0, -4.0]],
        vec![vec![1.0], vec![1.0, 2.0]],
        vec![vec![f64::NAN, 0.0]],
    ] {
        assert!(orthonormalise(&bad).is_err(), "{bad:?}");
    }
}

#[test]
fn the_centre_is_the_origin_bit_for_bit() {
    let origin = vec![0.1, -0.0, 1e-300, -7.0];
    let plane = Plane::new(
        origin.clone(),
        vec![1.0, 2.0, 0.0, 0.0],
        vec![0.0, 1.0, 1.0, 0.0],
        PlaneKind::Given,
    )
    .unwrap();
    let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&plane.point(0.0, 0.0)), bits(&origin));
    assert_eq!(bits(&plane.point(-0.0, 0.0)), bits(&origin));
    assert_eq!(plane.point(2.0, -1.0), [2.1, 3.0, -1.0, -7.0]);
}

#[test]
fn a_point_is_projected_to_the_nearest_of_the_plane() {
    // Directions that are not orthogonal.
    let u = vec![1.0, 0.0, 0.0];
    let plane = Plane::new(
        vec![1.0, 1.0, 1.0],
        u,
        vec![1.0, 1.0, 0.0],
        PlaneKind::Given,
    )
    .unwrap();
    let seen = plane.project(&[4.0, 3.0, 6.0]).unwrap();
    assert!(
        (seen.a - 1.0).abs() < 1e-14 && (seen.b - 2.0).abs() < 1e-14,
        "{seen:?}"
    );
    assert!((seen.off_plane - 5.0).abs() < 1e-14);
    assert!(plane.project(&[1.0]).is_err());
    assert!(plane.project(&[1.0, f64::INFINITY, 0.0]).is_err());

    let line = Plane::line(vec![0.0, 0.0], &[3.0, 4.0]).unwrap();
    assert_eq!(line.point(1.0, 0.0), [3.0, 4.0]);
    let seen = line.project(&[-4.0, 3.0]).unwrap();
    assert_eq!(
        seen,
        InPlane {
            a: 0.0,
            b: 0.0,
            off_plane: 5.0
        }
    );
    assert!(Plane::line(vec![1.0], &[1.0]).is_err());
}

#[test]
fn three_points_are_in_their_plane() {
    let (zero, one, two) = (vec![1.0, 0.0, 2.0], [3.0, 1.0, 2.0], [0.0, 5.0, 0.0]);
    let plane = Plane::through(zero, &one, &two).unwrap();
    let at_one = plane.project(&one).unwrap();
    assert!((at_one.a - 1.0).abs() < 1e-14 && at_one.b.abs() < 1e-14);
    let at_two = plane.project(&two).unwrap();
    assert!(at_two.b > 0.0 && at_two.off_plane < 1e-14);
    let [u, v] = plane.directions();
    assert!(dot(u, v).abs() < 1e-14 && (norm(u) - norm(v)).abs() < 1e-14);
    assert!(Plane::through(vec![0.0, 0.0], &[1.0, 1.0], &[2.0, 2.0]).is_err());
}

/// Points of an ellipse in two of four dimensions, with a small drift in a third.
fn ellipse() -> Vec<Vec<f64>> {
    (0..40)
        .map(|i| {
            let t = i as f64 / 40.0 * std::f64::consts::TAU;
            vec![
                5.0 + 3.0 * t.cos(),
                1.0,
                t.sin() - 2.0,
                0.01 * (2.0 * t).cos(),
            ]
        })
        .collect()
}

#[test]
fn principal_directions_are_those_of_the_points() {
    let points = ellipse();
    let found = pca(&points, Centre::Mean, 4).unwrap();
    // Variances 9/2, 1/2 and 0.0001/2; the fourth dimension never moves.
    assert_eq!(found.directions.len(), 3);
    assert!((found.directions[0][0].abs() - 1.0).abs() < 1e-12);
    assert!((found.directions[1][2].abs() - 1.0).abs() < 1e-12);
    assert!((found.explained[0] - 4.5 / 5.00005).abs() < 1e-12);
    assert!((found.explained[1] - 0.5 / 5.00005).abs() < 1e-12);
    assert!((found.spectrum.iter().sum::<f64>() - 1.0).abs() < 1e-12);

    let plane = found.plane(0).unwrap();
    assert_eq!(plane.origin(), &points[39][..]);
    assert!(
        plane.labels()[0].contains("90.0 % of variance"),
        "{:?}",
        plane.labels()
    );
    let seen = plane.project_all(&points).unwrap();
    let last = seen[39];
    assert!(last.a.abs() < 1e-12 && last.b.abs() < 1e-12 && last.off_plane < 1e-12);
    for (p, s) in points.iter().zip(&seen) {
        let drift = (p[3] - points[39][3]).abs();
        assert!((s.off_plane - drift).abs() < 1e-12);
        let along = (p[0] - points[39][0]).abs();
        assert!((s.a.abs() - along).abs() < 1e-12);
    }
}

#[test]
fn centring_on_the_final_point_counts_the_way_to_it() {
    // Far away from the end along x, spread along y: the mean-centred direction is y.
    let mut points: Vec<Vec<f64>> = (0..20).map(|i| vec![100.0, f64::from(i)]).collect();
    points.push(vec![0.0, 10.0]);
    let mean = pca(&points, Centre::Mean, 1).unwrap();
    let last = pca(&points, Centre::Final, 1).unwrap();
    assert!(last.directions[0][0].abs() > 0.99);
    assert!(mean.explained[0] < last.explained[0]);
    // A mean of squares about the last point, not about the mean.
    let total: f64 = points
        .iter()
        .map(|p| p[0] * p[0] + (p[1] - 10.0).powi(2))
        .sum();
    assert!((last.explained[0] * total - 200_000.0).abs() < 0.01 * total);
}

#[test]
fn a_straight_trajectory_has_one_direction() {
    let points: Vec<Vec<f64>> = (0..5)
        .map(|i| vec![f64::from(i), 2.0 * f64::from(i), 0.0])
        .collect();
    let found = pca(&points, Centre::Mean, 2).unwrap();
    assert_eq!(found.directions.len(), 1);
    assert!((found.explained[0] - 1.0).abs() < 1e-12);
    let plane = found.plane(3).unwrap();
    assert_eq!(plane.explained().unwrap()[1], 0.0);
    assert!(plane.labels()[1].starts_with("random direction"));
    let [u, v] = plane.directions();
    assert!(dot(u, v).abs() < 1e-12);

    let still = vec![vec![1.0, 2.0]; 4];
    assert!(matches!(
        pca(&still, Centre::Mean, 2),
        Err(Error::Argument { .. })
    ));
    assert!(pca(&points[..1], Centre::Mean, 2).is_err());
    assert!(pca(&[], Centre::Mean, 2).is_err());
    assert!(pca(&[vec![0.0], vec![1.0, 2.0]], Centre::Mean, 2).is_err());
    // One dimension has a line and no plane.
    let one = pca(&[vec![0.0], vec![1.0]], Centre::Mean, 2).unwrap();
    assert!(one.plane(0).is_err());
}

#[test]
fn zero_is_on_every_axis_that_passes_it() {
    let centred = Axis::centred(0.3, 25).unwrap();
    assert_eq!(centred.points(), 51);
    assert_eq!(centred.coordinates()[25].to_bits(), 0.0f64.to_bits());
    assert_eq!(
        (centred.coordinates()[0], centred.coordinates()[50]),
        (-0.3, 0.3)
    );
    let span = Axis::span(-0.5, 1.5, 401).unwrap();
    assert_eq!(span.centre(), Some(100));
    assert!((span.coordinates()[300] - 1.0).abs() < 1e-14);
    assert!(
        Axis::span(-0.5, 1.5, 400)
            .unwrap_err()
            .to_string()
            .contains("passes 0")
    );
    assert_eq!(
        Axis::span(1.0, 2.0, 3).unwrap().coordinates(),
        [1.0, 1.5, 2.0]
    );
    assert_eq!(Axis::span(0.0, 1.0, 2).unwrap().centre(), Some(0));
    for bad in [
        (1.0, 1.0),
        (2.0, 1.0),
        (f64::NAN, 1.0),
        (0.0, f64::INFINITY),
    ] {
        assert!(Axis::span(bad.0, bad.1, 5).is_err());
    }
    assert!(Axis::span(0.0, 1.0, 1).is_err());
    assert!(Axis::centred(0.0, 3).is_err() && Axis::centred(1.0, 0).is_err());
}
