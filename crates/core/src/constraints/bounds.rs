use std::sync::Arc;

use burn::tensor::Tensor;

use crate::{Error, host};

/// The box `[l, u]`, shared by the batch or one per sample; bounds may be infinite.
///
/// Gradients flow through both tensors.
#[derive(Debug, Clone)]
pub struct Bounds {
    lower: Tensor<2>,
    upper: Tensor<2>,
    equality: Arc<[bool]>,
}

impl Bounds {
    /// One box for every sample; `lower` and `upper` are `[m]`.
    ///
    /// # Errors
    /// If the lengths differ, a bound is NaN, a lower bound is +∞, an upper bound is -∞, or l > u.
    pub fn shared(lower: Tensor<1>, upper: Tensor<1>) -> Result<Self, Error> {
        Self::per_sample(host::shared(lower), host::shared(upper))
    }

    /// One box per sample; `lower` and `upper` are `[batch, m]`, or `[1, m]` where shared.
    ///
    /// # Errors
    /// As [`Bounds::shared`]; the message names the sample and the row.
    pub fn per_sample(lower: Tensor<2>, upper: Tensor<2>) -> Result<Self, Error> {
        let ([bl, ml], [bu, mu]) = (lower.dims(), upper.dims());
        if ml != mu || (bl != bu && bl != 1 && bu != 1) {
            return Err(Error::shape(
                "upper",
                &[bu, mu],
                format!("that of `lower`, [{bl}, {ml}], or [1, {ml}]"),
            ));
        }
        let (l, u) = (host::read("lower", &lower)?, host::read("upper", &upper)?);
        let batch = if bl == 1 { bu } else { bl };
        // Without samples a row has no unequal bounds either.
        let mut equality = vec![true; ml];
        for sample in 0..batch {
            for row in 0..ml {
                let lower = l[if bl == 1 { 0 } else { sample } * ml + row];
                let upper = u[if bu == 1 { 0 } else { sample } * ml + row];
                // Written so that a NaN on either side fails it.
                let valid = lower <= upper && lower < f64::INFINITY && upper > f64::NEG_INFINITY;
                if !valid {
                    return Err(Error::Bounds {
                        sample,
                        row,
                        lower,
                        upper,
                    });
                }
                equality[row] &= lower == upper;
            }
        }
        Ok(Self {
            lower,
            upper,
            equality: equality.into(),
        })
    }

    /// l = u = `target`, `[batch, m]` or `[1, m]`: equalities only.
    ///
    /// # Errors
    /// If an entry is not finite.
    pub fn equal(target: Tensor<2>) -> Result<Self, Error> {
        host::read_finite("target", &target)?;
        let equality = vec![true; target.dims()[1]].into();
        Ok(Self {
            lower: target.clone(),
            upper: target,
            equality,
        })
    }

    /// −∞ ≤ g ≤ `upper`, `[batch, m]` or `[1, m]`.
    ///
    /// # Errors
    /// If an entry is NaN or -∞.
    pub fn at_most(upper: Tensor<2>) -> Result<Self, Error> {
        Self::per_sample(upper.full_like(f64::NEG_INFINITY), upper)
    }

    /// `lower` ≤ g ≤ ∞, `[batch, m]` or `[1, m]`.
    ///
    /// # Errors
    /// If an entry is NaN or +∞.
    pub fn at_least(lower: Tensor<2>) -> Result<Self, Error> {
        let upper = lower.full_like(f64::INFINITY);
        Self::per_sample(lower, upper)
    }

    /// The rows of both boxes, one after the other; a shared one is repeated for every sample of
    /// the other.
    ///
    /// # Errors
    /// If both are per sample with different batch sizes.
    pub fn stack(parts: &[&Bounds]) -> Result<Self, Error> {
        let batch = parts
            .iter()
            .map(|b| b.batch())
            .find(|&b| b != 1)
            .unwrap_or(1);
        let (mut lower, mut upper, mut equality) = (vec![], vec![], vec![]);
        for part in parts {
            if part.batch() != 1 && part.batch() != batch {
                return Err(Error::shape(
                    "bounds",
                    &[part.batch(), part.rows()],
                    format!("of batch 1 or {batch}, as the other parts"),
                ));
            }
            let rows = part.rows();
            lower.push(host::expand(part.lower.clone(), [batch, rows]));
            upper.push(host::expand(part.upper.clone(), [batch, rows]));
            equality.extend_from_slice(&part.equality);
        }
        Ok(Self {
            lower: host::cat(lower, 1),
            upper: host::cat(upper, 1),
            equality: equality.into(),
        })
    }

