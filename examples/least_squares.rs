//! A curve fit inside a network, and why the Gauss-Newton derivative is not enough for it.
//!
//! cargo run --release -p feasible-examples --example least_squares
//!
//! A decay a·exp(−b t) is fitted to four measurements that no such curve meets, so residuals stay. The
//! derivative of b by each measurement is computed by every backward mode and beside it by central
//! differences of the fit itself.

#![allow(clippy::print_stdout, reason = "an example prints")]

use feasible::burn::tensor::{DType, Device, Tensor};
use feasible::host;
use feasible::nls::least_squares::{
    AutoCost, Backward, Builder, Hessian, Manifold, Objective, Real, Residual, Robust, Settings,
    Stopping, Weight,
};
use feasible::nls::{ObjectiveLayer, ObjectiveTensors};

const TIMES: [f64; 4] = [0.0, 0.5, 1.0, 2.0];
const MEASURED: [f64; 4] = [2.0, 0.9, 1.2, 0.1];

struct Decay;

impl Residual for Decay {
    fn rows(&self) -> usize {
        TIMES.len()
    }

    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (curve, measured) = (variables[0], auxiliaries[0]);
        for (i, time) in TIMES.into_iter().enumerate() {
            out[i] = curve[0] * (-(curve[1] * time)).exp() - measured[i];
        }
    }
}

fn objective() -> Result<Objective, feasible::nls::Error> {
    let mut objective = Builder::new();
    let curve = objective.variable("curve", Manifold::Vector(2))?;
    let measured = objective.auxiliary("measured", TIMES.len())?;
    let cost = AutoCost::new(Decay);
    objective.cost(
        "fit",
        cost,
        &[curve],
        &[measured],
        Weight::Identity,
        Robust::None,
    )?;
    Ok(objective.build()?)
}

/// The rate b of the fitted curve, and the tensor of the measurements.
fn fit(
    measured: &[f64],
    backward: Backward,
) -> Result<(Tensor<1>, Tensor<2>), feasible::nls::Error> {
    let device = Device::flex().autodiff();
    let tensor = |values: &[f64]| -> Tensor<2> {
        host::write(values.to_vec(), [1, values.len()], &device, DType::F64)
    };
    // To rounding, for the differences' sake.
    let stopping = Stopping {
        gradient: 1e-15,
        ..Stopping::default()
    };
    let settings = Settings {
        backward,
        stopping,
        ..Settings::default()
    };
    let layer = ObjectiveLayer::new(objective()?, settings)?;
    let measured = tensor(measured).require_grad();
    let inputs = ObjectiveTensors::new()
        .start("curve", tensor(&[1.0, 1.0]))
        .auxiliary("measured", measured.clone());
    let solution = layer.solve(&inputs)?;
    Ok((solution.variable("curve")?.narrow(1, 1, 1).sum(), measured))
}

fn numbers<const D: usize>(tensor: &Tensor<D>) -> Result<Vec<f64>, feasible::nls::Error> {
    Ok(host::read("tensor", tensor)?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let exact = Backward::Implicit {
        hessian: Hessian::Exact,
    };
    let mut differences = vec![];
    for i in 0..TIMES.len() {
        let at = |step: f64| -> Result<f64, feasible::nls::Error> {
            let mut moved = MEASURED;
            moved[i] += step;
            Ok(numbers(&fit(&moved, exact)?.0)?[0])
        };
        differences.push((at(1e-5)? - at(-1e-5)?) / 2e-5);
    }
    println!("derivative of the rate by each measurement");
    println!("{:<28}{}", "central differences", row(&differences));
    for (name, mode) in [
        ("implicit, exact Hessian", exact),
        (
            "implicit, Gauss-Newton",
            Backward::Implicit {
                hessian: Hessian::GaussNewton,
            },
        ),
        ("unrolled", Backward::Unrolled),
        ("last 2 iterations", Backward::Truncated { iterations: 2 }),
        ("direct loss", Backward::DirectLoss { epsilon: 1e-4 }),
    ] {
        let (rate, measured) = fit(&MEASURED, mode)?;
        let gradients = rate.backward();
        let gradient = measured.grad(&gradients).ok_or("the fit depends on it")?;
        let gradient = numbers(&gradient)?;
        let worst = gradient
            .iter()
            .zip(&differences)
            .map(|(a, b)| (a - b).abs());
        println!(
            "{name:<28}{}   off by {:.1e}",
            row(&gradient),
            worst.fold(0.0, f64::max)
        );
    }
    Ok(())
}

fn row(values: &[f64]) -> String {
    values.iter().map(|v| format!("{v:>10.5}")).collect()
}
