//! Reading a layer's tensors, and remembering which of them want a gradient.

use burn::tensor::{DType, Device, Tensor};
use feasible_core::host::{self, Input};
use feasible_solver::Values;

use crate::Error;
use crate::parameter::Parameter;

/// A parameter's numbers, row-major.
#[derive(Debug)]
pub(crate) struct Numbers {
    pub(crate) data: host::Numbers,
    pub(crate) shared: bool,
}

impl Numbers {
    pub(crate) fn values(&self) -> Values<'_> {
        if self.shared {
            Values::Shared(&self.data)
        } else {
            Values::PerSample(&self.data)
        }
    }
}

/// The tensors that want a gradient, in the order they are recorded, each with the role it plays.
#[derive(Debug)]
pub(crate) struct Tracked<R> {
    pub(crate) roles: Vec<R>,
    /// Number of entries of each.
    pub(crate) lengths: Vec<usize>,
    pub(crate) inputs: Vec<Input>,
    /// Where the output goes: with the first tracked tensor, since constants may live on a device
    /// without autodiff.
    pub(crate) device: Device,
    /// Precision of the output.
    pub(crate) dtype: DType,
    /// Relative rounding of the coarsest tensor.
    pub(crate) rounding: f64,
}

impl<R> Tracked<R> {
    /// Nothing yet; the output takes device and precision from `like`.
    pub(crate) fn new<const D: usize>(like: &Tensor<D>) -> Self {
        Self {
            // For all parameters of most problems.
            roles: Vec::with_capacity(10),
            lengths: Vec::with_capacity(10),
            inputs: Vec::with_capacity(10),
            device: like.device(),
            dtype: like.dtype(),
            rounding: 0.0,
        }
    }

    /// Reads a parameter whose numbers must be finite.
    pub(crate) fn read<const D: usize>(
        &mut self,
        role: R,
        name: &'static str,
        parameter: &Parameter<D>,
    ) -> Result<Numbers, Error> {
        let numbers = self.read_unchecked(role, name, parameter)?;
        host::check_finite(name, &numbers.data, &parameter.tensor().dims())?;
        Ok(numbers)
    }

    /// Reads a parameter whose numbers the solver checks.
    pub(crate) fn read_unchecked<const D: usize>(
        &mut self,
        role: R,
        name: &'static str,
        parameter: &Parameter<D>,
    ) -> Result<Numbers, Error> {
        let tensor = parameter.tensor();
        let (data, input) = host::borrow_input(name, tensor)?;
        self.rounding = self.rounding.max(host::rounding(tensor.dtype()));
        if input.is_tracked() {
            if self.inputs.is_empty() {
                self.device = tensor.device();
            }
            self.roles.push(role);
            self.lengths.push(data.len());
            self.inputs.push(input);
        }
        Ok(Numbers {
            data,
            shared: parameter.is_shared(),
        })
    }
}
