//! `feasible study`.

use std::process::ExitCode;

use feasible_lab::{Existing, Observer, Options, Silent, Study, StudyReport, Table};
use feasible_record::RunStatus;
use serde_json::json;

use crate::args::StudyArguments;
use crate::progress::Progress;
use crate::{FAILED, print, table};

pub(crate) fn run(arguments: &StudyArguments) -> anyhow::Result<ExitCode> {
    let study = Study::from_file(&arguments.file)?;
    let options = Options {
        runs: arguments.runs.clone(),
        existing: if arguments.fresh {
            Existing::SetAside
        } else {
            Existing::Continue
        },
    };
    let mut progress = Progress::new();
    let observer: &mut dyn Observer = if arguments.quiet {
        &mut Silent
    } else {
        &mut progress
    };
    let report = study.run(&options, observer)?;

    let table = Table::read(&report.folder)?;
    print(&if arguments.json {
        format!("{:#}\n", to_json(&study, &report, &table))
    } else {
        format!("{}\n{}", table.render(table::text()), places(&report))
    })?;
    let all_finished = report
        .runs
        .iter()
        .all(|run| run.status == RunStatus::Finished);
    Ok(if all_finished {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

/// Where the runs are, and how to have the table again.
fn places(report: &StudyReport) -> String {
    let folder = report.folder.display();
    let runs = format!("runs: {folder} (this table again: feasible table {folder})\n");
    match &report.set_aside {
        Some(old) => format!("old runs: {}\n{runs}", old.display()),
        None => runs,
    }
}

fn to_json(study: &Study, report: &StudyReport, table: &Table) -> serde_json::Value {
    let runs: Vec<_> = report
        .runs
        .iter()
        .map(|run| json!({ "run": run.name, "path": run.path, "status": run.status }))
        .collect();
    json!({
        "study": study.config().name, "folder": report.folder, "set_aside": report.set_aside,
        "runs": runs, "table": table.to_json(),
    })
}
