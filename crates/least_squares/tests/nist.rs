//! NIST's 27 nonlinear regression problems from both starts, <https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml>.

#[path = "support/nist.rs"]
mod nist;

use feasible_least_squares::*;
use nist::Regression;

fn settings(step: Step) -> Settings {
    Settings {
        max_iterations: 10000,
        step,
        linear: Linear::DenseQr,
        stopping: Stopping {
            gradient: 0.0,
            cost: 0.0,
            step: 1e-16,
        },
        ..Settings::default()
    }
}

fn run(problem: &Regression, start: usize, settings: &Settings) -> (f64, Status, usize, f64) {
    let mut builder = Builder::new();
    let b = builder
        .variable("b", Manifold::Vector(problem.certified.len()))
        .unwrap();
    builder
        .cost(
            "fit",
            AutoCost::new(problem.clone()),
            &[b],
            &[],
            Weight::Identity,
            Robust::default(),
        )
        .unwrap();
    let objective = builder.build().unwrap();
    let inputs = Inputs::new(&objective, 1).start(b, Values::Shared(&problem.starts[start]));
    let solution = objective.solve(&inputs, settings).unwrap();
    (
        problem.log_relative_error(solution.sample(0)),
        solution.status[0],
        solution.history[0].len(),
        2.0 * solution.cost[0] / problem.sum_of_squares - 1.0,
    )
}

#[test]
fn explore() {
    for (name, step) in [
        (
            "lm spherical",
            Step::LevenbergMarquardt(LevenbergMarquardt::default()),
        ),
        (
            "lm ellipsoidal",
            Step::LevenbergMarquardt(LevenbergMarquardt {
                shape: Shape::ELLIPSOIDAL,
                ..Default::default()
            }),
        ),
        (
            "lm ell nielsen",
            Step::LevenbergMarquardt(LevenbergMarquardt {
                shape: Shape::ELLIPSOIDAL,
                damping: Damping::Nielsen,
                ..Default::default()
            }),
        ),
        ("dogleg", Step::Dogleg(Dogleg::default())),
    ] {
        let mut mean = 0.0;
        println!("{name}");
        for problem in nist::all() {
            let mut line = format!("{:10}", problem.name);
            for start in 0..2 {
                let (digits, status, iterations, rss) = run(&problem, start, &settings(step));
                mean += digits / 54.0;
                line += &format!(" {digits:5.2} {status:?} {iterations} {rss:.1e} |");
            }
            println!("{line}");
        }
        println!("mean {mean:.3}");
    }
}

#[test]
fn tail() {
    for (name, start) in [("Misra1b", 1), ("Misra1d", 1), ("Misra1c", 1), ("DanWood", 1),("Lanczos3",1),("MGH10",1),("Bennett5",1)] {
        let problem = nist::all().into_iter().find(|p| p.name == name).unwrap();
        let mut builder = Builder::new();
        let b = builder.variable("b", Manifold::Vector(problem.certified.len())).unwrap();
        builder.cost("fit", AutoCost::new(problem.clone()), &[b], &[], Weight::Identity, Robust::default()).unwrap();
        let objective = builder.build().unwrap();
        let inputs = Inputs::new(&objective, 1).start(b, Values::Shared(&problem.starts[start]));
        let mut s = settings(Step::default());
        s.stopping = Stopping::default();
        let solution = objective.solve(&inputs, &s).unwrap();
        println!("{name} {:?} lre {}", solution.status[0], problem.log_relative_error(solution.sample(0)));
        let h = &solution.history[0];
        for r in &h[h.len().saturating_sub(14)..] { println!("  {r:?}"); }
    }
}
