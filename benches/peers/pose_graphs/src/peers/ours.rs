//! This library.

use std::time::Instant;

use feasible_least_squares::groups::{LieGroup, Se2, Se3};
use feasible_least_squares::{
    Between, Builder, Difference, Inputs, LevenbergMarquardt, Linear, Manifold, Robust, Settings,
    Step, Stopping, Values, VariableId, Weight,
};

use super::{Peer, Run};
use crate::graph::{Graph, PoseGraph, Poses};

pub struct Ours;

fn stored<G: LieGroup<f64, D>, const D: usize>(pose: &G) -> Vec<f64> {
    let mut stored = vec![0.0; G::STORED];
    pose.write(&mut stored);
    stored
}

fn solve<G: LieGroup<f64, D>, const D: usize>(
    graph: &PoseGraph<G, D>,
    manifold: &Manifold,
    settings: &Settings,
) -> Option<(f64, Vec<G>)> {
    let mut builder = Builder::new();
    let ids: Vec<VariableId> = (0..graph.poses.len())
        .map(|i| builder.variable(&format!("x{i}"), manifold.clone()).ok())
        .collect::<Option<_>>()?;
    let prior = Difference::new(manifold.clone(), stored(&graph.poses[0]));
    builder
        .cost("prior", prior, &ids[..1], &[], Weight::scale(1e3), Robust::None)
        .ok()?;
    for (i, edge) in graph.edges.iter().enumerate() {
        let weight = Weight::square_root(edge.root_information.as_flattened());
        let cost = Between::new(manifold.clone(), stored(&edge.measured));
        let ends = [ids[edge.from], ids[edge.to]];
        builder
            .cost(&format!("e{i}"), cost, &ends, &[], weight, Robust::None)
            .ok()?;
    }
    let objective = builder.build().ok()?;
    let starts: Vec<Vec<f64>> = graph.poses.iter().map(stored).collect();
    let mut inputs = Inputs::new(&objective, 1);
    for (id, start) in ids.iter().zip(&starts) {
        inputs = inputs.start(*id, Values::Shared(start));
    }
    let start = Instant::now();
    let solution = objective.solve(&inputs, settings).ok()?;
    let seconds = start.elapsed().as_secs_f64();
    let poses = solution.sample(0).chunks_exact(G::STORED).map(G::read);
    Some((seconds, poses.collect()))
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
            Graph::Planar(graph) => solve::<Se2<f64>, 3>(graph, &Manifold::Se2, &settings)
                .map(|(seconds, poses)| Run {
                    seconds,
                    poses: Poses::Planar(poses),
                }),
            Graph::Spatial(graph) => solve::<Se3<f64>, 6>(graph, &Manifold::Se3, &settings)
                .map(|(seconds, poses)| Run {
                    seconds,
                    poses: Poses::Spatial(poses),
                }),
        }
    }
}
