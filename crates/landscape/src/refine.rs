//! More points where a landscape is rough.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::axis::{Axes, Axis};
use crate::error::{Error, EvaluationError, length};
use crate::surface::{Surface, check_names};

/// Where and how far to refine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefineSettings {
    /// Cells along each axis at the start. Default 8.
    pub cells: usize,
    /// Times that a cell may be halved. Default 5.
    pub depth: u32,
    /// Points to evaluate at most; at least `(cells + 1)²`. Default 2601, a grid of 51 × 51.
    pub points: usize,
    /// Error of bilinear interpolation that is good enough, relative to the range of the quantity
    /// over the points so far. Default 0.01, about what a picture shows.
    pub tolerance: f64,
}

impl Default for RefineSettings {
    fn default() -> Self {
        Self {
            cells: 8,
            depth: 5,
            points: 2601,
            tolerance: 0.01,
        }
    }
}

impl RefineSettings {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), Error> {
        let wrong = |field, value: f64, must: &str| {
            Err(Error::argument(
                field,
                format!("is {value} but must be {must}"),
            ))
        };
        if !(1..=4096).contains(&self.cells) {
            return wrong("cells", self.cells as f64, "1 to 4096");
        }
        if self.depth > 12 {
            return wrong("depth", f64::from(self.depth), "at most 12");
        }
        if self.points < (self.cells + 1) * (self.cells + 1) {
            return wrong("points", self.points as f64, "at least (cells + 1)²");
        }
        if !(self.tolerance > 0.0 && self.tolerance.is_finite()) {
            return wrong("tolerance", self.tolerance, "above 0 and finite");
        }
        Ok(())
    }
}

/// How a refinement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefineStatus {
    /// Every cell is smooth enough or as small as allowed.
    Complete,
    /// The points allowed were spent first, on the roughest cells.
    Budget,
}

/// A landscape on cells of different sizes.
#[derive(Clone, Debug)]
pub struct Refined {
    /// How it ended.
    pub status: RefineStatus,
    /// Points evaluated.
    pub evaluated: usize,
    names: Vec<String>,
    a: Axis,
    b: Axis,
    values: BTreeMap<(usize, usize), Vec<f64>>,
    leaves: BTreeSet<(usize, usize, usize)>,
    root: usize,
}

