//! `feasible figures`: metrics over training as pictures, and their last values.

use anyhow::Context;
use feasible_lab::{Across, Curves, LastValue};
use feasible_landscape::Scaling;
use feasible_record::Number;
use feasible_record::summary::Spread;
use serde_json::{Value, json};

use crate::args::FiguresArguments;
use crate::print;

/// Costs and qualities of the measurements, which are drawn only where they are asked for.
const ASIDE: [&str; 7] = [
    "limit",
    "seconds",
    "share",
    "products",
    "defect",
    "residual",
    "threshold",
];

pub(crate) fn run(arguments: &FiguresArguments) -> anyhow::Result<()> {
    let mut curves = Curves::read(&arguments.runs)?;
    for part in &arguments.only {
        curves = curves.only(part)?;
    }
    let known = curves.metrics();
    let metrics: Vec<String> = if arguments.metric.is_empty() {
        let dynamics = known.iter().filter(|name| name.starts_with("dynamics."));
        let wanted = dynamics.filter(|name| !ASIDE.iter().any(|aside| name.ends_with(aside)));
        wanted.cloned().collect()
    } else {
        let full = |name: &String| {
            let dynamics = format!("dynamics.{name}");
            if known.contains(&dynamics) {
                dynamics
            } else {
                name.clone()
            }
        };
        arguments.metric.iter().map(full).collect()
    };
    if metrics.is_empty() {
        return Err(feasible_lab::Error::Value {
            key: "--metric".to_owned(),
            got: "absent, and the runs recorded no dynamics".to_owned(),
            expected: format!(
                "given, or the study trained with `measure`; there are {}",
                known.into_iter().collect::<Vec<_>>().join(", ")
            ),
        }
        .into());
    }
    if let Some(unknown) = metrics.iter().find(|name| !known.contains(*name)) {
        return Err(feasible_lab::Error::Value {
            key: "--metric".to_owned(),
            got: unknown.clone(),
            expected: format!(
                "one that the runs recorded: {}",
                known.into_iter().collect::<Vec<_>>().join(", ")
            ),
        }
        .into());
    }
    let folder = match &arguments.out {
        Some(folder) => folder.clone(),
        None => arguments.runs.join(".figures"),
    };
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("could not create {}", folder.display()))?;
    let across = if arguments.backbones {
        Across::Backbones
    } else {
        Across::Methods
    };
    let scaling = if arguments.log {
        Scaling::Log
    } else {
        Scaling::Linear
    };
    let mut text = String::new();
    let mut documents = Vec::new();
    for metric in &metrics {
        let mut files = Vec::new();
        for figure in curves.figures(metric, across, scaling) {
            let prefix = arguments.prefix.as_deref().unwrap_or("");
            let path = folder.join(format!("{prefix}{}.svg", figure.name));
            std::fs::write(&path, figure.plot.to_svg()?)
                .with_context(|| format!("could not write {}", path.display()))?;
            files.push(path);
        }
        let values = curves.values(metric);
        text.push_str(&table(metric, &values, curves.several_studies()));
        for file in &files {
            text.push_str(&format!("  {}\n", file.display()));
        }
        documents.push(json!({
            "metric": metric, "pictures": files,
            "values": values.iter().map(value_json).collect::<Vec<_>>(),
        }));
    }
    for run in &curves.left_out {
        text.push_str(&format!("left out: {run}\n"));
    }
    if arguments.json {
        let document = json!({ "metrics": documents, "left_out": curves.left_out });
        return Ok(print(&format!("{document:#}\n"))?);
    }
    Ok(print(&text)?)
}

fn table(metric: &str, values: &[LastValue], of_study: bool) -> String {
    let mut text = format!("{metric}, first and last\n");
    for value in values {
        let study = if of_study {
            format!("{}, ", value.study)
        } else {
            String::new()
        };
        text.push_str(&format!(
            "  {study}{}, {}, {}: {}  {}\n",
            value.problem,
            value.backbone,
            value.method,
            in_words(&value.first),
            in_words(&value.last)
        ));
    }
    text
}

fn in_words(spread: &Spread) -> String {
    match (spread.mean, spread.std) {
        (Some(mean), Some(std)) => format!("{mean:.3e} ± {std:.1e}"),
        (Some(mean), None) => format!("{mean:.3e}"),
        _ => "undefined".to_owned(),
    }
}

fn value_json(value: &LastValue) -> Value {
    let spread = |spread: &Spread| {
        json!({
            "mean": spread.mean.map(Number), "std": spread.std.map(Number), "runs": spread.count,
            "undefined": spread.undefined,
        })
    };
    json!({
        "study": value.study, "problem": value.problem, "backbone": value.backbone, "method": value.method,
        "first": spread(&value.first), "last": spread(&value.last),
    })
}
