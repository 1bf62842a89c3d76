//! Moré, Garbow & Hillstrom's problems.

#[path = "support/more_garbow_hillstrom.rs"]
mod problems;

use feasible_least_squares::*;
use problems::Problem;

fn run(problem: &Problem, scale: f64, settings: &Settings) -> (bool, f64, Status, usize) {
    let mut builder = Builder::new();
    let x = builder.variable("x", Manifold::Vector(problem.start.len())).unwrap();
    builder
        .cost("f", AutoCost::new(*problem), &[x], &[], Weight::Identity, Robust::default())
        .unwrap();
    let objective = builder.build().unwrap();
    let start: Vec<f64> = problem.start.iter().map(|v| scale * v).collect();
    let inputs = Inputs::new(&objective, 1).start(x, Values::Shared(&start));
    let solution = objective.solve(&inputs, settings).unwrap();
    let found = 2.0 * solution.cost[0];
    let size = if problem.optimum > 0.0 { problem.optimum } else { 1.0 };
    let error = (found - problem.optimum).abs() / size;
    (error <= 1e-4, found, solution.status[0], solution.history[0].len())
}

#[test]
fn explore() {
    for (name, step) in [
        ("lm spherical", Step::LevenbergMarquardt(LevenbergMarquardt::default())),
        ("lm ellipsoidal", Step::LevenbergMarquardt(LevenbergMarquardt { shape: Shape::ELLIPSOIDAL, ..Default::default() })),
        ("lm spher nielsen", Step::LevenbergMarquardt(LevenbergMarquardt { damping: Damping::Nielsen, ..Default::default() })),
        ("lm ell nielsen", Step::LevenbergMarquardt(LevenbergMarquardt { shape: Shape::ELLIPSOIDAL, damping: Damping::Nielsen, ..Default::default() })),
        ("dogleg", Step::Dogleg(Dogleg::default())),
    ] {
        let settings = Settings { max_iterations: 1000, step, linear: Linear::DenseQr, stopping: Stopping { gradient: 0.0, cost: 0.0, step: 1e-16 }, ..Settings::default() };
        let mut total = 0;
        println!("{name}");
        for problem in &problems::ALL {
            let mut line = format!("{:2} {:22}", problem.number, problem.name);
            for scale in [1.0, 10.0, 100.0] {
                let (ok, found, status, iterations) = run(problem, scale, &settings);
                total += usize::from(ok);
                line += &format!(" {} {found:.6e} {status:?} {iterations} |", if ok {"yes"} else {"NO "});
            }
            println!("{line}");
        }
        println!("total {total}");
    }
}

#[test]
fn sweep() {
    for shape in [Shape::Spherical, Shape::ELLIPSOIDAL, Shape::Ellipsoidal { floor: 1e-6 }, Shape::Ellipsoidal { floor: 1e-3 }, Shape::Ellipsoidal { floor: 1.0 }] {
        for damping in [Damping::Nielsen, Damping::default(), Damping::Factors { down: 3.0, up: 2.0, accept: 1e-4 }, Damping::Factors { down: 9.0, up: 11.0, accept: 1e-3 }] {
            let mut line = format!("{shape:?} {damping:?}");
            for initial in [1e-6, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0] {
                let step = Step::LevenbergMarquardt(LevenbergMarquardt { shape, damping, initial, ..Default::default() });
                let settings = Settings { max_iterations: 1000, step, linear: Linear::DenseQr, stopping: Stopping { gradient: 0.0, cost: 0.0, step: 1e-16 }, ..Settings::default() };
                let mut total = 0;
                for problem in &problems::ALL {
                    for scale in [1.0, 10.0, 100.0] {
                        total += usize::from(run(problem, scale, &settings).0);
                    }
                }
                line += &format!(" {total}");
            }
            println!("{line}");
        }
    }
    for radius in [1e-2, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4] {
        let step = Step::Dogleg(Dogleg { radius, ..Default::default() });
        let settings = Settings { max_iterations: 1000, step, linear: Linear::DenseQr, stopping: Stopping { gradient: 0.0, cost: 0.0, step: 1e-16 }, ..Settings::default() };
        let mut total = 0;
        for problem in &problems::ALL { for scale in [1.0, 10.0, 100.0] { total += usize::from(run(problem, scale, &settings).0); } }
        println!("dogleg {radius} {total}");
    }
}
