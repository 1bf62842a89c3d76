//! Convex models as layers, each beside its closed form: softmax, sparsemax, a risk-averse portfolio,
//! and a projection that no closed form has.
//!
//! A model is written once, in variables and parameters; parameters are the layer's inputs. What breaks
//! the rules of disciplined convex programming is refused with the sub-expression that does.
//!
//! cargo run --release -p feasible-examples --example convex_model

#![allow(clippy::print_stdout, reason = "an example prints")]

use anyhow::ensure;
use feasible::burn::tensor::{Device, Tensor};
use feasible::convex::ConvexLayer;
use feasible::convex::model::{Model, entropy, norm2, sum_squares};

const N: usize = 4;

/// max cᵀx + entropy(x) over the simplex: x = softmax(c).
fn softmax(scores: &Tensor<2>) -> anyhow::Result<()> {
    let mut model = Model::new();
    let x = model.variable("x", [N]);
    let c = model.parameter("c", [N]);
    let problem = model
        .maximize(x.dot(&c) + entropy(&x).sum())
        .subject_to(x.sum().eq(1.0))
        .compile()?;
    println!("softmax is a {:?}", problem.form());
    let solution = ConvexLayer::new(problem).forward([("c", scores.clone().into())])?;
    let expected = feasible::burn::tensor::activation::softmax(scores.clone(), 1);
    close("softmax", solution.variable("x")?, expected)
}

/// min ‖x − c‖² over the simplex: c less a threshold, cut at zero (Martins & Astudillo 2016).
fn sparsemax(scores: &Tensor<2>) -> anyhow::Result<()> {
    let mut model = Model::new();
    let x = model.variable("x", [N]);
    let c = model.parameter("c", [N]);
    let problem = model
        .minimize(sum_squares(&x - &c))
        .subject_to(x.sum().eq(1.0))
        .subject_to(x.ge(0.0))
        .compile()?;
    println!("sparsemax is a {:?}", problem.form());
    let solution = ConvexLayer::new(problem).forward([("c", scores.clone().into())])?;
    let x = solution.variable("x")?;
    // The threshold is what makes the sum one: read it off the largest entry.
    let threshold = (scores.clone() - x.clone()).max_dim(1);
    let cut = (scores.clone() - (scores.clone().max_dim(1) - x.clone().max_dim(1))).clamp_min(0.0);
    println!(
        "  thresholds at most {:.4}",
        threshold.max().into_scalar::<f32>()
    );
    close("sparsemax", x, cut)
}

/// max μᵀw − ½‖Dw‖²: without constraints w = μ/d², with a budget the multiplier prices it.
fn portfolio(device: &Device) -> anyhow::Result<()> {
    let mut model = Model::new();
    let w = model.variable("w", [N]);
    let returns = model.parameter("returns", [N]);
    let risk = model.parameter("risk", [N]);
    let problem = model
        .maximize(returns.dot(&w) - 0.5 * sum_squares(&risk * &w))
        .subject_to(w.sum().le(1.0).named("budget"))
        .compile()?;
    println!("the portfolio is a {:?}", problem.form());
    let returns = Tensor::<2>::from_data([[0.1, 0.2, 0.3, 0.1], [2.0, 1.0, 0.5, 0.5]], device);
    let risk = Tensor::<1>::from_data([1.0, 2.0, 1.5, 3.0], device);
    let layer = ConvexLayer::new(problem);
    let given = [
        ("returns", returns.clone().into()),
        ("risk", risk.clone().into()),
    ];
    let solution = layer.forward(given)?;
    let price = solution.dual("budget")?;
    println!("  prices of the budget: {}", price.clone().to_data());
    let variance = risk.square().unsqueeze::<2>();
    close(
        "portfolio",
        solution.variable("w")?,
        (returns - price) / variance,
    )
}

/// The nearest point of a ball cut by a half-space, and its derivative along the cut.
fn cut_ball(device: &Device) -> anyhow::Result<()> {
    let mut model = Model::new();
    let x = model.variable("x", [2]);
    let target = model.parameter("target", [2]);
    let problem = model
        .minimize(sum_squares(&x - &target))
        .subject_to(norm2(&x).le(1.0))
        .subject_to(x.sum().le(1.2))
        .compile()?;
    println!("the cut ball is a {:?}", problem.form());
    let target = Tensor::<2>::from_data([[3.0, 0.4]], device).require_grad();
    let solution = ConvexLayer::new(problem).forward([("target", target.clone().into())])?;
    let reports = solution.gradient_reports();
    let x = solution.variable("x")?;
    println!("  nearest point {}", x.clone().to_data());
    let gradients = x.narrow(1, 0, 1).sum().backward();
    let gradient = target.grad(&gradients).expect("it is tracked");
    println!("  derivative of its first entry {}", gradient.to_data());
    let report = reports.get().expect("the backward pass has run")[0];
    println!(
        "  which is {:?}, {:.3} from the nearest kink",
        report.quality, report.margin
    );
    Ok(())
}

fn close(what: &str, got: Tensor<2>, expected: Tensor<2>) -> anyhow::Result<()> {
    let error = (got - expected).abs().max().into_scalar::<f32>();
    println!("  {what} is off its closed form by {error:.1e}");
    ensure!(error < 1e-5, "{what} is wrong");
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let device = Device::flex().autodiff();
    let scores = Tensor::<2>::from_data([[0.3, -0.2, 1.1, 0.9], [2.0, 1.9, -1.0, 0.0]], &device);
    softmax(&scores)?;
    sparsemax(&scores)?;
    portfolio(&device)?;
    cut_ball(&device)
}
