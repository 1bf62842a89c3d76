//! Copies of a module to measure with.

use burn::module::{Flag, Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor};

/// A copy in evaluation mode that still has gradients: dropout is off and normalisation uses its
/// running statistics, so that a loss is a function of the parameters alone.
///
/// Parameters keep their identifiers. Nothing is shared with the original, running statistics
/// included. `module` is in training mode; of a validation snapshot, which does not say which
/// parameters were trained without autodiff, the copy has the gradients that `train()` restores.
pub fn evaluating<M: Module>(module: &M) -> M {
    independent(module).map(&mut Evaluate)
}

/// A copy whose parameters and running statistics have another precision: a network trained in f32
/// is measured in f64, where differences of gradients have digits to spare.
///
/// The data must be cast as well. Nothing is shared with the original.
pub fn in_precision<M: Module>(module: &M, dtype: DType) -> M {
    independent(module).map(&mut Cast(dtype))
}

/// A copy in training mode that shares nothing. A clone shares its running statistics; a validation
/// snapshot has its own.
pub(crate) fn independent<M: Module>(module: &M) -> M {
    module.valid().train()
}

struct Evaluate;

impl ModuleMapper for Evaluate {
    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        flag.with_value(false)
    }
}

struct Cast(DType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let tracked = tensor.is_require_grad();
        // Detaching keeps a leaf's wish for gradients, and the cast of such a leaf is none.
        let leaf = tensor.detach().set_require_grad(false).cast(self.0);
        Param::from_mapped_value(id, leaf.set_require_grad(tracked), mapper)
    }
}
