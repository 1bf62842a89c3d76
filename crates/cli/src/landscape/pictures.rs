//! Pictures of one quantity of a landscape, and what they show in numbers.

use std::path::{Path, PathBuf};

use anyhow::Context;
use feasible_landscape::{
    Filtration, HeatMap, HeatMapSettings, Landscape, LinePlot, MergeTree, Neighbours,
    PersistenceDiagram, Scaling, Series, TreePicture, merge_tree,
};

/// Basins of less than this share of the range are not counted: the pictures do not mark them either.
const PERSISTENCE: f64 = 0.01;

/// How to draw.
pub(super) struct Settings {
    pub(super) log: bool,
    pub(super) topology: bool,
}

/// What was drawn of a quantity.
pub(super) struct Picture {
    pub(super) quantity: String,
    pub(super) files: Vec<PathBuf>,
    /// `None` where it is nowhere finite.
    pub(super) smallest: Option<f64>,
    pub(super) largest: Option<f64>,
    /// At the checkpoint; `None` where that is no point.
    pub(super) centre: Option<f64>,
    pub(super) undefined: usize,
    /// Basins of the grid, the deepest first; empty on a line.
    pub(super) minima: Vec<Minimum>,
}

pub(super) struct Minimum {
    pub(super) at: (f64, f64),
    pub(super) value: f64,
    pub(super) persistence: f64,
}

/// Draws a quantity that the landscape has into `<name>-<quantity>.svg`.
pub(super) fn draw(
    landscape: &Landscape,
    quantity: &str,
    settings: &Settings,
    folder: &Path,
    name: &str,
) -> anyhow::Result<Picture> {
    let surface = &landscape.surface;
    let values = surface
        .quantity(quantity)
        .map(|q| &q.values[..])
        .unwrap_or_default();
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let mut picture = Picture {
        quantity: quantity.to_owned(),
        files: Vec::new(),
        smallest: finite().reduce(f64::min),
        largest: finite().reduce(f64::max),
        centre: surface.centre().map(|at| values[at]),
        undefined: values.iter().filter(|v| v.is_nan()).count(),
        minima: Vec::new(),
    };
    let mut write = |what: &str, svg: String| -> anyhow::Result<()> {
        let path = super::file(folder, name, quantity, what);
        std::fs::write(&path, svg)
            .with_context(|| format!("could not write {}", path.display()))?;
        picture.files.push(path);
        Ok(())
    };
    let scaling = if settings.log {
        Scaling::Log
    } else {
        Scaling::Linear
    };
    if surface.is_line() {
        write("", line(landscape, quantity, scaling)?)?;
        return Ok(picture);
    }
    let (width, height) = (surface.a.len(), surface.b.len());
    let tree = merge_tree(
        width,
        height,
        values,
        Neighbours::Eight,
        Filtration::Sublevel,
    )?;
    let map = HeatMap {
        surface,
        quantity,
        about: &landscape.about,
        trajectory: &landscape.trajectory,
        tree: Some(&tree),
    };
    let look = HeatMapSettings {
        scaling,
        persistence: PERSISTENCE,
        ..HeatMapSettings::default()
    };
    write("", map.to_svg(&look)?)?;
    let range = match (picture.smallest, picture.largest) {
        (Some(low), Some(high)) => high - low,
        _ => 0.0,
    };
    let kept = tree.simplified(PERSISTENCE * range);
    if settings.topology {
        let about = &landscape.about;
        let (title, source) = (&about.title[..], &about.source[..]);
        let diagram = PersistenceDiagram {
            tree: &tree,
            title,
            source,
            quantity,
        };
        write("-persistence", diagram.to_svg())?;
        let merging = TreePicture {
            tree: &kept,
            title,
            source,
            quantity,
        };
        write("-tree", merging.to_svg())?;
    }
    picture.minima = minima(landscape, &kept);
    Ok(picture)
}

fn line(landscape: &Landscape, quantity: &str, scaling: Scaling) -> anyhow::Result<String> {
    let surface = &landscape.surface;
    let values = surface
        .quantity(quantity)
        .map(|q| q.values.clone())
        .unwrap_or_default();
    let plot = LinePlot {
        title: landscape.about.title.clone(),
        source: landscape.about.source.clone(),
        x_label: landscape.about.labels[0].clone(),
        y_label: quantity.to_owned(),
        y_scaling: scaling,
        series: vec![Series::new(quantity, surface.a.clone(), values)],
        ..LinePlot::default()
    };
    Ok(plot.to_svg()?)
}

fn minima(landscape: &Landscape, tree: &MergeTree) -> Vec<Minimum> {
    let surface = &landscape.surface;
    let mut minima: Vec<Minimum> = tree
        .branches
        .iter()
        .map(|branch| {
            let (i, j) = tree.place(branch.extremum);
            Minimum {
                at: (surface.a[i], surface.b[j]),
                value: branch.birth,
                persistence: branch.persistence(),
            }
        })
        .collect();
    minima.sort_by(|x, y| x.value.total_cmp(&y.value));
    minima
}

impl Picture {
    pub(super) fn to_text(&self) -> String {
        let range = match (self.smallest, self.largest) {
            (Some(low), Some(high)) => format!("{low:.4e} to {high:.4e}"),
            _ => "nowhere defined".to_owned(),
        };
        let mut text = format!("{}: {range}", self.quantity);
        if let Some(centre) = self.centre {
            text.push_str(&format!(", {centre:.4e} at the centre"));
        }
        if self.undefined > 0 {
            text.push_str(&format!(", undefined at {} points", self.undefined));
        }
        if !self.minima.is_empty() {
            let plural = if self.minima.len() == 1 { "" } else { "s" };
            text.push_str(&format!(", {} basin{plural}", self.minima.len()));
        }
        text.push('\n');
        for file in &self.files {
            text.push_str(&format!("  {}\n", file.display()));
        }
        text
    }
}
