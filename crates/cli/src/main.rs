//! The `feasible` program: trains studies, prints their tables, writes published data sets.
//!
//! Exit codes: 0 done, 1 failed, 2 bad arguments or a bad study file.

mod args;
mod data;
mod progress;
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
        Command::Data(arguments) => data::run(&arguments).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        // A reader that closed the pipe has all it wants.
        let closed = |cause: &(dyn std::error::Error + 'static)| {
            cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        };
        if error.chain().any(closed) {
            return ExitCode::SUCCESS;
        }
        // Nobody is left to tell when standard error fails.
        let _ = writeln!(io::stderr(), "error: {error:#}");
        ExitCode::from(if is_bad_input(&error) {
            BAD_INPUT
        } else {
            FAILED
        })
    })
}

fn is_bad_input(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let lab = cause
            .downcast_ref::<feasible_lab::Error>()
            .is_some_and(feasible_lab::Error::is_configuration);
        lab || matches!(
            cause.downcast_ref::<feasible_data::Error>(),
            Some(feasible_data::Error::Size { .. })
        )
    })
}
