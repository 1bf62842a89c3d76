//! Where the samples of a batch stand during a solve, and how they move.

use burn::tensor::Tensor;
use feasible_core::host::{self, Input};

use crate::evaluation::{self, Evaluation, RowWeights, fixed};
use crate::implicit::ImplicitGradient;
use crate::step::Steps;
use crate::{
    Damping, Error, IterationRecord, Residual, Settings, Solution, Status, Stopping, Weights,
};

/// Relative rounding of a cost, in units of the precision: sums of squares of a few dozen rows.
const COST_ROUNDING: f64 = 10.0;

/// Where a solve starts.
#[derive(Debug)]
pub(crate) struct Start {
    /// Where the residual is evaluated first. Tracked where the caller's start is: row scales depend
    /// on it even if the iterations are not recorded.
    pub(crate) point: Tensor<2>,
    /// Samples that are not finite at their own start, and those starts. At `point` they borrow the
    /// variables of a sample that is: a zero cotangent times the infinite derivatives at their own
    /// would put NaN into gradients of tensors shared by the batch.
    lost: Option<(Vec<bool>, Tensor<2>)>,
}

impl Start {
    /// Looks at the residual at `start`, and takes the row weights from there; returns its
    /// linearisation too, if it can be used.
    pub(crate) fn new<R: Residual + ?Sized>(
        residual: &R,
        start: Tensor<2>,
        weights: &Weights,
        recorded: bool,
    ) -> Result<(Self, RowWeights, Option<Evaluation>), Error> {
        // What is recorded beside a tracked start and never differentiated stays on Burn's tape, which every backward
        // pass then walks over.
        let start = match (recorded, weights) {
            (true, _) | (_, Weights::RowScales) => start,
            (false, Weights::None | Weights::Given(_)) => fixed(start),
        };
        let (values, jacobian) = evaluation::linearise(residual, &start)?;
        let none = RowWeights(None);
        let at = Evaluation::of(values.clone(), jacobian.clone(), &none, recorded)?;
        let good = at.finite.iter().position(|finite| *finite);
        if let Some(good) = good.filter(|_| at.finite.contains(&false)) {
            let start = Self::borrowing(start, &at.finite, good);
            let linearised = || Ok(evaluation::linearise(residual, &start.point)?.1);
            let weights = RowWeights::new(weights, residual, &start.point, linearised)?;
            return Ok((start, weights, None));
        }
        let weights = RowWeights::new(weights, residual, &start, || Ok(jacobian.clone()))?;
        let at = match weights.0 {
            None => at,
            Some(_) => Evaluation::of(values, jacobian, &weights.of_run(recorded), recorded)?,
        };
        let start = Self {
            point: start,
            lost: None,
        };
        Ok((start, weights, Some(at)))
    }

    /// Samples that are not finite start with the variables of the sample `good`.
    fn borrowing(start: Tensor<2>, finite: &[bool], good: usize) -> Self {
        let lost: Vec<bool> = finite.iter().map(|finite| !finite).collect();
        let borrowed = fixed(start.clone())
            .slice_dim(0, good..good + 1)
            .expand(start.dims());
        Self {
            point: host::replace_samples(start.clone(), &lost, borrowed),
            lost: Some((lost, start)),
        }
    }
}

/// Where the batch stands.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) y: Tensor<2>,
    /// The variables before the last step: what a sample returns to when its residual is not finite.
    previous: Tensor<2>,
    pub(crate) status: Vec<Option<Status>>,
    iterations: Vec<usize>,
    pub(crate) damping: Vec<f64>,
    pub(crate) history: Vec<IterationRecord>,
    norms: Vec<f64>,
    /// Whether `norms` belong to `y`.
    pub(crate) norms_are_current: bool,
    recorded: bool,
    lost: Option<(Vec<bool>, Tensor<2>)>,
}

impl State {
    pub(crate) fn new(start: Start, settings: &Settings, recorded: bool) -> Self {
        let batch = start.point.dims()[0];
        let status = match &start.lost {
            None => vec![None; batch],
            Some((lost, _)) => lost
                .iter()
                .map(|lost| lost.then_some(Status::NonFinite))
                .collect(),
        };
        let constant = |tensor| if recorded { tensor } else { fixed(tensor) };
        let y = constant(start.point);
        Self {
            previous: y.clone(),
            y,
            status,
            iterations: vec![0; batch],
            history: vec![],
            damping: vec![settings.damping.initial(); batch],
            norms: vec![f64::NAN; batch],
            norms_are_current: false,
            recorded,
            lost: start.lost.map(|(lost, start)| (lost, constant(start))),
        }
    }

