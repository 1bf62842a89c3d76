//! Every repair method on a batch of published problems: what is violated after the layer, how far
//! the gradient is from differences, and the time.
//!
//! cargo run --release -p feasible-examples --example repair_methods [samples] [step of the differences]

#![allow(clippy::print_stdout, reason = "an example prints")]

use feasible::burn::tensor::{DType, Device, Tensor};
use feasible::data::{LegacyRandom, Part, Problem, Recipe};
use feasible::repair::{
    Completion, Dc3, Dc3Settings, FsNet, FsNetSettings, GaugeMap, HardNetAff, HardNetCvx,
    LineSearch, PiNet, PiNetSettings, RaySettings, Rayen, Repaired, RowPolicy, SnareNet,
    SnareNetSettings,
};
use feasible::{Constraints, host};
use feasible_examples::{FirstSamples, least_time, samples_from_arguments};

/// Of the raw outputs about the shortest point that meets the equalities.
const DEVIATION: f64 = 0.3;
/// Of the differences along one direction a sample, of fourth order, where no other is given.
const STEP: f64 = 1e-5;

type Layer = Box<dyn Fn(Tensor<2>, &dyn Constraints) -> anyhow::Result<Repaired>>;

fn snarenet(settings: SnareNetSettings) -> anyhow::Result<Layer> {
    let layer = SnareNet::new(settings)?;
    Ok(Box::new(move |y, set| Ok(layer.forward(y, set, None)?)))
}

/// How exactly layers stop.
#[derive(Clone, Copy, PartialEq)]
enum Stop {
    /// At a violation of 1e-6, FSNet at its published ‖r‖² of 1e-9.
    Ordinarily,
    /// At rounding, so that outputs do not jump where the number of iterations changes: differences
    /// would see that.
    Late,
}

/// Names and layers; `affine` adds those that take affine rows only.
fn layers(affine: bool, stop: Stop) -> anyhow::Result<Vec<(&'static str, Layer)>> {
    let cvx = HardNetCvx::new();
    // Training and evaluation alike, so that differences are those of what is differentiated.
    let dc3 = Dc3Settings {
        tolerance: 0.0,
        ..Dc3Settings::default()
    };
    let completed = Dc3::new(dc3.clone())?;
    let uncompleted = Dc3::new(Dc3Settings {
        completion: Completion::None,
        learning_rate: 1e-3,
        ..dc3
    })?;
    let late = stop == Stop::Late;
    let fsnet = |line_search, unrolled| -> anyhow::Result<Layer> {
        let tolerance = if late { 1e-26 } else { 1e-9 };
        let layer = FsNet::new(FsNetSettings {
            train_tolerance: tolerance,
            test_tolerance: tolerance,
            gradient_tolerance: if late { 1e-12 } else { 1e-6 },
            unrolled,
            max_iterations: if late { 100 } else { 50 },
            line_search,
            ..FsNetSettings::default()
        })?;
        Ok(Box::new(move |y, set| Ok(layer.forward(y, set, None)?)))
    };
    let tolerance = if late { 1e-13 } else { 1e-6 };
    let rayen = Rayen::new(RaySettings::default())?;
    let gauge_map = GaugeMap::new(RaySettings::default())?;
    let precise = SnareNetSettings {
        tolerance,
        ..SnareNetSettings::default()
    };
    let mut layers: Vec<(&str, Layer)> = vec![
        (
            "projection (HardNet-Cvx, OptNet)",
            Box::new(move |y, set| Ok(cvx.forward(y, set, None)?)),
        ),
        ("SnareNet, all rows", snarenet(precise)?),
        (
            "SnareNet, violated rows",
            snarenet(SnareNetSettings {
                rows: RowPolicy::Violated,
                ..precise
            })?,
        ),
        (
            "HardNet++",
            snarenet(SnareNetSettings {
                tolerance,
                ..SnareNetSettings::hardnet_plus_plus()
            })?,
        ),
        (
            "DC3",
            Box::new(move |y, set| Ok(completed.forward(y, set, None)?)),
        ),
        (
            "DC3 without completion",
            Box::new(move |y, set| Ok(uncompleted.forward(y, set, None)?)),
        ),
        // As published: what constant later steps leave out of the gradient shows in its error.
        (
            "FSNet, 30 steps differentiated",
            fsnet(LineSearch::PerSample, 30)?,
        ),
        (
            "FSNet, all steps differentiated",
            fsnet(LineSearch::PerSample, 100)?,
        ),
        (
            "FSNet, whole batch, 30 steps",
            fsnet(LineSearch::WholeBatch, 30)?,
        ),
        (
            "FSNet, whole batch, all steps",
            fsnet(LineSearch::WholeBatch, 100)?,
        ),
        (
            "RAYEN",
            Box::new(move |y, set| Ok(rayen.forward(y, set, None)?)),
        ),
        (
            "gauge map",
            Box::new(move |y, set| Ok(gauge_map.forward(y, set, None)?)),
        ),
    ];
    if affine {
        let aff = HardNetAff::new();
        let pinet = PiNet::new(PiNetSettings {
            tolerance,
            max_iterations: 20_000,
            ..PiNetSettings::default()
        })?;
        layers.push((
            "HardNet-Aff",
            Box::new(move |y, set| Ok(aff.forward(y, set, None)?)),
        ));
        layers.push((
            "Pi-net",
            Box::new(move |y, set| Ok(pinet.forward(y, set, None)?)),
        ));
    }
    Ok(layers)
}

