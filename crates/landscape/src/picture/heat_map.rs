//! A quantity over a plane: colours, contours, the trajectory, basins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::contour::contour;
use super::frame::{Frame, GREY};
use super::palette::sequential;
use super::scale::{Scale, Scaling, drawable, short};
use super::svg::{Anchor, Svg, coordinate, polyline};
use crate::error::{Error, length};
use crate::file::About;
use crate::plane::InPlane;
use crate::surface::Surface;
use crate::topology::MergeTree;

/// At which values contour lines are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Levels {
    /// As many grid points between one line and the next: a flat valley under steep walls has its
    /// lines too.
    #[default]
    EqualAreas,
    /// Even over the colours' range, so that pictures of one range have the same lines.
    Even,
}

/// How a heat map looks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeatMapSettings {
    /// Width and height in pixels. Default 640 × 560.
    pub size: (u32, u32),
    /// How values become colours. Default linear.
    pub scaling: Scaling,
    /// Values of the first and the last colour, so that several pictures can be compared; by default
    /// the smallest and the largest. Values beyond get the colour of the end.
    pub range: Option<(f64, f64)>,
    /// Contour lines. Default 10.
    pub contours: usize,
    /// At which values they are. Default [`Levels::EqualAreas`].
    pub levels: Levels,
    /// Unit of the quantity, after its name. Default none.
    pub unit: String,
    /// Of the basins given, those of at least this persistence, as a share of the range, are marked.
    /// Default 0.01.
    pub persistence: f64,
}

impl Default for HeatMapSettings {
    fn default() -> Self {
        Self {
            size: (640, 560),
            scaling: Scaling::Linear,
            range: None,
            contours: 10,
            levels: Levels::EqualAreas,
            unit: String::new(),
            persistence: 0.01,
        }
    }
}

/// A heat map of one quantity of a surface on a grid.
#[derive(Clone, Copy, Debug)]
pub struct HeatMap<'a> {
    /// The surface.
    pub surface: &'a Surface,
    /// Name of the quantity.
    pub quantity: &'a str,
    /// Title, axis names with their explained variance, source.
    pub about: &'a About,
    /// A trajectory to lay over it; may be empty.
    pub trajectory: &'a [InPlane],
    /// Basins to mark.
    pub tree: Option<&'a MergeTree>,
}

/// Colours told apart in the picture; more would only make the file longer.
const COLOURS: f64 = 128.0;

