//! A run's loss and violations as functions of its network's raw prediction.

use burn::tensor::{DType, Tensor};
use feasible_core::{Constraints, Penalty, SoftPenalty, Violations, host};
use feasible_data::Problem;

use crate::config::{RunConfig, SafeguardConfig};
use crate::evaluate::{FEASIBILITY_TOLERANCE, mean};
use crate::method::Repaired;
use crate::{Error, Method};

/// Loss parts, in the order of [`Loss::part`].
pub(crate) const PARTS: [&str; 3] = ["objective", "upper", "lower"];

/// What a landscape has at every point.
pub(crate) const QUANTITIES: [&str; 9] = [
    "loss",
    "objective",
    "penalty_upper",
    "penalty_lower",
    "violation_max",
    "violation_mean",
    "raw_violation_max",
    "raw_violation_mean",
    "failed",
];

/// The loss of a run: objective, penalty and, where the method has a weight for it, the distance that
/// the layer moved the prediction; all of the repaired prediction, as means over samples.
#[derive(Debug)]
pub(crate) struct Loss<'a> {
    /// With or without automatic differentiation.
    pub(crate) problem: &'a dyn Problem,
    pub(crate) method: &'a Method,
    /// What widens the box, `[m]`.
    pub(crate) epsilon: Option<Vec<f64>>,
    pub(crate) penalty: SoftPenalty,
    pub(crate) distance_weight: f64,
    pub(crate) safeguard: SafeguardConfig,
    pub(crate) dtype: DType,
}

/// The parts of a batch's loss, each `[batch]`, and what they are of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) repaired: Repaired,
    /// The constraints' values at the repaired prediction, `[batch, m]`.
    pub(crate) values: Tensor<2>,
    objective: Tensor<1>,
    penalty: Penalty,
    /// ½ρ‖y − ŷ‖², where the method has a weight for it.
    distance: Option<Tensor<1>>,
    /// The safeguard's, where the batch is far off.
    far: Option<Tensor<1>>,
}

/// Their means over the samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Means {
    pub(crate) objective: f64,
    pub(crate) penalty_upper: f64,
    pub(crate) penalty_lower: f64,
    distance: f64,
    far: f64,
}

impl Parts {
    /// The losses of the samples, `[batch]`.
    pub(crate) fn samples(&self) -> Tensor<1> {
        let first = self.objective.clone() + self.penalty.clone().total();
        [&self.distance, &self.far]
            .into_iter()
            .flatten()
            .fold(first, |sum, part| sum + part.clone())
    }

    pub(crate) fn means(&self) -> Result<Means, Error> {
        let of = |name, part: &Tensor<1>| host::read(name, part).map(|v| mean(&v));
        let optional = |name, part: &Option<Tensor<1>>| match part {
            Some(part) => of(name, part),
            None => Ok(0.0),
        };
        Ok(Means {
            objective: of("objective", &self.objective)?,
            penalty_upper: of("penalty", &self.penalty.upper)?,
            penalty_lower: of("penalty", &self.penalty.lower)?,
            distance: optional("distance", &self.distance)?,
            far: optional("violation", &self.far)?,
        })
    }
}

impl Means {
    /// The mean loss.
    pub(crate) fn total(&self) -> f64 {
        self.objective + self.penalty_upper + self.penalty_lower + self.distance + self.far
    }
}

impl<'a> Loss<'a> {
    /// The loss that `config` trains with, by its method or, in soft epochs, without.
    pub(crate) fn new(
        config: &RunConfig,
        problem: &'a dyn Problem,
        method: &'a Method,
        epsilon: Option<Vec<f64>>,
        dtype: DType,
    ) -> Self {
        let distance_weight = match method {
            Method::Soft => 0.0,
            _ => config.method.distance_weight,
        };
        let safeguard = match method {
            Method::Soft => SafeguardConfig::default(),
            _ => config.method.safeguard,
        };
        Self {
            problem,
            method,
            epsilon,
            penalty: penalty(config),
            distance_weight,
            safeguard,
            dtype,
        }
    }

    /// The method's prediction.
    pub(crate) fn repaired(&self, x: &Tensor<2>, raw: Tensor<2>) -> Result<Tensor<2>, Error> {
        let constraints = self.problem.constraints(x.clone())?;
        Ok(self.apply(raw, constraints.as_ref())?.y)
    }

    fn apply(&self, raw: Tensor<2>, constraints: &dyn Constraints) -> Result<Repaired, Error> {
        let epsilon = self.epsilon.as_ref().map(|epsilon| {
            host::write(epsilon.clone(), [epsilon.len()], &raw.device(), self.dtype)
        });
        self.method.apply(raw, constraints, epsilon)
    }

    /// All parts at a raw prediction, `[batch, n]`; `constraints` are the problem's at `x`.
    pub(crate) fn parts(
        &self,
        x: &Tensor<2>,
        raw: &Tensor<2>,
        constraints: &dyn Constraints,
    ) -> Result<Parts, Error> {
        let repaired = self.apply(raw.clone(), constraints)?;
        let y = &repaired.y;
        let values = constraints.values(y.clone());
        Ok(Parts {
            objective: self.problem.objective(x.clone(), y.clone()),
            penalty: (self.penalty).of_values(values.clone(), constraints.bounds()),
            distance: distance(self.distance_weight, raw, y),
            far: far_off(self.safeguard, constraints, raw)?,
            values,
            repaired,
        })
    }

