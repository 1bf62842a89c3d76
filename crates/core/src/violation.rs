use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use crate::{Bounds, Constraints, Error, host};

/// By how much values g(y) leave their box, row by row; both sides kept apart.
///
/// As tensors these are differentiable; [`Violations::summary`] reads them as numbers.
#[derive(Debug, Clone)]
pub struct Violations {
    above: Tensor<2>,
    below: Tensor<2>,
    equality: Vec<bool>,
}

/// Which rows a summary is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// All rows.
    All,
    /// Rows with l = u in every sample.
    Equalities,
    /// The other rows.
    Inequalities,
}

/// Violations of a batch as numbers. With no rows or no samples, maxima, means and fractions are 0;
/// a NaN among the values makes maxima and means NaN and its sample infeasible.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ViolationSummary {
    /// Largest violation over rows and samples.
    pub max: f64,
    /// Mean over rows and samples.
    pub mean: f64,
    /// Mean over samples of the Euclidean norm over rows.
    pub l2: f64,
    /// Largest excess over u.
    pub upper_max: f64,
    /// Largest shortfall below l.
    pub lower_max: f64,
    /// Share of rows, over all samples, violated by more than the tolerance.
    pub fraction: f64,
    /// Rows violated by more than the tolerance, mean over samples.
    pub violated_rows: f64,
    /// Samples with at least one row violated by more than the tolerance.
    pub infeasible_samples: usize,
    /// Samples in the batch.
    pub samples: usize,
}

impl Violations {
    /// Violations at `y`, `[batch, n]`.
    pub fn of(constraints: &dyn Constraints, y: Tensor<2>) -> Self {
        Self::of_values(constraints.values(y), constraints.bounds())
    }

    /// Violations of values g(y), `[batch, m]`, already computed.
    pub fn of_values(values: Tensor<2>, bounds: &Bounds) -> Self {
        Self {
            above: relu(values.clone() - bounds.upper()),
            below: relu(bounds.lower() - values),
            equality: bounds.equalities().to_vec(),
        }
    }

    /// ReLU(g − u), `[batch, m]`.
    pub fn above(&self) -> Tensor<2> {
        self.above.clone()
    }

    /// ReLU(l − g), `[batch, m]`.
    pub fn below(&self) -> Tensor<2> {
        self.below.clone()
    }

    /// The violation of every row, whichever side it is on, `[batch, m]`.
    pub fn rows(&self) -> Tensor<2> {
        self.above() + self.below()
    }

    /// All rows as numbers; `tolerance` ≥ 0 is what counts as met.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn summary(&self, tolerance: f64) -> Result<ViolationSummary, Error> {
        self.summary_of(RowKind::All, tolerance)
    }

    /// The rows of one kind as numbers.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn summary_of(&self, kind: RowKind, tolerance: f64) -> Result<ViolationSummary, Error> {
        let [samples, m] = self.above.dims();
        let above = host::read("violation above", &self.above)?;
        let below = host::read("violation below", &self.below)?;
        let rows: Vec<usize> = (0..m)
            .filter(|&row| match kind {
                RowKind::All => true,
                RowKind::Equalities => self.equality[row],
                RowKind::Inequalities => !self.equality[row],
            })
            .collect();
        let (mut max, mut upper_max, mut lower_max) = (0.0, 0.0, 0.0);
        let (mut sum, mut norms, mut violated, mut infeasible_samples) = (0.0, 0.0, 0, 0);
        for sample in 0..samples {
            let (mut squares, mut here) = (0.0, 0);
            for &row in &rows {
                let (a, b) = (above[sample * m + row], below[sample * m + row]);
                let v = a + b;
                upper_max = nan_max(upper_max, a);
                lower_max = nan_max(lower_max, b);
                max = nan_max(max, v);
                sum += v;
                squares += v * v;
                here += usize::from(v > tolerance || v.is_nan());
            }
            norms += squares.sqrt();
            violated += here;
            infeasible_samples += usize::from(here > 0);
        }
        let per = |total: f64, count: usize| {
            if count == 0 {
                0.0
            } else {
                total / count as f64
            }
        };
        Ok(ViolationSummary {
            max,
            mean: per(sum, samples * rows.len()),
            l2: per(norms, samples),
            upper_max,
            lower_max,
            fraction: per(violated as f64, samples * rows.len()),
            violated_rows: per(violated as f64, samples),
            infeasible_samples,
            samples,
        })
    }
}

/// The larger of two numbers, NaN if either is.
fn nan_max(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn violations(values: [[f64; 3]; 2]) -> Violations {
        let device = Device::flex();
        // An equality to 1, a two-sided row and a one-sided row.
        let bounds = Bounds::shared(
            Tensor::from_data([1.0, 0.0, f64::NEG_INFINITY], &device),
            Tensor::from_data([1.0, 2.0, 3.0], &device),
        )
        .unwrap();
        Violations::of_values(Tensor::from_data(values, &device), &bounds)
    }

    #[test]
    fn every_number_matches_a_count_by_hand() {
        let v = violations([[1.5, -2.0, 7.0], [1.0, 1.0, -100.0]]);
        let all = v.summary(1e-6).unwrap();
        assert_eq!((all.max, all.upper_max, all.lower_max), (4.0, 4.0, 2.0));
        assert_eq!(all.mean, 6.5 / 6.0);
        assert!((all.l2 - (0.25f64 + 4.0 + 16.0).sqrt() / 2.0).abs() < 1e-12);
        assert_eq!((all.fraction, all.violated_rows), (0.5, 1.5));
        assert_eq!((all.infeasible_samples, all.samples), (1, 2));
        assert_eq!(v.summary_of(RowKind::Equalities, 0.0).unwrap().max, 0.5);
        assert_eq!(
            v.summary_of(RowKind::Inequalities, 0.0).unwrap().mean,
            6.0 / 4.0
        );
    }

    #[test]
    fn the_tolerance_is_what_counts_as_met() {
        assert_eq!(
            violations([[1.5, 0.0, 0.0], [1.0, 1.0, 0.0]])
                .summary(0.5)
                .unwrap()
                .infeasible_samples,
            0
        );
    }

    #[test]
    fn a_nan_is_never_feasible() {
        let summary = violations([[f64::NAN, 0.0, 0.0], [1.0, 1.0, 0.0]])
            .summary(1e-6)
            .unwrap();
        assert!(summary.max.is_nan());
        assert_eq!(summary.infeasible_samples, 1);
    }
}
