//! Birth and death of basins.

use super::frame::{Frame, GREY};
use super::palette::category;
use super::scale::{Scale, Scaling};
use super::svg::{Anchor, Svg};
use crate::topology::{Filtration, MergeTree};

/// The values that a picture of the basins must show: all births, and where basins join. What comes
/// after the last join is one basin, however high its walls.
pub(super) fn ends(tree: &MergeTree) -> Vec<f64> {
    let births = tree.branches.iter().map(|b| b.birth);
    let joins = tree.branches.iter().filter(|b| !b.is_essential());
    births.chain(joins.map(|b| b.death)).collect()
}

/// A persistence diagram: each basin a point, born across, ended upwards. The farther from the
/// diagonal, the more the landscape must rise or fall for it to disappear.
#[derive(Clone, Copy, Debug)]
pub struct PersistenceDiagram<'a> {
    /// The basins.
    pub tree: &'a MergeTree,
    /// Title.
    pub title: &'a str,
    /// Where the numbers come from.
    pub source: &'a str,
    /// Name of the quantity, with its unit.
    pub quantity: &'a str,
}

impl PersistenceDiagram<'_> {
    /// The picture as SVG, 560 × 480.
    pub fn to_svg(&self) -> String {
        let size = (560.0, 480.0);
        let frame = Frame::new(size, 150.0);
        let mut svg = Svg::default();
        let branches = &self.tree.branches;
        let values = ends(self.tree);
        let x = Scale::over(Scaling::Linear, values.iter().copied(), frame.across()).padded(0.08);
        let y = Scale::over(Scaling::Linear, values.iter().copied(), frame.up()).padded(0.08);
        // The deepest basins never end: they lie on the side towards which the sets grow.
        let never = match self.tree.filtration {
            Filtration::Sublevel => y.high(),
            Filtration::Superlevel => y.low(),
        };
        let place = |birth: f64, death: f64| Some((x.position(birth)?, y.position(death)?));
        frame.clip(&mut svg);
        if let (Some(from), Some(to)) = (place(x.low(), x.low()), place(x.high(), x.high())) {
            svg.line(from, to, "stroke=\"#767676\" stroke-dasharray=\"4 3\"");
        }
        let mut undrawn = 0;
        // The most persistent last, on top.
        for branch in branches.iter().rev() {
            let death = if branch.is_essential() {
                never
            } else {
                branch.death
            };
            let Some(at) = place(branch.birth, death) else {
                undrawn += 1;
                continue;
            };
            if branch.is_essential() {
                let rest = format!("fill=\"{0}\" stroke=\"{0}\"", category(1));
                let y = at.1.clamp(frame.top + 5.5, frame.bottom - 5.5);
                svg.rect((at.0 - 4.5, y - 4.5), (9.0, 9.0), &rest);
            } else {
                let rest = format!("fill=\"{}\" fill-opacity=\"0.7\"", category(0));
                svg.circle(at, 4.5, &rest);
            }
        }
        frame.unclip(&mut svg);
        let labels = [
            format!("{} at the extremum", self.quantity),
            format!("{} at the saddle", self.quantity),
        ];
        frame.axes(&mut svg, &x, &y, [&labels[0], &labels[1]]);
        frame.title(&mut svg, self.title, self.source);
        let left = frame.right + 16.0;
        let rest = format!("fill=\"{}\"", category(0));
        svg.circle((left + 4.0, frame.top + 10.0), 4.5, &rest);
        svg.text(
            (left + 14.0, frame.top + 14.0),
            Anchor::Start,
            "",
            "joins a deeper one",
        );
        let rest = format!("fill=\"{}\"", category(1));
        svg.rect((left, frame.top + 24.0), (9.0, 9.0), &rest);
        svg.text(
            (left + 14.0, frame.top + 33.0),
            Anchor::Start,
            "",
            "never joins:",
        );
        svg.text(
            (left + 14.0, frame.top + 47.0),
            Anchor::Start,
            "",
            "on the border",
        );
        if undrawn > 0 {
            let small = format!("font-size=\"10\" fill=\"{GREY}\"");
            let text = format!("{undrawn} infinite, not drawn");
            svg.text((left, frame.top + 66.0), Anchor::Start, &small, &text);
        }
        let description = format!(
            "Persistence diagram of {} with {} basins.",
            self.quantity,
            branches.len()
        );
        svg.finish(size, self.title, &description)
    }
}