impl HeatMap<'_> {
    /// The picture as SVG.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no such quantity, the surface is a line, or the range is none.
    pub fn to_svg(&self, settings: &HeatMapSettings) -> Result<String, Error> {
        let surface = self.surface;
        let Some(quantity) = surface.quantity(self.quantity) else {
            let problem = format!("is {:?}, which the surface does not have", self.quantity);
            return Err(Error::argument("quantity", problem));
        };
        if surface.a.len() < 2 || surface.b.len() < 2 {
            let problem = "is not a grid of at least 2 × 2 points; a line has a line plot";
            return Err(Error::argument("surface", problem));
        }
        let values = &quantity.values[..];
        length(
            "surface",
            values.len(),
            surface.points(),
            "values, one a point",
        )?;
        if let Some((low, high)) = settings.range {
            let good = low < high && [low, high].iter().all(|v| drawable(settings.scaling, *v));
            if !good {
                let problem = format!("is {low} to {high}, which the colours cannot span");
                return Err(Error::argument("range", problem));
            }
        }
        let size = (
            f64::from(settings.size.0.max(320)),
            f64::from(settings.size.1.max(280)),
        );
        let frame = Frame::new(size, 132.0);
        let mut svg = Svg::default();
        let given = settings.range.map(|(l, h)| vec![l, h]);
        let of_colours = given.as_deref().unwrap_or(values).iter().copied();
        let colours = Scale::over(settings.scaling, of_colours, frame.up());
        let x = edges_scale(&surface.a, frame.across());
        let y = edges_scale(&surface.b, frame.up());

        frame.clip(&mut svg);
        let undefined = self.cells(&mut svg, values, &colours, &x, &y);
        self.contours(&mut svg, values, &colours, settings, &x, &y);
        self.path(&mut svg, &x, &y);
        if let Some(tree) = self.tree {
            self.basins(&mut svg, tree, &colours, settings, &x, &y);
        }
        frame.unclip(&mut svg);

        let labels = [self.about.labels[0].as_str(), self.about.labels[1].as_str()];
        frame.axes(&mut svg, &x, &y, labels);
        frame.title(&mut svg, &self.about.title, &self.about.source);
        let name = match settings.unit.as_str() {
            "" => self.quantity.to_owned(),
            unit => format!("{} [{unit}]", self.quantity),
        };
        self.legend(&mut svg, &frame, &colours, &name, undefined, settings);
        let description = self.description(&name, values, undefined);
        Ok(svg.finish(size, &self.about.title, &description))
    }

    /// One shape for each colour, of a rectangle for each run of cells; returns how many points have
    /// none.
    fn cells(&self, svg: &mut Svg, values: &[f64], colours: &Scale, x: &Scale, y: &Scale) -> usize {
        let (ea, eb) = (edges(&self.surface.a), edges(&self.surface.b));
        let width = self.surface.a.len();
        let mut undefined = 0;
        let mut shapes: BTreeMap<Option<u32>, String> = BTreeMap::new();
        for (j, row) in values.chunks_exact(width).enumerate() {
            let fills: Vec<Option<u32>> = row
                .iter()
                .map(|&v| {
                    let share = colours.share(v)?.clamp(0.0, 1.0);
                    Some((share * COLOURS).round() as u32)
                })
                .collect();
            undefined += fills.iter().filter(|f| f.is_none()).count();
            let mut start = 0;
            while start < width {
                let fill = fills[start];
                let run = fills[start..].iter().take_while(|f| **f == fill).count();
                let corner = |e: &[f64], k: usize, s: &Scale| s.position(e[k]).unwrap_or(0.0);
                let (left, right) = (corner(&ea, start, x), corner(&ea, start + run, x));
                let (below, above) = (corner(&eb, j, y), corner(&eb, j + 1, y));
                let c = coordinate;
                let (across, up) = (right - left, below - above);
                shapes.entry(fill).or_default().push_str(&format!(
                    "M{} {}h{}v{}h{}z",
                    c(left),
                    c(above),
                    c(across),
                    c(up),
                    c(-across)
                ));
                start += run;
            }
        }
        svg.raw("<g shape-rendering=\"crispEdges\">");
        for (fill, data) in shapes {
            let colour = match fill {
                Some(step) => sequential(f64::from(step) / COLOURS),
                None => "url(#undefined)".to_owned(),
            };
            svg.path(&data, &format!("fill=\"{colour}\""));
        }
        svg.raw("</g>");
        undefined
    }

    fn contours(
        &self,
        svg: &mut Svg,
        values: &[f64],
        colours: &Scale,
        settings: &HeatMapSettings,
        x: &Scale,
        y: &Scale,
    ) {
        for level in levels(values, colours, settings) {
            let segments = contour(&self.surface.a, &self.surface.b, values, level);
            let data: String = segments
                .into_iter()
                .map(|(p, q)| {
                    let place = |(a, b)| Some((x.position(a)?, y.position(b)?));
                    polyline([place(p), place(q)])
                })
                .collect();
            if !data.is_empty() {
                let rest =
                    "fill=\"none\" stroke=\"#ffffff\" stroke-opacity=\"0.75\" stroke-width=\"0.8\"";
                svg.path(&data, rest);
            }
        }
    }

    fn basins(
        &self,
        svg: &mut Svg,
        tree: &MergeTree,
        colours: &Scale,
        settings: &HeatMapSettings,
        x: &Scale,
        y: &Scale,
    ) {
        let place = |index: usize| {
            let (i, j) = tree.place(index);
            let a = x.position(*self.surface.a.get(i)?)?;
            Some((a, y.position(*self.surface.b.get(j)?)?))
        };
        let threshold = settings.persistence * (colours.high() - colours.low());
        for branch in &tree.simplified(threshold).branches {
            if let Some(at) = place(branch.extremum) {
                let rest = "fill=\"#ffffff\" stroke=\"#000000\" stroke-width=\"1.2\"";
                svg.circle(at, 3.5, rest);
            }
            if let Some((cx, cy)) = branch.saddle.and_then(place) {
                let data = cross(cx, cy, 4.0);
                let outline = "fill=\"none\" stroke=\"#ffffff\" stroke-width=\"4\"";
                svg.path(&data, outline);
                svg.path(
                    &data,
                    "fill=\"none\" stroke=\"#000000\" stroke-width=\"1.6\"",
                );
            }
        }
    }

    fn path(&self, svg: &mut Svg, x: &Scale, y: &Scale) {
        let place = |p: &InPlane| Some((x.position(p.a)?, y.position(p.b)?));
        let data = polyline(self.trajectory.iter().map(place));
        if data.is_empty() {
            return;
        }
        // White below black: visible on every colour.
        let ends = "fill=\"none\" stroke-linecap=\"round\" stroke-linejoin=\"round\"";
        svg.path(
            &data,
            &format!("{ends} stroke=\"#ffffff\" stroke-width=\"4\""),
        );
        svg.path(
            &data,
            &format!("{ends} stroke=\"#d55e00\" stroke-width=\"1.8\""),
        );
        if let Some(at) = self.trajectory.first().and_then(place) {
            svg.circle(
                at,
                4.5,
                "fill=\"#ffffff\" stroke=\"#d55e00\" stroke-width=\"1.8\"",
            );
        }
        if let Some(at) = self.trajectory.last().and_then(place) {
            svg.circle(
                at,
                4.5,
                "fill=\"#d55e00\" stroke=\"#ffffff\" stroke-width=\"1.4\"",
            );
        }
    }

    fn legend(
        &self,
        svg: &mut Svg,
        frame: &Frame,
        colours: &Scale,
        name: &str,
        undefined: usize,
        settings: &HeatMapSettings,
    ) {
        let left = frame.right + 22.0;
        let bottom = frame.bottom - 104.0;
        svg.text(
            (frame.right + 14.0, frame.top - 6.0),
            Anchor::Start,
            "",
            name,
        );
        let ends = [colours.low(), colours.high()].into_iter();
        let bar = Scale::over(settings.scaling, ends, (bottom, frame.top + 4.0));
        let height = (bottom - frame.top - 4.0) / 64.0;
        svg.raw("<g shape-rendering=\"crispEdges\">");
        for k in 0..64 {
            let y = bottom - height * f64::from(k + 1);
            let colour = sequential((f64::from(k) + 0.5) / 64.0);
            svg.rect((left, y), (16.0, height), &format!("fill=\"{colour}\""));
        }
        svg.raw("</g>");
        for (value, text) in bar.ticks(6) {
            if let Some(at) = bar.position(value) {
                svg.line((left + 16.0, at), (left + 20.0, at), "stroke=\"#000000\"");
                svg.text((left + 24.0, at + 4.0), Anchor::Start, "", &text);
            }
        }
        let small = format!("font-size=\"10\" fill=\"{GREY}\"");
        let mut at = bottom + 20.0;
        let mut entry = |svg: &mut Svg, text: &str| {
            svg.text((left, at), Anchor::Start, &small, text);
            at += 14.0;
        };
        if undefined > 0 {
            svg.rect(
                (left - 14.0, bottom + 11.0),
                (11.0, 11.0),
                "fill=\"url(#undefined)\" stroke=\"#767676\"",
            );
            let why = match settings.scaling {
                Scaling::Linear => "undefined",
                Scaling::Log => "undefined or ≤ 0",
            };
            entry(svg, &format!("{why}: {undefined}"));
        }
        if !self.trajectory.is_empty() {
            let farthest = self
                .trajectory
                .iter()
                .map(|p| p.off_plane)
                .fold(0.0, f64::max);
            entry(svg, "○ start  ● end");
            entry(svg, &format!("off plane ≤ {}", short(farthest)));
        }
        if self.tree.is_some() {
            entry(svg, "○ minimum  × saddle");
        }
        if settings.contours > 0 {
            entry(
                svg,
                match settings.levels {
                    Levels::EqualAreas => "lines: equal areas",
                    Levels::Even => "lines: even steps",
                },
            );
        }
        if settings.range.is_some() {
            entry(svg, "colours: range given");
        }
    }

    fn description(&self, name: &str, values: &[f64], undefined: usize) -> String {
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        let low = finite().fold(f64::INFINITY, f64::min);
        let high = finite().fold(f64::NEG_INFINITY, f64::max);
        let range = if low <= high {
            format!("from {} to {}", short(low), short(high))
        } else {
            "nowhere defined".to_owned()
        };
        let steps = match self.trajectory.len() {
            0 => String::new(),
            n => format!(" A trajectory of {n} points."),
        };
        format!(
            "Heat map of {name} over {} by {} points, {range}, undefined at {undefined}.{steps}",
            self.surface.a.len(),
            self.surface.b.len()
        )
    }
}

