//! SVG elements as text.

use std::fmt::Write;

/// A document that grows element by element.
#[derive(Debug, Default)]
pub(super) struct Svg {
    body: String,
}

/// Text for XML: names come from files and may hold anything.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // XML has no other control characters.
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A coordinate: hundredths of a pixel, without trailing zeros.
pub(super) fn coordinate(x: f64) -> String {
    let rounded = (x * 100.0).round() / 100.0;
    format!("{}", rounded + 0.0)
}

/// Where a text's position lies in it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    /// An element as it is, on a line of its own.
    pub(super) fn raw(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }

    pub(super) fn rect(&mut self, (x, y): (f64, f64), (w, h): (f64, f64), rest: &str) {
        let (x, y, w, h) = (coordinate(x), coordinate(y), coordinate(w), coordinate(h));
        // Writing to a string cannot fail.
        let _ = writeln!(
            self.body,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" {rest}/>"
        );
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), rest: &str) {
        let _ = writeln!(
            self.body,
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" {rest}/>",
            coordinate(from.0),
            coordinate(from.1),
            coordinate(to.0),
            coordinate(to.1)
        );
    }

    pub(super) fn circle(&mut self, at: (f64, f64), radius: f64, rest: &str) {
        let _ = writeln!(
            self.body,
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" {rest}/>",
            coordinate(at.0),
            coordinate(at.1),
            coordinate(radius)
        );
    }

    pub(super) fn path(&mut self, data: &str, rest: &str) {
        let _ = writeln!(self.body, "<path d=\"{data}\" {rest}/>");
    }

    pub(super) fn text(&mut self, at: (f64, f64), anchor: Anchor, rest: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let _ = writeln!(
            self.body,
            "<text x=\"{}\" y=\"{}\"{anchor} {rest}>{}</text>",
            coordinate(at.0),
            coordinate(at.1),
            escape(text)
        );
    }

    /// The document, with its title and its description for those who do not see it.
    pub(super) fn finish(self, (w, h): (f64, f64), title: &str, description: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <title>{}</title>\n<desc>{}</desc>\n\
             <defs><pattern id=\"undefined\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
             <rect width=\"6\" height=\"6\" fill=\"#ffffff\"/><line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"6\" stroke=\"#767676\" stroke-width=\"2\"/></pattern></defs>\n\
             <rect width=\"{w}\" height=\"{h}\" fill=\"#ffffff\"/>\n{}</svg>\n",
            escape(title),
            escape(description),
            self.body
        )
    }
}

/// `M x y L x y …` through the points; a gap where one is `None`.
pub(super) fn polyline(points: impl IntoIterator<Item = Option<(f64, f64)>>) -> String {
    let mut out = String::new();
    let mut down = false;
    for point in points {
        if let Some((x, y)) = point {
            out.push_str(if down { "L" } else { "M" });
            out.push_str(&format!("{} {}", coordinate(x), coordinate(y)));
        }
        down = point.is_some();
    }
    out
}

/// Points between gaps, which a line does not show.
pub(super) fn lone(points: &[Option<(f64, f64)>]) -> Vec<(f64, f64)> {
    points
        .split(Option::is_none)
        .filter(|stretch| stretch.len() == 1)
        .flatten()
        .flatten()
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let escaped = escape("<script>&\"'\u{0}\u{1b}");
        assert_eq!(escaped, "&lt;script&gt;&amp;&quot;&apos;\u{fffd}\u{fffd}");
    }

    #[test]
    fn gaps_break_a_line_and_lone_points_are_found() {
        let points = [
            Some((0.0, 1.0)),
            Some((1.5, 2.0)),
            None,
            Some((3.0, 4.0)),
            None,
        ];
        assert_eq!(polyline(points), "M0 1L1.5 2M3 4");
        assert_eq!(lone(&points), [(3.0, 4.0)]);
        assert_eq!(polyline([None, None]), "");
        assert_eq!(coordinate(-0.001), "0");
    }
}
