//! NIST's 27 nonlinear regression problems, <https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml>, from both
//! starts, by the rule of Ceres's example of that name: the log relative error is that of the worst parameter against
//! the certified values, between 0 and 11, the digits that are certified.
//!
//!     cargo test -p feasible-least-squares --test nist -- --nocapture     prints the table

// The table is what the test is read for.
#![allow(clippy::print_stdout)]

mod common;
#[path = "support/nist.rs"]
mod nist;

use common::alone;
use feasible_least_squares::{
    Damping, Inputs, LevenbergMarquardt, Linear, Settings, Solution, Step, Stopping, Values,
};
use nist::Regression;

/// Levenberg-Marquardt to the last digit: every test but that of rounding is off, and steps are found by QR, as the
/// condition number of some of these Jacobians is beyond 1e8.
fn settings() -> Settings {
    Settings {
        max_iterations: 10_000,
        step: Step::LevenbergMarquardt(LevenbergMarquardt {
            damping: Damping::Nielsen,
            initial: 0.1,
            ..LevenbergMarquardt::default()
        }),
        linear: Linear::DenseQr,
        stopping: Stopping {
            gradient: 0.0,
            cost: 0.0,
            step: 1e-16,
        },
        ..Settings::default()
    }
}

fn solve(problem: &Regression, start: usize) -> Solution {
    let (objective, b) = alone(problem.clone(), problem.certified.len());
    let inputs = Inputs::new(&objective, 1).start(b, Values::Shared(&problem.starts[start]));
    objective.solve(&inputs, &settings()).unwrap()
}

#[test]
fn log_relative_errors() {
    let mut total = 0.0;
    let mut failures = Vec::new();
    for problem in nist::all() {
        for start in 0..2 {
            let solution = solve(&problem, start);
            let digits = problem.log_relative_error(solution.sample(0));
            total += digits;
            println!(
                "{:9} start {}: {digits:5.2} digits in {:4} iterations, {:?}",
                problem.name,
                start + 1,
                solution.history[0].len(),
                solution.status[0]
            );
            // Four digits are Ceres's rule for a success.
            if digits > 4.0 {
                let excess = 2.0 * solution.cost[0] / problem.sum_of_squares - 1.0;
                // Certified to 11 digits; Lanczos1 is data to 14 digits, whose sum of squares is rounding.
                assert!(excess.abs() < 1e-9 || problem.name == "Lanczos1");
                assert!(solution.status[0].is_converged(), "{}", problem.name);
            } else {
                failures.push((problem.name.clone(), start + 1));
            }
        }
    }
    let mean = total / 54.0;
    println!("mean {mean:.3}, failures {failures:?}");
    assert!(mean >= 9.4);
    assert!(
        failures.iter().all(|(_, start)| *start == 1),
        "{failures:?}"
    );
}