/// |gradient along a direction − differences| for one direction and one weighting of the output a
/// sample, relative where that is more than one: the median, the largest, and how many are above 1e-4,
/// as where a row becomes active between the points of the differences.
fn gradient_error(
    layer: &Layer,
    y0: &[f64],
    set: &dyn Constraints,
    [batch, n]: [usize; 2],
    step: f64,
) -> anyhow::Result<(f64, f64, usize)> {
    let device = &Device::flex().autodiff();
    let mut random = LegacyRandom::new(11);
    let (weights, direction) = (random.randn_vec(batch * n), random.randn_vec(batch * n));
    let at = |steps: f64| -> anyhow::Result<Vec<f64>> {
        let moved = y0.iter().zip(&direction).map(|(y, d)| y + steps * step * d);
        let y = host::write(moved.collect(), [batch, n], device, DType::F64);
        let y = host::read("y", &layer(y, set)?.y)?;
        let weighted: Vec<f64> = y.iter().zip(&weights).map(|(y, w)| y * w).collect();
        Ok(weighted
            .chunks_exact(n)
            .map(|row| row.iter().sum())
            .collect())
    };
    let (a, b, c, d) = (at(1.0)?, at(-1.0)?, at(2.0)?, at(-2.0)?);
    let raw = host::write::<2>(y0.to_vec(), [batch, n], device, DType::F64).require_grad();
    let w = host::write::<2>(weights.clone(), [batch, n], device, DType::F64);
    let gradients = (layer(raw.clone(), set)?.y * w).sum().backward();
    let gradient = match raw.grad(&gradients) {
        Some(gradient) => host::read("gradient", &gradient)?,
        None => vec![0.0; batch * n],
    };
    let mut errors: Vec<f64> = (0..batch)
        .map(|sample| {
            let quotient =
                (8.0 * (a[sample] - b[sample]) - (c[sample] - d[sample])) / (12.0 * step);
            let along: f64 = (sample * n..(sample + 1) * n)
                .map(|at| gradient[at] * direction[at])
                .sum();
            (along - quotient).abs() / quotient.abs().max(1.0)
        })
        .collect();
    errors.sort_by(f64::total_cmp);
    let large = errors.iter().filter(|error| **error > 1e-4).count();
    Ok((errors[batch / 2], errors[batch - 1], large))
}

fn main() -> anyhow::Result<()> {
    let batch = samples_from_arguments()?;
    let step: f64 = match std::env::args().nth(2) {
        Some(step) => step.parse()?,
        None => STEP,
    };
    let device = Device::flex().autodiff();
    for (recipe, affine) in [(Recipe::SnareQcqp, false), (Recipe::SnareNoncvx, true)] {
        let samples = FirstSamples::new(recipe, batch)?;
        let (problem, set, n) = (&samples.problem, samples.set.as_ref(), samples.n);
        let y0 = samples.raw_outputs(DEVIATION, &mut LegacyRandom::new(7))?;
        println!("{recipe}, {batch} samples, n = {n}, 50 equalities, 50 inequalities");
        println!(
            "{:34} {:>10} {:>10} {:>6} {:>6} {:>9} {:>9} {:>6} {:>9} {:>9}",
            "",
            "eq max",
            "ineq max",
            "conv.",
            "iter.",
            "grad med",
            "grad max",
            ">1e-4",
            "fwd ms",
            "fwd+bwd"
        );
        let late = layers(affine, Stop::Late)?;
        for ((name, layer), (_, late)) in layers(affine, Stop::Ordinarily)?.iter().zip(&late) {
            let input = || host::write::<2>(y0.clone(), [batch, n], &device, DType::F64);
            let repaired = layer(input(), set)?;
            let rows = set.bounds().residual(set.values(repaired.y.clone()));
            let rows = host::read("rows", &rows)?;
            let worst = |equality: bool| {
                let kinds = set.bounds().equalities().iter().cycle();
                let of = rows
                    .iter()
                    .zip(kinds)
                    .filter(|(_, kind)| **kind == equality);
                of.fold(0.0, |a: f64, (r, _)| a.max(r.abs()))
            };
            let converged = repaired.status.iter().filter(|s| s.is_converged()).count();
            let iterations = repaired.iterations.iter().copied().max().unwrap_or(0);
            let forward = least_time(|| layer(input(), set).map(|_| ()))?;
            let both = least_time(|| {
                let raw = input().require_grad();
                let gradients = layer(raw.clone(), set)?.y.sum().backward();
                host::read("gradient", &raw.grad(&gradients).unwrap_or(raw))?;
                Ok(())
            })?;
            let (median, most, large) = gradient_error(late, &y0, set, [batch, n], step)?;
            println!(
                "{name:34} {:10.1e} {:10.1e} {converged:6} {iterations:6} {median:9.1e} {most:9.1e} {large:6} {forward:9.2} {both:9.2}",
                worst(true),
                worst(false),
            );
        }
        // For the methods that look from an interior point: one set for all samples.
        let x = problem.input(Part::Train)[..problem.inputs()].to_vec();
        let x = host::write(x, [1, problem.inputs()], &device, DType::F64);
        let fixed = problem.constraints(x)?;
        let rayen = Rayen::new(RaySettings::default())?;
        let input = || host::write::<2>(y0.clone(), [batch, n], &device, DType::F64);
        let time = least_time(|| Ok(rayen.forward(input(), fixed.as_ref(), None).map(|_| ())?))?;
        println!(
            "RAYEN, one set for all samples, its interior point found before: {time:.2} ms forward\n"
        );
    }
    Ok(())
}