    pub(crate) fn finished(&self) -> bool {
        self.status.iter().all(Option::is_some)
    }

    fn running(&self) -> Vec<bool> {
        self.status.iter().map(Option::is_none).collect()
    }

    pub(crate) fn stop_the_rest(&mut self) {
        for status in &mut self.status {
            status.get_or_insert(Status::Stopped);
        }
    }

    /// Linearises at the variables unless `known`, after taking samples that are not finite there
    /// back.
    pub(crate) fn evaluate<R: Residual + ?Sized>(
        &mut self,
        residual: &R,
        weights: &RowWeights,
        known: Option<Evaluation>,
    ) -> Result<Evaluation, Error> {
        let mut at = match known {
            Some(at) => at,
            None => Evaluation::new(residual, &self.y, weights, self.recorded)?,
        };
        if self.take_back(&at.finite) {
            // Evaluated again, so that no operation on the abandoned point stays on the tape: a zero
            // cotangent times its infinite derivatives would be NaN.
            at = Evaluation::new(residual, &self.y, weights, self.recorded)?;
        }
        self.norms.clone_from(&at.norms);
        self.norms_are_current = true;
        Ok(at)
    }

    /// Stops running samples that are not finite at their previous variables, and does not count the
    /// step from there; whether there were any.
    fn take_back(&mut self, finite: &[bool]) -> bool {
        let bad: Vec<bool> = self
            .status
            .iter()
            .zip(finite)
            .map(|(status, finite)| {
                // One that stopped by its last step has moved too.
                !finite
                    && matches!(
                        status,
                        None | Some(Status::ConvergedByStep | Status::Stopped)
                    )
            })
            .collect();
        if !bad.contains(&true) {
            return false;
        }
        for b in (0..bad.len()).filter(|&b| bad[b]) {
            self.status[b] = Some(Status::NonFinite);
            self.iterations[b] = self.iterations[b].saturating_sub(1);
        }
        self.y = host::replace_samples(self.y.clone(), &bad, self.previous.clone());
        true
    }

    pub(crate) fn stop_by_residual(&mut self, settings: &Settings) {
        let below = self.below(&self.norms, settings.residual_tolerance, settings.stopping);
        self.stop(&below, Status::ConvergedByResidual);
    }

    /// Which running samples the stopping rule ends for these norms.
    fn below(&self, norms: &[f64], tolerance: f64, stopping: Stopping) -> Vec<bool> {
        let running = self.running();
        let small = |b: usize| running[b] && norms[b] < tolerance;
        match stopping {
            Stopping::PerSample => (0..norms.len()).map(small).collect(),
            // Samples that broke down do not hold up the others.
            Stopping::WholeBatch => {
                let all = (0..norms.len()).all(|b| !running[b] || small(b));
                running.iter().map(|running| *running && all).collect()
            }
        }
    }

    fn stop(&mut self, which: &[bool], with: Status) {
        for (status, _) in self.status.iter_mut().zip(which).filter(|(_, stop)| **stop) {
            *status = Some(with);
        }
    }

    /// Takes one step with every running sample; returns max|Δ| of each.
    pub(crate) fn step<R: Residual + ?Sized>(
        &mut self,
        settings: &Settings,
        residual: &R,
        weights: &RowWeights,
        at: &Evaluation,
    ) -> Result<Vec<f64>, Error> {
        let [batch, n] = self.y.dims();
        let running = self.running();
        let mut steps = at.linear.steps(&self.damping, &running);
        let step_norm = evaluation::max_abs_rows(&steps.delta, n, batch);
        for b in (0..batch).filter(|&b| running[b]) {
            let can_raise =
                matches!(settings.damping, Damping::Adaptive(a) if self.damping[b] < a.max);
            if steps.solved(b) || can_raise {
                self.iterations[b] += 1;
            } else {
                self.status[b] = Some(Status::Singular);
            }
        }
        self.adapt(settings, residual, weights, at, &mut steps)?;

        let taken: Vec<bool> = (0..batch).map(|b| steps.solved(b)).collect();
        if taken.contains(&true) {
            let inputs = vec![
                Input::new(at.jacobian.clone()),
                Input::new(at.residual.clone()),
            ];
            let delta = std::mem::take(&mut steps.delta);
            let adjoint = steps.into_adjoint();
            let delta = host::record(
                delta,
                [batch, n],
                &self.y.device(),
                self.y.dtype(),
                inputs,
                adjoint,
            );
            let moved = self.y.clone() - delta;
            self.previous = std::mem::replace(&mut self.y, moved);
            self.norms_are_current = false;
        }
        // A step that was rejected says nothing, however short: λ may have made it so.
        let lengths: Vec<f64> = (0..batch)
            .map(|b| {
                if taken[b] {
                    step_norm[b]
                } else {
                    f64::INFINITY
                }
            })
            .collect();
        let small = self.below(&lengths, settings.step_tolerance, settings.stopping);
        self.stop(&small, Status::ConvergedByStep);
        Ok(step_norm)
    }

