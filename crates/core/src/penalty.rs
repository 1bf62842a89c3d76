use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use crate::{Bounds, Constraints, Error};

/// How a violation enters the penalty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PenaltyForm {
    /// μ‖ReLU(·)‖₂: exact for μ large enough, not smooth where it becomes zero. Its gradient at
    /// zero violation is taken as 0.
    #[default]
    Norm,
    /// μ‖ReLU(·)‖₂²: smooth, and never exact.
    Squared,
}

/// The soft penalty μ_u‖ReLU(g(y) − u)‖₂ + μ_l‖ReLU(l − g(y))‖₂, or its squared form.
///
/// An equality contributes to the side on which it is broken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoftPenalty {
    /// μ_u ≥ 0, the weight of exceeding u. Default 10, as in SnareNet.
    pub upper_weight: f64,
    /// μ_l ≥ 0, the weight of falling below l. Default 10.
    pub lower_weight: f64,
    /// Norm (default) or squared norm.
    pub form: PenaltyForm,
}

impl Default for SoftPenalty {
    fn default() -> Self {
        Self {
            upper_weight: 10.0,
            lower_weight: 10.0,
            form: PenaltyForm::Norm,
        }
    }
}

/// The two sides of a soft penalty, each `[batch]` and weighted.
#[derive(Debug, Clone)]
pub struct Penalty {
    /// μ_u‖ReLU(g − u)‖₂ of every sample.
    pub upper: Tensor<1>,
    /// μ_l‖ReLU(l − g)‖₂ of every sample.
    pub lower: Tensor<1>,
}

impl Penalty {
    /// Both sides together, `[batch]`.
    pub fn total(self) -> Tensor<1> {
        self.upper + self.lower
    }
}

impl SoftPenalty {
    /// Checks the weights.
    ///
    /// # Errors
    /// If a weight is negative or not finite.
    pub fn validate(&self) -> Result<(), Error> {
        for (setting, weight) in [
            ("upper_weight", self.upper_weight),
            ("lower_weight", self.lower_weight),
        ] {
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(Error::Setting {
                    setting,
                    got: weight.to_string(),
                    expected: "finite and at least 0",
                });
            }
        }
        Ok(())
    }

    /// Both sides at `y`, `[batch, n]`.
    pub fn components(&self, constraints: &dyn Constraints, y: Tensor<2>) -> Penalty {
        self.of_values(constraints.values(y), constraints.bounds())
    }

    /// Both sides at values g(y), `[batch, m]`, already computed.
    pub fn of_values(&self, values: Tensor<2>, bounds: &Bounds) -> Penalty {
        let above = relu(values.clone() - bounds.upper());
        let below = relu(bounds.lower() - values);
        Penalty {
            upper: self.size(above) * self.upper_weight,
            lower: self.size(below) * self.lower_weight,
        }
    }

    fn size(&self, violation: Tensor<2>) -> Tensor<1> {
        let squared = violation.square().sum_dim(1).squeeze_dim::<1>(1);
        match self.form {
            PenaltyForm::Squared => squared,
            PenaltyForm::Norm => {
                // The root's derivative is infinite at 0; shifting the argument there and masking
                // the result makes value and gradient 0 instead of NaN.
                let zero = squared.clone().equal_scalar(0.0);
                squared
                    .mask_fill(zero.clone(), 1.0)
                    .sqrt()
                    .mask_fill(zero, 0.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Affine, host::read};
    use burn::tensor::Device;

    fn identity_box() -> (Affine, Device) {
        let device = Device::flex().autodiff();
        let bounds = Bounds::shared(
            Tensor::from_data([0.0, 0.0], &device),
            Tensor::from_data([1.0, 1.0], &device),
        )
        .unwrap();
        (
            Affine::shared(Tensor::eye(2, &device), bounds).unwrap(),
            device,
        )
    }

    #[test]
    fn sides_have_their_own_weights() {
        let (constraints, device) = identity_box();
        let penalty = SoftPenalty {
            upper_weight: 2.0,
            lower_weight: 5.0,
            form: PenaltyForm::Norm,
        };
        let y = Tensor::<2>::from_data([[4.0, 5.0], [-1.0, 0.5], [0.5, 0.5]], &device);
        let sides = penalty.components(&constraints, y.clone());
        assert_eq!(read("u", &sides.upper).unwrap(), vec![10.0, 0.0, 0.0]);
        assert_eq!(read("l", &sides.lower).unwrap(), vec![0.0, 5.0, 0.0]);
        let squared = SoftPenalty {
            form: PenaltyForm::Squared,
            ..penalty
        };
        assert_eq!(
            read("t", &squared.components(&constraints, y).total()).unwrap(),
            vec![50.0, 5.0, 0.0]
        );
    }

    #[test]
    fn the_gradient_is_exact_outside_and_zero_inside() {
        let (constraints, device) = identity_box();
        let y =
            Tensor::<2>::from_data([[4.0, 5.0], [0.5, 0.5], [1.0, 0.0]], &device).require_grad();
        let gradients = SoftPenalty::default()
            .components(&constraints, y.clone())
            .total()
            .sum()
            .backward();
        let got = read("g", &y.grad(&gradients).unwrap()).unwrap();
        let expected = [6.0, 8.0, 0.0, 0.0, 0.0, 0.0];
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-5, "{got} {expected}"); // f32
        }
    }

    #[test]
    fn negative_weights_are_refused() {
        let error = SoftPenalty {
            lower_weight: -1.0,
            ..Default::default()
        }
        .validate()
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "setting `lower_weight` is -1, must be finite and at least 0"
        );
    }
}
