//! The solvers.

mod apex;
mod factrs;
pub mod ours;
mod tiny;

use std::time::Instant;

use cpu_time::ProcessTime;

use crate::graph::{Graph, Poses};

/// What a run took: by the wall, and of the processor, which other programs disturb less.
#[derive(Clone, Copy)]
pub struct Seconds {
    pub wall: f64,
    pub processor: f64,
}

pub struct Clock {
    wall: Instant,
    processor: ProcessTime,
}

impl Clock {
    pub fn start() -> Self {
        Clock {
            wall: Instant::now(),
            processor: ProcessTime::now(),
        }
    }

    pub fn elapsed(&self) -> Seconds {
        Seconds {
            wall: self.wall.elapsed().as_secs_f64(),
            processor: self.processor.elapsed().as_secs_f64(),
        }
    }
}

/// A solver with one or more methods.
pub trait Peer {
    fn name(&self) -> &'static str;
    fn methods(&self) -> &'static [&'static str];
    /// At most so many iterations from the graph's poses; `None` where the solver gives up without a result.
    fn run(&self, method: usize, graph: &Graph, iterations: usize) -> Option<Run>;
}

pub struct Run {
    /// Of the solve alone.
    pub seconds: Seconds,
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
