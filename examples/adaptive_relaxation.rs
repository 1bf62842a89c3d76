//! Training with adaptive relaxation: a box that starts as wide as the untrained network needs
//! and closes over the first half of the training (SnareNet, arXiv 2602.09317).
//!
//! cargo run --release -p feasible-examples --example adaptive_relaxation

#![allow(clippy::print_stdout, reason = "an example prints")]

use feasible::burn::module::Module;
use feasible::burn::optim::{AdamConfig, GradientsParams};
use feasible::burn::tensor::{Device, Tensor};
use feasible::data::{Part, Problem, PublishedProblem, Recipe, Size, generate};
use feasible::nn::MlpConfig;
use feasible::repair::{
    AdaptiveRelaxation, RelaxationSettings, RowPolicy, SnareNet, SnareNetSettings,
};
use feasible::{Violations, host};

const EPOCHS: usize = 120;
const BATCH: usize = 100;

fn main() -> anyhow::Result<()> {
    let device = Device::flex().autodiff();
    device.seed(1);
    let size = Size {
        n: 20,
        eq: 8,
        ineq: 6,
        samples: 600,
    };
    let instance = generate(Recipe::SnareQcqp, &size, Recipe::SnareQcqp.published_seed())?;
    let dtype = device.settings().float_dtype.into();
    let problem = PublishedProblem::new(instance, &device, dtype)?;
    let batches = |part: Part| {
        let columns = problem.inputs();
        let rows = problem.input(part).chunks(BATCH * columns);
        rows.map(|rows| {
            host::write(
                rows.to_vec(),
                [rows.len() / columns, columns],
                &device,
                dtype,
            )
        })
        .collect::<Vec<Tensor<2>>>()
    };

    let config = MlpConfig {
        hidden: vec![64, 64],
        dropout: 0.0,
        ..Default::default()
    };
    let mut network = config.init(problem.inputs(), problem.variables(), &device)?;
    let mut optimizer = AdamConfig::new().init();
    let layer = SnareNet::new(SnareNetSettings {
        tolerance: 1e-5,
        rows: RowPolicy::Violated,
        ..Default::default()
    })?;

    // ε starts at the largest violation of each row that the raw network commits.
    let rows = size.eq + size.ineq;
    let settings = RelaxationSettings {
        decay_epochs: EPOCHS / 2,
        ..Default::default()
    };
    let mut relaxation = AdaptiveRelaxation::new(settings, rows)?;
    for x in batches(Part::Train) {
        let constraints = problem.constraints(x.clone())?;
        relaxation.observe(&Violations::of(constraints.as_ref(), network.forward(x)))?;
    }

    for epoch in 0..EPOCHS {
        let widest = relaxation.epsilon(epoch).into_iter().fold(0.0, f64::max);
        let epsilon = relaxation.epsilon_tensor(epoch, &device, dtype);
        let (mut objective, mut count) = (0.0, 0);
        for x in batches(Part::Train) {
            let constraints = problem.constraints(x.clone())?;
            let repaired = layer.forward(
                network.forward(x.clone()),
                constraints.as_ref(),
                epsilon.clone(),
            )?;
            let violation = constraints
                .bounds()
                .residual(constraints.values(repaired.y.clone()));
            let values = problem.objective(x, repaired.y);
            objective += f64::from(values.clone().sum().into_scalar::<f32>());
            count += values.dims()[0];
            let loss = values.sum() + violation.square().sum() * 10.0;
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(3e-3, network, gradients);
        }
        if epoch % 15 == 0 || epoch + 1 == EPOCHS {
            println!(
                "epoch {epoch:3}: ε {widest:.3}, mean objective {:.4}",
                objective / count as f64
            );
        }
    }

    // Tested with ε = 0.
    let network = network.valid();
    let optimal = problem.reference(Part::Test, None, &mut |_| {})?;
    let (mut gap, mut worst, mut at) = (0.0, 0.0f64, 0);
    for x in batches(Part::Test) {
        let x = x.inner();
        let constraints = problem.constraints(x.clone())?;
        let repaired = layer.forward(network.forward(x.clone()), constraints.as_ref(), None)?;
        worst = worst.max(
            Violations::of(constraints.as_ref(), repaired.y.clone())
                .summary(1e-4)?
                .max,
        );
        for value in host::read("objective", &problem.objective(x, repaired.y))? {
            gap += value - optimal[at];
            at += 1;
        }
    }
    println!(
        "test: mean optimality gap {:.4}, largest violation {worst:.1e}, {at} samples",
        gap / at as f64
    );
    Ok(())
}
