use std::fmt;

use burn::tensor::Tensor;
use feasible_core::Dual;

use crate::evaluation::fixed;
use crate::{Error, Residual, curvature};

/// A residual given by any function, written once; its Jacobian is exact, by forward-mode
/// [`Dual`] numbers.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use feasible_nls::{FunctionResidual, LevenbergMarquardt, Settings};
///
/// # fn main() -> Result<(), feasible_nls::Error> {
/// // y² = p: the square root of a parameter, with its derivative 1/(2y).
/// let device = Device::flex().autodiff();
/// let p = Tensor::<2>::from_data([[4.0], [9.0]], &device).require_grad();
/// let residual = FunctionResidual::with_parameters(1, 1, vec![p.clone()], |y, p| y.square() - p[0].clone());
/// let settings = Settings { residual_tolerance: 1e-5, step_tolerance: 1e-5, ..Settings::default() };
/// let solution = LevenbergMarquardt::new(settings)?.solve(&residual, Tensor::ones([2, 1], &device))?;
/// let gradients = solution.y.sum().backward();
/// assert!(p.grad(&gradients).is_some());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FunctionResidual<F> {
    function: F,
    parameters: Vec<Tensor<2>>,
    variables: usize,
    rows: usize,
}

impl FunctionResidual<()> {
    /// `function` maps `variables` components to `rows`.
    ///
    /// Tensors that it captures are constants to implicit differentiation, which refuses tracked
    /// ones; unrolled gradients reach them.
    pub fn new(
        variables: usize,
        rows: usize,
        function: impl Fn(Dual) -> Dual,
    ) -> FunctionResidual<impl Fn(Dual, &[Tensor<2>]) -> Dual> {
        FunctionResidual::with_parameters(variables, rows, vec![], move |y, _| function(y))
    }
}

impl<F: Fn(Dual, &[Tensor<2>]) -> Dual> FunctionResidual<F> {
    /// `function` maps `variables` components to `rows`, and takes `parameters` in the order given
    /// here, each with a leading batch or 1. Both backward modes differentiate with respect to them.
    pub fn with_parameters(
        variables: usize,
        rows: usize,
        parameters: Vec<Tensor<2>>,
        function: F,
    ) -> Self {
        Self {
            function,
            parameters,
            variables,
            rows,
        }
    }

    /// The parameters.
    pub fn parameters(&self) -> &[Tensor<2>] {
        &self.parameters
    }

    /// The parameters, to change them between iterations.
    pub fn parameters_mut(&mut self) -> &mut [Tensor<2>] {
        &mut self.parameters
    }
}

impl<F> fmt::Debug for FunctionResidual<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionResidual")
            .field("variables", &self.variables)
            .field("rows", &self.rows)
            .field("parameters", &self.parameters)
            .finish_non_exhaustive()
    }
}

impl<F: Fn(Dual, &[Tensor<2>]) -> Dual> Residual for FunctionResidual<F> {
    fn variables(&self) -> usize {
        self.variables
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn batch(&self) -> Option<usize> {
        self.parameters
            .iter()
            .map(|p| p.dims()[0])
            .find(|&batch| batch != 1)
    }

    fn check_batch(&self, batch: usize) -> Result<(), Error> {
        let mut parameters = self.parameters.iter().map(Tensor::dims).enumerate();
        match parameters.find(|(_, [leading, _])| *leading != 1 && *leading != batch) {
            None => Ok(()),
            Some((index, got)) => {
                let expected = format!("[1 or {batch}, {}], as number {index} of them", got[1]);
                Err(feasible_core::Error::shape("parameters", &got, expected).into())
            }
        }
    }

    fn linearise(&self, y: Tensor<2>) -> (Tensor<2>, Tensor<3>) {
        (self.function)(Dual::variable(y), &self.parameters).into_parts(self.variables)
    }

    fn values(&self, y: Tensor<2>) -> Tensor<2> {
        (self.function)(Dual::constant(y), &self.parameters).into_value()
    }

    fn curvature(&self, y: Tensor<2>, multipliers: Tensor<2>) -> Result<Tensor<3>, Error> {
        let constants: Vec<_> = self.parameters.iter().map(|p| fixed(p.clone())).collect();
        let jacobian = |y| {
            (self.function)(Dual::variable(y), &constants)
                .into_parts(self.variables)
                .1
        };
        let column = |y: Tensor<2>, k: usize| {
            let identity = Tensor::<2>::eye(self.variables, &y.device()).cast(y.dtype());
            let direction = identity.slice_dim(0, k..k + 1);
            let (_, column) = (self.function)(Dual::along(y, direction), &constants).into_parts(1);
            column.squeeze_dim::<2>(2)
        };
        curvature::by_columns(jacobian, column, y, multipliers)
    }
}
