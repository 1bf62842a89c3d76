//! Pictures: small ones whole, and what every one must have.

use feasible_landscape::{
    About, Axes, Axis, EvaluationError, Filtration, HeatMap, HeatMapSettings, InPlane, LinePlot,
    Neighbours, PersistenceDiagram, PlaneKind, Scaling, ScanOptions, Series, Surface, Threshold,
    TreePicture, merge_tree, scan,
};

fn surface(half: usize) -> Surface {
    let axes = Axes::grid(
        Axis::centred(1.0, half).unwrap(),
        Axis::centred(1.0, half).unwrap(),
    );
    let wells = |a: f64, b: f64| -> Result<Vec<f64>, EvaluationError> {
        let f = (a * a - 0.25).powi(2) + 0.2 * b * b + 0.05 * a;
        Ok(vec![
            f,
            if a > 0.7 && b > 0.2 {
                f64::NAN
            } else {
                f + 0.1
            },
        ])
    };
    scan(
        &axes,
        &["loss", "violation"],
        &ScanOptions::default(),
        wells,
    )
    .unwrap()
    .surface
}

fn about() -> About {
    About {
        title: "Two <wells> & more".to_owned(),
        source: "run \"a\", step 10".to_owned(),
        plane: PlaneKind::Pca,
        labels: [
            "principal direction 1 (91.0 % of variance)".to_owned(),
            "principal direction 2 (5.2 % of variance)".to_owned(),
        ],
        explained: Some([0.91, 0.052]),
    }
}

fn path() -> Vec<InPlane> {
    let at = |a, b, off_plane| InPlane { a, b, off_plane };
    vec![at(0.9, 0.9, 0.25), at(0.2, 0.5, 0.1), at(-0.5, 0.0, 0.0)]
}

/// Well-formed as far as tags go: every one is closed, in order, and no text escapes its place.
fn assert_well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag is closed");
        let tag = &rest[start + 1..end];
        assert!(!tag.contains('<'), "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
    let mut words = svg.split(|c: char| !c.is_alphanumeric());
    let none = |w: &str| matches!(w, "NaN" | "inf" | "Minf" | "Linf" | "MNaN" | "LNaN");
    assert!(!words.any(none), "a number that is none is drawn");
    for part in ["<title>", "<desc>", "role=\"img\"", "viewBox"] {
        assert!(svg.contains(part), "{part}");
    }
}

#[test]
fn a_small_heat_map() {
    let surface = surface(2);
    let svg = HeatMap {
        surface: &surface,
        quantity: "violation",
        about: &about(),
        trajectory: &path(),
        tree: None,
    }
    .to_svg(&HeatMapSettings {
        contours: 2,
        size: (400, 360),
        ..HeatMapSettings::default()
    })
    .unwrap();
    assert_well_formed(&svg);
    insta::assert_snapshot!("heat_map", svg);
}

