//! Mean ± standard deviation over seeds, read back from run folders.

mod render;

use std::fs;
use std::path::Path;

use feasible_record::summary::Spread;
use feasible_record::{Metric, RunReader, RunStatus, Timestamp, list_runs};

use crate::config::RunConfig;
use crate::{Error, FEASIBILITY_TOLERANCE};

pub use render::Format;

/// A figure of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// Largest optimality gap over the test samples.
    GapMax,
    /// Geometric mean of the gaps.
    GapGmean,
    /// Largest violation of an inequality.
    InequalityMax,
    /// Inequalities violated by more than 1e-4, mean over test samples.
    InequalitiesViolated,
    /// Largest violation of an equality.
    EqualityMax,
    /// Mean objective of the test samples.
    Objective,
    /// Training seconds an epoch, without validation.
    EpochSeconds,
    /// Seconds of one forward pass over all test samples.
    TestSeconds,
}

impl Column {
    /// All columns, in the order of the table. Less is better in each.
    pub const ALL: [Self; 8] = [
        Self::GapMax,
        Self::GapGmean,
        Self::InequalityMax,
        Self::InequalitiesViolated,
        Self::EqualityMax,
        Self::Objective,
        Self::EpochSeconds,
        Self::TestSeconds,
    ];

    /// Its name in JSON and CSV.
    pub fn key(self) -> &'static str {
        match self {
            Self::GapMax => "gap_max",
            Self::GapGmean => "gap_gmean",
            Self::InequalityMax => "inequality_max",
            Self::InequalitiesViolated => "inequalities_violated",
            Self::EqualityMax => "equality_max",
            Self::Objective => "objective",
            Self::EpochSeconds => "epoch_seconds",
            Self::TestSeconds => "test_seconds",
        }
    }

    /// Its heading.
    pub fn heading(self) -> &'static str {
        match self {
            Self::GapMax => "gap max",
            Self::GapGmean => "gap gmean",
            Self::InequalityMax => "ineq max",
            Self::InequalitiesViolated => "# ineq viol",
            Self::EqualityMax => "eq max",
            Self::Objective => "objective",
            Self::EpochSeconds => "s / epoch",
            Self::TestSeconds => "test s",
        }
    }

    fn of(self, metrics: &[Metric]) -> Option<f64> {
        let test = |name: &str| {
            feasible_record::summary::last(metrics, name).map(|observed| observed.value)
        };
        match self {
            Self::GapMax => test("test.gap_max"),
            Self::GapGmean => test("test.gap_gmean"),
            Self::InequalityMax => test("test.inequality_max"),
            Self::InequalitiesViolated => test("test.inequalities_violated"),
            Self::EqualityMax => test("test.equality_max"),
            Self::Objective => test("test.objective"),
            Self::TestSeconds => test("test.seconds"),
            Self::EpochSeconds => {
                let seconds: Vec<f64> = metrics
                    .iter()
                    .filter_map(|metric| metric.value("epoch.seconds"))
                    .collect();
                (!seconds.is_empty()).then(|| seconds.iter().sum::<f64>() / seconds.len() as f64)
            }
        }
    }

    /// An infeasible prediction may have any objective, so only feasible methods compete for it.
    fn needs_feasibility(self) -> bool {
        matches!(self, Self::GapMax | Self::GapGmean | Self::Objective)
    }
}

/// One figure of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Mean and spread over the finished seeds.
    pub spread: Spread,
    /// Whether no other row of the same study, problem and backbone has a lower mean. For gaps and
    /// objective only rows feasible to 1e-4 in every seed count.
    pub best: bool,
}

/// One problem, method and backbone.
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
    /// Finished runs.
    pub finished: usize,
    /// Runs there are.
    pub runs: usize,
    /// One cell for each of [`Column::ALL`].
    pub cells: Vec<Cell>,
}

/// A run that no mean includes.
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
    /// Runs that are not finished, and folders that cannot be read.
    pub unfinished: Vec<Unfinished>,
}

struct Group {
    row: Row,
    start: Timestamp,
    values: Vec<Vec<Option<f64>>>,
}

