use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Tensor;
use feasible_core::{SoftPenalty, Violations, host};
use feasible_data::{Part, Problem};
use feasible_nn::Mlp;
use feasible_repair::AdaptiveRelaxation;

use crate::batches::batches;
use crate::checkpoint::{Best, Checkpoint, CheckpointFault, Progress};
use crate::config::{OptimizerKind, RunConfig};
use crate::evaluate::{Evaluation, evaluate};
use crate::figures::{StepDetails, StepFigures};
use crate::loss::{self, Loss};
use crate::measure::{Instruments, Subject, Values};
use crate::moments::{Moment, Recorded, View};
use crate::random::{Purpose, derive, permutation};
use crate::start::{initial_network, relaxation};
use crate::task::References;
use crate::{Error, Method, Optimizer, Task, flow};

/// One network being trained: the published recipe, epoch by epoch.
///
/// The loss of a sample is f(x, y) plus the penalty for leaving the true box, at the repaired y, plus
/// the distance that the repair moved it where the method has a weight for it; a
/// step follows the gradient of the batch's SUM. Everything random is derived from seed and epoch,
/// so that a trainer restored from a [`Checkpoint`] goes on bit for bit (on a backend whose sums do
/// not depend on thread timing; flex is one for the sizes here).
///
/// Burn's random numbers belong to the whole process: two trainers at work in one process draw from
/// each other's stream and are not reproducible.
#[derive(Debug)]
pub struct Trainer<'a> {
    config: &'a RunConfig,
    task: &'a Task,
    references: &'a References,
    network: Mlp,
    optimizer: Optimizer,
    method: Method,
    penalty: SoftPenalty,
    relaxation: Option<AdaptiveRelaxation>,
    epochs: usize,
    steps: u64,
    best: Option<Best>,
    /// Found by the pass before the relaxation; the next step says so.
    diverged: bool,
    wall_before: f64,
    started: Instant,
}

/// The loss or the prediction stopped being finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diverged;

impl<'a> Trainer<'a> {
    /// A run before its first step.
    ///
    /// # Errors
    /// As [`RunConfig::validate`]; [`Error::Value`] if `references` has not one value for each
    /// sample of the task; otherwise if the network is refused.
    pub fn new(
        config: &'a RunConfig,
        task: &'a Task,
        references: &'a References,
    ) -> Result<Self, Error> {
        config.validate()?;
        references.check(task)?;
        let network = initial_network(config, task)?;
        if matches!(config.optimizer().kind, OptimizerKind::GradientFlow { .. })
            && config.training.batch < task.train_samples()
        {
            return Err(Error::value(
                "training.batch",
                config.training.batch,
                format!(
                    "at least {}, all training samples, for a gradient flow",
                    task.train_samples()
                ),
            ));
        }
        let relaxation = relaxation(config, task)?;
        Ok(Self {
            config,
            task,
            references,
            network,
            optimizer: Optimizer::new(config.optimizer()),
            method: Method::new(&config.method)?,
            penalty: loss::penalty(config),
            relaxation,
            epochs: 0,
            steps: 0,
            best: None,
            diverged: false,
            wall_before: 0.0,
            started: Instant::now(),
        })
    }

    /// The run as `checkpoint` has it.
    ///
    /// # Errors
    /// [`CheckpointFault::Mismatch`] if the checkpoint is of another network.
    pub fn restore(mut self, checkpoint: &Checkpoint) -> Result<Self, CheckpointFault> {
        self.network = checkpoint.load_module(self.network)?;
        self.optimizer
            .restore(checkpoint.optimizer(), self.task.device());
        let progress = checkpoint.progress.clone();
        self.epochs = progress.epochs;
        self.steps = progress.steps;
        self.best = progress.best;
        self.wall_before = progress.wall_seconds;
        self.relaxation = progress.relaxation;
        self.started = Instant::now();
        Ok(self)
    }

    /// The state to go on from.
    pub fn checkpoint(&self) -> Checkpoint {
        let progress = Progress {
            epochs: self.epochs,
            steps: self.steps,
            wall_seconds: self.wall_seconds(),
            relaxation: self.relaxation.clone(),
            best: self.best,
        };
        Checkpoint::of(&self.network, &self.optimizer, progress)
    }

