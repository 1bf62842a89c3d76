//! The part of a run that one process trains.

use std::fs;
use std::ops::ControlFlow;
use std::time::Instant;

use feasible_record::{EventKind, RunReader, RunStatus, RunWriter};
use serde_json::json;

use crate::Error;
use crate::config::RunConfig;
use crate::evaluate::Evaluation;
use crate::figures::{StepFigures, epoch_values};
use crate::measure::{Instruments, Values};
use crate::moments::{Moment, Recorded};
use crate::observer::{EpochSummary, Event, Observer};
use crate::trainer::{Diverged, Trainer};

/// Checkpoints kept beside the best one: two, so that one damaged file does not lose a run.
const KEPT: usize = 2;

pub(super) struct Session<'a, 'o> {
    pub(super) name: &'a str,
    pub(super) config: &'a RunConfig,
    pub(super) trainer: Trainer<'a>,
    pub(super) writer: RunWriter,
    pub(super) observer: &'o mut dyn Observer,
    pub(super) instruments: Instruments,
    /// Seconds of steps, and of measurements.
    pub(super) spent: Spent,
}

/// Seconds of steps and of measurements in this process.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    training: f64,
    measuring: f64,
}

/// How the training came to an end.
enum Ended {
    Finished,
    Diverged,
    /// The observer asked for it.
    Stopped,
}

impl Session<'_, '_> {
    /// Trains until the run ends, and writes down how: its status, and its seconds of training over
    /// all its parts. `None` if the observer stopped it. `faults` are told first.
    pub(super) fn run(mut self, faults: &[String]) -> Result<Option<(RunStatus, f64)>, Error> {
        if faults.iter().any(|fault| self.tell(fault).is_break()) {
            return Ok(None);
        }
        let ended = self.train();
        let (steps, seconds) = (self.trainer.steps(), self.trainer.wall_seconds());
        let status = match ended {
            Ok(Ended::Stopped) => return Ok(None),
            Ok(Ended::Finished) => {
                self.writer.finish()?;
                RunStatus::Finished
            }
            Ok(Ended::Diverged) => {
                let status = RunStatus::Diverged { step: steps + 1 };
                let reason = "the prediction, its violation or the loss is not finite";
                self.writer.event(EventKind::Warning, steps, reason)?;
                self.writer.set_status(status.clone())?;
                status
            }
            Err(error) => {
                // The folder may be what failed; the first error is the one to report.
                let reason = error.to_string();
                let _ = self.writer.set_status(RunStatus::Failed { reason });
                return Err(error);
            }
        };
        Ok(Some((status, seconds)))
    }

    fn train(&mut self) -> Result<Ended, Error> {
        if self.config.training.keep_every.is_some() && self.trainer.steps() == 0 {
            self.save()?;
        }
        while self.trainer.epochs() < self.config.training.epochs {
            if let ControlFlow::Break(ended) = self.epoch()? {
                return Ok(ended);
            }
        }
        Ok(Ended::Finished)
    }

    /// Trains and records one epoch. In the last, what belongs to the run's end comes before its
    /// checkpoint, so that a run that has it is complete.
    fn epoch(&mut self) -> Result<ControlFlow<Ended>, Error> {
        let training = &self.config.training;
        let epoch = self.trainer.epochs();
        let batches = self.trainer.begin_epoch()?;
        if epoch == 0 {
            let recorded = self.moment(Moment::Start)?;
            self.keep(epoch, recorded)?;
        }
        let start = Instant::now();
        let taken = match self.steps(epoch, &batches)? {
            ControlFlow::Continue(taken) => taken,
            ControlFlow::Break(ended) => return Ok(ControlFlow::Break(ended)),
        };
        let seconds = start.elapsed().as_secs_f64();
        self.spent.training += seconds;

        let mut values = epoch_values(&taken);
        values.push(("epoch.seconds", seconds));
        if let Some(epsilon) = self.trainer.epsilon() {
            values.push(("epoch.epsilon_max", epsilon.into_iter().fold(0.0, f64::max)));
        }
        self.record(epoch, "", &values)?;
        let validation = if training.validates(epoch) {
            match self.trainer.validate()? {
                Ok(evaluation) => Some(evaluation),
                Err(Diverged) => return Ok(ControlFlow::Break(Ended::Diverged)),
            }
        } else {
            None
        };
        let dynamics = self.measure(epoch)?;
        let moment = Moment::after(epoch + 1, training);
        let recorded = moment.map(|moment| self.moment(moment)).transpose()?;
        self.trainer.end_epoch();
        if let Some(recorded) = recorded {
            self.keep(epoch, recorded)?;
        }
        if !dynamics.is_empty() {
            self.record(epoch, "dynamics.", &dynamics)?;
        }
        if let Some(evaluation) = &validation {
            self.record(epoch, "valid.", &evaluation.values())?;
        }
        if training.is_last(epoch) {
            let Ok((evaluation, seconds)) = self.trainer.test()? else {
                return Ok(ControlFlow::Break(Ended::Diverged));
            };
            let mut values = evaluation.values();
            values.push(("seconds", seconds));
            self.record(epoch, "test.", &values)?;
            if self.warn_of(&evaluation)?.is_break() {
                return Ok(ControlFlow::Break(Ended::Stopped));
            }
        }
        if training.checkpoints(epoch) {
            self.save()?;
        }
        let loss = values
            .iter()
            .find(|(name, _)| *name == "epoch.loss")
            .map_or(f64::NAN, |(_, loss)| *loss);
        let summary = EpochSummary {
            seconds,
            loss,
            validation_violation: validation.as_ref().map(|v| v.violation_max),
        };
        let event = Event::Epoch { epoch, summary };
        Ok(stop_on_break(self.observer.observe(&event)))
    }

