//! The implicit gradient of SnareNet's layer against central differences, where it says that it is exact.

#[path = "../../nls/tests/support/mod.rs"]
mod support;

use burn::tensor::Tensor;
use feasible_core::{Affine, Block, Bounds, Curvature, Quadratic};
use feasible_repair::{
    Gradient, GradientQuality, Repaired, RowPolicy, RowWeights, SnareNet, SnareNetSettings,
};
use support::{check_gradients, normal, rng, tensor};

const BATCH: usize = 8;
const N: usize = 8;
/// Differences of fourth order leave 1e-16 of a fifth derivative, that of numbers in the rows too, and no
/// sample taken here changes its rows within two steps.
const STEP: f64 = 1e-4;
/// What the iteration leaves: residuals of 1e-12 over the smallest singular value, some tenths, and the step.
const ERROR: f64 = 1e-7;

/// Samples of which the layer says that their implicit gradient is exact.
fn exact_samples<const K: usize>(
    candidates: [Tensor<2>; K],
    repair: impl Fn(&[Tensor<2>]) -> Repaired,
) -> [Tensor<2>; K] {
    let reports = repair(&candidates.clone().map(|input| input.require_grad()))
        .gradient
        .unwrap();
    let is_exact = |sample: &usize| reports[*sample].quality == GradientQuality::Exact;
    let exact: Vec<usize> = (0..reports.len()).filter(is_exact).collect();
    assert!(exact.len() >= BATCH, "{reports:?}");
    candidates.map(|input| {
        let rows = exact[..BATCH].iter();
        let rows = rows.map(|&sample| input.clone().narrow(0, sample, 1));
        Tensor::cat(rows.collect(), 0)
    })
}

/// Affine rows: the implicit gradient against central differences on every sample, of the host's path
/// and, where the numbers in the rows are tracked, of the other.
#[test]
fn implicit_gradients_of_affine_rows_agree_with_central_differences() {
    let mut rng = rng(41);
    let a = normal(&mut rng, 3 * N);
    let candidates = [
        tensor(normal(&mut rng, 6 * BATCH * N), [6 * BATCH, N]),
        tensor(normal(&mut rng, 6 * BATCH * 3), [6 * BATCH, 3]),
    ];
    for (tracked, rows) in [false, true]
        .into_iter()
        .flat_map(|tracked| [RowPolicy::All, RowPolicy::Violated].map(|rows| (tracked, rows)))
    {
        let settings = SnareNetSettings {
            gradient: Gradient::Implicit,
            rows,
            // A hundred units of rounding; at a rate of λ/(σ² + λ) a step that takes some tens.
            tolerance: 1e-12,
            max_iterations: 1000,
            ..SnareNetSettings::default()
        };
        let repair = |inputs: &[Tensor<2>]| {
            let a = tensor(a.clone(), [3, N]);
            let a = if tracked { a.require_grad() } else { a };
            let lower = inputs[1].clone() - tensor(vec![0.0, 0.3, 0.3], [1, 3]);
            let bounds = Bounds::per_sample(lower, inputs[1].clone()).unwrap();
            let g = Affine::shared(a, bounds).unwrap();
            SnareNet::new(settings)
                .unwrap()
                .forward(inputs[0].clone(), &g, None)
                .unwrap()
        };
        let inputs = exact_samples(candidates.clone(), repair);
        check_gradients("implicit", &inputs, |inputs| repair(inputs).y, STEP, ERROR);
    }
}

/// Numbers inside affine rows, against central differences on every sample; the right-hand sides too.
#[test]
fn implicit_gradients_reach_the_numbers_of_affine_rows() {
    let mut rng = rng(43);
    let mut draw =
        |columns: usize| tensor::<2>(normal(&mut rng, 6 * BATCH * columns), [6 * BATCH, columns]);
    let candidates = [draw(N), draw(N), draw(N), draw(2)];
    for (rows, weights) in [
        (RowPolicy::All, RowWeights::Uniform),
        (RowPolicy::Violated, RowWeights::Uniform),
        (RowPolicy::Violated, RowWeights::InverseNorms),
    ] {
        let settings = SnareNetSettings {
            gradient: Gradient::Implicit,
            rows,
            weights,
            // A hundred units of rounding; at a rate of λ/(σ² + λ) a step that takes some tens.
            tolerance: 1e-12,
            max_iterations: 1000,
            ..SnareNetSettings::default()
        };
        let repair = |inputs: &[Tensor<2>]| {
            let row = |k: usize| inputs[k].clone().unsqueeze_dim::<3>(1);
            let a = Tensor::cat(vec![row(1), row(2)], 1);
            let lower = inputs[3].clone() - tensor(vec![0.0, 0.3], [1, 2]);
            let bounds = Bounds::per_sample(lower, inputs[3].clone()).unwrap();
            let g = Affine::per_sample(a, bounds).unwrap();
            SnareNet::new(settings)
                .unwrap()
                .forward(inputs[0].clone(), &g, None)
                .unwrap()
        };
        let name = format!("{rows:?}, {weights:?}");
        let inputs = exact_samples(candidates.clone(), repair);
        check_gradients(&name, &inputs, |inputs| repair(inputs).y, STEP, ERROR);
    }
}

/// What is right at the output and on the way, and wrong beside it, is not called exact, on any path: a row
/// that ends on its bound by the choice of another's bound alone (x ≥ k, of the rows x + z ≤ −10, x ≥ k and
/// x + w ≤ 0), and y₁ + y₂² ≤ 0 from (2, 0), where the row is the same all the way.
#[test]
fn gradients_that_are_right_by_chance_are_not_called_exact() {
    let chance = (
        vec![1.0, 1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, 1.0],
        None,
        vec![-10.0, 7.0 / 3.0 + 1e-7, 0.0],
        vec![1.0; 3],
        0.5,
    );
    let bent = (
        vec![1.0, 0.0],
        Some(vec![0.0, 1.0]),
        vec![0.0],
        vec![2.0, 0.0],
        0.0,
    );
    for (a, h, upper, y0, damping) in [chance, bent] {
        let (n, m) = (y0.len(), upper.len());
        for (tracked, trust_region) in [(false, None), (true, None), (true, Some(1e6))] {
            let settings = SnareNetSettings {
                gradient: Gradient::Implicit,
                rows: RowPolicy::Violated,
                tolerance: 1e-6,
                damping,
                trust_region,
                ..SnareNetSettings::default()
            };
            let rows = |values: &Vec<f64>| tensor::<3>(values.clone(), [1, m, n]);
            let linear = rows(&a).set_require_grad(tracked);
            let curvature = h
                .as_ref()
                .map_or(Curvature::None, |h| Curvature::Diagonal(rows(h)));
            let bounds = Bounds::at_most(tensor(upper.clone(), [1, m])).unwrap();
            let g = Quadratic::from_block(Block::new(linear, curvature).unwrap(), bounds).unwrap();
            let repaired = SnareNet::new(settings)
                .unwrap()
                .forward(tensor(y0.clone(), [1, n]).require_grad(), &g, None)
                .unwrap();
            let report = repaired.gradient.unwrap()[0];
            assert!(repaired.status[0].is_converged() && report.deviation < 1e-6);
            assert_eq!(
                report.quality,
                GradientQuality::Inexact,
                "{m} rows, {tracked}, {trust_region:?}"
            );
        }
    }
}
