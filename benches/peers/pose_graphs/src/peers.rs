//! The solvers.

mod apex;
mod factrs;
pub mod ours;
mod tiny;

use crate::graph::{Graph, Poses};

/// A solver with one or more methods.
pub trait Peer {
    fn name(&self) -> &'static str;
    fn methods(&self) -> &'static [&'static str];
    /// At most so many iterations from the graph's poses; `None` where the solver gives up without a result.
    fn run(&self, method: usize, graph: &Graph, iterations: usize) -> Option<Run>;
}

pub struct Run {
    /// Of the solve alone.
    pub seconds: f64,
    pub poses: Poses,
}

pub fn all() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(ours::Ours),
        Box::new(factrs::Factrs),
        Box::new(tiny::Tiny),
        Box::new(apex::Apex),
    ]
}
