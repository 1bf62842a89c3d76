//! Minima that are far away, or nowhere: the smaller the price that keeps a variable from running off, the farther it
//! is, until rounding alone says where. A gradient there is not called exact.
#![allow(missing_docs, clippy::print_stdout)]

mod support;

use feasible_solver::{Cone, ConeProblem, GradientQuality, Status, Values};
use support::cones::{Pattern, quality};

/// `min x₀ + δx₁` where the cone keeps `x₀` positive and lets it fall for ever as `x₁` grows.
struct Falling {
    cone: Cone,
    rows: [[f64; 2]; 3],
    right: [f64; 3],
    /// `x₁` and its derivative with respect to the price `δ`.
    far: fn(f64) -> (f64, f64),
}

/// `x₀x₁ ≥ 1`.
fn of_product(price: f64) -> (f64, f64) {
    let far = price.powf(-0.5);
    (far, -far / (2.0 * price))
}

fn families() -> [Falling; 5] {
    [
        // x₀ ≥ exp(−x₁)
        Falling {
            cone: Cone::Exponential(1),
            rows: [[0.0, 1.0], [0.0, 0.0], [-1.0, 0.0]],
            right: [0.0, 1.0, 0.0],
            far: |price| (-price.ln(), -1.0 / price),
        },
        Falling {
            cone: Cone::SecondOrder(3),
            rows: [[-1.0, -1.0], [0.0, 0.0], [-1.0, 1.0]],
            right: [0.0, 2.0, 0.0],
            far: of_product,
        },
        Falling {
            cone: Cone::Semidefinite(2),
            rows: [[-1.0, 0.0], [0.0, 0.0], [0.0, -1.0]],
            right: [0.0, std::f64::consts::SQRT_2, 0.0],
            far: of_product,
        },
        Falling {
            cone: Cone::Power(0.5),
            rows: [[-1.0, 0.0], [0.0, -1.0], [0.0, 0.0]],
            right: [0.0, 0.0, 1.0],
            far: of_product,
        },
        // x₀ ≥ x₁^(−7/3)
        Falling {
            cone: Cone::Power(0.3),
            rows: [[-1.0, 0.0], [0.0, -1.0], [0.0, 0.0]],
            right: [0.0, 0.0, 1.0],
            far: |price| {
                let exponent: f64 = 7.0 / 3.0;
                let far = (exponent / price).powf(1.0 / (exponent + 1.0));
                (far, -far / ((exponent + 1.0) * price))
            },
        },
    ]
}

#[test]
fn gradients_that_rounding_makes_are_not_exact() {
    for family in families() {
        let pattern = Pattern::new(3, 2, |_, _| true);
        let numbers = [0, 1].map(|column| family.rows.map(|row| row[column]));
        for exponent in 0..=17 {
            let price = match exponent {
                17 => 0.0,
                _ => 10f64.powi(-exponent),
            };
            let objective = [1.0, price];
            let problem = ConeProblem {
                batch: 1,
                n: 2,
                p: None,
                q: Values::Shared(&objective),
                a: pattern.with(Values::Shared(numbers.as_flattened())),
                b: Values::Shared(&family.right),
                cones: std::slice::from_ref(&family.cone),
            };
            let (status, found, gradients) = quality(&problem);
            let (far, slope) = (family.far)(price);
            let what = format!("{:?}, price {price:e}: {status:?}, {found:?}", family.cone);
            println!("{what}, {far:e}");
            if found == GradientQuality::Exact {
                let got = gradients.q.unwrap()[1];
                // Of x₀ + x₁, of which the price has moved x₀ by δ times as much the other way.
                let error = (got / slope - (1.0 - price)).abs();
                println!("    {error:e}");
                assert!(error <= 1e-6, "{what}: {got:e} for {slope:e}");
                assert!(price > 0.0, "{what}");
            } else {
                assert!(price < 1e-6, "{what}");
            }
            assert!(
                price == 0.0 || price < 1e-6 || status == Status::Solved,
                "{what}"
            );
        }
    }
}
