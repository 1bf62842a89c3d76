use std::ops::ControlFlow;
use std::path::Path;

use feasible_record::RunStatus;

/// What happens in a study, as it happens.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The study's old runs were put aside.
    SetAside {
        /// Where they are now.
        folder: &'a Path,
    },
    /// Optimal values are being computed for a problem.
    References {
        /// The problem's label.
        problem: &'a str,
        /// Samples done.
        done: usize,
        /// Samples in all.
        total: usize,
    },
    /// A run begins, or goes on, or is passed over because it has ended before.
    RunStarted {
        /// The run's folder name.
        run: &'a str,
        /// Which run of the study, from 0.
        index: usize,
        /// Runs in the study.
        total: usize,
        /// Epochs it has in all.
        epochs: usize,
        /// Steps an epoch.
        steps: usize,
        /// How it begins.
        beginning: Beginning,
    },
    /// A step was taken.
    Step {
        /// Epoch, from 0.
        epoch: usize,
        /// Steps taken in this epoch.
        step: usize,
        /// Mean loss a sample.
        loss: f64,
        /// Largest violation of the true constraints in the batch, of a recorded step.
        violation: Option<f64>,
    },
    /// An epoch has ended.
    Epoch {
        /// Epoch, from 0.
        epoch: usize,
        /// Its figures.
        summary: EpochSummary,
    },
    /// Something that may make a run's numbers doubtful; it is in the run's events too.
    Warning {
        /// The run's folder name.
        run: &'a str,
        /// What, in words.
        message: &'a str,
    },
    /// A run has ended.
    RunEnded {
        /// The run's folder name.
        run: &'a str,
        /// How.
        status: &'a RunStatus,
        /// Seconds of training, over all its parts.
        seconds: f64,
    },
}

/// How a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// From scratch.
    New,
    /// After the checkpoint of so many epochs.
    Resumed(usize),
    /// Not at all: it ended in an earlier call.
    Skipped,
}

/// Figures of an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochSummary {
    /// Seconds of its steps.
    pub seconds: f64,
    /// Mean training loss a sample.
    pub loss: f64,
    /// Largest violation of the true constraints among the validation samples, in an epoch that is
    /// validated.
    pub validation_violation: Option<f64>,
}

/// Follows a study.
pub trait Observer {
    /// Is told of every event. `Break` stops the study there; the run can be resumed like a killed
    /// one.
    fn observe(&mut self, event: &Event<'_>) -> ControlFlow<()>;
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn observe(&mut self, _: &Event<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(&Event<'_>) -> ControlFlow<()>> Observer for F {
    fn observe(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        self(event)
    }
}
