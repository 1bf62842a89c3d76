//! Weights of the rows in the least-squares step.
//!
//! With W = diag(w) a step is (JᵀW²J + λI) Δ = JᵀW²r: that of the rows WJ with the residual Wr. w is
//! taken once, at the start. Where it is 1/‖J_i(y₀)‖, a curved row's weight moves with y₀; with θ the
//! gradient with respect to log w, y₀ gets −2 θ_i w_i² H_i J_i(y₀).

use super::DampedProblem;
use super::rows::{add_curvature, jacobian_row};
use crate::dense::max_abs;

/// Weights of the rows in the least-squares step. They change the step, not what the tolerance is
/// compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowWeights {
    /// All one, as published.
    #[default]
    Uniform,
    /// The inverse norms of the Jacobian's rows at the start; 1 for rows that vanish there. Rows that
    /// say the same in other units then weigh the same. Differentiated where they depend on the start.
    InverseNorms,
}

/// Rows up to this length count as zero: the inverse would only amplify rounding.
pub const VANISHING_ROW: f64 = 1e-12;

/// The inverse of a row's length; `None` where it counts as zero or is not finite.
pub(super) fn inverse_norm(row: &[f64]) -> Option<f64> {
    let largest = max_abs(row);
    // Scaled, so that no square overflows.
    let norm = largest
        * row
            .iter()
            .map(|v| (v / largest).powi(2))
            .sum::<f64>()
            .sqrt();
    (norm > VANISHING_ROW && norm.is_finite()).then(|| norm.recip())
}

impl RowWeights {
    /// The weight of a row with these coefficients at the start.
    pub fn of(self, row: &[f64]) -> f64 {
        match self {
            Self::Uniform => 1.0,
            Self::InverseNorms => inverse_norm(row).unwrap_or(1.0),
        }
    }

    /// The weights of one sample's rows, `[m]`; none where they are all one. `scratch` is `[n]`.
    pub(super) fn at(
        self,
        problem: &DampedProblem<'_>,
        sample: usize,
        start: &[f64],
        scratch: &mut [f64],
    ) -> Vec<f64> {
        if self == Self::Uniform {
            return vec![];
        }
        (0..problem.rows())
            .map(|row| {
                jacobian_row(problem, sample, row, start, scratch);
                self.of(scratch)
            })
            .collect()
    }
}

/// Adds to `out` what the gradient with respect to log w, `[m]`, is to the start.
pub(super) fn add_of_start(
    problem: &DampedProblem<'_>,
    sample: usize,
    start: &[f64],
    of_log_weights: &[f64],
    out: &mut [f64],
) {
    let mut row_at_start = vec![0.0; problem.n];
    for (row, &theta) in of_log_weights.iter().enumerate() {
        if theta == 0.0 {
            continue;
        }
        jacobian_row(problem, sample, row, start, &mut row_at_start);
        if let Some(weight) = inverse_norm(&row_at_start) {
            let factor = -2.0 * theta * weight * weight;
            add_curvature(problem, sample, row, factor, &row_at_start, out);
        }
    }
}
