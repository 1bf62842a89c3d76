//! Distances to a box.

use std::sync::Arc;

use crate::cost::{Cost, Gradient, Point, Probe, Shapes};
use crate::error::Error;

/// The constraint residual g(y) − clip(g(y), l, u) over the rows g of another cost: zero where they are in
/// the box, else how far they are out, with its sign.
///
/// Rows in the box have zero Jacobian, so that they do not resist being moved. At the box's face exactly
/// the derivative is that of the inside, zero; a row whose bounds are equal has no inside, and is an equation
/// everywhere. The bounds are constants: where they are to get gradients, let g subtract an auxiliary.
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

    /// Whether a row with this residual rests in its box, where it has no derivative.
    fn rests(&self, row: usize, residual: f64) -> bool {
        residual == 0.0 && self.lower[row] < self.upper[row]
    }

    /// Numbers over the rows, zero where a row rests.
    fn active(&self, at: &Point<'_>, values: &[&[f64]]) -> Vec<Vec<f64>> {
        let mut residual = vec![0.0; self.rows()];
        self.residual(at, &mut residual);
        let of = |values: &&[f64]| -> Vec<f64> {
            let pairs = values.iter().zip(&residual).enumerate();
            pairs
                .map(|(row, (v, r))| if self.rests(row, *r) { 0.0 } else { *v })
                .collect()
        };
        values.iter().map(of).collect()
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
            if self.rests(row, *out) {
                jacobian[row * width..(row + 1) * width].fill(0.0);
            }
        }
    }

    fn probe(&self, at: &Point<'_>, probe: &Probe<'_>, gradient: &mut Gradient<'_>) {
        let active = self.active(at, &[probe.s, probe.t]);
        let probe = Probe {
            s: &active[0],
            d: probe.d,
            t: &active[1],
        };
        self.inner.probe(at, &probe, gradient);
    }

    fn add_hessian(&self, at: &Point<'_>, s: &[f64], out: &mut [f64]) {
        self.inner.add_hessian(at, &self.active(at, &[s])[0], out);
    }

    fn is_exact(&self) -> bool {
        self.inner.is_exact()
    }

    fn is_affine(&self) -> bool {
        self.inner.is_affine()
    }
}
