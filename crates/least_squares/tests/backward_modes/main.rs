//! Every backward mode on every problem of a list, sample by sample, against differences of what the mode
//! differentiates. `--nocapture` prints the worst errors.

// The errors, where they are asked for.
#![allow(clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;
mod direct;
mod implicit;
mod iterations;
mod problems;
mod truth;

use common::{few, solvers, tight};
use faer::{Mat, Side};
use feasible_least_squares::{
    Backward, Damping, Dogleg, GradientQuality, Gradients, Hessian, LevenbergMarquardt, Linear,
    Settings, Shape, Solution, Step, Stopping,
};
use problems::{BY_DIFFERENCES, Kind, Problem, Sample, numbers, problems};
use truth::*;

/// What a derivative may be off, relative to the largest of its sample.
const LIMIT: f64 = 1e-6;

/// That of minimisers by the implicit modes, whose differences are good to 1e-9.
const IMPLICIT: f64 = 1e-7;
