//! What the residuals of an active set are measured against.

use crate::dense::{dot_abs, max_abs};
use crate::interior_point::largest_of_diagonal;
use crate::problem::{Matrix, Sample};
use crate::residual::{Point, Terms};

/// Share of the objective's gradient that counts in every entry: what it allows is a few roundings of the whole.
const UNPUSHED: f64 = 1e-2;

/// Sizes of the terms that cancel in each condition, and at least those of a point of the natural length.
pub(super) struct Sizes<'a> {
    pub(super) sample: &'a Sample<'a>,
    pub(super) terms: &'a Terms,
    pub(super) at: Point<'a>,
    pub(super) length: f64,
}

impl Sizes<'_> {
    /// Of the objective's gradient.
    #[inline(always)]
    pub(super) fn force(&self) -> f64 {
        let floor = largest_of_diagonal(self.sample.p, self.sample.n) * self.length;
        max_abs(self.sample.q)
            .max(max_abs(&self.terms.px))
            .max(floor)
    }

    /// Of every entry of the Lagrangian's gradient.
    #[inline(always)]
    pub(super) fn stationarity(&self, sizes: &mut Vec<f64>) {
        let (sample, at, n) = (self.sample, self.at, self.sample.n);
        // Of a variable that nothing pushes there is only what rounding leaves of multipliers that are zero.
        let force = self.force();
        let floor = UNPUSHED * if force > 0.0 { force } else { 1.0 };
        sizes.clear();
        sizes.extend(sample.q.iter().map(|q| q.abs() + floor));
        for (i, size) in sizes.iter_mut().enumerate() {
            *size += match sample.p {
                Matrix::Diagonal(p) => p[i] * (at.x[i].abs() + self.length),
                Matrix::Dense(p) => {
                    dot_abs(&p[i * n..(i + 1) * n], at.x) + p[i * n + i] * self.length
                }
            };
        }
        for (rows, multipliers) in [
            (sample.a, at.nu),
            (sample.g, at.lambda),
            (&self.terms.jacobian, at.mu),
        ] {
            for (row, multiplier) in rows.chunks_exact(n).zip(multipliers) {
                if *multiplier != 0.0 {
                    for (size, v) in sizes.iter_mut().zip(row) {
                        *size += (multiplier * v).abs();
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn of_row(&self, row: &[f64], bound: f64) -> f64 {
        bound.abs() + dot_abs(row, self.at.x) + max_abs(row) * self.length
    }

    #[inline(always)]
    pub(super) fn equality(&self, i: usize) -> f64 {
        let n = self.sample.n;
        self.of_row(&self.sample.a[i * n..(i + 1) * n], self.sample.b[i])
    }

    #[inline(always)]
    pub(super) fn linear(&self, i: usize, bound: f64) -> f64 {
        let n = self.sample.n;
        self.of_row(&self.sample.g[i * n..(i + 1) * n], bound)
    }

    #[inline(always)]
    pub(super) fn quadratic(&self, i: usize) -> f64 {
        let (sample, x, n) = (self.sample, self.at.x, self.sample.n);
        let row = &sample.hg[i * n..(i + 1) * n];
        let gradient = &self.terms.jacobian[i * n..(i + 1) * n];
        // Hx is half of what the gradient has beyond g.
        let square = 0.5 * (dot_abs(gradient, x) + dot_abs(row, x));
        let floor = largest_of_diagonal(sample.h.row(i, n), n) * self.length * self.length;
        self.of_row(row, sample.c[i]) + square + floor
    }
}
