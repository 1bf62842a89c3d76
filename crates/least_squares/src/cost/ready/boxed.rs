//! Distances to a box.

use std::sync::Arc;

use crate::cost::{Cost, Gradient, Point, Probe, Shapes};
use crate::error::Error;

/// The constraint residual g(y) − clip(g(y), l, u) over the rows g of another cost: zero where they are in
/// the box, else how far they are out, with its sign.
///
/// Rows in the box have zero Jacobian, so that they do not resist being moved. At the box's face exactly
/// the derivative is that of the inside, zero. The bounds are constants: where they are to get gradients,
/// let g subtract an auxiliary.
#[derive(Clone, Debug)]
pub struct Clipped {
    inner: Arc<dyn Cost>,
    lower: Vec<f64>,
    upper: Vec<f64>,
}

impl Clipped {
    /// The rows of `inner` beyond `[lower, upper]`; −∞ and +∞ for no bound.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless there are as many bounds as rows, none is NaN, and none crossed.
    pub fn new(
        inner: impl Cost + 'static,
        lower: impl Into<Vec<f64>>,
        upper: impl Into<Vec<f64>>,
    ) -> Result<Self, Error> {
        let (lower, upper) = (lower.into(), upper.into());
        let invalid = |reason: String| Error::Invalid {
            kind: "cost",
            name: "Clipped".to_owned(),
            reason,
        };
        let (rows, l, u) = (inner.rows(), lower.len(), upper.len());
        if l != rows || u != rows {
            return Err(invalid(format!(
                "has {l} lower and {u} upper bounds but {rows} rows"
            )));
        }
        for (i, (l, u)) in lower.iter().zip(&upper).enumerate() {
            if !(l <= u) || *l == f64::INFINITY || *u == f64::NEG_INFINITY {
                return Err(invalid(format!(
                    "has bounds {l} and {u} at {i}, which no number is between"
                )));
            }
        }
        Ok(Self {
            inner: Arc::new(inner),
            lower,
            upper,
        })
    }

    /// The value less its nearest point of the box. NaN stays.
    fn beyond(&self, row: usize, value: f64) -> f64 {
        if value < self.lower[row] {
            value - self.lower[row]
        } else if value > self.upper[row] {
            value - self.upper[row]
        } else {
            // Zero, but for a value that is not finite.
            value * 0.0
        }
    }
}

impl Cost for Clipped {
    fn rows(&self) -> usize {
        self.inner.rows()
    }

    fn check(&self, shapes: &Shapes<'_>) -> Result<(), String> {
        self.inner.check(shapes)
    }

    fn residual(&self, at: &Point<'_>, out: &mut [f64]) {
        self.inner.residual(at, out);
        for (row, out) in out.iter_mut().enumerate() {
            *out = self.beyond(row, *out);
        }
    }

    fn linearise(&self, at: &Point<'_>, residual: &mut [f64], jacobian: &mut [f64]) {
        self.inner.linearise(at, residual, jacobian);
        let width = at.width();
        for (row, out) in residual.iter_mut().enumerate() {
            *out = self.beyond(row, *out);
            if *out == 0.0 {
                jacobian[row * width..(row + 1) * width].fill(0.0);
            }
        }
    }

    fn probe(&self, at: &Point<'_>, probe: &Probe<'_>, gradient: &mut Gradient<'_>) {
        let mut rows = vec![0.0; self.rows()];
        self.residual(at, &mut rows);
        let outside = |values: &[f64]| -> Vec<f64> {
            let pairs = values.iter().zip(&rows);
            pairs
                .map(|(v, r)| if *r == 0.0 { 0.0 } else { *v })
                .collect()
        };
        let (s, t) = (outside(probe.s), outside(probe.t));
        let probe = Probe {
            s: &s,
            d: probe.d,
            t: &t,
        };
        self.inner.probe(at, &probe, gradient);
    }

    fn add_hessian(&self, at: &Point<'_>, s: &[f64], out: &mut [f64]) {
        let mut rows = vec![0.0; self.rows()];
        self.residual(at, &mut rows);
        let s: Vec<f64> = s
            .iter()
            .zip(&rows)
            .map(|(s, r)| if *r == 0.0 { 0.0 } else { *s })
            .collect();
        self.inner.add_hessian(at, &s, out);
    }

    fn is_exact(&self) -> bool {
        self.inner.is_exact()
    }

    fn is_affine(&self) -> bool {
        self.inner.is_affine()
    }
}
