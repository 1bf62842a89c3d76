//! Coordinates along one direction.

use crate::error::Error;

/// Evenly spaced coordinates. If 0 is among them it is so exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    coordinates: Vec<f64>,
}

impl Axis {
    /// `2 half + 1` points from `−radius` to `radius`; the middle one is 0.
    ///
    /// # Errors
    /// [`Error::Argument`] if `half` is 0 or `radius` not above 0 and finite.
    pub fn centred(radius: f64, half: usize) -> Result<Self, Error> {
        if half == 0 {
            return Err(Error::argument("half", "is 0 but must be at least 1"));
        }
        if !(radius > 0.0 && radius.is_finite()) {
            let problem = format!("is {radius} but must be above 0 and finite");
            return Err(Error::argument("radius", problem));
        }
        let h = half as f64;
        let coordinates = (0..=2 * half)
            .map(|i| (i as f64 - h) / h * radius)
            .collect();
        Ok(Self { coordinates })
    }

    /// `points` from `low` to `high`. Where 0 lies between them it must be one of the points, so that
    /// the centre of the landscape is evaluated itself and not something near it.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are fewer than two points, the range is empty or not finite, or 0
    /// falls between two points.
    pub fn span(low: f64, high: f64, points: usize) -> Result<Self, Error> {
        if points < 2 {
            let problem = format!("is {points} but must be at least 2");
            return Err(Error::argument("points", problem));
        }
        if !(low < high && (high - low).is_finite()) {
            let problem = format!("is {low} to {high} but must be finite and not empty");
            return Err(Error::argument("range", problem));
        }
        let last = (points - 1) as f64;
        let step = (high - low) / last;
        if low > 0.0 || high < 0.0 {
            let coordinates = (0..points)
                .map(|i| {
                    if i + 1 == points {
                        high
                    } else {
                        low + step * i as f64
                    }
                })
                .collect();
            return Ok(Self { coordinates });
        }
        let zero = (-low / step).round();
        // A billionth of a step is what dividing decimal fractions may lose.
        if (-low / step - zero).abs() > 1e-9 {
            let problem = format!(
                "from {low} to {high} with {points} points passes 0 without a point there; choose the ends as multiples of the step"
            );
            return Err(Error::argument("range", problem));
        }
        let coordinates = (0..points).map(|i| (i as f64 - zero) * step).collect();
        Ok(Self { coordinates })
    }

    /// The coordinates, ascending.
    pub fn coordinates(&self) -> &[f64] {
        &self.coordinates
    }

    /// How many there are.
    pub fn points(&self) -> usize {
        self.coordinates.len()
    }

    /// Index of the coordinate 0.
    pub fn centre(&self) -> Option<usize> {
        self.coordinates.iter().position(|c| *c == 0.0)
    }
}

/// The points of a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Axes {
    pub(crate) a: Axis,
    pub(crate) b: Option<Axis>,
}

impl Axes {
    /// A line.
    pub fn line(a: Axis) -> Self {
        Self { a, b: None }
    }

    /// A grid: every `a` with every `b`.
    pub fn grid(a: Axis, b: Axis) -> Self {
        Self { a, b: Some(b) }
    }

    /// How many points.
    pub fn points(&self) -> usize {
        self.a.points() * self.b.as_ref().map_or(1, Axis::points)
    }

    /// Rows of a grid, `b` fixed; points of a line.
    pub(crate) fn rows(&self) -> usize {
        self.b.as_ref().map_or(self.a.points(), Axis::points)
    }

    /// The points of one row.
    pub(crate) fn row(&self, row: usize) -> Vec<(f64, f64)> {
        match &self.b {
            None => vec![(self.a.coordinates[row], 0.0)],
            Some(b) => {
                let b = b.coordinates[row];
                self.a.coordinates.iter().map(|&a| (a, b)).collect()
            }
        }
    }
}
