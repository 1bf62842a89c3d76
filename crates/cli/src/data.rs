//! `feasible data`.

use std::io::{self, Write};

use anyhow::Context;
use feasible_data::{Size, generate, npz};

use crate::args::DataArguments;

pub(crate) fn run(arguments: &DataArguments) -> anyhow::Result<()> {
    let recipe = arguments.problem.recipe();
    let published = Size::default();
    let size = Size {
        n: arguments.n.unwrap_or(published.n),
        eq: arguments.eq.unwrap_or(published.eq),
        ineq: arguments.ineq.unwrap_or(published.ineq),
        samples: arguments.samples.unwrap_or(published.samples),
    };
    let seed = arguments.seed.unwrap_or_else(|| recipe.published_seed());
    let instance = generate(recipe, &size, seed)?;
    npz::write(&arguments.out, &instance).context("the data set was not written")?;
    writeln!(
        io::stdout(),
        "{}: {recipe}, {} variables, {} equalities, {} inequalities, {} inputs, seed {seed}",
        arguments.out.display(),
        size.n,
        size.eq,
        size.ineq,
        size.samples,
    )?;
    Ok(())
}
