//! FSNet: L-BFGS on the violation.

mod history;
mod settings;

pub use settings::{FsNetSettings, LineSearch};

use burn::tensor::Tensor;
use feasible_core::{Bounds, Constraints, host};
use feasible_nls::Status;

use crate::isolate::isolating;
use crate::start::{constant, measure, residual, start, values};
use crate::{Error, Repaired};
use history::History;

/// FSNet: limited-memory BFGS steps from the output of a network to a point without violation.
///
/// # Problem
///
/// Find y near the input with φ(y) = ‖g(y) − clip(g(y), l, u)‖² = 0, for any smooth g.
///
/// # Method
///
/// y ← y + td with d = −H∇φ(y), H from the last pairs of steps and gradient differences by the
/// two-loop recursion with H₀ = γI, the first d = −0.1∇φ, and t by backtracking to
/// φ(y + td) ≤ φ(y) + c t ∇φᵀd.
///
/// # Adjoint
///
/// Reverse mode through the first [`FsNetSettings::unrolled`] iterations, the remembered pairs
/// included; step lengths are constants, and so are the steps of later iterations. Gradients reach
/// the input, the bounds, and tensors inside g where tracked.
///
/// The published loss adds 5‖y − ŷ‖², ½ρ‖y − ŷ‖² with ρ = 10, so that the network learns to need few steps,
/// and ten times ‖r(ŷ)‖² in batches that are far from the constraints.
///
/// # Shapes
///
/// Input and output `[batch, n]`, ε `[m]`.
///
/// # Errors
///
/// Wrong shapes, numbers that are not finite. A sample that stops where φ is stationary but not zero
/// is [`Status::ConvergedByStep`], one without an acceptable step or iterations left
/// [`Status::MaxIterations`]. The tolerance is on ‖r‖²: 1e-9 is a residual of 3e-5.
///
/// # Cost
///
/// Per iteration g and Jᵀr once, g once more for every length tried, and 4k products of length n for k
/// pairs; all of them recorded while they are differentiated.
///
/// # Reference
///
/// Nguyen and Donti, FSNet: Feasibility-Seeking Neural Network for Constrained Optimization with
/// Guarantees, NeurIPS 2025, arXiv 2506.00362. φ is its feasibility-seeking problem
/// min ‖h(s)‖² + ‖g⁺(s)‖². The steps are those of the published code, `utils/lbfgs.py`: `lbfgs_solve`,
/// `_search_direction`, `_backtracking_line_search`, truncated as `hybrid_lbfgs_solve` does it; the loss is
/// the trainer's. [`LineSearch`] says where ours differs.
#[derive(Debug, Clone)]
pub struct FsNet {
    settings: FsNetSettings,
    epoch: usize,
}

/// φ and ∇φ at a point.
struct Point {
    y: Tensor<2>,
    /// ∇φ, times the weight of the whole batch's objective.
    g: Tensor<2>,
    /// One entry a sample.
    phi: Vec<f64>,
}

impl FsNet {
    /// A layer with these settings.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(settings: FsNetSettings) -> Result<Self, Error> {
        settings.validate()?;
        Ok(Self { settings, epoch: 0 })
    }

    /// The layer as it is in an epoch of training, the first being 0: with the tolerance of that epoch.
    #[must_use]
    pub fn at_epoch(mut self, epoch: usize) -> Self {
        self.epoch = epoch;
        self
    }

    /// The settings.
    pub fn settings(&self) -> &FsNetSettings {
        &self.settings
    }

    /// Repairs `y0`, `[batch, n]`, towards the box of `constraints`, widened by `epsilon`, `[m]`.
    ///
    /// # Errors
    /// As the layer's documentation says.
    pub fn forward(
        &self,
        y0: Tensor<2>,
        constraints: &dyn Constraints,
        epsilon: Option<Tensor<1>>,
    ) -> Result<Repaired, Error> {
        let bounds = start(&y0, constraints, epsilon)?;
        let batch = y0.dims()[0];
        if batch == 0 || constraints.rows() == 0 {
            return Ok(Repaired::untouched(y0));
        }
        let weight = match self.settings.line_search {
            LineSearch::PerSample => 1.0,
            LineSearch::WholeBatch => self.settings.scale / batch as f64,
        };
        isolating(y0, constraints, &bounds, |y0| {
            let search = Search {
                settings: &self.settings,
                train_tolerance: self.settings.train_tolerance_at(self.epoch),
                constraints,
                bounds: &bounds,
                weight,
                status: vec![None; batch],
                iterations: vec![0; batch],
            };
            search.run(y0)
        })
    }
}

