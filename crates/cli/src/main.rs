//! The `feasible` program: trains studies, prints their tables, solves problems, finds eigenvalues,
//! draws landscapes, writes published data sets.
//!
//! Exit codes: 0 done, 1 failed, 2 bad arguments or bad input.

mod args;
mod data;
mod figures;
mod landscape;
mod pace;
mod progress;
mod solve;
mod spectrum;
mod study;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};

const FAILED: u8 = 1;
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Study(arguments) => study::run(&arguments),
        Command::Table(arguments) => table::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Solve(arguments) => solve::run(&arguments),
        Command::Spectrum(arguments) => spectrum::run(&arguments),
        Command::Figures(arguments) => figures::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Landscape(arguments) => landscape::run(&arguments),
        Command::Data(arguments) => data::run(&arguments).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        let (told, hint) = (with_causes(&error), hint(&error));
        // Nobody is left to tell when standard error fails.
        let _ = writeln!(io::stderr(), "error: {told}{hint}");
        ExitCode::from(if is_bad_input(&error) {
            BAD_INPUT
        } else {
            FAILED
        })
    })
}

/// Writes to standard output. A reader that closed the pipe has all it wants: that is no failure,
/// and changes nothing about how the command ended.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// The error and its causes, but for those that the messages before them already tell: the
/// libraries' messages are whole by themselves.
fn with_causes(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |message, cause| {
        let cause = cause.to_string();
        match message.as_str() {
            "" => cause,
            told if told.contains(&cause) => message,
            _ => format!("{message}: {cause}"),
        }
    })
}

/// What the libraries cannot say, because they know of no command line.
fn hint(error: &anyhow::Error) -> &'static str {
    let old_runs_are_in_the_way = error.chain().any(|cause| {
        matches!(
            cause.downcast_ref::<feasible_lab::Error>(),
            Some(
                feasible_lab::Error::Changed { .. }
                    | feasible_lab::Error::Checkpoint { .. }
                    | feasible_lab::Error::NoCheckpoint { .. }
            )
        )
    });
    if old_runs_are_in_the_way {
        "\nwith --fresh the study starts over, and its old runs are kept aside"
    } else {
        ""
    }
}

fn is_bad_input(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let lab = cause
            .downcast_ref::<feasible_lab::Error>()
            .is_some_and(feasible_lab::Error::is_configuration);
        let spectrum = cause
            .downcast_ref::<feasible_spectrum::Error>()
            .is_some_and(feasible_spectrum::Error::is_bad_input);
        let landscape = matches!(
            cause.downcast_ref::<feasible_landscape::Error>(),
            Some(feasible_landscape::Error::Argument { .. })
        );
        lab || spectrum
            || landscape
            || cause.is::<solve::Unreadable>()
            || matches!(
                cause.downcast_ref::<feasible_data::Error>(),
                Some(feasible_data::Error::Size { .. })
            )
    })
}
