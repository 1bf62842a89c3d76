//! The second-order part of the exact Hessian of ½‖Wr‖².

use burn::tensor::Tensor;

use crate::Error;

/// Σᵢ vᵢ ∇²rᵢ(y), `[batch, n, n]`, by reverse mode through the Jacobian.
///
/// Row k is the gradient of Σᵢ vᵢ Jᵢₖ. Samples do not depend on each other, so that one backward
/// pass gives row k of the whole batch. Burn's tape can be used once only; hence one evaluation a
/// row.
pub(crate) fn by_autodiff(
    jacobian: impl Fn(Tensor<2>) -> Tensor<3>,
    y: Tensor<2>,
    multipliers: Tensor<2>,
) -> Result<Tensor<3>, Error> {
    let y = y.detach();
    let multipliers = multipliers.detach();
    if jacobian(y.clone()).is_tracked() {
        return Err(Error::TrackedCapture);
    }
    let [batch, n] = y.dims();
    let mut rows = Vec::with_capacity(n);
    for k in 0..n {
        let leaf = y.clone().autodiff().require_grad();
        let column = jacobian(leaf.clone()).slice_dim(2, k..k + 1).squeeze_dim::<2>(2);
        let total = (column * multipliers.clone()).sum();
        let row = if total.is_tracked() { leaf.grad(&total.backward()) } else { None };
        // Nothing tracked means that this column of the Jacobian is constant.
        let row = row.unwrap_or_else(|| y.clone().inner().zeros_like());
        rows.push(row.reshape([batch, 1, n]));
    }
    Ok(Tensor::cat(rows, 1))
}
