//! The merge tree as a drawing.

use super::frame::{Frame, GREY};
use super::palette::category;
use super::persistence::ends;
use super::scale::{Scale, Scaling};
use super::svg::{Anchor, Svg};
use crate::topology::{Filtration, MergeTree};

/// A merge tree: each basin a vertical line from its extremum to the saddle where it joins a deeper
/// one. Positions across have no meaning; lines do not cross.
#[derive(Clone, Copy, Debug)]
pub struct TreePicture<'a> {
    /// The basins; simplify them first where there are many.
    pub tree: &'a MergeTree,
    /// Title.
    pub title: &'a str,
    /// Where the numbers come from.
    pub source: &'a str,
    /// Name of the quantity, with its unit.
    pub quantity: &'a str,
}

impl TreePicture<'_> {
    /// The picture as SVG, 640 × 420.
    pub fn to_svg(&self) -> String {
        let size = (640.0, 420.0);
        let frame = Frame::new(size, 40.0);
        let mut svg = Svg::default();
        let branches = &self.tree.branches;
        let y = Scale::over(Scaling::Linear, ends(self.tree).into_iter(), frame.up()).padded(0.08);
        let never = match self.tree.filtration {
            Filtration::Sublevel => y.high(),
            Filtration::Superlevel => y.low(),
        };
        let columns = columns(self.tree);
        let across = |column: usize| {
            let share = (column as f64 + 0.5) / branches.len().max(1) as f64;
            frame.left + share * (frame.right - frame.left)
        };
        let mut undrawn = 0;
        for (index, branch) in branches.iter().enumerate() {
            let death = if branch.is_essential() {
                never
            } else {
                branch.death
            };
            let (Some(birth), Some(death)) = (y.position(branch.birth), y.position(death)) else {
                undrawn += 1;
                continue;
            };
            let x = across(columns[index]);
            let colour = category(usize::from(branch.is_essential()));
            let rest = format!("stroke=\"{colour}\" stroke-width=\"2\"");
            svg.line((x, birth), (x, death), &rest);
            if let Some(parent) = branch.parent {
                svg.line((x, death), (across(columns[parent]), death), &rest);
            }
            let rest = format!("fill=\"#ffffff\" stroke=\"{colour}\" stroke-width=\"2\"");
            svg.circle((x, birth), 4.0, &rest);
        }
        frame.border(&mut svg);
        frame.vertical_axis(&mut svg, &y);
        frame.vertical_label(&mut svg, self.quantity);
        frame.title(&mut svg, self.title, self.source);
        let middle = 0.5 * (frame.left + frame.right);
        let mut text = format!(
            "{} basins: ○ extremum, horizontal line at the saddle; to the border: never joins",
            branches.len()
        );
        if undrawn > 0 {
            text.push_str(&format!("; {undrawn} infinite, not drawn"));
        }
        let small = format!("font-size=\"10\" fill=\"{GREY}\"");
        svg.text((middle, frame.bottom + 20.0), Anchor::Middle, &small, &text);
        let description = format!(
            "Merge tree of {} with {} basins.",
            self.quantity,
            branches.len()
        );
        svg.finish(size, self.title, &description)
    }
}

/// A column for each branch so that no lines cross: beside a branch come those that join it, the
/// first to join next to it, each with what joined it before.
fn columns(tree: &MergeTree) -> Vec<usize> {
    let branches = &tree.branches;
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); branches.len()];
    for (index, branch) in branches.iter().enumerate() {
        if let Some(parent) = branch.parent {
            children[parent].push(index);
        }
    }
    let mut order = Vec::with_capacity(branches.len());
    let mut open: Vec<usize> = (0..branches.len())
        .rev()
        .filter(|&i| branches[i].parent.is_none())
        .collect();
    while let Some(index) = open.pop() {
        order.push(index);
        let mut joining = children[index].clone();
        // How far from the start of the filtration a saddle is, for sets that grow up or down.
        let level = |i: &usize| (branches[*i].death - branches[index].birth).abs();
        joining.sort_by(|i, j| level(j).total_cmp(&level(i)).then(j.cmp(i)));
        open.extend(joining);
    }
    let mut columns = vec![0; branches.len()];
    for (column, index) in order.into_iter().enumerate() {
        columns[index] = column;
    }
    columns
}
