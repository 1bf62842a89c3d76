//! Variables in boxes: steps that stay inside, gradients at bounds, residuals of constraints.

mod common;

use common::{Pull, plain, solvers, tight};
use feasible_least_squares::{
    AutoCost, Builder, Clipped, GradientQuality, Inputs, Linear, LinearCost, Manifold, Robust,
    Values, Weight,
};

/// x near θ with x in a box, and x₀ + x₁ near 0.
fn in_a_box(target: &[f64], start: &[f64], linear: Linear) -> feasible_least_squares::Solution {
    let mut builder = Builder::new();
    let x = builder
        .variable("x", Manifold::bounded([-1.0, -1.0], [1.0, f64::INFINITY]))
        .unwrap();
    let theta = builder.auxiliary("theta", 2).unwrap();
    plain(&mut builder, "pull", AutoCost::new(Pull(2)), &[x], &[theta]);
    builder
        .cost(
            "sum",
            LinearCost::new(1, 2, [1.0, 1.0], [0.0]),
            &[x],
            &[],
            Weight::scale(1.0),
            Robust::None,
        )
        .unwrap();
    let objective = builder.build().unwrap();
    let inputs = Inputs::new(&objective, 1)
        .start(x, Values::Shared(start))
        .auxiliary(theta, Values::Shared(target));
    let solution = objective.solve(&inputs, &tight(linear)).unwrap();
    let gradients = objective.vjp(&inputs, &solution, &[1.0, 10.0]).unwrap();
    // With x₀ at its bound 1: x₁ minimises ½(x₁ − θ₁)² + ½(1 + x₁)², so that dx₁/dθ₁ = ½.
    if solution.x[0] == 1.0 {
        assert!(gradients.auxiliaries[0].abs() < 1e-14);
        assert!((gradients.auxiliaries[1] - 5.0).abs() < 1e-12);
    } else {
        // dx/dθ = (I + 11ᵀ)⁻¹ = I − 11ᵀ/3, towards (1, 10).
        assert!((gradients.auxiliaries[0] + 8.0 / 3.0).abs() < 1e-12);
        assert!((gradients.auxiliaries[1] - 19.0 / 3.0).abs() < 1e-12);
    }
    solution
}

#[test]
fn bounds_hold_and_what_they_hold_does_not_move() {
    for linear in solvers() {
        for start in [[0.0, 0.0], [5.0, -9.0], [1.0, -1.0], [-1.0, 2.0]] {
            let solution = in_a_box(&[4.0, 3.0], &start, linear);
            assert!(
                solution.all_converged(),
                "{linear:?} {start:?} {:?}",
                solution.status
            );
            assert_eq!(solution.x[0], 1.0);
            assert!((solution.x[1] - 1.0).abs() < 1e-12, "{linear:?} {start:?}");
            // Inside, the bounds do not matter: (I + 11ᵀ)x = θ.
            let solution = in_a_box(&[0.6, 0.3], &start, linear);
            assert!((solution.x[0] - 0.3).abs() < 1e-12);
            assert!(solution.x[1].abs() < 1e-12);
        }
    }
}

#[test]
fn a_bound_without_pressure_is_degenerate() {
    let mut builder = Builder::new();
    let x = builder
        .variable("x", Manifold::bounded([0.0], [1.0]))
        .unwrap();
    let theta = builder.auxiliary("theta", 1).unwrap();
    plain(&mut builder, "c", AutoCost::new(Pull(1)), &[x], &[theta]);
    let objective = builder.build().unwrap();
    let inputs = Inputs::new(&objective, 1)
        .start(x, Values::Shared(&[0.5]))
        .auxiliary(theta, Values::Shared(&[1.0]));
    let mut solution = objective.solve(&inputs, &tight(Linear::Auto)).unwrap();
    assert!((solution.x[0] - 1.0).abs() < 1e-12);
    solution.x[0] = 1.0;
    let gradients = objective.vjp(&inputs, &solution, &[1.0]).unwrap();
    assert_eq!(
        gradients.quality[0],
        feasible_least_squares::GradientQuality::Degenerate
    );
}

#[test]
fn constraint_residuals_are_zero_inside_their_box() {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(2)).unwrap();
    let rows = LinearCost::new(2, 2, [1.0, 1.0, 1.0, -1.0], [0.0, 0.0]);
    let clipped = Clipped::new(rows, [-1.0, f64::NEG_INFINITY], [1.0, 0.5]).unwrap();
    plain(&mut builder, "box", clipped, &[x], &[]);
    let objective = builder.build().unwrap();
    let starts = [0.2, 0.1, 3.0, -1.0];
    let inputs = Inputs::new(&objective, 2).start(x, Values::PerSample(&starts));
    let solution = objective.solve(&inputs, &tight(Linear::Auto)).unwrap();
    assert!(solution.all_converged());
    assert_eq!(solution.sample(0), [0.2, 0.1]);
    // From (3, −1) both rows are out and lead to x₀ + x₁ = 1, x₀ − x₁ = ½, up to the gradient's tolerance.
    assert!((solution.x[2] - 0.75).abs() < 1e-12 && (solution.x[3] - 0.25).abs() < 1e-12);
}

/// Where l = u a row is an equation, which it stays where it holds.
#[test]
fn a_box_without_inside_is_an_equation() {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(1)).unwrap();
    let theta = builder.auxiliary("theta", 1).unwrap();
    let clipped = Clipped::new(AutoCost::new(Pull(1)), [0.0], [0.0]).unwrap();
    plain(&mut builder, "box", clipped, &[x], &[theta]);
    let objective = builder.build().unwrap();
    for linear in solvers() {
        // From the solution as well.
        for start in [0.25, 3.0] {
            let inputs = Inputs::new(&objective, 1)
                .start(x, Values::Shared(std::slice::from_ref(&start)))
                .auxiliary(theta, Values::Shared(&[0.25]));
            let solution = objective.solve(&inputs, &tight(linear)).unwrap();
            assert!((solution.x[0] - 0.25).abs() < 1e-12);
            let found = objective.vjp(&inputs, &solution, &[1.0]).unwrap();
            assert!((found.auxiliaries[0] - 1.0).abs() < 1e-10, "{linear:?}");
            assert_eq!(found.quality[0], GradientQuality::Exact, "{linear:?}");
        }
    }
}
