//! A point and the rows that are guessed to hold it.

use crate::cut::Cut;
use crate::dense::dot;
use crate::problem::Sample;
use crate::residual::Point;
use crate::solution::ActiveRows;

/// Where to start.
#[derive(Debug, Default)]
pub(crate) struct Guess {
    pub(crate) x: Vec<f64>,
    pub(crate) nu: Vec<f64>,
    pub(crate) lambda: Vec<f64>,
    pub(crate) mu: Vec<f64>,
    /// `+1` upper bound active, `−1` lower, `0` neither: `[m]`.
    pub(crate) linear: Vec<f64>,
    /// `[k]`
    pub(crate) quadratic: Vec<bool>,
}

impl Clone for Guess {
    fn clone(&self) -> Guess {
        let mut guess = Guess::default();
        guess.clone_from(self);
        guess
    }

    /// In the memory that is there, which a derived one would not use.
    fn clone_from(&mut self, other: &Guess) {
        self.x.clone_from(&other.x);
        self.nu.clone_from(&other.nu);
        self.lambda.clone_from(&other.lambda);
        self.mu.clone_from(&other.mu);
        self.linear.clone_from(&other.linear);
        self.quadratic.clone_from(&other.quadratic);
    }
}

impl Guess {
    /// The guess that a point and its active rows are those of a sample's solution. Rows without
    /// a multiplier are at their nearer bound.
    pub(crate) fn of(sample: &Sample<'_>, at: Point<'_>, active: &ActiveRows) -> Guess {
        let n = sample.n;
        let mut linear = vec![0.0; sample.l.len()];
        for &row in active.linear.iter() {
            let row = row as usize;
            let value = dot(&sample.g[row * n..(row + 1) * n], at.x);
            let (l, u, lambda) = (sample.l[row], sample.u[row], at.lambda[row]);
            let upper = if lambda != 0.0 {
                lambda > 0.0
            } else {
                u - value < value - l
            };
            let side = if upper { 1.0 } else { -1.0 };
            // A bound that is not there holds nothing.
            if (if upper { u } else { l }).is_finite() {
                linear[row] = side;
            }
        }
        let mut quadratic = vec![false; sample.c.len()];
        for &row in &active.quadratic {
            quadratic[row as usize] = sample.c[row as usize].is_finite();
        }
        Guess {
            x: at.x.to_vec(),
            nu: at.nu.to_vec(),
            lambda: at.lambda.to_vec(),
            mu: at.mu.to_vec(),
            linear,
            quadratic,
        }
    }

    /// The point without the guess.
    pub(crate) fn point(&self) -> Point<'_> {
        Point {
            x: &self.x,
            nu: &self.nu,
            lambda: &self.lambda,
            mu: &self.mu,
        }
    }

    /// Rows of `G` that are guessed to be active.
    pub(super) fn linear_rows(&self) -> impl Iterator<Item = usize> {
        (0..self.linear.len()).filter(|&row| self.linear[row] != 0.0)
    }

    /// Quadratic rows that are.
    pub(super) fn quadratic_rows(&self) -> impl Iterator<Item = usize> {
        (0..self.quadratic.len()).filter(|&row| self.quadratic[row])
    }

    /// The guessed active rows.
    pub(crate) fn active(&self) -> ActiveRows {
        ActiveRows {
            linear: self.linear_rows().map(|row| row as u32).collect(),
            quadratic: self.quadratic_rows().map(|row| row as u32).collect(),
            dependent: Vec::new(),
            root: Cut::default(),
            identified: false,
        }
    }
}
