//! This library.

use feasible_least_squares::groups::{LieGroup, Se2, Se3};
use feasible_least_squares::{
    AuxiliaryId, Backward, Between, Builder, Difference, Error, Hessian, Inputs,
    LevenbergMarquardt, Linear, Manifold, Numbers, Objective, Robust, Settings, Step, Stopping,
    Values, VariableId, Weight,
};

use super::{Clock, Peer, Run, Seconds};
use crate::graph::{Graph, PoseGraph, Poses};

pub struct Ours;

fn stored<G: LieGroup<f64, D>, const D: usize>(pose: &G) -> Vec<f64> {
    let mut stored = vec![0.0; G::STORED];
    pose.write(&mut stored);
    stored
}

/// The graph as an objective, with every measurement an auxiliary where `differentiable`.
struct Problem {
    objective: Objective,
    ids: Vec<VariableId>,
    measured: Vec<AuxiliaryId>,
}

fn build<G: LieGroup<f64, D>, const D: usize>(
    graph: &PoseGraph<G, D>,
    manifold: &Manifold,
    differentiable: bool,
) -> Result<Problem, Error> {
    let mut builder = Builder::new();
    let ids: Vec<VariableId> = (0..graph.poses.len())
        .map(|i| builder.variable(&format!("x{i}"), manifold.clone()))
        .collect::<Result<_, _>>()?;
    let prior = Difference::new(manifold.clone(), stored(&graph.poses[0]));
    let stiff = Weight::scale(1.0);
    builder.cost("prior", prior, &ids[..1], &[], stiff, Robust::None)?;
    let mut measured = Vec::new();
    for (i, edge) in graph.edges.iter().enumerate() {
        let weight = Weight::square_root(edge.root_information.as_flattened());
        let ends = [ids[edge.from], ids[edge.to]];
        let name = format!("e{i}");
        if differentiable {
            let id = builder.auxiliary(&name, G::STORED)?;
            let cost = Between::new(manifold.clone(), Numbers::Auxiliary(G::STORED));
            builder.cost(&name, cost, &ends, &[id], weight, Robust::None)?;
            measured.push(id);
        } else {
            let cost = Between::new(manifold.clone(), stored(&edge.measured));
            builder.cost(&name, cost, &ends, &[], weight, Robust::None)?;
        }
    }
    Ok(Problem {
        objective: builder.build()?,
        ids,
        measured,
    })
}

fn solve<G: LieGroup<f64, D>, const D: usize>(
    graph: &PoseGraph<G, D>,
    manifold: &Manifold,
    settings: &Settings,
) -> Option<(Seconds, Vec<G>)> {
    let Problem { objective, ids, .. } = build(graph, manifold, false).ok()?;
    let starts: Vec<Vec<f64>> = graph.poses.iter().map(stored).collect();
    let mut inputs = Inputs::new(&objective, 1);
    for (id, start) in ids.iter().zip(&starts) {
        inputs = inputs.start(*id, Values::Shared(start));
    }
    let start = Clock::start();
    let solution = objective.solve(&inputs, settings).ok()?;
    let seconds = start.elapsed();
    let poses = solution.sample(0).chunks_exact(G::STORED).map(G::read);
    Some((seconds, poses.collect()))
}

/// The derivative of a solution with respect to every measurement, beside one iteration.
pub fn backward(graph: &Graph, runs: usize) {
    match graph {
        Graph::Planar(graph) => time_backward::<Se2<f64>, 3>(graph, &Manifold::Se2, runs),
        Graph::Spatial(graph) => time_backward::<Se3<f64>, 6>(graph, &Manifold::Se3, runs),
    }
}

fn time_backward<G: LieGroup<f64, D>, const D: usize>(
    graph: &PoseGraph<G, D>,
    manifold: &Manifold,
    runs: usize,
) {
    let problem = build(graph, manifold, true).expect("a problem");
    let objective = &problem.objective;
    let starts: Vec<Vec<f64>> = graph.poses.iter().map(stored).collect();
    let measured: Vec<Vec<f64>> = graph.edges.iter().map(|e| stored(&e.measured)).collect();
    let mut inputs = Inputs::new(objective, 1);
    for (id, start) in problem.ids.iter().zip(&starts) {
        inputs = inputs.start(*id, Values::Shared(start));
    }
    for (id, measured) in problem.measured.iter().zip(&measured) {
        inputs = inputs.auxiliary(*id, Values::Shared(measured));
    }
    let fastest = |work: &mut dyn FnMut()| {
        (0..runs)
            .map(|_| {
                let start = Clock::start();
                work();
                start.elapsed().processor
            })
            .fold(f64::INFINITY, f64::min)
    };
    let limited = |max_iterations: usize| Settings {
        max_iterations,
        step: Step::GaussNewton,
        linear: Linear::SparseCholesky,
        stopping: Stopping {
            gradient: 0.0,
            cost: 0.0,
            step: 0.0,
        },
        ..Settings::default()
    };
    let converging = Settings {
        stopping: Stopping::default(),
        ..limited(50)
    };
    let solution = objective.solve(&inputs, &converging).expect("inputs fit");
    println!(
        "  {:?} after {} iterations",
        solution.status[0],
        solution.history[0].len()
    );
    let timed = |iterations: usize| {
        fastest(&mut || {
            objective
                .solve(&inputs, &limited(iterations))
                .expect("inputs fit");
        })
    };
    let iteration = (timed(5) - timed(1)) / 4.0;
    // Towards the last pose.
    let mut cotangent = vec![0.0; objective.storage()];
    let from = objective.storage() - G::STORED;
    cotangent[from..]
        .iter_mut()
        .enumerate()
        .for_each(|(i, c)| *c = 1.0 + 0.5 * i as f64);
    for (name, hessian) in [
        ("exact", Hessian::Exact),
        ("Gauss-Newton", Hessian::GaussNewton),
    ] {
        let mode = Backward::Implicit { hessian };
        let mut last = None;
        let seconds = fastest(&mut || {
            last = objective.vjp_by(&inputs, &solution, &cotangent, &mode).ok();
        });
        let found = last.expect("a derivative");
        println!(
            "  backward, {name:13} {:9.2} ms, an iteration {:9.2} ms; {:?}, residual {:.1e}, condition {:.1e}",
            1e3 * seconds,
            1e3 * iteration,
            found.quality[0],
            found.residual[0],
            found.condition[0]
        );
    }
}

impl Peer for Ours {
    fn name(&self) -> &'static str {
        "feasible"
    }

    fn methods(&self) -> &'static [&'static str] {
        &["Gauss-Newton", "Levenberg-Marquardt"]
    }

    fn run(&self, method: usize, graph: &Graph, iterations: usize) -> Option<Run> {
        let settings = Settings {
            max_iterations: iterations,
            step: if method == 0 {
                Step::GaussNewton
            } else {
                Step::LevenbergMarquardt(LevenbergMarquardt::default())
            },
            linear: Linear::SparseCholesky,
            stopping: Stopping {
                gradient: 0.0,
                cost: 0.0,
                step: 0.0,
            },
            ..Settings::default()
        };
        match graph {
            Graph::Planar(graph) => {
                solve::<Se2<f64>, 3>(graph, &Manifold::Se2, &settings).map(|(seconds, poses)| Run {
                    seconds,
                    poses: Poses::Planar(poses),
                })
            }
            Graph::Spatial(graph) => {
                solve::<Se3<f64>, 6>(graph, &Manifold::Se3, &settings).map(|(seconds, poses)| Run {
                    seconds,
                    poses: Poses::Spatial(poses),
                })
            }
        }
    }
}
