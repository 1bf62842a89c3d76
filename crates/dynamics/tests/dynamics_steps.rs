//! The step of the differences that Hessian-vector products are made of.

mod support;

use burn::tensor::{DType, Tensor};
use feasible_dynamics::*;
use feasible_spectrum::Operator;
use support::*;

/// L = Σ exp(3 θ): not a quadratic, so a large step shows.
fn loss() -> Objective<impl FnMut(&Point, usize) -> Result<Tensor<1>, EvaluationError>> {
    whole(|point: &Point| Ok((point.at.val() * 3.0).exp().sum()))
}

/// H = 9 exp(3 θ) at (½, −¼).
fn expected() -> [f64; 4] {
    [9.0 * 1.5f64.exp(), 0.0, 0.0, 9.0 * (-0.75f64).exp()]
}

#[test]
fn the_step_chosen_is_the_smallest_that_rounding_allows() {
    let point = Point::new(&[0.5, -0.25], &device());
    let layout = Layout::of(&point).unwrap();
    let settings = DifferenceSettings::default();
    let mut hessian = Hessian::new(&point, &layout, loss(), settings).unwrap();
    let choice = hessian.choose_step(1e-8, 1).unwrap();
    assert!(choice.step < 1e-4 && choice.change <= 1e-8, "{choice:?}");
    assert!(choice.ladder[0].1 > 1e-4, "{choice:?}");
    close(&dense(&mut hessian), &expected(), 1e-7);
    assert!(hessian.choose_step(0.0, 1).is_err());
    let with_step = |step| DifferenceSettings {
        step: Some(step),
        ..settings
    };
    for bad in [f64::NAN, 0.0] {
        assert!(hessian.set_differences(with_step(bad)).is_err());
    }
    assert_eq!(hessian.step(), choice.step);
    // What cannot be had is not pretended: the least change there is.
    let least = hessian.choose_step(1e-300, 1).unwrap();
    assert!(least.change > 1e-300);
    assert!(
        least
            .ladder
            .iter()
            .all(|(_, change)| *change >= least.change)
    );
    hessian.set_differences(with_step(0.1)).unwrap();
    let mut column = [0.0; 2];
    hessian.apply(&[1.0, 0.0], &mut column).unwrap();
    // sinh(x)/x in place of 1, at x = 3h with h = 0.1 (1 + ‖θ‖).
    let x: f64 = 0.3 * (1.0 + 0.3125f64.sqrt());
    close(&column, &[expected()[0] * x.sinh() / x, 0.0], 1e-12);
    // In f32, with its own step: half of its seven digits and a little less.
    let single = in_precision(&point, DType::F32);
    let mut hessian = Hessian::new(&single, &layout, loss(), settings).unwrap();
    assert!((hessian.step() - f64::from(f32::EPSILON).cbrt()).abs() < 1e-12);
    close(&dense(&mut hessian), &expected(), 2e-3);
}

/// Forward differences have theirs, which central ones judge by as well.
#[test]
fn forward_differences_have_a_step_of_their_own() {
    let point = Point::new(&[0.5, -0.25], &device());
    let layout = Layout::of(&point).unwrap();
    let expected = expected();
    let of_forward = DifferenceSettings {
        differences: Differences::Forward,
        step: None,
    };
    let mut hessian = Hessian::new(&point, &layout, loss(), of_forward).unwrap();
    assert_eq!(hessian.step(), f64::EPSILON.sqrt());
    let choice = hessian.choose_step(1e-5, 1).unwrap();
    assert!(choice.step < 1e-5 && choice.change <= 1e-5, "{choice:?}");
    // Three quarters of the error of the larger step, which is that of the smaller four times over.
    close(&dense(&mut hessian), &expected, 1e-4);
    let step = choice.step * (1.0 + 0.3125f64.sqrt());
    let mut judged = [0.0; 2];
    hessian.residual_product(&[1.0, 0.0], &mut judged).unwrap();
    // Rounding of 1e-15 over the step: two digits less than at the step of central differences.
    close(&judged, &expected[..2], 4e-15 / step);
    // A change of the differences goes back to their own step, for the gradient of before.
    let before = hessian.gradients();
    let larger = DifferenceSettings {
        step: Some(1e-3),
        ..of_forward
    };
    hessian.set_differences(larger).unwrap();
    hessian.apply(&[1.0, 0.0], &mut judged).unwrap();
    assert_eq!(hessian.gradients(), before + 1);
    // (eˣ − 1)/x in place of 1, at x = 3h with h = 1e-3 (1 + ‖θ‖).
    let x: f64 = 3e-3 * (1.0 + 0.3125f64.sqrt());
    close(&judged, &[expected[0] * x.exp_m1() / x, 0.0], 1e-11);
    hessian.residual_product(&[1.0, 0.0], &mut judged).unwrap();
    close(&judged, &[expected[0] * x.sinh() / x, 0.0], 1e-11);
    // In f32, with its own step.
    let single = in_precision(&point, DType::F32);
    let mut hessian = Hessian::new(&single, &layout, loss(), of_forward).unwrap();
    assert!((hessian.step() - f64::from(f32::EPSILON).sqrt()).abs() < 1e-12);
    // h = 5e-4 of a third derivative of 120, and rounding 1e-6/h.
    close(&dense(&mut hessian), &expected, 2e-2);
}
