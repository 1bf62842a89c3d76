//! The implicit gradient ([`super::limit`]) of one sample whose rows are computed elsewhere.

use super::cholesky::Scratch;
use super::held::{Contact, Held, LimitQuality};
use super::limit::{System, relative_distance};
use super::step::{Coefficients, Factored};
use super::weights::inverse_norm;
use super::{DampedSettings, RowPolicy, RowWeights};
use crate::dense::{axpy, dot, max_abs};

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
    /// When each row was outside its box, `[m]`.
    pub contacts: &'a [Contact],
    /// What the rows weigh in a step, `[m]`.
    pub weights: &'a [f64],
    /// Which rows are, or may be, other than affine, `[m]`.
    pub curved: &'a [bool],
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
    /// Whether the weight is the inverse of the row's length here, and changes with it.
    of_length: Vec<bool>,
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
        let bounds = |row: usize| [output.lower[row], output.upper[row]];
        let (contacts, ends, tolerance) = (output.contacts, output.values, settings.tolerance);
        let held_by = |row| Held::of(contacts[row], ends[row], bounds(row), tolerance);
        let all: Vec<Held> = (0..m).map(held_by).collect();
        let is_settled = |row: usize| contacts[row].is_settled(ends[row], bounds(row), tolerance);
        let settled = (0..m).all(is_settled);
        let takes_part = |row: &usize| match settings.rows {
            _ if all[*row] != Held::Not => true,
            // A row of zeros would make the undamped matrix singular.
            RowPolicy::All => settings.damping > 0.0 || max_abs(row_of(*row)) > 0.0,
            RowPolicy::Violated => output.equality[*row],
        };
        let rows: Vec<usize> = (0..m).filter(takes_part).collect();
        let affine = !rows.iter().any(|row| output.curved[*row]);
        let mut jacobian = Vec::with_capacity(rows.len() * n);
        for &row in &rows {
            jacobian.extend(row_of(row).iter().map(|a| output.weights[row] * a));
        }
        // A curved row's weight is of its length at the start.
        let of_length = |row: &usize| {
            settings.weights == RowWeights::InverseNorms
                && !output.curved[*row]
                && inverse_norm(row_of(*row)).is_some()
        };
        let mut held_rows = Self {
            n,
            damping: settings.damping,
            weights: rows.iter().map(|row| output.weights[*row]).collect(),
            of_length: rows.iter().map(of_length).collect(),
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
            return (None, LimitQuality::LOST);
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
        let quality = LimitQuality {
            deviation,
            settled,
            affine,
        };
        (Some(held_rows), quality)
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
    /// set. With the cotangent of g, exact for affine rows. Weights of curved rows are constants.
    pub fn of_jacobian(&self, start: &[f64], jacobian: &mut [f64]) {
        let n = self.n;
        let mut of_row = vec![0.0; n];
        self.system()
            .of_rows(start, &self.x, |at, of_p, p, of_way| {
                let weight = self.weights[at];
                of_row.fill(0.0);
                axpy(weight * of_p, p, &mut of_row);
                axpy(weight * of_way, &self.way, &mut of_row);
                if self.of_length[at] {
                    // Of a row of length one, its length does not count.
                    let row = &self.jacobian[at * n..][..n];
                    axpy(-dot(&of_row, row), row, &mut of_row);
                }
                axpy(1.0, &of_row, &mut jacobian[self.rows[at] * n..][..n]);
            });
    }
}
