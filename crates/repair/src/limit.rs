//! The implicit gradient of SnareNet's repair for rows that are tensors.
//!
//! The output is a constant so far. g and J are computed once more there, with their graphs: the output
//! then is an operation on the input, g, J and the bounds, whose adjoint is that of
//! [`feasible_solver::damped::HeldRows`].

use std::sync::Arc;

use burn::tensor::Tensor;
use feasible_core::host::{self, HostAdjoint, Input};
use feasible_core::{Block, Bounds, Constraints, Curvature};
use feasible_nls::{GradientQuality, Status};
use feasible_solver::damped::{Contact, HeldRows, LimitQuality, Output};

use crate::linear::reduce;
use crate::start::{constant, values};
use crate::{Error, GradientReport, Repaired, SnareNetSettings};

/// A relative error below this leaves six digits.
const EXACT: f64 = 1e-6;

impl GradientReport {
    pub(crate) fn new(status: Status, limit: LimitQuality) -> Self {
        let LimitQuality {
            deviation,
            settled,
            affine,
        } = limit;
        let quality = if status.is_failure() {
            GradientQuality::Unavailable
        } else if deviation.is_nan() {
            GradientQuality::Degenerate
        } else if status.is_converged() && settled && affine && deviation <= EXACT {
            GradientQuality::Exact
        } else {
            GradientQuality::Inexact
        };
        Self { quality, deviation }
    }
}

/// When every row was outside its box, of steps that are taken elsewhere.
#[derive(Debug)]
pub(crate) struct Contacts {
    rows: usize,
    /// Where each sample was last looked at, and the residual there.
    at: Option<(Vec<f64>, Vec<f64>)>,
    /// `[batch, m]`.
    contacts: Vec<Contact>,
}

impl Contacts {
    pub(crate) fn new(batch: usize, rows: usize) -> Self {
        Self {
            rows,
            at: None,
            contacts: vec![Contact::default(); batch * rows],
        }
    }

    /// Remembers the residual `r`, `[batch, m]`, at `y`, `[batch, n]`: a sample that moves took a step
    /// from there.
    pub(crate) fn look(&mut self, y: Vec<f64>, r: Vec<f64>) {
        self.moved_to(&y);
        self.at = Some((y, r));
    }

    fn moved_to(&mut self, y: &[f64]) {
        let Some((before, r)) = &self.at else {
            return;
        };
        let m = self.rows;
        let n = y.len() * m / self.contacts.len().max(1);
        for (sample, contacts) in self.contacts.chunks_exact_mut(m).enumerate() {
            let at = sample * n..(sample + 1) * n;
            if before[at.clone()] != y[at] {
                let steps = contacts.iter_mut().zip(&r[sample * m..][..m]);
                steps.for_each(|(contact, r)| contact.step(*r));
            }
        }
    }

    /// Those of samples that have come to rest at `y`, `[batch, m]`.
    pub(crate) fn at_rest(mut self, y: &[f64]) -> Vec<Contact> {
        self.moved_to(y);
        self.contacts
    }
}

/// What the backward pass needs.
#[derive(Debug)]
struct Limits {
    samples: Vec<Kept>,
    rows: usize,
    /// Whether the batch shares the lower and the upper bounds.
    shared: [bool; 2],
    /// Whether J has a gradient.
    of_jacobian: bool,
}

#[derive(Debug)]
enum Kept {
    /// No step was taken.
    Unmoved,
    /// There is no gradient.
    Lost,
    Rows(Box<HeldRows>),
}

impl HostAdjoint for Limits {
    fn vjp(&self, cotangent: &[f64]) -> Vec<Vec<f64>> {
        use rayon::prelude::*;
        let (batch, m) = (self.samples.len(), self.rows);
        let n = cotangent.len() / batch;
        let mut start = cotangent.to_vec();
        let [mut lower, mut upper] = [vec![0.0; batch * m], vec![0.0; batch * m]];
        start
            .par_chunks_mut(n)
            .zip(lower.par_chunks_mut(m))
            .zip(upper.par_chunks_mut(m))
            .zip(&self.samples)
            .for_each(|(((start, lower), upper), kept)| match kept {
                Kept::Unmoved => {}
                Kept::Lost => start.fill(0.0),
                Kept::Rows(rows) => rows.pull_back(start, lower, upper),
            });
        let of_values = lower.iter().zip(&upper).map(|(l, u)| -(l + u)).collect();
        let mut of_jacobian = vec![];
        if self.of_jacobian {
            of_jacobian.resize(batch * m * n, 0.0);
            of_jacobian
                .par_chunks_mut(m * n)
                .zip(start.par_chunks(n))
                .zip(&self.samples)
                .for_each(|((jacobian, start), kept)| {
                    if let Kept::Rows(rows) = kept {
                        rows.of_jacobian(start, jacobian);
                    }
                });
        }
        let mut gradients = vec![
            start,
            of_values,
            reduce(lower, m, self.shared[0]),
            reduce(upper, m, self.shared[1]),
        ];
        if self.of_jacobian {
            gradients.push(of_jacobian);
        }
        gradients
    }
}

