//! Every gradient of a projection against central differences: ŷ, bounds, blocks, relaxation.

use std::sync::Arc;

use burn::tensor::Tensor;
use feasible_convex::{GradientQuality, Projection};
use feasible_core::{Affine, Block, Bounds, Curvature, Quadratic, Stacked};

use crate::support::{
    assert_close, central_differences, entries, numbers, random, symmetric_entries, tensor,
};

const BATCH: usize = 8;
const N: usize = 4;
const NAMES: [&str; 10] = [
    "ŷ",
    "a",
    "target",
    "g",
    "l",
    "u",
    "diagonals",
    "matrix",
    "c",
    "relaxation",
];

/// 1 equality, 3 two-sided rows, 2 diagonal and 1 dense quadratic rows. The origin is strictly
/// inside all of them but the equality, whose plane is close to it.
fn data() -> Vec<Vec<f64>> {
    let mut random = random(8);
    let mut scaled = |count: usize, scale: f64, shift: f64| -> Vec<f64> {
        random(count).iter().map(|v| scale * v + shift).collect()
    };
    let root = scaled(N * N, 1.0, 0.0);
    let matrix = (0..N * N).map(|e| {
        let (i, j) = (e / N, e % N);
        let dot: f64 = (0..N).map(|k| root[i * N + k] * root[j * N + k]).sum();
        dot + if i == j { 0.3 } else { 0.0 }
    });
    let matrix = matrix.collect();
    // Each quadratic row is tight along other axes, so that every one holds some samples.
    let diagonals = vec![9.0, 0.3, 0.5, 0.2, 0.3, 0.4, 0.2, 7.0];
    let upper = vec![0.2, 0.25, 0.2];
    vec![
        scaled(BATCH * N, 3.0, 0.0),
        scaled(N, 1.0, 0.0),
        scaled(BATCH, 0.03, 0.0),
        scaled(BATCH * 3 * N, 1.0, 0.0),
        scaled(3, 0.05, -0.2),
        scaled(BATCH * 3, 0.05, 0.2),
        diagonals,
        matrix,
        upper,
        scaled(7, 0.02, 0.05),
    ]
}

/// Σ w·y + Σ v·λ with the parts as leaves; also says how many samples have exact gradients.
fn loss(leaves: &[Tensor<1>], relaxed: bool) -> (Tensor<1>, impl Fn() -> Option<usize>) {
    let leaf = |i: usize| leaves[i].clone();
    let equality = Affine::shared(
        leaf(1).reshape([1, N]),
        Bounds::equal(leaf(2).reshape([BATCH, 1])).unwrap(),
    );
    let rows = Affine::per_sample(
        leaf(3).reshape([BATCH, 3, N]),
        Bounds::per_sample(leaf(4).reshape([1, 3]), leaf(5).reshape([BATCH, 3])).unwrap(),
    );
    let upper: Tensor<2> = leaf(8).reshape([1, 3]);
    let linear = |rows: usize| tensor(&vec![0.1; rows * N], [1, rows, N]);
    let diagonals = Block::new(linear(2), Curvature::Diagonal(leaf(6).reshape([1, 2, N])));
    let dense = Block::new(linear(1), Curvature::Dense(leaf(7).reshape([1, 1, N, N])));
    let first = Bounds::at_most(upper.clone().narrow(1, 0, 2)).unwrap();
    let second = Bounds::at_most(upper.narrow(1, 2, 1)).unwrap();
    let constraints = Stacked::new(vec![
        Arc::new(Quadratic::from_block(diagonals.unwrap(), first).unwrap()),
        Arc::new(equality.unwrap()),
        Arc::new(rows.unwrap()),
        Arc::new(Quadratic::from_block(dense.unwrap(), second).unwrap()),
    ])
    .unwrap();
    let (layer, y_hat) = (Projection::default(), leaf(0).reshape([BATCH, N]));
    let projected = match relaxed {
        true => layer.forward_relaxed(y_hat, &constraints, leaf(9)),
        false => layer.forward(y_hat, &constraints),
    }
    .unwrap();
    let mut random = random(9);
    let loss = (projected.y.clone() * tensor(&random(BATCH * N), [BATCH, N])).sum()
        + (projected.dual() * tensor(&random(BATCH * 7), [BATCH, 7])).sum();
    let reports = projected.gradient_reports();
    (loss, move || reports.count(GradientQuality::Exact))
}

fn check(relaxed: bool) {
    let data = data();
    let flat = |values: &Vec<f64>| tensor(values, [values.len()]);
    let leaves: Vec<Tensor<1>> = data.iter().map(|v| flat(v).require_grad()).collect();
    let (total, exact) = loss(&leaves, relaxed);
    let gradients = total.backward();
    assert_eq!(exact(), Some(BATCH));
    let count = if relaxed { 10 } else { 9 };
    let mut worst = 0.0f64;
    for (parameter, name) in NAMES.iter().enumerate().take(count) {
        let gradient = numbers(&leaves[parameter].grad(&gradients).unwrap());
        let directions = match *name {
            "matrix" => symmetric_entries(N * N, N),
            _ => entries(data[parameter].len()),
        };
        let differences = central_differences(&data[parameter], &directions, |values| {
            let mut leaves: Vec<Tensor<1>> = data.iter().map(flat).collect();
            leaves[parameter] = tensor(values, [values.len()]);
            numbers(&loss(&leaves, relaxed).0)[0]
        });
        assert!(
            gradient.iter().any(|g| g.abs() > 1e-3),
            "{name} has no gradient to check"
        );
        // The differences' own error, 5e-9, times the conditioning of these problems.
        worst = worst.max(assert_close(name, &gradient, &differences, 1e-6));
    }
    eprintln!("relaxed {relaxed}: worst error {worst:e}");
}

#[test]
fn gradients_agree_with_central_differences() {
    check(false);
}

#[test]
fn gradients_of_a_relaxed_projection_agree_with_central_differences() {
    check(true);
}