#[test]
fn a_heat_map_says_what_it_shows() {
    let surface = surface(20);
    let tree = merge_tree(
        41,
        41,
        &surface.quantities[0].values,
        Neighbours::Eight,
        Filtration::Sublevel,
    )
    .unwrap();
    let about = about();
    let path = path();
    let map = HeatMap {
        surface: &surface,
        quantity: "loss",
        about: &about,
        trajectory: &path,
        tree: Some(&tree),
    };
    let settings = HeatMapSettings {
        unit: "$/h".to_owned(),
        ..HeatMapSettings::default()
    };
    let svg = map.to_svg(&settings).unwrap();
    assert_well_formed(&svg);
    for part in [
        "Two &lt;wells&gt; &amp; more",
        "Source: run &quot;a&quot;, step 10",
        "principal direction 1 (91.0 % of variance)",
        "loss [$/h]",
        "off plane ≤ 0.25",
        "○ minimum  × saddle",
    ] {
        assert!(svg.contains(part), "{part}");
    }
    assert!(!svg.contains("url(#undefined)"));
    // Two wells and one saddle between them: two circles, one cross with its outline.
    assert_eq!(svg.matches("r=\"3.5\"").count(), 2);
    assert_eq!(svg.matches("stroke-width=\"1.6\"").count(), 1);

    let violation = HeatMap {
        quantity: "violation",
        ..map
    };
    let svg = violation.to_svg(&settings).unwrap();
    assert!(
        svg.contains("url(#undefined)") && svg.contains("undefined: 96"),
        "hatched and counted"
    );
    // On one range two pictures have one scale.
    let ranged = HeatMapSettings {
        range: Some((-1.0, 3.0)),
        ..settings.clone()
    };
    assert!(
        map.to_svg(&ranged)
            .unwrap()
            .contains("colours: range given")
    );
    // Values that are not above 0 have no logarithm.
    let log = HeatMapSettings {
        scaling: Scaling::Log,
        ..settings.clone()
    };
    let svg = map.to_svg(&log).unwrap();
    assert_well_formed(&svg);
    assert!(svg.contains("undefined or ≤ 0: "));

    assert!(
        HeatMap {
            quantity: "none",
            ..map
        }
        .to_svg(&settings)
        .is_err()
    );
    for range in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0)] {
        let bad = HeatMapSettings {
            range: Some(range),
            ..settings.clone()
        };
        assert!(map.to_svg(&bad).is_err());
    }
    let zero = HeatMapSettings {
        range: Some((0.0, 1.0)),
        scaling: Scaling::Log,
        ..settings.clone()
    };
    assert!(map.to_svg(&zero).is_err());
}

#[test]
fn surfaces_without_shape_are_drawn_all_the_same() {
    let about = about();
    for value in [0.0, -3.0, f64::NAN, f64::INFINITY, 1e300] {
        let mut surface = surface(3);
        surface.quantities[0].values.fill(value);
        for scaling in [Scaling::Linear, Scaling::Log] {
            let map = HeatMap {
                surface: &surface,
                quantity: "loss",
                about: &about,
                trajectory: &[],
                tree: None,
            };
            let settings = HeatMapSettings {
                scaling,
                ..HeatMapSettings::default()
            };
            assert_well_formed(&map.to_svg(&settings).unwrap());
        }
    }
}

fn plot() -> LinePlot {
    let x: Vec<f64> = (0..6).map(f64::from).collect();
    LinePlot {
        title: "Sharpness".to_owned(),
        source: "tests".to_owned(),
        x_label: "step".to_owned(),
        y_label: "eigenvalue".to_owned(),
        y_scaling: Scaling::Log,
        series: vec![
            Series {
                error: vec![0.5; 6],
                ..Series::new("soft", x.clone(), vec![1.0, 2.0, 4.0, f64::NAN, 16.0, 20.0])
            },
            Series::new("repaired", x, vec![10.0, 1.0, 0.1, 0.0, -1.0, 0.1]),
        ],
        thresholds: vec![Threshold {
            name: "2/η".to_owned(),
            value: 18.0,
        }],
        ..LinePlot::default()
    }
}

#[test]
fn a_line_plot() {
    let svg = plot().to_svg().unwrap();
    assert_well_formed(&svg);
    for part in [
        "1 undefined, not drawn",
        "2 not above 0, not drawn",
        "2/η",
        "Source: tests",
    ] {
        assert!(svg.contains(part), "{part}");
    }
    insta::assert_snapshot!("line_plot", svg);
    let mut wrong = plot();
    wrong.series[0].y.pop();
    assert!(wrong.to_svg().is_err());
    let mut wrong = plot();
    wrong.series[0].error.pop();
    assert!(wrong.to_svg().is_err());
    assert_well_formed(&LinePlot::default().to_svg().unwrap());
}

