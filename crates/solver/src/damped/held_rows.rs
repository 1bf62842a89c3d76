//! The implicit gradient ([`super::limit`]) of one sample whose rows are computed elsewhere.

use super::cholesky::Scratch;
use super::limit::{Held, LOST, LimitQuality, System, relative_distance};
use super::step::{Coefficients, Factored};
use super::{DampedSettings, RowPolicy};
use crate::dense::{axpy, max_abs};

/// Where the steps of one sample led, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// J at the output, `[m, n]`.
    pub jacobian: &'a [f64],
    /// g at the output, `[m]`.
    pub values: &'a [f64],
    /// g at the start, `[m]`.
    pub start_values: &'a [f64],
    /// Start minus output, `[n]`.
    pub way: &'a [f64],
    /// l, `[m]`.
    pub lower: &'a [f64],
    /// u, `[m]`.
    pub upper: &'a [f64],
    /// Which rows stay in J whatever their residual under [`RowPolicy::Violated`], `[m]`.
    pub equality: &'a [bool],
    /// The side of its box that each row was on when a step was last taken from outside: 1 above, -1
    /// below, 0 never, `[m]`.
    pub met: &'a [i8],
    /// What the rows weigh in a step, `[m]`.
    pub weights: &'a [f64],
}

/// The rows of the last step, at the output, with their factor.
#[derive(Debug)]
pub struct HeldRows {
    n: usize,
    damping: f64,
    /// The numbers of the rows that take part.
    rows: Vec<usize>,
    /// Their coefficients times their weights.
    jacobian: Vec<f64>,
    weights: Vec<f64>,
    held: Vec<Held>,
    factored: Factored,
    /// K_AA⁻¹ of the change of the rows, and D_Aᵀ of that.
    x: Vec<f64>,
    way: Vec<f64>,
}

impl HeldRows {
    /// The rows that take part in a step with `settings`, and how far the gradient can be trusted.
    /// `None` where the step's matrix is not finite or singular to working precision.
    pub fn new(output: &Output<'_>, settings: &DampedSettings) -> (Option<Self>, LimitQuality) {
        let (n, m) = (output.way.len(), output.values.len());
        let row_of = |row: usize| &output.jacobian[row * n..(row + 1) * n];
        let all: Vec<Held> = (0..m)
            .map(|row| {
                let bounds = [output.lower[row], output.upper[row]];
                Held::of(
                    output.met[row],
                    output.values[row],
                    bounds,
                    settings.tolerance,
                )
            })
            .collect();
        let settled = (0..m).all(|row| output.met[row] == 0 || all[row] != Held::Not);
        let takes_part = |row: &usize| match settings.rows {
            _ if all[*row] != Held::Not => true,
            // A row of zeros would make the undamped matrix singular.
            RowPolicy::All => settings.damping > 0.0 || max_abs(row_of(*row)) > 0.0,
            RowPolicy::Violated => output.equality[*row],
        };
        let rows: Vec<usize> = (0..m).filter(takes_part).collect();
        let mut jacobian = Vec::with_capacity(rows.len() * n);
        for &row in &rows {
            jacobian.extend(row_of(row).iter().map(|a| output.weights[row] * a));
        }
        let mut held_rows = Self {
            n,
            damping: settings.damping,
            weights: rows.iter().map(|row| output.weights[*row]).collect(),
            held: rows.iter().map(|row| all[*row]).collect(),
            factored: Factored::default(),
            rows,
            jacobian,
            x: vec![],
            way: vec![],
        };
        let q = held_rows.rows.len();
        let mut scratch = Scratch::new(q, n);
        scratch.moving.copy_from_slice(&held_rows.jacobian);
        let is_finite = max_abs(&held_rows.jacobian).is_finite();
        let factor = &mut held_rows.factored.factor;
        if !is_finite || !factor.refactor(None, q, n, settings.damping, &mut scratch) {
            return (None, LOST);
        }
        let change = |(row, weight): (&usize, &f64)| {
            weight * (output.start_values[*row] - output.values[*row])
        };
        let rows_and_weights = held_rows.rows.iter().zip(&held_rows.weights);
        let change = rows_and_weights.map(change).collect();
        let (x, way, solved) = held_rows.system().way(change);
        let deviation = match solved {
            true => relative_distance(output.way, &way),
            false => f64::NAN,
        };
        (held_rows.x, held_rows.way) = (x, way);
        (Some(held_rows), LimitQuality { deviation, settled })
    }

    fn system(&self) -> System<'_> {
        System {
            coefficients: Coefficients {
                fixed: None,
                moving: &self.jacobian,
                n: self.n,
            },
            factor: &self.factored.factor,
            held: &self.held,
            damping: self.damping,
        }
    }

    /// Replaces `v`, the cotangent of the output, `[n]`, by that of the start, and adds those of the
    /// bounds to `lower` and `upper`, `[m]`. The cotangent of g is minus both together.
    pub fn pull_back(&self, v: &mut [f64], lower: &mut [f64], upper: &mut [f64]) {
        let x = self.system().pull_back(v);
        for (at, &row) in self.rows.iter().enumerate() {
            let of_bound = self.weights[at] * x[at];
            self.held[at].add(of_bound, &mut lower[row], &mut upper[row]);
        }
    }

    /// Adds to `jacobian`, `[m, n]`, the cotangent of J for that of the start, as
    /// [`HeldRows::pull_back`] left it: what the rows' directions do to where the steps lead along the
    /// set. With the cotangent of g, exact for affine rows.
    pub fn of_jacobian(&self, start: &[f64], jacobian: &mut [f64]) {
        let n = self.n;
        self.system()
            .of_rows(start, &self.x, |at, of_p, p, of_way| {
                let weight = self.weights[at];
                let out = &mut jacobian[self.rows[at] * n..][..n];
                axpy(weight * of_p, p, out);
                axpy(weight * of_way, &self.way, out);
            });
    }
}
