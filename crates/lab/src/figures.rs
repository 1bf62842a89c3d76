//! What training steps measure, and an epoch's summary of it.

use burn::tensor::Tensor;
use feasible_core::{Constraints, Violations};

use crate::Error;
use crate::evaluate::{FEASIBILITY_TOLERANCE, iterations as iterations_of, max, mean};

/// What one step measured; losses are means over the batch's samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepFigures {
    /// Objective plus penalties, and the distance term where the method has one.
    pub loss: f64,
    /// Objective.
    pub objective: f64,
    /// Weighted penalty for exceeding upper bounds.
    pub penalty_upper: f64,
    /// Weighted penalty for falling below lower bounds.
    pub penalty_lower: f64,
    /// What only a recorded step measures.
    pub details: Option<StepDetails>,
}

/// What takes time to measure. Violations are those of the true box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepDetails {
    /// Largest violation of the raw prediction.
    pub raw_violation_max: f64,
    /// Mean violation of the raw prediction over rows and samples.
    pub raw_violation_mean: f64,
    /// Largest violation of the repaired prediction.
    pub violation_max: f64,
    /// Mean violation of the repaired prediction over rows and samples.
    pub violation_mean: f64,
    /// Mean number of the layer's iterations.
    pub iterations_mean: f64,
    /// Largest number of the layer's iterations.
    pub iterations_max: usize,
    /// Samples whose layer did not converge.
    pub failed: usize,
}

impl StepDetails {
    /// From the raw prediction, the rows' values at the repaired one, and what the layer said.
    pub(crate) fn of(
        raw: Tensor<2>,
        values: Tensor<2>,
        constraints: &dyn Constraints,
        iterations: &[usize],
        failed: usize,
    ) -> Result<Self, Error> {
        let raw = Violations::of(constraints, raw.detach()).summary(FEASIBILITY_TOLERANCE)?;
        let repaired = Violations::of_values(values.detach(), constraints.bounds())
            .summary(FEASIBILITY_TOLERANCE)?;
        let (iterations_mean, iterations_max) = iterations_of(iterations);
        Ok(Self {
            raw_violation_max: raw.max,
            raw_violation_mean: raw.mean,
            violation_max: repaired.max,
            violation_mean: repaired.mean,
            iterations_mean,
            iterations_max,
            failed,
        })
    }
}

impl StepFigures {
    /// The figures under their names in `metrics.jsonl`.
    pub fn values(&self) -> Vec<(&'static str, f64)> {
        let mut values = vec![
            ("train.loss", self.loss),
            ("train.objective", self.objective),
            ("train.penalty_upper", self.penalty_upper),
            ("train.penalty_lower", self.penalty_lower),
        ];
        if let Some(details) = &self.details {
            values.extend([
                ("train.raw_violation_max", details.raw_violation_max),
                ("train.raw_violation_mean", details.raw_violation_mean),
                ("train.violation_max", details.violation_max),
                ("train.violation_mean", details.violation_mean),
                ("train.iterations_mean", details.iterations_mean),
                ("train.iterations_max", details.iterations_max as f64),
                ("train.failed", details.failed as f64),
            ]);
        }
        values
    }
}

/// An epoch's figures under their names in `metrics.jsonl`: losses are means over its steps, the rest
/// means and maxima over the steps that measured it, absent when none did.
pub(crate) fn epoch_values(steps: &[StepFigures]) -> Vec<(&'static str, f64)> {
    let details: Vec<StepDetails> = steps.iter().filter_map(|figures| figures.details).collect();
    let loss = |of: fn(&StepFigures) -> f64| mean(&steps.iter().map(of).collect::<Vec<_>>());
    let all = |of: fn(&StepDetails) -> f64| details.iter().map(of).collect::<Vec<_>>();
    let max = |of| max(&all(of));
    let mut values = vec![
        ("epoch.loss", loss(|f| f.loss)),
        ("epoch.objective", loss(|f| f.objective)),
        ("epoch.penalty_upper", loss(|f| f.penalty_upper)),
        ("epoch.penalty_lower", loss(|f| f.penalty_lower)),
    ];
    if !details.is_empty() {
        values.extend([
            (
                "epoch.raw_violation_mean",
                mean(&all(|d| d.raw_violation_mean)),
            ),
            ("epoch.raw_violation_max", max(|d| d.raw_violation_max)),
            ("epoch.violation_mean", mean(&all(|d| d.violation_mean))),
            ("epoch.violation_max", max(|d| d.violation_max)),
            ("epoch.iterations_mean", mean(&all(|d| d.iterations_mean))),
            ("epoch.iterations_max", max(|d| d.iterations_max as f64)),
            ("epoch.failed", all(|d| d.failed as f64).iter().sum()),
        ]);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_averages_all_losses_and_only_measured_details() {
        let details = StepDetails {
            raw_violation_max: 3.0,
            raw_violation_mean: 1.0,
            violation_max: 0.5,
            violation_mean: 0.25,
            iterations_mean: 4.0,
            iterations_max: 7,
            failed: 2,
        };
        let step = |loss: f64, details| StepFigures {
            loss,
            objective: loss - 1.0,
            penalty_upper: 0.75,
            penalty_lower: 0.25,
            details,
        };
        let values = epoch_values(&[step(1.0, None), step(2.0, Some(details)), step(6.0, None)]);
        let of = |name: &str| {
            values
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| *value)
        };
        assert_eq!(
            (of("epoch.loss"), of("epoch.objective")),
            (Some(3.0), Some(2.0))
        );
        assert_eq!(
            (of("epoch.violation_mean"), of("epoch.iterations_max")),
            (Some(0.25), Some(7.0))
        );
        assert_eq!(of("epoch.failed"), Some(2.0));
        assert_eq!(epoch_values(&[step(1.0, None)]).len(), 4);

        // Whichever step it is in, NaN is no violation of zero.
        let nan = StepDetails {
            violation_max: f64::NAN,
            ..details
        };
        for order in [[details, nan], [nan, details]] {
            let values = epoch_values(&order.map(|details| step(1.0, Some(details))));
            let violation = values.iter().find(|(key, _)| *key == "epoch.violation_max");
            assert!(violation.unwrap().1.is_nan());
        }
    }
}
