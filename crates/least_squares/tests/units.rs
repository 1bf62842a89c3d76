//! Units of one part of a problem say nothing about the derivative of another, and what the end of the
//! iterations leaves of residuals is no curvature.

mod common;

use common::{plain, tight};
use feasible_least_squares::{
    AutoCost, Builder, GradientQuality, Gradients, Inputs, Linear, Manifold, Objective, Real,
    Residual, Settings, Values,
};

/// x − θ and x² − 2: near θ = −1 the minimiser is 1, and dx/dθ = 1/3, where Gauss-Newton has 1/5.
fn pair<T: Real>(x: T, theta: T, out: &mut [T]) {
    out[0] = x - theta;
    out[1] = x * x - 2.0;
}

struct Pair;

impl Residual for Pair {
    fn rows(&self) -> usize {
        2
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        pair(variables[0][0], auxiliaries[0][0], out);
    }
}

/// w z.
struct Scaled(f64);

impl Residual for Scaled {
    fn rows(&self) -> usize {
        1
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], _: &[&[T]], out: &mut [T]) {
        out[0] = variables[0][0] * self.0;
    }
}

/// Both in one cost, of x and z.
struct Both(f64);

impl Residual for Both {
    fn rows(&self) -> usize {
        3
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        pair(variables[0][0], auxiliaries[0][0], out);
        out[2] = variables[1][0] * self.0;
    }
}

fn gradients(
    objective: &Objective,
    inputs: &Inputs<'_>,
    settings: &Settings,
    v: &[f64],
) -> Gradients {
    let solution = objective.solve(inputs, settings).unwrap();
    assert!(solution.all_converged());
    objective.vjp(inputs, &solution, v).unwrap()
}

#[test]
fn a_heavy_term_takes_no_gradient_from_a_light_one() {
    for exponent in -6..=6 {
        let weight = 10f64.powi(exponent);
        for (together, linear) in [
            (false, Linear::DenseCholesky),
            (true, Linear::DenseCholesky),
            (false, Linear::SparseCholesky),
        ] {
            let mut builder = Builder::new();
            let x = builder.variable("x", Manifold::Vector(1)).unwrap();
            let z = builder.variable("z", Manifold::Vector(1)).unwrap();
            let theta = builder.auxiliary("theta", 1).unwrap();
            if together {
                plain(
                    &mut builder,
                    "both",
                    AutoCost::new(Both(weight)),
                    &[x, z],
                    &[theta],
                );
            } else {
                plain(&mut builder, "pair", AutoCost::new(Pair), &[x], &[theta]);
                plain(
                    &mut builder,
                    "scaled",
                    AutoCost::new(Scaled(weight)),
                    &[z],
                    &[],
                );
            }
            let objective = builder.build().unwrap();
            let inputs = Inputs::new(&objective, 1)
                .start(x, Values::Shared(&[1.0]))
                .start(z, Values::Shared(&[0.0]))
                .auxiliary(theta, Values::Shared(&[-1.0]));
            let got = gradients(&objective, &inputs, &tight(linear), &[1.0, 1.0]);
            let place = format!("{weight:e}, {together}, {linear:?}");
            assert_eq!(got.quality, [GradientQuality::Exact], "{place}");
            let error = (got.auxiliaries[0] - 1.0 / 3.0).abs();
            assert!(error < 1e-12, "{place}: {error:e}");
        }
    }
}

/// x² + y² − θ twice, of which the rows leave the angle open, and beside them a fit that is not exact.
struct CircleAndFit;

impl Residual for CircleAndFit {
    fn rows(&self) -> usize {
        4
    }
    fn evaluate<T: Real>(&self, variables: &[&[T]], auxiliaries: &[&[T]], out: &mut [T]) {
        let (x, theta) = (variables[0], auxiliaries[0]);
        out[0] = x[0] * x[0] + x[1] * x[1] - theta[0];
        out[1] = out[0] * 2.0;
        pair(x[2], theta[1], &mut out[2..]);
    }
}

/// Rows that end at 1e-10 give the angle a curvature of 1e-10, of either sign, which means nothing; the other
/// row's curvature does.
#[test]
fn the_curvature_of_what_is_left_of_rows_decides_nothing() {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(3)).unwrap();
    let theta = builder.auxiliary("theta", 2).unwrap();
    plain(
        &mut builder,
        "all",
        AutoCost::new(CircleAndFit),
        &[x],
        &[theta],
    );
    let objective = builder.build().unwrap();
    let settings = tight(Linear::DenseCholesky);
    for angle in [0.0, 0.3, 1.0, std::f64::consts::FRAC_PI_2] {
        for left in [1e-9, -1e-9, 3e-12, -3e-12, 0.0] {
            let (sin, cos) = f64::sin_cos(angle);
            let start = [cos, sin, 1.0];
            let theta_values = [1.0 - left, -1.0];
            let inputs = Inputs::new(&objective, 1)
                .start(x, Values::Shared(&start))
                .auxiliary(theta, Values::Shared(&theta_values));
            let mut solution = objective.solve(&inputs, &settings).unwrap();
            // As looser tolerances leave it.
            solution.x.copy_from_slice(&start);
            // Along the radius, along the angle, and of the fit.
            for (v, expected) in [
                ([cos, sin, 0.0], [0.5, 0.0]),
                ([-sin, cos, 0.0], [0.0, 0.0]),
                ([0.0, 0.0, 1.0], [0.0, 1.0 / 3.0]),
            ] {
                let got = objective.vjp(&inputs, &solution, &v).unwrap();
                let place = format!("{angle}, {left:e}, {v:?}: {got:?}");
                assert_eq!(got.quality, [GradientQuality::Degenerate], "{place}");
                for (got, expected) in got.auxiliaries.iter().zip(expected) {
                    assert!((got - expected).abs() < 1e-7, "{place}");
                }
            }
        }
    }
}
