//! Curves over a common axis: losses along a line, metrics over training, a spectral density.

use super::frame::{Frame, GREY};
use super::palette::{category, dashes};
use super::scale::{Scale, Scaling, drawable};
use super::svg::{Anchor, Svg, lone, polyline};
use crate::error::{Error, length};

/// One curve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Positions.
    pub x: Vec<f64>,
    /// Values, one a position. Gaps where they are NaN or infinite.
    pub y: Vec<f64>,
    /// Distance to the borders of a band about it, one a position; empty for none.
    pub error: Vec<f64>,
}

impl Series {
    /// A curve without a band.
    pub fn new(name: impl Into<String>, x: Vec<f64>, y: Vec<f64>) -> Self {
        Self {
            name: name.into(),
            x,
            y,
            error: Vec::new(),
        }
    }
}

/// A value to compare the curves with: 2/η beside the sharpness.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// Its name in the legend.
    pub name: String,
    /// The value.
    pub value: f64,
}

/// Curves with axes, legend, title and source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinePlot {
    /// Title.
    pub title: String,
    /// Where the numbers come from.
    pub source: String,
    /// Name of the horizontal axis, with its unit.
    pub x_label: String,
    /// Name of the vertical axis, with its unit.
    pub y_label: String,
    /// How positions are spread.
    pub x_scaling: Scaling,
    /// How values are spread.
    pub y_scaling: Scaling,
    /// The curves.
    pub series: Vec<Series>,
    /// Values to compare with.
    pub thresholds: Vec<Threshold>,
}

impl LinePlot {
    /// A spectral density with the band of its standard error, on a logarithmic axis: the few large
    /// eigenvalues of a Hessian are a millionth of its mass. Densities below a hundred-thousandth of
    /// the highest are kernel tails and left out.
    pub fn spectral_density(
        title: impl Into<String>,
        source: impl Into<String>,
        grid: &[f64],
        density: &[f64],
        standard_error: &[f64],
    ) -> Self {
        let highest = density
            .iter()
            .copied()
            .filter(|d| d.is_finite())
            .fold(0.0, f64::max);
        let y = density
            .iter()
            .map(|&d| if d >= 1e-5 * highest { d } else { f64::NAN })
            .collect();
        Self {
            title: title.into(),
            source: source.into(),
            x_label: "eigenvalue".to_owned(),
            y_label: "density of eigenvalues".to_owned(),
            y_scaling: Scaling::Log,
            series: vec![Series {
                name: "density ± standard error".to_owned(),
                x: grid.to_vec(),
                y,
                error: standard_error.to_vec(),
            }],
            ..Self::default()
        }
    }

    /// The picture as SVG, 720 × 440.
    ///
    /// # Errors
    /// [`Error::Shape`] if a curve has not a value, or not an error, a position.
    pub fn to_svg(&self) -> Result<String, Error> {
        for series in &self.series {
            length(
                "y",
                series.y.len(),
                series.x.len(),
                "values, one a position",
            )?;
            if !series.error.is_empty() {
                length(
                    "error",
                    series.error.len(),
                    series.x.len(),
                    "values, one a position",
                )?;
            }
        }
        let size = (720.0, 440.0);
        let frame = Frame::new(size, 190.0);
        let mut svg = Svg::default();
        let xs = self.series.iter().flat_map(|s| s.x.iter().copied());
        let x = Scale::over(self.x_scaling, xs, frame.across()).padded(0.02);
        let ys = self.series.iter().flat_map(|s| s.y.iter().copied());
        // A band is seen whole, but for its foot on a logarithmic axis, which may be anywhere.
        let bands = self.series.iter().flat_map(|s| {
            let ends = s.y.iter().zip(&s.error);
            ends.flat_map(|(y, error)| match self.y_scaling {
                Scaling::Linear => [y - error, y + error],
                Scaling::Log => [y + error; 2],
            })
        });
        let ys = ys.chain(bands);
        let ys = ys.chain(self.thresholds.iter().map(|t| t.value));
        let y = Scale::over(self.y_scaling, ys, frame.up()).padded(0.04);

        frame.clip(&mut svg);
        for (index, series) in self.series.iter().enumerate() {
            self.band(&mut svg, series, index, &x, &y);
        }
        for (index, threshold) in self.thresholds.iter().enumerate() {
            if let Some(at) = y.position(threshold.value) {
                let rest = format!(
                    "stroke=\"#000000\" stroke-dasharray=\"{}\"",
                    dashes(index + 1)
                );
                svg.line((frame.left, at), (frame.right, at), &rest);
            }
        }
        for (index, series) in self.series.iter().enumerate() {
            let place = |(a, b): (&f64, &f64)| Some((x.position(*a)?, y.position(*b)?));
            let points: Vec<_> = series.x.iter().zip(&series.y).map(place).collect();
            let data = polyline(points.iter().copied());
            if !data.is_empty() {
                svg.path(&data, &stroke(index));
            }
            for at in lone(&points) {
                svg.circle(at, 2.5, &format!("fill=\"{}\"", category(index)));
            }
        }
        frame.unclip(&mut svg);
        frame.axes(&mut svg, &x, &y, [&self.x_label, &self.y_label]);
        frame.title(&mut svg, &self.title, &self.source);
        let left_out = self.legend(&mut svg, &frame);
        let names: Vec<&str> = self.series.iter().map(|s| s.name.as_str()).collect();
        let description = format!(
            "Line plot of {} against {}: {}.{left_out}",
            self.y_label,
            self.x_label,
            names.join(", ")
        );
        Ok(svg.finish(size, &self.title, &description))
    }