/// The contours' values.
fn levels(values: &[f64], colours: &Scale, settings: &HeatMapSettings) -> Vec<f64> {
    let shares = (1..=settings.contours).map(|k| k as f64 / (settings.contours + 1) as f64);
    match settings.levels {
        Levels::EqualAreas => {
            let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
            sorted.sort_by(f64::total_cmp);
            let lowest = sorted.first().copied();
            let mut out: Vec<f64> = shares
                .filter_map(|s| sorted.get((s * sorted.len() as f64) as usize).copied())
                // A line at the lowest value would trace a plateau's cells.
                .filter(|level| Some(*level) > lowest)
                .collect();
            out.dedup();
            out
        }
        // On logarithmic colours even in the logarithm.
        Levels::Even => shares
            .map(|t| match settings.scaling {
                Scaling::Linear => (1.0 - t) * colours.low() + t * colours.high(),
                Scaling::Log => ((1.0 - t) * colours.low().ln() + t * colours.high().ln()).exp(),
            })
            .collect(),
    }
}

fn cross(x: f64, y: f64, r: f64) -> String {
    let c = coordinate;
    format!(
        "M{} {}L{} {}M{} {}L{} {}",
        c(x - r),
        c(y - r),
        c(x + r),
        c(y + r),
        c(x - r),
        c(y + r),
        c(x + r),
        c(y - r)
    )
}

/// Borders between the cells of grid points: half way, and as far beyond the ends.
fn edges(axis: &[f64]) -> Vec<f64> {
    let last = axis.len() - 1;
    let mut out = vec![1.5 * axis[0] - 0.5 * axis[1]];
    out.extend(axis.windows(2).map(|w| 0.5 * w[0] + 0.5 * w[1]));
    out.push(1.5 * axis[last] - 0.5 * axis[last - 1]);
    out
}

fn edges_scale(axis: &[f64], ends: (f64, f64)) -> Scale {
    Scale::over(Scaling::Linear, edges(axis).into_iter(), ends)
}
