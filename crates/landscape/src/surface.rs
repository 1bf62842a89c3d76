//! What a scan found: several quantities on one grid.

use crate::axis::Axes;
use crate::error::Error;

/// One named quantity at every point of a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    /// Its name.
    pub name: String,
    /// Its values, `[b, a]` with `a` fastest on a grid, `[a]` on a line. NaN where it is undefined.
    pub values: Vec<f64>,
}

/// Named quantities over the points of a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Surface {
    /// First coordinates, ascending.
    pub a: Vec<f64>,
    /// Second coordinates, ascending; empty on a line.
    pub b: Vec<f64>,
    /// The quantities, each over all points.
    pub quantities: Vec<Quantity>,
}

/// Names that are letters, digits and `_ . -`, different, and not those of the file's own arrays.
pub(crate) fn check_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name.is_empty() || name.len() > 120 || !name.chars().all(good) {
            let problem =
                format!("has {name:?}; a name is 1 to 120 letters, digits and _ . - characters");
            return Err(Error::argument("names", problem));
        }
        if name.starts_with("axis_") || name.starts_with("trajectory_") {
            let problem = format!("has {name:?}; axis_ and trajectory_ are taken");
            return Err(Error::argument("names", problem));
        }
        if !seen.insert(name) {
            return Err(Error::argument("names", format!("has {name:?} twice")));
        }
    }
    if seen.is_empty() {
        return Err(Error::argument(
            "names",
            "is empty but must name what is evaluated",
        ));
    }
    Ok(())
}

impl Surface {
    pub(crate) fn undefined(axes: &Axes, names: &[&str]) -> Self {
        let quantities = names
            .iter()
            .map(|name| Quantity {
                name: (*name).to_owned(),
                values: vec![f64::NAN; axes.points()],
            })
            .collect();
        Self {
            a: axes.a.coordinates().to_vec(),
            b: axes
                .b
                .as_ref()
                .map_or(Vec::new(), |b| b.coordinates().to_vec()),
            quantities,
        }
    }

    /// Whether it is a line.
    pub fn is_line(&self) -> bool {
        self.b.is_empty()
    }

    /// How many points.
    pub fn points(&self) -> usize {
        self.a.len() * self.b.len().max(1)
    }

    /// The quantity of this name.
    pub fn quantity(&self, name: &str) -> Option<&Quantity> {
        self.quantities.iter().find(|q| q.name == name)
    }

    /// Index of the point (0, 0), where the scan has it.
    pub fn centre(&self) -> Option<usize> {
        let zero = |axis: &[f64]| axis.iter().position(|c| *c == 0.0);
        let a = zero(&self.a)?;
        if self.is_line() {
            return Some(a);
        }
        Some(zero(&self.b)? * self.a.len() + a)
    }
}