/// A cell, by its lower corner on the finest lattice and its size there.
struct Cell {
    priority: f64,
    at: (usize, usize),
    size: usize,
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Cell {}

impl PartialOrd for Cell {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Cell {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |c: &Self| (c.size, std::cmp::Reverse(c.at));
        self.priority
            .total_cmp(&other.priority)
            .then(key(self).cmp(&key(other)))
    }
}

/// Cells halved together, so that their points are evaluated in parallel. Fixed, so that the result
/// does not depend on the number of threads.
const TOGETHER: usize = 8;

/// Evaluates the named quantities over a rectangle, on a quadtree that is halved where bilinear
/// interpolation is worst.
///
/// A cell's surplus is the largest difference, over the five points that halving adds and over the
/// quantities, between value and interpolation, relative to the quantity's range: a second
/// difference. A quarter of it is expected of the children, for second differences fall with the
/// square of the size; while that is above the tolerance they are halved in turn, the worst first.
/// Where defined and undefined meet the surplus is 1.
///
/// `evaluate` as in [`crate::scan`]; `a` and `b` are the ranges. 0 must fall on the lattice of
/// `cells · 2^depth`, if it is inside.
///
/// # Errors
/// [`Error::Argument`] for settings, names and ranges; [`Error::Evaluation`]; [`Error::Shape`].
pub fn refine<F>(
    a: (f64, f64),
    b: (f64, f64),
    names: &[&str],
    settings: &RefineSettings,
    evaluate: F,
) -> Result<Refined, Error>
where
    F: Fn(f64, f64) -> Result<Vec<f64>, EvaluationError> + Sync,
{
    settings.validate()?;
    check_names(names.iter().copied())?;
    let root = 1usize << settings.depth;
    let lattice = settings.cells * root + 1;
    let mut out = Refined {
        status: RefineStatus::Complete,
        evaluated: 0,
        names: names.iter().map(|n| (*n).to_owned()).collect(),
        a: Axis::span(a.0, a.1, lattice)?,
        b: Axis::span(b.0, b.1, lattice)?,
        values: BTreeMap::new(),
        leaves: BTreeSet::new(),
        root,
    };
    let corners = (0..=settings.cells)
        .flat_map(|j| (0..=settings.cells).map(move |i| (i * root, j * root)))
        .collect();
    out.evaluate(corners, &evaluate)?;
    let mut open = BinaryHeap::new();
    for j in 0..settings.cells {
        for i in 0..settings.cells {
            let at = (i * root, j * root);
            out.leaves.insert((at.0, at.1, root));
            // Nothing is known of a cell before it is halved once.
            let priority = f64::INFINITY;
            open.push(Cell {
                priority,
                at,
                size: root,
            });
        }
    }
    loop {
        let mut chosen = Vec::new();
        let mut wanted = BTreeSet::new();
        while chosen.len() < TOGETHER {
            let Some(cell) = open.pop() else { break };
            if cell.size < 2 || !(cell.priority > settings.tolerance) {
                continue;
            }
            let new: Vec<_> = added(cell.at, cell.size)
                .into_iter()
                .map(|(point, _)| point)
                .filter(|p| !out.values.contains_key(p) && !wanted.contains(p))
                .collect();
            if out.evaluated + wanted.len() + new.len() > settings.points {
                out.status = RefineStatus::Budget;
                break;
            }
            wanted.extend(new);
            chosen.push(cell);
        }
        if chosen.is_empty() {
            return Ok(out);
        }
        out.evaluate(wanted.into_iter().collect(), &evaluate)?;
        let ranges = out.ranges();
        for Cell { at, size, .. } in chosen {
            out.leaves.remove(&(at.0, at.1, size));
            let surplus = out.surplus(at, size, &ranges);
            let half = size / 2;
            for (di, dj) in [(0, 0), (half, 0), (0, half), (half, half)] {
                let at = (at.0 + di, at.1 + dj);
                out.leaves.insert((at.0, at.1, half));
                let priority = surplus / 4.0;
                open.push(Cell {
                    priority,
                    at,
                    size: half,
                });
            }
        }
        if out.status == RefineStatus::Budget {
            return Ok(out);
        }
    }
}

type Lattice = (usize, usize);

/// The points that halving a cell adds, each with those that it is interpolated from.
fn added((i, j): Lattice, size: usize) -> [(Lattice, Vec<Lattice>); 5] {
    let half = size / 2;
    let corner = |di, dj| (i + di * size, j + dj * size);
    [
        ((i + half, j), vec![corner(0, 0), corner(1, 0)]),
        ((i + half, j + size), vec![corner(0, 1), corner(1, 1)]),
        ((i, j + half), vec![corner(0, 0), corner(0, 1)]),
        ((i + size, j + half), vec![corner(1, 0), corner(1, 1)]),
        (
            (i + half, j + half),
            vec![corner(0, 0), corner(1, 0), corner(0, 1), corner(1, 1)],
        ),
    ]
}

impl Refined {
    fn evaluate<F>(&mut self, points: Vec<Lattice>, evaluate: &F) -> Result<(), Error>
    where
        F: Fn(f64, f64) -> Result<Vec<f64>, EvaluationError> + Sync,
    {
        let found: Vec<(Lattice, Vec<f64>)> = points
            .into_par_iter()
            .map(|(i, j)| {
                let (a, b) = (self.a.coordinates()[i], self.b.coordinates()[j]);
                let values = evaluate(a, b).map_err(|source| Error::Evaluation { a, b, source })?;
                length(
                    "evaluate",
                    values.len(),
                    self.names.len(),
                    "values, one a name",
                )?;
                Ok(((i, j), values))
            })
            .collect::<Result<_, Error>>()?;
        self.evaluated += found.len();
        self.values.extend(found);
        Ok(())
    }

    /// Range of each quantity over the finite values.
    fn ranges(&self) -> Vec<f64> {
        let mut low = vec![f64::INFINITY; self.names.len()];
        let mut high = vec![f64::NEG_INFINITY; self.names.len()];
        for values in self.values.values() {
            for (k, v) in values.iter().enumerate().filter(|(_, v)| v.is_finite()) {
                low[k] = low[k].min(*v);
                high[k] = high[k].max(*v);
            }
        }
        low.iter()
            .zip(&high)
            .map(|(l, h)| (h - l).max(0.0))
            .collect()
    }

