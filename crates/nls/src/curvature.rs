//! The second-order part of the exact Hessian of ½‖Wr‖².

use burn::tensor::Tensor;

use crate::Error;
use crate::evaluation::fixed;

/// Σᵢ vᵢ ∇²rᵢ(y), `[batch, n, n]`, by reverse mode through the Jacobian.
///
/// # Errors
/// [`Error::TrackedCapture`] if the Jacobian is tracked at a constant y.
pub(crate) fn by_autodiff(
    jacobian: impl Fn(Tensor<2>) -> Tensor<3>,
    y: Tensor<2>,
    multipliers: Tensor<2>,
) -> Result<Tensor<3>, Error> {
    let column = |y, k| jacobian(y).slice_dim(2, k..k + 1).squeeze_dim::<2>(2);
    by_columns(&jacobian, column, y, multipliers)
}

/// The same with a way to one column of the Jacobian, `[batch, m]`, that costs less than all of it.
///
/// Row k is the gradient of Σᵢ vᵢ Jᵢₖ. Samples do not depend on each other, so that one backward
/// pass gives row k of the whole batch. Burn's tape can be used once only; hence one evaluation a
/// row.
pub(crate) fn by_columns(
    jacobian: impl Fn(Tensor<2>) -> Tensor<3>,
    column: impl Fn(Tensor<2>, usize) -> Tensor<2>,
    y: Tensor<2>,
    multipliers: Tensor<2>,
) -> Result<Tensor<3>, Error> {
    let y = fixed(y);
    let multipliers = fixed(multipliers);
    if jacobian(y.clone()).is_tracked() {
        return Err(Error::TrackedCapture);
    }
    let [batch, n] = y.dims();
    let mut rows = Vec::with_capacity(n);
    for k in 0..n {
        let leaf = y.clone().autodiff().require_grad();
        let total = (column(leaf.clone(), k) * multipliers.clone()).sum();
        let row = if total.is_tracked() {
            leaf.grad(&total.backward())
        } else {
            None
        };
        // Nothing tracked means that this column of the Jacobian is constant.
        let row = row.unwrap_or_else(|| y.clone().inner().zeros_like());
        rows.push(row.reshape([batch, 1, n]));
    }
    Ok(Tensor::cat(rows, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{normal, numbers, rng, tensor};
    use crate::{ConstraintResidual, FunctionResidual, Residual};
    use feasible_core::{Affine, Bounds, Dual, Quadratic, Stacked};
    use std::sync::Arc;

    #[test]
    fn second_derivatives_match_their_closed_form() {
        // r = (y₁² y₂, sin y₂, y₁), v = (2, 3, 5).
        let residual = FunctionResidual::new(2, 3, |y| {
            let (a, b) = (y.column(0), y.column(1));
            Dual::cat(vec![a.clone().square() * b.clone(), b.sin(), a])
        });
        let y = tensor(vec![0.7, -0.4, 1.5, 2.0], [2, 2]);
        let v = tensor(vec![2.0, 3.0, 5.0, -1.0, 0.5, 1.0], [2, 3]);
        let got = numbers(&residual.curvature(y, v).unwrap());
        let expected = |a: f64, b: f64, v: [f64; 2]| {
            [
                2.0 * v[0] * b,
                2.0 * v[0] * a,
                2.0 * v[0] * a,
                -v[1] * b.sin(),
            ]
        };
        let expected = [
            expected(0.7, -0.4, [2.0, 3.0]),
            expected(1.5, 2.0, [-1.0, 0.5]),
        ]
        .concat();
        for (got, expected) in got.iter().zip(&expected) {
            // A few roundings of numbers of order one.
            assert!((got - expected).abs() < 1e-14, "{got} {expected}");
        }
    }

    #[test]
    fn closed_form_of_blocks_agrees_with_backward_passes() {
        let mut rng = rng(3);
        let (batch, n) = (3, 4);
        let bounds = |m: usize| Bounds::at_most(tensor(vec![1.0; m], [1, m])).unwrap();
        let mut draw = |count| normal(&mut rng, count);
        let mut dense = draw(2 * n * n);
        for i in 0..2 {
            for j in 0..n {
                for k in 0..j {
                    dense[(i * n + k) * n + j] = dense[(i * n + j) * n + k];
                }
            }
        }
        let parts: Vec<Arc<dyn feasible_core::Constraints>> = vec![
            Arc::new(
                Quadratic::diagonal(
                    tensor(draw(3 * n), [3, n]),
                    tensor(draw(3 * n), [3, n]),
                    bounds(3),
                )
                .unwrap(),
            ),
            Arc::new(Affine::shared(tensor(draw(n), [1, n]), bounds(1)).unwrap()),
            Arc::new(
                Quadratic::dense(
                    tensor(dense, [2, n, n]),
                    tensor(draw(2 * n), [2, n]),
                    bounds(2),
                )
                .unwrap(),
            ),
        ];
        let constraints = Stacked::new(parts).unwrap();
        let residual = ConstraintResidual::new(&constraints, tensor(vec![0.0; 6], [1, 6])).unwrap();
        let (y, v) = (
            tensor(draw(batch * n), [batch, n]),
            tensor(draw(batch * 6), [batch, 6]),
        );
        let closed = numbers(&residual.curvature(y.clone(), v.clone()).unwrap());
        let passes = numbers(&by_autodiff(|y| residual.linearise(y).1, y, v).unwrap());
        for (closed, passes) in closed.iter().zip(&passes) {
            assert!((closed - passes).abs() < 1e-13, "{closed} {passes}");
        }
    }

    #[test]
    fn columns_of_a_function_agree_with_its_whole_jacobian() {
        let mut rng = rng(5);
        let (batch, n, m) = (3, 5, 4);
        let mut draw = |count| normal(&mut rng, count);
        let (a, p) = (tensor(draw(m * n), [m, n]), tensor(draw(batch), [batch, 1]));
        let residual = FunctionResidual::with_parameters(n, m, vec![p], move |y, p| {
            let waves = (y.clone() * p[0].clone()).sin().left_multiply(a.clone());
            waves.clone() * y.column(0) + y.slice(1..5).square() * waves.sum()
        });
        let (y, v) = (
            tensor(draw(batch * n), [batch, n]),
            tensor(draw(batch * m), [batch, m]),
        );
        let columns = numbers(&residual.curvature(y.clone(), v.clone()).unwrap());
        let whole = numbers(&by_autodiff(|y| residual.linearise(y).1, y, v).unwrap());
        let largest = whole.iter().fold(0.0, |l: f64, v| l.max(v.abs()));
        for (k, (a, b)) in columns.iter().zip(&whole).enumerate() {
            assert!((a - b).abs() < 1e-13 * largest, "{k}: {a} {b}");
            let (sample, i, j) = (k / (n * n), k / n % n, k % n);
            let mirrored = columns[(sample * n + j) * n + i];
            assert!(
                (a - mirrored).abs() < 1e-13 * largest,
                "{k}: {a} {mirrored}"
            );
        }
    }

    #[test]
    fn a_tracked_capture_is_refused() {
        let p = tensor(vec![2.0], [1, 1]).require_grad();
        let residual = FunctionResidual::new(1, 1, move |y| y.square() * p.clone());
        let error = residual
            .curvature(tensor(vec![1.0], [1, 1]), tensor(vec![1.0], [1, 1]))
            .unwrap_err();
        assert_eq!(error, Error::TrackedCapture);
    }
}
