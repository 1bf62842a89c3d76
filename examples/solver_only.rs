//! The solver crate without Burn: a batch of QPs that share their matrices, and its adjoint.
//!
//! cargo run --release -p feasible-examples --example solver_only

#![allow(clippy::print_stdout, reason = "an example prints")]

use feasible::solver::{
    AdjointSettings, Cotangent, Equalities, Inequalities, Problem, Settings, Symmetric, Values,
    Wanted, adjoint, solve,
};

fn main() -> anyhow::Result<()> {
    // Three portfolios of four assets: minimise ½ xᵀPx − rᵀx with Σx = 1 and 0 ≤ x ≤ 0.6. The
    // risk model is shared; the expected returns differ.
    let risk = [0.10, 0.20, 0.15, 0.05];
    let returns = [
        0.08, 0.12, 0.10, 0.04, //
        0.02, 0.02, 0.02, 0.02, //
        0.30, 0.10, 0.05, 0.05,
    ];
    let q: Vec<f64> = returns.iter().map(|r| -r).collect();
    let identity: Vec<f64> = (0..16)
        .map(|at| if at % 5 == 0 { 1.0 } else { 0.0 })
        .collect();
    let problem = Problem {
        batch: 3,
        n: 4,
        p: Symmetric::Diagonal(Values::Shared(&risk)),
        q: Values::PerSample(&q),
        equalities: Some(Equalities {
            rows: 1,
            a: Values::Shared(&[1.0; 4]),
            b: Values::Shared(&[1.0]),
        }),
        inequalities: Some(Inequalities {
            rows: 4,
            g: Values::Shared(&identity),
            l: Values::Shared(&[0.0; 4]),
            u: Values::Shared(&[0.6; 4]),
        }),
        quadratics: None,
    };
    let solution = solve(&problem, &Settings::default())?;

    // How the first asset's share depends on the risk model and the returns: L = Σ x₁.
    let cotangent: Vec<f64> = (0..12)
        .map(|at| if at % 4 == 0 { 1.0 } else { 0.0 })
        .collect();
    let cotangent = Cotangent::of_x(&cotangent);
    let gradients = adjoint(
        &problem,
        &solution,
        &cotangent,
        &Wanted::ALL,
        &AdjointSettings::default(),
    )?;
    let by_returns: Vec<f64> = gradients.q.unwrap_or_default().iter().map(|g| -g).collect();
    for sample in 0..3 {
        let range = sample * 4..(sample + 1) * 4;
        println!("portfolio {sample}: {:?}", solution.status[sample]);
        println!("  shares            {:.4?}", &solution.x[range.clone()]);
        println!("  ∂x₁/∂returns      {:.4?}", &by_returns[range]);
        println!(
            "  gradient          {:?}",
            gradients.reports[sample].quality
        );
    }
    println!(
        "∂Σx₁/∂risk (shared) {:.4?}",
        gradients.p.unwrap_or_default()
    );
    Ok(())
}