    fn surplus(&self, at: Lattice, size: usize, ranges: &[f64]) -> f64 {
        let mut worst = 0.0f64;
        for (point, from) in added(at, size) {
            for (k, range) in ranges.iter().enumerate() {
                let value = self.values[&point][k];
                let around = || from.iter().map(|p| self.values[p][k]);
                let finite = around().filter(|v| v.is_finite()).count();
                let expected = around().sum::<f64>() / from.len() as f64;
                let of_point = match (value.is_finite(), finite) {
                    (true, count) if count == from.len() => {
                        if *range > 0.0 {
                            (value - expected).abs() / range
                        } else {
                            0.0
                        }
                    }
                    (false, 0) => 0.0,
                    _ => 1.0,
                };
                worst = worst.max(of_point);
            }
        }
        worst
    }

    /// Every point evaluated: its coordinates and values.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64, &[f64])> {
        self.values.iter().map(|(&(i, j), values)| {
            (
                self.a.coordinates()[i],
                self.b.coordinates()[j],
                &values[..],
            )
        })
    }

    /// The cells: their ranges in a and in b.
    pub fn cells(&self) -> impl Iterator<Item = ((f64, f64), (f64, f64))> {
        let (a, b) = (self.a.coordinates(), self.b.coordinates());
        self.leaves
            .iter()
            .map(|&(i, j, size)| ((a[i], a[i + size]), (b[j], b[j + size])))
    }

    /// Values on a regular grid, bilinear within each cell. Points that were evaluated are
    /// themselves, bit for bit; NaN outside the rectangle and where a cell's corner is undefined.
    pub fn on_grid(&self, axes: &Axes) -> Surface {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let mut surface = Surface::undefined(axes, &names);
        let points: Vec<(f64, f64)> = (0..axes.rows()).flat_map(|row| axes.row(row)).collect();
        for (index, (a, b)) in points.into_iter().enumerate() {
            if let Some(values) = self.at(a, b) {
                for (quantity, value) in surface.quantities.iter_mut().zip(values) {
                    quantity.values[index] = value;
                }
            }
        }
        surface
    }

    fn at(&self, a: f64, b: f64) -> Option<Vec<f64>> {
        let (i, exact_i) = below(self.a.coordinates(), a)?;
        let (j, exact_j) = below(self.b.coordinates(), b)?;
        if exact_i
            && exact_j
            && let Some(values) = self.values.get(&(i, j))
        {
            return Some(values.clone());
        }
        // The cell that holds the point: halved from the start's cells until it is one.
        let last = self.a.points() - 1;
        let (i, j) = (i.min(last - 1), j.min(last - 1));
        let mut size = self.root;
        let mut at = (i / size * size, j / size * size);
        while !self.leaves.contains(&(at.0, at.1, size)) {
            size /= 2;
            if size == 0 {
                return None;
            }
            at = (i / size * size, j / size * size);
        }
        let (x, y) = (self.a.coordinates(), self.b.coordinates());
        let s = (a - x[at.0]) / (x[at.0 + size] - x[at.0]);
        let t = (b - y[at.1]) / (y[at.1 + size] - y[at.1]);
        let corner = |di: usize, dj: usize| &self.values[&(at.0 + di * size, at.1 + dj * size)];
        let (v00, v10, v01, v11) = (corner(0, 0), corner(1, 0), corner(0, 1), corner(1, 1));
        let mix = |k: usize| {
            (1.0 - t) * ((1.0 - s) * v00[k] + s * v10[k]) + t * ((1.0 - s) * v01[k] + s * v11[k])
        };
        Some((0..self.names.len()).map(mix).collect())
    }
}

/// Index of the last coordinate at or below `x`, and whether it is `x`; none outside.
fn below(coordinates: &[f64], x: f64) -> Option<(usize, bool)> {
    let count = coordinates.partition_point(|c| *c <= x);
    let index = count.checked_sub(1)?;
    let exact = coordinates[index] == x;
    (exact || index + 1 < coordinates.len()).then_some((index, exact))
}