/// Which rows may be other than affine: those of functions always, and a quadratic block's.
fn curved(constraints: &dyn Constraints) -> Vec<bool> {
    let Some(blocks) = constraints.blocks() else {
        return vec![true; constraints.rows()];
    };
    let of_block = |block: &Block| {
        let is_curved = !matches!(block.curvature(), Curvature::None);
        std::iter::repeat_n(is_curved, block.rows())
    };
    blocks.iter().flat_map(of_block).collect()
}

/// Gives the output of a repair that was run on constants its implicit gradient. `contacts` are as
/// [`Contacts::at_rest`] gives them.
pub(crate) fn differentiate(
    settings: &SnareNetSettings,
    y0: Tensor<2>,
    constraints: &dyn Constraints,
    bounds: &Bounds,
    repaired: Repaired,
    contacts: &[Contact],
) -> Result<Repaired, Error> {
    let ([batch, n], m) = (y0.dims(), constraints.rows());
    let tracked = [
        y0.is_tracked(),
        bounds.lower().is_tracked(),
        bounds.upper().is_tracked(),
    ];
    if batch == 0 || m == 0 || n == 0 {
        return Ok(Repaired { y: y0, ..repaired });
    }
    let is_asked_for = tracked.contains(&true) || values(constraints, &constant(&y0))?.is_tracked();
    if !is_asked_for {
        return Ok(repaired);
    }
    let status = repaired.status;
    let output = host::read("y", &repaired.y)?;
    // Samples without a gradient borrow the variables of one that has: a zero cotangent times an
    // infinite derivative would put NaN into gradients of tensors that the batch shares.
    let mut points = output.clone();
    if let Some(good) = status.iter().position(|status| !status.is_failure()) {
        for bad in (0..batch).filter(|sample| status[*sample].is_failure()) {
            points.copy_within(good * n..(good + 1) * n, bad * n);
        }
    }
    let point: Tensor<2> = host::write(points, [batch, n], &y0.device(), y0.dtype());
    let start = constant(&y0);
    let g = values(constraints, &point)?;
    let jacobian_at = |y: &Tensor<2>| host::expand(constraints.jacobian(y.clone()), [batch, m, n]);
    let tracked_jacobian = jacobian_at(&point);
    let jacobian = host::read("jacobian(y)", &tracked_jacobian)?;
    let at_start = host::read("jacobian(y0)", &jacobian_at(&start))?;
    let ends = host::read("g(y)", &g)?;
    let start_values = host::read("g(y0)", &constant(&values(constraints, &start)?))?;
    let from = host::read("y0", &start)?;
    let side = |bound: Tensor<2>| host::read("bounds", &host::expand(constant(&bound), [batch, m]));
    let (lower, upper) = (side(bounds.lower())?, side(bounds.upper())?);
    let damped = settings.damped();
    let curved = curved(constraints);
    let sample = |b: usize| -> (Kept, LimitQuality) {
        match status[b] {
            status if status.is_failure() => return (Kept::Lost, LimitQuality::LOST),
            _ if repaired.iterations[b] == 0 => return (Kept::Unmoved, LimitQuality::UNMOVED),
            _ => {}
        }
        let (rows, entries, point) = (b * m..(b + 1) * m, b * m * n, b * n..(b + 1) * n);
        let points = from[point.clone()].iter().zip(&output[point]);
        let way: Vec<f64> = points.map(|(a, b)| a - b).collect();
        let row_at_start = at_start[entries..][..m * n].chunks_exact(n);
        let weights: Vec<f64> = row_at_start.map(|row| settings.weights.of(row)).collect();
        let (kept, quality) = HeldRows::new(
            &Output {
                jacobian: &jacobian[entries..][..m * n],
                values: &ends[rows.clone()],
                start_values: &start_values[rows.clone()],
                way: &way,
                lower: &lower[rows.clone()],
                upper: &upper[rows.clone()],
                equality: bounds.equalities(),
                contacts: &contacts[rows],
                curved: &curved,
                weights: &weights,
            },
            &damped,
        );
        let kept = kept.map_or(Kept::Lost, |rows| Kept::Rows(Box::new(rows)));
        (kept, quality)
    };
    let (samples, quality): (Vec<Kept>, Vec<LimitQuality>) = (0..batch).map(sample).unzip();
    let reports = status.iter().zip(quality);
    let gradient = reports.map(|(status, limit)| GradientReport::new(*status, limit));
    let gradient = Some(gradient.collect());
    let shared = |bound: &Tensor<2>| bound.dims()[0] == 1 && batch != 1;
    let (lower, upper) = (bounds.lower(), bounds.upper());
    let limits = Limits {
        samples,
        rows: m,
        shared: [shared(&lower), shared(&upper)],
        of_jacobian: tracked_jacobian.is_tracked(),
    };
    let (device, dtype) = (y0.device(), y0.dtype());
    let mut inputs = vec![
        Input::new(y0),
        Input::new(g),
        Input::new(lower),
        Input::new(upper),
    ];
    if tracked_jacobian.is_tracked() {
        inputs.push(Input::new(tracked_jacobian));
    }
    Ok(Repaired {
        y: host::record(output, [batch, n], &device, dtype, inputs, Arc::new(limits)),
        status,
        iterations: repaired.iterations,
        residual: repaired.residual,
        gradient,
    })
}
