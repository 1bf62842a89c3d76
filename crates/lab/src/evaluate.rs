//! The published figures of a trained network on held-out samples.

use burn::tensor::Tensor;
use feasible_core::{Constraints, RowKind, SoftPenalty, ViolationSummary, Violations, host};
use feasible_data::Problem;

use crate::{Error, Method};

/// A row is violated, and a sample infeasible, above this: the tolerance of the published figures.
pub const FEASIBILITY_TOLERANCE: f64 = 1e-4;
/// What geometric means take for zero, as published.
const FLOOR: f64 = 1e-16;

/// Figures of one part of a data set, as SnareNet's `record_stats` defines them. Violations are
/// those of the true, unrelaxed box, at the repaired prediction.
///
/// Gaps are f(y) − f*, which is negative where an infeasible y beats the optimum, or a local optimum
/// stands for the global one. They are over the samples whose reference was solved.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Mean of objective plus penalty; a validation's rank.
    pub loss: f64,
    /// Mean objective.
    pub objective: f64,
    /// Largest gap.
    pub gap_max: f64,
    /// Mean gap.
    pub gap_mean: f64,
    /// Geometric mean of max(gap, 1e-16).
    pub gap_gmean: f64,
    /// Largest violation of any row of any sample.
    pub violation_max: f64,
    /// Largest violation of an inequality row.
    pub inequality_max: f64,
    /// Geometric mean over inequality rows and samples, of at least 1e-16 each.
    pub inequality_gmean: f64,
    /// Inequality rows violated by more than 1e-4, mean over samples.
    pub inequalities_violated: f64,
    /// Largest violation of an equality row.
    pub equality_max: f64,
    /// Geometric mean over equality rows and samples, of at least 1e-16 each.
    pub equality_gmean: f64,
    /// Equality rows violated by more than 1e-4, mean over samples.
    pub equalities_violated: f64,
    /// Samples with all rows within 1e-1, 1e-2 and 1e-4.
    pub feasible: [usize; 3],
    /// Samples with all rows within 1e-4 and a gap below 1e-4.
    pub solved: usize,
    /// Samples.
    pub samples: usize,
    /// Samples without a solved reference.
    pub unreferenced: usize,
    /// Largest violation of the raw prediction.
    pub raw_violation_max: f64,
    /// Mean and largest number of iterations of the layer; 0 without a layer.
    pub iterations: (f64, usize),
    /// Samples whose layer did not converge.
    pub failed: usize,
}

/// Evaluates raw predictions `raw`, `[samples, n]`, of the inputs `x`.
///
/// # Errors
/// If the layer or the device fails.
///
/// # Panics
/// If `references` has another length than the batch.
pub(crate) fn evaluate(
    problem: &dyn Problem,
    x: Tensor<2>,
    raw: Tensor<2>,
    method: &Method,
    epsilon: Option<Tensor<1>>,
    penalty: &SoftPenalty,
    references: &[f64],
) -> Result<Evaluation, Error> {
    let constraints = problem.constraints(x.clone())?;
    let repaired = method.apply(raw.clone(), constraints.as_ref(), epsilon)?;
    let raw_violations =
        Violations::of(constraints.as_ref(), raw).summary(FEASIBILITY_TOLERANCE)?;
    let objective = host::read("objective", &problem.objective(x, repaired.y.clone()))?;
    let values = constraints.values(repaired.y);
    let penalties = host::read(
        "penalty",
        &penalty
            .of_values(values.clone(), constraints.bounds())
            .total(),
    )?;
    let violations = Violations::of_values(values, constraints.bounds());
    figures(
        &objective,
        &penalties,
        &violations,
        constraints.as_ref(),
        references,
    )
    .map(|mut evaluation| {
        evaluation.raw_violation_max = raw_violations.max;
        evaluation.iterations = iterations(&repaired.iterations);
        evaluation.failed = repaired.failed;
        evaluation
    })
}

/// Mean and maximum of iteration counts.
pub(crate) fn iterations(counts: &[usize]) -> (f64, usize) {
    let max = counts.iter().copied().max().unwrap_or(0);
    (
        counts.iter().sum::<usize>() as f64 / counts.len().max(1) as f64,
        max,
    )
}

