use std::ops::ControlFlow;

use burn::tensor::{Bool, Tensor, TensorData};
use feasible_core::host::{self, Input};

use crate::evaluation::{self, Evaluation, RowWeights, fixed};
use crate::step::Steps;
use crate::{Backward, Damping, Error, Iteration, Residual, Settings, Solution, Status, Stopping, Weights, implicit};

/// Gauss-Newton and Levenberg-Marquardt for a batch of nonlinear least-squares problems.
///
/// # Problem
///
/// min over y of ½‖W r(y)‖², W = diag(w), sample by sample.
///
/// # Iteration
///
/// y ← y − Δ with (JᵀW²J + λI) Δ = JᵀW²r. Where fewer rows than variables take part the m×m system
/// Δ = JᵀW(WJJᵀW + λI)⁻¹Wr is solved instead; rows of zeros do not take part. Systems are factored
/// in f64 by Cholesky, whatever the precision of the tensors, with samples spread over cores.
///
/// In each iteration: r and J; the residual test; the step; with adaptive damping its acceptance;
/// the step test; the callback.
///
/// # Adjoint
///
/// As [`Backward`] says.
///
/// # Errors
///
/// Wrong shapes and numbers in the start that are not finite. Whatever goes wrong with a sample
/// later is its [`Status`]; its variables stay at the last iterate where the residual was finite,
/// and other samples are not affected. A residual that is not finite at the START of a sample is
/// reported the same way, but backward passes through the residual's own operations may then give
/// gradients of tensors shared by the batch that are not finite.
///
/// # Cost
///
/// Per iteration one linearisation of the whole batch (stopped samples included), with adaptive
/// damping one more evaluation of r, and per running sample a product of m n k and a factorisation
/// of k³/3 multiplications, k = min(m, n).
///
/// # Reference
///
/// Nocedal and Wright, Numerical Optimization, 2nd ed., section 10.3; the damping is described at
/// [`crate::AdaptiveDamping`].
#[derive(Debug, Clone)]
pub struct LevenbergMarquardt {
    settings: Settings,
    weights: Weights,
}

impl LevenbergMarquardt {
    /// A solver with these settings and without weights.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        settings.validate()?;
        Ok(Self { settings, weights: Weights::None })
    }

    /// The same solver with row weights.
    #[must_use]
    pub fn with_weights(mut self, weights: Weights) -> Self {
        self.weights = weights;
        self
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Solves from `start`, `[batch, n]`.
    ///
    /// # Errors
    /// If `start` has another shape than the residual needs or is not finite; if the residual, its
    /// Jacobian or the weights have wrong shapes; see also [`Error::TrackedCapture`].
    pub fn solve<R: Residual + ?Sized>(&self, residual: &R, start: Tensor<2>) -> Result<Solution, Error> {
        let mut residual = residual;
        self.run(&mut residual, start, None)
    }

    /// As [`LevenbergMarquardt::solve`], and calls `callback` at the end of each iteration. It may
    /// change the residual, and stop the iterations with [`ControlFlow::Break`].
    ///
    /// Samples that have stopped stay so whatever the callback changes. Implicit differentiation is
    /// that of the problem that the callback left: how it came to it is not differentiated.
    ///
    /// # Errors
    /// As [`LevenbergMarquardt::solve`].
    pub fn solve_with<R: Residual>(
        &self,
        residual: &mut R,
        start: Tensor<2>,
        mut callback: impl FnMut(&Iteration<'_>, &mut R) -> ControlFlow<()>,
    ) -> Result<Solution, Error> {
        self.run(residual, start, Some(&mut callback))
    }

    fn run<R: Residual>(
        &self,
        residual: &mut R,
        start: Tensor<2>,
        mut callback: Option<&mut Callback<'_, R>>,
    ) -> Result<Solution, Error> {
        let [batch, n] = start.dims();
        check_start(residual, &start)?;
        if batch == 0 || n == 0 || residual.rows() == 0 {
            return Ok(nothing_to_do(start));
        }
        let weights = RowWeights::new(&self.weights, residual, &start)?;
        let recorded = self.settings.backward == Backward::Unrolled;
        let mut state = State::new(start.clone(), &self.settings, recorded);
        let run_weights = if recorded { weights.clone() } else { weights.fixed() };
        if !recorded {
            state.y = fixed(state.y);
        }
        let mut evaluation = None;
        for index in 0..self.settings.max_iterations {
            let at = match evaluation.take() {
                Some(at) => at,
                None => state.evaluate(residual, &run_weights)?,
            };
            state.stop_by_residual(&self.settings);
            if state.finished() {
                break;
            }
            let step_norm = state.step(&self.settings, residual, &run_weights, &at)?;
            if let Some(callback) = callback.as_mut() {
                let iteration = Iteration {
                    index,
                    y: &state.y,
                    cost: &at.costs(),
                    residual_norm: &at.norms,
                    step_norm: &step_norm,
                    damping: &state.damping,
                    status: &state.status,
                };
                let flow = callback(&iteration, residual);
                state.norms_are_current = false;
                if flow.is_break() {
                    state.stop_the_rest();
                }
            } else if state.norms_are_current {
                // No sample moved: the linearisation still holds.
                evaluation = Some(at);
            }
            if state.finished() {
                break;
            }
        }
        state.finish(&self.settings, residual, &run_weights)?;
        let mut solution = state.into_solution();
        if self.settings.backward == Backward::Implicit {
            implicit::attach(residual, &weights, &mut solution)?;
        }
        Ok(solution)
    }
}

/// Relative rounding of a cost, in units of the precision: sums of squares of a few dozen rows.
const COST_ROUNDING: f64 = 10.0;

type Callback<'a, R> = dyn FnMut(&Iteration<'_>, &mut R) -> ControlFlow<()> + 'a;

