//! HardNet's closed form against what it promises and against central differences, and HardNet++
//! against its own formula.

#[path = "../../nls/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use burn::tensor::Tensor;
use feasible_core::{Affine, Bounds, Constraints, Dual, Function, Quadratic, Stacked};
use feasible_repair::{HardNetAff, HardNetCvx, Repaired, SnareNet, SnareNetSettings, Status};
use support::{check_gradients, normal, numbers, rng, tensor};

const BATCH: usize = 12;
const N: usize = 6;
const M: usize = 4;

/// An equality, a two-sided row, an upper and a lower bound; `a` is `[M · N]` or `[BATCH · M · N]`.
fn rows(a: Tensor<3>, upper: Tensor<2>) -> Affine {
    let infinity = f64::INFINITY;
    let mask = tensor(vec![0.0, -0.5, -infinity, 0.2], [1, M]);
    // The equality's lower bound is its upper one, gradient included.
    let keep = tensor(vec![1.0, 0.0, 0.0, 0.0], [1, M]);
    let lower = upper.clone() * keep + mask;
    let infinite = tensor(vec![0.0, 0.0, 0.0, infinity], [1, M]);
    Affine::per_sample(a, Bounds::per_sample(lower, upper + infinite).unwrap()).unwrap()
}

fn inputs() -> [Tensor<2>; 2] {
    let mut rng = rng(3);
    let y0 = tensor(normal(&mut rng, BATCH * N), [BATCH, N]) * 2.0;
    let upper = tensor(normal(&mut rng, BATCH * M), [BATCH, M]).abs() * 0.3 + 0.1;
    [y0, upper]
}

fn matrix(copies: usize) -> Tensor<3> {
    tensor(normal(&mut rng(4), copies * M * N), [copies, M, N])
}

fn repair(y0: Tensor<2>, constraints: &dyn Constraints) -> Repaired {
    HardNetAff::new().forward(y0, constraints, None).unwrap()
}

/// The published property: Ay = clip(Aŷ, l, u), in one step.
#[test]
fn rows_are_clipped_exactly() {
    for copies in [1, BATCH] {
        let [y0, upper] = inputs();
        let set = rows(matrix(copies), upper);
        let before = set.values(y0.clone());
        let expected = numbers(&(before.clone() - set.bounds().residual(before)));
        let repaired = repair(y0, &set);
        assert!(repaired.status.iter().all(|s| s.is_converged()));
        let got = numbers(&set.values(repaired.y));
        for (got, expected) in got.iter().zip(&expected) {
            // Rounding, times a condition number below 100 here.
            assert!(
                (got - expected).abs() < 1e-13,
                "{got} instead of {expected}"
            );
        }
        assert!(repaired.residual.iter().all(|r| *r < 1e-13));
    }
}

#[test]
fn feasible_outputs_are_untouched() {
    let [y0, upper] = inputs();
    let set = rows(matrix(1), upper);
    let once = repair(y0, &set).y;
    // Rounding of the equality may leave a last bit to correct.
    let twice = repair(once.clone(), &set);
    for (a, b) in numbers(&once).iter().zip(numbers(&twice.y)) {
        assert!((a - b).abs() < 1e-13);
    }
    let bounds = Bounds::at_most(tensor(vec![100.0; M], [1, M])).unwrap();
    let wide = Affine::per_sample(matrix(1), bounds).unwrap();
    let untouched = repair(once.clone(), &wide);
    assert_eq!(numbers(&untouched.y), numbers(&once));
    assert_eq!(untouched.iterations, [0; BATCH]);
}

#[test]
fn one_violated_row_is_the_euclidean_projection() {
    let y0 = tensor(vec![2.0, 1.0, -3.0], [1, 3]);
    let a = tensor(vec![1.0, 2.0, 2.0], [1, 3]);
    let set = Affine::shared(a, Bounds::at_least(tensor(vec![7.0], [1, 1])).unwrap()).unwrap();
    // aŷ = −2, short by 9 = ‖a‖²: y = ŷ + a.
    for (got, expected) in numbers(&repair(y0, &set).y).iter().zip([3.0, 3.0, -1.0]) {
        assert!((got - expected).abs() < 1e-14);
    }
}

#[test]
fn gradients_agree_with_central_differences_on_every_sample() {
    for copies in [1, BATCH] {
        let [y0, upper] = inputs();
        let flat = matrix(copies).reshape([copies, M * N]);
        check_gradients(
            "HardNet-Aff",
            &[y0, upper, flat],
            |inputs| {
                let a = inputs[2].clone().reshape([copies, M, N]);
                repair(inputs[0].clone(), &rows(a, inputs[1].clone())).y
            },
            // Kinks, where a row is just met, are further off than this for the drawn numbers.
            1e-5,
            1e-9,
        );
    }
}

