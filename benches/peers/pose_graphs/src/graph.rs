//! The graph, and the cost that all are measured by.

pub use feasible_least_squares::g2o::{Edge, Graph, PoseGraph, parse};
use feasible_least_squares::groups::{LieGroup, Se2, Se3};

/// What a solver returns.
pub enum Poses {
    Planar(Vec<Se2<f64>>),
    Spatial(Vec<Se3<f64>>),
}

impl Poses {
    pub fn start(graph: &Graph) -> Self {
        match graph {
            Graph::Planar(graph) => Poses::Planar(graph.poses.clone()),
            Graph::Spatial(graph) => Poses::Spatial(graph.poses.clone()),
        }
    }
}

pub fn size(graph: &Graph) -> String {
    let (poses, edges) = match graph {
        Graph::Planar(graph) => (graph.poses.len(), graph.edges.len()),
        Graph::Spatial(graph) => (graph.poses.len(), graph.edges.len()),
    };
    format!("{poses} poses, {edges} edges")
}

fn half_squares<G: LieGroup<f64, D>, const D: usize>(edges: &[Edge<G, D>], poses: &[G]) -> f64 {
    let mut sum = 0.0;
    for edge in edges {
        let relative = poses[edge.from].inverse().compose(&poses[edge.to]);
        let e = edge.measured.local(&relative);
        for row in &edge.root_information {
            let weighted: f64 = row.iter().zip(&e).map(|(w, e)| w * e).sum();
            sum += weighted * weighted;
        }
    }
    0.5 * sum
}

/// ½ Σ ‖W Log(z⁻¹ x₁⁻¹ x₂)‖².
pub fn cost(graph: &Graph, poses: &Poses) -> f64 {
    match (graph, poses) {
        (Graph::Planar(graph), Poses::Planar(poses)) => half_squares(&graph.edges, poses),
        (Graph::Spatial(graph), Poses::Spatial(poses)) => half_squares(&graph.edges, poses),
        _ => f64::NAN,
    }
}