    /// One part of the mean loss at a repaired prediction, of [`PARTS`].
    pub(crate) fn part(
        &self,
        x: &Tensor<2>,
        y: Tensor<2>,
        part: usize,
    ) -> Result<Tensor<1>, Error> {
        if part == 0 {
            return Ok(self.problem.objective(x.clone(), y).mean());
        }
        let constraints = self.problem.constraints(x.clone())?;
        let sides = self.penalty.components(constraints.as_ref(), y);
        Ok(if part == 1 { sides.upper } else { sides.lower }.mean())
    }

    /// The losses of the samples, `[batch]`.
    pub(crate) fn samples(&self, x: &Tensor<2>, raw: Tensor<2>) -> Result<Tensor<1>, Error> {
        let constraints = self.problem.constraints(x.clone())?;
        Ok(self.parts(x, &raw, constraints.as_ref())?.samples())
    }

    /// The mean loss at a raw prediction.
    pub(crate) fn total(&self, x: &Tensor<2>, raw: Tensor<2>) -> Result<Tensor<1>, Error> {
        Ok(self.samples(x, raw)?.mean())
    }

    /// Objective and penalty of the samples at a repaired prediction, `[batch]`.
    pub(crate) fn after_layer(&self, x: &Tensor<2>, y: Tensor<2>) -> Result<Tensor<1>, Error> {
        let constraints = self.problem.constraints(x.clone())?;
        let penalty = self.penalty.components(constraints.as_ref(), y.clone());
        Ok(self.problem.objective(x.clone(), y) + penalty.total())
    }

    /// The numbers of [`QUANTITIES`] at a raw prediction, violations being those of the true box.
    /// All are undefined where the prediction is not finite.
    pub(crate) fn figures(
        &self,
        x: &Tensor<2>,
        raw: Tensor<2>,
        constraints: &dyn Constraints,
    ) -> Result<Vec<f64>, Error> {
        let numbers = host::read("prediction", &raw)?;
        if numbers.iter().any(|v| !v.is_finite()) {
            return Ok(vec![f64::NAN; QUANTITIES.len()]);
        }
        let parts = self.parts(x, &raw, constraints)?;
        let means = parts.means()?;
        let after = Violations::of_values(parts.values, constraints.bounds())
            .summary(FEASIBILITY_TOLERANCE)?;
        let before = match self.method {
            Method::Soft => after,
            _ => Violations::of(constraints, raw).summary(FEASIBILITY_TOLERANCE)?,
        };
        Ok(vec![
            means.total(),
            means.objective,
            means.penalty_upper,
            means.penalty_lower,
            after.max,
            after.mean,
            before.max,
            before.mean,
            parts.repaired.failed as f64,
        ])
    }
}

/// The penalty that a run's loss has: its method's own, or the study's.
pub(crate) fn penalty(config: &RunConfig) -> SoftPenalty {
    config
        .method
        .penalty
        .unwrap_or(config.training.penalty)
        .to_penalty()
}

/// The safeguard's part of every sample's loss, `[batch]`; none where the batch is near enough.
fn far_off(
    safeguard: SafeguardConfig,
    constraints: &dyn Constraints,
    raw: &Tensor<2>,
) -> Result<Option<Tensor<1>>, Error> {
    let [batch, m] = [raw.dims()[0], constraints.rows()];
    if safeguard.weight == 0.0 || batch == 0 || m == 0 {
        return Ok(None);
    }
    let bounds = constraints.bounds();
    let squares = bounds.residual(constraints.values(raw.clone())).square();
    let numbers = host::read("violation", &squares)?;
    let of = |equality: bool| -> f64 {
        let rows = bounds.equalities().iter().cycle();
        let kind = numbers.iter().zip(rows).filter(|(_, is)| **is == equality);
        kind.map(|(v, _)| v).sum::<f64>() / batch as f64
    };
    let is_far = of(true) >= safeguard.violation || of(false) >= safeguard.violation;
    Ok(is_far.then(|| squares.sum_dim(1).squeeze_dim::<1>(1) * safeguard.weight))
}

/// ½ρ‖y − ŷ‖² of every sample, `[batch]`; none without a weight.
fn distance(weight: f64, raw: &Tensor<2>, y: &Tensor<2>) -> Option<Tensor<1>> {
    (weight > 0.0).then(|| {
        let moved = (y.clone() - raw.clone()).square().sum_dim(1);
        moved.squeeze_dim::<1>(1) * (0.5 * weight)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use feasible_core::{Affine, Bounds};

    /// y₁ = 0 and y₂ ≤ 0: squared violations of 4 and 9, and of 16 and 0, in two samples.
    #[test]
    fn the_safeguard_acts_on_batches_that_are_far_off() {
        let device = Device::flex();
        let tensor = |values: Vec<f64>, shape| host::write(values, shape, &device, DType::F64);
        let rows = tensor(vec![1.0, 0.0, 0.0, 1.0], [2, 2]);
        let bounds = Bounds::shared(
            host::write(vec![0.0, f64::NEG_INFINITY], [2], &device, DType::F64),
            host::write(vec![0.0; 2], [2], &device, DType::F64),
        );
        let set = Affine::shared(rows, bounds.unwrap()).unwrap();
        let raw = tensor(vec![2.0, 3.0, -4.0, -1.0], [2, 2]);
        let of = |violation, weight| {
            let safeguard = SafeguardConfig { violation, weight };
            let far = far_off(safeguard, &set, &raw).unwrap();
            far.map(|far| host::read("far", &far).unwrap())
        };
        // The means are 10 over the equality and 4.5 over the other row.
        assert_eq!(of(10.0, 2.0), Some(vec![26.0, 32.0]));
        assert_eq!(of(10.1, 2.0), None);
        assert_eq!(of(0.0, 0.0), None);
    }
}
