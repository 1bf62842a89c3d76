//! A study's progress on standard error: a bar on a terminal, lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use feasible_lab::{Beginning, EpochSummary, Event, Observer};
use feasible_record::RunStatus;
use indicatif::{ProgressBar, ProgressStyle};

/// Without a terminal an epoch's line is left out if the last one is younger than this, so that the
/// log of a long study stays readable.
const PAUSE: Duration = Duration::from_secs(5);

pub(crate) struct Progress {
    terminal: bool,
    bar: ProgressBar,
    run: Run,
    last_line: Option<Instant>,
}

#[derive(Default)]
struct Run {
    prefix: String,
    epochs: usize,
    steps: usize,
    first_epoch: usize,
    started: Option<Instant>,
    violation: Option<f64>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            terminal: io::stderr().is_terminal(),
            bar: ProgressBar::hidden(),
            run: Run::default(),
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
        let prefix = format!("[{}/{total}] {run}", index + 1);
        let first_epoch = match beginning {
            Beginning::Skipped => return self.line(&format!("{prefix}: ended before")),
            Beginning::New => 0,
            Beginning::Resumed(first) => {
                self.line(&format!(
                    "{prefix}: goes on after epoch {first} of {epochs}"
                ));
                first
            }
        };
        self.run = Run {
            prefix,
            epochs,
            steps,
            first_epoch,
            started: Some(Instant::now()),
            violation: None,
        };
        self.last_line = None;
        if self.terminal {
            self.bar = ProgressBar::new((epochs * steps) as u64)
                .with_style(style("{prefix}\n  {bar:30} {msg}"));
            self.bar.set_prefix(self.run.prefix.clone());
            self.bar.set_position((first_epoch * steps) as u64);
        }
    }

    fn step(&self, epoch: usize, step: usize, loss: f64) {
        if !self.terminal {
            return;
        }
        let run = &self.run;
        let violation = run
            .violation
            .map_or(String::new(), |v| format!("  violation {v:.1e}"));
        let left = run.left(epoch * run.steps + step);
        self.bar.set_position((epoch * run.steps + step) as u64);
        self.bar.set_message(format!(
            "epoch {}/{}  loss {loss:.4}{violation}  {left}",
            epoch + 1,
            run.epochs
        ));
    }

    fn epoch(&mut self, epoch: usize, summary: EpochSummary) {
        self.run.violation = summary.validation_violation.or(self.run.violation);
        let last = epoch + 1 == self.run.epochs;
        let quiet = self.last_line.is_some_and(|at| at.elapsed() < PAUSE);
        if self.terminal || (quiet && !last) {
            return;
        }
        let violation = self
            .run
            .violation
            .map_or(String::new(), |v| format!("  violation {v:.1e}"));
        let left = self.run.left((epoch + 1) * self.run.steps);
        self.line(&format!(
            "{}: epoch {}/{}  loss {:.4}{violation}  {:.2} s  {left}",
            self.run.prefix,
            epoch + 1,
            self.run.epochs,
            summary.loss,
            summary.seconds
        ));
        self.last_line = Some(Instant::now());
    }

    fn end(&mut self, status: &RunStatus, seconds: f64) {
        self.clear();
        let text = match status {
            RunStatus::Finished => format!("finished after {}", clock(seconds)),
            RunStatus::Diverged { step } => format!("diverged at step {step}"),
            RunStatus::Failed { reason } => format!("failed: {reason}"),
            _ => "was stopped".to_owned(),
        };
        self.line(&format!("{}: {text}", self.run.prefix));
    }

    fn references(&mut self, problem: &str, done: usize, total: usize) {
        if self.terminal {
            if self.bar.is_hidden() {
                self.bar = ProgressBar::new(total as u64)
                    .with_style(style("optimal values of {prefix}\n  {bar:30} {pos}/{len}"));
                self.bar.set_prefix(problem.to_owned());
            }
            self.bar.set_position(done as u64);
        } else if self.last_line.is_none() {
            self.line(&format!("optimal values of {problem}: {total} samples"));
            self.last_line = Some(Instant::now());
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
    fn left(&self, done: usize) -> String {
        let here = done.saturating_sub(self.first_epoch * self.steps);
        match self.started {
            Some(started) if here > 0 => {
                let rest = (self.epochs * self.steps).saturating_sub(done);
                format!(
                    "{} left",
                    clock(started.elapsed().as_secs_f64() / here as f64 * rest as f64)
                )
            }
            _ => String::new(),
        }
    }
}

impl Observer for Progress {
    fn observe(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        match *event {
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
            Event::Step { epoch, step, loss } => self.step(epoch, step, loss),
            Event::Epoch { epoch, summary } => self.epoch(epoch, summary),
            Event::RunEnded {
                status, seconds, ..
            } => self.end(status, seconds),
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
}
