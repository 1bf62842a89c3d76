//! `feasible data`.

use anyhow::Context;
use feasible_data::{Size, generate, npz};
use serde_json::json;

use crate::args::DataArguments;
use crate::print;

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
    // Drawing takes time; what cannot be written is said before.
    npz::validate_size(recipe, &size)?;
    let instance = generate(recipe, &size, seed)?;
    npz::write(&arguments.out, &instance).context("the data set was not written")?;
    let Size {
        n,
        eq,
        ineq,
        samples,
    } = size;
    if arguments.json {
        let summary = json!({
            "file": arguments.out, "recipe": recipe.name(), "variables": n, "equalities": eq,
            "inequalities": ineq, "samples": samples, "seed": seed,
        });
        print(&format!("{summary:#}\n"))?;
    } else {
        let file = arguments.out.display();
        print(&format!(
            "{file}: {recipe}, {n} variables, {eq} equalities, {ineq} inequalities, {samples} inputs, seed {seed}\n"
        ))?;
    }
    Ok(())
}
