//! A constraint of one's own: the tip of a robot arm must lie on a circle that depends on the
//! input, outside an obstacle. The function is written once; its Jacobian comes from dual numbers.
//!
//! cargo run --release -p feasible-examples --example custom_constraint

#![allow(clippy::print_stdout, reason = "an example prints")]

use feasible::burn::tensor::{DType, Device, Tensor, TensorData};
use feasible::repair::{SnareNet, SnareNetSettings};
use feasible::{Bounds, Dual, Function, Violations};

fn main() -> anyhow::Result<()> {
    let device = Device::flex().autodiff();
    let f64_tensor = |values: Vec<f64>, shape: [usize; 2]| {
        Tensor::<2>::from_data(TensorData::new(values, shape), (&device, DType::F64))
    };
    // Three links of length 1; y holds their angles. Row 0: the tip's squared distance from the
    // base equals r². Row 1: the tip keeps a distance of 0.5 from the obstacle at (1, 1).
    let radius_squared = f64_tensor(vec![1.0, 4.0, 6.25], [3, 1]);
    let lower = Tensor::cat(
        vec![radius_squared.clone(), f64_tensor(vec![0.25; 3], [3, 1])],
        1,
    );
    let upper = Tensor::cat(
        vec![radius_squared, f64_tensor(vec![f64::INFINITY; 3], [3, 1])],
        1,
    );
    let arm = Function::new(3, Bounds::per_sample(lower, upper)?, |y: Dual| {
        let first = y.column(0);
        let second = first.clone() + y.column(1);
        let third = second.clone() + y.column(2);
        let tip_x = first.clone().cos() + second.clone().cos() + third.clone().cos();
        let tip_y = first.sin() + second.sin() + third.sin();
        let reach = tip_x.clone().square() + tip_y.clone().square();
        let clearance = (tip_x - 1.0).square() + (tip_y - 1.0).square();
        Dual::cat(vec![reach, clearance])
    });

    // What an untrained network might say.
    let raw =
        f64_tensor(vec![0.4, 0.9, 0.8, 0.7, 0.9, -0.6, 0.1, 0.9, -0.7], [3, 3]).require_grad();
    arm.check(raw.clone())?;
    let before = Violations::of(&arm, raw.clone()).summary(1e-8)?;
    let settings = SnareNetSettings {
        tolerance: 1e-10,
        ..Default::default()
    };
    let repaired = SnareNet::new(settings)?.forward(raw.clone(), &arm, None)?;
    let after = Violations::of(&arm, repaired.y.clone()).summary(1e-8)?;
    println!(
        "largest violation: {:.2e} before, {:.2e} after",
        before.max, after.max
    );
    println!(
        "iterations {:?}, {:?}",
        repaired.iterations, repaired.status
    );

    // Through the repair, to the network: how the sum of the samples' first angles depends on the prediction.
    let gradients = repaired.y.narrow(1, 0, 1).sum().backward();
    if let Some(gradient) = raw.grad(&gradients) {
        println!("∂(first angle)/∂prediction:\n{gradient}");
    }
    Ok(())
}
