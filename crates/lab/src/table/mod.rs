//! Mean ± standard deviation over seeds, read back from run folders.

mod column;
mod group;
mod render;
mod text;

use std::path::Path;

use feasible_record::summary::Spread;
use feasible_record::{RunReader, RunStatus, is_study, list_runs, list_study};

use crate::Error;
use crate::config::RunConfig;
use group::Group;

pub use column::Column;
pub use render::Format;

/// One figure of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Mean and spread over the seeds that have ended; undefined if one of them diverged or failed.
    pub spread: Spread,
    /// Whether no other row of the same study, problem and backbone has a lower mean. For gaps and
    /// objective only rows count that are feasible to 1e-4 in every seed.
    pub best: bool,
}

/// Runs that differ in their seeds alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The study.
    pub study: String,
    /// The problem's label.
    pub problem: String,
    /// The method's label.
    pub method: String,
    /// The backbone's label.
    pub backbone: String,
    /// Which of the rows that have the same labels and other settings, from 1; `None` where there
    /// is but one.
    pub variant: Option<usize>,
    /// Finished runs.
    pub finished: usize,
    /// Runs there are.
    pub runs: usize,
    /// Whether in every finished run all rows of all test samples are within 1e-4.
    pub feasible: bool,
    /// Test samples whose layer did not converge, over all seeds.
    pub failed_samples: usize,
    /// Test samples without a reference optimum, which no gap includes.
    pub unreferenced_samples: usize,
    /// One cell for each of [`Column::ALL`].
    pub cells: Vec<Cell>,
}

/// A setting in which rows with the same labels differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The rows, as indices into [`Table::rows`].
    pub rows: Vec<usize>,
    /// The setting, with the tables it is in: `training.epochs`.
    pub key: String,
    /// Its value in each of the rows, as JSON, or `not set`.
    pub values: Vec<String>,
}

/// A run that has no figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The study.
    pub study: String,
    /// The run.
    pub run: String,
    /// Why, in words.
    pub reason: String,
}

/// The results of one or several studies.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// Rows in the order in which they were first trained.
    pub rows: Vec<Row>,
    /// What tells rows with the same labels apart.
    pub differences: Vec<Difference>,
    /// Runs that are not finished, and folders that cannot be read. Those that diverged or failed
    /// make their row undefined, so that a method is not judged by its lucky seeds; no row counts
    /// the others as more than a run there is.
    pub unfinished: Vec<Unfinished>,
}

impl Table {
    /// The table of a runs folder, or of one study's folder in it.
    ///
    /// # Errors
    /// [`Error::Record`] if the folder or a finished run's metrics cannot be read, [`Error::Value`]
    /// if there is no run in it.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let list = if is_study(folder)? {
            list_study(folder)?
        } else {
            list_runs(folder)?
        };
        if list.runs.is_empty() && list.problems.is_empty() {
            return Err(Error::value(
                "folder",
                folder.display(),
                "a runs folder, or a study's folder in it, with at least one run",
            ));
        }
        let mut table = Self::of_runs(&list.runs)?;
        let unreadable = list.problems.iter().map(|problem| Unfinished {
            study: String::new(),
            run: String::new(),
            reason: problem.to_string(),
        });
        table.unfinished.extend(unreadable);
        Ok(table)
    }

    /// The table of these runs.
    ///
    /// # Errors
    /// [`Error::Record`] if a finished run's metrics cannot be read.
    pub fn of_runs(runs: &[RunReader]) -> Result<Self, Error> {
        let mut groups: Vec<Group> = Vec::new();
        let mut unfinished = Vec::new();
        for run in runs {
            let mut leave_out = |reason: String| {
                unfinished.push(Unfinished {
                    study: run.study().to_owned(),
                    run: run.run().to_owned(),
                    reason,
                });
            };
            let config: RunConfig = match serde_json::from_value(run.document().info.config.clone())
            {
                Ok(config) => config,
                Err(error) => {
                    leave_out(format!("its settings cannot be read: {error}"));
                    continue;
                }
            };
            if run.document().status != RunStatus::Finished {
                leave_out(in_words(run)?);
            }
            match groups.iter_mut().find(|group| group.is_of(run, &config)) {
                Some(group) => group.add(run)?,
                None => {
                    let mut group = Group::new(run, config);
                    group.add(run)?;
                    groups.push(group);
                }
            }
        }
        let (mut rows, differences) = group::rows(groups)?;
        mark_best(&mut rows);
        Ok(Self {
            rows,
            differences,
            unfinished,
        })
    }
}

