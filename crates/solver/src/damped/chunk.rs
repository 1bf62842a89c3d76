//! A chunk of samples on their way through the repair of constant rows.

use super::constant::Constants;
use super::held::Contact;
use super::step::{remember, side};
use super::{DampedProblem, DampedSettings, DampedStatus, Record, Stopping, rows};
use crate::dense::{max_abs, multiply, view, view_mut};

/// One step of a chunk: the samples that moved, and the side of the box each row of theirs was on.
#[derive(Debug, Default)]
pub(super) struct Sides {
    samples: Vec<usize>,
    /// `[samples, m]`.
    sides: Vec<i8>,
}

impl Sides {
    pub(super) fn count(&self) -> usize {
        self.samples.len()
    }

    /// Every sample, by its number in the chunk, with its sides.
    pub(super) fn iter(&self, m: usize) -> impl Iterator<Item = (&usize, &[i8])> {
        self.samples.iter().zip(self.sides.chunks_exact(m))
    }

    fn push(&mut self, sample: usize, r: &[f64]) {
        self.samples.push(sample);
        self.sides.extend(r.iter().map(|r| side(*r)));
    }

    fn remove(&mut self, sample: usize, m: usize) {
        if let Some(slot) = self.samples.iter().position(|&i| i == sample) {
            self.samples.remove(slot);
            self.sides.drain(slot * m..(slot + 1) * m);
        }
    }
}

/// Samples are numbered from the chunk's first.
pub(super) struct Chunk<'a> {
    problem: &'a DampedProblem<'a>,
    constants: &'a Constants,
    settings: &'a DampedSettings,
    record: Record,
    /// The number of its first sample in the batch.
    first: usize,
    pub(super) y: Vec<f64>,
    /// The variables before each sample's last step.
    before: Vec<f64>,
    g: Vec<f64>,
    /// The samples that still move; `r`, `delta` and `change` hold them in this order.
    moving: Vec<usize>,
    r: Vec<f64>,
    delta: Vec<f64>,
    change: Vec<f64>,
    pub(super) iterations: Vec<usize>,
    pub(super) status: Vec<DampedStatus>,
    /// Known once the chunk has settled.
    pub(super) residual: Vec<f64>,
    pub(super) steps: Vec<Sides>,
    /// With [`Record::Limit`], when every row was outside its box, `[count, m]`.
    pub(super) contacts: Vec<Contact>,
}