#[test]
fn a_spectral_density() {
    let grid: Vec<f64> = (0..200).map(|i| f64::from(i) * 0.1 - 5.0).collect();
    let density: Vec<f64> = grid.iter().map(|x| (-0.5 * x * x).exp() / 2.5).collect();
    let error: Vec<f64> = density.iter().map(|d| 0.5 * d + 1e-4).collect();
    let svg = LinePlot::spectral_density("Hessian", "tests", &grid, &density, &error)
        .to_svg()
        .unwrap();
    assert_well_formed(&svg);
    assert!(svg.contains("density ± standard error") && svg.contains("fill-opacity"));
}

#[test]
fn a_persistence_diagram_and_a_merge_tree() {
    let values = [3.0, 0.0, 5.0, 1.0, 4.0, 2.0, 6.0];
    let tree = merge_tree(7, 1, &values, Neighbours::Four, Filtration::Sublevel).unwrap();
    let diagram = PersistenceDiagram {
        tree: &tree,
        title: "Valleys",
        source: "tests",
        quantity: "loss",
    }
    .to_svg();
    assert_well_formed(&diagram);
    insta::assert_snapshot!("persistence_diagram", diagram);
    let picture = TreePicture {
        tree: &tree,
        title: "Valleys",
        source: "tests",
        quantity: "loss",
    }
    .to_svg();
    assert_well_formed(&picture);
    insta::assert_snapshot!("merge_tree", picture);
    let nothing = merge_tree(0, 0, &[], Neighbours::Four, Filtration::Sublevel).unwrap();
    assert_well_formed(
        &TreePicture {
            tree: &nothing,
            title: "",
            source: "",
            quantity: "",
        }
        .to_svg(),
    );
    let infinite = merge_tree(
        3,
        1,
        &[f64::NEG_INFINITY, f64::INFINITY, 0.0],
        Neighbours::Four,
        Filtration::Sublevel,
    )
    .unwrap();
    let diagram = PersistenceDiagram {
        tree: &infinite,
        title: "",
        source: "",
        quantity: "",
    }
    .to_svg();
    assert!(diagram.contains("2 infinite, not drawn"));
    assert_well_formed(&diagram);
}

/// Lines of a merge tree do not cross: a horizontal line at a saddle passes no vertical one.
#[test]
fn lines_of_a_merge_tree_do_not_cross() {
    let values: Vec<f64> = (0..400)
        .map(|i| (f64::from(i * i) * 0.37).sin() + f64::from(i % 7) * 0.1)
        .collect();
    let tree = merge_tree(20, 20, &values, Neighbours::Four, Filtration::Sublevel).unwrap();
    let svg = TreePicture {
        tree: &tree,
        title: "t",
        source: "s",
        quantity: "f",
    }
    .to_svg();
    let number = |line: &str, name: &str| -> f64 {
        let start = line.find(&format!(" {name}=\"")).unwrap() + name.len() + 3;
        line[start..].split('"').next().unwrap().parse().unwrap()
    };
    let lines: Vec<[f64; 4]> = svg
        .lines()
        .filter(|l| l.starts_with("<line") && l.contains("stroke-width=\"2\""))
        .filter(|l| !l.contains("y2=\"6\""))
        .map(|l| ["x1", "y1", "x2", "y2"].map(|n| number(l, n)))
        .collect();
    assert!(tree.branches.len() > 30 && lines.len() == 2 * tree.branches.len() - 1);
    for [x1, y, x2, _] in lines.iter().filter(|l| l[1] == l[3] && l[0] != l[2]) {
        for [x, top, _, bottom] in lines.iter().filter(|l| l[0] == l[2]) {
            let between = *x > x1.min(*x2) + 0.01 && *x < x1.max(*x2) - 0.01;
            let spans = *y > top.min(*bottom) + 0.01 && *y < top.max(*bottom) - 0.01;
            assert!(!(between && spans), "({x1}, {y}) to {x2} crosses {x}");
        }
    }
}
