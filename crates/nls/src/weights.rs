use burn::tensor::Tensor;
use feasible_core::{Error, host};
use feasible_solver::damped::VANISHING_ROW;

/// Row weights w in ½‖diag(w) r‖². They change the cost and the step; the stopping test looks at
/// the residual without them.
#[derive(Debug, Clone, Default)]
// One a solver: not worth an allocation that every caller would have to write.
#[allow(clippy::large_enum_variant)]
pub enum Weights {
    /// All one.
    #[default]
    None,
    /// As given, `[batch, m]`, or `[1, m]` where the batch shares them; finite and at least 0.
    /// Gradients flow to them.
    Given(Tensor<2>),
    /// wᵢ = 1/‖Jᵢ‖ with the Jacobian's rows at the START point, so that the cost stays the same
    /// function throughout the solve. Rows that vanish there get weight 1. The dependence on the
    /// start and on the residual's tensors is differentiated.
    RowScales,
}

impl Weights {
    /// The weights as a tensor `[batch or 1, m]`; `None` for ones. `start_jacobian` is called where
    /// they depend on it.
    pub(crate) fn resolve(
        &self,
        [batch, m]: [usize; 2],
        start_jacobian: impl FnOnce() -> Result<Tensor<3>, Error>,
    ) -> Result<Option<Tensor<2>>, Error> {
        match self {
            Self::None => Ok(None),
            Self::Given(weights) => {
                let [rows, columns] = weights.dims();
                if columns != m || (rows != 1 && rows != batch) {
                    return Err(Error::shape(
                        "weights",
                        &[rows, columns],
                        format!("[1, {m}] or [{batch}, {m}]"),
                    ));
                }
                let values = host::read_finite("weights", weights)?;
                if let Some(negative) = values.iter().find(|&&w| w < 0.0) {
                    let got = negative.to_string();
                    return Err(Error::Setting {
                        setting: "weights",
                        got,
                        expected: "at least 0",
                    });
                }
                Ok(Some(weights.clone()))
            }
            Self::RowScales => {
                let squares = start_jacobian()?.square().sum_dim(2).squeeze_dim::<2>(2);
                let vanishing = squares
                    .clone()
                    .lower_equal_elem(VANISHING_ROW * VANISHING_ROW);
                // Filled before the root, whose derivative at zero is infinite.
                Ok(Some(squares.mask_fill(vanishing, 1.0).sqrt().recip()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn row_scales_are_inverse_norms_and_one_for_rows_that_vanish() {
        let jacobian = Tensor::<3>::from_data([[[3.0, 4.0], [0.0, 0.0]]], &Device::flex());
        let weights = Weights::RowScales
            .resolve([1, 2], || Ok(jacobian))
            .unwrap()
            .unwrap();
        let got = host::read("w", &weights).unwrap();
        // f32: half a unit in the last place of 0.2 is 7e-9.
        assert!((got[0] - 0.2).abs() < 1e-8 && got[1] == 1.0, "{got:?}");
    }

    #[test]
    fn wrong_weights_are_named() {
        let device = Device::flex();
        let resolve = |w: Tensor<2>| {
            let weights = Weights::Given(w)
                .resolve([3, 2], || unreachable!("given weights need no Jacobian"));
            weights.unwrap_err().to_string()
        };
        assert!(resolve(Tensor::ones([2, 2], &device)).contains("`weights` has shape [2, 2]"));
        assert!(
            resolve(Tensor::from_data([[1.0, f32::NAN]], &device))
                .contains("`weights` is NaN at index [0, 1]")
        );
        assert!(resolve(Tensor::from_data([[1.0, -1.0]], &device)).contains("`weights` is -1"));
    }
}
