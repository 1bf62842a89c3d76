//! A study's progress on standard error: a bar on a terminal, lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use feasible_lab::{Beginning, EpochSummary, Event, Observer};
use feasible_record::RunStatus;
use indicatif::{ProgressBar, ProgressStyle};

use crate::pace::Pace;

/// Without a terminal an epoch's line is left out if the last one is younger than this, so that the
/// log of a long study stays readable.
const PAUSE: Duration = Duration::from_secs(5);

pub(crate) struct Progress {
    terminal: bool,
    bar: ProgressBar,
    run: Run,
    /// The problem whose optimal values are being computed.
    referenced: Option<String>,
    last_line: Option<Instant>,
}

/// The run being trained.
#[derive(Default)]
struct Run {
    /// Which of how many: `[2/8]`.
    position: String,
    name: String,
    epochs: usize,
    steps: usize,
    pace: Pace,
    epoch_began: Option<Instant>,
    violation: Violation,
}

/// The largest violation to show: that of the last validation until another epoch has ended, else
/// that of the last recorded step.
#[derive(Debug, Clone, Copy, Default)]
struct Violation {
    validated: Option<f64>,
    trained: Option<f64>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            terminal: io::stderr().is_terminal(),
            bar: ProgressBar::hidden(),
            run: Run::default(),
            referenced: None,
            last_line: None,
        }
    }

    fn line(&self, text: &str) {
        if self.terminal && !self.bar.is_hidden() {
            self.bar.println(text);
        } else {
            // Progress is not worth failing for.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    fn begin(
        &mut self,
        run: &str,
        index: usize,
        total: usize,
        epochs: usize,
        steps: usize,
        beginning: Beginning,
    ) {
        self.clear();
        let position = format!("[{}/{total}]", index + 1);
        let first_epoch = match beginning {
            Beginning::Skipped => return self.line(&format!("{position} {run}: ended before")),
            Beginning::New => 0,
            Beginning::Resumed(first) => {
                self.line(&format!(
                    "{position} {run}: goes on after epoch {first} of {epochs}"
                ));
                first
            }
        };
        self.run = Run {
            position,
            name: run.to_owned(),
            epochs,
            steps,
            epoch_began: Some(Instant::now()),
            ..Run::default()
        };
        self.last_line = None;
        if self.terminal {
            self.bar = ProgressBar::new((epochs * steps) as u64)
                .with_style(style("{prefix}\n  {bar:30} {msg}"));
            self.bar.set_prefix(self.run.prefix());
            self.bar.set_position((first_epoch * steps) as u64);
        }
    }

    fn step(&mut self, epoch: usize, step: usize, loss: f64, violation: Option<f64>) {
        self.run.violation.trained = violation.or(self.run.violation.trained);
        if !self.terminal {
            return;
        }
        let run = &self.run;
        let (violation, left) = (run.violation.in_words(), run.left(epoch, step));
        self.bar.set_position((epoch * run.steps + step) as u64);
        self.bar.set_message(format!(
            "epoch {}/{}  loss {loss:.4}{violation}  {left}",
            epoch + 1,
            run.epochs
        ));
    }

    fn epoch(&mut self, epoch: usize, summary: EpochSummary) {
        self.run.violation.validated = summary.validation_violation;
        let now = Instant::now();
        if let Some(began) = self.run.epoch_began.replace(now) {
            self.run.pace.epoch((now - began).as_secs_f64());
        }
        let last = epoch + 1 == self.run.epochs;
        let quiet = self.last_line.is_some_and(|at| at.elapsed() < PAUSE);
        if self.terminal || (quiet && !last) {
            return;
        }
        let run = &self.run;
        let (violation, left) = (run.violation.in_words(), run.left(epoch + 1, 0));
        self.line(&format!(
            "{}: epoch {}/{}  loss {:.4}{violation}  {:.2} s  {left}",
            run.prefix(),
            epoch + 1,
            run.epochs,
            summary.loss,
            summary.seconds
        ));
        self.last_line = Some(Instant::now());
    }

    fn end(&mut self, run: &str, status: &RunStatus, seconds: f64) {
        self.clear();
        let text = match status {
            RunStatus::Finished => format!("finished after {}", clock(seconds)),
            RunStatus::Diverged { step } => format!("diverged at step {step}"),
            RunStatus::Failed { reason } => format!("failed: {reason}"),
            _ => "was stopped".to_owned(),
        };
        self.line(&self.of_run(run, &text));
    }

    /// A run can end, or be warned of, before it begins: its position is not known then.
    fn of_run(&self, run: &str, text: &str) -> String {
        if self.run.name == run {
            format!("{}: {text}", self.run.prefix())
        } else {
            format!("{run}: {text}")
        }
    }

    fn references(&mut self, problem: &str, done: usize, total: usize) {
        let begins = self.referenced.as_deref() != Some(problem);
        if begins {
            self.clear();
            self.referenced = Some(problem.to_owned());
        }
        if self.terminal {
            if self.bar.is_hidden() {
                self.bar = ProgressBar::new(total as u64)
                    .with_style(style("optimal values of {prefix}\n  {bar:30} {pos}/{len}"));
                self.bar.set_prefix(problem.to_owned());
            }
            self.bar.set_position(done as u64);
        } else if begins {
            self.line(&format!("optimal values of {problem}: {total} samples"));
        }
        if done == total {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.bar.finish_and_clear();
        self.bar = ProgressBar::hidden();
    }
}

impl Run {
    fn prefix(&self) -> String {
        format!("{} {}", self.position, self.name)
    }

    /// The time left after whole `epochs` and `steps` of the next.
    fn left(&self, epochs: usize, steps: usize) -> String {
        let done = steps as f64 / self.steps.max(1) as f64;
        let here = self
            .epoch_began
            .map_or(0.0, |began| began.elapsed().as_secs_f64());
        let epochs = self.epochs.saturating_sub(epochs) as f64;
        self.pace
            .left(epochs, done, here)
            .map_or(String::new(), |seconds| format!("{} left", clock(seconds)))
    }
}

impl Violation {
    fn in_words(self) -> String {
        self.validated
            .or(self.trained)
            .map_or(String::new(), |v| format!("  violation {v:.1e}"))
    }
}

impl Observer for Progress {
    fn observe(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        match *event {
            Event::SetAside { folder } => {
                self.line(&format!("the old runs are in {}", folder.display()));
            }
            Event::References {
                problem,
                done,
                total,
            } => self.references(problem, done, total),
            Event::RunStarted {
                run,
                index,
                total,
                epochs,
                steps,
                beginning,
            } => {
                self.begin(run, index, total, epochs, steps, beginning);
            }
            Event::Step {
                epoch,
                step,
                loss,
                violation,
            } => self.step(epoch, step, loss, violation),
            Event::Epoch { epoch, summary } => self.epoch(epoch, summary),
            Event::Warning { run, message } => {
                self.line(&self.of_run(run, &format!("warning: {message}")));
            }
            Event::RunEnded {
                run,
                status,
                seconds,
            } => self.end(run, status, seconds),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates in this file are valid")
}

/// `1:02:03`, `2:03` or `3.2 s`.
fn clock(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, _) => format!("{seconds:.1} s"),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_read_well() {
        for (seconds, expected) in [
            (0.04, "0.0 s"),
            (59.2, "59.2 s"),
            (62.0, "1:02"),
            (3723.4, "1:02:03"),
        ] {
            assert_eq!(clock(seconds), expected);
        }
    }

    #[test]
    fn a_violation_is_shown_in_every_epoch() {
        let mut shown = Violation::default();
        assert_eq!(shown.in_words(), "");
        shown.trained = Some(0.5);
        assert_eq!(shown.in_words(), "  violation 5.0e-1");
        shown.validated = Some(0.25);
        assert_eq!(shown.in_words(), "  violation 2.5e-1");
    }
}
