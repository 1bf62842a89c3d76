//! Training on a problem of one's own, with a known answer.

mod runs;
mod saved;
mod training;

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use feasible_core::{Affine, Bounds, Constraints, host};
use feasible_data::{Part, Problem};
use feasible_lab::{
    BackboneConfig, MethodConfig, OptimizerConfig, References, RunConfig, RunProblem, Silent, Task,
    TrainingConfig, train_run,
};
use feasible_record::{Metric, RunReader, RunStatus};
use serde_json::json;

/// min ½‖y − (x, −x)‖² subject to y₁ + y₂ = 1, y₁ ≤ 0.75: the projection of (x, −x), which is
/// y₁ = min(x + ½, ¾), y₂ = 1 − y₁.
#[derive(Debug)]
struct Line {
    device: Device,
    inputs: Vec<f64>,
    /// What the objective is multiplied by.
    scale: f64,
}

impl Line {
    fn solution(x: f64) -> f64 {
        (x + 0.5).min(0.75)
    }
}

impl Problem for Line {
    fn name(&self) -> &str {
        "line"
    }

    fn inputs(&self) -> usize {
        1
    }

    fn variables(&self) -> usize {
        2
    }

    fn samples(&self, _: Part) -> usize {
        self.inputs.len()
    }

    fn input(&self, _: Part) -> &[f64] {
        &self.inputs
    }

    fn objective(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        let target = Tensor::cat(vec![x.clone(), -x], 1);
        (y - target).square().sum_dim(1).squeeze_dim::<1>(1) * (0.5 * self.scale)
    }

    fn constraints(&self, _: Tensor<2>) -> Result<Arc<dyn Constraints>, feasible_core::Error> {
        let tensor =
            |values: &[f64]| host::write(values.to_vec(), [values.len()], &self.device, DType::F64);
        let rows = host::write(vec![1.0, 1.0, 1.0, 0.0], [2, 2], &self.device, DType::F64);
        let bounds = Bounds::shared(tensor(&[1.0, f64::NEG_INFINITY]), tensor(&[1.0, 0.75]))?;
        Ok(Arc::new(Affine::shared(rows, bounds)?))
    }

    fn reference(
        &self,
        _: Part,
        _: Option<&Path>,
        _: &mut dyn FnMut(usize),
    ) -> Result<Vec<f64>, feasible_data::Error> {
        let objective = |&x: &f64| {
            let y = Self::solution(x);
            0.5 * ((y - x).powi(2) + (1.0 - y + x).powi(2))
        };
        Ok(self.inputs.iter().map(objective).collect())
    }
}

fn inputs() -> Vec<f64> {
    (0..64).map(|i| f64::from(i) / 32.0 - 1.0).collect()
}

fn task() -> Task {
    Task::new(&Device::flex(), DType::F64, None, |device| {
        Ok(Arc::new(Line {
            device: device.clone(),
            inputs: inputs(),
            scale: 1.0,
        }))
    })
    .unwrap()
}

fn config(method: MethodConfig, epochs: usize) -> RunConfig {
    RunConfig {
        study: "own".into(),
        problem: RunProblem::own("line", json!({ "inputs": 64 })),
        method,
        backbone: BackboneConfig {
            hidden: vec![],
            batch_norm: false,
            dropout: 0.0,
            ..BackboneConfig::default()
        },
        seed: 1,
        training: TrainingConfig {
            optimizer: OptimizerConfig {
                learning_rate: 0.02,
                ..OptimizerConfig::default()
            },
            ..TrainingConfig::new(epochs, 16)
        },
    }
}

fn metrics(run: &Path) -> Vec<Metric> {
    let metrics = RunReader::open(run).unwrap().metrics().unwrap();
    metrics.collect::<Result<_, _>>().unwrap()
}

/// What the test measured, from the run's folder.
struct Test(Metric);

impl Test {
    fn of(&self, name: &str) -> f64 {
        self.0.value(&format!("test.{name}")).unwrap()
    }
}

fn train(config: &RunConfig, task: &Task, references: &References) -> Test {
    let runs = tempfile::tempdir().unwrap();
    let report = train_run(runs.path(), config, task, references, &mut Silent).unwrap();
    assert_eq!(report.status, RunStatus::Finished);
    let found = Test(metrics(&report.path).pop().unwrap());
    assert!(found.of("seconds") > 0.0);
    assert_eq!((found.of("unreferenced"), found.of("samples")), (0.0, 64.0));
    found
}