    /// With adaptive damping: takes back the steps that do not pay, and changes λ.
    fn adapt<R: Residual + ?Sized>(
        &mut self,
        settings: &Settings,
        residual: &R,
        weights: &RowWeights,
        at: &Evaluation,
        steps: &mut Steps,
    ) -> Result<(), Error> {
        let Damping::Adaptive(adaptive) = settings.damping else {
            return Ok(());
        };
        let [batch, n] = self.y.dims();
        let delta = host::write(
            steps.delta.clone(),
            [batch, n],
            &self.y.device(),
            self.y.dtype(),
        );
        let trial = fixed(self.y.clone()) - delta;
        let (_, trial) = evaluation::values(residual, &trial, weights)?;
        let (old, new) = (at.costs(), evaluation::costs(&trial, at.linear.rows));
        let rounding = COST_ROUNDING
            * self
                .y
                .dtype()
                .finfo()
                .map_or(f64::EPSILON, |info| info.epsilon);
        for b in (0..batch).filter(|&b| self.status[b].is_none()) {
            let predicted =
                at.linear
                    .predicted_decrease(b, &steps.delta[b * n..][..n], self.damping[b]);
            let noise = rounding * old[b];
            if steps.solved(b) && predicted <= noise && new[b] <= old[b] + noise {
                // Nothing left to measure: the step is taken and λ kept, or samples with a residual
                // left would stall where the cost is flat, half the digits short of the solution.
                continue;
            }
            // False for a NaN: a trial that is not finite.
            let accepted = steps.solved(b) && (old[b] - new[b]) / predicted > adaptive.accept;
            if !accepted {
                steps.reject(b);
            }
            self.damping[b] = adaptive.update(self.damping[b], accepted);
        }
        Ok(())
    }

    /// Brings residuals up to date and gives every sample a status.
    pub(crate) fn finish<R: Residual + ?Sized>(
        &mut self,
        settings: &Settings,
        residual: &R,
        weights: &RowWeights,
    ) -> Result<(), Error> {
        let (batch, m) = (self.y.dims()[0], residual.rows());
        if !self.norms_are_current {
            let (plain, _) = evaluation::values(residual, &self.y, weights)?;
            let mut norms = evaluation::max_abs_rows(&plain, m, batch);
            let finite: Vec<bool> = norms.iter().map(|v| v.is_finite()).collect();
            if self.take_back(&finite) {
                let (plain, _) = evaluation::values(residual, &self.y, weights)?;
                norms = evaluation::max_abs_rows(&plain, m, batch);
            }
            self.norms = norms;
        }
        self.stop_by_residual(&Settings {
            stopping: Stopping::PerSample,
            ..*settings
        });
        for status in &mut self.status {
            status.get_or_insert(Status::MaxIterations);
        }
        for (b, norm) in self.norms.iter_mut().enumerate() {
            let lost = self.lost.as_ref().is_some_and(|(lost, _)| lost[b]);
            if lost || !norm.is_finite() {
                *norm = f64::NAN;
            }
        }
        Ok(())
    }

    /// How each sample ended, once the solve is over.
    pub(crate) fn statuses(&self) -> Vec<Status> {
        self.status
            .iter()
            .map(|status| status.unwrap_or(Status::MaxIterations))
            .collect()
    }

    /// The solution, with implicit gradients if there are any.
    pub(crate) fn into_solution(self, implicit: Option<ImplicitGradient>) -> Solution {
        let status = self.statuses();
        let (mut y, gradient) = match implicit {
            None => (self.y, None),
            Some(implicit) => (implicit.y, Some(implicit.quality)),
        };
        if let Some((lost, start)) = self.lost {
            y = host::replace_samples(y, &lost, start);
        }
        Solution {
            y,
            status,
            iterations: self.iterations,
            residual_norm: self.norms,
            history: self.history,
            gradient,
        }
    }
}