impl<'a> Chunk<'a> {
    pub(super) fn new(
        problem: &'a DampedProblem<'a>,
        constants: &'a Constants,
        settings: &'a DampedSettings,
        record: Record,
        first: usize,
        start: &[f64],
    ) -> Self {
        let (n, m) = (problem.n, problem.rows());
        let count = start.len() / n;
        let mut g = vec![0.0; count * m];
        rows::affine_values(&constants.jacobian, m, n, start, &mut g);
        Self {
            problem,
            constants,
            settings,
            record,
            first,
            y: start.to_vec(),
            before: start.to_vec(),
            g,
            moving: (0..count).collect(),
            r: vec![0.0; count * m],
            delta: vec![0.0; count * n],
            change: vec![0.0; count * m],
            iterations: vec![0; count],
            status: vec![DampedStatus::MaxIterations; count],
            residual: vec![f64::NAN; count],
            steps: vec![],
            contacts: match record {
                Record::Limit => vec![Contact::default(); count * m],
                _ => vec![],
            },
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.moving.is_empty()
    }

    /// Ends every sample that still moves.
    pub(super) fn stop(&mut self, status: DampedStatus) {
        for i in self.moving.drain(..) {
            self.status[i] = status;
        }
    }

    /// Whether a sample ends by a number of its own.
    fn is_small(&self, largest: f64) -> bool {
        self.settings.stopping == Stopping::PerSample && largest < self.settings.tolerance
    }

    /// r of the samples that move; those that are done leave, the others close ranks. Returns the
    /// largest entry of those left.
    pub(super) fn evaluate(&mut self) -> f64 {
        let m = self.problem.rows();
        let (mut worst, mut kept) = (0.0f64, Vec::with_capacity(self.moving.len()));
        for i in std::mem::take(&mut self.moving) {
            let (l, u) = (
                self.problem.lower.sample(self.first + i, m),
                self.problem.upper.sample(self.first + i, m),
            );
            let slot = kept.len() * m;
            for row in 0..m {
                self.r[slot + row] = rows::residual(self.g[i * m + row], l[row], u[row]);
            }
            let largest = max_abs(&self.r[slot..slot + m]);
            if !largest.is_finite() {
                self.take_back(i);
            } else if self.is_small(largest) {
                self.status[i] = DampedStatus::Residual;
            } else {
                worst = worst.max(largest);
                kept.push(i);
            }
        }
        self.moving = kept;
        worst
    }

    /// Ends a sample that is not finite where its last step led to, at the iterate before it.
    fn take_back(&mut self, i: usize) {
        let (n, m) = (self.problem.n, self.problem.rows());
        self.status[i] = DampedStatus::NonFinite;
        if self.iterations[i] == 0 {
            return;
        }
        self.iterations[i] -= 1;
        let range = i * n..(i + 1) * n;
        self.y[range.clone()].copy_from_slice(&self.before[range]);
        // A sample moves in every step from the first on.
        if let Some(step) = self.steps.get_mut(self.iterations[i]) {
            step.remove(i, m);
        }
    }

    /// One step of every sample that moves; returns the largest entry of all Δ.
    pub(super) fn step(&mut self) -> f64 {
        let (n, m) = (self.problem.n, self.problem.rows());
        let count = self.moving.len();
        let r = view(&self.r[..count * m], count, m);
        multiply(
            view_mut(&mut self.delta[..count * n], count, n),
            1.0,
            r,
            view(&self.constants.step, m, n),
        );
        multiply(
            view_mut(&mut self.change[..count * m], count, m),
            1.0,
            r,
            view(&self.constants.response, m, m),
        );
        let (mut longest, mut kept) = (0.0f64, Vec::with_capacity(count));
        let mut sides = Sides::default();
        for (slot, i) in std::mem::take(&mut self.moving).into_iter().enumerate() {
            let delta = &self.delta[slot * n..(slot + 1) * n];
            let length = max_abs(delta);
            if !length.is_finite() {
                self.status[i] = DampedStatus::Singular;
                continue;
            }
            if self.record == Record::Steps {
                sides.push(i, &self.r[slot * m..(slot + 1) * m]);
            }
            if self.record == Record::Limit {
                let r = &self.r[slot * m..(slot + 1) * m];
                remember(r, &mut self.contacts[i * m..(i + 1) * m]);
            }
            let y = &mut self.y[i * n..(i + 1) * n];
            self.before[i * n..(i + 1) * n].copy_from_slice(y);
            y.iter_mut().zip(delta).for_each(|(y, delta)| *y -= delta);
            let change = &self.change[slot * m..(slot + 1) * m];
            let g = &mut self.g[i * m..(i + 1) * m];
            g.iter_mut()
                .zip(change)
                .for_each(|(g, change)| *g -= change);
            self.iterations[i] += 1;
            if self.is_small(length) {
                self.status[i] = DampedStatus::Step;
            } else {
                longest = longest.max(length);
                kept.push(i);
            }
        }
        if self.record == Record::Steps {
            self.steps.push(sides);
        }
        self.moving = kept;
        longest
    }

    /// The residuals at the end, from the rows themselves; and whether the last step led to the
    /// box, or nowhere.
    pub(super) fn settle(&mut self) {
        let (n, m) = (self.problem.n, self.problem.rows());
        let (problem, first) = (self.problem, self.first);
        let (mut r, mut scratch) = (vec![0.0; m], vec![0.0; n]);
        for i in 0..self.status.len() {
            let mut residual = |y: &[f64]| {
                let y = &y[i * n..(i + 1) * n];
                rows::residuals(problem, first + i, y, &mut r, &mut scratch)
            };
            let mut worst = residual(&self.y);
            if !worst.is_finite() && self.status[i] != DampedStatus::NonFinite {
                self.take_back(i);
                worst = residual(&self.y);
            }
            if self.status[i] == DampedStatus::MaxIterations && worst < self.settings.tolerance {
                self.status[i] = DampedStatus::Residual;
            }
            self.residual[i] = if worst.is_finite() { worst } else { f64::NAN };
        }
    }
}
