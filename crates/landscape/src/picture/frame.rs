//! Title, axes, source line: what every picture has.

use super::scale::Scale;
use super::svg::{Anchor, Svg};

/// Distances from the picture's edges to the drawing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) size: (f64, f64),
}

/// Grey dark enough on white for small text.
pub(super) const GREY: &str = "#595959";

impl Frame {
    /// A picture with room at the right for a legend.
    pub(super) fn new(size: (f64, f64), legend: f64) -> Self {
        Self {
            left: 78.0,
            right: size.0 - legend,
            top: 48.0,
            bottom: size.1 - 76.0,
            size,
        }
    }

    /// Positions of the ends of a horizontal axis.
    pub(super) fn across(&self) -> (f64, f64) {
        (self.left, self.right)
    }

    /// Positions of the ends of a vertical axis, low values first.
    pub(super) fn up(&self) -> (f64, f64) {
        (self.bottom, self.top)
    }

    pub(super) fn title(&self, svg: &mut Svg, title: &str, source: &str) {
        let middle = 0.5 * (self.left + self.right);
        svg.text(
            (middle, 26.0),
            Anchor::Middle,
            "font-size=\"15\" font-weight=\"bold\"",
            title,
        );
        if !source.is_empty() {
            let at = (self.left, self.size.1 - 10.0);
            let text = format!("Source: {source}");
            svg.text(
                at,
                Anchor::Start,
                &format!("font-size=\"10\" fill=\"{GREY}\""),
                &text,
            );
        }
    }

    /// The border, both axes' ticks and names.
    pub(super) fn axes(&self, svg: &mut Svg, x: &Scale, y: &Scale, labels: [&str; 2]) {
        self.border(svg);
        for (value, name) in x.ticks(6) {
            if let Some(at) = x.position(value) {
                svg.line(
                    (at, self.bottom),
                    (at, self.bottom + 5.0),
                    "stroke=\"#000000\"",
                );
                svg.text((at, self.bottom + 19.0), Anchor::Middle, "", &name);
            }
        }
        self.vertical_axis(svg, y);
        let middle = 0.5 * (self.left + self.right);
        svg.text((middle, self.bottom + 40.0), Anchor::Middle, "", labels[0]);
        self.vertical_label(svg, labels[1]);
    }

    pub(super) fn border(&self, svg: &mut Svg) {
        let size = (self.right - self.left, self.bottom - self.top);
        svg.rect(
            (self.left, self.top),
            size,
            "fill=\"none\" stroke=\"#000000\"",
        );
    }

    pub(super) fn vertical_axis(&self, svg: &mut Svg, y: &Scale) {
        for (value, name) in y.ticks(6) {
            if let Some(at) = y.position(value) {
                svg.line((self.left - 5.0, at), (self.left, at), "stroke=\"#000000\"");
                svg.text((self.left - 8.0, at + 4.0), Anchor::End, "", &name);
            }
        }
    }

    pub(super) fn vertical_label(&self, svg: &mut Svg, label: &str) {
        let middle = 0.5 * (self.top + self.bottom);
        let turned = format!(
            "transform=\"rotate(-90 18 {})\"",
            super::svg::coordinate(middle)
        );
        svg.text((18.0, middle), Anchor::Middle, &turned, label);
    }

    /// Opens an element that draws inside the border only, in the same coordinates. No clip path: it
    /// would need a name, and names collide where pictures share a page.
    pub(super) fn clip(&self, svg: &mut Svg) {
        let c = super::svg::coordinate;
        let (x, y) = (c(self.left), c(self.top));
        let (w, h) = (c(self.right - self.left), c(self.bottom - self.top));
        svg.raw(&format!(
            "<svg x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" viewBox=\"{x} {y} {w} {h}\">"
        ));
    }

    pub(super) fn unclip(&self, svg: &mut Svg) {
        svg.raw("</svg>");
    }
}
