use std::fmt::Debug;

use burn::tensor::Tensor;

use crate::{Error, curvature};

/// A residual r(y) with its Jacobian, for one batch.
///
/// # Shapes
///
/// `n` variables, `m` rows; y is `[batch, n]`, r(y) `[batch, m]`, the Jacobian `[batch, m, n]`.
/// Rows of the batch must not depend on each other: sample b of the result depends on sample b of y.
///
/// What else r depends on are tensors that the implementation holds; gradients reach them when
/// results are computed from them by ordinary tensor operations.
pub trait Residual: Debug {
    /// Number of variables, n.
    fn variables(&self) -> usize;

    /// Number of rows, m.
    fn rows(&self) -> usize;

    /// The batch size that the tensors inside fix; `None` where they fit any. Solves refuse a start
    /// with another one.
    fn batch(&self) -> Option<usize> {
        None
    }

    /// Refuses tensors inside that do not fit a batch of this size. Called before the first
    /// iteration, and again wherever a callback may have changed the residual: the tensor
    /// operations of [`Residual::linearise`] can only panic.
    ///
    /// # Errors
    /// Naming the tensor.
    fn check_batch(&self, _batch: usize) -> Result<(), Error> {
        Ok(())
    }

    /// r(y) and its Jacobian together.
    ///
    /// Results of wrong shapes are refused by the solve, so they may be returned as they are.
    ///
    /// The Jacobian may be another matrix than ∂r/∂y on purpose: the step then uses it, and
    /// [`crate::Backward::Unrolled`] differentiates that. [`crate::Backward::Implicit`] needs ∂r/∂y.
    fn linearise(&self, y: Tensor<2>) -> (Tensor<2>, Tensor<3>);

    /// The Jacobian whose rows [`crate::Weights::RowScales`] measures, where it is another than that
    /// of [`Residual::linearise`]: rows that the step leaves out need a scale too, for when they
    /// return.
    fn unmasked_jacobian(&self, _y: Tensor<2>) -> Option<Tensor<3>> {
        None
    }

    /// r(y).
    fn values(&self, y: Tensor<2>) -> Tensor<2> {
        self.linearise(y).0
    }

    /// Σᵢ vᵢ ∇²rᵢ(y) as a constant, `[batch, n, n]`, for constant multipliers v, `[batch, m]`. Asked
    /// for by implicit differentiation alone.
    ///
    /// As provided: n backward passes through Jᵀv, each for the whole batch.
    ///
    /// # Errors
    /// [`Error::TrackedCapture`] if the Jacobian is tracked at a constant y; override it for
    /// residuals that hold tracked tensors.
    fn curvature(&self, y: Tensor<2>, multipliers: Tensor<2>) -> Result<Tensor<3>, Error> {
        curvature::by_autodiff(|y| self.linearise(y).1, y, multipliers)
    }
}

impl<R: Residual + ?Sized> Residual for &R {
    fn variables(&self) -> usize {
        (**self).variables()
    }

    fn rows(&self) -> usize {
        (**self).rows()
    }

    fn batch(&self) -> Option<usize> {
        (**self).batch()
    }

    fn check_batch(&self, batch: usize) -> Result<(), Error> {
        (**self).check_batch(batch)
    }

    fn linearise(&self, y: Tensor<2>) -> (Tensor<2>, Tensor<3>) {
        (**self).linearise(y)
    }

    fn unmasked_jacobian(&self, y: Tensor<2>) -> Option<Tensor<3>> {
        (**self).unmasked_jacobian(y)
    }

    fn values(&self, y: Tensor<2>) -> Tensor<2> {
        (**self).values(y)
    }

    fn curvature(&self, y: Tensor<2>, multipliers: Tensor<2>) -> Result<Tensor<3>, Error> {
        (**self).curvature(y, multipliers)
    }
}