/// NaN for an empty slice.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// NaN if one is NaN or there is none.
pub(crate) fn max(values: &[f64]) -> f64 {
    let larger = |a: f64, b: f64| {
        if a.is_nan() || b.is_nan() {
            f64::NAN
        } else {
            a.max(b)
        }
    };
    values.iter().copied().reduce(larger).unwrap_or(f64::NAN)
}

fn figures(
    objective: &[f64],
    penalties: &[f64],
    violations: &Violations,
    constraints: &dyn Constraints,
    references: &[f64],
) -> Result<Evaluation, Error> {
    assert_eq!(objective.len(), references.len(), "one reference a sample");
    let rows = host::read("violations", &violations.rows())?;
    let m = constraints.rows();
    let worst: Vec<f64> = (0..objective.len())
        .map(|sample| max(&rows[sample * m..(sample + 1) * m]))
        .collect();
    let gaps: Vec<f64> = objective
        .iter()
        .zip(references)
        .map(|(f, best)| f - best)
        .collect();
    let referenced: Vec<f64> = gaps
        .iter()
        .zip(references)
        .filter(|(_, best)| !best.is_nan())
        .map(|(gap, _)| *gap)
        .collect();
    let of_kind = |kind| violations.summary_of(kind, FEASIBILITY_TOLERANCE);
    let (inequalities, equalities): (ViolationSummary, ViolationSummary) = (
        of_kind(RowKind::Inequalities)?,
        of_kind(RowKind::Equalities)?,
    );
    let gmean_of_rows = |equality: bool| {
        let kinds = constraints.bounds().equalities();
        gmean(
            rows.iter()
                .enumerate()
                .filter(|(i, _)| kinds[i % m] == equality)
                .map(|(_, v)| *v),
        )
    };
    // Written so that NaN is never within a tolerance.
    let within = |tolerance: f64| worst.iter().filter(|&&v| v <= tolerance).count();
    let solved = worst
        .iter()
        .zip(&gaps)
        .filter(|&(&v, &gap)| v <= FEASIBILITY_TOLERANCE && gap < 1e-4)
        .count();
    Ok(Evaluation {
        loss: mean(objective) + mean(penalties),
        objective: mean(objective),
        gap_max: max(&referenced),
        gap_mean: mean(&referenced),
        gap_gmean: gmean(referenced.iter().copied()),
        violation_max: max(&worst),
        inequality_max: inequalities.max,
        inequality_gmean: gmean_of_rows(false),
        inequalities_violated: inequalities.violated_rows,
        equality_max: equalities.max,
        equality_gmean: gmean_of_rows(true),
        equalities_violated: equalities.violated_rows,
        feasible: [within(1e-1), within(1e-2), within(FEASIBILITY_TOLERANCE)],
        solved,
        samples: objective.len(),
        unreferenced: references.iter().filter(|best| best.is_nan()).count(),
        raw_violation_max: 0.0,
        iterations: (0.0, 0),
        failed: 0,
    })
}

/// Geometric mean of values raised to at least [`FLOOR`]; NaN if one is NaN or there is none.
fn gmean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut logs, mut count) = (0.0, 0usize);
    for value in values {
        // `f64::max` would drop a NaN.
        logs += if value.is_nan() {
            f64::NAN
        } else {
            value.max(FLOOR).ln()
        };
        count += 1;
    }
    (logs / count as f64).exp()
}

