//! Constraints on the outputs of a network, one instance per batch of inputs.

mod block;
mod bounds;
mod function;
mod quadratic;
mod stacked;

use std::fmt::Debug;

use burn::tensor::Tensor;

pub use block::{Block, Curvature, HostBlock, HostCurvature};
pub use bounds::Bounds;
pub use function::Function;
pub use quadratic::{Affine, Quadratic};
pub use stacked::Stacked;

/// The constraints `l ≤ g_x(y) ≤ u` for one batch of inputs x.
///
/// What depends on x (the bounds, and g where it does) is fixed when the instance is made; y is
/// the variable. An equality is a row with l = u; a one-sided row has an infinite bound.
///
/// # Shapes
///
/// `n` variables, `m` rows; y is `[batch, n]`, g(y) `[batch, m]`, the Jacobian `[batch, m, n]`.
/// Every method panics if y has another number of columns; layers check it first and return an
/// error.
pub trait Constraints: Debug + Send + Sync {
    /// Number of variables, n.
    fn variables(&self) -> usize;

    /// Number of rows, m.
    fn rows(&self) -> usize {
        self.bounds().rows()
    }

    /// The box.
    fn bounds(&self) -> &Bounds;

    /// g(y), `[batch, m]`.
    fn values(&self, y: Tensor<2>) -> Tensor<2>;

    /// ∂g/∂y, `[batch, m, n]`.
    fn jacobian(&self, y: Tensor<2>) -> Tensor<3>;

    /// g(y) and ∂g/∂y together, for functions that share work between them.
    fn linearise(&self, y: Tensor<2>) -> (Tensor<2>, Tensor<3>) {
        (self.values(y.clone()), self.jacobian(y))
    }

    /// Jᵀw with J = ∂g/∂y at `y`, `[batch, n]`, for w `[batch, m]`: as an ordinary tensor, so that reverse
    /// mode differentiates it once more. Rows given as blocks never form the Jacobian.
    fn vjp(&self, y: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
        let [batch, n] = y.dims();
        if batch * self.rows() == 0 {
            return crate::host::write(vec![0.0; batch * n], [batch, n], &y.device(), y.dtype());
        }
        let jacobian = self.jacobian(y);
        (jacobian * w.unsqueeze_dim::<3>(2))
            .sum_dim(1)
            .squeeze_dim(1)
    }

    /// The rows as affine and quadratic blocks in order, if all of them are: layers with a
    /// specialised path ask for it. `None` for general functions.
    fn blocks(&self) -> Option<Vec<Block>> {
        None
    }
}
