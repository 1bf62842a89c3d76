//! `feasible study`.

use std::io::{self, Write};
use std::process::ExitCode;

use feasible_lab::{Existing, Observer, Options, Silent, Study, StudyReport, Table};
use feasible_record::RunStatus;
use serde_json::json;

use crate::args::StudyArguments;
use crate::progress::Progress;
use crate::{FAILED, table};

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
    let mut out = io::stdout();
    if arguments.json {
        writeln!(out, "{:#}", to_json(&study, &report, &table))?;
    } else {
        if let Some(old) = &report.set_aside {
            writeln!(out, "old runs are in {}", old.display())?;
        }
        out.write_all(table.render(table::text()).as_bytes())?;
    }
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

fn to_json(study: &Study, report: &StudyReport, table: &Table) -> serde_json::Value {
    let runs: Vec<_> = report
        .runs
        .iter()
        .map(|run| json!({ "run": run.name, "path": run.path, "status": run.status }))
        .collect();
    json!({ "study": study.config().name, "folder": report.folder, "runs": runs, "table": table.to_json() })
}