fn check_start<R: Residual + ?Sized>(residual: &R, start: &Tensor<2>) -> Result<(), Error> {
    let [batch, n] = start.dims();
    let expected_batch = residual.batch().unwrap_or(batch);
    if n != residual.variables() || batch != expected_batch {
        let expected = match residual.batch() {
            Some(batch) => format!("[{batch}, {}]", residual.variables()),
            None => format!("[batch, {}]", residual.variables()),
        };
        return Err(feasible_core::Error::shape("start", &[batch, n], expected).into());
    }
    host::read_finite("start", start)?;
    Ok(())
}

/// Without rows, variables or samples the start is the solution.
fn nothing_to_do(start: Tensor<2>) -> Solution {
    let batch = start.dims()[0];
    Solution {
        y: start,
        status: vec![Status::ConvergedByResidual; batch],
        iterations: vec![0; batch],
        residual_norm: vec![0.0; batch],
        gradient: None,
    }
}

/// Where the batch stands.
struct State {
    y: Tensor<2>,
    /// The variables before the last step: what a sample returns to when its residual is not finite.
    previous: Tensor<2>,
    status: Vec<Option<Status>>,
    iterations: Vec<usize>,
    damping: Vec<f64>,
    norms: Vec<f64>,
    /// Whether `norms` belong to `y`.
    norms_are_current: bool,
    recorded: bool,
}

impl State {
    fn new(start: Tensor<2>, settings: &Settings, recorded: bool) -> Self {
        let batch = start.dims()[0];
        Self {
            previous: start.clone(),
            y: start,
            status: vec![None; batch],
            iterations: vec![0; batch],
            damping: vec![settings.damping.initial(); batch],
            norms: vec![f64::NAN; batch],
            norms_are_current: false,
            recorded,
        }
    }

    fn finished(&self) -> bool {
        self.status.iter().all(Option::is_some)
    }

    fn running(&self) -> Vec<bool> {
        self.status.iter().map(Option::is_none).collect()
    }

    fn stop_the_rest(&mut self) {
        for status in &mut self.status {
            status.get_or_insert(Status::Stopped);
        }
    }

    /// Linearises at the variables, after taking samples that are not finite there back.
    fn evaluate<R: Residual + ?Sized>(&mut self, residual: &R, weights: &RowWeights) -> Result<Evaluation, Error> {
        let mut at = Evaluation::new(residual, &self.y, weights, self.recorded)?;
        if self.take_back(&at.finite) {
            // Evaluated again, so that no operation on the abandoned point stays on the tape: a zero
            // cotangent times its infinite derivatives would be NaN.
            at = Evaluation::new(residual, &self.y, weights, self.recorded)?;
        }
        self.norms.clone_from(&at.norms);
        self.norms_are_current = true;
        Ok(at)
    }