    /// Whole epochs done.
    pub fn epochs(&self) -> usize {
        self.epochs
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The best checkpoint so far.
    pub fn best(&self) -> Option<Best> {
        self.best
    }

    /// Seconds of training so far, over all parts of the run.
    pub fn wall_seconds(&self) -> f64 {
        self.wall_before + self.started.elapsed().as_secs_f64()
    }

    /// The network as it is.
    pub fn network(&self) -> &Mlp {
        &self.network
    }

    /// ε of the current epoch, `[m]`; `None` without relaxation and in soft epochs.
    pub fn epsilon(&self) -> Option<Vec<f64>> {
        if self.is_soft() {
            return None;
        }
        self.relaxation
            .as_ref()
            .map(|relaxation| relaxation.epsilon(self.epochs))
    }

    /// The batches of the next epoch, each a list of training samples.
    pub fn begin_epoch(&mut self) -> Result<Vec<Vec<usize>>, Error> {
        let (seed, epoch) = (self.config.seed, self.epochs);
        if let Method::FsNet(layer) = &mut self.method {
            *layer = layer.clone().at_epoch(epoch);
        }
        let order = permutation(seed, epoch, self.task.train_samples());
        let batches = batches(&order, self.config.training.batch);
        if self
            .relaxation
            .as_ref()
            .is_some_and(|relaxation| relaxation.is_due(epoch))
        {
            self.task
                .device()
                .seed(derive(seed, Purpose::Relaxation(epoch)));
            self.begin_relaxation(&batches)?;
        }
        self.task
            .device()
            .seed(derive(seed, Purpose::Dropout(epoch)));
        Ok(batches)
    }

    /// One no-gradient pass in training mode, as published: dropout is active and batch
    /// normalisation's statistics move. A network whose violations are not finite has diverged.
    fn begin_relaxation(&mut self, batches: &[Vec<usize>]) -> Result<(), Error> {
        let Some(relaxation) = &mut self.relaxation else {
            return Ok(());
        };
        for samples in batches {
            let x = self.task.training_inputs(samples);
            let raw = self.network.forward(x.clone()).detach();
            let constraints = self.task.training().constraints(x)?;
            let violations = Violations::of(constraints.as_ref(), raw.clone());
            // Both, because a violation of NaN may be 0: some devices' ReLU drops it.
            if !all_finite(&raw)? || !all_finite(&violations.rows())? {
                self.diverged = true;
                return Ok(());
            }
            relaxation.observe(&violations)?;
        }
        Ok(())
    }

    /// One optimiser step on some training samples.
    ///
    /// # Errors
    /// [`Error::Value`] if `samples` is empty or has one that is not there; otherwise if the layer or
    /// the device fails. Numbers that are not finite are no error but `Err(Diverged)` inside.
    pub fn step(&mut self, samples: &[usize]) -> Result<Result<StepFigures, Diverged>, Error> {
        let there = self.task.train_samples();
        if samples.is_empty() || samples.iter().any(|&sample| sample >= there) {
            let expected = format!("some of 0 to {}, the training samples", there - 1);
            return Err(Error::value("samples", format!("{samples:?}"), expected));
        }
        if self.diverged {
            return Ok(Err(Diverged));
        }
        let problem = self.task.training();
        let x = self.task.training_inputs(samples);
        let raw = self.network.forward(x.clone());
        if !all_finite(&raw)? {
            return Ok(Err(Diverged));
        }
        let constraints = problem.constraints(x.clone())?;
        let loss = self.loss(problem);
        let parts = loss.parts(&x, &raw, constraints.as_ref())?;
        let means = parts.means()?;
        if !means.total().is_finite() {
            return Ok(Err(Diverged));
        }

        let mut gradients = parts.samples().sum().backward();
        self.network = match self.config.optimizer().kind {
            OptimizerKind::GradientFlow { substeps } => {
                let time = self.config.optimizer().learning_rate;
                match flow::advance(&self.network, &loss, &x, gradients, time, substeps)? {
                    Ok(network) => network,
                    Err(Diverged) => return Ok(Err(Diverged)),
                }
            }
            _ => self.optimizer.step(self.network.clone(), &mut gradients),
        };
        self.steps += 1;

        let recorded = self
            .steps
            .is_multiple_of(self.config.training.record_steps_every as u64);
        let details = if recorded {
            Some(StepDetails::of(
                raw,
                parts.values,
                constraints.as_ref(),
                &parts.repaired.iterations,
                parts.repaired.failed,
            )?)
        } else {
            None
        };
        Ok(Ok(StepFigures {
            loss: means.total(),
            objective: means.objective,
            penalty_upper: means.penalty_upper,
            penalty_lower: means.penalty_lower,
            details,
        }))
    }

    /// Counts the epoch as done.
    pub fn end_epoch(&mut self) {
        self.epochs += 1;
    }

    /// Figures of the validation samples, with the relaxation of the epoch at work, as published.
    /// Call it before [`Trainer::end_epoch`]. If the settings have a checkpoint after this epoch, it
    /// may be the best one.
    ///
    /// # Errors
    /// As [`Trainer::step`].
    pub fn validate(&mut self) -> Result<Result<Evaluation, Diverged>, Error> {
        let found = self.evaluate(Part::Validation, self.epsilon())?;
        if let Ok((evaluation, _)) = &found
            && self.may_be_best()
            && evaluation.loss.is_finite()
            && self.best.is_none_or(|best| evaluation.loss < best.loss)
        {
            self.best = Some(Best {
                step: self.steps,
                loss: evaluation.loss,
            });
        }
        Ok(found.map(|(evaluation, _)| evaluation))
    }

    /// Losses of different boxes, or with and without the layer, do not compare; and a best state
    /// that was not kept is of no use.
    fn may_be_best(&self) -> bool {
        let on_the_true_box = self
            .epsilon()
            .is_none_or(|epsilon| epsilon.iter().all(|&e| e == 0.0));
        on_the_true_box && !self.is_soft() && self.config.training.checkpoints(self.epochs)
    }

    /// Figures of the test samples on the true box, and the seconds of one forward pass (network
    /// and layer) over all of them in one batch, after a warm-up.
    ///
    /// # Errors
    /// As [`Trainer::step`].
    pub fn test(&self) -> Result<Result<(Evaluation, f64), Diverged>, Error> {
        self.evaluate(Part::Test, None)
    }

    /// The dynamics that the settings name, with the relaxation of the epoch at work. Call it before
    /// [`Trainer::end_epoch`]. Nothing of the run is changed.
    pub(crate) fn measure(&self, instruments: &mut Instruments) -> Result<Values, Error> {
        instruments.measure(&Subject {
            config: self.config,
            task: self.task,
            network: &self.network,
            optimizer: &self.optimizer,
            loss: &self.loss(self.task.training()),
        })
    }

    /// Spectra and landscapes that the settings name, as [`Trainer::measure`], written into the run's
    /// folder.
    pub(crate) fn record_moment(&self, folder: &Path, moment: Moment) -> Result<Recorded, Error> {
        let measure = &self.config.training.measure;
        if !measure.iter().any(|measure| measure.is_of_moments()) {
            return Ok(Recorded::default());
        }
        let raw = self
            .network
            .valid()
            .forward(self.task.inputs(Part::Validation));
        if self.diverged || !all_finite(&raw)? {
            return Ok(Recorded::default());
        }
        let view = View {
            config: self.config,
            task: self.task,
            network: &self.network,
            training: &self.loss(self.task.training()),
            evaluation: &self.loss(self.task.evaluation()),
            step: self.steps,
        };
        view.record(folder, moment)
    }

    /// Steps in an epoch.
    pub(crate) fn steps_an_epoch(&self) -> u64 {
        let order: Vec<usize> = (0..self.task.train_samples()).collect();
        batches(&order, self.config.training.batch).len() as u64
    }

    /// The loss of this epoch: without its layer in a soft one, with the box as it is relaxed.
    fn loss<'b>(&'b self, problem: &'b dyn Problem) -> Loss<'b> {
        let method = if self.is_soft() {
            &Method::Soft
        } else {
            &self.method
        };
        Loss::new(
            self.config,
            problem,
            method,
            self.epsilon(),
            self.task.dtype(),
        )
    }

    fn evaluate(
        &self,
        part: Part,
        epsilon: Option<Vec<f64>>,
    ) -> Result<Result<(Evaluation, f64), Diverged>, Error> {
        let network = self.network.valid();
        let problem = self.task.evaluation();
        let x = self.task.inputs(part);
        let raw = network.forward(x.clone());
        if !all_finite(&raw)? {
            return Ok(Err(Diverged));
        }
        let epsilon = epsilon.map(|epsilon| self.vector(epsilon, &raw));
        let soft = part == Part::Validation && self.is_soft();
        let method = if soft { &Method::Soft } else { &self.method };
        let references = match part {
            Part::Test => &self.references.test,
            _ => &self.references.validation,
        };
        let evaluation = evaluate(
            problem,
            x.clone(),
            raw,
            method,
            epsilon,
            &self.penalty,
            references,
        )?;
        let seconds = if part == Part::Test {
            // The evaluation was the warm-up.
            let start = Instant::now();
            let constraints = problem.constraints(x.clone())?;
            let repaired = method.apply(network.forward(x), constraints.as_ref(), None)?;
            // Devices work lazily: the numbers are there once they are read.
            host::read("y", &repaired.y)?;
            start.elapsed().as_secs_f64()
        } else {
            0.0
        };
        Ok(Ok((evaluation, seconds)))
    }

    fn is_soft(&self) -> bool {
        self.epochs < self.config.method.soft_epochs
    }

    fn vector(&self, values: Vec<f64>, like: &Tensor<2>) -> Tensor<1> {
        let rows = values.len();
        host::write(values, [rows], &like.device(), self.task.dtype())
    }
}

pub(crate) fn all_finite(tensor: &Tensor<2>) -> Result<bool, Error> {
    Ok(host::all_finite(&host::read("prediction", tensor)?))
}