    /// A closed shape for each stretch of the curve whose band is defined.
    fn band(&self, svg: &mut Svg, series: &Series, index: usize, x: &Scale, y: &Scale) {
        if series.error.is_empty() {
            return;
        }
        let borders: Vec<Option<(f64, f64, f64)>> = (0..series.x.len())
            .map(|k| {
                let (value, error) = (series.y[k], series.error[k]);
                let at = x.position(series.x[k])?;
                let above = y.position(value + error)?;
                // On a logarithmic axis a band may reach below 0: it then ends at the axis.
                let below = y.position(value - error).or_else(|| y.position(y.low()))?;
                Some((at, below, above))
            })
            .collect();
        for stretch in borders.split(Option::is_none).filter(|s| s.len() > 1) {
            let stretch: Vec<(f64, f64, f64)> = stretch.iter().flatten().copied().collect();
            let there = stretch.iter().map(|p| Some((p.0, p.2)));
            let back = stretch.iter().rev().map(|p| Some((p.0, p.1)));
            let data = polyline(there.chain(back)) + "Z";
            svg.path(
                &data,
                &format!("fill=\"{}\" fill-opacity=\"0.22\"", category(index)),
            );
        }
    }

    /// Names beside samples of their lines, and what could not be drawn. Returns that for the
    /// description.
    fn legend(&self, svg: &mut Svg, frame: &Frame) -> String {
        let left = frame.right + 14.0;
        let mut at = frame.top + 8.0;
        let small = format!("font-size=\"10\" fill=\"{GREY}\"");
        let mut said = String::new();
        for (index, series) in self.series.iter().enumerate() {
            svg.line((left, at), (left + 26.0, at), &stroke(index));
            svg.text((left + 32.0, at + 4.0), Anchor::Start, "", &series.name);
            at += 18.0;
            let missing = |v: &&f64| !v.is_finite();
            let undefined = series.y.iter().filter(missing).count();
            let hidden = series.y.iter().filter(|v| v.is_finite());
            let hidden = hidden.filter(|v| !drawable(self.y_scaling, **v)).count();
            for (count, what) in [(undefined, "undefined"), (hidden, "not above 0")] {
                if count > 0 {
                    let text = format!("{count} {what}, not drawn");
                    svg.text((left + 32.0, at), Anchor::Start, &small, &text);
                    at += 16.0;
                    said.push_str(&format!(" {}: {text}.", series.name));
                }
            }
        }
        for (index, threshold) in self.thresholds.iter().enumerate() {
            let rest = format!(
                "stroke=\"#000000\" stroke-dasharray=\"{}\"",
                dashes(index + 1)
            );
            svg.line((left, at), (left + 26.0, at), &rest);
            let text = if drawable(self.y_scaling, threshold.value) {
                threshold.name.clone()
            } else {
                format!("{} (not drawn)", threshold.name)
            };
            svg.text((left + 32.0, at + 4.0), Anchor::Start, "", &text);
            at += 18.0;
        }
        said
    }
}

fn stroke(index: usize) -> String {
    let dash = match dashes(index) {
        "" => String::new(),
        pattern => format!(" stroke-dasharray=\"{pattern}\""),
    };
    format!(
        "fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\" stroke-linejoin=\"round\" stroke-linecap=\"round\"{dash}",
        category(index)
    )
}