    /// Stops running samples that are not finite at their previous variables; whether there were any.
    fn take_back(&mut self, finite: &[bool]) -> bool {
        let bad: Vec<bool> = self.status.iter().zip(finite).map(|(status, finite)| {
            // One that stopped by its last step has moved too.
            !finite && matches!(status, None | Some(Status::ConvergedByStep | Status::Stopped))
        }).collect();
        if !bad.contains(&true) {
            return false;
        }
        for (status, _) in self.status.iter_mut().zip(&bad).filter(|(_, bad)| **bad) {
            *status = Some(Status::NonFinite);
        }
        let [batch, n] = self.y.dims();
        let mask = Tensor::<2, Bool>::from_data(TensorData::new(bad, [batch, 1]), &self.y.device()).expand([batch, n]);
        self.y = self.y.clone().mask_where(mask, self.previous.clone());
        true
    }

    fn stop_by_residual(&mut self, settings: &Settings) {
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
    fn step<R: Residual + ?Sized>(
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
            self.iterations[b] += 1;
            let can_raise = matches!(settings.damping, Damping::Adaptive(a) if self.damping[b] < a.max);
            if !steps.solved(b) && !can_raise {
                self.status[b] = Some(Status::Singular);
            }
        }
        let solved: Vec<bool> = (0..batch).map(|b| steps.solved(b)).collect();
        self.adapt(settings, residual, weights, at, &mut steps)?;

        if (0..batch).any(|b| steps.solved(b)) {
            let inputs = vec![Input::new(at.jacobian.clone()), Input::new(at.residual.clone())];
            let delta = std::mem::take(&mut steps.delta);
            let adjoint = steps.into_adjoint(at.linear.rows, n);
            let delta = host::record(delta, [batch, n], &self.y.device(), self.y.dtype(), inputs, adjoint);
            let moved = self.y.clone() - delta;
            self.previous = std::mem::replace(&mut self.y, moved);
            self.norms_are_current = false;
        }
        let mut small = self.below(&step_norm, settings.step_tolerance, settings.stopping);
        for b in 0..batch {
            small[b] &= solved[b];
        }
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
        let Damping::Adaptive(adaptive) = settings.damping else { return Ok(()) };
        let [batch, n] = self.y.dims();
        let delta = host::write(steps.delta.clone(), [batch, n], &self.y.device(), self.y.dtype());
        let trial = fixed(self.y.clone()) - delta;
        let (_, trial) = evaluation::values(residual, &trial, weights)?;
        let (old, new) = (at.costs(), evaluation::costs(&trial, at.linear.rows));
        let rounding = COST_ROUNDING * self.y.dtype().finfo().map_or(f64::EPSILON, |info| info.epsilon);
        for b in (0..batch).filter(|&b| self.status[b].is_none()) {
            let predicted = at.linear.predicted_decrease(b, &steps.delta[b * n..][..n], self.damping[b]);
            let noise = rounding * old[b];
            if steps.solved(b) && predicted <= noise && new[b] <= old[b] + noise {
                // Nothing left to measure: the step is taken and λ kept, or samples with a residual
                // left would stall where the cost is flat, half the digits short of the solution.
                continue;
            }
            // False for a NaN: a trial that is not finite.
            let accepted = steps.solved(b) && (old[b] - new[b]) / predicted > adaptive.accept;
            if !accepted {
                steps.reject(b, n);
            }
            self.damping[b] = adaptive.update(self.damping[b], accepted);
        }
        Ok(())
    }

    /// Brings residuals up to date and gives every sample a status.
    fn finish<R: Residual + ?Sized>(&mut self, settings: &Settings, residual: &R, weights: &RowWeights) -> Result<(), Error> {
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
        self.stop_by_residual(&Settings { stopping: Stopping::PerSample, ..*settings });
        for status in &mut self.status {
            status.get_or_insert(Status::MaxIterations);
        }
        for norm in self.norms.iter_mut().filter(|norm| !norm.is_finite()) {
            *norm = f64::NAN;
        }
        Ok(())
    }

    fn into_solution(self) -> Solution {
        Solution {
            y: self.y,
            status: self.status.into_iter().map(|status| status.unwrap_or(Status::MaxIterations)).collect(),
            iterations: self.iterations,
            residual_norm: self.norms,
            gradient: None,
        }
    }
}