/// One call's iteration.
struct Search<'a> {
    settings: &'a FsNetSettings,
    train_tolerance: f64,
    constraints: &'a dyn Constraints,
    bounds: &'a Bounds,
    weight: f64,
    /// `None` while a sample runs.
    status: Vec<Option<Status>>,
    iterations: Vec<usize>,
}

impl Search<'_> {
    fn run(mut self, y0: Tensor<2>) -> Result<Repaired, Error> {
        let mut point = self.at(y0)?;
        let training = point.g.is_tracked() || point.y.is_tracked();
        let tolerance = match training {
            true => self.train_tolerance,
            false => self.settings.test_tolerance,
        };
        let mut history = History::new(self.settings.memory);
        let mut recorded: Option<Tensor<2>> = None;
        for iteration in 0..=self.settings.max_iterations {
            self.stop(&point, tolerance)?;
            if self.status.iter().all(Option::is_some) {
                break;
            }
            if iteration == self.settings.max_iterations {
                self.finish(Status::MaxIterations);
                break;
            }
            if training && iteration == self.settings.unrolled {
                recorded = Some(point.y.clone());
                history.fix();
                point.y = constant(&point.y);
                point.g = constant(&point.g);
            }
            point = self.step(point, &mut history, recorded.is_some())?;
        }
        let y = match recorded {
            None => point.y,
            Some(recorded) => recorded.clone() + (point.y - constant(&recorded)),
        };
        let residual = measure(self.constraints, self.bounds, &y)?;
        let status = self.status.into_iter().zip(&residual).map(|(status, r)| {
            let ended = status.unwrap_or(Status::MaxIterations);
            if r.is_nan() { Status::NonFinite } else { ended }
        });
        Ok(Repaired {
            gradient: None,
            status: status.collect(),
            iterations: self.iterations,
            residual,
            y,
        })
    }

    /// φ and ∇φ at `y`.
    fn at(&self, y: Tensor<2>) -> Result<Point, Error> {
        let r = residual(self.bounds, values(self.constraints, &y)?);
        let phi = squares(&r)?;
        let g = self.constraints.vjp(y.clone(), r) * (2.0 * self.weight);
        Ok(Point { y, g, phi })
    }

    fn phi(&self, y: &Tensor<2>) -> Result<Vec<f64>, Error> {
        squares(&residual(self.bounds, values(self.constraints, y)?))
    }

    /// Marks the samples that need no further step.
    fn stop(&mut self, point: &Point, tolerance: f64) -> Result<(), Error> {
        let lengths: Vec<f64> = squares(&point.g)?.iter().map(|g| g.sqrt()).collect();
        let verdict = |phi: f64, length: f64| {
            if !phi.is_finite() || !length.is_finite() {
                Some(Status::NonFinite)
            } else if phi < tolerance || phi == 0.0 {
                Some(Status::ConvergedByResidual)
            } else if length < self.settings.gradient_tolerance {
                Some(Status::ConvergedByStep)
            } else {
                None
            }
        };
        match self.settings.line_search {
            LineSearch::PerSample => {
                for (sample, status) in self.status.iter_mut().enumerate() {
                    if status.is_none() {
                        *status = verdict(point.phi[sample], lengths[sample]);
                    }
                }
            }
            LineSearch::WholeBatch => {
                let mean = mean(&point.phi);
                let all: Option<Vec<Status>> = lengths
                    .iter()
                    .map(|&length| verdict(mean, length))
                    .collect();
                if let Some(all) = all {
                    self.status = all.into_iter().map(Some).collect();
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, with: Status) {
        for status in self.status.iter_mut().filter(|status| status.is_none()) {
            *status = Some(with);
        }
    }

    fn step(&mut self, point: Point, history: &mut History, fixed: bool) -> Result<Point, Error> {
        let downhill = -point.g.clone() * self.settings.first_step;
        let mut d = match history.direction(&point.g) {
            None => downhill.clone(),
            Some(d) => d,
        };
        let mut slope = sums(&(point.g.clone() * d.clone()))?;
        if self.settings.line_search == LineSearch::PerSample {
            // A direction that is not finite does not descend either.
            let uphill: Vec<bool> = slope.iter().map(|s| *s >= 0.0 || s.is_nan()).collect();
            if uphill.contains(&true) {
                let mask = column(uphill.iter().map(|&u| f64::from(u8::from(u))), &d);
                let replaced = mask.equal_elem(1.0).expand(d.dims());
                d = d.mask_where(replaced, downhill);
                slope = sums(&(point.g.clone() * d.clone()))?;
            }
        }
        let lengths = self.lengths(&point, &d, &slope)?;
        let step = d * column(lengths.iter().copied(), &point.y);
        for (sample, count) in self.iterations.iter_mut().enumerate() {
            *count += usize::from(lengths[sample] > 0.0);
        }
        let moved = point.y.clone() + step.clone();
        let mut next = self.at(moved)?;
        if fixed {
            next.y = constant(&next.y);
            next.g = constant(&next.g);
        }
        let change = next.g.clone() - point.g;
        let kept = match self.settings.line_search {
            LineSearch::WholeBatch => None,
            LineSearch::PerSample => Some(self.curved(&step, &change)?),
        };
        history.push(step, change, kept);
        Ok(next)
    }

    /// Step lengths by backtracking; 0 for samples that have stopped.
    fn lengths(&mut self, point: &Point, d: &Tensor<2>, slope: &[f64]) -> Result<Vec<f64>, Error> {
        let (y, d) = (constant(&point.y), constant(d));
        let FsNetSettings {
            shrink,
            sufficient_decrease,
            max_halvings,
            ..
        } = *self.settings;
        if self.settings.line_search == LineSearch::WholeBatch {
            let (before, slope): (f64, f64) = (mean(&point.phi), slope.iter().sum());
            let scale = self.settings.scale;
            let mut length = 1.0;
            for _ in 0..max_halvings {
                let after = mean(&self.phi(&(y.clone() + d.clone() * length))?);
                if scale * after <= scale * before + sufficient_decrease * length * slope {
                    break;
                }
                length *= shrink;
            }
            return Ok(vec![length; self.status.len()]);
        }
        let running = |status: &Option<Status>| f64::from(u8::from(status.is_none()));
        let mut lengths: Vec<f64> = self.status.iter().map(running).collect();
        let mut accepted: Vec<bool> = self.status.iter().map(Option::is_some).collect();
        for _ in 0..=max_halvings {
            let after = self.phi(&(y.clone() + d.clone() * column(lengths.iter().copied(), &y)))?;
            for sample in 0..lengths.len() {
                let enough =
                    point.phi[sample] + sufficient_decrease * lengths[sample] * slope[sample];
                if !accepted[sample] {
                    accepted[sample] = after[sample] <= enough;
                    if !accepted[sample] {
                        lengths[sample] *= shrink;
                    }
                }
            }
            if !accepted.contains(&false) {
                break;
            }
        }
        for (sample, accepted) in accepted.into_iter().enumerate() {
            if !accepted {
                lengths[sample] = 0.0;
                self.status[sample] = Some(Status::MaxIterations);
            }
        }
        Ok(lengths)
    }

    /// One for samples whose pair has curvature that is more than rounding, `[batch, 1]`.
    fn curved(&self, s: &Tensor<2>, y: &Tensor<2>) -> Result<Tensor<2>, Error> {
        let along = sums(&(s.clone() * y.clone()))?;
        let (ss, yy) = (squares(s)?, squares(y)?);
        let rounding = 10.0 * host::rounding(s.dtype());
        let kept = (0..along.len()).map(|sample| {
            let positive = along[sample] > rounding * (ss[sample] * yy[sample]).sqrt();
            f64::from(u8::from(positive))
        });
        Ok(column(kept, s))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sum of every row's entries.
fn sums(tensor: &Tensor<2>) -> Result<Vec<f64>, Error> {
    let columns = tensor.dims()[1].max(1);
    let values = host::read("violation", tensor)?;
    Ok(values
        .chunks_exact(columns)
        .map(|row| row.iter().sum())
        .collect())
}

/// The sum of every row's squares, formed in f64.
fn squares(tensor: &Tensor<2>) -> Result<Vec<f64>, Error> {
    let columns = tensor.dims()[1].max(1);
    let values = host::read("violation", tensor)?;
    Ok(values
        .chunks_exact(columns)
        .map(|row| row.iter().map(|v| v * v).sum())
        .collect())
}

/// One number a sample, `[batch, 1]`.
fn column(values: impl Iterator<Item = f64>, like: &Tensor<2>) -> Tensor<2> {
    let values: Vec<f64> = values.collect();
    let batch = values.len();
    host::write(values, [batch, 1], &like.device(), like.dtype())
}
