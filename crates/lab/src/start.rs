//! What a run starts from.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor};
use feasible_nn::Mlp;
use feasible_repair::{AdaptiveRelaxation, RelaxationSettings};

use crate::config::RunConfig;
use crate::random::{Purpose, derive};
use crate::{Error, Task};

/// The network before its first step, from the run's seed.
pub(crate) fn initial_network(config: &RunConfig, task: &Task) -> Result<Mlp, Error> {
    let device = task.device().clone().autodiff();
    device.seed(derive(config.seed, Purpose::Parameters));
    let problem = task.training();
    let network = config
        .backbone
        .to_mlp()?
        .init(problem.inputs(), problem.variables(), &device)?;
    // Drawn in the device's default precision and cast: setting the default instead would be
    // for the whole process and must come before its first tensor. Casting also draws lazy
    // parameters here, in the module's order.
    Ok(network.map(&mut Cast(task.dtype())))
}

/// The relaxation before its first epoch, where the method has one.
pub(crate) fn relaxation(
    config: &RunConfig,
    task: &Task,
) -> Result<Option<AdaptiveRelaxation>, Error> {
    let Some(relaxation) = config.method.relaxation else {
        return Ok(None);
    };
    let settings = RelaxationSettings {
        schedule: relaxation.schedule,
        decay_epochs: config
            .method
            .decay_epochs(config.training.epochs)
            .unwrap_or(1),
        start_epoch: config.method.soft_epochs,
    };
    let rows = task
        .training()
        .constraints(task.training_inputs(&[0]))?
        .rows();
    Ok(Some(AdaptiveRelaxation::new(settings, rows)?))
}

/// Casts every parameter and statistic.
struct Cast(DType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let tracked = tensor.is_require_grad();
        // Detaching keeps a leaf's wish for gradients, and the cast of such a leaf is none.
        let leaf = tensor.detach().set_require_grad(false).cast(self.0);
        let tensor = leaf.set_require_grad(tracked);
        Param::from_mapped_value(id, tensor, mapper)
    }
}