impl Evaluation {
    /// The figures under their names in `metrics.jsonl`, without a prefix.
    pub fn values(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("loss", self.loss),
            ("objective", self.objective),
            ("gap_max", self.gap_max),
            ("gap_mean", self.gap_mean),
            ("gap_gmean", self.gap_gmean),
            ("violation_max", self.violation_max),
            ("inequality_max", self.inequality_max),
            ("inequality_gmean", self.inequality_gmean),
            ("inequalities_violated", self.inequalities_violated),
            ("equality_max", self.equality_max),
            ("equality_gmean", self.equality_gmean),
            ("equalities_violated", self.equalities_violated),
            ("feasible_1e-1", self.feasible[0] as f64),
            ("feasible_1e-2", self.feasible[1] as f64),
            ("feasible_1e-4", self.feasible[2] as f64),
            ("solved", self.solved as f64),
            ("samples", self.samples as f64),
            ("unreferenced", self.unreferenced as f64),
            ("raw_violation_max", self.raw_violation_max),
            ("iterations_mean", self.iterations.0),
            ("iterations_max", self.iterations.1 as f64),
            ("failed", self.failed as f64),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{DType, Device};
    use feasible_core::{Affine, Bounds};

    /// y₁ = 1, y₁ + y₂ ≤ 2.
    fn constraints(device: &Device) -> Affine {
        let tensor =
            |values: &[f64]| host::write(values.to_vec(), [values.len()], device, DType::F64);
        let rows = host::write(vec![1.0, 0.0, 1.0, 1.0], [2, 2], device, DType::F64);
        let bounds = Bounds::shared(tensor(&[1.0, f64::NEG_INFINITY]), tensor(&[1.0, 2.0]));
        Affine::shared(rows, bounds.unwrap()).unwrap()
    }

    fn figures_of(y: [[f64; 2]; 3], objective: [f64; 3], references: [f64; 3]) -> Evaluation {
        let device = Device::flex();
        let constraints = constraints(&device);
        let y = host::write(y.concat(), [3, 2], &device, DType::F64);
        let violations = Violations::of(&constraints, y);
        figures(
            &objective,
            &[3.0, 0.0, 0.0],
            &violations,
            &constraints,
            &references,
        )
        .unwrap()
    }

    #[test]
    fn every_figure_matches_a_count_by_hand() {
        // Violations (equality, inequality): (0.5, 1.5), (0, 0), (0.05, 0).
        let found = figures_of(
            [[1.5, 2.0], [1.0, 0.0], [1.05, 0.0]],
            [1.0, 2.0, 3.0],
            [5.0, 2.0 - 1e-5, 1.0],
        );
        assert_eq!((found.loss, found.objective), (3.0, 2.0));
        assert_eq!(found.gap_max, 2.0);
        assert!((found.gap_mean - (-4.0 + 1e-5 + 2.0) / 3.0).abs() < 1e-12);
        let gmean = (1e-16f64 * 1e-5 * 2.0).cbrt();
        assert!((found.gap_gmean / gmean - 1.0).abs() < 1e-9); // rounding of 2 − 1e-5
        assert_eq!(
            (
                found.violation_max,
                found.inequality_max,
                found.equality_max
            ),
            (1.5, 1.5, 0.5)
        );
        assert_eq!(
            (found.inequalities_violated, found.equalities_violated),
            (1.0 / 3.0, 2.0 / 3.0)
        );
        assert!((found.inequality_gmean / (1.5f64 * 1e-32).cbrt() - 1.0).abs() < 1e-12);
        assert_eq!(
            (found.feasible, found.solved, found.samples),
            ([2, 1, 1], 1, 3)
        );
    }

    #[test]
    fn a_sample_without_a_reference_is_left_out_of_gaps_alone() {
        let y = [[1.0, 0.0]; 3];
        let found = figures_of(y, [1.0, 2.0, 3.0], [0.5, f64::NAN, 1.0]);
        assert_eq!(
            (found.gap_max, found.gap_mean, found.unreferenced),
            (2.0, 1.25, 1)
        );
        assert_eq!(found.objective, 2.0);
        assert!(figures_of(y, [1.0; 3], [f64::NAN; 3]).gap_max.is_nan());
    }

    #[test]
    fn a_prediction_that_is_not_a_number_is_never_feasible() {
        let found = figures_of(
            [[f64::NAN, 0.0], [1.0, 0.0], [1.0, 0.0]],
            [f64::NAN, 2.0, 3.0],
            [0.0; 3],
        );
        assert!(found.violation_max.is_nan() && found.gap_max.is_nan() && found.gap_gmean.is_nan());
        assert_eq!(found.feasible, [2, 2, 2]);
    }
}
