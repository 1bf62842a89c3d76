//! Moré, Garbow & Hillstrom's problems (ACM TOMS 7(1), 1981), numbers 1 to 19, from x0, 10 x0 and 100 x0, by the rule
//! of Ceres's example of that name: a run succeeds where Σ f² is the paper's optimum to 1e-4, relative where that is
//! not zero; 1000 iterations, every stopping test at rounding.
//!
//!     cargo test -p feasible-least-squares --test more_garbow_hillstrom -- --nocapture     prints the table

// The table is what the test is read for.
#![allow(clippy::print_stdout)]

mod common;
#[path = "support/more_garbow_hillstrom.rs"]
mod problems;

use common::alone;
use feasible_least_squares::{
    Damping, Inputs, LevenbergMarquardt, Linear, Settings, Solution, Step, Stopping, Values,
};
use problems::Problem;

/// Successes of Ceres 2.2 on the same functions from the same starts, by `benches/peers/more_garbow_hillstrom.py`.
const CERES: [[bool; 3]; 19] = {
    const Y: bool = true;
    const N: bool = false;
    [
        [Y, Y, Y],
        [N, N, N],
        [Y, Y, Y],
        [Y, Y, Y],
        [Y, Y, N],
        [Y, N, N],
        [Y, Y, Y],
        [Y, N, N],
        [Y, Y, Y],
        [Y, Y, Y],
        [Y, Y, N],
        [Y, N, N],
        [Y, Y, Y],
        [Y, Y, Y],
        [Y, Y, Y],
        [N, Y, Y],
        [Y, Y, Y],
        [Y, Y, Y],
        [Y, N, N],
    ]
};

fn settings() -> Settings {
    Settings {
        max_iterations: 1000,
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

fn solve(problem: &Problem, scale: f64) -> Solution {
    let (objective, x) = alone(*problem, problem.start.len());
    let start: Vec<f64> = problem.start.iter().map(|v| scale * v).collect();
    let inputs = Inputs::new(&objective, 1).start(x, Values::Shared(&start));
    objective.solve(&inputs, &settings()).unwrap()
}

#[test]
fn successes_beside_ceres() {
    let (mut ours, mut theirs) = (0, 0);
    for (problem, ceres) in problems::ALL.iter().zip(CERES) {
        let mut line = format!("{:2} {:22}", problem.number, problem.name);
        for (scale, ceres) in [1.0, 10.0, 100.0].into_iter().zip(ceres) {
            let solution = solve(problem, scale);
            let squares = 2.0 * solution.cost[0];
            let unit = if problem.optimum > 0.0 {
                problem.optimum
            } else {
                1.0
            };
            let success = (squares - problem.optimum).abs() <= 1e-4 * unit;
            // Numbers beyond the range of floats at the start are said to be so, and end nothing else.
            assert!(success || squares > problem.optimum || squares.is_nan());
            ours += usize::from(success);
            theirs += usize::from(ceres);
            let mark = |yes: bool| if yes { "yes" } else { "no" };
            line += &format!(
                " | {:3} (Ceres {:3}) {squares:12.6e}",
                mark(success),
                mark(ceres)
            );
        }
        println!("{line}");
    }
    println!("{ours} of 57, Ceres {theirs}");
    assert!(ours >= theirs);
}