impl Table {
    /// The table of a runs folder, or of one study's folder in it.
    ///
    /// # Errors
    /// [`Error::Record`] if the folder or a finished run's metrics cannot be read, [`Error::Value`]
    /// if there is no run in it.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let mut unfinished = Vec::new();
        let mut runs = Vec::new();
        let list = if is_study(folder)? {
            study_runs(folder)?
        } else {
            let list = list_runs(folder)?;
            list.runs
                .into_iter()
                .map(Ok)
                .chain(list.problems.into_iter().map(Err))
                .collect()
        };
        for run in list {
            match run {
                Ok(reader) => runs.push(reader),
                Err(problem) => unfinished.push(Unfinished {
                    study: String::new(),
                    run: String::new(),
                    reason: problem.to_string(),
                }),
            }
        }
        if runs.is_empty() && unfinished.is_empty() {
            return Err(Error::value(
                "folder",
                folder.display(),
                "a runs folder, or a study's folder in it, with at least one run",
            ));
        }
        let mut table = Self::of_runs(&runs)?;
        table.unfinished.extend(unfinished);
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
            let document = run.document();
            let mut leave_out = |reason: String| {
                unfinished.push(Unfinished {
                    study: run.study().to_owned(),
                    run: run.run().to_owned(),
                    reason,
                });
            };
            let config: RunConfig = match serde_json::from_value(document.info.config.clone()) {
                Ok(config) => config,
                Err(error) => {
                    leave_out(format!("its settings cannot be read: {error}"));
                    continue;
                }
            };
            let key = [
                run.study().to_owned(),
                config.problem.label(),
                config.method.label().to_owned(),
                config.backbone.label(),
            ];
            let index = groups
                .iter()
                .position(|group| group.row.key() == key)
                .unwrap_or_else(|| {
                    let [study, problem, method, backbone] = key;
                    let row = Row {
                        study,
                        problem,
                        method,
                        backbone,
                        finished: 0,
                        runs: 0,
                        cells: Vec::new(),
                    };
                    groups.push(Group {
                        row,
                        start: document.start,
                        values: vec![Vec::new(); Column::ALL.len()],
                    });
                    groups.len() - 1
                });
            let group = &mut groups[index];
            group.row.runs += 1;
            group.start = group.start.min(document.start);
            if document.status != RunStatus::Finished {
                leave_out(in_words(run)?);
                continue;
            }
            let metrics = run.metrics()?.collect::<Result<Vec<Metric>, _>>()?;
            group.row.finished += 1;
            for (values, column) in group.values.iter_mut().zip(Column::ALL) {
                values.push(column.of(&metrics));
            }
        }
        groups.sort_by_key(|group| group.start);
        let mut rows: Vec<Row> = groups
            .into_iter()
            .filter(|group| group.row.finished > 0)
            .map(Group::into_row)
            .collect();
        mark_best(&mut rows);
        Ok(Self { rows, unfinished })
    }
}

impl Group {
    fn into_row(self) -> Row {
        let cells = self
            .values
            .iter()
            .map(|values| Cell {
                spread: Spread::of(values),
                best: false,
            })
            .collect();
        Row { cells, ..self.row }
    }
}

impl Row {
    /// The cell of a column.
    pub fn cell(&self, column: Column) -> &Cell {
        &self.cells[Column::ALL.iter().position(|&c| c == column).unwrap_or(0)]
    }

    fn key(&self) -> [String; 4] {
        [
            self.study.clone(),
            self.problem.clone(),
            self.method.clone(),
            self.backbone.clone(),
        ]
    }

    fn competes_with(&self, other: &Self) -> bool {
        (&self.study, &self.problem, &self.backbone)
            == (&other.study, &other.problem, &other.backbone)
    }

    /// Means of non-negative figures are within the tolerance only if every seed is near it.
    fn is_feasible(&self) -> bool {
        [Column::InequalityMax, Column::EqualityMax]
            .iter()
            .all(|&column| {
                self.cell(column)
                    .spread
                    .mean
                    .is_some_and(|mean| mean <= FEASIBILITY_TOLERANCE)
            })
    }
}

fn mark_best(rows: &mut [Row]) {
    for index in 0..Column::ALL.len() {
        let column = Column::ALL[index];
        let eligible = |row: &Row| !column.needs_feasibility() || row.is_feasible();
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

fn is_study(folder: &Path) -> Result<bool, Error> {
    let entries = fs::read_dir(folder).map_err(Error::io("read", folder))?;
    Ok(entries
        .flatten()
        .any(|entry| entry.path().join("run.json").is_file()))
}

fn study_runs(folder: &Path) -> Result<Vec<Result<RunReader, feasible_record::Error>>, Error> {
    let mut folders: Vec<_> = fs::read_dir(folder)
        .map_err(Error::io("read", folder))?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    Ok(folders.iter().map(RunReader::open).collect())
}
