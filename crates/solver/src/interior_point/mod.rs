//! Interior point (being written).

use crate::problem::Sample;
use crate::settings::Settings;
use crate::solution::ActiveRows;
use crate::status::{Residuals, Status};

/// What depends on the matrices only.
pub(crate) struct Prepared {}

impl Prepared {
    pub(crate) fn new(_sample: &Sample<'_>) -> Prepared {
        Prepared {}
    }
}

/// One sample's answer.
pub(crate) struct Answer {
    pub(crate) x: Vec<f64>,
    pub(crate) nu: Vec<f64>,
    pub(crate) lambda: Vec<f64>,
    pub(crate) mu: Vec<f64>,
    pub(crate) status: Status,
    pub(crate) iterations: usize,
    pub(crate) residuals: Residuals,
    pub(crate) margin: f64,
    pub(crate) active: ActiveRows,
}

pub(crate) fn solve_sample(sample: &Sample<'_>, _prepared: &Prepared, _settings: &Settings) -> Answer {
    Answer {
        x: vec![0.0; sample.n],
        nu: vec![0.0; sample.b.len()],
        lambda: vec![0.0; sample.l.len()],
        mu: vec![0.0; sample.c.len()],
        status: Status::NumericalError,
        iterations: 0,
        residuals: Residuals::default(),
        margin: 0.0,
        active: ActiveRows::default(),
    }
}
