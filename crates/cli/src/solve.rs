//! `feasible solve`: problems as JSON in, solutions and gradients as JSON out.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

use feasible_json::{Infeasible, Options};

use crate::args::SolveArguments;
use crate::{BAD_INPUT, print};

/// Input that cannot be read as a whole.
#[derive(Debug)]
pub(crate) struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

pub(crate) fn run(arguments: &SolveArguments) -> anyhow::Result<ExitCode> {
    let text = read_text(&arguments.file)?;
    let answers = feasible_json::answer_with(&text, &options(arguments)?)
        .map_err(|error| Unreadable(error.to_string()))?;
    print(&format!("{}\n", answers.json))?;
    Ok(if answers.refused > 0 {
        ExitCode::from(BAD_INPUT)
    } else {
        ExitCode::SUCCESS
    })
}

fn options(arguments: &SolveArguments) -> Result<Options, Unreadable> {
    let mut options = Options::default();
    if let Some(weight) = arguments.elastic {
        options.quadratic.infeasible = Infeasible::Elastic { weight };
    }
    if let Some(tolerance) = arguments.tolerance {
        options.quadratic.tolerance = tolerance;
        options.cones.tolerance = tolerance;
    }
    options.adjoint.degenerate = arguments.degenerate;
    let checks = [
        options.quadratic.validate(),
        options.cones.validate(),
        options.adjoint.validate(),
    ];
    for check in checks {
        check.map_err(|error| Unreadable(error.to_string()))?;
    }
    Ok(options)
}

fn read_text(path: &Path) -> Result<String, Unreadable> {
    let mut text = String::new();
    let outcome = if path == Path::new("-") {
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    outcome.map_err(|error| Unreadable(format!("could not read {}: {error}", path.display())))
}
