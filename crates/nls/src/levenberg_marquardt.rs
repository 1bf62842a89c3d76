use std::ops::ControlFlow;

use burn::tensor::Tensor;
use feasible_core::host;

use crate::state::{Start, State};
use crate::{
    Backward, Error, Iteration, IterationRecord, Residual, Settings, Solution, Status, Weights,
    implicit,
};

/// Gauss-Newton and Levenberg-Marquardt for a batch of nonlinear least-squares problems.
///
/// # Problem
///
/// min over y of ½‖W r(y)‖², W = diag(w), sample by sample.
///
/// # Iteration
///
/// y ← y − Δ with (JᵀW²J + λI) Δ = JᵀW²r. Where no more rows than variables take part the m×m system
/// Δ = JᵀW(WJJᵀW + λI)⁻¹Wr is solved instead; rows of zeros do not take part. At λ = 0 that is the
/// shortest step with JΔ = r, and with more rows than variables the least-squares one. Systems are
/// factored in f64 by Cholesky, whatever the precision of the tensors, large batches on several
/// cores.
///
/// In each iteration: r and J; the residual test; the step; with adaptive damping its acceptance;
/// the step test; the callback.
///
/// # Shapes
///
/// Start and solution `[batch, n]`, r `[batch, m]`, J `[batch, m, n]`.
///
/// # Adjoint
///
/// As [`Backward`] says.
///
/// # Errors
///
/// Wrong shapes and numbers in the start that are not finite. Whatever goes wrong with a sample
/// later is its [`Status`]; its variables stay at the last iterate where the residual was finite,
/// or at its start if it was nowhere, with the unrolled gradient of the steps to there, and other
/// samples are not affected, in values or gradients.
/// (One exception: a sample whose residual is not finite even at another sample's variables, because
/// its own parameters are bad, can make gradients of tensors shared by the batch NaN.)
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
        Ok(Self {
            settings,
            weights: Weights::None,
        })
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
    pub fn solve<R: Residual + ?Sized>(
        &self,
        residual: &R,
        start: Tensor<2>,
    ) -> Result<Solution, Error> {
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
        if batch > 0 && n == 0 {
            let expected = "[batch, n] with at least one variable".to_owned();
            return Err(feasible_core::Error::shape("start", &[batch, n], expected).into());
        }
        if batch == 0 || residual.rows() == 0 {
            return Ok(nothing_to_do(start));
        }
        let recorded = self.settings.backward == Backward::Unrolled;
        let (start, weights, mut evaluation) =
            Start::new(residual, start, &self.weights, recorded)?;
        let run_weights = weights.of_run(recorded);
        let mut state = State::new(start, &self.settings, recorded);
        for index in 0..self.settings.max_iterations {
            let at = state.evaluate(residual, &run_weights, evaluation.take())?;
            state.stop_by_residual(&self.settings);
            if state.finished() {
                break;
            }
            let step_norm = state.step(&self.settings, residual, &run_weights, &at)?;
            let cost = at.costs();
            if let Some(callback) = callback.as_mut() {
                let iteration = Iteration {
                    index,
                    y: &state.y,
                    cost: &cost,
                    residual_norm: &at.norms,
                    step_norm: &step_norm,
                    damping: &state.damping,
                    status: &state.status,
                };
                let flow = callback(&iteration, residual);
                residual.check_batch(batch)?;
                state.norms_are_current = false;
                if flow.is_break() {
                    state.stop_the_rest();
                }
            }
            state.history.push(IterationRecord {
                cost,
                step_norm,
                damping: state.damping.clone(),
            });
            if callback.is_none() && state.norms_are_current {
                // No sample moved: the linearisation still holds.
                evaluation = Some(at);
            }
            if state.finished() {
                break;
            }
        }
        state.finish(&self.settings, residual, &run_weights)?;
        if recorded {
            return Ok(state.into_solution(None));
        }
        let (y, status) = (&state.y, state.statuses());
        let gradient = implicit::differentiate(residual, &weights, y, &status, &self.settings)?;
        Ok(state.into_solution(gradient))
    }
}

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
    residual.check_batch(batch)?;
    host::read_finite("start", start)?;
    Ok(())
}

/// Without rows or samples the start is the solution.
fn nothing_to_do(start: Tensor<2>) -> Solution {
    let batch = start.dims()[0];
    Solution {
        y: start,
        status: vec![Status::ConvergedByResidual; batch],
        iterations: vec![0; batch],
        residual_norm: vec![0.0; batch],
        history: vec![],
        gradient: None,
    }
}