    /// The box widened by `epsilon` on both sides: `[l − ε, u + ε]`; `epsilon` is `[m]`, ≥ 0.
    pub fn relaxed(&self, epsilon: Tensor<1>) -> Self {
        let epsilon: Tensor<2> = host::shared(epsilon);
        Self {
            lower: self.lower.clone() - epsilon.clone(),
            upper: self.upper.clone() + epsilon,
            equality: self.equality.clone(),
        }
    }

    /// Number of rows, m.
    pub fn rows(&self) -> usize {
        self.equality.len()
    }

    /// The batch size, or 1 where the box is shared.
    pub fn batch(&self) -> usize {
        let (l, u) = (self.lower.dims()[0], self.upper.dims()[0]);
        if l == 1 { u } else { l }
    }

    /// l, `[batch, m]` or `[1, m]`.
    pub fn lower(&self) -> Tensor<2> {
        self.lower.clone()
    }

    /// u, `[batch, m]` or `[1, m]`.
    pub fn upper(&self) -> Tensor<2> {
        self.upper.clone()
    }

    /// For every row whether l = u in every sample (before any relaxation).
    pub fn equalities(&self) -> &[bool] {
        &self.equality
    }

    /// The signed distance to the box, g − clip(g, l, u), `[batch, m]`: positive above u,
    /// negative below l, zero inside. Written with ReLUs so that infinite bounds give no NaN.
    pub fn residual(&self, values: Tensor<2>) -> Tensor<2> {
        let above = burn::tensor::activation::relu(values.clone() - self.upper());
        let below = burn::tensor::activation::relu(self.lower() - values);
        above - below
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn an_empty_box_is_refused_with_its_place() {
        let device = Device::flex();
        let lower = Tensor::<2>::from_data([[0.0, 0.0], [0.0, 2.0]], &device);
        let upper = Tensor::<2>::from_data([[1.0, 1.0]], &device);
        let error = Bounds::per_sample(lower, upper).unwrap_err();
        assert_eq!(
            error,
            Error::Bounds {
                sample: 1,
                row: 1,
                lower: 2.0,
                upper: 1.0
            }
        );
    }

    #[test]
    fn nan_and_wrong_infinities_are_refused() {
        let device = Device::flex();
        for (l, u) in [
            (f64::NAN, 1.0),
            (0.0, f64::NAN),
            (f64::INFINITY, f64::INFINITY),
            (f64::NEG_INFINITY, f64::NEG_INFINITY),
        ] {
            let bounds = Bounds::shared(
                Tensor::from_data([l], &device),
                Tensor::from_data([u], &device),
            );
            assert!(matches!(bounds, Err(Error::Bounds { .. })), "{l} {u}");
        }
    }

    #[test]
    fn infinite_bounds_leave_no_nan_in_residuals() {
        let device = Device::flex();
        let bounds = Bounds::at_most(Tensor::from_data([[1.0, 2.0]], &device)).unwrap();
        let residual = bounds.residual(Tensor::from_data([[3.0, -7.0], [0.0, 2.5]], &device));
        assert_eq!(
            host::read("r", &residual).unwrap(),
            vec![2.0, 0.0, 0.0, 0.5]
        );
    }

    #[test]
    fn equalities_are_rows_with_equal_bounds_in_every_sample() {
        let device = Device::flex();
        let lower = Tensor::<2>::from_data([[0.0, 1.0], [0.0, 1.0]], &device);
        let upper = Tensor::<2>::from_data([[0.0, 1.0], [0.5, 1.0]], &device);
        let bounds = Bounds::per_sample(lower, upper).unwrap();
        assert_eq!(bounds.equalities(), [false, true]);
    }
}