#[test]
fn dependent_rows_are_reported_sample_by_sample() {
    let mut a = normal(&mut rng(5), 2 * 2 * 3);
    // The second sample's rows are the same.
    let (first, second) = a[6..].split_at_mut(3);
    second.copy_from_slice(first);
    let set = |target: [f64; 4]| {
        let bounds = Bounds::equal(tensor(target.to_vec(), [2, 2])).unwrap();
        Affine::per_sample(tensor(a.clone(), [2, 2, 3]), bounds).unwrap()
    };
    let y0 = || tensor(vec![0.3; 6], [2, 3]);
    let consistent = repair(y0(), &set([1.0, 2.0, 3.0, 3.0]));
    assert_eq!(
        consistent.status,
        [Status::ConvergedByResidual, Status::Singular]
    );
    assert!(consistent.residual[1] < 1e-13, "rows that agree are met");
    let contradicting = repair(y0(), &set([1.0, 2.0, 3.0, 4.0]));
    assert_eq!(contradicting.status[1], Status::Singular);
    // The least-squares point is half-way.
    assert!((contradicting.residual[1] - 0.5).abs() < 1e-13);
    assert_eq!(contradicting.residual[0], consistent.residual[0]);
}

#[test]
fn what_the_formula_cannot_handle_is_named() {
    let one = || Bounds::at_most(tensor(vec![1.0], [1, 1])).unwrap();
    let affine = Affine::shared(tensor(vec![1.0, 1.0], [1, 2]), one()).unwrap();
    let disc = Quadratic::diagonal(
        tensor(vec![1.0, 1.0], [1, 2]),
        tensor(vec![0.0, 0.0], [1, 2]),
        one(),
    )
    .unwrap();
    let stacked = Stacked::new(vec![Arc::new(affine.clone()), Arc::new(disc)]).unwrap();
    let function = Function::new(2, one(), |y: Dual| y.square().sum());
    let y0 = || tensor(vec![3.0, 4.0], [1, 2]);
    let refusal = |y0: Tensor<2>, set: &dyn Constraints| {
        let result = HardNetAff::new().forward(y0, set, None);
        result.unwrap_err().to_string()
    };
    assert_eq!(
        refusal(y0(), &stacked),
        "HardNetAff needs affine rows, but row 1 is quadratic"
    );
    assert!(refusal(y0(), &function).contains("row 0 is a general function"));
    assert!(refusal(tensor(vec![1.0; 3], [1, 3]), &affine).contains("`y0` has shape [1, 3]"));
    assert!(refusal(tensor(vec![f64::NAN, 1.0], [1, 2]), &affine).contains("NaN"));
    let bounds = Bounds::at_most(tensor(vec![1.0; 3], [1, 3])).unwrap();
    let many = Affine::shared(tensor(normal(&mut rng(1), 6), [3, 2]), bounds).unwrap();
    assert!(refusal(y0(), &many).contains("`constraints` has shape [3, 2]"));
    let wide = HardNetAff::new().forward(y0(), &affine, Some(tensor(vec![-1.0], [1])));
    assert!(wide.unwrap_err().to_string().contains("`epsilon`"));
}

#[test]
fn relaxation_widens_the_box() {
    let a = tensor(vec![1.0, 0.0, 0.0, 1.0], [2, 2]);
    let bounds = Bounds::equal(tensor(vec![1.0, 2.0], [1, 2])).unwrap();
    let set = Affine::shared(a, bounds).unwrap();
    let epsilon = Some(tensor(vec![0.5, 10.0], [2]));
    let y0 = tensor(vec![5.0, -3.0], [1, 2]);
    let repaired = HardNetAff::new().forward(y0, &set, epsilon).unwrap();
    for (got, expected) in numbers(&repaired.y).iter().zip([1.5, -3.0]) {
        assert!((got - expected).abs() < 1e-15);
    }
}

/// The projection onto a disc is ŷ/‖ŷ‖.
#[test]
fn the_convex_variant_projects() {
    let disc = Quadratic::diagonal(
        tensor(vec![1.0, 1.0], [1, 2]),
        tensor(vec![0.0, 0.0], [1, 2]),
        Bounds::at_most(tensor(vec![1.0], [1, 1])).unwrap(),
    )
    .unwrap();
    let y0 = tensor(vec![3.0, 4.0, 0.1, 0.2], [2, 2]);
    let repaired = HardNetCvx::new().forward(y0, &disc, None).unwrap();
    for (got, expected) in numbers(&repaired.y).iter().zip([0.6, 0.8, 0.1, 0.2]) {
        assert!((got - expected).abs() < 1e-10);
    }
    assert!(repaired.status.iter().all(|s| s.is_converged()));
}

/// y ← y − Jᵀ(JJᵀ + λI)⁻¹r on a circle, where J = 2yᵀ and the inverse is that of a number.
#[test]
fn hardnet_plus_plus_takes_its_published_step() {
    let bounds = Bounds::equal(tensor(vec![1.0], [1, 1])).unwrap();
    let circle = Function::new(2, bounds, |y: Dual| y.square().sum());
    let settings = SnareNetSettings {
        max_iterations: 7,
        ..SnareNetSettings::hardnet_plus_plus()
    };
    let y0 = tensor(vec![3.0, 4.0], [1, 2]);
    let repaired = SnareNet::new(settings).unwrap().forward(y0, &circle, None);
    let mut length = 5.0f64;
    for _ in 0..7 {
        length -= 2.0 * length * (length * length - 1.0) / (4.0 * length * length + 0.3);
    }
    for (got, share) in numbers(&repaired.unwrap().y).iter().zip([0.6, 0.8]) {
        assert!((got - share * length).abs() < 1e-14);
    }
}
