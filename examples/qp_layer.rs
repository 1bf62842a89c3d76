//! A QP layer inside a network: learn the utilities that explain the purchases of a shopper.
//!
//! The shopper sees features x, and buys y = argmin ½‖y‖² − uᵀy with Σy = 1, y ≥ 0, for utilities
//! u = Wx that nobody observes. The network predicts u, the layer turns it into purchases, and
//! the loss compares purchases: gradients must pass through the argmin.
//!
//! cargo run --release -p feasible-examples --example qp_layer

#![allow(clippy::print_stdout, reason = "an example prints")]

use feasible::burn::module::Module;
use feasible::burn::optim::{AdamConfig, GradientsParams};
use feasible::burn::tensor::{Device, Distribution, Tensor};
use feasible::convex::{GradientQuality, Hessian, QpLayer, QpTensors};
use feasible::nn::{Mlp, MlpConfig};

const FEATURES: usize = 5;
const GOODS: usize = 8;

/// The layer's solution, purchases `[batch, GOODS]`, for utilities `[batch, GOODS]`.
fn purchases(utilities: Tensor<2>) -> anyhow::Result<feasible::convex::ConvexSolution> {
    let device = utilities.device();
    let problem = QpTensors::new(
        Hessian::diagonal(Tensor::<1>::ones([GOODS], &device)),
        -utilities,
    )
    .equalities(
        Tensor::<2>::ones([1, GOODS], &device),
        Tensor::<1>::ones([1], &device),
    )
    .inequalities(
        Tensor::<2>::eye(GOODS, &device),
        Tensor::<1>::zeros([GOODS], &device),
        Tensor::<1>::full([GOODS], f32::INFINITY, &device),
    );
    Ok(QpLayer::default().forward(&problem)?)
}

fn main() -> anyhow::Result<()> {
    let device = Device::flex().autodiff();
    device.seed(7);
    let truth = Tensor::<2>::random([FEATURES, GOODS], Distribution::Normal(0.0, 0.5), &device);
    let x = Tensor::<2>::random([256, FEATURES], Distribution::Normal(0.0, 1.0), &device);
    let bought = purchases(x.clone().matmul(truth))?.x;

    let config = MlpConfig {
        hidden: vec![],
        batch_norm: false,
        dropout: 0.0,
        ..Default::default()
    };
    let mut network: Mlp = config.init(FEATURES, GOODS, &device)?;
    println!("{} parameters", network.num_params());
    let mut optimizer = AdamConfig::new().init();
    for step in 0..=300 {
        let solution = purchases(network.forward(x.clone()))?;
        let reports = solution.gradient_reports();
        let loss = (solution.x - bought.clone()).square().sum_dim(1).mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(1e-2, network, gradients);
        if step % 50 == 0 {
            let exact = reports.count(GradientQuality::Exact).unwrap_or(0);
            println!(
                "step {step:3}: loss {:.3e}, {exact} of 256 gradients exact",
                loss.into_scalar::<f32>()
            );
        }
    }
    Ok(())
}
