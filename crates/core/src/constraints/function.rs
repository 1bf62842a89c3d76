use std::fmt;

use burn::tensor::Tensor;

use super::{Bounds, Constraints};
use crate::{Dual, Error};

/// Constraints given by any function, written once; its Jacobian is exact, by forward-mode
/// [`Dual`] numbers.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use feasible_core::{Bounds, Constraints, Function};
///
/// # fn main() -> Result<(), feasible_core::Error> {
/// let device = Device::flex();
/// // The unit circle and a sine wave: y₁² + y₂² = 1, sin(3 y₁) − y₂ ≤ 0.
/// let bounds = Bounds::shared(
///     Tensor::from_data([1.0, f32::NEG_INFINITY], &device),
///     Tensor::from_data([1.0, 0.0], &device),
/// )?;
/// let constraints = Function::new(2, bounds, |y| {
///     let circle = y.clone().square().sum();
///     let wave = (y.column(0) * 3.0).sin() - y.column(1);
///     feasible_core::Dual::cat(vec![circle, wave])
/// });
/// let y = Tensor::<2>::from_data([[0.6, 0.8]], &device);
/// assert_eq!(constraints.jacobian(y).dims(), [1, 2, 2]);
/// # Ok(()) }
/// ```
///
/// The function captures what else it needs (inputs x, network outputs) as tensors with a leading
/// `batch` or 1; gradients reach them through layers that differentiate by unrolling.
#[derive(Clone)]
pub struct Function<F> {
    function: F,
    variables: usize,
    bounds: Bounds,
}

impl<F: Fn(Dual) -> Dual + Send + Sync> Function<F> {
    /// `function` maps `variables` components to as many as `bounds` has rows.
    pub fn new(variables: usize, bounds: Bounds, function: F) -> Self {
        Self {
            function,
            variables,
            bounds,
        }
    }

    /// Evaluates once at `y`, and checks the number of rows that come back.
    ///
    /// # Errors
    /// If `y` is not `[batch, variables]` or the function returns another number of rows than the
    /// bounds have.
    pub fn check(&self, y: Tensor<2>) -> Result<(), Error> {
        let [batch, n] = y.dims();
        if n != self.variables {
            return Err(Error::shape(
                "y",
                &[batch, n],
                format!("[batch, {}]", self.variables),
            ));
        }
        let got = self.values(y).dims();
        if got != [batch, self.bounds.rows()] {
            return Err(Error::shape(
                "function(y)",
                &got,
                format!("[{batch}, {}], one column a bound", self.bounds.rows()),
            ));
        }
        Ok(())
    }
}

impl<F> fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("variables", &self.variables)
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

impl<F: Fn(Dual) -> Dual + Send + Sync> Constraints for Function<F> {
    fn variables(&self) -> usize {
        self.variables
    }

    fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    fn values(&self, y: Tensor<2>) -> Tensor<2> {
        (self.function)(Dual::constant(y)).into_value()
    }

    fn jacobian(&self, y: Tensor<2>) -> Tensor<3> {
        self.linearise(y).1
    }

    fn linearise(&self, y: Tensor<2>) -> (Tensor<2>, Tensor<3>) {
        (self.function)(Dual::variable(y)).into_parts(self.variables)
    }
}