    fn steps(
        &mut self,
        epoch: usize,
        batches: &[Vec<usize>],
    ) -> Result<ControlFlow<Ended, Vec<StepFigures>>, Error> {
        let mut taken = Vec::new();
        for (index, samples) in batches.iter().enumerate() {
            let Ok(figures) = self.trainer.step(samples)? else {
                return Ok(ControlFlow::Break(Ended::Diverged));
            };
            if figures.details.is_some() {
                self.record(epoch, "", &figures.values())?;
            }
            taken.push(figures);
            let event = Event::Step {
                epoch,
                step: index + 1,
                loss: figures.loss,
                violation: figures.details.map(|details| details.violation_max),
            };
            if self.observer.observe(&event).is_break() {
                return Ok(ControlFlow::Break(Ended::Stopped));
            }
        }
        Ok(ControlFlow::Continue(taken))
    }

    /// The dynamics that are due, unless they have had their share of the time.
    fn measure(&mut self, epoch: usize) -> Result<Values, Error> {
        let training = &self.config.training;
        let limit = training.measure_share.unwrap_or(f64::INFINITY);
        let late = self.spent.measuring > limit * self.spent.training && !training.is_last(epoch);
        if !training.measures(epoch) || late {
            return Ok(Vec::new());
        }
        let start = Instant::now();
        let mut values = self.trainer.measure(&mut self.instruments)?;
        self.spent.measuring += start.elapsed().as_secs_f64();
        if !values.is_empty() {
            values.push(("share", self.spent.measuring / self.spent.training));
        }
        Ok(values)
    }

    /// Spectra and landscapes of a moment, in files of the run's folder.
    fn moment(&mut self, moment: Moment) -> Result<Recorded, Error> {
        let start = Instant::now();
        let recorded = self.trainer.record_moment(self.writer.path(), moment)?;
        if !recorded.values.is_empty() {
            self.spent.measuring += start.elapsed().as_secs_f64();
        }
        Ok(recorded)
    }

    fn keep(&mut self, epoch: usize, recorded: Recorded) -> Result<(), Error> {
        if !recorded.values.is_empty() {
            self.record(epoch, "dynamics.", &recorded.values)?;
        }
        for (kind, payload) in recorded.files {
            self.writer.event(kind, self.trainer.steps(), payload)?;
        }
        Ok(())
    }

    /// Tells the observer of something doubtful.
    fn tell(&mut self, message: &str) -> ControlFlow<()> {
        self.observer.observe(&Event::Warning {
            run: self.name,
            message,
        })
    }

    /// Samples that the test's figures have nothing or nothing good to say of.
    fn warn_of(&mut self, test: &Evaluation) -> Result<ControlFlow<()>, Error> {
        let mut doubts = Vec::new();
        if test.failed > 0 {
            doubts.push(format!("the layer did not converge for {}", test.failed));
        }
        if test.unreferenced > 0 {
            doubts.push(format!(
                "there is no reference optimum for {}",
                test.unreferenced
            ));
        }
        if doubts.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let message = format!(
            "of the {} test samples, {}",
            test.samples,
            doubts.join(", and ")
        );
        let payload = json!({
            "message": message, "test_failed": test.failed, "test_unreferenced": test.unreferenced,
        });
        let steps = self.trainer.steps();
        self.writer.event(EventKind::Warning, steps, payload)?;
        Ok(self.tell(&message))
    }

    fn record(&mut self, epoch: usize, prefix: &str, values: &[(&str, f64)]) -> Result<(), Error> {
        let named: Vec<(String, f64)> = values
            .iter()
            .map(|(name, value)| (format!("{prefix}{name}"), *value))
            .collect();
        let named: Vec<(&str, f64)> = named
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        let (steps, seconds) = (self.trainer.steps(), self.trainer.wall_seconds());
        Ok(self.writer.metric(steps, epoch as u64, seconds, &named)?)
    }

    /// Writes a checkpoint, then removes those that are neither among the last, nor the best, nor to
    /// be kept.
    fn save(&mut self) -> Result<(), Error> {
        let checkpoint = self.trainer.checkpoint().to_bytes();
        let bytes = checkpoint.map_err(|fault| Error::Checkpoint {
            path: self.writer.path().to_path_buf(),
            fault,
        })?;
        self.writer.checkpoint(self.trainer.steps(), &bytes)?;
        let checkpoints = RunReader::open(self.writer.path())?.checkpoints()?;
        let old = checkpoints.len().saturating_sub(KEPT);
        let best = self.trainer.best().map(|best| best.step);
        let an_epoch = self.trainer.steps_an_epoch();
        let kept = |step: u64| {
            let epochs = usize::try_from(step / an_epoch);
            epochs.is_ok_and(|epochs| self.config.training.keeps(epochs))
        };
        for checkpoint in &checkpoints[..old] {
            if best != Some(checkpoint.step) && !kept(checkpoint.step) {
                fs::remove_file(&checkpoint.path).map_err(Error::io("remove", &checkpoint.path))?;
            }
        }
        Ok(())
    }
}

fn stop_on_break(flow: ControlFlow<()>) -> ControlFlow<Ended> {
    match flow {
        ControlFlow::Continue(()) => ControlFlow::Continue(()),
        ControlFlow::Break(()) => ControlFlow::Break(Ended::Stopped),
    }
}