impl Row {
    /// The cell of a column.
    pub fn cell(&self, column: Column) -> &Cell {
        &self.cells[Column::ALL.iter().position(|&c| c == column).unwrap_or(0)]
    }

    fn labels(&self) -> [&str; 4] {
        [&self.study, &self.problem, &self.method, &self.backbone]
    }

    fn competes_with(&self, other: &Self) -> bool {
        (&self.study, &self.problem, &self.backbone)
            == (&other.study, &other.problem, &other.backbone)
    }
}

fn mark_best(rows: &mut [Row]) {
    for index in 0..Column::ALL.len() {
        let column = Column::ALL[index];
        let eligible = |row: &Row| !column.needs_feasibility() || row.feasible;
        let best: Vec<bool> = rows
            .iter()
            .map(|row| {
                let Some(mean) = row.cells[index].spread.mean.filter(|_| eligible(row)) else {
                    return false;
                };
                let rivals = rows
                    .iter()
                    .filter(|other| row.competes_with(other) && eligible(other));
                let means: Vec<f64> = rivals
                    .filter_map(|other| other.cells[index].spread.mean)
                    .collect();
                // The best of one, or of equals all round, is no news.
                means.iter().all(|&other| mean <= other) && means.iter().any(|&other| mean < other)
            })
            .collect();
        for (row, best) in rows.iter_mut().zip(best) {
            row.cells[index].best = best;
        }
    }
}

fn in_words(run: &RunReader) -> Result<String, Error> {
    Ok(match &run.document().status {
        RunStatus::Diverged { step } => format!("diverged at step {step}"),
        RunStatus::Failed { reason } => format!("failed: {reason}"),
        _ if run.is_being_written()? => "is being trained".to_owned(),
        _ => "was stopped; run its study again to go on".to_owned(),
    })
}

#[cfg(test)]
mod samples {
    //! A small table for the tests of its formats.

    use super::*;

    pub(super) fn row(method: &str, values: [f64; 8]) -> Row {
        let cell = |v: f64| Cell {
            spread: Spread::of(&[Some(v), Some(v + 0.5 * v.abs())]),
            best: false,
        };
        Row {
            study: "s".into(),
            problem: "p".into(),
            method: method.into(),
            backbone: "b".into(),
            variant: None,
            finished: 2,
            runs: 2,
            feasible: values[2] <= 1e-4 && values[4] <= 1e-4,
            failed_samples: if method == "b" { 5 } else { 0 },
            unreferenced_samples: 0,
            cells: values.map(cell).to_vec(),
        }
    }

    pub(super) fn table() -> Table {
        let mut rows = vec![
            row(
                "soft, penalty",
                [-3.0, 1e-16, 0.8, 2.0, 0.3, -20.0, 0.1, 0.01],
            ),
            row("a", [0.4, 0.1, 0.0, 0.0, 1e-9, -11.0, 1.0, 0.1]),
            row("b", [0.3, 0.2, 0.0, 0.0, 1e-7, -12.0, 2.0, 0.1]),
        ];
        mark_best(&mut rows);
        Table {
            rows,
            differences: Vec::new(),
            unfinished: vec![Unfinished {
                study: "s".into(),
                run: "r".into(),
                reason: "diverged at step 3\u{1b}[31m".into(),
            }],
        }
    }
}
