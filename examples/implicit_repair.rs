//! SnareNet's implicit gradient against the unrolled one, sample by sample, on the published problems:
//! direction, relative error, what the layer says of it, and the time.
//!
//! cargo run --release -p feasible-examples --example implicit_repair [samples]

#![allow(clippy::print_stdout, reason = "an example prints")]

use feasible::burn::tensor::{DType, Device, Tensor};
use feasible::data::{LegacyRandom, Recipe};
use feasible::repair::{
    Gradient, GradientQuality, Repaired, RowPolicy, SnareNet, SnareNetSettings,
};
use feasible::{Constraints, host};
use feasible_examples::{FirstSamples, least_time, samples_from_arguments};

/// The output of the layer and the gradient of one weighted sum of every sample.
fn run(
    settings: SnareNetSettings,
    y0: &[f64],
    weights: &[f64],
    set: &dyn Constraints,
    [batch, n]: [usize; 2],
) -> anyhow::Result<(Repaired, Vec<f64>)> {
    let device = &Device::flex().autodiff();
    let tensor = |values: &[f64]| -> Tensor<2> {
        host::write(values.to_vec(), [batch, n], device, DType::F64)
    };
    let raw = tensor(y0).require_grad();
    let repaired = SnareNet::new(settings)?.forward(raw.clone(), set, None)?;
    let gradients = (repaired.y.clone() * tensor(weights)).sum().backward();
    let gradient = raw
        .grad(&gradients)
        .ok_or_else(|| anyhow::anyhow!("no gradient"))?;
    Ok((repaired, host::read("gradient", &gradient)?))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> anyhow::Result<()> {
    let batch = samples_from_arguments()?;
    for recipe in [Recipe::SnareQcqp, Recipe::SnareNoncvx] {
        let samples = FirstSamples::new(recipe, batch)?;
        let (set, n) = (samples.set.as_ref(), samples.n);
        println!("{recipe}, {batch} samples, n = {n}, 50 equalities, 50 inequalities");
        println!(
            "{:10} {:>6} {:>5} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7} {:>8} {:>8}",
            "rows",
            "noise",
            "iter.",
            "exact",
            "error med",
            "error max",
            "cos med",
            "cos min",
            "dev. med",
            "ratio",
            "unrolled",
            "implicit"
        );
        for rows in [RowPolicy::All, RowPolicy::Violated] {
            for noise in [0.01, 0.1, 0.3, 1.0] {
                let mut random = LegacyRandom::new(7);
                let y0 = samples.raw_outputs(noise, &mut random)?;
                let weights = random.randn_vec(batch * n);
                let settings = |gradient| SnareNetSettings {
                    rows,
                    gradient,
                    tolerance: 1e-6,
                    ..SnareNetSettings::default()
                };
                let gradient = |gradient| run(settings(gradient), &y0, &weights, set, [batch, n]);
                let (repaired, unrolled) = gradient(Gradient::Unrolled)?;
                let (implicitly, implicit) = gradient(Gradient::Implicit)?;
                let reports = implicitly.gradient.unwrap_or_default();
                let is_exact = |report: &feasible::repair::GradientReport| {
                    report.quality == GradientQuality::Exact
                };
                let exact = reports.iter().filter(|report| is_exact(report)).count();
                let pairs = unrolled.chunks_exact(n).zip(implicit.chunks_exact(n));
                let mut errors = vec![];
                let mut cosines = vec![];
                for (a, b) in pairs {
                    let apart: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
                    errors.push((dot(&apart, &apart) / dot(a, a)).sqrt());
                    cosines.push(dot(a, b) / (dot(a, a) * dot(b, b)).sqrt());
                }
                let mut ratios: Vec<f64> = errors
                    .iter()
                    .zip(&reports)
                    .map(|(error, report)| error / report.deviation)
                    .collect();
                let mut deviations: Vec<f64> = reports.iter().map(|r| r.deviation).collect();
                let time = |which| least_time(|| gradient(which).map(|_| ()));
                let (slow, fast) = (time(Gradient::Unrolled)?, time(Gradient::Implicit)?);
                let (error, cosine) = (median(&mut errors), median(&mut cosines));
                println!(
                    "{:10} {noise:6} {:5} {exact:6} {error:9.1e} {:9.1e} {cosine:9.6} {:9.6} {:9.1e} {:7.2} {slow:8.2} {fast:8.2}",
                    format!("{rows:?}"),
                    repaired.iterations.iter().max().copied().unwrap_or(0),
                    errors[batch - 1],
                    cosines[0],
                    median(&mut deviations),
                    median(&mut ratios),
                );
            }
        }
        println!();
    }
    Ok(())
}
