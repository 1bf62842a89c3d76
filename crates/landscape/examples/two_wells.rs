//! A landscape from scan to picture: gradient descent in two wells, its plane, merge tree and pictures.
//!
//!     cargo run -p feasible-landscape --example two_wells -- folder

use std::path::PathBuf;

use feasible_landscape::{
    About, Axes, Axis, Centre, Filtration, HeatMap, HeatMapSettings, Landscape, LinePlot,
    Neighbours, PersistenceDiagram, Plane, ScanOptions, Series, TreePicture, merge_tree, pca, scan,
};

/// Two wells in x, a narrow valley in the other coordinates.
fn loss(p: &[f64]) -> f64 {
    let walls: f64 = p[1..].iter().map(|v| v * v).sum();
    (p[0] * p[0] - 1.0).powi(2) + 0.3 * p[0] + 2.0 * walls
}

/// How far the point is outside of the disc of radius 1.2.
fn violation(p: &[f64]) -> f64 {
    (p.iter().map(|v| v * v).sum::<f64>().sqrt() - 1.2).max(0.0)
}

fn descent(start: Vec<f64>) -> Vec<Vec<f64>> {
    let mut path = vec![start];
    for _ in 0..60 {
        let p = &path[path.len() - 1];
        let mut next: Vec<f64> = p.iter().map(|v| v - 0.03 * 4.0 * v).collect();
        next[0] = p[0] - 0.03 * (4.0 * p[0] * (p[0] * p[0] - 1.0) + 0.3);
        path.push(next);
    }
    path
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("argument: a folder")?);
    std::fs::create_dir_all(&folder)?;
    let path = descent(vec![0.9, 0.7, -0.5, 0.3]);
    let other = descent(vec![-0.2, -0.6, 0.4, 0.1]);

    let plane = pca(&path, Centre::Mean, 2)?.plane(0)?;
    let axes = Axes::grid(Axis::centred(2.5, 50)?, Axis::centred(2.5, 50)?);
    let at = |a, b| {
        let p = plane.point(a, b);
        Ok(vec![loss(&p), violation(&p)])
    };
    let surface = scan(&axes, &["loss", "violation"], &ScanOptions::default(), at)?.finish()?;
    let landscape = Landscape {
        about: About::of(&plane, "Two wells", "examples/two_wells.rs"),
        trajectory: plane.project_all(&path)?,
        surface,
    };
    landscape.write(&folder, "two-wells")?;

    let values = &landscape.surface.quantities[0].values;
    let tree = merge_tree(101, 101, values, Neighbours::Eight, Filtration::Sublevel)?;
    for quantity in ["loss", "violation"] {
        let map = HeatMap {
            surface: &landscape.surface,
            quantity,
            about: &landscape.about,
            trajectory: &landscape.trajectory,
            tree: (quantity == "loss").then_some(&tree),
        };
        let settings = HeatMapSettings {
            contours: 16,
            persistence: 1e-4,
            ..HeatMapSettings::default()
        };
        std::fs::write(
            folder.join(format!("{quantity}.svg")),
            map.to_svg(&settings)?,
        )?;
    }
    let (title, source) = ("Two wells", "examples/two_wells.rs");
    let diagram = PersistenceDiagram {
        tree: &tree,
        title,
        source,
        quantity: "loss",
    };
    std::fs::write(folder.join("persistence.svg"), diagram.to_svg())?;
    let picture = TreePicture {
        tree: &tree,
        title,
        source,
        quantity: "loss",
    };
    std::fs::write(folder.join("tree.svg"), picture.to_svg())?;

    let between = Plane::line(path[60].clone(), &other[60])?;
    let line = Axes::line(Axis::span(-0.5, 1.5, 201)?);
    let along = scan(
        &line,
        &["loss", "violation"],
        &ScanOptions::default(),
        |a, _| {
            let p = between.point(a, 0.0);
            Ok(vec![loss(&p), violation(&p)])
        },
    )?
    .finish()?;
    let plot = LinePlot {
        title: "Between two minimisers".to_owned(),
        source: source.to_owned(),
        x_label: "position between the two".to_owned(),
        y_label: "loss, violation".to_owned(),
        series: along
            .quantities
            .iter()
            .map(|q| Series::new(&q.name, along.a.clone(), q.values.clone()))
            .collect(),
        ..LinePlot::default()
    };
    std::fs::write(folder.join("line.svg"), plot.to_svg()?)?;
    Ok(())
}
